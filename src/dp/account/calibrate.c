/* account/calibrate.c: the setting that just meets a target.
 *
 * Epsilon is monotone in noise, rate and count. Its logarithm is close to linear in theirs, so a bracketed secant in
 * logarithms needs few evaluations. PLD starts from the RDP answer, which is cheap and on the safe side. */
#include <math.h>

#include "dp/account/accountant.h"

WH_AUTO_FREE(whist_dp_odometer, whist_dp_odometer_free)

typedef struct search {
    const whist_dp_options *options;
    whist_dp_event *event;
    size_t n, which;
    whist_dp_knob knob;
    double epsilon, delta;
    double sign; /* +1: a larger setting costs more */
    double safe; /* the best setting known to be good, 0: none */
    whist_dp_answer answer;
} search;

static void turn(search *s, double value)
{
    whist_dp_event *e = &s->event[s->which];
    if (s->knob == WHIST_DP_NOISE) e->noise = value;
    if (s->knob == WHIST_DP_RATE) e->rate = value;
    if (s->knob == WHIST_DP_COUNT) e->count = (uint64_t)value;
}

/* Epsilon of all events as they are now: of an adaptive run what its odometer will say when the last has come. */
static whist_status epsilon_now(whist_dp_answer *answer, const search *s)
{
    WH_AUTO(whist_dp_accountant_ptr) a = NULL;
    if (s->options->adaptive) {
        WH_AUTO(whist_dp_odometer_ptr) odometer = NULL;
        WH_TRY(whist_dp_odometer_new(&odometer, s->options, s->delta, 0));
        for (size_t i = 0; i < s->n; i++) WH_TRY(whist_dp_odometer_charge(odometer, &s->event[i]));
        *answer = whist_dp_odometer_spent(odometer);
        return WHIST_OK;
    }
    WH_TRY(whist_dp_accountant_new(&a, s->options));
    for (size_t i = 0; i < s->n; i++) WH_TRY(whist_dp_compose(a, &s->event[i]));
    return whist_dp_epsilon(answer, a, s->delta);
}

/* log(epsilon(value) / target); keeps the setting where it is good. A large finite value stands for infinity. */
static whist_status evaluate(double *gap, search *s, double value)
{
    whist_dp_answer answer;
    turn(s, value);
    whist_status status = epsilon_now(&answer, s);
    if (status == WHIST_E_RANGE) {
        *gap = 50;
        return WHIST_OK;
    }
    WH_TRY(status);
    *gap = fmax(-50, fmin(50, log(answer.upper / s->epsilon)));
    bool better = s->safe == 0 || s->sign * (value - s->safe) > 0;
    if (answer.upper <= s->epsilon && better) {
        s->safe = value;
        s->answer = answer;
    }
    return WHIST_OK;
}

/* Walks from `from` in steps of a factor until good and bad are both known. */
static whist_status bracket(double *good, double *g_good, double *bad, double *g_bad, search *s, double from,
                            double low, double high)
{
    double x = fmin(fmax(from, low), high), factor = 1.1, g;
    WH_TRY(evaluate(&g, s, x));
    bool was_good = g <= 0;
    *good = *bad = 0;
    for (;;) {
        if (g <= 0)
            *good = x, *g_good = g;
        else
            *bad = x, *g_bad = g;
        if (*good > 0 && *bad > 0) return WHIST_OK;
        /* towards the unknown side: more cost where it was good, less where it was bad */
        double next = x * pow(factor, was_good ? s->sign : -s->sign);
        next = fmin(fmax(next, low), high);
        if (s->knob == WHIST_DP_COUNT) next = was_good ? ceil(next) + (next == x) : floor(next);
        if (next == x || next < low || next > high) return WHIST_OK;
        x = next;
        factor *= factor;
        WH_TRY(evaluate(&g, s, x));
    }
}

static bool done(const search *s, double good, double bad, double tolerance)
{
    if (s->knob == WHIST_DP_COUNT) return fabs(bad - good) <= 1;
    return fabs(bad / good - 1) <= tolerance;
}

static whist_status close_in(search *s, double good, double g_good, double bad, double g_bad, double tolerance)
{
    for (int i = 0; i < 100 && !done(s, good, bad, tolerance); i++) {
        double a = log(good), b = log(bad), g, share = g_good / (g_good - g_bad);
        double aim = exp(a + (b - a) * share), margin = 1 + tolerance / 3;
        /* Just on the good side first; then, that known, just on the bad side. Every third step halves. */
        double x = i % 3 == 2   ? exp((a + b) / 2)
                   : i % 3 == 0 ? aim * pow(margin, -s->sign)
                                : aim * pow(margin, s->sign);
        if (s->knob == WHIST_DP_COUNT) x = floor(x);
        if (!((x - good) * (x - bad) < 0)) x = exp((a + b) / 2);
        if (s->knob == WHIST_DP_COUNT) x = fmin(fmax(floor(x), good + 1), bad - 1);
        WH_TRY(evaluate(&g, s, x));
        if (g <= 0)
            good = x, g_good = g;
        else
            bad = x, g_bad = g;
    }
    return WHIST_OK;
}

