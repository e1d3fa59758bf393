/* num/kern/gemm_tiles.h: the two matrix products over tiles that stay in registers.
 *
 * The file that includes this defines, for its vectors of V_LANES floats:
 *   vec, mask, v_zero, v_set1(x), v_load(p), v_load_mask(mask, p), v_store(p, v), v_store_mask(p, mask, v),
 *   v_fma(a, b, c) = a b + c, v_mul, v_add, v_mask(n) (the first n lanes), and
 *   BN_ROWS (rows of a gemm_bn tile), NT_ROWS, NT_COLS (of a gemm_nt tile), v_tree(part) (sixteen partial sums
 *   become one), and maybe V_TREE_TILE(c, ldc, sums) (the same for a whole gemm_nt tile at once).
 *
 * gemm_bn: a tile of C, BN_ROWS x 2 vectors, is kept in registers while k runs; each step loads two vectors
 * of B and broadcasts BN_ROWS elements of A. Everything that is not a full tile runs with the same
 * code, with fewer rows or one masked vector, so each element sees the same operations in the same order.
 *
 * gemm_nt: NT_ROWS x NT_COLS dot products at once, each in sixteen interleaved partial sums. */

#define TILE static inline __attribute__((always_inline))

TILE void finish(float *c, vec sum, mask part, bool full, wh_gemm_mode mode, vec alpha)
{
    if (mode == WH_GEMM_ADD || mode == WH_GEMM_AXPY) {
        vec old = full ? v_load(c) : v_load_mask(part, c);
        sum = v_add(old, mode == WH_GEMM_AXPY ? v_mul(alpha, sum) : sum);
    }
    if (full)
        v_store(c, sum);
    else
        v_store_mask(c, part, sum);
}

/* What a list of indices picks: nothing, the k of the product, or the rows of C. */
enum { PICK_NONE, PICK_K, PICK_M };

