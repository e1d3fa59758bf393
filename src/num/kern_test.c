/* Tests of num/kern: products of every kernel set against sums in double, bits where they are promised,
 * error bounds of exp, log, sigmoid, tanh and erf over a sweep of all floats, OpenBLAS against our own. */
#include "num/kern.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "num/blas.h"
#include "test.h"

static uint64_t state_ = 1;
static float uniform(void) /* [-1, 1), splitmix64 */
{
    uint64_t z = (state_ += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (float)(int64_t)((z ^ (z >> 31)) >> 40) / 0x1p23f - 1.0f;
}
static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = uniform();
}

enum { CELLS = 1 << 16, GUARD = 7 };
static float a_[CELLS], b_[CELLS], old_[CELLS], c_[CELLS], kept_[CELLS];

/* Element (i,j) of op(A) op(B) in double, and the sum of magnitudes that bounds its error. */
static double exact(wh_gemm_form form, size_t lda, size_t ldb, size_t i, size_t j, size_t k, double *size)
{
    double sum = 0;
    *size = 0;
    for (size_t l = 0; l < k; l++) {
        double x = form == WH_GEMM_TN ? a_[l * lda + i] : a_[i * lda + l];
        double y = form == WH_GEMM_NT ? b_[j * ldb + l] : b_[l * ldb + j];
        sum += x * y;
        *size += fabs(x * y);
    }
    return sum;
}

static void run_product(const wh_num_kernels *kernels, wh_gemm_form form, size_t m, size_t n, size_t k, size_t lda,
                        size_t ldb, size_t ldc, wh_gemm_mode mode)
{
    memcpy(c_, old_, sizeof c_);
    if (form == WH_GEMM_NT)
        kernels->gemm_nt(c_, ldc, a_, lda, b_, ldb, m, n, k);
    else
        kernels->gemm_bn(c_, ldc, a_, form == WH_GEMM_TN ? 1 : lda, form == WH_GEMM_TN ? lda : 1, b_, ldb, m, n, k,
                         mode, -0.25f);
}

static void check_product(wh_cpu_level level, wh_gemm_form form, size_t m, size_t n, size_t k, wh_gemm_mode mode)
{
    size_t lda = (form == WH_GEMM_TN ? m : k) + 3, ldb = (form == WH_GEMM_NT ? k : n) + 1, ldc = n + GUARD;
    run_product(wh_num_kernels_at(level), form, m, n, k, lda, ldb, ldc, mode);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double size, want = exact(form, lda, ldb, i, j, k, &size), start = old_[i * ldc + j];
            double bound = ((double)k + 1) * 0x1p-24 * size;
            if (mode == WH_GEMM_ADD || mode == WH_GEMM_MORE) want = start + want;
            if (mode == WH_GEMM_MORE) bound += (double)k * 0x1p-24 * fabs(start); /* it is in every sum */
            if (mode == WH_GEMM_AXPY) want = start - 0.25 * want;
            if (mode != WH_GEMM_PUT) bound += 0x1p-23 * (fabs(start) + size);
            assert_true(fabs(c_[i * ldc + j] - want) <= bound);
        }
        /* nothing beside C is touched */
        assert_memory_equal(c_ + i * ldc + n, old_ + i * ldc + n, GUARD * sizeof(float));
    }
    if (level == WH_CPU_AVX512) {
        memcpy(kept_, c_, sizeof c_);
        run_product(wh_num_kernels_at(WH_CPU_AVX2), form, m, n, k, lda, ldb, ldc, mode);
        assert_memory_equal(kept_, c_, sizeof c_);
    }
}

static void test_products_of_every_set(void **state)
{
    (void)state;
    fill(a_, CELLS), fill(b_, CELLS), fill(old_, CELLS);
    static const size_t sizes[][3] = {{1, 1, 1},    {1, 1, 13},    {4, 1, 13},  {10, 10, 200}, {10, 200, 10},
                                      {10, 33, 17}, {23, 47, 5},   {9, 16, 16}, {11, 32, 31},  {7, 65, 40},
                                      {64, 9, 3},   {10, 50, 150}, {3, 5, 0},   {37, 8, 64},   {1, 130, 70}};
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (size_t s = 0; s < WH_COUNT(sizes); s++) {
            size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            for (int mode = WH_GEMM_PUT; mode <= WH_GEMM_MORE; mode++) {
                check_product((wh_cpu_level)level, WH_GEMM_NN, m, n, k, (wh_gemm_mode)mode);
                check_product((wh_cpu_level)level, WH_GEMM_TN, m, n, k, (wh_gemm_mode)mode);
            }
            check_product((wh_cpu_level)level, WH_GEMM_NT, m, n, k, WH_GEMM_PUT);
        }
}

