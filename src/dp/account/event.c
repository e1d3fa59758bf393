/* account/event.c: what a well-formed event is. */
#include "dp/account/event.h"

#include <math.h>

static const char *const mechanisms[WHIST_DP_MECHANISMS] = {
    [WHIST_DP_GAUSSIAN] = "gaussian",
    [WHIST_DP_LAPLACE] = "laplace",
    [WHIST_DP_DISCRETE_GAUSSIAN] = "discrete_gaussian",
    [WHIST_DP_DISCRETE_LAPLACE] = "discrete_laplace",
    [WHIST_DP_SKELLAM] = "skellam",
    [WHIST_DP_RANDOMISED_RESPONSE] = "randomised_response",
    [WHIST_DP_EXPONENTIAL] = "exponential",
    [WHIST_DP_PERMUTE_AND_FLIP] = "permute_and_flip",
    [WHIST_DP_NOISY_MAX] = "noisy_max",
    [WHIST_DP_PURE] = "pure",
    [WHIST_DP_APPROXIMATE] = "approximate",
    [WHIST_DP_CONCENTRATED] = "concentrated",
    [WHIST_DP_GAUSSIAN_MIXTURE] = "gaussian_mixture",
    [WHIST_DP_TREE] = "tree",
    [WHIST_DP_REPEAT] = "repeat",
};
static const char *const samplings[WHIST_DP_SAMPLINGS] = {
    [WHIST_DP_ALL] = "all",
    [WHIST_DP_POISSON] = "poisson",
    [WHIST_DP_WITHOUT_REPLACEMENT] = "without_replacement",
    [WHIST_DP_TRUNCATED_POISSON] = "truncated_poisson",
    [WHIST_DP_SHUFFLED_PASS] = "shuffled_pass",
    [WHIST_DP_BALLS_IN_BINS] = "balls_in_bins",
};
static const char *const relations[WHIST_DP_RELATIONS] = {"add_remove", "replace", "zero_out"};
static const char *const units[WHIST_DP_UNITS] = {"record", "task", "site"};

#define NAME_OF(table, value) ((size_t)(value) < WH_COUNT(table) ? (table)[value] : NULL)

const char *whist_dp_mechanism_name(whist_dp_mechanism mechanism)
{
    return NAME_OF(mechanisms, mechanism);
}
const char *whist_dp_sampling_name(whist_dp_sampling sampling)
{
    return NAME_OF(samplings, sampling);
}
const char *whist_dp_relation_name(whist_dp_relation relation)
{
    return NAME_OF(relations, relation);
}
const char *whist_dp_unit_name(whist_dp_unit unit)
{
    return NAME_OF(units, unit);
}

/* ---- Fields ------------------------------------------------------------------------------------ */

/* The fields of a mechanism, then those of a sampling; event_json.c reads and writes by the same words. */
static const char *const mechanism_fields[WHIST_DP_MECHANISMS][6] = {
    [WHIST_DP_GAUSSIAN] = {"noise"},
    [WHIST_DP_LAPLACE] = {"noise"},
    [WHIST_DP_DISCRETE_GAUSSIAN] = {"noise", "sensitivity", "dimension"},
    [WHIST_DP_DISCRETE_LAPLACE] = {"noise", "sensitivity"},
    [WHIST_DP_SKELLAM] = {"noise", "sensitivity", "dimension"},
    [WHIST_DP_RANDOMISED_RESPONSE] = {"p", "k"},
    [WHIST_DP_EXPONENTIAL] = {"epsilon"},
    [WHIST_DP_PERMUTE_AND_FLIP] = {"epsilon"},
    [WHIST_DP_NOISY_MAX] = {"epsilon"},
    [WHIST_DP_PURE] = {"epsilon"},
    [WHIST_DP_APPROXIMATE] = {"epsilon", "delta"},
    [WHIST_DP_CONCENTRATED] = {"rho"},
    [WHIST_DP_GAUSSIAN_MIXTURE] = {"noise", "shift", "weight"},
    [WHIST_DP_TREE] = {"noise", "steps"},
    [WHIST_DP_REPEAT] = {"inner", "mean", "shape"},
};
static const char *const sampling_fields[WHIST_DP_SAMPLINGS][6] = {
    [WHIST_DP_POISSON] = {"rate"},
    [WHIST_DP_WITHOUT_REPLACEMENT] = {"n", "batch"},
    [WHIST_DP_TRUNCATED_POISSON] = {"rate", "n", "batch"},
    [WHIST_DP_SHUFFLED_PASS] = {"n", "batch"},
    [WHIST_DP_BALLS_IN_BINS] = {"bins"},
};