/* rows, vecs, full and pick are constants where this is called: the loops and choices over them disappear. */
TILE void bn_tile(size_t rows, size_t vecs, bool full, int pick, mask part, const uint32_t *restrict list,
                  float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                  const float *restrict b, size_t ldb, size_t k, wh_gemm_mode mode, vec alpha)
{
    vec sum[BN_ROWS][2];
    size_t row[BN_ROWS];
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++) {
        row[i] = pick == PICK_M ? list[i] : i;
#pragma GCC unroll 2
        for (size_t j = 0; j < vecs; j++) sum[i][j] = v_zero();
    }
    if (mode == WH_GEMM_MORE) {
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (size_t j = 0; j < vecs; j++) {
                const float *from = c + row[i] * ldc + j * V_LANES;
                sum[i][j] = full ? v_load(from) : v_load_mask(part, from);
            }
    }
    for (size_t l = 0; l < k; l++) {
        const size_t at = pick == PICK_K ? list[l] : l;
        const float *al = a + at * col_a, *bl = b + at * ldb;
        vec b0 = full ? v_load(bl) : v_load_mask(part, bl);
        vec b1 = vecs > 1 ? v_load(bl + V_LANES) : v_zero();
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++) {
            vec x = v_set1(al[row[i] * row_a]);
            sum[i][0] = v_fma(x, b0, sum[i][0]);
            if (vecs > 1) sum[i][1] = v_fma(x, b1, sum[i][1]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (size_t j = 0; j < vecs; j++) finish(c + row[i] * ldc + j * V_LANES, sum[i][j], part, full, mode, alpha);
}

#define BN_PARAMS                                                                                                      \
    const uint32_t *restrict list, float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a, \
        const float *restrict b, size_t ldb, size_t k, wh_gemm_mode mode, vec alpha
#define BN_ARGS list, c, ldc, a, row_a, col_a, b, ldb, k, mode, alpha
#define BN_CASE(rows)                                                                                                  \
    case rows: bn_tile(rows, vecs, full, pick, part, BN_ARGS); break

TILE void bn_rows(size_t rows, size_t vecs, bool full, int pick, mask part, BN_PARAMS)
{
    switch (rows) {
        BN_CASE(1);
        BN_CASE(2);
        BN_CASE(3);
        BN_CASE(4);
        BN_CASE(5);
#if BN_ROWS > 5
        BN_CASE(6);
        BN_CASE(7);
        BN_CASE(8);
        BN_CASE(9);
        BN_CASE(10);
#endif
    default: break;
    }
}

/* One block of rows times one strip of columns; the six functions keep the code of the tiles apart. */
#define BN_BLOCK(name, pick)                                                                                           \
    static void name##_wide(size_t rows, BN_PARAMS)                                                                    \
    {                                                                                                                  \
        bn_rows(rows, 2, true, pick, v_mask(V_LANES), BN_ARGS);                                                        \
    }                                                                                                                  \
    static void name##_narrow(size_t rows, mask part, BN_PARAMS)                                                       \
    {                                                                                                                  \
        bn_rows(rows, 1, false, pick, part, BN_ARGS);                                                                  \
    }
BN_BLOCK(bn_none, PICK_NONE)
BN_BLOCK(bn_k, PICK_K)
BN_BLOCK(bn_m, PICK_M)

TILE void bn_block(int pick, size_t rows, size_t cols, BN_PARAMS)
{
    bool wide = cols >= 2 * V_LANES;
    if (pick == PICK_NONE) wide ? bn_none_wide(rows, BN_ARGS) : bn_none_narrow(rows, v_mask(cols), BN_ARGS);
    if (pick == PICK_K) wide ? bn_k_wide(rows, BN_ARGS) : bn_k_narrow(rows, v_mask(cols), BN_ARGS);
    if (pick == PICK_M) wide ? bn_m_wide(rows, BN_ARGS) : bn_m_narrow(rows, v_mask(cols), BN_ARGS);
}

/* What the strip that starts at column j covers. */
TILE size_t bn_cols(size_t n, size_t j)
{
    size_t left = n - j;
    return left >= 2 * V_LANES ? 2 * V_LANES : left >= V_LANES ? V_LANES : left;
}

/* The block of rows from i on, over the strip from column j on. */
TILE void bn_at(int pick, size_t i, size_t j, size_t m, size_t n, BN_PARAMS)
{
    size_t rows = m - i < BN_ROWS ? m - i : BN_ROWS;
    if (pick == PICK_M) {
        list += i;
    } else {
        a += i * row_a;
        c += i * ldc;
    }
    c += j;
    b += j;
    bn_block(pick, rows, bn_cols(n, j), BN_ARGS);
}

/* With few k, B fits the first cache and C is walked row by row; else a strip of B is kept. */
TILE void bn_all(int pick, size_t m, size_t n, BN_PARAMS)
{
    if (k * n <= 4096) {
        for (size_t i = 0; i < m; i += BN_ROWS)
            for (size_t j = 0; j < n; j += bn_cols(n, j)) bn_at(pick, i, j, m, n, BN_ARGS);
        return;
    }
    for (size_t j = 0; j < n; j += bn_cols(n, j))
        for (size_t i = 0; i < m; i += BN_ROWS) bn_at(pick, i, j, m, n, BN_ARGS);
}

static void gemm_bn(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                    const float *restrict b, size_t ldb, size_t m, size_t n, size_t k, wh_gemm_mode mode, float scale)
{
    bn_all(PICK_NONE, m, n, NULL, c, ldc, a, row_a, col_a, b, ldb, k, mode, v_set1(scale));
}

static void gemm_pick_k(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, size_t m, size_t n, const uint32_t *restrict list, size_t k)
{
    bn_all(PICK_K, m, n, list, c, ldc, a, lda, 1, b, ldb, k, WH_GEMM_PUT, v_zero());
}

static void gemm_pick_m(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                        size_t ldb, const uint32_t *restrict list, size_t m, size_t n, size_t k, float alpha)
{
    bn_all(PICK_M, m, n, list, c, ldc, a, 1, lda, b, ldb, k, WH_GEMM_AXPY, v_set1(alpha));
}

/* ---- Large products ------------------------------------------------------------------------
 *
 * K is cut into blocks; in each, C goes on with the sums it holds, so that the bits are those of gemm_bn. A strip of B
 * (two vectors wide) is copied next to each other, where it stays in the first cache while all rows of A pass it. A
 * block of A is copied where it would be read at a large stride. */
enum { BIG_K = 512, BIG_M = 256, BIG_N = 2 * V_LANES };

/* strip (k, BIG_N): columns 0 … cols-1 of B, then zeros up to a whole vector */
TILE void pack_strip(float *restrict strip, const float *restrict b, size_t row_b, size_t col_b, size_t cols, size_t k)
{
    if (col_b == 1 && cols == BIG_N) {
        for (size_t l = 0; l < k; l++) {
            v_store(strip + l * BIG_N, v_load(b + l * row_b));
            v_store(strip + l * BIG_N + V_LANES, v_load(b + l * row_b + V_LANES));
        }
        return;
    }
    size_t j = 0;
    for (; row_b == 1 && j + V_LANES <= cols; j += V_LANES) v_turn(strip + j, BIG_N, b + j * col_b, col_b, k);
    for (size_t l = 0; l < k; l++) {
        for (size_t i = j; i < cols; i++) strip[l * BIG_N + i] = b[l * row_b + i * col_b];
        for (size_t i = cols; i < BIG_N; i++) strip[l * BIG_N + i] = 0;
    }
}

/* copy (rows, k) with ld elements from one row to the next; or, of a transposed A, (k, rows) */
TILE void pack_rows(float *restrict copy, const float *restrict a, size_t lda, size_t rows, size_t k, size_t ld)
{
    for (size_t i = 0; i < rows; i++) memcpy(copy + i * ld, a + i * lda, k * sizeof *a);
}

/* Asks for what comes next while this tile is computed: a share of the next strip of B and, in the first strip, the
 * next rows of A. */
TILE void ask_rows(const float *from, size_t step, size_t rows, size_t floats)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t l = 0; l < floats; l += 16) __builtin_prefetch(from + i * step + l, 0, 2);
}

