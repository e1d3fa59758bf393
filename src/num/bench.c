/* num/bench.c: what the matrix products and the exponential reach on one core. */
#include "num/bench.h"

#include "base/bench.h"
#include "base/mem.h"
#include "base/pool.h"
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

/* ---- The most there is ---- */

enum { PEAK_ROUNDS = 200000 };

static whist_status spin_one(void *user, size_t piece, unsigned worker)
{
    (void)piece, (void)worker;
    const wh_num_kernels *kernels = user;
    volatile float sum = kernels->peak(PEAK_ROUNDS); /* read, so that it is computed */
    (void)sum;
    return WHIST_OK;
}

typedef struct spinner {
    wh_pool *pool;
    wh_num_kernels kernels;
} spinner;

static whist_status spin(void *user)
{
    spinner *s = user;
    return wh_pool_run(s->pool, wh_pool_threads(s->pool), spin_one, &s->kernels);
}

static whist_status take_peak(whist_bench_result *result, unsigned threads)
{
    spinner s = {.kernels = *wh_num_kernels_get()};
    WH_TRY(wh_pool_new(&s.pool, threads));
    double flops = (double)threads * PEAK_ROUNDS * (double)s.kernels.peak_flops;
    whist_status status = wh_bench_take(result, threads, "num.peak", "flop/s", true, flops, 3, spin, &s);
    wh_pool_free(s.pool);
    return status;
}

static whist_status bench_peak(const whist_bench_env *env)
{
    whist_bench_result result;
    WH_TRY(take_peak(&result, env->threads));
    env->emit(env->user, &result);
    return WHIST_OK;
}

static void emit_scaled(const whist_bench_env *env, const whist_bench_result *from, const char *suffix,
                        const char *unit, double factor)
{
    whist_bench_result out = *from;
    snprintf(out.name, sizeof out.name, "%s.%s", from->name, suffix);
    out.unit = unit;
    out.median *= factor;
    out.min *= factor;
    out.max *= factor;
    env->emit(env->user, &out);
}

whist_status wh_num_bench_flops(const whist_bench_env *env, const whist_bench_result *result, double flops)
{
    whist_bench_result peak;
    WH_TRY(take_peak(&peak, result->threads));
    env->emit(env->user, result);
    emit_scaled(env, result, "flops", "flop/s", flops);
    emit_scaled(env, result, "share", "1", flops / peak.max);
    return WHIST_OK;
}

const whist_bench wh_num_benches[] = {
    {"num.peak", "products in registers alone, on --threads threads: the most there is", false, bench_peak},
    {"num.gemm.forward", "(10,784) x (784,200), own kernel", false, forward},
    {"num.gemm.weights", "(784,10) x (10,200), own kernel", false, weights},
    {"num.gemm.backward", "(10,200) x (200,200) transposed, own kernel", false, backward},
    {"num.gemm.square", "(1024,1024) x (1024,1024), OpenBLAS where there is one", false, square},
    {"num.exp", "exponentials", false, bench_exp},
    {NULL, NULL, false, NULL},
};
