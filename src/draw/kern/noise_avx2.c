/* draw/kern/noise_avx2.c: the loops of noise.h, four lanes at a time for rounded Gaussians; the others are those of
 * noise_lanes.h with fused operations. The proof of the bounds stands in noise.h.
 *
 * What AVX2 lacks is made of what it has. A word becomes a double by way of two magic numbers: its halves, put below
 * the exponents of 2^84 and 2^52, are whole numbers over them, and taking the magic numbers off leaves one rounding,
 * that of the last sum. A small whole number |t| < 2^51 is rounded, and read, as the low bits of t + 3 2^51. Tables are
 * read by permutations: no address depends on a draw. */
#include <immintrin.h>
#include <stdbool.h>

#include "draw/kern/noise_lanes.h"

#define ALL(x) _mm256_set1_pd(x)
#define WORDS(x) _mm256_set1_epi64x(x)
#define FMA(a, b, c) _mm256_fmadd_pd((a), (b), (c))
#define MUL(a, b) _mm256_mul_pd((a), (b))
#define BITS(x) _mm256_castpd_si256(x)
#define REAL(x) _mm256_castsi256_pd(x)

static const int64_t bits_of_2_52 = 0x4330000000000000, bits_of_2_84 = 0x4530000000000000;

/* A table of sixteen 32-bit halves of doubles. */
typedef struct halves {
    __m256i low, high; /* of entries 0 … 7, 8 … 15 */
} halves;

typedef struct tables {
    halves inverse, log_high, log_low; /* the inverses have 10 bits: their low halves are zero */
} tables;

static inline halves load_halves(const double table[16], unsigned shift)
{
    uint32_t half[16];
    for (size_t i = 0; i < 16; i++) {
        uint64_t bits;
        memcpy(&bits, &table[i], sizeof bits);
        half[i] = (uint32_t)(bits >> shift);
    }
    return (halves){_mm256_loadu_si256((const __m256i *)(const void *)half),
                    _mm256_loadu_si256((const __m256i *)(const void *)(half + 8))};
}

static inline tables load_tables(void)
{
    static const double inverse[16] = {WH_NOISE_INVERSE}, log_of[16] = {WH_NOISE_LOG};
    return (tables){load_halves(inverse, 32), load_halves(log_of, 32), load_halves(log_of, 0)};
}

/* Entry j (its lowest four bits) in the low half of each word, anything in the other; upper: all ones where bit 3 of j
 * is set. */
static inline __m256i entry(const halves *t, __m256i j, __m256i upper)
{
    return _mm256_blendv_epi8(_mm256_permutevar8x32_epi32(t->low, j), _mm256_permutevar8x32_epi32(t->high, j), upper);
}

/* k - less as a double, one rounding; less is a multiple of 2^32. */
static inline __m256d real_of(__m256i k, double less)
{
    __m256i high = _mm256_or_si256(_mm256_srli_epi64(k, 32), WORDS(bits_of_2_84));
    __m256i low = _mm256_blend_epi32(k, WORDS(bits_of_2_52), 0xaa);
    return _mm256_add_pd(_mm256_sub_pd(REAL(high), ALL(0x1p84 + 0x1p52 + less)), REAL(low));
}

/* (1); x is fl(k | 1) */
static inline __m256d exponential_of(__m256d *x, __m256i k, const tables *t)
{
    *x = real_of(_mm256_or_si256(k, WORDS(1)), 0);
    __m256i bits = BITS(*x), j = _mm256_srli_epi64(bits, 48);
    __m256i half = _mm256_and_si256(_mm256_srli_epi64(j, 3), WORDS(1)); /* 1 in the upper half of the octave */
    __m256i upper = _mm256_sub_epi64(_mm256_setzero_si256(), half);
    /* m is in [1, 2) and, in the upper half, one exponent less; 1087 = 64 + 1023 - e and what the half adds. */
    __m256i exponent = _mm256_sub_epi64(WORDS(1023), half);
    __m256d m = REAL(_mm256_or_si256(_mm256_and_si256(bits, WORDS(0xfffffffffffff)), _mm256_slli_epi64(exponent, 52)));
    __m256i above = _mm256_sub_epi64(_mm256_sub_epi64(WORDS(1087), _mm256_srli_epi64(bits, 52)), half);
    __m256d left = _mm256_sub_pd(REAL(_mm256_or_si256(above, WORDS(bits_of_2_52))), ALL(0x1p52));
    __m256d c = REAL(_mm256_slli_epi64(entry(&t->inverse, j, upper), 32));
    __m256d l = REAL(
        _mm256_blend_epi32(entry(&t->log_low, j, upper), _mm256_slli_epi64(entry(&t->log_high, j, upper), 32), 0xaa));
    __m256d r = _mm256_fmsub_pd(m, c, ALL(1)), r2 = MUL(r, r), q = ALL(-1 / 10.0);
    q = FMA(q, r2, FMA(r, ALL(1 / 9.0), ALL(-1 / 8.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 7.0), ALL(-1 / 6.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 5.0), ALL(-1 / 4.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 3.0), ALL(-1 / 2.0)));
    q = FMA(q, r2, r);
    return _mm256_sub_pd(FMA(left, ALL(WH_NOISE_LN2), l), q);
}

