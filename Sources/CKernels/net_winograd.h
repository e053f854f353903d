// How points lie in memory: what the transforms and the products must agree on.
#pragma once
#include "net_products.h"
#include "network_kernels.h"

enum { MOST_POINTS = 9 };

/// Which images become which: of the same size at stride 1; at stride 2 half as large, and, back, twice as large. The
/// last is for the stem's windows, 7x7 at stride 2, as four taps of a side at stride 1 over the four phases of an image.
typedef enum { WAY_SAME, WAY_HALVE, WAY_DOUBLE, WAY_STEM } winograd_way;

/// Whether a way has the points of stride 1.
INLINE bool is_plain(winograd_way way) { return way == WAY_SAME || way == WAY_STEM; }

/// Results of a side of a tile, in the forward pass.
INLINE int tile_side(winograd_way way) { return way == WAY_STEM ? 3 : 4; }

/// Along one side there are six transformed of weights. Each has a point of its own, but at stride 2 the last serves four
/// (the pixels that meet one tap). A matrix's points are the rows of one matrix, [channels / 16][members][tiles][16].
///
/// Between the matrices of two transformed, of points or of weights, a cache line is left out: at distances of a power of
/// two all that belong to a tile would compete for the same few lines of the caches.
enum { GAP = LANES };
typedef struct {
  int64_t matrix;
  /// Points of the transformed before.
  int64_t first;
  int64_t members, member;
} point_place;

INLINE int64_t side_members(int64_t stride, int64_t matrix) { return stride == 2 && matrix == 5 ? 4 : 1; }

INLINE point_place matrix_place(int64_t stride, int64_t row, int64_t column) {
  const int64_t down = side_members(stride, row), across = side_members(stride, column);
  const int64_t side = stride == 1 ? 6 : 9;
  const point_place result = {row * 6 + column, row * side + column * down, down * across, 0};
  return result;
}

/// Where the numbers of sixteen channels from `k` on begin; `plane` counts those of one point.
INLINE int64_t offset_of(point_place p, int64_t plane, int64_t tiles, int64_t k) {
  return p.first * plane + p.matrix * GAP + (k * p.members + p.member * LANES) * tiles;
}

/// A point by its place along both sides.
INLINE point_place point(winograd_way way, int64_t y, int64_t x) {
  const int64_t row = smaller(y, 5), column = smaller(x, 5), stride = is_plain(way) ? 1 : 2;
  point_place result = matrix_place(stride, row, column);
  result.member = (y - row) * side_members(stride, column) + (x - column);
  return result;
}
