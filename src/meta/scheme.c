/* meta/scheme.c: a learner by its name: its problem, its gradient, its predictions. */
#include "meta/scheme.h"

#include <math.h>
#include <string.h>

#include "meta/learners.h"
#include "meta/scheme_parts.h"
#include "meta/vec.h"

/* ---- Settings --------------------------------------------------------------------------------------------- */

static bool is_chain(const wh_scheme *s, const whist_learner_class *class_)
{
    return s->env.learner == class_;
}

static wh_meta_rule rule_of(const wh_scheme *s)
{
    const whist_settings *settings = s->env.settings;
    if (s->kind == WH_SCHEME_IMAML) return WH_META_IMPLICIT;
    if (s->kind == WH_SCHEME_LSTM) return WH_META_LSTM;
    if (wh_scheme_is_metric(s->kind) || is_chain(s, &wh_learner_fomaml)) return WH_META_FIRST_ORDER;
    if (is_chain(s, &wh_learner_reptile)) return WH_META_REPTILE;
    if (!is_chain(s, &wh_learner_per_fedavg)) return WH_META_EXACT;
    const char *variant = whist_settings_text(settings, "variant");
    if (strcmp(variant, "fo") == 0) return WH_META_FIRST_ORDER;
    return strcmp(variant, "hf") == 0 ? WH_META_HESSIAN_FREE : WH_META_EXACT;
}

/* Which tensors of θ the inner steps move. */
static void choose_tensors(wh_scheme *s)
{
    for (size_t i = 0; i < s->n_theta; i++) {
        bool is_head = i >= s->head && i < s->n_own;
        s->adapts[i] = s->kind == WH_SCHEME_CAVIA ? i == s->n_own : i < s->n_own || s->kind == WH_SCHEME_ABML;
        if (s->stepped[i]) s->adapts[i] = false; /* as published: norms of steps are learned, and no step moves them */
        if (is_chain(s, &wh_learner_anil)) s->adapts[i] = is_head;
        if (is_chain(s, &wh_learner_boil)) s->adapts[i] = !is_head;
        s->zero[i] = s->kind == WH_SCHEME_CAVIA && i == s->n_own;
    }
}

static whist_status lay_out(wh_scheme *s)
{
    wh_meta_model rows;
    WH_TRY(wh_meta_model_init(&rows, s->env.model, 1));
    const size_t n_rates = s->kind == WH_SCHEME_LSTM ? 4 : s->kind == WH_SCHEME_META_SGD || s->kind == WH_SCHEME_MAMLPP;
    size_t n;
    s->tensors = whist_model_tensors(s->env.model, &n);
    if (n > WH_SCHEME_MAX_TENSORS)
        WH_FAIL(WHIST_E_RANGE, "a meta-learner of a model of %zu tensors: %d at most", n, WH_SCHEME_MAX_TENSORS);
    WH_ENSURE(n >= n_rates && (s->env.ways > 0 || !wh_scheme_is_metric(s->kind)), WHIST_E_ARG);
    s->n_own = wh_model_own_tensors(s->env.model);
    s->n_theta = n - n_rates;
    s->n_params = whist_model_size(s->env.model);
    s->theta = n_rates ? s->tensors[s->n_theta].offset : s->n_params;
    s->learned_rates = n_rates > 0;
    for (size_t i = 0; i < s->n_theta; i++) {
        s->dims[i] = (wh_dims){.rank = (unsigned)s->tensors[i].n_dims};
        memcpy(s->dims[i].dim, s->tensors[i].shape, s->tensors[i].n_dims * sizeof *s->dims[i].dim);
    }
    return WHIST_OK;
}

/* Which tensors have sets of their own for each step: those that "step.NAME" stands for. */
static void find_steps(wh_scheme *s)
{
    for (size_t t = s->n_own; s->kind == WH_SCHEME_MAMLPP && t < s->n_theta; t++)
        for (size_t i = 0; i < s->n_own; i++)
            if (strncmp(s->tensors[t].name, "step.", 5) == 0 &&
                strcmp(s->tensors[t].name + 5, s->tensors[i].name) == 0) {
                s->stepped[i] = t;
                s->step_sets = s->tensors[t].shape[0];
            }
}

