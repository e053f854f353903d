// What the network's kernels share: dispatch to the CPU's level, and sixteen partial sums.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Bodies are inlined into every variant, so all of them run the same operations in the same order. No variant may
// fuse a multiply with an add (-ffp-contract=off), and every reduction fixes its order by hand: equal bits.
#define BODY static inline __attribute__((always_inline)) void
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))

/// Defines `tamring_NAME`, dispatched at load time, and `tamring_NAME_generic`, for tests to compare it with.
#define KERNEL(name, parameters, arguments)                                    \
  CLONES void tamring_##name parameters { name##_body arguments; }             \
  void tamring_##name##_generic parameters { name##_body arguments; }

typedef float float16v __attribute__((vector_size(64)));
typedef int int16v __attribute__((vector_size(64)));
typedef float float16u __attribute__((vector_size(64), aligned(4), may_alias));
typedef int int16u __attribute__((vector_size(64), aligned(4), may_alias));

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// Rows of `span` that are added in float before they go into doubles.
enum { BLOCK_ROWS = 32 };

/// Columns whose sums in float stay in the cache nearest to the processor.
enum { COLUMNS = 512 };

/// Whether `n` results at `to` are too many for the caches: then they are better written past them.
static inline bool streams(int64_t n, const float *to) { return n > (4 << 20) && ((uintptr_t)to & 63) == 0; }

#define STORE(value, stream, to)                            \
  do {                                                      \
    if (stream)                                             \
      __builtin_nontemporal_store(value, (float16v *)(to)); \
    else                                                    \
      *(float16u *)(to) = value;                            \
  } while (0)
