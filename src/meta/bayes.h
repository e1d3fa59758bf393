/* meta/bayes.h: amortised Bayesian meta-learning (Ravi and Beatson 2019): an objective over weights becomes one over a
 * Gaussian of weights.
 *
 * Of n tensors of weights come 2n of parameters: the means m, then the log deviations l, in the same order. A start θ
 * of the inner steps is the prior (μ, log σ) as well, and the steps find the posterior of the task:
 *
 *     w = m + e^l ∘ ε,   objective = likelihood · base(w) + KL(N(m, e^2l) | N(μ, σ²))
 *
 * Inner steps want fresh noise each: the noise array is per_step. The problem says uses_prior. */
#ifndef WH_META_BAYES_H
#define WH_META_BAYES_H

#include "meta/meta.h"

typedef struct wh_meta_bayes {
    wh_meta_build *base; /* over weights; its prior is NULL */
    void *user;
    size_t n_params; /* tensors of weights */
    size_t n_arrays; /* of the base; the noise (all weights, flat) is the array after them */
    double likelihood;
} wh_meta_bayes;

/* A wh_meta_build; user is a const wh_meta_bayes. */
wh_value wh_meta_bayes_build(void *user, wh_graph *graph, const wh_value params[], const wh_value prior[],
                             const wh_value data[]);
/* KL(N(m, e^2l) | N(mu, e^2s)), summed over the elements of one tensor. */
wh_value wh_meta_bayes_divergence(wh_graph *graph, wh_value m, wh_value l, wh_value mu, wh_value s);

#endif
