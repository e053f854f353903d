// From the planes of a decoded picture to the network's input, sixteen rows of the result at a time.
//
// Each plane is resized down its columns first, since that reads each row of the picture in order, then turned, so that
// a vector holds sixteen rows of one column, and resized across. Then colours are converted, and the result is turned
// back.
#include "net_common.h"
#include "video_convert.h"

enum { ROWS = 16, CHANNELS = 3, NUMBERS = 6 };

typedef uint8_t byte16u __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t sample16u __attribute__((vector_size(32), aligned(1), may_alias));

INLINE float16v splat(float value) { return value - (float16v){}; }

INLINE float16v multiply_add(float factor, float16v value, float16v sum) {
  return __builtin_elementwise_fma(splat(factor), value, sum);
}

INLINE float16v where(int16v condition, float16v then, float16v otherwise) {
  return (float16v)(((int16v)then & condition) | ((int16v)otherwise & ~condition));
}

INLINE float sample(bool wide, const uint8_t *at) {
  if (!wide) return *at;
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

typedef uint8_t byte32u __attribute__((vector_size(32), aligned(1), may_alias));

/// Every second, third or fourth of the bytes from `at` on, or every second of its 16-bit words. The second vector ends
/// with the last that is wanted, so that nothing behind it is read.
#define OF_TWO(at) \
  __builtin_shufflevector(*(const byte16u *)(at), *(const byte16u *)((at) + 15), 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, \
                          21, 23, 25, 27, 29, 31)
#define OF_THREE(at) \
  __builtin_shufflevector(*(const byte32u *)(at), *(const byte32u *)((at) + 14), 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, \
                          30, 51, 54, 57, 60, 63)
#define OF_FOUR(at) \
  __builtin_shufflevector(*(const byte32u *)(at), *(const byte32u *)((at) + 29), 0, 4, 8, 12, 16, 20, 24, 28, 35, 39, \
                          43, 47, 51, 55, 59, 63)
#define OF_TWO_WIDE(at) \
  __builtin_shufflevector(*(const sample16u *)(at), *(const sample16u *)((at) + 30), 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, \
                          21, 23, 25, 27, 29, 31)

#define FLOATS(samples) __builtin_convertvector(__builtin_convertvector(samples, int16v), float16v)

INLINE float16v samples16(bool wide, int64_t sample_bytes, const uint8_t *at) {
  if (!wide && sample_bytes == 1) return FLOATS(*(const byte16u *)at);
  if (!wide && sample_bytes == 2) return FLOATS(OF_TWO(at));
  if (!wide && sample_bytes == 3) return FLOATS(OF_THREE(at));
  if (!wide && sample_bytes == 4) return FLOATS(OF_FOUR(at));
  if (wide && sample_bytes == 2) return FLOATS(*(const sample16u *)at);
  if (wide && sample_bytes == 4) return FLOATS(OF_TWO_WIDE(at));
  float16v values = {};
  for (int i = 0; i < 16; i++) values[i] = sample(wide, at + i * sample_bytes);
  return values;
}

// Interleaving of two vectors: of their numbers, of pairs of them, and of quarters, within or across quarters.
#define LOW_NUMBERS(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH_NUMBERS(a, b) \
  __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN_QUARTERS(a, b) \
  __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD_QUARTERS(a, b) \
  __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)

/// Transposes sixteen vectors.
INLINE void turn(const float16v *from, float16v *to) {
  float16v numbers[16], pairs[16];
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 2) {
    numbers[i] = LOW_NUMBERS(from[i], from[i + 1]);
    numbers[i + 1] = HIGH_NUMBERS(from[i], from[i + 1]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 16; i += 4) {
    pairs[i] = LOW_PAIRS(numbers[i], numbers[i + 2]);
    pairs[i + 1] = HIGH_PAIRS(numbers[i], numbers[i + 2]);
    pairs[i + 2] = LOW_PAIRS(numbers[i + 1], numbers[i + 3]);
    pairs[i + 3] = HIGH_PAIRS(numbers[i + 1], numbers[i + 3]);
  }
  // Quarter q of pairs[4 g + k] now holds column 4 q + k of rows 4 g to 4 g + 3.
#pragma clang loop unroll(full)
  for (int k = 0; k < 4; k++) {
    const float16v even0 = EVEN_QUARTERS(pairs[k], pairs[4 + k]), odd0 = ODD_QUARTERS(pairs[k], pairs[4 + k]);
    const float16v even1 = EVEN_QUARTERS(pairs[8 + k], pairs[12 + k]), odd1 = ODD_QUARTERS(pairs[8 + k], pairs[12 + k]);
    to[k] = EVEN_QUARTERS(even0, even1);
    to[4 + k] = EVEN_QUARTERS(odd0, odd1);
    to[8 + k] = ODD_QUARTERS(even0, even1);
    to[12 + k] = ODD_QUARTERS(odd0, odd1);
  }
}

