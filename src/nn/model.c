/* nn/model.c: classes, their settings, and where each tensor lies in the parameters. */
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/settings.h"

#define OPTION_INIT                                                                                                    \
    {                                                                                                                  \
        "init", WHIST_OPTION_CHOICE, "uniform", 0, 0, "uniform|glorot|he|zero",                                        \
            "start of the weights: U(-1/sqrt(inputs), 1/sqrt(inputs)) with biases alike, Glorot uniform, He uniform, " \
            "or all zero (glorot and he start biases at zero)"                                                         \
    }
#define OPTION_L2                                                                                                      \
    {                                                                                                                  \
        "l2", WHIST_OPTION_REAL, "0", 0, 1e6, NULL, "penalty l2/2 times the sum of squared weights, without biases"    \
    }
#define OPTION_END                                                                                                     \
    {                                                                                                                  \
        NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL                                                                 \
    }

static const whist_option options_plain[] = {OPTION_INIT, OPTION_L2, OPTION_END};
static const whist_option options_mlp[] = {
    {"hidden", WHIST_OPTION_INTS, "[64]", 1, 1 << 20, NULL, "width of each hidden layer"},
    {"activation", WHIST_OPTION_CHOICE, "relu", 0, 0, "relu|tanh|sigmoid", "what follows each hidden layer"},
    OPTION_INIT,
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_cox[] = {
    {"ties", WHIST_OPTION_CHOICE, "efron", 0, 0, "breslow|efron", "how events at the same time are counted"},
    OPTION_INIT,
    OPTION_L2,
    OPTION_END,
};

#define BIT(target) (1u << WHIST_TARGET_##target)
static const whist_model_class classes[] = {
    {"linear", "linear regression, squared error", options_plain, BIT(VALUE)},
    {"logistic", "logistic regression on a 0/1 target", options_plain, BIT(BINARY)},
    {"softmax", "softmax regression on classes", options_plain, BIT(CLASS)},
    {"mlp", "dense layers with an activation between them", options_mlp, BIT(VALUE) | BIT(BINARY) | BIT(CLASS)},
    {"cox", "Cox proportional hazards, stratified by site", options_cox, BIT(SURVIVAL)},
    {NULL, NULL, NULL, 0},
};

const whist_model_class *whist_model_classes(void)
{
    return classes;
}

const whist_model_class *whist_model_class_find(const char *name)
{
    for (const whist_model_class *c = classes; name && c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static whist_status check_shape(const whist_model_class *class_, const whist_model_shape *shape)
{
    static const char *const targets[] = {"a number", "0 or 1", "a class", "survival"};
    WH_ENSURE((unsigned)shape->target < WH_COUNT(targets), WHIST_E_ARG);
    if (!(class_->targets >> shape->target & 1))
        WH_FAIL(WHIST_E_ARG, "model %s (%s) cannot learn a target that is %s: choose another model", class_->name,
                class_->doc, targets[shape->target]);
    if (shape->n_features < 1 || shape->n_features > 1 << 24)
        WH_FAIL(WHIST_E_RANGE, "%zu features: a model takes 1 to 2^24", shape->n_features);
    bool class_target = shape->target == WHIST_TARGET_CLASS;
    if (class_target ? shape->n_outputs < 2 || shape->n_outputs > 1 << 20 : shape->n_outputs != 1)
        WH_FAIL(WHIST_E_RANGE, "%zu outputs: a class target takes 2 to 2^20, any other exactly 1", shape->n_outputs);
    return WHIST_OK;
}

static int choice(const whist_settings *settings, const char *option, const char *const *names, size_t n)
{
    const char *text = whist_settings_text(settings, option);
    for (size_t i = 0; text && i < n; i++)
        if (strcmp(text, names[i]) == 0) return (int)i;
    return 0;
}

static void add_tensor(whist_model *model, size_t layer, bool is_bias, size_t rows, size_t cols)
{
    whist_tensor_info *t = &model->tensors[model->n_tensors++];
    const char *kind = is_bias ? "bias" : "weight";
    if (model->n_layers == 1)
        snprintf(t->name, sizeof t->name, "%s", kind);
    else
        snprintf(t->name, sizeof t->name, "layer%u.%s", (unsigned)layer, kind);
    t->n_dims = is_bias ? 1 : 2;
    t->shape[0] = rows;
    t->shape[1] = cols;
    t->offset = model->size;
    t->size = rows * cols;
    model->size += t->size;
}

enum { MAX_PARAMS = INT32_MAX };

static whist_status lay_out(whist_model *model, const int64_t *hidden, size_t n_hidden)
{
    size_t in = model->shape.n_features;
    model->n_layers = n_hidden + 1;
    for (size_t l = 0; l < model->n_layers; l++) {
        wh_layer *layer = &model->layers[l];
        layer->in = in;
        layer->out = l < n_hidden ? (size_t)hidden[l] : model->shape.n_outputs;
        layer->has_bias = model->shape.target != WHIST_TARGET_SURVIVAL; /* a constant cancels in the risk set */
        size_t weights; /* in <= 2^24 and out <= 2^20, so the product fits */
        if (!wh_mul_size(&weights, layer->in, layer->out) || weights + layer->out > MAX_PARAMS - model->size)
            WH_FAIL(WHIST_E_RANGE,
                    "the model has more than 2^31 parameters at layer %zu (%zu by %zu): make it narrower", l, layer->in,
                    layer->out);
        layer->weight = model->size;
        add_tensor(model, l, false, layer->in, layer->out);
        layer->bias = model->size;
        if (layer->has_bias) add_tensor(model, l, true, layer->out, 1);
        in = layer->out;
    }
    return WHIST_OK;
}

static whist_status configure(whist_model *model, const whist_settings *settings)
{
    static const char *const inits[] = {"uniform", "glorot", "he", "zero"};
    static const char *const ties[] = {"breslow", "efron"};
    static const char *const activations[] = {"relu", "tanh", "sigmoid"};
    const int64_t *hidden = NULL;
    size_t n_hidden = 0;
    model->init = (wh_init)choice(settings, "init", inits, WH_COUNT(inits));
    model->l2 = whist_settings_real(settings, "l2");
    if (model->class_->options == options_mlp) {
        model->activation = (wh_activation)choice(settings, "activation", activations, WH_COUNT(activations));
        hidden = whist_settings_ints(settings, "hidden", &n_hidden);
    }
    if (model->class_->options == options_cox) model->efron = choice(settings, "ties", ties, WH_COUNT(ties)) == 1;
    WH_ENSURE(n_hidden < WH_NN_MAX_LAYERS, WHIST_E_RANGE);
    return lay_out(model, hidden, n_hidden);
}

WH_AUTO_FREE(whist_model, whist_model_free)

whist_status whist_model_new(whist_model **out, const char *class_name, const whist_settings *settings,
                             const whist_model_shape *shape)
{
    WH_ENSURE(out && class_name && shape, WHIST_E_ARG);
    const whist_model_class *class_ = whist_model_class_find(class_name);
    if (!class_)
        WH_FAIL(WHIST_E_ARG, "no model is called %.64s: there are linear, logistic, softmax, mlp and cox", class_name);
    WH_TRY(check_shape(class_, shape));

    WH_AUTO(whist_settings_ptr) defaults = NULL;
    if (!settings) WH_TRY(whist_settings_new(&defaults, class_->options));
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_TRY(WH_NEW(&model, 1));
    model->class_ = class_;
    model->shape = *shape;
    model->kernels = wh_num_kernels_get();
    WH_TRY(configure(model, settings ? settings : defaults));
    *out = model;
    model = NULL;
    return WHIST_OK;
}

void whist_model_free(whist_model *model)
{
    wh_free(model);
}

size_t whist_model_size(const whist_model *model)
{
    return model->size;
}

whist_model_shape whist_model_shape_get(const whist_model *model)
{
    return model->shape;
}

const char *whist_model_class_name(const whist_model *model)
{
    return model->class_->name;
}

const whist_tensor_info *whist_model_tensors(const whist_model *model, size_t *n)
{
    *n = model->n_tensors;
    return model->tensors;
}

const char *whist_model_kernels(void)
{
    return wh_num_kernels_name();
}

/* ---- Start values ---------------------------------------------------------------------------
 * Parameter i is a function of (seed, i) alone: splitmix64 (Steele, Lea, Flood 2014) read at position i. */

static uint64_t random_at(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The parameters [at, at + n) in `params`; those of them that lie in [from, from + len) are filled here.
 * U[-bound, bound): 24 random bits, products of float32 alone, the same on every machine. */
static void fill_uniform(float *params, size_t at, size_t n, size_t from, size_t len, double bound, uint64_t seed)
{
    size_t end = from + len < at + n ? from + len : at + n;
    for (size_t i = from > at ? from : at; i < end; i++) {
        float unit = (float)((int32_t)(random_at(seed, i) >> 40) - (1 << 23)) * 0x1p-23f;
        params[i - at] = unit * (float)bound;
    }
}

static double weight_bound(const whist_model *model, const wh_layer *layer)
{
    switch (model->init) {
    case WH_INIT_UNIFORM: return 1 / sqrt((double)layer->in);
    case WH_INIT_GLOROT: return sqrt(6 / (double)(layer->in + layer->out));
    case WH_INIT_HE: return sqrt(6 / (double)layer->in);
    case WH_INIT_ZERO: break;
    }
    return 0;
}

void wh_model_init_range(const whist_model *model, float *params, size_t at, size_t n, uint64_t seed)
{
    uint64_t stream = random_at(seed, UINT64_C(0x77686973742e6e6e)); /* "whist.nn": apart from other uses of the seed */
    memset(params, 0, n * sizeof *params);
    if (model->init == WH_INIT_ZERO) return;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        double bound = weight_bound(model, layer);
        fill_uniform(params, at, n, layer->weight, layer->in * layer->out, bound, stream);
        if (layer->has_bias && model->init == WH_INIT_UNIFORM)
            fill_uniform(params, at, n, layer->bias, layer->out, bound, stream);
    }
}

void whist_model_init(const whist_model *model, float *params, uint64_t seed)
{
    wh_model_init_range(model, params, 0, model->size, seed);
}
