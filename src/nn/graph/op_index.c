/* nn/graph/op_index.c: rows of a table and elements of a row by index, with their transposes. */
#include "nn/graph/node.h"

/* One more than the largest index the value can hold; a run checks inputs against theirs. */
uint64_t wh_graph_index_limit(const wh_graph *g, wh_value index)
{
    const wh_node *node = wh_node_at(g, index);
    while (node->op == &wh_op_reshape) node = wh_node_at(g, node->arg[0]);
    return node->attr.whole[0];
}

static bool below(wh_graph *g, const wh_op *op, wh_value index, size_t n)
{
    if (wh_graph_index_limit(g, index) <= n) return true;
    wh_graph_fail(g, WHIST_E_ARG, "%s: indices below %llu into %zu places", op->name,
                  (unsigned long long)wh_graph_index_limit(g, index), n);
    return false;
}

/* ---- Rows of a table --------------------------------------------------------------------------- */

static wh_value gather_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    if (i != 0) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_scatter(g, ct, node.arg[1], wh_graph_dims(g, node.arg[0]).dim[0]);
}

static wh_value scatter_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    return i == 0 ? wh_graph_gather(g, ct, wh_node_at(g, n)->arg[1]) : WH_NO_VALUE;
}

static bool gather_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    const wh_dims *index = &wh_node_at(g, node->arg[1])->dims;
    return !split[0] && index->rank > 0 && index->dim[0] % examples == 0;
}

/* A unit is one row. */
static wh_cut gather_cut(const wh_call *call)
{
    size_t d = call->out_dims->dim[call->out_dims->rank - 1];
    return (wh_cut){wh_dims_size(call->out_dims) / d, d};
}

/* A unit is 64 columns of all rows: each sum runs over the rows in their order. */
static wh_cut scatter_cut(const wh_call *call)
{
    size_t d = call->out_dims->dim[1];
    return (wh_cut){(d + 63) / 64, wh_dims_size(&call->arg_dims[0]) / ((d + 63) / 64)};
}

const wh_op wh_op_gather = {.name = "gather",
                            .flags = WH_OP_LINEAR,
                            .vjp = gather_vjp,
                            .splits = gather_splits,
                            .wide = WH_KERNEL_WIDE(gather),
                            .cut = gather_cut};
const wh_op wh_op_scatter = {
    .name = "scatter", .flags = WH_OP_LINEAR, .vjp = scatter_vjp, .wide = WH_KERNEL_WIDE(scatter), .cut = scatter_cut};

wh_value wh_graph_gather(wh_graph *g, wh_value table, wh_value index)
{
    wh_value args[] = {table, index};
    if (!wh_graph_args(g, &wh_op_gather, args, 2, 2)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, table), dims = wh_graph_dims(g, index);
    if (from.rank != 2 || dims.rank >= WH_GRAPH_RANK)
        return wh_graph_fail_dims(g, "gather", &from, &dims, "a table (V,D) and indices of up to four axes");
    if (!below(g, &wh_op_gather, index, from.dim[0])) return WH_NO_VALUE;
    dims.dim[dims.rank++] = from.dim[1];
    return wh_graph_node(g, &wh_op_gather, args, 2, dims, NULL, WH_KIND_REAL);
}

wh_value wh_graph_scatter(wh_graph *g, wh_value x, wh_value index, size_t n_rows)
{
    wh_value args[] = {x, index};
    if (!wh_graph_args(g, &wh_op_scatter, args, 2, 2)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x), di = wh_graph_dims(g, index), rows = wh_dims_drop_last(&dx);
    if (dx.rank == 0 || !wh_dims_equal(&rows, &di))
        return wh_graph_fail_dims(g, "scatter", &dx, &di, "one index for each row");
    if (!below(g, &wh_op_scatter, index, n_rows)) return WH_NO_VALUE;
    return wh_graph_node2(g, &wh_op_scatter, x, index, WH_DIMS(n_rows, wh_dims_last(&dx)), NULL);
}

/* ---- Elements of a row ---------------------------------------------------------------------------- */

static wh_value take_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    if (i != 0) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, n);
    wh_dims from = wh_graph_dims(g, node.arg[0]);
    return wh_graph_put(g, ct, node.arg[1], wh_dims_last(&from));
}

static wh_value put_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    return i == 0 ? wh_graph_take(g, ct, wh_node_at(g, n)->arg[1]) : WH_NO_VALUE;
}

static wh_cut row_cut(const wh_call *call)
{
    size_t last = wh_dims_last(call->out_dims);
    return (wh_cut){wh_dims_size(call->out_dims) / last, last};
}

const wh_op wh_op_take = {.name = "take",
                          .flags = WH_OP_LINEAR,
                          .vjp = take_vjp,
                          .splits = wh_splits_rows,
                          .wide = WH_KERNEL_WIDE(take),
                          .cut = row_cut};
const wh_op wh_op_put = {.name = "put",
                         .flags = WH_OP_LINEAR,
                         .vjp = put_vjp,
                         .splits = wh_splits_rows,
                         .wide = WH_KERNEL_WIDE(put),
                         .cut = row_cut};

static bool rows_agree(wh_graph *g, const wh_op *op, const wh_dims *a, const wh_dims *index)
{
    wh_dims ra = wh_dims_drop_last(a), ri = wh_dims_drop_last(index);
    if (a->rank > 0 && a->rank == index->rank && wh_dims_equal(&ra, &ri)) return true;
    wh_graph_fail_dims(g, op->name, a, index, "all axes but the last have to be equal");
    return false;
}

wh_value wh_graph_take(wh_graph *g, wh_value a, wh_value index)
{
    wh_value args[] = {a, index};
    if (!wh_graph_args(g, &wh_op_take, args, 2, 2)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a), dims = wh_graph_dims(g, index);
    if (!rows_agree(g, &wh_op_take, &from, &dims) || !below(g, &wh_op_take, index, wh_dims_last(&from)))
        return WH_NO_VALUE;
    return wh_graph_node2(g, &wh_op_take, a, index, dims, NULL);
}

wh_value wh_graph_put(wh_graph *g, wh_value a, wh_value index, size_t n)
{
    wh_value args[] = {a, index};
    if (!wh_graph_args(g, &wh_op_put, args, 2, 2)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a), di = wh_graph_dims(g, index);
    if (!wh_dims_equal(&dims, &di) || dims.rank == 0)
        return wh_graph_fail_dims(g, "put", &dims, &di, "one index for each value");
    if (!below(g, &wh_op_put, index, n)) return WH_NO_VALUE;
    dims.dim[dims.rank - 1] = n;
    return wh_graph_node2(g, &wh_op_put, a, index, dims, NULL);
}

/* ---- For per-example norms --------------------------------------------------------------------------- */

static wh_cut pairs_cut(const wh_call *call)
{
    const wh_dims *c = &call->arg_dims[1];
    return (wh_cut){c->dim[0], c->dim[1] * (c->dim[1] + c->dim[2])};
}

const wh_op wh_op_gather_squared = {
    .name = "gather_squared", .splits = wh_splits_always, .wide = WH_KERNEL_WIDE(gather_squared), .cut = pairs_cut};

wh_value wh_graph_gather_squared(wh_graph *g, wh_value index, wh_value c)
{
    wh_value args[] = {index, c};
    if (!wh_graph_args(g, &wh_op_gather_squared, args, 2, 1)) return WH_NO_VALUE;
    return wh_graph_node2(g, &wh_op_gather_squared, index, c, WH_DIMS(wh_graph_dims(g, c).dim[0]), NULL);
}
