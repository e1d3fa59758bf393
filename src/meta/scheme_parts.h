/* meta/scheme_parts.h: what a scheme is inside. */
#ifndef WH_META_SCHEME_PARTS_H
#define WH_META_SCHEME_PARTS_H

#include "base/settings.h"
#include "meta/bayes.h"
#include "meta/scheme.h"
#include "nn/graph/program.h"
#include "nn/zoo.h"

/* MORE: abml's noise; of maml++ with norms of their own for each step, a 1 at the number of the set (K). */
enum { WH_SCHEME_MAX_TENSORS = 256, SX = 0, SY, QX, QY, MORE, SUPPORT_MORE = 2 };

/* A program over a personal vector and the arrays of a task, with a run for each worker. */
typedef struct wh_scheme_program {
    wh_program *program;
    wh_value params[WH_SCHEME_MAX_TENSORS], data[WH_SCHEME_ARRAYS];
    wh_run **runs;
} wh_scheme_program;

struct wh_scheme {
    wh_scheme_env env;        /* its learner and settings are the rule's, where the learner has one */
    whist_settings *settings; /* env.settings */
    wh_scheme_kind kind;
    const whist_tensor_info *tensors; /* the model's */
    size_t n_own, n_theta, n_params;  /* tensors: of the network, of θ; numbers of all */
    size_t theta;                     /* numbers of θ */
    size_t head;                      /* first tensor of the network's head */
    bool by_class, learned_rates;
    size_t outputs, steps, noise;
    size_t parts; /* reptile: of the support, which inner steps take in turns; 1 */
    wh_meta_array support[3], query[WH_SCHEME_ARRAYS];
    wh_dims dims[WH_SCHEME_MAX_TENSORS];
    bool adapts[WH_SCHEME_MAX_TENSORS], zero[WH_SCHEME_MAX_TENSORS];
    wh_meta *meta, *early; /* early: maml++ of first order */
    wh_meta_work *work, *early_work;
    wh_scheme_program predict, attack[2]; /* of support, of query */
    float rate;
    double *weights;                       /* maml++ (k+1) */
    size_t n_rates;                        /* maml++ */
    float **rates;                         /* maml++ (threads, n_rates): what their logarithms stand for */
    size_t step_sets;                      /* maml++: K, of norms; 0: they have one set */
    size_t stepped[WH_SCHEME_MAX_TENSORS]; /* where the sets (K,C) of a norm's tensor stand in θ; 0: it has none */
    float *hot_support, *hot_query;        /* (steps,K), (steps+1,K): MORE at every step, at every point */
    float **z;                             /* (threads): rows as they were before an attack */
};

/* ---- scheme_graph.c ---- */
/* Scores (Q, outputs) of the query; data by SX … MORE. */
wh_value wh_scheme_scores(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value data[]);
/* The mean losses, each a wh_meta_build with a const wh_scheme as user; data by SX … */
wh_meta_build wh_scheme_support_loss, wh_scheme_query_loss;
wh_value wh_scheme_prediction(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value data[]);

#endif
