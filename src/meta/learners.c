/* meta/learners.c: meta-learners on the learner joint. */
#include "meta/learners.h"

#include <string.h>

#include "base/settings.h"
#include "draw/design.h"
#include "meta/dp_learners.h"
#include "meta/few_learner.h"
#include "meta/model.h"
#include "meta/rule_options.h"

WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_dims, wh_free)

#define META_OPTIONS                                                                                                   \
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "step of the start along the mean meta-gradient"},                  \
        {"inner_lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "learning rate of the steps inside a task"},             \
        {"inner_steps", WHIST_OPTION_INT, "1", 1, 1000, NULL, "steps on a task's support rows"},                       \
        {"support", WHIST_OPTION_INT, "5", 1, 1e6, NULL, "support rows of a task"},                                    \
        {"query", WHIST_OPTION_INT, "15", 1, 1e6, NULL, "query rows of a task"},                                       \
        {"tasks", WHIST_OPTION_INT, "4", 1, 1e5, NULL, "tasks of a site in a round"},                                  \
    {                                                                                                                  \
        "evaluate", WHIST_OPTION_CHOICE, "personal", 0, 0, "personal|start",                                           \
            "what is measured: the model after the inner steps on support rows, or the start itself"                   \
    }

static const whist_option options[] = {META_OPTIONS, {0}};
static const whist_option reptile_options[] = {META_OPTIONS, WH_META_REPTILE_OPTIONS(""), {0}};
static const whist_option per_fedavg_options[] = {
    META_OPTIONS,
    WH_META_PER_FEDAVG_OPTIONS(""),
    {0},
};

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    whist_rows train;
    size_t n, n_tensors, n_tasks, steps, n_support, n_query;
    double lr;
    float inner_lr;
    bool is_personal;
    bool *adapts; /* by tensor */
    wh_meta_model support, query;
    wh_meta *meta;
    wh_meta_work *work;
    wh_draw draw;
    float *delta, *x;  /* (n); (tasks, support + query, d) */
    void *y;           /* (tasks, support + query) floats or indices */
    const void **data; /* (tasks, 4) */
    wh_meta_task *tasks;
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    if (self->class_ == &wh_few_learner) {
        wh_few_learner.free_(self);
        return;
    }
    wh_meta_work_free(l->work);
    wh_meta_free(l->meta);
    wh_draw_clear(&l->draw);
    wh_free(l->adapts);
    wh_free(l->delta);
    wh_free(l->x);
    wh_free(l->y);
    wh_free(l->data);
    wh_free(l->tasks);
    wh_free(l);
}

/* ---- Making ------------------------------------------------------------------------------------- */

static wh_meta_rule rule_of(const whist_learner_class *class_, const whist_settings *settings)
{
    if (class_ == &wh_learner_reptile) return WH_META_REPTILE;
    if (class_ == &wh_learner_fomaml) return WH_META_FIRST_ORDER;
    if (class_ != &wh_learner_per_fedavg) return WH_META_EXACT;
    const char *variant = whist_settings_text(settings, "variant");
    if (strcmp(variant, "fo") == 0) return WH_META_FIRST_ORDER;
    return strcmp(variant, "hf") == 0 ? WH_META_HESSIAN_FREE : WH_META_EXACT;
}

static whist_status make_meta(learner *l, const whist_learner_class *class_)
{
    const whist_settings *settings = l->env->settings;
    WH_AUTO(wh_dims_ptr) dims = NULL;
    (void)whist_model_tensors(l->env->model, &l->n_tensors);
    WH_TRY(WH_NEW(&dims, l->n_tensors));
    WH_TRY(WH_NEW(&l->adapts, l->n_tensors));
    WH_TRY(wh_meta_model_tensors(dims, l->adapts, l->env->model));
    for (size_t i = 0; i < l->n_tensors; i++) {
        bool is_head = l->adapts[i];
        l->adapts[i] = class_ == &wh_learner_anil ? is_head : class_ == &wh_learner_boil ? !is_head : true;
    }
    wh_meta_problem problem = {.real = WH_F32, .params = dims, .n_params = l->n_tensors, .adapts = l->adapts};
    problem.rule = rule_of(class_, settings);
    problem.steps = l->steps;
    problem.support = wh_meta_model_objective(&l->support);
    problem.query = wh_meta_model_objective(&l->query);
    if (problem.rule == WH_META_HESSIAN_FREE) problem.delta = whist_settings_real(settings, "delta");
    WH_TRY(wh_meta_new(&l->meta, &problem));
    return wh_meta_work_new(&l->work, l->meta, 1);
}

