/* run/site.c: the loop of a site's (or third party's) process: asks, works, answers, waits, and tries again
 * when the coordinator cannot be reached. It connects outward only. */
#include "base/clock.h"
#include "base/log.h"
#include "crypt/random.h"
#include "fed/link_http.h"
#include "fed/node.h"
#include "net/client.h"
#include "run/identity_files.h"
#include "run/release.h"

#include <whist/run.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAP_MS = 100, MAX_SKEW_MS = 5 * 60 * 1000, RELOAD_EVERY_MS = 2000 };

typedef struct connection {
    const whist_site_run *run;
    wh_identity_loaded identity;
    wh_client *client;
    wh_link_http link;
    char address[WH_COORDINATOR_ADDRESS];
    int64_t reloaded_ms;
} connection;

static void connection_clear(connection *c)
{
    wh_link_http_clear(&c->link);
    wh_client_free(c->client);
    wh_identity_clear(&c->identity);
}
WH_AUTO_CLEAR(connection, connection_clear)

static whist_status make_client(wh_client **out, const connection *c, const wh_identity *identity)
{
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = c->address;
    options.proxy = c->run->proxy && c->run->proxy[0] ? c->run->proxy : NULL;
    options.identity = identity;
    options.server_pin = c->run->plan->coordinator.pin;
    return wh_client_new(out, &options);
}

static whist_status connection_init(connection *c, const whist_site_run *run)
{
    *c = (connection){.run = run};
    if (!run->plan->coordinator.pinned)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the study names no key for its coordinator: `whist provision` puts it there");
    WH_TRY(wh_coordinator_address(c->address, run->coordinator));
    WH_TRY(wh_identity_load(&c->identity, &run->identity));
    WH_TRY(make_client(&c->client, c, &c->identity.identity));
    char who[128];
    snprintf(who, sizeof who, "coordinator %.100s", c->address);
    WH_TRY(wh_link_http_init(&c->link, wh_client_transport(c->client), run->plan->study, who));
    memcpy(c->link.pin, run->plan->coordinator.pin, sizeof c->link.pin);
    return WHIST_OK;
}

/* New certificates take effect with the next connection; work under way goes on. */
static void reload_identity(connection *c)
{
    int64_t now = wh_clock_unix_ms();
    if (now - c->reloaded_ms < RELOAD_EVERY_MS) return;
    c->reloaded_ms = now;
    if (wh_identity_stamp(&c->run->identity) == c->identity.stamp) return;
    wh_identity_loaded fresh;
    whist_status status = wh_identity_load(&fresh, &c->run->identity);
    if (status == WHIST_OK) {
        wh_client *client;
        status = make_client(&client, c, &fresh.identity);
        if (status == WHIST_OK) {
            wh_client_free(c->client);
            wh_identity_clear(&c->identity);
            c->client = client;
            c->identity = fresh;
            c->link.transport = wh_client_transport(client);
            wh_log(WHIST_LOG_INFO, "certificate.reloaded", "new certificates are in force");
            return;
        }
        wh_identity_clear(&fresh);
    }
    c->identity.stamp = wh_identity_stamp(&c->run->identity); /* said once, not every two seconds */
    wh_log(WHIST_LOG_ERROR, "certificate.reload", "the old certificates stay in force: %s", whist_detail_get()->text);
}

static whist_status check_clock(const connection *c)
{
    int64_t skew = c->link.skew_ms;
    if (skew > MAX_SKEW_MS || skew < -MAX_SKEW_MS)
        WH_FAIL(WHIST_E_STATE,
                "this machine's clock is %lld s %s the coordinator's: set it right (NTP) and start again",
                (long long)((skew > 0 ? skew : -skew) / 1000), skew > 0 ? "behind" : "ahead of");
    return WHIST_OK;
}

whist_status whist_site_connect(const whist_site_run *run, int64_t *skew_ms)
{
    WH_ENSURE(run && run->plan && skew_ms, WHIST_E_ARG);
    WH_AUTO(connection) c = {0};
    WH_TRY(connection_init(&c, run));
    WH_TRY(wh_client_connect(c.client));
    WH_TRY(wh_link_http_hello(&c.link));
    *skew_ms = c.link.skew_ms;
    return WHIST_OK;
}