/* Picking the columns of A that are not zero gives the bits of the whole product. */
static void test_picks_have_the_bits_of_the_whole(void **state)
{
    (void)state;
    enum { M = 13, N = 75, K = 149, LD = N + 3 };
    fill(a_, CELLS), fill(b_, CELLS), fill(old_, CELLS);
    for (size_t l = 0; l < K; l++)
        for (size_t i = 0; i < M && l % 3 != 1; i++) a_[i * K + l] = l % 2 ? 0.0f : -0.0f;
    uint32_t list[K];
    for (int level = 0; level <= (int)wh_cpu_machine(); level++) {
        const wh_num_kernels *kernels = wh_num_kernels_at((wh_cpu_level)level);
        size_t count = kernels->used_columns(list, a_, K, M, K);
        assert_int_equal(count, (K + 1) / 3);
        for (size_t l = 0; l < count; l++) assert_int_equal(list[l], 3 * l + 1);
        memcpy(c_, old_, sizeof c_), memcpy(kept_, old_, sizeof c_);
        kernels->gemm_bn(c_, LD, a_, K, 1, b_, LD, M, N, K, WH_GEMM_PUT, 0);
        kernels->gemm_pick_k(kept_, LD, a_, K, b_, LD, M, N, list, count);
        assert_memory_equal(c_, kept_, sizeof c_);
        kernels->gemm_bn(c_, LD, a_, 1, K, b_, LD, K, N, M, WH_GEMM_AXPY, -0.1f);
        kernels->gemm_pick_m(kept_, LD, a_, K, b_, LD, list, count, N, M, -0.1f);
        assert_memory_equal(c_, kept_, sizeof c_);
    }
}

/* Large products have the bits of the small ones (NN, TN), and those of the other set; blocks of K go on from each
 * other. Generic rounds each product. */
static void check_large(wh_cpu_level level, wh_gemm_form form, size_t m, size_t n, size_t k)
{
    const wh_num_kernels *kernels = wh_num_kernels_at(level);
    const size_t lda = (form == WH_GEMM_TN ? m : k) + 3, ldb = (form == WH_GEMM_NT ? k : n) + 1, ldc = n + GUARD;
    const size_t row_a = form == WH_GEMM_TN ? 1 : lda, col_a = form == WH_GEMM_TN ? lda : 1;
    const size_t row_b = form == WH_GEMM_NT ? 1 : ldb, col_b = form == WH_GEMM_NT ? ldb : 1;
    assert_true(m * ldc <= CELLS && lda * (form == WH_GEMM_TN ? k : m) <= CELLS);
    memcpy(c_, old_, sizeof c_);
    kernels->gemm_big(c_, ldc, a_, row_a, col_a, b_, row_b, col_b, m, n, k);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j += 3) {
            double size, want = exact(form, lda, ldb, i, j, k, &size);
            assert_true(fabs(c_[i * ldc + j] - want) <= ((double)k + 1) * 0x1p-24 * size);
        }
        assert_memory_equal(c_ + i * ldc + n, old_ + i * ldc + n, GUARD * sizeof(float));
    }
    memcpy(kept_, old_, sizeof kept_);
    if (form != WH_GEMM_NT) {
        kernels->gemm_bn(kept_, ldc, a_, row_a, col_a, b_, ldb, m, n, k, WH_GEMM_PUT, 0);
        assert_memory_equal(kept_, c_, sizeof c_);
        kernels->gemm_bn(kept_, ldc, a_, row_a, col_a, b_, ldb, m, n, k / 3, WH_GEMM_PUT, 0);
        kernels->gemm_bn(kept_, ldc, a_ + k / 3 * col_a, row_a, col_a, b_ + k / 3 * ldb, ldb, m, n, k - k / 3,
                         WH_GEMM_MORE, 0);
        assert_memory_equal(kept_, c_, sizeof c_);
    }
    if (level == WH_CPU_AVX512) {
        wh_num_kernels_at(WH_CPU_AVX2)->gemm_big(kept_, ldc, a_, row_a, col_a, b_, row_b, col_b, m, n, k);
        assert_memory_equal(kept_, c_, sizeof c_);
    }
}

