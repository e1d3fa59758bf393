/* whist/nn.h: models, their training steps and their metrics.
 *
 * A model is shape and mathematics without weights. Its parameters are one flat float32 vector,
 * (whist_model_size) long, that the caller owns; whist_model_tensors names the pieces:
 *
 *     mlp 784-200-10:  | layer0.weight (784,200) | layer0.bias (200) | layer1.weight (200,10) | layer1.bias (10) |
 *
 * Weights are (inputs, outputs) row-major, so y = x · W + b. Work memory is asked for once
 * (whist_model_work); steps allocate nothing.
 *
 * Same bits: for one kernel set (whist_model_kernels) results depend on the arguments alone.
 * A whist_model may be read by many threads; a whist_model_work belongs to one at a time. */
#ifndef WHIST_NN_H
#define WHIST_NN_H

#include <whist/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Models -------------------------------------------------------------------------------- */

/* What the target of a row is, and with it the loss. */
typedef enum whist_target {
    WHIST_TARGET_VALUE,    /* a real number: (prediction − y)² */
    WHIST_TARGET_BINARY,   /* 0 or 1: cross-entropy of the sigmoid */
    WHIST_TARGET_CLASS,    /* 0 … K-1: cross-entropy of the softmax */
    WHIST_TARGET_SURVIVAL, /* time and event: Cox negative partial log-likelihood */
} whist_target;

/* What the rows of a model are. Images are rows of numbers too. */
typedef enum whist_row_kind { WHIST_ROWS_NUMBERS, WHIST_ROWS_IMAGES, WHIST_ROWS_TOKENS } whist_row_kind;

typedef struct whist_model_class {
    const char *name; /* "linear", "logistic", "softmax", "mlp", "cox", "cnn", … */
    const char *doc;
    const whist_option *options;
    unsigned targets; /* bit 1 << whist_target for each one it can learn */
    whist_row_kind rows;
} whist_model_class;

/* All classes; the list ends with a row whose name is NULL. */
WHIST_API const whist_model_class *whist_model_classes(void);
/* NULL where no class has that name. */
WHIST_API const whist_model_class *whist_model_class_find(const char *name);

typedef struct whist_model whist_model;

typedef struct whist_model_shape {
    size_t n_features; /* D, 1 … 2^24 */
    size_t n_outputs;  /* K: classes for WHIST_TARGET_CLASS (>= 2), else 1 */
    whist_target target;
    /* What a row is, for the classes that ask. All 0: numbers without an order. */
    size_t channels, height, width; /* an image, row-major; their product is D */
    size_t vocabulary;              /* D tokens, whole numbers below this */
    size_t n_targets;               /* T, targets of a row: 0 or 1, or (tokens, classes) D: one after each token */
} whist_model_shape;

/* settings: of the class's option table; NULL for its defaults. They are read, not kept.
 * WHIST_E_ARG unknown class, or a target the class cannot learn (the text says what can);
 * WHIST_E_RANGE for shapes out of bounds or more than 2^31 parameters. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_new(whist_model **out, const char *class_name,
                                                        const whist_settings *settings, const whist_model_shape *shape);
WHIST_API void whist_model_free(whist_model *model);

/* P, the number of parameters. */
WHIST_API size_t whist_model_size(const whist_model *model);
WHIST_API whist_model_shape whist_model_shape_get(const whist_model *model);
WHIST_API const char *whist_model_class_name(const whist_model *model);

typedef struct whist_tensor_info {
    char name[32];
    size_t n_dims;   /* 1 … 4 */
    size_t shape[4]; /* row-major */
    size_t offset;   /* of the first element in the parameters */
    size_t size;     /* number of elements */
    bool learned;    /* by gradients; else a running statistic of the training batches */
} whist_tensor_info;

/* The tensors in order of their offset; they cover the parameters without a gap. Owned by the model. */
WHIST_API const whist_tensor_info *whist_model_tensors(const whist_model *model, size_t *n);

/* params (P) from a seed: the same on every machine and kernel set. */
WHIST_API void whist_model_init(const whist_model *model, float *params, uint64_t seed);

/* Which kernels compute it, for benchmarks and file metadata: "generic", "avx2", "avx512", with
 * "+openblas-NAME" behind once a large product has called for OpenBLAS. Never NULL. */
WHIST_API const char *whist_model_kernels(void);

/* ---- Training ------------------------------------------------------------------------------ */

/* Rows of a data set, picked by index. All pointers belong to the caller and are only read. */
typedef struct whist_batch {
    const float *rows;      /* x (n_rows, D) row-major */
    const float *target;    /* y (n_rows) or (n_rows, T): value, 0/1, class, or time */
    const float *event;     /* (n_rows) 1 = event seen, 0 = censored; survival only, else NULL */
    const uint32_t *strata; /* (n_rows) risk sets stay inside a stratum; survival only, may be NULL */
    const float *weight;    /* (n_rows) >= 0, or NULL: all 1 */
    size_t n_rows;
    const uint32_t *index; /* (n) the rows of this batch; NULL: rows 0 … n-1 */
    size_t n;              /* B, >= 1 */
    size_t row_stride;     /* elements from one row to the next, less than D where rows overlap; 0: D */
    size_t target_stride;  /* the same of targets; 0: T */
} whist_batch;

