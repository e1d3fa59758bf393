/* nn/graph/op_norm.c: what looks at a whole row: normalisation, softmax, cross-entropy.
 *
 * First derivatives are fused: one pass over the row. Their Jacobians are symmetric, so the same operation serves
 * both directions. Second derivatives come from decompose. */
#include "nn/graph/image.h"
#include "nn/graph/node.h"

static wh_cut rows_cut(const wh_call *call)
{
    size_t last = wh_dims_last(&call->arg_dims[0]);
    return (wh_cut){wh_dims_size(&call->arg_dims[0]) / last, 8 * last};
}

static unsigned last_axis(const wh_graph *g, wh_value a)
{
    return 1u << (wh_graph_dims(g, a).rank - 1);
}

/* Σ over the last axis, spread over it again. */
static wh_value row_sum(wh_graph *g, wh_value a)
{
    return wh_graph_broadcast(g, wh_graph_sum(g, a, last_axis(g, a), true), wh_graph_dims(g, a));
}

static wh_value row_mean(wh_graph *g, wh_value a)
{
    return wh_graph_broadcast(g, wh_graph_mean(g, a, last_axis(g, a), true), wh_graph_dims(g, a));
}

static bool has_last(wh_graph *g, const wh_op *op, wh_value a)
{
    if (!wh_graph_args(g, op, &a, 1, 0)) return false;
    if (wh_graph_dims(g, a).rank > 0) return true;
    wh_graph_fail(g, WHIST_E_ARG, "%s of a scalar () needs a last axis", op->name);
    return false;
}

/* ---- Normalize ------------------------------------------------------------------------------------ */

static wh_value normalize_pull(wh_graph *g, wh_value n, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    return wh_graph_node2(g, &wh_op_normalize_back, node.arg[0], ct, node.dims, &node.attr);
}

static wh_value normalize_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    return normalize_pull(g, n, ct);
}

static wh_value normalize_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    return normalize_pull(g, n, tangents[0]);
}

/* (c - mean c - x̂ mean(c x̂)) / √(var + eps) */
static wh_value normalize_back_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0], c = node.arg[1];
    double eps = node.attr.real[0];
    wh_value hat = wh_graph_normalize(g, x, eps);
    wh_value off = wh_graph_sub(g, x, row_mean(g, x));
    wh_value scale = wh_graph_rsqrt(g, wh_graph_shift(g, row_mean(g, wh_graph_square(g, off)), eps));
    wh_value inner = wh_graph_sub(g, c, row_mean(g, c));
    inner = wh_graph_sub(g, inner, wh_graph_mul(g, hat, row_mean(g, wh_graph_mul(g, c, hat))));
    return wh_graph_mul(g, scale, inner);
}

const wh_op wh_op_normalize = {.name = "normalize",
                               .vjp = normalize_vjp,
                               .jvp = normalize_jvp,
                               .splits = wh_splits_rows,
                               .wide = WH_KERNEL_WIDE(normalize),
                               .cut = rows_cut};
const wh_op wh_op_normalize_back = {.name = "normalize_back",
                                    .decompose = normalize_back_decompose,
                                    .splits = wh_splits_rows,
                                    .wide = WH_KERNEL_WIDE(normalize_back),
                                    .cut = rows_cut};

wh_value wh_graph_normalize(wh_graph *g, wh_value a, double eps)
{
    if (!has_last(g, &wh_op_normalize, a)) return WH_NO_VALUE;
    wh_attr attr = {.real = {eps}};
    return wh_graph_node1(g, &wh_op_normalize, a, wh_graph_dims(g, a), &attr);
}

/* ---- Standardize: (a - m) s, elementwise, with the mean and 1/√(var + eps) over some axes as they are repeated
 * --------
 *
 * Derivatives by a are whole ones: what comes by way of m and s is in them, and nothing passes by those arguments. The
 * Jacobian s (1 - 1/n - x̂ x̂ᵀ/n) is symmetric and made of sums and elementwise operations, so its derivatives are found
 * as those of any other graph. */

static wh_value mean_over(wh_graph *g, wh_value a, const wh_node *node)
{
    return wh_graph_mean(g, a, (unsigned)node->attr.whole[0], true);
}

