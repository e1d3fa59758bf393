/* nn/graph/op_sum.c: sums over axes, running sums, the largest of a row. */
#include "nn/graph/node.h"

/* ---- Sum ----------------------------------------------------------------------------------- */

static wh_value sum_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    wh_dims wide = wh_graph_dims(g, node.arg[0]), narrow = wide;
    for (unsigned k = 0; k < wide.rank; k++)
        if (node.attr.whole[0] >> k & 1) narrow.dim[k] = 1;
    return wh_graph_broadcast(g, wh_graph_reshape(g, ct, narrow), wide);
}

static bool sum_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    if (node->attr.whole[0] & 1) return examples == 1;
    (void)split;
    return wh_node_at(g, node->arg[0])->dims.dim[0] % examples == 0;
}

static wh_sum_plan plan_of(const wh_dims *dims, size_t axes)
{
    wh_sum_plan plan = {0};
    for (unsigned k = 0; k < dims->rank; k++) {
        bool summed = axes >> k & 1;
        if (dims->dim[k] == 1) continue;
        if (plan.rank > 0 && plan.summed[plan.rank - 1] == summed) {
            plan.size[plan.rank - 1] *= dims->dim[k];
            continue;
        }
        plan.size[plan.rank] = dims->dim[k];
        plan.summed[plan.rank++] = summed;
    }
    size_t step = 1;
    for (unsigned k = plan.rank; k-- > 0; step *= plan.size[k]) plan.stride[k] = step;
    return plan;
}

static wh_plan sum_plan(const wh_call *call)
{
    return (wh_plan){.sum = plan_of(call->arg_dims, call->attr->whole[0])};
}

bool wh_graph_sums_chain(const wh_dims *dims, size_t axes)
{
    wh_sum_plan plan = plan_of(dims, axes);
    if (plan.rank == 0 || plan.size[plan.rank - 1] > WH_CHAIN_BLOCK) return false;
    if (plan.summed[plan.rank - 1]) return plan.rank <= 2;
    return plan.rank == 2 || plan.rank == 3;
}

static wh_cut chain_sum_cut(const wh_call *call)
{
    const wh_sum_plan *plan = &call->plan->sum;
    size_t width = plan->size[plan->rank - 1], rows = WH_CHAIN_BLOCK / width, ops = call->chain->n_ops;
    if (plan->summed[plan->rank - 1]) {
        size_t height = plan->rank > 1 ? plan->size[0] : 1;
        return (wh_cut){(height + rows - 1) / rows, ops * WH_CHAIN_BLOCK};
    }
    return (wh_cut){plan->rank > 2 ? plan->size[0] : 1, ops * width * plan->size[plan->rank - 2]};
}

const wh_op wh_op_chain_sum = {
    .name = "chain, sum", .wide = WH_KERNEL_WIDE(chain_sum), .plan = sum_plan, .cut = chain_sum_cut};

/* A unit is one element where the last axis is summed, else WH_SUM_COLUMNS of one group of rows. */
static wh_cut sum_cut(const wh_call *call)
{
    const wh_sum_plan *plan = &call->plan->sum;
    size_t out = wh_dims_size(call->out_dims), depth = wh_dims_size(call->arg_dims) / out;
    if (plan->summed[plan->rank - 1]) return (wh_cut){out, depth};
    size_t columns = plan->size[plan->rank - 1];
    return (wh_cut){out / columns * ((columns + WH_SUM_COLUMNS - 1) / WH_SUM_COLUMNS), WH_SUM_COLUMNS * depth};
}

const wh_op wh_op_sum = {.name = "sum",
                         .flags = WH_OP_LINEAR,
                         .vjp = sum_vjp,
                         .splits = sum_splits,
                         .wide = WH_KERNEL_WIDE(sum),
                         .plan = sum_plan,
                         .cut = sum_cut};

