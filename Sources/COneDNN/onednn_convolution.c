#include "onednn_convolution.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR != 2
#error "written for oneDNN 2; version 3 makes descriptors in other ways"
#endif

// From GNU OpenMP, which Debian's oneDNN uses. It applies to the calling thread.
extern void omp_set_num_threads(int count);

struct tamring_dnn {
  tamring_dnn_direction direction;
  dnnl_primitive_desc_t descriptor;
  dnnl_primitive_t primitive;
  /// Packs plain weights, or unpacks their gradient; NULL if oneDNN uses them as they are.
  dnnl_primitive_t reorder;
  dnnl_memory_desc_t images, results, weights, plain, bias, scratchpad;
  bool biased;
  /// oneDNN's argument numbers of the images, results and weights.
  int images_argument, results_argument, weights_argument;
  int64_t scratchpad_bytes, packed_bytes;
};

/// The process's one CPU engine.
static dnnl_engine_t engine(void) {
  static dnnl_engine_t shared = NULL;
  dnnl_engine_t seen = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
  if (seen) return seen;
  dnnl_engine_t made = NULL, none = NULL;
  if (dnnl_engine_create(&made, dnnl_cpu, 0) != dnnl_success) return NULL;
  if (__atomic_compare_exchange_n(&shared, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return made;
  dnnl_engine_destroy(made);
  return none;
}

static int64_t rounded(size_t bytes) { return (int64_t)((bytes + 63) & ~(size_t)63); }

/// A row-major matrix; column-major if `turned`.
static dnnl_memory_desc_t matrix(int64_t rows, int64_t columns, bool turned, dnnl_data_type_t type) {
  const dnnl_dims_t sizes = {rows, columns};
  dnnl_memory_desc_t desc;
  dnnl_memory_desc_init_by_tag(&desc, 2, sizes, type, turned ? dnnl_ba : dnnl_ab);
  return desc;
}

/// Attributes with the caller's scratch memory and the post-ops.
static dnnl_primitive_attr_t attributes_for(bool adds, bool relu) {
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_post_ops_t after = NULL;
  if (dnnl_primitive_attr_create(&attributes) != dnnl_success) return NULL;
  dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
  if (dnnl_post_ops_create(&after) != dnnl_success) {
    dnnl_primitive_attr_destroy(attributes);
    return NULL;
  }
  if (adds) dnnl_post_ops_append_sum(after, 1);
  if (relu) dnnl_post_ops_append_eltwise(after, 1, dnnl_eltwise_relu, 0, 0);
  dnnl_primitive_attr_set_post_ops(attributes, after);
  dnnl_post_ops_destroy(after);
  return attributes;
}

static bool is_pointwise(const tamring_dnn_shape *s) { return s->kernel == 1 && s->stride == 1 && s->padding == 0; }

// A 1x1 convolution in bf16 is a plain GEMM. It is as fast as oneDNN's convolution, needs no packed weights, and can
// add to its result.
static bool make_product(tamring_dnn *p, const tamring_dnn_shape *s) {
  const int64_t pixels = s->images * s->height * s->width;
  const bool forward = p->direction == TAMRING_DNN_FORWARD, weights = p->direction == TAMRING_DNN_WEIGHTS;
  p->images = matrix(pixels, s->inputs, false, dnnl_bf16);
  p->results = weights ? matrix(s->outputs, pixels, true, dnnl_bf16) : matrix(pixels, s->outputs, false, dnnl_bf16);
  p->plain = forward ? matrix(s->inputs, s->outputs, true, dnnl_f32) : matrix(s->outputs, s->inputs, false, dnnl_f32);
  p->weights = weights ? p->plain
                       : forward ? matrix(s->inputs, s->outputs, true, dnnl_bf16)
                                 : matrix(s->outputs, s->inputs, false, dnnl_bf16);
  p->images_argument = forward ? DNNL_ARG_SRC : weights ? DNNL_ARG_WEIGHTS : DNNL_ARG_DST;
  p->results_argument = forward ? DNNL_ARG_DST : DNNL_ARG_SRC;
  p->weights_argument = weights ? DNNL_ARG_DST : DNNL_ARG_WEIGHTS;

  dnnl_matmul_desc_t wanted;
  dnnl_status_t status = dnnl_matmul_desc_init(&wanted, forward ? &p->images : &p->results,
                                               weights ? &p->images : &p->weights, s->biased ? &p->bias : NULL,
                                               forward ? &p->results : weights ? &p->weights : &p->images);
  dnnl_primitive_attr_t attributes = attributes_for(s->adds || p->direction == TAMRING_DNN_DATA_ADDED, s->relu);
  if (status == dnnl_success) status = dnnl_primitive_desc_create(&p->descriptor, &wanted, attributes, engine(), NULL);
  dnnl_primitive_attr_destroy(attributes);
  return status == dnnl_success;
}

static bool make_convolution(tamring_dnn *p, const tamring_dnn_shape *s) {
  const bool forward_only = p->direction == TAMRING_DNN_FORWARD, data = p->direction == TAMRING_DNN_DATA;
  p->images_argument = data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
  p->results_argument = forward_only ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
  p->weights_argument = p->direction == TAMRING_DNN_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
  const int64_t out_height = (s->height + 2 * s->padding - s->kernel) / s->stride + 1;
  const int64_t out_width = (s->width + 2 * s->padding - s->kernel) / s->stride + 1;
  const dnnl_dims_t images = {s->images, s->inputs, s->height, s->width};
  const dnnl_dims_t weights = {s->outputs, s->inputs, s->kernel, s->kernel};
  const dnnl_dims_t results = {s->images, s->outputs, out_height, out_width};
  const dnnl_dims_t strides = {s->stride, s->stride}, padding = {s->padding, s->padding};
  dnnl_memory_desc_t packed, gradient;
  const dnnl_data_type_t type = s->bf16 ? dnnl_bf16 : dnnl_f32;
  dnnl_memory_desc_init_by_tag(&p->images, 4, images, type, dnnl_nhwc);
  dnnl_memory_desc_init_by_tag(&p->results, 4, results, type, dnnl_nhwc);
  dnnl_memory_desc_init_by_tag(&p->plain, 4, weights, dnnl_f32, dnnl_oihw);
  dnnl_memory_desc_init_by_tag(&packed, 4, weights, type, dnnl_format_tag_any);
  dnnl_memory_desc_init_by_tag(&gradient, 4, weights, dnnl_f32, dnnl_format_tag_any);

  dnnl_primitive_attr_t attributes = attributes_for(s->adds, s->relu);
  dnnl_convolution_desc_t wanted;
  dnnl_primitive_desc_t forward = NULL;
  dnnl_status_t status = dnnl_convolution_forward_desc_init(
      &wanted, dnnl_forward_training, dnnl_convolution_direct, &p->images, &packed, s->biased ? &p->bias : NULL, &p->results,
      strides, padding, padding);
  if (status == dnnl_success) status = dnnl_primitive_desc_create(&forward, &wanted, attributes, engine(), NULL);
  if (forward_only) {
    p->descriptor = forward;
  } else if (status == dnnl_success) {
    status = data
                 ? dnnl_convolution_backward_data_desc_init(&wanted, dnnl_convolution_direct, &p->images, &packed,
                                                            &p->results, strides, padding, padding)
                 : dnnl_convolution_backward_weights_desc_init(&wanted, dnnl_convolution_direct, &p->images, &gradient,
                                                               NULL, &p->results, strides, padding, padding);
    if (status == dnnl_success)
      status = dnnl_primitive_desc_create(&p->descriptor, &wanted, attributes, engine(), forward);
    dnnl_primitive_desc_destroy(forward);
  }
  dnnl_primitive_attr_destroy(attributes);
  if (status != dnnl_success) return false;
  p->weights = *dnnl_primitive_desc_query_md(
      p->descriptor, p->direction == TAMRING_DNN_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  return true;
}

static bool make_reorder(tamring_dnn *p) {
  if (dnnl_memory_desc_equal(&p->weights, &p->plain)) return true;
  const bool out = p->direction == TAMRING_DNN_WEIGHTS;
  dnnl_primitive_desc_t descriptor = NULL;
  if (dnnl_reorder_primitive_desc_create(&descriptor, out ? &p->weights : &p->plain, engine(),
                                         out ? &p->plain : &p->weights, engine(), NULL) != dnnl_success)
    return false;
  const dnnl_status_t status = dnnl_primitive_create(&p->reorder, descriptor);
  dnnl_primitive_desc_destroy(descriptor);
  return status == dnnl_success;
}

tamring_dnn *tamring_dnn_create(const tamring_dnn_shape *shape, tamring_dnn_direction direction) {
  // A primitive created for several threads gives other bits, even if one thread runs it.
  omp_set_num_threads(1);
  tamring_dnn *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->direction = direction;
  const bool product = shape->bf16 && is_pointwise(shape);
  p->biased = shape->biased;
  const dnnl_dims_t across = {1, shape->outputs}, flat = {shape->outputs};
  dnnl_memory_desc_init_by_tag(&p->bias, product ? 2 : 1, product ? across : flat, dnnl_f32, product ? dnnl_ab : dnnl_a);
  const bool forward = direction == TAMRING_DNN_FORWARD;
  if ((!forward && (shape->biased || shape->adds || shape->relu)) || !engine() || (direction == TAMRING_DNN_DATA_ADDED && !product) ||
      !(product ? make_product(p, shape) : make_convolution(p, shape)) ||
      dnnl_primitive_create(&p->primitive, p->descriptor) != dnnl_success) {
    tamring_dnn_destroy(p);
    return NULL;
  }
  p->scratchpad = *dnnl_primitive_desc_query_md(p->descriptor, dnnl_query_scratchpad_md, 0);
  p->scratchpad_bytes = rounded(dnnl_memory_desc_get_size(&p->scratchpad));
  if (!make_reorder(p)) {
    tamring_dnn_destroy(p);
    return NULL;
  }
  p->packed_bytes = p->reorder ? rounded(dnnl_memory_desc_get_size(&p->weights)) : 0;
  return p;
}

void tamring_dnn_destroy(tamring_dnn *p) {
  if (!p) return;
  if (p->reorder) dnnl_primitive_destroy(p->reorder);
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  if (p->descriptor) dnnl_primitive_desc_destroy(p->descriptor);
  free(p);
}

int64_t tamring_dnn_packed_bytes(const tamring_dnn *p) { return p->packed_bytes; }

int64_t tamring_dnn_scratch_bytes(const tamring_dnn *p) { return p->scratchpad_bytes; }

/// One argument of a call, in the caller's memory.
typedef struct {
  int argument;
  const dnnl_memory_desc_t *desc;
  void *data;
} operand;

static bool execute(dnnl_primitive_t primitive, const operand *operands, int count) {
  omp_set_num_threads(1);
  dnnl_stream_t stream = NULL;
  dnnl_exec_arg_t arguments[5] = {{0, NULL}};
  bool works = dnnl_stream_create(&stream, engine(), dnnl_stream_default_flags) == dnnl_success;
  for (int i = 0; works && i < count; i++) {
    arguments[i].arg = operands[i].argument;
    works = dnnl_memory_create(&arguments[i].memory, operands[i].desc, engine(), operands[i].data) == dnnl_success;
  }
  works = works && dnnl_primitive_execute(primitive, stream, count, arguments) == dnnl_success &&
          dnnl_stream_wait(stream) == dnnl_success;
  for (int i = 0; i < count; i++)
    if (arguments[i].memory) dnnl_memory_destroy(arguments[i].memory);
  if (stream) dnnl_stream_destroy(stream);
  return works;
}

bool tamring_dnn_reorder(const tamring_dnn *p, const void *from, void *to) {
  const bool back = p->direction == TAMRING_DNN_WEIGHTS;
  const operand operands[] = {{DNNL_ARG_FROM, back ? &p->weights : &p->plain, (void *)from},
                              {DNNL_ARG_TO, back ? &p->plain : &p->weights, to}};
  return execute(p->reorder, operands, 2);
}

bool tamring_dnn_run(const tamring_dnn *p, void *images, void *packed, void *results, const float *bias,
                     void *scratch) {
  const operand operands[] = {{p->images_argument, &p->images, images},
                              {p->weights_argument, &p->weights, packed},
                              {p->results_argument, &p->results, results},
                              {DNNL_ARG_SCRATCHPAD, &p->scratchpad, scratch},
                              {DNNL_ARG_BIAS, &p->bias, (void *)bias}};
  return execute(p->primitive, operands, p->biased ? 5 : 4);
}

bool tamring_dnn_has_bf16(void) {
  const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

const char *tamring_dnn_fingerprint(void) {
  static char text[96];
  static int state = 0;  // 0 not written, 1 being written, 2 written
  int expected = 0;
  if (__atomic_compare_exchange_n(&state, &expected, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d %.12s isa %d", v->major, v->minor, v->patch, v->hash,
             (int)dnnl_get_effective_cpu_isa());
    __atomic_store_n(&state, 2, __ATOMIC_RELEASE);
  }
  while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != 2) {
  }
  return text;
}
