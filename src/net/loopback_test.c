/* Each kind of fault does what it says, and a plan always does the same. */
#include "net/loopback.h"
#include "test.h"

#include <string.h>

typedef struct scene {
    int handled;
    char last[64];
    size_t last_len;
} scene;

static whist_status echo(void *user, const wh_request *request, wh_response *response)
{
    scene *s = user;
    s->handled++;
    s->last_len = request->body.len;
    if (request->body.len < sizeof s->last) memcpy(s->last, request->body.data, request->body.len);
    assert_string_equal(request->peer.name, "site-1");
    if (strcmp(request->path, "/v1/bad") == 0) WH_FAIL(WHIST_E_STATE, "the round is closed");
    response->code = 200;
    return wh_buf_add(&response->body, request->body.data, request->body.len);
}

static const wh_peer peer = {.name = "site-1", .role = WHIST_CRYPT_SITE};
static const whist_bytes text = {(const uint8_t *)"0123456789", 10};

typedef struct played {
    scene scene;
    wh_loopback_stats stats;
    whist_status status[3];
    wh_response response[3];
} played;

/* Three calls of which the second is struck. */
static void play(played *p, wh_fault fault)
{
    static const uint64_t second[] = {2};
    const wh_fault_rule rule = {.fault = fault, .prefix = "/v1/", .calls = second, .n_calls = 1, .delay_ms = 250};
    const wh_fault_plan plan = {5, &rule, 1};
    memset(p, 0, sizeof *p);
    WH_AUTO(wh_loopback_ptr) loopback = NULL;
    assert_ok(wh_loopback_new(&loopback, echo, &p->scene, &peer, &plan));
    wh_transport transport = wh_loopback_transport(loopback);
    for (int i = 0; i < 3; i++) p->status[i] = transport.call(transport.self, &p->response[i], "PUT", "/v1/x", text);
    p->stats = *wh_loopback_stats_get(loopback);
    assert_int_equal(p->stats.faults[fault], 1);
    assert_int_equal(p->stats.calls, 3);
    assert_int_equal(p->stats.handled, p->scene.handled);
    for (int i = 0; i < 3; i += 2) { /* its neighbours are sound */
        assert_int_equal(p->status[i], WHIST_OK);
        assert_string_equal(wh_buf_str(&p->response[i].body), "0123456789");
    }
}

static void played_end(played *p)
{
    for (int i = 0; i < 3; i++) wh_response_clear(&p->response[i]);
}

static int bytes_that_differ(const wh_buf *a)
{
    int n = 0;
    for (size_t i = 0; i < a->len; i++) n += a->data[i] != text.data[i];
    return n;
}

static void test_each_kind_of_fault(void **state)
{
    (void)state;
    played p;
    play(&p, WH_FAULT_DROP_REQUEST);
    assert_int_equal(p.status[1], WHIST_E_TIMEOUT);
    assert_int_equal(p.scene.handled, 2);
    played_end(&p);
    play(&p, WH_FAULT_DROP_RESPONSE);
    assert_int_equal(p.status[1], WHIST_E_TIMEOUT);
    assert_int_equal(p.response[1].code, 0);
    assert_int_equal(p.scene.handled, 3);
    played_end(&p);
    play(&p, WH_FAULT_DUPLICATE);
    assert_int_equal(p.scene.handled, 4);
    assert_string_equal(wh_buf_str(&p.response[1].body), "0123456789");
    played_end(&p);
    play(&p, WH_FAULT_DELAY);
    assert_int_equal(p.stats.virtual_ms, 250);
    assert_int_equal(p.status[1], WHIST_OK);
    played_end(&p);
    for (wh_fault f = WH_FAULT_CORRUPT_REQUEST; f <= WH_FAULT_CORRUPT_RESPONSE; f++) {
        play(&p, f); /* the handler echoes, so both show in the answer */
        assert_int_equal(p.response[1].body.len, 10);
        assert_int_equal(bytes_that_differ(&p.response[1].body), 1);
        played_end(&p);
    }
    for (wh_fault f = WH_FAULT_CUT_REQUEST; f <= WH_FAULT_CUT_RESPONSE; f++) {
        play(&p, f);
        assert_true(p.response[1].body.len < 10);
        assert_int_equal(bytes_that_differ(&p.response[1].body), 0);
        played_end(&p);
    }
    play(&p, WH_FAULT_REFUSE);
    assert_int_equal(p.response[1].code, 503);
    assert_int_equal(p.response[1].retry_after_ms, 1000);
    assert_int_equal(p.scene.handled, 2);
    played_end(&p);
    assert_memory_equal(text.data, "0123456789", 10); /* the caller's own bytes are never touched */
}

