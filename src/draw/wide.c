/* draw/wide.c: logarithm, cosine and exponential by shifts and series.
 *
 *   -ln m      m grows by factors (1 + 2^-k), k = 1 .. 16, as long as it stays below 1. After step k,
 *              m >= 1 / (1 + 2^-k), because (1 + 2^-(k+1))^2 > 1 + 2^-k. Then r = 1 - m <= 2^-16 and
 *              -ln m = sum of the ln(1 + 2^-k) used + r + r^2/2 + r^3/3 + …
 *   cos        Taylor's series on [0, pi/2]; the quadrants by symmetry, exactly.
 *   exp(-x)    (exp(-x / 2^j))^(2^j) with x / 2^j < 2^-8.
 *
 * Constants (ln 2, ln(1 + 2^-k), pi) come from atanh and atan series with one word more than is used. Their error is
 * below two units after the cut. */
#include "draw/wide.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { STEPS = 16, FULL = WH_WIDE_MAX + 1 };

static struct constants {
    uint64_t ln2[FULL + 1], pi[FULL + 1], ln_step[STEPS + 1][FULL + 1]; /* FULL fraction words each */
} constants;
static pthread_once_t constants_once = PTHREAD_ONCE_INIT;

/* ---- Words ----------------------------------------------------------------------------------- */

static bool is_zero(const uint64_t *x, size_t words)
{
    uint64_t any = 0;
    for (size_t i = 0; i < words; i++) any |= x[i];
    return any == 0;
}

