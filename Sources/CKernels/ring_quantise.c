// Stochastic rounding of a lane's gradients to integers, with noise from a counter.
#include <math.h>
#include <string.h>

#include "philox.h"
#include "ring_clones.h"
#include "ring_kernels.h"

#pragma STDC FP_CONTRACT OFF

// A Philox block, 128 bits, serves eight elements: with 16 bits each the noise is finer than any sum shows. Eight
// blocks are drawn in a vector, and four vectors in turn: a round depends on the round before it, but not on those of
// other vectors.
enum { abreast = 4, batch = 64 * abreast };

typedef uint64_t u64x8 __attribute__((vector_size(64), may_alias));

// The noise of elements first…first + batch - 1. Each 32-bit word sits in a 64-bit lane, whose upper half may hold
// garbage: the multiplication and the last step mask it.
RING_BODY void draw_noise(uint16_t *noise, size_t first, const tamring_ring_quantiser *quantiser) {
  const u64x8 zero = {0};
  const u64x8 low = zero + 0xFFFFFFFFu;
  const u64x8 index = {0, 1, 2, 3, 4, 5, 6, 7};
  u64x8 c0[abreast], c1[abreast], c2[abreast], c3[abreast];
  for (int v = 0; v < abreast; v++) {
    c0[v] = index + first / 8 + 8 * (size_t)v;
    c1[v] = zero + quantiser->tensor;
    c2[v] = zero + quantiser->lane;
    c3[v] = zero + quantiser->step;
  }
  uint32_t k0 = (uint32_t)quantiser->key, k1 = (uint32_t)(quantiser->key >> 32);
#pragma clang loop unroll(full)
  for (int round = 0; round < 10; round++) {
#pragma clang loop unroll(full)
    for (int v = 0; v < abreast; v++) {
      const u64x8 p0 = (c0[v] & low) * 0xD2511F53u;
      const u64x8 p1 = (c2[v] & low) * 0xCD9E8D57u;
      c0[v] = (p1 >> 32) ^ c1[v] ^ k0;
      c2[v] = (p0 >> 32) ^ c3[v] ^ k1;
      c1[v] = p1;
      c3[v] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int v = 0; v < abreast; v++, noise += 64) {
    const u64x8 even = (c0[v] & low) | c1[v] << 32;
    const u64x8 odd = (c2[v] & low) | c3[v] << 32;
    const u64x8 first_half = __builtin_shufflevector(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
    const u64x8 second_half = __builtin_shufflevector(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
    memcpy(noise, &first_half, 64);
    memcpy(noise + 32, &second_half, 64);
  }
}

/// A quantiser's parameters as floats. The scale is the product of two powers of two, because one might not fit a
/// float; products with them are exact.
typedef struct {
  float scales[2], limit;
} float_rule;

RING_BODY float_rule rule_of(const tamring_ring_quantiser *quantiser) {
  const int power = ilogb(quantiser->inverse_scale), half = power / 2;
  float_rule rule = {{(float)ldexp(1, half), (float)ldexp(1, power - half)}, (float)quantiser->limit};
  // Round the limit down, so that what is within it as a float is within it as a double.
  if ((double)rule.limit > quantiser->limit) rule.limit = nextafterf(rule.limit, 0);
  return rule;
}

RING_BODY uint32_t round_batch(const float *gradient, size_t count, const uint16_t *noise, float_rule rule, bool add,
                               int32_t *sums) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, &gradient[i], 4);
    bits &= 0x7FFFFFFFu;
    largest = bits > largest ? bits : largest;
    // x, its whole part and the rest are exact. The noise is the middle of one of 2^16 intervals of [0, 1): its mean is
    // 1/2.
    const float x = gradient[i] * rule.scales[0] * rule.scales[1];
    const float whole = __builtin_floorf(x), u = (float)(2 * (int32_t)noise[i] + 1) * 0x1p-17f;
    const float rounded = whole + (x - whole + u >= 1 ? 1.0f : 0.0f);
    // Select before converting: an out-of-range conversion is undefined.
    const float kept = __builtin_fabsf(x) <= rule.limit ? rounded : 0.0f;
    sums[i] = (int32_t)((add ? (uint32_t)sums[i] : 0) + (uint32_t)(int32_t)kept);
  }
  return largest;
}

RING_BODY uint32_t quantise(const float *restrict gradient, size_t count, const tamring_ring_quantiser *quantiser,
                            bool add, int32_t *restrict sums) {
  const float_rule rule = rule_of(quantiser);
  uint16_t noise[batch];
  uint32_t largest = 0;
  const bool past_caches = !add && quantiser->past_caches && ((uintptr_t)sums & 63) == 0;
  for (size_t i = 0; i < count; i += batch) {
    draw_noise(noise, quantiser->first + i, quantiser);
    const size_t rest = count - i;
    uint32_t found;
    if (rest < batch) {
      found = round_batch(gradient + i, rest, noise, rule, add, sums + i);
    } else if (past_caches) {
      u64x8 rounded[batch / 16];
      found = round_batch(gradient + i, batch, noise, rule, false, (int32_t *)rounded);
      for (int v = 0; v < batch / 16; v++) __builtin_nontemporal_store(rounded[v], (u64x8 *)(sums + i) + v);
    } else {
      found = round_batch(gradient + i, batch, noise, rule, add, sums + i);
    }
    largest = found > largest ? found : largest;
  }
  return largest;
}

RING_CLONES uint32_t tamring_ring_quantise(const float *gradient, size_t count, const tamring_ring_quantiser *quantiser,
                                           bool add, int32_t *sums) {
  return add ? quantise(gradient, count, quantiser, true, sums) : quantise(gradient, count, quantiser, false, sums);
}

uint32_t tamring_ring_quantise_plain(const float *gradient, size_t count, const tamring_ring_quantiser *quantiser,
                                     bool add, int32_t *sums) {
  return quantise(gradient, count, quantiser, add, sums);
}
