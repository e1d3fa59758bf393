/* account/accountant.h: what calibration and odometer need of an accountant. */
#ifndef WH_DP_ACCOUNT_ACCOUNTANT_H
#define WH_DP_ACCOUNT_ACCOUNTANT_H

#include "dp/account/renyi.h"

/* rho of all uses of an event. WHIST_E_UNSUPPORTED with a reason. */
WH_MUST_CHECK whist_status wh_dp_event_rho(double *out, const whist_dp_event *event);
/* The squared mu of the central limit, all uses. WHIST_E_UNSUPPORTED. */
WH_MUST_CHECK whist_status wh_dp_event_gdp(double *out, const whist_dp_event *event);

WH_MUST_CHECK whist_status wh_dp_options_check(const whist_dp_options *options);
/* WHIST_E_ARG for a delta outside (0, 1), or not below 1 / public_n. */
WH_MUST_CHECK whist_status wh_dp_delta_check(const whist_dp_options *options, double delta);

static inline void wh_dp_accountant_end(whist_dp_accountant *a)
{
    whist_dp_accountant_free(a);
}
WH_AUTO_FREE(whist_dp_accountant, wh_dp_accountant_end)

#endif
