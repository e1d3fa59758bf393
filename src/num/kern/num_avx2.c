/* num/kern/num_avx2.c: products in tiles of 5 x 16 (ten sums, two of B, one of A: 13 of 16 registers)
 * and 1 x 4 dot products in two vectors each; the loops of elementwise.h eight floats wide. */
#include <immintrin.h>

#include "num/kern/elementwise.h"
#include "num/kern/tables.h"

typedef __m256 vec;
typedef __m256i mask;
enum { V_LANES = 8, NT_ROWS = 1, NT_COLS = 4 };
#define BN_ROWS 5

#define v_zero _mm256_setzero_ps
#define v_set1 _mm256_set1_ps
#define v_load _mm256_loadu_ps
#define v_load_mask(mask, p) _mm256_maskload_ps((p), (mask))
#define v_store _mm256_storeu_ps
#define v_store_mask _mm256_maskstore_ps
#define v_fma _mm256_fmadd_ps
#define v_mul _mm256_mul_ps
#define v_add _mm256_add_ps

static inline mask v_mask(size_t n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline __attribute__((always_inline)) float v_tree(const vec part[2])
{
    __m256 eight = _mm256_add_ps(part[0], part[1]);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "num/kern/gemm_tiles.h"

const wh_num_kernels wh_num_kernels_avx2 = {
    .name = "avx2",
    .level = WH_CPU_AVX2,
    .gemm_bn = gemm_bn,
    .gemm_nt = gemm_nt,
    .gemm_pick_k = gemm_pick_k,
    .gemm_pick_m = gemm_pick_m,
    EW_TABLE,
};
