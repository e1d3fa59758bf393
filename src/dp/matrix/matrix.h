/* matrix/matrix.h: correlated noise: the sums of a stream A x are released as B (C x + Z), A = B C, Z ~ N(0, σ² Δ²).
 *
 * A sums up (lower triangle of ones), so the t-th gradient is released as g_t + (C⁻¹ Z)_t. Δ is how far C x can move in
 * L2 when one unit changes what it put into x. All of it is one Gaussian mechanism with noise σ, for streams that are
 * chosen by what was released before, too (Denisov, McMahan, Rush, Smith, Thakurta 2022, theorem 2.1).
 *
 *   banded   C Toeplitz with `bands` coefficients, which minimise the mean squared error (Choquette-Choo et al. 2023;
 *            McKenna 2024)
 *   sqrt     the same with the first coefficients of 1 / √(1 - x), the square root of A (Fichtenberger, Henzinger,
 *            Upadhyay 2023; Kalinin, Lampert 2024)
 *   blt      c_0 = 1, c_j = Σ_i ω_i θ_i^(j-1): `buffers` numbers of memory (Dvijotham, McMahan, Pillutla, Steinke,
 *            Thakurta 2024; McMahan, Xu, Zhang 2024)
 *   tree     C has a row for each node of a binary tree over the steps; B is the estimator that weighs a node against
 *            the two below it (Honaker 2015; Kairouz et al. 2021, "Practical and Private (Deep) Learning without
 *            Sampling or Shuffling")
 *
 * Grid. Coefficients are whole multiples of 2^-8 (banded, sqrt), weights of the tree of 2^-20, θ and ω of 2^-24; they
 * are exact numbers, and what is said of them is said of these.
 *
 * Sensitivity. One unit takes part in at most k steps, any two of them at least b apart, with a vector of norm at most
 * 1 each. Where C'C has no negative entry, the worst vectors are alike and Δ is the norm of a sum of columns:
 *
 *   bands <= b   the columns do not overlap: their squares add up, whatever the signs, and are largest at 0, b, 2b, …
 *   otherwise    c_0 >= c_1 >= … >= 0 is needed, and the worst steps are the same (Kalinin, Lampert 2024, theorem 2)
 *   tree         exact where all distances are b (`fixed`); else level by level, no node holding more than
 *                min(k, ⌈2^h / b⌉) of them
 *
 * Bounds are rounded outward. */
#ifndef WH_DP_MATRIX_H
#define WH_DP_MATRIX_H

#include "base/mem.h"
#include "whist/dp.h"

enum {
    WH_MATRIX_FINE = 8,      /* bits of coefficients, and of noise, behind the point */
    WH_MATRIX_WEIGHT = 20,   /* of the tree's weights */
    WH_MATRIX_BLT = 24,      /* of θ and ω */
    WH_MATRIX_LEVELS = 21,   /* of a tree, at most: 2^20 steps */
    WH_MATRIX_BUFFERS = 8,   /* of a BLT, at most */
    WH_MATRIX_BANDS = 256,   /* at most */
    WH_MATRIX_HORIZON = 4096 /* steps that coefficients are chosen for, at most */
};

struct whist_dp_matrix {
    whist_dp_matrix_options options;                            /* bands, buffers filled in */
    int32_t c[WH_MATRIX_BANDS];                                 /* banded, sqrt: (bands), in 2^-8; c[0] = 2^8 */
    int32_t theta[WH_MATRIX_BUFFERS], omega[WH_MATRIX_BUFFERS]; /* blt: (bands), in 2^-24, > 0 */
    int32_t weight[WH_MATRIX_LEVELS]; /* tree: of a node of height h in its own estimate, in 2^-20 */
    whist_dp_matrix_facts facts;
};

/* Ranges, and whether the pattern fits the steps and the design the pattern: what can be said before coefficients are
 * looked for. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_matrix_check(const whist_dp_matrix_options *options);
/* Coefficients and facts of one design (toeplitz.c, blt.c, tree.c). */
WH_MUST_CHECK whist_status wh_matrix_banded(whist_dp_matrix *m);
WH_MUST_CHECK whist_status wh_matrix_blt(whist_dp_matrix *m);
WH_MUST_CHECK whist_status wh_matrix_tree(whist_dp_matrix *m);

/* ---- Lower triangular Toeplitz matrices (toeplitz.c) ---- */

/* The square of Δ for coefficients c (n_c, zero behind) over `steps`, rounded up. WHIST_E_UNSUPPORTED where columns
 * overlap and the coefficients are not non-increasing and non-negative. */
WH_MUST_CHECK whist_status wh_matrix_sensitivity(double *squared, const double *c, size_t n_c,
                                                 const whist_dp_matrix_options *o);
/* Variances of the errors of the sums, for noise of variance 1: after step t it is Σ_{j<=t} b_j² with
 * B(x) = 1 / ((1 - x) c(x)). out: mean over the steps, and the last one. */
WH_MUST_CHECK whist_status wh_matrix_errors(double *mean, double *last, const double *c, size_t n_c, uint64_t steps);

/* The square of Δ over the first `steps` steps alone, rounded up; the whole's at the end. */
WH_MUST_CHECK whist_status wh_matrix_prefix(double *squared, const whist_dp_matrix *m, uint64_t steps);
WH_MUST_CHECK whist_status wh_matrix_blt_sensitivity(double *squared, const whist_dp_matrix *m,
                                                     const whist_dp_matrix_options *o);
double wh_matrix_tree_sensitivity(const whist_dp_matrix_options *o);

/* What is added to Δ, in steps of the grid, for what rounding depends on (stream.h): blt, for `length` numbers. */
double wh_matrix_slack(const whist_dp_matrix *m, size_t length);

#endif
