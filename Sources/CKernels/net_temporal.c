// The temporal aggregation module: a depthwise convolution over a clip's frames, then ReLU, and its gradients.
#include "net_common.h"
#include "network_kernels.h"

/// As many as a recipe may ask for.
enum { MOST_TAPS = 64 };

// Everything is done in tiles of a few rows of `span`, frame after frame, so that a tile of all frames stays in the
// cache while each of its frames is read `taps` times.
static inline __attribute__((always_inline)) int64_t result_offset(const tamring_temporal_shape *s, int64_t clip, int64_t t) {
  return s->split ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

static inline __attribute__((always_inline)) int64_t source_offset(const tamring_temporal_shape *s, int64_t clip, int64_t t) {
  return s->paired ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

/// What is added up into one frame: frames of n elements, and weights that repeat after `span`.
typedef struct {
  int64_t count;
  const float *frames[2 * MOST_TAPS], *weights[2 * MOST_TAPS];
} terms;

static inline __attribute__((always_inline)) void add_term(terms *t, const float *frame, const float *weights) {
  t->frames[t->count] = frame;
  t->weights[t->count++] = weights;
}

/// dst = [dst +] Σ weights * frames, in order [, then ReLU].
static inline __attribute__((always_inline)) void add_up(const terms *t, int64_t n, int64_t span, bool add, bool relu,
                                                         bool stream, float *dst) {
  for (int64_t i = 0; i < n; i += span) {
    const int64_t count = smaller(span, n - i), whole = count & -16;
    for (int64_t j = 0; j < whole; j += 16) {
      float16v sum = add ? *(const float16u *)(dst + i + j) : (float16v){0};
      for (int64_t k = 0; k < t->count; k++) {
        const float16v term = *(const float16u *)(t->weights[k] + j) * *(const float16u *)(t->frames[k] + i + j);
        sum = k > 0 || add ? sum + term : term;
      }
      if (relu) sum = (float16v)((int16v)sum & (sum > 0));
      STORE(sum, stream, dst + i + j);
    }
    for (int64_t j = whole; j < count; j++) {
      float sum = add ? dst[i + j] : 0;
      for (int64_t k = 0; k < t->count; k++) {
        const float term = t->weights[k][j] * t->frames[k][i + j];
        sum = k > 0 || add ? sum + term : term;
      }
      dst[i + j] = relu && !(sum > 0) ? 0 : sum;
    }
  }
}

BODY temporal_forward_body(const tamring_temporal_shape *s, int64_t clips, const float *restrict src,
                           const float *restrict weights, float *odd, float *even) {
  const int64_t tile = BLOCK_ROWS * s->span, back = s->taps / 2;
  const int64_t all = clips * s->frames * s->frame_size;
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t at = 0; at < s->frame_size; at += tile) {
      const int64_t n = smaller(tile, s->frame_size - at);
      for (int64_t t = 0; t < s->frames; t++) {
        float *dst = (s->split && t % 2 == 0 ? even : odd) + result_offset(s, clip, t) + at;
        terms added;
        added.count = 0;
        for (int64_t k = 0; k < s->taps; k++) {
          const int64_t from = t + k - back;
          if (from < 0 || from >= s->frames) continue;
          add_term(&added, src + source_offset(s, clip, from) + at, weights + k * s->span);
        }
        add_up(&added, n, s->span, false, true, streams(all, dst), dst);
      }
    }
}
KERNEL(temporal_forward,
       (const tamring_temporal_shape *s, int64_t clips, const float *src, const float *weights, float *odd, float *even),
       (s, clips, src, weights, odd, even))

/// sums += column sums of a * b.
static inline __attribute__((always_inline)) void add_products(const float *restrict a, const float *restrict b,
                                                               int64_t n, int64_t span, double *restrict sums) {
  const int64_t rows = n / span;
  for (int64_t j = 0; rows > 0 && j < span; j += COLUMNS) {
    const int64_t columns = smaller(COLUMNS, span - j);
    float block[COLUMNS];
    memset(block, 0, (size_t)columns * sizeof(float));
    for (int64_t row = 0; row < rows; row++)
      for (int64_t k = 0; k < columns; k++) block[k] += a[row * span + j + k] * b[row * span + j + k];
    for (int64_t k = 0; k < columns; k++) sums[j + k] += (double)block[k];
  }
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) sums[j] += (double)(a[i] * b[i]);
}

BODY temporal_backward_body(const tamring_temporal_shape *s, int64_t clips, const float *restrict src,
                            const float *restrict weights, const float *odd, const float *even, float *d_odd,
                            float *d_even, bool accumulate, float *d_src, double *restrict sums) {
  const int64_t tile = BLOCK_ROWS * s->span, back = s->taps / 2;
  const int64_t all = clips * s->frames * s->frame_size;
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t at = 0; at < s->frame_size; at += tile) {
      const int64_t n = smaller(tile, s->frame_size - at);
      for (int64_t t = 0; t < s->frames; t++) {
        const bool other = s->split && t % 2 == 0;
        const int64_t offset = result_offset(s, clip, t) + at;
        const float *result = (other ? even : odd) + offset;
        float *g = (other ? d_even : d_odd) + offset;
        for (int64_t j = 0; j < n; j++) g[j] = result[j] > 0 ? g[j] : 0;
        for (int64_t k = 0; k < s->taps; k++) {
          const int64_t from = t + k - back;
          if (from < 0 || from >= s->frames) continue;
          add_products(g, src + source_offset(s, clip, from) + at, n, s->span, sums + k * s->span);
        }
      }
      if (!d_src) continue;
      const int64_t together = s->paired ? 2 : 1;
      for (int64_t frame = 0; frame < s->frames; frame += together) {
        terms added;
        added.count = 0;
        for (int64_t from = frame; from < frame + together; from++)
          for (int64_t k = 0; k < s->taps; k++) {
            const int64_t t = from - k + back;
            if (t < 0 || t >= s->frames) continue;
            add_term(&added, (s->split && t % 2 == 0 ? d_even : d_odd) + result_offset(s, clip, t) + at,
                     weights + k * s->span);
          }
        float *dst = d_src + source_offset(s, clip, frame) + at;
        add_up(&added, n, s->span, accumulate, false, streams(all, dst), dst);
      }
    }
}
KERNEL(temporal_backward,
       (const tamring_temporal_shape *s, int64_t clips, const float *src, const float *weights, const float *odd,
        const float *even, float *d_odd, float *d_even, bool accumulate, float *d_src, double *sums),
       (s, clips, src, weights, odd, even, d_odd, d_even, accumulate, d_src, sums))