/* Step j works by set j; the query at point j, after step j - 1, by that step's. */
static whist_status make_sets(wh_scheme *s)
{
    size_t k = s->step_sets;
    if (k == 0) return WHIST_OK;
    WH_TRY(WH_NEW(&s->hot_support, (s->steps + 1) * k));
    WH_TRY(WH_NEW(&s->hot_query, (s->steps + 1) * k));
    for (size_t j = 0; j <= s->steps; j++) {
        if (j < s->steps) s->hot_support[j * k + j] = 1;
        s->hot_query[j * k + (j ? j - 1 : 0)] = 1;
    }
    return WHIST_OK;
}

static whist_status find_head(wh_scheme *s)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_value params[WH_SCHEME_MAX_TENSORS];
    wh_model_values values;
    s->head = s->n_own;
    if (wh_scheme_is_metric(s->kind)) return WHIST_OK;
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(wh_model_params(params, g, s->env.model));
    WH_TRY(wh_model_graph(&values, g, s->env.model, &(wh_model_use){.params = params, .batch = 1}));
    s->head = values.head;
    return WHIST_OK;
}

/* Reptile's steps may take the support in parts. */
static whist_status cut_support(wh_scheme *s)
{
    const size_t about = (size_t)whist_settings_int(s->env.settings, "inner_batch");
    if (about > 0 && about < s->env.ways)
        WH_FAIL(WHIST_E_ARG, "inner_batch: a step of %zu rows cannot show the %zu classes of a task", about,
                s->env.ways);
    s->parts = wh_meta_parts(s->env.support, about, s->steps);
    return WHIST_OK;
}

static whist_status read_steps(wh_scheme *s)
{
    s->parts = 1;
    if (wh_scheme_is_metric(s->kind)) return WHIST_OK;
    size_t own = (size_t)whist_settings_int(s->env.settings, "inner_steps");
    s->steps = s->env.steps == SIZE_MAX ? own : s->env.steps;
    s->rate = (float)whist_settings_real(s->env.settings, "inner_lr");
    if (is_chain(s, &wh_learner_reptile)) WH_TRY(cut_support(s));
    if (s->kind == WH_SCHEME_MAMLPP && s->steps > own)
        WH_FAIL(WHIST_E_ARG, "maml++ has learned rates for %zu inner steps, and %zu are asked for", own, s->steps);
    if (s->kind == WH_SCHEME_IMAML && s->steps == 0) s->steps = own;
    return WH_NEW(&s->weights, s->steps + 1);
}

static void describe_arrays(wh_scheme *s)
{
    const whist_model_shape shape = whist_model_shape_get(s->env.model);
    const wh_scheme_env *e = &s->env;
    size_t weights = 0;
    s->by_class = shape.target == WHIST_TARGET_CLASS || wh_scheme_is_metric(s->kind);
    s->outputs = e->ways && s->by_class ? e->ways : shape.n_outputs;
    uint64_t limit = s->by_class ? s->outputs : 0;
    for (size_t i = 0; i < s->n_own; i++) weights += s->tensors[i].size;
    s->query[SX] = (wh_meta_array){"support", WH_DIMS(e->support, shape.n_features), 0, false};
    s->query[SY] = (wh_meta_array){"support target", WH_DIMS(e->support), limit, false};
    s->query[QX] = (wh_meta_array){"query", WH_DIMS(e->query, shape.n_features), 0, false};
    s->query[QY] = (wh_meta_array){"query target", WH_DIMS(e->query), limit, false};
    s->query[MORE] = (wh_meta_array){"noise", WH_DIMS(weights), 0, false};
    if (s->step_sets) s->query[MORE] = (wh_meta_array){"step", WH_DIMS(s->step_sets), 0, true};
    memcpy(s->support, s->query, 2 * sizeof *s->support);
    for (size_t a = SX; a <= SY; a++) {
        s->support[a].dims.dim[0] = e->support / s->parts;
        s->support[a].per_step = s->parts > 1;
        s->support[a].parts = s->parts;
    }
    s->support[SUPPORT_MORE] = s->query[MORE];
    s->support[SUPPORT_MORE].per_step = true;
    if (s->kind == WH_SCHEME_ABML) s->noise = (s->steps + 1) * weights;
}

