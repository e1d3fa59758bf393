/* One training's guesses against sums done by hand, values of an independent program, and mechanisms that are known.
 * Seeds are fixed. */
#include "dp/one_run.h"

#include <math.h>

#include "test.h"

static void near(double got, double expected, double most)
{
    if (!(fabs(got - expected) <= most)) fail_msg("%.12g, not %.12g", got, expected);
}

static void test_chances(void **state)
{
    (void)state;
    /* Two fair coins: 1/4, and by hand 2 · 4 · 0.01 · max(1/2, 3/8) on top. */
    near(wh_dp_one_run_chance(4, 2, 2, 0, 0), 0.25, 1e-15);
    near(wh_dp_one_run_chance(4, 2, 2, 0, 0.01), 0.29, 1e-15);
    /* Two coins of 3/4, one right or more: 15/16, then 1/16 for one less. */
    near(wh_dp_one_run_chance(2, 2, 1, log(3), 0), 15.0 / 16, 1e-14);
    near(wh_dp_one_run_chance(2, 2, 1, log(3), 0.01), 15.0 / 16 + 0.04 / 16, 1e-14);
    /* Computed by another program from the formula of the paper. */
    static const double at[] = {0, 0.5, 1, 2, 4}, p[] = {0.00020930803575922458, 0.0017995697179248992,
                                                         0.059139835747904636, 0.8069710996818464, 0.9999932840388205};
    for (size_t i = 0; i < WH_COUNT(at); i++) near(wh_dp_one_run_chance(200, 40, 34, at[i], 1e-5), p[i], 1e-9);
}

static void test_bounds(void **state)
{
    (void)state;
    /* Ten of ten: q^10 = 0.05 at q = 0.05^(1/10). */
    const double q = pow(0.05, 0.1);
    near(wh_dp_one_run_epsilon(10, 10, 10, 0, 0.05), log(q / (1 - q)), 1e-9);
    near(wh_dp_one_run_epsilon(200, 40, 34, 1e-5, 0.05), 0.9690999161608334, 1e-7);
    near(wh_dp_one_run_epsilon(1000, 200, 120, 0, 0.05), 0.15906974921754355, 1e-7);
    assert_true(wh_dp_one_run_epsilon(1000, 200, 100, 0, 0.05) == 0); /* half of them right is nothing */
    assert_true(wh_dp_one_run_epsilon(1000, 200, 90, 0, 0.05) == 0);
    assert_true(wh_dp_one_run_epsilon(10, 0, 0, 0, 0.05) == 0);
    assert_true(wh_dp_one_run_epsilon(200, 40, 40, 0.02, 0.05) == 0); /* m delta beyond everything */
}

/* Pure claims of two coins, both guessed: (e^ε / (1 + e^ε))² exactly, 1/4 and 9/16. */
static void test_curves(void **state)
{
    (void)state;
    const double none = 0, three = log(3), zero = 0;
    const wh_dp_claim nothing = {&none, &zero, 1}, some = {&three, &zero, 1};
    assert_true(wh_dp_one_run_refutes(&nothing, 2, 2, 2, 0.2501) && !wh_dp_one_run_refutes(&nothing, 2, 2, 2, 0.2499));
    assert_true(wh_dp_one_run_refutes(&some, 2, 2, 2, 0.5626) && !wh_dp_one_run_refutes(&some, 2, 2, 2, 0.5624));
    assert_false(wh_dp_one_run_refutes(&nothing, 100, 50, 25, 0.05));
    assert_true(wh_dp_one_run_refutes(&nothing, 100, 50, 50, 0.05));
}

static uint64_t state_ = 5;
static double uniform(void)
{
    uint64_t z = (state_ += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    const double a = uniform(), b = uniform();
    return sqrt(-2 * log(a)) * cos(6.283185307179586 * b);
}

enum { M = 1000, POINTS = 30 };

static double score[M];
static int falling(const void *a, const void *b)
{
    double x = score[*(const uint32_t *)a], y = score[*(const uint32_t *)b];
    return (x < y) - (x > y);
}

/* Records that each move a number of their own by mu, under noise of 1: how many of `guesses` are right. */
static uint64_t attack_gaussian(double mu, size_t guesses)
{
    static uint32_t order[M];
    static uint8_t in[M];
    for (uint32_t i = 0; i < M; i++) {
        order[i] = i, in[i] = uniform() < 0.5;
        score[i] = normal() + (in[i] ? mu : 0);
    }
    qsort(order, M, sizeof *order, falling);
    return wh_dp_one_run_right(order, in, M, guesses);
}

static double phi(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

/* All that a Gaussian mechanism of this mu promises (Balle, Wang 2018, theorem 8). */
static wh_dp_claim gaussian_claim(double mu)
{
    static double epsilon[POINTS], delta[POINTS];
    for (int i = 0; i < POINTS; i++) {
        const double e = 0.02 * exp(0.2 * i);
        epsilon[i] = e;
        delta[i] = phi(mu / 2 - e / mu) - exp(e) * phi(-mu / 2 - e / mu);
    }
    return (wh_dp_claim){epsilon, delta, POINTS};
}

static void test_gaussians(void **state)
{
    (void)state;
    enum { RUNS = 200 };
    int honest = 0, pairs = 0, half = 0, by_pair = 0;
    for (int run = 0; run < RUNS; run++) {
        const wh_dp_claim claim = gaussian_claim(1);
        const uint64_t one = attack_gaussian(1, M / 8), two = attack_gaussian(2, M / 8);
        honest += wh_dp_one_run_refutes(&claim, M, M / 8, one, 0.05);
        half += wh_dp_one_run_refutes(&claim, M, M / 8, two, 0.05);
        pairs += wh_dp_one_run_epsilon(M, M / 8, one, 1e-5, 0.05) > 4.3779; /* mu 1 at delta 1e-5 */
        by_pair += wh_dp_one_run_epsilon(M, M / 8, two, 1e-5, 0.05) > 4.3779;
    }
    assert_int_equal(honest, 0); /* each may fail in 5 of 100; both are far from it */
    assert_int_equal(pairs, 0);
    assert_true(half > RUNS * 3 / 4); /* the curve sees half the noise in one run */
    assert_true(by_pair < half);      /* what one point of it hides */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chances), cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_curves), cmocka_unit_test(test_gaussians)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
