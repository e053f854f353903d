// Shared by the GEMM kernels. A panel has sixteen columns, the lanes of a vector. The sums of a tile stay in registers:
// one panel of MOST_ROWS rows in those of AVX2, two panels of twice as many (`wide`) in those of AVX-512, where a core
// can begin two vectors of multiply-adds in each cycle, and each takes four. The tile does not affect the bits.
#pragma once
#include "net_common.h"

enum { LANES = 16, MOST_ROWS = 6, WIDE_ROWS = 12, WIDE_PANELS = 2 };

INLINE int64_t most_rows(bool wide) { return wide ? WIDE_ROWS : MOST_ROWS; }

/// Of `columns`, those that are taken two panels at a time.
INLINE int64_t paired(bool wide, int64_t columns) {
  return wide ? columns / (WIDE_PANELS * LANES) * WIDE_PANELS * LANES : 0;
}

/// Expands TILE(n, panels, 0) for the constant n that `count` is, or TILE(1, panels, r) for each of a few rows.
#define FOR_ROWS(wide, count, panels, TILE)                    \
  switch (count) {                                             \
    case 12: if (wide) TILE(12, panels, 0); break;             \
    case 11: if (wide) TILE(11, panels, 0); break;             \
    case 10: if (wide) TILE(10, panels, 0); break;             \
    case 9: if (wide) TILE(9, panels, 0); break;               \
    case 8: if (wide) TILE(8, panels, 0); break;               \
    case 7: if (wide) TILE(7, panels, 0); break;               \
    case 6: TILE(6, panels, 0); break;                         \
    case 5: TILE(5, panels, 0); break;                         \
    case 4: TILE(4, panels, 0); break;                         \
    default:                                                   \
      for (int64_t r = 0; r < (count); r++) TILE(1, panels, r); \
  }

/// The sums of a tile.
typedef float16v tile_sums[WIDE_ROWS][WIDE_PANELS];

/// Broadcasts `x`. Subtracting zero changes nothing, not even the sign of a zero, and compiles to nothing.
#define SPLAT(x) ((x) - (float16v){0})

/// factor * x + term, rounded once.
INLINE float16v scaled(float factor, float16v x, float16v term) {
  return __builtin_elementwise_fma(SPLAT(factor), x, term);
}

/// Writes the sums of `count` rows with stride `to` and of panels `to_panel` apart, or adds them.
INLINE void put_tile(int count, int panels, tile_sums sums, bool add, float *restrict results, int64_t to,
                     int64_t to_panel) {
  for (int r = 0; r < count; r++)
    for (int p = 0; p < panels; p++) {
      float16u *place = (float16u *)(results + r * to + p * to_panel);
      *place = add ? *place + sums[r][p] : sums[r][p];
    }
}

/// sums[r][p] += a[r · row] · b[p · panel], a vector: one term of each sum of a tile.
INLINE void add_term(int count, int panels, const float *restrict a, int64_t row, const float *restrict b, int64_t panel,
                     tile_sums sums) {
  float16v values[WIDE_PANELS];
  for (int p = 0; p < panels; p++) values[p] = *(const float16u *)(b + p * panel);
  for (int r = 0; r < count; r++) {
    const float16v factor = SPLAT(a[r * row]);
    for (int p = 0; p < panels; p++) sums[r][p] = __builtin_elementwise_fma(factor, values[p], sums[r][p]);
  }
}

/// Columns of a matrix in panels: the strides from row to row, and from panel to panel.
typedef struct {
  const float *first;
  int64_t row, panel;
} columns;

/// results[r] = [results[r] +] Σ a[t][r] · b[t] over `depth` rows, for `count` columns of a and `panels` panels of b.
INLINE void columns_product(int count, int panels, const float *restrict a, int64_t a_row, columns b, int64_t depth,
                            bool add, float *restrict results, int64_t to, int64_t to_panel) {
  tile_sums sums = {0};
  for (int64_t t = 0; t < depth; t++) add_term(count, panels, a + t * a_row, 1, b.first + t * b.row, b.panel, sums);
  put_tile(count, panels, sums, add, results, to, to_panel);
}

/// The same for sixteen columns of a.
INLINE void sixteen_product(bool wide, int panels, const float *restrict a, int64_t a_row, columns b, int64_t depth,
                           bool add, float *restrict results, int64_t to, int64_t to_panel) {
  if (wide) {
    columns_product(8, panels, a, a_row, b, depth, add, results, to, to_panel);
    columns_product(8, panels, a + 8, a_row, b, depth, add, results + 8 * to, to, to_panel);
  } else {
    columns_product(6, panels, a, a_row, b, depth, add, results, to, to_panel);
    columns_product(5, panels, a + 6, a_row, b, depth, add, results + 6 * to, to, to_panel);
    columns_product(5, panels, a + 11, a_row, b, depth, add, results + 11 * to, to, to_panel);
  }
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
