/* nn/optim.c: optimisers, one element at a time. Constants are rounded to float32 once, before the loop. */
#include "nn/optim.h"

#include <math.h>

#include "num/kern.h"

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

static wh_adam_terms adam_terms(const wh_adam *adam, uint64_t t)
{
    return (wh_adam_terms){.lr = (float)(adam->lr / (1 - pow(adam->beta1, (double)t))),
                           .beta1 = (float)adam->beta1,
                           .rest1 = (float)(1 - adam->beta1),
                           .beta2 = (float)adam->beta2,
                           .rest2 = (float)(1 - adam->beta2),
                           .eps = (float)adam->eps,
                           .correct2 = (float)(1 / sqrt(1 - pow(adam->beta2, (double)t))),
                           .keep = 1};
}

void wh_adam_step(const wh_adam *adam, float *restrict params, float *restrict m, float *restrict v,
                  const float *restrict grad, size_t n, uint64_t t)
{
    wh_adam_terms terms = adam_terms(adam, t);
    terms.decay = (float)adam->weight_decay;
    wh_num_kernels_get()->adam(params, m, v, grad, n, &terms);
}

enum { PIECE = 1 << 16 };

typedef struct adamw {
    const wh_num_kernels *kernels;
    wh_adam_terms terms;
    float *params, *m, *v;
    const float *grad;
    size_t n;
} adamw;

static whist_status adamw_piece(void *user, size_t piece, unsigned worker)
{
    (void)worker;
    const adamw *a = user;
    size_t at = piece * PIECE, n = a->n - at < PIECE ? a->n - at : PIECE;
    a->kernels->adam(a->params + at, a->m + at, a->v + at, a->grad + at, n, &a->terms);
    return WHIST_OK;
}

whist_status wh_adamw_step(const wh_adam *adam, float *restrict params, float *restrict m, float *restrict v,
                           const float *restrict grad, size_t n, uint64_t t, wh_pool *pool)
{
    adamw a = {wh_num_kernels_get(), adam_terms(adam, t), params, m, v, grad, n};
    a.terms.keep = (float)(1 - adam->lr * adam->weight_decay);
    return wh_pool_run(pool, (n + PIECE - 1) / PIECE, adamw_piece, &a);
}
