/* Tests of the private samplers: wide numbers against their definitions, kernels against the exact path, distributions
 * against their formulas. Sources are replayed (test builds), so that a pass is a pass for ever. */
#include "draw/sample.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "draw/exact.h"
#include "draw/kern/noise.h"
#include "draw/stream.h"
#include "test.h"

/* ---- Wide numbers ------------------------------------------------------------------------------- */

static double as_double(const uint64_t *x, size_t n)
{
    return (double)x[n] + ldexp((double)x[n - 1], -64) + ldexp((double)x[n - 2], -128);
}

/* |a - b| in units of 2^(-64 n), a with n and b with m >= n fraction words; UINT64_MAX where it is more. */
static uint64_t units_apart(const uint64_t *a, size_t n, const uint64_t *b, size_t m)
{
    wh_big x = wh_big_words(a, n + 1), y = wh_big_words(b + (m - n), n + 1);
    wh_big gap = wh_big_sub(&x, &y);
    for (size_t i = 1; i < WH_BIG; i++)
        if (gap.word[i]) return UINT64_MAX;
    return gap.word[0];
}

static void test_wide_functions(void **state)
{
    (void)state;
    wh_seeded random;
    wh_seeded_init(&random, 1, "test", "", 0);
    for (int i = 0; i < 200; i++) {
        uint64_t m[WH_WIDE_MAX], x[WH_WIDE_MAX + 1] = {0}, a[WH_WIDE_MAX + 1], b[WH_WIDE_MAX + 1];
        for (int j = 0; j < WH_WIDE_MAX; j++) m[j] = wh_seeded_u64(&random);
        for (int j = 0; j < WH_WIDE_MAX; j++) x[j] = m[j];
        x[WH_WIDE_MAX] = wh_seeded_below(&random, 40);
        uint64_t top = m[WH_WIDE_MAX - 1] |= UINT64_C(1) << 63;
        unsigned zeros = wh_seeded_below(&random, 100);

        wh_wide_neg_log(a, m + WH_WIDE_MAX - 4, zeros, 4);
        wh_wide_neg_log(b, m, zeros, WH_WIDE_MAX);
        assert_true(units_apart(a, 4, b, WH_WIDE_MAX) <= 1 << WH_WIDE_LOG_ERROR);
        assert_true(fabs(as_double(a, 4) - (zeros * M_LN2 - log(ldexp((double)top, -64)))) <= 1e-13);

        wh_wide_one_plus_cos(a, x + WH_WIDE_MAX - 4, 4);
        wh_wide_one_plus_cos(b, x, WH_WIDE_MAX);
        assert_true(units_apart(a, 4, b, WH_WIDE_MAX) <= 1 << WH_WIDE_COS_ERROR);
        assert_true(fabs(as_double(a, 4) - (1 + cos(2 * M_PI * ldexp((double)x[WH_WIDE_MAX - 1], -64)))) <= 1e-14);

        wh_wide_exp_neg(a, x + WH_WIDE_MAX - 4, 4);
        wh_wide_exp_neg(b, x, WH_WIDE_MAX);
        assert_true(units_apart(a, 4, b, WH_WIDE_MAX) <= 4);
        assert_true(fabs(as_double(a, 4) - (exp(-as_double(x, WH_WIDE_MAX)))) <= 1e-14);
    }
}

/* exp and log undo each other to all bits; cos(0) = 1, cos(1/3 turn) = -1/2. */
static void test_wide_identities(void **state)
{
    (void)state;
    enum { N = WH_WIDE_MAX };
    uint64_t m[N], log_m[N + 1], back[N + 1], turn[N] = {0}, c[N + 1], half[N + 1] = {0};
    for (int i = 0; i < N; i++) m[i] = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1) | UINT64_C(1) << 63;
    wh_wide_neg_log(log_m, m, 0, N);
    wh_wide_exp_neg(back, log_m, N);
    uint64_t expected[N + 1] = {0};
    memcpy(expected, m, sizeof m);
    assert_true(units_apart(back, N, expected, N) <= 1 << (WH_WIDE_LOG_ERROR + 1));
    wh_wide_one_plus_cos(c, turn, N);
    assert_true(c[N] == 2 && c[N - 1] == 0);
    for (int i = 0; i < N; i++) turn[i] = 0x5555555555555555;
    wh_wide_one_plus_cos(c, turn, N);
    half[N - 1] = UINT64_C(1) << 63;
    assert_true(units_apart(c, N, half, N) <= 1 << WH_WIDE_COS_ERROR);
}

