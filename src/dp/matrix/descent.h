/* matrix/descent.h: a minimum of a smooth function of a few numbers (BFGS; Nocedal, Wright 2006, algorithm 6.1).
 *
 * What it finds is a proposal: the coefficients are rounded afterwards, and the sensitivity is that of the rounded
 * ones. So nothing that is proven rests on how well, or whether, this converges. */
#ifndef WH_DP_MATRIX_DESCENT_H
#define WH_DP_MATRIX_DESCENT_H

#include "base/mem.h"

/* The value at x (n), and its gradient (n). INFINITY: x is not allowed. */
typedef double wh_descent_fn(void *user, double *gradient, const double *x);

/* x (n, at most 256): start, then the best point found. x must be allowed. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_descend(double *x, size_t n, wh_descent_fn *f, void *user, unsigned rounds);

#endif
