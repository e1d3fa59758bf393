/* nn/model.h: what a whist_model is inside. Every class here is a stack of dense layers with one kind of
 * loss at its end; linear, logistic, softmax and Cox models are stacks of one layer. */
#ifndef WH_NN_MODEL_H
#define WH_NN_MODEL_H

#include "base/mem.h"
#include "num/kern.h"
#include "whist/nn.h"

enum { WH_NN_MAX_LAYERS = 17 }; /* 16 hidden ones and the last */

typedef enum wh_activation { WH_ACTIVATION_RELU, WH_ACTIVATION_TANH, WH_ACTIVATION_SIGMOID } wh_activation;
typedef enum wh_init { WH_INIT_UNIFORM, WH_INIT_GLOROT, WH_INIT_HE, WH_INIT_ZERO } wh_init;

typedef struct wh_layer {
    size_t in, out;
    size_t weight, bias; /* offsets in the parameters; bias only where has_bias */
    bool has_bias;
} wh_layer;

struct whist_model {
    const whist_model_class *class_;
    whist_model_shape shape;
    const wh_num_kernels *kernels;
    wh_layer layers[WH_NN_MAX_LAYERS];
    size_t n_layers;
    wh_activation activation;
    wh_init init;
    double l2;
    bool efron; /* Cox: ties by Efron, else Breslow */
    whist_tensor_info tensors[2 * WH_NN_MAX_LAYERS];
    size_t n_tensors;
    size_t size;
};

/* Parameters [at, at + n) of whist_model_init into params (n): a model that does not fit into memory begins
 * piece by piece. at + n <= whist_model_size. */
void wh_model_init_range(const whist_model *model, float *params, size_t at, size_t n, uint64_t seed);

/* Rows lie in buffers whose stride is a multiple of a cache line of floats. */
static inline size_t wh_nn_stride(size_t width)
{
    return (width + 15) / 16 * 16;
}

struct whist_model_work {
    const whist_model *model;
    size_t max_batch;
    wh_arena memory;
    float *x;                       /* (B, stride D) gathered rows */
    float *y, *weight, *event;      /* (B) gathered */
    uint32_t *strata;               /* (B) */
    float *value[WH_NN_MAX_LAYERS]; /* (B, stride out) of each layer, after its activation */
    float *delta[2];                /* (B, stride of the widest layer): ∂loss/∂ output of a layer */
    float *bias_grad;               /* (widest) */
    uint32_t *columns; /* (D) features that are not zero in all rows of the batch; n_columns of them, … */
    size_t n_columns;
    bool picks;                      /* … where the first layer makes use of that */
    float *grad;                     /* (P), for steps that cannot be fused */
    uint32_t *order, *order_scratch; /* (B) Cox: rows by stratum, then time */
    double *log_risk;                /* (B) Cox */
};

/* The rows of a batch as dense arrays. x is the caller's memory or work->x. */
typedef struct wh_rows {
    size_t n;
    const float *x;
    size_t ldx;
    const float *y, *weight, *event; /* weight may be NULL */
    const uint32_t *strata;          /* may be NULL */
} wh_rows;

/* Checks the batch and gathers it. WHIST_E_ARG, WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_nn_gather(wh_rows *out, const whist_model *model, whist_model_work *work,
                                        const whist_batch *batch);

/* value[l] of all layers from x (n,D); the last holds the scores before the loss. */
void wh_nn_forward(const whist_model *model, whist_model_work *work, const float *params, const float *x, size_t ldx,
                   size_t n);

/* delta (n,K) = ∂loss/∂scores; delta may be NULL where only the loss is wanted, loss likewise. The
 * penalty is not part of this. */
void wh_nn_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, float *delta, double *loss);

/* The same for survival models: scores and delta have stride ld. */
void wh_cox_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, const float *scores, size_t ld,
                 float *delta, double *loss);

#endif
