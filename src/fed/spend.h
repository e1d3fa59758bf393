/* fed/spend.h: how much privacy a release costs, as a curve that adds up.
 *
 * A curve is the Rényi divergence (RDP) that a release can have, at a fixed row of orders, each value an upper
 * bound. Curves of releases that follow one another add up, whatever was decided in between, at each order that
 * was fixed beforehand (Feldman, Zrnic 2021). That is why the ledger of a data set keeps curves: studies that
 * nobody planned together still compose. Privacy-loss distributions are sharper and hold only for a schedule
 * that was fixed in advance, so they are no part of a ledger.
 *
 *   epsilon     what the sum means at a delta: the best order of the row. For a schedule that was fixed beforehand.
 *   any time    the same for a schedule that went by what came out, at all moments at once: each order has its share
 *               of delta (Ville's inequality, as in dp/account/odometer.c). Dearer.
 *   filter      whether the sum still fits a budget (epsilon, delta): at the one order that the budget names
 *               and nothing that happened does, or because all of it is pure and adds up to no more. Holds for any
 *               schedule: runs that end by the second rule never lose more than epsilon, and over those that end by
 *               the first the bound of the stopped process holds, whichever runs these are.
 *
 * From RDP to (epsilon, delta): Canonne, Kamath, Steinke 2020, proposition 12. */
#ifndef WH_FED_SPEND_H
#define WH_FED_SPEND_H

#include "base/status.h"

#include <whist/dp.h>

enum { WH_SPEND_ORDERS = 32 };
extern const double wh_spend_orders[WH_SPEND_ORDERS];

typedef struct wh_spend {
    double rdp[WH_SPEND_ORDERS];
    double slack; /* part of delta that no order sees: samplers that are only nearly exact, wraps of a ring */
    /* > 0: everything in it is pure, and so much of it: epsilons add up (basic composition). 0: not all of it is pure,
     * or there is nothing in it. */
    double pure;
} wh_spend;

/* sum += one, rounded up. */
void wh_spend_add(wh_spend *sum, const wh_spend *one);
/* What a ledger comes to that is charged so many times. */
wh_spend wh_spend_times(const wh_spend *one, uint64_t times);
/* Every value is a number >= 0 (infinity at an order is none). */
bool wh_spend_is_good(const wh_spend *spend);

/* The smallest epsilon at this delta; infinity where slack has eaten it. */
double wh_spend_epsilon(const wh_spend *spend, double delta);
bool wh_spend_fits(const wh_spend *spend, double epsilon, double delta);
/* The number that the filter of this budget compares with epsilon: at its order, or the sum of what is pure. */
double wh_spend_filter(const wh_spend *spend, double epsilon, double delta);
double wh_spend_any_time(const wh_spend *spend, double delta);
/* The largest epsilon of one more pure release that would still fit, from below; 0: none. */
double wh_spend_left(const wh_spend *spend, double epsilon, double delta);

/* ---- Releases of a vector that one unit moves by at most `sensitivity` in L2 ---- */

/* Noise N(0, (z * sensitivity)^2) in each coordinate: alpha / (2 z^2). z > 0. */
wh_spend wh_spend_gaussian(double z);

/* What each of `honest` sites adds to a vector of whole numbers so that their sum hides a unit. */
typedef struct wh_spend_shares {
    double sensitivity;  /* L2 bound of a unit, after rounding, in units of the grid */
    double sensitivity1; /* L1 bound, for Skellam */
    double sigma;        /* of one share, in units of the grid */
    size_t honest;
    double dimension;
} wh_spend_shares;

/* Discrete Gaussian shares. Their sum is only close to a discrete Gaussian: *closeness is the largest log-ratio in one
 * coordinate and goes into the curve. Kairouz, Liu, Steinke 2021, theorem 1. sigma >= 1/2. */
wh_spend wh_spend_discrete_gaussian(double *closeness, const wh_spend_shares *shares);
/* Skellam shares: closed under addition. Agarwal, Kairouz, Liu 2021, theorem 3.5, at the whole order above. */
wh_spend wh_spend_skellam(const wh_spend_shares *shares);

/* What n events of a private learner cost, at our orders; where an order has no bound its value is 1e280, and no budget
 * is met there. WHIST_E_ARG for an event that is not well formed, WHIST_E_UNSUPPORTED where no curve is known. */
WH_MUST_CHECK whist_status wh_spend_events(wh_spend *out, const whist_dp_event *events, size_t n);

/* The least z for which `rounds` such releases stay within (epsilon, delta). WHIST_E_RANGE where no z up to 1e6 does.
 */
WH_MUST_CHECK whist_status wh_spend_calibrate(double *z, double epsilon, double delta, uint64_t rounds);

#endif
