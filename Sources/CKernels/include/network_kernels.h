// The network's elementwise kernels: everything between two convolutions, and the optimiser.
//
// Activations are NHWC. Per-channel parameters are "expanded": repeated to `span` elements, a multiple of the
// channel count and of 16 (tamring_span), so that one inner loop serves every channel count. `n` counts elements
// and is a multiple of the channel count. Activations are `void *`: float or, where `bf16`, bfloat16 (the upper 16 bits
// of a float); arithmetic is in float, and a result is rounded once. Each kernel has a twin, tamring_NAME_generic,
// compiled for the lowest CPU level from the same body; tests compare their bytes.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TAMRING_KERNEL(name, parameters)                                       \
  void tamring_##name parameters;                                              \
  void tamring_##name##_generic parameters;

/// The least multiple of `channels` and 16 that is at least 64.
static inline int64_t tamring_span(int64_t channels) {
  int64_t span = channels;
  while (span % 16 != 0) span += channels;
  const int64_t step = span;
  while (span < 64) span += step;
  return span;
}

/// Rows of `span` that kernels accumulate in float before they add them to doubles.
enum { tamring_block_rows = 32 };

/// Flushes subnormal numbers to zero on this thread; returns the former mode for tamring_leave_lane_mode.
uint32_t tamring_enter_lane_mode(void);
void tamring_leave_lane_mode(uint32_t mode);

/// A spin-wait hint to the processor.
static inline void tamring_pause(void) { __builtin_ia32_pause(); }

/// A square sliding window over NHWC images: the geometry of a convolution or a pool.
typedef struct {
  int64_t height, width, channels, kernel, stride, padding, out_height, out_width;
} tamring_window;

/// The fused epilogue of a convolution whose batch norm has constant statistics:
/// dst = [ReLU](scale[c] * sums + shift[c] [+ dst]), with a scale and a shift for each output channel.
typedef struct {
  const float *scale, *shift;
  bool adds, relu;
} tamring_epilogue;

// net_epilogue.c
/// Applies the epilogue to `rows` rows of sums. `sums` may alias `dst` if the epilogue does not add.
TAMRING_KERNEL(apply_epilogue, (const tamring_epilogue *epilogue, int64_t rows, int64_t channels, const float *sums, float *dst))
/// scaled[o][i] = weights[o][i] * scale[o], for weights [outputs, columns].
TAMRING_KERNEL(scale_weights, (const tamring_epilogue *epilogue, int64_t outputs, int64_t columns, const float *weights,
                               float *scaled))

// net_window.c
/// The receptive fields of the output pixels `first ..< first + rows`, counted through all images, as
/// [rows, kernel, kernel, channels]; zero outside the image.
TAMRING_KERNEL(im2col, (const tamring_window *window, const float *src, int64_t first, int64_t rows, float *columns))
/// The transpose of im2col: adds to `d_src`.
TAMRING_KERNEL(col2im, (const tamring_window *window, const float *columns, int64_t first, int64_t rows, float *d_src))
/// The mean over the window; padding counts as zeros.
TAMRING_KERNEL(average_pool, (bool bf16, const tamring_window *window, int64_t images, const void *src, void *dst))
/// Writes `d_src`, or adds to it.
TAMRING_KERNEL(average_pool_gradient, (bool bf16, const tamring_window *window, int64_t images, const void *d_dst,
                                       bool accumulate, void *d_src))
/// The maximum over the window's taps inside the image, or the first NaN.
TAMRING_KERNEL(max_pool, (bool bf16, const tamring_window *window, int64_t images, const void *src, void *dst))
/// The gradient goes to the first of a window's equal maxima, row by row. `dst` is the result. Writes `d_src`, or adds
/// to it.
TAMRING_KERNEL(max_pool_gradient, (bool bf16, const tamring_window *window, int64_t images, const void *src,
                                   const void *dst, const void *d_dst, bool accumulate, void *d_src))
