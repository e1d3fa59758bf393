/* meta/scheme_graph.c: the scores, losses and predictions of a learner as graphs. */
#include "meta/scheme_parts.h"

/* ---- The network -------------------------------------------------------------------------------------- */

/* Features and scores of rows x, as the network has them. */
static bool network(wh_model_values *out, const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value x,
                    size_t batch, size_t statistics)
{
    const wh_model_use use = {
        .params = params, .batch = batch, .mode = WH_MODEL_STATISTICS, .x = x, .statistics = statistics};
    return wh_model_graph(out, g, s->env.model, &use) == WHIST_OK;
}

/* Rows from … of a value whose first axis counts them. */
static wh_value rows_of(wh_graph *g, wh_value all, size_t from, size_t n)
{
    size_t at[WH_GRAPH_RANK] = {from};
    wh_dims dims = wh_graph_dims(g, all);
    dims.dim[0] = n;
    return wh_graph_slice(g, all, at, dims);
}

/* Support (side 0) or query rows (1) through the network: features and scores. By the support's statistics the query
 * goes through beside the support. */
static bool side(wh_value *features, wh_value *scores, const wh_scheme *s, wh_graph *g, const wh_value params[],
                 const wh_value data[], int which)
{
    wh_model_values values;
    bool beside = which == 1 && s->env.support_statistics;
    wh_value x = data[which == 0 ? SX : QX];
    size_t n = wh_graph_dims(g, x).dim[0]; /* of the support all, or the part of a step */
    if (beside) x = wh_graph_concat(g, 0, (const wh_value[]){data[SX], x}, 2);
    if (!network(&values, s, g, params, x, beside ? s->env.support + n : n, beside ? s->env.support : 0)) return false;
    *features = beside ? rows_of(g, values.features, s->env.support, n) : values.features;
    *scores = beside ? rows_of(g, values.scores, s->env.support, n) : values.scores;
    return true;
}

/* ---- Norms of their own for each step (Antoniou et al. 2019, section 4: BNWB) ---- */

/* Of maml++: a norm's scale and shift are what all steps share plus those of the step's set. */
static const wh_value *at_step(wh_value w[], const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value hot)
{
    if (s->step_sets == 0) return params;
    wh_value row = wh_graph_reshape(g, hot, WH_DIMS(1, s->step_sets));
    for (size_t i = 0; i < s->n_theta; i++) {
        w[i] = params[i];
        if (i >= s->n_own || s->stepped[i] == 0) continue;
        wh_value own = wh_graph_matmul(g, row, params[s->stepped[i]], WH_MATMUL_NN);
        w[i] = wh_graph_add(g, params[i], wh_graph_reshape(g, own, wh_graph_dims(g, params[i])));
    }
    return w;
}

/* ---- A context (Zintgraf et al. 2019): it scales and shifts the features that the head sees ---------------- */

static wh_value with_context(const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value features)
{
    const wh_value *own = params + s->n_own;
    size_t f = wh_graph_dims(g, features).dim[1], c = wh_graph_dims(g, own[0]).dim[0];
    wh_value film = wh_graph_linear(g, wh_graph_reshape(g, own[0], WH_DIMS(1, c)), own[1], own[2], WH_MATMUL_NN);
    wh_value factor = wh_graph_slice(g, film, (const size_t[]){0, 0}, WH_DIMS(1, f));
    wh_value shift = wh_graph_slice(g, film, (const size_t[]){0, f}, WH_DIMS(1, f));
    wh_value seen = wh_graph_add(g, wh_graph_mul(g, features, wh_graph_shift(g, factor, 1)), shift);
    return wh_graph_linear(g, seen, params[s->head], params[s->head + 1], WH_MATMUL_NN);
}

/* ---- Heads over features ------------------------------------------------------------------------------------ */

