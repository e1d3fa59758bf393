/* zq/kern/fixed_avx512.c: the loops of fixed_words.h, eight doubles at a time.
 *
 * The range check costs one integer maximum: |v| as a bit pattern is ordered like |v|, with infinity
 * and NaN above every number, so the largest pattern of a run tells whether all values were good. */
#include <immintrin.h>
#include <math.h>

#include "zq/kern/fixed_words.h"

/* Unoptimised, GCC makes a macro of the rounding, whose mask of ones changes its sign on the way. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static inline __m512d product(__m256 x, __m512d scale)
{
    return _mm512_roundscale_pd(_mm512_mul_pd(_mm512_cvtps_pd(x), scale), 0); /* 0: to integer, half to even */
}
#pragma GCC diagnostic pop

static inline __m512i larger(__m512i worst, __m512d v)
{
    return _mm512_max_epu64(worst, _mm512_castpd_si512(_mm512_abs_pd(v)));
}

static inline bool all_within(__m512i worst, double limit)
{
    uint64_t bits;
    memcpy(&bits, &limit, sizeof bits);
    return _mm512_cmpgt_epu64_mask(worst, _mm512_set1_epi64((long long)bits)) == 0;
}

/* The largest double that rounds, half to even, to a whole number within limit (0 <= limit < 2^51). */
static double before_rounding(double limit)
{
    double whole = floor(limit), bound = whole + 0.5;
    return fmod(whole, 2) == 0 ? bound : nextafter(bound, 0);
}

/* The conversion itself rounds half to even, so the range is checked on what is not rounded yet. */
static bool encode32(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    const __m512d s = _mm512_set1_pd(scale);
    __m512i worst0 = _mm512_setzero_si512(), worst1 = worst0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512d a = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + i)), s);
        __m512d b = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(x + i + 8)), s);
        worst0 = larger(worst0, a);
        worst1 = larger(worst1, b);
        _mm256_storeu_si256((__m256i *)(void *)(out + 4 * i), _mm512_cvtpd_epi32(a));
        _mm256_storeu_si256((__m256i *)(void *)(out + 4 * i + 32), _mm512_cvtpd_epi32(b));
    }
    bool tail = words_encode32(out + 4 * i, x + i, n - i, scale, limit);
    return all_within(_mm512_max_epu64(worst0, worst1), before_rounding(limit)) && tail;
}

static bool encode64(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    const __m512d s = _mm512_set1_pd(scale);
    __m512i worst = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m512d v = product(_mm256_loadu_ps(x + i), s);
        worst = larger(worst, v);
        _mm512_storeu_si512(out + 8 * i, _mm512_cvtpd_epi64(v));
    }
    bool tail = words_encode64(out + 8 * i, x + i, n - i, scale, limit);
    return all_within(worst, limit) && tail;
}

static void add32(uint8_t *restrict acc, const uint8_t *restrict in, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_si512(acc + 4 * i,
                            _mm512_add_epi32(_mm512_loadu_si512(acc + 4 * i), _mm512_loadu_si512(in + 4 * i)));
    words_add32(acc + 4 * i, in + 4 * i, n - i);
}

static void add64(uint8_t *restrict acc, const uint8_t *restrict in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_si512(acc + 8 * i,
                            _mm512_add_epi64(_mm512_loadu_si512(acc + 8 * i), _mm512_loadu_si512(in + 8 * i)));
    words_add64(acc + 8 * i, in + 8 * i, n - i);
}

static void decode32(double *restrict out, const uint8_t *restrict in, size_t n, double unit)
{
    const __m512d u = _mm512_set1_pd(unit);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(in + 4 * i));
        _mm512_storeu_pd(out + i, _mm512_mul_pd(_mm512_cvtepi32_pd(words), u));
    }
    words_decode32(out + i, in + 4 * i, n - i, unit);
}

static void decode64(double *restrict out, const uint8_t *restrict in, size_t n, double unit)
{
    const __m512d u = _mm512_set1_pd(unit);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_pd(out + i, _mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_loadu_si512(in + 8 * i)), u));
    words_decode64(out + i, in + 8 * i, n - i, unit);
}

const struct wh_fixed_kernels wh_fixed_kernels_avx512 = {
    encode32, encode64, add32, add64, decode32, decode64, words_within32, words_within64,
};
