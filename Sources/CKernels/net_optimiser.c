// Update rules over flat arrays: SGD with momentum, and AdamW. Each operation rounds once, in the order written.
#include "net_common.h"
#include "network_kernels.h"

static inline __attribute__((always_inline)) void update(const tamring_sgd_rule *rule, float g, float *p, float *v) {
  const float d = g + rule->weight_decay * *p;
  *v = rule->momentum * *v + d;
  *p -= rule->rate * (rule->nesterov ? d + rule->momentum * *v : *v);
}

BODY sgd_body(const tamring_sgd_rule *rule, int64_t n, const float *restrict gradient, float divisor, float *restrict p,
              float *restrict v) {
  const tamring_sgd_rule r = *rule;
  for (int64_t i = 0; i < n; i++) update(&r, gradient[i] / divisor, p + i, v + i);
}
KERNEL(sgd, (const tamring_sgd_rule *rule, int64_t n, const float *gradient, float divisor, float *p, float *v),
       (rule, n, gradient, divisor, p, v))

BODY sgd_reduced_body(const tamring_sgd_rule *rule, int64_t n, const int32_t *restrict q, float scale, float divisor,
                      float *restrict p, float *restrict v) {
  const tamring_sgd_rule r = *rule;
  for (int64_t i = 0; i < n; i++) update(&r, (float)q[i] * scale / divisor, p + i, v + i);
}
KERNEL(sgd_reduced,
       (const tamring_sgd_rule *rule, int64_t n, const int32_t *q, float scale, float divisor, float *p, float *v),
       (rule, n, q, scale, divisor, p, v))

static inline __attribute__((always_inline)) void adamw(const tamring_adamw_rule *rule, float g, float *p, float *m,
                                                        float *v) {
  *m = rule->beta1 * *m + rule->take1 * g;
  *v = rule->beta2 * *v + rule->take2 * (g * g);
  const float root = __builtin_elementwise_sqrt(*v) / rule->root_correction + rule->epsilon;
  *p = rule->keep * *p - rule->rate * (*m / root);
}

BODY adamw_body(const tamring_adamw_rule *rule, int64_t n, const float *restrict gradient, float divisor,
                float *restrict p, float *restrict m, float *restrict v) {
  const tamring_adamw_rule r = *rule;
  for (int64_t i = 0; i < n; i++) adamw(&r, gradient[i] / divisor, p + i, m + i, v + i);
}
KERNEL(adamw,
       (const tamring_adamw_rule *rule, int64_t n, const float *gradient, float divisor, float *p, float *m, float *v),
       (rule, n, gradient, divisor, p, m, v))

BODY adamw_reduced_body(const tamring_adamw_rule *rule, int64_t n, const int32_t *restrict q, float scale,
                        float divisor, float *restrict p, float *restrict m, float *restrict v) {
  const tamring_adamw_rule r = *rule;
  for (int64_t i = 0; i < n; i++) adamw(&r, (float)q[i] * scale / divisor, p + i, m + i, v + i);
}
KERNEL(adamw_reduced,
       (const tamring_adamw_rule *rule, int64_t n, const int32_t *q, float scale, float divisor, float *p, float *m,
        float *v),
       (rule, n, q, scale, divisor, p, m, v))

BODY blend_body(int64_t n, float keep, float take, const float *restrict value, float *restrict running) {
  for (int64_t i = 0; i < n; i++) running[i] = keep * running[i] + take * value[i];
}
KERNEL(blend, (int64_t n, float keep, float take, const float *value, float *running), (n, keep, take, value, running))