/* Where the rows of each task lie. */
static whist_status make_tasks(learner *l)
{
    size_t each = l->n_support + l->n_query, all;
    if (!wh_mul_size(&all, each, l->n_tasks) || !wh_mul_size(&all, all, l->train.d))
        WH_FAIL(WHIST_E_RANGE, "%s: the rows of %zu tasks do not fit memory", l->env->site, l->n_tasks);
    WH_TRY(WH_NEW_RAW(&l->x, all));
    WH_TRY(wh_alloc_raw(&l->y, each * l->n_tasks, sizeof(uint32_t)));
    WH_TRY(WH_NEW(&l->data, 4 * l->n_tasks));
    WH_TRY(WH_NEW(&l->tasks, l->n_tasks));
    for (size_t t = 0; t < l->n_tasks; t++) {
        const void **data = l->data + 4 * t;
        data[0] = l->x + t * each * l->train.d;
        data[1] = (uint32_t *)l->y + t * each;
        data[2] = (const float *)data[0] + l->n_support * l->train.d;
        data[3] = (const uint32_t *)data[1] + l->n_support;
        l->tasks[t] = (wh_meta_task){data, data + 2};
    }
    return WHIST_OK;
}

static whist_status init(learner *l, const whist_learner_env *env, const whist_learner_class *class_)
{
    const whist_settings *settings = env->settings;
    const size_t support = (size_t)whist_settings_int(settings, "support"),
                 query = (size_t)whist_settings_int(settings, "query");
    l->n_support = support, l->n_query = query;
    l->env = env;
    l->n = whist_model_size(env->model);
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    l->lr = whist_settings_real(settings, "lr");
    l->inner_lr = (float)whist_settings_real(settings, "inner_lr");
    l->steps = (size_t)whist_settings_int(settings, "inner_steps");
    l->n_tasks = (size_t)whist_settings_int(settings, "tasks");
    l->is_personal = strcmp(whist_settings_text(settings, "evaluate"), "personal") == 0;
    if (l->train.n < support + query)
        WH_FAIL(WHIST_E_FORMAT, "%s has %zu training rows; a task takes %zu (support %zu, query %zu)", env->site,
                l->train.n, support + query, support, query);
    WH_TRY(wh_meta_model_init(&l->support, env->model, support));
    WH_TRY(wh_meta_model_init(&l->query, env->model, query));
    if (class_ == &wh_learner_reptile)
        wh_meta_model_cut(&l->support, (size_t)whist_settings_int(settings, "inner_batch"), l->steps);
    WH_TRY(WH_NEW_RAW(&l->delta, l->n));
    WH_TRY(make_meta(l, class_));
    WH_TRY(make_tasks(l));
    const wh_draw_design design = {.kind = WH_DRAW_SHUFFLED_PASS, .n = l->train.n, .batch = support + query};
    return wh_draw_init(&l->draw, &design, env->seed, env->site, 0);
}

static whist_status learner_make(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    if (env->episodes) return wh_few_learner_new(out, env, class_);
    learner *l;
    WH_TRY(WH_NEW(&l, 1));
    l->base.class_ = class_;
    whist_status status = init(l, env, class_);
    if (status != WHIST_OK) {
        learner_free(&l->base);
        return status;
    }
    *out = &l->base;
    return WHIST_OK;
}

/* ---- A round ---------------------------------------------------------------------------------------- */

