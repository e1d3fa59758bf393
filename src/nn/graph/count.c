/* nn/graph/count.c: how much arithmetic a graph asks for. */
#include "nn/graph/node.h"

#include <string.h>

/* a (…,M,K) or its transpose, out (…,M,N): K is what is left of a. */
static double matmul_flops(const wh_node *node, const wh_dims *a)
{
    const wh_dims *out = &node->dims;
    double n = (double)out->dim[out->rank - 1], rows = (double)wh_dims_size(out) / n;
    return 2 * (double)wh_dims_size(out) * ((double)wh_dims_size(a) / rows);
}

/* c (N,OH,OW,O) and w (k,l,C/groups,O): every value of c is a sum over one filter. */
static double conv_flops(const wh_dims *c, const wh_dims *w)
{
    return 2 * (double)wh_dims_size(c) * ((double)wh_dims_size(w) / (double)c->dim[c->rank - 1]);
}

/* qkv (B,T,3d), out (B,T,d): scores, and values by them. Backward: cotangents of both, for queries, keys and values. */
static double attention_flops(const wh_dims *qkv, double products)
{
    return 2 * products * ((double)wh_dims_size(qkv) / 3) * (double)qkv->dim[1];
}

static double node_flops(const wh_graph *g, const wh_node *node)
{
    wh_dims a = node->n_args > 0 ? wh_node_at(g, node->arg[0])->dims : WH_SCALAR;
    wh_dims b = node->n_args > 1 ? wh_node_at(g, node->arg[1])->dims : WH_SCALAR;
    if (node->op == &wh_op_matmul) return matmul_flops(node, &a);
    if (node->op == &wh_op_conv) return conv_flops(&node->dims, &b);
    if (node->op == &wh_op_conv_data) return conv_flops(&a, &b);
    if (node->op == &wh_op_conv_weight) return conv_flops(&b, &node->dims);
    if (node->op == &wh_op_attention) return attention_flops(&a, 2);
    if (node->op == &wh_op_attention_back) return attention_flops(&a, 4);
    return 0;
}

whist_status wh_graph_flops(double *out, const wh_graph *g, const wh_value outputs[], size_t n)
{
    WH_TRY(wh_graph_status(g));
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, wh_graph_size(g) + 1, sizeof(bool)));
    bool *needed = memory;
    double flops = 0;
    for (size_t i = 0; i < n; i++) needed[outputs[i]] = true;
    for (wh_value v = (wh_value)wh_graph_size(g); v > 0; v--) {
        if (!needed[v]) continue;
        const wh_node *node = wh_node_at(g, v);
        flops += node_flops(g, node);
        for (unsigned i = 0; i < node->n_args; i++) needed[node->arg[i]] = true;
    }
    *out = flops;
    return WHIST_OK;
}
