/* Tests of accountants, calibration and odometers through the public header. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "dp/account/accountant.h"
#include "test.h"

static const double shifts[] = {0, 1, 3}, weights[] = {0.85, 0.1, 0.05};
static const whist_dp_event inner_run = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 4};

/* One event of each mechanism, cheap to account. */
static whist_dp_event sample_event(whist_dp_mechanism m, whist_dp_sampling s, whist_dp_relation r)
{
    static whist_dp_event inner;
    inner = inner_run;
    inner.relation = r;
    whist_dp_event e = {.mechanism = m, .sampling = s, .relation = r, .rate = 0.05, .n = 400, .batch = 20, .bins = 20};
    e.noise = m == WHIST_DP_SKELLAM ? 40 : m == WHIST_DP_DISCRETE_LAPLACE ? 0.5 : 3;
    e.epsilon = 0.3;
    e.delta = 1e-7;
    e.rho = 0.05;
    e.p = 0.8;
    e.k = 3;
    e.steps = 30;
    e.n_mixture = 3;
    e.shift = shifts;
    e.weight = weights;
    e.inner = &inner;
    e.n_inner = 1;
    e.mean = 4;
    e.shape = 1;
    return e;
}

static whist_dp_accountant *accountant(whist_dp_method method, whist_dp_relation relation)
{
    whist_dp_accountant *a = NULL;
    whist_dp_options o = {.method = method, .relation = relation, .allow_approximation = true, .width = 1e-2};
    assert_ok(whist_dp_accountant_new(&a, &o));
    return a;
}

/* Charging n at once is charging one n times, to the bit, and more than charging one: for every mechanism, sampling,
 * relation and method, or all are refused alike. */
static void test_compose_is_loop(void **state)
{
    (void)state;
    enum { TIMES = 4 };
    size_t answered[WHIST_DP_METHODS] = {0};
    for (whist_dp_mechanism m = 0; m < WHIST_DP_MECHANISMS; m++)
        for (whist_dp_sampling s = 0; s < WHIST_DP_SAMPLINGS; s++)
            for (whist_dp_relation r = 0; r < WHIST_DP_RELATIONS; r++)
                for (whist_dp_method method = 0; method < WHIST_DP_METHODS; method++) {
                    whist_dp_event e = sample_event(m, s, r);
                    if (whist_dp_event_check(&e) != WHIST_OK) continue;
                    WH_AUTO(whist_dp_accountant_ptr) at_once = accountant(method, r);
                    WH_AUTO(whist_dp_accountant_ptr) looped = accountant(method, r);
                    WH_AUTO(whist_dp_accountant_ptr) single = accountant(method, r);
                    whist_dp_answer a, b, one;
                    whist_status status = whist_dp_compose(single, &e);
                    for (int i = 0; i < TIMES; i++) assert_int_equal(whist_dp_compose(looped, &e), status);
                    e.count = TIMES;
                    assert_int_equal(whist_dp_compose(at_once, &e), status);
                    if (status != WHIST_OK) {
                        assert_int_equal(status, WHIST_E_UNSUPPORTED);
                        continue;
                    }
                    assert_ok(whist_dp_epsilon(&a, at_once, 1e-3));
                    assert_ok(whist_dp_epsilon(&b, looped, 1e-3));
                    assert_ok(whist_dp_epsilon(&one, single, 1e-3));
                    assert_true(a.upper == b.upper && a.lower == b.lower);
                    assert_true(a.lower <= a.upper);
                    if (!(a.upper > one.upper || (a.upper == 0 && one.upper == 0)))
                        fail_msg("%s %s %s %s: %d uses cost %g, one costs %g", whist_dp_mechanism_name(m),
                                 whist_dp_sampling_name(s), whist_dp_relation_name(r), whist_dp_method_name(method),
                                 TIMES, a.upper, one.upper);
                    answered[method]++;
                }
    assert_true(answered[WHIST_DP_PLD] >= 100 && answered[WHIST_DP_RDP] >= 110);
    assert_true(answered[WHIST_DP_ZCDP] >= 50 && answered[WHIST_DP_GDP] >= 5);
}

