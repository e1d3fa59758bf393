/* num/blas.c: one dlopen, once. The only state is the handle, filled before anybody sees it. */
#include "num/blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cpu.h"

/* The interface of cblas.h, without its header. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);
typedef void dgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, double alpha, const double *a, int lda,
                      const double *b, int ldb, double beta, double *c, int ldc);
typedef void set_threads_fn(int);
typedef char *core_name_fn(void);

static struct {
    pthread_once_t settle, load;
    sgemm_fn *sgemm; /* NULL: no OpenBLAS */
    dgemm_fn *dgemm;
    const char *core;
    atomic_bool loaded;
} blas = {.settle = PTHREAD_ONCE_INIT, .load = PTHREAD_ONCE_INIT};

static void settle(void)
{
    const char *wanted = getenv("WHIST_BLAS_CORE");
    wh_cpu_level level = wh_cpu_get();
    if (!wanted || !*wanted) wanted = level == WH_CPU_AVX512 ? "SkylakeX" : level == WH_CPU_AVX2 ? "Haswell" : NULL;
    if (wanted) (void)setenv("OPENBLAS_CORETYPE", wanted, 1);
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
    (void)unsetenv("OPENBLAS_VERBOSE"); /* 2 would make it print the kernel name */
}

void wh_blas_settle(void)
{
    (void)pthread_once(&blas.settle, settle);
}

/* dlsym gives an object pointer; POSIX promises that it can hold a function's. */
static void *symbol(void *library, const char *name)
{
    return dlsym(library, name);
}

/* MemorySanitizer does not see what a library built without it writes and would call every product
 * undefined. There the own kernels, which it does see, multiply all shapes. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define WITHOUT_OPENBLAS
#endif
#endif
#ifdef WITHOUT_OPENBLAS
enum { OWN_KERNELS_ONLY = true };
#else
enum { OWN_KERNELS_ONLY = false };
#endif

static void load(void)
{
    wh_blas_settle();
    if (OWN_KERNELS_ONLY || wh_cpu_get() == WH_CPU_GENERIC) return;
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    sgemm_fn *sgemm;
    dgemm_fn *dgemm;
    set_threads_fn *set_threads;
    core_name_fn *core_name;
    *(void **)&sgemm = symbol(library, "cblas_sgemm");
    *(void **)&dgemm = symbol(library, "cblas_dgemm");
    *(void **)&set_threads = symbol(library, "openblas_set_num_threads");
    *(void **)&core_name = symbol(library, "openblas_get_corename");
    if (!sgemm || !dgemm || !set_threads || !core_name) {
        (void)dlclose(library);
        return;
    }
    set_threads(1);
    blas.core = core_name();
    blas.dgemm = dgemm;
    blas.sgemm = sgemm;
    atomic_store(&blas.loaded, true);
}

bool wh_blas_gemm(float *c, size_t ldc, const float *a, size_t lda, bool trans_a, const float *b, size_t ldb,
                  bool trans_b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    if ((m | n | k | lda | ldb | ldc) > INT_MAX) return false;
    (void)pthread_once(&blas.load, load);
    if (!blas.sgemm) return false;
    blas.sgemm(ROW_MAJOR, trans_a ? TRANS : NO_TRANS, trans_b ? TRANS : NO_TRANS, (int)m, (int)n, (int)k, alpha, a,
               (int)lda, b, (int)ldb, beta, c, (int)ldc);
    return true;
}

bool wh_blas_gemm_f64(double *c, size_t ldc, const double *a, size_t lda, bool trans_a, const double *b, size_t ldb,
                      bool trans_b, size_t m, size_t n, size_t k)
{
    if ((m | n | k | lda | ldb | ldc) > INT_MAX) return false;
    (void)pthread_once(&blas.load, load);
    if (!blas.dgemm) return false;
    blas.dgemm(ROW_MAJOR, trans_a ? TRANS : NO_TRANS, trans_b ? TRANS : NO_TRANS, (int)m, (int)n, (int)k, 1, a,
               (int)lda, b, (int)ldb, 0, c, (int)ldc);
    return true;
}

const char *wh_blas_core_name(void)
{
    return atomic_load(&blas.loaded) ? blas.core : NULL;
}
