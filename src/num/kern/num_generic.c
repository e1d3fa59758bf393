/* num/kern/num_generic.c: the portable kernels, which are the specification of the others. */
#include "num/kern/elementwise.h"
#include "num/kern/gemm_f64.h"
#include "num/kern/tables.h"

enum { STRIP = 64 }; /* columns of C that are summed up together */

static void put(float *restrict c, const float *restrict p, size_t n, wh_gemm_mode mode, float alpha)
{
    if (mode == WH_GEMM_PUT) memcpy(c, p, n * sizeof *c);
    if (mode == WH_GEMM_ADD) ew_add(c, p, n);
    if (mode == WH_GEMM_AXPY) ew_axpy(c, p, n, alpha);
}

static void gemm_bn(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                    const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, wh_gemm_mode mode, float alpha)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j += STRIP) {
            size_t w = n - j < STRIP ? n - j : STRIP;
            float p[STRIP] = {0};
            for (size_t l = 0; l < k; l++) ew_axpy(p, b + l * ldb + j, w, a[i * row_a + l * col_a]);
            put(c + i * ldc + j, p, w, mode, alpha);
        }
}

static void gemm_big(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                     const float *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k)
{
    if (col_b == 1) {
        gemm_bn(c, ldc, a, row_a, col_a, b, row_b, m, n, k, WH_GEMM_PUT, 0);
        return;
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (size_t l = 0; l < k; l++) sum = sum + a[i * row_a + l * col_a] * b[l * row_b + j * col_b];
            c[i * ldc + j] = sum;
        }
}

/* Chains of products: what the processor can do without vectors of a set. */
static float peak(size_t rounds)
{
    float sum[16];
    for (int i = 0; i < 16; i++) sum[i] = (float)i;
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < 16; i++) sum[i] = sum[i] * 0.5f + 1.0f;
    return ew_tree(sum);
}

static void gemm_nt(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                    size_t ldb, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) c[i * ldc + j] = ew_dot(a + i * lda, b + j * ldb, k);
}

static void gemm_pick_k(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, size_t m, size_t n, const uint32_t *restrict list, size_t k)
{
    for (size_t i = 0; i < m; i++) {
        memset(c + i * ldc, 0, n * sizeof *c);
        for (size_t l = 0; l < k; l++) ew_axpy(c + i * ldc, b + list[l] * ldb, n, a[i * lda + list[l]]);
    }
}

static void gemm_pick_m(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, const uint32_t *restrict list, size_t m, size_t n, size_t k, float alpha)
{
    for (size_t i = 0; i < m; i++)
        gemm_bn(c + list[i] * ldc, ldc, a + list[i], 1, lda, b, ldb, 1, n, k, WH_GEMM_AXPY, alpha);
}

const wh_num_kernels wh_num_kernels_generic = {
    .name = "generic",
    .level = WH_CPU_GENERIC,
    .gemm_bn = gemm_bn,
    .gemm_big = gemm_big,
    .gemm_nt = gemm_nt,
    .gemm_f64 = gemm_f64,
    .gemm_pick_k = gemm_pick_k,
    .gemm_pick_m = gemm_pick_m,
    .peak = peak,
    .peak_flops = 16 * 2,
    EW_TABLE,
};
