// Convolutions of NHWC images by oneDNN, on the calling thread alone. Differences between its versions stay in here.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t images, inputs, outputs, kernel, stride, padding, height, width;
  /// Images, results and the packed weights are bfloat16, else float. A gradient of the weights is float always.
  bool bf16;
  /// Forward only: `biased` adds a bias to the sums, then `adds` adds the previous results, then comes ReLU.
  bool biased, adds, relu;
} tamring_dnn_shape;

/// The pass: results, the data gradient (written or accumulated), or the weight gradient.
typedef enum {
  TAMRING_DNN_FORWARD,
  TAMRING_DNN_DATA,
  TAMRING_DNN_DATA_ADDED,
  TAMRING_DNN_WEIGHTS
} tamring_dnn_direction;

/// An immutable primitive of one shape and direction. Threads may share it, each with its own scratch.
typedef struct tamring_dnn tamring_dnn;

/// \returns NULL if oneDNN has no such primitive. Only 1x1 in bf16 can accumulate.
tamring_dnn *tamring_dnn_create(const tamring_dnn_shape *shape, tamring_dnn_direction direction);
void tamring_dnn_destroy(tamring_dnn *primitive);

/// Bytes of the packed weights or of their packed gradient, a multiple of 64; 0 if oneDNN uses them as they are.
int64_t tamring_dnn_packed_bytes(const tamring_dnn *primitive);
int64_t tamring_dnn_scratch_bytes(const tamring_dnn *primitive);

/// Packs weights, floats [O, I, k, k]; for TAMRING_DNN_WEIGHTS, unpacks a gradient. Call it only if there are packed
/// bytes.
bool tamring_dnn_reorder(const tamring_dnn *primitive, const void *from, void *to);

/// \param images   [N, H, W, I]: read forward and for weights, written (or added to) for data.
/// \param packed   the packed weights (the plain ones if oneDNN does not pack): written for weights, else read.
/// \param results  [N, H', W', O]: written forward, read else.
/// \param bias     [O]; only for a shape that is biased.
/// \param scratch  as many bytes as the primitive asks for, on a boundary of 64.
bool tamring_dnn_run(const tamring_dnn *primitive, void *images, void *packed, void *results, const float *bias,
                     void *scratch);

/// Whether the processor multiplies bfloat16 in hardware, as far as oneDNN uses it.
bool tamring_dnn_has_bf16(void);

/// Version, source and the instruction set in use: what decides the bits.
const char *tamring_dnn_fingerprint(void);
