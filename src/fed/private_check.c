/* fed/private_check.c: the trust table. A study that is not in it is refused, with the reason and the change to make.
 */
#include "draw/sample.h"
#include "fed/layout.h"
#include "fed/private.h"
#include "fed/schedule.h"

#include <math.h>
#include <string.h>

#define REFUSE(...) WH_FAIL(WHIST_E_UNSUPPORTED, "privacy: " __VA_ARGS__)

/* ---- Numbers ---- */

static uint64_t public_units(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    return p->unit == WHIST_DP_SITE ? plan->n_sites : p->units;
}

static whist_status check_numbers(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (!(p->epsilon > 0) || !isfinite(p->epsilon)) REFUSE("epsilon must be a number above 0");
    if (!(p->delta > 0 && p->delta < 1)) REFUSE("delta must lie between 0 and 1");
    uint64_t n = public_units(plan);
    if (n == 0)
        REFUSE("units: is missing: a public upper bound on the number of %ss, so that delta can be seen to be small",
               whist_dp_unit_name(p->unit));
    if (p->delta * (double)n >= 1)
        REFUSE("delta %g is not below 1/%llu: with that, giving away one %s whole would count as private; lower delta",
               p->delta, (unsigned long long)n, whist_dp_unit_name(p->unit));
    if (!(p->sigma >= 0) || !isfinite(p->sigma) || (p->sigma > 0 && !(p->clip > 0 && isfinite(p->clip))))
        REFUSE("clip must be above 0: without a bound on what one site adds no noise hides it");
    return WHIST_OK;
}

/* ---- Parts that would tell more than the noised sum ---- */

static whist_status check_parts(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    const whist_strategy_class *strategy = plan->strategy;
    if (plan->pooled_moments)
        REFUSE("data.standardize: pooled sends sums of the columns without noise: take site, or none");
    if (strategy->baseline != WHIST_BASELINE_NONE)
        REFUSE("strategy %s is a baseline to compare with: leave out privacy there", strategy->name);
    if (strategy->sequential) REFUSE("strategy %s opens one site's update after another: take fedavg", strategy->name);
    if (strategy->vectors[1].name)
        REFUSE("strategy %s sends a second vector that nothing bounds: take fedavg or an adaptive one", strategy->name);
    if (strategy->vectors[0].weighting == WHIST_WEIGHT_ROWS_PER_STEP)
        REFUSE("strategy %s weights by rows per step, which are the sites' own: take fedavg, where weights are public",
               strategy->name);
    if (plan->stop_early && !p->plain_metrics)
        REFUSE("early_stopping looks at metrics, which stay at the sites: leave it out, or say metrics: plain");
    return WHIST_OK;
}

/* ---- Rows of the table ---- */

/* A learner that sums over records and hides nothing itself. */
static whist_status check_records(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    const char *name = plan->learner->name;
    whist_record_sum sum;
    if (p->unit != WHIST_DP_RECORD)
        REFUSE("learner %s bounds what one record adds, and nothing else: say unit record, or take another learner",
               name);
    if (!(p->sigma > 0))
        REFUSE("learner %s adds no noise: give clip, with sigma or a budget that it can be found for; noise in shares "
               "needs honest, too",
               name);
    if (p->adaptive) REFUSE("adaptive_clip is about whole updates, not about records: leave it out");
    for (size_t i = 0; i < plan->n_sites; i++)
        if (wh_private_weight(plan, i) != 1)
            REFUSE("a record counts alike at every site: leave out the weight of %s", plan->sites[i].name);
    return plan->learner->records(&sum, plan->model, plan->learner_settings, p->clip, ldexp(1, -(int)plan->fraction));
}

static whist_status check_distributed(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (plan->protection->shows_updates)
        REFUSE(
            "distributed noise is a share of what hides a site: alone it hides nothing, and protection %s shows each "
            "update to the coordinator; take a protection that opens sums only, or noise central or local",
            plan->protection->name);
    if (p->mechanism == WHIST_MECHANISM_GAUSSIAN)
        REFUSE("distributed noise lives on whole numbers: take mechanism discrete-gaussian or skellam");
    if (p->honest == 0)
        REFUSE("distributed noise needs honest: the least number of honest sites that stay to the end; each adds one "
               "part in so many");
    if (plan->min_sites < p->honest + p->colluders)
        REFUSE("with sampling.min_sites %zu and %zu colluders only %zu honest sites are sure to stay, and honest says "
               "%zu: "
               "raise min_sites to %zu, or lower honest",
               plan->min_sites, p->colluders, plan->min_sites > p->colluders ? plan->min_sites - p->colluders : 0,
               p->honest, p->honest + p->colluders);
    return WHIST_OK;
}

