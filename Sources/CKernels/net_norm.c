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

// Sums are kept in float over at most 32 rows of `span`, then added to doubles: nearly double's accuracy at float's
// speed. Several rows are read side by side, and prefetched one after the other.
enum { SIDE_BY_SIDE = 4, AHEAD = 2 };

INLINE void add_rows(bool bf16, int rows, const void *restrict x, int64_t span, int64_t columns,
                     const float *restrict pivot, float *restrict sum, float *restrict squares) {
  for (int64_t j = 0; j < columns; j += 16) {
    for (int row = 0; row < rows; row++)
      __builtin_prefetch(at(bf16, x, AHEAD * rows * span + rows * j + row * 16), 0, 3);
    const float16v origin = *(const float16u *)(pivot + j);
    float16v s = *(const float16u *)(sum + j), q = *(const float16u *)(squares + j);
    for (int row = 0; row < rows; row++) {
      const float16v d = get16(bf16, x, row * span + j) - origin;
      s += d;
      q += d * d;
    }
    *(float16u *)(sum + j) = s;
    *(float16u *)(squares + j) = q;
  }
}

INLINE void add_to_doubles(const float *restrict block, int64_t columns, double *restrict sums) {
  for (int64_t j = 0; j < columns; j++) sums[j] += (double)block[j];
}

BODY norm_sums_body(bool bf16, const void *restrict x, int64_t n, int64_t span, const float *restrict pivot,
                    double *restrict sums) {
  const int64_t rows = n / span;
  for (int64_t first = 0; first < rows; first += tamring_block_rows) {
    const int64_t last = smaller(rows, first + tamring_block_rows);
    for (int64_t j = 0; j < span; j += COLUMNS) {
      const int64_t columns = smaller(COLUMNS, span - j);
      float sum[COLUMNS], squares[COLUMNS];
      memset(sum, 0, (size_t)columns * sizeof(float));
      memset(squares, 0, (size_t)columns * sizeof(float));
      int64_t row = first;
      for (; row + SIDE_BY_SIDE <= last; row += SIDE_BY_SIDE)
        add_rows(bf16, SIDE_BY_SIDE, at(bf16, x, row * span + j), span, columns, pivot + j, sum, squares);
      for (; row < last; row++) add_rows(bf16, 1, at(bf16, x, row * span + j), span, columns, pivot + j, sum, squares);
      add_to_doubles(sum, columns, sums + j);
      add_to_doubles(squares, columns, sums + span + j);
    }
  }
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) {
    const float d = get(bf16, x, i) - pivot[j];
    sums[j] += (double)d;
    sums[span + j] += (double)(d * d);
  }
}
ACTIVATION_KERNEL(norm_sums, (bool bf16, const void *x, int64_t n, int64_t span, const float *pivot, double *sums),
                  (bf16, x, n, span, pivot, sums))

/// Blocks of about 64 KB, last to first: the previous pass has just ended at the last one, which is still in the
/// caches, and the next pass will begin where this one ends. Each block prefetches the one before it.
#define FROM_THE_END(first, last, n, span)                                                                          \
  const int64_t block = (16384 / span + 1) * span;                                                                  \
  for (int64_t first = (n - 1) / block * block, last = n; first >= 0; last = first, first -= block)

INLINE void norm_row(bool bf16, const void *x, int64_t count, const float *mean, const float *scale, const float *shift,
                     const void *residual, bool relu, bool stream, int64_t before, void *y) {
  const int64_t whole = count & -16;
  for (int64_t j = 0; j < whole; j += 16) {
    prefetch16(bf16, x, j - before);
    if (residual) prefetch16(bf16, residual, j - before);
    if (!stream) fetch_place16(bf16, y, j - before);
    float16v value = (get16(bf16, x, j) - *(const float16u *)(mean + j)) * *(const float16u *)(scale + j) +
                     *(const float16u *)(shift + j);
    if (residual) value += get16(bf16, residual, j);
    put16(bf16, stream, y, j, relu ? where_positive(value, value) : value);
  }
  for (int64_t j = whole; j < count; j++) {
    float value = (get(bf16, x, j) - mean[j]) * scale[j] + shift[j];
    if (residual) value += get(bf16, residual, j);
    put(bf16, y, j, relu && !(value > 0) ? 0 : value);
  }
}