/* Every mechanism has an answer by rdp without sampling, under every relation; so by pld, but for those that have no
 * pair. */
static void test_coverage(void **state)
{
    (void)state;
    for (whist_dp_mechanism m = 0; m < WHIST_DP_MECHANISMS; m++)
        for (whist_dp_relation r = 0; r < WHIST_DP_RELATIONS; r++) {
            whist_dp_event e = sample_event(m, WHIST_DP_ALL, r);
            WH_AUTO(whist_dp_accountant_ptr) rdp = accountant(WHIST_DP_RDP, r);
            WH_AUTO(whist_dp_accountant_ptr) pld = accountant(WHIST_DP_PLD, r);
            assert_ok(whist_dp_compose(rdp, &e));
            bool no_pair = m == WHIST_DP_REPEAT || m == WHIST_DP_CONCENTRATED;
            assert_int_equal(whist_dp_compose(pld, &e), no_pair ? WHIST_E_UNSUPPORTED : WHIST_OK);
            if (no_pair) continue;
            whist_dp_answer a, b;
            assert_ok(whist_dp_epsilon(&a, pld, 1e-5));
            assert_ok(whist_dp_epsilon(&b, rdp, 1e-5));
            if (!(a.lower <= b.upper))
                fail_msg("%s: pld %g above rdp %g", whist_dp_mechanism_name(m), a.lower, b.upper);
        }
}

/* pld <= rdp where both are of the same pairs; replacing costs more than removing; a pass in shuffled order more than
 * Poisson batches of the same size. */
static void test_order(void **state)
{
    (void)state;
    for (whist_dp_sampling s = 0; s < WHIST_DP_SAMPLINGS; s++) {
        double last = 0;
        for (int r = 0; r < 2; r++) {
            whist_dp_event e = sample_event(WHIST_DP_GAUSSIAN, s, r ? WHIST_DP_REPLACE : WHIST_DP_ZERO_OUT);
            if (s == WHIST_DP_BALLS_IN_BINS) continue;
            WH_AUTO(whist_dp_accountant_ptr) rdp = accountant(WHIST_DP_RDP, e.relation);
            WH_AUTO(whist_dp_accountant_ptr) pld = accountant(WHIST_DP_PLD, e.relation);
            whist_dp_answer a, b;
            e.count = 20;
            assert_ok(whist_dp_compose(rdp, &e));
            assert_ok(whist_dp_compose(pld, &e));
            assert_ok(whist_dp_epsilon(&a, pld, 1e-6));
            assert_ok(whist_dp_epsilon(&b, rdp, 1e-6));
            assert_true(a.lower <= b.upper && a.certified && b.certified);
            assert_true(a.lower > last);
            last = a.upper;
        }
    }
    whist_dp_event pass = sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_SHUFFLED_PASS, WHIST_DP_ZERO_OUT);
    whist_dp_event poisson = sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, WHIST_DP_ZERO_OUT);
    WH_AUTO(whist_dp_accountant_ptr) a = accountant(WHIST_DP_PLD, WHIST_DP_ZERO_OUT);
    WH_AUTO(whist_dp_accountant_ptr) b = accountant(WHIST_DP_PLD, WHIST_DP_ZERO_OUT);
    whist_dp_answer x, y;
    double one;
    pass.count = 3;
    poisson.count = 3 * 20;
    assert_ok(whist_dp_compose(a, &pass));
    assert_ok(whist_dp_compose(b, &poisson));
    assert_ok(whist_dp_epsilon(&x, a, 1e-6));
    assert_ok(whist_dp_epsilon(&y, b, 1e-6));
    assert_true(x.lower > y.upper);
    assert_ok(whist_dp_gaussian_epsilon(&one, pass.noise / sqrt(3), 1e-6)); /* one participation a pass, no more */
    assert_true(x.lower <= one && one <= x.upper);
}

