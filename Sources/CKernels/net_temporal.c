// The temporal aggregation module: a depthwise convolution over a clip's frames, then ReLU, and its gradients.
#include "net_common.h"
#include "network_kernels.h"

/// The most taps that a recipe may ask for.
enum { MOST_TAPS = 64 };

// The kernels work in tiles of a few rows of `span`, frame after frame, so that a tile of all frames stays in the cache
// while each of its frames is read `taps` times.
static inline __attribute__((always_inline)) int64_t result_offset(const tamring_temporal_shape *s, int64_t clip, int64_t t) {
  return s->split ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

static inline __attribute__((always_inline)) int64_t source_offset(const tamring_temporal_shape *s, int64_t clip, int64_t t) {
  return s->paired ? (clip * (s->frames / 2) + t / 2) * s->frame_size : (clip * s->frames + t) * s->frame_size;
}

/// Elements per tile. Each tile prefetches the next: the hardware prefetcher cannot follow so many frames at once.
INLINE int64_t tile_of(const tamring_temporal_shape *s) { return tamring_temporal_rows(s->span) * s->span; }

/// The sources of one result frame: frames of n elements, and weights that repeat after `span`.
typedef struct {
  int64_t count;
  const void *frames[2 * MOST_TAPS];
  const float *weights[2 * MOST_TAPS];
} terms;

static inline __attribute__((always_inline)) void add_term(terms *t, const void *frame, const float *weights) {
  t->frames[t->count] = frame;
  t->weights[t->count++] = weights;
}

/// dst = [dst +] Σ weights * frames, in order [, then ReLU]. `next` is the distance to the next tile: of dst and,
/// unless it is null, of `frame`.
INLINE void add_up(bool bf16, const terms *t, int64_t n, int64_t span, bool add, bool relu, bool stream,
                   const void *frame, int64_t next, void *dst) {
  for (int64_t i = 0; i < n; i += span) {
    const int64_t count = smaller(span, n - i), whole = count & -16;
    for (int64_t j = 0; j < whole; j += 16) {
      if (frame) prefetch16(bf16, frame, next + i + j);
      if (add || !stream) fetch_place16(bf16, dst, next + i + j);
      float16v sum = add ? get16(bf16, dst, i + j) : (float16v){0};
      for (int64_t k = 0; k < t->count; k++) {
        const float16v term = *(const float16u *)(t->weights[k] + j) * get16(bf16, t->frames[k], i + j);
        sum = k > 0 || add ? sum + term : term;
      }
      put16(bf16, stream, dst, i + j, relu ? where_positive(sum, sum) : sum);
    }
    for (int64_t j = whole; j < count; j++) {
      float sum = add ? get(bf16, dst, i + j) : 0;
      for (int64_t k = 0; k < t->count; k++) {
        const float term = t->weights[k][j] * get(bf16, t->frames[k], i + j);
        sum = k > 0 || add ? sum + term : term;
      }
      put(bf16, dst, i + j, relu && !(sum > 0) ? 0 : sum);
    }
  }
}

BODY temporal_forward_body(bool bf16, const tamring_temporal_shape *s, int64_t clips, const void *restrict src,
                           const float *restrict weights, void *odd, void *even) {
  const int64_t tile = tile_of(s), back = s->taps / 2;
  const int64_t bytes = clips * s->frames * s->frame_size * element_size(bf16);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t first = s->begin; first < s->end; first += tile) {
      const int64_t n = smaller(tile, s->end - first);
      for (int64_t t = 0; t < s->frames; t++) {
        void *dst = writable_at(bf16, s->split && t % 2 == 0 ? even : odd, result_offset(s, clip, t) + first);
        terms added;
        added.count = 0;
        for (int64_t k = 0; k < s->taps; k++) {
          const int64_t from = t + k - back;
          if (from < 0 || from >= s->frames) continue;
          add_term(&added, at(bf16, src, source_offset(s, clip, from) + first), weights + k * s->span);
        }
        add_up(bf16, &added, n, s->span, false, true, streams(bytes, dst),
               at(bf16, src, source_offset(s, clip, t) + first), tile, dst);
      }
    }
}
ACTIVATION_KERNEL(temporal_forward,
                  (bool bf16, const tamring_temporal_shape *s, int64_t clips, const void *src, const float *weights,
                   void *odd, void *even),
                  (bf16, s, clips, src, weights, odd, even))

/// Taps summed in one pass, and rows read side by side.
enum { TOGETHER = 3, SIDE_BY_SIDE = 2 };

/// A tap's frame, and where its column sums go.
typedef struct {
  const void *frame;
  double *sums;
} tap_sums;

/// A tile of the results and of their gradients, and the distances to the next tile.
typedef struct {
  const void *result;
  void *g;
  const void *frame;
  int64_t next;
} masked_tile;

