/* num/kern.h: the float32 kernels, in one table per instruction set.
 *
 * The generic C kernels are the specification. All matrices are row-major; ld… are elements from one
 * row to the next. Every pointer may have any alignment of its type; out overlaps no input unless
 * the comment says so.
 *
 * Bits. No kernel depends on a thread count, an address or anything but its arguments.
 *   elementwise, dot, sum,    the same bits on every instruction set: separate multiply and add, never
 *   squared                   fma; sums in sixteen (squared, of 64 and more: sixty-four) interleaved parts joined by a
 *                             fixed tree.
 *   gemm_bn                   each element adds its products with k running upward, from 0. avx2 and
 *                             avx512 use fma and agree to the bit; generic rounds each product.
 *   gemm_nt                   avx2 and avx512 keep sixteen interleaved partial sums (fma) joined by a fixed
 *                             tree and agree to the bit; generic likewise without fma.
 *   So |kernel − generic| <= 2 (K + 1) 2^-24 Σ_k |a_ik b_kj|  for both products. */
#ifndef WH_NUM_KERN_H
#define WH_NUM_KERN_H

#include "base/cpu.h"

/* What a product does with what is in C. */
typedef enum wh_gemm_mode {
    WH_GEMM_PUT,  /* C = P */
    WH_GEMM_ADD,  /* C = C + P */
    WH_GEMM_AXPY, /* C = C + alpha · P, two roundings on every set */
    WH_GEMM_MORE, /* the sums go on from what is in C: P of two halves of K is P of K, to the bit */
} wh_gemm_mode;

/* The constants of a step of Adam, rounded once. */
typedef struct wh_adam_terms {
    float lr, beta1, rest1, beta2, rest2, eps,
        correct2; /* rest = 1 - beta; lr and correct2 carry the bias corrections */
    float scale;  /* of the gradient */
    float decay;  /* times the parameter, added to the gradient */
    float shrink; /* times the parameter, taken off it before the step */
} wh_adam_terms;

