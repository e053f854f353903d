// A convolution's epilogue: batch norm with constant statistics, residual and ReLU. Its scale can go into the weights.
#include "net_common.h"
#include "network_kernels.h"

BODY apply_epilogue_body(const tamring_epilogue *epilogue, int64_t rows, int64_t channels, const float *sums, float *dst) {
  const int64_t whole = channels & -16;
  for (int64_t row = 0; row < rows; row++, sums += channels, dst += channels) {
    for (int64_t c = 0; c < whole; c += 16) {
      float16v value = scaled_and_shifted(epilogue, c, *(const float16u *)(sums + c));
      if (epilogue->adds) value = *(const float16u *)(dst + c) + value;
      *(float16u *)(dst + c) = epilogue->relu ? where_positive(value, value) : value;
    }
    for (int64_t c = whole; c < channels; c++) {
      float value = sums[c] * epilogue->scale[c] + epilogue->shift[c];
      if (epilogue->adds) value = dst[c] + value;
      dst[c] = epilogue->relu && !(value > 0) ? 0 : value;
    }
  }
}
KERNEL(apply_epilogue, (const tamring_epilogue *epilogue, int64_t rows, int64_t channels, const float *sums, float *dst),
       (epilogue, rows, channels, sums, dst))

BODY scale_weights_body(const tamring_epilogue *epilogue, int64_t outputs, int64_t columns, const float *restrict weights,
                        float *restrict scaled) {
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t i = 0; i < columns; i++) scaled[o * columns + i] = weights[o * columns + i] * epilogue->scale[o];
}
KERNEL(scale_weights,
       (const tamring_epilogue *epilogue, int64_t outputs, int64_t columns, const float *weights, float *scaled),
       (epilogue, outputs, columns, weights, scaled))
