/* nn/graph/kern_real.h: the type REAL, how the kernels are called, and what they all use on rows of numbers.
 *
 * What runs along a row (sums, products, the largest) runs in LANES interleaved parts that a fixed tree joins, in
 * double whatever REAL is. */
#include <math.h>
#include <string.h>

#include "nn/graph/kern.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if WH_KERN_F32
#define REAL float
#define FN(name) name##f
#define KIND wh_kern_f32_
#else
#define REAL double
#define FN(name) name
#define KIND wh_kern_f64_
#endif
#ifdef WH_KERN_SET
#define NAME(name) JOIN(JOIN(KIND, WH_KERN_SET), _##name)
#else
#define NAME(name) JOIN(KIND, name)
#endif

enum { BLOCK = WH_CHAIN_BLOCK, LANES = 16 };

/* The loop may run in any width: its iterations meet at most in their own element. */
#if defined(__clang__)
/* The pragma says that lanes do not meet; a loop that clang leaves as it is (under a sanitizer: all) is no fault. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define EVERY(i, n) _Pragma("clang loop vectorize(assume_safety)") for (size_t i = 0; i < (n); i++)
#else
#define EVERY(i, n) _Pragma("GCC ivdep") for (size_t i = 0; i < (n); i++)
#endif

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Rows of numbers ----------------------------------------------------------------------- */

static void exp_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->exp(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = exp(x[i]);
#endif
}

static void log_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->log(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = log(x[i]);
#endif
}

static void tanh_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->tanh(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = tanh(x[i]);
#endif
}

static void erf_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->erf(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = erf(x[i]);
#endif
}

static void sigmoid_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->sigmoid(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) {
        double e = exp(-fabs(x[i]));
        out[i] = (x[i] >= 0 ? 1 : e) / (1 + e);
    }
#endif
}

/* Vectors of the compiler's own, as wide as the set has them. Sixteen lanes are DN vectors of doubles or RN of REAL; rd
 * is as many REALs as fill one of doubles. */
#if defined(__AVX512F__)
enum { WIDTH = 64 };
#elif defined(__AVX__)
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
enum { DL = WIDTH / sizeof(double), DN = LANES / DL, RL = WIDTH / sizeof(REAL), RN = LANES / RL };
typedef double vd __attribute__((vector_size(WIDTH)));
typedef REAL rd __attribute__((vector_size(DL * sizeof(REAL))));
typedef REAL rv __attribute__((vector_size(WIDTH)));
#if WH_KERN_F32
typedef int32_t mv __attribute__((vector_size(WIDTH)));
#else
typedef int64_t mv __attribute__((vector_size(WIDTH)));
#endif

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline double tree(vd part[DN])
{
#pragma GCC unroll 4
    for (int half = DN / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    vd s = part[0];
#if defined(__AVX512F__)
    s += __builtin_shufflevector(s, s, 4, 5, 6, 7, 4, 5, 6, 7);
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3, 2, 3, 2, 3);
#elif defined(__AVX__)
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3);
#endif
    return s[0] + s[1];
}

/* Sixteen elements, or what is left of them and zeros, as doubles. */
static inline void load_doubles(vd out[DN], const REAL *x, size_t n)
{
    REAL part[LANES] = {0};
    if (n < LANES) {
        for (size_t j = 0; j < n; j++) part[j] = x[j];
        x = part;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < DN; i++) {
        rd some;
        memcpy(&some, x + i * DL, sizeof some);
        out[i] = __builtin_convertvector(some, vd);
    }
}

static double sum_n(const REAL *x, size_t n)
{
    vd part[DN] = {{0}}, v[DN];
    for (size_t at = 0; at < n; at += LANES) {
        load_doubles(v, x + at, n - at);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += v[i];
    }
    return tree(part);
}

static double dot_n(const REAL *x, const REAL *y, size_t n)
{
    vd part[DN] = {{0}}, v[DN], w[DN];
    for (size_t at = 0; at < n; at += LANES) {
        load_doubles(v, x + at, n - at);
        load_doubles(w, y + at, n - at);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += v[i] * w[i];
    }
    return tree(part);
}

/* C (M,N) = op(A) · op(B), as wh_num_gemm. */
static void gemm(const wh_num_kernels *num, wh_gemm_form form, REAL *restrict c, size_t ldc, const REAL *restrict a,
                 size_t lda, const REAL *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
#if WH_KERN_F32
    wh_num_gemm(num, form, c, ldc, a, lda, b, ldb, m, n, k);
#else
    wh_num_gemm_f64(num, form, c, ldc, a, lda, b, ldb, m, n, k);
#endif
}

/* C (M,N) goes on with the sums it holds: C += Aᵀ (K,M) · B (K,N), k upward. */
static void gemm_more(const wh_num_kernels *num, REAL *restrict c, size_t ldc, const REAL *restrict a, size_t lda,
                      const REAL *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
#if WH_KERN_F32
    num->gemm_bn(c, ldc, a, 1, lda, b, ldb, m, n, k, WH_GEMM_MORE, 0);
#else
    num->gemm_f64(c, ldc, a, 1, lda, b, ldb, 1, m, n, k, true);
#endif
}

static void fill_n(REAL *out, REAL value, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = value;
}

/* Elements from … from + n - 1 of an operand that repeats along some axes. */
static void load_strided(REAL *out, const REAL *data, const wh_operand *operand, size_t from, size_t n)
{
    size_t at[WH_GRAPH_RANK], offset = 0, last = operand->rank - 1;
    for (size_t k = operand->rank; k-- > 0; from /= operand->size[k]) {
        at[k] = from % operand->size[k];
        offset += at[k] * operand->stride[k];
    }
    while (n > 0) {
        size_t run = least(n, operand->size[last] - at[last]), step = operand->stride[last];
        if (step == 0)
            fill_n(out, data[offset], run);
        else if (step == 1)
            memcpy(out, data + offset, run * sizeof *out);
        else
            for (size_t i = 0; i < run; i++) out[i] = data[offset + i * step];
        out += run;
        n -= run;
        at[last] += run;
        offset += run * step;
        for (size_t k = last; k > 0 && at[k] == operand->size[k]; k--) {
            offset -= operand->size[k] * operand->stride[k];
            at[k] = 0;
            at[k - 1]++;
            offset += operand->stride[k - 1];
        }
    }
}
