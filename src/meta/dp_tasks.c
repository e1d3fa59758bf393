/* meta/dp_tasks.c: dp-meta: meta-learning that hides whole tasks. A task is a person: all rows of one person at a site.
 *
 *     g = (Σ_t clip(∇L_t(θ)) + σ C Z) / L,   θ ← θ - lr g,   t: each person on its own coin of probability `rate`
 *
 * which is DP-SGD with persons for rows (McMahan, Ramage, Talwar, Zhang 2018, over meta-gradients as in Li, Khodak,
 * Caldas, Talwalkar 2020): with the whole meta-gradient of a task clipped it does not matter by which rule it was made,
 * so every chain learner has its private form, second order and batch statistics of a task included. The coins and the
 * noise are the system's (draw/private.h), never the study's seed.
 *
 * Persons are told apart by a column of the schema, and their rows are disjoint: what leaves with one person is one
 * term of the sum. Tasks that are mixed anew from the same rows would not do: a row is then in many of them. Which of a
 * person's rows are support and which are query is drawn afresh each time, from the noise as well. A person with too
 * few rows for a task counts as zero, and how many there are enters nothing: L and the rate's base are the public
 * bound. */
#include <stdlib.h>
#include <string.h>

#include "draw/private.h"
#include "learn/dp_sum.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"
#include "meta/dp_parts.h"

static const whist_option options[] = {
    WH_META_TASK_OPTIONS,
    {"rule", WHIST_OPTION_CHOICE, "fomaml", 0, 0, "maml|fomaml|reptile|anil|boil|per-fedavg",
     "the learner whose meta-gradients are made private; per-fedavg is Hessian-free"},
    {"support", WHIST_OPTION_INT, "5", 1, 1e6, NULL, "support rows of a task"},
    {"query", WHIST_OPTION_INT, "15", 1, 1e6, NULL, "query rows of a task"},
    {"persons", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the persons with training rows at a site; a site with more refuses"},
    {"updates", WHIST_OPTION_INT, "1", 1, 1e9, NULL, "private steps of the start in a round"},
    WH_META_NOISE_OPTIONS,
    {0},
};

/* Rows of a person: order[begin[p]] … order[begin[p + 1] - 1]. */
typedef struct persons {
    size_t n;
    uint32_t *order, *begin;
} persons;

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    whist_rows train;
    size_t n, each; /* parameters; rows of a task */
    uint64_t updates;
    double lr, rate, noise, batch;
    uint64_t bound;
    persons people;
    wh_meta_chain chain;
    wh_dp_sum *sum;
    wh_private_draw draw;
    wh_noise *coins;             /* which rows of a person */
    uint32_t *picked;            /* (rows of the largest person) */
    float *theta, *grad, *delta; /* (n) */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_meta_chain_clear(&l->chain);
    wh_dp_sum_free(l->sum);
    wh_private_draw_clear(&l->draw);
    wh_noise_free(l->coins);
    wh_free(l->people.order);
    wh_free(l->people.begin);
    wh_free(l->picked);
    wh_free(l->theta);
    if (l->grad) wh_wipe(l->grad, l->n * sizeof *l->grad);
    wh_free(l->grad);
    wh_free(l->delta);
    wh_free(l);
}

/* ---- Persons ---- */

typedef struct named_row {
    uint64_t person;
    uint32_t row;
} named_row;

