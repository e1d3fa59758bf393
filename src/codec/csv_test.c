/* Tests of codec/csv.h and codec/real.h. */
#include "base/file.h"
#include "codec/csv.h"
#include "codec/real.h"
#include "test.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <string.h>

static whist_bytes text(const char *s)
{
    return (whist_bytes){(const uint8_t *)s, strlen(s)};
}

static const wh_csv_options plain = WH_CSV_DEFAULT;

static void assert_field(const wh_csv *csv, size_t column, const char *want)
{
    assert_true(column < csv->n_columns);
    assert_int_equal(csv->fields[column].len, strlen(want));
    assert_memory_equal(csv->fields[column].data, want, strlen(want));
}

static void test_quotes_line_ends_and_byte_order_mark(void **state)
{
    (void)state;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    bool more;
    assert_ok(
        wh_csv_init(&csv, text("\xEF\xBB\xBFname,say,\"n\"\r\n\"a \"\"b\"\"\",\"x,\ny\",\"\"\"\"\n\n,\"\",3"), &plain));
    assert_int_equal(csv.n_columns, 3);
    assert_string_equal(csv.names[0], "name");
    assert_string_equal(csv.names[2], "n");
    assert_ok(wh_csv_next(&csv, &more));
    assert_true(more);
    assert_field(&csv, 0, "a \"b\"");
    assert_field(&csv, 1, "x,\ny");
    assert_field(&csv, 2, "\"");
    assert_int_equal(csv.row_line, 2);
    assert_ok(wh_csv_next(&csv, &more));
    assert_true(more);
    assert_int_equal(csv.row_line, 5);
    assert_field(&csv, 0, "");
    assert_field(&csv, 1, "");
    assert_field(&csv, 2, "3");
    assert_ok(wh_csv_next(&csv, &more));
    assert_false(more);
}

/* Reads all rows with these options; the status of the first failure. */
static whist_status read_all(const char *content, const wh_csv_options *options)
{
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    bool more = true;
    whist_status status = wh_csv_init(&csv, text(content), options);
    while (status == WHIST_OK && more) status = wh_csv_next(&csv, &more);
    return status;
}

static void assert_refused(const char *content, const char *why)
{
    assert_int_equal(read_all(content, &plain), WHIST_E_FORMAT);
    if (!strstr(whist_detail_get()->text, why)) fail_msg("'%s' lacks '%s'", whist_detail_get()->text, why);
}

static void test_damage_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("", "is empty");
    assert_refused("a,b\n1,2,3\n", "line 2, column 3: more fields");
    assert_refused("a,b\n1,2\n1\n", "line 3: 1 fields where the first row has 2");
    assert_refused("a,b\n1,x\"y\n", "line 2, column 2: a quote inside");
    assert_refused("a,b\n1,\"y\"z\n", "line 2, column 2: text behind a closing quote");
    assert_refused("a,b\n1,\"y\n", "opened on line 2 is never closed");
    assert_refused("a,b\r1,2", "carriage return");
    assert_refused("a,b,a\n1,2,3\n", "columns 1 and 3 have the same name");
}

static void test_nul_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t utf16[] = {'a', 0, ',', 0, 'b', 0};
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    assert_int_equal(wh_csv_init(&csv, (whist_bytes){utf16, sizeof utf16}, &plain), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "NUL"));
}

static void test_limits_hold(void **state)
{
    (void)state;
    wh_csv_options tight = WH_CSV_DEFAULT;
    tight.max_field = 3;
    tight.max_columns = 2;
    tight.max_rows = 2;
    assert_ok(read_all("abc,b\n\"1\"\"3\",2\n1,2\n", &tight));
    assert_int_equal(read_all("abcd,b\n", &tight), WHIST_E_FORMAT);
    assert_int_equal(read_all("a,b\n\"1\"\"34\",2\n", &tight), WHIST_E_FORMAT);
    assert_int_equal(read_all("a,b,c\n", &tight), WHIST_E_FORMAT);
    assert_int_equal(read_all("a,b\n1,2\n1,2\n1,2\n", &tight), WHIST_E_FORMAT);
}

