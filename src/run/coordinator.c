/* run/coordinator.c: the loop of the coordinator's process: ticks the machine, keeps the server going,
 * reads certificates again, writes metrics, and lingers until the sites know that it is over. */
#include "base/clock.h"
#include "base/log.h"
#include "fed/result.h"
#include "fed/serve.h"
#include "net/server.h"
#include "run/identity_files.h"
#include "run/metrics_out.h"

#include <whist/run.h>

#include <stdio.h>
#include <string.h>

enum { LOOP_MS = 500, LINGER_S = 10, AWAY_S = 75, DRAIN_MS = 3000, RELOAD_EVERY_MS = 2000 };

typedef struct running {
    const whist_coordinator_run *run;
    wh_store *store;
    wh_ledger *ledger; /* where the plan makes a promise */
    wh_coordinator *coordinator;
    wh_serve serve;
    wh_identity_loaded identity;
    wh_server *server, *operations;
    wh_metrics_out *metrics;
    int64_t reloaded_ms;
} running;

static void running_clear(running *r)
{
    wh_server_stop(r->operations, 0);
    wh_server_stop(r->server, DRAIN_MS);
    wh_metrics_out_free(r->metrics);
    wh_coordinator_free(r->coordinator);
    wh_ledger_close(r->ledger);
    wh_store_close(r->store);
    wh_identity_clear(&r->identity);
}
WH_AUTO_CLEAR(running, running_clear)

/* ---- Who may speak ---- */

static whist_status authorise(void *user, wh_peer *peer)
{
    running *r = user;
    if (peer->role == WHIST_CRYPT_OPERATOR) return WHIST_OK; /* the request decides by the rights */
    size_t actor;
    WH_TRY(wh_coordinator_actor_find(r->coordinator, peer->pin, &actor));
    const whist_fed_plan *plan = r->run->plan;
    const char *name = actor < plan->n_sites ? plan->sites[actor].name : plan->parties[actor - plan->n_sites].name;
    snprintf(peer->name, sizeof peer->name, "%s", name);
    return WHIST_OK;
}

/* ---- Operations: plain HTTP on loopback ---- */

static whist_status metrics_text(running *r, wh_buf *out)
{
    wh_coordinator_counts counts;
    wh_server_stats stats;
    wh_coordinator_count(r->coordinator, &counts);
    wh_server_stats_get(&stats, r->server);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"whist_round", "gauge", "round of training, from 0", counts.round},
        {"whist_rounds", "gauge", "rounds of the study", r->run->plan->rounds},
        {"whist_sites_expected", "gauge", "actors asked in the open phase", counts.expected},
        {"whist_sites_arrived", "gauge", "actors that answered it", counts.arrived},
        {"whist_answers_total", "counter", "answers taken", counts.answers},
        {"whist_answers_repeated_total", "counter", "answers sent again and ignored", counts.repeated},
        {"whist_answers_late_total", "counter", "answers after their phase", counts.late},
        {"whist_updates_refused_total", "counter", "updates out of range or damaged", counts.refused},
        {"whist_sites_declined_total", "counter", "sites that could not answer", counts.declined},
        {"whist_update_bytes_total", "counter", "bytes of updates received", counts.bytes_in},
        {"whist_http_requests_total", "counter", "requests of known peers", stats.requests},
        {"whist_http_refused_total", "counter", "peers refused by their certificate", stats.refused},
        {"whist_http_connections", "gauge", "open connections", stats.connections},
    };
    for (size_t i = 0; i < WH_COUNT(rows); i++)
        WH_TRY(wh_buf_text(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help, rows[i].name,
                           rows[i].type, rows[i].name, (unsigned long long)rows[i].value));
    return WHIST_OK;
}

static whist_status operations(void *user, const wh_request *request, wh_response *response)
{
    running *r = user;
    response->code = 200;
    if (strcmp(request->path, "/healthz") == 0) return wh_buf_text(&response->body, "ok\n");
    if (strcmp(request->path, "/metrics") == 0) return metrics_text(r, &response->body);
    response->code = 404;
    return wh_buf_text(&response->body, "only /healthz and /metrics are here\n");
}

/* ---- Starting ---- */

