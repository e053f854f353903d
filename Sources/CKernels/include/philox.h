// Philox 4x32-10, the counter-based generator that all randomness in Tamring is drawn from.
// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
#pragma once
#include <stdint.h>

typedef struct {
  uint32_t word[4];
} tamring_philox_block;

/// One block of four 32-bit words: a pure function of a 128-bit counter and a 64-bit key.
static inline tamring_philox_block tamring_philox(tamring_philox_block counter, uint64_t key) {
  uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const tamring_philox_block result = {{c0, c1, c2, c3}};
  return result;
}