const char *const *wh_dp_mechanism_fields(whist_dp_mechanism mechanism)
{
    return mechanism_fields[mechanism];
}
const char *const *wh_dp_sampling_fields(whist_dp_sampling sampling)
{
    return sampling_fields[sampling];
}

/* ---- Checks ------------------------------------------------------------------------------------ */

/* NaN fails every comparison, so the good case is what is asked for. */
#define WITHIN(value, low, high) ((value) >= (low) && (value) <= (high))
#define NEED(good, ...)                                                                                                \
    do {                                                                                                               \
        if (!(good)) WH_FAIL(WHIST_E_ARG, __VA_ARGS__);                                                                \
    } while (0)

static whist_status check_noise(const whist_dp_event *e)
{
    NEED(WITHIN(e->noise, 1e-3, 1e9), "noise is %g: it must lie between 0.001 and 1e9", e->noise);
    return WHIST_OK;
}

static whist_status check_epsilon(const whist_dp_event *e)
{
    NEED(WITHIN(e->epsilon, 1e-9, 1e3), "epsilon is %g: it must lie between 1e-9 and 1000", e->epsilon);
    return WHIST_OK;
}

static whist_status check_integer(const whist_dp_event *e)
{
    WH_TRY(check_noise(e));
    NEED(wh_dp_sensitivity(e) <= 1u << 20, "sensitivity is %u: at most 2^20", (unsigned)e->sensitivity);
    return WHIST_OK;
}

static whist_status check_mixture(const whist_dp_event *e)
{
    double sum = 0;
    WH_TRY(check_noise(e));
    NEED(e->n_mixture >= 1 && e->n_mixture <= WHIST_DP_MIXTURE_MAX && e->shift && e->weight,
         "a mixture has 1 to %d shifts and as many weights", WHIST_DP_MIXTURE_MAX);
    for (size_t i = 0; i < e->n_mixture; i++) {
        NEED(WITHIN(e->shift[i], 0, 1e6), "shift %zu of the mixture is %g: it must lie between 0 and 1e6", i,
             e->shift[i]);
        NEED(WITHIN(e->weight[i], 0, 1), "weight %zu of the mixture is %g: it must lie between 0 and 1", i,
             e->weight[i]);
        sum += e->weight[i];
    }
    NEED(fabs(sum - 1) <= 1e-9, "the weights of the mixture sum to %.12g, not to 1", sum);
    return WHIST_OK;
}

static whist_status check_event(const whist_dp_event *e, bool inner);

static whist_status check_repeat(const whist_dp_event *e, bool inner)
{
    NEED(!inner, "repeat stands inside repeat");
    NEED(e->n_inner >= 1 && e->n_inner <= WHIST_DP_INNER_MAX && e->inner, "repeat runs 1 to %d inner events",
         WHIST_DP_INNER_MAX);
    NEED(WITHIN(e->mean, 1, 1e9), "mean is %g: the mean number of repetitions lies between 1 and 1e9", e->mean);
    NEED(WITHIN(e->shape, 0, 1e6) || e->shape == (double)INFINITY,
         "shape is %g: 1 (geometric), 0 (logarithmic), infinity (Poisson) or a number between", e->shape);
    for (size_t i = 0; i < e->n_inner; i++) {
        WH_TRY(check_event(&e->inner[i], true));
        NEED(e->inner[i].relation == e->relation && e->inner[i].unit == e->unit,
             "inner event %zu has another relation or unit than repeat", i);
    }
    return WHIST_OK;
}

