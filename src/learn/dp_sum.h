/* learn/dp_sum.h: a private sum of vectors that each belong to one unit (a task, a person): clipped, summed in whole
 * numbers, with Gaussian noise rounded to the same grid.
 *
 *     out = (Σ_u q(min(1, C / |v_u|) v_u) + round(σ Δ Z)) step / L
 *
 * q rounds toward zero to a grid of step 2^(ilogb C - 22), Z is standard normal (draw/sample.h), L a public number.
 * What a unit puts into the sum is a function of its own vector: its norm is taken in double over single products, so
 * that |q(w v)| <= C (1 + 2^-20) =: Δ step, and sums of whole numbers have no order. A vector that is not finite counts
 * as zero: a refusal would tell. As the sum is whole, the release is post-processing of the continuous Gaussian
 * mechanism with noise σ over sensitivity, as in learn/dp_step.h; a unit more or less moves it by at most Δ, one that
 * becomes another by 2 Δ.
 *
 * Threads: one caller at a time. */
#ifndef WH_LEARN_DP_SUM_H
#define WH_LEARN_DP_SUM_H

#include "base/mem.h"

typedef struct wh_dp_sum wh_dp_sum;

/* Of vectors of n numbers. clip: 2^-20 … 2^20; sigma: above 0, up to 1e4; WHIST_E_ARG otherwise. WHIST_E_ENTROPY. */
WH_MUST_CHECK whist_status wh_dp_sum_new(wh_dp_sum **out, size_t n, double clip, double sigma);
void wh_dp_sum_free(wh_dp_sum *sum);
WH_AUTO_FREE(wh_dp_sum, wh_dp_sum_free)

void wh_dp_sum_begin(wh_dp_sum *sum);
/* The vector (n) of one unit; at most 2^38 of them between two begins. */
void wh_dp_sum_add(wh_dp_sum *sum, const float *vector);
/* out (n): the noised sum over L > 0. On failure out is untouched. */
WH_MUST_CHECK whist_status wh_dp_sum_release(wh_dp_sum *sum, float *out, double l);
/* Sensitivity, in the unit of the vectors: what sigma is multiplied by. */
double wh_dp_sum_sensitivity(const wh_dp_sum *sum);

#endif
