// Integers in half their bytes, if they fit.
#include "ring_clones.h"
#include "ring_kernels.h"

typedef int16_t short16v __attribute__((vector_size(32)));
typedef int16_t short16u __attribute__((vector_size(32), aligned(1), may_alias));
typedef int32_t word16v __attribute__((vector_size(64)));
typedef int32_t word16u __attribute__((vector_size(64), aligned(4), may_alias));

RING_BODY bool shorten(const int32_t *restrict values, size_t count, int16_t *restrict shorts) {
  uint32_t beyond = 0;
  for (size_t i = 0; i < count; i++) {
    beyond |= ((uint32_t)values[i] + 0x8000u) >> 16;
    shorts[i] = (int16_t)values[i];
  }
  return beyond == 0;
}

RING_CLONES bool tamring_ring_shorten32(const int32_t *values, size_t count, int16_t *shorts) {
  return shorten(values, count, shorts);
}

bool tamring_ring_shorten32_plain(const int32_t *values, size_t count, int16_t *shorts) {
  return shorten(values, count, shorts);
}

RING_BODY void add_shorts(int32_t *sums, const int32_t *addend, const void *shorts, size_t count, bool past_caches) {
  const char *from = shorts;
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const short16v part = *(const short16u *)(from + 2 * i);
    word16v sum = __builtin_convertvector(part, word16v);
    if (addend) sum += *(const word16u *)(addend + i);
    if (past_caches)
      __builtin_nontemporal_store(sum, (word16v *)(sums + i));
    else
      *(word16u *)(sums + i) = sum;
  }
  for (; i < count; i++) {
    int16_t part;
    __builtin_memcpy(&part, from + 2 * i, sizeof part);
    sums[i] = (int32_t)((addend ? (uint32_t)addend[i] : 0) + (uint32_t)part);
  }
}

RING_BODY void add_to(int32_t *sums, const int32_t *addend, const void *shorts, size_t count, bool past_caches) {
  if (past_caches && ((uintptr_t)sums & 63) == 0)
    add_shorts(sums, addend, shorts, count, true);
  else
    add_shorts(sums, addend, shorts, count, false);
}

RING_CLONES void tamring_ring_add16(int32_t *sums, const int32_t *addend, const void *shorts, size_t count,
                                    bool past_caches) {
  add_to(sums, addend, shorts, count, past_caches);
}

void tamring_ring_add16_plain(int32_t *sums, const int32_t *addend, const void *shorts, size_t count, bool past_caches) {
  add_to(sums, addend, shorts, count, past_caches);
}
