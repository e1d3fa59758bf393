/* draw/sample.c: blocks of draws by the kernels; what they leave open goes to draw/exact.c and back into its place. A
 * candidate that is thrown away takes its place with it, so that the order of the draws says nothing. */
#include "draw/sample.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "draw/exact.h"
#include "draw/kern/noise.h"

enum { BLOCK = 1024 }; /* words in each of the two halves of a block: 16 KiB, half of a first-level cache */

typedef struct block {
    uint64_t random[2 * BLOCK];
    int64_t value[2 * BLOCK];
    uint32_t open[BLOCK];
} block;
static void block_end_(block *b)
{
    wh_wipe(b, sizeof *b);
}

static const struct wh_noise_kernels *kernels(void)
{
#if defined(__x86_64__)
    static const struct wh_noise_kernels *const tables[] = {&wh_noise_kernels_generic, &wh_noise_kernels_avx2,
                                                            &wh_noise_kernels_avx512};
    return tables[wh_cpu_get()];
#else
    return &wh_noise_kernels_generic;
#endif
}

static whist_status check_parameter(const char *what, double x)
{
    if (x >= WH_SAMPLE_LEAST && x <= WH_SAMPLE_MOST) return WHIST_OK;
    WH_FAIL(WHIST_E_RANGE, "%s of %g grid steps: allowed are 2^-20 to 2^40; choose a grid that fits", what, x);
}

/* Lanes for `want` more draws: a multiple of 8, at most BLOCK. */
static size_t lanes_for(size_t want)
{
    return want >= BLOCK ? BLOCK : (want + 7) / 8 * 8;
}

/* ---- Rounded Gaussian ------------------------------------------------------------------------- */

static whist_status close_normal(int64_t *value, block *b, wh_noise *noise, size_t n, double s, size_t n_open)
{
    for (size_t k = 0; k < n_open; k++) {
        size_t i = b->open[k];
        WH_AUTO(wh_lazy) u = wh_lazy_of(b->random[i]);
        WH_AUTO(wh_lazy) v = wh_lazy_of(b->random[n + i]);
        int64_t pair[2];
        WH_TRY(wh_exact_normal(pair, noise, &u, &v, s));
        value[i] = pair[0];
        value[n + i] = pair[1];
        wh_wipe(pair, sizeof pair);
    }
    return WHIST_OK;
}

static whist_status normals(block *b, wh_noise *noise, int64_t *out, size_t n, double s)
{
    const struct wh_noise_kernels *kern = kernels();
    while (n > 0) {
        size_t lanes = lanes_for((n + 1) / 2), count = 2 * lanes < n ? 2 * lanes : n;
        WH_TRY(wh_noise_bytes(noise, b->random, 2 * lanes * sizeof b->random[0]));
        int64_t *value = count == 2 * lanes ? out : b->value; /* no copy where the block fits */
        size_t n_open = kern->normal(value, b->random, lanes, s, b->open);
        WH_TRY(close_normal(value, b, noise, lanes, s, n_open));
        if (value != out) memcpy(out, value, count * sizeof *out);
        out += count;
        n -= count;
    }
    return WHIST_OK;
}

/* On the way out of every sampler: no half-made noise. */
static whist_status finish(whist_status status, int64_t *out, size_t n)
{
    if (status != WHIST_OK && n > 0) wh_wipe(out, n * sizeof *out);
    return status;
}

whist_status wh_sample_normal(wh_noise *noise, int64_t *out, size_t n, double s)
{
    WH_AUTO(block) b;
    whist_status status = check_parameter("a standard deviation", s);
    if (status == WHIST_OK) status = normals(&b, noise, out, n, s);
    return finish(status, out, n);
}

/* ---- Laplace ----------------------------------------------------------------------------------- */

static whist_status close_exponential(block *b, wh_noise *noise, double s, bool half, size_t n_open)
{
    for (size_t k = 0; k < n_open; k++) {
        size_t i = b->open[k];
        WH_AUTO(wh_lazy) u = {.known = 0};
        int64_t y = 0, sign = -(int64_t)(b->random[i] & 1);
        WH_TRY(wh_lazy_of63(&u, noise, b->random[i]));
        WH_TRY(wh_exact_floor(&y, noise, &u, s, half));
        b->value[i] = !half && sign && y == 0 ? WH_NO_DRAW : (y ^ sign) - sign;
    }
    return WHIST_OK;
}

/* Appends the draws of a block that were kept; returns how many fitted. */
static size_t keep(int64_t *out, size_t room, const int64_t *value, size_t lanes)
{
    size_t n = 0;
    for (size_t i = 0; i < lanes && n < room; i++) {
        out[n] = value[i];
        n += value[i] != WH_NO_DRAW;
    }
    return n;
}

