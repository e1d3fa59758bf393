/* Tests of account/renyi: curves against closed forms, slow integrals and each other. */
#include "dp/account/renyi.h"

#include <math.h>

#include "test.h"

static double order_of(const whist_dp_event *e, double order)
{
    double r = -1;
    assert_ok(whist_dp_event_check(e));
    assert_ok(wh_dp_event_order(&r, e, order));
    return r;
}

static void assert_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want))) fail_msg("%.16g instead of %.16g", got, want);
}

/* log E_Q[(P/Q)^a] / (a-1) of a sampled Gaussian by Simpson's rule in long double. */
static double slow_sampled(double sigma, double q, double a)
{
    const int n = 400000;
    long double low = -12 * sigma, high = a + 12 * sigma, h = (high - low) / n, sum = 0;
    for (int i = 0; i <= n; i++) {
        long double z = low + i * h, x = (long double)q * expm1l((2 * z - 1) / (2 * (long double)sigma * sigma));
        long double density = expl(-z * z / (2 * (long double)sigma * sigma)) /
                              ((long double)sigma * sqrtl(2 * 3.14159265358979323846264338L));
        long double w = i == 0 || i == n ? 1 : i % 2 ? 4 : 2;
        sum += w * density * (expm1l(a * log1pl(x)) - a * x);
    }
    return (double)(log1pl(sum * h / 3) / (a - 1));
}

static void test_fractional(void **state)
{
    (void)state;
    static const double rows[][3] = {{0.7, 0.2, 1.7},  {2, 0.05, 3.5},     {1, 0.01, 1.1},
                                     {1.2, 0.02, 5.4}, {0.5, 0.001, 10.9}, {4, 1e-4, 2.5}};
    for (size_t i = 0; i < WH_COUNT(rows); i++) {
        whist_dp_event e = {
            .mechanism = WHIST_DP_GAUSSIAN, .noise = rows[i][0], .sampling = WHIST_DP_POISSON, .rate = rows[i][1]};
        assert_near(order_of(&e, rows[i][2]), slow_sampled(rows[i][0], rows[i][1], rows[i][2]), 1e-9);
    }
}

/* The sum over integers and the quadrature meet at every integer. */
static void test_integer(void **state)
{
    (void)state;
    for (double sigma = 0.4; sigma < 10; sigma *= 1.7)
        for (double q = 1e-5; q < 1; q *= 7)
            for (int a = 2; a < 12; a++) {
                double order[2] = {a, a * (1 + 1e-13)}, r[2];
                wh_dp_sampled_normal_renyi(r, 1 / sigma, q, order, 2);
                assert_near(r[1], r[0], 1e-9);
            }
}

static void test_limits(void **state)
{
    (void)state;
    whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 3, .sampling = WHIST_DP_POISSON, .rate = 1};
    assert_near(order_of(&e, 7.5), 7.5 / 18, 1e-12); /* everybody */
    e.relation = WHIST_DP_REPLACE;
    assert_near(order_of(&e, 7.5), 4 * 7.5 / 18, 1e-12);
    /* A list of outcomes agrees with the closed form; a replaced record's pair with rate near 1 with the whole. */
    e.rate = 1 - 1e-9;
    assert_near(order_of(&e, 3), 4 * 3.0 / 18, 1e-7);
    whist_dp_event l = {.mechanism = WHIST_DP_LAPLACE, .noise = 2, .sampling = WHIST_DP_POISSON, .rate = 1 - 1e-12};
    whist_dp_event whole = {.mechanism = WHIST_DP_LAPLACE, .noise = 2};
    for (double a = 1.5; a < 100; a *= 1.9) assert_near(order_of(&l, a), order_of(&whole, a), 1e-9);
    /* A discrete Gaussian of large sigma is nearly the continuous one, and never above it by CKS. */
    whist_dp_event d = {.mechanism = WHIST_DP_DISCRETE_GAUSSIAN, .noise = 20, .sensitivity = 5};
    assert_near(order_of(&d, 8), 8 * 25 / 800.0, 1e-9);
    d.dimension = 100;
    assert_near(order_of(&d, 8), 8 * 25 / 800.0, 1e-12);
    whist_dp_event s = {.mechanism = WHIST_DP_SKELLAM, .noise = 400, .sensitivity = 5};
    double exact = order_of(&s, 8);
    s.dimension = 2;
    assert_true(exact <= order_of(&s, 8) && exact > 8 * 25 / 800.0 * 0.99); /* the theorem covers one entry, too */
}