typedef struct whist_model_work whist_model_work;

/* Work memory for batches of up to max_batch rows; whist_model_predict takes any number of rows.
 * The model must outlive it. WHIST_E_NOMEM. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_work_new(whist_model_work **out, const whist_model *model,
                                                             size_t max_batch);
WHIST_API void whist_model_work_free(whist_model_work *work);

/* Loss of a batch and its gradient.
 *
 *   loss = (1/B) Σ weight_i · loss_i(params)  +  (l2/2) Σ (weights)²         biases are not penalised
 *   Cox:   the sum over the events of the batch ÷ their number; 0 without an event. The risk set of a
 *          row is those rows of the batch (and stratum) whose time is not earlier. Give all local rows
 *          as one batch for the full partial likelihood; a mini-batch gives an approximation of it.
 *
 * grad (P) out, overwritten; NULL where only the loss is wanted. loss out, may be NULL.
 * WHIST_E_ARG for a batch that is larger than the work memory, lacks its target, or whose index is out
 * of range; WHIST_E_RANGE for a target that is not a class or not 0/1, or a negative or non-finite weight. A
 * loss that is not finite is not an error here. On failure grad and loss are untouched. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_loss_grad(const whist_model *model, whist_model_work *work,
                                                              const float *params, const whist_batch *batch,
                                                              float *grad, double *loss);

/* What is added to the gradient in a step: mu · (params − reference) + correction. */
typedef struct whist_step_terms {
    double mu;               /* FedProx; 0: none */
    const float *reference;  /* (P), needed where mu > 0 */
    const float *correction; /* (P) SCAFFOLD's c − c_i, or NULL */
} whist_step_terms;

/* One step of plain SGD: params −= lr · (gradient + terms). terms may be NULL.
 *
 * The same bits as whist_model_loss_grad followed, in float32 with every operation rounded, by
 *   g = grad;  g = g + mu · (params − reference);  g = g + correction;  params = params + (−lr) · g
 * but in one pass over the parameters where model and terms allow it (finite parameters, lr >= 0). loss is
 * taken before the step; may be NULL. Fails like whist_model_loss_grad, with params untouched. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_sgd_step(const whist_model *model, whist_model_work *work,
                                                             float *params, const whist_batch *batch, double lr,
                                                             const whist_step_terms *terms, double *loss);

/* out (n,K) for x (n,D): value, probability of 1, K probabilities, or log hazard ratio. Rows go through in
 * pieces of max_batch; for the same bits of a layer with more than 2^19 weights, keep max_batch the same. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_predict(const whist_model *model, whist_model_work *work,
                                                            const float *params, const float *x, size_t n, float *out);

/* The same for the rows that a batch picks; of it only rows, n_rows, index, n and row_stride are read. out (n,T,K): a
 * target after every token has its own prediction. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_predict_batch(const whist_model *model, whist_model_work *work,
                                                                  const float *params, const whist_batch *batch,
                                                                  float *out);

/* ---- Metrics ------------------------------------------------------------------------------- */

/* A metric as a fraction, so that sites are pooled exactly: Σ num ÷ Σ den. n counts rows. */
typedef struct whist_metric_value {
    double num, den, n;
} whist_metric_value;

typedef struct whist_metric {
    const char *name;
    const char *doc;
    unsigned targets; /* bit 1 << whist_target for each one it is defined for */
    bool higher_is_better;
} whist_metric;

/*   accuracy  right ÷ rows (threshold .5; first largest class)   f1      2TP ÷ (2TP + FP + FN)
 *   auc       pairs in order (ties ½) ÷ pairs (1, 0)             logloss Σ −ln p(y) ÷ rows, p kept in [1e-15, 1-1e-15]
 *   brier     Σ_k (p_k − [y = k])² ÷ rows; binary (p − y)²       mae     Σ |p − y| ÷ rows
 *   cindex    Harrell: pairs in order (ties ½) ÷ comparable pairs
 * Rows count alike: example weights play no part. The list ends with a row whose name is NULL. */
WHIST_API const whist_metric *whist_metrics(void);
/* NULL where no metric has that name. */
WHIST_API const whist_metric *whist_metric_find(const char *name);

/* Predictions and truth of n rows. All pointers are only read. */
typedef struct whist_metric_rows {
    const float *prediction; /* (n,K) of whist_model_predict */
    const float *target;     /* (n) */
    const float *event;      /* (n) survival only, else NULL */
    size_t n;                /* 0 gives 0/0 */
    whist_model_shape shape;
} whist_metric_rows;

/* WHIST_E_ARG unknown name; WHIST_E_UNSUPPORTED where the metric is not defined for the target;
 * WHIST_E_RANGE where a prediction is NaN; WHIST_E_NOMEM. */
WHIST_API WHIST_MUST_CHECK whist_status whist_metric_compute(whist_metric_value *out, const char *name,
                                                             const whist_metric_rows *rows);

#ifdef __cplusplus
}
#endif
#endif
