// Changes to the colours of a frame, [pixels, 3], of red, green and blue from 0 to 1: what `torchvision.transforms`
// does under the same names.
#pragma once
#include <stdint.h>

/// value = value * scale + shift, for each of the three channels.
void tamring_scale_channels(int64_t pixels, const float *scale, const float *shift, float *frame);
/// value = value * factor, within 0 and 1.
void tamring_brightness(int64_t pixels, float factor, float *frame);
/// value = factor * value + (1 - factor) * the frame's mean grey, within 0 and 1; grey = .2989 r + .587 g + .114 b.
void tamring_contrast(int64_t pixels, float factor, float *frame);
/// value = factor * value + (1 - factor) * the pixel's grey, within 0 and 1.
void tamring_saturation(int64_t pixels, float factor, float *frame);
/// Turns the hue by a part of the circle, from -0.5 to 0.5; saturation and value (in HSV) stay.
void tamring_hue(int64_t pixels, float turns, float *frame);
