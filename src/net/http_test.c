/* Heads and bodies of answers: whole, in single bytes, and cut as only an attacker would. */
#include "net/http.h"
#include "test.h"

#include <string.h>

static whist_bytes bytes_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

static void test_a_head_is_read(void **state)
{
    (void)state;
    const char *text =
        "HTTP/1.1 503 Busy\r\nContent-Length: 12\r\nRetry-After: 2\r\nWhist-Retry-Ms:  1500 \r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: Close\r\nLocation: /x\r\nX-Other: :\r\n\r\nrest";
    wh_http_head head;
    size_t used;
    assert_ok(wh_http_head_parse(&head, &used, bytes_of(text)));
    assert_int_equal(used, strlen(text) - 4);
    assert_int_equal(head.code, 503);
    assert_true(head.has_length && head.close && !head.chunked);
    assert_int_equal(head.length, 12);
    assert_int_equal(head.retry_after_ms, 1500);
    assert_true(head.date_ms == 784111777000);
    assert_string_equal(head.location, "/x");
    for (size_t len = 0; len < used; len++) { /* never too early */
        size_t part = 9;
        assert_ok(wh_http_head_parse(&head, &part, (whist_bytes){(const uint8_t *)text, len}));
        assert_int_equal(part, 0);
    }
}

static void test_heads_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    };
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        wh_http_head head = {.code = -1};
        size_t used;
        assert_int_equal(wh_http_head_parse(&head, &used, bytes_of(bad[i])), WHIST_E_FORMAT);
        assert_int_equal(head.code, -1);
    }
    static char endless[WH_HTTP_HEAD_MAX + 10];
    memset(endless, 'a', sizeof endless - 1);
    wh_http_head head;
    size_t used;
    assert_int_equal(wh_http_head_parse(&head, &used, bytes_of(endless)), WHIST_E_RANGE);
}

/* Feeds a body in pieces of `step` bytes; the status of the first failure, or of the close. */
static whist_status feed(wh_buf *out, const char *head_text, const char *body_text, size_t step, uint64_t max)
{
    wh_http_head head;
    size_t used;
    wh_http_body body;
    assert_ok(wh_http_head_parse(&head, &used, bytes_of(head_text)));
    WH_TRY(wh_http_body_init(&body, &head, max));
    for (const char *at = body_text, *end = at + strlen(at); at < end && !body.done;) {
        size_t n = (size_t)(end - at) < step ? (size_t)(end - at) : step;
        whist_bytes content;
        WH_TRY(wh_http_body_take(&body, &content, &used, (whist_bytes){(const uint8_t *)at, n}));
        WH_TRY(wh_buf_add(out, content.data, content.len));
        assert_true(used > 0 && used <= n);
        at += used;
    }
    return wh_http_body_close(&body);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SIZED "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
#define OPEN "HTTP/1.0 200 OK\r\n\r\n"

static void test_bodies_come_out_the_same_however_they_are_cut(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {CHUNKED, "5\r\nhello\r\n0\r\n\r\n"},
        {CHUNKED, "2;ext=1\r\nhe\r\n003\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"},
        {SIZED, "hello"},
        {OPEN, "hello"},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++)
        for (size_t step = 1; step < 40; step++) {
            WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
            assert_ok(feed(&out, cases[i][0], cases[i][1], step, 100));
            assert_string_equal(wh_buf_str(&out), "hello");
        }
}

static void test_bodies_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body;
        whist_status status;
    } cases[] = {
        {CHUNKED, "5\r\nhello\r\n", WHIST_E_IO},
        {CHUNKED, "x\r\n", WHIST_E_FORMAT},
        {CHUNKED, "\r\n", WHIST_E_FORMAT},
        {CHUNKED, "5\r\nhelloXX", WHIST_E_FORMAT},
        {CHUNKED, "5\nhello", WHIST_E_FORMAT},
        {CHUNKED, "ffffffff\r\n", WHIST_E_RANGE},
        {CHUNKED, "1ffffffff\r\n", WHIST_E_FORMAT},
        {CHUNKED, "5\r\nhello\r\n4\r\n", WHIST_E_RANGE},
        {SIZED, "hell", WHIST_E_IO},
        {OPEN, "hello hello", WHIST_E_RANGE},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
        assert_int_equal(feed(&out, cases[i].head, cases[i].body, 64, 8), cases[i].status);
    }
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_int_equal(feed(&out, SIZED, "hello", 64, 4), WHIST_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_is_read),
        cmocka_unit_test(test_heads_that_are_refused),
        cmocka_unit_test(test_bodies_come_out_the_same_however_they_are_cut),
        cmocka_unit_test(test_bodies_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
