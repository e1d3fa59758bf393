/* Tests of account/pld: intervals against closed forms, against Fourier inversion, against each other. */
#include "dp/account/pld.h"

#include <complex.h>
#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/fft.h"
#include "dp/account/grid.h"
#include "test.h"

static wh_dp_interval epsilon_of(const whist_dp_event *event, size_t n, double delta, double width)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part part[64];
    wh_dp_interval out = {-1, -1};
    size_t n_parts = 0, more;
    for (size_t i = 0; i < n; i++) {
        assert_ok(whist_dp_event_check(&event[i]));
        assert_ok(wh_dp_parts(part + n_parts, &more, &arena, &event[i]));
        n_parts += more;
    }
    assert_ok(wh_dp_pld_epsilon(&out, part, n_parts, delta, width));
    return out;
}

static wh_dp_interval delta_of(const whist_dp_event *event, double epsilon)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part part[WH_DP_PARTS_MAX];
    wh_dp_interval out = {-1, -1};
    size_t n;
    assert_ok(wh_dp_parts(part, &n, &arena, event));
    assert_ok(wh_dp_pld_delta(&out, part, n, epsilon, 1e-3));
    return out;
}

/* truth in [lower, upper], which is at most `width` wide */
static void assert_holds(wh_dp_interval i, double truth, double width, const char *what)
{
    double rounding = 1e-12 * truth;
    if (!(i.lower <= truth + rounding && truth <= i.upper + rounding))
        fail_msg("%s: %.15g is not in [%.15g, %.15g]", what, truth, i.lower, i.upper);
    if (!(i.upper - i.lower <= width * i.upper))
        fail_msg("%s: [%.15g, %.15g] is wider than %g", what, i.lower, i.upper, width);
}

/* ---- Transforms -------------------------------------------------------------------------------- */

static void test_fft(void **state)
{
    (void)state;
    enum { MAX = 512 };
    double re[MAX], im[MAX];
    for (size_t n = 4; n <= MAX; n *= 2) {
        WH_AUTO(wh_dp_fft) fft = WH_DP_FFT_EMPTY;
        double complex x[MAX];
        double size = 0, error = 0;
        uint64_t seed = n;
        assert_ok(wh_dp_fft_init(&fft, n));
        for (size_t j = 0; j < n; j++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            re[j] = (double)(seed >> 40) / (1 << 24) - 0.5;
            im[j] = (double)((seed >> 16) & 0xFFFFFF) / (1 << 24) - 0.5;
            x[j] = re[j] + I * im[j];
            size += (double)n * (re[j] * re[j] + im[j] * im[j]);
        }
        wh_dp_fft_forward(&fft, re, im);
        for (size_t k = 0; k < n; k++) {
            long double complex sum = 0;
            for (size_t j = 0; j < n; j++) {
                long double angle = -2 * 3.141592653589793238462643L * (long double)(j * k % n) / (long double)n;
                sum += x[j] * (cosl(angle) + I * sinl(angle));
            }
            double complex off = re[k] + I * im[k] - (double complex)sum;
            error += creal(off) * creal(off) + cimag(off) * cimag(off);
        }
        assert_true(sqrt(error) <= wh_dp_fft_error(n) * sqrt(size));
        assert_true(n < 16 || sqrt(error) > 0); /* the bound is of something */
        wh_dp_fft_inverse(&fft, re, im);
        for (size_t j = 0; j < n; j++) assert_true(cabs(re[j] / (double)n + I * im[j] / (double)n - x[j]) < 1e-14);
    }
}

/* ---- Closed forms ------------------------------------------------------------------------------ */

/* A mixture with one shift is a Gaussian that goes over the grid. */
static void test_gaussian(void **state)
{
    (void)state;
    static const double one = 1;
    static const double sigma[] = {0.5, 2, 7, 40}, delta[] = {0.1, 1e-5, 1e-12};
    static const uint64_t uses[] = {1, 3, 50, 2000};
    for (size_t s = 0; s < WH_COUNT(sigma); s++)
        for (size_t u = 0; u < WH_COUNT(uses); u++)
            for (size_t d = 0; d < WH_COUNT(delta); d++) {
                whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN_MIXTURE,
                                    .noise = sigma[s],
                                    .n_mixture = 1,
                                    .shift = &one,
                                    .weight = &one,
                                    .count = uses[u]};
                double truth = wh_dp_normal_epsilon(sqrt((double)uses[u]) / sigma[s], delta[d]);
                assert_holds(epsilon_of(&e, 1, delta[d], 1e-4), truth, truth > 1e-3 ? 1e-3 : 1, "gaussian");
            }
}

