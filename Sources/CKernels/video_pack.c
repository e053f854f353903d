// What packing a clip does to whole pictures: it compares, turns, and lays over black.
#include "video_pack.h"

uint64_t tamring_squared_differences(const uint8_t *a, int64_t a_row_bytes, const uint8_t *b, int64_t b_row_bytes,
                                     int64_t columns, int64_t rows) {
  uint64_t total = 0;
  for (int64_t y = 0; y < rows; y++, a += a_row_bytes, b += b_row_bytes) {
    // A row of 2^16 samples stays below 2^32.
    uint32_t sum = 0;
    for (int64_t x = 0; x < columns; x++) {
      const int32_t difference = a[x] - b[x];
      sum += (uint32_t)(difference * difference);
    }
    total += sum;
  }
  return total;
}

void tamring_turn_plane(const uint8_t *src, int64_t src_row_bytes, uint8_t *dst, int64_t dst_row_bytes, int64_t columns,
                        int64_t rows, bool transposed, bool mirrors_x, bool mirrors_y) {
  for (int64_t y = 0; y < rows; y++) {
    const int64_t v = mirrors_y ? rows - 1 - y : y;
    for (int64_t x = 0; x < columns; x++) {
      const int64_t u = mirrors_x ? columns - 1 - x : x;
      dst[y * dst_row_bytes + x] = transposed ? src[u * src_row_bytes + v] : src[v * src_row_bytes + u];
    }
  }
}

void tamring_pixels_over_black(uint8_t *pixels, int64_t row_bytes, int64_t columns, int64_t rows, bool blank_is_opaque) {
  bool is_blank = blank_is_opaque;
  for (int64_t y = 0; y < rows && is_blank; y++) {
    for (int64_t x = 0; x < columns; x++) is_blank = is_blank && pixels[y * row_bytes + 4 * x + 3] == 0;
  }
  if (is_blank) return;
  for (int64_t y = 0; y < rows; y++) {
    uint8_t *pixel = pixels + y * row_bytes;
    for (int64_t x = 0; x < columns; x++, pixel += 4) {
      for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)((pixel[c] * pixel[3] + 127) / 255);
    }
  }
}
