// Which taps of a sliding window meet an image, along one side.
#pragma once
#include "net_common.h"

/// A range of taps, or of windows.
typedef struct {
  int64_t begin, end;
} taps;

/// The taps of a window's row or column that lie inside the image.
static inline __attribute__((always_inline)) taps inside(int64_t start, int64_t kernel, int64_t size) {
  const taps result = {start < 0 ? -start : 0, smaller(kernel, size - start)};
  return result;
}

/// The windows along one side that contain a pixel.
INLINE taps covering(int64_t pixel, const tamring_window *w, int64_t count) {
  const int64_t below = pixel + w->padding - w->kernel + 1;
  const taps result = {below > 0 ? (below + w->stride - 1) / w->stride : 0,
                       smaller(count, (pixel + w->padding) / w->stride + 1)};
  return result;
}
