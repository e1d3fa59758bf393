/* Tests of private batches (each row's rate, independence of rows, sizes), and of their source: fork, failure, wiping.
 * Replayed sources; limits of 5.5 standard errors, fewer than 20 of them, so below 1e-6 a fresh seed. */
#include "draw/private.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypt/random.h"
#include "draw/sample.h"
#include "test.h"

enum { ROWS = 40, TRIALS = 60000 };

typedef struct tally {
    double one[ROWS], both[ROWS]; /* row i; rows i and i + 1 */
    double size, square;
    size_t most, least;
} tally;

static void start(wh_private_draw *draw, const wh_draw_design *design, uint64_t seed)
{
    wh_noise *noise;
    assert_ok(wh_noise_new_replayed(&noise, seed));
    assert_ok(wh_private_draw_init_from(draw, design, noise));
}

static tally run(const wh_draw_design *design, uint64_t seed)
{
    WH_AUTO(wh_private_draw) draw = WH_PRIVATE_DRAW_EMPTY;
    tally t = {.least = SIZE_MAX};
    start(&draw, design, seed);
    for (int trial = 0; trial < TRIALS; trial++) {
        const uint32_t *index;
        bool there[ROWS + 1] = {false};
        size_t n;
        assert_ok(wh_private_draw_next(&draw, &index, &n));
        for (size_t i = 0; i < n; i++) {
            assert_true(index[i] < ROWS && !there[index[i]] && (i == 0 || index[i] > index[i - 1]));
            there[index[i]] = true;
        }
        for (size_t i = 0; i < ROWS; i++) {
            t.one[i] += there[i];
            t.both[i] += there[i] && there[(i + 1) % ROWS];
        }
        t.size += (double)n;
        t.square += (double)n * (double)n;
        if (n > t.most) t.most = n;
        if (n < t.least) t.least = n;
    }
    return t;
}

static void near(double seen, double p)
{
    if (!(fabs(seen - TRIALS * p) <= 5.5 * sqrt(TRIALS * p * (1 - p)) + 1e-9))
        fail_msg("%g of %d, not %g", seen, TRIALS, TRIALS * p);
}

static void test_poisson(void **state)
{
    (void)state;
    static const double rates[] = {0.01, 0.25, 0.9, 1};
    for (size_t k = 0; k < WH_COUNT(rates); k++) {
        double q = rates[k];
        tally t = run(&(wh_draw_design){.kind = WH_DRAW_POISSON, .n = ROWS, .rate = q}, k + 1);
        for (size_t i = 0; i < ROWS; i += 13) {
            near(t.one[i], q);
            near(t.both[i], q * q);
        }
        /* The size is binomial: its variance says that rows are independent as a whole. */
        double mean = t.size / TRIALS, variance = t.square / TRIALS - mean * mean;
        assert_true(fabs(variance - ROWS * q * (1 - q)) <=
                    6 * ROWS * q * (1 - q) * sqrt(2.2 / TRIALS) + 0.02 * (q < 0.02));
    }
}

static void test_truncated(void **state)
{
    (void)state;
    tally t = run(&(wh_draw_design){.kind = WH_DRAW_TRUNCATED_POISSON, .n = ROWS, .rate = 0.25, .batch = 10}, 11);
    assert_int_equal(t.most, 10);
    assert_true(t.least < 5);
    /* E min(X, 10) / 40 of a binomial X */
    double expected = 0;
    for (int k = 0; k <= ROWS; k++)
        expected += fmin(k, 10) * exp(lgamma(ROWS + 1) - lgamma(k + 1) - lgamma(ROWS - k + 1) + k * log(0.25) +
                                      (ROWS - k) * log(0.75));
    for (size_t i = 0; i < ROWS; i += 13) near(t.one[i], expected / ROWS);
}

static void test_without_replacement(void **state)
{
    (void)state;
    tally t = run(&(wh_draw_design){.kind = WH_DRAW_WITHOUT_REPLACEMENT, .n = ROWS, .batch = 7}, 12);
    assert_true(t.most == 7 && t.least == 7);
    for (size_t i = 0; i < ROWS; i += 13) {
        near(t.one[i], 7.0 / ROWS);
        near(t.both[i], 7.0 * 6 / (ROWS * (ROWS - 1)));
    }
}