static void test_laplace(void **state)
{
    (void)state;
    for (double b = 0.2; b < 20; b *= 1.7) {
        whist_dp_event e = {.mechanism = WHIST_DP_LAPLACE, .noise = b};
        double delta = -expm1(-0.25 / b), truth = 1 / b + 2 * log1p(-delta); /* 1 - e^{(eps - 1/b) / 2} */
        assert_holds(epsilon_of(&e, 1, delta, 1e-4), truth, 1e-3, "laplace");
    }
}

/* Pure and approximate mechanisms against the optimal composition theorem. */
static void test_optimal(void **state)
{
    (void)state;
    static const struct {
        double epsilon, delta, at;
        uint64_t uses;
    } rows[] = {
        {0.2, 1e-8, 1e-5, 30}, {1, 0, 1e-6, 7}, {0.05, 0, 1e-9, 400}, {3, 1e-7, 1e-4, 12}, {0.01, 0, 1e-3, 5000}};
    for (size_t i = 0; i < WH_COUNT(rows); i++) {
        whist_dp_event e = {.mechanism = WHIST_DP_APPROXIMATE,
                            .epsilon = rows[i].epsilon,
                            .delta = rows[i].delta,
                            .count = rows[i].uses};
        double truth;
        assert_ok(whist_dp_optimal_epsilon(&truth, e.epsilon, e.delta, e.count, rows[i].at));
        assert_holds(epsilon_of(&e, 1, rows[i].at, 1e-4), truth, 1e-3, "optimal composition");
    }
}

static double binomial_tail_delta(double epsilon, double e, double p, int uses)
{
    double delta = 0;
    for (int s = 0; s <= uses; s++) {
        double loss = (2 * s - uses) * e, log_mass = lgamma(uses + 1) - lgamma(s + 1) - lgamma(uses - s + 1);
        log_mass += s * log(p) + (uses - s) * log1p(-p);
        if (loss > epsilon) delta += exp(log_mass) * -expm1(epsilon - loss);
    }
    return delta;
}

/* delta of `uses` responses whose losses are t with probability p, else t - range. */
static double ranged_delta(double epsilon, double range, double t, int uses)
{
    double delta = 0, p = (exp(range) - exp(t)) / expm1(range);
    for (int s = 0; s <= uses; s++) {
        double loss = uses * t - (uses - s) * range, log_mass = lgamma(uses + 1) - lgamma(s + 1) - lgamma(uses - s + 1);
        log_mass += s * log(p) + (uses - s) * log1p(-p);
        if (loss > epsilon) delta += exp(log_mass) * -expm1(epsilon - loss);
    }
    return delta;
}

/* The exponential mechanism: one use against the envelope of all responses of its range; many against each of them,
 * none of which it may promise less than, and against what is pure of the same epsilon. */
static void test_bounded_range(void **state)
{
    (void)state;
    static const double range[] = {0.01, 0.5, 2, 9};
    for (size_t i = 0; i < WH_COUNT(range); i++) {
        whist_dp_event e = {.mechanism = WHIST_DP_EXPONENTIAL, .epsilon = range[i]}, pure = e;
        for (double x = 0.1; x < 1; x += 0.2) {
            double at = x * range[i], root = exp(range[i] / 2) - exp(at / 2);
            wh_dp_interval one = delta_of(&e, at);
            assert_true(one.upper >= root * root / expm1(range[i]) * (1 - 1e-9));
            assert_true(one.upper <= root * root / expm1(range[i]) * (1 + 2e-3));
        }
        e.count = pure.count = 20;
        pure.mechanism = WHIST_DP_PURE;
        double epsilon = epsilon_of(&e, 1, 1e-6, 1e-4).upper;
        for (double t = 0.02; t < 1; t += 0.02)
            assert_true(ranged_delta(epsilon, range[i], t * range[i], 20) <= 1e-6 * (1 + 1e-9));
        assert_true(epsilon < 0.95 * epsilon_of(&pure, 1, 1e-6, 1e-4).upper);
    }
}

