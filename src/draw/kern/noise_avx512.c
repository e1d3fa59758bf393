/* draw/kern/noise_avx512.c: the loops of noise.h, eight lanes at a time. The proof of the bounds stands there. */
#include <immintrin.h>
#include <stdbool.h>

#include "draw/kern/noise.h"

#define ALL(x) _mm512_set1_pd(x)
#define FMA(a, b, c) _mm512_fmadd_pd((a), (b), (c))
#define MUL(a, b) _mm512_mul_pd((a), (b))

typedef struct tables {
    __m512d inverse[2], log_of[2];
} tables;

static inline tables load_tables(void)
{
    static const double inverse[16] = {WH_NOISE_INVERSE}, log_of[16] = {WH_NOISE_LOG};
    return (tables){{_mm512_loadu_pd(inverse), _mm512_loadu_pd(inverse + 8)},
                    {_mm512_loadu_pd(log_of), _mm512_loadu_pd(log_of + 8)}};
}

/* (1) */
static inline __m512d exponential_of(__m512d *rho, __m512i k, const tables *t)
{
    __m512d x = _mm512_cvtepu64_pd(_mm512_or_si512(k, _mm512_set1_epi64(1)));
    __m512d m = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
    __m512d e = _mm512_getexp_pd(x); /* of x in [1, 2); the upper half of the octave counts one more */
    __m512i j = _mm512_srli_epi64(_mm512_castpd_si512(x), 48);
    __mmask8 upper = _mm512_test_epi64_mask(j, _mm512_set1_epi64(8));
    e = _mm512_mask_add_pd(e, upper, e, ALL(1));
    *rho = _mm512_rcp14_pd(_mm512_sub_pd(x, ALL(1)));
    __m512d c = _mm512_permutex2var_pd(t->inverse[0], j, t->inverse[1]);
    __m512d l = _mm512_permutex2var_pd(t->log_of[0], j, t->log_of[1]);
    __m512d r = _mm512_fmsub_pd(m, c, ALL(1)), r2 = MUL(r, r), q = ALL(-1 / 10.0);
    q = FMA(q, r2, FMA(r, ALL(1 / 9.0), ALL(-1 / 8.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 7.0), ALL(-1 / 6.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 5.0), ALL(-1 / 4.0)));
    q = FMA(q, r2, FMA(r, ALL(1 / 3.0), ALL(-1 / 2.0)));
    q = FMA(q, r2, r);
    return _mm512_sub_pd(FMA(_mm512_sub_pd(ALL(64), e), ALL(WH_NOISE_LN2), l), q);
}

static inline __m512d flip(__m512d x, __m512i sign)
{
    return _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(x), sign));
}

/* (3). Quarter q of the circle: bit 0 swaps cosine and sine, the sign of the cosine is bit 1 of q + 1, of the sine
 * bit 1. */
static inline void cos_sin(__m512d *cosine, __m512d *sine, __m512i k)
{
    __m512i w = _mm512_srai_epi64(_mm512_slli_epi64(k, 2), 2), q = _mm512_sub_epi64(k, w);
    const __m512i bit62 = _mm512_set1_epi64((int64_t)1 << 62), top = _mm512_set1_epi64(INT64_MIN);
    __m512d a = MUL(_mm512_cvtepi64_pd(w), ALL(WH_NOISE_QUARTER)), z = MUL(a, a);
    __m512d c = ALL(1 / 20922789888000.0), s = ALL(1 / 355687428096000.0);
    c = FMA(c, z, ALL(-1 / 87178291200.0)), s = FMA(s, z, ALL(-1 / 1307674368000.0));
    c = FMA(c, z, ALL(1 / 479001600.0)), s = FMA(s, z, ALL(1 / 6227020800.0));
    c = FMA(c, z, ALL(-1 / 3628800.0)), s = FMA(s, z, ALL(-1 / 39916800.0));
    c = FMA(c, z, ALL(1 / 40320.0)), s = FMA(s, z, ALL(1 / 362880.0));
    c = FMA(c, z, ALL(-1 / 720.0)), s = FMA(s, z, ALL(-1 / 5040.0));
    c = FMA(c, z, ALL(1 / 24.0)), s = FMA(s, z, ALL(1 / 120.0));
    c = FMA(c, z, ALL(-1 / 2.0)), s = FMA(s, z, ALL(-1 / 6.0));
    c = FMA(c, z, ALL(1)), s = FMA(MUL(s, z), a, a);
    __mmask8 odd = _mm512_test_epi64_mask(q, bit62);
    *cosine = flip(_mm512_mask_blend_pd(odd, c, s), _mm512_and_si512(_mm512_add_epi64(q, bit62), top));
    *sine = flip(_mm512_mask_blend_pd(odd, s, c), _mm512_and_si512(q, top));
}

/* Unoptimised, GCC makes a macro of the rounding, whose mask of ones changes its sign on the way. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static inline __m512d nearest(__m512d x)
{
    return _mm512_roundscale_pd(x, 0); /* 0: to integer, half to even */
}
#pragma GCC diagnostic pop

static inline size_t list(uint32_t *open, size_t n_open, __mmask8 lanes, size_t at)
{
    for (unsigned left = lanes; left; left &= left - 1) open[n_open++] = (uint32_t)(at + (unsigned)__builtin_ctz(left));
    return n_open;
}