static void test_options(void **state)
{
    (void)state;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    wh_csv_options options = {.name = "adult",
                              .delimiter = ';',
                              .trim = true,
                              .skip_lines = 1,
                              .max_field = 100,
                              .max_columns = 10,
                              .max_rows = 10};
    bool more;
    int64_t age;
    assert_ok(wh_csv_init(&csv, text("| test set\n 39 ; \"x\" ;\tState gov \n"), &options));
    assert_null(csv.names);
    assert_ok(wh_csv_next(&csv, &more));
    assert_true(more);
    assert_ok(wh_csv_int(&age, &csv, 0));
    assert_int_equal(age, 39);
    assert_field(&csv, 1, "x");
    assert_field(&csv, 2, "State gov");
    options.delimiter = '"';
    WH_AUTO(wh_csv) bad = WH_CSV_EMPTY;
    assert_int_equal(wh_csv_init(&bad, text("a"), &options), WHIST_E_ARG);
}

static void test_errors_name_place_and_keep_the_data_to_themselves(void **state)
{
    (void)state;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    bool more;
    double value = 7;
    size_t column;
    assert_ok(wh_csv_init(&csv, text("age,chol\n61,secret\n"), &plain));
    assert_ok(wh_csv_next(&csv, &more));
    assert_int_equal(wh_csv_real(&value, &csv, 1), WHIST_E_FORMAT);
    assert_true(value == 7);
    assert_non_null(strstr(whist_detail_get()->text, "CSV, line 2, column 2 'chol': not a finite decimal"));
    assert_null(strstr(whist_detail_get()->text, "secret"));
    assert_int_equal(wh_csv_column(&column, &csv, "cohl"), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "did you mean 'chol'"));
    assert_ok(wh_csv_column(&column, &csv, "chol"));
    assert_int_equal(column, 1);
}

static void test_numbers_are_strict_and_exact(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    " 1",    "1 ", "nan", "inf", "0x10",  "1e",  "1e+", "-",
                                      "1,5", "1.2.3", ".",  "e5",  "--1", "1e400", "1d5", "+-1", "1_0"};
    static const char *const good[] = {"0",
                                       "-0.0",
                                       "+5",
                                       "1.",
                                       ".5",
                                       "1e22",
                                       "1e23",
                                       "12.5",
                                       "3e-4",
                                       "1e-400",
                                       "4.9e-324",
                                       "2.2250738585072011e-308",
                                       "0.1",
                                       "123456789012345678901234567890",
                                       "9007199254740993",
                                       "0.000000000000000000000000000001",
                                       "1.7976931348623157e308",
                                       "179769313486231570000e288",
                                       "0.30000000000000004",
                                       "8.5070591730234616e37",
                                       "00000000000000000000001.5"};
    double value = 42;
    for (size_t i = 0; i < WH_COUNT(bad); i++) assert_int_equal(wh_real_parse(&value, text(bad[i])), WHIST_E_FORMAT);
    assert_true(value == 42);
    for (size_t i = 0; i < WH_COUNT(good); i++) {
        assert_ok(wh_real_parse(&value, text(good[i])));
        double want = strtod(good[i], NULL);
        assert_memory_equal(&value, &want, sizeof value);
    }
}

static void test_whole_numbers(void **state)
{
    (void)state;
    int64_t value;
    assert_ok(wh_int_parse(&value, text("-9223372036854775808")));
    assert_true(value == INT64_MIN);
    assert_ok(wh_int_parse(&value, text("+9223372036854775807")));
    assert_true(value == INT64_MAX);
    assert_int_equal(wh_int_parse(&value, text("9223372036854775808")), WHIST_E_FORMAT);
    assert_int_equal(wh_int_parse(&value, text("1.0")), WHIST_E_FORMAT);
    assert_int_equal(wh_int_parse(&value, text("")), WHIST_E_FORMAT);
}

