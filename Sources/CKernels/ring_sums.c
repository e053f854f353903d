// Integer addition, the sum of squares behind the scales, and the linear checksum.
#include "ring_clones.h"
#include "ring_kernels.h"

#pragma STDC FP_CONTRACT OFF

// A message's payload may be unaligned.
typedef uint32_t __attribute__((aligned(1), may_alias)) word32;
typedef uint64_t __attribute__((aligned(1), may_alias)) word64;

typedef uint32_t word16v __attribute__((vector_size(64), may_alias));
typedef uint32_t word16u __attribute__((vector_size(64), aligned(1), may_alias));

RING_CLONES void tamring_ring_add32(int32_t *sums, const int32_t *addend, const void *values, size_t count,
                                    bool past_caches) {
  const word32 *words = values;
  size_t i = 0;
  if (past_caches && ((uintptr_t)sums & 63) == 0)
    for (; i + 16 <= count; i += 16)
      __builtin_nontemporal_store(*(const word16u *)(addend + i) + *(const word16u *)(words + i), (word16v *)(sums + i));
  for (; i < count; i++) sums[i] = (int32_t)((uint32_t)addend[i] + words[i]);
}

RING_CLONES void tamring_ring_add64(int64_t *sums, const int64_t *addend, const void *values, size_t count) {
  const word64 *words = values;
  for (size_t i = 0; i < count; i++) sums[i] = (int64_t)((uint64_t)addend[i] + words[i]);
}

RING_BODY double sum_squares(const int32_t *values, size_t count) {
  double partial[16] = {0};
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int k = 0; k < 16; k++) {
      const double value = (double)values[i + (size_t)k];
      partial[k] += value * value;
    }
  }
  for (int k = 0; i < count; i++, k++) partial[k] += (double)values[i] * (double)values[i];
  for (int width = 8; width > 0; width >>= 1) {
    for (int k = 0; k < width; k++) partial[k] += partial[k + width];
  }
  return partial[0];
}

RING_CLONES double tamring_ring_sum_squares(const int32_t *values, size_t count) { return sum_squares(values, count); }

double tamring_ring_sum_squares_plain(const int32_t *values, size_t count) { return sum_squares(values, count); }

// Odd, so that no single changed value goes undetected; signed 32 bits, so that one instruction multiplies.
RING_BODY int32_t coefficient(uint32_t index) {
  uint32_t hash = (index + 1) * 0x9E3779B1u;
  hash = (hash ^ hash >> 15) * 0x85EBCA77u;
  return (int32_t)((hash ^ hash >> 13) | 1);
}

RING_BODY uint64_t checksum32(const int32_t *values, size_t first, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += (uint64_t)((int64_t)coefficient((uint32_t)(first + i)) * (int64_t)values[i]);
  return sum;
}

RING_CLONES uint64_t tamring_ring_checksum32(const int32_t *values, size_t first, size_t count) {
  return checksum32(values, first, count);
}

uint64_t tamring_ring_checksum32_plain(const int32_t *values, size_t first, size_t count) {
  return checksum32(values, first, count);
}

uint64_t tamring_ring_checksum64(const int64_t *values, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += (uint64_t)(int64_t)coefficient((uint32_t)i ^ 0x80000000u) * (uint64_t)values[i];
  }
  return sum;
}