/* The next task's row numbers; what is left at the end of a pass and too short is passed over. */
static const uint32_t *next_rows(learner *l)
{
    const uint32_t *index;
    size_t n;
    do wh_draw_next(&l->draw, &index, &n);
    while (n < l->n_support + l->n_query);
    return index;
}

static whist_status draw_tasks(learner *l, uint64_t round)
{
    size_t each = l->n_support + l->n_query;
    wh_draw_restart(&l->draw, l->env->seed, l->env->site, round);
    for (size_t t = 0; t < l->n_tasks; t++) {
        const uint32_t *index = next_rows(l);
        float *x = l->x + t * each * l->train.d;
        uint32_t *y = (uint32_t *)l->y + t * each;
        WH_TRY(wh_meta_model_gather(x, y, &l->support, &l->train, index));
        WH_TRY(wh_meta_model_gather(x + l->n_support * l->train.d, y + l->n_support, &l->query, &l->train,
                                    index + l->n_support));
    }
    return WHIST_OK;
}

static whist_status learner_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (self->class_ == &wh_few_learner) return wh_few_learner.fit(self, round, out);
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    WH_TRY(draw_tasks(l, round->round));
    const wh_meta_at at = {.theta = round->model, .rates = &l->inner_lr};
    WH_TRY(wh_meta_step(&(wh_meta_gradient){.theta = l->delta}, l->work, &at, l->tasks, l->n_tasks, NULL));
    for (size_t i = 0; i < l->n; i++) l->delta[i] *= (float)-l->lr;
    *out = (whist_update){.n_vectors = 1, .vectors = {l->delta}, .rows = (double)l->train.n, .steps = 1};
    return WHIST_OK;
}

/* ---- A personal model ----------------------------------------------------------------------------------- */

/* How many parts of these rows the inner steps take in turns. */
static size_t parts_of(const learner *l, size_t rows)
{
    const bool cut = l->base.class_ == &wh_learner_reptile;
    return wh_meta_parts(rows, cut ? (size_t)whist_settings_int(l->env->settings, "inner_batch") : 0, l->steps);
}

/* The rows as they are, or with their classes in turn. */
static whist_status order_rows(uint32_t *order, const learner *l, const whist_rows *rows)
{
    const whist_model_shape shape = whist_model_shape_get(l->env->model);
    const size_t step = rows->y_stride ? rows->y_stride : 1, classes = shape.target == WHIST_TARGET_CLASS
                                                                           ? shape.n_outputs
                                                                       : shape.target == WHIST_TARGET_BINARY ? 2
                                                                                                             : 1;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, rows->n, sizeof(uint32_t)));
    uint32_t *class_ = memory;
    for (size_t i = 0; i < rows->n && classes > 1; i++) {
        const float y = rows->y[i * step];
        if (!(y >= 0 && y < (float)classes)) WH_FAIL(WHIST_E_RANGE, "row %zu has a target that is no class", i + 1);
        class_[i] = (uint32_t)y;
    }
    return wh_meta_turns(order, class_, rows->n, classes);
}

/* The inner steps on the rows that there are, which need not be as many as a task's: all, or parts of them in turns. */
static whist_status learner_adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal)
{
    learner *l = (learner *)self;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    if (self->class_ == &wh_few_learner)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a personal model over few-shot tasks is made by whist meta adapt");
    if (support->n == 0) WH_FAIL(WHIST_E_ARG, "no rows to adapt to");
    const whist_tensor_info *tensors = whist_model_tensors(l->env->model, &l->n_tensors);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, support->n, sizeof(uint32_t)));
    uint32_t *order = memory;
    const size_t parts = parts_of(l, support->n);
    if (parts > 1) WH_TRY(order_rows(order, l, support));
    whist_batch batch = {.rows = support->x,
                         .target = support->y,
                         .event = support->event,
                         .weight = support->weight,
                         .n_rows = support->n,
                         .n = support->n / parts,
                         .row_stride = support->x_stride,
                         .target_stride = support->y_stride};
    WH_TRY(whist_model_work_new(&work, l->env->model, batch.n));
    memcpy(personal, model, l->n * sizeof *personal);
    for (size_t step = 0; step < l->steps; step++) {
        if (parts > 1) batch.index = order + step % parts * batch.n;
        WH_TRY(whist_model_sgd_step(l->env->model, work, personal, &batch, (double)l->inner_lr, NULL, NULL));
        for (size_t i = 0; i < l->n_tensors; i++)
            if (!l->adapts[i])
                memcpy(personal + tensors[i].offset, model + tensors[i].offset, tensors[i].size * sizeof *personal);
    }
    return WHIST_OK;
}

