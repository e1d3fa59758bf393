/* nn/net.c: layers for the classes of the zoo, and laying out tensors. */
#include "nn/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PARAMS = INT32_MAX };

/* ---- Tensors --------------------------------------------------------------------------------------- */

static whist_status grow(whist_model *model)
{
    if (model->n_tensors < model->cap_tensors) return WHIST_OK;
    size_t cap = model->cap_tensors ? 2 * model->cap_tensors : 16, n = model->n_tensors;
    whist_tensor_info *tensors = NULL;
    WH_AUTO(wh_owned) fills = NULL;
    WH_AUTO(wh_owned) penalised = NULL;
    WH_TRY(wh_alloc(&fills, cap, sizeof *model->fills));
    WH_TRY(wh_alloc(&penalised, cap, sizeof *model->penalised));
    WH_TRY(WH_NEW(&tensors, cap));
    if (n) {
        memcpy(tensors, model->tensors, n * sizeof *tensors);
        memcpy(fills, model->fills, n * sizeof *model->fills);
        memcpy(penalised, model->penalised, n * sizeof *model->penalised);
    }
    wh_free(model->tensors);
    wh_free(model->fills);
    wh_free(model->penalised);
    model->tensors = tensors;
    model->fills = fills;
    model->penalised = penalised;
    model->cap_tensors = cap;
    fills = penalised = NULL;
    return WHIST_OK;
}

static whist_status add_tensor(whist_model *model, const char *name, const wh_dims *dims, const wh_fill *fill,
                               bool learned, bool penalised)
{
    WH_TRY(grow(model));
    size_t size = 1;
    whist_tensor_info info = {.n_dims = dims->rank, .offset = model->size, .learned = learned};
    WH_ENSURE(dims->rank >= 1 && dims->rank <= WH_COUNT(info.shape), WHIST_E_ARG);
    for (unsigned i = 0; i < dims->rank; i++) {
        info.shape[i] = dims->dim[i];
        if (!wh_mul_size(&size, size, dims->dim[i]) || size > MAX_PARAMS - model->size)
            WH_FAIL(WHIST_E_RANGE, "the model has more than 2^31 parameters at tensor '%s' %s: make it narrower", name,
                    wh_dims_show(dims).text);
    }
    int len = snprintf(info.name, sizeof info.name, "%s", name);
    WH_ENSURE(len > 0 && (size_t)len < sizeof info.name, WHIST_E_RANGE);
    info.size = size;
    model->size += size;
    model->tensors[model->n_tensors] = info;
    model->fills[model->n_tensors] = *fill;
    model->penalised[model->n_tensors++] = penalised;
    return WHIST_OK;
}

static wh_value tensor(wh_net *net, const char *name, wh_dims dims, const wh_fill *fill, bool learned, bool penalised)
{
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    if (!net->layout && net->next >= net->model->n_own) { /* the head that was taken away */
        net->next++;
        return wh_graph_fill(net->graph, dims, 0);
    }
    if (!net->layout) return net->params[net->next++];
    net->failed = add_tensor(net->layout, name, &dims, fill, learned, penalised);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    net->next++;
    return wh_graph_input(net->graph, name, learned ? WH_PARAM : WH_SHARED, dims);
}

static wh_fill weight_fill(const whist_model *model, size_t fan_in, size_t fan_out, size_t depth)
{
    const double in = (double)fan_in, out = (double)fan_out;
    switch (model->init) {
    case WH_INIT_UNIFORM: return (wh_fill){WH_FILL_UNIFORM, 1 / sqrt(in), 0};
    case WH_INIT_GLOROT: return (wh_fill){WH_FILL_UNIFORM, sqrt(6 / (in + out)), 0};
    case WH_INIT_ORTHOGONAL: return (wh_fill){WH_FILL_UNIFORM, sqrt(6 / (in + out)), 0}; /* what is not recurrent */
    case WH_INIT_HE: return (wh_fill){WH_FILL_UNIFORM, sqrt(6 / in), 0};
    case WH_INIT_NORMAL: return (wh_fill){WH_FILL_NORMAL, model->init_scale, 0};
    case WH_INIT_TRUNCATED: return (wh_fill){WH_FILL_TRUNCATED, model->init_scale, 0};
    case WH_INIT_GPT2: return (wh_fill){WH_FILL_NORMAL, 0.02 / sqrt((double)depth), 0};
    case WH_INIT_ZERO: break;
    }
    return (wh_fill){WH_FILL_NUMBER, 0, 0};
}

