/* fuzz/fed_serve.c: requests of anybody to a small coordinator in memory.
 *
 * An input is a row of requests:   WHO METHOD PATH newline LENGTH newline BODY
 *   WHO     0 … 2 a site, 3 a stranger, 4 an operator
 *   METHOD  G, P (POST), U (PUT); T ticks and X ends the phase, without path and body
 *   BODY    LENGTH bytes; a leading @ stands for the version and study that every message begins with
 *
 * Whatever comes in: an answer of a known code, a coordinator that can still be asked, and a model that is
 * finite. */
#include "fed/serve.h"
#include "fed/wire.h"
#include "fed/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SITES = 3, FEATURES = 7, MAX_REQUESTS = 40, MAX_BODY = 8192 };

typedef struct input {
    const uint8_t *at, *end;
} input;

static bool take_line(input *in, char *out, size_t room)
{
    size_t n = 0;
    while (in->at < in->end && *in->at != '\n' && n + 1 < room) out[n++] = (char)*in->at++;
    out[n] = 0;
    if (in->at >= in->end || *in->at != '\n') return false;
    in->at++;
    return strlen(out) == n;
}

static whist_status put_body(wh_buf *out, const whist_fed_plan *plan, whist_bytes raw)
{
    if (!raw.len || raw.data[0] != '@') return wh_buf_add(out, raw.data, raw.len);
    Whist__V1__Poll head;
    uint8_t study[32];
    memcpy(study, plan->study, sizeof study);
    whist__v1__poll__init(&head);
    head.version = WH_WIRE_VERSION;
    head.study = (ProtobufCBinaryData){sizeof study, study};
    WH_TRY(wh_wire_encode(out, &head.base));
    return wh_buf_add(out, raw.data + 1, raw.len - 1);
}

static wh_peer peer_of(const world_plan *plan, char who)
{
    wh_peer peer = {.role = who == '4' ? WHIST_CRYPT_OPERATOR : WHIST_CRYPT_SITE};
    if (who == '4') peer.rights = WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_STOP;
    if (who >= '0' && who < '0' + SITES)
        memcpy(peer.pin, plan->sites[who - '0'].pin, sizeof peer.pin);
    else
        peer.pin[0] = 0xee;
    return peer;
}

static void ask(wh_serve *serve, const wh_request *request)
{
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    whist_status status = wh_serve_handle(serve, request, &response);
    if (status != WHIST_OK) wh_response_fail(&response, status);
    if (response.code < 200 || response.code > 503) __builtin_trap();
    if (response.body.len > wh_net_body_max(request->path)) __builtin_trap();
}

static bool one_request(input *in, wh_serve *serve, const world_plan *plan)
{
    char path[256], length[16], who = (char)*in->at++;
    char method = in->at < in->end ? (char)*in->at++ : 0;
    if (method == 'T' || method == 'X') {
        wh_run_state state;
        uint32_t wait_ms;
        if (method == 'X') wh_coordinator_expire(serve->coordinator);
        return wh_coordinator_tick(serve->coordinator, &state, &wait_ms) == WHIST_OK;
    }
    if (!take_line(in, path, sizeof path) || !take_line(in, length, sizeof length)) return false;
    size_t len = strtoul(length, NULL, 10), left = (size_t)(in->end - in->at);
    if (len > left) len = left;
    if (len > MAX_BODY) return false;
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    if (put_body(&body, &plan->plan, (whist_bytes){in->at, len}) != WHIST_OK) return false;
    in->at += len;
    const wh_request request = {method == 'G'   ? "GET"
                                : method == 'U' ? "PUT"
                                                : "POST",
                                path, wh_buf_view(&body), peer_of(plan, who)};
    ask(serve, &request);
    return true;
}

static void check_alive(wh_coordinator *c, const world_plan *plan)
{
    float model[FEATURES + 1];
    for (size_t i = 0; i < SITES; i++) {
        WH_AUTO(wh_task) task = WH_TASK_EMPTY;
        if (wh_coordinator_poll(c, i, &task) != WHIST_OK) __builtin_trap();
    }
    if (whist_model_size(plan->plan.model) != WH_COUNT(model)) __builtin_trap();
    if (wh_coordinator_model_copy(c, model) != WHIST_OK) __builtin_trap();
    for (size_t i = 0; i < WH_COUNT(model); i++)
        if (!isfinite((double)model[i])) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_plan plan;
    wh_store *store;
    wh_coordinator *coordinator;
    if (world_plan_init(&plan, SITES, FEATURES) != WHIST_OK) return 0;
    if (wh_store_open(&store, NULL, plan.plan.study) != WHIST_OK) return 0;
    const wh_coordinator_env env = {.plan = &plan.plan, .store = store};
    if (wh_coordinator_new(&coordinator, &env) != WHIST_OK) return 0;
    wh_serve serve = {.coordinator = coordinator, .plan = &plan.plan};
    wh_run_state state;
    uint32_t wait_ms;
    if (wh_coordinator_tick(coordinator, &state, &wait_ms) != WHIST_OK) __builtin_trap();
    input in = {data, data + size};
    for (int i = 0; i < MAX_REQUESTS && in.at < in.end; i++)
        if (!one_request(&in, &serve, &plan)) break;
    check_alive(coordinator, &plan);
    wh_coordinator_free(coordinator);
    wh_store_close(store);
    world_plan_clear(&plan);
    return 0;
}
