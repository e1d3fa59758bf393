/* nn/model.h: what a whist_model is inside.
 *
 * linear, logistic, softmax, mlp and cox are stacks of dense layers with one kind of loss at the end: forward.c and
 * step.c run them without a graph. Every class is also a function that builds its graph (net.h), and that function lays
 * the tensors out too: there is one description of each. */
#ifndef WH_NN_MODEL_H
#define WH_NN_MODEL_H

#include "base/mem.h"
#include "nn/zoo.h"
#include "num/kern.h"
#include "whist/nn.h"

enum { WH_NN_MAX_LAYERS = 17 }; /* 16 hidden ones and the last */

typedef enum wh_activation {
    WH_ACTIVATION_RELU,
    WH_ACTIVATION_TANH,
    WH_ACTIVATION_SIGMOID,
    WH_ACTIVATION_GELU,
    WH_ACTIVATION_GELU_TANH,
} wh_activation;

typedef enum wh_init {
    WH_INIT_UNIFORM,
    WH_INIT_GLOROT,
    WH_INIT_HE,
    WH_INIT_ZERO,
    WH_INIT_NORMAL,
    WH_INIT_TRUNCATED,
    WH_INIT_ORTHOGONAL,
    WH_INIT_GPT2,
} wh_init;

/* How one tensor starts (fill.c). */
typedef struct wh_fill {
    enum { WH_FILL_NUMBER, WH_FILL_UNIFORM, WH_FILL_NORMAL, WH_FILL_TRUNCATED, WH_FILL_ORTHOGONAL } kind;
    double size;  /* the number; U(-size, size); the standard deviation */
    size_t width; /* ORTHOGONAL: (width, k width) is k orthogonal matrices side by side */
} wh_fill;

typedef struct wh_layer {
    size_t in, out;
    size_t weight, bias; /* offsets in the parameters; bias only where has_bias */
    bool has_bias;
} wh_layer;

typedef enum wh_norm { WH_NORM_NONE, WH_NORM_GROUP, WH_NORM_INDUCTIVE, WH_NORM_TRANSDUCTIVE } wh_norm_kind;
typedef enum wh_positions { WH_POSITIONS_LEARNED, WH_POSITIONS_NONE } wh_positions;

/* The options of the classes that run as graphs; each class uses its own. */
typedef struct wh_zoo {
    size_t width, depth, heads, feed_forward, groups;
    wh_norm_kind norm;
    wh_positions positions;
    double dropout, momentum;
    bool max_pool, flatten, norm_first, tied;
} wh_zoo;

typedef struct wh_net wh_net;

/* The half of a class that is not public. */
typedef struct wh_model_kind {
    whist_status (*configure)(whist_model *model, const whist_settings *settings); /* NULL: nothing of its own */
    wh_value (*build)(wh_net *net, wh_value x); /* rows → scores (B,K) or (B,T,K) */
    bool dense;                                 /* layers[] describes it all */
    enum {
        WH_ONE_TARGET,
        WH_TARGETS_EACH,
        WH_TARGETS_EITHER
    } targets; /* of tokens: for the row, each token, as asked */
} wh_model_kind;

struct whist_model {
    const whist_model_class *class_;
    const wh_model_kind *kind;
    whist_model_shape shape; /* n_targets is 1 at least */
    const wh_num_kernels *kernels;
    wh_layer layers[WH_NN_MAX_LAYERS];
    size_t n_layers;
    wh_activation activation;
    wh_init init;
    double init_scale; /* standard deviation for NORMAL and TRUNCATED */
    double l2;
    bool efron; /* Cox: ties by Efron, else Breslow */
    wh_zoo zoo;
    whist_tensor_info *tensors; /* n_tensors, and how each starts … */
    wh_fill *fills;
    bool *penalised; /* … and whether l2 counts it */
    size_t n_tensors, cap_tensors;
    size_t size;
    size_t n_own; /* tensors of the class itself; those behind are a meta-learner's */
    size_t head;  /* first tensor of the last dense layer */
    bool headless;
    bool couples; /* batch norm looks at the batch when training */
    bool drops;
};

extern const wh_model_kind wh_kind_dense, wh_kind_cnn, wh_kind_conv4, wh_kind_resnet9, wh_kind_lstm,
    wh_kind_transformer, wh_kind_gpt;

/* layers[]: where the tensors lie that the walk has laid out. */
void wh_dense_offsets(whist_model *model);

/* The index of a CHOICE among the names of its table row, or 0. */
int wh_model_choice(const whist_settings *settings, const char *option, const char *const *names, size_t n);
extern const char *const wh_activation_names[5];

/* Parameters [at, at + n) of whist_model_init into params (n): a model that does not fit into memory begins
 * piece by piece. at + n <= whist_model_size. */
void wh_model_init_range(const whist_model *model, float *params, size_t at, size_t n, uint64_t seed);

/* Rows lie in buffers whose stride is a multiple of a cache line of floats. */
static inline size_t wh_nn_stride(size_t width)
{
    return (width + 15) / 16 * 16;
}

/* A layer of few outputs over many inputs, for many rows, is computed along the inputs: W turned into rows, dot
 * products forward, and the gradient turned likewise. */
enum { WH_NN_NARROW = 16 };
static inline bool wh_nn_is_narrow(const wh_layer *layer, size_t n)
{
    return layer->out > 1 && layer->out <= WH_NN_NARROW && layer->in >= 64 && n > 32;
}

