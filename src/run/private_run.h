/* run/private_run.h: one private training in memory, before anybody pays or sees: learner, model, price of a round. */
#ifndef WH_RUN_PRIVATE_RUN_H
#define WH_RUN_PRIVATE_RUN_H

#include "base/mem.h"

#include <whist/run.h>

typedef struct wh_private_run {
    const whist_fed_plan *plan;
    whist_learner *learner;
    whist_learner_env env;
    float *params; /* (n) */
    size_t n;
    uint64_t round;                          /* the next one */
    whist_dp_event events[WHIST_MAX_EVENTS]; /* of the round that was asked about */
} wh_private_run;

/* settings: NULL for the plan's own; threads: of the learner. WHIST_E_UNSUPPORTED for a plan whose learner or promise
 * is not for one place. */
WH_MUST_CHECK whist_status wh_private_run_begin(wh_private_run *out, const whist_fed_plan *plan,
                                                const whist_dataset *data, const whist_settings *settings,
                                                unsigned threads);
void wh_private_run_clear(wh_private_run *run);
WH_AUTO_CLEAR(wh_private_run, wh_private_run_clear)
/* What a round will have spent: n events, in run->events. */
WH_MUST_CHECK whist_status wh_private_run_ask(wh_private_run *run, uint64_t round, size_t *n);
/* The same for all rounds from run->round on: as every round is like the first. */
WH_MUST_CHECK whist_status wh_private_run_ask_all(wh_private_run *run, size_t *n);
/* Makes the next round. What is then in params is nobody's to see before it is paid for. */
WH_MUST_CHECK whist_status wh_private_run_round(wh_private_run *run);

#endif
