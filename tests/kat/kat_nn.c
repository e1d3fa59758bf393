/* kat/kat_nn.c: the cases of meta_gradients.json: here those that are plain engine work.
 *
 * One program computes everything a case of these kinds may ask for; then each expected field is compared. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kat/kat_meta.h"
#include "kat/kat_model.h"
#include "nn/graph/program.h"

/* The results of one run: losses, gradients, per-example norms, clipped sums. */
typedef struct answers {
    wh_program *program;
    wh_run *run;
    wh_per_example *per_example;
    kat_model *model;
    const double *output, *losses, *loss, *x_grad, *total;
    const double *grad[KAT_MAX_PARAMS], *squared[KAT_MAX_PARAMS], *clipped[KAT_MAX_PARAMS];
    bool is_chosen[KAT_MAX_PARAMS]; /* counted in total and clipped */
} answers;

static void answers_clear(answers *a)
{
    wh_run_free(a->run);
    wh_program_free(a->program);
    wh_per_example_free(a->per_example);
}
WH_AUTO_CLEAR(answers, answers_clear)

enum { MAX_OUTPUTS = 3 * KAT_MAX_PARAMS + 8 };

static whist_status bind(answers *a)
{
    kat_model *m = a->model;
    for (size_t i = 0; i < m->n_params; i++) WH_TRY(wh_run_input(a->run, m->param[i].value, m->param[i].data));
    if (m->x.data) WH_TRY(wh_run_input(a->run, m->x.value, m->x.data));
    if (m->weights.data) WH_TRY(wh_run_input(a->run, m->weights.value, m->weights.data));
    if (m->ids.data) WH_TRY(wh_run_input(a->run, m->ids.value, m->ids.data));
    if (m->target.data) WH_TRY(wh_run_input(a->run, m->target.value, m->target.data));
    return WHIST_OK;
}

typedef struct outputs {
    wh_value value[MAX_OUTPUTS];
    const double **where[MAX_OUTPUTS];
    size_t n;
} outputs;

static void want(outputs *o, wh_value value, const double **where)
{
    o->value[o->n] = value;
    o->where[o->n++] = where;
}

static whist_status want_gradients(outputs *o, answers *a)
{
    kat_model *m = a->model;
    wh_value wrt[KAT_MAX_PARAMS + 1], grad[KAT_MAX_PARAMS + 1];
    size_t n = m->n_params;
    for (size_t i = 0; i < n; i++) wrt[i] = m->param[i].value;
    if (m->x.data) wrt[n++] = m->x.value;
    WH_TRY(wh_graph_gradient(grad, m->graph, m->loss, wrt, n));
    for (size_t i = 0; i < m->n_params; i++) want(o, grad[i], &a->grad[i]);
    if (m->x.data) want(o, grad[m->n_params], &a->x_grad);
    return WHIST_OK;
}

static whist_status want_norms(outputs *o, answers *a, double clip)
{
    kat_model *m = a->model;
    wh_value params[KAT_MAX_PARAMS], sum[KAT_MAX_PARAMS];
    size_t at[KAT_MAX_PARAMS], n = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        if (!a->is_chosen[i]) continue;
        params[n] = m->param[i].value;
        at[n++] = i;
    }
    WH_TRY(wh_per_example_new(&a->per_example, m->graph, m->losses, params, n));
    want(o, wh_per_example_total(a->per_example), &a->total);
    for (size_t i = 0; i < n; i++) want(o, wh_per_example_squared(a->per_example, i), &a->squared[at[i]]);
    if (!(clip > 0)) return WHIST_OK;
    wh_value weights = wh_graph_clip_weights(m->graph, wh_per_example_total(a->per_example), clip);
    WH_TRY(wh_per_example_sum(sum, m->graph, a->per_example, weights));
    for (size_t i = 0; i < n; i++) want(o, sum[i], &a->clipped[at[i]]);
    return WHIST_OK;
}

static whist_status compute(answers *a, bool norms, double clip)
{
    kat_model *m = a->model;
    outputs o = {.n = 0};
    want(&o, m->output, &a->output);
    want(&o, m->losses, &a->losses);
    want(&o, m->loss, &a->loss);
    WH_TRY(want_gradients(&o, a));
    if (norms) WH_TRY(want_norms(&o, a, clip));
    WH_TRY(wh_program_new(&a->program, m->graph, o.value, o.n));
    WH_TRY(wh_run_new(&a->run, a->program, 1));
    WH_TRY(bind(a));
    WH_TRY(wh_run_go(a->run, NULL));
    for (size_t i = 0; i < o.n; i++) *o.where[i] = wh_run_result(a->run, i);
    return WHIST_OK;
}

/* ---- Comparing --------------------------------------------------------------------------------------- */

static double norm_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static bool total_norms_close(kat_case *c, const answers *a, const char *key, const wh_json *want_)
{
    double norms[4096];
    size_t n = a->model->examples;
    if (!a->total || n > WH_COUNT(norms)) return false;
    for (size_t i = 0; i < n; i++) norms[i] = sqrt(a->total[i]);
    return kat_close(c, key, norms, n, want_);
}

