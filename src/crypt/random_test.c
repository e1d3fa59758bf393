/* Tests of crypt/random: bounds, spread, and entropy that fails. */
#include "crypt/random.h"
#include "test.h"

#include <string.h>

static void test_bytes_differ_from_call_to_call(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    assert_ok(wh_random_bytes(a, sizeof a));
    assert_ok(wh_random_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_ok(wh_random_bytes(NULL, 0));
}

/* 60,000 draws below 6: each face within 10,000 +- 700, more than seven standard deviations (91);
 * false alarm below 1e-10. A modulo bias of a 64-bit draw is too small to see here; the second loop
 * looks at a bound near 2^64, where taking x mod n would favour the lower third by 2 to 1. */
static void test_below_is_uniform(void **state)
{
    (void)state;
    int faces[6] = {0}, low = 0;
    uint64_t x;
    for (int i = 0; i < 60000; i++) {
        assert_ok(wh_random_below(&x, 6));
        assert_true(x < 6);
        faces[x]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(faces[i], 9300, 10700);
    const uint64_t n = 3 * (UINT64_MAX / 4);
    for (int i = 0; i < 30000; i++) {
        assert_ok(wh_random_below(&x, n));
        assert_true(x < n);
        low += x < n / 3;
    }
    assert_in_range(low, 9300, 10700); /* 10,000 +- 8.5 standard deviations; biased: 15,000 */
    assert_ok(wh_random_below(&x, 1));
    assert_int_equal(x, 0);
    assert_int_equal(wh_random_below(&x, 0), WHIST_E_ARG);
}

static void test_failure_wipes_the_output(void **state)
{
    (void)state;
    uint8_t bytes[16], zeros[16] = {0};
    memset(bytes, 7, sizeof bytes);
    wh_random_fail_after(2);
    uint64_t x = 99;
    assert_ok(wh_random_bytes(zeros, 0));
    assert_int_equal(wh_random_bytes(bytes, sizeof bytes), WHIST_E_ENTROPY);
    assert_memory_equal(bytes, zeros, sizeof bytes);
    wh_random_fail_after(1);
    assert_int_equal(wh_random_below(&x, 10), WHIST_E_ENTROPY);
    assert_int_equal(x, 99);
    whist_secret secret = WHIST_SECRET_EMPTY;
    wh_random_fail_after(1);
    assert_int_equal(wh_random_secret(&secret, 32), WHIST_E_ENTROPY);
    assert_null(secret.data);
    assert_ok(wh_random_secret(&secret, 32));
    wh_secret_clear(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_differ_from_call_to_call),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_failure_wipes_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
