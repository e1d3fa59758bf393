/* run/audit_step.c: private steps with independent noise under attack.
 *
 * The score of a run is the sum over its steps of
 *
 *     log (1 - q + q exp((s b - b²/2) / σ²)) / (1 - q + q exp((s a - a²/2) / σ²))
 *
 * with s the gradient's part along the difference of the two worlds, in units of the bound, and a, b where the worlds
 * have it. What runs is the step of learn/dp_step.h itself: sampling, clipping, sums, noise. */
#include "run/audit_parts.h"

#include "learn/dp_step.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"

#include <math.h>

typedef struct steps {
    wh_dp_step_options options;
    wh_dp_step *step;
    double inflation;
    float *grad; /* (n) */
} steps;

static whist_status make(wh_audit *a)
{
    const whist_fed_plan *plan = a->in->plan;
    const whist_settings *settings = plan->learner_settings;
    steps *s;
    WH_TRY(WH_ARENA_NEW(&s, &a->memory, 1));
    WH_TRY(WH_ARENA_NEW(&s->grad, &a->memory, a->n));
    if (plan->learner == &wh_learner_dp_sgd) {
        wh_dp_step_options_read(&s->options, settings);
        a->steps = (uint64_t)whist_settings_int(settings, "updates");
    } else {
        a->steps = wh_meta_records_read(&s->options, settings, plan->learner == &wh_learner_dp_fomaml);
    }
    a->steps *= plan->rounds;
    a->clipping = s->options.clipping;
    a->clip = s->options.clip;
    a->object = s;
    return WHIST_OK;
}

static whist_status prove(double *epsilon, const wh_audit *a)
{
    const steps *s = a->object;
    whist_dp_event events[2] = {{0}};
    return wh_audit_prove(epsilon, a, events, wh_dp_step_events(events, &s->options, a->steps));
}

static whist_status enter(wh_audit *a, const whist_rows *rows)
{
    steps *s = a->object;
    WH_TRY(wh_dp_step_new(&s->step, a->in->plan->model, rows, &s->options));
    s->inflation = wh_dp_step_inflation(s->step);
    return WHIST_OK;
}

static void leave(wh_audit *a)
{
    steps *s = a->object;
    wh_dp_step_free(s->step);
    s->step = NULL;
}

static double add_logs(double a, double b)
{
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

static double log_likelihood(const steps *s, double seen, double place)
{
    const double sigma = s->options.sigma * s->inflation, q = s->options.rate;
    const double there = (seen * place - place * place / 2) / (sigma * sigma);
    return q < 1 ? add_logs(log1p(-q), log(q) + there) : there;
}

static whist_status trial(double *score, wh_audit *a)
{
    steps *s = a->object;
    *score = 0;
    for (uint64_t t = 0; t < a->steps; t++) {
        WH_TRY(wh_dp_step_gradient(s->step, s->grad, a->params));
        double seen = wh_audit_along(a, s->grad) * s->options.batch / s->options.clip;
        *score += log_likelihood(s, seen, a->place[1]) - log_likelihood(s, seen, a->place[0]);
    }
    return WHIST_OK;
}

const wh_audited wh_audited_step = {make, prove, enter, trial, leave};