static whist_status start_servers(running *r)
{
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.address = r->run->listen;
    options.identity = &r->identity.identity;
    options.handler = wh_serve_handle;
    options.user = &r->serve;
    options.authorise = authorise;
    options.authorise_user = r;
    WH_TRY(wh_server_start(&r->server, &options));
    if (r->run->listening) r->run->listening(r->run->user, wh_server_port(r->server));
    if (!r->run->operations || !r->run->operations[0]) return WHIST_OK;
    wh_server_options plain = WH_SERVER_OPTIONS_DEFAULT;
    plain.address = r->run->operations;
    plain.handler = operations;
    plain.user = r;
    plain.loops = plain.workers = 1;
    return wh_server_start(&r->operations, &plain);
}

/* Beside the state folder, which belongs to one study: those of further studies lie next to it, and find the same. */
whist_status whist_coordinator_ledger_dir(char out[4096], const char *ledger, const char *state)
{
    WH_ENSURE(out && state && state[0], WHIST_E_ARG);
    size_t len = strlen(state);
    while (len > 1 && state[len - 1] == '/') len--;
    size_t end = len;
    while (end > 0 && state[end - 1] != '/') end--;
    const char *last = state + end;
    const bool named = len > end && !(len - end == 1 && last[0] == '.') && strncmp(last, "..", len - end) != 0;
    int n = ledger && ledger[0] ? snprintf(out, 4096, "%s", ledger)
            : !named            ? snprintf(out, 4096, "%.*s/../ledger", (int)len, state)
                                : snprintf(out, 4096, "%.*sledger", (int)end, state);
    if (n >= 4096) WH_FAIL(WHIST_E_RANGE, "the name of the ledger's folder is too long");
    return WHIST_OK;
}

static whist_status open_ledger(running *r)
{
    const whist_coordinator_run *run = r->run;
    const whist_fed_privacy *privacy = run->plan->privacy;
    char folder[4096], dir[4096];
    if (!privacy) return WHIST_OK;
    const char *dataset = privacy->dataset && privacy->dataset[0] ? privacy->dataset : "data";
    WH_TRY(whist_coordinator_ledger_dir(folder, run->ledger, run->state));
    if (snprintf(dir, sizeof dir, "%s/%s", folder, dataset) >= (int)sizeof dir)
        WH_FAIL(WHIST_E_RANGE, "the name of the ledger's folder is too long");
    const wh_ledger_env env = {.dir = dir, .dataset = dataset, .owner = "coordinator", .key = r->identity.key};
    return wh_ledger_open(&r->ledger, &env);
}

static whist_status start(running *r)
{
    const whist_coordinator_run *run = r->run;
    for (size_t i = 0; i < run->plan->n_sites; i++)
        if (!run->plan->sites[i].pinned)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "the study names no key for site %s: `whist provision` puts the keys of all sites into the study",
                    run->plan->sites[i].name);
    if (run->plan->strategy->baseline != WHIST_BASELINE_NONE)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s is a baseline for `whist simulate`, not for a federation",
                run->plan->strategy->name);
    WH_TRY(wh_identity_load(&r->identity, &run->identity));
    WH_TRY(wh_store_open(&r->store, run->state, run->plan->study));
    WH_TRY(open_ledger(r));
    const wh_coordinator_env env = {
        .plan = run->plan,
        .store = r->store,
        .max_spool_bytes = run->max_spool_bytes,
        .ledger = r->ledger,
    };
    WH_TRY(wh_coordinator_new(&r->coordinator, &env));
    r->serve = (wh_serve){.coordinator = r->coordinator, .plan = run->plan, .ledger = r->ledger};
    atomic_store(&r->serve.waits, run->wait_for_start);
    if (run->metrics_dir && run->metrics_dir[0]) WH_TRY(wh_metrics_out_new(&r->metrics, run->metrics_dir, run->plan));
    return start_servers(r);
}

/* ---- Going on ---- */

static void reload_identity(running *r)
{
    int64_t now = wh_clock_unix_ms();
    if (now - r->reloaded_ms < RELOAD_EVERY_MS) return;
    r->reloaded_ms = now;
    if (wh_identity_stamp(&r->run->identity) == r->identity.stamp) return;
    wh_identity_loaded fresh;
    whist_status status = wh_identity_load(&fresh, &r->run->identity);
    if (status == WHIST_OK) {
        status = wh_server_reload(r->server, &fresh.identity);
        if (status == WHIST_OK) {
            wh_identity_clear(&r->identity);
            r->identity = fresh;
            wh_log(WHIST_LOG_INFO, "certificate.reloaded", "new certificates are in force");
            return;
        }
        wh_identity_clear(&fresh);
    }
    r->identity.stamp = wh_identity_stamp(&r->run->identity); /* said once, not every two seconds */
    wh_log(WHIST_LOG_ERROR, "certificate.reload", "the old certificates stay in force: %s", whist_detail_get()->text);
}

