/* draw/exact.c: intervals of wide numbers around E, narrowed until they lie on one side of a boundary.
 *
 * U is written as m 2^-zeros with m in [1/2, 1) known to n words, which takes n + zeros/64 + 1 words of U. What is not
 * known of m is below one unit, so -ln U lies within 2 units of -ln of the known part. */
#include "draw/exact.h"

#include <math.h>
#include <string.h>

/* A number known as x +- error, both in units of 2^(-64 n). */
typedef struct interval {
    uint64_t x[WH_WIDE_MAX + 1];
    size_t n;
    unsigned error; /* log2 */
} interval;

static const size_t precisions[] = {4, 8, WH_WIDE_MAX};

wh_lazy wh_lazy_of(uint64_t k)
{
    return (wh_lazy){.word = {k}, .known = 1};
}

whist_status wh_lazy_of63(wh_lazy *out, wh_noise *noise, uint64_t k)
{
    uint64_t fresh;
    WH_TRY(wh_noise_u64(noise, &fresh));
    *out = wh_lazy_of((k & ~UINT64_C(1)) | (fresh & 1));
    return WHIST_OK;
}

static whist_status know(wh_noise *noise, wh_lazy *u, size_t words)
{
    if (words > WH_LAZY_WORDS) WH_FAIL(WHIST_E_STATE, "a random number of which 1,024 bits are zero");
    if (words <= u->known) return WHIST_OK;
    WH_TRY(wh_noise_bytes(noise, u->word + u->known, (words - u->known) * sizeof u->word[0]));
    u->known = (unsigned)words;
    return WHIST_OK;
}

/* Leading zero bits of U; draws until there is a one. */
static whist_status leading_zeros(unsigned *out, wh_noise *noise, wh_lazy *u)
{
    size_t i = 0;
    for (;; i++) {
        WH_TRY(know(noise, u, i + 1));
        if (i == WH_LAZY_WORDS / 2) WH_FAIL(WHIST_E_STATE, "a random number of which 1,024 bits are zero");
        if (u->word[i] != 0) break;
    }
    *out = (unsigned)(64 * i) + (unsigned)__builtin_clzll(u->word[i]);
    return WHIST_OK;
}

/* The first n words behind `skip` bits, least word first. */
static void window(uint64_t *out, const wh_lazy *u, unsigned skip, size_t n)
{
    size_t from = skip / 64;
    unsigned bits = skip % 64;
    for (size_t i = 0; i < n; i++) {
        uint64_t high = u->word[from + i] << bits;
        uint64_t low = bits ? u->word[from + i + 1] >> (64 - bits) : 0;
        out[n - 1 - i] = high | low;
    }
}

/* -ln U within 2^(LOG_ERROR + 1) units. */
static whist_status exponential(interval *out, wh_noise *noise, wh_lazy *u, size_t n)
{
    unsigned zeros = 0;
    uint64_t m[WH_WIDE_MAX];
    WH_TRY(leading_zeros(&zeros, noise, u));
    WH_TRY(know(noise, u, zeros / 64 + n + 1));
    window(m, u, zeros, n);
    wh_wide_neg_log(out->x, m, zeros, n);
    wh_wipe(m, sizeof m);
    out->n = n;
    out->error = WH_WIDE_LOG_ERROR + 1;
    return WHIST_OK;
}

/* Sign of (interval * num - den * 2^(64 n)), 0 where it is open. */
static int side(const interval *g, const wh_big *num, const wh_big *den)
{
    wh_big x = wh_big_words(g->x, g->n + 1), one = wh_big_of(1);
    wh_big error = wh_big_shift(&one, g->error);
    wh_big bound = wh_big_shift(den, (unsigned)(64 * g->n));
    wh_big high = wh_big_add(&x, &error);
    wh_big low = wh_big_cmp(&x, &error) > 0 ? wh_big_sub(&x, &error) : wh_big_of(0);
    high = wh_big_mul(&high, num);
    low = wh_big_mul(&low, num);
    return wh_big_cmp(&low, &bound) > 0 ? 1 : wh_big_cmp(&high, &bound) < 0 ? -1 : 0;
}