/// The first sample that row `y` of the result reads in a column.
INLINE const uint8_t *top(const tamring_video_plane *plane, int64_t sample_bytes, int64_t y, int64_t column) {
  return plane->samples + plane->down.first[y] * plane->row_bytes + column * sample_bytes;
}

/// Floats of a row of resized samples: whole vectors, an odd number of them, so that rows do not share cache sets.
INLINE int64_t row_floats(int64_t columns) { return ((columns + 15) / 16 | 1) * 16; }

/// Resizes a plane to sixteen rows, and turns them: turned[column][row]. Rows from `size` on repeat the last one.
INLINE void resize_down(const tamring_video_plane *plane, bool wide, int64_t sample_bytes, int64_t size, int64_t row,
                        float *restrict rows, float16v *restrict turned) {
  const int64_t taps = plane->down.taps, columns = plane->columns, row_bytes = plane->row_bytes;
  const int64_t stride = row_floats(columns);
  for (int64_t r = 0; r < ROWS; r++) {
    const int64_t y = smaller(row + r, size - 1);
    const float *weights = plane->down.weights + y * taps;
    // The rows that the next row of the result reads and this one does not: too many streams for the processor to
    // follow.
    const int64_t next = smaller(row + r + 1, size - 1);
    const int64_t from_row = plane->down.first[y] + taps, to_row = plane->down.first[next] + taps;
    for (int64_t column = 0; column < columns; column += 16) {
      if (column * sample_bytes % 64 == 0)
        for (int64_t k = from_row; k < to_row; k++)
          __builtin_prefetch(plane->samples + k * row_bytes + column * sample_bytes, 0, 2);
      // The last sixteen columns overlap those before, so that nothing beyond the row is read.
      const int64_t from = smaller(column, columns - 16);
      const uint8_t *at = top(plane, sample_bytes, y, from);
      float16v sum = splat(weights[0]) * samples16(wide, sample_bytes, at);
      for (int64_t t = 1; t < taps; t++)
        sum = multiply_add(weights[t], samples16(wide, sample_bytes, at + t * row_bytes), sum);
      *(float16u *)(rows + r * stride + from) = sum;
    }
  }
  for (int64_t column = 0; column < columns; column += 16) {
    float16v block[ROWS];
    for (int64_t r = 0; r < ROWS; r++) block[r] = *(const float16v *)(rows + r * stride + column);
    turn(block, turned + column);
  }
}

/// The same for fewer than sixteen columns.
INLINE void resize_narrow(const tamring_video_plane *plane, int64_t size, int64_t row, float16v *restrict turned) {
  const int64_t taps = plane->down.taps;
  for (int64_t column = 0; column < plane->columns; column++) {
    for (int64_t r = 0; r < ROWS; r++) {
      const int64_t y = smaller(row + r, size - 1);
      const uint8_t *at = top(plane, plane->sample_bytes, y, column);
      const float *weights = plane->down.weights + y * taps;
      float sum = weights[0] * sample(plane->wide, at);
      for (int64_t t = 1; t < taps; t++)
        sum = __builtin_fmaf(weights[t], sample(plane->wide, at + t * plane->row_bytes), sum);
      turned[column][r] = sum;
    }
  }
}

/// Resizes sixteen turned rows to `size` columns.
INLINE void resize_across(const tamring_video_filter *filter, int64_t size, const float16v *restrict turned,
                          float16v *restrict resized) {
  const int64_t taps = filter->taps;
  for (int64_t x = 0; x < size; x++) {
    const float16v *at = turned + filter->first[x];
    const float *weights = filter->weights + x * taps;
    float16v sum = splat(weights[0]) * at[0];
    for (int64_t t = 1; t < taps; t++) sum = multiply_add(weights[t], at[t], sum);
    resized[x] = sum;
  }
}

/// Converts up to sixteen columns of sixteen rows to colours: block[3 column + channel], a number for each row.
INLINE void convert_colours(const float *colours, const float16v *const *planes, int64_t x, float16v *block) {
  for (int64_t i = 0; i < 16; i++) {
    const float16v first = planes[0][x + i], second = planes[1][x + i], third = planes[2][x + i];
    for (int c = 0; c < CHANNELS; c++) {
      const float *numbers = colours + NUMBERS * c;
      float16v value = multiply_add(numbers[0], first, splat(numbers[3]));
      value = multiply_add(numbers[1], second, value);
      value = multiply_add(numbers[2], third, value);
      const float16v lowest = splat(numbers[4]), highest = splat(numbers[5]);
      value = where(value < lowest, lowest, value);
      block[CHANNELS * i + c] = where(highest < value, highest, value);
    }
  }
}

