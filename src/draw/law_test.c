/* Distributions of the private samplers: chi-square and Kolmogorov–Smirnov against formulas, the reference algorithm of
 * Canonne, Kamath and Steinke, and the precision attack. Each test must also reject: sigma wrong by 1 %, a float
 * sampler.
 *
 * Sources are replayed, so a pass is a pass for ever. For a fresh seed each statistic fails a right sampler with
 * probability below 1e-6 (z < 5 for chi-square, sqrt(n) D < 2.8 for KS); there are fewer than 40: below 4e-5 a run. */
#include <math.h>
#include <string.h>

#include "draw/cumulative.h"
#include "draw/exact.h"
#include "draw/kern/noise.h"
#include "draw/sample.h"
#include "test.h"

enum { N = 1000000, MOST = 1 << 14 };

typedef struct sample {
    int64_t *x;
    size_t n;
} sample;

typedef double density(int64_t k, double a); /* need not be normalised */

static double gauss_density(int64_t k, double sigma)
{
    return exp(-(double)(k * k) / (2 * sigma * sigma));
}
static double laplace_density(int64_t k, double scale)
{
    return exp(-fabs((double)k) / scale);
}
static double rounded_gauss_density(int64_t k, double s)
{
    double a = fabs((double)k) - 0.5, b = a + 1; /* by the upper tail, which cancels nothing */
    return erfc(a / (s * M_SQRT2)) - erfc(b / (s * M_SQRT2));
}
static double laplace_tail(double x, double s)
{
    return x < 0 ? 1 - 0.5 * exp(x / s) : 0.5 * exp(-x / s);
}
static double rounded_laplace_density(int64_t k, double s)
{
    double a = fabs((double)k) - 0.5;
    return laplace_tail(a, s) - laplace_tail(a + 1, s);
}
static double poisson_density(int64_t k, double mean)
{
    return k < 0 ? 0 : exp((double)k * log(mean) - mean - lgamma((double)k + 1));
}
static double binomial_density(int64_t k, double p)
{
    const double n = 300;
    if (k < 0 || k > 300) return 0;
    return exp(lgamma(n + 1) - lgamma((double)k + 1) - lgamma(n - (double)k + 1) + (double)k * log(p) +
               (n - (double)k) * log1p(-p));
}
static double skellam_density(int64_t k, double variance)
{
    double sum = 0;
    for (int64_t j = 0; j < 200; j++) sum += poisson_density(j, variance / 2) * poisson_density(j + k, variance / 2);
    return sum;
}

/* z of chi-square by Wilson and Hilferty; cells with fewer than 20 expected are joined from outside in. */
static double chi_square_z(const sample *s, density *p, double a)
{
    static double seen[2 * MOST + 1], expected[2 * MOST + 1];
    double total = 0, chi = 0, run_seen = 0, run_expected = 0;
    int cells = 0;
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->x[i] > -MOST && s->x[i] < MOST);
        seen[s->x[i] + MOST]++;
    }
    for (int64_t k = -MOST; k <= MOST; k++) total += expected[k + MOST] = p(k, a);
    for (int k = 0; k <= 2 * MOST; k++) {
        run_seen += seen[k];
        run_expected += expected[k] / total * (double)s->n;
        if (run_expected < 20) continue;
        chi += (run_seen - run_expected) * (run_seen - run_expected) / run_expected;
        run_seen = run_expected = 0;
        cells++;
    }
    double df = cells - 1, v = 2 / (9 * df);
    assert_true(cells >= 2);
    return (cbrt(chi / df) - (1 - v)) / sqrt(v);
}

/* sqrt(n) max |F_n - F|. */
static double ks(const sample *s, density *p, double a)
{
    static double seen[2 * MOST + 1];
    double total = 0, f = 0, fn = 0, worst = 0;
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < s->n; i++) seen[s->x[i] + MOST]++;
    for (int64_t k = -MOST; k <= MOST; k++) total += p(k, a);
    for (int64_t k = -MOST; k <= MOST; k++) {
        f += p(k, a) / total;
        fn += seen[k + MOST] / (double)s->n;
        worst = fmax(worst, fabs(f - fn));
    }
    return worst * sqrt((double)s->n);
}

