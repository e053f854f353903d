// Sliding windows over images: im2col and its transpose, average pooling, and the gradient of upsampling.
#include "net_common.h"
#include "net_sides.h"
#include "network_kernels.h"

// In NHWC, the taps of a window row are contiguous, so a window is `kernel` runs of kernel * channels elements.
BODY im2col_body(const tamring_window *w, const float *restrict src, int64_t first, int64_t rows,
                 float *restrict columns) {
  const int64_t c = w->channels, run = w->kernel * c, area = w->out_height * w->out_width;
  int64_t image = first / area, y = first % area / w->out_width, x = first % w->out_width;
  for (int64_t row = 0; row < rows; row++) {
    const float *pixels = src + image * w->height * w->width * c;
    const int64_t top = y * w->stride - w->padding, left = x * w->stride - w->padding;
    const taps across = inside(left, w->kernel, w->width);
    const int64_t begin = across.begin * c, end = across.end * c;
    for (int64_t i = 0; i < w->kernel; i++, columns += run) {
      if (top + i < 0 || top + i >= w->height) {
        for (int64_t j = 0; j < run; j++) columns[j] = 0;
        continue;
      }
      const float *line = pixels + ((top + i) * w->width + left) * c;
      for (int64_t j = 0; j < begin; j++) columns[j] = 0;
      for (int64_t j = begin; j < end; j++) columns[j] = line[j];
      for (int64_t j = end; j < run; j++) columns[j] = 0;
    }
    if (++x == w->out_width) {
      x = 0;
      if (++y == w->out_height) {
        y = 0;
        image++;
      }
    }
  }
}
KERNEL(im2col, (const tamring_window *w, const float *src, int64_t first, int64_t rows, float *columns),
       (w, src, first, rows, columns))

BODY col2im_body(const tamring_window *w, const float *restrict columns, int64_t first, int64_t rows,
                 float *restrict d_src) {
  const int64_t c = w->channels, run = w->kernel * c, area = w->out_height * w->out_width;
  int64_t image = first / area, y = first % area / w->out_width, x = first % w->out_width;
  for (int64_t row = 0; row < rows; row++) {
    float *pixels = d_src + image * w->height * w->width * c;
    const int64_t top = y * w->stride - w->padding, left = x * w->stride - w->padding;
    const taps across = inside(left, w->kernel, w->width);
    const int64_t begin = across.begin * c, end = across.end * c;
    for (int64_t i = 0; i < w->kernel; i++, columns += run) {
      if (top + i < 0 || top + i >= w->height) continue;
      float *line = pixels + ((top + i) * w->width + left) * c;
      for (int64_t j = begin; j < end; j++) line[j] += columns[j];
    }
    if (++x == w->out_width) {
      x = 0;
      if (++y == w->out_height) {
        y = 0;
        image++;
      }
    }
  }
}
KERNEL(col2im, (const tamring_window *w, const float *columns, int64_t first, int64_t rows, float *d_src),
       (w, columns, first, rows, d_src))

// Pooling sums a block of channels at a time in registers, so that each result rounds once. Whole blocks have loops of
// their own: with a constant count, the sums stay in registers.
enum { BLOCK = 64 };

INLINE void add_block(bool bf16, const void *from, int64_t i, int64_t count, float share, float *sums) {
  for (int64_t j = 0; j < count; j++) sums[j] += get(bf16, from, i + j) * share;
}

INLINE void put_block(bool bf16, void *to, int64_t i, int64_t count, float share, const float *sums) {
  for (int64_t j = 0; j < count; j++) put(bf16, to, i + j, sums[j] * share);
}

/// A rectangle of an image: its taps, its first element, and the stride between rows.
typedef struct {
  taps down, across;
  int64_t first, line;
} rectangle;

/// to = after * ([to +] Σ before * pixel) over a rectangle, for `count` channels of `channels`.
INLINE void sum_block(bool bf16, int64_t count, const rectangle *r, const void *restrict from, int64_t channels,
                      float before, float after, bool accumulate, void *restrict to, int64_t place) {
  float sums[BLOCK] = {0};
  if (accumulate) add_block(bf16, to, place, count, 1, sums);
  for (int64_t i = r->down.begin; i < r->down.end; i++)
    for (int64_t k = r->across.begin; k < r->across.end; k++)
      add_block(bf16, from, r->first + i * r->line + k * channels, count, before, sums);
  put_block(bf16, to, place, count, after, sums);
}