/// Works row by row, because the residual belongs to a smaller image.
INLINE void norm_enlarged(bool bf16, const void *x, int64_t n, const float *mean, const float *scale, const float *shift,
                          const void *residual, const tamring_window *sizes, bool relu, bool stream, void *y) {
  const int64_t c = sizes->channels, line = sizes->out_width * c, lines = n / line;
  for (int64_t row = lines - 1; row >= 0; row--) {
    const int64_t image = row / sizes->out_height, from = row % sizes->out_height * sizes->height / sizes->out_height;
    const void *seen = at(bf16, residual, (image * sizes->height + from) * sizes->width * c);
    for (int64_t column = 0; column < sizes->out_width; column++) {
      const int64_t i = row * line + column * c;
      norm_row(bf16, at(bf16, x, i), c, mean, scale, shift,
               at(bf16, seen, column * sizes->width / sizes->out_width * c), relu, stream, 0, writable_at(bf16, y, i));
    }
  }
}

BODY norm_forward_body(bool bf16, const void *x, int64_t n, int64_t span, const float *restrict mean,
                       const float *restrict scale, const float *restrict shift, const void *residual,
                       const tamring_window *enlarged, bool relu, void *y) {
  const bool stream = streams(n * element_size(bf16), y);
  if (enlarged) {
    norm_enlarged(bf16, x, n, mean, scale, shift, residual, enlarged, relu, stream && enlarged->channels % 16 == 0, y);
    return;
  }
  FROM_THE_END(first, last, n, span)
  for (int64_t i = first; i < last; i += span)
    norm_row(bf16, at(bf16, x, i), smaller(span, n - i), mean, scale, shift, residual ? at(bf16, residual, i) : NULL,
             relu, stream, block, writable_at(bf16, y, i));
}
ACTIVATION_KERNEL(norm_forward,
                  (bool bf16, const void *x, int64_t n, int64_t span, const float *mean, const float *scale,
                   const float *shift, const void *residual, const tamring_window *enlarged, bool relu, void *y),
                  (bf16, x, n, span, mean, scale, shift, residual, enlarged, relu, y))

INLINE void add_gradients(bool bf16, void *restrict g, const void *restrict y, const void *restrict x, int64_t columns,
                       const float *restrict mean, const float *restrict scale, const float *restrict shift,
                       float *restrict sum, float *restrict products) {
  for (int64_t j = 0; j < columns; j += 16) {
    const float16v d = get16(bf16, x, j) - *(const float16u *)(mean + j);
    float16v value = get16(bf16, g, j);
    // Where the result, computed as in the forward pass, was above 0.
    if (scale) value = where_positive(d * *(const float16u *)(scale + j) + *(const float16u *)(shift + j), value);
    if (y) {
      value = where_positive(get16(bf16, y, j), value);
      put16(bf16, false, g, j, value);
    }
    *(float16u *)(sum + j) += value;
    *(float16u *)(products + j) += value * d;
  }
}

/// The sums of whole rows. A call with constant nulls drops those branches from the loops.
INLINE void sum_gradients(bool bf16, void *g, const void *y, const void *x, int64_t rows, int64_t span,
                       const float *mean, const float *scale, const float *shift, double *sums) {
  for (int64_t first = 0; first < rows; first += tamring_block_rows) {
    const int64_t last = smaller(rows, first + tamring_block_rows);
    for (int64_t j = 0; j < span; j += COLUMNS) {
      const int64_t columns = smaller(COLUMNS, span - j);
      float sum[COLUMNS], products[COLUMNS];
      memset(sum, 0, (size_t)columns * sizeof(float));
      memset(products, 0, (size_t)columns * sizeof(float));
      for (int64_t i = first * span + j; i < last * span; i += span)
        add_gradients(bf16, writable_at(bf16, g, i), y ? at(bf16, y, i) : NULL, at(bf16, x, i), columns, mean + j,
                   scale ? scale + j : NULL, shift ? shift + j : NULL, sum, products);
      add_to_doubles(sum, columns, sums + j);
      add_to_doubles(products, columns, sums + span + j);
    }
  }
}