/* Tensors by name, each a list; x is the input. */
static bool tensors_close(kat_case *c, const answers *a, const double *const tensors[], const wh_json *expected)
{
    const char *name;
    wh_json *list;
    bool good = true;
    json_object_foreach((wh_json *)(uintptr_t)expected, name, list)
    {
        const kat_tensor *t = kat_model_param(a->model, name);
        const double *got = t ? tensors[t - a->model->param] : NULL;
        size_t n = t ? t->n : 0;
        if (!t && strcmp(name, "x") == 0 && a->x_grad) got = a->x_grad, n = a->model->x.n;
        good = kat_close(c, name, got, got ? n : 0, list) && good;
    }
    return good;
}

static bool tensor_norms_close(kat_case *c, const answers *a, const wh_json *expected)
{
    const char *name;
    wh_json *norm;
    bool good = true;
    json_object_foreach((wh_json *)(uintptr_t)expected, name, norm)
    {
        const kat_tensor *t = kat_model_param(a->model, name);
        double got = t ? norm_of(a->grad[t - a->model->param], t->n) : NAN;
        good = kat_close_one(c, name, got, norm) && good;
    }
    return good;
}

static bool example_norms_close(kat_case *c, const answers *a, const wh_json *expected)
{
    bool good = json_array_size(expected) == a->model->examples;
    for (size_t e = 0; good && e < a->model->examples; e++) {
        const char *name;
        wh_json *norm;
        json_object_foreach(json_array_get(expected, e), name, norm)
        {
            const kat_tensor *t = kat_model_param(a->model, name);
            const double *squared = t ? a->squared[t - a->model->param] : NULL;
            good = kat_close_one(c, name, squared ? sqrt(squared[e]) : NAN, norm) && good;
        }
    }
    return good;
}

static bool clipped_norm_close(kat_case *c, const answers *a, const wh_json *expected)
{
    double sum = 0;
    for (size_t i = 0; i < a->model->n_params; i++) {
        double norm = a->clipped[i] ? norm_of(a->clipped[i], a->model->param[i].n) : 0;
        sum += norm * norm;
    }
    return kat_close_one(c, "clipped_grad_sum_norm", sqrt(sum), expected);
}

/* grad_lnf_g: the gradient of lnf.g. False where no tensor has that name. */
static bool named_gradient(const double **got, size_t *n, const answers *a, const char *key)
{
    for (size_t i = 0; i < a->model->n_params; i++) {
        char name[128];
        snprintf(name, sizeof name, "grad_%s", a->model->param[i].name);
        for (char *p = name; *p; p++)
            if (*p == '.') *p = '_';
        if (strcmp(name, key) != 0) continue;
        *got = a->grad[i];
        *n = a->model->param[i].n;
        return true;
    }
    return false;
}

/* One expected field; counts it where it is known. */
static bool field_close(kat_case *c, const answers *a, const char *key, const wh_json *value, size_t *known)
{
    const double *grad;
    size_t n;
    wh_dims dims = wh_graph_dims(a->model->graph, a->model->output);
    ++*known;
    if (strcmp(key, "output") == 0) return kat_close(c, key, a->output, wh_dims_size(&dims), value);
    if (strcmp(key, "per_example_loss") == 0 || (strcmp(key, "loss") == 0 && json_is_array(value)))
        return kat_close(c, key, a->losses, a->model->examples, value);
    if (strcmp(key, "loss") == 0) return kat_close_one(c, key, *a->loss, value);
    if (strcmp(key, "grad") == 0) return tensors_close(c, a, a->grad, value);
    if (strcmp(key, "grad_norm_per_tensor") == 0) return tensor_norms_close(c, a, value);
    if (strcmp(key, "per_example_per_tensor_norm") == 0) return example_norms_close(c, a, value);
    if (strcmp(key, "clipped_grad_sum") == 0) return tensors_close(c, a, a->clipped, value);
    if (strcmp(key, "clipped_grad_sum_norm") == 0) return clipped_norm_close(c, a, value);
    if (strncmp(key, "per_example_grad_norm", 21) == 0) return total_norms_close(c, a, key, value);
    if (named_gradient(&grad, &n, a, key)) return kat_close(c, key, grad, n, value);
    --*known;
    return true;
}

static kat_verdict compare(kat_case *c, const answers *a)
{
    const char *key;
    wh_json *value;
    size_t known = 0;
    bool good = true;
    json_object_foreach((wh_json *)(uintptr_t)c->inner, key, value)
    {
        if (json_is_null(value) || strcmp(key, "params") == 0) continue;
        good = field_close(c, a, key, value, &known) && good;
    }
    if (!good) return KAT_FAILED;
    return known > 0 ? KAT_PASSED : KAT_SKIPPED;
}

/* ---- AdamW ------------------------------------------------------------------------------------------------ */