static void test_large_products_of_every_set(void **state)
{
    (void)state;
    fill(a_, CELLS), fill(b_, CELLS), fill(old_, CELLS);
    static const size_t sizes[][3] = {{1, 1, 1},     {13, 70, 30},  {64, 64, 32}, {40, 45, 700}, {300, 40, 17},
                                      {20, 33, 512}, {257, 7, 100}, {5, 96, 16},  {33, 64, 509}};
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (size_t s = 0; s < WH_COUNT(sizes); s++)
            for (int form = WH_GEMM_NN; form <= WH_GEMM_NT; form++)
                check_large((wh_cpu_level)level, (wh_gemm_form)form, sizes[s][0], sizes[s][1], sizes[s][2]);
}

/* The products of doubles have the bits of three plain loops, on every set. */
static void test_products_of_doubles(void **state)
{
    (void)state;
    enum { M = 37, N = 71, K = 150, LD = 160 };
    static double a[LD * LD], b[LD * LD], c[LD * LD], want[LD * LD];
    for (size_t i = 0; i < LD * LD; i++) a[i] = (double)uniform(), b[i] = (double)uniform();
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (int form = WH_GEMM_NN; form <= WH_GEMM_NT; form++)
            for (int more = 0; more < 2; more++) {
                bool ta = form == WH_GEMM_TN, tb = form == WH_GEMM_NT;
                for (size_t i = 0; i < LD * LD; i++) c[i] = want[i] = (double)i;
                for (size_t i = 0; i < M; i++)
                    for (size_t j = 0; j < N; j++) {
                        double sum = more ? want[i * LD + j] : 0;
                        for (size_t l = 0; l < K; l++)
                            sum = sum + (ta ? a[l * LD + i] : a[i * LD + l]) * (tb ? b[j * LD + l] : b[l * LD + j]);
                        want[i * LD + j] = sum;
                    }
                wh_num_kernels_at((wh_cpu_level)level)
                    ->gemm_f64(c, LD, a, ta ? 1 : LD, ta ? LD : 1, b, tb ? 1 : LD, tb ? LD : 1, M, N, K, more);
                assert_memory_equal(c, want, sizeof c);
            }
    /* whatever wh_num_gemm_f64 chooses is near */
    wh_num_gemm_f64(wh_num_kernels_get(), WH_GEMM_NT, c, LD, a, LD, b, LD, M, N, K);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            double sum = 0;
            for (size_t l = 0; l < K; l++) sum += a[i * LD + l] * b[j * LD + l];
            assert_true(fabs(c[i * LD + j] - sum) <= 1e-13 * K);
        }
}

/* Gathered rows times few columns: a copy, and the bits of gemm_nt. */
static void test_gathered_products(void **state)
{
    (void)state;
    enum { ROWS = 40, M = 17, LD = 208, LDC = 16 };
    fill(a_, CELLS), fill(b_, CELLS), fill(old_, CELLS);
    uint32_t index[M + 3];
    for (uint32_t i = 0; i < M + 3; i++) index[i] = i * 7 % ROWS;
    static float copy[M * LD], x[M * LD];
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (size_t n = 2; n <= LDC; n += 4)
            for (size_t k = 1; k < 200; k += 33) {
                const wh_num_kernels *kernels = wh_num_kernels_at((wh_cpu_level)level);
                memcpy(c_, old_, sizeof c_), memcpy(kept_, old_, sizeof c_);
                for (size_t i = 0; i < M; i++) memcpy(x + i * LD, a_ + index[i] * LD, k * sizeof *x);
                kernels->gather_nt(c_, LDC, copy, LD, a_, LD, index, M, 3, b_, k, n, k);
                kernels->gemm_nt(kept_, LDC, x, LD, b_, k, M, n, k);
                assert_memory_equal(c_, kept_, sizeof c_);
                for (size_t i = 0; i < M; i++) assert_memory_equal(copy + i * LD, x + i * LD, k * sizeof *x);
            }
}