static whist_status exponentials(block *b, wh_noise *noise, int64_t *out, size_t n, double s, bool half)
{
    const struct wh_noise_kernels *kern = kernels();
    while (n > 0) {
        size_t lanes = lanes_for(n);
        WH_TRY(wh_noise_bytes(noise, b->random, lanes * sizeof b->random[0]));
        size_t n_open = kern->exponential(b->value, b->random, lanes, s, half ? 0.5 : 0, b->open);
        WH_TRY(close_exponential(b, noise, s, half, n_open));
        size_t count = keep(out, n, b->value, lanes);
        out += count;
        n -= count;
    }
    return WHIST_OK;
}

whist_status wh_sample_laplace(wh_noise *noise, int64_t *out, size_t n, double s)
{
    WH_AUTO(block) b;
    whist_status status = check_parameter("a Laplace scale", s);
    if (status == WHIST_OK) status = exponentials(&b, noise, out, n, s, true);
    return finish(status, out, n);
}

/* floor(scale E) >= j exactly where E >= j / scale: geometric with ratio exp(-1/scale). Of the two zeros one is thrown
 * away. */
whist_status wh_sample_discrete_laplace(wh_noise *noise, int64_t *out, size_t n, double scale)
{
    WH_AUTO(block) b;
    whist_status status = check_parameter("a Laplace scale", scale);
    if (status == WHIST_OK) status = exponentials(&b, noise, out, n, scale, false);
    return finish(status, out, n);
}

/* ---- Discrete Gaussian ------------------------------------------------------------------------- */

/* E' > (y - sigma^2/t)^2 / (2 sigma^2), all times 2 sigma^2 t^2 2^(2 d), sigma^2 = m^2 2^-d:
 * E' 2 m^2 t^2 2^d > (y t 2^d - m^2)^2. */
static whist_status accept(bool *out, wh_noise *noise, wh_lazy *u, uint64_t y, double sigma, uint64_t t)
{
    uint64_t m;
    int e;
    wh_double_parts(sigma, &m, &e);
    wh_big m1 = wh_big_of(m), t1 = wh_big_of(t), y1 = wh_big_of(y);
    wh_big m2 = wh_big_mul(&m1, &m1), t2 = wh_big_mul(&t1, &t1), yt = wh_big_mul(&y1, &t1);
    unsigned d = (unsigned)(-2 * e);
    wh_big num = wh_big_mul(&m2, &t2), root = wh_big_shift(&yt, d);
    num = wh_big_shift(&num, d + 1);
    root = wh_big_sub(&root, &m2);
    wh_big den = wh_big_mul(&root, &root);
    return wh_exact_above(out, noise, u, &num, &den);
}

static whist_status close_gauss(block *b, wh_noise *noise, size_t n, double sigma, double t, size_t n_open)
{
    for (size_t k = 0; k < n_open; k++) {
        size_t i = b->open[k];
        WH_AUTO(wh_lazy) u = {.known = 0};
        WH_AUTO(wh_lazy) v = wh_lazy_of(b->random[n + i]);
        int64_t y = 0, sign = -(int64_t)(b->random[i] & 1);
        bool kept = false;
        WH_TRY(wh_lazy_of63(&u, noise, b->random[i]));
        WH_TRY(wh_exact_floor(&y, noise, &u, t, false));
        WH_TRY(accept(&kept, noise, &v, (uint64_t)y, sigma, (uint64_t)t));
        b->value[i] = !kept || (sign && y == 0) ? WH_NO_DRAW : (y ^ sign) - sign;
    }
    return WHIST_OK;
}

static whist_status gausses(block *b, wh_noise *noise, int64_t *out, size_t n, double sigma)
{
    const struct wh_noise_kernels *kern = kernels();
    const double t = floor(sigma) + 1;
    const wh_gauss_try try_ = {t, M_SQRT1_2 / sigma, sigma * M_SQRT1_2 / t};
    while (n > 0) {
        size_t lanes = lanes_for(n + n / 2); /* two in three are kept */
        WH_TRY(wh_noise_bytes(noise, b->random, 2 * lanes * sizeof b->random[0]));
        size_t n_open = kern->gauss(b->value, b->random, lanes, &try_, b->open);
        WH_TRY(close_gauss(b, noise, lanes, sigma, t, n_open));
        size_t count = keep(out, n, b->value, lanes);
        out += count;
        n -= count;
    }
    return WHIST_OK;
}