typedef struct wh_compiled wh_compiled;
typedef struct wh_spread wh_spread;

struct whist_model_work {
    const whist_model *model;
    size_t max_batch;
    wh_compiled *compiled; /* of classes that run as programs; all below is then empty */
    wh_pool *pool;         /* the caller's, or NULL */
    wh_spread *spread;     /* made when a step first uses the pool */
    wh_arena memory;
    float *x;                       /* (B, stride D) gathered rows */
    float *y, *weight, *event;      /* (B) gathered */
    uint32_t *strata;               /* (B) */
    float *value[WH_NN_MAX_LAYERS]; /* (B, stride out) of each layer, after its activation */
    float *delta[2];                /* (B, stride of the widest layer): ∂loss/∂ output of a layer */
    float *bias_grad;               /* (widest) */
    float *turned;                  /* (WH_NN_NARROW, widest input) a narrow layer's W or its gradient, as rows */
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

/* Pointers, sizes, strides and index of a batch of a model. WHIST_E_ARG. targets: it has to have them. */
WH_MUST_CHECK whist_status wh_nn_check_batch(const whist_model *model, size_t max_batch, const whist_batch *batch,
                                             bool targets);
/* Is y a target that the model can learn? */
bool wh_nn_target_is_good(const whist_model *model, float y);
/* The refusal of target i of the batch, and of a weight. */
WH_MUST_CHECK whist_status wh_nn_bad_target(const whist_model *model, size_t i);
WH_MUST_CHECK whist_status wh_nn_bad_weight(size_t i);

/* Checks the batch and gathers it. WHIST_E_ARG, WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_nn_gather(wh_rows *out, const whist_model *model, whist_model_work *work,
                                        const whist_batch *batch);

/* The same but for the rows, which whoever asks copies: rows->x is NULL where the batch has an index. */
WH_MUST_CHECK whist_status wh_nn_gather_targets(wh_rows *out, const whist_model *model, whist_model_work *work,
                                                const whist_batch *batch);

/* Rows from … from + n - 1 of a batch with an index, copied to their place in work->x. */
void wh_nn_copy_rows(const whist_model_work *work, const whist_batch *batch, size_t from, size_t n);

/* value[l] of all layers from x (n,D); the last holds the scores before the loss. train: narrow layers go along their
 * inputs, whose bits are others; without it a row's scores do not depend on how many rows there are. */
void wh_nn_forward(const whist_model *model, whist_model_work *work, const float *params, const float *x, size_t ldx,
                   size_t n, bool train);

/* delta (n,K) = ∂loss/∂scores; delta may be NULL where only the loss is wanted, loss likewise. The
 * penalty is not part of this. */
void wh_nn_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, float *delta, double *loss);

/* Rows from … to-1 of it, for models that are no survival models; delta is divided by `divisor`; adds their part of the
 * loss, not yet divided. */
void wh_nn_head_rows(const whist_model *model, const wh_rows *rows, const float *scores, float divisor, float *delta,
                     size_t from, size_t to, double *loss);

/* δ' (n, in) of what layer l reads, value (n, in), from its δ (n, out): (δ Wᵀ) ⊙ f'(value). */
void wh_nn_back(const whist_model *model, size_t l, const float *params, const float *delta, float *out,
                const float *value, size_t n);

/* weight (M,N) of the layer becomes (WH_GEMM_PUT), or changes by alpha times (WH_GEMM_AXPY), v^T δ, v (n,M) and δ (n,N)
 * with the layer's stride. A single column is computed as a row, the few of a narrow layer as rows. */
void wh_nn_weight_gradient(const whist_model *model, whist_model_work *work, const wh_layer *layer, float *weight,
                           const float *v, size_t ldv, const float *delta, size_t n, wh_gemm_mode mode, float alpha);

/* wh_nn_head for survival models: scores and delta have stride ld. */
void wh_cox_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, const float *scores, size_t ld,
                 float *delta, double *loss);

/* ---- spread.c: on the threads of the work's pool ---- */
/* Has it several, and is the batch large enough to share? */
bool wh_spread_fits(const whist_model_work *work, const whist_batch *batch);
/* As whist_model_loss_grad, to the bit, but without the penalty. */
WH_MUST_CHECK whist_status wh_spread_gradient(whist_model_work *work, const float *params, const whist_batch *batch,
                                              float *grad, double *loss);
/* As whist_model_predict_batch. */
WH_MUST_CHECK whist_status wh_spread_predict(whist_model_work *work, const float *params, const whist_batch *batch,
                                             float *out);
void wh_spread_free(wh_spread *spread);

/* ---- compiled.c: the same contracts as whist_model_*, by programs ---- */
WH_MUST_CHECK whist_status wh_compiled_new(wh_compiled **out, const whist_model *model, size_t max_batch);
void wh_compiled_free(wh_compiled *compiled);
WH_MUST_CHECK whist_status wh_compiled_loss_grad(wh_compiled *compiled, const float *params, const whist_batch *batch,
                                                 float *grad, double *loss);
WH_MUST_CHECK whist_status wh_compiled_predict(wh_compiled *compiled, const float *params, const whist_batch *batch,
                                               float *out);
/* (P) scratch of the step. */
float *wh_compiled_grad(wh_compiled *compiled);

#endif
