/* Tests of draw: the published vectors, ranges, distributions (fixed seeds: a pass is a pass for
 * ever), and what shuffled passes promise. */
#include "draw/design.h"
#include "test.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* Random123's kat_vectors, lines "philox4x32 10". */
static void test_philox_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < WH_COUNT(known); i++) {
        uint32_t out[4];
        wh_philox(out, known[i].counter, known[i].key);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static uint64_t first(uint64_t seed, const char *purpose, const char *site, uint64_t index)
{
    wh_seeded stream;
    wh_seeded_init(&stream, seed, purpose, site, index);
    return wh_seeded_u64(&stream);
}

static void test_every_part_of_a_name_matters(void **state)
{
    (void)state;
    uint64_t base = first(1, "order", "va", 7);
    assert_true(base == first(1, "order", "va", 7));
    assert_true(base != first(2, "order", "va", 7));
    assert_true(base != first(1, "split", "va", 7));
    assert_true(base != first(1, "order", "vb", 7));
    assert_true(base != first(1, "order", "va", 8));
    assert_true(first(1, "ord", "erva", 7) != first(1, "order", "va", 7)); /* texts do not run together */
    assert_true(first(1, "order", NULL, 7) == first(1, "order", "", 7));
    /* SHA-256 of the documented bytes, computed apart from this code: a changed rule would change
     * the result of every study. */
    wh_seeded stream;
    wh_seeded_init(&stream, 43, "order", "cleveland", 0);
    assert_int_equal(stream.key[0], 0x447dd6f7);
    assert_int_equal(stream.nonce[1], 0x852c1ac3);
}

static void test_a_copy_continues_alone(void **state)
{
    (void)state;
    wh_seeded a;
    wh_seeded_init(&a, 5, "test", "", 0);
    for (int i = 0; i < 45; i++) (void)wh_seeded_u32(&a);
    wh_seeded b = a;
    for (int i = 0; i < 100; i++) assert_int_equal(wh_seeded_u32(&a), wh_seeded_u32(&b));
}

static void test_stream_is_philox_in_order(void **state)
{
    (void)state;
    wh_seeded s;
    wh_seeded_init(&s, 9, "test", "x", 2);
    for (uint32_t block = 0; block < 3 * WH_SEEDED_WORDS / 4; block++) {
        uint32_t out[4], counter[4] = {block, 0, s.nonce[0], s.nonce[1]};
        wh_philox(out, counter, s.key);
        for (int i = 0; i < 4; i++) assert_int_equal(wh_seeded_u32(&s), out[i]);
    }
}

/* Chi-square over n cells, 600 n draws. The bound lies 6 standard deviations out. */
static void test_below_is_uniform(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 10, 100};
    for (size_t k = 0; k < WH_COUNT(sizes); k++) {
        uint32_t n = sizes[k], count[100] = {0};
        wh_seeded s;
        wh_seeded_init(&s, 1, "test", "below", n);
        for (uint32_t i = 0; i < 600 * n; i++) {
            uint32_t value = wh_seeded_below(&s, n);
            assert_true(value < n);
            count[value]++;
        }
        double chi = 0;
        for (uint32_t i = 0; i < n; i++) chi += (count[i] - 600.0) * (count[i] - 600.0) / 600;
        assert_true(chi <= n - 1 + 6 * sqrt(2.0 * n));
    }
}

/* Where bias would show: n = 3 * 2^30 makes multiply-and-shift alone hit some values twice as often. */
static void test_below_rejects(void **state)
{
    (void)state;
    wh_seeded s;
    wh_seeded_init(&s, 1, "test", "reject", 0);
    unsigned count[3] = {0};
    for (int i = 0; i < 30000; i++) count[wh_seeded_below(&s, UINT32_C(3) << 30) % 3]++;
    for (int i = 0; i < 3; i++) assert_in_range(count[i], 10000 - 600, 10000 + 600);
}

static void test_reals(void **state)
{
    (void)state;
    enum { N = 100000 };
    wh_seeded s;
    wh_seeded_init(&s, 3, "test", "reals", 0);
    double sum = 0, square = 0, fourth = 0, mean = 0;
    for (int i = 0; i < N; i++) {
        float f = wh_seeded_float(&s);
        double d = wh_seeded_double(&s), u = wh_seeded_uniform(&s, -2, 3), z = wh_seeded_normal(&s);
        assert_true(f >= 0 && f < 1 && f * 0x1p24F == floorf(f * 0x1p24F));
        assert_true(d >= 0 && d < 1 && u >= -2 && u <= 3);
        mean += (f + d + u) / N;
        sum += z / N, square += z * z / N, fourth += z * z * z * z / N;
    }
    assert_true(fabs(mean - 1.5) < 0.03); /* sd of the mean: sqrt(1/12 + 1/12 + 25/12) / sqrt(N) = 0.005 */
    assert_true(fabs(sum) < 0.02);        /* 1 / sqrt(N) = 0.003 */
    assert_true(fabs(square - 1) < 0.03); /* sqrt(2 / N) = 0.0045 */
    assert_true(fabs(fourth - 3) < 0.2);  /* sqrt(96 / N) = 0.031 */
}

