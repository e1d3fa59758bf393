/* num/blas.h: OpenBLAS, loaded when the first large product needs it and never linked.
 *
 * OpenBLAS chooses its kernels and starts its threads while it is loaded, from the environment. We
 * settle both before that: one thread, and the kernels that belong to our own level (avx512:
 * SkylakeX, avx2: Haswell), so that one kernel set means the same bits on every machine. An inherited
 * OPENBLAS_CORETYPE is ignored; WHIST_BLAS_CORE=NAME asks for another. WHIST_CPU=generic never
 * loads it, and a machine without the library works on the kernels of num/kern.h alone.
 *
 * Threads: all functions may be called from any thread. The first use sets environment variables:
 * a program with threads of its own calls wh_blas_settle before it starts them. */
#ifndef WH_NUM_BLAS_H
#define WH_NUM_BLAS_H

#include "base/status.h"

/* Sets the environment for OpenBLAS without loading it. Idempotent. */
void wh_blas_settle(void);

/* Row-major C (M,N) = alpha · op(A) (M,K) · op(B) (K,N) + beta · C. False (nothing done) where there is no
 * OpenBLAS or a size does not fit its int. Loads the library on first use. */
bool wh_blas_gemm(float *c, size_t ldc, const float *a, size_t lda, bool trans_a, const float *b, size_t ldb,
                  bool trans_b, size_t m, size_t n, size_t k, float alpha, float beta);

/* The same in double, C = op(A) · op(B). */
bool wh_blas_gemm_f64(double *c, size_t ldc, const double *a, size_t lda, bool trans_a, const double *b, size_t ldb,
                      bool trans_b, size_t m, size_t n, size_t k);

/* The kernels OpenBLAS chose ("SkylakeX"); NULL while it is not loaded or where there is none. */
const char *wh_blas_core_name(void);

#endif
