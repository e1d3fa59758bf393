/* meta/dp_records.c: dp-reptile and dp-fomaml: meta-learning that hides single records of a task. A site is a task.
 *
 *     z_0 = θ,   z_{j+1} = z_j - inner_lr g(z_j),   g: a private gradient of the site's rows (learn/dp_step.h)
 *     Reptile:   θ ← θ + lr (z_k - θ)                                   k private gradients
 *     FOMAML:    θ ← θ - lr g(z_k)                                      k + 1: the query step is private as well
 *
 * (Li, Khodak, Caldas, Talwalkar 2020, for Reptile; the same for FOMAML.) Every gradient draws its own Poisson batch
 * from all of the site's rows, with the system's coins, so support and query of one episode are two such batches, and
 * what an episode spends is k or k + 1 subsampled Gaussian releases, composed over episodes and rounds: exactly what
 * `spends` says and the ledger adds up. Everything after a gradient is post-processing.
 *
 * A second derivative has no private form here: the part of one support row in a Hessian-vector product depends on all
 * others through z, and so cannot be clipped by itself. */
#include <string.h>

#include "learn/dp_step.h"
#include "learn/learners.h"
#include "learn/local.h"
#include "meta/dp_learners.h"
#include "meta/dp_options.h"

WH_AUTO_FREE(whist_model_work, whist_model_work_free)

static const whist_option options[] = {
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "step of the start along the private meta-gradient"},
    {"inner_lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "learning rate of the steps inside a task"},
    {"inner_steps", WHIST_OPTION_INT, "1", 1, 1000, NULL, "steps inside a task"},
    {"rows", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"updates", WHIST_OPTION_INT, "1", 1, 1e9, NULL, "steps of the start in a round"},
    WH_META_NOISE_OPTIONS,
    {0},
};

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    size_t n, inner_steps;
    uint64_t updates, steps; /* in a round: episodes, and private gradients of all of them */
    double lr, inner_lr;
    bool query; /* FOMAML */
    wh_dp_step_options options;
    wh_dp_step *step;
    float *theta, *z, *grad, *delta; /* (n) */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_dp_step_free(l->step);
    wh_free(l->theta);
    wh_free(l->z);
    wh_free(l->grad);
    wh_free(l->delta);
    wh_free(l);
}

uint64_t wh_meta_records_read(wh_dp_step_options *out, const whist_settings *s, bool query)
{
    *out = (wh_dp_step_options){
        .clipping = WH_CLIP_FLAT,
        .clip = whist_settings_real(s, "clip"),
        .sigma = whist_settings_real(s, "noise"),
        .rate = whist_settings_real(s, "rate"),
        .rows = (uint64_t)whist_settings_int(s, "rows"),
        .batch = whist_settings_real(s, "batch"),
    };
    if (out->batch == 0) out->batch = out->rate * (double)out->rows;
    return (uint64_t)whist_settings_int(s, "updates") * ((uint64_t)whist_settings_int(s, "inner_steps") + query);
}

static whist_status init(whist_learner *self, const whist_learner_env *env)
{
    learner *l = (learner *)self;
    const whist_settings *s = env->settings;
    const whist_rows train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    l->env = env;
    l->n = whist_model_size(env->model);
    l->query = l->base.class_ == &wh_learner_dp_fomaml;
    l->lr = whist_settings_real(s, "lr");
    l->inner_lr = whist_settings_real(s, "inner_lr");
    l->inner_steps = (size_t)whist_settings_int(s, "inner_steps");
    l->updates = (uint64_t)whist_settings_int(s, "updates");
    l->steps = wh_meta_records_read(&l->options, s, l->query);
    l->options.threads = env->threads;
    WH_TRY(WH_NEW_RAW(&l->theta, l->n));
    WH_TRY(WH_NEW_RAW(&l->z, l->n));
    WH_TRY(WH_NEW_RAW(&l->grad, l->n));
    WH_TRY(WH_NEW_RAW(&l->delta, l->n));
    return wh_dp_step_new(&l->step, env->model, &train, &l->options);
}