wh_value wh_net_residual_weight(wh_net *net, const char *name, wh_dims dims, size_t fan_in, size_t fan_out,
                                size_t depth)
{
    const wh_fill fill = weight_fill(net->model, fan_in, fan_out, depth);
    return tensor(net, name, dims, &fill, true, true);
}

wh_value wh_net_weight(wh_net *net, const char *name, wh_dims dims, size_t fan_in, size_t fan_out)
{
    return wh_net_residual_weight(net, name, dims, fan_in, fan_out, 1);
}

wh_value wh_net_recurrent(wh_net *net, const char *name, size_t width, size_t gates)
{
    wh_fill fill = weight_fill(net->model, width, width, 1);
    if (net->model->init == WH_INIT_ORTHOGONAL) fill = (wh_fill){WH_FILL_ORTHOGONAL, 1, width};
    return tensor(net, name, WH_DIMS(width, gates * width), &fill, true, true);
}

wh_value wh_net_bias(wh_net *net, const char *name, size_t n, size_t fan_in)
{
    wh_fill fill = {WH_FILL_NUMBER, 0, 0};
    if (net->model->init == WH_INIT_UNIFORM) fill = weight_fill(net->model, fan_in, n, 1);
    return tensor(net, name, WH_DIMS(n), &fill, true, false);
}

static wh_value numbers(wh_net *net, const char *name, const char *kind, size_t n, double number, bool learned)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, kind);
    const wh_fill fill = {WH_FILL_NUMBER, number, 0};
    return tensor(net, full, WH_DIMS(n), &fill, learned, false);
}

/* ---- Layers ------------------------------------------------------------------------------------------- */

/* The size of an axis, or 1 after a failure. */
static size_t axis(const wh_net *net, wh_value x, unsigned i)
{
    if (net->failed != WHIST_OK || x == WH_NO_VALUE) return 1;
    wh_dims dims = wh_graph_dims(net->graph, x);
    return i < dims.rank ? dims.dim[i] : 1;
}

static wh_value dense(wh_net *net, const char *name, wh_value x, size_t out, bool with_bias, size_t depth)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s%sweight", name, *name ? "." : "");
    snprintf(bias, sizeof bias, "%s%sbias", name, *name ? "." : "");
    wh_dims dims = x == WH_NO_VALUE ? WH_DIMS(1) : wh_graph_dims(net->graph, x);
    size_t in = dims.rank ? dims.dim[dims.rank - 1] : 1;
    wh_value w = wh_net_residual_weight(net, weight, WH_DIMS(in, out), in, out, depth);
    wh_value b = with_bias ? wh_net_bias(net, bias, out, in) : WH_NO_VALUE;
    return net->failed == WHIST_OK ? wh_graph_linear(net->graph, x, w, b, WH_MATMUL_NN) : WH_NO_VALUE;
}

wh_value wh_net_dense(wh_net *net, const char *name, wh_value x, size_t out, bool bias)
{
    return dense(net, name, x, out, bias, 1);
}

wh_value wh_net_residual_dense(wh_net *net, const char *name, wh_value x, size_t out, size_t depth)
{
    return dense(net, name, x, out, true, depth);
}

wh_value wh_net_head(wh_net *net, const char *name, wh_value x, size_t out, bool bias)
{
    net->out->features = x;
    net->out->head = net->next;
    return dense(net, name, x, out, bias, 1);
}

wh_value wh_net_conv(wh_net *net, const char *name, wh_value x, size_t out, size_t kernel, wh_conv conv, bool with_bias)
{
    char full[64];
    size_t in = axis(net, x, 1) / conv.groups, area = kernel * kernel;
    snprintf(full, sizeof full, "%s.weight", name);
    wh_value w = wh_net_weight(net, full, WH_DIMS(out, in, kernel, kernel), in * area, out / conv.groups * area);
    snprintf(full, sizeof full, "%s.bias", name);
    wh_value b = with_bias ? wh_net_bias(net, full, out, in * area) : WH_NO_VALUE;
    return net->failed == WHIST_OK ? wh_graph_conv(net->graph, x, w, b, conv) : WH_NO_VALUE;
}

