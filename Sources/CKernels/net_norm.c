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

// Sums are kept in float over at most 32 rows of `span`, then in double: near double's accuracy at float's speed. Rows
// are read side by side over some columns, as memory likes it, and added one after the other.
enum { SIDE_BY_SIDE = 4 };

static inline __attribute__((always_inline)) void add_rows(int rows, const float *restrict x, int64_t span,
                                                           int64_t columns, const float *restrict pivot,
                                                           float *restrict sum, float *restrict squares) {
  for (int64_t j = 0; j < columns; j += 16) {
    const float16v origin = *(const float16u *)(pivot + j);
    float16v s = *(const float16u *)(sum + j), q = *(const float16u *)(squares + j);
    for (int row = 0; row < rows; row++) {
      const float16v d = *(const float16u *)(x + row * span + j) - origin;
      s += d;
      q += d * d;
    }
    *(float16u *)(sum + j) = s;
    *(float16u *)(squares + j) = q;
  }
}

static inline __attribute__((always_inline)) void add_to_doubles(const float *restrict block, int64_t columns,
                                                                 double *restrict sums) {
  for (int64_t j = 0; j < columns; j++) sums[j] += (double)block[j];
}

BODY norm_sums_body(const float *restrict x, int64_t n, int64_t span, const float *restrict pivot,
                    double *restrict sums) {
  const int64_t rows = n / span;
  for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
    const int64_t last = smaller(rows, first + BLOCK_ROWS);
    for (int64_t j = 0; j < span; j += COLUMNS) {
      const int64_t columns = smaller(COLUMNS, span - j);
      float sum[COLUMNS], squares[COLUMNS];
      memset(sum, 0, (size_t)columns * sizeof(float));
      memset(squares, 0, (size_t)columns * sizeof(float));
      int64_t row = first;
      for (; row + SIDE_BY_SIDE <= last; row += SIDE_BY_SIDE)
        add_rows(SIDE_BY_SIDE, x + row * span + j, span, columns, pivot + j, sum, squares);
      for (; row < last; row++) add_rows(1, x + row * span + j, span, columns, pivot + j, sum, squares);
      add_to_doubles(sum, columns, sums + j);
      add_to_doubles(squares, columns, sums + span + j);
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

/// Blocks of some 64 KB, the last one first: a pass over the same numbers has just ended there, so they are still in the
/// caches; and the next one will begin where this one ends.
#define FROM_THE_END(first, last, n, span)                                                                          \
  const int64_t block = (16384 / span + 1) * span;                                                                  \
  for (int64_t first = (n - 1) / block * block, last = n; first >= 0; last = first, first -= block)

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
  FROM_THE_END(first, last, n, span)
  for (int64_t i = first; i < last; i += span)
    norm_row(x + i, smaller(span, n - i), mean, scale, shift, residual ? residual + i : NULL, relu, stream, y + i);
}
KERNEL(norm_forward,
       (const float *x, int64_t n, int64_t span, const float *mean, const float *scale, const float *shift,
        const float *residual, bool relu, float *y),
       (x, n, span, mean, scale, shift, residual, relu, y))

static inline __attribute__((always_inline)) void add_slopes(int rows, float *restrict g, const float *restrict y,
                                                             const float *restrict x, int64_t span, int64_t columns,
                                                             const float *restrict mean, const float *restrict scale,
                                                             const float *restrict shift, float *restrict sum,
                                                             float *restrict products) {
  for (int64_t j = 0; j < columns; j += 16) {
    const float16v origin = *(const float16u *)(mean + j);
    float16v s = *(const float16u *)(sum + j), p = *(const float16u *)(products + j);
    for (int row = 0; row < rows; row++) {
      const int64_t at = row * span + j;
      const float16v d = *(const float16u *)(x + at) - origin;
      float16v value = *(const float16u *)(g + at);
      if (scale) {
        // Where the result, computed as in the forward pass, was above 0.
        const int16v passed = d * *(const float16u *)(scale + j) + *(const float16u *)(shift + j) > 0;
        value = (float16v)((int16v)value & passed);
      }
      if (y) {
        value = (float16v)((int16v)value & (*(const float16u *)(y + at) > 0));
        *(float16u *)(g + at) = value;
      }
      s += value;
      p += value * d;
    }
    *(float16u *)(sum + j) = s;
    *(float16u *)(products + j) = p;
  }
}

/// The sums of whole rows; what is null in the call is left out of the loops.
static inline __attribute__((always_inline)) void sum_slopes(float *g, const float *y, const float *x, int64_t rows,
                                                             int64_t span, const float *mean, const float *scale,
                                                             const float *shift, double *sums) {
  for (int64_t first = 0; first < rows; first += BLOCK_ROWS) {
    const int64_t last = smaller(rows, first + BLOCK_ROWS);
    for (int64_t j = 0; j < span; j += COLUMNS) {
      const int64_t columns = smaller(COLUMNS, span - j);
      float sum[COLUMNS], products[COLUMNS];
      memset(sum, 0, (size_t)columns * sizeof(float));
      memset(products, 0, (size_t)columns * sizeof(float));
      int64_t row = first;
      for (; row < last; row += SIDE_BY_SIDE) {
        const int64_t at = row * span + j;
        const float *seen = y ? y + at : NULL, *slope = scale ? scale + j : NULL, *offset = shift ? shift + j : NULL;
        if (row + SIDE_BY_SIDE <= last)
          add_slopes(SIDE_BY_SIDE, g + at, seen, x + at, span, columns, mean + j, slope, offset, sum, products);
        else
          add_slopes((int)(last - row), g + at, seen, x + at, span, columns, mean + j, slope, offset, sum, products);
      }
      add_to_doubles(sum, columns, sums + j);
      add_to_doubles(products, columns, sums + span + j);
    }
  }
}

BODY norm_backward_sums_body(float *restrict g, const float *restrict y, const float *restrict x, int64_t n,
                             int64_t span, const float *restrict mean, const float *restrict scale,
                             const float *restrict shift, double *restrict sums) {
  const int64_t rows = n / span;
  if (y)
    sum_slopes(g, y, x, rows, span, mean, NULL, NULL, sums);
  else if (scale)
    sum_slopes(g, NULL, x, rows, span, mean, scale, shift, sums);
  else
    sum_slopes(g, NULL, x, rows, span, mean, NULL, NULL, sums);
  if (y)
    for (int64_t i = rows * span; i < n; i++) g[i] = y[i] > 0 ? g[i] : 0;
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

// In vectors by hand: as `d_x` may be `g`, the compiler would fall back to one number at a time.
BODY norm_backward_body(const float *g, const float *restrict x, int64_t n, int64_t span, const float *restrict mean,
                        const float *restrict scale, const float *restrict shift, const float *restrict a,
                        const float *restrict b, const float *restrict c, float *d_x) {
  FROM_THE_END(first, last, n, span)
  for (int64_t i = first; i < last; i += span) {
    const int64_t count = smaller(span, n - i), whole = count & -16;
    for (int64_t j = 0; j < whole; j += 16) {
      const float16v d = *(const float16u *)(x + i + j) - *(const float16u *)(mean + j);
      float16v slope = *(const float16u *)(g + i + j);
      if (scale) {
        const int16v passed = d * *(const float16u *)(scale + j) + *(const float16u *)(shift + j) > 0;
        slope = (float16v)((int16v)slope & passed);
      }
      *(float16u *)(d_x + i + j) = *(const float16u *)(a + j) * slope + *(const float16u *)(b + j) +
                                   *(const float16u *)(c + j) * d;
    }
    for (int64_t j = whole; j < count; j++) {
      const float d = x[i + j] - mean[j];
      const float slope = !scale || d * scale[j] + shift[j] > 0 ? g[i + j] : 0;
      d_x[i + j] = a[j] * slope + b[j] + c[j] * d;
    }
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
