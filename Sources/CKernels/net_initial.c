// Normally and uniformly distributed initial values. Every operation rounds once, in the order written, so that all CPU
// levels and the plain reference in the tests agree to the bit.
#include "net_common.h"
#include "network_kernels.h"
#include "philox.h"

typedef double double8v __attribute__((vector_size(64)));
typedef double double8u __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t long8v __attribute__((vector_size(64)));
typedef float float8v __attribute__((vector_size(32)));

/// The natural logarithm of positive normal numbers, as PortableMath.log computes it.
INLINE double8v log8(double8v x) {
  const long8v bits = (long8v)x;
  double8v m = (double8v)((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
  const long8v above = m > 1.4142135623730951;  // -1 where it holds
  m = (double8v)(((long8v)(m * 0.5) & above) | ((long8v)m & ~above));
  const double8v exponent = __builtin_convertvector((bits >> 52) - 1023 - above, double8v);
  // log m = 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.172.
  const double8v z = (m - 1) / (m + 1), square = z * z;
  double8v sum = {0};
#pragma clang loop unroll(full)
  for (int n = 23; n >= 3; n -= 2) sum = (sum + 1.0 / n) * square;
  return exponent * 0x1.62e42fefa38p-1 + (exponent * 0x1.ef35793c7673p-45 + 2 * z * (1 + sum));
}

/// Generator blocks drawn at once; each yields two pairs.
enum { BLOCKS = 128, PAIRS = 2 * BLOCKS };

BODY fill_normal_body(uint64_t key, uint32_t stream, int64_t count, double deviation, float *restrict values) {
  uint64_t index = 0;
  for (int64_t done = 0; done < count;) {
    uint32_t words[4][BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
      const tamring_philox_block counter = {{(uint32_t)(index + i), (uint32_t)((index + i) >> 32), stream, 0}};
      const tamring_philox_block block = tamring_philox(counter, key);
      for (int w = 0; w < 4; w++) words[w][i] = block.word[w];
    }
    index += BLOCKS;

    // Points of the square [-1, 1)². Keep those within the unit circle, in the order drawn.
    double xs[2][BLOCKS], ys[2][BLOCKS], squares[2][BLOCKS];
    for (int half = 0; half < 2; half++)
      for (int i = 0; i < BLOCKS; i++) {
        const double x = 2 * ((double)words[2 * half][i] * 0x1p-32) - 1;
        const double y = 2 * ((double)words[2 * half + 1][i] * 0x1p-32) - 1;
        xs[half][i] = x;
        ys[half][i] = y;
        squares[half][i] = x * x + y * y;
      }
    double kept_x[PAIRS + 8], kept_y[PAIRS + 8], kept[PAIRS + 8];
    int64_t pairs = 0;
    for (int i = 0; i < BLOCKS; i++)
      for (int half = 0; half < 2; half++) {
        const double square = squares[half][i];
        kept_x[pairs] = xs[half][i];
        kept_y[pairs] = ys[half][i];
        kept[pairs] = square;
        pairs += square > 0 && square < 1;
      }
    // Compute whole vectors; results behind the last pair are not used.
    for (int64_t i = pairs; i < pairs + 8; i++) kept_x[i] = kept_y[i] = 0, kept[i] = 0.5;

    for (int64_t i = 0; i < pairs && done < count; i += 8) {
      const double8v square = *(const double8u *)(kept + i);
      const double8v radius = __builtin_elementwise_sqrt(-2 * log8(square) / square);
      const float8v first = __builtin_convertvector(deviation * *(const double8u *)(kept_x + i) * radius, float8v);
      const float8v second = __builtin_convertvector(deviation * *(const double8u *)(kept_y + i) * radius, float8v);
      const int64_t here = smaller(8, pairs - i);
      for (int64_t k = 0; k < here && done < count; k++) {
        values[done++] = first[k];
        if (done < count) values[done++] = second[k];
      }
    }
  }
}
KERNEL(fill_normal, (uint64_t key, uint32_t stream, int64_t count, double deviation, float *values),
       (key, stream, count, deviation, values))

BODY fill_uniform_body(uint64_t key, uint32_t stream, int64_t count, double bound, float *restrict values) {
  for (int64_t i = 0; i < count; i += 4) {
    const tamring_philox_block counter = {{(uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), stream, 0}};
    const tamring_philox_block block = tamring_philox(counter, key);
    for (int64_t k = 0; k < smaller(4, count - i); k++)
      values[i + k] = (float)(bound * (2 * ((double)block.word[k] * 0x1p-32) - 1));
  }
}
KERNEL(fill_uniform, (uint64_t key, uint32_t stream, int64_t count, double bound, float *values),
       (key, stream, count, bound, values))
