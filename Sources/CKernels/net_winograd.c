// Winograd's minimal filtering for 3x3 kernels: the transforms of images and weights to points and back. The GEMMs
// between them are in net_winograd_products.c. Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", CVPR 2016. At stride 2, every second pixel meets two taps, F(4, 2), and the others one; the two results
// are added.
#include "net_winograd.h"

/// Four results of two taps from five pixels, at the points 0, 1, -1, 2 and infinity.
INLINE void pair_points(const float16v d[5], float16v v[5]) {
  v[3] = d[3] - d[1];
  v[0] = scaled(2, d[0] - d[2], v[3]);
  v[1] = scaled(-2, d[1], d[3] - d[2]);
  v[2] = scaled(2, d[1], scaled(-3, d[2], d[3]));
  v[4] = scaled(-2, v[3], d[4] - d[2]);
}

INLINE void pair_outputs(const float16v m[5], float16v y[4]) {
  const float16v even = m[1] + m[2], odd = m[1] - m[2];
  y[0] = m[0] + even + m[3];
  y[1] = scaled(2, m[3], odd);
  y[2] = scaled(4, m[3], even);
  y[3] = scaled(8, m[3], odd) + m[4];
}

/// Transforms the pixels along one side to points.
INLINE void to_points(winograd_way way, const float16v *d, float16v *v) {
  if (is_plain(way)) {
    // At 0, 1, -1, 2, -2 and infinity.
    const float16v even = scaled(-4, d[2], d[4]), odd = scaled(-4, d[1], d[3]), even2 = d[4] - d[2], odd2 = d[3] - d[1];
    v[0] = scaled(4, d[0], scaled(-5, d[2], d[4]));
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = scaled(2, odd2, even2);
    v[4] = scaled(-2, odd2, even2);
    v[5] = scaled(4, d[1], scaled(-5, d[3], d[5]));
    return;
  }
  const int step = way == WAY_HALVE ? 2 : 1;
  const float16v pixels[5] = {d[0], d[step], d[2 * step], d[3 * step], d[4 * step]};
  pair_points(pixels, v);
  for (int i = 0; i < 4; i++) v[5 + i] = way == WAY_HALVE ? d[2 * i + 1] : d[i];
}

/// Transforms points to results along one side.
INLINE void to_outputs(winograd_way way, const float16v *m, float16v *y) {
  if (is_plain(way)) {
    const float16v even = m[1] + m[2], odd = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even + even2;
    y[1] = scaled(2, odd2, odd);
    y[2] = scaled(4, even2, even);
    if (way == WAY_STEM)
      y[2] += m[5];
    else
      y[3] = scaled(8, odd2, odd) + m[5];
    return;
  }
  float16v pairs[4];
  pair_outputs(m, pairs);
  for (int i = 0; i < 4; i++) {
    if (way == WAY_HALVE) {
      y[i] = pairs[i] + m[5 + i];
    } else {
      y[2 * i] = m[5 + i];
      y[2 * i + 1] = pairs[i];
    }
  }
}

/// Transforms the gradients of results to points: the transpose of the above.
INLINE void gradients_to_points(winograd_way way, const float16v *y, float16v *m) {
  if (way == WAY_STEM) {
    const float16v even = y[0] + y[2], even2 = scaled(4, y[2], y[0]);
    m[0] = y[0];
    m[1] = even + y[1];
    m[2] = even - y[1];
    m[3] = scaled(2, y[1], even2);
    m[4] = scaled(-2, y[1], even2);
    m[5] = y[2];
    return;
  }
  const float16v even = y[0] + y[2], odd = y[1] + y[3], even2 = scaled(4, y[2], y[0]), odd2 = scaled(4, y[3], y[1]);
  m[0] = y[0];
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = scaled(2, odd2, even2);
  if (way == WAY_SAME) {
    m[4] = scaled(-2, odd2, even2);
    m[5] = y[3];
    return;
  }
  m[4] = y[3];
  for (int i = 0; i < 4; i++) m[5 + i] = y[i];
}

