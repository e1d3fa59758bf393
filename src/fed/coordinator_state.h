/* fed/coordinator_state.h: the coordinator's fields, shared by coordinator.c (steps), coordinator_calls.c
 * (what links call) and coordinator_record.c (recovery and metrics). */
#ifndef WH_FED_COORDINATOR_STATE_H
#define WH_FED_COORDINATOR_STATE_H

#include "fed/aggregate.h"
#include "fed/coordinator.h"
#include "fed/schedule.h"

#include <pthread.h>

enum { WH_MAX_ATTEMPTS = 3 }; /* of one position before the run fails */

/* What an actor knows of the end. BEFORE: it may have asked before a restart, and may be asking still. */
enum { WH_CONTACT_ASKED = 1, WH_CONTACT_TOLD = 2, WH_CONTACT_BEFORE = 4 };

struct wh_coordinator {
    const whist_fed_plan *plan; /* const after new: no lock */
    wh_store *store;
    uint64_t max_spool_bytes;
    const char *replay;
    wh_ledger *ledger;

    pthread_mutex_t lock; /* guards everything below; never held while computing or writing large files */
    pthread_cond_t changed;
    bool woken;
    wh_run_state state;
    char failure[512];   /* why the run failed */
    whist_status failed; /* … and the code for it */
    char declined[320];  /* the last site that declined the open step, and why; "" for none */
    bool unpaid;         /* … as its budget is spent, which another try does not change */
    bool plan_fits;      /* the rounds to come were held against our own ledger */
    uint64_t position;   /* closed steps */
    uint64_t version;    /* of the model */
    uint64_t stop_round; /* early stopping; UINT64_MAX: none */
    unsigned attempts;   /* failed steps since the last closed one */
    bool step_open;
    bool closing; /* tick computes; calls find nothing to do */
    wh_step step;
    wh_vecfile *model;          /* of the open step */
    wh_manifest model_manifest; /* on disk made with the step, in memory when first asked for */
    uint64_t *last_arrived;     /* (n_sites) 1 + last closed training step, 0: none; NULL for stateless learners */
    uint8_t *contact;           /* (actors) WH_CONTACT_ bits */
    wh_coordinator_counts counts;
    /* Recorded cohorts: replay_steps[p] is that of position p. */
    uint8_t **replay_cohorts;
    size_t n_replay;
};

/* coordinator.c: a transaction of its own. */
WH_MUST_CHECK whist_status wh_coordinator_store_row(wh_coordinator *c, const wh_step_row *row);

/* coordinator_record.c */
WH_MUST_CHECK whist_status wh_coordinator_recover(wh_coordinator *c);
WH_MUST_CHECK whist_status wh_coordinator_load_replay(wh_coordinator *c);
/* Inside a transaction: metrics of the step, pooled and (where shown) per site. */
WH_MUST_CHECK whist_status wh_coordinator_record_metrics(wh_coordinator *c, const wh_sums *pooled);
/* Inside a transaction: looks at the validation metrics of all rounds; *stop_round is what it says then. */
WH_MUST_CHECK whist_status wh_coordinator_check_stop(wh_coordinator *c, uint64_t *stop_round);
/* Small numbers by name in the store. */
WH_MUST_CHECK whist_status wh_coordinator_set_u64(wh_coordinator *c, const char *key, uint64_t value);

#endif