static sample new_sample(size_t n)
{
    sample s = {malloc(n * sizeof *s.x), n}; /* lint: the test's own */
    assert_non_null(s.x);
    return s;
}

static void sample_end(sample *s)
{
    free(s->x); /* lint: the test's own */
}

static void accept_and_reject(const sample *s, density *p, double a)
{
    double z = chi_square_z(s, p, a), d = ks(s, p, a);
    if (!(fabs(z) < 5 && d < 2.8)) fail_msg("parameter %g: chi-square z %g, KS %g", a, z, d);
    /* The same tests see a parameter that is off by 1 %. */
    assert_true(chi_square_z(s, p, a * 1.01) > 6);
    assert_true(chi_square_z(s, p, a * 0.99) > 6);
}

typedef whist_status sampler_fn(wh_noise *noise, int64_t *out, size_t n, double parameter);

static void check_sampler(sampler_fn *sampler, density *p, double a, uint64_t seed)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    sample s = new_sample(4 * (size_t)N);
    assert_ok(wh_noise_new_replayed(&noise, seed));
    assert_ok(sampler(noise, s.x, s.n, a));
    accept_and_reject(&s, p, a);
    /* Four million draws and a fine grid: KS sees 1 % too. */
    if (a >= 5) assert_true(ks(&s, p, a * 1.01) > 3 && ks(&s, p, a * 0.99) > 3);
    sample_end(&s);
}

static void test_rounded(void **state)
{
    (void)state;
    check_sampler(wh_sample_normal, rounded_gauss_density, 0.7, 1);
    check_sampler(wh_sample_normal, rounded_gauss_density, 40.3, 2);
    check_sampler(wh_sample_laplace, rounded_laplace_density, 0.6, 3);
    check_sampler(wh_sample_laplace, rounded_laplace_density, 25.1, 4);
}

static void test_discrete(void **state)
{
    (void)state;
    check_sampler(wh_sample_discrete_gauss, gauss_density, 0.8, 5);
    check_sampler(wh_sample_discrete_gauss, gauss_density, 3, 6);
    check_sampler(wh_sample_discrete_gauss, gauss_density, 50, 7);
    check_sampler(wh_sample_discrete_laplace, laplace_density, 0.9, 8);
    check_sampler(wh_sample_discrete_laplace, laplace_density, 30, 9);
}

/* ---- Laws by tables ------------------------------------------------------------------------------ */

static void check_table(wh_law law, double a, uint64_t trials, density *p, size_t words, uint64_t seed)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_cumulative) table = WH_CUMULATIVE_EMPTY;
    sample s = new_sample(4 * (size_t)N);
    assert_ok(wh_noise_new_replayed(&noise, seed));
    assert_ok(wh_cumulative_init(&table, law, a, trials, words));
    assert_ok(wh_cumulative_draw(&table, noise, s.x, s.n));
    accept_and_reject(&s, p, a);
    sample_end(&s);
}

static void test_tables(void **state)
{
    (void)state;
    check_table(WH_LAW_POISSON, 2.7, 0, poisson_density, 2, 21);
    check_table(WH_LAW_POISSON, 1000, 0, poisson_density, 2, 22);
    check_table(WH_LAW_BINOMIAL, 0.3, 300, binomial_density, 2, 23);
    check_table(WH_LAW_DISCRETE_GAUSS, 20.5, 0, gauss_density, 2, 24);
    check_table(WH_LAW_DISCRETE_LAPLACE, 7.3, 0, laplace_density, 2, 25);
}

