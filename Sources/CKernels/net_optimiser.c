// Stochastic gradient descent with momentum over flat arrays; each operation rounds once, in the order written.
#include "net_common.h"
#include "network_kernels.h"

static inline __attribute__((always_inline)) void update(const tamring_sgd_rule *rule, float g, float *p, float *v) {
  const float d = g + rule->weight_decay * *p;
  *v = rule->momentum * *v + d;
  *p -= rule->rate * (rule->nesterov ? d + rule->momentum * *v : *v);
}

BODY sgd_body(const tamring_sgd_rule *rule, int64_t n, const float *restrict gradient, float clips, float *restrict p,
              float *restrict v) {
  const tamring_sgd_rule r = *rule;
  for (int64_t i = 0; i < n; i++) update(&r, gradient[i] / clips, p + i, v + i);
}
KERNEL(sgd, (const tamring_sgd_rule *rule, int64_t n, const float *gradient, float clips, float *p, float *v),
       (rule, n, gradient, clips, p, v))

BODY sgd_reduced_body(const tamring_sgd_rule *rule, int64_t n, const int32_t *restrict q, float scale, float clips,
                      float *restrict p, float *restrict v) {
  const tamring_sgd_rule r = *rule;
  for (int64_t i = 0; i < n; i++) update(&r, (float)q[i] * scale / clips, p + i, v + i);
}
KERNEL(sgd_reduced,
       (const tamring_sgd_rule *rule, int64_t n, const int32_t *q, float scale, float clips, float *p, float *v),
       (rule, n, q, scale, clips, p, v))

BODY blend_body(int64_t n, float keep, float take, const float *restrict value, float *restrict running) {
  for (int64_t i = 0; i < n; i++) running[i] = keep * running[i] + take * value[i];
}
KERNEL(blend, (int64_t n, float keep, float take, const float *value, float *running), (n, keep, take, value, running))