static void test_balls_in_bins(void **state)
{
    (void)state;
    const wh_draw_design design = {.kind = WH_DRAW_BALLS_IN_BINS, .n = ROWS, .bins = 8};
    tally t = run(&design, 13);
    for (size_t i = 0; i < ROWS; i += 13) {
        near(t.one[i], 1.0 / 8);
        near(t.both[i], 1.0 / 64);
    }
    /* A pass holds each row once. */
    WH_AUTO(wh_private_draw) draw = WH_PRIVATE_DRAW_EMPTY;
    start(&draw, &design, 14);
    for (int pass = 0; pass < 50; pass++) {
        int seen[ROWS] = {0};
        for (size_t b = 0; b < design.bins; b++) {
            const uint32_t *index;
            size_t n;
            assert_ok(wh_private_draw_next(&draw, &index, &n));
            for (size_t i = 0; i < n; i++) seen[index[i]]++;
        }
        for (size_t i = 0; i < ROWS; i++) assert_int_equal(seen[i], 1);
    }
    assert_int_equal(draw.drawn, 50);
}

static void refuse(wh_draw_design design)
{
    WH_AUTO(wh_private_draw) draw = WH_PRIVATE_DRAW_EMPTY;
    assert_int_equal(wh_private_draw_init(&draw, &design), WHIST_E_ARG);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse((wh_draw_design){.kind = WH_DRAW_SHUFFLED_PASS, .n = 4, .batch = 2});
    refuse((wh_draw_design){.kind = WH_DRAW_POISSON, .n = 4, .rate = NAN});
    refuse((wh_draw_design){.kind = WH_DRAW_POISSON, .n = 4, .rate = 1.5});
    refuse((wh_draw_design){.kind = WH_DRAW_POISSON, .n = 0, .rate = 0.5});
    refuse((wh_draw_design){.kind = WH_DRAW_WITHOUT_REPLACEMENT, .n = 4, .batch = 5});
    refuse((wh_draw_design){.kind = WH_DRAW_BALLS_IN_BINS, .n = 4, .bins = 0});
    /* A seeded draw takes no private design. */
    WH_AUTO(wh_draw) seeded = WH_DRAW_EMPTY;
    assert_int_equal(
        wh_draw_init(&seeded, &(wh_draw_design){.kind = WH_DRAW_POISSON, .n = 4, .rate = 0.5, .batch = 2}, 1, "", 0),
        WHIST_E_ARG);
}

/* ---- The source ------------------------------------------------------------------------------------ */

/* Runs of failures by the fast way and by the exact one have one law: P(gap >= j) = (1 - q)^j. */
static void test_geometric(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, 21));
    const double q = 0.003;
    double above = 0;
    for (int i = 0; i < TRIALS; i++) {
        int64_t gap;
        assert_ok(wh_sample_geometric(noise, &gap, 1, q));
        above += gap >= 250;
    }
    near(above, pow(1 - q, 250));
}

/* What parent and child draw after a fork has nothing in common. */
static void test_fork(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    uint64_t first, mine[4], theirs[4];
    int pipe_ends[2];
    assert_ok(wh_noise_new(&noise));
    assert_ok(wh_noise_u64(noise, &first)); /* the buffer is full now */
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool good = wh_noise_bytes(noise, theirs, sizeof theirs) == WHIST_OK &&
                    write(pipe_ends[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_ok(wh_noise_bytes(noise, mine, sizeof mine));
    assert_int_equal(read(pipe_ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) assert_true(mine[i] != theirs[j]);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* No randomness, no noise: the failure is told, and nothing is left in the output. */
static void test_entropy_failure(void **state)
{
    (void)state;
    enum { MANY = 400000 }; /* more than one key may make */
    WH_AUTO(wh_owned) memory = NULL;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_alloc(&memory, MANY, sizeof(int64_t)));
    int64_t *out = memory;
    wh_random_fail_after(1);
    assert_int_equal(wh_noise_new(&noise), WHIST_E_ENTROPY);
    assert_null(noise);
    assert_ok(wh_noise_new(&noise));
    wh_random_fail_after(1); /* the second key */
    assert_int_equal(wh_sample_normal(noise, out, MANY, 1000), WHIST_E_ENTROPY);
    for (size_t i = 0; i < MANY; i++) assert_int_equal(out[i], 0);
    assert_ok(wh_sample_normal(noise, out, 10, 1000));
    assert_int_equal(wh_sample_normal(noise, out, 10, NAN), WHIST_E_RANGE);
    assert_int_equal(wh_sample_normal(noise, out, 10, 0), WHIST_E_RANGE);
}

static void test_replay(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) a = NULL;
    WH_AUTO(wh_noise_ptr) b = NULL;
    int64_t x[100], y[100];
    assert_ok(wh_noise_new_replayed(&a, 5));
    assert_ok(wh_noise_new_replayed(&b, 5));
    assert_ok(wh_sample_normal(a, x, 100, 1e6));
    assert_ok(wh_sample_normal(b, y, 100, 1e6));
    assert_memory_equal(x, y, sizeof x);
    assert_ok(wh_sample_normal(b, y, 100, 1e6));
    assert_memory_not_equal(x, y, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poisson),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_without_replacement),
        cmocka_unit_test(test_balls_in_bins),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_geometric),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_entropy_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
