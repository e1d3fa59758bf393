/* fed/coordinator.h: the coordinator's machine. It answers calls, it never makes one.
 *
 * A study is a row of steps: moments (if asked for), one or more steps for each round, a last
 * evaluation. A step is a row of phases, as the protection says. A phase closes when everybody who
 * acts in it has answered, or at its deadline with at least min_sites answers.
 *
 *   open phase → answers → closed → (next phase | sum revealed → strategy → next model → next step)
 *
 * Every change is one transaction of the store, so a machine made anew from the store goes on where
 * the last one was, and ends with the same bits.
 *
 * Threads: all calls may come from any thread. tick does the heavy work and belongs to one. */
#ifndef WH_FED_COORDINATOR_H
#define WH_FED_COORDINATOR_H

#include "fed/ledger.h"
#include "fed/link.h"
#include "fed/store.h"

typedef struct wh_coordinator wh_coordinator;

typedef struct wh_coordinator_env {
    const whist_fed_plan *plan;
    wh_store *store;          /* outlives the machine */
    uint64_t max_spool_bytes; /* ceiling on uploads lying on disk; 0: none */
    const char *replay;       /* folder of a recorded run, or NULL */
    wh_ledger *ledger;        /* of the study's data, where the plan makes a promise, else NULL; outlives the machine */
} wh_coordinator_env;

typedef enum wh_run_state { WH_RUN_GOING, WH_RUN_FINISHED, WH_RUN_FAILED } wh_run_state;

/* Starts or goes on. WHIST_E_FORMAT where the store does not fit the plan. */
WH_MUST_CHECK whist_status wh_coordinator_new(wh_coordinator **out, const wh_coordinator_env *env);
void wh_coordinator_free(wh_coordinator *c);

/* Closes what is complete or overdue, computes, opens what comes next. *state and, where it is not 0, the
 * milliseconds until the next deadline. Called in a loop; cheap when there is nothing to do. */
WH_MUST_CHECK whist_status wh_coordinator_tick(wh_coordinator *c, wh_run_state *state, uint32_t *wait_ms);
/* Blocks until an answer came in, a call to wh_coordinator_wake, or the time is over. */
void wh_coordinator_wait(wh_coordinator *c, uint32_t ms);
void wh_coordinator_wake(wh_coordinator *c);

/* Actors: 0 … n_sites-1 are the plan's sites, then its parties. */
WH_MUST_CHECK whist_status wh_coordinator_actor_find(const wh_coordinator *c, const uint8_t pin[32], size_t *out);

/* ---- What links call ---- */
WH_MUST_CHECK whist_status wh_coordinator_poll(wh_coordinator *c, size_t actor, wh_task *out);
/* Manifest of the model (and broadcast vectors) of the open step; one chunk of it. */
WH_MUST_CHECK whist_status wh_coordinator_model_manifest(wh_coordinator *c, wh_manifest *out);
WH_MUST_CHECK whist_status wh_coordinator_model_read(wh_coordinator *c, uint64_t step, uint64_t offset, void *out,
                                                     size_t len);
/* In memory: all of it, until the step closes; NULL on disk. */
const float *wh_coordinator_model_view(wh_coordinator *c);

/* An upload, exactly once: a second begin of the same one goes on, of another one is refused. have: bitmap of
 * chunks that lie here already (n_chunks bits; may be NULL). WHIST_E_STATE when the phase is over;
 * WHIST_E_BUDGET above the spool ceiling (try later). */
WH_MUST_CHECK whist_status wh_coordinator_begin(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                                                uint64_t bytes, const wh_manifest *manifest, wh_buf *have);
/* WHIST_E_FORMAT where the piece is not the announced one. With a manifest, pieces are whole chunks. */
WH_MUST_CHECK whist_status wh_coordinator_put(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                                              uint64_t offset, whist_bytes piece);
/* The answer of one actor to one phase. The same one again is fine and changes nothing. */
WH_MUST_CHECK whist_status wh_coordinator_submit(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                                                 const whist_message *messages, size_t n);
WH_MUST_CHECK whist_status wh_coordinator_decline(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                                                  whist_status why, const char *text);

/* ---- For whoever drives all actors in one process ---- */
/* Actors that have work in the open phase; out has room for all. */
size_t wh_coordinator_active(wh_coordinator *c, uint32_t *out);
/* The open phase is overdue from now on. */
void wh_coordinator_expire(wh_coordinator *c);

/* The run is over for a reason from outside: nothing more is opened, and whoever asks is told why. */
void wh_coordinator_fail(wh_coordinator *c, whist_status why, const char *text);

/* ---- For status, tables and the end ---- */
typedef struct wh_coordinator_counts {
    uint64_t step, round, answers, repeated, late, refused, declined, bytes_in;
    unsigned phase;
    size_t expected, arrived;
    wh_run_state state;
} wh_coordinator_counts;
/* After the end: who has still to hear, by a poll, that it is over. */
typedef enum wh_audience {
    WH_AUDIENCE_TOLD,   /* everybody who ever asked knows */
    WH_AUDIENCE_ASKING, /* somebody who asked since the start does not */
    WH_AUDIENCE_AWAY,   /* nor does somebody who may have asked before a restart and waits to ask again */
} wh_audience;
wh_audience wh_coordinator_audience(wh_coordinator *c);
/* Whoever has not heard by now is waited for no more, after a restart either: a transaction. */
WH_MUST_CHECK whist_status wh_coordinator_end_audience(wh_coordinator *c);
void wh_coordinator_count(wh_coordinator *c, wh_coordinator_counts *out);
/* Copies the newest model (P floats). */
WH_MUST_CHECK whist_status wh_coordinator_model_copy(wh_coordinator *c, float *out);
/* Copies mean and sd (2D floats) that stand behind it; a plan with pooled moments only. */
WH_MUST_CHECK whist_status wh_coordinator_moments_copy(wh_coordinator *c, float *out);
uint32_t wh_coordinator_rounds_done(wh_coordinator *c);
/* What this study has spent, at the plan's delta; 0 without a promise. */
double wh_coordinator_epsilon(wh_coordinator *c);

#endif
