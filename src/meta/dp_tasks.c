/* meta/dp_tasks.c: dp-meta: meta-learning that hides whole tasks. A task is a person: all rows of one person at a site.
 *
 *     g = (Σ_t clip(∇L_t(θ)) + σ C Z) / L,   θ ← θ - lr g,   t: each person on its own coin of probability `rate`
 *
 * which is DP-SGD with persons for rows (McMahan, Ramage, Talwar, Zhang 2018, over meta-gradients as in Li, Khodak,
 * Caldas, Talwalkar 2020). θ is all that the rule learns (meta/scheme.h): the network and what the rule brings along,
 * rates, gates, deviations, the layer behind a context. The whole meta-gradient of a task, over all these numbers at
 * once, is clipped, so that it does not matter by which rule it was made: every rule with inner steps has its private
 * form, second order and batch statistics of a task included. The coins, the rows of a task, abml's draws of weights
 * and the noise are the system's (draw/private.h, draw/noise.h), never the study's seed.
 *
 * Persons are told apart by a column of the schema, and their rows are disjoint: what leaves with one person is one
 * term of the sum. Tasks that are mixed anew from the same rows would not do: a row is then in many of them. Which of a
 * person's rows are support and which are query is drawn afresh each time, from the noise as well. A person with too
 * few rows for a task counts as zero, and how many there are enters nothing: L and the rate's base are the public
 * bound. How far maml++ has annealed is a function of round and step, which are public. */
#include <string.h>

#include "draw/private.h"
#include "draw/sample.h"
#include "learn/dp_sum.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"
#include "meta/dp_options.h"
#include "meta/people.h"
#include "meta/rule_options.h"
#include "meta/scheme.h"

static const whist_option options[] = {
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "step of all that is learned along the private meta-gradient"},
    {"inner_lr", WHIST_OPTION_REAL, "0", 0, 1e3, NULL,
     "learning rate of the steps inside a task, or what it starts as where it is learned; 0: the rule's own"},
    {"inner_steps", WHIST_OPTION_INT, "0", 0, 1000, NULL, "steps inside a task; 0: the rule's own"},
    {"rule", WHIST_OPTION_CHOICE, "fomaml", 0, 0,
     "maml|fomaml|reptile|anil|boil|per-fedavg|meta-sgd|maml++|imaml|cavia|abml|meta-lstm|protonet|matching|relation|"
     "r2d2",
     "the learner whose meta-gradients are made private; the last four compare classes that persons do not have, and "
     "are refused"},
    {"support", WHIST_OPTION_INT, "5", 1, 1e6, NULL, "support rows of a task"},
    {"query", WHIST_OPTION_INT, "15", 1, 1e6, NULL, "query rows of a task"},
    {"persons", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the persons with training rows at a site; a site with more refuses"},
    {"updates", WHIST_OPTION_INT, "1", 1, 1e9, NULL, "private steps of the start in a round"},
    WH_META_NOISE_OPTIONS,
    WH_META_REPTILE_OPTIONS("rule reptile: "),
    WH_META_PER_FEDAVG_OPTIONS("rule per-fedavg: "),
    WH_META_MAMLPP_OPTIONS("rule maml++: "),
    WH_META_IMAML_OPTIONS("rule imaml: "),
    WH_META_CAVIA_OPTIONS("rule cavia: "),
    WH_META_LSTM_OPTIONS("rule meta-lstm: "),
    WH_META_ABML_OPTIONS("rule abml: "),
    {0},
};

