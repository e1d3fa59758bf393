/* nn/zoo.h: a model of any class as a graph.
 *
 * whist_model_loss_grad and its kin serve those who want a gradient and nothing else. Whoever needs more (per-example
 * sums, Hessian-vector products, an unrolled inner step) builds it from here:
 *
 *     wh_graph_new(&graph, WH_F32);
 *     wh_model_params(params, graph, model);                        inputs, one a tensor, role WH_PARAM
 *     wh_model_graph(&values, graph, model, &(wh_model_use){.params = params, .batch = B, .mode = WH_MODEL_TRAIN});
 *     wh_per_example_new(&each, graph, values.losses, params, n) …  or wh_graph_gradient of a mean loss, …
 *     wh_program_new, wh_run_new, wh_model_bind_params, wh_feed_bind;  then for each batch wh_feed_fill, wh_run_go
 *
 * All classes work in float32 and in float64. params may be any values of the tensors' shapes: the result of an inner
 * step, a perturbed vector. One graph may hold the model many times (support and query, each with its own inputs).
 *
 * Parameters that are not learned (info.learned false: the running mean and variance of an inductive batch norm) are
 * tensors like the others, and their gradient is zero; `next` says what they become after a batch. */
#ifndef WH_NN_ZOO_H
#define WH_NN_ZOO_H

#include "nn/graph/graph.h"
#include "nn/graph/program.h"
#include "whist/nn.h"

/* How a batch goes through; bits. */
typedef enum wh_model_mode {
    WH_MODEL_EVAL = 0,       /* nothing drops; batch norm, where it is inductive, by the running statistics */
    WH_MODEL_DROPOUT = 1,    /* dropout by the seed input */
    WH_MODEL_STATISTICS = 2, /* batch norm by this batch's statistics: its examples are coupled */
    WH_MODEL_TRAIN = 3,
} wh_model_mode;

typedef struct wh_model_use {
    const wh_value *params; /* one for each tensor of whist_model_tensors, of its shape */
    size_t batch;           /* B, >= 1 */
    unsigned mode;          /* of wh_model_mode */
    wh_value x;        /* rows that exist already, (B,D) or, as tokens, index (B,D); WH_NO_VALUE: an input is made */
    wh_value target;   /* targets that exist already, as the input below; WH_NO_VALUE: an input is made */
    size_t statistics; /* batch norm (transductive) by the statistics of so many leading rows alone; 0: of all */
} wh_model_use;

enum { WH_MODEL_MAX_NEXT = 32 };

/* Values of one use. T = n_targets; an axis T of 1 is left out. */
typedef struct wh_model_values {
    wh_value x;        /* input (B,D); of tokens: index (B,D) below the vocabulary */
    wh_value target;   /* input: index (B) or (B,T) for classes, real (B) for numbers and 0/1; survival: WH_NO_VALUE */
    wh_cox cox;        /* inputs, survival only */
    wh_value seed;     /* input, index (2), of dropout; WH_NO_VALUE where nothing drops */
    wh_value features; /* (B,F) or (B,T,F): what the head, the last dense layer, sees */
    wh_value scores;   /* (B,K) or (B,T,K); K = 1: (B,1) */
    wh_value losses; /* (B): of each example by itself, not weighted, of T targets the mean. Survival: (1), the sum over
                        the events of the batch, whose rows are coupled */
    wh_value prediction; /* what whist_model_predict gives: (B,1), (B,K) or (B,T,K) */
    size_t head;         /* the tensors from this one on are the head's */
    size_t n_next;       /* tensors that are not learned, with what they become: next[i] is of tensor next_tensor[i] */
    size_t next_tensor[WH_MODEL_MAX_NEXT];
    wh_value next[WH_MODEL_MAX_NEXT];
} wh_model_values;

