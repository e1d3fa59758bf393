/* meta/bayes.c: an objective over weights becomes one over a Gaussian of weights. */
#include "meta/bayes.h"

#include "nn/graph/node.h"

WH_AUTO_FREE(wh_value, wh_free)

/* s - l + (e^2l + (m - μ)²) / 2e^2s - 1/2 */
wh_value wh_meta_bayes_divergence(wh_graph *g, wh_value m, wh_value l, wh_value mu, wh_value s)
{
    wh_value spread = wh_graph_exp(g, wh_graph_scale(g, l, 2)), off = wh_graph_square(g, wh_graph_sub(g, m, mu));
    wh_value inverse = wh_graph_exp(g, wh_graph_scale(g, s, -2));
    wh_value each = wh_graph_scale(g, wh_graph_mul(g, wh_graph_add(g, spread, off), inverse), .5);
    return wh_graph_sum_all(g, wh_graph_shift(g, wh_graph_add(g, each, wh_graph_sub(g, s, l)), -.5));
}

/* The noise of a tensor, from the flat vector. */
static wh_value noise_of(wh_graph *g, wh_value flat, size_t at, wh_dims dims)
{
    return wh_graph_reshape(g, wh_graph_slice(g, flat, &at, WH_DIMS(wh_dims_size(&dims))), dims);
}

wh_value wh_meta_bayes_build(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                             const wh_value data[])
{
    const wh_meta_bayes *b = user;
    WH_AUTO(wh_value_ptr) w = NULL;
    if (!prior) return wh_graph_fail(g, WHIST_E_ARG, "bayes: the problem has to say that it uses the prior");
    if (WH_NEW(&w, b->n_params) != WHIST_OK) return wh_graph_fail(g, WHIST_E_NOMEM, "no memory for a Gaussian");
    wh_value divergence = wh_graph_fill(g, WH_SCALAR, 0);
    for (size_t i = 0, at = 0; i < b->n_params; i++) {
        wh_dims dims = wh_graph_dims(g, params[i]);
        wh_value m = params[i], l = params[b->n_params + i];
        wh_value noise = noise_of(g, data[b->n_arrays], at, dims);
        w[i] = wh_graph_add(g, m, wh_graph_mul(g, wh_graph_exp(g, l), noise));
        divergence = wh_graph_add(g, divergence, wh_meta_bayes_divergence(g, m, l, prior[i], prior[b->n_params + i]));
        at += wh_dims_size(&dims);
    }
    wh_value fit = wh_graph_reshape(g, b->base(b->user, g, w, NULL, data), WH_SCALAR);
    return wh_graph_add(g, wh_graph_scale(g, fit, b->likelihood), divergence);
}
