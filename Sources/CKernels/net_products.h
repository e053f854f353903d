// Shared by the GEMM kernels. A panel has sixteen columns, the lanes of a vector; MOST_ROWS rows of sums stay in the
// registers of AVX2.
#pragma once
#include "net_common.h"

enum { LANES = 16, MOST_ROWS = 6 };

/// Broadcasts `x`. Subtracting zero changes nothing, not even the sign of a zero, and compiles to nothing.
#define SPLAT(x) ((x) - (float16v){0})

/// factor * x + term, rounded once.
INLINE float16v scaled(float factor, float16v x, float16v term) {
  return __builtin_elementwise_fma(SPLAT(factor), x, term);
}

/// Writes `count` rows of sums with stride `to`, or adds them.
INLINE void put_rows(int count, const float16v *sums, bool add, float *restrict results, int64_t to) {
  for (int r = 0; r < count; r++) {
    float16u *place = (float16u *)(results + r * to);
    *place = add ? *place + sums[r] : sums[r];
  }
}

/// results[r] = [results[r] +] Σ a[t][r] · b[t] over `depth` rows, for `count` columns of a and sixteen of b, with row
/// strides `a_row` and `b_row`.
INLINE void columns_product(int count, const float *restrict a, int64_t a_row, const float *restrict b, int64_t b_row,
                            int64_t depth, bool add, float *restrict results, int64_t to) {
  float16v sums[MOST_ROWS] = {0};
  for (int64_t t = 0; t < depth; t++, a += a_row, b += b_row) {
    const float16v value = *(const float16u *)b;
    for (int r = 0; r < count; r++) sums[r] = __builtin_elementwise_fma(SPLAT(a[r]), value, sums[r]);
  }
  put_rows(count, sums, add, results, to);
}

/// The next block's memory, prefetched a few cache lines at a time during the present block.
typedef struct {
  const char *at;
  int64_t bytes, step;
} coming;

/// Spreads `count` words of four bytes over `steps` steps.
INLINE coming next_block(const void *from, int64_t count, int64_t steps) {
  const coming result = {from, count * 4, (count * 4 / 64 / steps + 1) * 64};
  return result;
}

INLINE void prefetch(coming *next) {
  for (int64_t end = next->bytes - smaller(next->bytes, next->step); next->bytes > end; next->bytes -= 64, next->at += 64)
    __builtin_prefetch(next->at, 0, 2);
}

/// Transposes sixteen vectors, by butterflies over one bit of their index at a time.
INLINE void transpose16(float16v r[LANES]) {
#define EXCHANGE(step, low, high)               \
  for (int i = 0; i < LANES; i++)               \
    if (!(i & (step))) {                        \
      const float16v a = r[i], b = r[i + step]; \
      r[i] = __builtin_shufflevector low;       \
      r[i + step] = __builtin_shufflevector high; \
    }
  EXCHANGE(1, (a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
           (a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  EXCHANGE(2, (a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
           (a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  EXCHANGE(4, (a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
           (a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  EXCHANGE(8, (a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
           (a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef EXCHANGE
}