/* Each P(k) of a table of 128 bits lies within its units of the one of 896 bits, and near the formula. */
static void check_rows(wh_law law, double a, uint64_t trials, density *p)
{
    WH_AUTO(wh_cumulative) coarse = WH_CUMULATIVE_EMPTY;
    WH_AUTO(wh_cumulative) fine = WH_CUMULATIVE_EMPTY;
    assert_ok(wh_cumulative_init(&coarse, law, a, trials, 2));
    assert_ok(wh_cumulative_init(&fine, law, a, trials, 14));
    double sum = 0;
    for (size_t k = 0; k < fine.n; k++) {
        uint64_t at = fine.low + k;
        const uint64_t *f = fine.row + 14 * k;
        if (at >= coarse.low && at < coarse.low + coarse.n) {
            const uint64_t *c = coarse.row + 2 * (at - coarse.low);
            unsigned __int128 x = (unsigned __int128)c[0] << 64 | c[1], y = (unsigned __int128)f[0] << 64 | f[1];
            assert_true((x > y ? x - y : y - x) <= 3);
        }
        sum += p((int64_t)at, a);
        assert_true(fabs(ldexp((double)f[0], -64) - sum) < 1e-9);
    }
}

static double folded_gauss(int64_t k, double sigma)
{
    double total = 0;
    for (int j = -400; j <= 400; j++) total += gauss_density(j, sigma);
    return (k ? 2 : 1) * gauss_density(k, sigma) / total;
}

static void test_rows(void **state)
{
    (void)state;
    check_rows(WH_LAW_POISSON, 0.01, 0, poisson_density);
    check_rows(WH_LAW_POISSON, 123.456, 0, poisson_density);
    check_rows(WH_LAW_BINOMIAL, 0.5, 300, binomial_density);
    check_rows(WH_LAW_BINOMIAL, 0.9, 300, binomial_density);
    check_rows(WH_LAW_DISCRETE_GAUSS, 11.1, 0, folded_gauss);
}

/* A table of 64 bits leaves many draws to finer ones: the slow way has the same law. */
static void test_lazy_tables(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_cumulative) table = WH_CUMULATIVE_EMPTY;
    sample s = new_sample(20000);
    assert_ok(wh_noise_new_replayed(&noise, 26));
    assert_ok(wh_cumulative_init(&table, WH_LAW_POISSON, 4, 0, 1));
    for (size_t k = 0; k < table.n; k++) table.row[k] &= ~UINT64_C(0) << 3; /* and the first word alone is never sure */
    assert_ok(wh_cumulative_draw(&table, noise, s.x, s.n));
    assert_true(fabs(chi_square_z(&s, poisson_density, 4)) < 5);
    sample_end(&s);
}

static void test_skellam(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_skellam) skellam = {.copies = 0};
    sample s = new_sample(N);
    assert_ok(wh_noise_new_replayed(&noise, 27));
    assert_ok(wh_skellam_init(&skellam, 30));
    assert_ok(wh_skellam_draw(&skellam, noise, s.x, s.n));
    double z = chi_square_z(&s, skellam_density, 30);
    assert_true(fabs(z) < 5);
    assert_true(chi_square_z(&s, skellam_density, 30 * 1.02) > 6); /* sigma wrong by 1 % */
    sample_end(&s);
    wh_skellam_clear(&skellam);
    /* Large variances are sums of tables: the variance of 4,000 draws is within 6 standard errors. */
    int64_t x[4000];
    double square = 0;
    assert_ok(wh_skellam_init(&skellam, 0x1p25));
    assert_int_equal(skellam.copies, 4);
    assert_ok(wh_skellam_draw(&skellam, noise, x, WH_COUNT(x)));
    for (size_t i = 0; i < WH_COUNT(x); i++) square += (double)x[i] * (double)x[i] / WH_COUNT(x);
    assert_true(fabs(square / 0x1p25 - 1) < 6 * sqrt(2.0 / WH_COUNT(x)));
}

/* ---- Steady time ---------------------------------------------------------------------------------- */