static wh_value standardize_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    if (i > 0) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, n);
    wh_value along = wh_graph_mul(g, n, mean_over(g, wh_graph_mul(g, ct, n), &node));
    return wh_graph_mul(g, node.arg[2], wh_graph_sub(g, wh_graph_sub(g, ct, mean_over(g, ct, &node)), along));
}

static wh_value standardize_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    return tangents[0] == WH_NO_VALUE ? WH_NO_VALUE : standardize_vjp(g, n, 0, tangents[0]);
}

const wh_op wh_op_standardize = {.name = "standardize",
                                 .element = WH_ELEMENT_STANDARDIZE,
                                 .vjp = standardize_vjp,
                                 .jvp = standardize_jvp,
                                 .splits = wh_splits_always};

wh_value wh_graph_standardize(wh_graph *g, wh_value a, unsigned axes, double eps)
{
    wh_value mean = wh_graph_mean(g, a, axes, true);
    wh_value var = wh_graph_mean(g, wh_graph_square(g, wh_graph_sub(g, a, mean)), axes, true);
    wh_value scale = wh_graph_rsqrt(g, wh_graph_shift(g, var, eps));
    if (scale == WH_NO_VALUE) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a);
    const wh_value args[] = {a, wh_graph_broadcast(g, mean, dims), wh_graph_broadcast(g, scale, dims)};
    wh_attr attr = {.whole = {axes}};
    return wh_graph_node(g, &wh_op_standardize, args, 3, dims, &attr, WH_KIND_REAL);
}

/* ---- Normalize a grid: (A,B,C,D), over B and D -------------------------------------------------------
 *
 * x̂ is the gradient of the numbers' count times √(var + eps), so its Jacobian is symmetric, and so is the derivative of
 * that: back serves both directions, and second all three; with a fourth argument second is the whole derivative of
 * back. */

static wh_value grid_back(wh_graph *g, const wh_node *node, wh_value x, wh_value c)
{
    return wh_graph_node2(g, &wh_op_normalize_grid_back, x, c, node->dims, &node->attr);
}

static wh_value grid_second(wh_graph *g, const wh_node *node, wh_value x, wh_value c, wh_value t)
{
    const wh_value args[] = {x, c < t ? c : t, c < t ? t : c};
    return wh_graph_node(g, &wh_op_normalize_grid_second, args, 3, node->dims, &node->attr, WH_KIND_REAL);
}

static wh_value grid_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return grid_back(g, &node, node.arg[0], ct);
}

static wh_value grid_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    return grid_vjp(g, n, 0, tangents[0]);
}

static wh_value grid_back_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    return i == 0 ? grid_second(g, &node, node.arg[0], node.arg[1], ct) : grid_back(g, &node, node.arg[0], ct);
}

/* By both arguments at once: one pass over all of them. */
static wh_value grid_back_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    if (tangents[0] == WH_NO_VALUE) return grid_back_vjp(g, n, 1, tangents[1]);
    if (tangents[1] == WH_NO_VALUE) return grid_back_vjp(g, n, 0, tangents[0]);
    const wh_value args[] = {node.arg[0], node.arg[1], tangents[0], tangents[1]};
    return wh_graph_node(g, &wh_op_normalize_grid_second, args, 4, node.dims, &node.attr, WH_KIND_REAL);
}

static wh_value grid_mean(wh_graph *g, wh_value a)
{
    return wh_graph_broadcast(g, wh_graph_mean(g, a, 1u << 1 | 1u << 3, true), wh_graph_dims(g, a));
}

