/* mechanism/pay.c: charge, then open the source. */
#include "dp/mechanism/pay.h"

#ifdef WH_TEST_HOOKS
static _Thread_local uint64_t replay;

void wh_dp_replay(uint64_t seed)
{
    replay = seed;
}

static whist_status open_source(wh_noise **out)
{
    return replay ? wh_noise_new_replayed(out, replay++) : wh_noise_new(out);
}
#else
static whist_status open_source(wh_noise **out)
{
    return wh_noise_new(out);
}
#endif

whist_status wh_dp_pay(wh_noise **noise, const whist_dp_payer *payer, const whist_dp_event *event)
{
    WH_ENSURE(payer && payer->charge, WHIST_E_ARG);
    whist_dp_event charged = *event;
    charged.relation = payer->relation;
    charged.unit = payer->unit;
    WH_TRY(whist_dp_event_check(&charged));
    WH_TRY(payer->charge(payer->user, &charged));
    return open_source(noise);
}