/* ---- Waiting ---- */

static bool stopped(const whist_site_run *run)
{
    return run->stop && *run->stop;
}

static void nap(const whist_site_run *run, uint32_t ms)
{
    while (ms > 0 && !stopped(run)) {
        uint32_t piece = ms < NAP_MS ? ms : NAP_MS;
        nanosleep(&(struct timespec){.tv_nsec = (long)piece * 1000000}, NULL);
        ms -= piece;
    }
}

/* Up to a quarter more: a crowd that was told to wait does not come back together. */
static uint32_t spread(uint32_t ms)
{
    uint8_t dice = 0;
    if (wh_random_bytes(&dice, 1) != WHIST_OK) return ms; /* no secret, and nothing depends on it */
    return ms + (uint32_t)((uint64_t)ms * dice / 1024);
}

static bool worth_another_try(whist_status status)
{
    return status == WHIST_E_IO || status == WHIST_E_TIMEOUT || status == WHIST_E_STATE;
}

static uint32_t after_failure(connection *c, wh_backoff *backoff, whist_status status)
{
    uint8_t dice[4] = {0};
    if (wh_random_bytes(dice, sizeof dice) != WHIST_OK) dice[0] = 128; /* jitter is no secret */
    uint32_t word;
    memcpy(&word, dice, sizeof word);
    uint32_t wait = wh_backoff_next(backoff, c->link.retry_after_ms, word);
    c->link.retry_after_ms = 0;
    wh_log(WHIST_LOG_WARNING, "site.retry", "%s: %s; trying again in %.1f s", whist_status_name(status),
           whist_detail_get()->text, wait / 1000.0);
    return wait;
}

/* ---- The loop ---- */

static whist_status greet(connection *c, wh_backoff *backoff)
{
    for (;;) {
        if (stopped(c->run)) WH_FAIL(WHIST_E_CANCELLED, "stopped; the same command goes on from here");
        whist_status status = wh_link_http_hello(&c->link);
        if (status == WHIST_OK) return check_clock(c);
        if (!worth_another_try(status)) return status;
        nap(c->run, after_failure(c, backoff, status));
        reload_identity(c);
    }
}

/* Before anything is worked on: neither side's ledger is an older copy. */
static whist_status compare_ledgers(connection *c, wh_ledger *ledger, wh_backoff *backoff)
{
    for (;;) {
        if (stopped(c->run)) WH_FAIL(WHIST_E_CANCELLED, "stopped; the same command goes on from here");
        whist_status status = c->link.link.note(&c->link.link, ledger);
        if (status == WHIST_OK || !worth_another_try(status)) return status;
        nap(c->run, after_failure(c, backoff, status));
        reload_identity(c);
    }
}

static whist_status tell_progress(const whist_site_run *run, const wh_node *node)
{
    return wh_progress(run->progress, run->user, "train", wh_node_rounds(node), run->plan->rounds, "rounds");
}

static whist_status serve(connection *c, wh_node *node, wh_backoff *backoff)
{
    const whist_site_run *run = c->run;
    wh_node_state state = WH_NODE_WAITING;
    bool unpaid = false; /* the study ended for want of our own budget, if it ended without a result */
    for (;;) {
        if (stopped(run)) WH_FAIL(WHIST_E_CANCELLED, "stopped; the same command goes on from here");
        uint32_t wait_ms;
        whist_status status = wh_node_step(node, &state, &wait_ms);
        if (status != WHIST_OK && state == WH_NODE_DECLINED) {
            unpaid = status == WHIST_E_BUDGET;
            /* This step goes on without us; the next one may do better. */
            wh_log(WHIST_LOG_ERROR, "site.declined", "%s: %s", whist_status_name(status), whist_detail_get()->text);
        } else if (status != WHIST_OK && !worth_another_try(status)) {
            return status;
        } else if (status != WHIST_OK) {
            wait_ms = after_failure(c, backoff, status);
        } else {
            backoff->failures = 0;
            if (state == WH_NODE_ANSWERED) WH_TRY(tell_progress(run, node));
            if (state == WH_NODE_FINISHED || state == WH_NODE_REFUSED) break;
        }
        nap(run, status == WHIST_OK ? spread(wait_ms) : wait_ms); /* after a failure it is spread already */
        reload_identity(c);
    }
    const char *text = wh_node_text(node);
    if (state == WH_NODE_REFUSED) WH_FAIL(WHIST_E_AUTH, "the coordinator refuses this site: %s", text);
    if (text[0]) WH_FAIL(unpaid ? WHIST_E_BUDGET : WHIST_E_TIMEOUT, "the study ended without a result: %s", text);
    return WHIST_OK;
}

