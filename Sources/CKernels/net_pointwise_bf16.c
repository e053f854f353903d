// 1x1 convolutions in bf16 as GEMMs, with pixels as rows, by the dot-product instruction that multiplies pairs of bf16
// and accumulates in float. Two consecutive terms lie side by side in a 32-bit word. A result is one chain of sums; a
// weight gradient is the sum of one chain per block of pixels.
#include <immintrin.h>

#include "net_products.h"
#include "network_kernels.h"

#define BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define BF16_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

/// DEPTH: pixels per block of the gradient; ROWS_AT_ONCE: pixels per block of results; both stay within the caches.
/// WIDE: vectors of results side by side, so that a broadcast word serves several multiplications.
enum { DEPTH = 256, ROWS_AT_ONCE = 192, WIDE = 4 };

BF16_INLINE __m256i rounded(const float *from, float scale) {
  return (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(_mm512_loadu_ps(from), _mm512_set1_ps(scale)));
}

/// Interleaves two rows of sixteen to sixteen words.
BF16_INLINE __m512i words(__m256i first, __m256i second) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(first), _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

BF16 void tamring_pointwise_pack_bf16(int64_t outputs, int64_t inputs, bool turned, const float *weights, const float *scale,
                               void *packed_words) {
  uint32_t *packed = packed_words;
  if (turned) {
    // A few rows at a time, for sequential memory access.
    for (int64_t top = 0; top < outputs; top += LANES)
      for (int64_t i = 0; i < inputs; i += LANES)
        for (int64_t o = top; o < top + LANES; o += 2) {
          const float *from = weights + o * inputs + i;
          _mm512_storeu_si512(packed + (i * outputs + o * LANES) / 2, words(rounded(from, 1), rounded(from + inputs, 1)));
        }
    return;
  }
  for (int64_t o = 0; o < outputs; o += LANES)
    for (int64_t i = 0; i < inputs; i += 2 * LANES) {
      const bool whole = i + LANES < inputs;
      float16v block[LANES];
      for (int r = 0; r < LANES; r++) {
        const float *from = weights + (o + r) * inputs + i;
        const float times = scale ? scale[o + r] : 1;
        const __m256i second = whole ? rounded(from + LANES, times) : _mm256_setzero_si256();
        block[r] = (float16v)_mm512_inserti64x4(_mm512_castsi256_si512(rounded(from, times)), second, 1);
      }
      transpose16(block);
      for (int r = 0; r < (whole ? LANES : LANES / 2); r++, packed += LANES) *(float16u *)packed = block[r];
    }
}

/// sums[r][v] = Σ a[r · row + k · step] · b[v · panel + 16 k] over `depth`, for `count` rows and `vectors` panels.
BF16_INLINE void tile(int count, int vectors, const uint32_t *restrict a, int64_t row, int64_t step,
                      const uint32_t *restrict b, int64_t panel, int64_t depth, __m512 sums[MOST_ROWS][WIDE]) {
  for (int r = 0; r < count; r++)
    for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; k++, a += step, b += LANES) {
    __m512i w[WIDE];
    for (int v = 0; v < vectors; v++) w[v] = _mm512_loadu_si512(b + v * panel);
    for (int r = 0; r < count; r++) {
      const __m512i all = _mm512_set1_epi32((int)a[r * row]);
      for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], (__m512bh)all, (__m512bh)w[v]);
    }
  }
}

/// `from` is the words per row of a, `to` the elements per row of c; `column` is the first channel of c.
BF16_INLINE void rows_product(int count, int vectors, const uint32_t *restrict a, int64_t from,
                              const uint32_t *restrict b, bool add, const tamring_epilogue *epilogue, int64_t column,
                              uint16_t *restrict c, int64_t to) {
  __m512 sums[MOST_ROWS][WIDE];
  tile(count, vectors, a, from, 1, b, from * LANES, from, sums);
  for (int r = 0; r < count; r++)
    for (int v = 0; v < vectors; v++) {
      __m256i *place = (__m256i *)(c + r * to + v * LANES);
      __m512 sum = sums[r][v];
      if (add) {
        const __m512i former = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(place)), 16);
        sum = _mm512_add_ps(sum, _mm512_castsi512_ps(former));
      }
      if (epilogue) {
        sum = _mm512_add_ps(sum, _mm512_loadu_ps(epilogue->shift + column + v * LANES));
        if (epilogue->relu) sum = _mm512_max_ps(sum, _mm512_setzero_ps());
      }
      _mm256_storeu_si256(place, (__m256i)_mm512_cvtneps_pbh(sum));
    }
}

/// Computes `vectors` panels of results for all `rows`, in groups that are as even as possible.
BF16_INLINE void panels_product(int vectors, const uint32_t *a, int64_t rows, int64_t from, const uint32_t *packed,
                                bool add, const tamring_epilogue *epilogue, int64_t column, uint16_t *c, int64_t to,
                                coming *next, coming *place_next) {
  const int64_t groups = (rows + MOST_ROWS - 1) / MOST_ROWS;
  for (int64_t group = 0; group < groups; group++) {
    const int64_t first = rows * group / groups, count = rows * (group + 1) / groups - first;
    const uint32_t *left = a + first * from;
    uint16_t *result = c + first * to;
    prefetch(next);
    prefetch(place_next);
#define TILE(n, vectors, r) \
  rows_product(n, vectors, left + (r) * from, from, packed, add, epilogue, column, result + (r) * to, to)
    FOR_ROWS(false, count, vectors, TILE)
#undef TILE
  }
}