/* A group is a larger record: of Gaussians k times, of Poisson samples the binomial mixture. */
static void test_group(void **state)
{
    (void)state;
    whist_dp_event e = sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, WHIST_DP_ADD_REMOVE);
    double last = 0;
    for (uint32_t g = 1; g < 20; g *= 2) {
        WH_AUTO(whist_dp_accountant_ptr) pld = accountant(WHIST_DP_PLD, WHIST_DP_ADD_REMOVE);
        WH_AUTO(whist_dp_accountant_ptr) rdp = accountant(WHIST_DP_RDP, WHIST_DP_ADD_REMOVE);
        whist_dp_answer a, b;
        e.group = g;
        e.count = 50;
        assert_ok(whist_dp_compose(pld, &e));
        assert_ok(whist_dp_compose(rdp, &e));
        assert_ok(whist_dp_epsilon(&a, pld, 1e-5));
        assert_ok(whist_dp_epsilon(&b, rdp, 1e-5));
        assert_true(a.lower > last && a.lower <= b.upper);
        last = a.upper;
    }
    double one;
    whist_dp_event plain = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 6, .group = 3};
    WH_AUTO(whist_dp_accountant_ptr) pld = accountant(WHIST_DP_PLD, WHIST_DP_ADD_REMOVE);
    whist_dp_answer a;
    assert_ok(whist_dp_compose(pld, &plain));
    assert_ok(whist_dp_epsilon(&a, pld, 1e-5));
    assert_ok(whist_dp_gaussian_epsilon(&one, 2, 1e-5));
    assert_true(fabs(a.upper - one) < 1e-9);
}

/* ---- Refusals ----------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    (void)state;
    whist_dp_accountant *a = NULL;
    whist_dp_answer answer = {.upper = -1};
    whist_dp_options o = {.method = WHIST_DP_GDP};
    assert_int_equal(whist_dp_accountant_new(&a, &o), WHIST_E_UNSUPPORTED); /* an approximation as a bound */
    o = (whist_dp_options){.method = WHIST_DP_PLD, .adaptive = true};
    assert_int_equal(whist_dp_accountant_new(&a, &o), WHIST_E_UNSUPPORTED);
    o = (whist_dp_options){.method = WHIST_DP_PLD, .public_n = 1000};
    WH_AUTO(whist_dp_accountant_ptr) pld = NULL;
    assert_ok(whist_dp_accountant_new(&pld, &o));
    whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 2};
    assert_ok(whist_dp_compose(pld, &e));
    static const double deltas[] = {0, -1, 1, 2, NAN, INFINITY, 1e-3, 0.5};
    for (size_t i = 0; i < WH_COUNT(deltas); i++)
        assert_int_equal(whist_dp_epsilon(&answer, pld, deltas[i]), WHIST_E_ARG);
    assert_ok(whist_dp_epsilon(&answer, pld, 0.9e-3));
    static const double epsilons[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < WH_COUNT(epsilons); i++) {
        double value;
        assert_int_equal(whist_dp_delta(&answer, pld, epsilons[i]), WHIST_E_ARG);
        assert_int_equal(whist_dp_calibrate(&value, NULL, &o, &e, 1, 0, WHIST_DP_NOISE, epsilons[i], 1e-5, 0),
                         WHIST_E_ARG);
    }
    static const double noises[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < WH_COUNT(noises); i++) {
        e.noise = noises[i];
        assert_int_equal(whist_dp_compose(pld, &e), WHIST_E_ARG);
    }
    e.noise = 2;
    e.relation = WHIST_DP_REPLACE;
    assert_int_equal(whist_dp_compose(pld, &e), WHIST_E_STATE);
    e.relation = WHIST_DP_ADD_REMOVE;
    e.unit = WHIST_DP_SITE;
    assert_int_equal(whist_dp_compose(pld, &e), WHIST_E_STATE);
    e.unit = WHIST_DP_RECORD;
    /* Designs that do not match the accountant */
    e.sampling = WHIST_DP_BALLS_IN_BINS, e.bins = 10;
    assert_int_equal(whist_dp_compose(pld, &e), WHIST_E_UNSUPPORTED);
    e.sampling = WHIST_DP_POISSON, e.rate = 0.1;
    WH_AUTO(whist_dp_accountant_ptr) zcdp = accountant(WHIST_DP_ZCDP, WHIST_DP_ADD_REMOVE);
    assert_int_equal(whist_dp_compose(zcdp, &e), WHIST_E_UNSUPPORTED);
    /* The events' own deltas */
    whist_dp_event approximate = {.mechanism = WHIST_DP_APPROXIMATE, .epsilon = 1, .delta = 1e-4, .count = 9};
    for (int m = 0; m < 2; m++) {
        WH_AUTO(whist_dp_accountant_ptr) b = accountant(m ? WHIST_DP_RDP : WHIST_DP_PLD, WHIST_DP_ADD_REMOVE);
        assert_ok(whist_dp_compose(b, &approximate));
        assert_int_equal(whist_dp_epsilon(&answer, b, 1e-4), WHIST_E_RANGE);
        assert_ok(whist_dp_epsilon(&answer, b, 1e-2));
    }
}