#define OPEN_AFTER_ALL(what) WH_FAIL(WHIST_E_STATE, "960 bits do not decide %s: draw again", what)

whist_status wh_exact_above(bool *out, wh_noise *noise, wh_lazy *u, const wh_big *num, const wh_big *den)
{
    for (size_t i = 0; i < WH_COUNT(precisions); i++) {
        interval e;
        WH_TRY(exponential(&e, noise, u, precisions[i]));
        int s = side(&e, num, den);
        wh_wipe(&e, sizeof e);
        if (s == 0) continue;
        *out = s > 0;
        return WHIST_OK;
    }
    OPEN_AFTER_ALL("a comparison");
}

/* The highest two words, to some 60 bits. */
static double about(const interval *g)
{
    return (double)g->x[g->n] + ldexp((double)g->x[g->n - 1], -64) + ldexp((double)g->x[g->n - 2], -128);
}

/* How often b2(j) is passed by the interval: finds j with step(j) < g < step(j + 1) near a guess; false where open.
 * Boundary j, doubled: 2 j (floor) or 2 j - 1 (round). g * num > boundary_2^power * den_unit tells that g is above. */
typedef struct ladder {
    wh_big num;
    unsigned shift; /* boundary is shifted left by this */
    bool half;      /* boundaries at j - 1/2 */
    bool squared;   /* g is a square: boundaries too */
} ladder;

static int against(const interval *g, const ladder *l, int64_t j)
{
    wh_big b = wh_big_of(2 * (uint64_t)j - l->half);
    if (l->squared) b = wh_big_mul(&b, &b);
    b = wh_big_shift(&b, l->shift);
    return side(g, &l->num, &b);
}

/* *out is the largest j >= 0 whose boundary lies below g (boundary 0 always does). */
static bool climb(int64_t *out, const interval *g, const ladder *l, double guess)
{
    int64_t j = guess > 0x1p61 ? (int64_t)1 << 61 : (int64_t)guess;
    for (;;) {
        int up = against(g, l, j + 1);
        if (up == 0) return false;
        if (up < 0) break;
        j++;
    }
    while (j > 0) {
        int down = against(g, l, j);
        if (down == 0) return false;
        if (down > 0) break;
        j--;
    }
    *out = j;
    return true;
}

/* 2 s E against 2 j or 2 j - 1, with s = m 2^e. */
whist_status wh_exact_floor(int64_t *out, wh_noise *noise, wh_lazy *u, double s, bool half)
{
    uint64_t m;
    int e;
    wh_double_parts(s, &m, &e);
    wh_big num = wh_big_of(m);
    ladder l = {
        .num = wh_big_shift(&num, e > 0 ? 1 + (unsigned)e : 1), .shift = e < 0 ? (unsigned)-e : 0, .half = half};
    for (size_t i = 0; i < WH_COUNT(precisions); i++) {
        interval g;
        WH_TRY(exponential(&g, noise, u, precisions[i]));
        bool closed = climb(out, &g, &l, floor(s * about(&g) + (half ? 0.5 : 0)));
        wh_wipe(&g, sizeof g);
        if (closed) return WHIST_OK;
    }
    OPEN_AFTER_ALL("where a draw lies");
}

/* E(u) against j * lambda, lambda = -ln(1 - q): 1 above, -1 below, 0 open. 1 - q is a dyadic number, known exactly. */
static int against_rate(const interval *e, const interval *rate, uint64_t j)
{
    wh_big x = wh_big_words(e->x, e->n + 1), y = wh_big_words(rate->x, rate->n + 1), times = wh_big_of(j);
    y = wh_big_mul(&y, &times);
    wh_big one = wh_big_of(1), error = wh_big_shift(&one, rate->error);
    error = wh_big_mul(&error, &times);
    wh_big own = wh_big_shift(&one, e->error);
    error = wh_big_add(&error, &own);
    wh_big gap = wh_big_sub(&x, &y);
    if (wh_big_cmp(&gap, &error) <= 0) return 0;
    return wh_big_cmp(&x, &y) > 0 ? 1 : -1;
}

