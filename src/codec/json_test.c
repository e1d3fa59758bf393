/* Tests of codec/json.h and whist/codec.h. */
#include "codec/json.h"
#include "test.h"

#include <float.h>
#include <math.h>
#include <string.h>

static whist_bytes text(const char *s)
{
    return (whist_bytes){(const uint8_t *)s, strlen(s)};
}

static void test_a_document_is_written(void **state)
{
    (void)state;
    WH_AUTO(whist_json_ptr) json = NULL;
    const char *line;
    assert_ok(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name");
    whist_json_text(json, "a\"b\\c\n\x01\x7F\xC3\xA9");
    whist_json_key(json, "list");
    whist_json_begin_array(json);
    whist_json_int(json, INT64_MIN);
    whist_json_uint(json, UINT64_MAX);
    whist_json_real(json, 0.1);
    whist_json_real(json, (double)NAN);
    whist_json_bool(json, true);
    whist_json_null(json);
    whist_json_begin_object(json);
    whist_json_end_object(json);
    whist_json_begin_array(json);
    whist_json_end_array(json);
    whist_json_end_array(json);
    whist_json_key(json, "last");
    whist_json_text(json, NULL);
    whist_json_end_object(json);
    assert_ok(whist_json_finish(json, &line));
    assert_string_equal(line, "{\"name\":\"a\\\"b\\\\c\\n\\u0001\\u007f\xC3\xA9\",\"list\":[-9223372036854775808,"
                              "18446744073709551615,0.1,null,true,null,{},[]],\"last\":null}");
    whist_json_reset(json);
    whist_json_int(json, 7);
    assert_ok(whist_json_finish(json, &line));
    assert_string_equal(line, "7");
}

static void test_wrong_order_is_found_at_the_end(void **state)
{
    (void)state;
    WH_AUTO(whist_json_ptr) json = NULL;
    const char *line = "untouched";
    assert_int_equal(whist_json_finish(NULL, &line), WHIST_E_ARG);
    whist_json_begin_object(NULL);
    whist_json_key(NULL, "k");
    whist_json_end_object(NULL);
    assert_ok(whist_json_new(&json));
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_begin_object(json);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_begin_object(json);
    whist_json_int(json, 1); /* no key */
    whist_json_end_object(json);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_begin_array(json);
    whist_json_key(json, "k");
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_begin_array(json);
    whist_json_end_object(json);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_int(json, 1);
    whist_json_int(json, 2);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    for (int i = 0; i < 65; i++) whist_json_begin_array(json);
    for (int i = 0; i < 65; i++) whist_json_end_array(json);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_ARG);
    whist_json_reset(json);
    whist_json_text(json, "\xC0\x80");
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_FORMAT);
    assert_string_equal(line, "untouched");
}

static void test_no_memory_is_reported_once_and_for_all(void **state)
{
    (void)state;
    WH_AUTO(whist_json_ptr) json = NULL;
    const char *line;
    assert_ok(whist_json_new(&json));
    wh_alloc_fail_after(1);
    whist_json_begin_array(json);
    whist_json_int(json, 1);
    whist_json_end_array(json);
    assert_int_equal(whist_json_finish(json, &line), WHIST_E_NOMEM);
    assert_int_equal(whist_detail_get()->code, WHIST_E_NOMEM);
}

static void test_reading_takes_what_it_should(void **state)
{
    (void)state;
    WH_AUTO(wh_json_ptr) root = NULL;
    wh_json *list, *map;
    const char *s;
    int64_t n;
    double x;
    bool b;
    assert_ok(wh_json_read(&root, text(" {\"s\":\"[{\\\"[\",\"n\":-5,\"x\":2.5,\"b\":true,\"l\":[1],\"m\":{}} "), 100,
                           2, "f"));
    assert_ok(wh_json_get_text(&s, root, "s", "f"));
    assert_string_equal(s, "[{\"[");
    assert_ok(wh_json_get_int(&n, root, "n", -5, 5, "f"));
    assert_int_equal(n, -5);
    assert_ok(wh_json_get_real(&x, root, "x", "f"));
    assert_ok(wh_json_get_real(&x, root, "n", "f"));
    assert_true(x == -5);
    assert_ok(wh_json_get_bool(&b, root, "b", "f"));
    assert_ok(wh_json_get_array(&list, root, "l", "f"));
    assert_ok(wh_json_get_object(&map, root, "m", "f"));
    assert_int_equal(wh_json_get_int(&n, root, "n", 0, 5, "f"), WHIST_E_FORMAT);
    assert_string_equal(whist_detail_get()->text, "f: 'n' must be a whole number from 0 to 5");
    assert_int_equal(wh_json_get_text(&s, root, "zz", "f"), WHIST_E_FORMAT);
    assert_string_equal(whist_detail_get()->text, "f: 'zz' is missing");
    assert_int_equal(wh_json_get_int(&n, root, "x", 0, 5, "f"), WHIST_E_FORMAT);
    assert_int_equal(wh_json_get_object(&map, root, "l", "f"), WHIST_E_FORMAT);
}

static void test_reading_refuses_the_rest(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "1",
                                      "\"a\"",
                                      "{",
                                      "{}x",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":NaN}",
                                      "{'a':1}",
                                      "[1,]",
                                      "[01]",
                                      "[1e999]",
                                      "[99999999999999999999]",
                                      "[\"\\u0000\"]",
                                      "[\"\xFF\"]",
                                      "[\"\\ud800\"]",
                                      "[[[]]]",
                                      "[\"a]"};
    wh_json *root = NULL;
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        if (wh_json_read(&root, text(bad[i]), 100, 2, "bad") != WHIST_E_FORMAT) fail_msg("took %s", bad[i]);
        assert_null(root);
    }
    assert_int_equal(wh_json_read(&root, text("[1,2,3]"), 6, 2, "big"), WHIST_E_RANGE);
    assert_int_equal(wh_json_read(&root, text("[\"patient 17\" x]"), 100, 2, "f"), WHIST_E_FORMAT);
    assert_null(strstr(whist_detail_get()->text, "patient"));
}

static void test_number_of_values_is_bounded(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) many = WH_BUF_EMPTY;
    wh_json *root = NULL;
    uint8_t *at;
    size_t n = WH_JSON_VALUES_MAX + 2;
    assert_ok(wh_buf_grow(&many, &at, 2 * n + 1));
    for (size_t i = 0; i < n; i++) memcpy(at + 2 * i, i ? ",0" : "[0", 2);
    at[2 * n] = ']';
    assert_int_equal(wh_json_read(&root, wh_buf_view(&many), 1 << 24, 2, "many"), WHIST_E_RANGE);
    assert_null(root);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "abc", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",     "\xC1\xBF",         "\xE0\x9F\xBF",     "\xED\xA0\x80",
                                      "\xE2\x82", "\xF5\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80"};
    for (size_t i = 0; i < WH_COUNT(good); i++) assert_true(wh_is_utf8(text(good[i])));
    for (size_t i = 0; i < WH_COUNT(bad); i++) assert_false(wh_is_utf8(text(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_is_written),
        cmocka_unit_test(test_wrong_order_is_found_at_the_end),
        cmocka_unit_test(test_no_memory_is_reported_once_and_for_all),
        cmocka_unit_test(test_reading_takes_what_it_should),
        cmocka_unit_test(test_reading_refuses_the_rest),
        cmocka_unit_test(test_number_of_values_is_bounded),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
