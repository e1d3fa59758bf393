/* meta/scheme_extend.c: the tensors that a learner brings along. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "meta/learners.h"
#include "meta/scheme_parts.h"

wh_scheme_kind wh_scheme_kind_of(const whist_learner_class *class_)
{
    static const struct {
        const whist_learner_class *class_;
        wh_scheme_kind kind;
    } kinds[] = {
        {&wh_learner_maml, WH_SCHEME_CHAIN},        {&wh_learner_fomaml, WH_SCHEME_CHAIN},
        {&wh_learner_reptile, WH_SCHEME_CHAIN},     {&wh_learner_anil, WH_SCHEME_CHAIN},
        {&wh_learner_boil, WH_SCHEME_CHAIN},        {&wh_learner_per_fedavg, WH_SCHEME_CHAIN},
        {&wh_learner_meta_sgd, WH_SCHEME_META_SGD}, {&wh_learner_mamlpp, WH_SCHEME_MAMLPP},
        {&wh_learner_imaml, WH_SCHEME_IMAML},       {&wh_learner_cavia, WH_SCHEME_CAVIA},
        {&wh_learner_meta_lstm, WH_SCHEME_LSTM},    {&wh_learner_abml, WH_SCHEME_ABML},
        {&wh_learner_protonet, WH_SCHEME_PROTONET}, {&wh_learner_matching, WH_SCHEME_MATCHING},
        {&wh_learner_relation, WH_SCHEME_RELATION}, {&wh_learner_r2d2, WH_SCHEME_RIDGE},
    };
    for (size_t i = 0; i < WH_COUNT(kinds); i++)
        if (kinds[i].class_ == class_) return kinds[i].kind;
    return WH_SCHEME_NONE;
}

/* A dense layer of the learner's own: NAME.weight (in,out), NAME.bias (out). */
static whist_status dense(whist_model *model, const char *name, size_t in, size_t out)
{
    char full[32];
    snprintf(full, sizeof full, "%s.weight", name);
    WH_TRY(wh_model_extend(model, full, &WH_DIMS(in, out), 0, sqrt(6 / (double)(in + out))));
    snprintf(full, sizeof full, "%s.bias", name);
    return wh_model_extend(model, full, &WH_DIMS(out), 0, 0);
}

/* F, what the head sees. */
static whist_status feature_count(size_t *out, const whist_model *model)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_value params[WH_SCHEME_MAX_TENSORS];
    wh_model_values values;
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(wh_model_params(params, g, model));
    WH_TRY(wh_model_graph(&values, g, model, &(wh_model_use){.params = params, .batch = 1}));
    wh_dims dims = wh_graph_dims(g, values.features);
    if (dims.rank != 2)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the features of %s are no row of numbers", whist_model_class_name(model));
    *out = dims.dim[1];
    return WHIST_OK;
}

static whist_status context(whist_model *model, const whist_settings *settings, size_t features)
{
    size_t c = (size_t)whist_settings_int(settings, "context");
    WH_TRY(wh_model_extend(model, "context", &WH_DIMS(c), 0, 0));
    return dense(model, "film", c, 2 * features);
}

static whist_status gates(whist_model *model, const whist_settings *settings)
{
    size_t n = whist_settings_real(settings, "log_range") > 0 ? 6 : 4;
    double start = whist_settings_real(settings, "inner_lr"), keep = whist_settings_real(settings, "keep");
    if (!(start < 1))
        WH_FAIL(WHIST_E_UNSUPPORTED, "meta-lstm: inner_lr is where the input gate starts, and a gate lies below 1");
    WH_TRY(wh_model_extend(model, "gate.input.weight", &WH_DIMS(n), 0, .01));
    WH_TRY(wh_model_extend(model, "gate.input.bias", &WH_DIMS(1), log(start / (1 - start)), 0));
    WH_TRY(wh_model_extend(model, "gate.forget.weight", &WH_DIMS(n), 0, .01));
    return wh_model_extend(model, "gate.forget.bias", &WH_DIMS(1), log(keep / (1 - keep)), 0);
}

static whist_status deviations(whist_model *model, const whist_settings *settings)
{
    size_t n;
    (void)whist_model_tensors(model, &n);
    for (size_t i = 0; i < n; i++) {
        const whist_tensor_info own = whist_model_tensors(model, &(size_t){0})[i];
        wh_dims dims = {.rank = (unsigned)own.n_dims};
        char name[40];
        memcpy(dims.dim, own.shape, own.n_dims * sizeof *dims.dim);
        snprintf(name, sizeof name, "sd.%s", own.name);
        WH_TRY(wh_model_extend(model, name, &dims, log(whist_settings_real(settings, "deviation")), 0));
    }
    return WHIST_OK;
}

