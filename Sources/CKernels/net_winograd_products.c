// The products between Winograd's transforms. Every result is one chain of fused multiply-adds in a fixed order,
// however many of them are kept in registers, so tiles may be cut as it suits.
#include "net_winograd.h"

/// The most rows whose results, sixteen each, stay in the registers of AVX2.
enum { MOST_ROWS = 6 };

/// `x` in all lanes: subtracting zero changes nothing, not even the sign of a zero, and costs nothing.
#define SPLAT(x) ((x) - (float16v){0})

/// results[r] = Σ a[r] · weights over the panels of sixteen channels, for `count` rows.
INLINE void rows_product(int count, const float *restrict a, int64_t panel, const float *restrict weights,
                         int64_t panels, float *restrict results) {
  float16v sums[MOST_ROWS] = {0};
  for (int64_t p = 0; p < panels; p++, a += panel)
    for (int64_t k = 0; k < LANES; k++, weights += LANES) {
      const float16v w = *(const float16u *)weights;
      for (int r = 0; r < count; r++)
        sums[r] = __builtin_elementwise_fma(SPLAT(a[r * LANES + k]), w, sums[r]);
    }
  for (int r = 0; r < count; r++) *(float16u *)(results + r * LANES) = sums[r];
}

/// sums[r] += Σ a[t][r] · b[t] over `rows`, for `count` columns of a.
INLINE void columns_product(int count, const float *restrict a, const float *restrict b, int64_t rows, bool add,
                            float *restrict results) {
  float16v sums[MOST_ROWS];
  for (int r = 0; r < count; r++) sums[r] = add ? *(const float16u *)(results + r * LANES) : (float16v){0};
  for (int64_t t = 0; t < rows; t++, a += LANES, b += LANES) {
    const float16v value = *(const float16u *)b;
    for (int r = 0; r < count; r++) sums[r] = __builtin_elementwise_fma(SPLAT(a[r]), value, sums[r]);
  }
  for (int r = 0; r < count; r++) *(float16u *)(results + r * LANES) = sums[r];
}

BODY winograd_multiply_body(int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points,
                            const float *forms, float *results) {
  for (int64_t form = 0; form < 36; form++) {
    const int64_t rows = form_place(stride, form / 6, form % 6).members * tiles;
    const int64_t groups = (rows + MOST_ROWS - 1) / MOST_ROWS;
    for (int64_t panel = 0; panel < to; panel += LANES, forms += from * LANES)
      for (int64_t group = 0; group < groups; group++) {
        // Groups as even as can be: one of few rows would wait for its own sums.
        const int64_t first = rows * group / groups, count = rows * (group + 1) / groups - first;
        const float *a = points + first * LANES;
        float *result = results + panel * rows + first * LANES;
        switch (count) {
          case 6: rows_product(6, a, rows * LANES, forms, from / LANES, result); break;
          case 5: rows_product(5, a, rows * LANES, forms, from / LANES, result); break;
          case 4: rows_product(4, a, rows * LANES, forms, from / LANES, result); break;
          default:
            for (int64_t r = 0; r < count; r++)
              rows_product(1, a + r * LANES, rows * LANES, forms, from / LANES, result + r * LANES);
        }
      }
    points += rows * from + GAP;
    forms += GAP;
    results += rows * to + GAP;
  }
}
KERNEL(winograd_multiply,
       (int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points, const float *forms,
        float *results),
       (stride, tiles, from, to, points, forms, results))

BODY winograd_multiply_slopes_body(const tamring_winograd_slopes_shape *s, const float *slopes, const float *inputs,
                                   bool add, float *forms) {
  for (int64_t form = 0; form < 36; form++) {
    const int64_t rows = form_place(s->stride, form / 6, form % 6).members * s->tiles;
    for (int64_t o = s->first; o < s->first + s->count; o += LANES)
      for (int64_t i = 0; i < s->inputs; i += LANES, forms += LANES * LANES) {
        const float *a = slopes + o * rows, *b = inputs + i * rows;
        columns_product(6, a, b, rows, add, forms);
        columns_product(5, a + 6, b, rows, add, forms + 6 * LANES);
        columns_product(5, a + 11, b, rows, add, forms + 11 * LANES);
      }
    slopes += rows * s->outputs + GAP;
    inputs += rows * s->inputs + GAP;
    forms += GAP;
  }
}
KERNEL(winograd_multiply_slopes,
       (const tamring_winograd_slopes_shape *s, const float *slopes, const float *inputs, bool add, float *forms),
       (s, slopes, inputs, add, forms))
