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

/// c[r] = [c[r] +] Σ a[r] · b, for `count` rows and sixteen columns, followed by the epilogue's shift and ReLU, if any.
INLINE void rows_product(int count, const float *restrict a, int64_t from, const float *restrict b, int64_t depth,
                         bool add, const tamring_epilogue *epilogue, int64_t column, float *restrict c, int64_t to) {
  float16v sums[MOST_ROWS] = {0};
  for (int64_t k = 0; k < depth; k++, b += LANES) {
    const float16v w = *(const float16u *)b;
    for (int r = 0; r < count; r++) sums[r] = __builtin_elementwise_fma(SPLAT(a[r * from + k]), w, sums[r]);
  }
  if (!epilogue) return put_rows(count, sums, add, c, to);
  const float16v shift = *(const float16u *)(epilogue->shift + column);
  for (int r = 0; r < count; r++) {
    float16u *place = (float16u *)(c + r * to);
    const float16v value = (add ? *place + sums[r] : sums[r]) + shift;
    *place = epilogue->relu ? where_positive(value, value) : value;
  }
}

INLINE void product(int64_t rows, int64_t from, int64_t to, const float *restrict a, const float *restrict packed,
                    bool add, const tamring_epilogue *epilogue, float *restrict c) {
  for (int64_t top = 0; top < rows; top += ROWS_AT_ONCE) {
    const int64_t high = smaller(ROWS_AT_ONCE, rows - top), groups = (high + MOST_ROWS - 1) / MOST_ROWS;
    const int64_t below = smaller(ROWS_AT_ONCE, rows - top - high);
    const int64_t steps = to / LANES * groups * ((from + DEPTH - 1) / DEPTH);
    coming next = next_block(a + (top + high) * from, below * from, steps);
    coming sums_next = next_block(c + (top + high) * to, below * to, steps);
    for (int64_t k = 0; k < from; k += DEPTH) {
      const int64_t depth = smaller(DEPTH, from - k);
      const tamring_epilogue *last = k + depth == from ? epilogue : NULL;
      for (int64_t panel = 0; panel < to; panel += LANES)
        for (int64_t group = 0; group < groups; group++) {
          // Make the groups as even as possible: a group of few rows would stall on its own sums.
          const int64_t first = high * group / groups, count = high * (group + 1) / groups - first;
          const float *left = a + (top + first) * from + k, *right = packed + panel * from + k * LANES;
          float *result = c + (top + first) * to + panel;
          prefetch(&next);
          prefetch(&sums_next);
          switch (count) {
            case 6: rows_product(6, left, from, right, depth, add || k > 0, last, panel, result, to); break;
            case 5: rows_product(5, left, from, right, depth, add || k > 0, last, panel, result, to); break;
            case 4: rows_product(4, left, from, right, depth, add || k > 0, last, panel, result, to); break;
            default:
              for (int64_t r = 0; r < count; r++)
                rows_product(1, left + r * from, from, right, depth, add || k > 0, last, panel, result + r * to,
                             to);
          }
        }
    }
  }
}
// A constant null drops the epilogue from the loops.
BODY pointwise_body(int64_t rows, int64_t from, int64_t to, const float *a, const float *packed, bool add,
                    const tamring_epilogue *epilogue, float *c) {
  if (epilogue)
    product(rows, from, to, a, packed, add, epilogue, c);
  else
    product(rows, from, to, a, packed, add, NULL, c);
}
KERNEL(pointwise,
       (int64_t rows, int64_t from, int64_t to, const float *a, const float *packed, bool add,
        const tamring_epilogue *epilogue, float *c),
       (rows, from, to, a, packed, add, epilogue, c))

/// Panels of sixteen columns of pixels, in place or packed.
typedef struct {
  const float *first;
  /// The strides from pixel to pixel, and from panel to panel per channel.
  int64_t row, channel;
} columns;

/// `row` is the stride between pixels.
INLINE columns columns_of(const float *restrict pixels, int64_t count, int64_t channels, int64_t row,
                          float *restrict room) {
  if (row <= NARROW) {
    const columns lying = {pixels, row, 1};
    return lying;
  }
  for (int64_t top = 0; top < count; top += LANES)
    for (int64_t k = 0; k < channels; k += LANES)
      for (int64_t r = top; r < smaller(count, top + LANES); r++)
        *(float16u *)(room + k * count + r * LANES) = *(const float16u *)(pixels + r * row + k);
  const columns packed = {room, LANES, count};
  return packed;
}

BODY pointwise_weight_gradient_body(int64_t rows, int64_t outputs, int64_t row, int64_t inputs, const float *restrict gradients,
                           const float *restrict images, float *restrict room, float *restrict weights) {
  for (int64_t top = 0; top < rows; top += PIXELS) {
    const int64_t depth = smaller(PIXELS, rows - top);
    const columns a = columns_of(gradients + top * row, depth, outputs, row, room);
    const columns b = columns_of(images + top * inputs, depth, inputs, inputs, room + PIXELS * outputs);
    const int64_t below = smaller(PIXELS, rows - top - depth), steps = outputs / LANES * inputs / LANES;
    coming left_next = next_block(gradients + (top + depth) * row, below * row, steps);
    coming right_next = next_block(images + (top + depth) * inputs, below * inputs, steps);
    for (int64_t o = 0; o < outputs; o += LANES)
      for (int64_t i = 0; i < inputs; i += LANES) {
        const float *left = a.first + o * a.channel, *right = b.first + i * b.channel;
        float *result = weights + o * inputs + i;
        prefetch(&left_next);
        prefetch(&right_next);
        columns_product(6, left, a.row, right, b.row, depth, top > 0, result, inputs);
        columns_product(5, left + 6, a.row, right, b.row, depth, top > 0, result + 6 * inputs, inputs);
        columns_product(5, left + 11, a.row, right, b.row, depth, top > 0, result + 11 * inputs, inputs);
      }
  }
}
KERNEL(pointwise_weight_gradient,
       (int64_t rows, int64_t outputs, int64_t row, int64_t inputs, const float *gradients, const float *images,
        float *room, float *weights),
       (rows, outputs, row, inputs, gradients, images, room, weights))