/* ---- The problem --------------------------------------------------------------------------------------------- */

static wh_meta_problem problem_of(wh_scheme *s)
{
    const whist_settings *settings = s->env.settings;
    bool bayes = s->kind == WH_SCHEME_ABML, implicit = s->kind == WH_SCHEME_IMAML, more = bayes || s->step_sets > 0;
    wh_meta_problem p = {.real = WH_F32, .params = s->dims, .n_params = s->n_theta, .rule = rule_of(s)};
    p.steps = s->steps;
    p.query = (wh_meta_objective){wh_scheme_query_loss, s, s->query, more ? 5 : 4};
    if (s->steps > 0) p.support = (wh_meta_objective){wh_scheme_support_loss, s, s->support, more ? 3 : 2};
    p.adapts = s->adapts;
    p.starts_at_zero = s->zero;
    p.uses_prior = bayes;
    p.learns_rates = s->learned_rates;
    if (s->kind == WH_SCHEME_META_SGD) p.rates = WH_META_RATE_ELEMENTS;
    if (s->kind == WH_SCHEME_MAMLPP) p.rates = WH_META_RATE_TENSORS, p.rates_per_step = p.weighs_steps = true;
    if (p.rule == WH_META_HESSIAN_FREE) p.delta = whist_settings_real(settings, "delta");
    if (s->kind == WH_SCHEME_LSTM) {
        p.log_range = whist_settings_real(settings, "log_range");
        p.gate_start = 0;
    }
    if (implicit) {
        p.proximal = whist_settings_real(settings, "proximal");
        p.conjugate = (size_t)whist_settings_int(settings, "conjugate");
        p.newton = (size_t)whist_settings_int(settings, "newton");
        p.tolerance = 1e-6;
    }
    return p;
}

/* With no inner steps nothing is learned of rates. */
static whist_status make_meta(wh_scheme *s)
{
    wh_meta_problem p = problem_of(s);
    if (s->steps == 0) {
        p.learns_rates = p.rates_per_step = false;
        if (p.rule == WH_META_LSTM || p.rule == WH_META_REPTILE) p.rule = WH_META_FIRST_ORDER;
    }
    WH_TRY(wh_meta_new(&s->meta, &p));
    WH_TRY(wh_meta_work_new(&s->work, s->meta, s->env.threads));
    if (s->kind != WH_SCHEME_MAMLPP || !s->env.learns) return WHIST_OK;
    p.rule = WH_META_FIRST_ORDER;
    WH_TRY(wh_meta_new(&s->early, &p));
    return wh_meta_work_new(&s->early_work, s->early, s->env.threads);
}

/* ---- Programs over a personal vector ------------------------------------------------------------------------------
 */

static whist_status inputs(wh_scheme_program *p, wh_graph *g, const wh_scheme *s)
{
    WH_TRY(wh_model_params(p->params, g, s->env.model));
    for (size_t a = 0; a < WH_SCHEME_ARRAYS; a++) {
        const wh_meta_array *array = &s->query[a];
        wh_role role = a == MORE ? WH_SHARED : WH_EXAMPLES;
        p->data[a] = array->limit ? wh_graph_index(g, array->name, role, array->dims, array->limit)
                                  : wh_graph_input(g, array->name, role, array->dims);
    }
    return wh_graph_status(g);
}

static whist_status compile(wh_scheme_program *p, const wh_graph *g, const wh_value outputs[], size_t n,
                            const wh_scheme *s)
{
    WH_TRY(wh_graph_status(g));
    WH_TRY(wh_program_new(&p->program, g, outputs, n));
    WH_TRY(wh_alloc((void **)&p->runs, s->env.threads, sizeof *p->runs));
    for (unsigned w = 0; w < s->env.threads; w++) WH_TRY(wh_run_new(&p->runs[w], p->program, 1));
    return WHIST_OK;
}

static whist_status make_prediction(wh_scheme *s)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(inputs(&s->predict, g, s));
    wh_value out = wh_scheme_prediction(s, g, s->predict.params, s->predict.data);
    return compile(&s->predict, g, &out, 1, s);
}