static void add(uint64_t *x, const uint64_t *y, size_t words)
{
    unsigned __int128 carry = 0;
    for (size_t i = 0; i < words; i++) {
        carry += (unsigned __int128)x[i] + y[i];
        x[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void sub(uint64_t *x, const uint64_t *y, size_t words)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < words; i++) {
        unsigned __int128 d = (unsigned __int128)x[i] - y[i] - borrow;
        x[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
}

static void times_word(uint64_t *x, uint64_t factor, size_t words)
{
    unsigned __int128 carry = 0;
    for (size_t i = 0; i < words; i++) {
        carry += (unsigned __int128)x[i] * factor;
        x[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* x >>= bits, bits < 64. */
static void shift_right(uint64_t *x, unsigned bits, size_t words)
{
    if (bits == 0) return;
    for (size_t i = 0; i + 1 < words; i++) x[i] = x[i] >> bits | x[i + 1] << (64 - bits);
    x[words - 1] >>= bits;
}

void wh_wide_div(uint64_t *x, uint64_t d, size_t n)
{
    unsigned __int128 rest = 0;
    for (size_t i = n + 1; i-- > 0;) {
        rest = rest << 64 | x[i];
        x[i] = (uint64_t)(rest / d);
        rest %= d;
    }
}

void wh_wide_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t product[2 * (FULL + 1)] = {0};
    size_t words = n + 1;
    for (size_t i = 0; i < words; i++) {
        unsigned __int128 carry = 0;
        for (size_t j = 0; j < words; j++) {
            carry += (unsigned __int128)a[i] * b[j] + product[i + j];
            product[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        product[i + words] = (uint64_t)carry;
    }
    memcpy(out, product + n, words * sizeof *out);
}

/* ---- Constants -------------------------------------------------------------------------------- */

/* out = sum over i of (sign)^i * d^-(2i+1) / (2i+1): atanh(1/d) for sign +1, atan(1/d) for -1. */
static void inverse_series(uint64_t *out, uint64_t d, int sign)
{
    uint64_t power[FULL + 1] = {0}, term[FULL + 1];
    memset(out, 0, (FULL + 1) * sizeof *out);
    power[FULL] = 1;
    wh_wide_div(power, d, FULL);
    for (uint64_t i = 0; !is_zero(power, FULL + 1); i++) {
        memcpy(term, power, sizeof term);
        wh_wide_div(term, 2 * i + 1, FULL);
        (sign < 0 && i % 2 ? sub : add)(out, term, FULL + 1);
        wh_wide_div(power, d, FULL);
        wh_wide_div(power, d, FULL);
    }
}

/* ln 2 = 2 atanh(1/3); ln(1 + 2^-k) = 2 atanh(1 / (2^(k+1) + 1)); pi = 16 atan(1/5) - 4 atan(1/239) (Machin). */
static void make_constants(void)
{
    uint64_t part[FULL + 1];
    inverse_series(constants.ln2, 3, 1);
    times_word(constants.ln2, 2, FULL + 1);
    for (unsigned k = 1; k <= STEPS; k++) {
        inverse_series(constants.ln_step[k], (UINT64_C(2) << k) + 1, 1);
        times_word(constants.ln_step[k], 2, FULL + 1);
    }
    inverse_series(constants.pi, 5, -1);
    times_word(constants.pi, 16, FULL + 1);
    inverse_series(part, 239, -1);
    times_word(part, 4, FULL + 1);
    sub(constants.pi, part, FULL + 1);
}

/* The constant with n fraction words. */
static const uint64_t *cut(const uint64_t *constant, size_t n)
{
    return constant + (FULL - n);
}

/* ---- Functions -------------------------------------------------------------------------------- */

/* Error in units: ln 2 gives at most 2 * zeros <= 2048; each of 16 steps cuts m by less than 1, which moves ln m by
 * less than 2, and adds a constant off by 2: together 64; the series cuts fewer than 2 in each of at most 61 terms,
 * and the error of r^j is below that of j cuts times 2^-16. All together below 2^12. */
void wh_wide_neg_log(uint64_t *out, const uint64_t *mantissa, unsigned zeros, size_t n)
{
    (void)pthread_once(&constants_once, make_constants);
    uint64_t m[WH_WIDE_MAX + 1], part[WH_WIDE_MAX + 1], sum[WH_WIDE_MAX + 1];
    size_t words = n + 1;
    memcpy(m, mantissa, n * sizeof *m);
    m[n] = 0;
    memcpy(sum, cut(constants.ln2, n), words * sizeof *sum);
    times_word(sum, zeros, words);
    for (unsigned k = 1; k <= STEPS; k++) {
        memcpy(part, m, words * sizeof *part);
        shift_right(part, k, words);
        add(part, m, words);
        if (part[n] != 0) continue; /* would reach 1 */
        memcpy(m, part, words * sizeof *m);
        add(sum, cut(constants.ln_step[k], n), words);
    }
    uint64_t r[WH_WIDE_MAX + 1] = {0}, power[WH_WIDE_MAX + 1];
    r[n] = 1;
    sub(r, m, words);
    memcpy(power, r, words * sizeof *power);
    for (uint64_t j = 1; !is_zero(power, words); j++) {
        memcpy(part, power, words * sizeof *part);
        wh_wide_div(part, j, n);
        add(sum, part, words);
        wh_wide_mul(power, power, r, n);
    }
    memcpy(out, sum, words * sizeof *out);
}

/* cos z for 0 <= z <= pi/2, even and odd terms apart so that nothing is negative on the way. Fewer than 100 terms, each
 * off by less than 4 units, and z by less than 8: below 2^10. */
static void cosine(uint64_t *out, const uint64_t *z, size_t n)
{
    size_t words = n + 1;
    uint64_t z2[WH_WIDE_MAX + 1], term[WH_WIDE_MAX + 1] = {0}, minus[WH_WIDE_MAX + 1] = {0};
    wh_wide_mul(z2, z, z, n);
    term[n] = 1;
    memset(out, 0, words * sizeof *out);
    for (uint64_t i = 1; !is_zero(term, words); i += 2) {
        add(i % 4 == 1 ? out : minus, term, words);
        wh_wide_mul(term, term, z2, n);
        wh_wide_div(term, i * (i + 1), n);
    }
    sub(out, minus, words);
    if (out[n] >> 63) memset(out, 0, words * sizeof *out); /* cut off below 0 */
}

/* v in quarters: 1 + cos(2 pi v) = 1 + cos z near 0 and 1, 1 - cos z near 1/2, with z the distance in turns. */
void wh_wide_one_plus_cos(uint64_t *out, const uint64_t *turn, size_t n)
{
    (void)pthread_once(&constants_once, make_constants);
    size_t words = n + 1;
    uint64_t v[WH_WIDE_MAX + 1] = {0}, z[WH_WIDE_MAX + 1], c[WH_WIDE_MAX + 1];
    memcpy(v, turn, n * sizeof *v);
    unsigned quarter = (unsigned)(v[n - 1] >> 62);
    if (quarter == 1 || quarter == 2) { /* distance from 1/2 */
        uint64_t half[WH_WIDE_MAX + 1] = {0};
        half[n - 1] = UINT64_C(1) << 63;
        if (quarter == 1) {
            sub(half, v, words);
            memcpy(v, half, words * sizeof *v);
        } else {
            sub(v, half, words);
        }
    } else if (quarter == 3) { /* distance from 1 */
        uint64_t one[WH_WIDE_MAX + 1] = {0};
        one[n] = 1;
        sub(one, v, words);
        memcpy(v, one, words * sizeof *v);
    }
    memcpy(z, cut(constants.pi, n), words * sizeof *z);
    times_word(z, 2, words);
    wh_wide_mul(z, z, v, n);
    cosine(c, z, n);
    memset(out, 0, words * sizeof *out);
    out[n] = 1;
    (quarter == 1 || quarter == 2 ? sub : add)(out, c, words);
    if (out[n] >> 63) memset(out, 0, words * sizeof *out);
}

/* x / 2^20 < 2^-8; the series cuts fewer than 130 times; each of 20 squarings at most doubles the error of a number
 * below 1 and adds 1. That alone would be 2^27 units, so n + 1 fraction words are used inside. */
void wh_wide_exp_neg(uint64_t *out, const uint64_t *x, size_t n)
{
    enum { HALVINGS = 20 };
    size_t m = n + 1, words = m + 1;
    uint64_t y[FULL + 1] = {0}, plus[FULL + 1] = {0}, minus[FULL + 1] = {0}, term[FULL + 1] = {0};
    memcpy(y + 1, x, (n + 1) * sizeof *y);
    shift_right(y, HALVINGS, words);
    term[m] = 1;
    for (uint64_t j = 1; !is_zero(term, words); j++) {
        add(j % 2 ? plus : minus, term, words);
        wh_wide_mul(term, term, y, m);
        wh_wide_div(term, j, m);
    }
    sub(plus, minus, words);
    for (int i = 0; i < HALVINGS; i++) wh_wide_mul(plus, plus, plus, m);
    memcpy(out, plus + 1, (n + 1) * sizeof *out);
}

/* ---- Whole numbers ---------------------------------------------------------------------------- */

wh_big wh_big_of(uint64_t x)
{
    return (wh_big){{x}};
}

wh_big wh_big_words(const uint64_t *x, size_t n)
{
    wh_big big = {{0}};
    memcpy(big.word, x, n * sizeof *x);
    return big;
}

wh_big wh_big_add(const wh_big *a, const wh_big *b)
{
    wh_big out = *a;
    add(out.word, b->word, WH_BIG);
    return out;
}

wh_big wh_big_sub(const wh_big *a, const wh_big *b)
{
    bool less = wh_big_cmp(a, b) < 0;
    wh_big out = less ? *b : *a;
    sub(out.word, less ? a->word : b->word, WH_BIG);
    return out;
}

static size_t used(const wh_big *a)
{
    size_t n = WH_BIG;
    while (n > 0 && a->word[n - 1] == 0) n--;
    return n;
}

wh_big wh_big_mul(const wh_big *a, const wh_big *b)
{
    size_t na = used(a), nb = used(b);
    WH_CHECK(na + nb <= WH_BIG);
    wh_big out = {{0}};
    for (size_t i = 0; i < na; i++) {
        unsigned __int128 carry = 0;
        for (size_t j = 0; j < nb; j++) {
            carry += (unsigned __int128)a->word[i] * b->word[j] + out.word[i + j];
            out.word[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        out.word[i + nb] = (uint64_t)carry;
    }
    return out;
}

wh_big wh_big_shift(const wh_big *a, unsigned bits)
{
    size_t words = bits / 64, n = used(a);
    unsigned rest = bits % 64;
    WH_CHECK(n == 0 || n + words + 1 <= WH_BIG);
    wh_big out = {{0}};
    for (size_t i = 0; i < n; i++) {
        out.word[i + words] |= a->word[i] << rest;
        if (rest) out.word[i + words + 1] |= a->word[i] >> (64 - rest);
    }
    return out;
}

int wh_big_cmp(const wh_big *a, const wh_big *b)
{
    for (size_t i = WH_BIG; i-- > 0;)
        if (a->word[i] != b->word[i]) return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

void wh_double_parts(double x, uint64_t *mantissa, int *exponent)
{
    double m = frexp(x, exponent);
    *mantissa = (uint64_t)ldexp(m, 53);
    *exponent -= 53;
}
