// Batch normalisation with ReLU and residual, and the lane's floating-point mode.
#include <xmmintrin.h>

#include "net_common.h"
#include "network_kernels.h"

uint32_t tamring_enter_lane_mode(void) {
  const uint32_t former = _mm_getcsr();
  _mm_setcsr(0x9FC0);  // round to nearest, exceptions masked, flush to zero, denormals are zero
  return former;
}

void tamring_leave_lane_mode(uint32_t mode) { _mm_setcsr(mode); }

void tamring_expand(const float *values, int64_t channels, int64_t span, float *expanded) {
  for (int64_t i = 0; i < span; i += channels) memcpy(expanded + i, values, (size_t)channels * sizeof(float));
}

// Sums are kept in float over at most 32 rows of `span`, then in double: near double's accuracy at float's speed.
BODY norm_sums_body(const float *restrict x, int64_t n, int64_t span, const float *restrict pivot,
                    double *restrict sums) {
  const int64_t rows = n / span;
  for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
    const int64_t last = smaller(rows, first + BLOCK_ROWS);
    for (int64_t j = 0; j < span; j += 16) {
      const float16v origin = *(const float16u *)(pivot + j);
      float16v sum = {0}, squares = {0};
      for (int64_t row = first; row < last; row++) {
        const float16v d = *(const float16u *)(x + row * span + j) - origin;
        sum += d;
        squares += d * d;
      }
      for (int k = 0; k < 16; k++) {
        sums[j + k] += (double)sum[k];
        sums[span + j + k] += (double)squares[k];
      }
    }
  }
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) {
    const float d = x[i] - pivot[j];
    sums[j] += (double)d;
    sums[span + j] += (double)(d * d);
  }
}
KERNEL(norm_sums, (const float *x, int64_t n, int64_t span, const float *pivot, double *sums),
       (x, n, span, pivot, sums))

static inline __attribute__((always_inline)) void norm_row(const float *x, int64_t count, const float *mean,
                                                           const float *scale, const float *shift,
                                                           const float *residual, bool relu, bool stream, float *y) {
  const int64_t whole = count & -16;
  for (int64_t j = 0; j < whole; j += 16) {
    float16v value = (*(const float16u *)(x + j) - *(const float16u *)(mean + j)) * *(const float16u *)(scale + j) +
                     *(const float16u *)(shift + j);
    if (residual) value += *(const float16u *)(residual + j);
    if (relu) value = (float16v)((int16v)value & (value > 0));
    STORE(value, stream, y + j);
  }
  for (int64_t j = whole; j < count; j++) {
    float value = (x[j] - mean[j]) * scale[j] + shift[j];
    if (residual) value += residual[j];
    y[j] = relu && !(value > 0) ? 0 : value;
  }
}

BODY norm_forward_body(const float *x, int64_t n, int64_t span, const float *restrict mean,
                       const float *restrict scale, const float *restrict shift, const float *residual, bool relu,
                       float *y) {
  const bool stream = streams(n, y);
  for (int64_t i = 0; i < n; i += span)
    norm_row(x + i, smaller(span, n - i), mean, scale, shift, residual ? residual + i : NULL, relu, stream, y + i);
}
KERNEL(norm_forward,
       (const float *x, int64_t n, int64_t span, const float *mean, const float *scale, const float *shift,
        const float *residual, bool relu, float *y),
       (x, n, span, mean, scale, shift, residual, relu, y))

BODY norm_backward_sums_body(float *restrict g, const float *restrict y, const float *restrict x, int64_t n,
                             int64_t span, const float *restrict mean, const float *restrict scale,
                             const float *restrict shift, double *restrict sums) {
  const int64_t rows = n / span;
  if (y)
    for (int64_t i = rows * span; i < n; i++) g[i] = y[i] > 0 ? g[i] : 0;
  for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
    const int64_t last = smaller(rows, first + BLOCK_ROWS);
    if (y)
      for (int64_t i = first * span; i < last * span; i++) g[i] = y[i] > 0 ? g[i] : 0;
    for (int64_t j = 0; j < span; j += 16) {
      const float16v origin = *(const float16u *)(mean + j);
      float16v sum = {0}, products = {0};
      if (scale) {
        const float16v slope = *(const float16u *)(scale + j), offset = *(const float16u *)(shift + j);
        for (int64_t row = first; row < last; row++) {
          const float16v d = *(const float16u *)(x + row * span + j) - origin;
          // Where the result, computed as in the forward pass, was above 0.
          const int16v passed = d * slope + offset > 0;
          const float16v value = (float16v)(*(const int16u *)(g + row * span + j) & passed);
          sum += value;
          products += value * d;
        }
      } else {
        for (int64_t row = first; row < last; row++) {
          const float16v value = *(const float16u *)(g + row * span + j);
          sum += value;
          products += value * (*(const float16u *)(x + row * span + j) - origin);
        }
      }
      for (int k = 0; k < 16; k++) {
        sums[j + k] += (double)sum[k];
        sums[span + j + k] += (double)products[k];
      }
    }
  }
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) {
    const float d = x[i] - mean[j];
    const float value = !scale || d * scale[j] + shift[j] > 0 ? g[i] : 0;
    sums[j] += (double)value;
    sums[span + j] += (double)(value * d);
  }
}
KERNEL(norm_backward_sums,
       (float *g, const float *y, const float *x, int64_t n, int64_t span, const float *mean, const float *scale,
        const float *shift, double *sums),
       (g, y, x, n, span, mean, scale, shift, sums))

BODY norm_backward_body(const float *g, const float *restrict x, int64_t n, int64_t span, const float *restrict mean,
                        const float *restrict scale, const float *restrict shift, const float *restrict a,
                        const float *restrict b, const float *restrict c, float *d_x) {
  for (int64_t i = 0; i < n; i += span) {
    const int64_t count = smaller(span, n - i);
    const float *from = g + i, *value = x + i;
    float *to = d_x + i;
    if (scale)
      for (int64_t j = 0; j < count; j++) {
        const float d = value[j] - mean[j], all = from[j];
        const float slope = d * scale[j] + shift[j] > 0 ? all : 0;
        to[j] = a[j] * slope + b[j] + c[j] * d;
      }
    else
      for (int64_t j = 0; j < count; j++) to[j] = a[j] * from[j] + b[j] + c[j] * (value[j] - mean[j]);
  }
}
KERNEL(norm_backward,
       (const float *g, const float *x, int64_t n, int64_t span, const float *mean, const float *scale,
        const float *shift, const float *a, const float *b, const float *c, float *d_x),
       (g, x, n, span, mean, scale, shift, a, b, c, d_x))

BODY accumulate_body(const float *restrict src, int64_t n, float *restrict dst) {
  for (int64_t i = 0; i < n; i++) dst[i] += src[i];
}
KERNEL(accumulate, (const float *src, int64_t n, float *dst), (src, n, dst))
