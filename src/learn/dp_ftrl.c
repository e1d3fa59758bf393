/* learn/dp_ftrl.c: private steps with correlated noise on the site's rows (learn/ftrl_step.h), through any optimiser.
 *
 * A run of the noise goes over `span` rounds. All steps of a round are made, and their noise drawn, before anything
 * leaves the site; what was kept of a finished round is sent again as it stands. A round that breaks off, a process
 * that ends, an update that was not kept or not paid for: each ends the run, and what comes next is another one, with
 * noise, bins and price of its own. So no prefix that somebody saw ever gets other noise, and no round of a run rests
 * on one that was not charged. */
#include <string.h>

#include "learn/dp_parts.h"
#include "learn/ftrl_step.h"
#include "learn/learners.h"
#include "learn/local.h"
#include "nn/optim.h"

static const whist_option dp_ftrl_options[] = {
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "learning rate"},
    {"updates", WHIST_OPTION_INT, NULL, 1, 1048576, NULL, "private steps in a round"},
    {"rows", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"pass", WHIST_OPTION_INT, NULL, 1, 1048576, NULL,
     "steps of a pass: each row takes part in one of them, the same in every pass"},
    {"batch", WHIST_OPTION_REAL, "0", 0, 1e9, NULL, "what sums are divided by, a public number; 0: rows over pass"},
    {"clip", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of a row's gradient"},
    {"noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL,
     "standard deviation of the noise over the sensitivity of a whole run"},
    {"design", WHIST_OPTION_CHOICE, "blt", 0, 0, "banded|sqrt|blt|tree",
     "how noise is correlated between steps: few coefficients chosen for the least error; those of a square root; sums "
     "of "
     "falling powers; a binary tree"},
    {"bands", WHIST_OPTION_INT, "0", 0, 256, NULL,
     "coefficients of banded and sqrt (0: up to 16), buffers of blt (0: 4)"},
    {"span", WHIST_OPTION_INT, "1", 1, 1048576, NULL,
     "rounds that one run of the noise goes over: noise of later rounds takes some of earlier ones' back"},
    {"clipping", WHIST_OPTION_CHOICE, "flat", 0, 0, "flat|layer|automatic",
     "flat: the whole gradient by its norm; layer: each tensor by its own; automatic: every gradient to the bound"},
    {"optimizer", WHIST_OPTION_CHOICE, "momentum", 0, 0, "sgd|momentum|nesterov|adam|adamw|adagrad|yogi",
     "what the private gradients go through"},
    WH_OPTION_MOMENTUM("0.9"),
    WH_OPTIONS_MOMENTS("1e-8"),
    WH_OPTION_DECAY,
    WH_SCHEDULE_OPTIONS,
    {0},
};

typedef struct dp_ftrl {
    whist_learner base;
    wh_local local;
    wh_ftrl_options options;
    wh_ftrl *ftrl;
    wh_optimizer *optimizer;
    wh_schedule schedule;
    float *grad; /* (n) */
} dp_ftrl;

static void dp_ftrl_free(whist_learner *self)
{
    dp_ftrl *d = (dp_ftrl *)self;
    if (!d) return;
    wh_local_clear(&d->local);
    wh_ftrl_free(d->ftrl);
    wh_optimizer_free(d->optimizer);
    wh_free(d->grad);
    wh_free(d);
}

static whist_dp_design design_of(const char *word)
{
    whist_dp_design design = 0;
    while (strcmp(whist_dp_design_name(design), word) != 0) design++;
    return design;
}

void wh_ftrl_options_read(wh_ftrl_options *out, const whist_settings *s)
{
    *out = (wh_ftrl_options){
        .clipping = wh_dp_clipping(s),
        .clip = whist_settings_real(s, "clip"),
        .sigma = whist_settings_real(s, "noise"),
        .rows = (uint64_t)whist_settings_int(s, "rows"),
        .bins = (uint64_t)whist_settings_int(s, "pass"),
        .steps = (uint64_t)(whist_settings_int(s, "updates") * whist_settings_int(s, "span")),
        .batch = whist_settings_real(s, "batch"),
        .design = design_of(whist_settings_text(s, "design")),
        .bands = (uint32_t)whist_settings_int(s, "bands"),
    };
    if (out->batch == 0) out->batch = (double)out->rows / (double)out->bins;
}

static whist_status dp_ftrl_init(whist_learner *self, const whist_learner_env *env)
{
    dp_ftrl *d = (dp_ftrl *)self;
    wh_local *l = &d->local;
    wh_ftrl_options_read(&d->options, env->settings);
    d->options.threads = env->threads;
    WH_TRY(wh_local_init_bare(l, env));
    WH_TRY(WH_NEW_RAW(&d->grad, l->n));
    WH_TRY(wh_schedule_read(&d->schedule, env->settings, 0));
    WH_TRY(wh_optimizer_new(&d->optimizer, wh_optimizer_find(whist_settings_text(env->settings, "optimizer")),
                            env->settings, l->n));
    return wh_ftrl_new(&d->ftrl, env->model, &l->train, &d->options);
}

static whist_status dp_ftrl_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_dp_ftrl, sizeof(dp_ftrl), dp_ftrl_init, env);
}

static whist_status dp_ftrl_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    dp_ftrl *d = (dp_ftrl *)self;
    wh_local *l = &d->local;
    WH_TRY(wh_local_load(l, round));
    wh_optimizer_reset(d->optimizer);
    if (wh_ftrl_at(d->ftrl) == 0) WH_TRY(wh_ftrl_begin(d->ftrl));
    for (uint64_t step = 0; step < l->steps; step++) {
        WH_TRY(wh_ftrl_gradient(d->ftrl, d->grad, l->params));
        WH_TRY(wh_local_show(l, d->grad, d->options.clip, d->options.batch));
        wh_optimizer_step(d->optimizer, l->params, d->grad,
                          wh_schedule_rate(&d->schedule, l->lr, round->round * l->steps + step), NULL);
    }
    wh_local_finish(l, round, (double)l->steps, out);
    out->rows = (double)d->options.rows; /* public, where the rows that there are would tell */
    return WHIST_OK;
}

static whist_status dp_ftrl_spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out,
                                   size_t *n)
{
    (void)round;
    const dp_ftrl *d = (const dp_ftrl *)self;
    return wh_ftrl_events_of(out, n, d->ftrl, wh_ftrl_at(d->ftrl), d->local.steps);
}

/* Runs follow one another; one that the last round cuts short counts as a whole one. */
static whist_status dp_ftrl_plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    wh_ftrl_options options;
    const uint64_t span = (uint64_t)whist_settings_int(settings, "span");
    wh_ftrl_options_read(&options, settings);
    *n = wh_ftrl_events(out, &options);
    for (size_t i = 0; i < *n; i++) out[i].count *= (rounds + span - 1) / span;
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_dp_ftrl = {
    .name = "dp-ftrl",
    .doc = "private steps on the site's rows in a fixed order: clipped gradients with correlated Gaussian noise",
    .options = dp_ftrl_options,
    .vectors = vectors,
    .new_ = dp_ftrl_new,
    .free_ = dp_ftrl_free,
    .fit = dp_ftrl_fit,
    .evaluate = wh_local_evaluate,
    .spends = dp_ftrl_spends,
    .plans = dp_ftrl_plans,
};
