// The ring's integer kernels: quantisation of gradients, bit-shuffling of chunks, sums and checksums.
// Each kernel is built for several CPU levels and chosen when the program is loaded; `_plain` is the same body built
// once for the lowest level, so that a test can show that both give the same bits.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// The parameters that quantise one tensor of one lane.
typedef struct {
  double inverse_scale;  ///< 2^-exponent
  double limit;          ///< largest |g / scale| that is added; beyond it 0 is added
  uint64_t key;          ///< Philox key of the noise
  uint32_t tensor;       ///< counter words 1 to 3; word 0 is element / 8
  uint32_t lane;
  uint32_t step;
  uint64_t first;        ///< the tensor's element that the gradient begins with; a multiple of 8
  bool past_caches;      ///< whether to write sums past the caches, if they are written and not added to
} tamring_ring_quantiser;

/// sums[i] = [sums[i] +] floor(gradient[i] / scale + u), u uniform in [0, 1). Returns the largest bit pattern of
/// |gradient[i]|: as a float the largest magnitude, or at least 0x7f800000 where one is not finite.
uint32_t tamring_ring_quantise(const float *gradient, size_t count, const tamring_ring_quantiser *quantiser,
                               bool add, int32_t *sums);
uint32_t tamring_ring_quantise_plain(const float *gradient, size_t count, const tamring_ring_quantiser *quantiser,
                                     bool add, int32_t *sums);

/// Values per block of bit planes; chunks are zero-padded to whole blocks.
enum { tamring_ring_block = 256 };

/// Zigzag, then bit planes: plane b holds bit b of all values, 32 bytes a block. `planes` has the size of the padded
/// values; within a block, 32-bit word w of a plane holds values w, w + 8, w + 16, … from its lowest bit on.
void tamring_ring_shuffle32(const int32_t *values, size_t count, uint8_t *planes);
void tamring_ring_shuffle32_plain(const int32_t *values, size_t count, uint8_t *planes);
void tamring_ring_shuffle64(const int64_t *values, size_t count, uint8_t *planes);
void tamring_ring_shuffle64_plain(const int64_t *values, size_t count, uint8_t *planes);

/// The inverse: writes `count` values.
void tamring_ring_unshuffle32(const uint8_t *planes, size_t count, int32_t *values);
void tamring_ring_unshuffle32_plain(const uint8_t *planes, size_t count, int32_t *values);
void tamring_ring_unshuffle64(const uint8_t *planes, size_t count, int64_t *values);
void tamring_ring_unshuffle64_plain(const uint8_t *planes, size_t count, int64_t *values);

/// sums[i] = addend[i] + values[i], modulo 2^32 or 2^64. `values` may lie at any address, and be where `sums` is; so
/// may `addend`. Sums that nobody reads soon are better written past the caches.
void tamring_ring_add32(int32_t *sums, const int32_t *addend, const void *values, size_t count, bool past_caches);
void tamring_ring_add64(int64_t *sums, const int64_t *addend, const void *values, size_t count);

/// Whether all values fit into 16 bits; then `shorts` holds them.
bool tamring_ring_shorten32(const int32_t *values, size_t count, int16_t *shorts);
bool tamring_ring_shorten32_plain(const int32_t *values, size_t count, int16_t *shorts);

/// sums[i] = addend[i] + shorts[i], modulo 2^32, as in tamring_ring_add32; without an addend if that is null.
void tamring_ring_add16(int32_t *sums, const int32_t *addend, const void *shorts, size_t count, bool past_caches);
void tamring_ring_add16_plain(int32_t *sums, const int32_t *addend, const void *shorts, size_t count, bool past_caches);

/// The sum of squares, in double precision and 16 fixed partial sums.
double tamring_ring_sum_squares(const int32_t *values, size_t count);
double tamring_ring_sum_squares_plain(const int32_t *values, size_t count);

/// Sum of r(first + i)·values[i] modulo 2^64, r an odd 32-bit hash; the two widths use different ones.
uint64_t tamring_ring_checksum32(const int32_t *values, size_t first, size_t count);
uint64_t tamring_ring_checksum32_plain(const int32_t *values, size_t first, size_t count);
uint64_t tamring_ring_checksum64(const int64_t *values, size_t count);
