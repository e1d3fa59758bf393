/* fed/spend.c: curves, their sum and what it means. */
#include "fed/spend.h"

#include "dp/account/renyi.h"

#include <math.h>

#define NO_BOUND 1e280

/* Dense where budgets from 0.1 to 10 find their best order, far apart where only tiny ones do. */
const double wh_spend_orders[WH_SPEND_ORDERS] = {
    1.25, 1.5, 1.75, 2,  2.25, 2.5, 3,  3.5, 4,  4.5, 5,  6,  7,   8,   9,   10,
    12,   14,  16,   18, 20,   24,  28, 32,  40, 48,  64, 96, 128, 256, 512, 1024,
};

/* One step up: more than what an addition, a product or a logarithm of the C library is off by. */
static double up(double x)
{
    return x * (1 + 0x1p-50);
}

/* a + b, both > 0, rounded up and not beyond (Knuth's two-sum): four quarters are one. */
static double add_up(double a, double b)
{
    double sum = a + b, c = sum - a, left = (a - (sum - c)) + (b - c);
    return left > 0 ? nextafter(sum, INFINITY) : sum;
}

/* a * b the same way. */
static double times_up(double a, double b)
{
    double product = a * b;
    return fma(a, b, -product) > 0 ? nextafter(product, INFINITY) : product;
}

static bool is_nothing(const wh_spend *spend)
{
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++)
        if (spend->rdp[i] != 0) return false;
    return true;
}

void wh_spend_add(wh_spend *sum, const wh_spend *one)
{
    if (is_nothing(sum))
        sum->pure = one->pure;
    else if (!is_nothing(one))
        sum->pure = sum->pure > 0 && one->pure > 0 ? add_up(sum->pure, one->pure) : 0;
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) sum->rdp[i] = up(sum->rdp[i] + one->rdp[i]);
    sum->slack = up(sum->slack + one->slack);
}

wh_spend wh_spend_times(const wh_spend *one, uint64_t times)
{
    wh_spend sum = {.slack = 0};
    for (uint64_t i = 0; i < times; i++) wh_spend_add(&sum, one);
    return sum;
}

bool wh_spend_is_good(const wh_spend *spend)
{
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++)
        if (!(spend->rdp[i] >= 0) || isinf(spend->rdp[i])) return false;
    return spend->slack >= 0 && spend->slack < 1 && spend->pure >= 0 && isfinite(spend->pure);
}

/* What order alpha costs at delta, beside the divergence itself. */
static double conversion(double alpha, double delta)
{
    return log1p(-1 / alpha) - (log(delta) + log(alpha)) / (alpha - 1);
}

static double at_order(const wh_spend *spend, size_t i, double delta)
{
    double epsilon = spend->rdp[i] + conversion(wh_spend_orders[i], delta);
    return epsilon > 0 ? up(epsilon) : 0;
}

double wh_spend_epsilon(const wh_spend *spend, double delta)
{
    double left = delta - spend->slack, best = INFINITY;
    if (!(left > 0)) return INFINITY;
    if (is_nothing(spend)) return 0;
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) best = fmin(best, at_order(spend, i, left));
    return spend->pure > 0 ? fmin(best, spend->pure) : best;
}

/* The order at which (epsilon, delta) leaves most for a Gaussian: divergence over order. */
static size_t order_of(double epsilon, double delta)
{
    size_t best = 0;
    double most = -INFINITY;
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        double room = (epsilon - conversion(wh_spend_orders[i], delta)) / wh_spend_orders[i];
        if (room > most) most = room, best = i;
    }
    return best;
}

double wh_spend_filter(const wh_spend *spend, double epsilon, double delta)
{
    double left = delta - spend->slack;
    if (!(left > 0)) return INFINITY;
    if (is_nothing(spend)) return 0;
    const double curve = at_order(spend, order_of(epsilon, delta), left);
    return spend->pure > 0 ? fmin(curve, spend->pure) : curve;
}

bool wh_spend_fits(const wh_spend *spend, double epsilon, double delta)
{
    return wh_spend_filter(spend, epsilon, delta) <= epsilon;
}

double wh_spend_any_time(const wh_spend *spend, double delta)
{
    double left = delta - spend->slack, best = INFINITY;
    if (!(left > 0)) return INFINITY;
    if (is_nothing(spend)) return 0;
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++)
        best = fmin(best, up(spend->rdp[i] + log(WH_SPEND_ORDERS / left) / (wh_spend_orders[i] - 1)));
    return spend->pure > 0 ? fmin(best, spend->pure) : best;
}

double wh_spend_left(const wh_spend *spend, double epsilon, double delta)
{
    double low = 0, high = epsilon;
    for (int i = 0; i < 40 && high - low > 1e-7 * high; i++) {
        whist_dp_event event = {.mechanism = WHIST_DP_PURE, .epsilon = (low + high) / 2, .count = 1};
        wh_spend next = *spend, one;
        if (wh_spend_events(&one, &event, 1) != WHIST_OK) return low;
        wh_spend_add(&next, &one);
        if (wh_spend_fits(&next, epsilon, delta))
            low = event.epsilon;
        else
            high = event.epsilon;
    }
    return low;
}

/* ---- Releases ---- */

static wh_spend concentrated(double rho)
{
    wh_spend out = {.slack = 0};
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) out.rdp[i] = up(wh_spend_orders[i] * rho);
    return out;
}

wh_spend wh_spend_gaussian(double z)
{
    return concentrated(1 / (2 * z * z));
}

