/* fed/plan.c: which parts go together. Each refusal says why and what to change. */
#include "base/status.h"
#include "fed/layout.h"
#include "fed/private.h"
#include "fed/schedule.h"

#include <whist/fed.h>

#include <math.h>
#include <string.h>

static bool same_vectors(const whist_fed_plan *plan)
{
    size_t k = 0;
    for (; plan->learner->vectors[k] && plan->strategy->vectors[k].name; k++)
        if (strcmp(plan->learner->vectors[k], plan->strategy->vectors[k].name) != 0) return false;
    return !plan->learner->vectors[k] && !plan->strategy->vectors[k].name;
}

static whist_status check_learner(const whist_fed_plan *plan)
{
    if (!same_vectors(plan) || plan->learner->n_broadcast > plan->strategy->n_broadcast)
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "learner %s and strategy %s do not fit together: the strategy needs another update than the learner makes "
            "(the strategy scaffold and the learner scaffold go with each other alone)",
            plan->learner->name, plan->strategy->name);
    return WHIST_OK;
}

static whist_status check_protection(const whist_fed_plan *plan)
{
    const whist_protection_class *protection = plan->protection;
    if (plan->strategy->sequential && !protection->shows_updates)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "strategy %s shows the coordinator each site's update by its nature, which protection %s is there to "
                "prevent: use protection none, or another strategy",
                plan->strategy->name, protection->name);
    if (protection->n_parties != plan->n_parties)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "protection %s needs %zu third parties, the study names %zu: change parties:", protection->name,
                protection->n_parties, plan->n_parties);
    size_t uploads = 0;
    for (size_t i = 0; i < protection->n_phases; i++) uploads += protection->phases[i].upload;
    if (uploads != 1 || protection->n_phases > 8)
        WH_FAIL(WHIST_E_UNSUPPORTED, "protection %s must have 1 to 8 phases, one of them an upload", protection->name);
    return WHIST_OK;
}

static whist_status check_fixed(const whist_fed_plan *plan)
{
    if (plan->bits < 8 || plan->bits > 64 || plan->fraction + 2 > plan->bits)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "fixed point of %u bits with %u behind the point: bits must be 8 … 64 and "
                "fraction at most bits - 2",
                plan->bits, plan->fraction);
    size_t cohort = wh_schedule_sample(plan);
    double limit = ldexp(1, (int)plan->bits - 1 - (int)plan->fraction) / (double)cohort;
    if (limit < 1)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "with %u bits, %u behind the point and %zu sites in a round a site could not even send the number 1: "
                "raise bits or "
                "lower fraction",
                plan->bits, plan->fraction, plan->n_sites);
    return WHIST_OK;
}

static whist_status check_sites(const whist_fed_plan *plan)
{
    if (plan->n_sites == 0) WH_FAIL(WHIST_E_UNSUPPORTED, "the study names no site");
    if (plan->min_sites > plan->n_sites)
        WH_FAIL(WHIST_E_UNSUPPORTED, "min_sites is %zu, but the study has %zu sites", plan->min_sites, plan->n_sites);
    if (!(plan->sample_fraction > 0 && plan->sample_fraction <= 1))
        WH_FAIL(WHIST_E_UNSUPPORTED, "sampling fraction %g is outside (0, 1]", plan->sample_fraction);
    if (plan->n_metrics > WHIST_MAX_METRICS)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%zu metrics; at most %d are supported", plan->n_metrics, WHIST_MAX_METRICS);
    if (plan->stop_early && plan->n_metrics == 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "early stopping watches the first metric, but metrics: is empty");
    return WHIST_OK;
}

whist_status whist_fed_plan_check(const whist_fed_plan *plan)
{
    WH_ENSURE(plan && plan->model && plan->learner && plan->strategy && plan->protection, WHIST_E_ARG);
    WH_TRY(check_sites(plan));
    WH_TRY(check_learner(plan));
    WH_TRY(check_protection(plan));
    WH_TRY(check_fixed(plan));
    return wh_private_check(plan);
}