static void test_adam_has_the_same_bits(void **state)
{
    (void)state;
    enum { N = 333 };
    const wh_adam_terms terms = {.lr = 1e-3f,
                                 .beta1 = .9f,
                                 .rest1 = .1f,
                                 .beta2 = .99f,
                                 .rest2 = .01f,
                                 .eps = 1e-8f,
                                 .correct2 = 1.5f,
                                 .scale = .5f,
                                 .decay = .1f,
                                 .shrink = .01f};
    fill(a_, CELLS), fill(old_, CELLS);
    for (size_t i = 2 * N; i < 3 * N; i++) old_[i] = fabsf(old_[i]);
    memcpy(c_, old_, sizeof c_);
    wh_num_kernels_at(WH_CPU_GENERIC)->adam(c_, c_ + N, c_ + 2 * N, a_, N, &terms);
    float d = .5f * a_[0] + .1f * old_[0], m = .9f * old_[N] + .1f * d, v = .99f * old_[2 * N] + .01f * d * d;
    assert_true(c_[N] == m && c_[2 * N] == v);
    assert_true(fabs(c_[0] - (.99 * old_[0] - 1e-3 * m / (sqrt(v) * 1.5 + 1e-8))) < 1e-6);
    for (int level = 1; level <= (int)wh_cpu_machine(); level++) {
        memcpy(kept_, old_, sizeof kept_);
        wh_num_kernels_at((wh_cpu_level)level)->adam(kept_, kept_ + N, kept_ + 2 * N, a_, N, &terms);
        assert_memory_equal(kept_, c_, sizeof c_);
    }
}

/* Every elementwise kernel of every set gives the bits of the generic one. */
static void check_vectors(const wh_num_kernels *kernels, size_t n)
{
    const wh_num_kernels *generic = wh_num_kernels_at(WH_CPU_GENERIC);
    float *p = old_, *q = c_, *r = kept_;
#define SAME(call)                                                                                                     \
    do {                                                                                                               \
        const wh_num_kernels *set = generic;                                                                           \
        memcpy(q, p, (n + 1) * sizeof *p);                                                                             \
        float *out = q;                                                                                                \
        call;                                                                                                          \
        memcpy(r, p, (n + 1) * sizeof *p);                                                                             \
        out = r, set = kernels;                                                                                        \
        call;                                                                                                          \
        assert_memory_equal(q, r, (n + 1) * sizeof *p);                                                                \
    } while (0)
    SAME(set->axpy(out, a_, n, 0.3f));
    SAME(set->scale(out, n, 0.3f));
    SAME(set->add(out, a_, n));
    SAME(set->add_difference(out, a_, b_, n, 0.7f));
    SAME(set->exp(out, a_, n));
    SAME(set->log(out, b_, n));
    SAME(set->sigmoid(out, a_, n));
    SAME(set->tanh(out, a_, n));
    SAME(set->erf(out, a_, n));
    SAME(set->relu(out, out, n));
    SAME(set->relu_back(out, a_, n));
    SAME(set->sigmoid_back(out, a_, n));
    SAME(set->tanh_back(out, a_, n));
    SAME(set->add_rows(out, n / 4, a_, 4, n / 4));
    SAME(set->sum_rows(out, a_, n / 4, 4, n / 4));
    SAME(set->turn(out, a_, 4, n / 4));
    SAME(set->turn_axpy(out, a_, 4, n / 4, 0.3f));
    SAME(set->turn(out, a_, n / 17, 17));
    SAME(set->turn(out, a_, 21, n / 21));
    SAME(out[0] = set->dot(a_, b_, n));
    SAME(out[0] = set->sum(a_, n));
    SAME(out[0] = set->squared(a_, n));
#undef SAME
}

