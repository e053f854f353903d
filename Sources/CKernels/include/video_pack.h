// What packing a clip does to whole pictures of 8-bit samples.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// The sum of squared differences of two planes.
uint64_t tamring_squared_differences(const uint8_t *a, int64_t a_row_bytes, const uint8_t *b, int64_t b_row_bytes,
                                     int64_t columns, int64_t rows);

/// Turns a plane: first the transposition, then the mirrors.
/// - columns, rows: of the result.
void tamring_turn_plane(const uint8_t *src, int64_t src_row_bytes, uint8_t *dst, int64_t dst_row_bytes, int64_t columns,
                        int64_t rows, bool transposed, bool mirrors_x, bool mirrors_y);

/// Lays pixels of red, green, blue and alpha over black. A picture without any opaque pixel is left as it is if
/// `blank_is_opaque`.
void tamring_pixels_over_black(uint8_t *pixels, int64_t row_bytes, int64_t columns, int64_t rows, bool blank_is_opaque);
