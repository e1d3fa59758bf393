/* net/loopback.c: the transport without a wire. The dice of call k and rule r are a hash of (seed, k, r),
 * so that adding a rule does not move the others. */
#include "net/loopback.h"

#include <string.h>

struct wh_loopback {
    wh_handler *handler;
    void *user;
    wh_peer peer;
    wh_fault_plan plan;
    uint64_t *matched; /* per rule: calls that its prefix has met */
    wh_loopback_stats stats;
};

const char *wh_fault_name(wh_fault fault)
{
    static const char *const names[WH_FAULT_KINDS] = {
        "drop-request",     "drop-response", "duplicate",    "delay",  "corrupt-request",
        "corrupt-response", "cut-request",   "cut-response", "refuse",
    };
    return (unsigned)fault < WH_FAULT_KINDS ? names[fault] : "unknown";
}

/* splitmix64 (Steele, Lea, Flood 2014): well mixed, and nothing here is secret. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t dice(const wh_loopback *loopback, size_t rule, uint64_t purpose)
{
    return mix(mix(mix(loopback->plan.seed) ^ loopback->stats.calls) ^ ((uint64_t)rule << 8 | purpose));
}

/* Whether rule r strikes at this call. */
static bool strikes(wh_loopback *loopback, size_t r, const char *path)
{
    const wh_fault_rule *rule = &loopback->plan.rules[r];
    if (rule->prefix && strncmp(path, rule->prefix, strlen(rule->prefix)) != 0) return false;
    uint64_t number = ++loopback->matched[r];
    if (!rule->calls) return (double)(dice(loopback, r, 0) >> 11) * 0x1p-53 < rule->probability;
    for (size_t i = 0; i < rule->n_calls; i++)
        if (rule->calls[i] == number) return true;
    return false;
}

/* The rule that strikes for each kind of fault, or -1: the first in the plan wins. */
typedef struct struck {
    int rule[WH_FAULT_KINDS];
} struck;

static struck look_up(wh_loopback *loopback, const char *path)
{
    struck found;
    for (int f = 0; f < WH_FAULT_KINDS; f++) found.rule[f] = -1;
    for (size_t r = 0; r < loopback->plan.n_rules; r++) {
        wh_fault fault = loopback->plan.rules[r].fault;
        if (strikes(loopback, r, path) && found.rule[fault] < 0) found.rule[fault] = (int)r;
    }
    return found;
}

static bool hit(wh_loopback *loopback, const struck *found, wh_fault fault)
{
    if (found->rule[fault] < 0) return false;
    loopback->stats.faults[fault]++;
    return true;
}

/* Changes one byte, or shortens, as the dice of the rule say. */
static void spoil(wh_loopback *loopback, const struck *found, wh_fault corrupt, wh_fault cut, wh_buf *body)
{
    if (body->len && hit(loopback, found, corrupt)) {
        uint64_t d = dice(loopback, (size_t)found->rule[corrupt], 1);
        body->data[d % body->len] ^= (uint8_t)(1 + (d >> 32) % 255);
    }
    if (body->len && hit(loopback, found, cut)) {
        body->len = dice(loopback, (size_t)found->rule[cut], 2) % body->len;
        body->data[body->len] = 0;
    }
}

static void handle(wh_loopback *loopback, wh_response *response, const wh_request *request)
{
    wh_response_clear(response);
    loopback->stats.handled++;
    whist_status status = loopback->handler(loopback->user, request, response);
    if (status != WHIST_OK) wh_response_fail(response, status);
}

static whist_status lost(const char *what)
{
    WH_FAIL(WHIST_E_TIMEOUT, "the %s was lost on the way (fault plan)", what);
}

static whist_status refuse(wh_response *response, int code, uint32_t retry_after_ms, const char *text)
{
    response->code = code;
    response->retry_after_ms = retry_after_ms;
    return wh_buf_text(&response->body, "%s", text);
}

static whist_status exchange(wh_loopback *loopback, wh_response *response, const char *method, const char *path,
                             whist_bytes body)
{
    struck found = look_up(loopback, path);
    if (hit(loopback, &found, WH_FAULT_DELAY))
        loopback->stats.virtual_ms += loopback->plan.rules[found.rule[WH_FAULT_DELAY]].delay_ms;
    if (hit(loopback, &found, WH_FAULT_DROP_REQUEST)) return lost("request");
    if (hit(loopback, &found, WH_FAULT_REFUSE)) return refuse(response, 503, 1000, "refused by the fault plan");
    if (body.len > wh_net_body_max(path)) return refuse(response, 413, 0, "the body is too long");

    WH_AUTO(wh_buf) sent = WH_BUF_EMPTY; /* the handler never sees the caller's own memory */
    WH_TRY(wh_buf_add(&sent, body.data, body.len));
    spoil(loopback, &found, WH_FAULT_CORRUPT_REQUEST, WH_FAULT_CUT_REQUEST, &sent);
    const wh_request request = {method, path, wh_buf_view(&sent), loopback->peer};
    handle(loopback, response, &request);
    if (hit(loopback, &found, WH_FAULT_DUPLICATE)) handle(loopback, response, &request);
    if (hit(loopback, &found, WH_FAULT_DROP_RESPONSE)) return lost("answer");
    spoil(loopback, &found, WH_FAULT_CORRUPT_RESPONSE, WH_FAULT_CUT_RESPONSE, &response->body);
    return WHIST_OK;
}

static whist_status loopback_call(void *self, wh_response *out, const char *method, const char *path, whist_bytes body)
{
    wh_loopback *loopback = self;
    loopback->stats.calls++;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(exchange(loopback, &response, method, path, body));
    wh_response old = *out;
    *out = response;
    response = old;
    return WHIST_OK;
}

static bool rule_is_fine(const wh_fault_rule *rule)
{
    return (unsigned)rule->fault < WH_FAULT_KINDS && rule->probability >= 0 && rule->probability <= 1;
}

whist_status wh_loopback_new(wh_loopback **out, wh_handler *handler, void *user, const wh_peer *peer,
                             const wh_fault_plan *plan)
{
    WH_ENSURE(out && handler && peer, WHIST_E_ARG);
    for (size_t r = 0; plan && r < plan->n_rules; r++) WH_ENSURE(rule_is_fine(&plan->rules[r]), WHIST_E_ARG);
    wh_loopback *loopback;
    WH_TRY(WH_NEW(&loopback, 1));
    WH_AUTO(wh_loopback_ptr) owned = loopback;
    loopback->handler = handler;
    loopback->user = user;
    loopback->peer = *peer;
    if (plan) loopback->plan = *plan;
    WH_TRY(WH_NEW(&loopback->matched, loopback->plan.n_rules));
    *out = loopback;
    owned = NULL;
    return WHIST_OK;
}

void wh_loopback_free(wh_loopback *loopback)
{
    if (!loopback) return;
    wh_free(loopback->matched);
    wh_free(loopback);
}

wh_transport wh_loopback_transport(wh_loopback *loopback)
{
    return (wh_transport){loopback_call, loopback};
}

const wh_loopback_stats *wh_loopback_stats_get(const wh_loopback *loopback)
{
    return &loopback->stats;
}
