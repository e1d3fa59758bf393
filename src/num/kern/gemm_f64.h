/* num/kern/gemm_f64.h: products of doubles, written once and compiled for each instruction set.
 *
 * Tiles of 4 x 32 sums while k runs upward; strips of B are copied first. Separate multiply and add: the same bits on
 * every set, those of the plain triple loop. The vectors are the compiler's own, of a fixed width. */
#ifndef WH_NUM_KERN_GEMM_F64_H
#define WH_NUM_KERN_GEMM_F64_H

#include <stddef.h>
#include <string.h>

typedef double f64x8 __attribute__((vector_size(64)));
enum { F64_ROWS = 4, F64_COLS = 32, F64_K = 128, F64_VECS = F64_COLS / 8 };

/* sums (rows, F64_COLS) go on; always_inline, so that rows is a constant and the sums are registers */
static inline __attribute__((always_inline)) void f64_tile(size_t rows, double *restrict sums, const double *restrict a,
                                                           size_t row_a, size_t col_a, const f64x8 *restrict strip,
                                                           size_t k)
{
    f64x8 sum[F64_ROWS][F64_VECS];
#pragma GCC unroll 4
    for (size_t i = 0; i < rows; i++) memcpy(sum[i], sums + i * F64_COLS, sizeof sum[i]);
    for (size_t l = 0; l < k; l++)
#pragma GCC unroll 4
        for (size_t i = 0; i < rows; i++) {
            double x = a[i * row_a + l * col_a];
#pragma GCC unroll 4
            for (size_t q = 0; q < F64_VECS; q++) sum[i][q] += x * strip[l * F64_VECS + q];
        }
#pragma GCC unroll 4
    for (size_t i = 0; i < rows; i++) memcpy(sums + i * F64_COLS, sum[i], sizeof sum[i]);
}

static void f64_rows(size_t rows, double *c, size_t ldc, const double *a, size_t row_a, size_t col_a,
                     const f64x8 *strip, size_t cols, size_t k, bool first)
{
    double sums[F64_ROWS * F64_COLS] = {0};
    for (size_t i = 0; i < rows && !first; i++) memcpy(sums + i * F64_COLS, c + i * ldc, cols * sizeof *c);
    if (rows == F64_ROWS)
        f64_tile(F64_ROWS, sums, a, row_a, col_a, strip, k);
    else
        for (size_t i = 0; i < rows; i++) f64_tile(1, sums + i * F64_COLS, a + i * row_a, row_a, col_a, strip, k);
    for (size_t i = 0; i < rows; i++) memcpy(c + i * ldc, sums + i * F64_COLS, cols * sizeof *c);
}

static void gemm_f64(double *restrict c, size_t ldc, const double *restrict a, size_t row_a, size_t col_a,
                     const double *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k, bool more)
{
    f64x8 strip[F64_K * F64_VECS];
    for (size_t j = 0; j < n; j += F64_COLS) {
        size_t cols = n - j < F64_COLS ? n - j : F64_COLS;
        for (size_t l = 0; l < k || l == 0; l += F64_K) {
            size_t depth = k - l < F64_K ? k - l : F64_K;
            double copy[F64_COLS] = {0};
            for (size_t r = 0; r < depth; r++) {
                for (size_t i = 0; i < cols; i++) copy[i] = b[(l + r) * row_b + (j + i) * col_b];
                memcpy(strip + r * F64_VECS, copy, sizeof copy);
            }
            for (size_t i = 0; i < m; i += F64_ROWS)
                f64_rows(m - i < F64_ROWS ? m - i : F64_ROWS, c + i * ldc + j, ldc, a + i * row_a + l * col_a, row_a,
                         col_a, strip, cols, depth, l == 0 && !more);
        }
    }
}

#endif