static void test_response(void **state)
{
    (void)state;
    whist_dp_event e = {
        .mechanism = WHIST_DP_RANDOMISED_RESPONSE, .p = 0.7, .k = 2, .count = 30, .relation = WHIST_DP_REPLACE};
    wh_dp_interval i = epsilon_of(&e, 1, 1e-6, 1e-4);
    double one = log(0.65 / 0.35);
    assert_true(binomial_tail_delta(i.upper, one, 0.65, 30) <= 1e-6 * (1 + 1e-9));
    assert_true(binomial_tail_delta(i.lower, one, 0.65, 30) >= 1e-6 * (1 - 1e-9));
    assert_true(i.upper - i.lower < 1e-3 * i.upper);
}

/* One use of a discrete mechanism: its sum. */
static void test_atoms(void **state)
{
    (void)state;
    whist_dp_event events[] = {
        {.mechanism = WHIST_DP_DISCRETE_GAUSSIAN, .noise = 3, .sensitivity = 2},
        {.mechanism = WHIST_DP_DISCRETE_LAPLACE, .noise = 0.4, .sensitivity = 3},
        {.mechanism = WHIST_DP_SKELLAM, .noise = 20, .sensitivity = 1},
        {.mechanism = WHIST_DP_SKELLAM, .noise = 20, .sensitivity = 2, .sampling = WHIST_DP_POISSON, .rate = 0.1},
        {.mechanism = WHIST_DP_RANDOMISED_RESPONSE, .p = 0.6, .k = 5, .relation = WHIST_DP_ZERO_OUT},
        {.mechanism = WHIST_DP_DISCRETE_GAUSSIAN,
         .noise = 5,
         .relation = WHIST_DP_REPLACE,
         .sampling = WHIST_DP_WITHOUT_REPLACEMENT,
         .n = 100,
         .batch = 10},
    };
    for (size_t k = 0; k < WH_COUNT(events); k++) {
        WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
        wh_dp_part part[WH_DP_PARTS_MAX];
        size_t n;
        assert_ok(wh_dp_parts(part, &n, &arena, &events[k]));
        assert_ok(wh_dp_atoms_amplified(&part[0].pair, &arena, &part[0].pair));
        double truth = wh_dp_atoms_delta(&part[0].pair, 0.15);
        assert_holds(delta_of(&events[k], 0.15), truth, 1e-2, "sum over outcomes");
    }
}

/* ---- Fourier inversion -------------------------------------------------------------------------- */

/* delta(eps) of T uses of a sampled Gaussian, without any grid of losses:
 *   1 / (2 pi) * integral over w of exp(K(s) - s eps) / (s (s + 1)),  s = t + i w,  K(s) = T log E_P e^{s L},
 * both integrals by the trapezoidal rule. */
static double inverted_delta(double sigma, double q, double uses, double epsilon, double t, bool backward)
{
    double complex total = 0;
    const double dw = 0.01, dz = 0.02;
    for (double w = 0; w < 400; w += dw) {
        double complex s = t + I * w, excess = 0, k;
        for (double z = -12; z < 12 + 12 / sigma; z += dz) {
            double a = exp(-(z - 1 / sigma) * (z - 1 / sigma) / 2), b = exp(-z * z / 2), mixed = (1 - q) * b + q * a;
            double loss = log1p(q * expm1(z / sigma - 1 / (2 * sigma * sigma)));
            double p = backward ? b : mixed;
            excess += p * dz * 0.39894228040143267794 * (cexp(s * (backward ? -loss : loss)) - 1);
        }
        k = uses * clog(1 + excess);
        double complex term = cexp(k - s * epsilon) / (s * (s + 1));
        total += (w > 0 ? 1 : 0.5) * creal(term) * dw;
        if (cabs(term) < 1e-11 * cabs(total) && w > 1) break;
    }
    return creal(total) / 3.14159265358979323846;
}