/* If a is a transpose whose axes, the summed ones left out, stand in their order: what it transposes, with the axes
 * called as there. */
static wh_value below_transpose(const wh_graph *g, wh_value a, unsigned *axes)
{
    const wh_node *node = wh_node_at(g, a);
    if (node->op != &wh_op_transpose) return WH_NO_VALUE;
    size_t before = 0;
    unsigned turned = 0;
    for (unsigned k = 0; k < node->dims.rank; k++) {
        size_t axis = node->attr.whole[k];
        if (*axes >> k & 1) {
            turned |= 1u << axis;
        } else {
            if (axis < before) return WH_NO_VALUE;
            before = axis;
        }
    }
    *axes = turned;
    return node->arg[0];
}

/* Is v repeated along all these axes? Then *narrow is it with 1 for each of them. */
static bool repeats(wh_graph *g, wh_value v, unsigned axes, wh_value *narrow)
{
    const wh_node node = *wh_node_at(g, v);
    if (node.op != &wh_op_broadcast) return false;
    wh_dims from = wh_graph_dims(g, node.arg[0]), full = {.rank = node.dims.rank};
    unsigned lead = full.rank - from.rank;
    for (unsigned k = 0; k < full.rank; k++) {
        full.dim[k] = k < lead ? 1 : from.dim[k - lead];
        if ((axes >> k & 1) && full.dim[k] != 1) return false;
    }
    *narrow = wh_graph_reshape(g, node.arg[0], full);
    return true;
}

/* The product without the factors that repeat along the axes, which come together in *outside. */
static wh_value inside(wh_graph *g, wh_value v, unsigned axes, unsigned deep, wh_value *outside)
{
    const wh_node node = *wh_node_at(g, v);
    if (node.op != &wh_op_mul || deep == 0) return v;
    for (unsigned i = 0; i < 2; i++) {
        wh_value factor;
        if (!repeats(g, node.arg[i], axes, &factor)) continue;
        *outside = *outside == WH_NO_VALUE ? factor : wh_graph_mul(g, *outside, factor);
        return inside(g, node.arg[1 - i], axes, deep - 1, outside);
    }
    wh_value a = inside(g, node.arg[0], axes, deep - 1, outside);
    wh_value b = inside(g, node.arg[1], axes, deep - 1, outside);
    return a == node.arg[0] && b == node.arg[1] ? v : wh_graph_mul(g, a, b);
}

static wh_value sum_node(wh_graph *g, wh_value a, unsigned axes, wh_dims dims)
{
    wh_value below = below_transpose(g, a, &axes);
    wh_attr attr = {.whole = {axes}};
    return wh_graph_node1(g, &wh_op_sum, below != WH_NO_VALUE ? below : a, dims, &attr);
}

/* Factors that repeat along the axes are multiplied once, behind the sum: sums that differ in them are one. */
static wh_value sum_of_product(wh_graph *g, wh_value a, unsigned axes, wh_dims dims, wh_dims kept)
{
    enum { DEEP = 4 };
    wh_value outside = WH_NO_VALUE, in = inside(g, a, axes, DEEP, &outside);
    if (outside == WH_NO_VALUE) return sum_node(g, a, axes, dims);
    wh_value sum = sum_node(g, in, axes, dims);
    wh_dims factor = wh_graph_dims(g, outside);
    if (wh_dims_size(&factor) == wh_dims_size(&dims)) return wh_graph_mul(g, sum, wh_graph_reshape(g, outside, dims));
    return wh_graph_reshape(g, wh_graph_mul(g, wh_graph_reshape(g, sum, kept), outside), dims);
}