/* 1 - q as a mantissa of n words and leading zeros: q = m 2^e, e >= -93. */
static void rate_of(interval *out, double q, size_t n)
{
    uint64_t m;
    int e;
    wh_double_parts(q, &m, &e);
    wh_big one = wh_big_of(1), part = wh_big_of(m);
    unsigned all = (unsigned)(64 * n);
    one = wh_big_shift(&one, all);
    part = wh_big_shift(&part, all - (unsigned)-e);
    wh_big rest = wh_big_sub(&one, &part);
    unsigned zeros = 0;
    while (!(rest.word[n - 1] >> 63)) {
        rest = wh_big_shift(&rest, 1);
        zeros++;
    }
    wh_wide_neg_log(out->x, rest.word, zeros, n);
    out->n = n;
    out->error = WH_WIDE_LOG_ERROR;
}

whist_status wh_exact_geometric(int64_t *out, wh_noise *noise, wh_lazy *u, double q)
{
    const int64_t most = INT64_MAX / 2;
    for (size_t i = 0; i < WH_COUNT(precisions); i++) {
        interval e, rate;
        WH_TRY(exponential(&e, noise, u, precisions[i]));
        rate_of(&rate, q, precisions[i]);
        double guess = floor(about(&e) / -log1p(-q));
        int64_t j = guess < (double)most ? (int64_t)guess : most;
        int up = against_rate(&e, &rate, (uint64_t)j + 1), down = 1;
        while (up > 0 && j < most) up = against_rate(&e, &rate, (uint64_t)++j + 1);
        while (up != 0 && j > 0 && (down = against_rate(&e, &rate, (uint64_t)j)) < 0) j--;
        wh_wipe(&e, sizeof e);
        if (up == 0 || down == 0) continue;
        *out = j;
        return WHIST_OK;
    }
    OPEN_AFTER_ALL("the length of a run");
}

/* (s R |cos|)^2 = s^2 E (1 + cos 4 pi V), and with the sine 1 - cos: half a turn further in 2 V. */
static whist_status square(interval *out, wh_noise *noise, const interval *e, wh_lazy *v, bool sine)
{
    size_t n = e->n;
    uint64_t turn[WH_WIDE_MAX], c[WH_WIDE_MAX + 1];
    WH_TRY(know(noise, v, n + 1));
    window(turn, v, 1, n);
    if (sine) turn[n - 1] ^= UINT64_C(1) << 63;
    wh_wide_one_plus_cos(c, turn, n);
    wh_wide_mul(out->x, e->x, c, n);
    wh_wipe(turn, sizeof turn);
    wh_wipe(c, sizeof c);
    out->n = n;
    /* E < 2^10 times the error of the cosine (and of the unknown end of V: below 8 units), 2 times that of E. */
    out->error = 10 + WH_WIDE_COS_ERROR + 2;
    return WHIST_OK;
}

whist_status wh_exact_normal(int64_t out[2], wh_noise *noise, wh_lazy *u, wh_lazy *v, double s)
{
    uint64_t m;
    int e;
    wh_double_parts(s, &m, &e);
    wh_big num = wh_big_of(m);
    num = wh_big_mul(&num, &num);
    ladder l = {.num = wh_big_shift(&num, 2), .shift = (unsigned)(-2 * e), .half = true, .squared = true};
    WH_CHECK(e <= 0);
    bool closed[2] = {false, false};
    for (size_t i = 0; i < WH_COUNT(precisions) && !(closed[0] && closed[1]); i++) {
        interval r, g;
        WH_TRY(exponential(&r, noise, u, precisions[i]));
        for (int k = 0; k < 2; k++) {
            WH_TRY(square(&g, noise, &r, v, k == 1));
            if (!closed[k]) closed[k] = climb(&out[k], &g, &l, floor(s * sqrt(about(&g)) + 0.5));
        }
        wh_wipe(&r, sizeof r);
        wh_wipe(&g, sizeof g);
    }
    if (!(closed[0] && closed[1])) OPEN_AFTER_ALL("where a draw lies");
    unsigned quarter = (unsigned)(v->word[0] >> 62);
    if (quarter == 1 || quarter == 2) out[0] = -out[0];
    if (quarter >= 2) out[1] = -out[1];
    return WHIST_OK;
}
