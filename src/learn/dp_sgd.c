/* learn/dp_sgd.c: DP-SGD and its kin on the site's rows: private gradients (learn/dp_step.h) through any optimiser.
 *
 * Steps, rate, noise and what sums are divided by stand in the study; nothing of them is counted from the rows. The
 * update's weight is a public number, too. An optimiser sees noised gradients only, so whatever it does is
 * post-processing. */
#include <math.h>
#include <string.h>

#include "learn/dp_parts.h"
#include "learn/dp_step.h"
#include "learn/learners.h"
#include "learn/local.h"
#include "nn/optim.h"

static const whist_option dp_sgd_options[] = {
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "learning rate"},
    {"updates", WHIST_OPTION_INT, "1", 1, 1e9, NULL, "private steps in a round"},
    {"rows", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"rate", WHIST_OPTION_REAL, NULL, 1e-9, 1, NULL, "probability with which each row is in a batch"},
    {"batch", WHIST_OPTION_REAL, "0", 0, 1e9, NULL, "what sums are divided by, a public number; 0: rate times rows"},
    {"clip", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of a row's gradient"},
    {"noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL, "standard deviation of the noise over the sensitivity"},
    {"clipping", WHIST_OPTION_CHOICE, "flat", 0, 0, "flat|layer|automatic|adaptive",
     "flat: the whole gradient by its norm; layer: each tensor by its own; automatic: every gradient to the bound; "
     "adaptive: the bound follows a quantile of the norms"},
    {"quantile", WHIST_OPTION_REAL, "0.5", 0.01, 0.99, NULL, "clipping adaptive: share of gradients within the bound"},
    {"clip_rate", WHIST_OPTION_REAL, "0.2", 1e-3, 2, NULL, "clipping adaptive: how fast the bound moves"},
    {"count_noise", WHIST_OPTION_REAL, "0", 0, 1e6, NULL,
     "clipping adaptive: noise of the counted rows; 0: a twentieth of the batch"},
    {"optimizer", WHIST_OPTION_CHOICE, "sgd", 0, 0, "sgd|momentum|nesterov|adam|adamw|adagrad|yogi",
     "what the private gradients go through"},
    {"average", WHIST_OPTION_REAL, "0", 0, 0.99999, NULL,
     "what a step leaves of a running mean of the models, which the update then leads to; 0: it leads to the last one"},
    WH_OPTION_MOMENTUM("0.9"),
    WH_OPTIONS_MOMENTS("1e-8"),
    WH_OPTION_DECAY,
    WH_SCHEDULE_OPTIONS,
    {0},
};

typedef struct dp_sgd {
    whist_learner base;
    wh_local local;
    wh_dp_step_options options;
    wh_dp_step *step;
    wh_optimizer *optimizer;
    wh_schedule schedule;
    float *grad; /* (n) */
    double average;
    float *mean; /* (n) of the models so far; NULL where the last one is what counts */
} dp_sgd;

static void dp_sgd_free(whist_learner *self)
{
    dp_sgd *d = (dp_sgd *)self;
    if (!d) return;
    wh_local_clear(&d->local);
    wh_dp_step_free(d->step);
    wh_optimizer_free(d->optimizer);
    wh_free(d->grad);
    wh_free(d->mean);
    wh_free(d);
}

void wh_dp_step_options_read(wh_dp_step_options *out, const whist_settings *s)
{
    *out = (wh_dp_step_options){
        .clipping = wh_dp_clipping(s),
        .adaptive = strcmp(whist_settings_text(s, "clipping"), "adaptive") == 0,
        .clip = whist_settings_real(s, "clip"),
        .sigma = whist_settings_real(s, "noise"),
        .rate = whist_settings_real(s, "rate"),
        .rows = (uint64_t)whist_settings_int(s, "rows"),
        .batch = whist_settings_real(s, "batch"),
        .quantile = whist_settings_real(s, "quantile"),
        .speed = whist_settings_real(s, "clip_rate"),
        .count_sigma = whist_settings_real(s, "count_noise"),
    };
    if (out->batch == 0) out->batch = out->rate * (double)out->rows;
    if (out->count_sigma == 0) out->count_sigma = fmax(out->batch / 20, 1);
}

static whist_status dp_sgd_init(whist_learner *self, const whist_learner_env *env)
{
    dp_sgd *d = (dp_sgd *)self;
    wh_local *l = &d->local;
    WH_TRY(wh_local_init_bare(l, env));
    WH_TRY(WH_NEW_RAW(&d->grad, l->n));
    d->average = whist_settings_real(env->settings, "average");
    if (d->average > 0) WH_TRY(WH_NEW_RAW(&d->mean, l->n));
    WH_TRY(wh_schedule_read(&d->schedule, env->settings, 0));
    wh_dp_step_options_read(&d->options, env->settings);
    d->options.threads = env->threads;
    WH_TRY(wh_optimizer_new(&d->optimizer, wh_optimizer_find(whist_settings_text(env->settings, "optimizer")),
                            env->settings, l->n));
    return wh_dp_step_new(&d->step, env->model, &l->train, &d->options);
}

static whist_status dp_sgd_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_dp_sgd, sizeof(dp_sgd), dp_sgd_init, env);
}

