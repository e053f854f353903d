// From the planes of a decoded picture to the network's input: crop, resize, colours, mirror, quarter turn, normalise.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Along one axis: result i is the sum of `taps` samples from `first[i]` on, weighted by `weights[i * taps…]`.
typedef struct {
  int64_t taps;
  const int32_t *first;
  const float *weights;
} tamring_video_filter;

/// One component of the stored picture: Y, U or V; R, G or B; or grey.
typedef struct {
  /// The first sample that the filters read. They count from it.
  const uint8_t *samples;
  /// Bytes from a row to the next, and from a sample to the next. `row_bytes` may be negative.
  int64_t row_bytes, sample_bytes;
  /// Samples of 16 bits, little endian; otherwise of 8.
  bool wide;
  /// How many samples of a row the filters read.
  int64_t columns;
  tamring_video_filter across, down;
} tamring_video_plane;

typedef struct {
  /// Pixels on a side of the result.
  int64_t size;
  /// 3, or 1 for grey.
  int64_t planes;
  /// Whether the result's rows are the stored picture's columns.
  bool turned;
  /// For each of red, green and blue six numbers: the planes' factors, a constant, and the limits of the result.
  const float *colours;
} tamring_video_conversion;

/// How many floats a conversion needs to work in, aligned to 64 bytes.
/// - columns: the most that a plane has.
int64_t tamring_video_convert_scratch(int64_t size, int64_t columns);

/// dst [size, size, 3] = min(max(Σ factor · resized plane + constant, lowest), highest).
/// Planes are resized before colours are converted, so size² pixels are converted, whatever the crop.
void tamring_video_convert(const tamring_video_conversion *conversion, const tamring_video_plane *planes, float *scratch,
                           float *dst);

// The same bits for other CPU levels, for tests. The second needs AVX2.
void tamring_video_convert_generic(const tamring_video_conversion *conversion, const tamring_video_plane *planes,
                                   float *scratch, float *dst);
void tamring_video_convert_avx2(const tamring_video_conversion *conversion, const tamring_video_plane *planes,
                                float *scratch, float *dst);

/// Composes values over black: values = (black + (value − black) · alpha / opaque) · scale, rounded to nearest.
/// A chroma value covers 2^shift_x · 2^shift_y alphas, and takes the mean of those that exist. The first value of a row
/// covers the alphas from number −skip_x on; the same holds for rows.
typedef struct {
  int64_t columns, rows, alpha_columns, alpha_rows;
  int64_t shift_x, shift_y, skip_x, skip_y;
  float black, opaque, scale;
} tamring_video_alpha;
void tamring_video_over_black(const tamring_video_alpha *rule, const uint16_t *alpha, uint16_t *values);

/// Replaces indices by a channel of a palette of 256 entries of four bytes.
void tamring_video_look_up(const uint8_t *palette, int64_t channel, int64_t count, uint16_t *values);