static void test_sampled(void **state)
{
    (void)state;
    static const struct {
        double sigma, q, uses, delta, tilt, tilt_back;
    } rows[] = {{1, 0.01, 10000, 1e-5, 3, 4},
                {1, 0.01, 10000, 1e-12, 4.6, 6},
                {2, 0.2, 200, 1e-6, 4, 5},
                {0.8, 0.001, 20000, 1e-5, 5, 9},
                {4, 0.5, 50, 1e-9, 6, 6}};
    for (size_t r = 0; r < WH_COUNT(rows); r++) {
        whist_dp_event e = {.mechanism = WHIST_DP_GAUSSIAN,
                            .noise = rows[r].sigma,
                            .sampling = WHIST_DP_POISSON,
                            .rate = rows[r].q,
                            .count = (uint64_t)rows[r].uses};
        wh_dp_interval i = epsilon_of(&e, 1, rows[r].delta, 1e-4);
        double at_upper = 0, at_lower = 0;
        for (int back = 0; back < 2; back++) {
            double t = back ? rows[r].tilt_back : rows[r].tilt;
            at_upper = fmax(at_upper, inverted_delta(rows[r].sigma, rows[r].q, rows[r].uses, i.upper, t, back));
            at_lower = fmax(at_lower, inverted_delta(rows[r].sigma, rows[r].q, rows[r].uses, i.lower, t, back));
        }
        if (!(at_upper <= rows[r].delta && rows[r].delta <= at_lower))
            fail_msg("row %zu: [%.10g, %.10g] has delta %.10g .. %.10g", r, i.lower, i.upper, at_lower, at_upper);
        assert_true(i.upper - i.lower <= 1e-3 * i.upper);
    }
}

/* The same for rare large losses and for the discrete Gaussian, whose outcomes are z = x / sigma with whole x: forward,
 * with steps of w that suit the losses. */
static double inverted_rare(bool whole, double sigma, double q, double uses, double epsilon, double t, double dw)
{
    double complex total = 0;
    const double dz = whole ? 1 / sigma : 0.02, low = -dz * ceil(12 / dz);
    double norm = 0;
    for (double k = 0; low + k * dz < 12 + 12 / sigma; k++) norm += exp(-(low + k * dz) * (low + k * dz) / 2);
    for (double w = 0; w < 4000 * dw; w += dw) {
        double complex s = t + I * w, excess = 0;
        for (double k = 0; low + k * dz < 12 + 12 / sigma; k++) {
            double z = low + k * dz, a = exp(-(z - 1 / sigma) * (z - 1 / sigma) / 2), b = exp(-z * z / 2);
            double loss = log1p(q * expm1(z / sigma - 1 / (2 * sigma * sigma)));
            excess += ((1 - q) * b + q * a) / norm * (cexp(s * loss) - 1);
        }
        double complex term = cexp(uses * clog(1 + excess) - s * epsilon) / (s * (s + 1));
        total += (w > 0 ? 1 : 0.5) * creal(term) * dw;
        if (cabs(term) < 1e-12 * cabs(total) && w > 50 * dw) break;
    }
    return creal(total) / 3.14159265358979323846;
}

static void test_rare(void **state)
{
    (void)state;
    static const struct {
        bool whole;
        double sigma, q, uses, delta, tilt, dw;
    } rows[] = {{false, 0.5, 1e-5, 1e6, 1e-5, 3.9, 0.1},
                {false, 1, 1e-6, 1e6, 1e-5, 20, 4},
                {false, 1, 1e-5, 1e6, 1e-5, 15, 1},
                {true, 2.5, 0.01, 1e4, 1e-5, 9.8, 0.1},
                {true, 1, 0.001, 1e5, 1e-6, 11, 0.1}};
    for (size_t r = 0; r < WH_COUNT(rows); r++) {
        whist_dp_event e = {.mechanism = rows[r].whole ? WHIST_DP_DISCRETE_GAUSSIAN : WHIST_DP_GAUSSIAN,
                            .noise = rows[r].sigma,
                            .sensitivity = rows[r].whole ? 1 : 0,
                            .sampling = WHIST_DP_POISSON,
                            .rate = rows[r].q,
                            .count = (uint64_t)rows[r].uses};
        double truth[2];
        wh_dp_interval i = epsilon_of(&e, 1, rows[r].delta, 1e-4);
        for (int end = 0; end < 2; end++)
            truth[end] = inverted_rare(rows[r].whole, rows[r].sigma, rows[r].q, rows[r].uses, end ? i.upper : i.lower,
                                       rows[r].tilt, rows[r].dw);
        if (!(truth[1] <= rows[r].delta && rows[r].delta <= truth[0] && truth[0] < 1.02 * truth[1]))
            fail_msg("row %zu: [%.10g, %.10g] has delta %.10g .. %.10g", r, i.lower, i.upper, truth[0], truth[1]);
        if (!(i.upper - i.lower <= 5e-4 * i.upper)) fail_msg("row %zu: [%.10g, %.10g]", r, i.lower, i.upper);
    }
}

