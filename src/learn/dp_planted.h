/* learn/dp_planted.h: in test builds, the places where bugs for auditors to find are planted; elsewhere nothing. */
#ifndef WH_LEARN_DP_PLANTED_H
#define WH_LEARN_DP_PLANTED_H

#include "learn/dp_step.h"

#ifdef WH_TEST_HOOKS
wh_dp_step_bug wh_dp_step_bug_of(void); /* in force in this thread */

static inline double planted_noise(double s)
{
    return wh_dp_step_bug_of() == WH_DP_STEP_HALF_NOISE ? s / 2 : s;
}

/* A record of sixteen times the bound under noise for the bound. */
static inline double planted_bound(double bound)
{
    return wh_dp_step_bug_of() == WH_DP_STEP_NO_CLIP ? 16 * bound : bound;
}

/* Noise is told in steps of the grid, which grow with the bound. */
static inline double planted_sensitivity(double sensitivity)
{
    return wh_dp_step_bug_of() == WH_DP_STEP_NO_CLIP ? sensitivity / 16 : sensitivity;
}
#else
#define planted_noise(s) (s)
#define planted_bound(bound) (bound)
#define planted_sensitivity(sensitivity) (sensitivity)
#endif

#endif
