/* fed/link.h: what a site or party says to the coordinator, whatever carries it.
 *
 *   poll → task → (model) → begin → put … → submit
 *
 * Two carriers stand behind this: link_direct.c calls the coordinator's machine in the same process
 * (simulation), link_http.c speaks the wire protocol over a wh_transport (network, or the in-memory
 * loopback with its fault plan). The machines on both sides are the same. */
#ifndef WH_FED_LINK_H
#define WH_FED_LINK_H

#include "base/mem.h"
#include "fed/ledger.h"
#include "fed/manifest.h"

#include <whist/fed.h>

typedef enum wh_task_kind {
    WH_TASK_WAIT,     /* nothing now; ask again after wait_ms */
    WH_TASK_WORK,     /* answer (step, phase) */
    WH_TASK_FINISHED, /* the study is over */
    WH_TASK_REFUSED,  /* the coordinator will not work with this actor: text says why */
} wh_task_kind;

/* What an actor is asked to do. All strings live in its arena. */
typedef struct wh_task {
    wh_task_kind kind;
    uint32_t wait_ms;
    uint64_t step, round;
    unsigned phase;
    whist_purpose purpose;
    bool evaluate;        /* metrics of the model are wanted */
    bool has_model;       /* in upload phases: the model to work on … */
    uint64_t model_bytes; /* … with the broadcast vectors behind it */
    bool has_state;       /* the actor's learner state is the one it had after step state_step */
    uint64_t state_step;
    size_t n_sites; /* of the cohort */
    size_t n_alive, n_inbox;
    const char **sites, **alive; /* NULL and empty where the protection does not look at them */
    whist_message *inbox;
    char text[256];
    wh_manifest model; /* chunks of the model; empty on the direct link */
    wh_arena arena;
} wh_task;
#define WH_TASK_EMPTY                                                                                                  \
    {                                                                                                                  \
        .kind = WH_TASK_WAIT                                                                                           \
    }
void wh_task_clear(wh_task *task);
WH_AUTO_CLEAR(wh_task, wh_task_clear)

typedef struct wh_link wh_link;
struct wh_link {
    whist_status (*poll)(wh_link *link, wh_task *out);
    /* model and broadcast vectors of the task, one after the other; valid until the next call. */
    whist_status (*model)(wh_link *link, const wh_task *task, const float **out);
    /* Announces an upload of `bytes`; manifest NULL on the direct link. have (bitmap over chunks, owned by the
     * link, valid until the next begin) tells which chunks are there already; NULL: none. */
    whist_status (*begin)(wh_link *link, const wh_task *task, uint64_t bytes, const wh_manifest *manifest,
                          const uint8_t **have);
    whist_status (*put)(wh_link *link, const wh_task *task, uint64_t offset, whist_bytes piece);
    /* The answer is complete. WHIST_E_STATE: too late, the phase is over. */
    whist_status (*submit)(wh_link *link, const wh_task *task, const whist_message *messages, size_t n);
    /* This actor cannot answer; the reason is counted and logged at the coordinator. */
    whist_status (*decline)(wh_link *link, const wh_task *task, whist_status why, const char *text);
    /* Shows the head of the site's privacy ledger to the coordinator and takes its own (ledger.h). WHIST_E_AUTH where a
     * copy is older than what the other side has seen. NULL: both live in one process. */
    whist_status (*note)(wh_link *link, wh_ledger *ledger);
};

#endif
