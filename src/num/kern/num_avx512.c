/* num/kern/num_avx512.c: products in tiles of 10 x 32 (twenty sums, two of B, one of A: 23 of 32
 * registers) and 2 x 8 dot products; the loops of elementwise.h sixteen floats wide. */
#include <immintrin.h>

#include "num/kern/elementwise.h"
#include "num/kern/tables.h"

typedef __m512 vec;
typedef __mmask16 mask;
enum { V_LANES = 16, NT_ROWS = 2, NT_COLS = 8 };
#define BN_ROWS 10

#define v_zero _mm512_setzero_ps
#define v_set1 _mm512_set1_ps
#define v_load _mm512_loadu_ps
#define v_load_mask _mm512_maskz_loadu_ps
#define v_store _mm512_storeu_ps
#define v_store_mask _mm512_mask_storeu_ps
#define v_fma _mm512_fmadd_ps
#define v_mul _mm512_mul_ps
#define v_add _mm512_add_ps

static inline mask v_mask(size_t n)
{
    return (mask)((UINT32_C(1) << n) - 1);
}

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline __attribute__((always_inline)) float v_tree(const vec part[1])
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(part[0]), 1));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(part[0]), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "num/kern/gemm_tiles.h"

const wh_num_kernels wh_num_kernels_avx512 = {
    .name = "avx512",
    .level = WH_CPU_AVX512,
    .gemm_bn = gemm_bn,
    .gemm_nt = gemm_nt,
    EW_TABLE,
};