/* The design decides the sampling; a shuffled pass cannot become Poisson. */
static void test_design(void **state)
{
    (void)state;
    whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 1, .sampling = WHIST_DP_POISSON, .rate = 0.1};
    wh_draw_design shuffled = {.kind = WH_DRAW_SHUFFLED_PASS, .n = 100, .batch = 10};
    assert_ok(wh_dp_event_design(&e, &shuffled));
    assert_int_equal(e.sampling, WHIST_DP_SHUFFLED_PASS);
    wh_draw_design poisson = {.kind = WH_DRAW_POISSON, .n = 100, .rate = 0.2};
    assert_ok(wh_dp_event_design(&e, &poisson));
    assert_true(e.sampling == WHIST_DP_POISSON && e.rate == 0.2);
    wh_draw_design other = {.kind = (wh_draw_kind)99, .n = 100};
    assert_int_equal(wh_dp_event_design(&e, &other), WHIST_E_UNSUPPORTED);
}

/* ---- Merging, calibrating, adaptive runs --------------------------------------------------------- */

static void test_merge(void **state)
{
    (void)state;
    whist_dp_event e = sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, WHIST_DP_ADD_REMOVE);
    whist_dp_event l = sample_event(WHIST_DP_LAPLACE, WHIST_DP_ALL, WHIST_DP_ADD_REMOVE);
    WH_AUTO(whist_dp_accountant_ptr) a = accountant(WHIST_DP_RDP, WHIST_DP_ADD_REMOVE);
    WH_AUTO(whist_dp_accountant_ptr) b = accountant(WHIST_DP_RDP, WHIST_DP_ADD_REMOVE);
    WH_AUTO(whist_dp_accountant_ptr) both = accountant(WHIST_DP_RDP, WHIST_DP_ADD_REMOVE);
    WH_AUTO(whist_dp_accountant_ptr) pld = accountant(WHIST_DP_PLD, WHIST_DP_ADD_REMOVE);
    whist_dp_answer x, y;
    assert_ok(whist_dp_compose(a, &e));
    assert_ok(whist_dp_compose(b, &l));
    assert_ok(whist_dp_compose(both, &e));
    assert_ok(whist_dp_compose(both, &l));
    assert_ok(whist_dp_merge(a, b));
    assert_ok(whist_dp_epsilon(&x, a, 1e-5));
    assert_ok(whist_dp_epsilon(&y, both, 1e-5));
    assert_true(x.upper == y.upper);
    assert_int_equal(whist_dp_merge(pld, a), WHIST_E_UNSUPPORTED);
    const double *order, *divergence;
    size_t n;
    assert_ok(whist_dp_curve(&order, &divergence, &n, a));
    assert_true(n == WH_DP_ORDERS && order[0] == 1.1 && order[WH_DP_LOW_ORDERS - 1] == 1024 && divergence[5] > 0);
    for (size_t i = 1; i < n; i++) assert_true(order[i] > order[i - 1]);
    assert_true(order[n - 1] == 0x1p36);
}

