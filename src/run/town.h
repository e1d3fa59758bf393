/* run/town.h: a federation of processes on this machine, for measurements and tests: keys and certificates in
 * files, a plan over one large model, a coordinator in a process of its own, and sites that connect to it
 * over mutual TLS. */
#ifndef WH_RUN_TOWN_H
#define WH_RUN_TOWN_H

#include "fed/link_http.h"
#include "net/client.h"
#include "net/net_testing.h"

#include <whist/run.h>

#include <sys/resource.h>
#include <sys/types.h>

typedef struct wh_fed_town {
    char *dir; /* holds everything: keys, states, updates */
    wh_town authority;
    wh_citizen coordinator, *citizens; /* (n_sites) */
    char *files[4];                    /* paths: ca, certificate and key of the coordinator, its state folder */
    whist_model *model;
    whist_settings *learner, *strategy, *protection;
    whist_fed_site *sites;
    whist_fed_plan plan;
    pid_t process; /* of the coordinator; 0: none */
    uint16_t port;
    uint64_t inherited; /* bytes of our memory that the process began with */
} wh_fed_town;

typedef struct wh_fed_town_options {
    const char *dir; /* is there */
    size_t n_sites;
    size_t width; /* the model is an MLP width-width-1: width² + 2 width + 1 parameters */
    const char *strategy;
    const whist_learner_class *learner;
    uint32_t rounds;
} wh_fed_town_options;

WH_MUST_CHECK whist_status wh_fed_town_init(wh_fed_town *out, const wh_fed_town_options *options);
/* Kills the coordinator if it still runs. The files stay. */
void wh_fed_town_clear(wh_fed_town *town);
WH_AUTO_CLEAR(wh_fed_town, wh_fed_town_clear)

/* Starts the coordinator's process (whist_run_coordinator over the state in dir) and waits until it listens; the
 * second start keeps the port. The process is a fork: what the caller has in memory counts as its too. */
WH_MUST_CHECK whist_status wh_fed_town_start(wh_fed_town *town);
/* Waits for its end. WHIST_E_STATE where it failed or was killed. usage may be NULL. */
WH_MUST_CHECK whist_status wh_fed_town_join(wh_fed_town *town, struct rusage *usage);
/* SIGKILL, and waits. */
void wh_fed_town_kill(wh_fed_town *town);

/* A site's connection with its own key. */
WH_MUST_CHECK whist_status wh_fed_town_client(wh_client **out, const wh_fed_town *town, size_t site);
/* DIR/NAME of site i's PEM file (kind "pem" or "key"); made if need be. Ended by wh_free. */
WH_MUST_CHECK whist_status wh_fed_town_pem(char **out, const wh_fed_town *town, const wh_citizen *citizen,
                                           const char *name, const char *kind);

#endif
