// 1x1 convolutions as GEMMs, with pixels as rows. A result is the sum, in order, of blocks of DEPTH terms, each a chain
// of fused multiply-adds in a fixed order. So the tiling does not affect the bits.
#include "net_products.h"
#include "network_kernels.h"

/// A block's panel of sixteen columns of weights fits into L1, and its rows into L2.
enum { DEPTH = 256, ROWS_AT_ONCE = 192, PIXELS = 128 };

/// With more channels than this, consecutive pixels of a column lie so far apart that they compete for a few cache
/// lines.
enum { NARROW = 256 };

BODY pointwise_pack_body(int64_t outputs, int64_t inputs, bool turned, const float *restrict weights,
                          const float *restrict scale, float *restrict packed) {
  if (turned) {
    // A few rows at a time, for sequential memory access.
    for (int64_t top = 0; top < outputs; top += LANES)
      for (int64_t i = 0; i < inputs; i += LANES)
        for (int64_t o = top; o < top + LANES; o++)
          *(float16u *)(packed + i * outputs + o * LANES) = *(const float16u *)(weights + o * inputs + i);
  } else {
    for (int64_t o = 0; o < outputs; o += LANES)
      for (int64_t i = 0; i < inputs; i += LANES) {
        float16v block[LANES];
        for (int r = 0; r < LANES; r++) block[r] = *(const float16u *)(weights + (o + r) * inputs + i);
        transpose16(block);
        for (int r = 0; r < LANES; r++, packed += LANES)
          *(float16u *)packed = scale ? block[r] * *(const float16u *)(scale + o) : block[r];
      }
  }
}
KERNEL(pointwise_pack,
       (int64_t outputs, int64_t inputs, bool turned, const float *weights, const float *scale, float *packed),
       (outputs, inputs, turned, weights, scale, packed))

/// c[r] = [c[r] +] Σ a[r] · b, for `count` rows and `panels` panels, followed by the epilogue's shift and ReLU, if any.
INLINE void rows_product(int count, int panels, const float *restrict a, int64_t from, const float *restrict b,
                         int64_t depth, bool add, const tamring_epilogue *epilogue, int64_t column, float *restrict c,
                         int64_t to) {
  tile_sums sums = {0};
  for (int64_t k = 0; k < depth; k++) add_term(count, panels, a + k, from, b + k * LANES, from * LANES, sums);
  if (!epilogue) return put_tile(count, panels, sums, add, c, to, LANES);
  for (int p = 0; p < panels; p++) {
    const float16v shift = *(const float16u *)(epilogue->shift + column + p * LANES);
    for (int r = 0; r < count; r++) {
      float16u *place = (float16u *)(c + r * to + p * LANES);
      const float16v value = (add ? *place + sums[r][p] : sums[r][p]) + shift;
      *place = epilogue->relu ? where_positive(value, value) : value;
    }
  }
}

