// The stem: 7x7 kernels at stride 2 over few channels. The pixels of even and odd rows and columns form four images
// (phases) of half the size, over which the kernel is 4x4 at stride 1. net_winograd.c does the rest.
#include "net_winograd.h"

enum { TAPS = 4, KERNEL = 7, MOST_CHANNELS = 48 };

/// The tap of the 7x7 kernel that corresponds to a tap of a phase's kernel, or -1.
INLINE int64_t whole_tap(int64_t tap, int64_t phase) { return 2 * tap + phase - 1; }

void tamring_stem_phases(const tamring_window *w, const float *restrict src, float *restrict phases) {
  const int64_t c = w->channels, wide = tamring_stem_channels(c);
  for (int64_t y = 0; y < w->out_height; y++)
    for (int64_t x = 0; x < w->out_width; x++, phases += wide) {
      float pixel[MOST_CHANNELS] = {0};
      for (int64_t p = 0; p < 2 && 2 * y + p < w->height; p++)
        for (int64_t q = 0; q < 2 && 2 * x + q < w->width; q++)
          for (int64_t k = 0; k < c; k++)
            pixel[(2 * p + q) * c + k] = src[((2 * y + p) * w->width + 2 * x + q) * c + k];
      memcpy(phases, pixel, (size_t)wide * sizeof(float));
    }
}

/// Transforms four taps to six weights.
INLINE void transform_taps(const float16v g[TAPS], float16v u[6]) {
  const float16v even = g[0] + g[2], odd = g[1] + g[3], even2 = g[0] + 4.0f * g[2], odd2 = 2.0f * g[1] + 8.0f * g[3];
  u[0] = g[0] * 0.25f;
  u[1] = (even + odd) * (-1.0f / 6);
  u[2] = (even - odd) * (-1.0f / 6);
  u[3] = (even2 + odd2) * (1.0f / 24);
  u[4] = (even2 - odd2) * (1.0f / 24);
  u[5] = g[3];
}

/// The transpose of the above.
INLINE void transform_tap_gradients(const float16v u[6], float16v g[TAPS]) {
  const float16v even = (u[1] + u[2]) * (-1.0f / 6), odd = (u[1] - u[2]) * (-1.0f / 6);
  const float16v even2 = (u[3] + u[4]) * (1.0f / 24), odd2 = (u[3] - u[4]) * (1.0f / 12);
  g[0] = u[0] * 0.25f + even + even2;
  g[1] = odd + odd2;
  g[2] = even + 4.0f * even2;
  g[3] = odd + 4.0f * odd2 + u[5];
}

BODY stem_weights_body(int64_t outputs, int64_t channels, const float *restrict weights, float *restrict transformed) {
  const int64_t wide = tamring_stem_channels(channels), plane = outputs * wide + GAP;
  for (int64_t o = 0; o < outputs; o += LANES)
    for (int64_t k = 0; k < 4 * channels; k++) {
      const int64_t phase = k / channels, channel = k % channels;
      float16v half[6][TAPS];
      for (int64_t x = 0; x < TAPS; x++) {
        float16v g[TAPS] = {0}, u[6];
        const int64_t j = whole_tap(x, phase % 2);
        for (int64_t y = 0; y < TAPS && phase < 4 && j >= 0; y++) {
          const int64_t i = whole_tap(y, phase / 2);
          for (int lane = 0; lane < LANES && i >= 0; lane++)
            g[y][lane] = weights[(((o + lane) * channels + channel) * KERNEL + i) * KERNEL + j];
        }
        transform_taps(g, u);
        for (int y = 0; y < 6; y++) half[y][x] = u[y];
      }
      for (int y = 0; y < 6; y++) {
        float16v u[6];
        transform_taps(half[y], u);
        for (int x = 0; x < 6; x++) *(float16u *)(transformed + (y * 6 + x) * plane + o * wide + k * LANES) = u[x];
      }
    }
}
KERNEL(stem_weights, (int64_t outputs, int64_t channels, const float *weights, float *transformed),
       (outputs, channels, weights, transformed))

BODY stem_weight_gradients_body(int64_t outputs, int64_t channels, const float *restrict transformed, float *restrict gradients) {
  const int64_t plane = outputs * tamring_stem_channels(channels) + GAP;
  for (int64_t o = 0; o < outputs; o += LANES)
    for (int64_t k = 0; k < 4 * channels; k++) {
      const int64_t phase = k / channels, channel = k % channels;
      const int64_t place = (k / LANES * outputs + o + k % LANES) * LANES;
      float16v half[TAPS][6], g[TAPS][TAPS];
      for (int x = 0; x < 6; x++) {
        float16v u[6], taps[TAPS];
        for (int y = 0; y < 6; y++) u[y] = *(const float16u *)(transformed + (y * 6 + x) * plane + place);
        transform_tap_gradients(u, taps);
        for (int y = 0; y < TAPS; y++) half[y][x] = taps[y];
      }
      for (int y = 0; y < TAPS; y++) transform_tap_gradients(half[y], g[y]);
      for (int64_t y = 0; y < TAPS; y++)
        for (int64_t x = 0; x < TAPS; x++) {
          const int64_t i = whole_tap(y, phase / 2), j = whole_tap(x, phase % 2);
          for (int lane = 0; lane < LANES && i >= 0 && j >= 0; lane++)
            gradients[(((o + lane) * channels + channel) * KERNEL + i) * KERNEL + j] = g[y][x][lane];
        }
    }
}
KERNEL(stem_weight_gradients, (int64_t outputs, int64_t channels, const float *transformed, float *gradients),
       (outputs, channels, transformed, gradients))
