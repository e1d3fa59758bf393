/* study/study_private.c: what a private learner's settings promise, beside what the study says: told by the file alone,
 * so that nobody trains before a ledger refuses. */
#include "study/study_object.h"

#include "fed/spend.h"
#include "learn/dp_step.h"
#include "learn/ftrl_step.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"

#define REFUSE(...) WH_FAIL(WHIST_E_UNSUPPORTED, "privacy: " __VA_ARGS__)

/* What a learner of ours promises: events of one round, or of one of the runs that rounds make, and how many of them
 * the plan has. A last run that rounds cut short is left out: it costs less than a whole one. */
typedef struct promise {
    whist_dp_event events[WHIST_MAX_EVENTS];
    size_t n;
    uint64_t times, rows;
} promise;

static whist_status ftrl_promise(promise *out, const whist_fed_plan *plan)
{
    wh_ftrl_options options;
    wh_ftrl_options_read(&options, plan->learner_settings);
    whist_status status = wh_ftrl_check(&options);
    if (status != WHIST_OK)
        return wh_fail_context(
            status, "learner dp-ftrl, with runs of %llu steps (updates times span) in passes of %llu (pass): ",
            (unsigned long long)options.steps, (unsigned long long)options.bins);
    out->n = wh_ftrl_events(out->events, &options);
    out->rows = options.rows;
    out->times = plan->rounds / (uint64_t)whist_settings_int(plan->learner_settings, "span");
    return WHIST_OK;
}

static whist_status promise_of(promise *out, const whist_fed_plan *plan)
{
    const whist_settings *settings = plan->learner_settings;
    const bool query = plan->learner == &wh_learner_dp_fomaml;
    wh_dp_step_options options;
    uint64_t steps;
    *out = (promise){.times = plan->rounds};
    if (plan->learner == &wh_learner_dp_ftrl) return ftrl_promise(out, plan);
    if (plan->learner == &wh_learner_dp_sgd) {
        wh_dp_step_options_read(&options, settings);
        steps = (uint64_t)whist_settings_int(settings, "updates");
    } else if (query || plan->learner == &wh_learner_dp_reptile) {
        steps = wh_meta_records_read(&options, settings, query);
    } else {
        return WHIST_OK;
    }
    out->n = wh_dp_step_events(out->events, &options, steps);
    out->rows = options.rows;
    return WHIST_OK;
}

static whist_status check_rounds(const whist_fed_plan *plan, promise *one)
{
    const whist_fed_privacy *p = plan->privacy;
    wh_spend all;
    if (one->times == 0) return WHIST_OK;
    for (size_t i = 0; i < one->n; i++)
        one->events[i].count = (one->events[i].count ? one->events[i].count : 1) * one->times;
    WH_TRY(wh_spend_events(&all, one->events, one->n));
    if (wh_spend_fits(&all, p->epsilon, p->delta)) return WHIST_OK;
    REFUSE("%u rounds of learner %s spend epsilon %.4g for one record at delta %g, and a ledger that allows %g has to "
           "refuse before the end: raise noise, lower updates, rate or rounds, or raise epsilon",
           plan->rounds, plan->learner->name, wh_spend_epsilon(&all, p->delta), p->delta, p->epsilon);
}

whist_status wh_study_check_learner(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    promise one;
    WH_TRY(promise_of(&one, plan));
    if (!p || one.n == 0) return WHIST_OK;
    if (p->unit != one.events[0].unit || p->relation != one.events[0].relation)
        REFUSE(
            "learner %s promises something about one %s (%s), the study about one %s (%s): set unit and relation alike",
            plan->learner->name, whist_dp_unit_name(one.events[0].unit), whist_dp_relation_name(one.events[0].relation),
            whist_dp_unit_name(p->unit), whist_dp_relation_name(p->relation));
    if (one.rows > p->units)
        REFUSE(
            "the learner counts on up to %llu rows and units says %llu: delta is judged by the larger one, so say it",
            (unsigned long long)one.rows, (unsigned long long)p->units);
    return check_rounds(plan, &one);
}
