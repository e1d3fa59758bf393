/* mechanism/pay.h: the first thing every mechanism does. */
#ifndef WH_DP_MECHANISM_PAY_H
#define WH_DP_MECHANISM_PAY_H

#include "base/mem.h"
#include "draw/noise.h"
#include "whist/dp.h"

/* Fills in relation and unit, checks the event, charges it, and only then opens a source of noise. In test builds
 * wh_dp_replay decides where the noise comes from. */
WH_MUST_CHECK whist_status wh_dp_pay(wh_noise **noise, const whist_dp_payer *payer, const whist_dp_event *event);

#ifdef WH_TEST_HOOKS
/* Test builds: mechanisms of this thread draw replayed noise of seed, seed + 1, …; 0: the system's again. */
void wh_dp_replay(uint64_t seed);
#endif

#endif
