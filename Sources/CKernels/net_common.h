// Shared by the network's kernels: dispatch by CPU level, vectors of sixteen, and conversion from and to bf16.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "network_kernels.h"

// Bodies are inlined into every variant, so all of them run the same operations in the same order. No variant may
// fuse a multiply with an add (-ffp-contract=off), and every reduction fixes its order by hand: equal bits.
#define BODY static inline __attribute__((always_inline)) void
// The compiler would split vectors of 64 bytes in two.
#define WHOLE_VECTORS __attribute__((min_vector_width(512)))
#define CLONES WHOLE_VECTORS __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define CLONES_WITHOUT_V4 __attribute__((target_clones("default", "arch=x86-64-v3")))

/// Defines `tamring_NAME`, dispatched at load time, and `tamring_NAME_generic`, for tests to compare it with.
#define KERNEL(name, parameters, arguments)                                    \
  CLONES void tamring_##name parameters { name##_body arguments; }             \
  void tamring_##name##_generic parameters { name##_body arguments; }

/// The same for a GEMM, whose body's first parameter, `wide`, is constant: whether there are AVX-512's 32 vector
/// registers. The arguments of the kernel come without parentheses.
#define GEMM_KERNEL(name, parameters, ...)                                                                     \
  static WHOLE_VECTORS __attribute__((target("arch=x86-64-v4"))) void name##_wide parameters { name##_body(true, __VA_ARGS__); } \
  static CLONES_WITHOUT_V4 void name##_narrow parameters { name##_body(false, __VA_ARGS__); }                  \
  void tamring_##name parameters {                                                                             \
    __builtin_cpu_supports("x86-64-v4") ? name##_wide(__VA_ARGS__) : name##_narrow(__VA_ARGS__);               \
  }                                                                                                            \
  void tamring_##name##_generic parameters { name##_body(false, __VA_ARGS__); }

/// The same for a kernel on activations: its body is inlined once for float and once for bfloat16, with a constant
/// `bf16`, which must be the name of its first parameter.
#define ACTIVATION_KERNEL(name, parameters, arguments)                         \
  static inline __attribute__((always_inline)) void name##_either parameters { \
    if (bf16) {                                                                \
      const bool bf16 = true;                                                  \
      name##_body arguments;                                                   \
    } else {                                                                   \
      const bool bf16 = false;                                                 \
      name##_body arguments;                                                   \
    }                                                                          \
  }                                                                            \
  CLONES void tamring_##name parameters { name##_either arguments; }           \
  void tamring_##name##_generic parameters { name##_either arguments; }

typedef float float16v __attribute__((vector_size(64)));
typedef int int16v __attribute__((vector_size(64)));
typedef float float16u __attribute__((vector_size(64), aligned(4), may_alias));
typedef int int16u __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t word16v __attribute__((vector_size(64)));
typedef uint16_t half16v __attribute__((vector_size(32)));
typedef uint16_t half16u __attribute__((vector_size(32), aligned(2), may_alias));

/// Whether to write `bytes` of results at `to` past the caches, because they are too many for them.
static inline bool streams(int64_t bytes, const void *to) { return bytes > (16 << 20) && ((uintptr_t)to & 63) == 0; }

#define STORE(value, stream, to)                            \
  do {                                                      \
    if (stream)                                             \
      __builtin_nontemporal_store(value, (float16v *)(to)); \
    else                                                    \
      *(float16u *)(to) = value;                            \
  } while (0)

// Functions that take vectors are always inlined, so the calling convention of another level does not matter.
#pragma clang diagnostic ignored "-Wpsabi"
#define INLINE static inline __attribute__((always_inline))

// A bf16 number is the upper half of a float. Conversion rounds to nearest, ties to even, and keeps NaN.

INLINE int64_t element_size(bool bf16) { return bf16 ? 2 : 4; }

/// The address of element `i` in a block of activations.
INLINE const void *at(bool bf16, const void *block, int64_t i) { return (const char *)block + i * element_size(bf16); }

INLINE void *writable_at(bool bf16, void *block, int64_t i) { return (char *)block + i * element_size(bf16); }

INLINE float get(bool bf16, const void *from, int64_t i) {
  if (!bf16) return ((const float *)from)[i];
  const uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

INLINE void put(bool bf16, void *to, int64_t i, float value) {
  if (bf16) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    ((uint16_t *)to)[i] = (uint16_t)(value != value ? quiet : rounded);
  } else {
    ((float *)to)[i] = value;
  }
}

INLINE float16v get16(bool bf16, const void *from, int64_t i) {
  if (!bf16) return *(const float16u *)((const float *)from + i);
  const half16v half = *(const half16u *)((const uint16_t *)from + i);
  return (float16v)(__builtin_convertvector(half, word16v) << 16);
}

/// Prefetches what get16 will read.
INLINE void prefetch16(bool bf16, const void *from, int64_t i) { __builtin_prefetch(at(bf16, from, i), 0, 2); }

/// Prefetches where put16 will write.
INLINE void fetch_place16(bool bf16, void *to, int64_t i) { __builtin_prefetch(at(bf16, to, i), 1, 2); }

INLINE half16v bf16x16(float16v value) {
  const word16v bits = (word16v)value, none = (word16v)(value != value);
  const word16v rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
  return __builtin_convertvector((rounded & ~none) | (quiet & none), half16v);
}

/// With `stream`, writes past the caches; the address must then be aligned.
INLINE void put16(bool bf16, bool stream, void *to, int64_t i, float16v value) {
  if (bf16) {
    uint16_t *place = (uint16_t *)to + i;
    if (stream)
      __builtin_nontemporal_store(bf16x16(value), (half16v *)place);
    else
      *(half16u *)place = bf16x16(value);
  } else {
    STORE(value, stream, (float *)to + i);
  }
}

/// `then` where `value` is above 0, else 0.
INLINE float16v where_positive(float16v value, float16v then) { return (float16v)((int16v)then & (value > 0)); }

/// Scales and shifts the sums of the sixteen channels from `c` on.
INLINE float16v scaled_and_shifted(const tamring_epilogue *epilogue, int64_t c, float16v sums) {
  return sums * *(const float16u *)(epilogue->scale + c) + *(const float16u *)(epilogue->shift + c);
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// The most columns whose float sums stay in the L1 cache. With fewer columns, memory is read sequentially.
enum { COLUMNS = 2048 };
