/* meta/metric.c: heads that compare a query with a few labelled examples. */
#include "meta/metric.h"

wh_value wh_meta_one_hot(wh_graph *g, wh_value labels, size_t ways)
{
    wh_dims rows = WH_DIMS(wh_graph_dims(g, labels).dim[0], 1);
    return wh_graph_put(g, wh_graph_fill(g, rows, 1), wh_graph_reshape(g, labels, rows), ways);
}

/* (S,…) as (S,D) */
static wh_value flat(wh_graph *g, wh_value x)
{
    wh_dims dims = wh_graph_dims(g, x);
    if (dims.rank < 3) return x;
    return wh_graph_reshape(g, x, WH_DIMS(dims.dim[0], wh_dims_size(&dims) / dims.dim[0]));
}

wh_value wh_meta_prototypes(wh_graph *g, wh_value support, wh_value labels, size_t ways)
{
    wh_value hot = wh_meta_one_hot(g, labels, ways);
    wh_value sums = wh_graph_matmul(g, hot, flat(g, support), WH_MATMUL_TN);
    wh_value counts = wh_graph_reshape(g, wh_graph_sum(g, hot, 1, false), WH_DIMS(ways, 1));
    wh_dims dims = wh_graph_dims(g, support);
    dims.dim[0] = ways;
    return wh_graph_reshape(g, wh_graph_div(g, sums, counts), dims);
}

/* (N,D) → (N,1) */
static wh_value squares(wh_graph *g, wh_value x)
{
    return wh_graph_sum(g, wh_graph_square(g, x), 2, true);
}

/* x / max(|x|, 1e-8), by rows: with the bound under the root a zero row has a derivative. */
static wh_value directions(wh_graph *g, wh_value x)
{
    wh_value square = squares(g, x);
    return wh_graph_mul(g, x, wh_graph_rsqrt(g, wh_graph_max(g, square, wh_graph_fill_like(g, square, 1e-16))));
}

wh_value wh_meta_scores(wh_graph *g, wh_value query, wh_value support, wh_meta_score score, double scale)
{
    if (score == WH_META_COSINE) {
        wh_value all = wh_graph_matmul(g, directions(g, query), directions(g, support), WH_MATMUL_NT);
        return wh_graph_scale(g, all, scale);
    }
    wh_value cross = wh_graph_scale(g, wh_graph_matmul(g, query, support, WH_MATMUL_NT), 2);
    wh_value s = wh_graph_transpose(g, squares(g, support), (const unsigned[]){1, 0});
    wh_value far = wh_graph_add(g, squares(g, query), s);
    return wh_graph_scale(g, wh_graph_sub(g, cross, far), scale);
}

wh_value wh_meta_proto_head(wh_graph *g, wh_value support, wh_value labels, wh_value query, size_t ways,
                            wh_meta_score score, double scale)
{
    return wh_meta_scores(g, query, wh_meta_prototypes(g, support, labels, ways), score, scale);
}

/* log Σ of the weights of the class's support rows */
wh_value wh_meta_matching_head(wh_graph *g, wh_value support, wh_value labels, wh_value query, size_t ways,
                               wh_meta_score score, double scale)
{
    wh_value all = wh_meta_scores(g, query, support, score, scale);
    wh_value weights = wh_graph_softmax(g, all, false);
    return wh_graph_log(g, wh_graph_matmul(g, weights, wh_meta_one_hot(g, labels, ways), WH_MATMUL_NN));
}

/* ---- Ridge ---------------------------------------------------------------------------------------- */

/* (n,n): ones where row and column are equal. */
static wh_value identity(wh_graph *g, size_t n)
{
    wh_value count = wh_graph_cumsum(g, wh_graph_fill(g, WH_DIMS(n), 1), WH_NO_VALUE, false);
    wh_value row = wh_graph_broadcast(g, wh_graph_reshape(g, count, WH_DIMS(n, 1)), WH_DIMS(n, n));
    wh_value column = wh_graph_broadcast(g, wh_graph_reshape(g, count, WH_DIMS(1, n)), WH_DIMS(n, n));
    return wh_graph_mul(g, wh_graph_not_less(g, row, column), wh_graph_not_less(g, column, row));
}

