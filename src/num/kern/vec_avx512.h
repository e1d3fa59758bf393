/* num/kern/vec_avx512.h: sixteen floats under the names in which tiles are written. Only for files that
 * are compiled for AVX-512. */
#ifndef WH_NUM_KERN_VEC_AVX512_H
#define WH_NUM_KERN_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;
typedef __mmask16 mask;
#define V_LANES 16

#define v_zero _mm512_setzero_ps
#define v_set1 _mm512_set1_ps
#define v_load _mm512_loadu_ps
#define v_load_mask _mm512_maskz_loadu_ps
#define v_store _mm512_storeu_ps
#define v_store_mask _mm512_mask_storeu_ps
#define v_fma _mm512_fmadd_ps
#define v_mul _mm512_mul_ps
#define v_add _mm512_add_ps

/* The first n lanes, n <= 16. */
static inline mask v_mask(size_t n)
{
    return (mask)((UINT32_C(1) << n) - 1);
}

#endif
