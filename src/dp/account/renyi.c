/* account/renyi.c: the curve of an event, and what it promises. */
#include "dp/account/renyi.h"

#include <math.h>

#include "dp/account/accountant.h"
#include "dp/account/closed.h"

#define TENTH(x) (x) + 0.1, (x) + 0.2, (x) + 0.3, (x) + 0.4, (x) + 0.5, (x) + 0.6, (x) + 0.7, (x) + 0.8, (x) + 0.9
#define DECADE(x) (x) + 0, (x) + 1, (x) + 2, (x) + 3, (x) + 4, (x) + 5, (x) + 6, (x) + 7, (x) + 8, (x) + 9
#define OCTAVE(e, next) 0x1.8p##e, 0x1p##next
const double wh_dp_order[WH_DP_ORDERS] = {
    TENTH(1),
    2,
    TENTH(2),
    3,
    TENTH(3),
    4,
    TENTH(4),
    5,
    TENTH(5),
    6,
    TENTH(6),
    7,
    TENTH(7),
    8,
    TENTH(8),
    9,
    TENTH(9),
    10,
    TENTH(10),
    DECADE(11),
    DECADE(21),
    DECADE(31),
    DECADE(41),
    DECADE(51),
    61,
    62,
    63,
    128,
    256,
    512,
    1024,
    OCTAVE(10, 11),
    OCTAVE(11, 12),
    OCTAVE(12, 13),
    OCTAVE(13, 14),
    OCTAVE(14, 15),
    OCTAVE(15, 16),
    OCTAVE(16, 17),
    OCTAVE(17, 18),
    OCTAVE(18, 19),
    OCTAVE(19, 20),
    OCTAVE(20, 21),
    OCTAVE(21, 22),
    OCTAVE(22, 23),
    OCTAVE(23, 24),
    OCTAVE(24, 25),
    OCTAVE(25, 26),
    OCTAVE(26, 27),
    OCTAVE(27, 28),
    OCTAVE(28, 29),
    OCTAVE(29, 30),
    OCTAVE(30, 31),
    OCTAVE(31, 32),
    OCTAVE(32, 33),
    OCTAVE(33, 34),
    OCTAVE(34, 35),
    OCTAVE(35, 36),
};

/* ---- Conversion -------------------------------------------------------------------------------- */

double wh_dp_curve_epsilon(double *order, const wh_dp_curve *curve, double delta)
{
    /* (1 - D) of the mass is private: the rest of delta is for that. */
    double lost = -expm1(curve->log_keep), left = (delta - lost) / (1 - lost), best = INFINITY;
    *order = 0;
    if (!(left > 0)) return INFINITY;
    for (size_t i = 0; i < WH_DP_ORDERS; i++) {
        double a = wh_dp_order[i], eps = curve->at[i] + log1p(-1 / a) - log(left * a) / (a - 1);
        if (eps < best) best = eps, *order = a;
    }
    return fmax(best, 0);
}

double wh_dp_curve_delta(double *order, const wh_dp_curve *curve, double epsilon)
{
    double best = 0;
    *order = 0;
    for (size_t i = 0; i < WH_DP_ORDERS; i++) {
        double a = wh_dp_order[i], log_delta = (a - 1) * (curve->at[i] - epsilon + log1p(-1 / a)) - log(a);
        if (log_delta < best) best = log_delta, *order = a;
    }
    double lost = -expm1(curve->log_keep);
    return fmin(1, lost + (1 - lost) * exp(best));
}

/* ---- Events ------------------------------------------------------------------------------------ */

static whist_status all_pairs(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part part[WH_DP_PARTS_MAX];
    double one[WH_DP_ORDERS];
    size_t n_parts;
    WH_TRY(wh_dp_parts(part, &n_parts, &arena, e));
    for (size_t i = 0; i < n; i++) out[i] = 0;
    for (size_t p = 0; p < n_parts; p++) {
        WH_TRY(wh_dp_pair_renyi(one, &part[p].pair, order, n));
        for (size_t i = 0; i < n; i++) out[i] += (double)(part[p].uses / wh_dp_count(e)) * one[i];
    }
    return WHIST_OK;
}

