/* Tests of crypt/ct: masks against the plain operators, on edges and on random values. */
#include "crypt/ct.h"
#include "crypt/random.h"
#include "test.h"

static void check_pair(uint64_t a, uint64_t b)
{
    assert_true(wh_ct_mask(a) == (a ? UINT64_MAX : 0));
    assert_true(wh_ct_eq(a, b) == (a == b ? UINT64_MAX : 0));
    assert_true(wh_ct_lt(a, b) == (a < b ? UINT64_MAX : 0));
    assert_true(wh_ct_select(wh_ct_lt(a, b), a, b) == (a < b ? a : b));
}

static void test_masks(void **state)
{
    (void)state;
    const uint64_t edges[] = {0,         1, 2, INT64_MAX, (uint64_t)1 << 63, ((uint64_t)1 << 63) + 1, UINT64_MAX - 1,
                              UINT64_MAX};
    for (size_t i = 0; i < WH_COUNT(edges); i++)
        for (size_t j = 0; j < WH_COUNT(edges); j++) check_pair(edges[i], edges[j]);
    for (int i = 0; i < 1000; i++) {
        uint64_t pair[2];
        assert_ok(wh_random_bytes(pair, sizeof pair));
        check_pair(pair[0], pair[1]);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    uint8_t a[33], b[33], out[33];
    for (uint8_t i = 0; i < 33; i++) {
        a[i] = i;
        b[i] = i;
    }
    assert_true(wh_ct_equal(a, b, 33));
    assert_true(wh_ct_equal(a, b, 0));
    for (size_t i = 0; i < 33; i++) {
        b[i] ^= 0x80;
        assert_false(wh_ct_equal(a, b, 33));
        b[i] ^= 0x80;
    }
    for (size_t i = 0; i < 33; i++) b[i] = 200;
    wh_ct_select_bytes(out, UINT64_MAX, a, b, 33);
    assert_memory_equal(out, a, 33);
    wh_ct_select_bytes(out, 0, a, b, 33);
    assert_memory_equal(out, b, 33);
    wh_ct_select_bytes(b, UINT64_MAX, a, b, 33); /* in place */
    assert_memory_equal(b, a, 33);
}

/* Run under memcheck (build with -DWH_CT_VALGRIND), nothing may be reported here. */
static void test_secrets_stay_out_of_branches(void **state)
{
    (void)state;
    uint8_t a[32] = {1}, b[32] = {2}, out[32];
    WH_CLASSIFY(a, sizeof a);
    assert_false(wh_ct_equal(a, b, sizeof a));
    uint64_t mask = wh_ct_lt(a[0], 5);
    wh_ct_select_bytes(out, mask, a, b, sizeof out);
    /* The test looks at its own made-up secret. */
    WH_DECLASSIFY(out, sizeof out);
    assert_int_equal(out[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_secrets_stay_out_of_branches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
