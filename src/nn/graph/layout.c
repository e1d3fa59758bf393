/* nn/graph/layout.c: images lie channels last.
 *
 * Users see (N,C,H,W). What works on images takes (N,H,W,C) and stands between two transpositions; those of
 * neighbours cancel when the graph is built, and elementwise operations, sums and broadcasts move below a transposition
 * that is on its way out. So from the first convolution to the last, derivatives included, nothing is turned over.
 * Only transpositions on their way out move: the channels-last form is where a chain of layers settles. */
#include "nn/graph/node.h"

static const unsigned last_order[] = {0, 2, 3, 1}, first_order[] = {0, 3, 1, 2};

/* A transposition that moves nothing but axes of 1 is a reshape. */
static wh_value turned(wh_graph *g, wh_value x, const unsigned order[4])
{
    if (g->failed != WHIST_OK) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, x);
    bool small = dims.dim[order[1]] * dims.dim[order[2]] == 1 || dims.dim[order[3]] == 1;
    if (order == last_order) small = dims.dim[1] == 1 || dims.dim[2] * dims.dim[3] == 1;
    if (!small) return wh_graph_transpose(g, x, order);
    return wh_graph_reshape(g, x, WH_DIMS(dims.dim[0], dims.dim[order[1]], dims.dim[order[2]], dims.dim[order[3]]));
}

wh_value wh_graph_channels_last(wh_graph *g, wh_value x)
{
    return turned(g, x, last_order);
}

wh_value wh_graph_channels_first(wh_graph *g, wh_value x)
{
    return turned(g, x, first_order);
}

static bool on_its_way_out(const wh_graph *g, wh_value v)
{
    const wh_node *node = wh_node_at(g, v);
    if (node->op != &wh_op_transpose || node->dims.rank != 4) return false;
    for (unsigned k = 0; k < 4; k++)
        if (node->attr.whole[k] != first_order[k]) return false;
    return true;
}

/* v channels last, if that costs nothing: something on its way out, a constant, or what is repeated along most axes. */
static wh_value settled(wh_graph *g, wh_value v, wh_dims last)
{
    double number;
    if (on_its_way_out(g, v)) return wh_node_at(g, v)->arg[0];
    if (wh_graph_is_fill(g, v, &number)) return wh_graph_fill(g, last, number);
    if (wh_node_at(g, v)->op != &wh_op_broadcast) return WH_NO_VALUE;
    wh_value narrow = wh_node_at(g, v)->arg[0];
    wh_dims from = wh_graph_dims(g, narrow), full = {.rank = 4};
    for (unsigned k = 0; k < 4; k++) full.dim[k] = k + from.rank < 4 ? 1 : from.dim[k + from.rank - 4];
    return wh_graph_broadcast(g, wh_graph_channels_last(g, wh_graph_reshape(g, narrow, full)), last);
}

wh_value wh_graph_below_layout(wh_graph *g, const wh_op *op, const wh_value args[], unsigned n, const wh_attr *attr)
{
    wh_value inner[3], out = WH_NO_VALUE;
    for (unsigned i = 0; i < n; i++)
        if (on_its_way_out(g, args[i])) out = args[i];
    if (out == WH_NO_VALUE || n > WH_COUNT(inner)) return WH_NO_VALUE;
    wh_dims last = wh_graph_dims(g, wh_node_at(g, out)->arg[0]);
    for (unsigned i = 0; i < n; i++) {
        inner[i] = settled(g, args[i], last);
        if (inner[i] == WH_NO_VALUE) return WH_NO_VALUE;
    }
    return wh_graph_channels_first(g, wh_graph_node(g, op, inner, n, last, attr, WH_KIND_REAL));
}
