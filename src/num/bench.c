/* num/bench.c: what the matrix products and the exponential reach on one core. */
#include "num/bench.h"

#include "base/bench.h"
#include "base/mem.h"
#include "num/kern.h"

/* The products of one step of the 784-200-200-10 network at batch 10, and one large square. */
typedef struct shape {
    wh_gemm_form form;
    size_t m, n, k;
} shape;

typedef struct product {
    const wh_num_kernels *kernels;
    shape shape;
    float *a, *b, *c;
} product;

static whist_status multiply(void *user)
{
    product *p = user;
    size_t m = p->shape.m, n = p->shape.n, k = p->shape.k;
    size_t lda = p->shape.form == WH_GEMM_TN ? m : k, ldb = p->shape.form == WH_GEMM_NT ? k : n;
    wh_num_gemm(p->kernels, p->shape.form, p->c, n, p->a, lda, p->b, ldb, m, n, k);
    return WHIST_OK;
}

static whist_status measure(const whist_bench_env *env, const char *name, shape s)
{
    WH_AUTO(wh_owned) a = NULL;
    WH_AUTO(wh_owned) b = NULL;
    WH_AUTO(wh_owned) c = NULL;
    WH_TRY(wh_alloc(&a, s.m * s.k, sizeof(float)));
    WH_TRY(wh_alloc(&b, s.k * s.n, sizeof(float)));
    WH_TRY(wh_alloc(&c, s.m * s.n, sizeof(float)));
    product p = {.kernels = wh_num_kernels_get(), .shape = s, .a = a, .b = b, .c = c};
    for (size_t i = 0; i < s.m * s.k; i++) p.a[i] = (float)(i % 17) - 8;
    for (size_t i = 0; i < s.k * s.n; i++) p.b[i] = (float)(i % 13) - 6;
    return wh_bench_measure(env, name, "flop/s", true, 2.0 * (double)(s.m * s.n * s.k), multiply, &p);
}

static whist_status forward(const whist_bench_env *env)
{
    return measure(env, "num.gemm.forward", (shape){WH_GEMM_NN, 10, 200, 784});
}

static whist_status weights(const whist_bench_env *env)
{
    return measure(env, "num.gemm.weights", (shape){WH_GEMM_TN, 784, 200, 10});
}

static whist_status backward(const whist_bench_env *env)
{
    return measure(env, "num.gemm.backward", (shape){WH_GEMM_NT, 10, 200, 200});
}

static whist_status square(const whist_bench_env *env)
{
    return measure(env, "num.gemm.square", (shape){WH_GEMM_NN, 1024, 1024, 1024});
}

enum { N = 1 << 14 };

static whist_status exponential(void *user)
{
    float *x = user;
    wh_num_kernels_get()->exp(x + N, x, N);
    return WHIST_OK;
}

static whist_status bench_exp(const whist_bench_env *env)
{
    WH_AUTO(wh_owned) x = NULL;
    WH_TRY(wh_alloc(&x, 2 * (size_t)N, sizeof(float)));
    for (int i = 0; i < N; i++) ((float *)x)[i] = (float)(i % 100) - 50;
    return wh_bench_measure(env, "num.exp", "1/s", true, N, exponential, x);
}

const whist_bench wh_num_benches[] = {
    {"num.gemm.forward", "(10,784) x (784,200), own kernel", false, forward},
    {"num.gemm.weights", "(784,10) x (10,200), own kernel", false, weights},
    {"num.gemm.backward", "(10,200) x (200,200) transposed, own kernel", false, backward},
    {"num.gemm.square", "(1024,1024) x (1024,1024), OpenBLAS where there is one", false, square},
    {"num.exp", "exponentials", false, bench_exp},
    {NULL, NULL, false, NULL},
};
