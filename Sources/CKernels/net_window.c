// Windows over images: im2col and its transpose, average pooling, nearest-neighbour enlargement.
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

BODY average_pool_body(const tamring_window *w, int64_t images, const float *restrict src, float *restrict dst) {
  const int64_t c = w->channels;
  const float share = 1.0f / (float)(w->kernel * w->kernel);
  for (int64_t image = 0; image < images; image++, src += w->height * w->width * c) {
    for (int64_t y = 0; y < w->out_height; y++) {
      const int64_t top = y * w->stride - w->padding;
      const taps down = inside(top, w->kernel, w->height);
      for (int64_t x = 0; x < w->out_width; x++, dst += c) {
        const int64_t left = x * w->stride - w->padding;
        const taps across = inside(left, w->kernel, w->width);
        for (int64_t j = 0; j < c; j++) dst[j] = 0;
        for (int64_t i = down.begin; i < down.end; i++)
          for (int64_t k = across.begin; k < across.end; k++) {
            const float *pixel = src + ((top + i) * w->width + left + k) * c;
            for (int64_t j = 0; j < c; j++) dst[j] += pixel[j];
          }
        for (int64_t j = 0; j < c; j++) dst[j] *= share;
      }
    }
  }
}
KERNEL(average_pool, (const tamring_window *w, int64_t images, const float *src, float *dst), (w, images, src, dst))

BODY average_pool_gradient_body(const tamring_window *w, int64_t images, const float *restrict d_dst,
                                float *restrict d_src) {
  const int64_t c = w->channels;
  const float share = 1.0f / (float)(w->kernel * w->kernel);
  for (int64_t image = 0; image < images; image++, d_src += w->height * w->width * c) {
    for (int64_t y = 0; y < w->out_height; y++) {
      const int64_t top = y * w->stride - w->padding;
      const taps down = inside(top, w->kernel, w->height);
      for (int64_t x = 0; x < w->out_width; x++, d_dst += c) {
        const int64_t left = x * w->stride - w->padding;
        const taps across = inside(left, w->kernel, w->width);
        for (int64_t i = down.begin; i < down.end; i++)
          for (int64_t k = across.begin; k < across.end; k++) {
            float *pixel = d_src + ((top + i) * w->width + left + k) * c;
            for (int64_t j = 0; j < c; j++) pixel[j] += d_dst[j] * share;
          }
      }
    }
  }
}
KERNEL(average_pool_gradient, (const tamring_window *w, int64_t images, const float *d_dst, float *d_src),
       (w, images, d_dst, d_src))

BODY enlarge_body(const tamring_window *s, int64_t images, const float *restrict src, float *restrict dst) {
  const int64_t c = s->channels;
  for (int64_t image = 0; image < images; image++, src += s->height * s->width * c)
    for (int64_t y = 0; y < s->out_height; y++) {
      const float *line = src + y * s->height / s->out_height * s->width * c;
      for (int64_t x = 0; x < s->out_width; x++, dst += c) {
        const float *pixel = line + x * s->width / s->out_width * c;
        for (int64_t j = 0; j < c; j++) dst[j] = pixel[j];
      }
    }
}
KERNEL(enlarge, (const tamring_window *s, int64_t images, const float *src, float *dst), (s, images, src, dst))

BODY enlarge_gradient_body(const tamring_window *s, int64_t images, const float *restrict d_dst,
                           float *restrict d_src) {
  const int64_t c = s->channels;
  for (int64_t image = 0; image < images; image++, d_src += s->height * s->width * c)
    for (int64_t y = 0; y < s->out_height; y++) {
      float *line = d_src + y * s->height / s->out_height * s->width * c;
      for (int64_t x = 0; x < s->out_width; x++, d_dst += c) {
        float *pixel = line + x * s->width / s->out_width * c;
        for (int64_t j = 0; j < c; j++) pixel[j] += d_dst[j];
      }
    }
}
KERNEL(enlarge_gradient, (const tamring_window *s, int64_t images, const float *d_dst, float *d_src),
       (s, images, d_dst, d_src))

void tamring_swap_inner(const float *src, int64_t outputs, int64_t inputs, int64_t area, float *dst) {
  for (int64_t o = 0; o < outputs; o++, src += inputs * area, dst += inputs * area)
    for (int64_t i = 0; i < inputs; i++)
      for (int64_t a = 0; a < area; a++) dst[a * inputs + i] = src[i * area + a];
}
