/* Steady-time draws: no branch and no address may depend on the random words or on the draw. */
#include "crypt/ct.h"
#include "draw/cumulative.h"
#include "test.h"

enum { DRAWS = 16 };

static void check(const wh_steady *steady)
{
    uint64_t word[4 * DRAWS], x = 0x9e3779b97f4a7c15;
    int64_t open[DRAWS], secret[DRAWS];
    for (size_t i = 0; i < WH_COUNT(word); i++) word[i] = x = x * 6364136223846793005 + 1442695040888963407;
    wh_steady_pick(open, steady, word, DRAWS);
    WH_CLASSIFY(word, sizeof word);
    wh_steady_pick(secret, steady, word, DRAWS);
    /* The test looks at noise of its own making. */
    WH_DECLASSIFY(secret, sizeof secret);
    assert_memory_equal(secret, open, sizeof open);
}

static void test_gauss(void **state)
{
    (void)state;
    WH_AUTO(wh_steady) steady;
    assert_ok(wh_steady_init(&steady, WH_LAW_DISCRETE_GAUSS, 5));
    check(&steady);
}

static void test_laplace(void **state)
{
    (void)state;
    WH_AUTO(wh_steady) steady;
    assert_ok(wh_steady_init(&steady, WH_LAW_DISCRETE_LAPLACE, 3));
    check(&steady);
}

static void test_skellam(void **state)
{
    (void)state;
    WH_AUTO(wh_steady) steady;
    assert_ok(wh_steady_init_skellam(&steady, 20));
    check(&steady);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gauss),
        cmocka_unit_test(test_laplace),
        cmocka_unit_test(test_skellam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
