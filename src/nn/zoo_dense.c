/* nn/zoo_dense.c: stacks of dense layers: linear, logistic, softmax, mlp, cox. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "nn/net.h"

static whist_status configure(whist_model *model, const whist_settings *settings)
{
    static const char *const ties[] = {"breslow", "efron"};
    const int64_t *hidden = NULL;
    size_t n_hidden = 0;
    if (strcmp(model->class_->name, "mlp") == 0) {
        model->activation = (wh_activation)wh_model_choice(settings, "activation", wh_activation_names, 5);
        hidden = whist_settings_ints(settings, "hidden", &n_hidden);
    }
    if (model->shape.target == WHIST_TARGET_SURVIVAL)
        model->efron = wh_model_choice(settings, "ties", ties, WH_COUNT(ties)) == 1;
    WH_ENSURE(n_hidden < WH_NN_MAX_LAYERS, WHIST_E_RANGE);
    size_t in = model->shape.n_features;
    model->n_layers = n_hidden + 1;
    for (size_t l = 0; l < model->n_layers; l++) {
        wh_layer *layer = &model->layers[l];
        layer->in = in;
        layer->out = l < n_hidden ? (size_t)hidden[l] : model->shape.n_outputs;
        layer->has_bias = model->shape.target != WHIST_TARGET_SURVIVAL; /* a constant cancels in the risk set */
        in = layer->out;
    }
    return WHIST_OK;
}

static wh_value build(wh_net *net, wh_value x)
{
    const whist_model *model = net->model;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        char name[24] = "";
        if (model->n_layers > 1) snprintf(name, sizeof name, "layer%zu", l);
        if (l + 1 == model->n_layers) return wh_net_head(net, name, x, layer->out, layer->has_bias);
        x = wh_net_activate(net, wh_net_dense(net, name, x, layer->out, true));
    }
    return WH_NO_VALUE;
}

void wh_dense_offsets(whist_model *model)
{
    const whist_tensor_info *tensor = model->tensors;
    for (size_t l = 0; l < model->n_layers; l++) {
        wh_layer *layer = &model->layers[l];
        layer->weight = tensor++->offset;
        layer->bias = layer->weight + layer->in * layer->out;
        if (layer->has_bias) tensor++;
    }
}

const wh_model_kind wh_kind_dense = {.configure = configure, .build = build, .dense = true};
