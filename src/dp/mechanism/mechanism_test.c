/* Tests of the mechanisms: they charge first, they have the law they claim, and an auditor that knows only inputs and
 * outputs finds no more than the epsilon that was charged, but finds planted bugs: half the noise, no clip, and the
 * wrong relation.
 *
 * Sources are replayed: a pass is a pass for ever. With fresh seeds the audit's bounds hold with probability 1 - 2e-7
 * each (16 of them) and rates are compared at 5.5 standard errors (60 of them): together below 1e-5 a run. */
#include "dp/mechanism/pay.h"

#include <math.h>
#include <string.h>

#include "crypt/random.h"
#include "test.h"

/* ---- Payers --------------------------------------------------------------------------------------- */

typedef struct purse {
    whist_dp_event last;
    int charges;
    bool refuses;
} purse;

static whist_status charge(void *user, const whist_dp_event *event)
{
    purse *p = user;
    if (p->refuses) return WHIST_E_BUDGET;
    p->last = *event;
    p->charges++;
    return WHIST_OK;
}

static whist_dp_payer payer_of(purse *p)
{
    return (whist_dp_payer){charge, p, WHIST_DP_ADD_REMOVE, WHIST_DP_RECORD};
}

static void test_charge_comes_first(void **state)
{
    (void)state;
    purse poor = {.refuses = true}, rich = {.charges = 0};
    const whist_dp_payer no = payer_of(&poor), yes = payer_of(&rich);
    int64_t in[3] = {5, -6, 7}, out[3] = {1, 2, 3};
    size_t chosen = 99;
    uint32_t value[2] = {0, 1};
    uint8_t bits[4] = {9, 9, 9, 9};
    double real = -1;
    whist_dp_sparse *sparse = NULL;
    wh_random_fail_after(1); /* nothing may be drawn: the failure must still be waiting at the end */
    assert_int_equal(whist_dp_gaussian(out, in, 3, 1, 100, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_laplace(out, in, 3, 1, 100, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_discrete_gaussian(out, in, 3, 4, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_discrete_laplace(out, in, 3, 0.5, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_skellam(out, in, 3, 20, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_steady_gaussian(out, NULL, in, 3, 4, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_exponential(&chosen, in, 3, 1, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_permute_and_flip(&chosen, in, 3, 1, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_noisy_max(&chosen, in, 3, 1, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_sparse_new(&sparse, 0, 1, 1, 1, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_response(value, value, 2, 2, 0.5, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_unary_encode(bits, value, 2, 2, 1, WHIST_DP_UNARY_OPTIMISED, &no), WHIST_E_BUDGET);
    assert_int_equal(whist_dp_snapping(&real, 0, 1, 10, &no), WHIST_E_BUDGET);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3 && chosen == 99 && value[1] == 1 && bits[0] == 9);
    assert_true(real == -1 && sparse == NULL);
    assert_int_equal(whist_dp_gaussian(out, in, 3, 1, 100, &yes), WHIST_E_ENTROPY);
    assert_int_equal(rich.charges, 1); /* charged, and stays charged */
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3);
}

static void expect(const purse *p, whist_dp_mechanism mechanism)
{
    assert_int_equal(p->last.mechanism, mechanism);
    assert_int_equal(p->last.relation, WHIST_DP_ADD_REMOVE);
    assert_int_equal(p->last.unit, WHIST_DP_RECORD);
    assert_ok(whist_dp_event_check(&p->last));
}

static void test_events(void **state)
{
    (void)state;
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    int64_t in[3] = {5, -6, 7}, out[3];
    double delta;
    size_t chosen;
    assert_ok(whist_dp_gaussian(out, in, 3, 1.5, 100, &yes));
    expect(&p, WHIST_DP_GAUSSIAN);
    assert_true(p.last.noise == 1.5);
    assert_ok(whist_dp_laplace(out, in, 3, 2.5, 100, &yes));
    expect(&p, WHIST_DP_LAPLACE);
    assert_ok(whist_dp_discrete_gaussian(out, in, 3, 7, 2, &yes));
    expect(&p, WHIST_DP_DISCRETE_GAUSSIAN);
    assert_true(p.last.sensitivity == 2 && p.last.dimension == 3);
    assert_ok(whist_dp_skellam(out, in, 3, 70, 2, &yes));
    expect(&p, WHIST_DP_SKELLAM);
    assert_ok(whist_dp_steady_laplace(out, &delta, in, 3, 0.5, 2, &yes));
    expect(&p, WHIST_DP_DISCRETE_LAPLACE);
    p.charges = 0;
    assert_ok(whist_dp_steady_gaussian(out, &delta, in, 3, 7, 2, &yes));
    expect(&p, WHIST_DP_DISCRETE_GAUSSIAN);
    assert_true(p.charges == 2 && delta > 0 && delta < 1e-15);
    assert_ok(whist_dp_noisy_max(&chosen, in, 3, 1, 0.5, &yes));
    expect(&p, WHIST_DP_NOISY_MAX);
    assert_true(p.last.epsilon == 0.5);
}

static void test_refusals(void **state)
{
    (void)state;
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    int64_t in[2] = {0, INT64_MAX}, out[2];
    uint32_t value[1] = {7}, told[1];
    size_t chosen;
    double x;
    assert_int_equal(whist_dp_gaussian(out, in, 1, NAN, 100, &yes), WHIST_E_RANGE);
    assert_int_equal(whist_dp_gaussian(out, in, 1, 1, INFINITY, &yes), WHIST_E_RANGE);
    assert_int_equal(whist_dp_gaussian(out, in, 1, -1, 100, &yes), WHIST_E_RANGE);
    assert_int_equal(whist_dp_gaussian(out, in, 2, 1, 100, &yes), WHIST_E_RANGE);
    assert_int_equal(whist_dp_exponential(&chosen, in, 1, 1, 0, &yes), WHIST_E_ARG);
    assert_int_equal(whist_dp_exponential(&chosen, in, 1, 1, NAN, &yes), WHIST_E_ARG);
    assert_int_equal(whist_dp_response(told, value, 1, 3, 0.5, &yes), WHIST_E_RANGE);
    assert_int_equal(whist_dp_gaussian_classic(&x, 1.5, 1e-5), WHIST_E_RANGE);
    assert_int_equal(whist_dp_gaussian_classic(&x, 0.5, 0), WHIST_E_ARG);
    assert_int_equal(whist_dp_snapping(&x, 0, 1, 0.5, &yes), WHIST_E_RANGE);
    assert_int_equal(p.charges, 0);
    /* The classic sigma is larger than the analytic one. */
    double classic, analytic;
    assert_ok(whist_dp_gaussian_classic(&classic, 0.5, 1e-5));
    assert_ok(whist_dp_gaussian_sigma(&analytic, 0.5, 1e-5));
    assert_true(classic > analytic && classic < 1.5 * analytic);
}

/* ---- Laws ------------------------------------------------------------------------------------------ */

static void near(double seen, double p, double n)
{
    if (!(fabs(seen - n * p) <= 5.5 * sqrt(n * p * (1 - p)) + 1e-9)) fail_msg("%g of %g, not %g", seen, n, n * p);
}

enum { CHOICES = 4, RUNS = 40000 };
static const int64_t scores[CHOICES] = {10, 7, 12, 9};
static const double select_epsilon = 1.2;
enum { SCORE_SENSITIVITY = 2 };

typedef whist_status selector(size_t *out, const int64_t *score, size_t n, uint64_t sensitivity, double epsilon,
                              const whist_dp_payer *payer);

static void count_choices(double *seen, selector *select, const int64_t *score, uint64_t seed)
{
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    memset(seen, 0, CHOICES * sizeof *seen);
    wh_dp_replay(seed);
    for (int run = 0; run < RUNS; run++) {
        size_t i;
        assert_ok(select(&i, score, CHOICES, SCORE_SENSITIVITY, select_epsilon, &yes));
        seen[i]++;
    }
    wh_dp_replay(0);
}

static void test_exponential(void **state)
{
    (void)state;
    double seen[CHOICES], weight[CHOICES], total = 0;
    count_choices(seen, whist_dp_exponential, scores, 1000);
    for (int i = 0; i < CHOICES; i++)
        total += weight[i] = exp(select_epsilon * (double)scores[i] / (2 * SCORE_SENSITIVITY));
    for (int i = 0; i < CHOICES; i++) near(seen[i], weight[i] / total, RUNS);
}

/* All orders of four candidates, each with its chain of coins. */
static void test_permute_and_flip(void **state)
{
    (void)state;
    double seen[CHOICES], p[CHOICES] = {0};
    for (int a = 0; a < 256; a++) {
        int order[CHOICES] = {a & 3, a >> 2 & 3, a >> 4 & 3, a >> 6 & 3}, there = 0;
        for (int i = 0; i < CHOICES; i++) there |= 1 << order[i];
        if (there != 15) continue;
        double left = 1.0 / 24;
        for (int i = 0; i < CHOICES; i++) {
            double keep = exp(-select_epsilon * (double)(12 - scores[order[i]]) / (2 * SCORE_SENSITIVITY));
            p[order[i]] += left * keep;
            left *= 1 - keep;
        }
    }
    count_choices(seen, whist_dp_permute_and_flip, scores, 200000);
    for (int i = 0; i < CHOICES; i++) near(seen[i], p[i], RUNS);
}

/* Best of scores plus discrete Laplace noise, summed over the noise of one candidate. */
static void test_noisy_max(void **state)
{
    (void)state;
    const double a = select_epsilon / (2 * SCORE_SENSITIVITY), norm = tanh(a / 2);
    double seen[CHOICES];
    count_choices(seen, whist_dp_noisy_max, scores, 400000);
    for (int i = 0; i < CHOICES; i++) {
        double p = 0;
        for (int k = -200; k <= 200; k++) {
            double wins = norm * exp(-a * abs(k));
            for (int j = 0; j < CHOICES; j++) {
                double below = 0; /* P(score j + noise loses to score i + k) */
                int most = (int)(scores[i] - scores[j]) + k - (j < i ? 1 : 0);
                for (int m = -250; m <= most && m <= 250; m++) below += norm * exp(-a * abs(m));
                if (j != i) wins *= below;
            }
            p += wins;
        }
        near(seen[i], p, RUNS);
    }
}

static void test_response(void **state)
{
    (void)state;
    enum { N = 100000, K = 5 };
    static uint32_t in[N], out[N];
    purse purse_ = {.charges = 0};
    const whist_dp_payer yes = payer_of(&purse_);
    uint64_t seen[K] = {0};
    double p, counts[K];
    assert_ok(whist_dp_response_p(&p, 1.5, K));
    assert_true(fabs((1 - p + p / K) / (p / K) - exp(1.5)) < 1e-9);
    for (size_t i = 0; i < N; i++) in[i] = i % 10 < 6 ? 2 : 4;
    wh_dp_replay(7);
    assert_ok(whist_dp_response(out, in, N, K, p, &yes));
    wh_dp_replay(0);
    for (size_t i = 0; i < N; i++) seen[out[i]]++;
    near((double)seen[0], p / K, N);
    near((double)seen[2], 0.6 * (1 - p) + p / K, N);
    whist_dp_response_counts(counts, seen, N, K, p);
    assert_true(fabs(counts[2] - 0.6 * N) < 3000 && fabs(counts[0]) < 3000);
}

static void check_unary(whist_dp_unary kind, double keep, double lie)
{
    enum { N = 40000, K = 4 };
    static uint32_t in[N];
    static uint8_t bits[N * K];
    purse purse_ = {.charges = 0};
    const whist_dp_payer yes = payer_of(&purse_);
    uint64_t ones[K] = {0};
    double counts[K];
    for (size_t i = 0; i < N; i++) in[i] = 1;
    wh_dp_replay(8);
    assert_ok(whist_dp_unary_encode(bits, in, N, K, 2, kind, &yes));
    wh_dp_replay(0);
    for (size_t i = 0; i < N * K; i++) ones[i % K] += bits[i];
    near((double)ones[1], keep, N);
    near((double)ones[3], lie, N);
    assert_true(fabs(log(keep * (1 - lie) / ((1 - keep) * lie)) - 2) < 1e-9); /* what was charged */
    assert_ok(whist_dp_unary_counts(counts, ones, N, K, 2, kind));
    assert_true(fabs(counts[1] - N) < 3000 && fabs(counts[0]) < 3000);
}

static void test_unary(void **state)
{
    (void)state;
    check_unary(WHIST_DP_UNARY_SYMMETRIC, exp(1) / (1 + exp(1)), 1 / (1 + exp(1)));
    check_unary(WHIST_DP_UNARY_OPTIMISED, 0.5, 1 / (1 + exp(2)));
}

static void test_sparse(void **state)
{
    (void)state;
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    whist_dp_sparse *sparse;
    bool above;
    wh_dp_replay(9);
    assert_ok(whist_dp_sparse_new(&sparse, 1000, 2, 1, 1, &yes));
    for (int i = 0; i < 50; i++) {
        assert_ok(whist_dp_sparse_ask(sparse, &above, 500));
        assert_false(above);
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(whist_dp_sparse_ask(sparse, &above, 1500));
        assert_true(above);
    }
    assert_int_equal(whist_dp_sparse_ask(sparse, &above, 500), WHIST_E_BUDGET);
    assert_int_equal(p.charges, 1);
    whist_dp_sparse_free(sparse);
    wh_dp_replay(0);
}

static void test_sum(void **state)
{
    (void)state;
    whist_dp_sum sum;
    assert_ok(whist_dp_sum_init(&sum, -1, 10, -4));
    const double x[] = {3.0625, -50, 1e300, NAN, 0.03};
    for (size_t i = 0; i < WH_COUNT(x); i++) assert_ok(whist_dp_sum_add(&sum, x[i]));
    assert_int_equal(sum.total, 49 - 16 + 160 + 0 + 0);
    assert_int_equal(whist_dp_sum_reach(&sum), 160);
    assert_true(whist_dp_from_grid(sum.total, -4) == 193.0 / 16);
    assert_int_equal(whist_dp_sum_init(&sum, 0, INFINITY, 0), WHIST_E_ARG);
    assert_int_equal(whist_dp_sum_init(&sum, 1, 1, 0), WHIST_E_ARG);
    assert_int_equal(whist_dp_sum_init(&sum, 0, 1, -40), WHIST_E_RANGE);
}

static void test_snapping(void **state)
{
    (void)state;
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    double mean = 0;
    wh_dp_replay(10);
    for (int i = 0; i < 20000; i++) {
        double y;
        assert_ok(whist_dp_snapping(&y, 3, 1.5, 40, &yes));
        assert_true(fmod(y, 2) == 0 && fabs(y) <= 40);
        mean += fabs(y - 3) / 20000;
    }
    wh_dp_replay(0);
    assert_true(fabs(mean - 1.6) < 0.2);
    assert_true(p.last.epsilon > 1 / 1.5 && p.last.epsilon < 1 / 1.5 + 1e-12);
}

/* ---- The auditor ------------------------------------------------------------------------------------ */

/* The p below (sign -1) or above `rate` where n KL(rate || p) = budget: Chernoff's bound, exact for any n. */
static double chernoff(double rate, double n, int sign)
{
    const double budget = log(1e7); /* each end fails with probability 1e-7 */
    double inside = rate, outside = sign < 0 ? 0 : 1;
    for (int i = 0; i < 100; i++) {
        double p = (inside + outside) / 2, kl = 0;
        if (rate > 0) kl += rate * log(rate / p);
        if (rate < 1) kl += (1 - rate) * log((1 - rate) / (1 - p));
        *(n * kl <= budget ? &inside : &outside) = p;
    }
    return outside;
}

/* A lower bound of epsilon at delta from outputs of two neighbours: the sets {y >= t} and {y <= t}. The first half of
 * the runs chooses the set, the second half pays for it. */
static double audit(const int64_t *a, const int64_t *b, size_t n, double delta)
{
    double best = 0, bound = 0;
    const double half = (double)(n / 2);
    for (int t = -60; t <= 60; t++)
        for (int side = 0; side < 4; side++) {
            double in[2][2] = {{0}};
            const int64_t *p = side & 1 ? b : a, *q = side & 1 ? a : b;
            for (size_t i = 0; i < n; i++) {
                in[0][i < n / 2] += side & 2 ? p[i] <= t : p[i] >= t;
                in[1][i < n / 2] += side & 2 ? q[i] <= t : q[i] >= t;
            }
            double guess = log((chernoff(in[0][1] / half, half, -1) - delta) / chernoff(in[1][1] / half, half, 1));
            if (!(guess > best)) continue;
            best = guess;
            bound = log((chernoff(in[0][0] / half, half, -1) - delta) / chernoff(in[1][0] / half, half, 1));
        }
    return bound;
}

enum { AUDITED = 60000 };
typedef struct world {
    int64_t in[2][AUDITED], out[2][AUDITED];
} world;

static world *new_world(int64_t without, int64_t with)
{
    static world w;
    for (size_t i = 0; i < AUDITED; i++) w.in[0][i] = without, w.in[1][i] = with;
    return &w;
}

typedef whist_status real_noise(int64_t *out, const int64_t *in, size_t n, double noise, double sensitivity,
                                const whist_dp_payer *payer);

static double audit_real(real_noise *mechanism, double noise, double sensitivity, int64_t moved, double delta)
{
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    world *w = new_world(0, moved);
    wh_dp_replay(5000);
    for (int k = 0; k < 2; k++) assert_ok(mechanism(w->out[k], w->in[k], AUDITED, noise, sensitivity, &yes));
    wh_dp_replay(0);
    return audit(w->out[0], w->out[1], AUDITED, delta);
}

typedef whist_status whole_noise(int64_t *out, const int64_t *in, size_t n, double noise, uint32_t sensitivity,
                                 const whist_dp_payer *payer);

static double audit_whole(whole_noise *mechanism, double noise, int64_t moved, double delta)
{
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    world *w = new_world(0, moved);
    wh_dp_replay(6000);
    for (int k = 0; k < 2; k++) assert_ok(mechanism(w->out[k], w->in[k], AUDITED, noise, 1, &yes));
    wh_dp_replay(0);
    return audit(w->out[0], w->out[1], AUDITED, delta);
}

static void between(double found, double least, double most)
{
    if (!(found >= least && found <= most)) fail_msg("the audit finds epsilon %g, not %g to %g", found, least, most);
}

/* Of what was charged, epsilon 1, the audit finds much, and never more. */
static whist_status steady_laplace(int64_t *out, const int64_t *in, size_t n, double a, uint32_t sensitivity,
                                   const whist_dp_payer *payer)
{
    return whist_dp_steady_laplace(out, NULL, in, n, a, sensitivity, payer);
}

static void test_audit_noise(void **state)
{
    (void)state;
    double sigma;
    assert_ok(whist_dp_gaussian_sigma(&sigma, 1, 1e-2));
    between(audit_real(whist_dp_laplace, 1, 10, 10, 0), 0.8, 1);
    between(audit_real(whist_dp_gaussian, sigma, 10, 10, 1e-2), 0.3, 1);
    between(audit_whole(whist_dp_discrete_laplace, 1, 1, 0), 0.8, 1);
    between(audit_whole(steady_laplace, 1, 1, 0), 0.8, 1);
    double own; /* of the discrete Gaussian: within 2 % of the continuous one at this sigma */
    assert_ok(whist_dp_gaussian_epsilon(&own, 3, 1e-3));
    between(audit_whole(whist_dp_discrete_gaussian, 3, 1, 1e-3), 0.2, own * 1.02);
    between(audit_whole(whist_dp_skellam, 9, 1, 1e-3), 0.2, own * 1.5);
}

static double audit_select(selector *select, uint64_t seed)
{
    /* Between neighbours the scores of even candidates rise and those of odd ones fall by the sensitivity. */
    static int64_t other[CHOICES];
    double seen[2][CHOICES], found = 0;
    for (int i = 0; i < CHOICES; i++) other[i] = scores[i] + (i % 2 ? -SCORE_SENSITIVITY : SCORE_SENSITIVITY);
    count_choices(seen[0], select, scores, seed);
    count_choices(seen[1], select, other, seed + 100000);
    for (int i = 0; i < CHOICES; i++)
        for (int k = 0; k < 2; k++)
            found = fmax(found, log(chernoff(seen[k][i] / RUNS, RUNS, -1) / chernoff(seen[!k][i] / RUNS, RUNS, 1)));
    return found;
}

static void test_audit_selection(void **state)
{
    (void)state;
    between(audit_select(whist_dp_exponential, 800000), 0.5, select_epsilon);
    between(audit_select(whist_dp_permute_and_flip, 1100000), 0.5, select_epsilon);
    between(audit_select(whist_dp_noisy_max, 1400000), 0.4, select_epsilon);
}

static void test_audit_response(void **state)
{
    (void)state;
    static uint32_t in[2][AUDITED], told[2][AUDITED];
    purse p = {.charges = 0};
    const whist_dp_payer yes = payer_of(&p);
    world *w = new_world(0, 0);
    double lies;
    assert_ok(whist_dp_response_p(&lies, 1, 3));
    for (size_t i = 0; i < AUDITED; i++) in[1][i] = 2;
    wh_dp_replay(7000);
    for (int k = 0; k < 2; k++) {
        assert_ok(whist_dp_response(told[k], in[k], AUDITED, 3, lies, &yes));
        for (size_t i = 0; i < AUDITED; i++) w->out[k][i] = told[k][i];
    }
    wh_dp_replay(0);
    between(audit(w->out[0], w->out[1], AUDITED, 0), 0.8, 1);
}

/* What is charged is epsilon 1 each time; what runs is something else. */
static void test_audit_finds_bugs(void **state)
{
    (void)state;
    assert_true(audit_real(whist_dp_laplace, 0.5, 10, 10, 0) > 1.05); /* half the noise */
    assert_true(audit_real(whist_dp_laplace, 1, 10, 30, 0) > 1.05);   /* a record that nobody clipped */
    assert_true(audit_real(whist_dp_laplace, 1, 10, 20, 0) > 1.05);   /* replaced, charged as added or removed */
    assert_true(audit_whole(whist_dp_discrete_laplace, 2, 1, 0) > 1.05);
    double sigma;
    assert_ok(whist_dp_gaussian_sigma(&sigma, 1, 1e-2));
    assert_true(audit_real(whist_dp_gaussian, sigma / 2, 10, 10, 1e-2) > 1.05);
}

/* How often a search runs: 160,000 draws against both laws, cell by cell at 5.5 standard errors; the same comparison
 * tells a mean that is wrong by a tenth. */
enum { REPETITIONS = 160000 };

static double worst_cell(const uint64_t *count, size_t n, double mean, double shape)
{
    double low = 1e-9, high = 1, worst = 0;
    while (shape == 0 && high - low > 1e-15) { /* gamma of the mean, by its own formula */
        double gamma = (low + high) / 2;
        if ((1 / gamma - 1) / log(1 / gamma) > mean)
            low = gamma;
        else
            high = gamma;
    }
    const double gamma = shape == 0 ? low : 1 / mean, total = REPETITIONS;
    for (size_t k = 1; k < n; k++) {
        double p = shape == 0 ? pow(1 - gamma, (double)k) / ((double)k * log(1 / gamma))
                              : gamma * pow(1 - gamma, (double)k - 1);
        worst = fmax(worst, fabs((double)count[k] - total * p) / sqrt(total * p * (1 - p)));
    }
    return worst;
}

static void test_repetitions(void **state)
{
    (void)state;
    static const double shapes[] = {0, 1};
    for (size_t s = 0; s < WH_COUNT(shapes); s++) {
        uint64_t count[9] = {0}, k;
        for (int i = 0; i < REPETITIONS; i++) {
            assert_ok(whist_dp_repeat_draw(&k, 6, shapes[s]));
            assert_true(k >= 1);
            if (k < WH_COUNT(count)) count[k]++;
        }
        assert_true(worst_cell(count, WH_COUNT(count), 6, shapes[s]) < 5.5);
        assert_true(worst_cell(count, WH_COUNT(count), 6.6, shapes[s]) > 5.5);
    }
    uint64_t k = 7;
    assert_int_equal(whist_dp_repeat_draw(&k, 1, 1), WHIST_E_ARG);
    assert_int_equal(whist_dp_repeat_draw(&k, NAN, 1), WHIST_E_ARG);
    assert_int_equal(whist_dp_repeat_draw(&k, 6, 0.5), WHIST_E_UNSUPPORTED);
    assert_int_equal(k, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charge_comes_first),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_exponential),
        cmocka_unit_test(test_permute_and_flip),
        cmocka_unit_test(test_noisy_max),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_snapping),
        cmocka_unit_test(test_repetitions),
        cmocka_unit_test(test_audit_noise),
        cmocka_unit_test(test_audit_selection),
        cmocka_unit_test(test_audit_response),
        cmocka_unit_test(test_audit_finds_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
