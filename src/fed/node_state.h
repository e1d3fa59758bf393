/* fed/node_state.h: a node's fields, and what its learner remembers between rounds.
 *
 * A learner's state belongs to the step that made it. The coordinator says after which step it counted
 * this site last, and the learner goes on from that state: an update that never entered a sum leaves no trace. */
#ifndef WH_FED_NODE_STATE_H
#define WH_FED_NODE_STATE_H

#include "fed/node.h"
#include "fed/upload.h"

enum { WH_NO_STEP = 0 }; /* tags are 1 + step */

/* What the update of a step costs; as it stands in the store. */
typedef struct wh_price {
    uint64_t step, round;
    double sigma, sensitivity, closeness, wrap;
    wh_spend spend;
    char mechanism[64], sampler[64];
} wh_price;

struct wh_node {
    wh_node_env env;
    whist_learner *learner;
    whist_learner_env learner_env;
    const char **party_names;
    bool moments_applied;

    whist_protection *machine;
    uint64_t machine_step;
    wh_arena names;
    const char **site_names; /* of the machine's cohort, in `names`; NULL where it does not look at them */
    wh_layout layout;
    wh_buf outbox;

    bool made; /* the answer to the present task is made; what fails now is the sending */

    bool plan_fits; /* the rounds to come were held against the ledger */
    bool has_price;
    wh_price price; /* of the newest update */
    wh_spend spent; /* without a ledger */

    uint64_t state_tag;   /* which step's state the learner holds */
    uint64_t backup_tag;  /* and the one it started the last fit from … */
    float *backup;        /* … (n_states * P), NULL until needed */
    uint64_t oldest_kept; /* no state file has a smaller tag */

    uint64_t rounds; /* of training, up to the last answer */
    char text[256];
};

/* Before fit: the learner holds the state that the task names. WHIST_E_STATE where it is lost. */
WH_MUST_CHECK whist_status wh_node_restore_state(wh_node *node, const wh_task *task);
/* After fit, with a store: the new state as a synced file, older ones removed. */
WH_MUST_CHECK whist_status wh_node_keep_state(wh_node *node, const wh_task *task);
void wh_node_drop_state(wh_node *node);

/* ---- Promises (node_private.c) ---- */

/* Before fit: a private learner says what it will spend, and whether the budget still has that. WHIST_E_BUDGET. */
WH_MUST_CHECK whist_status wh_node_before_fit(wh_node *node, const wh_task *task, const whist_learner_round *round);
/* In place of fit and keep_promise, for a promise about records that the learner's sums are made for. */
WH_MUST_CHECK whist_status wh_node_sum_records(wh_node *node, const wh_task *task, const whist_learner_round *round,
                                               wh_arena *arena, wh_contribution *out);
/* After fit: bounds and noises the update, where the plan says so, and fixes its price. */
WH_MUST_CHECK whist_status wh_node_keep_promise(wh_node *node, const wh_task *task, const float *model, wh_arena *arena,
                                                wh_contribution *out);
/* Inside the transaction of an answer. */
WH_MUST_CHECK whist_status wh_node_keep_price(wh_node *node);
/* Before an answer that opens the sum. WHIST_E_RANGE where too few are left. */
WH_MUST_CHECK whist_status wh_node_check_company(const wh_node *node, const wh_task *task);
/* After the answer is kept and before it leaves; again after a crash. manifest NULL: it streams. WHIST_E_BUDGET. */
WH_MUST_CHECK whist_status wh_node_pay(wh_node *node, const wh_task *task, const wh_manifest *manifest);

#endif