/* out[i]: an input of tensor i, WH_PARAM where it is learned, else WH_SHARED. */
WH_MUST_CHECK whist_status wh_model_params(wh_value out[], wh_graph *graph, const whist_model *model);
/* Fails like wh_graph_status. */
WH_MUST_CHECK whist_status wh_model_graph(wh_model_values *out, wh_graph *graph, const whist_model *model,
                                          const wh_model_use *use);
/* The penalty (l2/2) Σ (weights)² of the model's option l2, a scalar; WH_NO_VALUE where l2 is 0. */
wh_value wh_model_penalty(wh_graph *graph, const whist_model *model, const wh_value params[]);
/* A scalar: whist_model_loss_grad's loss. *weight: an input (B), WH_EXAMPLES; survival: a scalar, one over the number
 * of events (wh_feed_bind knows both). */
wh_value wh_model_mean_loss(wh_value *weight, wh_graph *graph, const whist_model *model, const wh_model_values *values,
                            const wh_value params[]);
/* ---- What is learned beside the network ----
 * Tensors that a meta-learner brings along (rates, a head of its own, deviations) stand behind the class's own: they
 * are part of the parameters, of updates and of model files, and the walk does not look at them. Only before the model
 * is shared. */

/* number: where every element starts; uniform > 0: U(-uniform, uniform) instead. */
WH_MUST_CHECK whist_status wh_model_extend(whist_model *model, const char *name, const wh_dims *dims, double number,
                                           double uniform);
/* Takes the last dense layer away: what is left gives features. Predicting and plain training are then refused
 * (whist_model_work_new), and `scores` of a graph mean nothing. WHIST_E_UNSUPPORTED where tensors stand behind it. */
WH_MUST_CHECK whist_status wh_model_drop_head(whist_model *model);
size_t wh_model_own_tensors(const whist_model *model); /* those of the class; the others were brought along */
bool wh_model_has_norm(const whist_model *model);      /* transductive batch norm: statistics matter */

/* Do rows of a batch see each other on the way to the losses in this mode? Then a batch cannot be padded. */
bool wh_model_couples(const whist_model *model, unsigned mode);
/* Does the graph in this mode draw a dropout mask? */
bool wh_model_drops(const whist_model *model);

/* Binds every tensor at its offset in flat (P), float or double as the graph is. */
WH_MUST_CHECK whist_status wh_model_bind_params(wh_run *run, const wh_value params[], const whist_model *model,
                                                const void *flat, wh_real real);

/* Host memory for the inputs of one batch. */
typedef struct wh_feed wh_feed;
WH_MUST_CHECK whist_status wh_feed_new(wh_feed **out, const whist_model *model, size_t batch, wh_real real);
void wh_feed_free(wh_feed *feed);
WH_AUTO_FREE(wh_feed, wh_feed_free)
/* Binds the inputs of `values` to the feed's memory; weight may be WH_NO_VALUE. Once for each run. */
WH_MUST_CHECK whist_status wh_feed_bind(wh_run *run, const wh_feed *feed, const wh_model_values *values,
                                        wh_value weight);
/* Checks the rows and copies them in. A batch that is smaller than the feed's is filled up with its first row at weight
 * 0 (not where wh_model_couples: WHIST_E_ARG). target NULL: rows to predict for. Fails like whist_model_loss_grad;
 * WHIST_E_RANGE for a token that is not below the vocabulary. */
WH_MUST_CHECK whist_status wh_feed_fill(wh_feed *feed, const whist_batch *batch);
void wh_feed_seed(wh_feed *feed, uint64_t seed);

/* ---- The compiled half of whist_model_work (compiled.c) ---- */

/* Gradients and predictions use this pool, which changes no bit; NULL: one thread. It outlives the work. */
void wh_model_work_pool(whist_model_work *work, wh_pool *pool);
/* The seed of the next steps' dropout; every step with the same one drops the same. */
void wh_model_work_seed(whist_model_work *work, uint64_t seed);
/* Parameters that are not learned become what the last whist_model_loss_grad's batch makes of them. */
void wh_model_work_track(const whist_model_work *work, float *params);

#endif
