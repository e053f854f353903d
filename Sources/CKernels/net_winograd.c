// Winograd's minimal filtering F(4x4, 3x3): the transforms around 36 products of matrices.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
#include "net_common.h"
#include "network_kernels.h"

// A tile is 4x4 outputs from 6x6 inputs, at the points 0, 1, -1, 2, -2 and infinity. Matrices are [36][rows][channels];
// channels come in sixteens.
enum { POINTS = 36, LANES = 16 };
#define INLINE static inline __attribute__((always_inline))

/// Inputs to points.
INLINE void to_points(const float16v d[6], float16v v[6]) {
  v[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  v[1] = (d[4] - 4.0f * d[2]) + (d[3] - 4.0f * d[1]);
  v[2] = (d[4] - 4.0f * d[2]) - (d[3] - 4.0f * d[1]);
  v[3] = (d[4] - d[2]) + 2.0f * (d[3] - d[1]);
  v[4] = (d[4] - d[2]) - 2.0f * (d[3] - d[1]);
  v[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/// Points to outputs.
INLINE void to_outputs(const float16v m[6], float16v y[4]) {
  const float16v even = m[1] + m[2], odd = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
  y[0] = m[0] + even + even2;
  y[1] = odd + 2.0f * odd2;
  y[2] = even + 4.0f * even2;
  y[3] = odd + 8.0f * odd2 + m[5];
}

/// Slopes of outputs to points: the transpose of the above.
INLINE void slopes_to_points(const float16v y[4], float16v m[6]) {
  const float16v even = y[0] + y[2], odd = y[1] + y[3], even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
  m[0] = y[0];
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = even2 + odd2;
  m[4] = even2 - odd2;
  m[5] = y[3];
}

/// Weights to points.
INLINE void weights_to_points(const float16v g[3], float16v u[6]) {
  const float16v outer = g[0] + g[2], wide = g[0] + 4.0f * g[2];
  u[0] = g[0] * 0.25f;
  u[1] = (outer + g[1]) * (-1.0f / 6);
  u[2] = (outer - g[1]) * (-1.0f / 6);
  u[3] = (wide + 2.0f * g[1]) * (1.0f / 24);
  u[4] = (wide - 2.0f * g[1]) * (1.0f / 24);
  u[5] = g[2];
}

/// Slopes at points to those of weights: the transpose of the above.
INLINE void points_to_weights(const float16v u[6], float16v g[3]) {
  const float16v inner = (u[1] + u[2]) * (-1.0f / 6), wide = (u[3] + u[4]) * (1.0f / 24);
  g[0] = u[0] * 0.25f + inner + wide;
  g[1] = (u[1] - u[2]) * (-1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
  g[2] = inner + 4.0f * wide + u[5];
}

typedef struct {
  int64_t image, top, left;
} tile_place;

INLINE tile_place place(const tamring_window *w, int64_t tile) {
  const int64_t across = (w->width + 3) / 4, down = (w->height + 3) / 4;
  const tile_place result = {tile / (across * down), tile / across % down * 4, tile % across * 4};
  return result;
}

BODY winograd_inputs_body(const tamring_window *w, const float *restrict src, int64_t first, int64_t tiles,
                          float *restrict points) {
  const int64_t c = w->channels, plane = tiles * c;
  for (int64_t t = 0; t < tiles; t++) {
    const tile_place at = place(w, first + t);
    const float *image = src + at.image * w->height * w->width * c;
    for (int64_t k = 0; k < c; k += LANES) {
      float16v half[6][6];
      for (int64_t x = 0; x < 6; x++) {
        const int64_t column = at.left + x - 1;
        float16v d[6], v[6];
        for (int64_t y = 0; y < 6; y++) {
          const int64_t row = at.top + y - 1;
          const bool inside = row >= 0 && row < w->height && column >= 0 && column < w->width;
          d[y] = inside ? *(const float16u *)(image + (row * w->width + column) * c + k) : (float16v){0};
        }
        to_points(d, v);
        for (int64_t i = 0; i < 6; i++) half[i][x] = v[i];
      }
      for (int64_t i = 0; i < 6; i++) {
        float16v v[6];
        to_points(half[i], v);
        for (int64_t j = 0; j < 6; j++) *(float16u *)(points + (i * 6 + j) * plane + t * c + k) = v[j];
      }
    }
  }
}
KERNEL(winograd_inputs, (const tamring_window *w, const float *src, int64_t first, int64_t tiles, float *points),
       (w, src, first, tiles, points))

BODY winograd_outputs_body(const tamring_window *w, const float *restrict points, int64_t first, int64_t tiles,
                           bool accumulate, float *restrict dst) {
  const int64_t c = w->channels, plane = tiles * c;
  for (int64_t t = 0; t < tiles; t++) {
    const tile_place at = place(w, first + t);
    float *image = dst + at.image * w->height * w->width * c;
    const int64_t rows = smaller(4, w->height - at.top), columns = smaller(4, w->width - at.left);
    for (int64_t k = 0; k < c; k += LANES) {
      float16v half[4][6];
      for (int64_t j = 0; j < 6; j++) {
        float16v m[6], y[4];
        for (int64_t i = 0; i < 6; i++) m[i] = *(const float16u *)(points + (i * 6 + j) * plane + t * c + k);
        to_outputs(m, y);
        for (int64_t i = 0; i < 4; i++) half[i][j] = y[i];
      }
      for (int64_t row = 0; row < rows; row++) {
        float16v y[4];
        to_outputs(half[row], y);
        for (int64_t column = 0; column < columns; column++) {
          float16u *to = (float16u *)(image + ((at.top + row) * w->width + at.left + column) * c + k);
          *to = accumulate ? *to + y[column] : y[column];
        }
      }
    }
  }
}
KERNEL(winograd_outputs,
       (const tamring_window *w, const float *points, int64_t first, int64_t tiles, bool accumulate, float *dst),
       (w, points, first, tiles, accumulate, dst))

BODY winograd_slopes_body(const tamring_window *w, const float *restrict slopes, int64_t first, int64_t tiles,
                          float *restrict points) {
  const int64_t c = w->channels, plane = tiles * c;
  for (int64_t t = 0; t < tiles; t++) {
    const tile_place at = place(w, first + t);
    const float *image = slopes + at.image * w->height * w->width * c;
    for (int64_t k = 0; k < c; k += LANES) {
      float16v half[6][4];
      for (int64_t x = 0; x < 4; x++) {
        float16v y[4], m[6];
        for (int64_t i = 0; i < 4; i++) {
          const int64_t row = at.top + i, column = at.left + x;
          const bool inside = row < w->height && column < w->width;
          y[i] = inside ? *(const float16u *)(image + (row * w->width + column) * c + k) : (float16v){0};
        }
        slopes_to_points(y, m);
        for (int64_t i = 0; i < 6; i++) half[i][x] = m[i];
      }
      for (int64_t i = 0; i < 6; i++) {
        float16v m[6];
        slopes_to_points(half[i], m);
        for (int64_t j = 0; j < 6; j++) *(float16u *)(points + (i * 6 + j) * plane + t * c + k) = m[j];
      }
    }
  }
}
KERNEL(winograd_slopes, (const tamring_window *w, const float *slopes, int64_t first, int64_t tiles, float *points),
       (w, slopes, first, tiles, points))

BODY winograd_weights_body(const float *restrict weights, int64_t outputs, int64_t inputs, bool flip,
                           float *restrict points) {
  const int64_t plane = outputs * inputs;
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t k = 0; k < inputs; k += LANES) {
      float16v half[6][3];
      for (int64_t x = 0; x < 3; x++) {
        float16v g[3], u[6];
        for (int64_t y = 0; y < 3; y++)
          for (int64_t lane = 0; lane < LANES; lane++) {
            const int64_t tap = flip ? 8 - (y * 3 + x) : y * 3 + x;
            g[y][lane] = weights[(o * inputs + k + lane) * 9 + tap];
          }
        weights_to_points(g, u);
        for (int64_t i = 0; i < 6; i++) half[i][x] = u[i];
      }
      for (int64_t i = 0; i < 6; i++) {
        float16v u[6];
        weights_to_points(half[i], u);
        for (int64_t j = 0; j < 6; j++) *(float16u *)(points + (i * 6 + j) * plane + o * inputs + k) = u[j];
      }
    }
}
KERNEL(winograd_weights, (const float *weights, int64_t outputs, int64_t inputs, bool flip, float *points),
       (weights, outputs, inputs, flip, points))

BODY winograd_weight_slopes_body(const float *restrict points, int64_t outputs, int64_t inputs,
                                 float *restrict slopes) {
  const int64_t plane = outputs * inputs;
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t k = 0; k < inputs; k += LANES) {
      float16v half[3][6];
      for (int64_t j = 0; j < 6; j++) {
        float16v u[6], g[3];
        for (int64_t i = 0; i < 6; i++) u[i] = *(const float16u *)(points + (i * 6 + j) * plane + o * inputs + k);
        points_to_weights(u, g);
        for (int64_t y = 0; y < 3; y++) half[y][j] = g[y];
      }
      for (int64_t y = 0; y < 3; y++) {
        float16v g[3];
        points_to_weights(half[y], g);
        for (int64_t x = 0; x < 3; x++)
          for (int64_t lane = 0; lane < LANES; lane++) slopes[(o * inputs + k + lane) * 9 + y * 3 + x] = g[x][lane];
      }
    }
}
KERNEL(winograd_weight_slopes, (const float *points, int64_t outputs, int64_t inputs, float *slopes),
       (points, outputs, inputs, slopes))