/// Every stride-th pixel of an image in both directions, for a window of one tap.
TAMRING_KERNEL(subsample, (bool bf16, const tamring_window *window, const void *src, void *dst))
/// Writes `d_src`, or adds to it.
TAMRING_KERNEL(subsample_gradient, (bool bf16, const tamring_window *window, const void *d_dst, bool accumulate,
                                    void *d_src))
/// The gradient of nearest-neighbour upsampling from [images, height, width, channels] to out_height x out_width.
/// Writes `d_src`, or adds to it.
TAMRING_KERNEL(enlarge_gradient, (bool bf16, const tamring_window *sizes, int64_t images, const void *d_dst,
                                  bool accumulate, void *d_src))
/// Permutes weights [outputs, inputs, area] to [outputs, area, inputs]; the inverse, if the last two counts are
/// swapped.
void tamring_swap_inner(const float *src, int64_t outputs, int64_t inputs, int64_t area, float *dst);

// net_winograd.c and net_winograd_products.c: 3x3 kernels, padding 1, stride 1 or 2. A tile of 4x4 results takes 36
// points (stride 1) or 81 (stride 2), which share 36 matrices of transformed weights. Channel counts are multiples of
// 16. Tiles are counted through all images. Points are [matrix][channels / 16][members of the matrix][tiles][16]. A gap
// of sixteen elements follows each matrix, of points or of weights.
/// Transforms images to points; with `back`, the gradient of the results, for the data gradient.
TAMRING_KERNEL(winograd_inputs, (bool bf16, const tamring_window *window, bool back, const void *src, int64_t first,
                                 int64_t tiles, float *points))
/// Transforms points of `count` channels to channels `from ..< from + count` of the results or, with `back`, of the
/// data gradient. If there is an epilogue, `accumulate` must equal its `adds`.
TAMRING_KERNEL(winograd_outputs, (bool bf16, const tamring_window *window, bool back, const float *points,
                                  int64_t first, int64_t tiles, int64_t from, int64_t count, bool accumulate,
                                  const tamring_epilogue *epilogue, void *dst))
/// Transforms the gradient of the results to points, for the weight gradient.
TAMRING_KERNEL(winograd_gradients, (bool bf16, const tamring_window *window, const void *gradients, int64_t first,
                                 int64_t tiles, float *points))
/// A slice of the weights, and its strides from channel to channel; `turned` rotates the kernels by 180 degrees.
typedef struct {
  int64_t stride, from, to, from_stride, to_stride;
  bool turned;
} tamring_winograd_weights_shape;
/// Transforms weights to [36][to / 16][from][16].
TAMRING_KERNEL(winograd_weights, (const tamring_winograd_weights_shape *shape, const float *weights, float *transformed))
/// Multiplies points of `from` channels by transformed weights, to points of `to` channels. `from` need not be a
/// multiple of 16, but its last panel has room for all sixteen.
TAMRING_KERNEL(winograd_multiply, (int64_t stride, int64_t tiles, int64_t from, int64_t to, const float *points,
                                   const float *transformed, float *results))
/// The shape of a weight gradient for the outputs `first ..< first + count` of `outputs`.
typedef struct {
  int64_t stride, tiles, outputs, inputs, first, count;
} tamring_winograd_gradients_shape;
/// The gradient of the transformed weights, [36][count / 16][inputs / 16][16][16], from points of gradients and inputs;
/// written, or added. `outputs` and `count` need not be multiples of 16, as above.
TAMRING_KERNEL(winograd_multiply_gradients, (const tamring_winograd_gradients_shape *shape, const float *gradients,
                                          const float *inputs, bool add, float *transformed))
/// Transforms the gradient of the transformed weights to that of the weights [outputs, inputs, 3, 3].
TAMRING_KERNEL(winograd_weight_gradients, (const float *transformed, int64_t stride, int64_t outputs, int64_t inputs,
                                        float *gradients))