static whist_status make(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    return wh_learner_make(out, class_, sizeof(learner), init, env);
}

/* ---- A round ---- */

static whist_status descend(float *params, learner *l, const float *at, double lr)
{
    WH_TRY(wh_dp_step_gradient(l->step, l->grad, at));
    for (size_t i = 0; i < l->n; i++) params[i] -= (float)lr * l->grad[i];
    return WHIST_OK;
}

static whist_status episode(learner *l)
{
    memcpy(l->z, l->theta, l->n * sizeof *l->z);
    for (size_t k = 0; k < l->inner_steps; k++) WH_TRY(descend(l->z, l, l->z, l->inner_lr));
    if (l->query) return descend(l->theta, l, l->z, l->lr);
    for (size_t i = 0; i < l->n; i++) l->theta[i] += (float)l->lr * (l->z[i] - l->theta[i]);
    return WHIST_OK;
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    memcpy(l->theta, round->model, l->n * sizeof *l->theta);
    for (uint64_t k = 0; k < l->updates; k++) WH_TRY(episode(l));
    for (size_t i = 0; i < l->n; i++) l->delta[i] = l->theta[i] - round->model[i];
    *out = (whist_update){.n_vectors = 1,
                          .vectors = {l->delta},
                          .rows = (double)l->options.rows, /* public, where the rows that there are would tell */
                          .steps = (double)l->updates};
    return WHIST_OK;
}

static whist_status spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n)
{
    const learner *l = (const learner *)self;
    (void)round;
    *n = wh_dp_step_events(out, &l->options, l->steps);
    return WHIST_OK;
}

/* Private gradients in `rounds` rounds. */
static size_t plans(const whist_settings *settings, uint64_t rounds, bool query, whist_dp_event *out)
{
    wh_dp_step_options read;
    const uint64_t steps = wh_meta_records_read(&read, settings, query);
    return wh_dp_step_events(out, &read, rounds * steps);
}

static whist_status evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    return wh_learner_measure(out, ((learner *)self)->env, model, fold);
}

/* Inner steps without noise, on rows that stay where they are. */
static whist_status adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal)
{
    const learner *l = (const learner *)self;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    if (support->n == 0) WH_FAIL(WHIST_E_ARG, "no rows to adapt to");
    const whist_batch batch = wh_batch_of(support);
    WH_TRY(whist_model_work_new(&work, l->env->model, support->n));
    memcpy(personal, model, l->n * sizeof *personal);
    for (size_t k = 0; k < l->inner_steps; k++)
        WH_TRY(whist_model_sgd_step(l->env->model, work, personal, &batch, l->inner_lr, NULL, NULL));
    return WHIST_OK;
}

/* ---- The classes ---- */

static whist_status reptile_new(whist_learner **out, const whist_learner_env *env)
{
    return make(out, env, &wh_learner_dp_reptile);
}

static whist_status fomaml_new(whist_learner **out, const whist_learner_env *env)
{
    return make(out, env, &wh_learner_dp_fomaml);
}

static whist_status reptile_plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    *n = plans(settings, rounds, false, out);
    return WHIST_OK;
}

static whist_status fomaml_plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    *n = plans(settings, rounds, true, out);
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

#define RECORD_LEARNER(id, text, words)                                                                                \
    const whist_learner_class wh_learner_dp_##id = {.name = text,                                                      \
                                                    .doc = words,                                                      \
                                                    .options = options,                                                \
                                                    .vectors = vectors,                                                \
                                                    .new_ = id##_new,                                                  \
                                                    .free_ = learner_free,                                             \
                                                    .fit = fit,                                                        \
                                                    .evaluate = evaluate,                                              \
                                                    .adapt = adapt,                                                    \
                                                    .spends = spends,                                                  \
                                                    .plans = id##_plans,                                               \
                                                    .unit = WHIST_DP_RECORD};

RECORD_LEARNER(reptile, "dp-reptile", "Reptile whose inner steps are DP-SGD on the site's rows: hides records")
RECORD_LEARNER(fomaml, "dp-fomaml", "FOMAML whose inner steps and query step are DP-SGD: hides records")
