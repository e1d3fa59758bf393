/* num/kern/vec_avx2.h: eight floats under the names in which tiles are written. Only for files that are
 * compiled for AVX2 and FMA. */
#ifndef WH_NUM_KERN_VEC_AVX2_H
#define WH_NUM_KERN_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec;
typedef __m256i mask; /* lanes of all ones or all zeros */
#define V_LANES 8

#define v_zero _mm256_setzero_ps
#define v_set1 _mm256_set1_ps
#define v_load _mm256_loadu_ps
#define v_store _mm256_storeu_ps
#define v_fma _mm256_fmadd_ps
#define v_mul _mm256_mul_ps
#define v_add _mm256_add_ps

/* The first n lanes, n <= 8. */
static inline mask v_mask(size_t n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define V_LANE_BY_LANE
#endif
#endif

#ifndef V_LANE_BY_LANE
#define v_load_mask(mask, p) _mm256_maskload_ps((p), (mask))
/* The lanes of a mask are the first ones. The instruction for it is some forty micro-operations on a Zen 3, and twelve
 * cycles; a step for each power of two is four, and which of them are taken seldom changes. */
static inline void v_store_mask(float *p, mask lanes, vec x)
{
    const unsigned on = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
    __m128 part = _mm256_castps256_ps128(x);
    if (on & 0x80) {
        v_store(p, x);
        return;
    }
    if (on & 0x08) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(x, 1);
        p += 4;
    }
    const unsigned left = on & 0x08 ? on >> 4 : on;
    if (left & 0x02) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (left == 0x01 || left == 0x07) _mm_store_ss(p, part);
}
#else
/* MemorySanitizer of clang 14 does not know these two instructions: what was stored stays undefined for it. */
static inline vec v_load_mask(mask mask, const float *p)
{
    int32_t on[V_LANES];
    float lane[V_LANES] = {0};
    _mm256_storeu_si256((__m256i *)(void *)on, mask);
    for (size_t i = 0; i < V_LANES; i++)
        if (on[i]) lane[i] = p[i];
    return v_load(lane);
}

static inline void v_store_mask(float *p, mask mask, vec x)
{
    int32_t on[V_LANES];
    float lane[V_LANES];
    _mm256_storeu_si256((__m256i *)(void *)on, mask);
    v_store(lane, x);
    for (size_t i = 0; i < V_LANES; i++)
        if (on[i]) p[i] = lane[i];
}
#endif

#endif
