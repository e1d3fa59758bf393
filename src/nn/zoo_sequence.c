/* nn/zoo_sequence.c: nets over tokens: lstm, transformer (encoder), gpt (decoder). Rows are (B,T) tokens below V.
 *
 * One target for a row: the head sees the last hidden state (lstm) or the mean over places (transformer). A target
 * after every token: it sees each place, which knows what came before it only (lstm, gpt). */
#include <math.h>
#include <stdio.h>

#include "base/settings.h"
#include "nn/net.h"

static void configure_common(whist_model *model, const whist_settings *settings)
{
    model->zoo.width = (size_t)whist_settings_int(settings, "width");
    model->zoo.depth = (size_t)whist_settings_int(settings, "depth");
    model->zoo.dropout = whist_settings_real(settings, "dropout");
}

/* (V,width); started like a weight that takes `width` inputs. */
static wh_value embedding(wh_net *net, const char *name, size_t n, size_t width)
{
    return wh_net_weight(net, name, WH_DIMS(n, width), width, width);
}

/* ---- lstm (Hochreiter and Schmidhuber 1997; gates in the order i, f, g, o) ----------------------------- */

static whist_status configure_lstm(whist_model *model, const whist_settings *settings)
{
    configure_common(model, settings);
    model->zoo.feed_forward = (size_t)whist_settings_int(settings, "embedding");
    return WHIST_OK;
}

/* gates (B,4H) → the next state; *c becomes the next cell. */
static wh_value cell(wh_graph *g, wh_value *c, wh_value gates, size_t batch, size_t width)
{
    wh_value part[4];
    for (size_t i = 0; i < 4; i++)
        part[i] = wh_graph_slice(g, gates, (const size_t[]){0, i * width}, WH_DIMS(batch, width));
    wh_value in = wh_graph_mul(g, wh_graph_sigmoid(g, part[0]), wh_graph_tanh(g, part[2]));
    *c = *c == WH_NO_VALUE ? in : wh_graph_add(g, wh_graph_mul(g, wh_graph_sigmoid(g, part[1]), *c), in);
    return wh_graph_mul(g, wh_graph_sigmoid(g, part[3]), wh_graph_tanh(g, *c));
}

/* x (B,T,D) → (B,T,H), or the last state (B,H). What comes from x is one product for all places. */
static wh_value recurrent_layer(wh_net *net, size_t l, wh_value x, bool each)
{
    wh_graph *g = net->graph;
    const size_t batch = net->batch, steps = net->model->shape.n_features, width = net->model->zoo.width;
    char name[32];
    snprintf(name, sizeof name, "layer%zu.input", l);
    wh_value from_x = wh_net_dense(net, name, x, 4 * width, true);
    snprintf(name, sizeof name, "layer%zu.recurrent", l);
    wh_value w = wh_net_recurrent(net, name, width, 4), h = WH_NO_VALUE, c = WH_NO_VALUE;
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    WH_AUTO(wh_owned) memory = NULL;
    net->failed = wh_alloc(&memory, steps, sizeof(wh_value));
    wh_value *states = memory;
    for (size_t t = 0; net->failed == WHIST_OK && t < steps; t++) {
        wh_value gates = wh_graph_slice(g, from_x, (const size_t[]){0, t, 0}, WH_DIMS(batch, 1, 4 * width));
        gates = wh_graph_reshape(g, gates, WH_DIMS(batch, 4 * width));
        if (t > 0) gates = wh_graph_add(g, gates, wh_graph_matmul(g, h, w, WH_MATMUL_NN));
        h = cell(g, &c, gates, batch, width);
        states[t] = wh_graph_reshape(g, h, WH_DIMS(batch, 1, width));
    }
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    return each ? wh_graph_concat(g, 1, states, steps) : h;
}

static wh_value build_lstm(wh_net *net, wh_value x)
{
    const whist_model_shape *shape = &net->model->shape;
    const wh_zoo *zoo = &net->model->zoo;
    wh_value table = embedding(net, "embedding.weight", shape->vocabulary, zoo->feed_forward);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    x = wh_graph_gather(net->graph, table, x);
    for (size_t l = 0; l < zoo->depth; l++)
        x = wh_net_dropout(net, recurrent_layer(net, l, x, l + 1 < zoo->depth || shape->n_targets > 1));
    return wh_net_head(net, "head", x, shape->n_outputs, true);
}

const wh_model_kind wh_kind_lstm = {.configure = configure_lstm, .build = build_lstm, .targets = WH_TARGETS_EITHER};

/* ---- Blocks of attention (Vaswani et al. 2017) ------------------------------------------------------------- */

static whist_status configure_blocks(whist_model *model, const whist_settings *settings)
{
    configure_common(model, settings);
    wh_zoo *zoo = &model->zoo;
    zoo->heads = (size_t)whist_settings_int(settings, "heads");
    zoo->feed_forward = (size_t)whist_settings_int(settings, "feed_forward");
    model->activation = (wh_activation)wh_model_choice(settings, "activation", wh_activation_names, 5);
    if (zoo->width % zoo->heads != 0)
        WH_FAIL(WHIST_E_ARG, "model %s: %zu heads do not divide a width of %zu", model->class_->name, zoo->heads,
                zoo->width);
    return WHIST_OK;
}

