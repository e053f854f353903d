// Mixing the pixels of two clips.
#include "net_common.h"
#include "network_kernels.h"

BODY mix_body(int64_t n, float share, float *restrict a, float *restrict b) {
  const float rest = 1 - share;
  for (int64_t i = 0; i < n; i++) {
    const float x = a[i], y = b[i];
    a[i] = share * x + rest * y;
    b[i] = share * y + rest * x;
  }
}
KERNEL(mix, (int64_t n, float share, float *a, float *b), (n, share, a, b))

void tamring_swap(int64_t n, float *restrict a, float *restrict b) {
  for (int64_t i = 0; i < n; i++) {
    const float x = a[i];
    a[i] = b[i];
    b[i] = x;
  }
}