/// Writes a block of colours to the result, whose rows are the stored picture's.
INLINE void store_rows(const float16v *block, int64_t size, int64_t row, int64_t x, float *dst) {
  const int64_t rows = smaller(ROWS, size - row), count = CHANNELS * smaller(16, size - x);
  for (int64_t part = 0; part < CHANNELS; part++) {
    float16v turned[16];
    turn(block + 16 * part, turned);
    const int64_t here = smaller(16, count - 16 * part);
    for (int64_t r = 0; r < rows; r++) {
      float *to = dst + ((row + r) * size + x) * CHANNELS + 16 * part;
      if (here == 16)
        *(float16u *)to = turned[r];
      else
        for (int64_t i = 0; i < here; i++) to[i] = turned[r][i];
    }
  }
}

/// Writes a block of colours to the result, whose rows are the stored picture's columns.
INLINE void store_columns(const float16v *block, int64_t size, int64_t row, int64_t x, float *dst) {
  const int64_t rows = smaller(ROWS, size - row), columns = smaller(16, size - x);
  for (int64_t i = 0; i < columns; i++)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < CHANNELS; c++)
        dst[((x + i) * size + row + r) * CHANNELS + c] = block[CHANNELS * i + c][r];
}

/// The columns of a resized plane: whole blocks.
INLINE int64_t padded(int64_t size) { return (size + 15) & ~(int64_t)15; }

int64_t tamring_video_convert_scratch(int64_t size, int64_t columns) {
  return ROWS * (CHANNELS * padded(size) + 2 * row_floats(columns));
}

BODY video_convert_body(const tamring_video_conversion *conversion, const tamring_video_plane *planes, float *scratch,
                        float *dst) {
  const int64_t size = conversion->size;
  float16v *resized[CHANNELS];
  for (int p = 0; p < CHANNELS; p++)
    resized[p] = (float16v *)scratch + (p < conversion->planes ? p : 0) * padded(size);
  float16v *turned = (float16v *)scratch + CHANNELS * padded(size);
  for (int64_t row = 0; row < size; row += ROWS) {
    for (int64_t p = 0; p < conversion->planes; p++) {
      const tamring_video_plane *plane = planes + p;
      float *rows = (float *)(turned + row_floats(plane->columns));
#define RESIZE(wide, sample_bytes) resize_down(plane, wide, sample_bytes, size, row, rows, turned)
      if (plane->columns < 16)
        resize_narrow(plane, size, row, turned);
      else if (plane->wide)
        switch (plane->sample_bytes) {
          case 2: RESIZE(true, 2); break;
          case 4: RESIZE(true, 4); break;
          default: RESIZE(true, plane->sample_bytes);
        }
      else
        switch (plane->sample_bytes) {
          case 1: RESIZE(false, 1); break;
          case 2: RESIZE(false, 2); break;
          case 3: RESIZE(false, 3); break;
          case 4: RESIZE(false, 4); break;
          default: RESIZE(false, plane->sample_bytes);
        }
      resize_across(&plane->across, size, turned, resized[p]);
    }
    for (int64_t x = 0; x < size; x += 16) {
      float16v block[16 * CHANNELS];
      convert_colours(conversion->colours, (const float16v *const *)resized, x, block);
      if (conversion->turned)
        store_columns(block, size, row, x, dst);
      else
        store_rows(block, size, row, x, dst);
    }
  }
}

KERNEL(video_convert,
       (const tamring_video_conversion *conversion, const tamring_video_plane *planes, float *scratch, float *dst),
       (conversion, planes, scratch, dst))

__attribute__((target("arch=x86-64-v3"))) void tamring_video_convert_avx2(const tamring_video_conversion *conversion,
                                                                          const tamring_video_plane *planes,
                                                                          float *scratch, float *dst) {
  video_convert_body(conversion, planes, scratch, dst);
}

static inline int64_t limited(int64_t value, int64_t lowest, int64_t highest) {
  return value < lowest ? lowest : value > highest ? highest : value;
}

void tamring_video_over_black(const tamring_video_alpha *rule, const uint16_t *alpha, uint16_t *values) {
  for (int64_t y = 0; y < rule->rows; y++) {
    const int64_t above = (y << rule->shift_y) - rule->skip_y, top = limited(above, 0, rule->alpha_rows - 1);
    const int64_t bottom = limited(above + (1 << rule->shift_y), top + 1, rule->alpha_rows);
    for (int64_t x = 0; x < rule->columns; x++, values++) {
      const int64_t before = (x << rule->shift_x) - rule->skip_x, left = limited(before, 0, rule->alpha_columns - 1);
      const int64_t right = limited(before + (1 << rule->shift_x), left + 1, rule->alpha_columns);
      int64_t sum = 0;
      for (int64_t v = top; v < bottom; v++)
        for (int64_t u = left; u < right; u++) sum += alpha[v * rule->alpha_columns + u];
      const float share = (float)sum / ((float)((bottom - top) * (right - left)) * rule->opaque);
      *values = (uint16_t)((rule->black + ((float)*values - rule->black) * share) * rule->scale + 0.5f);
    }
  }
}

void tamring_video_look_up(const uint8_t *palette, int64_t channel, int64_t count, uint16_t *values) {
  for (int64_t i = 0; i < count; i++) values[i] = palette[4 * (values[i] & 255) + channel];
}