/* Every record in every batch is no sampling, by every method. */
static void test_rate_of_one(void **state)
{
    (void)state;
    whist_dp_event whole = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 1, .count = 1}, sampled = whole;
    sampled.sampling = WHIST_DP_POISSON, sampled.rate = 1;
    for (whist_dp_method m = 0; m < WHIST_DP_METHODS; m++) {
        WH_AUTO(whist_dp_accountant_ptr) a = accountant(m, WHIST_DP_ADD_REMOVE);
        WH_AUTO(whist_dp_accountant_ptr) b = accountant(m, WHIST_DP_ADD_REMOVE);
        whist_dp_answer x, y;
        assert_ok(whist_dp_compose(a, &whole));
        assert_ok(whist_dp_compose(b, &sampled));
        assert_ok(whist_dp_epsilon(&x, a, 1e-5));
        assert_ok(whist_dp_epsilon(&y, b, 1e-5));
        assert_true(fabs(x.upper - y.upper) <= 1e-9 * x.upper);
    }
}

/* Where epsilon is tiny the best order is far above a thousand: rdp is then near zcdp, which has them all (25 % where
 * delta takes most of it), and never below the closed form. Sampling does not lift it. */
static void test_tiny_epsilons(void **state)
{
    (void)state;
    static const double noises[] = {30, 1e3, 1e5, 1e6};
    static const double deltas[] = {1e-5, 1e-12};
    for (size_t k = 0; k < 8; k++)
        for (int relation = 0; relation < WHIST_DP_RELATIONS; relation++) {
            const whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN,
                                      .noise = noises[k / 2],
                                      .count = 3,
                                      .relation = (whist_dp_relation)relation};
            whist_dp_event sampled = e;
            whist_dp_answer rdp, zcdp, pld, less;
            sampled.sampling = WHIST_DP_POISSON, sampled.rate = 0.5;
            for (whist_dp_method m = WHIST_DP_PLD; m <= WHIST_DP_ZCDP; m++) {
                WH_AUTO(whist_dp_accountant_ptr) a = accountant(m, (whist_dp_relation)relation);
                assert_ok(whist_dp_compose(a, &e));
                assert_ok(whist_dp_epsilon(m == WHIST_DP_PLD   ? &pld
                                           : m == WHIST_DP_RDP ? &rdp
                                                               : &zcdp,
                                           a, deltas[k % 2]));
            }
            WH_AUTO(whist_dp_accountant_ptr) b = accountant(WHIST_DP_RDP, (whist_dp_relation)relation);
            assert_ok(whist_dp_compose(b, &sampled));
            assert_ok(whist_dp_epsilon(&less, b, deltas[k % 2]));
            if (!(rdp.upper <= zcdp.upper * 1.25 && rdp.upper >= pld.upper && less.upper <= rdp.upper * (1 + 1e-9)))
                fail_msg("noise %g: pld %g, rdp %g (sampled %g), zcdp %g", e.noise, pld.upper, rdp.upper, less.upper,
                         zcdp.upper);
        }
}

/* An upper end of 0 would be a promise that nothing can fail. */
static void test_no_delta_is_zero(void **state)
{
    (void)state;
    const whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN, .noise = 1, .count = 1};
    whist_dp_event sampled = e;
    sampled.sampling = WHIST_DP_POISSON, sampled.rate = 0.01;
    for (whist_dp_method m = WHIST_DP_PLD; m <= WHIST_DP_ZCDP; m++)
        for (int k = 0; k < 2; k++) {
            whist_dp_answer answer;
            WH_AUTO(whist_dp_accountant_ptr) a = accountant(m, WHIST_DP_ADD_REMOVE);
            if (m == WHIST_DP_ZCDP && k) continue;
            assert_ok(whist_dp_compose(a, k ? &sampled : &e));
            assert_ok(whist_dp_delta(&answer, a, 50));
            assert_true(answer.upper > 0 && answer.lower <= answer.upper);
        }
}

