/* fed/ledger_state.h: a ledger's fields, shared by ledger.c (charges) and ledger_peers.c (heads). */
#ifndef WH_FED_LEDGER_STATE_H
#define WH_FED_LEDGER_STATE_H

#include "fed/ledger_entry.h"

#include <pthread.h>

typedef struct wh_ledger_study {
    uint8_t study[32];
    wh_spend spend;
} wh_ledger_study;

struct wh_ledger {
    wh_store *store;
    whist_crypt_key *key; /* a copy: certificates are read again while a run goes on */
    double max_epsilon, max_delta;
    char *head;           /* file of its newest head; NULL: none */
    pthread_mutex_t lock; /* guards what follows */
    wh_log_state state;   /* verified up to here */
    wh_ledger_sums sums;  /* of the entries verified */
    wh_ledger_study *studies;
    size_t n_studies;
};

#define WH_LEDGER_REFUTED "refuted"

/* In a transaction: takes in what others have charged since we looked last. */
WH_MUST_CHECK whist_status wh_ledger_catch_up(wh_ledger *ledger);
/* In a transaction. Whether there are n entries whose root this is, at the beginning. */
WH_MUST_CHECK whist_status wh_ledger_begins_with(bool *out, wh_ledger *ledger, uint64_t n, const wh_digest *root);

/* ---- ledger_head.c ---- */
/* Before the store is opened, which would make one: that it is there. */
WH_MUST_CHECK whist_status wh_ledger_check_there(const wh_ledger_env *env);
/* In a transaction: the ledger is not behind its head, which is brought up. */
WH_MUST_CHECK whist_status wh_ledger_check_head(wh_ledger *ledger);
/* After a charge, outside of any transaction. */
WH_MUST_CHECK whist_status wh_ledger_keep_head(wh_ledger *ledger);

#endif
