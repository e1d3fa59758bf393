/* nn/graph/op_shape.c: the same numbers in another shape, order or frame. All linear. */
#include <string.h>

#include "nn/graph/node.h"

static wh_value arg0(const wh_graph *g, wh_value n)
{
    return wh_node_at(g, n)->arg[0];
}

/* ---- Reshape ----------------------------------------------------------------------------------- */

static wh_value reshape_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    return wh_graph_reshape(g, ct, wh_graph_dims(g, arg0(g, n)));
}

const wh_op wh_op_reshape = {
    .name = "reshape", .flags = WH_OP_LINEAR | WH_OP_VIEW, .vjp = reshape_vjp, .splits = wh_splits_always};

/* Of indices as well. */
wh_value wh_graph_reshape(wh_graph *g, wh_value a, wh_dims dims)
{
    bool is_index = a < g->n && wh_node_at(g, a)->kind == WH_KIND_INDEX;
    if (!wh_graph_args(g, &wh_op_reshape, &a, 1, is_index ? 1u : 0u)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a);
    if (dims.rank > WH_GRAPH_RANK || wh_dims_size(&from) != wh_dims_size(&dims))
        return wh_graph_fail_dims(g, "reshape", &from, &dims, "not the same number of elements");
    if (wh_node_at(g, a)->op == &wh_op_reshape) return wh_graph_reshape(g, arg0(g, a), dims);
    if (wh_dims_equal(&from, &dims)) return a;
    double number;
    if (wh_graph_is_fill(g, a, &number)) return wh_graph_fill(g, dims, number);
    return wh_graph_node(g, &wh_op_reshape, &a, 1, dims, NULL, wh_node_at(g, a)->kind);
}

/* A unit is one row of the output. */
static wh_cut rows_cut(const wh_call *call)
{
    size_t last = wh_dims_last(call->out_dims);
    return (wh_cut){wh_dims_size(call->out_dims) / last, last};
}

/* ---- Transpose ------------------------------------------------------------------------------------ */

static wh_value transpose_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    unsigned inverse[WH_GRAPH_RANK] = {0};
    for (unsigned k = 0; k < node.dims.rank; k++) inverse[node.attr.whole[k]] = k;
    return wh_graph_transpose(g, ct, inverse);
}

static bool transpose_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    return node->attr.whole[0] == 0 && wh_splits_rows(g, node, split, examples);
}

const wh_op wh_op_transpose = {.name = "transpose",
                               .flags = WH_OP_LINEAR,
                               .vjp = transpose_vjp,
                               .splits = transpose_splits,
                               .wide = WH_KERNEL_WIDE(transpose),
                               .cut = rows_cut};

wh_value wh_graph_transpose(wh_graph *g, wh_value a, const unsigned order[])
{
    if (!wh_graph_args(g, &wh_op_transpose, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a), dims = {.rank = from.rank};
    wh_attr attr = {0};
    unsigned seen = 0;
    bool moves = false;
    for (unsigned k = 0; k < from.rank; k++) {
        if (order[k] >= from.rank || seen >> order[k] & 1)
            return wh_graph_fail(g, WHIST_E_ARG, "transpose of %s: the order is no permutation of its axes",
                                 wh_dims_show(&from).text);
        seen |= 1u << order[k];
        moves = moves || order[k] != k;
        dims.dim[k] = from.dim[order[k]];
        attr.whole[k] = order[k];
    }
    if (!moves) return a;
    double number;
    if (wh_graph_is_fill(g, a, &number)) return wh_graph_fill(g, dims, number);
    wh_node node = *wh_node_at(g, a);
    if (node.op == &wh_op_transpose) {
        unsigned both[WH_GRAPH_RANK];
        for (unsigned k = 0; k < from.rank; k++) both[k] = (unsigned)node.attr.whole[order[k]];
        return wh_graph_transpose(g, node.arg[0], both);
    }
    return wh_graph_node1(g, &wh_op_transpose, a, dims, &attr);
}

/* ---- Broadcast --------------------------------------------------------------------------------------- */

/* Is axis i of the wide shape one that the narrow one repeats along? */
static bool repeats(const wh_dims *narrow, const wh_dims *wide, unsigned i)
{
    unsigned lead = wide->rank - narrow->rank;
    return i < lead || (narrow->dim[i - lead] == 1 && wide->dim[i] != 1);
}

static wh_value broadcast_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_dims wide = wh_graph_dims(g, n), narrow = wh_graph_dims(g, arg0(g, n));
    unsigned axes = 0;
    for (unsigned k = 0; k < wide.rank; k++) axes |= repeats(&narrow, &wide, k) ? 1u << k : 0;
    return wh_graph_reshape(g, wh_graph_sum(g, ct, axes, false), narrow);
}

static bool broadcast_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    wh_dims narrow = wh_node_at(g, node->arg[0])->dims;
    return narrow.rank == node->dims.rank && !repeats(&narrow, &node->dims, 0) &&
           (wh_splits_rows(g, node, split, examples) || narrow.dim[0] == examples);
}

const wh_op wh_op_broadcast = {.name = "broadcast",
                               .flags = WH_OP_LINEAR,
                               .vjp = broadcast_vjp,
                               .splits = broadcast_splits,
                               .wide = WH_KERNEL_WIDE(broadcast),
                               .cut = rows_cut};