// net_winograd_stem.c: 7x7 kernels, padding 3, stride 2, over up to twelve channels. Over the phases of an image they
// become 4x4 kernels, padding 2, stride 1, for which the functions above serve: 3x3 results take 36 points. The number
// of outputs is a multiple of 16.
/// Channels of an image's phases: four times the image's, in whole panels.
static inline int64_t tamring_stem_channels(int64_t channels) { return (4 * channels + 15) / 16 * 16; }
/// The phases of one image, [out_height, out_width, phase channels]: pixel (2y + p, 2x + q), channel by channel, at
/// (2p + q) * channels; zero behind them and beyond the image.
void tamring_stem_phases(const tamring_window *window, const float *src, float *phases);
/// Transforms weights [outputs, channels, 7, 7] to [36][outputs / 16][phase channels][16]. Here and below, rows beyond
/// the phases' channels are left untouched.
TAMRING_KERNEL(stem_weights, (int64_t outputs, int64_t channels, const float *weights, float *transformed))
/// Transforms the gradient of the transformed weights, [36][phase channels / 16][outputs / 16][16][16], to that of the
/// weights.
TAMRING_KERNEL(stem_weight_gradients, (int64_t outputs, int64_t channels, const float *transformed, float *gradients))

// net_pointwise.c: 1x1 convolutions. Channel counts are multiples of 16.
/// Packs weights [outputs, inputs] to [outputs / 16][inputs][16], times a scale for each output (unless null); or, if
/// `turned`, to [inputs / 16][outputs][16].
TAMRING_KERNEL(pointwise_pack, (int64_t outputs, int64_t inputs, bool turned, const float *weights, const float *scale,
                                 float *packed))
/// results [pixels, to] = [results +] images [pixels, from] · packed [to / 16][from][16]. If there is an epilogue,
/// `add` must equal its `adds`, and its scale must already be in the packed weights.
TAMRING_KERNEL(pointwise, (int64_t pixels, int64_t from, int64_t to, const float *images, const float *packed, bool add,
                           const tamring_epilogue *epilogue, float *results))
/// The gradient of weights [outputs, inputs]: gradientsᵀ [outputs, pixels] · images [pixels, inputs]. `row` is the
/// stride between pixels of `gradients`, which may exceed `outputs`. Writes it, or adds to what is there. `room` is
/// scratch for 128 pixels of both.
TAMRING_KERNEL(pointwise_weight_gradient, (int64_t pixels, int64_t outputs, int64_t row, int64_t inputs, const float *gradients,
                                  const float *images, bool add, float *room, float *weights))

// net_pointwise_bf16.c: the same in bf16, on processors with avx512_bf16.
/// Packs weights as above, in 32-bit words that hold two consecutive terms of a sum.
void tamring_pointwise_pack_bf16(int64_t outputs, int64_t inputs, bool turned, const float *weights, const float *scale,
                          void *packed);
void tamring_pointwise_bf16(int64_t pixels, int64_t from, int64_t to, const void *images, const void *packed, bool add,
                              const tamring_epilogue *epilogue, void *results);
/// Writes the weight gradient, or adds to it. `room` is scratch for 256 pixels of both.
void tamring_pointwise_weight_gradient_bf16(int64_t pixels, int64_t outputs, int64_t row, int64_t inputs, const void *gradients,
                                     const void *images, bool add, void *room, float *weights);

// net_norm.c
void tamring_expand(const float *values, int64_t channels, int64_t span, float *expanded);
/// sums[0 ..< span] += x - pivot, sums[span ..< 2 span] += (x - pivot)^2, column by column.
TAMRING_KERNEL(norm_sums, (bool bf16, const void *x, int64_t n, int64_t span, const float *pivot, double *sums))
/// y = (x - mean) * scale + shift [+ residual] [, then ReLU]; `residual` may be null. If `enlarged` is not null, the
/// residual is [images, height, width, channels] and is upsampled to out_height x out_width by nearest neighbour.
TAMRING_KERNEL(norm_forward, (bool bf16, const void *x, int64_t n, int64_t span, const float *mean, const float *scale,
                              const float *shift, const void *residual, const tamring_window *enlarged, bool relu,
                              void *y))