BF16_INLINE void product(int64_t rows, int64_t from, int64_t to, const void *images, const void *packed, bool add,
                         const tamring_epilogue *epilogue, void *results) {
  const uint32_t *weights = packed;
  const int64_t half = from / 2;
  for (int64_t top = 0; top < rows; top += ROWS_AT_ONCE) {
    const int64_t high = smaller(ROWS_AT_ONCE, rows - top), below = smaller(ROWS_AT_ONCE, rows - top - high);
    const uint32_t *a = (const uint32_t *)images + top * half;
    uint16_t *c = (uint16_t *)results + top * to;
    const int64_t groups = (high + MOST_ROWS - 1) / MOST_ROWS, whole = to / (WIDE * LANES) * WIDE * LANES;
    const int64_t steps = (whole / WIDE + to - whole) / LANES * groups;
    coming next = next_block(a + high * half, below * half, steps);
    coming place_next = next_block(c + high * to, below * to / 2, steps);
    for (int64_t k = 0; k < whole; k += WIDE * LANES)
      panels_product(WIDE, a, high, half, weights + k * half, add, epilogue, k, c + k, to, &next,
                     &place_next);
    for (int64_t k = whole; k < to; k += LANES)
      panels_product(1, a, high, half, weights + k * half, add, epilogue, k, c + k, to, &next,
                     &place_next);
  }
}

// A constant null drops the epilogue from the loops.
BF16 void tamring_pointwise_bf16(int64_t rows, int64_t from, int64_t to, const void *images, const void *packed, bool add,
                                   const tamring_epilogue *epilogue, void *results) {
  if (epilogue)
    product(rows, from, to, images, packed, add, epilogue, results);
  else
    product(rows, from, to, images, packed, add, NULL, results);
}

/// Packs `count` rows with stride `row` to [channels / 16][pairs of rows][16].
BF16_INLINE void pack(const uint16_t *restrict rows, int64_t count, int64_t channels, int64_t row,
                      uint32_t *restrict panels) {
  const int64_t half = (count + 1) / 2;
  for (int64_t top = 0; top < half; top += LANES)
    for (int64_t k = 0; k < channels; k += LANES)
      for (int64_t r = top; r < smaller(half, top + LANES); r++) {
        const uint16_t *from = rows + 2 * r * row + k;
        const __m256i first = _mm256_loadu_si256((const __m256i *)from);
        const __m256i second =
            2 * r + 1 < count ? _mm256_loadu_si256((const __m256i *)(from + row)) : _mm256_setzero_si256();
        _mm512_storeu_si512(panels + k * half + r * LANES, words(first, second));
      }
}

BF16_INLINE void gradient_product(int count, int vectors, const uint32_t *restrict a, const uint32_t *restrict b,
                                int64_t depth, bool add, float *restrict c, int64_t to) {
  __m512 sums[MOST_ROWS][WIDE];
  tile(count, vectors, a, 1, LANES, b, depth * LANES, depth, sums);
  for (int r = 0; r < count; r++)
    for (int v = 0; v < vectors; v++) {
      float *place = c + r * to + v * LANES;
      _mm512_storeu_ps(place, add ? _mm512_add_ps(_mm512_loadu_ps(place), sums[r][v]) : sums[r][v]);
    }
}

/// Multiplies sixteen columns of a by `vectors` panels of b.
BF16_INLINE void square_product(int vectors, const uint32_t *a, const uint32_t *b, int64_t depth, bool add, float *c,
                                int64_t to) {
  gradient_product(6, vectors, a, b, depth, add, c, to);
  gradient_product(5, vectors, a + 6, b, depth, add, c + 6 * to, to);
  gradient_product(5, vectors, a + 11, b, depth, add, c + 11 * to, to);
}

BF16 void tamring_pointwise_weight_gradient_bf16(int64_t rows, int64_t outputs, int64_t row, int64_t inputs,
                                          const void *gradients, const void *images, bool add, void *room,
                                          float *weights) {
  const uint16_t *down = gradients, *across = images;
  const int64_t whole = inputs / (WIDE * LANES) * WIDE * LANES;
  for (int64_t top = 0; top < rows; top += DEPTH) {
    const int64_t count = smaller(DEPTH, rows - top), half = (count + 1) / 2;
    uint32_t *a = room, *b = a + DEPTH / 2 * outputs;
    pack(down + top * row, count, outputs, row, a);
    pack(across + top * inputs, count, inputs, inputs, b);
    const int64_t below = smaller(DEPTH, rows - top - count);
    const int64_t steps = outputs / LANES * (whole / WIDE + inputs - whole) / LANES;
    coming left_next = next_block(down + (top + count) * row, below * row / 2, steps);
    coming right_next = next_block(across + (top + count) * inputs, below * inputs / 2, steps);
    for (int64_t o = 0; o < outputs; o += LANES)
      for (int64_t i = 0; i < inputs; i += i < whole ? WIDE * LANES : LANES) {
        const uint32_t *left = a + o * half, *right = b + i * half;
        float *result = weights + o * inputs + i;
        prefetch(&left_next);
        prefetch(&right_next);
        if (i < whole)
          square_product(WIDE, left, right, half, add || top > 0, result, inputs);
        else
          square_product(1, left, right, half, add || top > 0, result, inputs);
      }
  }
}