#define NORM_EPS 1e-5

wh_value wh_net_layer_norm(wh_net *net, const char *name, wh_value x)
{
    wh_dims dims = x == WH_NO_VALUE ? WH_DIMS(1) : wh_graph_dims(net->graph, x);
    size_t width = dims.rank ? dims.dim[dims.rank - 1] : 1;
    wh_value gamma = numbers(net, name, "weight", width, 1, true), beta = numbers(net, name, "bias", width, 0, true);
    return net->failed == WHIST_OK ? wh_graph_layer_norm(net->graph, x, gamma, beta, NORM_EPS) : WH_NO_VALUE;
}

/* old + momentum · (seen - old) */
static void follow(wh_net *net, wh_value old, wh_value seen)
{
    wh_graph *g = net->graph;
    wh_model_values *out = net->out;
    if (net->failed != WHIST_OK || out->n_next == WH_MODEL_MAX_NEXT) return;
    wh_value step = wh_graph_scale(g, wh_graph_sub(g, seen, old), net->model->zoo.momentum);
    out->next[out->n_next++] = wh_graph_add(g, old, step);
}

/* Inductive: by running statistics, which follow the batches' own (the variance as estimated, with n - 1). */
static wh_value inductive(wh_net *net, const char *name, wh_value x, wh_value gamma, wh_value beta)
{
    wh_graph *g = net->graph;
    size_t c = axis(net, x, 1), area = net->batch * axis(net, x, 2) * axis(net, x, 3);
    if (net->layout) net->layout->couples = true;
    net->out->next_tensor[net->out->n_next % WH_MODEL_MAX_NEXT] = net->next;
    wh_value mean = numbers(net, name, "mean", c, 0, false);
    net->out->next_tensor[(net->out->n_next + 1) % WH_MODEL_MAX_NEXT] = net->next;
    wh_value var = numbers(net, name, "variance", c, 1, false);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    if (!(net->mode & WH_MODEL_STATISTICS)) return wh_graph_batch_norm_given(g, x, mean, var, gamma, beta, NORM_EPS);
    wh_value seen = wh_graph_mean(g, x, 1U | 4U | 8U, true);
    wh_value spread = wh_graph_mean(g, wh_graph_square(g, wh_graph_sub(g, x, seen)), 1U | 4U | 8U, false);
    double unbiased = area > 1 ? (double)area / (double)(area - 1) : 1;
    follow(net, mean, wh_graph_reshape(g, seen, WH_DIMS(c)));
    follow(net, var, wh_graph_scale(g, spread, unbiased));
    return wh_graph_batch_norm(g, x, gamma, beta, NORM_EPS);
}

/* By the statistics of the leading rows. */
static wh_value norm_by_some(wh_net *net, wh_value x, wh_value gamma, wh_value beta)
{
    wh_graph *g = net->graph;
    const size_t from[WH_GRAPH_RANK] = {0};
    wh_dims dims = wh_graph_dims(g, x);
    const size_t c = dims.dim[1];
    dims.dim[0] = net->statistics;
    wh_value some = wh_graph_slice(g, x, from, dims);
    wh_value mean = wh_graph_mean(g, some, 1U | 4U | 8U, true);
    wh_value var = wh_graph_mean(g, wh_graph_square(g, wh_graph_sub(g, some, mean)), 1U | 4U | 8U, false);
    return wh_graph_batch_norm_given(g, x, wh_graph_reshape(g, mean, WH_DIMS(c)), var, gamma, beta, NORM_EPS);
}