WH_AUTO_CLEAR(wh_scheme_task, wh_scheme_task_clear)

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    whist_rows train;
    size_t n, each; /* parameters; rows of a task */
    uint64_t updates;
    double lr, rate, noise, batch;
    uint64_t bound;
    wh_people people;
    bool by_scheme; /* what the network alone says of a row means nothing */
    wh_scheme *scheme;
    wh_scheme_task task;
    wh_dp_sum *sum;
    wh_private_draw draw;
    wh_noise *coins;             /* which rows of a person; draws of weights */
    uint32_t *picked;            /* (rows of the largest person) */
    float *theta, *grad, *delta; /* (n) */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_scheme_task_clear(&l->task);
    wh_scheme_free(l->scheme);
    wh_dp_sum_free(l->sum);
    wh_private_draw_clear(&l->draw);
    wh_noise_free(l->coins);
    wh_people_clear(&l->people);
    wh_free(l->picked);
    wh_free(l->theta);
    if (l->grad) wh_wipe(l->grad, l->n * sizeof *l->grad);
    wh_free(l->grad);
    wh_free(l->delta);
    wh_free(l);
}

/* ---- Making ---- */

static whist_status sort_people(learner *l)
{
    whist_status status = wh_people_init(&l->people, &l->train);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: dp-meta: ", l->env->site);
    if (l->people.n > l->bound) /* the text does not say by how much */
        WH_FAIL(WHIST_E_STATE, "%s: there are more persons than the public bound of %llu: agree on a larger one",
                l->env->site, (unsigned long long)l->bound);
    return WH_NEW(&l->picked, l->people.most);
}

static whist_status make_scheme(wh_scheme **out, const learner *l, size_t support, size_t query, size_t steps,
                                bool learns)
{
    const wh_scheme_env env = {.model = l->env->model,
                               .learner = &wh_learner_dp_meta,
                               .settings = l->env->settings,
                               .support = support,
                               .query = query,
                               .threads = 1,
                               .steps = steps,
                               .learns = learns};
    return wh_scheme_new(out, &env);
}

static void read_settings(learner *l, const whist_settings *s)
{
    l->lr = whist_settings_real(s, "lr");
    l->rate = whist_settings_real(s, "rate");
    l->noise = whist_settings_real(s, "noise");
    l->bound = (uint64_t)whist_settings_int(s, "persons");
    l->updates = (uint64_t)whist_settings_int(s, "updates");
    l->batch = whist_settings_real(s, "batch");
    if (l->batch == 0) l->batch = l->rate * (double)l->bound;
    l->by_scheme = strcmp(whist_settings_text(s, "rule"), "cavia") == 0;
}

static whist_status init(whist_learner *self, const whist_learner_env *env)
{
    learner *l = (learner *)self;
    const whist_settings *s = env->settings;
    size_t support = (size_t)whist_settings_int(s, "support"), query = (size_t)whist_settings_int(s, "query");
    l->env = env;
    l->n = whist_model_size(env->model);
    l->each = support + query;
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    read_settings(l, s);
    WH_TRY(sort_people(l));
    WH_TRY(make_scheme(&l->scheme, l, support, query, SIZE_MAX, true));
    WH_TRY(wh_scheme_task_init(&l->task, l->scheme));
    WH_TRY(wh_dp_sum_new(&l->sum, l->n, whist_settings_real(s, "clip"), l->noise));
    const wh_draw_design design = {.kind = WH_DRAW_POISSON, .n = l->people.n, .rate = l->rate};
    WH_TRY(wh_private_draw_init(&l->draw, &design));
    WH_TRY(wh_noise_new(&l->coins));
    WH_TRY(WH_NEW_RAW(&l->theta, l->n));
    WH_TRY(WH_NEW(&l->grad, l->n));
    return WH_NEW_RAW(&l->delta, l->n);
}

static whist_status learner_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_dp_meta, sizeof(learner), init, env);
}

/* ---- A round ---- */

/* A task of person p: the first rows of a shuffle of theirs. false: too few. */
static whist_status pick(learner *l, uint32_t p, bool *enough)
{
    size_t from = l->people.begin[p], n = l->people.begin[p + 1] - from;
    *enough = n >= l->each;
    if (!*enough) return WHIST_OK;
    memcpy(l->picked, l->people.order + from, n * sizeof *l->picked);
    for (size_t i = 0; i < l->each; i++) {
        uint64_t j;
        WH_TRY(wh_noise_below(l->coins, &j, n - i));
        uint32_t row = l->picked[i + j];
        l->picked[i + j] = l->picked[i];
        l->picked[i] = row;
    }
    return WHIST_OK;
}

