/* account/pld.h: epsilon and delta of composed pairs, as certified intervals.
 *
 * The measures of grid.h are composed by Fourier transforms under an exponential tilt: masses are weighted by
 * e^{t loss}, with t such that the composed weight sits at the epsilon in question, and un-weighted when delta is
 * summed. So the transform's rounding error, which is relative to the largest mass, becomes relative to delta itself.
 * docs/accounting.md adds up all errors. */
#ifndef WH_DP_ACCOUNT_PLD_H
#define WH_DP_ACCOUNT_PLD_H

#include "dp/account/pair.h"

typedef struct wh_dp_interval {
    double lower, upper;
} wh_dp_interval;

/* n parts. width: aimed at (relative). upper is INFINITY where no finite epsilon holds. WHIST_E_RANGE where the losses
 * are too wide for any grid; WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_dp_pld_epsilon(wh_dp_interval *out, const wh_dp_part *part, size_t n, double delta,
                                             double width);
WH_MUST_CHECK whist_status wh_dp_pld_delta(wh_dp_interval *out, const wh_dp_part *part, size_t n, double epsilon,
                                           double width);

#endif
