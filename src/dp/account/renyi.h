/* account/renyi.h: Renyi curves.
 *
 * A curve holds the divergence at each order of one fixed grid, {1.1 … 10.9 by 0.1}, {11 … 63}, {128, 256, 512, 1024}.
 * Integer orders of sampled Gaussians are sums of positive terms; all other orders are quadratures of positive
 * integrands whose error falls faster than any power of the step. None is ever dropped. Conversion to (epsilon, delta):
 * Canonne, Kamath, Steinke 2020, Proposition 12. */
#ifndef WH_DP_ACCOUNT_RENYI_H
#define WH_DP_ACCOUNT_RENYI_H

#include "dp/account/pair.h"

enum {
    WH_DP_LOW_ORDERS = 156, /* up to 1024: known for every event that has a curve at all */
    WH_DP_ORDERS = 208      /* up to 2^36, where tiny epsilons are found: of those whose zCDP is known */
};
extern const double wh_dp_order[WH_DP_ORDERS];

/* The curve of one use; keep: probability that nothing worse happens, 1 for all but (epsilon, delta) events. */
typedef struct wh_dp_curve {
    double at[WH_DP_ORDERS]; /* INFINITY where nothing is promised */
    double log_keep;
} wh_dp_curve;

/* All uses of a checked event. WHIST_E_UNSUPPORTED with a reason where no curve is known. */
WH_MUST_CHECK whist_status wh_dp_event_curve(wh_dp_curve *out, const whist_dp_event *event);

/* The divergence of one event, one use, at any order > 1 (for answers at a single order). */
WH_MUST_CHECK whist_status wh_dp_event_order(double *out, const whist_dp_event *event, double order);

/* The least epsilon at delta, the least delta at epsilon, over all orders; order: which gave it. INFINITY (or 1) where
 * none holds. */
double wh_dp_curve_epsilon(double *order, const wh_dp_curve *curve, double delta);
double wh_dp_curve_delta(double *order, const wh_dp_curve *curve, double epsilon);

/* ---- Parts ------------------------------------------------------------------------------------- */

/* n orders at once, one use of a pair. */
WH_MUST_CHECK whist_status wh_dp_pair_renyi(double *out, const wh_dp_pair *pair, const double *order, size_t n);
/* (1-q) N(0, 1) + q N(mu, 1) against N(0, 1). (Mironov, Talwar, Zhang 2019) */
void wh_dp_sampled_normal_renyi(double *out, double mu, double q, const double *order, size_t n);
/* N(mu, 1) against N(0, 1), batches of a fixed size, rate q. (Wang, Balle, Kasiviswanathan 2019, Theorem 27) */
double wh_dp_subset_normal_renyi(double mu, double q, double order);
/* A pass over `bins` steps, each record in one of them, Gaussian noise. INFINITY above order 64. */
WH_MUST_CHECK whist_status wh_dp_bins_renyi(double *out, double mu, uint64_t bins, const double *order, size_t n);
/* The best of a random number of runs. (Papernot, Steinke 2022) */
double wh_dp_repeat_gamma(double mean, double shape); /* of the truncated negative binomial with that mean */
void wh_dp_repeat_renyi(double *out, const double *inner, const double *order, size_t n, double mean, double shape);

#endif