static void check_steady(wh_steady *steady, density *p, double a, double off, uint64_t seed)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    sample s = new_sample(200000);
    assert_ok(wh_noise_new_replayed(&noise, seed));
    assert_ok(wh_steady_draw(steady, noise, s.x, s.n));
    assert_true(fabs(chi_square_z(&s, p, a)) < 5);
    assert_true(chi_square_z(&s, p, a * off) > 6);
    assert_true(steady->distance > 0 && steady->distance < 0x1p-100);
    sample_end(&s);
    wh_steady_clear(steady);
}

static void test_steady(void **state)
{
    (void)state;
    wh_steady steady;
    assert_ok(wh_steady_init(&steady, WH_LAW_DISCRETE_GAUSS, 10));
    check_steady(&steady, gauss_density, 10, 1.02, 31);
    assert_ok(wh_steady_init(&steady, WH_LAW_DISCRETE_LAPLACE, 4));
    check_steady(&steady, laplace_density, 4, 1.05, 32);
    assert_ok(wh_steady_init_skellam(&steady, 30));
    check_steady(&steady, skellam_density, 30, 1.04, 33);
}

/* The words that lie around a row's boundary fall on its two sides. */
static void test_steady_boundaries(void **state)
{
    (void)state;
    WH_AUTO(wh_steady) steady;
    assert_ok(wh_steady_init(&steady, WH_LAW_DISCRETE_GAUSS, 2));
    for (size_t k = 0; k + 1 < steady.table.n; k++) {
        const uint64_t *row = steady.table.row + 2 * k;
        unsigned __int128 at = ((unsigned __int128)row[0] << 64 | row[1]) & ~(unsigned __int128)1;
        unsigned __int128 below = at - 2;
        uint64_t word[4] = {(uint64_t)(below >> 64), (uint64_t)below, (uint64_t)(at >> 64), (uint64_t)at};
        int64_t x[2];
        wh_steady_pick(x, &steady, word, 2);
        assert_true(x[1] > (int64_t)k);
        if (k > 0) { /* the last rows are less than two units apart */
            unsigned __int128 before = (unsigned __int128)row[-2] << 64 | row[-1];
            if (before > at - 4) continue;
        }
        assert_int_equal(x[0], (int64_t)k);
    }
}

/* ---- The reference algorithm (Canonne, Kamath, Steinke 2020, algorithms 1 to 3), on whole numbers ------- */

static bool reference_coin(wh_noise *noise, uint64_t num, uint64_t den)
{
    bool one;
    assert_ok(wh_sample_ratio(noise, &one, num, den));
    return one;
}

/* exp(-num / den), num <= den. */
static bool reference_exp1(wh_noise *noise, uint64_t num, uint64_t den)
{
    uint64_t k = 1;
    while (reference_coin(noise, num, den * k)) k++;
    return k % 2 == 1;
}

static bool reference_exp(wh_noise *noise, uint64_t num, uint64_t den)
{
    for (; num > den; num -= den)
        if (!reference_exp1(noise, 1, 1)) return false;
    return reference_exp1(noise, num, den);
}

static int64_t reference_laplace(wh_noise *noise, uint64_t t)
{
    for (;;) {
        uint64_t u, v = 0;
        assert_ok(wh_noise_below(noise, &u, t));
        if (!reference_exp1(noise, u, t)) continue;
        while (reference_exp1(noise, 1, 1)) v++;
        uint64_t y = u + t * v;
        bool minus = reference_coin(noise, 1, 2);
        if (!(minus && y == 0)) return minus ? -(int64_t)y : (int64_t)y;
    }
}

/* sigma^2 a whole number. */
static int64_t reference_gauss(wh_noise *noise, uint64_t square)
{
    uint64_t t = (uint64_t)sqrt((double)square) + 1;
    for (;;) {
        int64_t y = reference_laplace(noise, t);
        int64_t d = (y < 0 ? -y : y) * (int64_t)t - (int64_t)square;
        if (reference_exp(noise, (uint64_t)(d * d), 2 * square * t * t)) return y;
    }
}