INLINE void sum_pixels(bool bf16, rectangle r, const void *restrict from, int64_t channels, float before, float after,
                       bool accumulate, void *restrict to, int64_t place) {
  int64_t j = 0;
  for (; j + BLOCK <= channels; j += BLOCK, r.first += BLOCK)
    sum_block(bf16, BLOCK, &r, from, channels, before, after, accumulate, to, place + j);
  if (j < channels) sum_block(bf16, channels - j, &r, from, channels, before, after, accumulate, to, place + j);
}

BODY average_pool_body(bool bf16, const tamring_window *w, int64_t images, const void *restrict src,
                       void *restrict dst) {
  const int64_t c = w->channels;
  const float share = 1.0f / (float)(w->kernel * w->kernel);
  int64_t to = 0;
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < w->out_height; y++) {
      const int64_t top = y * w->stride - w->padding;
      const taps down = inside(top, w->kernel, w->height);
      for (int64_t x = 0; x < w->out_width; x++, to += c) {
        const int64_t left = x * w->stride - w->padding;
        const taps across = inside(left, w->kernel, w->width);
        const rectangle window = {down, across, ((image * w->height + top) * w->width + left) * c, w->width * c};
        sum_pixels(bf16, window, src, c, 1, share, false, dst, to);
      }
    }
}
ACTIVATION_KERNEL(average_pool, (bool bf16, const tamring_window *w, int64_t images, const void *src, void *dst),
                  (bf16, w, images, src, dst))

BODY average_pool_gradient_body(bool bf16, const tamring_window *w, int64_t images, const void *restrict d_dst,
                                bool accumulate, void *restrict d_src) {
  const int64_t c = w->channels;
  const float share = 1.0f / (float)(w->kernel * w->kernel);
  int64_t to = 0;
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < w->height; y++) {
      const taps down = covering(y, w, w->out_height);
      for (int64_t x = 0; x < w->width; x++, to += c) {
        const taps across = covering(x, w, w->out_width);
        const rectangle windows = {down, across, image * w->out_height * w->out_width * c, w->out_width * c};
        sum_pixels(bf16, windows, d_dst, c, share, 1, accumulate, d_src, to);
      }
    }
}
ACTIVATION_KERNEL(average_pool_gradient,
                  (bool bf16, const tamring_window *w, int64_t images, const void *d_dst, bool accumulate,
                   void *d_src),
                  (bf16, w, images, d_dst, accumulate, d_src))

/// The upsampled pixels along one side that a pixel became.
INLINE taps enlarged(int64_t pixel, int64_t size, int64_t out_size) {
  const taps result = {(pixel * out_size + size - 1) / size, ((pixel + 1) * out_size + size - 1) / size};
  return result;
}

BODY enlarge_gradient_body(bool bf16, const tamring_window *s, int64_t images, const void *restrict d_dst,
                           bool accumulate, void *restrict d_src) {
  const int64_t c = s->channels;
  int64_t to = 0;
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < s->height; y++) {
      const taps down = enlarged(y, s->height, s->out_height);
      for (int64_t x = 0; x < s->width; x++, to += c) {
        const taps across = enlarged(x, s->width, s->out_width);
        const rectangle copies = {down, across, image * s->out_height * s->out_width * c, s->out_width * c};
        sum_pixels(bf16, copies, d_dst, c, 1, 1, accumulate, d_src, to);
      }
    }
}
ACTIVATION_KERNEL(enlarge_gradient,
                  (bool bf16, const tamring_window *s, int64_t images, const void *d_dst, bool accumulate,
                   void *d_src),
                  (bf16, s, images, d_dst, accumulate, d_src))

void tamring_swap_inner(const float *src, int64_t outputs, int64_t inputs, int64_t area, float *dst) {
  for (int64_t o = 0; o < outputs; o++, src += inputs * area, dst += inputs * area)
    for (int64_t i = 0; i < inputs; i++)
      for (int64_t a = 0; a < area; a++) dst[a * inputs + i] = src[i * area + a];
}
