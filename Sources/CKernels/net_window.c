// Windows over images: im2col and its transpose, average pooling, and the gradient of enlargement.
#include "net_common.h"
#include "network_kernels.h"

/// The part of a window's row that lies inside the image, in taps.
typedef struct {
  int64_t begin, end;
} taps;

static inline __attribute__((always_inline)) taps inside(int64_t start, int64_t kernel, int64_t size) {
  const taps result = {start < 0 ? -start : 0, smaller(kernel, size - start)};
  return result;
}

// In NHWC the taps of one window row are neighbours in memory, so a window is `kernel` runs of kernel*channels.
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

// Results of windows are summed in registers, a strip of channels at a time, so that each rounds once.
enum { STRIP = 64 };

INLINE void add_strip(bool bf16, const void *from, int64_t i, int64_t count, float share, float *sums) {
  for (int64_t j = 0; j < count; j++) sums[j] += get(bf16, from, i + j) * share;
}

INLINE void put_strip(bool bf16, void *to, int64_t i, int64_t count, float share, const float *sums) {
  for (int64_t j = 0; j < count; j++) put(bf16, to, i + j, sums[j] * share);
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
        for (int64_t j = 0; j < c; j += STRIP) {
          const int64_t count = smaller(STRIP, c - j);
          float sums[STRIP] = {0};
          for (int64_t i = down.begin; i < down.end; i++)
            for (int64_t k = across.begin; k < across.end; k++)
              add_strip(bf16, src, ((image * w->height + top + i) * w->width + left + k) * c + j, count, 1, sums);
          put_strip(bf16, dst, to + j, count, share, sums);
        }
      }
    }
}
ACTIVATION_KERNEL(average_pool, (bool bf16, const tamring_window *w, int64_t images, const void *src, void *dst),
                  (bf16, w, images, src, dst))

/// The windows along one side that a pixel is in.
INLINE taps covering(int64_t pixel, const tamring_window *w, int64_t count) {
  const int64_t below = pixel + w->padding - w->kernel + 1;
  const taps result = {below > 0 ? (below + w->stride - 1) / w->stride : 0,
                       smaller(count, (pixel + w->padding) / w->stride + 1)};
  return result;
}

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
        for (int64_t j = 0; j < c; j += STRIP) {
          const int64_t count = smaller(STRIP, c - j);
          float sums[STRIP] = {0};
          if (accumulate) add_strip(bf16, d_src, to + j, count, 1, sums);
          for (int64_t i = down.begin; i < down.end; i++)
            for (int64_t k = across.begin; k < across.end; k++)
              add_strip(bf16, d_dst, ((image * w->out_height + i) * w->out_width + k) * c + j, count, share, sums);
          put_strip(bf16, d_src, to + j, count, 1, sums);
        }
      }
    }
}
ACTIVATION_KERNEL(average_pool_gradient,
                  (bool bf16, const tamring_window *w, int64_t images, const void *d_dst, bool accumulate,
                   void *d_src),
                  (bf16, w, images, d_dst, accumulate, d_src))

/// The enlarged pixels along one side that a pixel became.
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
        for (int64_t j = 0; j < c; j += STRIP) {
          const int64_t count = smaller(STRIP, c - j);
          float sums[STRIP] = {0};
          if (accumulate) add_strip(bf16, d_src, to + j, count, 1, sums);
          for (int64_t i = down.begin; i < down.end; i++)
            for (int64_t k = across.begin; k < across.end; k++)
              add_strip(bf16, d_dst, ((image * s->out_height + i) * s->out_width + k) * c + j, count, 1, sums);
          put_strip(bf16, d_src, to + j, count, 1, sums);
        }
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
