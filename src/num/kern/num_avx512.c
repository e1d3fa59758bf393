/* num/kern/num_avx512.c: products in tiles of 10 x 32 (twenty sums, two of B, one of A: 23 of 32
 * registers) and 2 x 8 dot products; the loops of elementwise.h sixteen floats wide. */
#include "num/kern/elementwise.h"
#include "num/kern/gemm_f64.h"
#include "num/kern/tables.h"
#include "num/kern/vec_avx512.h"

enum { NT_ROWS = 2, NT_COLS = 8 };
#define BN_ROWS 10

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline __attribute__((always_inline)) float v_tree(const vec part[1])
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(part[0]), 1));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(part[0]), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Sixteen such trees at once, by halving two vectors into one four times: after the first step a vector
 * holds 8 lanes of 2 sums, then 4 of 4, 2 of 8, 1 of 16. The same additions as in v_tree. */
static inline __attribute__((always_inline)) void tree_tile(float *c, size_t ldc, vec sum[16][1])
{
    vec eight[8], four[4], two[2];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        vec a = sum[2 * i][0], b = sum[2 * i + 1][0];
        eight[i] = v_add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vec a = eight[2 * i], b = eight[2 * i + 1];
        four[i] = v_add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    /* four[i] has the sums 4i … 4i+3, one to a quarter of the vector */
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        vec a = four[2 * i], b = four[2 * i + 1];
        two[i] = v_add(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    }
    vec one = v_add(_mm512_shuffle_ps(two[0], two[1], 0x88), _mm512_shuffle_ps(two[0], two[1], 0xdd));
    /* quarter q of `one` has the sums q, 4+q, 8+q, 12+q */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    one = _mm512_permutexvar_ps(order, one);
    _mm256_storeu_ps(c, _mm512_castps512_ps256(one));
    _mm256_storeu_ps(c + ldc, _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(one), 1)));
}
#define V_TREE_TILE tree_tile

enum { NT_PAIR = 10 }; /* two rows times so many columns: twenty sums */
static inline __attribute__((always_inline)) void tree_pair(float *c, size_t ldc, const vec sum[2 * NT_PAIR],
                                                            size_t rows, size_t cols)
{
    if (rows == 2 && cols == NT_PAIR) {
        vec tile[16][1];
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            tile[j][0] = sum[j];
            tile[8 + j][0] = sum[NT_PAIR + j];
        }
        tree_tile(c, ldc, tile);
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 10
        for (size_t j = rows == 2 ? 8 : 0; j < cols; j++) c[i * ldc + j] = v_tree(&sum[i * NT_PAIR + j]);
}
#define V_TREE_PAIR tree_pair

/* dst[l * ld + j] = src[j * step + l], j < 16, l < k: sixteen rows turned in four steps of halves. */
static inline __attribute__((always_inline)) void v_turn(float *dst, size_t ld, const float *src, size_t step, size_t k)
{
    for (size_t l = 0; l < k; l += 16) {
        size_t left = k - l < 16 ? k - l : 16;
        mask part = v_mask(left);
        vec a[16], b[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) a[i] = v_load_mask(part, src + (size_t)i * step + l);
#pragma GCC unroll 8
        for (int i = 0; i < 16; i += 2) {
            b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
            b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
            for (int h = 0; h < 2; h++) {
                a[i + 2 * h] = _mm512_shuffle_ps(b[i + h], b[i + h + 2], 0x44);
                a[i + 2 * h + 1] = _mm512_shuffle_ps(b[i + h], b[i + h + 2], 0xee);
            }
            /* a[4i + c], quarter q: rows 4i … 4i+3 of column 4q + c */
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++) {
            vec low = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), high = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
            vec low2 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
            vec high2 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
            b[c] = _mm512_shuffle_f32x4(low, low2, 0x88);
            b[8 + c] = _mm512_shuffle_f32x4(low, low2, 0xdd);
            b[4 + c] = _mm512_shuffle_f32x4(high, high2, 0x88);
            b[12 + c] = _mm512_shuffle_f32x4(high, high2, 0xdd);
        }
        if (left == 16)
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) v_store(dst + (l + (size_t)i) * ld, b[i]);
        else
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++)
                if ((size_t)i < left) v_store(dst + (l + (size_t)i) * ld, b[i]);
    }
}

#include "num/kern/gemm_tiles.h"

/* Ten chains of products in registers: what the processor can do at most. */
static float peak(size_t rounds)
{
    vec sum[20], x = v_set1(0.5f), y = v_set1(1.0f);
    for (int i = 0; i < 20; i++) sum[i] = v_set1((float)i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 20
        for (int i = 0; i < 20; i++) sum[i] = v_fma(sum[i], x, y);
    for (int i = 1; i < 20; i++) sum[0] = v_add(sum[0], sum[i]);
    return v_tree(sum);
}

const wh_num_kernels wh_num_kernels_avx512 = {
    .name = "avx512",
    .level = WH_CPU_AVX512,
    .gemm_bn = gemm_bn,
    .gemm_big = gemm_big,
    .gemm_nt = gemm_nt,
    .gather_nt = gather_nt,
    .gemm_f64 = gemm_f64,
    .gemm_pick_k = gemm_pick_k,
    .gemm_pick_m = gemm_pick_m,
    .peak = peak,
    .peak_flops = 20 * 2 * V_LANES,
    EW_TABLE,
};
