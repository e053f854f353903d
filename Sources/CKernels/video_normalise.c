#include "video_normalise.h"

void tamring_video_normalise(const uint8_t *src, ptrdiff_t origin, ptrdiff_t y_step, ptrdiff_t x_step, size_t size,
                             const float *table, float *dst) {
  for (size_t y = 0; y < size; y++) {
    const uint8_t *pixel = src + origin + (ptrdiff_t)y * y_step;
    for (size_t x = 0; x < size; x++, pixel += x_step, dst += 3) {
      dst[0] = table[pixel[0]];
      dst[1] = table[256 + pixel[1]];
      dst[2] = table[512 + pixel[2]];
    }
  }
}