static double reach_of(const whist_dp_event *e)
{
    return (e->relation == WHIST_DP_REPLACE ? 2 : 1) * (double)wh_dp_group(e);
}

/* Exponential mechanism (bounded range): min(xi + a e^2 / 8, e). (Dong, Durfee, Rogers 2020) */
static double exponential_renyi(double e, double order)
{
    double ratio = e / expm1(e), xi = ratio - 1 - log(ratio) - e * e / 8;
    return fmin(xi + order * e * e / 8, e);
}

/* (epsilon, delta): with probability 1 - delta it is randomised response. */
static double response_renyi(double e, double order)
{
    double high = wh_dp_log_add(e * order, e * (1 - order));
    return (high - wh_dp_log_add(0, e)) / (order - 1);
}

/* A vector of integers with discrete Gaussian noise is as good as with continuous. (Canonne, Kamath, Steinke 2020) With
 * Skellam noise of variance v: Agarwal, Kairouz, Liu 2021, Theorem 3.5, at the next integer order. */
static double vector_renyi(const whist_dp_event *e, double order)
{
    double l2 = reach_of(e) * wh_dp_sensitivity(e), l1 = fmin(l2 * l2, sqrt((double)wh_dp_dimension(e)) * l2);
    double v = e->noise, a = ceil(order);
    if (e->mechanism == WHIST_DP_DISCRETE_GAUSSIAN) return order * l2 * l2 / (2 * v * v);
    return a * l2 * l2 / (2 * v) + fmin(((2 * a - 1) * l2 * l2 + 6 * l1) / (4 * v * v), 3 * l1 / (2 * v));
}

static bool is_vector(const whist_dp_event *e)
{
    bool gaussian = e->mechanism == WHIST_DP_DISCRETE_GAUSSIAN, skellam = e->mechanism == WHIST_DP_SKELLAM;
    bool large = (gaussian && e->noise > 1 << 12) || (skellam && e->noise > 1 << 24);
    return (gaussian || skellam) && (wh_dp_dimension(e) > 1 || large);
}

/* What has a curve but no pair. */
static whist_status own_curve(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    if (e->sampling != WHIST_DP_ALL && !(e->sampling == WHIST_DP_SHUFFLED_PASS && e->relation != WHIST_DP_ADD_REMOVE))
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s with sampling %s has no known bound: use \"all\"",
                whist_dp_mechanism_name(e->mechanism), whist_dp_sampling_name(e->sampling));
    double g = wh_dp_group(e);
    for (size_t i = 0; i < n; i++) {
        switch (e->mechanism) {
        case WHIST_DP_EXPONENTIAL: out[i] = exponential_renyi(g * e->epsilon, order[i]); break;
        case WHIST_DP_APPROXIMATE: out[i] = response_renyi(g * e->epsilon, order[i]); break;
        case WHIST_DP_CONCENTRATED: out[i] = g * g * e->rho * order[i]; break;
        default: out[i] = vector_renyi(e, order[i]);
        }
    }
    return WHIST_OK;
}

static whist_status repeat(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    double inner[WH_DP_ORDERS] = {0}, one[WH_DP_ORDERS];
    if (n != WH_DP_LOW_ORDERS) WH_FAIL(WHIST_E_UNSUPPORTED, "repeat needs the whole curve, not one order");
    for (size_t k = 0; k < e->n_inner; k++) {
        wh_dp_curve curve;
        whist_dp_event run = e->inner[k];
        run.group = wh_dp_group(&run) * wh_dp_group(e);
        WH_TRY(wh_dp_event_curve(&curve, &run));
        if (curve.log_keep < 0) WH_FAIL(WHIST_E_UNSUPPORTED, "repeat of an (epsilon, delta) event has no known bound");
        for (size_t i = 0; i < n; i++) inner[i] += curve.at[i];
    }
    wh_dp_repeat_renyi(one, inner, order, n, e->mean, e->shape);
    for (size_t i = 0; i < n; i++) out[i] = one[i];
    return WHIST_OK;
}