/* The support rows of the site's own personal model: the same in every round. */
static whist_status make_personal(learner *l, const float *model, float *personal)
{
    wh_draw_restart(&l->draw, l->env->seed, l->env->site, UINT64_MAX);
    const uint32_t *index = next_rows(l);
    float *x = l->x, *y = l->y;
    size_t stride = l->train.x_stride ? l->train.x_stride : l->train.d,
           step = l->train.y_stride ? l->train.y_stride : 1;
    for (size_t i = 0; i < l->n_support; i++) {
        memcpy(x + i * l->train.d, l->train.x + index[i] * stride, l->train.d * sizeof *x);
        y[i] = l->train.y[index[i] * step];
    }
    const whist_rows rows = {.n = l->n_support, .d = l->train.d, .x = x, .y = y};
    return learner_adapt(&l->base, model, &rows, personal);
}

static whist_status learner_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    if (self->class_ == &wh_few_learner) return wh_few_learner.evaluate(self, model, fold, out);
    learner *l = (learner *)self;
    const whist_learner_env *env = l->env;
    const whist_rows rows = whist_dataset_rows(env->data, fold);
    const float *measured = model;
    if (l->is_personal) {
        WH_TRY(make_personal(l, model, l->delta));
        measured = l->delta;
    }
    return whist_learn_evaluate(out, env->model, measured, &rows, env->metrics, env->n_metrics);
}

/* ---- The classes ------------------------------------------------------------------------------------------- */

#define META_LEARNER(id, text, words, table, order)                                                                    \
    WH_META_LEARNER(learner, id, text, words, table, order, learner_adapt)

META_LEARNER(maml, "maml", "MAML: the start from which a few steps serve a task best, exact to second order", options,
             wh_meta_objection_second)
META_LEARNER(fomaml, "fomaml", "MAML with first derivatives alone", options, wh_meta_objection_first)
META_LEARNER(reptile, "reptile", "the start moves towards the adapted models", reptile_options, wh_meta_objection_first)
META_LEARNER(anil, "anil", "MAML whose inner steps move the last layer alone", options, wh_meta_objection_second)
META_LEARNER(boil, "boil", "MAML whose inner steps move all but the last layer", options, wh_meta_objection_second)
META_LEARNER(per_fedavg, "per-fedavg", "Per-FedAvg: MAML across sites, first-order, Hessian-free or exact",
             per_fedavg_options, wh_meta_objection_second)

const whist_learner_class *const *wh_meta_learner_classes(void)
{
    static const whist_learner_class *const classes[] = {
        &wh_learner_maml,        &wh_learner_fomaml,
        &wh_learner_reptile,     &wh_learner_anil,
        &wh_learner_boil,        &wh_learner_per_fedavg,
        &wh_learner_meta_sgd,    &wh_learner_mamlpp,
        &wh_learner_imaml,       &wh_learner_cavia,
        &wh_learner_meta_lstm,   &wh_learner_abml,
        &wh_learner_protonet,    &wh_learner_matching,
        &wh_learner_relation,    &wh_learner_r2d2,
        &wh_learner_prototypes,  &wh_learner_dp_meta,
        &wh_learner_dp_reptile,  &wh_learner_dp_fomaml,
        &wh_learner_dp_protonet, NULL,
    };
    return classes;
}