/* Two samples: chi-square of their difference. */
static double two_sample_z(const sample *a, const sample *b)
{
    static double seen[2][2 * MOST + 1];
    double chi = 0, x = 0, y = 0;
    int cells = 0;
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < a->n; i++) seen[0][a->x[i] + MOST]++;
    for (size_t i = 0; i < b->n; i++) seen[1][b->x[i] + MOST]++;
    for (int k = 0; k <= 2 * MOST; k++) {
        x += seen[0][k], y += seen[1][k];
        if (x + y < 40) continue;
        chi += (x - y) * (x - y) / (x + y); /* samples of the same size */
        x = y = 0;
        cells++;
    }
    double df = cells - 1, v = 2 / (9 * df);
    return (cbrt(chi / df) - (1 - v)) / sqrt(v);
}

static void test_reference_algorithm(void **state)
{
    (void)state;
    static const uint64_t squares[] = {1, 20, 2500};
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, 41));
    sample a = new_sample(200000), b = new_sample(200000);
    for (size_t k = 0; k < WH_COUNT(squares); k++) {
        for (size_t i = 0; i < a.n; i++) a.x[i] = reference_gauss(noise, squares[k]);
        assert_ok(wh_sample_discrete_gauss(noise, b.x, b.n, sqrt((double)squares[k])));
        assert_true(fabs(two_sample_z(&a, &b)) < 5);
    }
    for (size_t i = 0; i < a.n; i++) a.x[i] = reference_laplace(noise, 13);
    assert_ok(wh_sample_discrete_laplace(noise, b.x, b.n, 13));
    assert_true(fabs(two_sample_z(&a, &b)) < 5);
    assert_ok(wh_sample_discrete_laplace(noise, b.x, b.n, 14));
    assert_true(two_sample_z(&a, &b) > 6);
    sample_end(&a);
    sample_end(&b);
}

/* ---- Coins ----------------------------------------------------------------------------------------- */

static void check_rate(double seen, double p, double n)
{
    if (!(fabs(seen - n * p) <= 5.5 * sqrt(n * p * (1 - p)) + 1e-9)) fail_msg("%g of %g, not %g", seen, n, n * p);
}

static void test_coins(void **state)
{
    (void)state;
    static const double p[] = {0, 1, 0.5, 0.3, 1e-4, 1 - 0x1p-53}, x[] = {0, 1e-3, 0.7, 3.3, 9};
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new_replayed(&noise, 51));
    bool one;
    for (size_t k = 0; k < WH_COUNT(p); k++) {
        double seen = 0;
        for (int i = 0; i < 200000; i++) {
            assert_ok(wh_sample_bernoulli(noise, &one, p[k]));
            seen += one;
        }
        check_rate(seen, p[k], 200000);
    }
    for (size_t k = 0; k < WH_COUNT(x); k++) {
        double seen = 0;
        for (int i = 0; i < 200000; i++) {
            assert_ok(wh_sample_exp(noise, &one, x[k]));
            seen += one;
        }
        check_rate(seen, exp(-x[k]), 200000);
    }
    assert_int_equal(wh_sample_bernoulli(noise, &one, NAN), WHIST_E_RANGE);
    assert_int_equal(wh_sample_exp(noise, &one, -1), WHIST_E_RANGE);
    assert_int_equal(wh_sample_ratio(noise, &one, 3, 2), WHIST_E_ARG);
}

/* ---- Precision attack (Haney et al. 2022) ------------------------------------------------------------ */

/* Laplace in doubles, as it is often written: 53 bits of U, x + sign * -b ln U. */
static double float_laplace(double x, double b, uint64_t word)
{
    double u = ((double)(word >> 11) + 0.5) * 0x1p-53;
    return x + (word & 1 ? -b : b) * -log(u);
}

/* Which words could have made y from x? Only those near exp(-|y - x| / b) are tried. */
static bool float_could_be(double y, double x, double b)
{
    double at = floor(exp(-fabs(y - x) / b) * 0x1p53);
    for (double k = fmax(at - 40, 0); k <= fmin(at + 40, 0x1p53 - 1); k++)
        if (float_laplace(x, b, (uint64_t)k << 11 | (y < x)) == y) return true;
    return false;
}

