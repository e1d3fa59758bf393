/* study/study_private.c: what a private learner's settings promise, beside what the study says: told by the file alone,
 * so that nobody trains before a ledger refuses. */
#include "study/study_object.h"

#include "fed/spend.h"
#include "learn/dp_step.h"
#include "learn/learners.h"

#define REFUSE(...) WH_FAIL(WHIST_E_UNSUPPORTED, "privacy: " __VA_ARGS__)

static whist_status check_rounds(const whist_fed_plan *plan, whist_dp_event *events, size_t n)
{
    const whist_fed_privacy *p = plan->privacy;
    wh_spend all;
    for (size_t i = 0; i < n; i++) events[i].count = (events[i].count ? events[i].count : 1) * plan->rounds;
    WH_TRY(wh_spend_events(&all, events, n));
    if (wh_spend_fits(&all, p->epsilon, p->delta)) return WHIST_OK;
    REFUSE("%u rounds of learner %s spend epsilon %.4g for one record at delta %g, and a ledger that allows %g has to "
           "refuse before the end: raise noise, lower updates, rate or rounds, or raise epsilon",
           plan->rounds, plan->learner->name, wh_spend_epsilon(&all, p->delta), p->delta, p->epsilon);
}

whist_status wh_study_check_learner(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
    wh_dp_step_options options;
    if (!p || plan->learner != &wh_learner_dp_sgd) return WHIST_OK;
    wh_dp_step_options_read(&options, plan->learner_settings);
    const size_t n =
        wh_dp_step_events(events, &options, (uint64_t)whist_settings_int(plan->learner_settings, "updates"));
    if (p->unit != events[0].unit || p->relation != events[0].relation)
        REFUSE(
            "learner %s promises something about one %s (%s), the study about one %s (%s): set unit and relation alike",
            plan->learner->name, whist_dp_unit_name(events[0].unit), whist_dp_relation_name(events[0].relation),
            whist_dp_unit_name(p->unit), whist_dp_relation_name(p->relation));
    if (options.rows > p->units)
        REFUSE(
            "the learner counts on up to %llu rows and units says %llu: delta is judged by the larger one, so say it",
            (unsigned long long)options.rows, (unsigned long long)p->units);
    return check_rounds(plan, events, n);
}