INLINE void product(bool wide, int64_t rows, int64_t from, int64_t to, const float *restrict a,
                    const float *restrict packed, bool add, const tamring_epilogue *epilogue, float *restrict c) {
  for (int64_t top = 0; top < rows; top += ROWS_AT_ONCE) {
    const int64_t high = smaller(ROWS_AT_ONCE, rows - top), groups = (high + most_rows(wide) - 1) / most_rows(wide);
    const int64_t below = smaller(ROWS_AT_ONCE, rows - top - high);
    const int64_t pairs = paired(wide, to);
    const int64_t steps = (to - pairs / 2) / LANES * groups * ((from + DEPTH - 1) / DEPTH);
    coming next = next_block(a + (top + high) * from, below * from, steps);
    coming sums_next = next_block(c + (top + high) * to, below * to, steps);
    for (int64_t k = 0; k < from; k += DEPTH) {
      const int64_t depth = smaller(DEPTH, from - k);
      const tamring_epilogue *last = k + depth == from ? epilogue : NULL;
      for (int64_t column = 0; column < to; column += column < pairs ? WIDE_PANELS * LANES : LANES)
        for (int64_t group = 0; group < groups; group++) {
          // Make the groups as even as possible: a group of few rows would stall on its own sums.
          const int64_t first = high * group / groups, count = high * (group + 1) / groups - first;
          const float *left = a + (top + first) * from + k, *right = packed + column * from + k * LANES;
          float *result = c + (top + first) * to + column;
          prefetch(&next);
          prefetch(&sums_next);
#define TILE(n, panels, r) \
  rows_product(n, panels, left + (r) * from, from, right, depth, add || k > 0, last, column, result + (r) * to, to)
          if (column < pairs)
            FOR_ROWS(wide, count, WIDE_PANELS, TILE)
          else
            FOR_ROWS(wide, count, 1, TILE)
#undef TILE
        }
    }
  }
}
// A constant null drops the epilogue from the loops.
BODY pointwise_body(bool wide, int64_t rows, int64_t from, int64_t to, const float *a, const float *packed, bool add,
                    const tamring_epilogue *epilogue, float *c) {
  if (epilogue)
    product(wide, rows, from, to, a, packed, add, epilogue, c);
  else
    product(wide, rows, from, to, a, packed, add, NULL, c);
}
GEMM_KERNEL(pointwise,
            (int64_t rows, int64_t from, int64_t to, const float *a, const float *packed, bool add,
             const tamring_epilogue *epilogue, float *c),
            rows, from, to, a, packed, add, epilogue, c)

/// Panels of pixels, in place or packed; `row` is the stride between pixels.
INLINE columns columns_of(const float *restrict pixels, int64_t count, int64_t channels, int64_t row,
                          float *restrict room) {
  if (row <= NARROW) {
    const columns lying = {pixels, row, LANES};
    return lying;
  }
  for (int64_t top = 0; top < count; top += LANES)
    for (int64_t k = 0; k < channels; k += LANES)
      for (int64_t r = top; r < smaller(count, top + LANES); r++)
        *(float16u *)(room + k * count + r * LANES) = *(const float16u *)(pixels + r * row + k);
  const columns packed = {room, LANES, count * LANES};
  return packed;
}

BODY pointwise_weight_gradient_body(bool wide, int64_t rows, int64_t outputs, int64_t row, int64_t inputs, const float *restrict gradients,
                           const float *restrict images, bool add, float *restrict room, float *restrict weights) {
  const int64_t pairs = paired(wide, inputs);
  for (int64_t top = 0; top < rows; top += PIXELS) {
    const int64_t depth = smaller(PIXELS, rows - top);
    const columns a = columns_of(gradients + top * row, depth, outputs, row, room);
    const columns b = columns_of(images + top * inputs, depth, inputs, inputs, room + PIXELS * outputs);
    const int64_t below = smaller(PIXELS, rows - top - depth), steps = outputs / LANES * (inputs - pairs / 2) / LANES;
    coming left_next = next_block(gradients + (top + depth) * row, below * row, steps);
    coming right_next = next_block(images + (top + depth) * inputs, below * inputs, steps);
    for (int64_t o = 0; o < outputs; o += LANES)
      for (int64_t i = 0; i < inputs; i += i < pairs ? WIDE_PANELS * LANES : LANES) {
        const float *left = a.first + o / LANES * a.panel;
        const columns right = {b.first + i / LANES * b.panel, b.row, b.panel};
        float *result = weights + o * inputs + i;
        prefetch(&left_next);
        prefetch(&right_next);
        if (i < pairs)
          sixteen_product(wide, WIDE_PANELS, left, a.row, right, depth, add || top > 0, result, inputs, LANES);
        else
          sixteen_product(wide, 1, left, a.row, right, depth, add || top > 0, result, inputs, LANES);
      }
  }
}
GEMM_KERNEL(pointwise_weight_gradient,
            (int64_t rows, int64_t outputs, int64_t row, int64_t inputs, const float *gradients, const float *images, bool add,
             float *room, float *weights),
            rows, outputs, row, inputs, gradients, images, add, room, weights)