/* One use in a hundred that is sampled at all, once in 1e4 runs: delta is that of some loss above epsilon but for what
 * the other uses add, which is less than 1e-4. */
static void test_single(void **state)
{
    (void)state;
    const double q = 1e-6, mu = 2, uses = 100, delta = 1e-10;
    whist_dp_event e = {
        .mechanism = WHIST_DP_GAUSSIAN, .noise = 1 / mu, .sampling = WHIST_DP_POISSON, .rate = q, .count = 100};
    wh_dp_interval i = epsilon_of(&e, 1, delta, 1e-4);
    const double ends[] = {i.lower - 2e-4, i.upper};
    double some[2];
    for (int k = 0; k < 2; k++) {
        double x = log1p(expm1(ends[k]) / q) / mu + mu / 2, s = erfc(x / sqrt(2)) / 2;
        double p = (1 - q) * s + q * erfc((x - mu) / sqrt(2)) / 2;
        some[k] = -expm1(uses * log1p(-p)) + exp(ends[k]) * expm1(uses * log1p(-s));
    }
    if (!(some[1] <= delta && delta <= some[0])) fail_msg("[%g, %g]: %g .. %g", i.lower, i.upper, some[0], some[1]);
    assert_true(i.upper - i.lower <= 5e-4 * i.upper);
}

/* ---- Measures ----------------------------------------------------------------------------------- */

static double curve_at(const wh_dp_measure *m, const double *mass, double epsilon)
{
    double sum = 0;
    for (size_t i = 0; i < m->n; i++) {
        double loss = m->offset + (double)(m->first + (ptrdiff_t)i) * m->h;
        if (loss > epsilon) sum += mass[i] * -expm1(epsilon - loss);
    }
    return sum;
}

/* At every epsilon the hockey-stick curves of the two measures are above and below that of a use, on coarse grids, too,
 * and in both directions. */
static void test_measures(void **state)
{
    (void)state;
    for (double h = 1; h > 1e-3; h /= 3)
        for (int back = 0; back < 2; back++) {
            WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
            const double mu = 1.3, q = 0.05;
            wh_dp_pair pair = {.shape = WH_DP_NORMAL, .mu = mu, .amplify = WH_DP_BY_POISSON, .rate = q};
            wh_dp_cells cells;
            wh_dp_measure m;
            double low, high;
            wh_dp_loss_range(&low, &high, &pair, 1e-20);
            assert_ok(wh_dp_cells_init(&cells, &arena, &pair, h, low, high));
            if (back) wh_dp_cells_mirror(&cells);
            assert_ok(wh_dp_measure_init(&m, &arena, &cells, 3));
            for (double epsilon = -0.04; epsilon < 4; epsilon += 0.01) {
                /* forward: P - e^eps Q over x > x(eps); backward: delta' = 1 - e^eps (1 - …) mirrored */
                double at = back ? -epsilon : epsilon, x = wh_dp_base_loss(&pair, at) / mu + mu / 2;
                double p = (1 - q) * erfc(x / sqrt(2)) / 2 + q * erfc((x - mu) / sqrt(2)) / 2,
                       s = erfc(x / sqrt(2)) / 2;
                double truth = back ? (1 - s) - exp(epsilon) * (1 - p) : p - exp(epsilon) * s;
                assert_true(curve_at(&m, m.above, epsilon) + m.infinity >= truth * (1 - 1e-9) - 1e-15);
                assert_true(curve_at(&m, m.below, epsilon) <= truth * (1 + 1e-9) + 1e-15);
            }
        }
}

static void test_monotone(void **state)
{
    (void)state;
    whist_dp_event e = {
        .mechanism = WHIST_DP_GAUSSIAN, .noise = 1, .sampling = WHIST_DP_POISSON, .rate = 0.02, .count = 100};
    double last = 0;
    for (uint64_t t = 1; t <= 1 << 16; t *= 4) {
        e.count = t;
        wh_dp_interval i = epsilon_of(&e, 1, 1e-6, 1e-4);
        assert_true(i.lower > last);
        last = i.upper;
    }
    last = 0;
    e.count = 300;
    for (double q = 1e-3; q < 1; q *= 2) {
        e.rate = q;
        wh_dp_interval i = epsilon_of(&e, 1, 1e-6, 1e-4);
        assert_true(i.lower > last);
        last = i.upper;
    }
    last = INFINITY;
    e.rate = 0.02;
    for (double sigma = 0.5; sigma < 20; sigma *= 1.5) {
        e.noise = sigma;
        wh_dp_interval i = epsilon_of(&e, 1, 1e-6, 1e-4);
        assert_true(i.upper < last);
        last = i.lower;
    }
}

