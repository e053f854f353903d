// The gradient of the stem's weights: with few input channels, a row of a window is a few neighbours in memory.
#include "net_common.h"
#include "network_kernels.h"

enum { GROUP = 4, VECTORS = 3, RUN = 8 * VECTORS };
typedef float float8v __attribute__((vector_size(32)));
typedef float float8u __attribute__((vector_size(32), aligned(4), may_alias));

// A sum is a chain over a row of results, and rows are added in order.
BODY row_slopes_body(const tamring_window *w, int64_t images, int64_t outputs, const float *restrict src,
                     const float *restrict slopes, float *restrict row, float *restrict sums) {
  const int64_t c = w->channels, left = w->padding * c, step = w->stride * c;
  memset(sums, 0, (size_t)(outputs * w->kernel * RUN) * sizeof(float));
  memset(row, 0, (size_t)tamring_row_slopes_room(w) * sizeof(float));
  for (int64_t image = 0; image < images; image++)
    for (int64_t y = 0; y < w->out_height; y++, slopes += w->out_width * outputs)
      for (int64_t i = 0; i < w->kernel; i++) {
        const int64_t line = y * w->stride - w->padding + i;
        if (line < 0 || line >= w->height) continue;
        memcpy(row + left, src + (image * w->height + line) * w->width * c, (size_t)(w->width * c) * sizeof(float));
        for (int64_t o = 0; o < outputs; o += GROUP) {
          float8v all[GROUP][VECTORS] = {0};
          for (int64_t x = 0; x < w->out_width; x++) {
            float8v taps[VECTORS];
            for (int v = 0; v < VECTORS; v++) taps[v] = *(const float8u *)(row + x * step + 8 * v);
            for (int r = 0; r < GROUP; r++) {
              const float8v slope = slopes[x * outputs + o + r] - (float8v){0};
              for (int v = 0; v < VECTORS; v++) all[r][v] = __builtin_elementwise_fma(slope, taps[v], all[r][v]);
            }
          }
          for (int r = 0; r < GROUP; r++)
            for (int v = 0; v < VECTORS; v++)
              *(float8u *)(sums + ((o + r) * w->kernel + i) * RUN + 8 * v) += all[r][v];
        }
      }
}
KERNEL(row_slopes,
       (const tamring_window *w, int64_t images, int64_t outputs, const float *src, const float *slopes, float *row,
        float *sums),
       (w, images, outputs, src, slopes, row, sums))

void tamring_row_slopes_weights(const tamring_window *w, int64_t outputs, const float *sums, float *weights) {
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t c = 0; c < w->channels; c++)
      for (int64_t i = 0; i < w->kernel; i++)
        for (int64_t k = 0; k < w->kernel; k++)
          *weights++ = sums[(o * w->kernel + i) * RUN + k * w->channels + c];
}