/// Transforms three taps to six weights; the last serves all points from the sixth on.
INLINE void transform_weights(winograd_way way, const float16v g[3], float16v u[6]) {
  if (way == WAY_SAME) {
    const float16v outer = g[0] + g[2], wide = scaled(4, g[2], g[0]);
    u[0] = g[0] * 0.25f;
    u[1] = (outer + g[1]) * (-1.0f / 6);
    u[2] = (outer - g[1]) * (-1.0f / 6);
    u[3] = scaled(2, g[1], wide) * (1.0f / 24);
    u[4] = scaled(-2, g[1], wide) * (1.0f / 24);
    u[5] = g[2];
    return;
  }
  u[0] = g[0] * 0.5f;
  u[1] = (g[0] + g[2]) * -0.5f;
  u[2] = (g[2] - g[0]) * (1.0f / 6);
  u[3] = scaled(2, g[2], g[0]) * (1.0f / 6);
  u[4] = g[2];
  u[5] = g[1];
}

/// The transpose of the above: gradients of the transformed weights to those of the taps.
INLINE void transform_weight_gradients(winograd_way way, const float16v u[6], float16v g[3]) {
  if (way == WAY_SAME) {
    const float16v inner = (u[1] + u[2]) * (-1.0f / 6), wide = (u[3] + u[4]) * (1.0f / 24);
    g[0] = u[0] * 0.25f + inner + wide;
    g[1] = (u[1] - u[2]) * (-1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
    g[2] = inner + 4.0f * wide + u[5];
    return;
  }
  g[0] = 0.5f * (u[0] - u[1]) + (u[3] - u[2]) * (1.0f / 6);
  g[1] = u[5];
  g[2] = (u[2] - 3.0f * u[1]) * (1.0f / 6) + u[3] * (1.0f / 3) + u[4];
}

typedef struct {
  int64_t image, top, left;
} tile_place;

/// Where a tile's results (of the forward pass) begin.
INLINE tile_place place(winograd_way way, const tamring_window *w, int64_t tile) {
  const int64_t side = tile_side(way), across = (w->out_width + side - 1) / side;
  const int64_t down = (w->out_height + side - 1) / side;
  const tile_place result = {tile / (across * down), tile / across % down * side, tile % across * side};
  return result;
}

typedef enum { INPUTS, GRADIENTS } pixel_kind;

/// Transforms the `size` x `size` pixels from (top, left) of an image on; pixels outside are zero.
INLINE void transform_tile(bool bf16, winograd_way way, pixel_kind kind, int size, bool whole,
                           const void *restrict image, int64_t height, int64_t width, int64_t channels, int64_t top, int64_t left, int64_t tiles,
                           float *restrict points) {
  const int sides = is_plain(way) ? 6 : 9, step = way == WAY_HALVE && kind == INPUTS ? 8 : tile_side(way);
  for (int64_t k = 0; k < channels; k += LANES) {
    float16v half[MOST_POINTS][MOST_POINTS];
    for (int x = 0; x < size; x++) {
      const int64_t column = left + x;
      float16v d[MOST_POINTS], v[MOST_POINTS];
      for (int y = 0; y < size; y++) {
        const int64_t row = top + y;
        const bool inside = whole || (row >= 0 && row < height && column >= 0 && column < width);
        const int64_t pixel = (row * width + column) * channels + k;
        d[y] = inside ? get16(bf16, image, pixel) : (float16v){0};
        // The hardware prefetcher cannot follow so many addresses, so prefetch the next channels of these pixels, and
        // the pixels below this tile that only the next row of tiles reads.
        if (inside) prefetch16(bf16, image, pixel + LANES);
        if (y >= size - step && x >= size - step) prefetch16(bf16, image, pixel + step * width * channels);
      }
      if (kind == INPUTS)
        to_points(way, d, v);
      else
        gradients_to_points(way, d, v);
      for (int i = 0; i < sides; i++) half[i][x] = v[i];
    }
    for (int i = 0; i < sides; i++) {
      float16v v[MOST_POINTS];
      if (kind == INPUTS)
        to_points(way, half[i], v);
      else
        gradients_to_points(way, half[i], v);
      for (int j = 0; j < sides; j++)
        *(float16u *)(points + offset_of(point(way, i, j), tiles * channels, tiles, k)) = v[j];
    }
  }
}

INLINE void transform_tiles(bool bf16, winograd_way way, pixel_kind kind, const tamring_window *w, bool back,
                            const void *restrict src, int64_t first, int64_t tiles, float *restrict points) {
  const bool results = kind == GRADIENTS || back;
  const int64_t c = w->channels;
  const int64_t height = results ? w->out_height : w->height, width = results ? w->out_width : w->width;
  // A tile's pixels begin at its first result, or where the kernel over that result begins.
  const int step = way == WAY_HALVE && kind == INPUTS ? 2 : 1;
  const int margin = kind == GRADIENTS || way == WAY_DOUBLE ? 0 : way == WAY_STEM ? 2 : 1;
  const int size = kind == GRADIENTS ? tile_side(way) : is_plain(way) ? 6 : way == WAY_HALVE ? 9 : 5;
  for (int64_t t = 0; t < tiles; t++, points += LANES) {
    const tile_place tile = place(way, w, first + t);
    const void *image = at(bf16, src, tile.image * height * width * c);
    const int64_t top = step * tile.top - margin, left = step * tile.left - margin;
    if (top >= 0 && left >= 0 && top + size <= height && left + size <= width)
      transform_tile(bf16, way, kind, size, true, image, height, width, c, top, left, tiles, points);
    else
      transform_tile(bf16, way, kind, size, false, image, height, width, c, top, left, tiles, points);
  }
}

BODY winograd_inputs_body(bool bf16, const tamring_window *w, bool back, const void *src, int64_t first, int64_t tiles,
                          float *points) {
  if (w->kernel == 4)
    transform_tiles(bf16, WAY_STEM, INPUTS, w, false, src, first, tiles, points);
  else if (w->stride == 1)
    transform_tiles(bf16, WAY_SAME, INPUTS, w, back, src, first, tiles, points);
  else if (back)
    transform_tiles(bf16, WAY_DOUBLE, INPUTS, w, true, src, first, tiles, points);
  else
    transform_tiles(bf16, WAY_HALVE, INPUTS, w, false, src, first, tiles, points);
}
ACTIVATION_KERNEL(winograd_inputs,
                  (bool bf16, const tamring_window *w, bool back, const void *src, int64_t first, int64_t tiles,
                   float *points),
                  (bf16, w, back, src, first, tiles, points))

BODY winograd_gradients_body(bool bf16, const tamring_window *w, const void *src, int64_t first, int64_t tiles,
                          float *points) {
  if (w->kernel == 4)
    transform_tiles(bf16, WAY_STEM, GRADIENTS, w, false, src, first, tiles, points);
  else if (w->stride == 1)
    transform_tiles(bf16, WAY_SAME, GRADIENTS, w, false, src, first, tiles, points);
  else
    transform_tiles(bf16, WAY_HALVE, GRADIENTS, w, false, src, first, tiles, points);
}
ACTIVATION_KERNEL(winograd_gradients,
                  (bool bf16, const tamring_window *w, const void *src, int64_t first, int64_t tiles, float *points),
                  (bf16, w, src, first, tiles, points))

INLINE void outputs_of_way(bool bf16, winograd_way way, const tamring_window *w, const float *restrict points,
                           int64_t first, int64_t tiles, int64_t from, int64_t count, bool accumulate,
                           const tamring_epilogue *epilogue, void *restrict dst) {
  const int sides = is_plain(way) ? 6 : 9, size = way == WAY_DOUBLE ? 8 : tile_side(way);
  const int64_t c = w->channels, plane = tiles * count;
  const int64_t height = way == WAY_DOUBLE ? w->height : w->out_height;
  const int64_t width = way == WAY_DOUBLE ? w->width : w->out_width;
  for (int64_t t = 0; t < tiles; t++) {
    const tile_place tile = place(way, w, first + t);
    void *image = writable_at(bf16, dst, tile.image * height * width * c + from);
    const int64_t scale = way == WAY_DOUBLE ? 2 : 1, top = scale * tile.top, left = scale * tile.left;
    const int64_t rows = smaller(size, height - top), columns = smaller(size, width - left);
    for (int64_t k = 0; k < count; k += LANES) {
      float16v half[8][MOST_POINTS];
      for (int j = 0; j < sides; j++) {
        float16v m[MOST_POINTS], y[8];
        for (int i = 0; i < sides; i++) {
          const point_place p = point(way, i, j);
          m[i] = *(const float16u *)(points + offset_of(p, plane, tiles, k) + t * LANES);
        }
        to_outputs(way, m, y);
        for (int i = 0; i < size; i++) half[i][j] = y[i];
      }
      for (int64_t row = 0; row < rows; row++) {
        float16v y[8];
        to_outputs(way, half[row], y);
        for (int64_t column = 0; column < columns; column++) {
          const int64_t to = ((top + row) * width + left + column) * c + k;
          const float16v value = epilogue ? scaled_and_shifted(epilogue, from + k, y[column]) : y[column];
          const float16v sum = accumulate ? get16(bf16, image, to) + value : value;
          fetch_place16(bf16, image, to + size * width * c);
          put16(bf16, false, image, to, epilogue && epilogue->relu ? where_positive(sum, sum) : sum);
        }
      }
    }
  }
}

INLINE void all_outputs(bool bf16, const tamring_window *w, bool back, const float *points, int64_t first, int64_t tiles,
                        int64_t from, int64_t count, bool accumulate, const tamring_epilogue *epilogue, void *dst) {
  if (w->kernel == 4)
    outputs_of_way(bf16, WAY_STEM, w, points, first, tiles, from, count, accumulate, epilogue, dst);
  else if (w->stride == 1)
    outputs_of_way(bf16, WAY_SAME, w, points, first, tiles, from, count, accumulate, epilogue, dst);
  else if (back)
    outputs_of_way(bf16, WAY_DOUBLE, w, points, first, tiles, from, count, accumulate, epilogue, dst);
  else
    outputs_of_way(bf16, WAY_HALVE, w, points, first, tiles, from, count, accumulate, epilogue, dst);
}

// A constant null drops the epilogue from the loops.
BODY winograd_outputs_body(bool bf16, const tamring_window *w, bool back, const float *points, int64_t first,
                           int64_t tiles, int64_t from, int64_t count, bool accumulate, const tamring_epilogue *epilogue,
                           void *dst) {
  if (epilogue)
    all_outputs(bf16, w, back, points, first, tiles, from, count, accumulate, epilogue, dst);
  else
    all_outputs(bf16, w, back, points, first, tiles, from, count, accumulate, NULL, dst);
}
ACTIVATION_KERNEL(winograd_outputs,
                  (bool bf16, const tamring_window *w, bool back, const float *points, int64_t first, int64_t tiles,
                   int64_t from, int64_t count, bool accumulate, const tamring_epilogue *epilogue, void *dst),
                  (bf16, w, back, points, first, tiles, from, count, accumulate, epilogue, dst))

/// Reads the nine taps of sixteen adjacent kernels to nine vectors; `write_kernels` is the inverse.
INLINE void read_kernels(const float *restrict weights, float16v taps[LANES]) {
  // Each vector holds a kernel and more, but nothing is read beyond the last one.
  for (int lane = 0; lane < LANES - 1; lane++) taps[lane] = *(const float16u *)(weights + 9 * lane);
  float last[LANES] = {0};
  memcpy(last, weights + 9 * (LANES - 1), 9 * sizeof(float));
  taps[LANES - 1] = *(const float16u *)last;
  transpose16(taps);
}

INLINE void write_kernels(float16v taps[LANES], float *restrict weights) {
  transpose16(taps);
  // Each vector overwrites the start of the next kernel, which the next vector repairs.
  for (int lane = 0; lane < LANES - 1; lane++) *(float16u *)(weights + 9 * lane) = taps[lane];
  memcpy(weights + 9 * (LANES - 1), &taps[LANES - 1], 9 * sizeof(float));
}

/// Prefetches sixteen adjacent kernels.
INLINE void prefetch_kernels(const float *kernels) {
  for (int line = 0; line < 9; line++) prefetch16(false, kernels, line * LANES);
}

/// Reads sixteen rows of sixteen kernels each to [kernel of a row][tap], over all rows.
INLINE void read_rows(const float *restrict weights, int64_t stride, float16v taps[9 * LANES]) {
  for (int part = 0; part < 9; part++) {
    for (int lane = 0; lane < LANES; lane++)
      taps[part * LANES + lane] = *(const float16u *)(weights + lane * stride + part * LANES);
    transpose16(taps + part * LANES);
  }
}

INLINE void transform_kernel(winograd_way way, const float16v taps[9], bool turned, float *restrict transformed, int64_t plane) {
  float16v half[6][3];
  for (int x = 0; x < 3; x++) {
    float16v g[3], u[6];
    for (int y = 0; y < 3; y++) g[y] = taps[turned ? 8 - (y * 3 + x) : y * 3 + x];
    transform_weights(way, g, u);
    for (int y = 0; y < 6; y++) half[y][x] = u[y];
  }
  for (int y = 0; y < 6; y++) {
    float16v u[6];
    transform_weights(way, half[y], u);
    for (int x = 0; x < 6; x++) *(float16u *)(transformed + (y * 6 + x) * plane) = u[x];
  }
}

INLINE void weights_of_way(winograd_way way, const tamring_winograd_weights_shape *s, const float *restrict weights,
                           float *restrict transformed) {
  const int64_t plane = s->to * s->from + GAP;
  for (int64_t o = 0; o < s->to; o += LANES)
    for (int64_t i = 0; i < s->from; i += LANES) {
      const float *kernels = weights + o * s->to_stride + i * s->from_stride, *next = kernels + LANES * s->from_stride;
      float *to = transformed + o * s->from + i * LANES;
      if (s->turned) {
        for (int k = 0; k < LANES; k++) {
          float16v taps[LANES];
          prefetch_kernels(next + k * s->from_stride);
          read_kernels(kernels + k * s->from_stride, taps);
          transform_kernel(way, taps, true, to + k * LANES, plane);
        }
      } else {
        float16v taps[9 * LANES];
        read_rows(kernels, s->to_stride, taps);
        for (int k = 0; k < LANES; k++) {
          prefetch_kernels(next + k * s->to_stride);
          transform_kernel(way, taps + 9 * k, false, to + k * LANES, plane);
        }
      }
    }
}

BODY winograd_weights_body(const tamring_winograd_weights_shape *s, const float *weights, float *transformed) {
  if (s->stride == 1)
    weights_of_way(WAY_SAME, s, weights, transformed);
  else
    weights_of_way(WAY_HALVE, s, weights, transformed);
}
KERNEL(winograd_weights, (const tamring_winograd_weights_shape *s, const float *weights, float *transformed),
       (s, weights, transformed))

INLINE void weight_gradients_of_way(winograd_way way, const float *restrict transformed, int64_t outputs, int64_t inputs,
                                 float *restrict gradients) {
  const int64_t plane = outputs * inputs + GAP;
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t k = 0; k < inputs; k += LANES) {
      const float *from = transformed + (o / LANES * inputs + k) * LANES + o % LANES * LANES;
      float16v half[3][6];
      for (int j = 0; j < 6; j++) {
        float16v u[6], g[3];
        for (int i = 0; i < 6; i++) u[i] = *(const float16u *)(from + (i * 6 + j) * plane);
        transform_weight_gradients(way, u, g);
        for (int y = 0; y < 3; y++) half[y][j] = g[y];
      }
      float16v taps[LANES] = {0};
      for (int y = 0; y < 3; y++) transform_weight_gradients(way, half[y], taps + 3 * y);
      write_kernels(taps, gradients + (o * inputs + k) * 9);
    }
}

BODY winograd_weight_gradients_body(const float *transformed, int64_t stride, int64_t outputs, int64_t inputs, float *gradients) {
  if (stride == 1)
    weight_gradients_of_way(WAY_SAME, transformed, outputs, inputs, gradients);
  else
    weight_gradients_of_way(WAY_HALVE, transformed, outputs, inputs, gradients);
}
KERNEL(winograd_weight_gradients, (const float *transformed, int64_t stride, int64_t outputs, int64_t inputs, float *gradients),
       (transformed, stride, outputs, inputs, gradients))