/* Sums of whole numbers: toward zero, on every set. */
static void test_whole_numbers_are_rounded_toward_zero(void **state)
{
    (void)state;
    enum { N = 83 };
    fill(a_, N);
    a_[0] = 0x1.fffffep-1f, a_[1] = -0x1.fffffep-1f, a_[2] = 0x1p-1f, a_[3] = -0x1p-1f, a_[4] = -0.0f;
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (size_t n = 0; n <= N; n++) {
            int32_t near[N + 1];
            int64_t far[N + 1];
            for (size_t i = 0; i <= N; i++) near[i] = (int32_t)i * 1000 - 41000, far[i] = near[i] * (int64_t)1e12;
            const float *const one[] = {a_}, factor[] = {0x1p23f};
            wh_num_kernels_at((wh_cpu_level)level)->add_whole32(near, one, factor, 1, n);
            wh_num_kernels_at((wh_cpu_level)level)->add_whole64(far, a_, n, 0x1p30f);
            float back[N + 1] = {0};
            int64_t other[N + 1];
            for (size_t i = 0; i <= N; i++) other[i] = ((int64_t)1 << 55) / (int64_t)(i + 1) * (i % 2 ? 1 : -1);
            wh_num_kernels_at((wh_cpu_level)level)->from_whole64(back, far, other, n, 1.1e-9);
            for (size_t i = 0; i <= N; i++)
                assert_true(back[i] == (i < n ? (float)((double)(far[i] + other[i]) * 1.1e-9) : 0));
            for (size_t i = 0; i <= N; i++) {
                int64_t start = (int64_t)i * 1000 - 41000;
                assert_int_equal(near[i], start + (i < n ? (int64_t)trunc(ldexp((double)a_[i], 23)) : 0));
                assert_true(far[i] == start * (int64_t)1e12 + (i < n ? (int64_t)trunc(ldexp((double)a_[i], 30)) : 0));
            }
        }
}

/* The same of several vectors, and of outer products. */
static void test_whole_numbers_of_several(void **state)
{
    (void)state;
    enum { EXAMPLES = 11, M = 5, N = 37 };
    static float a[EXAMPLES][M], b[EXAMPLES][M * N];
    const float *rows[EXAMPLES], *columns[EXAMPLES];
    float f[EXAMPLES];
    fill(a[0], EXAMPLES * M), fill(b[0], EXAMPLES * M * N), fill(f, EXAMPLES);
    for (size_t e = 0; e < EXAMPLES; e++) rows[e] = a[e], columns[e] = b[e], f[e] *= 0x1p20f;
    for (int level = 0; level <= (int)wh_cpu_machine(); level++)
        for (size_t n = 0; n <= N; n++)
            for (size_t examples = 0; examples <= EXAMPLES; examples++) {
                const wh_num_kernels *k = wh_num_kernels_at((wh_cpu_level)level);
                int32_t plain[M * N + 1], outer[M * N + 1], want_plain, want_outer;
                for (size_t i = 0; i <= M * N; i++) plain[i] = outer[i] = (int32_t)i;
                k->add_whole32(plain, columns, f, examples, M * n);
                k->add_outer32(outer, rows, columns, f, examples, M, n);
                for (size_t i = 0; i <= M * N; i++) {
                    want_plain = want_outer = (int32_t)i;
                    for (size_t e = 0; e < examples && i < M * n; e++) {
                        want_plain += (int32_t)(b[e][i] * f[e]);
                        want_outer += (int32_t)(a[e][i / n] * f[e] * b[e][i % n]);
                    }
                    assert_int_equal(plain[i], want_plain);
                    assert_int_equal(outer[i], want_outer);
                }
            }
}

static void test_vectors_have_the_same_bits(void **state)
{
    (void)state;
    fill(a_, CELLS), fill(b_, CELLS), fill(old_, CELLS);
    for (size_t i = 0; i < CELLS; i++) a_[i] *= 100, b_[i] = ldexpf(fabsf(b_[i]), (int)(i % 200) - 100);
    for (int level = 1; level <= (int)wh_cpu_machine(); level++)
        for (size_t n = 0; n < 600; n = n < 70 ? n + 1 : n + 53)
            check_vectors(wh_num_kernels_at((wh_cpu_level)level), n);
    double sum = 0;
    for (size_t i = 0; i < 1000; i++) sum += (double)a_[i];
    assert_true(fabs(wh_num_kernels_get()->sum(a_, 1000) - sum) < 1e-2);
}

typedef void map_fn(float *out, const float *x, size_t n);

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Error in units of the last place of the exact value, over a sweep of all finite floats. */
static void check_bound(map_fn *map, double exact_value(double), double bound, float least, float most)
{
    for (uint32_t bits = 0; bits < 0xff800000; bits += 4001) {
        float x, y;
        memcpy(&x, &bits, 4);
        if (!(x >= least && x <= most)) continue;
        map(&y, &x, 1);
        double want = exact_value(x), unit = ldexp(1, (int)fmax(ilogb(want), -126) - 23);
        if (want == 0) unit = 0x1p-149;
        if (!(fabs(y - want) <= bound * unit)) fail_msg("at %a: %a, exact %a", (double)x, (double)y, want);
    }
}