/* One bin is no sampling at all; of two, D(P || Q) at 3 and D(Q || P) at any order are integrals in the plane. */
static double plane(double mu, double power)
{
    double sum = 0, h = 0.05;
    for (double x = -9; x < 9 + 8 * mu; x += h)
        for (double y = -9; y < 9 + 8 * mu; y += h) {
            double m = (exp(mu * x - mu * mu / 2) + exp(mu * y - mu * mu / 2)) / 2;
            sum += exp(-(x * x + y * y) / 2) * pow(m, power);
        }
    return log(sum * h * h / (2 * 3.14159265358979323846));
}

static void test_bins(void **state)
{
    (void)state;
    for (double mu = 0.2; mu < 2; mu *= 2) {
        double order[] = {2, 3, 1.7, 9}, r[4];
        assert_ok(wh_dp_bins_renyi(r, mu, 1, order, 4));
        for (int i = 0; i < 2; i++) assert_near(r[i], order[i] * mu * mu / 2, 1e-8);
        assert_true(r[2] >= 1.7 * mu * mu / 2 * (1 - 1e-9)); /* a chord lies above */
        assert_ok(wh_dp_bins_renyi(r, mu, 2, order, 4));
        for (int i = 0; i < 4; i++) {
            double a = order[i], forward = plane(mu, a) / (a - 1), backward = plane(mu, 1 - a) / (a - 1);
            double truth = fmax(forward, backward);
            assert_true(r[i] >= truth * (1 - 1e-8));
            if (a == floor(a)) assert_near(r[i], truth, 1e-7);
        }
    }
}

/* More bins, less loss; always less than without. */
static void test_bins_amplify(void **state)
{
    (void)state;
    double last = INFINITY, order = 4, r;
    for (uint64_t bins = 1; bins < 5000; bins *= 3) {
        assert_ok(wh_dp_bins_renyi(&r, 1, bins, &order, 1));
        assert_true(r < last);
        last = r;
    }
    assert_true(last < 0.02);
}

static void test_subset(void **state)
{
    (void)state;
    /* Sampling everybody gains nothing, few people much; more noise, less loss. */
    whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN,
                        .noise = 4,
                        .sampling = WHIST_DP_WITHOUT_REPLACEMENT,
                        .n = 1000,
                        .batch = 1000,
                        .relation = WHIST_DP_REPLACE};
    assert_near(order_of(&e, 5), 5 * 4.0 / 32, 1e-12);
    double last = order_of(&e, 5);
    for (e.batch = 300; e.batch > 1; e.batch /= 3) {
        double now = order_of(&e, 5);
        assert_true(now > 0 && now < last);
        last = now;
    }
}

static void test_repeat(void **state)
{
    (void)state;
    /* One run, for certain, costs at least that run; more runs cost more. */
    whist_dp_event run = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 5};
    static const double shapes[] = {0, 0.5, 1, 3, INFINITY};
    for (size_t s = 0; s < WH_COUNT(shapes); s++) {
        double last = 0, order;
        for (double mean = 1.5; mean < 1000; mean *= 4) {
            whist_dp_event e = {
                .mechanism = WHIST_DP_REPEAT, .inner = &run, .n_inner = 1, .mean = mean, .shape = shapes[s]};
            wh_dp_curve curve, one;
            assert_ok(whist_dp_event_check(&e));
            assert_ok(wh_dp_event_curve(&curve, &e));
            assert_ok(wh_dp_event_curve(&one, &run));
            double epsilon = wh_dp_curve_epsilon(&order, &curve, 1e-5);
            assert_true(epsilon > wh_dp_curve_epsilon(&order, &one, 1e-5) && epsilon > last);
            last = epsilon;
        }
    }
}

/* E x^K for the number of runs K (Papernot, Steinke 2022, section 2.1). */
static double generate(double x, double gamma, double mean, double shape)
{
    if (isinf(shape)) return exp(mean * (x - 1));
    if (shape == 0) return log1p(-(1 - gamma) * x) / log(gamma);
    return (pow(1 - (1 - gamma) * x, -shape) - 1) / (pow(gamma, -shape) - 1);
}

enum { SCORES = 6 };