/* ---- Kernels: what is closed is right for any continuation ------------------------------------------ */

enum { LANES = 4096 };

static const struct wh_noise_kernels *table_of(wh_cpu_level level)
{
    static const struct wh_noise_kernels *const tables[] = {&wh_noise_kernels_generic, &wh_noise_kernels_avx2,
                                                            &wh_noise_kernels_avx512};
    return tables[level];
}

/* Random words, with the corners of the range among them. */
static void fill_words(uint64_t *word, size_t n, uint64_t seed)
{
    static const uint64_t corner[] = {0,
                                      1,
                                      2,
                                      3,
                                      5,
                                      1023,
                                      UINT64_C(1) << 40,
                                      UINT64_MAX,
                                      UINT64_MAX - 1,
                                      UINT64_C(1) << 63,
                                      (UINT64_C(1) << 63) - 1,
                                      UINT64_C(1) << 62,
                                      (UINT64_C(1) << 62) - 1,
                                      UINT64_C(3) << 62,
                                      UINT64_C(1) << 61,
                                      (UINT64_C(1) << 61) - 1,
                                      UINT64_C(7) << 61,
                                      UINT64_C(3) << 61};
    wh_seeded random;
    wh_seeded_init(&random, seed, "test", "", 1);
    for (size_t i = 0; i < n; i++) word[i] = wh_seeded_u64(&random);
    for (size_t i = 0; i < WH_COUNT(corner) * WH_COUNT(corner); i++) {
        word[i] = corner[i % WH_COUNT(corner)];
        word[n / 2 + i] = corner[i / WH_COUNT(corner)];
    }
    for (size_t i = 400; i < 500; i++) word[i] >>= i - 400 < 64 ? i - 400 : 63;
}

static bool is_open(const uint32_t *open, size_t n_open, size_t i)
{
    for (size_t k = 0; k < n_open; k++)
        if (open[k] == i) return true;
    return false;
}

static void check_normal(const struct wh_noise_kernels *kern, double s, uint64_t seed)
{
    static uint64_t word[2 * LANES];
    static int64_t value[2 * LANES];
    static uint32_t open[LANES];
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, seed));
    fill_words(word, 2 * LANES, seed);
    size_t n_open = kern->normal(value, word, LANES, s, open);
    for (size_t i = 0; i < LANES; i++) {
        wh_lazy u = wh_lazy_of(word[i]), v = wh_lazy_of(word[LANES + i]);
        int64_t pair[2];
        if (is_open(open, n_open, i)) continue;
        assert_ok(wh_exact_normal(pair, noise, &u, &v, s));
        assert_int_equal(pair[0], value[i]);
        assert_int_equal(pair[1], value[LANES + i]);
    }
    /* What is open costs: at most the lanes of tiny U and 2^-45 s of the others. */
    assert_true((double)n_open <= 250 + LANES * s * 0x1p-44);
}

static void check_exponential(const struct wh_noise_kernels *kern, double s, bool half, uint64_t seed)
{
    static uint64_t word[2 * LANES];
    static int64_t value[LANES];
    static uint32_t open[LANES];
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, seed));
    fill_words(word, 2 * LANES, seed);
    size_t n_open = kern->exponential(value, word, LANES, s, half ? 0.5 : 0, open);
    for (size_t i = 0; i < LANES; i++) {
        wh_lazy u;
        int64_t y;
        if (is_open(open, n_open, i)) continue;
        assert_ok(wh_lazy_of63(&u, noise, word[i]));
        assert_ok(wh_exact_floor(&y, noise, &u, s, half));
        int64_t expected = word[i] & 1 ? -y : y;
        if (!half && y == 0 && word[i] & 1) expected = WH_NO_DRAW;
        assert_int_equal(value[i], expected);
    }
    assert_true((double)n_open <= 250 + LANES * s * 0x1p-44);
}