static whist_status check_unit(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    bool learner = plan->learner->spends != NULL;
    const char *unit = whist_dp_unit_name(p->unit);
    const char *objection =
        plan->learner->objection ? plan->learner->objection(plan->learner_settings, p->unit, p->plain_metrics) : NULL;
    if (objection) REFUSE("unit %s with learner %s: %s", unit, plan->learner->name, objection);
    const bool ours = p->unit == WHIST_DP_SITE || (p->unit == WHIST_DP_RECORD && plan->learner->records);
    if (ours && p->noise == WHIST_NOISE_DISTRIBUTED) WH_TRY(check_distributed(plan));
    if (ours && !(p->clip > 0))
        REFUSE("clip is missing: the bound on what one %s adds, without which no noise hides it", unit);
    if (plan->learner->records) return check_records(plan);
    if (p->unit == WHIST_DP_SITE && p->sigma > 0) return WHIST_OK;
    if (p->unit == WHIST_DP_SITE) REFUSE("unit site needs sigma, or epsilon with rounds that noise can be found for");
    if (p->noise != WHIST_NOISE_LOCAL)
        REFUSE(
            "unit %s with %s noise needs one-step sums of gradients that are clipped one by one, which learner %s does "
            "not make: take learner record-sum for records, noise local with a private learner, or unit site",
            unit, whist_privacy_noise_name(p->noise), plan->learner->name);
    if (p->sigma > 0)
        REFUSE(
            "unit %s with local noise: the learner bounds and noises single %ss itself; leave out clip and sigma here",
            unit, unit);
    if (!learner)
        REFUSE("unit %s needs a learner that adds the noise itself, and %s adds none: take a private learner, or unit "
               "site",
               unit, plan->learner->name);
    if (plan->learner->unit != p->unit)
        REFUSE("learner %s hides one %s, and the study promises something about one %s: say unit %s, or take another "
               "learner",
               plan->learner->name, whist_dp_unit_name(plan->learner->unit), unit,
               whist_dp_unit_name(plan->learner->unit));
    return WHIST_OK;
}

static whist_status check_noise(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (p->noise == WHIST_NOISE_DISTRIBUTED) return check_distributed(plan);
    if (p->mechanism != WHIST_MECHANISM_GAUSSIAN)
        REFUSE("mechanism %s is for distributed noise: take gaussian", whist_privacy_mechanism_name(p->mechanism));
    return WHIST_OK;
}

/* ---- Room on the grid ---- */

#define SKELLAM_MOST 0x1p15 /* standard deviation (draw/cumulative.h) */

static whist_status check_grid(const whist_fed_plan *plan, double clip)
{
    const whist_fed_privacy *p = plan->privacy;
    wh_private rules = wh_private_rules(plan, clip);
    double n = (double)wh_schedule_sample(plan), half = ldexp(1, (int)(plan->bits < 62 ? plan->bits : 62) - 1);
    bool distributed = p->noise == WHIST_NOISE_DISTRIBUTED;
    if (rules.sigma > WH_SAMPLE_MOST || rules.norm > WH_SAMPLE_MOST)
        REFUSE("the noise is %.3g steps of a grid of 2^-%u, and at most 2^40 can be drawn: lower protection.fraction",
               rules.sigma, plan->fraction);
    if (p->mechanism == WHIST_MECHANISM_SKELLAM && rules.sigma > SKELLAM_MOST)
        REFUSE("skellam noise of %.3g steps of a grid of 2^-%u: at most %g can be drawn; lower protection.fraction, or "
               "take "
               "discrete-gaussian",
               rules.sigma, plan->fraction, SKELLAM_MOST);
    if (rules.sigma < (distributed ? 0.5 : 0x1p-10) || rules.norm < 1)
        REFUSE("the noise is %.3g steps of a grid of 2^-%u: too coarse; raise protection.fraction", rules.sigma,
               plan->fraction);
    if (!distributed && n * rules.most >= half)
        REFUSE("the sum of %g sites of norm %g does not fit in %u bits, %u behind the point: raise protection.bits or "
               "lower fraction",
               n, rules.most * rules.step, plan->bits, plan->fraction);
    if (distributed && wh_private_charge(plan, clip).wrap * plan->rounds > p->delta / 10)
        REFUSE("the sum wraps with probability %.2g in a round: raise protection.bits or lower fraction",
               wh_private_charge(plan, clip).wrap);
    return WHIST_OK;
}

