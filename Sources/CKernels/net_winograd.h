// The layout of points in memory, shared by the transforms and the GEMMs.
#pragma once
#include "net_products.h"
#include "network_kernels.h"

enum { MOST_POINTS = 9 };

/// How image sizes change: not at all at stride 1; at stride 2 halved or, in the backward pass, doubled. The
/// last is for the stem: 7x7 kernels at stride 2 become 4x4 kernels at stride 1 over the four phases of an image.
typedef enum { WAY_SAME, WAY_HALVE, WAY_DOUBLE, WAY_STEM } winograd_way;

/// Whether the points are those of stride 1.
INLINE bool is_plain(winograd_way way) { return way == WAY_SAME || way == WAY_STEM; }

/// The side of a tile in the forward pass, in results.
INLINE int tile_side(winograd_way way) { return way == WAY_STEM ? 3 : 4; }

/// Along one side there are six transformed weights. Each has a point of its own, but at stride 2 the last serves four
/// (the pixels that meet one tap). The points that share a weight are the rows of one matrix,
/// [channels / 16][members][tiles][16].
///
/// A gap of one cache line separates the matrices, of points and of weights: at distances of a power of two, everything
/// that belongs to a tile would compete for the same few cache lines.
enum { GAP = LANES };
typedef struct {
  int64_t matrix;
  /// Points of the matrices before it.
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

/// The offset of the sixteen channels from `k` on; `plane` is the number of elements of one point.
INLINE int64_t offset_of(point_place p, int64_t plane, int64_t tiles, int64_t k) {
  return p.first * plane + p.matrix * GAP + (k * p.members + p.member * LANES) * tiles;
}

/// The place of the point (y, x).
INLINE point_place point(winograd_way way, int64_t y, int64_t x) {
  const int64_t row = smaller(y, 5), column = smaller(x, 5), stride = is_plain(way) ? 1 : 2;
  point_place result = matrix_place(stride, row, column);
  result.member = (y - row) * side_members(stride, column) + (x - column);
  return result;
}