static void check_kernels(wh_cpu_level level)
{
    static const double scales[] = {0x1p-20, 0.3, 1, 17.5, 0x1p20, 0x1.8p33, 0x1p40};
    if (level > wh_cpu_machine()) skip();
    for (size_t i = 0; i < WH_COUNT(scales); i++) {
        check_normal(table_of(level), scales[i], 11 + i);
        check_exponential(table_of(level), scales[i], true, 31 + i);
        check_exponential(table_of(level), scales[i], false, 51 + i);
    }
}

static void test_kernels_generic(void **state)
{
    (void)state;
    check_kernels(WH_CPU_GENERIC);
}

static void test_kernels_avx2(void **state)
{
    (void)state;
    check_kernels(WH_CPU_AVX2);
}

static void test_kernels_avx512(void **state)
{
    (void)state;
    check_kernels(WH_CPU_AVX512);
}

/* Both kernels of discrete Gaussians agree wherever both are sure; the exact path agrees with the formula elsewhere
 * (the distribution tests below run through it by small and odd sigma). */
static void test_kernels_gauss(void **state)
{
    (void)state;
    static uint64_t word[2 * LANES];
    static int64_t value[2][LANES];
    static uint32_t open[2][LANES];
    static const double sigmas[] = {0x1p-20, 0.4, 1, 50, 1000.3, 0x1p30, 0x1p40};
    fill_words(word, 2 * LANES, 5);
    for (size_t k = 0; k < WH_COUNT(sigmas); k++)
        for (wh_cpu_level level = WH_CPU_AVX2; level <= wh_cpu_machine(); level++) {
            double t = floor(sigmas[k]) + 1;
            const wh_gauss_try try_ = {t, M_SQRT1_2 / sigmas[k], sigmas[k] * M_SQRT1_2 / t};
            size_t a = wh_noise_kernels_generic.gauss(value[0], word, LANES, &try_, open[0]);
            size_t b = table_of(level)->gauss(value[1], word, LANES, &try_, open[1]);
            for (size_t i = 0; i < LANES; i++)
                if (!is_open(open[0], a, i) && !is_open(open[1], b, i)) assert_int_equal(value[0][i], value[1][i]);
            assert_true((double)(a + b) <= 2 * (300 + LANES * sigmas[k] * 0x1p-44));
        }
}

/* Runs of failures: the exact path against the quotient of two logarithms. */
static void test_exact_geometric(void **state)
{
    (void)state;
    static const double rates[] = {0x1p-40, 1e-6, 0.0042666, 0.5, 0.75, 1 - 0x1p-53};
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, 71));
    for (size_t k = 0; k < WH_COUNT(rates); k++)
        for (int i = 0; i < 300; i++) {
            uint64_t word;
            int64_t j;
            assert_ok(wh_noise_u64(noise, &word));
            wh_lazy u = wh_lazy_of(word);
            assert_ok(wh_exact_geometric(&j, noise, &u, rates[k]));
            double ratio = -log(ldexp((double)word, -64)) / -log1p(-rates[k]), doubt = 1e-12 * (1 + ratio);
            assert_true((double)j <= ratio + doubt && (double)j + 1 >= ratio - doubt);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide_functions),  cmocka_unit_test(test_wide_identities),
        cmocka_unit_test(test_kernels_generic), cmocka_unit_test(test_kernels_avx2),
        cmocka_unit_test(test_kernels_avx512),  cmocka_unit_test(test_kernels_gauss),
        cmocka_unit_test(test_exact_geometric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