static whist_status find(search *s, double from, double tolerance)
{
    static const double low[WHIST_DP_KNOBS] = {1e-3, 1e-9, 1}, high[WHIST_DP_KNOBS] = {1e7, 1, 1e12};
    static const char *const name[WHIST_DP_KNOBS] = {"noise", "rate", "count"};
    double good, g_good = 0, bad, g_bad = 0;
    s->safe = 0;
    WH_TRY(bracket(&good, &g_good, &bad, &g_bad, s, from, low[s->knob], high[s->knob]));
    if (good == 0)
        WH_FAIL(WHIST_E_RANGE, "no %s between %g and %g reaches epsilon %g at delta %g%s", name[s->knob], low[s->knob],
                high[s->knob], s->epsilon, s->delta, s->n > 1 ? ": the other events cost too much" : "");
    if (bad == 0) return WHIST_OK;
    return close_in(s, good, g_good, bad, g_bad, tolerance);
}

static whist_status check_knob(const whist_dp_event *e, whist_dp_knob knob)
{
    bool noisy = e->mechanism == WHIST_DP_GAUSSIAN || e->mechanism == WHIST_DP_LAPLACE ||
                 e->mechanism == WHIST_DP_DISCRETE_GAUSSIAN || e->mechanism == WHIST_DP_DISCRETE_LAPLACE ||
                 e->mechanism == WHIST_DP_SKELLAM || e->mechanism == WHIST_DP_GAUSSIAN_MIXTURE ||
                 e->mechanism == WHIST_DP_TREE;
    if (knob == WHIST_DP_NOISE && !noisy)
        WH_FAIL(WHIST_E_ARG, "%s has no noise to choose: find the count, or under Poisson sampling the rate",
                whist_dp_mechanism_name(e->mechanism));
    if (knob == WHIST_DP_RATE && e->sampling != WHIST_DP_POISSON)
        WH_FAIL(WHIST_E_ARG, "only Poisson sampling has a rate to choose");
    return WHIST_OK;
}

static double start_of(const search *s)
{
    const whist_dp_event *e = &s->event[s->which];
    if (s->knob == WHIST_DP_NOISE) return e->noise > 0 ? e->noise : 1;
    if (s->knob == WHIST_DP_RATE) return e->rate > 0 ? e->rate : 0.01;
    return e->count ? (double)e->count : 1;
}

/* The RDP answer where there is one, else where the caller stood. */
static whist_status rough_answer(double *from, search *s, double tolerance)
{
    whist_dp_options options = *s->options;
    const whist_dp_options *real = s->options;
    *from = start_of(s);
    if (options.method != WHIST_DP_PLD) return WHIST_OK;
    options.method = WHIST_DP_RDP;
    s->options = &options;
    whist_status status = find(s, *from, fmax(tolerance, 1e-2));
    s->options = real;
    if (status == WHIST_OK && s->safe > 0) *from = s->safe;
    return status == WHIST_E_NOMEM ? status : WHIST_OK;
}

whist_status whist_dp_calibrate(double *value, whist_dp_answer *answer, const whist_dp_options *options,
                                const whist_dp_event *event, size_t n, size_t which, whist_dp_knob knob, double epsilon,
                                double delta, double tolerance)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    whist_dp_event *copy = NULL;
    double from;
    WH_ENSURE(value && options && event && which < n && (unsigned)knob < WHIST_DP_KNOBS, WHIST_E_ARG);
    WH_ENSURE(n <= 4096, WHIST_E_ARG);
    if (!(epsilon > 0 && epsilon <= 1e6))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 1e6", epsilon);
    if (!(tolerance >= 0 && tolerance < 0.5))
        WH_FAIL(WHIST_E_ARG, "tolerance is %g: it must lie in [0, 0.5)", tolerance);
    WH_TRY(wh_dp_options_check(options));
    WH_TRY(wh_dp_delta_check(options, delta));
    WH_TRY(check_knob(&event[which], knob));
    WH_TRY(WH_ARENA_NEW(&copy, &arena, n));
    for (size_t i = 0; i < n; i++) copy[i] = event[i];
    double tol = tolerance > 0 ? tolerance : 1e-4;
    whist_dp_options fine = *options;
    if (fine.width == 0) fine.width = tol; /* epsilon as exact as the setting */
    search s = {&fine, copy, n, which, knob, epsilon, delta, .sign = knob == WHIST_DP_NOISE ? -1 : 1};
    if (knob == WHIST_DP_NOISE && event[which].mechanism == WHIST_DP_DISCRETE_LAPLACE) s.sign = 1;
    turn(&s, start_of(&s));
    for (size_t i = 0; i < n; i++) WH_TRY(whist_dp_event_check(&copy[i]));
    WH_TRY(rough_answer(&from, &s, tol));
    WH_TRY(find(&s, from, tol));
    *value = s.safe;
    if (answer) *answer = s.answer;
    return WHIST_OK;
}
