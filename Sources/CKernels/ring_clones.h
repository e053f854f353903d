// Builds a kernel of the ring for several CPU levels.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define RING_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define RING_CLONES
#endif

// A body that is compiled into each clone.
#define RING_BODY static inline __attribute__((always_inline))
