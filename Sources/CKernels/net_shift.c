// The temporal shift: some channels of each frame come from its neighbours. And its gradient.
#include "net_common.h"
#include "network_kernels.h"

/// A run of a pixel's channels, and the frame that it comes from: `step` frames on.
typedef struct {
  int64_t begin, end, step;
} run;

typedef struct {
  run all[3];
} runs;

INLINE runs runs_of(const tamring_shift_shape *s) {
  const int64_t first = smaller(s->fold, s->channels), second = smaller(2 * s->fold, s->channels);
  const runs result = {{{0, first, 1}, {first, second, -1}, {second, s->channels, 0}}};
  return result;
}

INLINE int64_t shift_source(const tamring_shift_shape *s, int64_t clip, int64_t t) {
  return s->paired ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

INLINE int64_t shift_result(const tamring_shift_shape *s, int64_t clip, int64_t t) {
  return s->split ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

BODY temporal_shift_body(bool bf16, const tamring_shift_shape *s, int64_t clips, const void *restrict src,
                         void *restrict odd, void *restrict even) {
  const runs parts = runs_of(s);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t t = 0; t < s->frames; t++) {
      void *to = writable_at(bf16, s->split && t % 2 == 0 ? even : odd, shift_result(s, clip, t));
      for (int p = 0; p < 3; p++) {
        const run part = parts.all[p];
        const size_t bytes = (size_t)((part.end - part.begin) * element_size(bf16));
        const int64_t from = t + part.step;
        if (bytes == 0) continue;
        const bool is_inside = from >= 0 && from < s->frames;
        const void *frame = is_inside ? at(bf16, src, shift_source(s, clip, from)) : NULL;
        for (int64_t pixel = s->begin; pixel < s->end; pixel++) {
          const int64_t i = pixel * s->channels + part.begin;
          if (frame)
            memcpy(writable_at(bf16, to, i), at(bf16, frame, i), bytes);
          else
            memset(writable_at(bf16, to, i), 0, bytes);
        }
      }
    }
}
ACTIVATION_KERNEL(temporal_shift,
                  (bool bf16, const tamring_shift_shape *s, int64_t clips, const void *src, void *odd, void *even),
                  (bf16, s, clips, src, odd, even))

BODY temporal_shift_gradient_body(bool bf16, const tamring_shift_shape *s, int64_t clips, const void *restrict d_odd,
                                  const void *restrict d_even, bool accumulate, void *restrict d_src) {
  const runs parts = runs_of(s);
  const int64_t together = s->paired ? 2 : 1;
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t frame = 0; frame < s->frames; frame += together) {
      void *to = writable_at(bf16, d_src, shift_source(s, clip, frame));
      for (int p = 0; p < 3; p++) {
        const run part = parts.all[p];
        // The results that this part of the frame went to: at most two.
        const void *from[2] = {NULL, NULL};
        int count = 0;
        for (int64_t k = 0; k < together; k++) {
          const int64_t t = frame + k - part.step;
          if (t < 0 || t >= s->frames) continue;
          from[count++] = at(bf16, s->split && t % 2 == 0 ? d_even : d_odd, shift_result(s, clip, t));
        }
        for (int64_t pixel = s->begin; pixel < s->end; pixel++)
          for (int64_t i = pixel * s->channels + part.begin; i < pixel * s->channels + part.end; i++) {
            float sum = accumulate ? get(bf16, to, i) : 0;
            if (count > 0) sum += get(bf16, from[0], i);
            if (count > 1) sum += get(bf16, from[1], i);
            put(bf16, to, i, sum);
          }
      }
    }
}
ACTIVATION_KERNEL(temporal_shift_gradient,
                  (bool bf16, const tamring_shift_shape *s, int64_t clips, const void *d_odd, const void *d_even,
                   bool accumulate, void *d_src),
                  (bf16, s, clips, d_odd, d_even, accumulate, d_src))