/// sums[0 ..< span] += g, sums[span ..< 2 span] += g * (x - mean). What ReLU clipped counts as 0: if `y` is given,
/// g is zeroed where y <= 0; if `scale` and `shift` are given, the result is recomputed from x, and g stays.
TAMRING_KERNEL(norm_backward_sums, (bool bf16, void *g, const void *y, const void *x, int64_t n, int64_t span,
                                    const float *mean, const float *scale, const float *shift, double *sums))
/// d_x = a * g + b + c * (x - mean), g as above; `d_x` may be `g`.
TAMRING_KERNEL(norm_backward, (bool bf16, const void *g, const void *x, int64_t n, int64_t span, const float *mean,
                               const float *scale, const float *shift, const float *a, const float *b,
                               const float *c, void *d_x))
/// dst += src
TAMRING_KERNEL(accumulate, (bool bf16, const void *src, int64_t n, void *dst))

// net_temporal.c
/// A temporal module: `frames` results a clip, from as many source frames or, if `paired`, from half as many,
/// each counting twice. If `split`, odd results go to `odd` and even ones to `even`; else all go to `odd`. It processes
/// the elements `begin ..< end` of each frame; both are multiples of `span`, or `end` is `frame_size`.
typedef struct {
  int64_t frames, taps, frame_size, span, begin, end;
  bool paired, split;
} tamring_temporal_shape;
/// Rows of `span` per tile of the kernels: whole blocks.
static inline int64_t tamring_temporal_rows(int64_t span) {
  const int64_t block = tamring_block_rows * span;
  return (8192 + block - 1) / block * tamring_block_rows;
}
/// `weights` is [taps, span], expanded.
TAMRING_KERNEL(temporal_forward, (bool bf16, const tamring_temporal_shape *shape, int64_t clips, const void *src,
                                  const float *weights, void *odd, void *even))
/// Zeroes the result gradients where the result is not positive, adds to sums [taps, span], and writes d_src (or
/// adds to it). `d_src` may be null.
TAMRING_KERNEL(temporal_backward,
               (bool bf16, const tamring_temporal_shape *shape, int64_t clips, const void *src, const float *weights,
                const void *odd, const void *even, void *d_odd, void *d_even, bool accumulate, void *d_src,
                double *sums))

// net_shift.c
/// A temporal shift: `frames` results a clip of `frame_size` elements, `paired` and `split` as above. Of each pixel's
/// channels the first `fold` come from the next frame, the second `fold` from the previous one (0 beyond the clip's
/// ends), the others from the frame itself. It processes the pixels `begin ..< end` of each frame.
typedef struct {
  int64_t frames, frame_size, channels, fold, begin, end;
  bool paired, split;
} tamring_shift_shape;
TAMRING_KERNEL(temporal_shift, (bool bf16, const tamring_shift_shape *shape, int64_t clips, const void *src, void *odd,
                                void *even))
/// Writes `d_src`, or adds to it.
TAMRING_KERNEL(temporal_shift_gradient, (bool bf16, const tamring_shift_shape *shape, int64_t clips, const void *d_odd,
                                         const void *d_even, bool accumulate, void *d_src))

// net_frames.c
/// A pool over three frames, stride 2, padding 1: from `frames` to (frames - 1) / 2 + 1 a clip, of `frame_size`
/// elements each. It processes the elements `begin ..< end` of each frame.
typedef struct {
  int64_t frames, frame_size, begin, end;
} tamring_frame_pool_shape;
/// The maximum of the frames inside the clip, or the first NaN.
TAMRING_KERNEL(frame_max, (bool bf16, const tamring_frame_pool_shape *shape, int64_t clips, const void *src, void *dst))
/// The gradient goes to the first of equal maxima. `dst` is the result. Writes `d_src`, or adds to it.
TAMRING_KERNEL(frame_max_gradient, (bool bf16, const tamring_frame_pool_shape *shape, int64_t clips, const void *src,
                                    const void *dst, const void *d_dst, bool accumulate, void *d_src))
/// A third of the sum; the padding counts as zeros.
TAMRING_KERNEL(frame_mean, (bool bf16, const tamring_frame_pool_shape *shape, int64_t clips, const void *src, void *dst))
TAMRING_KERNEL(frame_mean_gradient, (bool bf16, const tamring_frame_pool_shape *shape, int64_t clips,
                                     const void *d_dst, bool accumulate, void *d_src))
