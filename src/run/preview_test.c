/* run/preview_test.c: the preview in words and numbers. */
#include "run/run_test.h"

#include "fed/layout.h"

static void collect(void *user, const char *line)
{
    assert_ok(wh_buf_text(user, "%s\n", line));
}

static void whole_text(void **state)
{
    (void)state;
    wh_test_plan t;
    test_plan_new(&t);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    assert_ok(whist_site_preview(&t.plan, 0, collect, &text));
    assert_string_equal(
        wh_buf_str(&text),
        "study hearts, SHA-256 abcd030000000000000000000000000000000000000000000000000000000000\n"
        "site cleveland, one of 2; coordinator coordinator\n"
        "protection none: updates travel over TLS and the coordinator can read each of them\n"
        "before training, once:\n"
        "  phase 'upload': 112 bytes\n"
        "    sums: 14 numbers of 64 bits, 112 bytes\n"
        "      number of training rows\n"
        "      sum and sum of squares of each of 3 features; all of these in two parts, coarse and fine\n"
        "training, in each of 30 rounds:\n"
        "  phase 'upload': 160 bytes\n"
        "    delta: 4 numbers of 32 bits, 16 bytes: the change of the model, times the number of training rows\n"
        "    sums: 18 numbers of 64 bits, 144 bytes\n"
        "      training rows; training rows times local steps\n"
        "      weight of 'delta'\n"
        "      accuracy of the test rows: numerator, denominator, count\n"
        "      auc of the test rows: numerator, denominator, count\n"
        "      accuracy of the validation rows: numerator, denominator, count\n"
        "      auc of the validation rows: numerator, denominator, count\n"
        "      metrics over fewer than 10 rows (or the site's own minimum, if larger) are sent as 0\n"
        "after training, once:\n"
        "  phase 'upload': 144 bytes\n"
        "    sums: 18 numbers of 64 bits, 144 bytes\n"
        "      training rows and weights, both 0: nothing was trained\n"
        "      accuracy of the test rows: numerator, denominator, count\n"
        "      auc of the test rows: numerator, denominator, count\n"
        "      accuracy of the validation rows: numerator, denominator, count\n"
        "      auc of the validation rows: numerator, denominator, count\n"
        "      metrics over fewer than 10 rows (or the site's own minimum, if larger) are sent as 0\n"
        "in all: 160 bytes a round, 5056 bytes in the study, if every round succeeds\n"
        "no row, no column value and no identifier leaves\n");
    test_plan_clear(&t);
}

/* A protection with phases of its own and a larger form on the wire. */
static whist_protection_class masked;

static whist_status new_masked(whist_protection **out, const whist_protection_env *env)
{
    (void)env;
    WH_TRY(WH_NEW(out, 1));
    (*out)->class_ = &masked;
    return WHIST_OK;
}

static size_t doubled(const whist_protection *self, size_t k, size_t n)
{
    (void)self;
    (void)k;
    return n * 16 + 5;
}

static void a_protection_shows_its_phases_and_its_size(void **state)
{
    (void)state;
    static const whist_phase phases[] = {{.name = "advertise", .sites = true},
                                         {.name = "upload", .sites = true, .upload = true},
                                         {.name = "open", .parties = true}};
    masked = wh_protection_none;
    masked.new_ = new_masked;
    masked.name = "masked";
    masked.phases = phases;
    masked.n_phases = 3;
    masked.size = doubled;
    wh_test_plan t;
    test_plan_new(&t);
    t.plan.protection = &masked;
    t.plan.stop_early = true;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    assert_ok(whist_site_preview(&t.plan, 1, collect, &text));
    assert_non_null(strstr(wh_buf_str(&text), "  phase 'advertise': messages of the protection, at most 65536 bytes"));
    assert_non_null(strstr(wh_buf_str(&text), "training, in up to 30 rounds:"));
    assert_non_null(strstr(wh_buf_str(&text), "phase 'upload': 362 bytes")); /* 4 * 16 + 5 and 18 * 16 + 5 */
    assert_null(strstr(wh_buf_str(&text), "phase 'open'"));                  /* sites have no part in it */
    assert_int_equal(whist_site_preview(&t.plan, 2, collect, &text), WHIST_E_ARG);
    test_plan_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_text),
        cmocka_unit_test(a_protection_shows_its_phases_and_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