static whist_status subset_normal(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    double mu = (e->relation == WHIST_DP_ZERO_OUT ? 1 : 2) / e->noise, q = (double)e->batch / (double)e->n;
    if (wh_dp_group(e) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a unit of several records without replacement: no bound is known; use poisson");
    for (size_t i = 0; i < n; i++)
        out[i] = e->batch == e->n ? order[i] * mu * mu / 2 : wh_dp_subset_normal_renyi(mu, q, order[i]);
    return WHIST_OK;
}

static whist_status bins(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    if (e->mechanism != WHIST_DP_GAUSSIAN || wh_dp_group(e) > 1 || e->relation == WHIST_DP_REPLACE)
        WH_FAIL(WHIST_E_UNSUPPORTED, "balls in bins: Gaussian noise, one record, add_remove or zero_out");
    return wh_dp_bins_renyi(out, 1 / e->noise, e->bins, order, n);
}

static whist_status one_use(double *out, const whist_dp_event *e, const double *order, size_t n)
{
    bool plain = e->sampling == WHIST_DP_ALL || e->sampling == WHIST_DP_SHUFFLED_PASS;
    if (e->mechanism == WHIST_DP_REPEAT) return repeat(out, e, order, n);
    if (e->mechanism == WHIST_DP_APPROXIMATE || e->mechanism == WHIST_DP_CONCENTRATED || is_vector(e))
        return own_curve(out, e, order, n);
    if (e->mechanism == WHIST_DP_EXPONENTIAL && plain && e->relation != WHIST_DP_ADD_REMOVE)
        return own_curve(out, e, order, n);
    if (e->mechanism == WHIST_DP_EXPONENTIAL && e->sampling == WHIST_DP_ALL) return own_curve(out, e, order, n);
    if (e->sampling == WHIST_DP_BALLS_IN_BINS) return bins(out, e, order, n);
    if (e->sampling == WHIST_DP_WITHOUT_REPLACEMENT && e->mechanism == WHIST_DP_GAUSSIAN)
        return subset_normal(out, e, order, n);
    return all_pairs(out, e, order, n);
}

whist_status wh_dp_event_order(double *out, const whist_dp_event *event, double order)
{
    return one_use(out, event, &order, 1);
}

/* Beyond sums and quadratures: rho-zCDP is a divergence of at most order * rho at every order (Bun, Steinke 2016), and
 * Poisson sampling, a mixture with the neighbour, does not make it more (joint quasi-convexity). */
static void high_orders(double *out, const whist_dp_event *event)
{
    whist_dp_event all = *event;
    double rho = INFINITY;
    if (all.sampling == WHIST_DP_POISSON) all.sampling = WHIST_DP_ALL, all.rate = 0;
    all.count = 1;
    if (event->mechanism == WHIST_DP_REPEAT || wh_dp_event_rho(&rho, &all) != WHIST_OK) rho = INFINITY;
    for (size_t i = WH_DP_LOW_ORDERS; i < WH_DP_ORDERS; i++) out[i] = wh_dp_order[i] * rho;
}

whist_status wh_dp_event_curve(wh_dp_curve *out, const whist_dp_event *event)
{
    wh_dp_curve curve = {.log_keep = 0};
    double uses = (double)wh_dp_count(event);
    WH_TRY(one_use(curve.at, event, wh_dp_order, WH_DP_LOW_ORDERS));
    high_orders(curve.at, event);
    for (size_t i = 0; i < WH_DP_ORDERS; i++) curve.at[i] *= uses;
    if (event->mechanism == WHIST_DP_APPROXIMATE) {
        double g = wh_dp_group(event), grown = event->delta;
        if (g > 1) grown *= expm1(g * event->epsilon) / expm1(event->epsilon);
        if (!(grown < 1)) WH_FAIL(WHIST_E_RANGE, "a group of %g has no guarantee: its delta would be %g", g, grown);
        curve.log_keep = uses * log1p(-grown);
    }
    *out = curve;
    return WHIST_OK;
}