/// For rows of `span` and some columns: g = 0 where the result is not positive; blocks[k] += column sums of g *
/// frames[k].
INLINE void mask_and_add(bool bf16, int count, int rows, const masked_tile *tile, const tap_sums *to, int64_t first,
                         int64_t span, int64_t columns, float blocks[TOGETHER][COLUMNS]) {
  const void *restrict result = tile->result;
  void *restrict g = tile->g;
  for (int64_t j = 0; j < columns; j += 16) {
    for (int row = 0; row < rows; row++) {
      const int64_t i = tile->next + first + rows * j + row * 16;
      prefetch16(bf16, result, i);
      prefetch16(bf16, g, i);
      prefetch16(bf16, tile->frame, i);
    }
    float16v sums[TOGETHER];
    for (int k = 0; k < count; k++) sums[k] = *(const float16u *)(blocks[k] + j);
    for (int row = 0; row < rows; row++) {
      const int64_t i = first + row * span + j;
      const float16v masked = where_positive(get16(bf16, result, i), get16(bf16, g, i));
      put16(bf16, false, g, i, masked);
      for (int k = 0; k < count; k++) sums[k] += masked * get16(bf16, to[k].frame, i);
    }
    for (int k = 0; k < count; k++) *(float16u *)(blocks[k] + j) = sums[k];
  }
}

/// The same over a tile of `n` elements, with the blocks added to doubles.
INLINE void mask_tile(bool bf16, int count, const masked_tile *tile, const tap_sums *to, int64_t n, int64_t span) {
  const int64_t rows = n / span;
  for (int64_t top = 0; top < rows; top += tamring_block_rows) {
    const int64_t last = smaller(rows, top + tamring_block_rows);
    for (int64_t j = 0; j < span; j += COLUMNS) {
      const int64_t columns = smaller(COLUMNS, span - j);
      float blocks[TOGETHER][COLUMNS];
      for (int k = 0; k < count; k++) memset(blocks[k], 0, (size_t)columns * sizeof(float));
      int64_t row = top;
      for (; row + SIDE_BY_SIDE <= last; row += SIDE_BY_SIDE)
        mask_and_add(bf16, count, SIDE_BY_SIDE, tile, to, row * span + j, span, columns, blocks);
      for (; row < last; row++) mask_and_add(bf16, count, 1, tile, to, row * span + j, span, columns, blocks);
      for (int k = 0; k < count; k++)
        for (int64_t i = 0; i < columns; i++) to[k].sums[j + i] += (double)blocks[k][i];
    }
  }
  for (int64_t i = rows * span, j = 0; i < n; i++, j++) {
    const float all = get(bf16, tile->g, i), masked = get(bf16, tile->result, i) > 0 ? all : 0;
    put(bf16, tile->g, i, masked);
    for (int k = 0; k < count; k++) to[k].sums[j] += (double)(masked * get(bf16, to[k].frame, i));
  }
}

BODY temporal_backward_body(bool bf16, const tamring_temporal_shape *s, int64_t clips, const void *restrict src,
                            const float *restrict weights, const void *odd, const void *even, void *d_odd,
                            void *d_even, bool accumulate, void *d_src, double *restrict sums) {
  const int64_t tile = tile_of(s), back = s->taps / 2;
  const int64_t bytes = clips * s->frames * s->frame_size * element_size(bf16);
  for (int64_t clip = 0; clip < clips; clip++)
    for (int64_t first = s->begin; first < s->end; first += tile) {
      const int64_t n = smaller(tile, s->end - first);
      for (int64_t t = 0; t < s->frames; t++) {
        const bool other = s->split && t % 2 == 0;
        const int64_t offset = result_offset(s, clip, t) + first;
        const masked_tile masked = {at(bf16, other ? even : odd, offset), writable_at(bf16, other ? d_even : d_odd, offset),
                                    at(bf16, src, source_offset(s, clip, t) + first), tile};
        tap_sums to[MOST_TAPS];
        int64_t count = 0;
        for (int64_t k = 0; k < s->taps; k++) {
          const int64_t from = t + k - back;
          if (from < 0 || from >= s->frames) continue;
          to[count].frame = at(bf16, src, source_offset(s, clip, from) + first);
          to[count++].sums = sums + k * s->span;
        }
        for (int64_t k = 0; k < count; k += TOGETHER) switch (smaller(TOGETHER, count - k)) {
            case 3: mask_tile(bf16, 3, &masked, to + k, n, s->span); break;
            case 2: mask_tile(bf16, 2, &masked, to + k, n, s->span); break;
            default: mask_tile(bf16, 1, &masked, to + k, n, s->span);
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
            const void *g = s->split && t % 2 == 0 ? d_even : d_odd;
            add_term(&added, at(bf16, g, result_offset(s, clip, t) + first), weights + k * s->span);
          }
        void *dst = writable_at(bf16, d_src, source_offset(s, clip, frame) + first);
        add_up(bf16, &added, n, s->span, accumulate, false, streams(bytes, dst), NULL, tile, dst);
      }
    }
}
ACTIVATION_KERNEL(temporal_backward,
                  (bool bf16, const tamring_temporal_shape *s, int64_t clips, const void *src, const float *weights,
                   const void *odd, const void *even, void *d_odd, void *d_even, bool accumulate, void *d_src,
                   double *sums),
                  (bf16, s, clips, src, weights, odd, even, d_odd, d_even, accumulate, d_src, sums))