/* Standard normal numbers, on a grid of 2^-20, where the rule draws weights. */
static whist_status draw_weights(wh_scheme_task *task, const wh_scheme *scheme, wh_noise *coins)
{
    WH_AUTO(wh_owned) memory = NULL;
    const size_t n = wh_scheme_noise(scheme);
    if (n == 0) return WHIST_OK;
    WH_TRY(wh_alloc_raw(&memory, n, sizeof(int64_t)));
    WH_TRY(wh_sample_normal(coins, memory, n, 0x1p20));
    for (size_t i = 0; i < n; i++) task->noise[i] = (float)((double)((int64_t *)memory)[i] * 0x1p-20);
    return WHIST_OK;
}

static whist_status add_task(learner *l, uint32_t p, uint64_t time)
{
    bool enough;
    WH_TRY(pick(l, p, &enough));
    if (!enough) return WHIST_OK;
    WH_TRY(wh_scheme_task_rows(&l->task, 0, &l->train, l->picked, l->each, l->scheme));
    WH_TRY(wh_scheme_task_mix(&l->task, l->scheme));
    WH_TRY(draw_weights(&l->task, l->scheme, l->coins));
    WH_TRY(wh_scheme_gradient(l->grad, NULL, l->scheme, l->theta, time, &l->task.task, 1, NULL));
    wh_dp_sum_add(l->sum, l->grad);
    return WHIST_OK;
}

/* time: steps before this one, in all rounds. */
static whist_status step(learner *l, uint64_t time)
{
    const uint32_t *drawn;
    size_t n;
    wh_dp_sum_begin(l->sum);
    WH_TRY(wh_private_draw_next(&l->draw, &drawn, &n));
    for (size_t i = 0; i < n; i++) WH_TRY(add_task(l, drawn[i], time));
    WH_TRY(wh_dp_sum_release(l->sum, l->grad, l->batch));
    wh_scheme_forget(l->grad, l->scheme); /* noise alone; what is released may be thrown away */
    for (size_t i = 0; i < l->n; i++) l->theta[i] -= (float)l->lr * l->grad[i];
    return WHIST_OK;
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    memcpy(l->theta, round->model, l->n * sizeof *l->theta);
    for (uint64_t k = 0; k < l->updates; k++) WH_TRY(step(l, round->round * l->updates + k));
    for (size_t i = 0; i < l->n; i++) l->delta[i] = l->theta[i] - round->model[i];
    /* The weight is public, where the persons and rows that there are would tell. */
    *out = (whist_update){.n_vectors = 1, .vectors = {l->delta}, .rows = (double)l->bound, .steps = (double)l->updates};
    return WHIST_OK;
}

static whist_status plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    const double rate = whist_settings_real(settings, "rate");
    out[0] = (whist_dp_event){.mechanism = WHIST_DP_GAUSSIAN,
                              .noise = whist_settings_real(settings, "noise"),
                              .sampling = rate < 1 ? WHIST_DP_POISSON : WHIST_DP_ALL,
                              .rate = rate < 1 ? rate : 0,
                              .count = rounds * (uint64_t)whist_settings_int(settings, "updates"),
                              .unit = WHIST_DP_TASK};
    *n = 1;
    return WHIST_OK;
}

static whist_status spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n)
{
    (void)round;
    return plans(((const learner *)self)->env->settings, 1, out, n);
}

/* ---- Measuring and adapting ---- */

enum { AT_ONCE = 256 }; /* rows */

/* Rows from … from + n - 1 as the query of a task without inner steps. */
static whist_status predict(float *out, const learner *l, const float *model, const whist_rows *rows, size_t from,
                            size_t n)
{
    WH_AUTO(wh_scheme_ptr) scheme = NULL;
    WH_AUTO(wh_scheme_task) task = {0};
    const size_t stride = rows->x_stride ? rows->x_stride : rows->d;
    WH_TRY(make_scheme(&scheme, l, 1, n, 0, false));
    WH_TRY(wh_scheme_task_init(&task, scheme));
    for (size_t i = 0; i < n; i++)
        memcpy(task.x + (i + 1) * rows->d, rows->x + (from + i) * stride, rows->d * sizeof *task.x);
    return wh_scheme_predict(out, scheme, 0, model, &task);
}