static whist_status full_context(whist_model *model, size_t f)
{
    static const char *const names[] = {"context.forward", "context.backward", "context.read"};
    for (size_t i = 0; i < WH_COUNT(names); i++) WH_TRY(dense(model, names[i], i < 2 ? 2 * f : 3 * f, 4 * f));
    return WHIST_OK;
}

/* Of maml++, for each scale and shift of a batch norm, K of them that are added to it: one for each inner step. */
static whist_status norms_of_steps(whist_model *model, const whist_settings *settings)
{
    size_t n, steps = (size_t)whist_settings_int(settings, "inner_steps");
    if (!wh_model_has_norm(model) || !whist_settings_bool(settings, "norm_steps")) return WHIST_OK;
    (void)whist_model_tensors(model, &n);
    for (size_t i = 0; i + 1 < n; i++) {
        const whist_tensor_info *own = whist_model_tensors(model, &(size_t){0});
        size_t len = strlen(own[i].name);
        if (own[i].n_dims != 1 || len < 7 || strcmp(own[i].name + len - 7, ".weight") != 0) continue;
        for (size_t j = i; j < i + 2; j++) { /* its scale, and the shift behind it */
            const whist_tensor_info each = whist_model_tensors(model, &(size_t){0})[j];
            char name[40];
            if (snprintf(name, sizeof name, "step.%s", each.name) >= (int)sizeof name)
                WH_FAIL(WHIST_E_RANGE, "the name of tensor %s is too long", each.name);
            WH_TRY(wh_model_extend(model, name, &WH_DIMS(steps, each.size), 0, 0));
        }
    }
    return WHIST_OK;
}

/* Of meta-sgd the rates themselves, which may change their sign (Li et al. 2017, section 3.1). Of maml++ their natural
 * logarithms: one rate moves a whole tensor, and an optimiser that takes steps of a size of its own, as Adam does,
 * would carry rates of .01 across zero and to thirty times their start within a thousand steps of .002. */
static whist_status rates(whist_model *model, const whist_settings *settings, bool by_element)
{
    size_t n, steps = (size_t)whist_settings_int(settings, "inner_steps"), all = whist_model_size(model);
    (void)whist_model_tensors(model, &n);
    const wh_dims dims = by_element ? WH_DIMS(all) : WH_DIMS(steps, n);
    double start = whist_settings_real(settings, "inner_lr");
    return by_element ? wh_model_extend(model, "rates", &dims, start, 0)
                      : wh_model_extend(model, "rates.log", &dims, log(start), 0);
}

static whist_status extend_metric(whist_model *model, wh_scheme_kind kind, const whist_settings *settings)
{
    size_t f;
    WH_TRY(feature_count(&f, model));
    WH_TRY(wh_model_drop_head(model));
    if (kind == WH_SCHEME_MATCHING && whist_settings_bool(settings, "context")) return full_context(model, f);
    if (kind == WH_SCHEME_RIDGE) {
        WH_TRY(wh_model_extend(model, "ridge.log_lambda", &WH_DIMS(1), 0, 0));
        WH_TRY(wh_model_extend(model, "ridge.scale", &WH_DIMS(1), 1, 0));
        return wh_model_extend(model, "ridge.offset", &WH_DIMS(1), 0, 0);
    }
    if (kind != WH_SCHEME_RELATION) return WHIST_OK;
    size_t hidden = (size_t)whist_settings_int(settings, "hidden");
    WH_TRY(dense(model, "relation.hidden", 2 * f, hidden));
    return dense(model, "relation.out", hidden, 1);
}

static whist_status extend(whist_model *model, wh_scheme_kind kind, const whist_settings *settings)
{
    wh_meta_model unused;
    size_t f;
    if (kind == WH_SCHEME_NONE || kind == WH_SCHEME_CHAIN) return WHIST_OK;
    WH_TRY(wh_meta_model_init(&unused, model, 1));
    if (wh_scheme_is_metric(kind)) return extend_metric(model, kind, settings);
    switch (kind) {
    case WH_SCHEME_META_SGD: return rates(model, settings, true);
    case WH_SCHEME_MAMLPP: WH_TRY(norms_of_steps(model, settings)); return rates(model, settings, false);
    case WH_SCHEME_CAVIA: WH_TRY(feature_count(&f, model)); return context(model, settings, f);
    case WH_SCHEME_LSTM: return gates(model, settings);
    case WH_SCHEME_ABML: return deviations(model, settings);
    default: return WHIST_OK;
    }
}

whist_status wh_scheme_extend(whist_model *model, const whist_learner_class *class_, const whist_settings *settings)
{
    WH_AUTO(whist_settings_ptr) own = NULL;
    const whist_learner_class *rule;
    WH_TRY(wh_scheme_rule(&rule, &own, class_, settings));
    return extend(model, wh_scheme_kind_of(rule), own);
}
