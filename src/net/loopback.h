/* net/loopback.h: a transport that calls a handler in the same thread, with a plan of faults.
 *
 * Everything is decided by the plan and the number of the call, so a run can be repeated exactly. */
#ifndef WH_NET_LOOPBACK_H
#define WH_NET_LOOPBACK_H

#include "net/transport.h"

typedef enum wh_fault {
    WH_FAULT_DROP_REQUEST,    /* the handler never runs; the caller sees WHIST_E_TIMEOUT */
    WH_FAULT_DROP_RESPONSE,   /* the handler runs; the caller sees WHIST_E_TIMEOUT */
    WH_FAULT_DUPLICATE,       /* the handler runs twice; the second answer is delivered */
    WH_FAULT_DELAY,           /* delay_ms of virtual time pass */
    WH_FAULT_CORRUPT_REQUEST, /* one byte of the body is changed (nothing happens to an empty one) */
    WH_FAULT_CORRUPT_RESPONSE,
    WH_FAULT_CUT_REQUEST, /* the body loses its end (nothing happens to an empty one) */
    WH_FAULT_CUT_RESPONSE,
    WH_FAULT_REFUSE, /* 503 with Retry-After 1 s; the handler never runs */
    WH_FAULT_KINDS,
} wh_fault;
const char *wh_fault_name(wh_fault fault); /* "drop-request", … */

/* Applies to calls whose path starts with `prefix` (NULL: all). calls: the numbers (from 1, among the
 * calls that match this prefix), or NULL and a probability. */
typedef struct wh_fault_rule {
    wh_fault fault;
    const char *prefix;
    double probability;
    const uint64_t *calls;
    size_t n_calls;
    uint32_t delay_ms;
} wh_fault_rule;

/* Views: must outlive the loopback. A plan without rules: no fault. */
typedef struct wh_fault_plan {
    uint64_t seed;
    const wh_fault_rule *rules;
    size_t n_rules;
} wh_fault_plan;

typedef struct wh_loopback_stats {
    uint64_t calls, handled; /* calls made; times that the handler ran */
    uint64_t faults[WH_FAULT_KINDS];
    uint64_t virtual_ms;
} wh_loopback_stats;

typedef struct wh_loopback wh_loopback;

/* peer is who the handler believes to hear. Bodies are bounded as on the network (413 above). */
WH_MUST_CHECK whist_status wh_loopback_new(wh_loopback **out, wh_handler *handler, void *user, const wh_peer *peer,
                                           const wh_fault_plan *plan);
void wh_loopback_free(wh_loopback *loopback);
wh_transport wh_loopback_transport(wh_loopback *loopback);
const wh_loopback_stats *wh_loopback_stats_get(const wh_loopback *loopback);
WH_AUTO_FREE(wh_loopback, wh_loopback_free)

#endif