typedef struct wh_num_kernels {
    const char *name;
    wh_cpu_level level;

    /* P[i,j] = Σ_k A(i,k) · B[k,j],  A(i,k) = a[i * row_a + k * col_a],  B (K,N),  C (M,N).
     * (row_a, col_a) = (lda, 1) is A · B, (1, lda) is A^T · B. */
    void (*gemm_bn)(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                    const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, wh_gemm_mode mode, float alpha);
    /* P of a large product, with B(k,j) = b[k * row_b + j * col_b] (col_b or row_b is 1): blocks of K, strips of B
     * copied. The bits of gemm_bn. Needs about 640 KiB of stack. */
    void (*gemm_big)(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                     const float *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k);
    /* C[i,j] = Σ_k A[i,k] · B[j,k],  A (M,K),  B (N,K),  C (M,N). */
    void (*gemm_nt)(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                    size_t ldb, size_t m, size_t n, size_t k);

    /* copy (M,K) = the rows index[i] of a table, stride elements apart, and C = copy · Bᵀ in one pass, with the bits of
     * gemm_nt. index goes on for `more` rows that come next: they are asked for. */
    void (*gather_nt)(float *restrict c, size_t ldc, float *restrict copy, size_t ld, const float *restrict rows,
                      size_t stride, const uint32_t *restrict index, size_t m, size_t more, const float *restrict b,
                      size_t ldb, size_t n, size_t k);

    /* The product of gemm_big in double, separate multiply and add on every set: the same bits. more: the sums go on
     * from what is in C. 64 KiB of stack. */
    void (*gemm_f64)(double *restrict c, size_t ldc, const double *restrict a, size_t row_a, size_t col_a,
                     const double *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k, bool more);

    /* The same products where columns of A are zero: as gemm_bn, with k, or the rows of C, running over a
     * rising list of indices. With finite B and the list of used_columns the bits are those of gemm_bn.
     *   pick_k: C[i,j] = Σ_l A[i,list[l]] · B[list[l],j]                     A (M,·), B (·,N), list (K)
     *   pick_m: C[r,j] += alpha · Σ_k A[k,r] · B[k,j] for r = list[i]        A (K,·), B (K,N), C (·,N), list (M) */
    void (*gemm_pick_k)(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, size_t m, size_t n, const uint32_t *restrict list, size_t k);
    void (*gemm_pick_m)(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, const uint32_t *restrict list, size_t m, size_t n, size_t k, float alpha);
    /* The columns of x (M,N) that hold anything but zeros, rising; returns how many. list has room for N. */
    size_t (*used_columns)(uint32_t *restrict list, const float *restrict x, size_t ldx, size_t m, size_t n);

    /* y[i] = y[i] + alpha · x[i] */
    void (*axpy)(float *restrict y, const float *restrict x, size_t n, float alpha);
    void (*scale)(float *x, size_t n, float alpha);
    /* y[i] = y[i] + x[i] */
    void (*add)(float *restrict y, const float *restrict x, size_t n);
    /* y[i] = y[i] + alpha · (a[i] - b[i]) */
    void (*add_difference)(float *restrict y, const float *restrict a, const float *restrict b, size_t n, float alpha);
    float (*dot)(const float *restrict x, const float *restrict y, size_t n);
    float (*sum)(const float *x, size_t n);
    float (*squared)(const float *x, size_t n); /* Σ x[i]² */

    /* out may be x itself. Errors in units of the last place of the exact result, over all floats:
     * exp <= 2 (results below 2^-126 become 0, above FLT_MAX infinity); log <= 2 (negative: NaN, 0: -infinity);
     * sigmoid <= 4 (below e^-87: 0); tanh <= 4; erf <= 4. NaN stays NaN. */
    void (*exp)(float *out, const float *x, size_t n);
    void (*log)(float *out, const float *x, size_t n);
    void (*sigmoid)(float *out, const float *x, size_t n);
    void (*tanh)(float *out, const float *x, size_t n);
    void (*erf)(float *out, const float *x, size_t n);
    void (*relu)(float *out, const float *x, size_t n); /* NaN stays NaN */

    /* d = scale g + decay p;  m = beta1 m + rest1 d;  v = beta2 v + rest2 d²;  p −= shrink p;
     * p −= lr m / (√v correct2 + eps) */
    void (*adam)(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n,
                 const wh_adam_terms *terms);

    /* Derivatives through the activation's value y: d[i] = d[i] · f'(y[i]). */
    void (*relu_back)(float *restrict d, const float *restrict y, size_t n);
    void (*sigmoid_back)(float *restrict d, const float *restrict y, size_t n);
    void (*tanh_back)(float *restrict d, const float *restrict y, size_t n);

    /* x[i,:] += bias,  x (M,N), bias (N) */
    void (*add_rows)(float *restrict x, size_t ldx, const float *restrict bias, size_t m, size_t n);
    /* out (N,M) = xᵀ, x (M,N); and out (N,M) += alpha · xᵀ */
    void (*turn)(float *restrict out, const float *restrict x, size_t m, size_t n);
    void (*turn_axpy)(float *restrict out, const float *restrict x, size_t m, size_t n, float alpha);
    /* Each product rounded toward zero; it and the sums are below 2^31 (add_whole64: the product is).
     *   whole32   to[i] += Σ_e x_e[i] · f_e                  e < m,  x_e (N)
     *   outer32   to[i,j] += Σ_e (a_e[i] · f_e) · b_e[j]     a_e (M), b_e (N), to (M,N)
     *   whole64   to[i] += x[i] · f */
    void (*add_whole32)(int32_t *restrict to, const float *const *x, const float *f, size_t examples, size_t n);
    void (*add_outer32)(int32_t *restrict to, const float *const *a, const float *const *b, const float *f,
                        size_t examples, size_t m, size_t n);
    void (*add_whole64)(int64_t *restrict to, const float *restrict x, size_t n, float f);
    /* out[i] = (a[i] + b[i]) · f, the sum and the product rounded to double, the result to float */
    void (*from_whole64)(float *restrict out, const int64_t *restrict a, const int64_t *restrict b, size_t n, double f);
    /* out[j] = Σ_i x[i,j], i upward,  x (M,N), out (N) */
    void (*sum_rows)(float *restrict out, const float *restrict x, size_t ldx, size_t m, size_t n);

    /* rounds times peak_flops operations in registers alone, for the share of the peak that a benchmark reached. */
    float (*peak)(size_t rounds);
    size_t peak_flops;
} wh_num_kernels;

/* The table for a level; tests ask for each level up to wh_cpu_machine(). */
const wh_num_kernels *wh_num_kernels_at(wh_cpu_level level);
/* The table in force (wh_cpu_get). Reads the environment: ask once and keep it. */
const wh_num_kernels *wh_num_kernels_get(void);

/* "avx512", or "avx512+openblas-SkylakeX" once OpenBLAS has been loaded. */
const char *wh_num_kernels_name(void);

/* C (M,N) = op(A) (M,K) · op(B) (K,N); never both transposed. Row strides lda, ldb of A, B as they
 * lie in memory. Large products go to OpenBLAS where there is one, by shape alone; the kernels of
 * the table do the rest, and all for the generic table. */
typedef enum wh_gemm_form {
    WH_GEMM_NN, /* A (M,K), B (K,N) */
    WH_GEMM_TN, /* A (K,M), B (K,N) */
    WH_GEMM_NT, /* A (M,K), B (N,K) */
} wh_gemm_form;
void wh_num_gemm(const wh_num_kernels *kernels, wh_gemm_form form, float *restrict c, size_t ldc,
                 const float *restrict a, size_t lda, const float *restrict b, size_t ldb, size_t m, size_t n,
                 size_t k);
/* The same in double; large products go to OpenBLAS by shape alone where there is one. */
void wh_num_gemm_f64(const wh_num_kernels *kernels, wh_gemm_form form, double *restrict c, size_t ldc,
                     const double *restrict a, size_t lda, const double *restrict b, size_t ldb, size_t m, size_t n,
                     size_t k);
/* Would wh_num_gemm ask OpenBLAS for this shape? */
bool wh_num_is_large(const wh_num_kernels *kernels, wh_gemm_form form, size_t m, size_t n, size_t k);

#endif
