/* nn/zoo_image.c: convolutional nets: cnn, conv4, resnet9. Rows (B,D) are images (B,C,H,W). */
#include <stdio.h>

#include "base/settings.h"
#include "nn/net.h"

static wh_value image(wh_net *net, wh_value x)
{
    const whist_model_shape *shape = &net->model->shape;
    return wh_graph_reshape(net->graph, x, WH_DIMS(net->batch, shape->channels, shape->height, shape->width));
}

static wh_value flat(wh_net *net, wh_value x)
{
    if (net->failed != WHIST_OK || x == WH_NO_VALUE) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(net->graph, x);
    return wh_graph_reshape(net->graph, x, WH_DIMS(net->batch, wh_dims_size(&dims) / net->batch));
}

static wh_value max_pool(wh_net *net, wh_value x, size_t kernel, size_t stride)
{
    return net->failed == WHIST_OK ? wh_graph_max_pool(net->graph, x, (wh_window){kernel, stride, 0}) : WH_NO_VALUE;
}

/* The activation of the largest of each window. Where the activation never falls it is the largest activation, for a
 * part of the work. */
static wh_value activate_and_pool(wh_net *net, wh_value x, size_t kernel, size_t stride)
{
    wh_activation how = net->model->activation;
    bool falls = how == WH_ACTIVATION_GELU || how == WH_ACTIVATION_GELU_TANH;
    if (falls) return max_pool(net, wh_net_activate(net, x), kernel, stride);
    return wh_net_activate(net, max_pool(net, x, kernel, stride));
}

static void configure_norm(whist_model *model, const whist_settings *settings)
{
    static const char *const norms[] = {"none", "group", "inductive", "transductive"};
    model->zoo.norm = (wh_norm_kind)wh_model_choice(settings, "norm", norms, WH_COUNT(norms));
    model->zoo.groups = (size_t)whist_settings_int(settings, "groups");
    model->zoo.momentum = whist_settings_real(settings, "norm_momentum");
    model->zoo.width = (size_t)whist_settings_int(settings, "width");
}

/* ---- cnn: 26,010 parameters for 28 x 28 images of 10 classes (the net of the DP-SGD tutorials) ---- */

static whist_status configure_cnn(whist_model *model, const whist_settings *settings)
{
    model->activation = (wh_activation)wh_model_choice(settings, "activation", wh_activation_names, 5);
    model->zoo.dropout = whist_settings_real(settings, "dropout");
    return WHIST_OK;
}

static wh_value build_cnn(wh_net *net, wh_value x)
{
    x = wh_net_conv(net, "conv1", image(net, x), 16, 8, (wh_conv){.stride = 2, .pad = 3, .groups = 1}, true);
    x = activate_and_pool(net, x, 2, 1);
    x = wh_net_conv(net, "conv2", x, 32, 4, (wh_conv){.stride = 2, .groups = 1}, true);
    x = flat(net, activate_and_pool(net, x, 2, 1));
    x = wh_net_dropout(net, wh_net_activate(net, wh_net_dense(net, "dense", x, 32, true)));
    return wh_net_head(net, "head", x, net->model->shape.n_outputs, true);
}

const wh_model_kind wh_kind_cnn = {.configure = configure_cnn, .build = build_cnn};

/* ---- conv4: blocks of 3 x 3 convolution, norm, relu, halving (Vinyals et al. 2016; strided: Finn et al. 2017) ---- */

static whist_status configure_conv4(whist_model *model, const whist_settings *settings)
{
    static const char *const downs[] = {"stride", "max_pool"}, *const readouts[] = {"mean", "flatten"};
    configure_norm(model, settings);
    model->zoo.depth = (size_t)whist_settings_int(settings, "depth");
    model->zoo.max_pool = wh_model_choice(settings, "down", downs, WH_COUNT(downs)) == 1;
    model->zoo.flatten = wh_model_choice(settings, "readout", readouts, WH_COUNT(readouts)) == 1;
    return WHIST_OK;
}

static wh_value build_conv4(wh_net *net, wh_value x)
{
    const wh_zoo *zoo = &net->model->zoo;
    char name[32];
    x = image(net, x);
    for (size_t b = 1; b <= zoo->depth; b++) {
        snprintf(name, sizeof name, "block%zu.conv", b);
        x = wh_net_conv(net, name, x, zoo->width, 3, (wh_conv){.stride = zoo->max_pool ? 1 : 2, .pad = 1, .groups = 1},
                        true);
        snprintf(name, sizeof name, "block%zu.norm", b);
        x = wh_net_norm(net, name, x);
        x = zoo->max_pool ? activate_and_pool(net, x, 2, 2) : wh_net_activate(net, x);
    }
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    x = zoo->flatten ? flat(net, x) : wh_graph_mean(net->graph, x, 4U | 8U, false);
    return wh_net_head(net, "head", x, net->model->shape.n_outputs, true);
}

const wh_model_kind wh_kind_conv4 = {.configure = configure_conv4, .build = build_conv4};

/* ---- resnet9: eight convolutions and a head; the mean of the last image, so that any size will do ---- */

static whist_status configure_resnet9(whist_model *model, const whist_settings *settings)
{
    configure_norm(model, settings);
    model->activation = (wh_activation)wh_model_choice(settings, "activation", wh_activation_names, 5);
    return WHIST_OK;
}

static wh_value layer(wh_net *net, const char *name, wh_value x, size_t width, bool halves)
{
    char full[32];
    snprintf(full, sizeof full, "%s.conv", name);
    x = wh_net_conv(net, full, x, width, 3, (wh_conv){.stride = 1, .pad = 1, .groups = 1},
                    net->model->zoo.norm == WH_NORM_NONE);
    snprintf(full, sizeof full, "%s.norm", name);
    x = wh_net_norm(net, full, x);
    return halves ? activate_and_pool(net, x, 2, 2) : wh_net_activate(net, x);
}

static wh_value residual(wh_net *net, const char *a, const char *b, wh_value x, size_t width)
{
    wh_value branch = layer(net, b, layer(net, a, x, width, false), width, false);
    return net->failed == WHIST_OK ? wh_graph_add(net->graph, x, branch) : WH_NO_VALUE;
}

static wh_value build_resnet9(wh_net *net, wh_value x)
{
    size_t width = net->model->zoo.width;
    x = layer(net, "layer1", image(net, x), width, false);
    x = layer(net, "layer2", x, 2 * width, true);
    x = residual(net, "layer3", "layer4", x, 2 * width);
    x = layer(net, "layer5", x, 4 * width, true);
    x = layer(net, "layer6", x, 8 * width, true);
    x = residual(net, "layer7", "layer8", x, 8 * width);
    if (net->failed != WHIST_OK) return WH_NO_VALUE;
    return wh_net_head(net, "head", wh_graph_mean(net->graph, x, 4U | 8U, false), net->model->shape.n_outputs, true);
}

const wh_model_kind wh_kind_resnet9 = {.configure = configure_resnet9, .build = build_resnet9};
