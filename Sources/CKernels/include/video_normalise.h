// The last pass over a decoded frame: bytes to normalised floats, turned and mirrored on the way.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// dst[y][x][c] = table[c][src[origin + y * y_step + x * x_step + c]], for a square of `size` pixels, 3 channels.
/// The steps (bytes, possibly negative) express any mirroring and quarter turn. `table` holds 3 x 256 values.
void tamring_video_normalise(const uint8_t *src, ptrdiff_t origin, ptrdiff_t y_step, ptrdiff_t x_step, size_t size,
                             const float *table, float *dst);
