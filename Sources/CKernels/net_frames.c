// Neighbouring frames: pools over three of them at stride 2, and three frames side by side for a convolution over time.
#include "net_common.h"
#include "network_kernels.h"

INLINE int64_t pooled_frames(const tamring_frame_pool_shape *s) { return (s->frames - 1) / 2 + 1; }

/// The frames of a window that lie inside the clip: the first is the middle one's predecessor, unless there is none.
typedef struct {
  int count;
  const void *frames[3];
} window_frames;

INLINE window_frames frames_of(bool bf16, const tamring_frame_pool_shape *s, const void *src, int64_t clip, int64_t to) {
  window_frames result = {0, {NULL, NULL, NULL}};
  for (int64_t from = 2 * to - 1; from <= 2 * to + 1; from++)
    if (from >= 0 && from < s->frames)
      result.frames[result.count++] = at(bf16, src, (clip * s->frames + from) * s->frame_size);
  return result;
}

BODY frame_max_body(bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *restrict src,
                    void *restrict dst) {
  const int64_t results = pooled_frames(s);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t t = 0; t < results; t++) {
      const window_frames from = frames_of(bf16, s, src, clip, t);
      void *to = writable_at(bf16, dst, (clip * results + t) * s->frame_size);
      for (int64_t i = s->begin; i < s->end; i++) {
        float best = get(bf16, from.frames[0], i);
        for (int k = 1; k < from.count; k++) {
          const float value = get(bf16, from.frames[k], i);
          best = value > best || value != value ? value : best;
        }
        put(bf16, to, i, best);
      }
    }
}
ACTIVATION_KERNEL(frame_max,
                  (bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *src, void *dst),
                  (bf16, s, clips, src, dst))

BODY frame_mean_body(bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *restrict src,
                     void *restrict dst) {
  const int64_t results = pooled_frames(s);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t t = 0; t < results; t++) {
      const window_frames from = frames_of(bf16, s, src, clip, t);
      void *to = writable_at(bf16, dst, (clip * results + t) * s->frame_size);
      for (int64_t i = s->begin; i < s->end; i++) {
        float sum = 0;
        for (int k = 0; k < from.count; k++) sum += get(bf16, from.frames[k], i);
        put(bf16, to, i, sum / 3);
      }
    }
}
ACTIVATION_KERNEL(frame_mean,
                  (bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *src, void *dst),
                  (bf16, s, clips, src, dst))

/// The windows that hold a frame: its own, or the two between which it lies.
typedef struct {
  int64_t first, end;
} windows;

INLINE windows windows_of(const tamring_frame_pool_shape *s, int64_t frame) {
  const windows result = {frame / 2, smaller(pooled_frames(s), (frame + 1) / 2 + 1)};
  return result;
}

/// A window as one of its frames sees it, which is at place `own`.
typedef struct {
  window_frames from;
  int own;
  const void *best, *gradient;
} seen_window;

/// The window's gradient, if the frame is its first maximum.
INLINE float of_first_maximum(bool bf16, const seen_window *w, int64_t i) {
  const float best = get(bf16, w->best, i);
  bool first = get(bf16, w->from.frames[w->own], i) == best;
  for (int k = 0; k < w->own; k++) first &= get(bf16, w->from.frames[k], i) != best;
  return first ? get(bf16, w->gradient, i) : 0;
}

BODY frame_max_gradient_body(bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *restrict src,
                             const void *restrict dst, const void *restrict d_dst, bool accumulate,
                             void *restrict d_src) {
  const int64_t results = pooled_frames(s);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t frame = 0; frame < s->frames; frame++) {
      void *to = writable_at(bf16, d_src, (clip * s->frames + frame) * s->frame_size);
      const windows over = windows_of(s, frame);
      seen_window seen[2];
      int count = 0;
      for (int64_t t = over.first; t < over.end; t++) {
        const int64_t result = (clip * results + t) * s->frame_size;
        // The first window has no predecessor.
        seen[count++] = (seen_window){frames_of(bf16, s, src, clip, t), (int)(frame - (2 * t - 1)) - (t == 0),
                                      at(bf16, dst, result), at(bf16, d_dst, result)};
      }
      for (int64_t i = s->begin; i < s->end; i++) {
        float sum = accumulate ? get(bf16, to, i) : 0;
        for (int w = 0; w < count; w++) sum += of_first_maximum(bf16, &seen[w], i);
        put(bf16, to, i, sum);
      }
    }
}
ACTIVATION_KERNEL(frame_max_gradient,
                  (bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *src, const void *dst,
                   const void *d_dst, bool accumulate, void *d_src),
                  (bf16, s, clips, src, dst, d_dst, accumulate, d_src))

BODY frame_mean_gradient_body(bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *restrict d_dst,
                              bool accumulate, void *restrict d_src) {
  const int64_t results = pooled_frames(s);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t frame = 0; frame < s->frames; frame++) {
      void *to = writable_at(bf16, d_src, (clip * s->frames + frame) * s->frame_size);
      const windows over = windows_of(s, frame);
      const void *first = at(bf16, d_dst, (clip * results + over.first) * s->frame_size);
      const void *second = over.end - over.first > 1 ? at(bf16, first, s->frame_size) : NULL;
      for (int64_t i = s->begin; i < s->end; i++) {
        float sum = get(bf16, first, i) / 3;
        if (second) sum += get(bf16, second, i) / 3;
        put(bf16, to, i, accumulate ? get(bf16, to, i) + sum : sum);
      }
    }
}
ACTIVATION_KERNEL(frame_mean_gradient,
                  (bool bf16, const tamring_frame_pool_shape *s, int64_t clips, const void *d_dst, bool accumulate,
                   void *d_src),
                  (bf16, s, clips, d_dst, accumulate, d_src))

BODY stack_frames_body(bool bf16, int64_t n, const void *restrict first, const void *restrict second,
                       const void *restrict third, void *restrict dst) {
  for (int64_t i = 0; i < n; i++) {
    put(bf16, dst, 3 * i, first ? get(bf16, first, i) : 0);
    put(bf16, dst, 3 * i + 1, second ? get(bf16, second, i) : 0);
    put(bf16, dst, 3 * i + 2, third ? get(bf16, third, i) : 0);
  }
}
ACTIVATION_KERNEL(stack_frames,
                  (bool bf16, int64_t n, const void *first, const void *second, const void *third, void *dst),
                  (bf16, n, first, second, third, dst))

BODY stack_frames_gradient_body(bool bf16, int64_t n, const void *restrict first, const void *restrict second,
                                const void *restrict third, bool accumulate, void *restrict d_src) {
  for (int64_t i = 0; i < n; i++) {
    float sum = accumulate ? get(bf16, d_src, i) : 0;
    if (third) sum += get(bf16, third, 3 * i + 2);
    if (second) sum += get(bf16, second, 3 * i + 1);
    if (first) sum += get(bf16, first, 3 * i);
    put(bf16, d_src, i, sum);
  }
}
ACTIVATION_KERNEL(stack_frames_gradient,
                  (bool bf16, int64_t n, const void *first, const void *second, const void *third, bool accumulate,
                   void *d_src),
                  (bf16, n, first, second, third, accumulate, d_src))
