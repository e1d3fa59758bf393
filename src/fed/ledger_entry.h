/* fed/ledger_entry.h: the body of a ledger's entry, and the sums that follow from a row of them. */
#ifndef WH_FED_LEDGER_ENTRY_H
#define WH_FED_LEDGER_ENTRY_H

#include "fed/ledger.h"

/* What a row of entries adds up to. A release about a coarse unit is one about each finer unit in it. */
typedef struct wh_ledger_sums {
    wh_spend spend[WHIST_DP_UNITS]; /* by unit */
    uint64_t count[WHIST_DP_UNITS]; /* entries that name the unit itself */
    bool any;
    whist_dp_relation relation; /* of all entries */
} wh_ledger_sums;

/* What is read back from a body. */
typedef struct wh_ledger_entry {
    uint8_t study[32];
    uint64_t step;
    unsigned phase;
    whist_dp_unit unit;
    whist_dp_relation relation;
    wh_spend spend;
    double budget, delta, before, after; /* budget 0: before and after are epsilons of a plan */
    wh_digest bytes;
} wh_ledger_entry;

/* sums with one more release of the unit. WHIST_E_BUDGET where units or relations do not go together; sums as before
 * then. */
WH_MUST_CHECK whist_status wh_ledger_sums_add(wh_ledger_sums *sums, whist_dp_unit unit, whist_dp_relation relation,
                                              const wh_spend *spend);
WH_MUST_CHECK whist_status wh_ledger_entry_encode(wh_buf *out, const wh_charge *charge, double before, double after);
/* WHIST_E_FORMAT; WHIST_E_UNSUPPORTED for curves over other orders than ours. */
WH_MUST_CHECK whist_status wh_ledger_entry_decode(wh_ledger_entry *out, whist_bytes body);
/* What an entry tells of a sum (wh_charge.budget). */
double wh_ledger_told(const wh_spend *sum, double budget, double delta);
/* Takes the next entry into the sums. WHIST_E_AUTH where its epsilons are not what the sums say. */
WH_MUST_CHECK whist_status wh_ledger_entry_follow(wh_ledger_sums *sums, const wh_ledger_entry *entry);

#endif
