/* draw/bench.c: draws a second, and the time of the noise for a million parameters. */
#include "draw/bench.h"

#include "base/bench.h"
#include "draw/sample.h"

enum { N = 1000000 };

typedef whist_status sampler_fn(wh_noise *noise, int64_t *out, size_t n, double parameter);

typedef struct run {
    wh_noise *noise;
    int64_t *out;
    sampler_fn *sampler;
    double parameter;
} run;

static whist_status draw(void *user)
{
    run *r = user;
    return r->sampler(r->noise, r->out, N, r->parameter);
}

static whist_status measure(const whist_bench_env *env, const char *name, sampler_fn *sampler, double parameter,
                            bool per_second)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_owned) out = NULL;
    WH_TRY(wh_noise_new(&noise));
    WH_TRY(wh_alloc(&out, N, sizeof(int64_t)));
    run r = {noise, out, sampler, parameter};
    return wh_bench_measure(env, name, per_second ? "1/s" : "s", per_second, per_second ? N : 1, draw, &r);
}

/* A grid of 2^-20 standard deviations: what a float32 update carries. */
static whist_status noise1e6(const whist_bench_env *env)
{
    return measure(env, "dp.noise1e6", wh_sample_normal, 0x1p20, false);
}

static whist_status laplace1e6(const whist_bench_env *env)
{
    return measure(env, "dp.laplace1e6", wh_sample_laplace, 0x1p20, false);
}

static whist_status discrete_gauss(const whist_bench_env *env)
{
    return measure(env, "dp.dgauss", wh_sample_discrete_gauss, 50, true);
}

static whist_status discrete_laplace(const whist_bench_env *env)
{
    return measure(env, "dp.dlaplace", wh_sample_discrete_laplace, 50, true);
}

const whist_bench wh_draw_benches[] = {
    {"dp.dgauss", "exact discrete Gaussians of standard deviation 50 a second, one core", false, discrete_gauss},
    {"dp.dlaplace", "exact discrete Laplace draws of scale 50 a second, one core", false, discrete_laplace},
    {"dp.noise1e6", "Gaussians exactly rounded to a grid of 2^-20 standard deviations, 10^6 of them", false, noise1e6},
    {"dp.laplace1e6", "Laplace draws exactly rounded to a grid of 2^-20 of their scale, 10^6 of them", false,
     laplace1e6},
    {NULL, NULL, false, NULL},
};
