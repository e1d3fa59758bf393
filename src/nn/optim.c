/* nn/optim.c: optimisers, one element at a time. Constants are rounded to float32 once, before the loop. */
#include "nn/optim.h"

#include <math.h>

void wh_sgd_step(const wh_sgd *sgd, float *restrict params, float *restrict velocity, const float *restrict grad,
                 size_t n)
{
    const float lr = (float)sgd->lr, momentum = (float)sgd->momentum, decay = (float)sgd->weight_decay;
    if (!velocity || momentum == 0.0f) {
        for (size_t i = 0; i < n; i++) params[i] -= lr * (grad[i] + decay * params[i]);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float g = grad[i] + decay * params[i], v = momentum * velocity[i] + g;
        velocity[i] = v;
        params[i] -= lr * (sgd->nesterov ? g + momentum * v : v);
    }
}

void wh_adam_step(const wh_adam *adam, float *restrict params, float *restrict m, float *restrict v,
                  const float *restrict grad, size_t n, uint64_t t)
{
    const float beta1 = (float)adam->beta1, beta2 = (float)adam->beta2, decay = (float)adam->weight_decay;
    const float rest1 = (float)(1 - adam->beta1), rest2 = (float)(1 - adam->beta2), eps = (float)adam->eps;
    const float lr = (float)(adam->lr / (1 - pow(adam->beta1, (double)t)));
    const float correct2 = (float)(1 / sqrt(1 - pow(adam->beta2, (double)t)));
    for (size_t i = 0; i < n; i++) {
        float g = grad[i] + decay * params[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        params[i] -= lr * m[i] / (sqrtf(v[i]) * correct2 + eps);
    }
}
