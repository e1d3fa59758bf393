/* account/rho.c: zero-concentrated privacy, and the central limit approximation. */
#include <math.h>

#include "dp/account/accountant.h"

static double reach_of(const whist_dp_event *e)
{
    return (e->relation == WHIST_DP_REPLACE ? 2 : 1) * (double)wh_dp_group(e);
}

/* Skellam noise, from its Renyi bound: with a >= 1, (2a-1) l2^2 + 6 l1 <= a (2 l2^2 + 6 l1). */
static double skellam_rho(const whist_dp_event *e, double reach)
{
    double l2 = reach * wh_dp_sensitivity(e), l1 = fmin(l2 * l2, sqrt((double)wh_dp_dimension(e)) * l2);
    double v = e->noise;
    /* The bound is for integer orders; a real one is at most the next, and ceil(a) <= 2a. */
    return 2 * (l2 * l2 / (2 * v) + fmin((2 * l2 * l2 + 6 * l1) / (4 * v * v), 3 * l1 / (2 * v)));
}

static whist_status one_use(double *rho, const whist_dp_event *e)
{
    double reach = reach_of(e), g = wh_dp_group(e), pure, levels = 0;
    switch (e->mechanism) {
    case WHIST_DP_GAUSSIAN: *rho = reach / e->noise * (reach / e->noise) / 2; return WHIST_OK;
    case WHIST_DP_DISCRETE_GAUSSIAN: /* Canonne, Kamath, Steinke 2020, Theorem 4 */
        pure = reach * wh_dp_sensitivity(e) / e->noise;
        *rho = pure * pure / 2;
        return WHIST_OK;
    case WHIST_DP_SKELLAM: *rho = skellam_rho(e, reach); return WHIST_OK;
    case WHIST_DP_TREE:
        for (uint64_t leaves = e->steps; leaves > 0; leaves >>= 1) levels++;
        *rho = levels * (reach / e->noise) * (reach / e->noise) / 2;
        return WHIST_OK;
    case WHIST_DP_CONCENTRATED: *rho = g * g * e->rho; return WHIST_OK;
    case WHIST_DP_EXPONENTIAL: *rho = g * e->epsilon * (g * e->epsilon) / 8; return WHIST_OK; /* bounded range */
    case WHIST_DP_LAPLACE: pure = reach / e->noise; break;
    case WHIST_DP_DISCRETE_LAPLACE: pure = reach * wh_dp_sensitivity(e) * e->noise; break;
    case WHIST_DP_RANDOMISED_RESPONSE: {
        double high = 1 - e->p + e->p / e->k, low = e->p / e->k;
        *rho = g * log(high / low) * log(high / low) / 2; /* each record answers for itself */
        return WHIST_OK;
    }
    case WHIST_DP_PERMUTE_AND_FLIP:
    case WHIST_DP_NOISY_MAX:
    case WHIST_DP_PURE: pure = g * e->epsilon; break;
    case WHIST_DP_APPROXIMATE:
        if (e->delta == 0) {
            pure = g * e->epsilon;
            break;
        }
        WH_FAIL(WHIST_E_UNSUPPORTED, "zcdp takes no event with a delta of its own: use rdp or pld");
    default: WH_FAIL(WHIST_E_UNSUPPORTED, "zcdp has no bound for %s: use rdp", whist_dp_mechanism_name(e->mechanism));
    }
    *rho = pure * pure / 2; /* Bun, Steinke 2016, Proposition 1.4 */
    return WHIST_OK;
}

whist_status wh_dp_event_rho(double *out, const whist_dp_event *event)
{
    double rho, more = 0, uses = (double)wh_dp_count(event);
    whist_dp_event e = *event;
    bool pass = e.sampling == WHIST_DP_SHUFFLED_PASS;
    if (e.sampling != WHIST_DP_ALL && !pass && !(e.sampling == WHIST_DP_POISSON && e.rate >= 1))
        WH_FAIL(WHIST_E_UNSUPPORTED, "zcdp is not amplified by sampling (%s): use rdp or pld",
                whist_dp_sampling_name(e.sampling));
    if (pass && e.relation == WHIST_DP_ADD_REMOVE) { /* one batch exchanges a record, the last loses one */
        WH_TRY(one_use(&more, &e));
        e.relation = WHIST_DP_REPLACE;
        if (wh_dp_states_epsilon(e.mechanism)) e.group = 2 * wh_dp_group(&e);
    }
    WH_TRY(one_use(&rho, &e));
    *out = uses * (rho + more);
    return WHIST_OK;
}

/* Bu, Dong, Long, Su 2020: mu = q sqrt(T (e^{1/sigma^2} - 1)); without sampling Gaussians are exact. */
whist_status wh_dp_event_gdp(double *out, const whist_dp_event *e)
{
    double uses = (double)wh_dp_count(e), mu = reach_of(e) / e->noise;
    const bool poisson = e->sampling == WHIST_DP_POISSON && e->rate < 1;
    const bool plain = e->sampling == WHIST_DP_ALL || (e->sampling == WHIST_DP_POISSON && !poisson);
    if (e->mechanism != WHIST_DP_GAUSSIAN || !(plain || (poisson && e->relation != WHIST_DP_REPLACE)))
        WH_FAIL(WHIST_E_UNSUPPORTED, "the central limit is known for Gaussian noise, all records or Poisson: use pld");
    if (poisson && wh_dp_group(e) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the central limit takes units of one record: use pld");
    *out = plain ? uses * mu * mu : uses * e->rate * e->rate * expm1(mu * mu);
    return WHIST_OK;
}