/* Rounds and stores; the lanes that are closed. */
static inline __mmask8 round_to(int64_t *out, __m512d t, __m512d margin)
{
    __m512d n = nearest(t), far = _mm512_abs_pd(_mm512_sub_pd(t, n));
    _mm512_storeu_si512(out, _mm512_cvtpd_epi64(n));
    return _mm512_cmp_pd_mask(_mm512_add_pd(far, margin), ALL(0.5), _CMP_LT_OQ);
}

static size_t normal(int64_t *out, const uint64_t *random, size_t n, double s, uint32_t *open)
{
    const tables t = load_tables();
    const __m512d scale = ALL(s);
    size_t n_open = 0;
    for (size_t i = 0; i < n; i += 8) {
        __m512d rho, c, d, e = exponential_of(&rho, _mm512_loadu_si512(random + i), &t);
        __m512d radius = _mm512_sqrt_pd(_mm512_add_pd(e, e)), over = _mm512_rcp14_pd(radius);
        cos_sin(&c, &d, _mm512_loadu_si512(random + n + i));
        __m512d bound = FMA(MUL(rho, over), ALL(4), MUL(_mm512_add_pd(radius, over), ALL(0x1p-48)));
        bound = MUL(bound, scale);
        __mmask8 closed = round_to(out + i, MUL(scale, MUL(radius, c)), bound);
        closed &= round_to(out + n + i, MUL(scale, MUL(radius, d)), bound);
        if (__builtin_expect(closed != 0xff, 0)) n_open = list(open, n_open, (__mmask8)~closed, i);
    }
    return n_open;
}

/* floor(v) of v >= 0; the lanes that are closed. */
static inline __mmask8 floor_of(__m512i *y, __m512d v, __m512d margin)
{
    *y = _mm512_cvttpd_epi64(v);
    return _mm512_cmp_pd_mask(_mm512_abs_pd(_mm512_sub_pd(v, nearest(v))), margin, _CMP_GT_OQ);
}

/* (5), without s and the 2 u. */
static inline __m512d bound_of(__m512d e, __m512d rho)
{
    return FMA(rho, ALL(2), FMA(e, ALL(0x1p-49), ALL(0x1p-49)));
}

/* +-y by the lowest bit of k. */
static inline __m512i with_sign(__m512i y, __mmask8 minus)
{
    return _mm512_mask_sub_epi64(y, minus, _mm512_setzero_si512(), y);
}

static size_t exponential(int64_t *out, const uint64_t *random, size_t n, double s, double half, uint32_t *open)
{
    const tables t = load_tables();
    size_t n_open = 0;
    for (size_t i = 0; i < n; i += 8) {
        __m512i y, k = _mm512_loadu_si512(random + i);
        __m512d rho, e = exponential_of(&rho, k, &t);
        __mmask8 minus = _mm512_test_epi64_mask(k, _mm512_set1_epi64(1));
        __mmask8 closed = floor_of(&y, FMA(ALL(s), e, ALL(half)), FMA(ALL(s), bound_of(e, rho), ALL(0x1p-52)));
        __mmask8 none = half == 0 ? (__mmask8)(minus & _mm512_testn_epi64_mask(y, y)) : 0;
        _mm512_storeu_si512(out + i, _mm512_mask_mov_epi64(with_sign(y, minus), none, _mm512_set1_epi64(WH_NO_DRAW)));
        if (__builtin_expect(closed != 0xff, 0)) n_open = list(open, n_open, (__mmask8)~closed, i);
    }
    return n_open;
}

static size_t gauss(int64_t *out, const uint64_t *random, size_t n, const wh_gauss_try *try_, uint32_t *open)
{
    const tables t = load_tables();
    const __m512d a = ALL(try_->a), b = ALL(try_->b), scale = ALL(try_->t);
    size_t n_open = 0;
    for (size_t i = 0; i < n; i += 8) {
        __m512i y, k = _mm512_loadu_si512(random + i);
        __m512d rho, rho2, e = exponential_of(&rho, k, &t);
        __m512d e2 = exponential_of(&rho2, _mm512_loadu_si512(random + n + i), &t);
        __mmask8 minus = _mm512_test_epi64_mask(k, _mm512_set1_epi64(1));
        __mmask8 closed = floor_of(&y, MUL(scale, e), FMA(scale, bound_of(e, rho), ALL(0x1p-52)));
        __m512d yd = _mm512_cvtepi64_pd(y), w = _mm512_fmsub_pd(yd, a, b), g = FMA(yd, a, b);
        __m512d gap = _mm512_sub_pd(e2, MUL(w, w)), margin = FMA(MUL(g, g), ALL(0x1p-49), bound_of(e2, rho2));
        closed &= _mm512_cmp_pd_mask(_mm512_abs_pd(gap), margin, _CMP_GT_OQ);
        __mmask8 none = _mm512_cmp_pd_mask(gap, _mm512_setzero_pd(), _CMP_LT_OQ);
        none |= minus & _mm512_testn_epi64_mask(y, y);
        _mm512_storeu_si512(out + i, _mm512_mask_mov_epi64(with_sign(y, minus), none, _mm512_set1_epi64(WH_NO_DRAW)));
        if (__builtin_expect(closed != 0xff, 0)) n_open = list(open, n_open, (__mmask8)~closed, i);
    }
    return n_open;
}

const struct wh_noise_kernels wh_noise_kernels_avx512 = {normal, exponential, gauss};
