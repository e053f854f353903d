// Zigzag and bit planes. A block of 256 values is seen as 32 rows of 8: transposing 32 × 32 bits in all eight columns
// at once needs only shifts and masks of whole rows, which suit every vector width.
#include <string.h>

#include "ring_clones.h"
#include "ring_kernels.h"

enum { rows = 32, plane_bytes = 32 };

typedef uint32_t row __attribute__((vector_size(32)));

// Bit c of row r becomes bit r of row c, in each column; its own inverse.
RING_BODY void transpose(row block[rows]) {
  uint32_t mask = 0x0000FFFFu;
#pragma clang loop unroll(full)
  for (int distance = 16; distance > 0; distance >>= 1) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      if (i & distance) continue;
      const row swap = (block[i] >> distance ^ block[i + distance]) & mask;
      block[i + distance] ^= swap;
      block[i] ^= swap << distance;
    }
    mask ^= mask << (distance >> 1);
  }
}

RING_BODY size_t block_count(size_t count) { return (count + tamring_ring_block - 1) / tamring_ring_block; }

RING_BODY void store_planes(row block[rows], size_t index, size_t blocks, uint8_t *planes) {
  transpose(block);
  for (size_t i = 0; i < rows; i++) memcpy(planes + (i * blocks + index) * plane_bytes, &block[i], plane_bytes);
}

RING_BODY void load_planes(row block[rows], size_t index, size_t blocks, const uint8_t *planes) {
  for (size_t i = 0; i < rows; i++) memcpy(&block[i], planes + (i * blocks + index) * plane_bytes, plane_bytes);
  transpose(block);
}

RING_BODY void shuffle32(const int32_t *restrict values, size_t count, uint8_t *restrict planes) {
  const size_t blocks = block_count(count);
  for (size_t index = 0; index < blocks; index++) {
    const size_t first = index * tamring_ring_block;
    const size_t present = count - first < tamring_ring_block ? count - first : tamring_ring_block;
    row block[rows];
    if (present < tamring_ring_block) memset(block, 0, sizeof block);
    memcpy(block, values + first, present * 4);
    for (int i = 0; i < rows; i++) block[i] = block[i] << 1 ^ (0 - (block[i] >> 31));
    store_planes(block, index, blocks, planes);
  }
}

RING_BODY void unshuffle32(const uint8_t *restrict planes, size_t count, int32_t *restrict values) {
  const size_t blocks = block_count(count);
  for (size_t index = 0; index < blocks; index++) {
    const size_t first = index * tamring_ring_block;
    const size_t present = count - first < tamring_ring_block ? count - first : tamring_ring_block;
    row block[rows];
    load_planes(block, index, blocks, planes);
    for (int i = 0; i < rows; i++) block[i] = block[i] >> 1 ^ (0 - (block[i] & 1));
    memcpy(values + first, block, present * 4);
  }
}

// 64-bit values: the planes of all low halves, then those of all high halves.
RING_BODY void shuffle64(const int64_t *restrict values, size_t count, uint8_t *restrict planes) {
  const size_t blocks = block_count(count);
  for (size_t index = 0; index < blocks; index++) {
    const size_t first = index * tamring_ring_block;
    const size_t present = count - first < tamring_ring_block ? count - first : tamring_ring_block;
    uint32_t low[tamring_ring_block] = {0}, high[tamring_ring_block] = {0};
    row block[rows];
    for (size_t i = 0; i < present; i++) {
      const uint64_t value = (uint64_t)values[first + i];
      const uint64_t zigzag = value << 1 ^ (0 - (value >> 63));
      low[i] = (uint32_t)zigzag;
      high[i] = (uint32_t)(zigzag >> 32);
    }
    memcpy(block, low, sizeof block);
    store_planes(block, index, blocks, planes);
    memcpy(block, high, sizeof block);
    store_planes(block, index, blocks, planes + rows * blocks * plane_bytes);
  }
}

RING_BODY void unshuffle64(const uint8_t *restrict planes, size_t count, int64_t *restrict values) {
  const size_t blocks = block_count(count);
  for (size_t index = 0; index < blocks; index++) {
    const size_t first = index * tamring_ring_block;
    const size_t present = count - first < tamring_ring_block ? count - first : tamring_ring_block;
    uint32_t low[tamring_ring_block], high[tamring_ring_block];
    row block[rows];
    load_planes(block, index, blocks, planes);
    memcpy(low, block, sizeof block);
    load_planes(block, index, blocks, planes + rows * blocks * plane_bytes);
    memcpy(high, block, sizeof block);
    for (size_t i = 0; i < present; i++) {
      const uint64_t zigzag = low[i] | (uint64_t)high[i] << 32;
      values[first + i] = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
    }
  }
}

RING_CLONES void tamring_ring_shuffle32(const int32_t *values, size_t count, uint8_t *planes) {
  shuffle32(values, count, planes);
}

void tamring_ring_shuffle32_plain(const int32_t *values, size_t count, uint8_t *planes) {
  shuffle32(values, count, planes);
}

RING_CLONES void tamring_ring_shuffle64(const int64_t *values, size_t count, uint8_t *planes) {
  shuffle64(values, count, planes);
}

void tamring_ring_shuffle64_plain(const int64_t *values, size_t count, uint8_t *planes) {
  shuffle64(values, count, planes);
}

RING_CLONES void tamring_ring_unshuffle32(const uint8_t *planes, size_t count, int32_t *values) {
  unshuffle32(planes, count, values);
}

void tamring_ring_unshuffle32_plain(const uint8_t *planes, size_t count, int32_t *values) {
  unshuffle32(planes, count, values);
}

RING_CLONES void tamring_ring_unshuffle64(const uint8_t *planes, size_t count, int64_t *values) {
  unshuffle64(planes, count, values);
}

void tamring_ring_unshuffle64_plain(const uint8_t *planes, size_t count, int64_t *values) {
  unshuffle64(planes, count, values);
}