static whist_status check_adaptive(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (!p->adaptive) return check_grid(plan, p->clip);
    if (!(p->quantile > 0 && p->quantile < 1)) REFUSE("adaptive_clip.quantile lies between 0 and 1");
    if (!(wh_private_count_sigma(plan) > p->sigma / 2))
        REFUSE(
            "adaptive_clip.count_sigma must be above sigma / 2 = %g: the number that says whose update was smaller is "
            "noised together with the update",
            p->sigma / 2);
    WH_TRY(check_grid(plan, p->clip * WH_PRIVATE_CLIP_RANGE));
    return check_grid(plan, p->clip / WH_PRIVATE_CLIP_RANGE);
}

static whist_status check_budget(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (wh_private_fits(plan)) return WHIST_OK;
    REFUSE("%u rounds with sigma %g spend epsilon %.4g for one %s at delta %g, and a ledger that allows %g has to "
           "refuse before the end: raise sigma, take fewer rounds, or leave out sigma and let it be found",
           plan->rounds, p->sigma, wh_private_epsilon(plan, plan->rounds), whist_dp_unit_name(p->unit), p->delta,
           p->epsilon);
}

/* What the learner will ask for in all, by its settings alone. */
static whist_status check_learner_budget(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
    size_t n = 0;
    wh_spend all;
    if (!plan->learner->plans || !plan->learner_settings) return WHIST_OK;
    WH_TRY(plan->learner->plans(plan->learner_settings, plan->rounds, events, &n));
    for (size_t i = 0; i < n; i++)
        if (events[i].unit != p->unit || events[i].relation != p->relation)
            REFUSE("learner %s promises something about one %s (%s), the study about one %s (%s): set unit and "
                   "relation alike",
                   plan->learner->name, whist_dp_unit_name(events[i].unit), whist_dp_relation_name(events[i].relation),
                   whist_dp_unit_name(p->unit), whist_dp_relation_name(p->relation));
    WH_TRY(wh_spend_events(&all, events, n));
    if (wh_spend_fits(&all, p->epsilon, p->delta)) return WHIST_OK;
    REFUSE("%u rounds of learner %s spend epsilon %.4g for one %s at delta %g, and a ledger that allows %g has to "
           "refuse before the end: raise noise, lower updates, rate or rounds, or raise epsilon",
           plan->rounds, plan->learner->name, wh_spend_epsilon(&all, p->delta), whist_dp_unit_name(p->unit), p->delta,
           p->epsilon);
}

whist_status wh_private_check(const whist_fed_plan *plan)
{
    if (!plan->privacy) {
        if (plan->learner->records)
            WH_FAIL(
                WHIST_E_UNSUPPORTED,
                "learner %s makes sums for noise in shares, but the study makes no promise: add privacy: with unit: "
                "record, noise, clip, epsilon and delta",
                plan->learner->name);
        if (plan->learner->spends)
            WH_FAIL(
                WHIST_E_UNSUPPORTED,
                "learner %s is private, but the study makes no promise: add privacy: with unit, noise: local, epsilon "
                "and delta",
                plan->learner->name);
        return WHIST_OK;
    }
    WH_TRY(check_numbers(plan));
    WH_TRY(check_parts(plan));
    WH_TRY(check_unit(plan));
    if (!wh_private_is_on(plan)) return check_learner_budget(plan);
    WH_TRY(check_noise(plan));
    WH_TRY(check_adaptive(plan));
    return check_budget(plan);
}