wh_value wh_graph_broadcast(wh_graph *g, wh_value a, wh_dims dims)
{
    if (!wh_graph_args(g, &wh_op_broadcast, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(g, a);
    if (wh_dims_equal(&from, &dims)) return a;
    bool good = from.rank <= dims.rank && dims.rank <= WH_GRAPH_RANK;
    for (unsigned i = 0; good && i < from.rank; i++) {
        size_t wide = dims.dim[i + dims.rank - from.rank];
        good = from.dim[i] == wide || from.dim[i] == 1;
    }
    if (!good) return wh_graph_fail_dims(g, "broadcast", &from, &dims, "the first does not repeat to the second");
    double number;
    if (wh_graph_is_fill(g, a, &number)) return wh_graph_fill(g, dims, number);
    return wh_graph_node1(g, &wh_op_broadcast, a, dims, NULL);
}

wh_value wh_graph_repeat_last(wh_graph *g, wh_value a, size_t n)
{
    if (g->failed != WHIST_OK) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, a);
    if (dims.rank == WH_GRAPH_RANK)
        return wh_graph_fail(g, WHIST_E_ARG, "%s: no room for another axis", wh_dims_show(&dims).text);
    dims.dim[dims.rank++] = 1;
    wh_value column = wh_graph_reshape(g, a, dims);
    dims.dim[dims.rank - 1] = n;
    return wh_graph_broadcast(g, column, dims);
}

/* ---- Slice, pad, concat ---------------------------------------------------------------------------------- */

static wh_value slice_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_pad(g, ct, node.attr.whole, wh_graph_dims(g, node.arg[0]));
}

static wh_value pad_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_slice(g, ct, node.attr.whole, wh_graph_dims(g, node.arg[0]));
}

static bool frame_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    return node->dims.dim[0] == wh_node_at(g, node->arg[0])->dims.dim[0] && wh_splits_rows(g, node, split, examples);
}

const wh_op wh_op_slice = {.name = "slice",
                           .flags = WH_OP_LINEAR,
                           .vjp = slice_vjp,
                           .splits = frame_splits,
                           .wide = WH_KERNEL_WIDE(slice),
                           .cut = rows_cut};
const wh_op wh_op_pad = {.name = "pad",
                         .flags = WH_OP_LINEAR,
                         .vjp = pad_vjp,
                         .splits = frame_splits,
                         .wide = WH_KERNEL_WIDE(pad),
                         .cut = rows_cut};

/* small at `at` inside large. */
static wh_value frame(wh_graph *g, const wh_op *op, wh_value a, const size_t at[], const wh_dims *small,
                      const wh_dims *large, wh_dims dims)
{
    wh_attr attr = {0};
    bool good = small->rank == large->rank && small->rank > 0;
    for (unsigned k = 0; good && k < small->rank; k++) {
        attr.whole[k] = at[k];
        good = small->dim[k] <= large->dim[k] && at[k] <= large->dim[k] - small->dim[k];
    }
    if (!good) return wh_graph_fail_dims(g, op->name, small, large, "the first does not lie inside the second there");
    if (wh_dims_equal(small, large)) return a;
    return wh_graph_node1(g, op, a, dims, &attr);
}

wh_value wh_graph_slice(wh_graph *g, wh_value a, const size_t from[], wh_dims dims)
{
    if (!wh_graph_args(g, &wh_op_slice, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims whole = wh_graph_dims(g, a);
    return frame(g, &wh_op_slice, a, from, &dims, &whole, dims);
}

wh_value wh_graph_pad(wh_graph *g, wh_value a, const size_t before[], wh_dims dims)
{
    if (!wh_graph_args(g, &wh_op_pad, &a, 1, 0)) return WH_NO_VALUE;
    wh_dims small = wh_graph_dims(g, a);
    return frame(g, &wh_op_pad, a, before, &small, &dims, dims);
}

static wh_value concat_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    size_t axis = node.attr.whole[0], from[WH_GRAPH_RANK] = {0};
    for (unsigned k = 0; k < i; k++) from[axis] += wh_graph_dims(g, node.arg[k]).dim[axis];
    return wh_graph_slice(g, ct, from, wh_graph_dims(g, node.arg[i]));
}

static bool concat_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    return node->attr.whole[0] != 0 && wh_splits_rows(g, node, split, examples);
}

const wh_op wh_op_concat = {.name = "concat",
                            .flags = WH_OP_LINEAR,
                            .vjp = concat_vjp,
                            .splits = concat_splits,
                            .wide = WH_KERNEL_WIDE(concat)};

wh_value wh_graph_concat(wh_graph *g, unsigned axis, const wh_value parts[], size_t n)
{
    if (n == 0 || n > 1 << 16) return wh_graph_fail(g, WHIST_E_ARG, "concat of %zu parts: 1 to 65536", n);
    if (!wh_graph_args(g, &wh_op_concat, parts, (unsigned)n, 0)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, parts[0]);
    if (axis >= dims.rank)
        return wh_graph_fail(g, WHIST_E_ARG, "concat of %s has no axis %u", wh_dims_show(&dims).text, axis);
    if (n == 1) return parts[0];
    for (size_t i = 1; i < n; i++) {
        wh_dims next = wh_graph_dims(g, parts[i]), other = next;
        other.dim[axis] = dims.dim[axis];
        if (!wh_dims_equal(&other, &dims))
            return wh_graph_fail_dims(g, "concat", &dims, &next, "the other axes have to be equal");
        dims.dim[axis] += next.dim[axis];
    }
    wh_attr attr = {.whole = {axis}};
    return wh_graph_node(g, &wh_op_concat, parts, (unsigned)n, dims, &attr, WH_KIND_REAL);
}