/* C of the next tile, to write. */
TILE void claim_rows(float *to, size_t step)
{
    for (size_t i = 0; i < BN_ROWS; i++)
        for (size_t j = 0; j < BIG_N; j += 16) __builtin_prefetch(to + i * step + j, 1, 3);
}

/* One block of K over at most BIG_M rows. */
TILE void big_block(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                    const float *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k,
                    wh_gemm_mode mode)
{
    float strip[BIG_K * BIG_N] __attribute__((aligned(64)));
    for (size_t j = 0; j < n; j += BIG_N) {
        size_t cols = n - j < BIG_N ? n - j : BIG_N, asked = 0;
        pack_strip(strip, b + j * col_b, row_b, col_b, cols, k);
        for (size_t i = 0; i < m; i += BN_ROWS) {
            size_t rows = m - i < BN_ROWS ? m - i : BN_ROWS, left = m - i - rows;
            if (j + 2 * BIG_N <= n) {
                size_t upto = (i + rows) * (col_b == 1 ? k : BIG_N) / m;
                const float *after = b + (j + BIG_N) * col_b + asked * (col_b == 1 ? row_b : col_b);
                ask_rows(after, col_b == 1 ? row_b : col_b, upto - asked, col_b == 1 ? BIG_N : k);
                asked = upto;
            }
            if (j == 0 && col_a == 1) ask_rows(a + (i + rows) * row_a, row_a, left < BN_ROWS ? left : BN_ROWS, k);
            if (cols == BIG_N && left >= BN_ROWS) claim_rows(c + (i + rows) * ldc + j, ldc);
            for (size_t part = 0; part < cols; part += bn_cols(cols, part))
                bn_block(PICK_NONE, rows, bn_cols(cols, part), NULL, c + i * ldc + j + part, ldc, a + i * row_a, row_a,
                         col_a, strip + part, BIG_N, k, mode, v_zero());
        }
    }
}

