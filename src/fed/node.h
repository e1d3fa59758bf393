/* fed/node.h: the machine of a site or of a third party. It asks, works and answers, one step at a time.
 *
 *   poll → (load model) → fit → weight, fixed point, protect → keep → send
 *
 * With a store, an answer is made once and kept (protected bytes, messages, learner state, log entry: one
 * transaction) before its first byte leaves; after a crash it is sent again, never made again. Without one
 * (simulation) it streams straight into the link. */
#ifndef WH_FED_NODE_H
#define WH_FED_NODE_H

#include "fed/link.h"
#include "fed/store.h"

typedef struct wh_node wh_node;

/* Called inside the transaction that keeps an answer, before anything leaves. */
typedef whist_status wh_release_fn(void *user, const wh_task *task, const wh_manifest *upload, size_t n_messages);

typedef struct wh_node_env {
    const whist_fed_plan *plan;
    whist_role role;     /* SITE or PARTY */
    size_t index;        /* of the site or party in the plan */
    whist_dataset *data; /* a site's; pooled moments are applied to it once */
    wh_store *store;     /* NULL: answers are not kept */
    wh_link *link;
    unsigned threads;          /* of the learner; 0 like 1 */
    uint64_t max_state_bytes;  /* ceiling on uploads and learner states in the store; 0: none */
    uint32_t min_metric_count; /* the site's own minimum; the larger one of it and the plan's counts */
    wh_ledger *ledger;         /* of the site's data, where the plan makes a promise; NULL: nobody pays (simulation) */
    wh_release_fn *release;    /* may be NULL */
    void *user;
    whist_progress_fn *progress; /* may be NULL */
    void *progress_user;
} wh_node_env;

WH_MUST_CHECK whist_status wh_node_new(wh_node **out, const wh_node_env *env);
void wh_node_free(wh_node *node);

typedef enum wh_node_state {
    WH_NODE_WAITING,
    WH_NODE_ANSWERED,
    WH_NODE_FINISHED,
    WH_NODE_REFUSED,
    WH_NODE_DECLINED, /* with a failure: the coordinator knows that this site does not answer the step */
} wh_node_state;
/* One poll and what follows from it. *wait_ms: how long to wait before the next call. A failure leaves the
 * node as it was: WHIST_E_IO and WHIST_E_TIMEOUT ask for another try, WHIST_E_STATE means too late. */
WH_MUST_CHECK whist_status wh_node_step(wh_node *node, wh_node_state *state, uint32_t *wait_ms);
/* Rounds of training that are behind this node, from its last answer. */
uint64_t wh_node_rounds(const wh_node *node);
/* Without a ledger: what this object's answers have spent, at the plan's delta. The plan makes a promise. */
double wh_node_epsilon(const wh_node *node);
/* Why the run ended or was refused; "" otherwise. */
const char *wh_node_text(const wh_node *node);

#endif
