/* fed/world.h: a small federation for tests: coordinator, sites and parties in one process, joined by
 * the wire protocol over the in-memory loopback, with stores in memory or on disk.
 *
 * Everything is driven by world_pass, one poll of each actor after another, so a run is the same run each
 * time. Objects can be ended and made anew between passes; on disk they then know only what they stored. */
#ifndef WH_TESTS_WORLD_H
#define WH_TESTS_WORLD_H

#include "fed/link_http.h"
#include "fed/node.h"
#include "fed/serve.h"
#include "net/loopback.h"

enum { WORLD_ACTORS = 128 };

/* A plan with everything it points to. Change fields of `plan` between world_plan_init and the run. */
typedef struct world_plan {
    whist_fed_plan plan;
    whist_fed_site sites[WORLD_ACTORS], parties[4];
    size_t rows; /* of the first site; site i has rows + i */
    whist_fed_privacy privacy;
    whist_crypt_key *keys[WORLD_ACTORS + 1]; /* with privacy: of the sites, and of the coordinator at n_sites */
} world_plan;

/* n_sites sites, a linear model over `features` columns, toy learner, fedavg, protection none, 3 rounds. */
WH_MUST_CHECK whist_status world_plan_init(world_plan *out, size_t n_sites, size_t features);
void world_plan_clear(world_plan *plan);
/* The settings that a class's table falls back to; replaces what is there. */
WH_MUST_CHECK whist_status world_plan_learner(world_plan *plan, const whist_learner_class *class_);
WH_MUST_CHECK whist_status world_plan_strategy(world_plan *plan, const char *name);
/* With as many parties as it needs. */
WH_MUST_CHECK whist_status world_plan_protection(world_plan *plan, const whist_protection_class *class_);
/* A promise about sites: noise as given, clip 1, sigma 1, epsilon 50, delta 1e-5; fields of plan->privacy may be
 * changed. Every site and the coordinator get a key, and its pin, for their ledgers. */
WH_MUST_CHECK whist_status world_plan_privacy(world_plan *plan, whist_privacy_noise noise);
/* Site i's rows: seeded, two classes, as raw as on the first day. */
WH_MUST_CHECK whist_status world_data(whist_dataset **out, const world_plan *plan, size_t site);

typedef struct world_actor {
    whist_dataset *data;
    wh_store *store;
    wh_ledger *ledger; /* with privacy */
    wh_loopback *loopback;
    wh_link_http link;
    wh_node *node;
    wh_node_state state;
    whist_status last;
    bool away; /* does not ask */
} world_actor;

typedef struct world world;
struct world {
    const world_plan *plan;
    const char *dir;                                /* NULL: stores in memory */
    const wh_fault_plan *faults;                    /* of every actor's loopback, or NULL */
    whist_status (*before)(world *w, size_t actor); /* NULL, or called before each poll: may end and make objects */
    void *user;                                     /* of whoever set `before` or `handler` */
    wh_handler *handler;                            /* NULL: wh_serve_handle; else it is given the world */
    const char *datasets[WORLD_ACTORS]; /* with privacy: name of a site's data in its ledger; NULL: "toys" */
    uint64_t max_spool_bytes;
    const char *replay;
    wh_store *store;
    wh_ledger *ledger;
    wh_coordinator *coordinator;
    wh_serve serve;
    world_actor actors[WORLD_ACTORS];
    size_t n_actors;
    wh_run_state state;
    uint64_t passes, expired;
};

/* Opens stores and makes all objects. world starts as {.plan = …, .dir = …}. */
WH_MUST_CHECK whist_status world_start(world *w);
void world_end(world *w);
/* Ends an object and makes it anew; on disk its store is closed and opened too. In memory stores live on, so
 * the coordinator can be made anew only on disk. */
WH_MUST_CHECK whist_status world_restart_actor(world *w, size_t actor);
WH_MUST_CHECK whist_status world_restart_coordinator(world *w);
/* Ticks until a phase is open, then one poll of each actor. When nobody has anything to do the open phase is overdue. A
 * failure of an actor is kept in its `last`; one of the coordinator comes back. */
WH_MUST_CHECK whist_status world_pass(world *w);
/* Passes until the study is over and everybody who asks knows it; WHIST_E_TIMEOUT after max_passes. */
WH_MUST_CHECK whist_status world_run(world *w, uint64_t max_passes);
/* For `before`: the first three sites come to the first step and are away from its third phase on. */
whist_status world_three_leave(world *w, size_t actor);
/* The newest model, (whist_model_size); freed by wh_free. */
WH_MUST_CHECK whist_status world_model(world *w, float **out);

/* Answers that the actor's log says it made: one for each step and phase that it answered. */
WH_MUST_CHECK whist_status world_releases(world *w, size_t actor, uint64_t *n);

/* The final model of an undisturbed run in memory, or of whist_fed_simulate over `threads` threads. */
WH_MUST_CHECK whist_status world_undisturbed(float **out, const world_plan *plan);
WH_MUST_CHECK whist_status world_simulate(whist_fed_result *out, const world_plan *plan, unsigned threads,
                                          const char *replay, const char *work_dir);

#endif