static void test_error_bounds(void **state)
{
    (void)state;
    const wh_num_kernels *kernels = wh_num_kernels_get();
    check_bound(kernels->exp, exp, 2, -87.33f, 88.72283f);
    check_bound(kernels->log, log, 2, 0x1p-149f, INFINITY);
    check_bound(kernels->sigmoid, exact_sigmoid, 4, -87.33f, INFINITY);
    check_bound(kernels->tanh, tanh, 4, -INFINITY, INFINITY);
    check_bound(kernels->erf, erf, 4, -INFINITY, INFINITY);
    const float edge[] = {-200, 200, NAN, -INFINITY, INFINITY, -1, 0};
    float y[WH_COUNT(edge)];
    kernels->exp(y, edge, WH_COUNT(edge));
    assert_true(y[0] == 0 && isinf(y[1]) && isnan(y[2]) && y[3] == 0 && isinf(y[4]) && y[6] == 1);
    kernels->log(y, edge, WH_COUNT(edge));
    assert_true(isnan(y[0]) && isnan(y[2]) && isnan(y[3]) && isinf(y[4]) && isnan(y[5]) && y[6] == -INFINITY);
    kernels->sigmoid(y, edge, WH_COUNT(edge));
    assert_true(y[0] == 0 && y[1] == 1 && isnan(y[2]) && y[3] == 0 && y[4] == 1 && y[6] == 0.5f);
    kernels->tanh(y, edge, WH_COUNT(edge));
    assert_true(y[0] == -1 && y[1] == 1 && isnan(y[2]) && y[3] == -1 && y[4] == 1 && y[6] == 0);
    kernels->erf(y, edge, WH_COUNT(edge));
    assert_true(y[0] == -1 && y[1] == 1 && isnan(y[2]) && y[3] == -1 && y[4] == 1 && y[6] == 0);
    kernels->relu(y, edge, WH_COUNT(edge));
    assert_true(y[0] == 0 && y[1] == 200 && isnan(y[2]) && y[4] == INFINITY);
}

static void test_openblas_is_settled_and_agrees(void **state)
{
    (void)state;
    assert_null(wh_blas_core_name()); /* nothing was large so far: this test is the first */
    const wh_num_kernels *kernels = wh_num_kernels_get();
    enum { M = 768, N = 768, K = 768 };
    static float a[M * K], b[K * N], c[M * N];
    fill(a, M * K), fill(b, K * N);
    wh_num_gemm(kernels, WH_GEMM_NN, c, N, a, K, b, N, M, N, K);
    for (size_t i = 0; i < M; i += 31)
        for (size_t j = 0; j < N; j++) {
            double size = 0, want = 0;
            for (size_t l = 0; l < K; l++) {
                double p = (double)a[i * K + l] * (double)b[l * N + j];
                want += p, size += fabs(p);
            }
            assert_true(fabs(c[i * N + j] - want) <= (K + 1) * 0x1p-24 * size);
        }
    const char *core = wh_blas_core_name();
    if (kernels->level == WH_CPU_GENERIC) assert_null(core);
    if (core) {
        char name[100];
        snprintf(name, sizeof name, "%s+openblas-%s", kernels->name, core);
        assert_string_equal(wh_num_kernels_name(), name);
        if (!getenv("WHIST_BLAS_CORE") && kernels->level == WH_CPU_AVX512) assert_string_equal(core, "SkylakeX");
    } else {
        assert_string_equal(wh_num_kernels_name(), kernels->name);
    }
}

int main(void)
{
    (void)setenv("OPENBLAS_CORETYPE", "Prescott", 1); /* inherited by mistake: must not matter */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openblas_is_settled_and_agrees),
        cmocka_unit_test(test_products_of_every_set),
        cmocka_unit_test(test_large_products_of_every_set),
        cmocka_unit_test(test_products_of_doubles),
        cmocka_unit_test(test_gathered_products),
        cmocka_unit_test(test_picks_have_the_bits_of_the_whole),
        cmocka_unit_test(test_whole_numbers_are_rounded_toward_zero),
        cmocka_unit_test(test_whole_numbers_of_several),
        cmocka_unit_test(test_vectors_have_the_same_bits),
        cmocka_unit_test(test_adam_has_the_same_bits),
        cmocka_unit_test(test_error_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
