/* nn/model.c: the classes by name, their options, and making a model of one. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "nn/model.h"
#include "nn/net.h"

/* clang-format off */
#define OPTION_INIT(fallback, choices)                                                                                 \
    {"init", WHIST_OPTION_CHOICE, fallback, 0, 0, choices,                                                             \
     "rule by which the weights start (docs/nn.md); biases start at 0, but by uniform like the weights"},              \
    {"init_scale", WHIST_OPTION_REAL, "0.02", 0, 10, NULL, "standard deviation of init normal and truncated"}
#define OPTION_L2                                                                                                      \
    {"l2", WHIST_OPTION_REAL, "0", 0, 1e6, NULL, "penalty l2/2 times the sum of squared weights, without biases"}
#define OPTION_INT(name, fallback, min, max, doc) {name, WHIST_OPTION_INT, fallback, min, max, NULL, doc}
#define OPTION_DROPOUT {"dropout", WHIST_OPTION_REAL, "0", 0, 0.95, NULL, "part of the values dropped in training"}
#define OPTION_ACTIVATION(fallback, choices, doc) {"activation", WHIST_OPTION_CHOICE, fallback, 0, 0, choices, doc}
#define OPTION_NORM(fallback)                                                                                          \
    {"norm", WHIST_OPTION_CHOICE, fallback, 0, 0, "none|group|inductive|transductive",                                 \
     "after each convolution: none, group norm, or batch norm: inductive (predicts by running statistics of the "      \
     "training batches), or transductive (always by the statistics of the very batch)"},                               \
    OPTION_INT("groups", "8", 1, 4096, "groups of group norm; they divide the channels"),                              \
    {"norm_momentum", WHIST_OPTION_REAL, "0.1", 1e-6, 1, NULL, "how fast the running statistics follow the batches"}
#define OPTION_BLOCKS(depth)                                                                                           \
    OPTION_INT("width", "128", 1, 65536, "numbers that stand for a token"),                                            \
    OPTION_INT("depth", depth, 1, 96, "blocks"),                                                                       \
    OPTION_INT("heads", "4", 1, 1024, "heads of attention; they divide the width"),                                    \
    OPTION_INT("feed_forward", "512", 1, 1 << 20, "width of the hidden layer in a block")
#define OPTION_END {NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL}
#define INIT_PLAIN "uniform|glorot|he|zero|normal|truncated"