/* 2000 calls at probability 1/4: outside [400, 600] with probability below 1e-6. */
static uint64_t run_random(uint64_t seed, uint64_t *trace)
{
    const wh_fault_rule rules[] = {
        {.fault = WH_FAULT_DROP_REQUEST, .probability = 0.25},
        {.fault = WH_FAULT_CORRUPT_RESPONSE, .prefix = "/v1/x", .probability = 0.25},
        {.fault = WH_FAULT_DUPLICATE, .prefix = "/other", .probability = 1},
    };
    const wh_fault_plan plan = {seed, rules, WH_COUNT(rules)};
    scene s = {0};
    WH_AUTO(wh_loopback_ptr) loopback = NULL;
    assert_ok(wh_loopback_new(&loopback, echo, &s, &peer, &plan));
    wh_transport transport = wh_loopback_transport(loopback);
    *trace = 0;
    for (int i = 0; i < 2000; i++) {
        WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
        whist_status status = transport.call(transport.self, &response, "PUT", "/v1/x", text);
        *trace = *trace * 31 + (uint64_t)status;
        for (size_t j = 0; j < response.body.len; j++) *trace = *trace * 31 + response.body.data[j];
    }
    assert_int_equal(wh_loopback_stats_get(loopback)->faults[WH_FAULT_DUPLICATE], 0);
    return wh_loopback_stats_get(loopback)->faults[WH_FAULT_DROP_REQUEST];
}

static void test_a_seed_decides_everything(void **state)
{
    (void)state;
    uint64_t a, b, c;
    uint64_t hits = run_random(1, &a);
    assert_true(hits >= 400 && hits <= 600);
    assert_int_equal(run_random(1, &b), hits);
    assert_int_equal(a, b);
    run_random(2, &c);
    assert_int_not_equal(a, c);
}

static void test_it_behaves_like_the_network(void **state)
{
    (void)state;
    scene s = {0};
    WH_AUTO(wh_loopback_ptr) loopback = NULL;
    assert_ok(wh_loopback_new(&loopback, echo, &s, &peer, NULL));
    wh_transport transport = wh_loopback_transport(loopback);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(transport.call(transport.self, &response, "POST", "/v1/bad", text));
    assert_int_equal(response.code, 409);
    assert_string_equal(wh_buf_str(&response.body), "the round is closed");
    WH_AUTO(wh_buf) big = WH_BUF_EMPTY;
    uint8_t *room;
    assert_ok(wh_buf_grow(&big, &room, WH_NET_CONTROL_MAX + 1));
    assert_ok(transport.call(transport.self, &response, "POST", "/v1/x", wh_buf_view(&big)));
    assert_int_equal(response.code, 413);
    assert_int_equal(s.handled, 1);
    const wh_fault_rule wrong = {.fault = WH_FAULT_DELAY, .probability = 1.5};
    const wh_fault_plan plan = {1, &wrong, 1};
    wh_loopback *none = NULL;
    assert_int_equal(wh_loopback_new(&none, echo, &s, &peer, &plan), WHIST_E_ARG);
    for (wh_fault f = 0; f < WH_FAULT_KINDS; f++) assert_true(strlen(wh_fault_name(f)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_fault),
        cmocka_unit_test(test_a_seed_decides_everything),
        cmocka_unit_test(test_it_behaves_like_the_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