static void gemm_big(float *restrict c, size_t ldc, const float *restrict a, size_t row_a, size_t col_a,
                     const float *restrict b, size_t row_b, size_t col_b, size_t m, size_t n, size_t k)
{
    float copy[(BIG_M + 16) * (BIG_K + 16)] __attribute__((aligned(64)));
    const size_t blocks = (k + BIG_K - 1) / BIG_K, depth = k ? ((k + blocks - 1) / blocks + 15) / 16 * 16 : 0;
    for (size_t l = 0; l < k || l == 0; l += depth) {
        size_t len = k - l < depth ? k - l : depth;
        for (size_t i = 0; i < m; i += BIG_M) {
            size_t rows = m - i < BIG_M ? m - i : BIG_M, ra = row_a, ca = col_a;
            const float *from = a + i * row_a + l * col_a;
            if (n > BIG_N && col_a > 1) {
                ca = BIG_M + 16;
                pack_rows(copy, from, col_a, len, rows, ca);
                from = copy;
            } else if (n > BIG_N && row_a % 512 == 0) {
                ra = BIG_K + 16;
                pack_rows(copy, from, row_a, rows, len, ra);
                from = copy;
            }
            big_block(c + i * ldc, ldc, from, ra, ca, b + l * row_b, row_b, col_b, rows, n, len,
                      l ? WH_GEMM_MORE : WH_GEMM_PUT);
        }
        if (depth == 0) break;
    }
}

/* ---- Dot products --------------------------------------------------------------------------- */

enum { NT_PARTS = 16 / V_LANES }; /* vectors that hold sixteen partial sums */

TILE void nt_tile(size_t rows, size_t cols, float *restrict c, size_t ldc, const float *restrict a, size_t lda,
                  const float *restrict b, size_t ldb, size_t k)
{
    vec sum[NT_ROWS * NT_COLS][NT_PARTS];
#pragma GCC unroll 16
    for (size_t t = 0; t < rows * cols; t++)
#pragma GCC unroll 2
        for (size_t p = 0; p < NT_PARTS; p++) sum[t][p] = v_zero();
    size_t l = 0;
    for (; l + 16 <= k; l += 16)
#pragma GCC unroll 2
        for (size_t p = 0; p < NT_PARTS; p++) {
            vec y[NT_COLS];
#pragma GCC unroll 8
            for (size_t j = 0; j < cols; j++) y[j] = v_load(b + j * ldb + l + p * V_LANES);
#pragma GCC unroll 8
            for (size_t i = 0; i < rows; i++) {
                vec x = v_load(a + i * lda + l + p * V_LANES);
#pragma GCC unroll 8
                for (size_t j = 0; j < cols; j++) sum[i * cols + j][p] = v_fma(x, y[j], sum[i * cols + j][p]);
            }
        }
    if (l < k)
#pragma GCC unroll 2
        for (size_t p = 0; p < NT_PARTS; p++) {
            size_t skip = p * V_LANES, left = k - l > skip ? k - l - skip : 0;
            mask part = v_mask(left < V_LANES ? left : V_LANES);
#pragma GCC unroll 8
            for (size_t i = 0; i < rows; i++) {
                vec x = v_load_mask(part, a + i * lda + l + skip);
#pragma GCC unroll 8
                for (size_t j = 0; j < cols; j++)
                    sum[i * cols + j][p] = v_fma(x, v_load_mask(part, b + j * ldb + l + skip), sum[i * cols + j][p]);
            }
        }
#ifdef V_TREE_TILE
    if (rows == NT_ROWS && cols == NT_COLS) {
        V_TREE_TILE(c, ldc, sum);
        return;
    }
#endif
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < cols; j++) c[i * ldc + j] = v_tree(sum[i * cols + j]);
}

static void gemm_nt(float *restrict c, size_t ldc, const float *restrict a, size_t lda, const float *restrict b,
                    size_t ldb, size_t m, size_t n, size_t k)
{
    size_t j = 0;
    for (; j + NT_COLS <= n; j += NT_COLS) {
        size_t i = 0;
        for (; i + NT_ROWS <= m; i += NT_ROWS)
            nt_tile(NT_ROWS, NT_COLS, c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, k);
        for (; i < m; i++) nt_tile(1, NT_COLS, c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, k);
    }
    for (; j < n; j++) {
        size_t i = 0;
        for (; i + NT_COLS <= m; i += NT_COLS)
            nt_tile(NT_COLS, 1, c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, k);
        for (; i < m; i++) nt_tile(1, 1, c + i * ldc + j, ldc, a + i * lda, lda, b + j * ldb, ldb, k);
    }
}