/* The slope of a loss by the rows x: of the query, of the support. */
static whist_status make_attack(wh_scheme *s, bool query)
{
    wh_scheme_program *p = &s->attack[query];
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_value slope, loss;
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(inputs(p, g, s));
    const bool own_loss = !query && !wh_scheme_is_metric(s->kind);
    const wh_value support[] = {p->data[SX], p->data[SY], p->data[MORE]};
    if (own_loss)
        loss = wh_scheme_support_loss(s, g, p->params, NULL, support);
    else
        loss = wh_scheme_query_loss(s, g, p->params, NULL, p->data);
    WH_TRY(wh_graph_status(g));
    WH_TRY(wh_graph_gradient(&slope, g, loss, &p->data[query ? QX : SX], 1));
    return compile(p, g, &slope, 1, s);
}

/* point: which of hot_query's rows norms go by: that of the point the parameters are. */
static whist_status bind(wh_run *run, const wh_scheme_program *p, const wh_scheme *s, const float *params,
                         const wh_scheme_task *task, size_t point)
{
    WH_TRY(wh_model_bind_params(run, p->params, s->env.model, params, WH_F32));
    for (size_t a = 0; a < WH_SCHEME_ARRAYS; a++) {
        const void *data = a == MORE && s->step_sets ? s->hot_query + point * s->step_sets : task->data[a];
        if (data) WH_TRY(wh_run_input(run, p->data[a], data));
    }
    return WHIST_OK;
}

/* ---- Life
 * ------------------------------------------------------------------------------------------------------------ */

static whist_status check(const wh_scheme *s)
{
    const wh_scheme_env *e = &s->env;
    const whist_model_shape shape = whist_model_shape_get(e->model);
    const char *name = e->learner->name;
    if (s->kind == WH_SCHEME_NONE)
        WH_FAIL(WHIST_E_UNSUPPORTED, "learner %s learns no start for few-shot tasks: take a meta-learner", name);
    if (e->support == 0 || e->query == 0)
        WH_FAIL(WHIST_E_ARG, "a task of %zu support and %zu query rows: both are needed", e->support, e->query);
    if (wh_scheme_is_metric(s->kind)) {
        if (e->ways < 2)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "learner %s compares classes, and these tasks have none: take tasks: classes, or "
                    "another learner",
                    name);
        return WHIST_OK;
    }
    size_t outputs = shape.target == WHIST_TARGET_BINARY ? 2 : shape.n_outputs;
    if (e->ways && e->ways != outputs)
        WH_FAIL(WHIST_E_ARG,
                "the head of this %s model is for %zu ways, and a task has %zu: only learners that compare "
                "(protonet, matching, relation, r2d2) change them after training",
                name, outputs, e->ways);
    if (e->attacks && s->kind == WH_SCHEME_ABML)
        WH_FAIL(WHIST_E_UNSUPPORTED, "attacks on abml are not there: its loss is one of draws");
    return WHIST_OK;
}

static whist_status make_rates(wh_scheme *s)
{
    s->n_rates = s->n_params - s->theta;
    WH_TRY(wh_alloc((void **)&s->rates, s->env.threads, sizeof *s->rates));
    for (unsigned w = 0; w < s->env.threads; w++) WH_TRY(WH_NEW(&s->rates[w], s->n_rates));
    return WHIST_OK;
}

static whist_status init(wh_scheme *s)
{
    WH_TRY(check(s));
    WH_TRY(lay_out(s));
    WH_TRY(find_head(s));
    WH_TRY(read_steps(s));
    find_steps(s);
    WH_TRY(make_sets(s));
    choose_tensors(s);
    describe_arrays(s);
    if (!s->weights) WH_TRY(WH_NEW(&s->weights, s->steps + 1));
    if (s->env.learns || s->steps > 0) WH_TRY(make_meta(s));
    WH_TRY(make_prediction(s));
    WH_TRY(wh_alloc((void **)&s->z, s->env.threads, sizeof *s->z));
    for (unsigned w = 0; w < s->env.threads; w++)
        WH_TRY(WH_NEW(&s->z[w], (s->env.support + s->env.query) * whist_model_shape_get(s->env.model).n_features));
    if (s->kind == WH_SCHEME_MAMLPP) WH_TRY(make_rates(s));
    if (!s->env.attacks) return WHIST_OK;
    WH_TRY(make_attack(s, false));
    return make_attack(s, true);
}