/* Kolmogorov–Smirnov against the normal distribution: sqrt(n) D > 2.5 has probability 7e-6. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void test_normal_is_normal(void **state)
{
    (void)state;
    enum { N = 20000 };
    static double z[N];
    wh_seeded s;
    wh_seeded_init(&s, 4, "test", "normal", 0);
    for (int i = 0; i < N; i++) z[i] = wh_seeded_normal(&s);
    qsort(z, N, sizeof z[0], compare);
    double worst = 0;
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(0.5 * erfc(-z[i] / sqrt(2)) - (i + 0.5) / N));
    assert_true(worst * sqrt(N) < 2.5);
}

static void test_permutations_are_equally_likely(void **state)
{
    (void)state;
    enum { TRIES = 24000 };
    unsigned count[256] = {0};
    for (uint64_t t = 0; t < TRIES; t++) {
        wh_seeded s;
        uint32_t p[4];
        wh_seeded_init(&s, t, "test", "orders", 0);
        wh_seeded_permutation(&s, p, 4);
        count[p[0] * 64 + p[1] * 16 + p[2] * 4 + p[3]]++;
    }
    double chi = 0;
    unsigned orders = 0;
    for (int i = 0; i < 256; i++)
        if (count[i]) orders++, chi += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
    assert_int_equal(orders, 24);
    assert_true(chi < 23 + 6 * sqrt(46));
}

static void test_a_pass_gives_each_row_once(void **state)
{
    (void)state;
    enum { MAX = 97 };
    for (size_t n = 1; n <= MAX; n += 8)
        for (size_t batch = 1; batch <= n + 1; batch += 3) {
            WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
            const wh_draw_design design = {WH_DRAW_SHUFFLED_PASS, n, batch};
            assert_ok(wh_draw_init(&draw, &design, n, "s", batch));
            for (int pass = 1; pass <= 3; pass++) {
                uint8_t seen[MAX + 1] = {0};
                for (size_t b = 0, given = 0; b < wh_draw_pass(&design); b++) {
                    const uint32_t *index;
                    size_t rows;
                    wh_draw_next(&draw, &index, &rows);
                    assert_int_equal(rows, n - given < batch ? n - given : batch);
                    for (size_t i = 0; i < rows; i++) assert_int_equal(seen[index[i]]++, 0);
                    given += rows;
                }
                for (size_t i = 0; i < n; i++) assert_int_equal(seen[i], 1);
                assert_int_equal(draw.passes, pass);
            }
        }
}

static void test_order_depends_on_round_and_pass(void **state)
{
    (void)state;
    enum { N = 50 };
    const wh_draw_design design = {WH_DRAW_SHUFFLED_PASS, N, N};
    WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
    assert_ok(wh_draw_init(&draw, &design, 1, "s", 0));
    uint32_t pass[3][N];
    const uint32_t *index;
    size_t n;
    for (int i = 0; i < 2; i++) {
        wh_draw_next(&draw, &index, &n);
        memcpy(pass[i], index, sizeof pass[i]);
    }
    assert_memory_not_equal(pass[0], pass[1], sizeof pass[0]);
    wh_draw_restart(&draw, 1, "s", 1);
    wh_draw_next(&draw, &index, &n);
    assert_memory_not_equal(pass[0], index, sizeof pass[0]);
    wh_draw_restart(&draw, 1, "s", 0); /* a round can be repeated, whatever ran between */
    for (int i = 0; i < 2; i++) {
        wh_draw_next(&draw, &index, &n);
        assert_memory_equal(pass[i], index, sizeof pass[i]);
    }
}

static void test_full_batches_are_all_rows(void **state)
{
    (void)state;
    WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
    assert_ok(wh_draw_init(&draw, &(wh_draw_design){WH_DRAW_FULL, 5, 0}, 1, "s", 0));
    for (int pass = 0; pass < 3; pass++) {
        const uint32_t *index;
        size_t n;
        wh_draw_next(&draw, &index, &n);
        assert_int_equal(n, 5);
        for (uint32_t i = 0; i < 5; i++) assert_int_equal(index[i], i);
    }
}

static void test_designs_outside_their_range(void **state)
{
    (void)state;
    wh_draw draw = WH_DRAW_EMPTY;
    assert_int_equal(wh_draw_init(&draw, &(wh_draw_design){WH_DRAW_SHUFFLED_PASS, 0, 1}, 1, "s", 0), WHIST_E_ARG);
    assert_int_equal(wh_draw_init(&draw, &(wh_draw_design){WH_DRAW_SHUFFLED_PASS, 3, 0}, 1, "s", 0), WHIST_E_ARG);
    wh_alloc_fail_after(1);
    assert_int_equal(wh_draw_init(&draw, &(wh_draw_design){WH_DRAW_FULL, 3, 0}, 1, "s", 0), WHIST_E_NOMEM);
    wh_alloc_fail_after(0);
    wh_draw_clear(&draw);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "speed")) { /* by hand: draw_draw_test speed */
        static uint32_t index[600];
        wh_seeded s;
        wh_seeded_init(&s, 1, "test", "speed", 0);
        wh_seeded_permutation(&s, index, 600);
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < 20000; i++) wh_seeded_shuffle(&s, index, 600);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("shuffle of 600: %.2f us\n",
               ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) * 1e-3) / 20000);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_vectors),
        cmocka_unit_test(test_every_part_of_a_name_matters),
        cmocka_unit_test(test_a_copy_continues_alone),
        cmocka_unit_test(test_stream_is_philox_in_order),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_below_rejects),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_normal_is_normal),
        cmocka_unit_test(test_permutations_are_equally_likely),
        cmocka_unit_test(test_a_pass_gives_each_row_once),
        cmocka_unit_test(test_order_depends_on_round_and_pass),
        cmocka_unit_test(test_full_batches_are_all_rows),
        cmocka_unit_test(test_designs_outside_their_range),
    };
    return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