wh_value wh_graph_sum(wh_graph *g, wh_value a, unsigned axes, bool keep)
{
    if (!wh_graph_args(g, &wh_op_sum, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a), dims = WH_SCALAR, kept = from;
    if (axes >> from.rank)
        return wh_graph_fail(g, WHIST_E_ARG, "sum of %s: axes 0x%x are not all its own", wh_dims_show(&from).text,
                             axes);
    size_t count = 1;
    for (unsigned k = 0; k < from.rank; k++) {
        if (axes >> k & 1) {
            kept.dim[k] = 1;
            count *= from.dim[k];
        } else {
            dims.dim[dims.rank++] = from.dim[k];
        }
    }
    double number;
    wh_value out = a;
    if (wh_graph_is_fill(g, a, &number)) {
        out = wh_graph_fill(g, dims, number * (double)count);
    } else if (count == 1) {
        out = wh_graph_reshape(g, a, dims);
    } else {
        out = sum_of_product(g, a, axes, dims, kept);
    }
    return keep ? wh_graph_reshape(g, out, kept) : out;
}

wh_value wh_graph_mean(wh_graph *g, wh_value a, unsigned axes, bool keep)
{
    wh_value sum = wh_graph_sum(g, a, axes, keep);
    if (sum == WH_NO_VALUE) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a), to = wh_graph_dims(g, sum);
    return wh_graph_scale(g, sum, (double)wh_dims_size(&to) / (double)wh_dims_size(&from));
}

static unsigned all_axes(const wh_graph *g, wh_value a)
{
    return (1u << wh_graph_dims(g, a).rank) - 1;
}

wh_value wh_graph_sum_all(wh_graph *g, wh_value a)
{
    return wh_graph_sum(g, a, all_axes(g, a), false);
}

wh_value wh_graph_mean_all(wh_graph *g, wh_value a)
{
    return wh_graph_mean(g, a, all_axes(g, a), false);
}

wh_value wh_graph_dot(wh_graph *g, wh_value a, wh_value b)
{
    return wh_graph_sum_all(g, wh_graph_mul(g, a, b));
}

/* ---- Rows of the last axis ----------------------------------------------------------------------- */

static wh_cut rows_cut(const wh_call *call)
{
    size_t last = wh_dims_last(&call->arg_dims[0]);
    return (wh_cut){wh_dims_size(&call->arg_dims[0]) / last, last};
}

static wh_value cumsum_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    if (i != 0) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_cumsum(g, ct, node.n_args > 1 ? node.arg[1] : WH_NO_VALUE, node.attr.whole[0] == 0);
}

const wh_op wh_op_cumsum = {.name = "cumsum",
                            .flags = WH_OP_LINEAR,
                            .vjp = cumsum_vjp,
                            .splits = wh_splits_rows,
                            .wide = WH_KERNEL_WIDE(cumsum),
                            .cut = rows_cut};

wh_value wh_graph_cumsum(wh_graph *g, wh_value a, wh_value segment, bool reverse)
{
    wh_value args[] = {a, segment};
    unsigned n = segment == WH_NO_VALUE ? 1 : 2;
    if (!wh_graph_args(g, &wh_op_cumsum, args, n, 2)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a), other = n > 1 ? wh_graph_dims(g, segment) : dims;
    if (dims.rank == 0 || !wh_dims_equal(&dims, &other))
        return wh_graph_fail_dims(g, "cumsum", &dims, &other, "values and segments need one shape, not a scalar");
    wh_attr attr = {.whole = {reverse}};
    return wh_graph_node(g, &wh_op_cumsum, args, n, dims, &attr, WH_KIND_REAL);
}

/* Serves as a shift that keeps exponentials in range; no derivative passes it. */
const wh_op wh_op_max_last = {.name = "max_last",
                              .flags = WH_OP_CONSTANT,
                              .splits = wh_splits_rows,
                              .wide = WH_KERNEL_WIDE(max_last),
                              .cut = rows_cut};

wh_value wh_graph_max_last(wh_graph *g, wh_value a)
{
    if (!wh_graph_args(g, &wh_op_max_last, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a);
    return wh_graph_node1(g, &wh_op_max_last, a, wh_dims_drop_last(&dims), NULL);
}