whist_status wh_scheme_new(wh_scheme **out, const wh_scheme_env *env)
{
    WH_ENSURE(out && env && env->model && env->learner && env->settings && env->threads > 0, WHIST_E_ARG);
    WH_AUTO(wh_scheme_ptr) s = NULL;
    WH_TRY(WH_NEW(&s, 1));
    s->env = *env;
    WH_TRY(wh_scheme_rule(&s->env.learner, &s->settings, env->learner, env->settings));
    s->env.settings = s->settings;
    s->kind = wh_scheme_kind_of(s->env.learner);
    WH_TRY(init(s));
    *out = s;
    s = NULL;
    return WHIST_OK;
}

static void program_clear(wh_scheme_program *p, unsigned threads)
{
    for (unsigned w = 0; p->runs && w < threads; w++) wh_run_free(p->runs[w]);
    wh_free(p->runs);
    wh_program_free(p->program);
}

void wh_scheme_free(wh_scheme *s)
{
    if (!s) return;
    wh_meta_work_free(s->work);
    wh_meta_work_free(s->early_work);
    wh_meta_free(s->meta);
    wh_meta_free(s->early);
    program_clear(&s->predict, s->env.threads);
    program_clear(&s->attack[0], s->env.threads);
    program_clear(&s->attack[1], s->env.threads);
    for (unsigned w = 0; s->z && w < s->env.threads; w++) wh_free(s->z[w]);
    for (unsigned w = 0; s->rates && w < s->env.threads; w++) wh_free(s->rates[w]);
    wh_free(s->z);
    wh_free(s->rates);
    wh_free(s->weights);
    wh_free(s->hot_support);
    wh_free(s->hot_query);
    whist_settings_free(s->settings);
    wh_free(s);
}

/* ---- Looking at it
 * ------------------------------------------------------------------------------------------------------ */

size_t wh_scheme_support(const wh_scheme *s)
{
    return s->env.support;
}

size_t wh_scheme_query(const wh_scheme *s)
{
    return s->env.query;
}

size_t wh_scheme_features(const wh_scheme *s)
{
    return s->query[SX].dims.dim[1];
}

bool wh_scheme_by_class(const wh_scheme *s)
{
    return s->by_class;
}

size_t wh_scheme_outputs(const wh_scheme *s)
{
    return s->outputs;
}

size_t wh_scheme_steps(const wh_scheme *s)
{
    return s->steps;
}

size_t wh_scheme_noise(const wh_scheme *s)
{
    return s->noise;
}

void wh_scheme_forget(float *vector, const wh_scheme *s)
{
    for (size_t i = 0; i < s->n_theta; i++)
        if (s->zero[i]) memset(vector + s->tensors[i].offset, 0, s->tensors[i].size * sizeof *vector);
}

unsigned wh_scheme_draws(const wh_scheme *s)
{
    return s->kind == WH_SCHEME_ABML ? (unsigned)whist_settings_int(s->env.settings, "draws") : 1;
}

/* ---- Tasks
 * --------------------------------------------------------------------------------------------------------------- */

whist_status wh_scheme_task_init(wh_scheme_task *out, const wh_scheme *s)
{
    size_t rows = s->env.support + s->env.query, d = wh_scheme_features(s), all;
    *out = (wh_scheme_task){0};
    if (!wh_mul_size(&all, rows, d)) WH_FAIL(WHIST_E_RANGE, "a task of %zu rows of %zu numbers is too large", rows, d);
    whist_status status = WH_NEW(&out->x, all);
    if (status == WHIST_OK) status = wh_alloc(&out->y, rows, sizeof(uint32_t));
    if (status == WHIST_OK && s->noise) status = WH_NEW(&out->noise, s->noise);
    if (status != WHIST_OK) {
        wh_scheme_task_clear(out);
        return status;
    }
    out->data[SX] = out->x;
    out->data[SY] = out->y;
    out->data[QX] = out->x + s->env.support * d;
    out->data[QY] = (uint32_t *)out->y + s->env.support;
    out->support[0] = out->data[SX], out->support[1] = out->data[SY], out->support[SUPPORT_MORE] = out->noise;
    if (s->noise) out->data[MORE] = out->noise + s->noise / (s->steps + 1) * s->steps;
    if (s->step_sets) out->data[MORE] = s->hot_query, out->support[SUPPORT_MORE] = s->hot_support;
    out->task = (wh_meta_task){out->support, out->data};
    return WHIST_OK;
}

