// The GEMMs between Winograd's transforms. Every result is a chain of fused multiply-adds in a fixed order, so the
// tiling does not affect the bits.
#include "net_winograd.h"

/// The channel count, rounded up to whole panels.
INLINE int64_t whole_panels(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

/// results[r] = Σ a[r] · weights over `channels` in panels of sixteen, for `count` rows.
INLINE void rows_product(int count, const float *restrict a, int64_t panel, const float *restrict weights,
                         int64_t channels, float *restrict results) {
  float16v sums[MOST_ROWS] = {0};
  for (; channels > 0; channels -= LANES, a += panel)
    for (int64_t k = 0; k < smaller(LANES, channels); k++, weights += LANES) {
      const float16v w = *(const float16u *)weights;
      for (int r = 0; r < count; r++)
        sums[r] = __builtin_elementwise_fma(SPLAT(a[r * LANES + k]), w, sums[r]);
    }
  put_rows(count, sums, false, results, LANES);
}

BODY winograd_multiply_body(int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points,
                            const float *transformed, float *results) {
  for (int64_t matrix = 0; matrix < 36; matrix++) {
    const int64_t rows = matrix_place(stride, matrix / 6, matrix % 6).members * tiles;
    const int64_t groups = (rows + MOST_ROWS - 1) / MOST_ROWS;
    for (int64_t panel = 0; panel < to; panel += LANES, transformed += whole_panels(from) * LANES)
      for (int64_t group = 0; group < groups; group++) {
        // Make the groups as even as possible: a group of few rows would stall on its own sums.
        const int64_t first = rows * group / groups, count = rows * (group + 1) / groups - first;
        const float *a = points + first * LANES;
        float *result = results + panel * rows + first * LANES;
        switch (count) {
          case 6: rows_product(6, a, rows * LANES, transformed, from, result); break;
          case 5: rows_product(5, a, rows * LANES, transformed, from, result); break;
          case 4: rows_product(4, a, rows * LANES, transformed, from, result); break;
          default:
            for (int64_t r = 0; r < count; r++)
              rows_product(1, a + r * LANES, rows * LANES, transformed, from, result + r * LANES);
        }
      }
    points += rows * whole_panels(from) + GAP;
    transformed += GAP;
    results += rows * to + GAP;
  }
}
KERNEL(winograd_multiply,
       (int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points, const float *transformed,
        float *results),
       (stride, tiles, from, to, points, transformed, results))

BODY winograd_multiply_gradients_body(const tamring_winograd_gradients_shape *s, const float *gradients, const float *inputs,
                                   bool add, float *transformed) {
  for (int64_t matrix = 0; matrix < 36; matrix++) {
    const int64_t rows = matrix_place(s->stride, matrix / 6, matrix % 6).members * s->tiles;
    for (int64_t o = s->first; o < s->first + s->count; o += LANES)
      for (int64_t i = 0; i < s->inputs; i += LANES, transformed += LANES * LANES) {
        const int64_t count = smaller(LANES, s->first + s->count - o), groups = (count + MOST_ROWS - 1) / MOST_ROWS;
        for (int64_t group = 0; group < groups; group++) {
          const int64_t first = count * group / groups;
          const float *a = gradients + o * rows + first, *b = inputs + i * rows;
          float *result = transformed + first * LANES;
          switch (count * (group + 1) / groups - first) {
            case 6: columns_product(6, a, LANES, b, LANES, rows, add, result, LANES); break;
            case 5: columns_product(5, a, LANES, b, LANES, rows, add, result, LANES); break;
            default:
              for (int64_t r = first; r < count * (group + 1) / groups; r++)
                columns_product(1, a + r - first, LANES, b, LANES, rows, add, transformed + r * LANES, LANES);
          }
        }
      }
    gradients += rows * whole_panels(s->outputs) + GAP;
    inputs += rows * s->inputs + GAP;
    transformed += GAP;
  }
}
KERNEL(winograd_multiply_gradients,
       (const tamring_winograd_gradients_shape *s, const float *gradients, const float *inputs, bool add, float *transformed),
       (s, gradients, inputs, add, transformed))