/* The law of the best of K draws from p; place SCORES: there was no draw (Poisson only). */
static void best_of(double out[SCORES + 1], const double p[SCORES], double gamma, double mean, double shape)
{
    double below = 0, before = generate(0, gamma, mean, shape);
    out[SCORES] = before;
    for (size_t i = 0; i < SCORES; i++) {
        below = i + 1 == SCORES ? 1 : below + p[i];
        double now = generate(below, gamma, mean, shape);
        out[i] = now - before;
        before = now;
    }
}

static double divergence(const double *p, const double *q, size_t n, double a)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] > 0) sum += p[i] * pow(p[i] / q[i], a - 1);
    return log(sum) / (a - 1);
}

/* Random mechanisms of six scores, whose best-of-K law is known exactly: theorems 2 and 6 bound its divergence at every
 * order up to 64. That is no matter of course: what a single run costs is passed by some of them. */
static void test_best_of_many_exactly(void **state)
{
    (void)state;
    static const double shapes[] = {0, 0.5, 1, 3, INFINITY}, means[] = {1.5, 4, 20};
    uint64_t seed = 5;
    double worst = -INFINITY, passed = 0;
    for (size_t t = 0; t < 60; t++) {
        double p[SCORES], q[SCORES], sums[2] = {0}, inner[WH_DP_ORDERS], bound[WH_DP_ORDERS];
        for (size_t i = 0; i < SCORES; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            p[i] = 0.02 + (double)(seed >> 40) * 0x1p-24;
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            q[i] = p[i] * exp(0.8 * ((double)(seed >> 40) * 0x1p-24 - 0.5));
            sums[0] += p[i], sums[1] += q[i];
        }
        for (size_t i = 0; i < SCORES; i++) p[i] /= sums[0], q[i] /= sums[1];
        for (size_t k = 0; k < WH_DP_ORDERS; k++)
            inner[k] = fmax(divergence(p, q, SCORES, wh_dp_order[k]), divergence(q, p, SCORES, wh_dp_order[k]));
        for (size_t s = 0; s < WH_COUNT(shapes); s++)
            for (size_t m = 0; m < WH_COUNT(means); m++) {
                double gamma = isinf(shapes[s]) ? 1 : wh_dp_repeat_gamma(means[m], shapes[s]), a[SCORES + 1],
                       b[SCORES + 1];
                best_of(a, p, gamma, means[m], shapes[s]);
                best_of(b, q, gamma, means[m], shapes[s]);
                wh_dp_repeat_renyi(bound, inner, wh_dp_order, WH_DP_ORDERS, means[m], shapes[s]);
                for (size_t k = 0; k < WH_DP_ORDERS && wh_dp_order[k] <= 64; k++) {
                    double exact = fmax(divergence(a, b, SCORES + 1, wh_dp_order[k]),
                                        divergence(b, a, SCORES + 1, wh_dp_order[k]));
                    worst = fmax(worst, exact - bound[k]);
                    passed = fmax(passed, exact / inner[k]);
                }
            }
    }
    assert_true(worst < 1e-12);
    assert_true(passed > 1.3);
}

/* Theorem 2 by hand, for a geometric number (shape 1, gamma = 1 / mean). */
static void test_best_of_many_by_the_theorem(void **state)
{
    (void)state;
    double inner[WH_DP_ORDERS], bound[WH_DP_ORDERS], mean = 8;
    for (size_t k = 0; k < WH_DP_ORDERS; k++) inner[k] = wh_dp_order[k] / (2 * 3.0 * 3.0);
    wh_dp_repeat_renyi(bound, inner, wh_dp_order, WH_DP_ORDERS, mean, 1);
    double constant = INFINITY;
    for (size_t k = 0; k < WH_DP_ORDERS; k++)
        constant = fmin(constant, 2 * (1 - 1 / wh_dp_order[k]) * inner[k] + 2 * log(mean) / wh_dp_order[k]);
    for (size_t k = 0; k < WH_DP_ORDERS; k++) {
        double one = inner[k] + constant + log(mean) / (wh_dp_order[k] - 1);
        assert_true(bound[k] <= one * (1 + 1e-12));
        if (wh_dp_order[k] >= 10) assert_near(bound[k], one, 1e-9 * one); /* where it grows with the order */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fractional),
        cmocka_unit_test(test_integer),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_bins_amplify),
        cmocka_unit_test(test_subset),
        cmocka_unit_test(test_repeat),
        cmocka_unit_test(test_best_of_many_exactly),
        cmocka_unit_test(test_best_of_many_by_the_theorem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