whist_status wh_scheme_task_target(wh_scheme_task *out, size_t at, float target, const wh_scheme *s)
{
    if (!s->by_class) {
        ((float *)out->y)[at] = target;
        return WHIST_OK;
    }
    if (!(target >= 0 && target < (float)s->outputs))
        WH_FAIL(WHIST_E_RANGE, "a row whose target is none of the %zu classes", s->outputs);
    ((uint32_t *)out->y)[at] = (uint32_t)target;
    return WHIST_OK;
}

whist_status wh_scheme_task_rows(wh_scheme_task *out, size_t at, const whist_rows *rows, const uint32_t order[],
                                 size_t n, const wh_scheme *s)
{
    size_t stride = rows->x_stride ? rows->x_stride : rows->d, step = rows->y_stride ? rows->y_stride : 1;
    for (size_t i = 0; i < n; i++) {
        memcpy(out->x + (at + i) * rows->d, rows->x + order[i] * stride, rows->d * sizeof *out->x);
        WH_TRY(wh_scheme_task_target(out, at + i, rows->y[order[i] * step], s));
    }
    return WHIST_OK;
}

whist_status wh_scheme_task_mix(wh_scheme_task *task, const wh_scheme *s)
{
    const bool binary = whist_model_shape_get(s->env.model).target == WHIST_TARGET_BINARY;
    const size_t n = s->env.support, d = wh_scheme_features(s);
    if (s->parts < 2 || !(s->by_class || binary)) return WHIST_OK;
    WH_AUTO(wh_owned) numbers = NULL;
    WH_AUTO(wh_owned) rows = NULL;
    WH_TRY(wh_alloc(&numbers, 3 * n, sizeof(uint32_t)));
    WH_TRY(wh_alloc(&rows, n, d * sizeof(float)));
    uint32_t *class_ = numbers, *order = class_ + n, *y = order + n;
    memcpy(y, task->y, n * sizeof *y); /* floats of binary targets have the size of indices */
    memcpy(rows, task->x, n * d * sizeof(float));
    for (size_t i = 0; i < n; i++) class_[i] = s->by_class ? y[i] : ((const float *)task->y)[i] > 0;
    WH_TRY(wh_meta_turns(order, class_, n, s->by_class ? s->outputs : 2));
    for (size_t i = 0; i < n; i++) {
        ((uint32_t *)task->y)[i] = y[order[i]];
        memcpy(task->x + i * d, (const float *)rows + order[i] * d, d * sizeof(float));
    }
    return WHIST_OK;
}

void wh_scheme_task_copy(wh_scheme_task *out, const wh_scheme_task *from, const wh_scheme *s)
{
    size_t rows = s->env.support + s->env.query;
    memcpy(out->x, from->x, rows * wh_scheme_features(s) * sizeof *out->x);
    memcpy(out->y, from->y, rows * sizeof(uint32_t));
    if (s->noise) memcpy(out->noise, from->noise, s->noise * sizeof *out->noise);
}

void wh_scheme_task_clear(wh_scheme_task *task)
{
    wh_free(task->x);
    wh_free(task->y);
    wh_free(task->noise);
    *task = (wh_scheme_task){0};
}

/* ---- Gradients
 * -------------------------------------------------------------------------------------------------------------- */

/* MAML++ (Antoniou et al. 2019): at first every step's query loss counts alike, in the end the last alone; and at first
 * the Hessians are left out. */
static bool anneal(wh_scheme *s, uint64_t time)
{
    double span = (double)whist_settings_int(s->env.settings, "multi_step"), k = (double)s->steps;
    double left = span > 0 && (double)time < span ? 1 - (double)time / span : 0;
    s->weights[0] = 0;
    for (size_t j = 1; j <= s->steps; j++) s->weights[j] = left / k;
    s->weights[s->steps] += 1 - left;
    return time < (uint64_t)whist_settings_int(s->env.settings, "first_order");
}

