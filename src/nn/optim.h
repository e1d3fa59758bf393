/* nn/optim.h: optimisers as plain functions on flat vectors.
 *
 * The caller owns parameters, gradient and state vectors (start them at 0). All arithmetic is float32, one
 * element at a time, so every kernel set gives the same bits. n elements each; vectors do not overlap. */
#ifndef WH_NN_OPTIM_H
#define WH_NN_OPTIM_H

#include "base/pool.h"

typedef struct wh_sgd {
    double lr, momentum, weight_decay; /* momentum in [0, 1) */
    bool nesterov;
} wh_sgd;

/* g += weight_decay · w;  v = momentum · v + g;  w −= lr · (nesterov ? g + momentum · v : v)
 * (Sutskever et al. 2013 in PyTorch's form). velocity may be NULL where momentum is 0. */
void wh_sgd_step(const wh_sgd *sgd, float *restrict params, float *restrict velocity, const float *restrict grad,
                 size_t n);

typedef struct wh_adam {
    double lr, beta1, beta2, eps, weight_decay;
} wh_adam;
#define WH_ADAM_DEFAULT                                                                                                \
    {                                                                                                                  \
        .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8                                                          \
    }

/* Adam (Kingma and Ba 2015), bias-corrected; weight decay is added to the gradient. t = 1 for the
 * first step.  m = β1 m + (1-β1) g;  v = β2 v + (1-β2) g²;  w −= lr · m̂ / (√v̂ + eps) */
void wh_adam_step(const wh_adam *adam, float *restrict params, float *restrict m, float *restrict v,
                  const float *restrict grad, size_t n, uint64_t t);

/* AdamW (Loshchilov and Hutter 2019): the decay is no part of the gradient, w −= lr · weight_decay · w beside Adam's
 * step. Pieces of the vectors go to the pool (may be NULL), which changes no bit. */
WH_MUST_CHECK whist_status wh_adamw_step(const wh_adam *adam, float *restrict params, float *restrict m,
                                         float *restrict v, const float *restrict grad, size_t n, uint64_t t,
                                         wh_pool *pool);

#endif