/* -s² (τ ĉ + γ t̂ + x̂ (m(ĉ t̂) - 3 γ τ)), as in the kernel */
static wh_value grid_second_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = wh_graph_sub(g, node.arg[0], grid_mean(g, node.arg[0]));
    wh_value c = wh_graph_sub(g, node.arg[1], grid_mean(g, node.arg[1]));
    wh_value t = wh_graph_sub(g, node.arg[2], grid_mean(g, node.arg[2]));
    wh_value s = wh_graph_rsqrt(g, wh_graph_shift(g, grid_mean(g, wh_graph_square(g, x)), node.attr.real[0]));
    wh_value hat = wh_graph_mul(g, s, x);
    wh_value gamma = grid_mean(g, wh_graph_mul(g, c, hat)), tau = grid_mean(g, wh_graph_mul(g, t, hat));
    wh_value along = grid_mean(g, wh_graph_mul(g, c, t));
    along = wh_graph_sub(g, along, wh_graph_scale(g, wh_graph_mul(g, gamma, tau), 3));
    wh_value sum = wh_graph_add(g, wh_graph_mul(g, tau, c), wh_graph_mul(g, gamma, t));
    sum = wh_graph_add(g, sum, wh_graph_mul(g, hat, along));
    sum = wh_graph_neg(g, wh_graph_mul(g, wh_graph_square(g, s), sum));
    return node.n_args > 3 ? wh_graph_add(g, sum, grid_back(g, &node, node.arg[0], node.arg[3])) : sum;
}

static wh_cut grid_cut(const wh_call *call)
{
    wh_grid grid = wh_grid_of(call->out_dims);
    return (wh_cut){grid.a * wh_grid_strips(&grid), 4 * call->n_args * grid.b * wh_grid_groups(&grid) * grid.d};
}

static bool grid_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    (void)g;
    for (unsigned i = 0; i < node->n_args; i++)
        if (!split[i]) return false;
    return node->dims.dim[0] % examples == 0;
}

const wh_op wh_op_normalize_grid = {.name = "normalize_grid",
                                    .vjp = grid_vjp,
                                    .jvp = grid_jvp,
                                    .splits = grid_splits,
                                    .kernel = WH_KERNEL_PAIR(normalize_grid),
                                    .cut = grid_cut};
const wh_op wh_op_normalize_grid_back = {.name = "normalize_grid_back",
                                         .vjp = grid_back_vjp,
                                         .jvp = grid_back_jvp,
                                         .splits = grid_splits,
                                         .kernel = WH_KERNEL_PAIR(normalize_grid_back),
                                         .cut = grid_cut};
const wh_op wh_op_normalize_grid_second = {.name = "normalize_grid_second",
                                           .decompose = grid_second_decompose,
                                           .splits = grid_splits,
                                           .kernel = WH_KERNEL_PAIR(normalize_grid_second),
                                           .cut = grid_cut};

wh_value wh_graph_normalize_grid(wh_graph *g, wh_value a, wh_dims grid, double eps)
{
    if (!wh_graph_args(g, &wh_op_normalize_grid, &a, 1, 0)) return WH_NO_VALUE;
    wh_attr attr = {.real = {eps}};
    wh_value hat = wh_graph_node1(g, &wh_op_normalize_grid, wh_graph_reshape(g, a, grid), grid, &attr);
    return hat == WH_NO_VALUE ? hat : wh_graph_reshape(g, hat, wh_graph_dims(g, a));
}

/* ---- Softmax ------------------------------------------------------------------------------------------ */

static wh_value softmax_pull(wh_graph *g, wh_value n, wh_value ct)
{
    return wh_graph_node2(g, &wh_op_softmax_back, n, ct, wh_graph_dims(g, n), NULL);
}

static wh_value softmax_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    return softmax_pull(g, n, ct);
}

static wh_value softmax_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    return softmax_pull(g, n, tangents[0]);
}

/* y (c - Σ y c) */
static wh_value softmax_back_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value y = node.arg[0], c = node.arg[1];
    return wh_graph_mul(g, y, wh_graph_sub(g, c, row_sum(g, wh_graph_mul(g, y, c))));
}

const wh_op wh_op_softmax = {.name = "softmax",
                             .vjp = softmax_vjp,
                             .jvp = softmax_jvp,
                             .splits = wh_splits_rows,
                             .wide = WH_KERNEL_WIDE(softmax),
                             .cut = rows_cut};
const wh_op wh_op_softmax_back = {.name = "softmax_back",
                                  .decompose = softmax_back_decompose,
                                  .splits = wh_splits_rows,
                                  .wide = WH_KERNEL_WIDE(softmax_back),
                                  .cut = rows_cut};