/* Zᵀ (Z Zᵀ + λ)⁻¹ Y = (Zᵀ Z + λ)⁻¹ Zᵀ Y */
wh_value wh_meta_ridge_head(wh_graph *g, wh_value support, wh_value labels, wh_value query, size_t ways,
                            wh_value lambda, wh_value scale, wh_value offset)
{
    wh_dims dims = wh_graph_dims(g, support);
    wh_value y = wh_meta_one_hot(g, labels, ways), logits;
    bool by_rows = dims.dim[0] <= dims.dim[1];
    wh_value gram = wh_graph_matmul(g, support, support, by_rows ? WH_MATMUL_NT : WH_MATMUL_TN);
    gram = wh_graph_add(g, gram, wh_graph_mul(g, identity(g, by_rows ? dims.dim[0] : dims.dim[1]), lambda));
    if (by_rows)
        logits = wh_graph_matmul(g, wh_graph_matmul(g, query, support, WH_MATMUL_NT), wh_graph_solve(g, gram, y),
                                 WH_MATMUL_NN);
    else
        logits = wh_graph_matmul(g, query, wh_graph_solve(g, gram, wh_graph_matmul(g, support, y, WH_MATMUL_TN)),
                                 WH_MATMUL_NN);
    return wh_graph_add(g, wh_graph_mul(g, logits, scale), offset);
}

/* ---- Full context ------------------------------------------------------------------------------------- */

/* The hidden states (S,D) of an LSTM over the rows of x, in order or backwards. */
static wh_value along(wh_graph *g, wh_value x, wh_value w, wh_value bias, bool backwards)
{
    wh_dims dims = wh_graph_dims(g, x), row = WH_DIMS(1, dims.dim[1]);
    wh_value h = wh_graph_fill(g, row, 0), c = h, all = WH_NO_VALUE;
    for (size_t t = 0; t < dims.dim[0]; t++) {
        size_t at[] = {backwards ? dims.dim[0] - 1 - t : t, 0};
        h = wh_graph_lstm_cell(g, &c, wh_graph_slice(g, x, at, row), h, c, w, bias, WH_MATMUL_NN);
        wh_value placed = wh_graph_pad(g, h, at, dims);
        all = t == 0 ? placed : wh_graph_add(g, all, placed);
    }
    return all;
}

wh_value wh_meta_context_support(wh_graph *g, wh_value support, const wh_meta_context *context)
{
    wh_value there = along(g, support, context->forward_w, context->forward_b, false);
    wh_value back = along(g, support, context->backward_w, context->backward_b, true);
    return wh_graph_add(g, support, wh_graph_add(g, there, back));
}

/* h = LSTM(q, [h, r], c) + q;  r = softmax(h · support) support */
wh_value wh_meta_context_query(wh_graph *g, wh_value query, wh_value support, const wh_meta_context *context)
{
    wh_value h = query, c = wh_graph_fill_like(g, query, 0);
    for (size_t k = 0; k < context->reads; k++) {
        wh_value r = wh_graph_attention(g, h, support, support, 1, false);
        wh_value state = wh_graph_concat(g, 1, (const wh_value[]){h, r}, 2);
        wh_value out = wh_graph_lstm_cell(g, &c, query, state, c, context->read_w, context->read_b, WH_MATMUL_NN);
        h = wh_graph_add(g, out, query);
    }
    return h;
}

/* ---- Relations ------------------------------------------------------------------------------------------ */

wh_value wh_meta_pairs(wh_graph *g, wh_value prototypes, wh_value query)
{
    wh_dims dp = wh_graph_dims(g, prototypes), dq = wh_graph_dims(g, query);
    size_t ways = dp.dim[0], n = dq.dim[0], each = wh_dims_size(&dq) / n;
    wh_dims out = dq;
    out.dim[0] = n * ways;
    out.dim[1] = 2 * dq.dim[1];
    wh_value p = wh_graph_reshape(g, prototypes, WH_DIMS(1, ways, wh_dims_size(&dp) / ways));
    wh_value q = wh_graph_reshape(g, query, WH_DIMS(n, 1, each));
    const wh_value sides[] = {wh_graph_broadcast(g, p, WH_DIMS(n, ways, each)),
                              wh_graph_broadcast(g, q, WH_DIMS(n, ways, each))};
    return wh_graph_reshape(g, wh_graph_concat(g, 2, sides, 2), out);
}

wh_value wh_meta_relation_loss(wh_graph *g, wh_value relations, wh_value labels, size_t ways)
{
    return wh_graph_mean_all(g, wh_graph_squared_error(g, relations, wh_meta_one_hot(g, labels, ways)));
}
