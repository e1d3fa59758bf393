/* num/kern/num_avx2.c: products in tiles of 5 x 16 (ten sums, two of B, one of A: 13 of 16 registers)
 * and 1 x 4 dot products in two vectors each; the loops of elementwise.h eight floats wide. */
#include "num/kern/elementwise.h"
#include "num/kern/gemm_f64.h"
#include "num/kern/tables.h"
#include "num/kern/vec_avx2.h"

enum { NT_ROWS = 1, NT_COLS = 4 };
#define BN_ROWS 5

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline __attribute__((always_inline)) float v_tree(const vec part[2])
{
    __m256 eight = _mm256_add_ps(part[0], part[1]);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* dst[l * ld + j] = src[j * step + l], j < 8, l < k */
static inline __attribute__((always_inline)) void v_turn(float *dst, size_t ld, const float *src, size_t step, size_t k)
{
    for (size_t l = 0; l < k; l++)
        v_store(dst + l * ld,
                _mm256_setr_ps(src[l], src[step + l], src[2 * step + l], src[3 * step + l], src[4 * step + l],
                               src[5 * step + l], src[6 * step + l], src[7 * step + l]));
}

#include "num/kern/gemm_tiles.h"

/* Ten chains of products in registers: what the processor can do at most. */
static float peak(size_t rounds)
{
    vec sum[10], x = v_set1(0.5f), y = v_set1(1.0f), pair[2];
    for (int i = 0; i < 10; i++) sum[i] = v_set1((float)i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++) sum[i] = v_fma(sum[i], x, y);
    for (int i = 1; i < 10; i++) sum[0] = v_add(sum[0], sum[i]);
    pair[0] = pair[1] = sum[0];
    return v_tree(pair);
}

const wh_num_kernels wh_num_kernels_avx2 = {
    .name = "avx2",
    .level = WH_CPU_AVX2,
    .gemm_bn = gemm_bn,
    .gemm_big = gemm_big,
    .gemm_nt = gemm_nt,
    .gather_nt = gather_nt,
    .gemm_f64 = gemm_f64,
    .gemm_pick_k = gemm_pick_k,
    .gemm_pick_m = gemm_pick_m,
    .peak = peak,
    .peak_flops = 10 * 2 * V_LANES,
    EW_TABLE,
};
