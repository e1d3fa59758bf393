/* num/kern.c: which table, and which products go to OpenBLAS. */
#include "num/kern.h"

#include <pthread.h>
#include <stdio.h>

#include "num/blas.h"
#include "num/kern/tables.h"
#include "num/onednn.h"

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

/* A text for each set of libraries in use, written when it is first asked for. */
static struct {
    pthread_mutex_t lock;
    char text[2][2][120];
} name_ = {.lock = PTHREAD_MUTEX_INITIALIZER};

const char *wh_num_kernels_name(void)
{
    const char *blas = wh_blas_core_name(), *dnn = wh_onednn_name();
    if (!blas && !dnn) return wh_num_kernels_get()->name;
    char *text = name_.text[blas != NULL][dnn != NULL];
    (void)pthread_mutex_lock(&name_.lock);
    if (!*text)
        (void)snprintf(text, sizeof name_.text[0][0], "%s%s%s%s%s", wh_num_kernels_get()->name,
                       blas ? "+openblas-" : "", blas ? blas : "", dnn ? "+" : "", dnn ? dnn : "");
    (void)pthread_mutex_unlock(&name_.lock);
    return text;
}

/* Measured (docs/num.md): our own reach the peak as OpenBLAS does until all three sides are long. */
bool wh_num_is_large(const wh_num_kernels *kernels, wh_gemm_form form, size_t m, size_t n, size_t k)
{
    (void)form;
    return kernels->level != WH_CPU_GENERIC && m >= 768 && n >= 768 && k >= 768;
}

/* Tiles in registers read A and B where they lie while B stays in the second cache and no stride throws lines of one
 * column out of the first; dot products serve what is too narrow for a tile. Else blocks are copied together first. */
static bool fits_as_it_is(wh_gemm_form form, size_t lda, size_t ldb, size_t m, size_t n, size_t k)
{
    if (form == WH_GEMM_NT) return m < 16 || n < 8;
    if (m < 32) return true;
    if (n * k > 1 << 17 || (ldb % 512 == 0 && k > 64)) return false;
    return form == WH_GEMM_TN ? k * lda <= 1 << 18 : lda % 512 != 0 || m < 64;
}

void wh_num_gemm(const wh_num_kernels *kernels, wh_gemm_form form, float *restrict c, size_t ldc,
                 const float *restrict a, size_t lda, const float *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
    const size_t row_a = form == WH_GEMM_TN ? 1 : lda, col_a = form == WH_GEMM_TN ? lda : 1;
    if (wh_num_is_large(kernels, form, m, n, k) &&
        wh_blas_gemm(c, ldc, a, lda, form == WH_GEMM_TN, b, ldb, form == WH_GEMM_NT, m, n, k, 1, 0))
        return;
    if (!fits_as_it_is(form, lda, ldb, m, n, k))
        kernels->gemm_big(c, ldc, a, row_a, col_a, b, form == WH_GEMM_NT ? 1 : ldb, form == WH_GEMM_NT ? ldb : 1, m, n,
                          k);
    else if (form == WH_GEMM_NT)
        kernels->gemm_nt(c, ldc, a, lda, b, ldb, m, n, k);
    else
        kernels->gemm_bn(c, ldc, a, row_a, col_a, b, ldb, m, n, k, WH_GEMM_PUT, 0);
}

void wh_num_gemm_f64(const wh_num_kernels *kernels, wh_gemm_form form, double *restrict c, size_t ldc,
                     const double *restrict a, size_t lda, const double *restrict b, size_t ldb, size_t m, size_t n,
                     size_t k)
{
    bool ta = form == WH_GEMM_TN, tb = form == WH_GEMM_NT;
    bool large = kernels->level != WH_CPU_GENERIC && m >= 32 && n >= 32 && (double)m * (double)n * (double)k >= 0x1p18;
    if (large && wh_blas_gemm_f64(c, ldc, a, lda, ta, b, ldb, tb, m, n, k)) return;
    kernels->gemm_f64(c, ldc, a, ta ? 1 : lda, ta ? lda : 1, b, tb ? 1 : ldb, tb ? ldb : 1, m, n, k, false);
}