/* σ(relu([prototype, query] · W1 + b1) · W2 + b2): (Q,ways) */
static wh_value relations(const wh_scheme *s, wh_graph *g, const wh_value own[], wh_value support, wh_value labels,
                          wh_value query)
{
    wh_value pairs = wh_meta_pairs(g, wh_meta_prototypes(g, support, labels, s->env.ways), query);
    wh_value hidden = wh_graph_relu(g, wh_graph_linear(g, pairs, own[0], own[1], WH_MATMUL_NN));
    wh_value relation = wh_graph_sigmoid(g, wh_graph_linear(g, hidden, own[2], own[3], WH_MATMUL_NN));
    return wh_graph_reshape(g, relation, WH_DIMS(s->env.query, s->env.ways));
}

static wh_value matching(const wh_scheme *s, wh_graph *g, const wh_value own[], wh_value support, wh_value labels,
                         wh_value query)
{
    if (whist_settings_bool(s->env.settings, "context")) {
        const wh_meta_context context = {
            own[0], own[1], own[2], own[3], own[4], own[5], (size_t)whist_settings_int(s->env.settings, "reads")};
        support = wh_meta_context_support(g, support, &context);
        query = wh_meta_context_query(g, query, support, &context);
    }
    return wh_meta_matching_head(g, support, labels, query, s->env.ways, WH_META_COSINE,
                                 whist_settings_real(s->env.settings, "scale"));
}

static wh_value number(wh_graph *g, wh_value one)
{
    return wh_graph_reshape(g, one, WH_SCALAR);
}

static wh_value head_scores(const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value support, wh_value labels,
                            wh_value query)
{
    const wh_value *own = params + s->n_own;
    switch (s->kind) {
    case WH_SCHEME_MATCHING: return matching(s, g, own, support, labels, query);
    case WH_SCHEME_RELATION: return relations(s, g, own, support, labels, query);
    case WH_SCHEME_RIDGE:
        return wh_meta_ridge_head(g, support, labels, query, s->env.ways, wh_graph_exp(g, number(g, own[0])),
                                  number(g, own[1]), number(g, own[2]));
    default: break;
    }
    bool cosine = whist_settings_text(s->env.settings, "distance")[0] == 'c';
    return wh_meta_proto_head(g, support, labels, query, s->env.ways, cosine ? WH_META_COSINE : WH_META_EUCLIDEAN,
                              cosine ? 10 : 1);
}

/* ---- Scores and losses ---------------------------------------------------------------------------------------- */

static wh_value side_scores(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value data[], int which)
{
    wh_value features, scores;
    if (!side(&features, &scores, s, g, params, data, which)) return WH_NO_VALUE;
    return s->kind == WH_SCHEME_CAVIA ? with_context(s, g, params, features) : scores;
}

wh_value wh_scheme_scores(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value data[])
{
    wh_value features[2], scores, w[WH_SCHEME_MAX_TENSORS];
    if (!wh_scheme_is_metric(s->kind)) return side_scores(s, g, at_step(w, s, g, params, data[MORE]), data, 1);
    for (int i = 0; i < 2; i++)
        if (!side(&features[i], &scores, s, g, params, data, i)) return WH_NO_VALUE;
    return head_scores(s, g, params, features[0], data[SY], features[1]);
}

static wh_value mean_loss(const wh_scheme *s, wh_graph *g, wh_value scores, wh_value y)
{
    if (scores == WH_NO_VALUE) return scores;
    if (s->kind == WH_SCHEME_RELATION) return wh_meta_relation_loss(g, scores, y, s->env.ways);
    if (s->by_class) return wh_graph_mean_all(g, wh_graph_cross_entropy(g, scores, y));
    wh_value flat = wh_graph_reshape(g, scores, WH_DIMS(wh_graph_dims(g, y).dim[0]));
    bool binary = whist_model_shape_get(s->env.model).target == WHIST_TARGET_BINARY;
    return wh_graph_mean_all(g,
                             binary ? wh_graph_binary_cross_entropy(g, flat, y) : wh_graph_squared_error(g, flat, y));
}

