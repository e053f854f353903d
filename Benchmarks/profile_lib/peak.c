// What one core can reach, so that a step can be held against it: multiply-adds between registers, which wait for nothing.
// Prints a line of JSON, GFLOP/s (a multiply-add counts as two): {"float32": 127.3, "bf16": 240.1}; 0 for bf16 where the
// CPU has no instruction for it.
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

enum { CHAINS = 16, TIMES = 4 << 20, TRIES = 15 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// The compiler must neither drop the sums nor reorder them away: each passes through a register it knows nothing of.
#define LOOP(NAME, TARGET, VECTOR, ZERO, ADD)                                                 \
  __attribute__((target(TARGET))) static double NAME(void) {                                  \
    VECTOR sums[CHAINS];                                                                      \
    for (int c = 0; c < CHAINS; c++) sums[c] = ZERO();                                        \
    const double begin = now();                                                               \
    for (int i = 0; i < TIMES; i++)                                                           \
      _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++) {                             \
        sums[c] = ADD;                                                                        \
        __asm__ volatile("" : "+v"(sums[c]));                                                 \
      }                                                                                       \
    return now() - begin;                                                                     \
  }

LOOP(fma256, "avx2,fma", __m256, _mm256_setzero_ps, _mm256_fmadd_ps(_mm256_setzero_ps(), _mm256_setzero_ps(), sums[c]))
LOOP(fma512, "avx512f", __m512, _mm512_setzero_ps, _mm512_fmadd_ps(_mm512_setzero_ps(), _mm512_setzero_ps(), sums[c]))
LOOP(dot512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps,
     _mm512_dpbf16_ps(sums[c], (__m512bh)_mm512_setzero_ps(), (__m512bh)_mm512_setzero_ps()))

// The best of several tries: others use the machine too.
static double rate(double (*run)(void), double adds) {
  double best = 1e9;
  for (int i = 0; i < TRIES; i++) {
    const double seconds = run();
    if (seconds < best) best = seconds;
  }
  return 2e-9 * adds * CHAINS * TIMES / best;
}

int main(void) {
  const int wide = __builtin_cpu_supports("avx512f");
  printf("{\"float32\": %.1f, \"bf16\": %.1f}\n", wide ? rate(fma512, 16) : rate(fma256, 8),
         __builtin_cpu_supports("avx512bf16") ? rate(dot512, 32) : 0.0);
}
