/* draw/sample.h: private noise from distributions, exactly.
 *
 *   rounded Gaussian    out[i] = round(s Z),       Z ~ N(0, 1)              continuous noise of standard deviation s
 * grid rounded Laplace     out[i] = round(s L),       L ~ Laplace(1)           steps, rounded to the grid discrete
 * Laplace    P(k) ~ exp(-|k| / scale)                             Canonne, Kamath, Steinke 2020 discrete Gaussian P(k)
 * ~ exp(-k^2 / (2 sigma^2))                       the same
 *
 * for whole numbers k. The rounded ones are post-processing of continuous noise: x + round(s Z) = round(x + s Z) for
 * whole x, so that whatever holds for the continuous mechanism on grid inputs holds for them.
 *
 * Exact means: the result is a function of infinitely many fair bits that has the stated distribution, and as many of
 * them are drawn as it takes (draw/kern/noise.h for the fast path and its proof, draw/exact.h for what it leaves open).
 * The parameters are the doubles given, taken as exact numbers.
 *
 * Time depends on what is drawn (docs/THREATS.md); draw/cumulative.h has variants whose time does not. On failure out
 * is wiped: WHIST_E_RANGE for a parameter out of range, WHIST_E_ENTROPY. */
#ifndef WH_DRAW_SAMPLE_H
#define WH_DRAW_SAMPLE_H

#include "draw/noise.h"

#define WH_SAMPLE_LEAST 0x1p-20 /* least s, scale, sigma */
#define WH_SAMPLE_MOST 0x1p40   /* most */

WH_MUST_CHECK whist_status wh_sample_normal(wh_noise *noise, int64_t *out, size_t n, double s);
WH_MUST_CHECK whist_status wh_sample_laplace(wh_noise *noise, int64_t *out, size_t n, double s);
WH_MUST_CHECK whist_status wh_sample_discrete_laplace(wh_noise *noise, int64_t *out, size_t n, double scale);
WH_MUST_CHECK whist_status wh_sample_discrete_gauss(wh_noise *noise, int64_t *out, size_t n, double sigma);

/* true with probability num / den exactly; num <= den, den >= 1 (WHIST_E_ARG). */
WH_MUST_CHECK whist_status wh_sample_ratio(wh_noise *noise, bool *out, uint64_t num, uint64_t den);
/* true with probability p, a double in [0, 1], exactly. */
WH_MUST_CHECK whist_status wh_sample_bernoulli(wh_noise *noise, bool *out, double p);
/* true with probability exp(-x), x >= 0 a finite double, exactly. */
WH_MUST_CHECK whist_status wh_sample_exp(wh_noise *noise, bool *out, double x);
/* n times: failures before the first success of trials with probability q, 2^-40 <= q <= 1; at most INT64_MAX / 2. */
WH_MUST_CHECK whist_status wh_sample_geometric(wh_noise *noise, int64_t *out, size_t n, double q);

#endif