BODY norm_backward_sums_body(bool bf16, void *restrict g, const void *restrict y, const void *restrict x, int64_t n,
                             int64_t span, const float *restrict mean, const float *restrict scale,
                             const float *restrict shift, double *restrict sums) {
  const int64_t rows = n / span;
  if (y)
    sum_gradients(bf16, g, y, x, rows, span, mean, NULL, NULL, sums);
  else if (scale)
    sum_gradients(bf16, g, NULL, x, rows, span, mean, scale, shift, sums);
  else
    sum_gradients(bf16, g, NULL, x, rows, span, mean, NULL, NULL, sums);
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) {
    const float d = get(bf16, x, i) - mean[j];
    float value = get(bf16, g, i);
    if (y) {
      value = get(bf16, y, i) > 0 ? value : 0;
      put(bf16, g, i, value);
    }
    if (scale) value = d * scale[j] + shift[j] > 0 ? value : 0;
    sums[j] += (double)value;
    sums[span + j] += (double)(value * d);
  }
}
ACTIVATION_KERNEL(norm_backward_sums,
                  (bool bf16, void *g, const void *y, const void *x, int64_t n, int64_t span, const float *mean,
                   const float *scale, const float *shift, double *sums),
                  (bf16, g, y, x, n, span, mean, scale, shift, sums))

// Vectorised by hand: `d_x` may alias `g`, so the compiler would fall back to scalar code.
BODY norm_backward_body(bool bf16, const void *g, const void *restrict x, int64_t n, int64_t span,
                        const float *restrict mean, const float *restrict scale, const float *restrict shift,
                        const float *restrict a, const float *restrict b, const float *restrict c, void *d_x) {
  FROM_THE_END(first, last, n, span)
  for (int64_t i = first; i < last; i += span) {
    const int64_t count = smaller(span, n - i), whole = count & -16;
    for (int64_t j = 0; j < whole; j += 16) {
      prefetch16(bf16, x, i + j - block);
      prefetch16(bf16, g, i + j - block);
      const float16v d = get16(bf16, x, i + j) - *(const float16u *)(mean + j);
      float16v masked = get16(bf16, g, i + j);
      if (scale) masked = where_positive(d * *(const float16u *)(scale + j) + *(const float16u *)(shift + j), masked);
      put16(bf16, false, d_x, i + j,
            *(const float16u *)(a + j) * masked + *(const float16u *)(b + j) + *(const float16u *)(c + j) * d);
    }
    for (int64_t j = whole; j < count; j++) {
      const float d = get(bf16, x, i + j) - mean[j], all = get(bf16, g, i + j);
      const float masked = !scale || d * scale[j] + shift[j] > 0 ? all : 0;
      put(bf16, d_x, i + j, a[j] * masked + b[j] + c[j] * d);
    }
  }
}
ACTIVATION_KERNEL(norm_backward,
                  (bool bf16, const void *g, const void *x, int64_t n, int64_t span, const float *mean,
                   const float *scale, const float *shift, const float *a, const float *b, const float *c, void *d_x),
                  (bf16, g, x, n, span, mean, scale, shift, a, b, c, d_x))

BODY accumulate_body(bool bf16, const void *restrict src, int64_t n, void *restrict dst) {
  for (int64_t i = 0; i < n; i++) put(bf16, dst, i, get(bf16, dst, i) + get(bf16, src, i));
}
ACTIVATION_KERNEL(accumulate, (bool bf16, const void *src, int64_t n, void *dst), (bf16, src, n, dst))