static wh_value penalised(const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value loss)
{
    wh_value penalty = loss == WH_NO_VALUE ? loss : wh_model_penalty(g, s->env.model, params);
    return penalty == WH_NO_VALUE ? loss : wh_graph_add(g, loss, penalty);
}

/* ---- Gaussians of weights: what the base is of weights alone ---------------------------------------------------- */

static wh_value support_of_weights(void *user, wh_graph *g, const wh_value w[], const wh_value prior[],
                                   const wh_value data[])
{
    const wh_scheme *s = user;
    (void)prior;
    return mean_loss(s, g, side_scores(s, g, w, data, 0), data[SY]);
}

/* Of support and query together. */
static wh_value rows_of_weights(void *user, wh_graph *g, const wh_value w[], const wh_value prior[],
                                const wh_value data[])
{
    const wh_scheme *s = user;
    double a = (double)s->env.support, b = (double)s->env.query;
    (void)prior;
    wh_value support = mean_loss(s, g, side_scores(s, g, w, data, 0), data[SY]);
    wh_value query = mean_loss(s, g, side_scores(s, g, w, data, 1), data[QY]);
    return wh_graph_add(g, wh_graph_scale(g, support, a / (a + b)), wh_graph_scale(g, query, b / (a + b)));
}

/* Likelihood plus kl times the divergence from the prior. */
static wh_value bayes(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value prior[],
                      const wh_value data[], bool query)
{
    double kl = whist_settings_real(s->env.settings, "kl");
    wh_meta_bayes base = {query ? rows_of_weights : support_of_weights, (void *)(uintptr_t)s, s->n_own,
                          query ? MORE : 2, 1 / kl};
    return wh_graph_scale(g, wh_meta_bayes_build(&base, g, params, prior, data), kl);
}

wh_value wh_scheme_support_loss(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                                const wh_value data[])
{
    const wh_scheme *s = user;
    wh_value w[WH_SCHEME_MAX_TENSORS];
    if (s->kind == WH_SCHEME_ABML) return bayes(s, g, params, prior, data, false);
    params = at_step(w, s, g, params, data[SUPPORT_MORE]);
    return penalised(s, g, params, mean_loss(s, g, side_scores(s, g, params, data, 0), data[SY]));
}

wh_value wh_scheme_query_loss(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                              const wh_value data[])
{
    const wh_scheme *s = user;
    if (s->kind == WH_SCHEME_ABML) return bayes(s, g, params, prior, data, true);
    return penalised(s, g, params, mean_loss(s, g, wh_scheme_scores(s, g, params, data), data[QY]));
}

/* ---- Predictions ---------------------------------------------------------------------------------------------------
 */

/* w = m + e^l ∘ noise, tensor by tensor */
static void weights_of(wh_value w[], const wh_scheme *s, wh_graph *g, const wh_value params[], wh_value noise)
{
    for (size_t i = 0, at = 0; i < s->n_own; at += s->tensors[i].size, i++) {
        wh_value own = wh_graph_slice(g, noise, &at, WH_DIMS(s->tensors[i].size));
        own = wh_graph_reshape(g, own, wh_graph_dims(g, params[i]));
        w[i] = wh_graph_add(g, params[i], wh_graph_mul(g, wh_graph_exp(g, params[s->n_own + i]), own));
    }
}

wh_value wh_scheme_prediction(const wh_scheme *s, wh_graph *g, const wh_value params[], const wh_value data[])
{
    wh_value w[WH_SCHEME_MAX_TENSORS];
    if (s->kind == WH_SCHEME_ABML) {
        weights_of(w, s, g, params, data[MORE]);
        params = w;
    }
    wh_value scores = wh_scheme_scores(s, g, params, data);
    if (scores == WH_NO_VALUE || s->kind == WH_SCHEME_RELATION) return scores;
    if (s->by_class) return wh_graph_softmax(g, scores, false);
    bool binary = whist_model_shape_get(s->env.model).target == WHIST_TARGET_BINARY;
    return binary ? wh_graph_sigmoid(g, scores) : scores;
}