/* splitmix64, so that a failure can be repeated. */
static uint64_t mix(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void test_text_of_a_double_reads_back(void **state)
{
    (void)state;
    char out[32];
    wh_real_text(out, 0.1);
    assert_string_equal(out, "0.1");
    wh_real_text(out, -1e300);
    assert_string_equal(out, "-1e+300");
    wh_real_text(out, 5e-324);
    assert_string_equal(out, "5e-324");
    wh_real_text(out, 1.0 / 3);
    assert_string_equal(out, "0.3333333333333333");
    wh_real_text(out, (double)NAN);
    assert_string_equal(out, "nan");
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = mix(&seed);
        double value, back;
        memcpy(&value, &bits, 8);
        if (!isfinite(value)) continue;
        size_t len = wh_real_text(out, value);
        assert_int_equal(len, strlen(out));
        assert_ok(wh_real_parse(&back, text(out)));
        assert_memory_equal(&back, &value, 8);
    }
}

static void test_the_locale_does_not_matter(void **state)
{
    (void)state;
    const char *comma = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    if (!comma) comma = setlocale(LC_NUMERIC, "de_DE.utf8");
    if (!comma) skip();
    char out[32];
    double value;
    wh_real_text(out, 1.5);
    assert_string_equal(out, "1.5");
    assert_ok(wh_real_parse(&value, text("0.30000000000000004")));
    setlocale(LC_NUMERIC, "C");
    assert_true(value == 0.30000000000000004);
}

static void test_what_is_written_reads_back(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    wh_csv_writer writer = wh_csv_writer_over(&out);
    assert_ok(wh_csv_put_text(&writer, "a"));
    assert_ok(wh_csv_put_text(&writer, "say \"hi\", \nyou"));
    assert_ok(wh_csv_put_text(&writer, ""));
    assert_ok(wh_csv_end_row(&writer));
    assert_ok(wh_csv_put_int(&writer, -3));
    assert_ok(wh_csv_put_real(&writer, 0.1));
    assert_ok(wh_csv_put_real(&writer, (double)INFINITY));
    assert_ok(wh_csv_end_row(&writer));
    assert_string_equal(wh_buf_str(&out), "a,\"say \"\"hi\"\", \nyou\",\"\"\n-3,0.1,\"\"\n");
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    bool more;
    assert_ok(wh_csv_init(&csv, wh_buf_view(&out), &plain));
    assert_string_equal(csv.names[1], "say \"hi\", \nyou");
    assert_ok(wh_csv_next(&csv, &more));
    assert_field(&csv, 1, "0.1");
}

static void test_every_failed_allocation_is_survived(void **state)
{
    (void)state;
    whist_status status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status == WHIST_E_NOMEM; n++) {
        wh_alloc_fail_after(n);
        status = read_all("a,b,c\n\"1\"\"2\",2,3\n\"\"\"\",5,6\n", &plain);
        assert_true(n < 100);
    }
    wh_alloc_fail_after(0);
    assert_int_equal(status, WHIST_OK);
}

static void test_hospital_data(void **state)
{
    (void)state;
    if (!test_data()) skip();
    WH_AUTO(wh_owned) memory = NULL;
    char *path;
    assert_ok(wh_path(&path, test_data(), "heart/processed.cleveland.data"));
    memory = path;
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&file, path, 1 << 20));
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    wh_csv_options options = WH_CSV_DEFAULT;
    options.header = false;
    bool more = true;
    double age;
    assert_ok(wh_csv_init(&csv, wh_buf_view(&file), &options));
    for (;;) {
        assert_ok(wh_csv_next(&csv, &more));
        if (!more) break;
        assert_ok(wh_csv_real(&age, &csv, 0));
        assert_true(age > 20 && age < 100);
    }
    assert_int_equal(csv.n_columns, 14);
    assert_int_equal(csv.n_rows, 303);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quotes_line_ends_and_byte_order_mark),
        cmocka_unit_test(test_damage_is_refused_with_its_place),
        cmocka_unit_test(test_nul_bytes_are_refused),
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_errors_name_place_and_keep_the_data_to_themselves),
        cmocka_unit_test(test_numbers_are_strict_and_exact),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_text_of_a_double_reads_back),
        cmocka_unit_test(test_the_locale_does_not_matter),
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_every_failed_allocation_is_survived),
        cmocka_unit_test(test_hospital_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
