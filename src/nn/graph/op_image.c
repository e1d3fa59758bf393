/* nn/graph/op_image.c: convolution and pools.
 *
 * With x the image, w the weight and c the cotangent of the output, the three bilinear maps
 *     conv(x, w) → c-shaped,   conv_data(c, w) → x-shaped,   conv_weight(x, c) → w-shaped
 * are each other's derivatives. Maxima are found once, as indices; the rest of max-pooling is taking them. */
#include "nn/graph/node.h"

static wh_value same_conv(wh_graph *g, const wh_op *op, wh_value a, wh_value b, wh_dims dims, const wh_node *like)
{
    return wh_graph_node2(g, op, a, b, dims, &like->attr);
}

static wh_value conv_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0], w = node.arg[1];
    return i == 0 ? same_conv(g, &wh_op_conv_data, ct, w, wh_graph_dims(g, x), &node)
                  : same_conv(g, &wh_op_conv_weight, x, ct, wh_graph_dims(g, w), &node);
}

static wh_value conv_data_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value c = node.arg[0], w = node.arg[1];
    return i == 0 ? same_conv(g, &wh_op_conv, ct, w, wh_graph_dims(g, c), &node)
                  : same_conv(g, &wh_op_conv_weight, ct, c, wh_graph_dims(g, w), &node);
}

static wh_value conv_weight_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0], c = node.arg[1];
    return i == 0 ? same_conv(g, &wh_op_conv_data, c, ct, wh_graph_dims(g, x), &node)
                  : same_conv(g, &wh_op_conv, x, ct, wh_graph_dims(g, c), &node);
}

/* The columns of one image and group: (C/groups · kernel²) × (OH · OW). */
static size_t columns(const wh_dims *w, const wh_dims *c)
{
    return w->dim[1] * w->dim[2] * w->dim[3] * c->dim[2] * c->dim[3];
}

static size_t conv_scratch(const wh_call *call)
{
    return columns(&call->arg_dims[1], call->out_dims);
}

static size_t conv_data_scratch(const wh_call *call)
{
    return columns(&call->arg_dims[1], &call->arg_dims[0]);
}

static size_t conv_weight_scratch(const wh_call *call)
{
    return columns(call->out_dims, &call->arg_dims[1]) + wh_dims_size(call->out_dims);
}

/* A unit is one image. */
static wh_cut conv_cut(const wh_call *call)
{
    return (wh_cut){call->out_dims->dim[0], conv_scratch(call) * call->arg_dims[1].dim[0]};
}

static wh_cut conv_data_cut(const wh_call *call)
{
    return (wh_cut){call->out_dims->dim[0], conv_data_scratch(call) * call->arg_dims[1].dim[0]};
}

/* A unit is one group, summed over the images in their order. */
static wh_cut conv_weight_cut(const wh_call *call)
{
    return (wh_cut){call->attr->whole[2], wh_dims_size(call->out_dims) * call->arg_dims[0].dim[0]};
}

const wh_op wh_op_conv = {.name = "conv",
                          .flags = WH_OP_MULTILINEAR,
                          .vjp = conv_vjp,
                          .splits = wh_splits_first,
                          .kernel = WH_KERNEL_PAIR(conv),
                          .cut = conv_cut,
                          .scratch = conv_scratch};
const wh_op wh_op_conv_data = {.name = "conv_data",
                               .flags = WH_OP_MULTILINEAR,
                               .vjp = conv_data_vjp,
                               .splits = wh_splits_first,
                               .kernel = WH_KERNEL_PAIR(conv_data),
                               .cut = conv_data_cut,
                               .scratch = conv_data_scratch};
const wh_op wh_op_conv_weight = {.name = "conv_weight",
                                 .flags = WH_OP_MULTILINEAR,
                                 .vjp = conv_weight_vjp,
                                 .kernel = WH_KERNEL_PAIR(conv_weight),
                                 .cut = conv_weight_cut,
                                 .scratch = conv_weight_scratch};

/* Positions of a window along one axis; 0 where not even one fits. */
static size_t positions(size_t size, size_t kernel, size_t stride, size_t pad)
{
    return size + 2 * pad < kernel ? 0 : (size + 2 * pad - kernel) / stride + 1;
}

wh_value wh_graph_conv(wh_graph *g, wh_value x, wh_value w, wh_value bias, wh_conv conv)
{
    wh_value args[] = {x, w};
    if (!wh_graph_args(g, &wh_op_conv, args, 2, 0)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x), dw = wh_graph_dims(g, w);
    if (dx.rank != 4 || dw.rank != 4) return wh_graph_fail_dims(g, "conv", &dx, &dw, "(N,C,H,W) and (O,C/groups,k,l)");
    if (conv.stride == 0 || conv.groups == 0 || dw.dim[1] * conv.groups != dx.dim[1] || dw.dim[0] % conv.groups != 0)
        return wh_graph_fail_dims(g, "conv", &dx, &dw, "channels, groups and stride do not go together");
    if (conv.pad >= dw.dim[2] + dx.dim[2])
        return wh_graph_fail_dims(g, "conv", &dx, &dw, "padding wider than kernel and image");
    size_t oh = positions(dx.dim[2], dw.dim[2], conv.stride, conv.pad);
    size_t ow = positions(dx.dim[3], dw.dim[3], conv.stride, conv.pad);
    if (oh == 0 || ow == 0)
        return wh_graph_fail_dims(g, "conv", &dx, &dw, "the kernel is larger than the padded image");
    wh_attr attr = {.whole = {conv.stride, conv.pad, conv.groups}};
    wh_value y = wh_graph_node2(g, &wh_op_conv, x, w, WH_DIMS(dx.dim[0], dw.dim[0], oh, ow), &attr);
    if (bias == WH_NO_VALUE) return y;
    return wh_graph_add(g, y, wh_graph_reshape(g, bias, WH_DIMS(dw.dim[0], 1, 1)));
}

