// Convolutions by oneDNN on NHWC images, on the calling thread alone. What differs between its versions stays in here.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t images, inputs, outputs, kernel, stride, padding, height, width;
  /// Images, results and the packed weights are bfloat16, else float. A gradient of the weights is float always.
  bool bf16;
  /// Forward only, where `biased`: a bias is added to the sums, then what is in the results where `adds`; then ReLU.
  bool biased, adds, relu;
} tamring_dnn_shape;

/// What is computed: outputs, the gradient of the images (written, or added to what is there), or that of the weights.
typedef enum {
  TAMRING_DNN_FORWARD,
  TAMRING_DNN_DATA,
  TAMRING_DNN_DATA_ADDED,
  TAMRING_DNN_WEIGHTS
} tamring_dnn_direction;

/// A primitive of one shape and direction. Constant: threads may share it, each with a scratch of its own.
typedef struct tamring_dnn tamring_dnn;

/// \returns NULL where oneDNN has no such primitive: what adds exists for 1x1 in bfloat16 alone.
tamring_dnn *tamring_dnn_create(const tamring_dnn_shape *shape, tamring_dnn_direction direction);
void tamring_dnn_destroy(tamring_dnn *primitive);

/// Bytes of the packed weights, or of their gradient; a multiple of 64. 0 where they stay as they are.
int64_t tamring_dnn_packed_bytes(const tamring_dnn *primitive);
int64_t tamring_dnn_scratch_bytes(const tamring_dnn *primitive);

/// Brings weights, floats [O, I, k, k], into the library's form; for TAMRING_DNN_WEIGHTS, a gradient from that form into theirs.
/// Only where the library has a form of its own.
bool tamring_dnn_reorder(const tamring_dnn *primitive, const void *from, void *to);

/// \param images   [N, H, W, I]: read forward and for weights, written (or added to) for data.
/// \param packed   weights in the library's form; written for weights, read else.
/// \param results  [N, H', W', O]: written forward, read else.
/// \param bias     [O]; only for a shape that is biased.
/// \param scratch  as many bytes as the primitive asks for, on a boundary of 64.
bool tamring_dnn_run(const tamring_dnn *primitive, void *images, void *packed, void *results, const float *bias,
                     void *scratch);

/// Whether the processor multiplies bfloat16 in hardware, as far as oneDNN uses it.
bool tamring_dnn_has_bf16(void);

/// Version, source and the instruction set in use: what decides the bits.
const char *tamring_dnn_fingerprint(void);
