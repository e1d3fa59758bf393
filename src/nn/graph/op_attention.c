/* nn/graph/op_attention.c: attention of a sequence to itself as one operation each way.
 *
 * Queries, keys and values are read where one linear layer left them, side by side in a row, and their cotangents are
 * written in the same places: no slices, no transposes, no scores in memory. Higher derivatives come from the parts. */
#include "nn/graph/node.h"

static wh_value attention_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    wh_value qkv = node.arg[0];
    return wh_graph_node2(g, &wh_op_attention_back, qkv, ct, wh_graph_dims(g, qkv), &node.attr);
}

/* Part `which` of a row, heads before steps: (B,H,T,D). */
static wh_value part(wh_graph *g, wh_value qkv, size_t which, size_t heads)
{
    static const unsigned order[] = {0, 2, 1, 3};
    wh_dims dims = wh_graph_dims(g, qkv);
    size_t b = dims.dim[0], t = dims.dim[1], width = dims.dim[2] / 3;
    wh_value x = wh_graph_slice(g, qkv, (const size_t[]){0, 0, which * width}, WH_DIMS(b, t, width));
    return wh_graph_transpose(g, wh_graph_reshape(g, x, WH_DIMS(b, t, heads, width / heads)), order);
}

static wh_value in_parts(wh_graph *g, wh_value qkv, const wh_attr *attr)
{
    static const unsigned order[] = {0, 2, 1, 3};
    size_t heads = attr->whole[0];
    wh_value y = wh_graph_attention(g, part(g, qkv, 0, heads), part(g, qkv, 1, heads), part(g, qkv, 2, heads),
                                    attr->real[0], attr->whole[1] != 0);
    wh_dims dims = wh_graph_dims(g, qkv);
    dims.dim[2] /= 3;
    return wh_graph_reshape(g, wh_graph_transpose(g, y, order), dims);
}

static wh_value attention_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    return in_parts(g, node.arg[0], &node.attr);
}

static wh_value attention_back_decompose(wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value out = WH_NO_VALUE, y = in_parts(g, node.arg[0], &node.attr);
    return wh_graph_vjp(&out, g, y, node.arg[1], node.arg, 1) == WHIST_OK ? out : WH_NO_VALUE;
}

static size_t block_rows(const wh_call *call)
{
    size_t steps = call->arg_dims[0].dim[1];
    return steps < WH_ATTENTION_ROWS ? steps : WH_ATTENTION_ROWS;
}

static size_t attention_scratch(const wh_call *call)
{
    return block_rows(call) * call->arg_dims[0].dim[1];
}

static size_t attention_back_scratch(const wh_call *call)
{
    return 2 * WH_ATTENTION_ROWS * call->arg_dims[0].dim[1];
}

/* A unit is one head of one example. */
static wh_cut attention_cut(const wh_call *call)
{
    const wh_dims *dims = &call->arg_dims[0];
    size_t heads = call->attr->whole[0];
    return (wh_cut){dims->dim[0] * heads, 2 * dims->dim[1] * dims->dim[1] * dims->dim[2] / (3 * heads)};
}

const wh_op wh_op_attention = {.name = "attention",
                               .vjp = attention_vjp,
                               .decompose = attention_decompose,
                               .splits = wh_splits_first,
                               .wide = WH_KERNEL_WIDE(attention),
                               .cut = attention_cut,
                               .scratch = attention_scratch};
const wh_op wh_op_attention_back = {.name = "attention_back",
                                    .decompose = attention_back_decompose,
                                    .splits = wh_splits_rows,
                                    .wide = WH_KERNEL_WIDE(attention_back),
                                    .cut = attention_cut,
                                    .scratch = attention_back_scratch};

wh_value wh_graph_self_attention(wh_graph *g, wh_value qkv, size_t heads, double scale, bool causal)
{
    if (!wh_graph_args(g, &wh_op_attention, &qkv, 1, 0)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, qkv);
    if (dims.rank != 3 || heads == 0 || dims.dim[2] % (3 * heads) != 0)
        return wh_graph_fail(g, WHIST_E_ARG, "attention of %s: (B,T,3·%zu·D) is needed for %zu heads",
                             wh_dims_show(&dims).text, heads, heads);
    wh_attr attr = {.real = {scale}, .whole = {heads, causal}};
    dims.dim[2] /= 3;
    return wh_graph_node1(g, &wh_op_attention, qkv, dims, &attr);
}
