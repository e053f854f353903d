// What one core can reach, so that a step can be held against it: multiply-adds between registers, which wait for nothing.
// Prints a line of JSON, GFLOP/s (a multiply-add counts as two): {"float32": 127.3, "bf16": 240.1}; 0 for bf16 where
// the CPU has no instruction for it.
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

enum { CHAINS = 12, TIMES = 4 << 20, TRIES = 15 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Twelve sums, each in a register of its own; the compiler must neither drop them nor know what they hold.
#define EACH(DO) DO(s0) DO(s1) DO(s2) DO(s3) DO(s4) DO(s5) DO(s6) DO(s7) DO(s8) DO(s9) DO(s10) DO(s11)
#define HIDE(s) __asm__ volatile("" : "+v"(s));
#define LOOP(NAME, TARGET, VECTOR, ZERO, ADD)                                                                 \
  __attribute__((target(TARGET))) static double NAME(void) {                                                  \
    VECTOR a = ZERO(), b = a, s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a; \
    VECTOR s10 = a, s11 = a;                                                                                  \
    HIDE(a) HIDE(b) EACH(HIDE)                                                                                \
    const double begin = now();                                                                               \
    for (int i = 0; i < TIMES; i++) {                                                                         \
      EACH(ADD)                                                                                               \
      EACH(HIDE)                                                                                              \
    }                                                                                                         \
    return now() - begin;                                                                                     \
  }

#define FMA256(s) s = _mm256_fmadd_ps(a, b, s);
#define FMA512(s) s = _mm512_fmadd_ps(a, b, s);
#define DOT512(s) s = _mm512_dpbf16_ps(s, (__m512bh)a, (__m512bh)b);
LOOP(fma256, "avx2,fma", __m256, _mm256_setzero_ps, FMA256)
LOOP(fma512, "avx512f", __m512, _mm512_setzero_ps, FMA512)
LOOP(dot512, "avx512f,avx512bf16", __m512, _mm512_setzero_ps, DOT512)

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
