/* Rates against tables and against exact sums; the bound of epsilon of laws that are known. Seeds are fixed. */
#include "dp/audit.h"

#include <math.h>

#include "test.h"

/* Published one-sided 97.5 % ends (Clopper, Pearson 1934; R's binom.test), and the exact tail at each end. */
static void test_rates(void **state)
{
    (void)state;
    assert_true(fabs(wh_dp_rate_upper(0, 10, 0.025) - 0.3084971) < 1e-6);
    assert_true(fabs(wh_dp_rate_upper(3, 10, 0.025) - 0.6524529) < 1e-6);
    assert_true(fabs(wh_dp_rate_upper(50, 100, 0.025) - 0.6016780) < 1e-3);
    assert_true(wh_dp_rate_upper(10, 10, 0.025) == 1);
    static const uint64_t n = 400, ks[] = {0, 1, 7, 200, 399};
    for (size_t i = 0; i < WH_COUNT(ks); i++) {
        double p = wh_dp_rate_upper(ks[i], n, 0.01), tail = 0;
        for (uint64_t k = 0; k <= ks[i]; k++)
            tail += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) +
                        (double)k * log(p) + (double)(n - k) * log1p(-p));
        assert_true(fabs(tail - 0.01) < 1e-6);
    }
}

static uint64_t state_ = 11;
static double uniform(void)
{
    uint64_t z = (state_ += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

enum { N = 20000 };

/* Scores of Laplace noise of scale 1 / epsilon, shifted by 1: that much and no more can be found. */
static double attack_laplace(double epsilon, double shift)
{
    static double one[N], other[N];
    wh_dp_attack a;
    for (size_t i = 0; i < N; i++)
        for (int w = 0; w < 2; w++) {
            double u = uniform() - 0.5, x = -copysign(log1p(-2 * fabs(u)), u) / epsilon;
            (w ? other : one)[i] = x + (w ? shift : 0);
        }
    assert_ok(wh_dp_attack_scores(&a, one, other, N, 0, 0.999));
    return a.epsilon;
}

static void test_attacks(void **state)
{
    (void)state;
    double found = attack_laplace(1, 1), twice = attack_laplace(1, 2), none = attack_laplace(1, 0);
    assert_true(found > 0.85 && found <= 1);
    assert_true(twice > 1.6 && twice <= 2);
    assert_true(none < 0.1);
    /* Worlds that a score tells apart for certain: no more than their number can show. */
    double one[200], other[200];
    wh_dp_attack a;
    for (size_t i = 0; i < 200; i++) one[i] = 0, other[i] = 1;
    assert_ok(wh_dp_attack_scores(&a, one, other, 200, 0, 0.95));
    assert_true(a.epsilon > 3 && a.epsilon < log(100 / 3.6));
    assert_int_equal(wh_dp_attack_scores(&a, one, other, 2, 0, 0.95), WHIST_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates), cmocka_unit_test(test_attacks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