/* steps of AdamW on all tensors, decoupled decay; then the loss. */
static whist_status adamw(double *loss_after, answers *a, const wh_json *how)
{
    kat_model *m = a->model;
    const wh_json *beta = json_object_get(how, "beta");
    double b1 = json_number_value(json_array_get(beta, 0)), b2 = json_number_value(json_array_get(beta, 1));
    double lr = kat_number(how, "lr", 0), eps = kat_number(how, "eps", 1e-8),
           decay = kat_number(how, "weight_decay", 0);
    double *mean[KAT_MAX_PARAMS], *square[KAT_MAX_PARAMS];
    for (size_t i = 0; i < m->n_params; i++) {
        WH_TRY(WH_ARENA_NEW(&mean[i], &m->memory, m->param[i].n));
        WH_TRY(WH_ARENA_NEW(&square[i], &m->memory, m->param[i].n));
    }
    for (size_t step = 1; step <= kat_size(how, "steps", 1); step++) {
        double c1 = 1 - pow(b1, (double)step), c2 = 1 - pow(b2, (double)step);
        for (size_t i = 0; i < m->n_params; i++)
            for (size_t k = 0; k < m->param[i].n; k++) {
                double g = a->grad[i][k], *p = &m->param[i].data[k];
                mean[i][k] = b1 * mean[i][k] + (1 - b1) * g;
                square[i][k] = b2 * square[i][k] + (1 - b2) * g * g;
                *p -= lr * (mean[i][k] / c1 / (sqrt(square[i][k] / c2) + eps) + decay * *p);
            }
        WH_TRY(wh_run_go(a->run, NULL));
    }
    *loss_after = *a->loss;
    return WHIST_OK;
}

static kat_verdict judge_adamw(kat_case *c, answers *a)
{
    const wh_json *how = kat_field(c, "optimizer"), *expected = kat_field(c, "loss_after");
    bool known = expected && json_is_true(json_object_get(how, "decoupled")) &&
                 json_is_true(json_object_get(how, "bias_correction")) &&
                 json_is_true(json_object_get(how, "all_tensors")) && json_is_array(json_object_get(how, "beta"));
    double after;
    if (!known) return KAT_SKIPPED;
    if (compute(a, false, 0) != WHIST_OK || adamw(&after, a, how) != WHIST_OK) return KAT_FAILED;
    return kat_close_one(c, "loss_after", after, expected) ? KAT_PASSED : KAT_FAILED;
}

/* ---- Judging ------------------------------------------------------------------------------------------------- */

static bool is_kind(const kat_case *c)
{
    static const char *const kinds[] = {"per_example_norms",          "transformer_block",   "tiny_gpt",
                                        "tiny_gpt_per_example_norms", "tiny_gpt_adamw_step", "tiny_gpt_lora"};
    for (size_t i = 0; i < WH_COUNT(kinds); i++)
        if (strcmp(c->kind, kinds[i]) == 0) return true;
    return false;
}

/* With LoRA only its own tensors are learned: those that the case itself brings. */
static void choose_params(answers *a, const kat_case *c)
{
    const wh_json *own = c->outer && kat_field(c, "lora") ? json_object_get(c->inner, "params") : NULL;
    for (size_t i = 0; i < a->model->n_params; i++)
        a->is_chosen[i] = !own || json_object_get(own, a->model->param[i].name);
}

kat_verdict kat_failed(kat_case *c)
{
    if (c->why.len == 0 && wh_buf_text(&c->why, "%s", whist_detail_get()->text) != WHIST_OK) return KAT_FAILED;
    return KAT_FAILED;
}

static kat_verdict judge_engine(kat_case *c)
{
    WH_AUTO(wh_owned) memory = NULL; /* too large for the stack */
    if (wh_alloc(&memory, 1, sizeof(kat_model)) != WHIST_OK) return kat_failed(c);
    kat_model *model = memory;
    WH_AUTO(answers) a = {.model = model};
    kat_verdict verdict = KAT_SKIPPED;
    whist_status status = kat_model_build(model, c);
    if (status == WHIST_OK && !model->unknown) {
        choose_params(&a, c);
        double clip = json_number_value(kat_field(c, "clip_norm"));
        if (strcmp(c->kind, "tiny_gpt_adamw_step") == 0) {
            verdict = judge_adamw(c, &a);
        } else {
            status = compute(&a, true, clip);
            if (status == WHIST_OK) verdict = compare(c, &a);
            if (status == WHIST_E_UNSUPPORTED) status = WHIST_OK; /* a form without a norm rule: skipped */
        }
    }
    if (status != WHIST_OK || verdict == KAT_FAILED) verdict = kat_failed(c);
    answers_clear(&a);
    a = (answers){.model = NULL};
    kat_model_clear(model);
    return verdict;
}

static kat_verdict judge(kat_case *c)
{
    kat_verdict verdict;
    if (json_object_get(c->inner, "needs") || (c->outer && json_object_get(c->outer, "needs"))) return KAT_SKIPPED;
    if (is_kind(c)) return judge_engine(c);
    if (kat_judge_chain(&verdict, c) || kat_judge_heads(&verdict, c) || kat_judge_others(&verdict, c)) return verdict;
    return KAT_SKIPPED;
}

int main(int argc, char **argv)
{
    return kat_main(argc, argv, judge);
}