static int by_person(const void *a, const void *b)
{
    const named_row *x = a, *y = b;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static whist_status sort_people(learner *l)
{
    WH_AUTO(wh_owned) memory = NULL;
    persons *p = &l->people;
    size_t most = 0;
    if (l->train.n == 0 || !l->train.person)
        WH_FAIL(WHIST_E_FORMAT, "%s: dp-meta needs a column of type person in the study's data: whose rows are a task",
                l->env->site);
    WH_TRY(wh_alloc(&memory, l->train.n, sizeof(named_row)));
    named_row *rows = memory;
    for (size_t i = 0; i < l->train.n; i++) rows[i] = (named_row){l->train.person[i], (uint32_t)i};
    qsort(rows, l->train.n, sizeof *rows, by_person);
    WH_TRY(WH_NEW(&p->order, l->train.n));
    WH_TRY(WH_NEW(&p->begin, l->train.n + 1));
    for (size_t i = 0; i < l->train.n; i++) {
        p->order[i] = rows[i].row;
        if (i == 0 || rows[i].person != rows[i - 1].person) p->begin[p->n++] = (uint32_t)i;
    }
    p->begin[p->n] = (uint32_t)l->train.n;
    for (size_t i = 0; i < p->n; i++)
        if (p->begin[i + 1] - p->begin[i] > most) most = p->begin[i + 1] - p->begin[i];
    if (p->n > l->bound) /* the text does not say by how much */
        WH_FAIL(WHIST_E_STATE, "%s: there are more persons than the public bound of %llu: agree on a larger one",
                l->env->site, (unsigned long long)l->bound);
    return WH_NEW(&l->picked, most);
}

/* ---- Making ---- */

static whist_status init(whist_learner *self, const whist_learner_env *env)
{
    learner *l = (learner *)self;
    const whist_settings *s = env->settings;
    size_t support = (size_t)whist_settings_int(s, "support"), query = (size_t)whist_settings_int(s, "query");
    l->env = env;
    l->n = whist_model_size(env->model);
    l->each = support + query;
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    l->lr = whist_settings_real(s, "lr");
    l->rate = whist_settings_real(s, "rate");
    l->noise = whist_settings_real(s, "noise");
    l->bound = (uint64_t)whist_settings_int(s, "persons");
    l->updates = (uint64_t)whist_settings_int(s, "updates");
    l->batch = whist_settings_real(s, "batch");
    if (l->batch == 0) l->batch = l->rate * (double)l->bound;
    WH_TRY(sort_people(l));
    WH_TRY(wh_meta_chain_init(&l->chain, env->model, whist_settings_text(s, "rule"), support, query,
                              whist_settings_real(s, "inner_lr"), (size_t)whist_settings_int(s, "inner_steps")));
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

static whist_status add_task(learner *l, uint32_t p)
{
    bool enough;
    WH_TRY(pick(l, p, &enough));
    if (!enough) return WHIST_OK;
    WH_TRY(wh_meta_chain_gradient(l->grad, &l->chain, l->theta, &l->train, l->picked));
    wh_dp_sum_add(l->sum, l->grad);
    return WHIST_OK;
}

static whist_status step(learner *l)
{
    const uint32_t *drawn;
    size_t n;
    wh_dp_sum_begin(l->sum);
    WH_TRY(wh_private_draw_next(&l->draw, &drawn, &n));
    for (size_t i = 0; i < n; i++) WH_TRY(add_task(l, drawn[i]));
    WH_TRY(wh_dp_sum_release(l->sum, l->grad, l->batch));
    for (size_t i = 0; i < l->n; i++) l->theta[i] -= (float)l->lr * l->grad[i];
    return WHIST_OK;
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    memcpy(l->theta, round->model, l->n * sizeof *l->theta);
    for (uint64_t k = 0; k < l->updates; k++) WH_TRY(step(l));
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

static whist_status evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    return wh_learner_measure(out, ((learner *)self)->env, model, fold);
}

static whist_status adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal)
{
    const learner *l = (const learner *)self;
    return wh_meta_personal(personal, l->env->model, model, support, (double)l->chain.inner_lr, l->chain.inner_steps,
                            l->chain.adapts);
}

static const char *objection(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics)
{
    (void)plain_metrics; /* of the start, which no row of training has touched but through it */
    const char *rule = whist_settings_text(settings, "rule");
    if (unit != WHIST_DP_RECORD) return NULL;
    if (strcmp(rule, "fomaml") == 0 || strcmp(rule, "reptile") == 0)
        return "it clips whole tasks, which hides a record only as long as nobody has two; take dp-fomaml or "
               "dp-reptile, "
               "which clip every row";
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