wh_value wh_graph_softmax(wh_graph *g, wh_value a, bool causal)
{
    if (!has_last(g, &wh_op_softmax, a)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a);
    if (causal && (dims.rank < 2 || dims.dim[dims.rank - 2] > dims.dim[dims.rank - 1]))
        return wh_graph_fail(g, WHIST_E_ARG, "softmax of %s: causal needs (…,T,S) with S at least T",
                             wh_dims_show(&dims).text);
    wh_attr attr = {.whole = {causal}};
    return wh_graph_node1(g, &wh_op_softmax, a, dims, &attr);
}

static wh_value log_softmax_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    return wh_graph_sub(g, ct, wh_graph_mul(g, wh_graph_exp(g, n), row_sum(g, ct)));
}

static wh_value log_softmax_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    return wh_graph_sub(g, tangents[0], row_sum(g, wh_graph_mul(g, wh_graph_exp(g, n), tangents[0])));
}

const wh_op wh_op_log_softmax = {.name = "log_softmax",
                                 .vjp = log_softmax_vjp,
                                 .jvp = log_softmax_jvp,
                                 .splits = wh_splits_rows,
                                 .wide = WH_KERNEL_WIDE(log_softmax),
                                 .cut = rows_cut};

wh_value wh_graph_log_softmax(wh_graph *g, wh_value a)
{
    if (!has_last(g, &wh_op_log_softmax, a)) return WH_NO_VALUE;
    return wh_graph_node1(g, &wh_op_log_softmax, a, wh_graph_dims(g, a), NULL);
}

/* ---- Cross-entropy ----------------------------------------------------------------------------------------- */

/* softmax(z) - [column = index] */
static wh_value residue(wh_graph *g, wh_value z, wh_value index)
{
    wh_dims dims = wh_graph_dims(g, z), one = wh_graph_dims(g, index);
    one.dim[one.rank++] = 1;
    wh_value hot = wh_graph_put(g, wh_graph_fill(g, one, 1), wh_graph_reshape(g, index, one), wh_dims_last(&dims));
    return wh_graph_sub(g, wh_graph_softmax(g, z, false), hot);
}

static wh_value cross_entropy_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    if (i != 0) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, n);
    const wh_value args[] = {node.arg[0], node.arg[1], ct};
    return wh_graph_node(g, &wh_op_cross_entropy_back, args, 3, wh_graph_dims(g, node.arg[0]), NULL, WH_KIND_REAL);
}

static wh_value cross_entropy_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    wh_value product = wh_graph_mul(g, residue(g, node.arg[0], node.arg[1]), tangents[0]);
    return wh_graph_sum(g, product, last_axis(g, product), false);
}

static wh_value cross_entropy_back_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value ct = wh_graph_repeat_last(g, node.arg[2], wh_dims_last(&node.dims));
    return wh_graph_mul(g, residue(g, node.arg[0], node.arg[1]), ct);
}

const wh_op wh_op_cross_entropy = {.name = "cross_entropy",
                                   .vjp = cross_entropy_vjp,
                                   .jvp = cross_entropy_jvp,
                                   .splits = wh_splits_rows,
                                   .wide = WH_KERNEL_WIDE(cross_entropy),
                                   .cut = rows_cut};
const wh_op wh_op_cross_entropy_back = {.name = "cross_entropy_back",
                                        .decompose = cross_entropy_back_decompose,
                                        .splits = wh_splits_rows,
                                        .wide = WH_KERNEL_WIDE(cross_entropy_back),
                                        .cut = rows_cut};

wh_value wh_graph_cross_entropy(wh_graph *g, wh_value logits, wh_value index)
{
    wh_value args[] = {logits, index};
    if (!wh_graph_args(g, &wh_op_cross_entropy, args, 2, 2)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, logits), rows = wh_dims_drop_last(&dims), di = wh_graph_dims(g, index);
    if (dims.rank == 0 || !wh_dims_equal(&rows, &di))
        return wh_graph_fail_dims(g, "cross_entropy", &dims, &di, "one class for each row of logits");
    uint64_t limit = wh_graph_index_limit(g, index);
    if (limit > wh_dims_last(&dims))
        return wh_graph_fail(g, WHIST_E_ARG, "cross_entropy of %s: indices below %llu are more classes than that",
                             wh_dims_show(&dims).text, (unsigned long long)limit);
    return wh_graph_node(g, &wh_op_cross_entropy, args, 2, di, NULL, WH_KIND_REAL);
}
