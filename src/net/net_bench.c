/* net/net_bench.c: a client and a server of this process over 127.0.0.1, TLS 1.3 on both ends, so both share
 * the machine. */
#include "net/net_bench.h"

#include "base/clock.h"
#include "net/client.h"
#include "net/net_testing.h"
#include "net/server.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPS = 5 };

typedef struct bench {
    wh_town town;
    wh_citizen coordinator, site;
    wh_server *server;
    wh_client *client;
} bench;

static whist_status echo(void *user, const wh_request *request, wh_response *response)
{
    (void)user;
    response->code = 200;
    /* An upload is answered with a word, a control message with itself. */
    if (request->body.len > WH_NET_CONTROL_MAX) return wh_buf_text(&response->body, "ok");
    return wh_buf_add(&response->body, request->body.data, request->body.len);
}

static void bench_clear(bench *b)
{
    wh_client_free(b->client);
    wh_server_stop(b->server, 1000);
    wh_citizen_clear(&b->coordinator);
    wh_citizen_clear(&b->site);
    wh_town_clear(&b->town);
}
WH_AUTO_CLEAR(bench, bench_clear)

static whist_status bench_init(bench *b)
{
    WH_TRY(wh_town_new(&b->town, "bench"));
    WH_TRY(wh_citizen_new(&b->coordinator, &b->town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30));
    WH_TRY(wh_citizen_new(&b->site, &b->town, "site", WHIST_CRYPT_SITE, 1, 30));
    wh_identity server = wh_identity_of(&b->town, &b->coordinator), site = wh_identity_of(&b->town, &b->site);
    wh_server_options server_options = WH_SERVER_OPTIONS_DEFAULT;
    server_options.identity = &server;
    server_options.handler = echo;
    WH_TRY(wh_server_start(&b->server, &server_options));
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", wh_server_port(b->server));
    wh_client_options client_options = WH_CLIENT_OPTIONS_DEFAULT;
    client_options.address = address;
    client_options.identity = &site;
    client_options.server_pin = b->coordinator.pin;
    WH_TRY(wh_client_new(&b->client, &client_options));
    return wh_client_connect(b->client);
}

static whist_status call_often(bench *b, const char *path, whist_bytes body, unsigned times)
{
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    for (unsigned i = 0; i < times; i++) {
        WH_TRY(wh_client_call(b->client, &response, "PUT", path, body));
        WH_TRY(wh_response_expect(&response, 200, "the bench's server"));
    }
    return WHIST_OK;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* units_each: what one call is worth in the unit of the result. */
static whist_status measure(const whist_bench_env *env, const char *name, const char *unit, const char *path,
                            size_t size, unsigned times, double units_each)
{
    WH_AUTO(bench) b = {0};
    WH_TRY(bench_init(&b));
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    uint8_t *room;
    WH_TRY(wh_buf_grow(&body, &room, size));
    memset(room, 0x5a, size);
    double rates[REPS];
    WH_TRY(call_often(&b, path, wh_buf_view(&body), times / 4)); /* warm */
    for (int i = 0; i < REPS; i++) {
        double begin = wh_clock_seconds();
        WH_TRY(call_often(&b, path, wh_buf_view(&body), times));
        rates[i] = units_each * times / (wh_clock_seconds() - begin);
    }
    qsort(rates, REPS, sizeof rates[0], by_size);
    whist_bench_result result = {
        .unit = unit, .median = rates[REPS / 2], .min = rates[0], .max = rates[REPS - 1], .reps = REPS, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
    return WHIST_OK;
}

static whist_status bench_echo(const whist_bench_env *env)
{
    return measure(env, "net.echo1k", "1/s", "/v1/echo", 1024, 1000, 1);
}

static whist_status bench_upload(const whist_bench_env *env)
{
    return measure(env, "net.upload", "B/s", "/v1/chunk/x", 4 << 20, 32, 4 << 20);
}

const whist_bench wh_net_benches[] = {
    {"net.echo1k", "requests with 1 KiB there and back on one mutual TLS 1.3 connection", false, bench_echo},
    {"net.upload", "chunks of 4 MiB sent on one mutual TLS 1.3 connection", false, bench_upload},
    {0},
};