wh_value wh_net_norm(wh_net *net, const char *name, wh_value x)
{
    const wh_zoo *zoo = &net->model->zoo;
    size_t c = axis(net, x, 1);
    if (zoo->norm == WH_NORM_NONE) return x;
    wh_value gamma = numbers(net, name, "weight", c, 1, true), beta = numbers(net, name, "bias", c, 0, true);
    if (zoo->norm == WH_NORM_INDUCTIVE) return inductive(net, name, x, gamma, beta);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    if (zoo->norm == WH_NORM_GROUP) return wh_graph_group_norm(net->graph, x, zoo->groups, gamma, beta, NORM_EPS);
    if (net->layout) net->layout->couples = true;
    if (net->statistics > 0 && net->statistics < net->batch) return norm_by_some(net, x, gamma, beta);
    return wh_graph_batch_norm(net->graph, x, gamma, beta, NORM_EPS);
}

wh_value wh_net_dropout(wh_net *net, wh_value x)
{
    double rate = net->model->zoo.dropout;
    uint32_t site = net->site++;
    if (rate == 0 || net->failed != WHIST_OK) return x;
    if (net->layout) net->layout->drops = true;
    if (!(net->mode & WH_MODEL_DROPOUT)) return x;
    wh_graph *g = net->graph;
    if (net->out->seed == WH_NO_VALUE)
        net->out->seed = wh_graph_index(g, "seed", WH_SHARED, WH_DIMS(2), UINT64_C(1) << 32);
    return wh_graph_dropout(g, x, wh_graph_keep_mask(g, net->out->seed, site, rate, wh_graph_dims(g, x)));
}

wh_value wh_net_activate(wh_net *net, wh_value x)
{
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    switch (net->model->activation) {
    case WH_ACTIVATION_RELU: return wh_graph_relu(net->graph, x);
    case WH_ACTIVATION_TANH: return wh_graph_tanh(net->graph, x);
    case WH_ACTIVATION_SIGMOID: return wh_graph_sigmoid(net->graph, x);
    case WH_ACTIVATION_GELU: return wh_graph_gelu(net->graph, x);
    case WH_ACTIVATION_GELU_TANH: return wh_graph_gelu_tanh(net->graph, x);
    }
    return WH_NO_VALUE;
}

/* ---- Laying out ------------------------------------------------------------------------------------------ */

whist_status wh_net_lay_out(whist_model *model)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    const whist_model_shape *shape = &model->shape;
    wh_dims rows = WH_DIMS(1, shape->n_features);
    wh_value x = shape->vocabulary && model->class_->rows == WHIST_ROWS_TOKENS
                     ? wh_graph_index(graph, "x", WH_EXAMPLES, rows, shape->vocabulary)
                     : wh_graph_input(graph, "x", WH_EXAMPLES, rows);
    wh_model_values values = {0};
    wh_net net = {.model = model, .layout = model, .graph = graph, .batch = 1, .mode = WH_MODEL_TRAIN, .out = &values};
    (void)model->kind->build(&net, x);
    if (net.failed != WHIST_OK) return net.failed;
    WH_TRY(wh_graph_status(graph));
    model->head = values.head;
    model->n_own = model->n_tensors;
    return WHIST_OK;
}

/* ---- What is learned beside the network --------------------------------------------------------------- */

whist_status wh_model_extend(whist_model *model, const char *name, const wh_dims *dims, double number, double uniform)
{
    const wh_fill fill = {uniform > 0 ? WH_FILL_UNIFORM : WH_FILL_NUMBER, uniform > 0 ? uniform : number, 0};
    WH_ENSURE(model && name && dims, WHIST_E_ARG);
    return add_tensor(model, name, dims, &fill, true, false);
}

whist_status wh_model_drop_head(whist_model *model)
{
    WH_ENSURE(model, WHIST_E_ARG);
    if (model->n_tensors != model->n_own || model->head == 0 || model->headless)
        WH_FAIL(WHIST_E_UNSUPPORTED, "model %s has no layers below its head that could give features",
                model->class_->name);
    model->n_tensors = model->n_own = model->head;
    model->size = model->tensors[model->head].offset;
    model->headless = true;
    return WHIST_OK;
}

size_t wh_model_own_tensors(const whist_model *model)
{
    return model->n_own;
}

bool wh_model_has_norm(const whist_model *model)
{
    return model->couples && model->zoo.norm == WH_NORM_TRANSDUCTIVE;
}
