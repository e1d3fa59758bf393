/* zq/kern/fixed_avx2.c: the loops of fixed_words.h, four doubles at a time. Add, decode32 and within32
 * are those very loops: the compiler makes them as wide as the instruction set. */
#include <immintrin.h>

#include "zq/kern/fixed_words.h"

static inline __m256d round_even(__m256d v)
{
    return _mm256_round_pd(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* All bits set where |v| > limit or v is NaN. */
static inline __m256d beyond(__m256d v, __m256d limit)
{
    return _mm256_cmp_pd(_mm256_andnot_pd(_mm256_set1_pd(-0.0), v), limit, _CMP_NLE_UQ);
}

static bool encode32(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    const __m256d s = _mm256_set1_pd(scale), l = _mm256_set1_pd(limit);
    __m256d bad = _mm256_setzero_pd();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256d a = round_even(_mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i)), s));
        __m256d b = round_even(_mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i + 4)), s));
        bad = _mm256_or_pd(bad, _mm256_or_pd(beyond(a, l), beyond(b, l)));
        __m256i words = _mm256_set_m128i(_mm256_cvtpd_epi32(b), _mm256_cvtpd_epi32(a));
        _mm256_storeu_si256((__m256i *)(void *)(out + 4 * i), words);
    }
    bool tail = words_encode32(out + 4 * i, x + i, n - i, scale, limit);
    return _mm256_movemask_pd(bad) == 0 && tail;
}

/* An integer |v| < 2^51 added to 1.5 * 2^52 stands in the low bits of the sum's significand. */
static bool encode64(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    if (limit > 0x1p51 - 1) return words_encode64(out, x, n, scale, limit);
    const __m256d s = _mm256_set1_pd(scale), l = _mm256_set1_pd(limit), magic = _mm256_set1_pd(0x1.8p52);
    __m256d bad = _mm256_setzero_pd();
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256d v = round_even(_mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + i)), s));
        bad = _mm256_or_pd(bad, beyond(v, l));
        __m256i word = _mm256_castpd_si256(_mm256_add_pd(v, magic));
        _mm256_storeu_si256((__m256i *)(void *)(out + 8 * i), _mm256_sub_epi64(word, _mm256_castpd_si256(magic)));
    }
    bool tail = words_encode64(out + 8 * i, x + i, n - i, scale, limit);
    return _mm256_movemask_pd(bad) == 0 && tail;
}

const struct wh_fixed_kernels wh_fixed_kernels_avx2 = {
    encode32, encode64, words_add32, words_add64, words_decode32, words_decode64, words_within32, words_within64,
};