/* Losses far beyond what e^loss can hold: a strong Gaussian beside something that keeps it from its closed form. */
static void test_large(void **state)
{
    (void)state;
    whist_dp_event e[] = {{.mechanism = WHIST_DP_GAUSSIAN, .noise = 0.7, .count = 4000},
                          {.mechanism = WHIST_DP_LAPLACE, .noise = 2}};
    wh_dp_interval i = epsilon_of(e, 2, 1e-9, 1e-4);
    double alone = wh_dp_normal_epsilon(sqrt(4000) / 0.7, 1e-9);
    assert_true(i.lower <= i.upper && i.upper - i.lower <= 1e-3 * i.upper);
    assert_true(alone <= i.upper && i.lower <= alone + 0.5 && i.lower >= alone * (1 - 1e-4) &&
                i.upper <= alone + 0.5 + 1);
}

/* RDP says twice the truth here; the interval must not. */
static void test_tiny_rate(void **state)
{
    (void)state;
    whist_dp_event e = {
        .mechanism = WHIST_DP_GAUSSIAN, .noise = 0.6, .sampling = WHIST_DP_POISSON, .rate = 1e-4, .count = 100000};
    wh_dp_interval i = epsilon_of(&e, 1, 1e-6, 1e-2);
    assert_true(i.lower > 0.9 && i.upper < 1);
    i = epsilon_of(&e, 1, 1e-5, 1e-4);
    if (!(i.upper - i.lower < 2e-3 * i.upper)) fail_msg("[%g, %g]", i.lower, i.upper);
}

/* A tiny event beside another moves the answer by no more than itself, in whatever order, and makes no grid as fine as
 * its own losses. */
static void test_tiny_beside(void **state)
{
    (void)state;
    const whist_dp_event gauss = {.mechanism = WHIST_DP_GAUSSIAN,
                                  .noise = 1,
                                  .sampling = WHIST_DP_POISSON,
                                  .rate = 0.01,
                                  .count = 1000},
                         pure = {.mechanism = WHIST_DP_PURE, .epsilon = 1, .count = 1},
                         laplace = {.mechanism = WHIST_DP_LAPLACE, .noise = 1, .count = 1};
    const whist_dp_event *const large[] = {&gauss, &pure, &laplace};
    static const double sizes[] = {1e-3, 1e-6, 1e-9};
    for (size_t k = 0; k < WH_COUNT(large); k++) {
        const wh_dp_interval alone = epsilon_of(large[k], 1, 1e-5, 1e-4);
        for (size_t i = 0; i < 2 * WH_COUNT(sizes); i++) {
            const double size = sizes[i / 2];
            const whist_dp_event tiny = i % 2 ? (whist_dp_event){WHIST_DP_PURE, .epsilon = size, .count = 1}
                                              : (whist_dp_event){WHIST_DP_LAPLACE, .noise = 1 / size, .count = 1};
            const whist_dp_event before[] = {tiny, *large[k]}, after[] = {*large[k], tiny};
            const wh_dp_interval a = epsilon_of(before, 2, 1e-5, 1e-4), b = epsilon_of(after, 2, 1e-5, 1e-4);
            assert_true(a.lower <= b.upper && b.lower <= a.upper);
            assert_true(a.upper >= alone.lower && a.lower <= alone.upper + size && b.upper >= alone.lower);
            if (!(a.upper - a.lower <= 2e-4 * a.upper && b.upper - b.lower <= 2e-4 * b.upper))
                fail_msg("%zu, %g: [%g, %g], [%g, %g]", k, size, a.lower, a.upper, b.lower, b.upper);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fft),       cmocka_unit_test(test_gaussian),      cmocka_unit_test(test_laplace),
        cmocka_unit_test(test_optimal),   cmocka_unit_test(test_response),      cmocka_unit_test(test_atoms),
        cmocka_unit_test(test_sampled),   cmocka_unit_test(test_measures),      cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_tiny_rate), cmocka_unit_test(test_large),         cmocka_unit_test(test_rare),
        cmocka_unit_test(test_single),    cmocka_unit_test(test_bounded_range), cmocka_unit_test(test_tiny_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