whist_status wh_sample_discrete_gauss(wh_noise *noise, int64_t *out, size_t n, double sigma)
{
    WH_AUTO(block) b;
    whist_status status = check_parameter("a standard deviation", sigma);
    if (status == WHIST_OK) status = gausses(&b, noise, out, n, sigma);
    return finish(status, out, n);
}

/* ---- Single decisions -------------------------------------------------------------------------- */

whist_status wh_sample_ratio(wh_noise *noise, bool *out, uint64_t num, uint64_t den)
{
    WH_ENSURE(den > 0 && num <= den, WHIST_E_ARG);
    uint64_t x;
    WH_TRY(wh_noise_below(noise, &x, den));
    *out = x < num;
    return WHIST_OK;
}

/* The bits of U and of p are compared word by word; p has no bits below 2^-1074. */
whist_status wh_sample_bernoulli(wh_noise *noise, bool *out, double p)
{
    if (!(p >= 0 && p <= 1)) WH_FAIL(WHIST_E_RANGE, "a probability of %g: allowed are 0 to 1", p);
    double left = p;
    for (;;) {
        left = ldexp(left, 64); /* exact: a power of two */
        uint64_t word, mine;
        if (left >= 0x1p64) { /* p was 1, or U's bits so far equal those of p and there is a carry: cannot pass */
            *out = true;
            return WHIST_OK;
        }
        mine = (uint64_t)left;
        WH_TRY(wh_noise_u64(noise, &word));
        if (word != mine || left == 0) {
            *out = word < mine;
            return WHIST_OK;
        }
        left -= (double)mine; /* exact: the bits below one */
    }
}

/* E > x, by the exponential kernel where it can tell. */
whist_status wh_sample_exp(wh_noise *noise, bool *out, double x)
{
    if (!(x >= 0 && isfinite(x))) WH_FAIL(WHIST_E_RANGE, "exp(-x) for x = %g is no probability", x);
    if (x == 0) {
        *out = true;
        return WHIST_OK;
    }
    if (x > 1000) { /* 2^-1400: not in the life of any machine, but not never */
        WH_TRY(wh_sample_exp(noise, out, 500));
        return *out ? wh_sample_exp(noise, out, x - 500) : WHIST_OK;
    }
    WH_AUTO(wh_lazy) u = {.known = 0};
    u.known = 1;
    WH_TRY(wh_noise_u64(noise, &u.word[0]));
    double about = -log(ldexp((double)(u.word[0] | 1), -64)), margin = 0x1p-40 * (1 + x);
    if (u.word[0] >> 48 && fabs(about - x) > margin) {
        *out = about > x;
        return WHIST_OK;
    }
    uint64_t m;
    int e;
    wh_double_parts(x, &m, &e);
    wh_big one = wh_big_of(1), num = wh_big_shift(&one, e < 0 ? (unsigned)-e : 0), den = wh_big_of(m);
    den = wh_big_shift(&den, e > 0 ? (unsigned)e : 0);
    return wh_exact_above(out, noise, &u, &num, &den);
}

/* E / -ln(1 - q) rounded down, by libm where it can tell; rate = -ln(1 - q), about. */
static whist_status geometric(wh_noise *noise, int64_t *out, uint64_t word, double rate, double q)
{
    double ratio = -log(ldexp((double)(word | 1), -64)) / rate, whole = floor(ratio);
    double margin = 0x1p-40 * (1 + ratio) + 0x1p-44 / q;
    if (word >> 48 && ratio < 0x1p40 && ratio - whole > margin && whole + 1 - ratio > margin) {
        *out = (int64_t)whole;
        return WHIST_OK;
    }
    WH_AUTO(wh_lazy) u = wh_lazy_of(word);
    return wh_exact_geometric(out, noise, &u, q);
}

whist_status wh_sample_geometric(wh_noise *noise, int64_t *out, size_t n, double q)
{
    enum { WORDS = 64 };
    if (!(q >= 0x1p-40 && q <= 1)) WH_FAIL(WHIST_E_RANGE, "a rate of %g: allowed are 2^-40 to 1", q);
    if (q == 1) {
        memset(out, 0, n * sizeof *out);
        return WHIST_OK;
    }
    const double rate = -log1p(-q);
    uint64_t word[WORDS];
    whist_status status = WHIST_OK;
    for (size_t from = 0; from < n && status == WHIST_OK; from += WORDS) {
        const size_t some = n - from < WORDS ? n - from : WORDS;
        status = wh_noise_bytes(noise, word, some * sizeof word[0]);
        for (size_t i = 0; i < some && status == WHIST_OK; i++)
            status = geometric(noise, &out[from + i], word[i], rate, q);
    }
    wh_wipe(word, sizeof word);
    return finish(status, out, n);
}
