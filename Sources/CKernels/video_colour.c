// Changes to the colours of a frame of red, green and blue from 0 to 1. Each operation rounds once, in the order
// written.
#include "video_colour.h"

#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))

static inline float clamped(float value) {
  const float low = value < 0 ? 0 : value;
  return low > 1 ? 1 : low;
}

static inline float grey(const float *pixel) {
  return (0.2989f * pixel[0] + 0.587f * pixel[1]) + 0.114f * pixel[2];
}

CLONES void tamring_scale_channels(int64_t pixels, const float *scale, const float *shift, float *frame) {
  for (int64_t i = 0; i < pixels; i++)
    for (int c = 0; c < 3; c++) frame[3 * i + c] = frame[3 * i + c] * scale[c] + shift[c];
}

CLONES void tamring_brightness(int64_t pixels, float factor, float *frame) {
  for (int64_t i = 0; i < 3 * pixels; i++) frame[i] = clamped(frame[i] * factor);
}

CLONES void tamring_contrast(int64_t pixels, float factor, float *frame) {
  double partial[16] = {0};
  for (int64_t i = 0; i < pixels; i++) partial[i % 16] += (double)grey(frame + 3 * i);
  double sum = 0;
  for (int k = 0; k < 16; k++) sum += partial[k];
  const float rest = (1 - factor) * (float)(sum / (double)pixels);
  for (int64_t i = 0; i < 3 * pixels; i++) frame[i] = clamped(factor * frame[i] + rest);
}

CLONES void tamring_saturation(int64_t pixels, float factor, float *frame) {
  for (int64_t i = 0; i < pixels; i++) {
    float *pixel = frame + 3 * i;
    const float rest = (1 - factor) * grey(pixel);
    for (int c = 0; c < 3; c++) pixel[c] = clamped(factor * pixel[c] + rest);
  }
}

// The hue is a place on a circle of six sectors, from red over green and blue back to red.
CLONES void tamring_hue(int64_t pixels, float turns, float *frame) {
  for (int64_t i = 0; i < pixels; i++) {
    float *pixel = frame + 3 * i;
    const float r = pixel[0], g = pixel[1], b = pixel[2];
    const float most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const float range = most - least;
    if (!(range > 0)) continue;
    float hue = most == r ? (g - b) / range : most == g ? 2 + (b - r) / range : 4 + (r - g) / range;
    hue = hue + 6 * turns;
    hue = hue < 0 ? hue + 6 : hue;
    hue = hue >= 6 ? hue - 6 : hue;
    // Each channel's distance, in sectors, from where it is full: the channel falls from there over two sectors.
    const float centres[3] = {0, 2, 4};
    for (int c = 0; c < 3; c++) {
      float distance = hue - centres[c];
      distance = distance < 0 ? -distance : distance;
      distance = distance > 3 ? 6 - distance : distance;
      pixel[c] = clamped(least + range * clamped(2 - distance));
    }
  }
}