static bool stopped(const running *r)
{
    return (r->run->stop && *r->run->stop) || atomic_load(&r->serve.stop_asked);
}

static whist_status tell_progress(running *r)
{
    wh_coordinator_counts counts;
    wh_coordinator_count(r->coordinator, &counts);
    char note[64];
    snprintf(note, sizeof note, "%zu of %zu sites", counts.arrived, counts.expected);
    return wh_progress(r->run->progress, r->run->user, "train", wh_coordinator_rounds_done(r->coordinator),
                       r->run->plan->rounds, note);
}

/* Sites that ask meanwhile are told to ask again: no step is open. */
static whist_status wait_for_start(running *r)
{
    if (r->run->wait_for_start) wh_log(WHIST_LOG_INFO, "coordinator.waits", "rounds begin with `whist start`");
    while (atomic_load(&r->serve.waits)) {
        if (stopped(r)) WH_FAIL(WHIST_E_CANCELLED, "stopped; the same command goes on from here");
        reload_identity(r);
        wh_coordinator_wait(r->coordinator, LOOP_MS);
    }
    return WHIST_OK;
}

static whist_status work(running *r)
{
    WH_TRY(wait_for_start(r));
    wh_run_state state = WH_RUN_GOING;
    while (state == WH_RUN_GOING) {
        if (stopped(r)) WH_FAIL(WHIST_E_CANCELLED, "stopped; the same command goes on from here");
        uint32_t wait_ms;
        WH_TRY(wh_coordinator_tick(r->coordinator, &state, &wait_ms));
        WH_TRY(tell_progress(r));
        if (r->metrics) WH_TRY(wh_metrics_out_write(r->metrics, r->store));
        reload_identity(r);
        if (wait_ms) wh_coordinator_wait(r->coordinator, wait_ms < LOOP_MS ? wait_ms : LOOP_MS);
    }
    return WHIST_OK;
}

/* The study is over; sites that are still asking shall hear it. Those that a restart sent away come back when their
 * pause ends, at the latest (base of the backoff: net/transport.h). */
static whist_status linger(running *r, bool finished)
{
    double begin = wh_clock_seconds();
    wh_audience who = wh_coordinator_audience(r->coordinator), said = WH_AUDIENCE_TOLD;
    for (; who != WH_AUDIENCE_TOLD; who = wh_coordinator_audience(r->coordinator)) {
        double patience = who == WH_AUDIENCE_AWAY ? AWAY_S : LINGER_S;
        if (stopped(r)) return WHIST_OK; /* a later start may tell them */
        if (wh_clock_seconds() - begin > patience) break;
        if (who == WH_AUDIENCE_AWAY && who != said)
            wh_log(WHIST_LOG_INFO, "coordinator.lingers",
                   "the study is over; up to %d s for sites that asked before the restart to hear it", AWAY_S);
        said = who;
        wh_coordinator_wait(r->coordinator, 20);
    }
    return finished ? wh_coordinator_end_audience(r->coordinator) : WHIST_OK; /* a failed run may go on */
}

whist_status whist_run_coordinator(whist_fed_result *out, const whist_coordinator_run *run)
{
    WH_ENSURE(out && run && run->plan && run->state && run->listen, WHIST_E_ARG);
    WH_AUTO(running) r = {.run = run};
    double begin = wh_clock_seconds();
    WH_TRY(start(&r));
    whist_status status = work(&r);
    if (status != WHIST_E_CANCELLED) {
        whist_detail why = *whist_detail_get();
        WH_TRY(linger(&r, status == WHIST_OK));
        wh_detail_put(&why);
    }
    WH_TRY(status);
    WH_TRY(wh_result_from(out, run->plan, r.coordinator, r.store));
    out->seconds = wh_clock_seconds() - begin;
    return WHIST_OK;
}