wh_spend wh_spend_discrete_gaussian(double *closeness, const wh_spend_shares *s)
{
    double square = s->sigma * s->sigma, tau = 0, m = (double)s->honest;
    for (size_t k = 1; k < s->honest; k++) tau += exp(-2 * M_PI * M_PI * square * ((double)k / (double)(k + 1)));
    tau = up(10 * tau);
    double ratio = s->sensitivity / (sqrt(m) * s->sigma);
    double joint = sqrt(ratio * ratio + tau * s->dimension / 2), apart = ratio + tau * sqrt(s->dimension);
    double epsilon = fmin(joint, apart);
    *closeness = tau;
    return concentrated(epsilon * epsilon / 2);
}

wh_spend wh_spend_skellam(const wh_spend_shares *s)
{
    wh_spend out = {.slack = 0};
    double mu = (double)s->honest * s->sigma * s->sigma, two = s->sensitivity * s->sensitivity;
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        double alpha = ceil(wh_spend_orders[i]);
        double far = ((2 * alpha - 1) * two + 6 * s->sensitivity1) / (4 * mu * mu), near = 1.5 * s->sensitivity1 / mu;
        out.rdp[i] = up(alpha * two / (2 * mu) + fmin(far, near));
    }
    return out;
}

/* Epsilon of one use of a pure mechanism in which every row takes part, rounded up; 0: it is none, or none is known. */
static double pure_of(const whist_dp_event *e)
{
    const double group = e->group > 1 ? e->group : 1, shift = e->relation == WHIST_DP_REPLACE ? 2 * group : group;
    if (e->sampling != WHIST_DP_ALL) return 0;
    switch (e->mechanism) {
    case WHIST_DP_LAPLACE: return up(shift / e->noise);
    case WHIST_DP_DISCRETE_LAPLACE: return times_up(shift * (e->sensitivity ? e->sensitivity : 1), e->noise);
    case WHIST_DP_RANDOMISED_RESPONSE: /* of a value; nothing is said here of one that comes or goes */
        return e->relation == WHIST_DP_REPLACE ? times_up(group, up(log1p(e->k * ((1 - e->p) / e->p)))) : 0;
    case WHIST_DP_EXPONENTIAL:
    case WHIST_DP_PERMUTE_AND_FLIP:
    case WHIST_DP_NOISY_MAX:
    case WHIST_DP_PURE:
    case WHIST_DP_APPROXIMATE: /* its delta is in the slack */ return times_up(group, e->epsilon);
    default: return 0;
    }
}

/* What is known at the accountant's orders only. A divergence grows with its order, so the next one up bounds ours. */
static void by_curve(wh_spend *out, const wh_dp_curve *curve)
{
    for (size_t i = 0, k = 0; i < WH_SPEND_ORDERS; i++) {
        while (k + 1 < WH_DP_ORDERS && wh_dp_order[k] < wh_spend_orders[i]) k++;
        out->rdp[i] = isfinite(curve->at[k]) ? fmin(up(curve->at[k]), NO_BOUND) : NO_BOUND;
    }
}

static whist_status event_spend(wh_spend *out, const whist_dp_event *event)
{
    wh_dp_curve curve;
    double uses = event->count ? (double)event->count : 1;
    WH_TRY(whist_dp_event_check(event));
    WH_TRY(wh_dp_event_curve(&curve, event)); /* for what lies outside of it */
    out->slack = up(-expm1(curve.log_keep));
    out->pure = times_up(pure_of(event), uses);
    if (event->mechanism == WHIST_DP_REPEAT) {
        by_curve(out, &curve);
        return WHIST_OK;
    }
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        double one;
        WH_TRY(wh_dp_event_order(&one, event, wh_spend_orders[i]));
        out->rdp[i] = isfinite(one) ? fmin(up(one * uses), NO_BOUND) : NO_BOUND;
    }
    return WHIST_OK;
}

whist_status wh_spend_events(wh_spend *out, const whist_dp_event *events, size_t n)
{
    wh_spend sum = {.slack = 0};
    for (size_t i = 0; i < n; i++) {
        wh_spend one = {.slack = 0};
        WH_TRY(event_spend(&one, &events[i]));
        wh_spend_add(&sum, &one);
    }
    *out = sum;
    return WHIST_OK;
}

/* ---- Calibration ---- */

static bool rounds_fit(double z, double epsilon, double delta, uint64_t rounds)
{
    wh_spend sum = wh_spend_gaussian(z);
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++)
        sum.rdp[i] *= (double)rounds * (1 + 0x1p-30); /* the ledger rounds up */
    return wh_spend_fits(&sum, epsilon, delta);
}

whist_status wh_spend_calibrate(double *z, double epsilon, double delta, uint64_t rounds)
{
    double low = 1e-3, high = 1e6;
    WH_ENSURE(epsilon > 0 && delta > 0 && delta < 1 && rounds > 0, WHIST_E_ARG);
    if (!rounds_fit(high, epsilon, delta, rounds))
        WH_FAIL(WHIST_E_RANGE, "no noise up to a million times the sensitivity keeps %llu rounds within epsilon %g",
                (unsigned long long)rounds, epsilon);
    while (high / low > 1 + 1e-6) {
        double middle = sqrt(low * high);
        if (rounds_fit(middle, epsilon, delta, rounds))
            high = middle;
        else
            low = middle;
    }
    *z = high;
    return WHIST_OK;
}
