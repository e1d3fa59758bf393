/* num/kern.c: which table, and which products go to OpenBLAS. */
#include "num/kern.h"

#include <pthread.h>
#include <stdio.h>

#include "num/blas.h"
#include "num/kern/tables.h"

const wh_num_kernels *wh_num_kernels_at(wh_cpu_level level)
{
#if defined(__x86_64__)
    static const wh_num_kernels *const tables[] = {&wh_num_kernels_generic, &wh_num_kernels_avx2,
                                                   &wh_num_kernels_avx512};
    return tables[level];
#else
    (void)level;
    return &wh_num_kernels_generic;
#endif
}

const wh_num_kernels *wh_num_kernels_get(void)
{
    return wh_num_kernels_at(wh_cpu_get());
}

static struct {
    pthread_once_t once;
    char text[80];
} name_ = {.once = PTHREAD_ONCE_INIT};

static void write_name(void)
{
    snprintf(name_.text, sizeof name_.text, "%s+openblas-%s", wh_num_kernels_get()->name, wh_blas_core_name());
}

const char *wh_num_kernels_name(void)
{
    if (!wh_blas_core_name()) return wh_num_kernels_get()->name;
    (void)pthread_once(&name_.once, write_name);
    return name_.text;
}

/* Measured (docs/num.md): tiles in registers beat packing until B (K,N) leaves the second cache; dot
 * products, which cannot reuse a vector of B as often, only while C has few rows. */
bool wh_num_is_large(const wh_num_kernels *kernels, wh_gemm_form form, size_t m, size_t n, size_t k)
{
    if (kernels->level == WH_CPU_GENERIC || m < 64 || n < 16) return false;
    if (form == WH_GEMM_NT) return (double)m * (double)n * (double)k >= 0x1p18;
    return (double)n * (double)k >= 0x1p19;
}

void wh_num_gemm(const wh_num_kernels *kernels, wh_gemm_form form, float *restrict c, size_t ldc,
                 const float *restrict a, size_t lda, const float *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
    if (wh_num_is_large(kernels, form, m, n, k) &&
        wh_blas_gemm(c, ldc, a, lda, form == WH_GEMM_TN, b, ldb, form == WH_GEMM_NT, m, n, k, 1, 0))
        return;
    if (form == WH_GEMM_NT)
        kernels->gemm_nt(c, ldc, a, lda, b, ldb, m, n, k);
    else if (form == WH_GEMM_TN)
        kernels->gemm_bn(c, ldc, a, 1, lda, b, ldb, m, n, k, WH_GEMM_PUT, 0);
    else
        kernels->gemm_bn(c, ldc, a, lda, 1, b, ldb, m, n, k, WH_GEMM_PUT, 0);
}
