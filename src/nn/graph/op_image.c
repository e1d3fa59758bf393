/* nn/graph/op_image.c: convolution and pools, channels last (layout.c).
 *
 * With x (N,H,W,C) the image, w (kh,kw,C/groups,O) the weight and c (N,OH,OW,O) the cotangent of the output, the three
 * bilinear maps
 *     conv(x, w) → c-shaped,   conv_data(c, wᵀ) → x-shaped,   conv_weight(x, c) → w-shaped
 * are each other's derivatives; wᵀ is (kh,kw,O,C/groups). */
#include "nn/graph/image.h"
#include "nn/graph/node.h"

static wh_value same_conv(wh_graph *g, const wh_op *op, wh_value a, wh_value b, wh_dims dims, const wh_node *like)
{
    return wh_graph_node2(g, op, a, b, dims, &like->attr);
}

/* (kh,kw,I,O) ↔ (kh,kw,O,I): conv_data reads the weight by rows of the image's channels. */
static wh_value swapped(wh_graph *g, wh_value w)
{
    static const unsigned order[] = {0, 1, 3, 2};
    return wh_graph_transpose(g, w, order);
}

static wh_dims swapped_dims(const wh_graph *g, wh_value w)
{
    wh_dims d = wh_graph_dims(g, w);
    return WH_DIMS(d.dim[0], d.dim[1], d.dim[3], d.dim[2]);
}

static wh_value conv_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0], w = node.arg[1];
    if (i == 0) return same_conv(g, &wh_op_conv_data, ct, swapped(g, w), wh_graph_dims(g, x), &node);
    return same_conv(g, &wh_op_conv_weight, x, ct, wh_graph_dims(g, w), &node);
}

static wh_value conv_data_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value c = node.arg[0], w = node.arg[1];
    if (i == 0) return same_conv(g, &wh_op_conv, ct, swapped(g, w), wh_graph_dims(g, c), &node);
    return swapped(g, same_conv(g, &wh_op_conv_weight, ct, c, swapped_dims(g, w), &node));
}

static wh_value conv_weight_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0], c = node.arg[1];
    if (i == 0) return same_conv(g, &wh_op_conv_data, c, swapped(g, ct), wh_graph_dims(g, x), &node);
    return same_conv(g, &wh_op_conv, x, ct, wh_graph_dims(g, c), &node);
}

static size_t conv_scratch(const wh_call *call)
{
    wh_geometry g = wh_geometry_conv(call);
    wh_frame f = wh_frame_image(&g);
    return wh_frame_reals(&f);
}

static size_t conv_data_scratch(const wh_call *call)
{
    wh_geometry g = wh_geometry_data(call);
    wh_frame f = wh_frame_cotangent(&g);
    return wh_frame_reals(&f);
}

static size_t conv_weight_scratch(const wh_call *call)
{
    wh_geometry g = wh_geometry_weight(call);
    wh_frame f = wh_frame_image(&g);
    return wh_frame_reals(&f);
}

static size_t products(const wh_geometry *g)
{
    return g->oh * g->ow * g->kh * g->kw * g->cg * g->o;
}

/* A unit is one image. */
static wh_cut conv_cut(const wh_call *call)
{
    wh_geometry g = wh_geometry_conv(call);
    return (wh_cut){g.n, products(&g)};
}

static wh_cut conv_data_cut(const wh_call *call)
{
    wh_geometry g = wh_geometry_data(call);
    return (wh_cut){g.n, products(&g)};
}

/* A unit is one row of taps, summed over the images in their order. */
static wh_cut conv_weight_cut(const wh_call *call)
{
    wh_geometry g = wh_geometry_weight(call);
    return (wh_cut){g.kh, products(&g) / g.kh * g.n};
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
    static const unsigned taps_first[] = {2, 3, 1, 0};
    wh_attr attr = {.whole = {conv.stride, conv.pad, conv.groups}};
    wh_value y = wh_graph_node2(g, &wh_op_conv, wh_graph_channels_last(g, x), wh_graph_transpose(g, w, taps_first),
                                WH_DIMS(dx.dim[0], oh, ow, dw.dim[0]), &attr);
    y = wh_graph_channels_first(g, y);
    if (bias == WH_NO_VALUE) return y;
    return wh_graph_add(g, y, wh_graph_reshape(g, bias, WH_DIMS(dw.dim[0], 1, 1)));
}

/* ---- Per-example norm of the weight gradient ---------------------------------------------------------- */

static size_t conv_squared_scratch(const wh_call *call)
{
    wh_geometry g = wh_geometry_squared(call);
    size_t places = g.oh * g.ow, depth = g.kh * g.kw * g.cg;
    if (wh_geometry_by_places(&g)) return places * (depth + 2 * places);
    wh_frame f = wh_frame_image(&g);
    return f.h * f.w * f.c + g.kw * g.cg * g.o;
}

static wh_cut conv_squared_cut(const wh_call *call)
{
    wh_geometry g = wh_geometry_squared(call);
    size_t places = g.oh * g.ow;
    return (wh_cut){g.n, wh_geometry_by_places(&g) ? places * places * (g.kh * g.kw * g.c + g.o) : products(&g)};
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
    attr.whole[3] = w.dim[0];
    attr.whole[4] = w.dim[1];
    return wh_graph_node2(g, &wh_op_conv_squared, x, cotangent, WH_DIMS(node.dims.dim[0]), &attr);
}

