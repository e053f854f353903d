// Winograd's minimal filtering for 3x3 windows: images and weights to points and back. The products between are in
// net_winograd_products.c.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. At stride 2 every second
// pixel meets two taps, F(4, 2), and the others one; what they give is added.
#include "net_winograd.h"

/// Four results of two taps from five pixels, at the points 0, 1, -1, 2 and infinity.
INLINE void pair_points(const float16v d[5], float16v v[5]) {
  v[0] = 2.0f * (d[0] - d[2]) + (d[3] - d[1]);
  v[1] = (d[3] - d[2]) - 2.0f * d[1];
  v[2] = (d[3] - 3.0f * d[2]) + 2.0f * d[1];
  v[3] = d[3] - d[1];
  v[4] = 2.0f * (d[1] - d[3]) + (d[4] - d[2]);
}

INLINE void pair_outputs(const float16v m[5], float16v y[4]) {
  const float16v even = m[1] + m[2], odd = m[1] - m[2];
  y[0] = m[0] + even + m[3];
  y[1] = odd + 2.0f * m[3];
  y[2] = even + 4.0f * m[3];
  y[3] = odd + 8.0f * m[3] + m[4];
}

/// Pixels along one side to points.
INLINE void to_points(winograd_way way, const float16v *d, float16v *v) {
  if (is_plain(way)) {
    // At 0, 1, -1, 2, -2 and infinity.
    v[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    v[1] = (d[4] - 4.0f * d[2]) + (d[3] - 4.0f * d[1]);
    v[2] = (d[4] - 4.0f * d[2]) - (d[3] - 4.0f * d[1]);
    v[3] = (d[4] - d[2]) + 2.0f * (d[3] - d[1]);
    v[4] = (d[4] - d[2]) - 2.0f * (d[3] - d[1]);
    v[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
    return;
  }
  const int step = way == WAY_HALVE ? 2 : 1;
  const float16v pixels[5] = {d[0], d[step], d[2 * step], d[3 * step], d[4 * step]};
  pair_points(pixels, v);
  for (int i = 0; i < 4; i++) v[5 + i] = way == WAY_HALVE ? d[2 * i + 1] : d[i];
}

/// Points to results along one side.
INLINE void to_outputs(winograd_way way, const float16v *m, float16v *y) {
  if (is_plain(way)) {
    const float16v even = m[1] + m[2], odd = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + even + even2;
    y[1] = odd + 2.0f * odd2;
    y[2] = even + 4.0f * even2;
    if (way == WAY_STEM)
      y[2] += m[5];
    else
      y[3] = odd + 8.0f * odd2 + m[5];
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

/// Slopes of results to points: the transpose of the above.
INLINE void slopes_to_points(winograd_way way, const float16v *y, float16v *m) {
  if (way == WAY_STEM) {
    const float16v even = y[0] + y[2], even2 = y[0] + 4.0f * y[2], twice = 2.0f * y[1];
    m[0] = y[0];
    m[1] = even + y[1];
    m[2] = even - y[1];
    m[3] = even2 + twice;
    m[4] = even2 - twice;
    m[5] = y[2];
    return;
  }
  const float16v even = y[0] + y[2], odd = y[1] + y[3], even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
  m[0] = y[0];
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = even2 + odd2;
  if (way == WAY_SAME) {
    m[4] = even2 - odd2;
    m[5] = y[3];
    return;
  }
  m[4] = y[3];
  for (int i = 0; i < 4; i++) m[5 + i] = y[i];
}

/// Three weights to six forms; those of the last serve all points from the sixth on.
INLINE void weights_to_forms(winograd_way way, const float16v g[3], float16v u[6]) {
  if (way == WAY_SAME) {
    const float16v outer = g[0] + g[2], wide = g[0] + 4.0f * g[2];
    u[0] = g[0] * 0.25f;
    u[1] = (outer + g[1]) * (-1.0f / 6);
    u[2] = (outer - g[1]) * (-1.0f / 6);
    u[3] = (wide + 2.0f * g[1]) * (1.0f / 24);
    u[4] = (wide - 2.0f * g[1]) * (1.0f / 24);
    u[5] = g[2];
    return;
  }
  u[0] = g[0] * 0.5f;
  u[1] = (g[0] + g[2]) * -0.5f;
  u[2] = (g[2] - g[0]) * (1.0f / 6);
  u[3] = (g[0] + 2.0f * g[2]) * (1.0f / 6);
  u[4] = g[2];
  u[5] = g[1];
}

/// The transpose of the above: slopes of forms to those of weights.
INLINE void forms_to_weights(winograd_way way, const float16v u[6], float16v g[3]) {
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

typedef enum { INPUTS, SLOPES } pixel_kind;

/// Transforms the `size` x `size` pixels that begin at (top, left) of an image; those outside are zero.
INLINE void transform_tile(winograd_way way, pixel_kind kind, int size, bool whole, const float *restrict image,
                           int64_t height, int64_t width, int64_t channels, int64_t top, int64_t left, int64_t tiles,
                           float *restrict points) {
  const int sides = is_plain(way) ? 6 : 9;
  for (int64_t k = 0; k < channels; k += LANES) {
    float16v half[MOST_POINTS][MOST_POINTS];
    for (int x = 0; x < size; x++) {
      const int64_t column = left + x;
      float16v d[MOST_POINTS], v[MOST_POINTS];
      for (int y = 0; y < size; y++) {
        const int64_t row = top + y;
        const bool inside = whole || (row >= 0 && row < height && column >= 0 && column < width);
        const float *pixel = image + (row * width + column) * channels + k;
        d[y] = inside ? *(const float16u *)pixel : (float16v){0};
        // So many places at once are more than the processor foresees.
        if (inside) __builtin_prefetch(pixel + LANES);
      }
      if (kind == INPUTS)
        to_points(way, d, v);
      else
        slopes_to_points(way, d, v);
      for (int i = 0; i < sides; i++) half[i][x] = v[i];
    }
    for (int i = 0; i < sides; i++) {
      float16v v[MOST_POINTS];
      if (kind == INPUTS)
        to_points(way, half[i], v);
      else
        slopes_to_points(way, half[i], v);
      for (int j = 0; j < sides; j++)
        *(float16u *)(points + offset_of(point(way, i, j), tiles * channels, tiles, k)) = v[j];
    }
  }
}

INLINE void transform_tiles(winograd_way way, pixel_kind kind, const tamring_window *w, bool back,
                            const float *restrict src, int64_t first, int64_t tiles, float *restrict points) {
  const bool results = kind == SLOPES || back;
  const int64_t c = w->channels;
  const int64_t height = results ? w->out_height : w->height, width = results ? w->out_width : w->width;
  // A tile's pixels begin at its first result, or where the window over that one does.
  const int step = way == WAY_HALVE && kind == INPUTS ? 2 : 1;
  const int margin = kind == SLOPES || way == WAY_DOUBLE ? 0 : way == WAY_STEM ? 2 : 1;
  const int size = kind == SLOPES ? tile_side(way) : is_plain(way) ? 6 : way == WAY_HALVE ? 9 : 5;
  for (int64_t t = 0; t < tiles; t++, points += LANES) {
    const tile_place at = place(way, w, first + t);
    const float *image = src + at.image * height * width * c;
    const int64_t top = step * at.top - margin, left = step * at.left - margin;
    if (top >= 0 && left >= 0 && top + size <= height && left + size <= width)
      transform_tile(way, kind, size, true, image, height, width, c, top, left, tiles, points);
    else
      transform_tile(way, kind, size, false, image, height, width, c, top, left, tiles, points);
  }
}

BODY winograd_inputs_body(const tamring_window *w, bool back, const float *src, int64_t first, int64_t tiles,
                          float *points) {
  if (w->kernel == 4)
    transform_tiles(WAY_STEM, INPUTS, w, false, src, first, tiles, points);
  else if (w->stride == 1)
    transform_tiles(WAY_SAME, INPUTS, w, back, src, first, tiles, points);
  else if (back)
    transform_tiles(WAY_DOUBLE, INPUTS, w, true, src, first, tiles, points);
  else
    transform_tiles(WAY_HALVE, INPUTS, w, false, src, first, tiles, points);
}
KERNEL(winograd_inputs,
       (const tamring_window *w, bool back, const float *src, int64_t first, int64_t tiles, float *points),
       (w, back, src, first, tiles, points))

BODY winograd_slopes_body(const tamring_window *w, const float *src, int64_t first, int64_t tiles, float *points) {
  if (w->kernel == 4)
    transform_tiles(WAY_STEM, SLOPES, w, false, src, first, tiles, points);
  else if (w->stride == 1)
    transform_tiles(WAY_SAME, SLOPES, w, false, src, first, tiles, points);
  else
    transform_tiles(WAY_HALVE, SLOPES, w, false, src, first, tiles, points);
}
KERNEL(winograd_slopes, (const tamring_window *w, const float *src, int64_t first, int64_t tiles, float *points),
       (w, src, first, tiles, points))

INLINE void outputs_of_way(winograd_way way, const tamring_window *w, const float *restrict points, int64_t first,
                           int64_t tiles, int64_t from, int64_t count, bool accumulate,
                           const tamring_finish *finish, float *restrict dst) {
  const int sides = is_plain(way) ? 6 : 9, size = way == WAY_DOUBLE ? 8 : tile_side(way);
  const int64_t c = w->channels, plane = tiles * count;
  const int64_t height = way == WAY_DOUBLE ? w->height : w->out_height;
  const int64_t width = way == WAY_DOUBLE ? w->width : w->out_width;
  for (int64_t t = 0; t < tiles; t++) {
    const tile_place at = place(way, w, first + t);
    float *image = dst + at.image * height * width * c + from;
    const int64_t top = way == WAY_DOUBLE ? 2 * at.top : at.top, left = way == WAY_DOUBLE ? 2 * at.left : at.left;
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
          float16u *to = (float16u *)(image + ((top + row) * width + left + column) * c + k);
          const float16v value = finish ? finished(finish, from + k, y[column]) : y[column];
          const float16v sum = accumulate ? *to + value : value;
          *to = finish && finish->relu ? where_positive(sum, sum) : sum;
        }
      }
    }
  }
}

BODY winograd_outputs_body(const tamring_window *w, bool back, const float *points, int64_t first, int64_t tiles,
                           int64_t from, int64_t count, bool accumulate, const tamring_finish *finish, float *dst) {
  if (w->kernel == 4)
    outputs_of_way(WAY_STEM, w, points, first, tiles, from, count, accumulate, finish, dst);
  else if (w->stride == 1)
    outputs_of_way(WAY_SAME, w, points, first, tiles, from, count, accumulate, finish, dst);
  else if (back)
    outputs_of_way(WAY_DOUBLE, w, points, first, tiles, from, count, accumulate, finish, dst);
  else
    outputs_of_way(WAY_HALVE, w, points, first, tiles, from, count, accumulate, finish, dst);
}
KERNEL(winograd_outputs,
       (const tamring_window *w, bool back, const float *points, int64_t first, int64_t tiles, int64_t from,
        int64_t count, bool accumulate, const tamring_finish *finish, float *dst),
       (w, back, points, first, tiles, from, count, accumulate, finish, dst))

INLINE void weights_of_way(winograd_way way, const tamring_winograd_weights_shape *s, const float *restrict weights,
                           float *restrict forms) {
  const int64_t plane = s->to * s->from + GAP;
  for (int64_t o = 0; o < s->to; o += LANES)
    for (int64_t i = 0; i < s->from; i += LANES) {
      // Plain copies first: sixteen weights that belong side by side lie far apart.
      float taps[LANES][9][LANES];
      for (int64_t lane = 0; lane < LANES; lane++)
        for (int64_t k = 0; k < LANES; k++) {
          const float *window = weights + (o + lane) * s->to_stride + (i + k) * s->from_stride;
          for (int64_t tap = 0; tap < 9; tap++) taps[k][tap][lane] = window[s->turned ? 8 - tap : tap];
        }
      for (int64_t k = 0; k < LANES; k++) {
        float16v half[6][3];
        for (int x = 0; x < 3; x++) {
          float16v g[3], u[6];
          for (int y = 0; y < 3; y++) g[y] = *(const float16u *)taps[k][y * 3 + x];
          weights_to_forms(way, g, u);
          for (int y = 0; y < 6; y++) half[y][x] = u[y];
        }
        for (int y = 0; y < 6; y++) {
          float16v u[6];
          weights_to_forms(way, half[y], u);
          for (int x = 0; x < 6; x++)
            *(float16u *)(forms + (y * 6 + x) * plane + o * s->from + (i + k) * LANES) = u[x];
        }
      }
    }
}

BODY winograd_weights_body(const tamring_winograd_weights_shape *s, const float *weights, float *forms) {
  if (s->stride == 1)
    weights_of_way(WAY_SAME, s, weights, forms);
  else
    weights_of_way(WAY_HALVE, s, weights, forms);
}
KERNEL(winograd_weights, (const tamring_winograd_weights_shape *s, const float *weights, float *forms),
       (s, weights, forms))

INLINE void weight_slopes_of_way(winograd_way way, const float *restrict forms, int64_t outputs, int64_t inputs,
                                 float *restrict slopes) {
  const int64_t plane = outputs * inputs + GAP;
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t k = 0; k < inputs; k += LANES) {
      const float *from = forms + (o / LANES * inputs + k) * LANES + o % LANES * LANES;
      float16v half[3][6];
      for (int j = 0; j < 6; j++) {
        float16v u[6], g[3];
        for (int i = 0; i < 6; i++) u[i] = *(const float16u *)(from + (i * 6 + j) * plane);
        forms_to_weights(way, u, g);
        for (int y = 0; y < 3; y++) half[y][j] = g[y];
      }
      float taps[9][LANES];
      for (int y = 0; y < 3; y++) {
        float16v g[3];
        forms_to_weights(way, half[y], g);
        for (int x = 0; x < 3; x++) *(float16u *)taps[y * 3 + x] = g[x];
      }
      float *to = slopes + (o * inputs + k) * 9;
      for (int lane = 0; lane < LANES; lane++)
        for (int tap = 0; tap < 9; tap++) to[lane * 9 + tap] = taps[tap][lane];
    }
}

BODY winograd_weight_slopes_body(const float *forms, int64_t stride, int64_t outputs, int64_t inputs, float *slopes) {
  if (stride == 1)
    weight_slopes_of_way(WAY_SAME, forms, outputs, inputs, slopes);
  else
    weight_slopes_of_way(WAY_HALVE, forms, outputs, inputs, slopes);
}
KERNEL(winograd_weight_slopes, (const float *forms, int64_t stride, int64_t outputs, int64_t inputs, float *slopes),
       (forms, stride, outputs, inputs, slopes))