static wh_value attention(wh_net *net, const char *name, wh_value x, bool causal)
{
    wh_graph *g = net->graph;
    const wh_zoo *zoo = &net->model->zoo;
    const size_t d = zoo->width;
    char full[32];
    snprintf(full, sizeof full, "%s.qkv", name);
    wh_value packed = wh_net_dense(net, full, x, 3 * d, true), mixed = WH_NO_VALUE;
    if (net->failed == WHIST_OK) {
        double scale = 1 / sqrt((double)(d / zoo->heads));
        mixed = wh_graph_self_attention(g, packed, zoo->heads, scale, causal);
    }
    snprintf(full, sizeof full, "%s.out", name);
    return wh_net_dropout(net, wh_net_residual_dense(net, full, mixed, d, 2 * zoo->depth));
}

static wh_value feed_forward(wh_net *net, const char *name, wh_value x)
{
    const wh_zoo *zoo = &net->model->zoo;
    char full[32];
    snprintf(full, sizeof full, "%s.up", name);
    x = wh_net_activate(net, wh_net_dense(net, full, x, zoo->feed_forward, true));
    snprintf(full, sizeof full, "%s.down", name);
    return wh_net_dropout(net, wh_net_residual_dense(net, full, x, zoo->width, 2 * zoo->depth));
}

static wh_value add(wh_net *net, wh_value a, wh_value b)
{
    return net->failed == WHIST_OK ? wh_graph_add(net->graph, a, b) : WH_NO_VALUE;
}

static wh_value block(wh_net *net, size_t i, wh_value x, bool causal)
{
    char name[24], norm1[32], norm2[32];
    snprintf(name, sizeof name, "block%zu", i);
    snprintf(norm1, sizeof norm1, "%s.norm1", name);
    snprintf(norm2, sizeof norm2, "%s.norm2", name);
    if (net->model->zoo.norm_first) {
        x = add(net, x, attention(net, name, wh_net_layer_norm(net, norm1, x), causal));
        return add(net, x, feed_forward(net, name, wh_net_layer_norm(net, norm2, x)));
    }
    x = wh_net_layer_norm(net, norm1, add(net, x, attention(net, name, x, causal)));
    return wh_net_layer_norm(net, norm2, add(net, x, feed_forward(net, name, x)));
}

/* Tokens to the last block's (B,T,d). *table: the embedding. */
static wh_value blocks(wh_net *net, wh_value *table, wh_value x, bool causal)
{
    const whist_model_shape *shape = &net->model->shape;
    const wh_zoo *zoo = &net->model->zoo;
    *table = embedding(net, "embedding.weight", shape->vocabulary, zoo->width);
    wh_value places = WH_NO_VALUE;
    if (zoo->positions == WH_POSITIONS_LEARNED)
        places = embedding(net, "positions.weight", shape->n_features, zoo->width);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    x = wh_graph_gather(net->graph, *table, x);
    if (places != WH_NO_VALUE) x = wh_graph_add(net->graph, x, places);
    x = wh_net_dropout(net, x);
    for (size_t i = 0; i < zoo->depth; i++) x = block(net, i, x, causal);
    return zoo->norm_first ? wh_net_layer_norm(net, "norm", x) : x;
}

/* ---- transformer ------------------------------------------------------------------------------------------------ */

static whist_status configure_transformer(whist_model *model, const whist_settings *settings)
{
    static const char *const positions[] = {"learned", "none"};
    WH_TRY(configure_blocks(model, settings));
    model->zoo.positions = (wh_positions)wh_model_choice(settings, "positions", positions, WH_COUNT(positions));
    model->zoo.norm_first = whist_settings_bool(settings, "norm_first");
    return WHIST_OK;
}

static wh_value build_transformer(wh_net *net, wh_value x)
{
    wh_value table;
    x = blocks(net, &table, x, false);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    return wh_net_head(net, "head", wh_graph_mean(net->graph, x, 2U, false), net->model->shape.n_outputs, true);
}

const wh_model_kind wh_kind_transformer = {.configure = configure_transformer, .build = build_transformer};

/* ---- gpt (Radford et al. 2019) ------------------------------------------------------------------------------------
 */

static whist_status configure_gpt(whist_model *model, const whist_settings *settings)
{
    WH_TRY(configure_blocks(model, settings));
    model->zoo.norm_first = true;
    model->zoo.tied = whist_settings_bool(settings, "tied");
    if (model->zoo.tied && model->shape.n_outputs != model->shape.vocabulary)
        WH_FAIL(WHIST_E_ARG, "model gpt: a tied head predicts the %zu tokens of the vocabulary, not %zu classes",
                model->shape.vocabulary, model->shape.n_outputs);
    return WHIST_OK;
}

static wh_value build_gpt(wh_net *net, wh_value x)
{
    wh_value table;
    x = blocks(net, &table, x, true);
    if (!net->model->zoo.tied) return wh_net_head(net, "head", x, net->model->shape.n_outputs, false);
    net->out->features = x;
    net->out->head = net->next; /* no tensor is the head's alone */
    return net->failed == WHIST_OK ? wh_graph_matmul(net->graph, x, table, WH_MATMUL_NT) : WH_NO_VALUE;
}

const wh_model_kind wh_kind_gpt = {.configure = configure_gpt, .build = build_gpt, .targets = WH_TARGETS_EACH};