/* ---- Pools ------------------------------------------------------------------------------------------------ */

/* A unit is one image. */
static wh_cut image_cut(const wh_call *call)
{
    size_t n = call->out_dims->dim[0];
    return (wh_cut){n, wh_dims_size(call->arg_dims) / n * 4};
}

static bool image_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    for (unsigned i = 0; i < node->n_args; i++)
        if (!split[i] || wh_node_at(g, node->arg[i])->dims.dim[0] % examples != 0) return false;
    return true;
}

/* x picks where, and no derivative goes through that; window_take and window_put are each other's transposes. */
static wh_value max_window_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    wh_value x = node.arg[0];
    return wh_graph_node2(g, &wh_op_window_put, x, ct, wh_graph_dims(g, x), &node.attr);
}

static wh_value max_window_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    return wh_graph_node2(g, &wh_op_window_take, node.arg[0], tangents[0], node.dims, &node.attr);
}

static wh_value window_take_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    if (i == 0) return WH_NO_VALUE;
    return wh_graph_node2(g, &wh_op_window_put, node.arg[0], ct, wh_graph_dims(g, node.arg[0]), &node.attr);
}

static wh_value window_put_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    if (i == 0) return WH_NO_VALUE;
    return wh_graph_node2(g, &wh_op_window_take, node.arg[0], ct, wh_graph_dims(g, node.arg[1]), &node.attr);
}

static wh_value window_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    if (tangents[1] == WH_NO_VALUE) return WH_NO_VALUE;
    const wh_value args[] = {wh_node_at(g, n)->arg[0], tangents[1]};
    return wh_graph_again(g, n, args);
}

const wh_op wh_op_max_window = {.name = "max_window",
                                .vjp = max_window_vjp,
                                .jvp = max_window_jvp,
                                .splits = image_splits,
                                .kernel = WH_KERNEL_PAIR(max_window),
                                .cut = image_cut};
const wh_op wh_op_window_take = {.name = "window_take",
                                 .vjp = window_take_vjp,
                                 .jvp = window_jvp,
                                 .splits = image_splits,
                                 .kernel = WH_KERNEL_PAIR(window_take),
                                 .cut = image_cut};
const wh_op wh_op_window_put = {.name = "window_put",
                                .vjp = window_put_vjp,
                                .jvp = window_jvp,
                                .splits = image_splits,
                                .kernel = WH_KERNEL_PAIR(window_put),
                                .cut = image_cut};

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
                              .splits = image_splits,
                              .kernel = WH_KERNEL_PAIR(avg_pool),
                              .cut = image_cut};
const wh_op wh_op_avg_pool_back = {.name = "avg_pool_back",
                                   .flags = WH_OP_LINEAR,
                                   .vjp = avg_pool_back_vjp,
                                   .splits = image_splits,
                                   .kernel = WH_KERNEL_PAIR(avg_pool_back),
                                   .cut = image_cut};

static wh_value avg_pool_back_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)i;
    wh_node node = *wh_node_at(g, n);
    return wh_graph_node1(g, &wh_op_avg_pool, ct, wh_graph_dims(g, node.arg[0]), &node.attr);
}

/* The shape of the pooled image, channels last. */
static bool pooled(wh_dims *out, wh_graph *g, const wh_op *op, wh_value x, wh_window window)
{
    if (!wh_graph_args(g, op, &x, 1, 0)) return false;
    wh_dims dx = wh_graph_dims(g, x), dk = WH_DIMS(window.kernel, window.kernel);
    bool good = dx.rank == 4 && window.kernel > 0 && window.stride > 0 && 2 * window.pad <= window.kernel;
    size_t oh = good ? positions(dx.dim[2], window.kernel, window.stride, window.pad) : 0;
    size_t ow = good ? positions(dx.dim[3], window.kernel, window.stride, window.pad) : 0;
    *out = WH_DIMS(dx.dim[0], oh, ow, dx.dim[1]);
    if (oh > 0 && ow > 0) return true;
    wh_graph_fail_dims(g, op->name, &dx, &dk, "(N,C,H,W) and a window inside it, padded by half of it at most");
    return false;
}

wh_value wh_graph_max_pool(wh_graph *g, wh_value x, wh_window window)
{
    wh_dims out;
    if (!pooled(&out, g, &wh_op_max_window, x, window)) return WH_NO_VALUE;
    wh_attr attr = {.whole = {window.kernel, window.stride, window.pad}};
    return wh_graph_channels_first(g, wh_graph_node1(g, &wh_op_max_window, wh_graph_channels_last(g, x), out, &attr));
}

wh_value wh_graph_avg_pool(wh_graph *g, wh_value x, wh_window window)
{
    wh_dims out;
    if (!pooled(&out, g, &wh_op_avg_pool, x, window)) return WH_NO_VALUE;
    wh_attr attr = {.whole = {window.kernel, window.stride, window.pad}};
    return wh_graph_channels_first(g, wh_graph_node1(g, &wh_op_avg_pool, wh_graph_channels_last(g, x), out, &attr));
}
