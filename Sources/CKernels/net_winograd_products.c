// The GEMMs between Winograd's transforms. Every result is a chain of fused multiply-adds in a fixed order, so the
// tiling does not affect the bits.
#include "net_winograd.h"

/// The channel count, rounded up to whole panels.
INLINE int64_t whole_panels(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

/// results[r] = Σ a[r] · weights over `channels` in panels of sixteen, `panel` apart, for `count` rows and `panels`
/// panels of results, `to_panel` apart.
INLINE void rows_product(int count, int panels, const float *restrict a, int64_t panel, const float *restrict weights,
                         int64_t channels, float *restrict results, int64_t to_panel) {
  tile_sums sums = {0};
  const int64_t weights_panel = whole_panels(channels) * LANES;
  for (; channels > 0; channels -= LANES, a += panel) {
    // The next group's rows: the hardware prefetcher follows no panels.
    for (int r = 0; r < count; r++) __builtin_prefetch(a + (count + r) * LANES, 0, 2);
    for (int64_t k = 0; k < smaller(LANES, channels); k++, weights += LANES)
      add_term(count, panels, a + k, LANES, weights, weights_panel, sums);
  }
  put_tile(count, panels, sums, false, results, LANES, to_panel);
}

BODY winograd_multiply_body(bool wide, int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points,
                            const float *transformed, float *results) {
  const int64_t pairs = paired(wide, to);
  for (int64_t matrix = 0; matrix < 36; matrix++) {
    const int64_t rows = matrix_place(stride, matrix / 6, matrix % 6).members * tiles;
    const int64_t groups = (rows + most_rows(wide) - 1) / most_rows(wide);
    for (int64_t column = 0; column < to; column += column < pairs ? WIDE_PANELS * LANES : LANES)
      for (int64_t group = 0; group < groups; group++) {
        // Make the groups as even as possible: a group of few rows would stall on its own sums.
        const int64_t first = rows * group / groups, count = rows * (group + 1) / groups - first;
        const float *a = points + first * LANES, *weights = transformed + column * whole_panels(from);
        float *result = results + column * rows + first * LANES;
#define TILE(n, panels, r) \
  rows_product(n, panels, a + (r) * LANES, rows * LANES, weights, from, result + (r) * LANES, rows * LANES)
        if (column < pairs)
          FOR_ROWS(wide, count, WIDE_PANELS, TILE)
        else
          FOR_ROWS(wide, count, 1, TILE)
#undef TILE
      }
    points += rows * whole_panels(from) + GAP;
    transformed += whole_panels(to) * whole_panels(from) + GAP;
    results += rows * to + GAP;
  }
}
GEMM_KERNEL(winograd_multiply,
            (int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points, const float *transformed,
             float *results),
            stride, tiles, from, to, points, transformed, results)

BODY winograd_multiply_gradients_body(bool wide, const tamring_winograd_gradients_shape *s, const float *gradients,
                                      const float *inputs, bool add, float *transformed) {
  const int64_t pairs = paired(wide, s->inputs);
  for (int64_t matrix = 0; matrix < 36; matrix++) {
    const int64_t rows = matrix_place(s->stride, matrix / 6, matrix % 6).members * s->tiles;
    for (int64_t o = s->first; o < s->first + s->count; o += LANES)
      for (int64_t i = 0; i < s->inputs;) {
        const int panels = i < pairs ? WIDE_PANELS : 1;
        const float *a = gradients + o * rows;
        const columns b = {inputs + i * rows, LANES, rows * LANES};
        const int64_t count = smaller(LANES, s->first + s->count - o);
        if (count < LANES)
          for (int64_t r = 0; r < count; r++)
            columns_product(1, panels, a + r, LANES, b, rows, add, transformed + r * LANES, LANES, LANES * LANES);
        else if (i < pairs)
          sixteen_product(wide, WIDE_PANELS, a, LANES, b, rows, add, transformed, LANES, LANES * LANES);
        else
          sixteen_product(wide, 1, a, LANES, b, rows, add, transformed, LANES, LANES * LANES);
        i += panels * LANES;
        transformed += panels * LANES * LANES;
      }
    gradients += rows * whole_panels(s->outputs) + GAP;
    inputs += rows * s->inputs + GAP;
    transformed += GAP;
  }
}
GEMM_KERNEL(winograd_multiply_gradients,
            (const tamring_winograd_gradients_shape *s, const float *gradients, const float *inputs, bool add,
             float *transformed),
            s, gradients, inputs, add, transformed)