static void test_calibrate(void **state)
{
    (void)state;
    static const whist_dp_knob knobs[] = {WHIST_DP_NOISE, WHIST_DP_RATE, WHIST_DP_COUNT};
    whist_dp_event e[2] = {sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, WHIST_DP_ADD_REMOVE),
                           sample_event(WHIST_DP_LAPLACE, WHIST_DP_ALL, WHIST_DP_ADD_REMOVE)};
    e[0].count = 300;
    e[1].noise = 4;
    for (int method = 0; method < 2; method++)
        for (size_t k = 0; k < WH_COUNT(knobs); k++) {
            whist_dp_options o = {.method = method ? WHIST_DP_RDP : WHIST_DP_PLD, .width = 2e-5};
            whist_dp_answer answer, tight;
            double value;
            assert_ok(whist_dp_calibrate(&value, &answer, &o, e, 2, 0, knobs[k], 2, 1e-5, 1e-3));
            assert_true(answer.upper <= 2 && answer.upper > 1.9);
            /* a little more is too much */
            whist_dp_event more = e[0];
            if (knobs[k] == WHIST_DP_NOISE) more.noise = value * (1 - 2e-3);
            if (knobs[k] == WHIST_DP_RATE) more.rate = value * (1 + 2e-3);
            if (knobs[k] == WHIST_DP_COUNT) more.count = (uint64_t)value + 1;
            WH_AUTO(whist_dp_accountant_ptr) a = NULL;
            assert_ok(whist_dp_accountant_new(&a, &o));
            assert_ok(whist_dp_compose(a, &more));
            assert_ok(whist_dp_compose(a, &e[1]));
            assert_ok(whist_dp_epsilon(&tight, a, 1e-5));
            assert_true(tight.upper > 2);
        }
    double value;
    whist_dp_options o = {.method = WHIST_DP_RDP};
    assert_int_equal(whist_dp_calibrate(&value, NULL, &o, e, 2, 0, WHIST_DP_NOISE, 0.1, 1e-5, 0), WHIST_E_RANGE);
    assert_int_equal(whist_dp_calibrate(&value, NULL, &o, e, 2, 1, WHIST_DP_RATE, 1, 1e-5, 0), WHIST_E_ARG);
    whist_dp_event d = sample_event(WHIST_DP_DISCRETE_LAPLACE, WHIST_DP_ALL, WHIST_DP_ADD_REMOVE);
    assert_ok(whist_dp_calibrate(&value, NULL, &o, &d, 1, 0, WHIST_DP_NOISE, 1, 1e-5, 0));
    assert_true(value > 0.9 && value < 1.2); /* pure: a is about epsilon */
}

static void test_odometer(void **state)
{
    (void)state;
    whist_dp_event e = sample_event(WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, WHIST_DP_ADD_REMOVE);
    for (int z = 0; z < 2; z++) {
        whist_dp_options o = {.method = z ? WHIST_DP_ZCDP : WHIST_DP_RDP, .adaptive = true};
        whist_dp_odometer *odometer = NULL, *filter = NULL;
        if (z) e.sampling = WHIST_DP_ALL, e.noise = 20;
        assert_ok(whist_dp_odometer_new(&odometer, &o, 1e-5, 0));
        assert_ok(whist_dp_odometer_new(&filter, &o, 1e-5, 3));
        assert_true(whist_dp_odometer_spent(odometer).upper == 0);
        double last = 0;
        size_t admitted = 0;
        whist_status status = WHIST_OK;
        for (int i = 0; i < 3000; i++) {
            assert_ok(whist_dp_odometer_charge(odometer, &e));
            whist_dp_answer spent = whist_dp_odometer_spent(odometer);
            assert_true(spent.upper > last && spent.certified);
            last = spent.upper;
            if (status == WHIST_OK) status = whist_dp_odometer_charge(filter, &e);
            admitted += status == WHIST_OK;
        }
        assert_int_equal(status, WHIST_E_BUDGET);
        assert_true(admitted > 5);
        assert_true(whist_dp_odometer_spent(filter).upper <= 3);
        /* A refused event changes nothing; a smaller one may still fit. What was admitted is within the limit by a
         * fixed schedule's accounting, too. */
        whist_dp_event small = e;
        small.noise = 1e4;
        assert_ok(whist_dp_odometer_charge(filter, &small));
        WH_AUTO(whist_dp_accountant_ptr) a = accountant(o.method, WHIST_DP_ADD_REMOVE);
        whist_dp_answer fixed;
        e.count = admitted;
        assert_ok(whist_dp_compose(a, &e));
        assert_ok(whist_dp_epsilon(&fixed, a, 1e-5));
        assert_true(fixed.upper <= 3);
        e.count = 1;
        whist_dp_odometer_free(odometer);
        whist_dp_odometer_free(filter);
    }
    whist_dp_odometer *none = NULL;
    whist_dp_options o = {.method = WHIST_DP_PLD};
    assert_int_equal(whist_dp_odometer_new(&none, &o, 1e-5, 0), WHIST_E_UNSUPPORTED);
}