/* ---- Per-example norm of the weight gradient ---------------------------------------------------------- */

static size_t conv_squared_scratch(const wh_call *call)
{
    const size_t *a = call->attr->whole;
    const wh_dims *x = &call->arg_dims[0], *c = &call->arg_dims[1];
    size_t depth = x->dim[1] / a[2] * a[3] * a[4], places = c->dim[2] * c->dim[3], outs = c->dim[1] / a[2];
    return depth * places + outs * depth + 2 * places * places;
}

static wh_cut conv_squared_cut(const wh_call *call)
{
    return (wh_cut){call->out_dims->dim[0], conv_squared_scratch(call) * call->arg_dims[1].dim[1]};
}

const wh_op wh_op_conv_squared = {.name = "conv_squared",
                                  .splits = wh_splits_always,
                                  .kernel = WH_KERNEL_PAIR(conv_squared),
                                  .cut = conv_squared_cut,
                                  .scratch = conv_squared_scratch};

wh_value wh_graph_conv_squared(wh_graph *g, wh_value x, wh_value cotangent, wh_value conv)
{
    wh_value args[] = {x, cotangent};
    if (!wh_graph_args(g, &wh_op_conv_squared, args, 2, 0)) return WH_NO_VALUE;
    wh_node node = *wh_node_at(g, conv);
    wh_dims w = wh_graph_dims(g, node.arg[1]);
    wh_attr attr = node.attr;
    attr.whole[3] = w.dim[2];
    attr.whole[4] = w.dim[3];
    return wh_graph_node2(g, &wh_op_conv_squared, x, cotangent, WH_DIMS(node.dims.dim[0]), &attr);
}

/* ---- Pools ------------------------------------------------------------------------------------------------ */

/* A unit is one plane (image and channel). */
static wh_cut plane_cut(const wh_call *call)
{
    const wh_dims *x = call->arg_dims;
    return (wh_cut){x->dim[0] * x->dim[1], wh_dims_size(call->out_dims) / (x->dim[0] * x->dim[1]) * 9};
}

static bool plane_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    (void)split;
    return wh_node_at(g, node->arg[0])->dims.dim[0] % examples == 0;
}

/* x (N,C,H,W) → indices (N·C,OH·OW) into the plane (H·W). */
const wh_op wh_op_argmax_window = {.name = "argmax_window",
                                   .flags = WH_OP_CONSTANT,
                                   .splits = plane_splits,
                                   .kernel = WH_KERNEL_PAIR(argmax_window),
                                   .cut = plane_cut};

static wh_value avg_pool_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_node1(g, &wh_op_avg_pool_back, ct, wh_graph_dims(g, node.arg[0]), &node.attr);
}

static wh_value avg_pool_back_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct);

const wh_op wh_op_avg_pool = {.name = "avg_pool",
                              .flags = WH_OP_LINEAR,
                              .vjp = avg_pool_vjp,
                              .splits = plane_splits,
                              .kernel = WH_KERNEL_PAIR(avg_pool),
                              .cut = plane_cut};
const wh_op wh_op_avg_pool_back = {.name = "avg_pool_back",
                                   .flags = WH_OP_LINEAR,
                                   .vjp = avg_pool_back_vjp,
                                   .splits = plane_splits,
                                   .kernel = WH_KERNEL_PAIR(avg_pool_back),
                                   .cut = plane_cut};

static wh_value avg_pool_back_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_node1(g, &wh_op_avg_pool, ct, wh_graph_dims(g, node.arg[0]), &node.attr);
}

static bool pooled(wh_dims *out, wh_graph *g, const wh_op *op, wh_value x, wh_window window)
{
    if (!wh_graph_args(g, op, &x, 1, 0)) return false;
    wh_dims dx = wh_graph_dims(g, x), dk = WH_DIMS(window.kernel, window.kernel);
    bool good = dx.rank == 4 && window.kernel > 0 && window.stride > 0 && 2 * window.pad <= window.kernel;
    size_t oh = good ? positions(dx.dim[2], window.kernel, window.stride, window.pad) : 0;
    size_t ow = good ? positions(dx.dim[3], window.kernel, window.stride, window.pad) : 0;
    *out = WH_DIMS(dx.dim[0], dx.dim[1], oh, ow);
    if (oh > 0 && ow > 0) return true;
    wh_graph_fail_dims(g, op->name, &dx, &dk, "(N,C,H,W) and a window inside it, padded by half of it at most");
    return false;
}

wh_value wh_graph_max_pool(wh_graph *g, wh_value x, wh_window window)
{
    wh_dims out;
    if (!pooled(&out, g, &wh_op_argmax_window, x, window)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x);
    size_t planes = dx.dim[0] * dx.dim[1], area = dx.dim[2] * dx.dim[3];
    wh_attr attr = {.whole = {area, window.kernel, window.stride, window.pad, out.dim[2], out.dim[3]}};
    wh_value at =
        wh_graph_node(g, &wh_op_argmax_window, &x, 1, WH_DIMS(planes, out.dim[2] * out.dim[3]), &attr, WH_KIND_INDEX);
    return wh_graph_reshape(g, wh_graph_take(g, wh_graph_reshape(g, x, WH_DIMS(planes, area)), at), out);
}

wh_value wh_graph_avg_pool(wh_graph *g, wh_value x, wh_window window)
{
    wh_dims out;
    if (!pooled(&out, g, &wh_op_avg_pool, x, window)) return WH_NO_VALUE;
    wh_attr attr = {.whole = {window.kernel, window.stride, window.pad}};
    return wh_graph_node1(g, &wh_op_avg_pool, x, out, &attr);
}
