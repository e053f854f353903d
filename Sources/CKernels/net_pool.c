// Max pooling and subsampling of images, and their gradients.
#include "net_common.h"
#include "network_kernels.h"
#include "net_sides.h"

// A block of channels at a time. Whole blocks have loops of their own: with a constant count they are vectors.
enum { BLOCK = 64 };

/// The geometry of one window: its taps inside the image, and the first element of its (imagined) first tap.
typedef struct {
  taps down, across;
  int64_t first;
} pool_window;

INLINE pool_window window_at(const tamring_window *w, int64_t image, int64_t y, int64_t x) {
  const int64_t top = y * w->stride - w->padding, left = x * w->stride - w->padding;
  const pool_window result = {inside(top, w->kernel, w->height), inside(left, w->kernel, w->width),
                              ((image * w->height + top) * w->width + left) * w->channels};
  return result;
}

INLINE void max_block(bool bf16, int64_t count, const tamring_window *w, const pool_window *at, const void *restrict src,
                      int64_t c, void *restrict dst, int64_t to) {
  float best[BLOCK];
  for (int64_t j = 0; j < count; j++) best[j] = -__builtin_inff();
  for (int64_t i = at->down.begin; i < at->down.end; i++)
    for (int64_t k = at->across.begin; k < at->across.end; k++) {
      const int64_t from = at->first + (i * w->width + k) * w->channels + c;
      for (int64_t j = 0; j < count; j++) {
        const float value = get(bf16, src, from + j);
        best[j] = value > best[j] || value != value ? value : best[j];
      }
    }
  for (int64_t j = 0; j < count; j++) put(bf16, dst, to + j, best[j]);
}

BODY max_pool_body(bool bf16, const tamring_window *w, int64_t images, const void *restrict src, void *restrict dst) {
  const int64_t channels = w->channels;
  int64_t to = 0;
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < w->out_height; y++)
      for (int64_t x = 0; x < w->out_width; x++, to += channels) {
        const pool_window at = window_at(w, image, y, x);
        int64_t c = 0;
        for (; c + BLOCK <= channels; c += BLOCK) max_block(bf16, BLOCK, w, &at, src, c, dst, to + c);
        if (c < channels) max_block(bf16, channels - c, w, &at, src, c, dst, to + c);
      }
}
ACTIVATION_KERNEL(max_pool, (bool bf16, const tamring_window *w, int64_t images, const void *src, void *dst),
                  (bf16, w, images, src, dst))

/// Adds a window's gradient to the sums of the channels whose first maximum is the tap (row, column).
INLINE void add_first_maximum(bool bf16, int64_t count, const tamring_window *w, const pool_window *at, int64_t row,
                              int64_t column, const void *restrict src, int64_t c, const void *restrict dst,
                              const void *restrict d_dst, int64_t result, float *sums) {
  float best[BLOCK];
  int32_t first[BLOCK];
  const int64_t own = at->first + (row * w->width + column) * w->channels + c;
  for (int64_t j = 0; j < count; j++) {
    best[j] = get(bf16, dst, result + j);
    first[j] = get(bf16, src, own + j) == best[j];
  }
  for (int64_t i = at->down.begin; i <= row; i++) {
    const int64_t end = i < row ? at->across.end : column;
    for (int64_t k = at->across.begin; k < end; k++) {
      const int64_t from = at->first + (i * w->width + k) * w->channels + c;
      for (int64_t j = 0; j < count; j++) first[j] &= get(bf16, src, from + j) != best[j];
    }
  }
  for (int64_t j = 0; j < count; j++) sums[j] += first[j] ? get(bf16, d_dst, result + j) : 0;
}

/// A pixel's gradient: the sum over the windows (down, across) that contain it.
INLINE void max_gradient_block(bool bf16, int64_t count, const tamring_window *w, int64_t image, int64_t y, int64_t x,
                               taps down, taps across, const void *restrict src, int64_t c, const void *restrict dst,
                               const void *restrict d_dst, bool accumulate, void *restrict d_src, int64_t to) {
  float sums[BLOCK];
  for (int64_t j = 0; j < count; j++) sums[j] = accumulate ? get(bf16, d_src, to + j) : 0;
  for (int64_t i = down.begin; i < down.end; i++)
    for (int64_t k = across.begin; k < across.end; k++) {
      const pool_window at = window_at(w, image, i, k);
      const int64_t result = ((image * w->out_height + i) * w->out_width + k) * w->channels + c;
      add_first_maximum(bf16, count, w, &at, y - (i * w->stride - w->padding), x - (k * w->stride - w->padding), src, c,
                        dst, d_dst, result, sums);
    }
  for (int64_t j = 0; j < count; j++) put(bf16, d_src, to + j, sums[j]);
}

BODY max_pool_gradient_body(bool bf16, const tamring_window *w, int64_t images, const void *restrict src,
                            const void *restrict dst, const void *restrict d_dst, bool accumulate,
                            void *restrict d_src) {
  const int64_t channels = w->channels;
  int64_t to = 0;
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < w->height; y++) {
      const taps down = covering(y, w, w->out_height);
      for (int64_t x = 0; x < w->width; x++, to += channels) {
        const taps across = covering(x, w, w->out_width);
        int64_t c = 0;
        for (; c + BLOCK <= channels; c += BLOCK)
          max_gradient_block(bf16, BLOCK, w, image, y, x, down, across, src, c, dst, d_dst, accumulate, d_src, to + c);
        if (c < channels)
          max_gradient_block(bf16, channels - c, w, image, y, x, down, across, src, c, dst, d_dst, accumulate, d_src,
                             to + c);
      }
    }
}
ACTIVATION_KERNEL(max_pool_gradient,
                  (bool bf16, const tamring_window *w, int64_t images, const void *src, const void *dst,
                   const void *d_dst, bool accumulate, void *d_src),
                  (bf16, w, images, src, dst, d_dst, accumulate, d_src))

BODY subsample_body(bool bf16, const tamring_window *w, const void *restrict src, void *restrict dst) {
  const int64_t channels = w->channels;
  int64_t to = 0;
  for (int64_t y = 0; y < w->out_height; y++)
    for (int64_t x = 0; x < w->out_width; x++, to += channels)
      memcpy(writable_at(bf16, dst, to), at(bf16, src, (y * w->width + x) * w->stride * channels),
             (size_t)(channels * element_size(bf16)));
}
ACTIVATION_KERNEL(subsample, (bool bf16, const tamring_window *w, const void *src, void *dst), (bf16, w, src, dst))

BODY subsample_gradient_body(bool bf16, const tamring_window *w, const void *restrict d_dst, bool accumulate,
                             void *restrict d_src) {
  const int64_t channels = w->channels;
  if (!accumulate) memset(d_src, 0, (size_t)(w->height * w->width * channels * element_size(bf16)));
  int64_t from = 0;
  for (int64_t y = 0; y < w->out_height; y++)
    for (int64_t x = 0; x < w->out_width; x++, from += channels) {
      const int64_t to = (y * w->width + x) * w->stride * channels;
      for (int64_t j = 0; j < channels; j++)
        put(bf16, d_src, to + j, (accumulate ? get(bf16, d_src, to + j) : 0) + get(bf16, d_dst, from + j));
    }
}
ACTIVATION_KERNEL(subsample_gradient,
                  (bool bf16, const tamring_window *w, const void *d_dst, bool accumulate, void *d_src),
                  (bf16, w, d_dst, accumulate, d_src))