static const whist_option options_plain[] = {OPTION_INIT("uniform", INIT_PLAIN), OPTION_L2, OPTION_END};
static const whist_option options_mlp[] = {
    {"hidden", WHIST_OPTION_INTS, "[64]", 1, 1 << 20, NULL, "width of each hidden layer"},
    OPTION_ACTIVATION("relu", "relu|tanh|sigmoid", "what follows each hidden layer"),
    OPTION_INIT("uniform", INIT_PLAIN),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_cox[] = {
    {"ties", WHIST_OPTION_CHOICE, "efron", 0, 0, "breslow|efron", "how events at the same time are counted"},
    OPTION_INIT("uniform", INIT_PLAIN),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_cnn[] = {
    OPTION_ACTIVATION("relu", "relu|tanh|sigmoid", "what follows the convolutions and the first dense layer"),
    OPTION_INIT("uniform", INIT_PLAIN),
    OPTION_DROPOUT,
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_conv4[] = {
    OPTION_INT("width", "64", 1, 4096, "channels of each block"),
    OPTION_INT("depth", "4", 1, 8, "blocks"),
    {"down", WHIST_OPTION_CHOICE, "max_pool", 0, 0, "stride|max_pool", "how a block halves the image"},
    {"readout", WHIST_OPTION_CHOICE, "flatten", 0, 0, "flatten|mean", "from the last image to the head: all of it, or its mean"},
    OPTION_NORM("group"),
    OPTION_INIT("glorot", INIT_PLAIN),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_resnet9[] = {
    OPTION_INT("width", "64", 1, 1024, "channels of the first layer; the last has 8 times as many"),
    OPTION_NORM("group"),
    OPTION_ACTIVATION("relu", "relu|tanh|gelu", "what follows each norm"),
    OPTION_INIT("he", INIT_PLAIN),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_lstm[] = {
    OPTION_INT("embedding", "64", 1, 65536, "numbers that stand for a token"),
    OPTION_INT("width", "128", 1, 65536, "hidden numbers of each layer"),
    OPTION_INT("depth", "1", 1, 16, "layers"),
    OPTION_DROPOUT,
    OPTION_INIT("orthogonal", INIT_PLAIN "|orthogonal"),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_transformer[] = {
    OPTION_BLOCKS("2"),
    {"positions", WHIST_OPTION_CHOICE, "learned", 0, 0, "learned|none", "how a token knows its place"},
    {"norm_first", WHIST_OPTION_BOOL, "true", 0, 0, NULL, "layer norm before each part of a block, else after its sum"},
    OPTION_ACTIVATION("gelu", "relu|gelu|gelu_tanh", "of the hidden layer in a block"),
    OPTION_DROPOUT,
    OPTION_INIT("glorot", INIT_PLAIN "|gpt2"),
    OPTION_L2,
    OPTION_END,
};
static const whist_option options_gpt[] = {
    OPTION_BLOCKS("4"),
    {"tied", WHIST_OPTION_BOOL, "true", 0, 0, NULL, "the embedding's table is the head's weight too"},
    OPTION_ACTIVATION("gelu_tanh", "relu|gelu|gelu_tanh", "of the hidden layer in a block"),
    OPTION_DROPOUT,
    OPTION_INIT("gpt2", INIT_PLAIN "|gpt2"),
    OPTION_L2,
    OPTION_END,
};
/* clang-format on */

#define BIT(target) (1u << WHIST_TARGET_##target)
#define ANY_BUT_SURVIVAL (BIT(VALUE) | BIT(BINARY) | BIT(CLASS))
static const whist_model_class classes[] = {
    {"linear", "linear regression, squared error", options_plain, BIT(VALUE), WHIST_ROWS_NUMBERS},
    {"logistic", "logistic regression on a 0/1 target", options_plain, BIT(BINARY), WHIST_ROWS_NUMBERS},
    {"softmax", "softmax regression on classes", options_plain, BIT(CLASS), WHIST_ROWS_NUMBERS},
    {"mlp", "dense layers with an activation between them", options_mlp, ANY_BUT_SURVIVAL, WHIST_ROWS_NUMBERS},
    {"cox", "Cox proportional hazards, stratified by site", options_cox, BIT(SURVIVAL), WHIST_ROWS_NUMBERS},
    {"cnn", "two convolutions and two dense layers, of the DP tutorials", options_cnn, ANY_BUT_SURVIVAL,
     WHIST_ROWS_IMAGES},
    {"conv4", "blocks of convolution, norm and halving, of the few-shot literature", options_conv4, ANY_BUT_SURVIVAL,
     WHIST_ROWS_IMAGES},
    {"resnet9", "nine layers with two residual blocks", options_resnet9, ANY_BUT_SURVIVAL, WHIST_ROWS_IMAGES},
    {"lstm", "recurrent layers over tokens", options_lstm, ANY_BUT_SURVIVAL, WHIST_ROWS_TOKENS},
    {"transformer", "encoder over tokens, their mean to a head", options_transformer, ANY_BUT_SURVIVAL,
     WHIST_ROWS_TOKENS},
    {"gpt", "decoder over tokens that predicts the next one", options_gpt, BIT(CLASS), WHIST_ROWS_TOKENS},
    {NULL, NULL, NULL, 0, WHIST_ROWS_NUMBERS},
};
static const wh_model_kind *const kinds[] = {
    &wh_kind_dense, &wh_kind_dense,   &wh_kind_dense, &wh_kind_dense,       &wh_kind_dense, &wh_kind_cnn,
    &wh_kind_conv4, &wh_kind_resnet9, &wh_kind_lstm,  &wh_kind_transformer, &wh_kind_gpt,
};
_Static_assert(WH_COUNT(kinds) + 1 == WH_COUNT(classes), "every class has its other half at the same place");

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

/* What a row is, against what the class takes. */
static whist_status check_rows(const whist_model_class *class_, const wh_model_kind *kind, whist_model_shape *shape)
{
    const size_t d = shape->n_features, image[] = {shape->channels, shape->height, shape->width};
    size_t pixels = 1;
    for (size_t i = 0; i < WH_COUNT(image); i++)
        if (!wh_mul_size(&pixels, pixels, image[i])) pixels = SIZE_MAX;
    if (pixels != 0 && pixels != d)
        WH_FAIL(WHIST_E_ARG, "an image of %zu x %zu x %zu in rows of %zu numbers", image[0], image[1], image[2], d);
    if (shape->vocabulary > UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "a vocabulary of more than 2^32 - 1 tokens");
    if (class_->rows == WHIST_ROWS_IMAGES && pixels == 0)
        WH_FAIL(WHIST_E_ARG, "model %s takes images, and the rows are %zu numbers without height and width",
                class_->name, d);
    if (class_->rows == WHIST_ROWS_TOKENS && shape->vocabulary < 2)
        WH_FAIL(WHIST_E_ARG, "model %s takes tokens of a vocabulary, and the rows are %zu numbers", class_->name, d);
    if (class_->rows != WHIST_ROWS_TOKENS && shape->vocabulary)
        WH_FAIL(WHIST_E_ARG, "model %s takes numbers, and the rows are tokens: choose a model of sequences",
                class_->name);
    if (shape->n_targets == 0) shape->n_targets = 1;
    bool each = kind->targets == WH_TARGETS_EACH, either = kind->targets == WH_TARGETS_EITHER;
    bool fits = shape->n_targets == 1 ? !each || d == 1 : (each || either) && shape->n_targets == d;
    if (!fits || (shape->n_targets > 1 && shape->target != WHIST_TARGET_CLASS))
        WH_FAIL(WHIST_E_ARG, "model %s predicts %s, and a row of %zu has %zu targets", class_->name,
                each     ? "a class after every token"
                : either ? "one target for a row or a class after every token"
                         : "one target for a row",
                d, shape->n_targets);
    return WHIST_OK;
}

int wh_model_choice(const whist_settings *settings, const char *option, const char *const *names, size_t n)
{
    const char *text = whist_settings_text(settings, option);
    for (size_t i = 0; text && i < n; i++)
        if (strcmp(text, names[i]) == 0) return (int)i;
    return 0;
}

const char *const wh_activation_names[5] = {"relu", "tanh", "sigmoid", "gelu", "gelu_tanh"};

/* What every class's table has. */
static void configure_common(whist_model *model, const whist_settings *settings)
{
    static const char *const inits[] = {"uniform", "glorot", "he", "zero", "normal", "truncated", "orthogonal", "gpt2"};
    model->init = (wh_init)wh_model_choice(settings, "init", inits, WH_COUNT(inits));
    model->init_scale = whist_settings_real(settings, "init_scale");
    model->l2 = whist_settings_real(settings, "l2");
}

WH_AUTO_FREE(whist_model, whist_model_free)

static whist_status no_class(const char *name)
{
    char all[256] = "";
    size_t at = 0;
    for (const whist_model_class *c = classes; c->name && at < sizeof all - 32; c++)
        at += (size_t)snprintf(all + at, 32, "%s%s", at ? ", " : "", c->name);
    WH_FAIL(WHIST_E_ARG, "no model is called %.64s: there are %s", name, all);
}

whist_status whist_model_new(whist_model **out, const char *class_name, const whist_settings *settings,
                             const whist_model_shape *shape)
{
    WH_ENSURE(out && class_name && shape, WHIST_E_ARG);
    const whist_model_class *class_ = whist_model_class_find(class_name);
    if (!class_) return no_class(class_name);
    WH_TRY(check_shape(class_, shape));
    const wh_model_kind *kind = kinds[class_ - classes];
    whist_model_shape rows = *shape;
    WH_TRY(check_rows(class_, kind, &rows));

    WH_AUTO(whist_settings_ptr) defaults = NULL;
    if (!settings) WH_TRY(whist_settings_new(&defaults, class_->options));
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_TRY(WH_NEW(&model, 1));
    model->class_ = class_;
    model->kind = kind;
    model->shape = rows;
    model->kernels = wh_num_kernels_get();
    if (!settings) settings = defaults;
    configure_common(model, settings);
    if (model->kind->configure) WH_TRY(model->kind->configure(model, settings));
    whist_status status = wh_net_lay_out(model);
    if (status != WHIST_OK) return wh_fail_context(status, "model %s: ", class_name);
    if (model->kind->dense) wh_dense_offsets(model);
    *out = model;
    model = NULL;
    return WHIST_OK;
}

void whist_model_free(whist_model *model)
{
    if (!model) return;
    wh_free(model->tensors);
    wh_free(model->fills);
    wh_free(model->penalised);
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
