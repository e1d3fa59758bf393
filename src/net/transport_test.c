/* Failures become answers and answers failures; waits stay in their bounds. */
#include "net/transport.h"
#include "test.h"

#include <string.h>

static void test_a_failure_crosses_the_wire(void **state)
{
    (void)state;
    static const struct {
        whist_status sent, seen;
        int code;
    } cases[] = {
        {WHIST_E_FORMAT, WHIST_E_FORMAT, 400}, {WHIST_E_AUTH, WHIST_E_AUTH, 403}, {WHIST_E_STATE, WHIST_E_STATE, 409},
        {WHIST_E_NOMEM, WHIST_E_TIMEOUT, 503}, {WHIST_E_IO, WHIST_E_IO, 500},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
        assert_ok(wh_buf_text(&response.body, "half an answer"));
        wh_response_fail(&response, wh_fail(cases[i].sent, "f", 1, "round 7 is over\x1b[2J"));
        assert_int_equal(response.code, cases[i].code);
        assert_int_equal(wh_response_expect(&response, 200, "coordinator"), cases[i].seen);
        const char *text = whist_detail_get()->text;
        assert_non_null(strstr(text, response.code == 500 ? "internal error" : "round 7 is over"));
        assert_null(strchr(text, '\x1b'));
        assert_ok(wh_response_expect(&response, response.code, "coordinator"));
    }
}

static void test_limits_follow_the_path(void **state)
{
    (void)state;
    assert_int_equal(wh_net_body_max("/v1/chunk/ab"), WH_NET_CHUNK_MAX);
    assert_int_equal(wh_net_body_max("/v1/chunk"), WH_NET_CONTROL_MAX);
    assert_int_equal(wh_net_body_max("/v1/join"), WH_NET_CONTROL_MAX);
}

static void test_backoff_grows_to_its_cap_and_obeys_the_server(void **state)
{
    (void)state;
    wh_backoff backoff = {100, 1000, 0};
    const uint32_t top[] = {100, 200, 400, 800, 1000, 1000};
    for (size_t i = 0; i < WH_COUNT(top); i++) {
        wh_backoff low = backoff;
        assert_int_equal(wh_backoff_next(&low, 0, 0), top[i] / 2);
        assert_int_equal(wh_backoff_next(&backoff, 0, UINT32_MAX), top[i]);
    }
    assert_int_equal(wh_backoff_next(&backoff, 4000, 0), 4000);
    assert_int_equal(wh_backoff_next(&backoff, 4000, UINT32_MAX), 5000);
    assert_int_equal(wh_backoff_next(&backoff, UINT32_MAX, UINT32_MAX), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_crosses_the_wire),
        cmocka_unit_test(test_limits_follow_the_path),
        cmocka_unit_test(test_backoff_grows_to_its_cap_and_obeys_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
