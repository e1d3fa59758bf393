/* draw/bench.c: draws a second, the noise for a million parameters, and what time tells about a draw. */
#include "draw/bench.h"

#include <math.h>

#include "base/bench.h"
#include "draw/cumulative.h"
#include "draw/private.h"
#include "draw/sample.h"

enum { N = 1000000 };

typedef whist_status sampler_fn(wh_noise *noise, int64_t *out, size_t n, double parameter);

typedef struct run {
    wh_noise *noise;
    int64_t *out;
    sampler_fn *sampler;
    double parameter;
    const wh_steady *sampler_object;
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
    run r = {noise, out, sampler, parameter, NULL};
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

/* ---- Time against size ------------------------------------------------------------------------------ */

enum { TIMED = 1000000 };

typedef whist_status one_fn(void *sampler, wh_noise *noise, int64_t *out);

static whist_status one_exact(void *sampler, wh_noise *noise, int64_t *out)
{
    (void)sampler;
    return wh_sample_discrete_gauss(noise, out, 1, 50);
}

static whist_status one_steady(void *sampler, wh_noise *noise, int64_t *out)
{
    return wh_steady_draw(sampler, noise, out, 1);
}

typedef struct timed {
    double time, size;
} timed;

static int by_time(const void *a, const void *b)
{
    double x = ((const timed *)a)->time, y = ((const timed *)b)->time;
    return (x > y) - (x < y);
}

/* Correlation of |draw| with its time, the slowest 1 % left out: interrupts are no draw's fault. */
static double correlation(timed *t)
{
    const size_t n = TIMED / 100 * 99;
    double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    qsort(t, TIMED, sizeof *t, by_time);
    for (size_t i = 0; i < n; i++) x += t[i].time / (double)n, y += t[i].size / (double)n;
    for (size_t i = 0; i < n; i++) {
        double dx = t[i].time - x, dy = t[i].size - y;
        xx += dx * dx, xy += dx * dy, yy += dy * dy;
    }
    return xy / sqrt(xx * yy);
}

static whist_status emit_correlation(const whist_bench_env *env, const char *name, one_fn *one, void *sampler)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_noise_new(&noise));
    WH_TRY(wh_alloc(&memory, TIMED, sizeof(timed)));
    timed *t = memory;
    for (size_t i = 0; i < TIMED; i++) {
        int64_t draw = 0;
        double start = wh_clock_seconds();
        WH_TRY(one(sampler, noise, &draw));
        t[i] = (timed){wh_clock_seconds() - start, fabs((double)draw)};
    }
    double r = correlation(t);
    whist_bench_result result = {.unit = "1", .median = r, .min = r, .max = r, .reps = 1, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
    return WHIST_OK;
}

static whist_status exact_correlation(const whist_bench_env *env)
{
    return emit_correlation(env, "dp.dgauss.leak", one_exact, NULL);
}

static whist_status steady_correlation(const whist_bench_env *env)
{
    WH_AUTO(wh_steady) steady;
    WH_TRY(wh_steady_init(&steady, WH_LAW_DISCRETE_GAUSS, 50));
    return emit_correlation(env, "dp.steady.leak", one_steady, &steady);
}

static whist_status steady_draws(void *user)
{
    run *r = user;
    return wh_steady_draw(r->sampler_object, r->noise, r->out, 1000);
}

static whist_status steady_speed(const whist_bench_env *env)
{
    WH_AUTO(wh_steady) steady;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_steady_init(&steady, WH_LAW_DISCRETE_GAUSS, 50));
    WH_TRY(wh_noise_new(&noise));
    int64_t out[1000];
    run r = {.noise = noise, .out = out, .sampler_object = &steady};
    return wh_bench_measure(env, "dp.steady", "1/s", true, 1000, steady_draws, &r);
}

/* ---- Sampling ---------------------------------------------------------------------------------------- */

static whist_status batch(void *user)
{
    const uint32_t *index;
    size_t n;
    return wh_private_draw_next(user, &index, &n);
}

static whist_status poisson(const whist_bench_env *env)
{
    const wh_draw_design design = {.kind = WH_DRAW_POISSON, .n = 60000, .rate = 256 / 60000.0};
    WH_AUTO(wh_private_draw) draw = WH_PRIVATE_DRAW_EMPTY;
    WH_TRY(wh_private_draw_init(&draw, &design));
    return wh_bench_measure(env, "dp.poisson", "s", false, 1, batch, &draw);
}

const whist_bench wh_draw_benches[] = {
    {"dp.dgauss", "exact discrete Gaussians of standard deviation 50 a second, one core", false, discrete_gauss},
    {"dp.dlaplace", "exact discrete Laplace draws of scale 50 a second, one core", false, discrete_laplace},
    {"dp.noise1e6", "Gaussians exactly rounded to a grid of 2^-20 standard deviations, 10^6 of them", false, noise1e6},
    {"dp.laplace1e6", "Laplace draws exactly rounded to a grid of 2^-20 of their scale, 10^6 of them", false,
     laplace1e6},
    {"dp.steady", "discrete Gaussians of standard deviation 50 in steady time a second, one core", false, steady_speed},
    {"dp.poisson", "a private Poisson batch of 256 of 60,000 rows on average", false, poisson},
    {"dp.dgauss.leak", "correlation of |draw| with its time over 10^6 exact discrete Gaussians", false,
     exact_correlation},
    {"dp.steady.leak", "the same in steady time", false, steady_correlation},
    {NULL, NULL, false, NULL},
};