/* Every model is noised already, so a mean of them costs nothing. The weight of what was before rises from the first
 * steps on, so that the beginning is soon forgotten (De, Berrada, Hayes, Smith, Balle 2022, section 3). */
static void take_in(dp_sgd *d, uint64_t step)
{
    if (!d->mean) return;
    const wh_local *l = &d->local;
    const float keep = step ? (float)fmin(d->average, (double)(step + 1) / (double)(step + 10)) : 0;
    for (size_t i = 0; i < l->n; i++) d->mean[i] = step ? keep * d->mean[i] + (1 - keep) * l->params[i] : l->params[i];
}

static whist_status dp_sgd_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    dp_sgd *d = (dp_sgd *)self;
    wh_local *l = &d->local;
    WH_TRY(wh_local_load(l, round));
    wh_optimizer_reset(d->optimizer);
    for (uint64_t step = 0; step < l->steps; step++) {
        const double clip = wh_dp_step_clip(d->step);
        WH_TRY(wh_dp_step_gradient(d->step, d->grad, l->params));
        WH_TRY(wh_local_show(l, d->grad, clip, d->options.batch));
        wh_optimizer_step(d->optimizer, l->params, d->grad,
                          wh_schedule_rate(&d->schedule, l->lr, round->round * l->steps + step), NULL);
        take_in(d, step);
    }
    if (d->mean) memcpy(l->params, d->mean, l->n * sizeof *l->params);
    wh_local_finish(l, round, (double)l->steps, out);
    out->rows = (double)d->options.rows; /* public, where the rows that there are would tell */
    return WHIST_OK;
}

static whist_status dp_sgd_spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n)
{
    (void)round;
    const dp_sgd *d = (const dp_sgd *)self;
    *n = wh_dp_step_events(out, &d->options, d->local.steps);
    return WHIST_OK;
}

static whist_status dp_sgd_plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    wh_dp_step_options options;
    wh_dp_step_options_read(&options, settings);
    *n = wh_dp_step_events(out, &options, rounds * (uint64_t)whist_settings_int(settings, "updates"));
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_dp_sgd = {
    .name = "dp-sgd",
    .doc = "private steps on the site's rows: clipped gradients of Poisson batches with Gaussian noise",
    .options = dp_sgd_options,
    .vectors = vectors,
    .new_ = dp_sgd_new,
    .free_ = dp_sgd_free,
    .fit = dp_sgd_fit,
    .evaluate = wh_local_evaluate,
    .spends = dp_sgd_spends,
    .plans = dp_sgd_plans,
};
