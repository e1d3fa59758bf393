/* nn/net.h: layers that bring their tensors along.
 *
 * A class describes itself once, as a function that walks from rows to scores and takes each tensor as it comes by.
 * When a model is made the walk lays the tensors out (names, shapes, start values); later the same walk builds graphs.
 *
 * Failures stick, as in the graph: ask wh_graph_status. */
#ifndef WH_NN_NET_H
#define WH_NN_NET_H

#include "nn/model.h"

struct wh_net {
    const whist_model *model;
    whist_model *layout; /* the same model while it is laid out, else NULL */
    wh_graph *graph;
    const wh_value *params;
    size_t next; /* tensor to come */
    size_t batch, statistics;
    unsigned mode;
    uint32_t site; /* of the next dropout */
    whist_status failed;
    wh_model_values *out;
};

/* The next tensor. fan_in, fan_out: what the start values of a weight go by. WH_NO_VALUE on failure. */
wh_value wh_net_weight(wh_net *net, const char *name, wh_dims dims, size_t fan_in, size_t fan_out);
/* A weight into a residual sum of `depth` terms: GPT-2 starts it smaller by the root of that. */
wh_value wh_net_residual_weight(wh_net *net, const char *name, wh_dims dims, size_t fan_in, size_t fan_out,
                                size_t depth);
/* (width, gates width) from a state to its gates; the start orthogonal, where that is the option. */
wh_value wh_net_recurrent(wh_net *net, const char *name, size_t width, size_t gates);
wh_value wh_net_bias(wh_net *net, const char *name, size_t n, size_t fan_in);

/* x (…,in) · weight (in,out) + bias. Tensors NAME.weight, NAME.bias. */
wh_value wh_net_dense(wh_net *net, const char *name, wh_value x, size_t out, bool bias);
/* The same at the end of a branch of a residual stream with `depth` of them. */
wh_value wh_net_residual_dense(wh_net *net, const char *name, wh_value x, size_t out, size_t depth);
/* The last one: notes features and head in net->out. */
wh_value wh_net_head(wh_net *net, const char *name, wh_value x, size_t out, bool bias);
wh_value wh_net_conv(wh_net *net, const char *name, wh_value x, size_t out, size_t kernel, wh_conv conv, bool bias);
/* By model->zoo.norm; x (B,C,H,W). */
wh_value wh_net_norm(wh_net *net, const char *name, wh_value x);
wh_value wh_net_layer_norm(wh_net *net, const char *name, wh_value x);
wh_value wh_net_dropout(wh_net *net, wh_value x);
wh_value wh_net_activate(wh_net *net, wh_value x);

/* The walk from rows to scores without a graph to keep: names, shapes and start values of all tensors. Refuses shapes
 * that do not fit, in words. */
WH_MUST_CHECK whist_status wh_net_lay_out(whist_model *model);

#endif
