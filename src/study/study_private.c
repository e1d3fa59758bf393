/* study/study_private.c: public bounds of a private learner's settings beside those of the study. What the two spend
 * together is the plan's affair (fed/private_check.c). */
#include "study/study_object.h"

#include "base/settings.h"
#include "learn/ftrl_step.h"
#include "learn/learners.h"
#include "meta/learners.h"

#define REFUSE(...) WH_FAIL(WHIST_E_UNSUPPORTED, "privacy: " __VA_ARGS__)

/* Steps, passes and bands of correlated noise that go together. */
static whist_status check_ftrl(const whist_fed_plan *plan)
{
    wh_ftrl_options options;
    wh_ftrl_options_read(&options, plan->learner_settings);
    whist_status status = wh_ftrl_check(&options);
    if (status == WHIST_OK) return WHIST_OK;
    return wh_fail_context(status,
                           "learner dp-ftrl, with runs of %llu steps (updates times span) in passes of %llu (pass): ",
                           (unsigned long long)options.steps, (unsigned long long)options.bins);
}

/* How many units the learner counts on at one site; 0: it says nothing of it. */
static uint64_t counts_on(const whist_fed_plan *plan, const char **what)
{
    const whist_settings *s = plan->learner_settings;
    *what = plan->learner->unit == WHIST_DP_TASK ? "persons" : "rows";
    return s && wh_settings_has(s, *what) ? (uint64_t)whist_settings_int(s, *what) : 0;
}

whist_status wh_study_check_learner(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    const char *what;
    if (plan->learner == &wh_learner_dp_ftrl) WH_TRY(check_ftrl(plan));
    if (plan->learner == &wh_learner_prototypes) WH_TRY(wh_meta_prototypes_check(plan->model));
    if (!p || !plan->learner->spends || plan->learner->unit != p->unit) return WHIST_OK;
    const uint64_t most = counts_on(plan, &what);
    if (most > p->units)
        REFUSE("the learner counts on up to %llu %s and units says %llu: delta is judged by the larger one, so say it",
               (unsigned long long)most, what, (unsigned long long)p->units);
    return WHIST_OK;
}