/// dst[3i + k] = frame k[i]; zero for a null frame.
TAMRING_KERNEL(stack_frames, (bool bf16, int64_t n, const void *first, const void *second, const void *third, void *dst))
/// d_src[i] = [d_src[i] +] the sum of stack k[3i + k] over the stacks that are not null, last first.
TAMRING_KERNEL(stack_frames_gradient, (bool bf16, int64_t n, const void *first, const void *second, const void *third,
                                       bool accumulate, void *d_src))

// net_convert.c
/// Converts bf16 to float, exactly.
TAMRING_KERNEL(from_bf16, (const void *src, int64_t n, float *dst))
/// Converts float to bf16, rounding to nearest, ties to even.
TAMRING_KERNEL(to_bf16, (const float *src, int64_t n, void *dst))
/// Rounds floats to the nearest bf16 value, kept as floats. `dst` must not alias `src`.
TAMRING_KERNEL(round_to_bf16, (const float *src, int64_t n, float *dst))
/// sums[c] += src[pixel][c] * shares[c], in the order of the pixels.
TAMRING_KERNEL(gather_pixels, (bool bf16, const void *src, int64_t pixels, int64_t channels, const float *shares,
                               float *sums))
/// dst[pixel][c] = values[c] * shares[c]
TAMRING_KERNEL(spread_pixels, (bool bf16, const float *values, int64_t pixels, int64_t channels,
                               const float *shares, void *dst))

// net_optimiser.c
typedef struct {
  float rate, momentum, weight_decay;
  bool nesterov;
} tamring_sgd_rule;
/// g = gradient / divisor; d = g + wd * p; v = mu * v + d; p -= rate * (d + mu * v), or rate * v.
TAMRING_KERNEL(sgd, (const tamring_sgd_rule *rule, int64_t n, const float *gradient, float divisor, float *p, float *v))
/// The same with gradient = (float)q * scale.
TAMRING_KERNEL(sgd_reduced, (const tamring_sgd_rule *rule, int64_t n, const int32_t *q, float scale, float divisor,
                             float *p, float *v))
typedef struct {
  /// take = 1 - beta; keep = 1 - the full rate * weight decay.
  float beta1, take1, beta2, take2, keep;
  /// The rate / (1 - beta1^t), and sqrt(1 - beta2^t).
  float rate, root_correction, epsilon;
} tamring_adamw_rule;
/// g = gradient / divisor; m = beta1 * m + take1 * g; v = beta2 * v + take2 * g^2;
/// p = keep * p - rate * m / (sqrt(v) / root_correction + epsilon).
TAMRING_KERNEL(adamw, (const tamring_adamw_rule *rule, int64_t n, const float *gradient, float divisor, float *p,
                       float *m, float *v))
/// The same with gradient = (float)q * scale.
TAMRING_KERNEL(adamw_reduced, (const tamring_adamw_rule *rule, int64_t n, const int32_t *q, float scale, float divisor,
                               float *p, float *m, float *v))
/// running = keep * running + take * value
TAMRING_KERNEL(blend, (int64_t n, float keep, float take, const float *value, float *running))

// net_mixing.c
/// a = share * a + (1 - share) * b, and b the same with a and b in each other's place.
TAMRING_KERNEL(mix, (int64_t n, float share, float *a, float *b))
/// Swaps n values.
void tamring_swap(int64_t n, float *a, float *b);

// net_initial.c
/// Normally distributed numbers around 0 by the polar method, from the stream (key, stream) of the counter-based
/// generator. Source: Marsaglia and Bray, "A Convenient Method for Generating Normal Variables", SIAM Review 6, 1964.
TAMRING_KERNEL(fill_normal, (uint64_t key, uint32_t stream, int64_t count, double deviation, float *values))
/// Uniformly distributed numbers in [-bound, bound), from the same stream.
TAMRING_KERNEL(fill_uniform, (uint64_t key, uint32_t stream, int64_t count, double bound, float *values))