static whist_status check_mechanism(const whist_dp_event *e, bool inner)
{
    switch (e->mechanism) {
    case WHIST_DP_GAUSSIAN:
    case WHIST_DP_LAPLACE: return check_noise(e);
    case WHIST_DP_DISCRETE_GAUSSIAN:
    case WHIST_DP_DISCRETE_LAPLACE:
    case WHIST_DP_SKELLAM: return check_integer(e);
    case WHIST_DP_RANDOMISED_RESPONSE:
        NEED(WITHIN(e->p, 1e-9, 1), "p is %g: it must lie between 1e-9 and 1", e->p);
        NEED(e->k >= 2, "k is %u: there are at least two values", (unsigned)e->k);
        return WHIST_OK;
    case WHIST_DP_EXPONENTIAL:
    case WHIST_DP_PERMUTE_AND_FLIP:
    case WHIST_DP_NOISY_MAX:
    case WHIST_DP_PURE: return check_epsilon(e);
    case WHIST_DP_APPROXIMATE:
        WH_TRY(check_epsilon(e));
        NEED(e->delta >= 0 && e->delta < 1, "delta is %g: it must lie in [0, 1)", e->delta);
        return WHIST_OK;
    case WHIST_DP_CONCENTRATED:
        NEED(WITHIN(e->rho, 1e-15, 1e6), "rho is %g: it must lie between 1e-15 and 1e6", e->rho);
        return WHIST_OK;
    case WHIST_DP_GAUSSIAN_MIXTURE: return check_mixture(e);
    case WHIST_DP_TREE:
        WH_TRY(check_noise(e));
        NEED(e->steps >= 1 && e->steps <= UINT64_C(1) << 48, "steps: a tree has 1 to 2^48 leaves");
        return WHIST_OK;
    case WHIST_DP_REPEAT: return check_repeat(e, inner);
    default: WH_FAIL(WHIST_E_ARG, "there is no mechanism %d", (int)e->mechanism);
    }
}

static whist_status check_sampling(const whist_dp_event *e)
{
    switch (e->sampling) {
    case WHIST_DP_ALL: return WHIST_OK;
    case WHIST_DP_TRUNCATED_POISSON:
    case WHIST_DP_POISSON:
        NEED(WITHIN(e->rate, 1e-9, 1), "rate is %g: it must lie between 1e-9 and 1", e->rate);
        if (e->sampling == WHIST_DP_POISSON) return WHIST_OK;
        NEED(e->batch >= 1 && e->n >= 1 && e->n <= UINT64_C(1) << 40,
             "truncated Poisson needs n (1 to 2^40) and batch, the most records that are kept");
        return WHIST_OK;
    case WHIST_DP_WITHOUT_REPLACEMENT:
    case WHIST_DP_SHUFFLED_PASS:
        NEED(e->batch >= 1 && e->batch <= e->n && e->n <= UINT64_C(1) << 40,
             "%s needs n and batch, 1 <= batch <= n <= 2^40", samplings[e->sampling]);
        return WHIST_OK;
    case WHIST_DP_BALLS_IN_BINS:
        NEED(e->bins >= 1 && e->bins <= UINT64_C(1) << 32, "balls in bins needs bins, 1 to 2^32");
        return WHIST_OK;
    default: WH_FAIL(WHIST_E_ARG, "there is no sampling %d", (int)e->sampling);
    }
}

static bool may_be_sampled(const whist_dp_event *e)
{
    return e->mechanism != WHIST_DP_TREE && e->mechanism != WHIST_DP_REPEAT &&
           e->mechanism != WHIST_DP_GAUSSIAN_MIXTURE;
}

static whist_status check_event(const whist_dp_event *e, bool inner)
{
    WH_TRY(check_mechanism(e, inner));
    WH_TRY(check_sampling(e));
    NEED(e->sampling == WHIST_DP_ALL || may_be_sampled(e), "a %s event brings its own sampling: use \"all\"",
         mechanisms[e->mechanism]);
    NEED((unsigned)e->relation < WHIST_DP_RELATIONS, "there is no relation %d", (int)e->relation);
    NEED((unsigned)e->unit < WHIST_DP_UNITS, "there is no unit of privacy %d", (int)e->unit);
    NEED(e->count <= UINT64_C(1) << 40, "count: at most 2^40 uses");
    NEED(e->group <= 1u << 20, "group: at most 2^20 records of one unit");
    return WHIST_OK;
}

whist_status whist_dp_event_check(const whist_dp_event *event)
{
    WH_ENSURE(event, WHIST_E_ARG);
    return check_event(event, false);
}