static whist_status measure(whist_metric_value *out, const learner *l, const float *model, const whist_rows *rows)
{
    WH_AUTO(wh_owned) memory = NULL;
    const whist_learner_env *env = l->env;
    const whist_model_shape shape = whist_model_shape_get(env->model);
    const size_t step = rows->y_stride ? rows->y_stride : 1, k = shape.n_outputs;
    size_t n;
    WH_TRY(wh_alloc(&memory, rows->n + 1, (k + 1) * sizeof(float)));
    float *prediction = memory, *target = prediction + rows->n * k;
    for (size_t i = 0; i < rows->n; i++) target[i] = rows->y[i * step];
    for (size_t from = 0; from < rows->n; from += n) {
        n = rows->n - from < AT_ONCE ? rows->n - from : AT_ONCE;
        WH_TRY(predict(prediction + from * k, l, model, rows, from, n));
    }
    const whist_metric_rows measured = {.prediction = prediction, .target = target, .n = rows->n, .shape = shape};
    for (size_t i = 0; i < env->n_metrics; i++) WH_TRY(whist_metric_compute(&out[i], env->metrics[i], &measured));
    return WHIST_OK;
}

/* The start, which no row of training has touched but through it. */
static whist_status evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    const learner *l = (const learner *)self;
    const whist_rows rows = whist_dataset_rows(l->env->data, fold);
    if (!l->by_scheme || rows.n == 0) return wh_learner_measure(out, l->env, model, fold);
    return measure(out, l, model, &rows);
}

/* The rule's inner steps on all the rows that there are, which need not be as many as a task's. */
static whist_status adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal)
{
    const learner *l = (const learner *)self;
    WH_AUTO(wh_scheme_ptr) scheme = NULL;
    WH_AUTO(wh_scheme_task) task = {0};
    WH_AUTO(wh_owned) order = NULL;
    if (support->n == 0) WH_FAIL(WHIST_E_ARG, "no rows to adapt to");
    WH_TRY(wh_alloc(&order, support->n, sizeof(uint32_t)));
    for (size_t i = 0; i < support->n; i++) ((uint32_t *)order)[i] = (uint32_t)i;
    WH_TRY(make_scheme(&scheme, l, support->n, 1, SIZE_MAX, false));
    WH_TRY(wh_scheme_task_init(&task, scheme));
    WH_TRY(wh_scheme_task_rows(&task, 0, support, order, support->n, scheme));
    WH_TRY(wh_scheme_task_mix(&task, scheme));
    WH_TRY(draw_weights(&task, scheme, l->coins));
    return wh_scheme_adapt(personal, scheme, 0, model, &task);
}

/* ---- The class ---- */

static const char *objection(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics)
{
    (void)plain_metrics; /* of the start */
    const char *rule = whist_settings_text(settings, "rule");
    if (unit != WHIST_DP_RECORD) return NULL;
    if (strcmp(rule, "fomaml") == 0 || strcmp(rule, "reptile") == 0)
        return "it clips whole tasks, which hides a record only as long as nobody has two; take dp-fomaml or "
               "dp-reptile, which clip every row";
    return wh_meta_second_order_objection;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_dp_meta = {
    .name = "dp-meta",
    .doc = "meta-learning that hides whole tasks: clipped meta-gradients of Poisson-drawn persons with Gaussian noise",
    .options = options,
    .vectors = vectors,
    .new_ = learner_new,
    .free_ = learner_free,
    .fit = fit,
    .evaluate = evaluate,
    .adapt = adapt,
    .spends = spends,
    .plans = plans,
    .unit = WHIST_DP_TASK,
    .objection = objection,
};