static whist_status open_ledger(wh_ledger **out, const whist_site_run *run, const connection *c)
{
    char dir[4096];
    const char *dataset = run->dataset && run->dataset[0] ? run->dataset : "data";
    if (!run->plan->privacy || !run->data) return WHIST_OK;
    if (snprintf(dir, sizeof dir, "%s/ledger/%s", run->state, dataset) >= (int)sizeof dir)
        WH_FAIL(WHIST_E_RANGE, "the name of the state folder is too long");
    const wh_ledger_env env = {
        .dir = dir,
        .dataset = dataset,
        .owner = run->plan->sites[run->index].name,
        .key = c->identity.key,
        .max_epsilon = run->max_epsilon,
        .max_delta = run->max_delta,
    };
    return wh_ledger_open(out, &env);
}

static whist_status run_with_store(const whist_site_run *run, wh_store *store)
{
    char person[128];
    bool approved;
    WH_TRY(wh_release_approval(store, person, &approved));
    if (!approved && run->data)
        WH_FAIL(WHIST_E_STATE, "nobody at this site has approved the study %s: `whist site approve` does that",
                run->plan->name);
    WH_AUTO(connection) c = {0};
    WH_TRY(connection_init(&c, run));
    WH_AUTO(wh_release) release = {0};
    WH_TRY(wh_release_init(&release, store, run, c.identity.key));
    WH_AUTO(wh_ledger_ptr) ledger = NULL;
    WH_TRY(open_ledger(&ledger, run, &c));
    const wh_node_env env = {
        .plan = run->plan,
        .role = run->data ? WHIST_ROLE_SITE : WHIST_ROLE_PARTY,
        .index = run->index,
        .data = run->data,
        .store = store,
        .link = &c.link.link,
        .ledger = ledger,
        .threads = run->threads,
        .max_state_bytes = run->max_state_bytes,
        .min_metric_count = run->min_metric_count,
        .release = wh_release_note,
        .user = &release,
        .progress = run->progress,
        .progress_user = run->user,
    };
    wh_node *node;
    WH_TRY(wh_node_new(&node, &env));
    wh_backoff backoff = WH_BACKOFF_DEFAULT;
    whist_status status = greet(&c, &backoff);
    if (status == WHIST_OK && ledger) status = compare_ledgers(&c, ledger, &backoff);
    if (status == WHIST_OK) status = serve(&c, node, &backoff);
    /* The last charges are seen by the other side, too. It may have gone already: the next study compares again. */
    if (status == WHIST_OK && ledger && c.link.link.note(&c.link.link, ledger) != WHIST_OK)
        wh_log(WHIST_LOG_WARNING, "ledger.note", "%s", whist_detail_get()->text);
    wh_node_free(node);
    return status;
}

whist_status whist_run_site(const whist_site_run *run)
{
    WH_ENSURE(run && run->plan && run->state && run->coordinator, WHIST_E_ARG);
    char dir[4096];
    WH_TRY(whist_site_study_state(dir, run->state, run->plan->study));
    WH_TRY(wh_make_dirs(dir));
    wh_store *store;
    WH_TRY(wh_store_open(&store, dir, run->plan->study));
    whist_status status = run_with_store(run, store);
    wh_store_close(store);
    return status;
}