/* ---- Events as text ------------------------------------------------------------------------------ */

static void test_json(void **state)
{
    (void)state;
    for (whist_dp_mechanism m = 0; m < WHIST_DP_MECHANISMS; m++)
        for (whist_dp_sampling s = 0; s < WHIST_DP_SAMPLINGS; s++) {
            whist_dp_event e = sample_event(m, s, WHIST_DP_REPLACE);
            if (whist_dp_event_check(&e) != WHIST_OK) continue;
            WH_AUTO(whist_dp_accountant_ptr) one = accountant(WHIST_DP_RDP, WHIST_DP_REPLACE);
            WH_AUTO(whist_dp_accountant_ptr) two = accountant(WHIST_DP_RDP, WHIST_DP_REPLACE);
            whist_json *json = NULL;
            const char *text;
            whist_dp_events events;
            e.count = 7;
            assert_ok(whist_json_new(&json));
            whist_json_begin_array(json);
            whist_dp_event_json(json, &e);
            whist_json_end_array(json);
            assert_ok(whist_json_finish(json, &text));
            assert_ok(whist_dp_events_read(&events, (whist_bytes){(const uint8_t *)text, strlen(text)}));
            assert_int_equal(events.n, 1);
            whist_status status = whist_dp_compose(one, &e);
            assert_int_equal(whist_dp_compose(two, &events.event[0]), status);
            if (status == WHIST_OK) {
                whist_dp_answer x, y;
                assert_ok(whist_dp_epsilon(&x, one, 1e-3));
                assert_ok(whist_dp_epsilon(&y, two, 1e-3));
                assert_true(x.upper == y.upper);
            }
            whist_dp_events_clear(&events);
            whist_json_free(json);
        }
}

static void test_bad_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "[1]",
        "[{\"mechanism\":\"gaussian\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":1,\"relation\":\"add_remove\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":1,\"relation\":\"neither\",\"unit\":\"record\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":1,\"epsilon\":1,\"relation\":\"replace\",\"unit\":\"record\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":\"1\",\"relation\":\"replace\",\"unit\":\"record\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":0,\"relation\":\"replace\",\"unit\":\"record\"}]",
        "[{\"mechanism\":\"gaussian\",\"noise\":1,\"count\":0,\"relation\":\"replace\",\"unit\":\"record\"}]",
        "[{\"mechanism\":\"gaussian_mixture\",\"noise\":1,\"shift\":[1],\"weight\":[1,0],\"relation\":\"replace\","
        "\"unit\":"
        "\"record\"}]",
    };
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        whist_dp_events events = {.n = 9};
        whist_status status = whist_dp_events_read(&events, (whist_bytes){(const uint8_t *)bad[i], strlen(bad[i])});
        if (status != WHIST_E_FORMAT && status != WHIST_E_ARG) fail_msg("accepted: %s", bad[i]);
        assert_int_equal(events.n, 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compose_is_loop),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_design),
        cmocka_unit_test(test_rate_of_one),
        cmocka_unit_test(test_tiny_epsilons),
        cmocka_unit_test(test_no_delta_is_zero),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_calibrate),
        cmocka_unit_test(test_odometer),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_bad_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