enum { ATTACKED = 10000000, CHUNK = 8192 };

/* Our draws at input 0 as outputs, asked of input `shift`: a word in the middle of what should give y - shift goes
 * through the same kernel, and to the exact path where it is open. Counts what no word gives. */
static size_t impossible_laplace(const int64_t *y, size_t n, int64_t shift, double s, wh_noise *noise)
{
    static uint64_t word[CHUNK];
    static int64_t value[CHUNK];
    static uint32_t open[CHUNK];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double k = fabs((double)(y[i] - shift));
        double u = k == 0 ? exp(-0.25 / s) : exp(-k / s);
        word[i] = (uint64_t)ldexp(u, 64) / 2 * 2 | (y[i] < shift);
    }
    size_t n_open = wh_noise_kernels_generic.exponential(value, word, n, s, 0.5, open);
    for (size_t i = 0; i < n_open; i++) {
        wh_lazy u;
        int64_t v;
        assert_ok(wh_lazy_of63(&u, noise, word[open[i]]));
        assert_ok(wh_exact_floor(&v, noise, &u, s, true));
        value[open[i]] = word[open[i]] & 1 ? -v : v;
    }
    for (size_t i = 0; i < n; i++) count += value[i] != y[i] - shift;
    return count;
}

static size_t impossible_normal(const int64_t *y, size_t n, int64_t shift, double s, wh_noise *noise)
{
    static uint64_t word[2 * CHUNK];
    static int64_t value[2 * CHUNK];
    static uint32_t open[CHUNK];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        double r = fmax(fabs((double)(y[i] - shift)), 0.25) / s;
        word[i] = (uint64_t)ldexp(exp(-r * r / 2), 64);
        word[n + i] = y[i] < shift ? UINT64_C(1) << 63 : 0; /* cos = -1 or 1 */
    }
    size_t n_open = wh_noise_kernels_generic.normal(value, word, n, s, open);
    for (size_t i = 0; i < n_open; i++) {
        wh_lazy u = wh_lazy_of(word[open[i]]), v = wh_lazy_of(word[n + open[i]]);
        int64_t pair[2];
        assert_ok(wh_exact_normal(pair, noise, &u, &v, s));
        value[open[i]] = pair[0];
    }
    for (size_t i = 0; i < n; i++) count += value[i] != y[i] - shift;
    return count;
}

static void test_precision_attack(void **state)
{
    (void)state;
    static int64_t y[CHUNK];
    const int64_t one = 1 << 20; /* inputs 0 and 1 on a grid of 2^-20, epsilon = 1 */
    WH_AUTO(wh_noise_ptr) noise = NULL;
    size_t laplace = 0, normal = 0, plain = 0, tried = 0;
    assert_ok(wh_noise_new_replayed(&noise, 61));
    for (size_t done = 0; done < ATTACKED; done += CHUNK) {
        assert_ok(wh_sample_laplace(noise, y, CHUNK, (double)one));
        laplace += impossible_laplace(y, CHUNK, one, (double)one, noise);
        assert_ok(wh_sample_normal(noise, y, CHUNK, (double)one));
        normal += impossible_normal(y, CHUNK, one, (double)one, noise);
    }
    for (int i = 0; i < 20000; i++, tried++) {
        uint64_t word;
        assert_ok(wh_noise_u64(noise, &word));
        plain += !float_could_be(float_laplace(0, 1, word), 1, 1);
    }
    assert_int_equal(laplace, 0);
    assert_int_equal(normal, 0);
    if (plain * 20 < tried) fail_msg("the attack finds only %zu of %zu outputs of a float sampler", plain, tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounded),
        cmocka_unit_test(test_discrete),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_lazy_tables),
        cmocka_unit_test(test_skellam),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_steady_boundaries),
        cmocka_unit_test(test_reference_algorithm),
        cmocka_unit_test(test_coins),
        cmocka_unit_test(test_precision_attack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