/* (3). k + 2^61 holds the quarter q of the circle in its two highest bits and the angle, 2^61 too large, below. Bit 0
 * of q swaps cosine and sine, the sign of the cosine is bit 1 of q + 1, of the sine bit 1. */
static inline void cos_sin(__m256d *cosine, __m256d *sine, __m256i k)
{
    const __m256i top = WORDS(INT64_MIN);
    __m256i q = _mm256_add_epi64(k, WORDS((int64_t)1 << 61));
    __m256i w = _mm256_and_si256(q, WORDS(((int64_t)1 << 62) - 1));
    __m256d a = MUL(real_of(w, 0x1p61), ALL(WH_NOISE_QUARTER)), z = MUL(a, a);
    __m256d c = ALL(1 / 20922789888000.0), s = ALL(1 / 355687428096000.0);
    c = FMA(c, z, ALL(-1 / 87178291200.0)), s = FMA(s, z, ALL(-1 / 1307674368000.0));
    c = FMA(c, z, ALL(1 / 479001600.0)), s = FMA(s, z, ALL(1 / 6227020800.0));
    c = FMA(c, z, ALL(-1 / 3628800.0)), s = FMA(s, z, ALL(-1 / 39916800.0));
    c = FMA(c, z, ALL(1 / 40320.0)), s = FMA(s, z, ALL(1 / 362880.0));
    c = FMA(c, z, ALL(-1 / 720.0)), s = FMA(s, z, ALL(-1 / 5040.0));
    c = FMA(c, z, ALL(1 / 24.0)), s = FMA(s, z, ALL(1 / 120.0));
    c = FMA(c, z, ALL(-1 / 2.0)), s = FMA(s, z, ALL(-1 / 6.0));
    c = FMA(c, z, ALL(1)), s = FMA(MUL(s, z), a, a);
    __m256d odd = REAL(_mm256_slli_epi64(q, 1)); /* bit 0 of the quarter where blends look */
    __m256i next = _mm256_add_epi64(q, WORDS((int64_t)1 << 62));
    *cosine = _mm256_xor_pd(_mm256_blendv_pd(c, s, odd), REAL(_mm256_and_si256(next, top)));
    *sine = _mm256_xor_pd(_mm256_blendv_pd(s, c, odd), REAL(_mm256_and_si256(q, top)));
}

/* Rounds and stores; all ones in the lanes that are closed. */
static inline __m256d round_to(int64_t *out, __m256d t, __m256d margin)
{
    const __m256d magic = ALL(0x1.8p52);
    __m256d n = _mm256_add_pd(t, magic), far = _mm256_sub_pd(t, _mm256_sub_pd(n, magic));
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_sub_epi64(BITS(n), BITS(magic)));
    far = _mm256_andnot_pd(ALL(-0.0), far);
    return _mm256_cmp_pd(_mm256_add_pd(far, margin), ALL(0.5), _CMP_LT_OQ);
}

static size_t list(uint32_t *open, size_t n_open, unsigned lanes, size_t at)
{
    for (; lanes; lanes &= lanes - 1) open[n_open++] = (uint32_t)(at + (unsigned)__builtin_ctz(lanes));
    return n_open;
}

static inline __m256i load(const uint64_t *random)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)random);
}

/* (4) with one quotient for both reciprocals: R + 1/R and rho / R over x - 1, that is over R (x - 1). */
static size_t normal(int64_t *out, const uint64_t *random, size_t n, double s, uint32_t *open)
{
    const tables t = load_tables();
    const __m256d scale = ALL(s);
    size_t n_open = 0;
    for (size_t i = 0; i < n; i += 4) {
        __m256d x, c, d, e = exponential_of(&x, load(random + i), &t);
        __m256d square = _mm256_add_pd(e, e), radius = _mm256_sqrt_pd(square);
        cos_sin(&c, &d, load(random + n + i));
        x = _mm256_sub_pd(x, ALL(1));
        __m256d bound = FMA(MUL(x, ALL(0x1p-48)), _mm256_add_pd(square, ALL(1)), ALL(4));
        bound = MUL(scale, _mm256_div_pd(bound, MUL(radius, x)));
        __m256d closed = round_to(out + i, MUL(scale, MUL(radius, c)), bound);
        closed = _mm256_and_pd(closed, round_to(out + n + i, MUL(scale, MUL(radius, d)), bound));
        unsigned lanes = ~(unsigned)_mm256_movemask_pd(closed) & 15;
        if (__builtin_expect(lanes != 0, 0)) n_open = list(open, n_open, lanes, i);
    }
    return n_open;
}

const struct wh_noise_kernels wh_noise_kernels_avx2 = {normal, lanes_exponential, lanes_gauss};
