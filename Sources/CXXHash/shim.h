// The C headers behind CXXHash.
#pragma once
#include <xxhash.h>
#if defined(__x86_64__)
// The same hashes, by the widest instructions that the CPU has. Swift does not see macros that rename functions.
#include <xxh_x86dispatch.h>
#endif

static inline XXH64_hash_t tamring_xxh3_64(const void *bytes, size_t count) { return XXH3_64bits(bytes, count); }

static inline XXH64_hash_t tamring_xxh3_64_seeded(const void *bytes, size_t count, XXH64_hash_t seed) {
  return XXH3_64bits_withSeed(bytes, count, seed);
}

static inline XXH128_hash_t tamring_xxh3_128(const void *bytes, size_t count) { return XXH3_128bits(bytes, count); }

static inline XXH_errorcode tamring_xxh3_128_update(XXH3_state_t *state, const void *bytes, size_t count) {
  return XXH3_128bits_update(state, bytes, count);
}