/* The rates that a worker steps by. Of maml++ the model holds their logarithms (scheme_extend.c). */
static wh_meta_at at_of(const wh_scheme *s, unsigned worker, const float *params)
{
    const float *rates = s->learned_rates ? params + s->theta : &s->rate;
    if (s->kind == WH_SCHEME_MAMLPP) {
        for (size_t i = 0; i < s->n_rates; i++) s->rates[worker][i] = expf(rates[i]);
        rates = s->rates[worker];
    }
    return (wh_meta_at){.theta = params, .rates = rates, .weights = s->weights};
}

whist_status wh_scheme_gradient(float *grad, double *losses, wh_scheme *s, const float *params, uint64_t time,
                                const wh_meta_task tasks[], size_t n, wh_pool *pool)
{
    WH_ENSURE(s->env.learns, WHIST_E_STATE);
    const wh_meta_gradient out = {
        .theta = grad, .rates = s->learned_rates ? grad + s->theta : NULL, .query_loss = losses};
    bool early = s->kind == WH_SCHEME_MAMLPP && anneal(s, time);
    const wh_meta_at at = at_of(s, 0, params);
    /* Rates of tensors that no step moves (maml++: norms of steps) are in the model and in no gradient. */
    memset(grad + s->theta, 0, (s->n_params - s->theta) * sizeof *grad);
    WH_TRY(wh_meta_step(&out, early ? s->early_work : s->work, &at, tasks, n, pool));
    if (s->kind == WH_SCHEME_MAMLPP)
        for (size_t i = 0; i < s->n_rates; i++) grad[s->theta + i] *= s->rates[0][i];
    return WHIST_OK;
}

/* ---- One task
 * ------------------------------------------------------------------------------------------------------------------ */

whist_status wh_scheme_adapt(float *personal, wh_scheme *s, unsigned worker, const float *params,
                             const wh_scheme_task *task)
{
    memcpy(personal, params, s->n_params * sizeof *personal);
    if (s->steps == 0) return WHIST_OK;
    const wh_meta_at at = at_of(s, worker, params);
    return wh_meta_adapt(personal, s->work, worker, &at, &task->task);
}

whist_status wh_scheme_predict(float *out, wh_scheme *s, unsigned worker, const float *personal,
                               const wh_scheme_task *task)
{
    wh_run *run = s->predict.runs[worker];
    WH_TRY(bind(run, &s->predict, s, personal, task, s->steps));
    WH_TRY(wh_run_go(run, NULL));
    memcpy(out, wh_run_result(run, 0), s->env.query * s->outputs * sizeof *out);
    return WHIST_OK;
}

whist_status wh_scheme_attack(wh_scheme_task *task, wh_scheme *s, unsigned worker, const float *personal, bool query,
                              const whist_attack *attack, bool unit)
{
    const wh_scheme_program *p = &s->attack[query];
    WH_ENSURE(s->env.attacks && p->program, WHIST_E_STATE);
    wh_run *run = p->runs[worker];
    size_t d = wh_scheme_features(s), n = (query ? s->env.query : s->env.support) * d;
    float *x = task->x + (query ? s->env.support * d : 0), *start = s->z[worker];
    float epsilon = (float)attack->epsilon, step = (float)(attack->step > 0 ? attack->step : attack->epsilon / 4);
    memcpy(start, x, n * sizeof *x);
    for (uint32_t k = 0; k < attack->steps; k++) {
        WH_TRY(bind(run, p, s, personal, task, query ? s->steps : 0));
        WH_TRY(wh_run_go(run, NULL));
        const float *slope = wh_run_result(run, 0);
        for (size_t i = 0; i < n; i++) {
            float moved = x[i] + (slope[i] > 0 ? step : slope[i] < 0 ? -step : 0);
            moved = fminf(fmaxf(moved, start[i] - epsilon), start[i] + epsilon);
            x[i] = unit ? fminf(fmaxf(moved, 0), 1) : moved;
        }
    }
    return WHIST_OK;
}
