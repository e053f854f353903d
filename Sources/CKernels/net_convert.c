// Conversion between bf16 and float, and the head's two loops over features.
#include "net_common.h"
#include "network_kernels.h"

BODY from_bf16_body(const void *restrict src, int64_t n, float *restrict dst) {
  for (int64_t i = 0; i < n; i++) dst[i] = get(true, src, i);
}
KERNEL(from_bf16, (const void *src, int64_t n, float *dst), (src, n, dst))

BODY to_bf16_body(const float *restrict src, int64_t n, void *restrict dst) {
  for (int64_t i = 0; i < n; i++) put(true, dst, i, src[i]);
}
KERNEL(to_bf16, (const float *src, int64_t n, void *dst), (src, n, dst))

BODY round_to_bf16_body(const float *restrict src, int64_t n, float *restrict dst) {
  for (int64_t i = 0; i < n; i++) {
    uint16_t half;
    put(true, &half, 0, src[i]);
    dst[i] = get(true, &half, 0);
  }
}
KERNEL(round_to_bf16, (const float *src, int64_t n, float *dst), (src, n, dst))

BODY gather_pixels_body(bool bf16, const void *restrict src, int64_t pixels, int64_t channels,
                        const float *restrict shares, float *restrict sums) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c++) sums[c] += get(bf16, src, pixel * channels + c) * shares[c];
}
ACTIVATION_KERNEL(gather_pixels,
                  (bool bf16, const void *src, int64_t pixels, int64_t channels, const float *shares, float *sums),
                  (bf16, src, pixels, channels, shares, sums))

BODY spread_pixels_body(bool bf16, const float *restrict values, int64_t pixels, int64_t channels,
                        const float *restrict shares, void *restrict dst) {
  for (int64_t pixel = 0; pixel < pixels; pixel++)
    for (int64_t c = 0; c < channels; c++) put(bf16, dst, pixel * channels + c, values[c] * shares[c]);
}
ACTIVATION_KERNEL(spread_pixels,
                  (bool bf16, const float *values, int64_t pixels, int64_t channels, const float *shares, void *dst),
                  (bf16, values, pixels, channels, shares, dst))
