/* mechanism/additive.c: noise on whole numbers. */
#include "dp/mechanism/pay.h"

#include <math.h>

#include "draw/cumulative.h"
#include "draw/sample.h"

/* |sum| and |noise| both stay below 2^62, so that they add. */
static whist_status check_room(const int64_t *in, size_t n)
{
    const int64_t most = INT64_C(1) << 62;
    for (size_t i = 0; i < n; i++)
        if (in[i] <= -most || in[i] >= most)
            WH_FAIL(WHIST_E_RANGE, "entry %zu is too large for the grid: choose a coarser one", i);
    return WHIST_OK;
}

typedef whist_status sampler_fn(wh_noise *noise, int64_t *out, size_t n, double parameter);

/* Draws into fresh memory, so that out may be in and is untouched on failure. */
static whist_status add_noise(int64_t *out, const int64_t *in, size_t n, wh_noise *noise, sampler_fn *sampler,
                              double parameter)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc_raw(&memory, n, sizeof *out));
    int64_t *draw = memory;
    WH_TRY(sampler(noise, draw, n, parameter));
    for (size_t i = 0; i < n; i++) out[i] = in[i] + draw[i];
    wh_wipe(draw, n * sizeof *draw);
    return WHIST_OK;
}

/* noise * sensitivity, never below the exact product. */
static double product_up(double noise, double sensitivity)
{
    return nextafter(noise * sensitivity, INFINITY);
}

static whist_status check_scale(double scale)
{
    if (scale >= WH_SAMPLE_LEAST && scale <= WH_SAMPLE_MOST) return WHIST_OK;
    WH_FAIL(WHIST_E_RANGE,
            "noise of %g grid steps: allowed are 2^-20 to 2^40 (another grid, or another epsilon, brings it there)",
            scale);
}

static whist_status rounded(int64_t *out, const int64_t *in, size_t n, double noise_over, double sensitivity,
                            const whist_dp_payer *payer, whist_dp_mechanism mechanism, sampler_fn *sampler)
{
    WH_ENSURE(n == 0 || (out && in), WHIST_E_ARG);
    if (!(sensitivity >= 1 && sensitivity <= 0x1p40))
        WH_FAIL(WHIST_E_RANGE, "a sensitivity of %g grid steps: allowed are 1 to 2^40", sensitivity);
    const double scale = product_up(noise_over, sensitivity);
    WH_TRY(check_scale(scale));
    WH_TRY(check_room(in, n));
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &(whist_dp_event){.mechanism = mechanism, .noise = noise_over}));
    return add_noise(out, in, n, noise, sampler, scale);
}

whist_status whist_dp_gaussian(int64_t *out, const int64_t *in, size_t n, double noise, double sensitivity,
                               const whist_dp_payer *payer)
{
    return rounded(out, in, n, noise, sensitivity, payer, WHIST_DP_GAUSSIAN, wh_sample_normal);
}

whist_status whist_dp_laplace(int64_t *out, const int64_t *in, size_t n, double noise, double sensitivity,
                              const whist_dp_payer *payer)
{
    return rounded(out, in, n, noise, sensitivity, payer, WHIST_DP_LAPLACE, wh_sample_laplace);
}

/* ---- On the integers -------------------------------------------------------------------------------- */

static whist_dp_event integer_event(whist_dp_mechanism mechanism, double noise, uint32_t sensitivity, size_t n)
{
    bool in_dimension = mechanism != WHIST_DP_DISCRETE_LAPLACE && n <= UINT32_MAX;
    return (whist_dp_event){.mechanism = mechanism,
                            .noise = noise,
                            .sensitivity = sensitivity,
                            .dimension = in_dimension ? (uint32_t)n : 0};
}

static whist_status check_integer(const int64_t *out, const int64_t *in, size_t n, uint32_t sensitivity)
{
    WH_ENSURE(n == 0 || (out && in), WHIST_E_ARG);
    WH_ENSURE(sensitivity >= 1 && n < UINT32_MAX, WHIST_E_ARG);
    return check_room(in, n);
}

whist_status whist_dp_discrete_gaussian(int64_t *out, const int64_t *in, size_t n, double sigma, uint32_t sensitivity,
                                        const whist_dp_payer *payer)
{
    const whist_dp_event event = integer_event(WHIST_DP_DISCRETE_GAUSSIAN, sigma, sensitivity, n);
    WH_TRY(check_integer(out, in, n, sensitivity));
    WH_TRY(check_scale(sigma));
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    return add_noise(out, in, n, noise, wh_sample_discrete_gauss, sigma);
}

/* The scale 1 / a is rounded up: never less noise than was charged. */
whist_status whist_dp_discrete_laplace(int64_t *out, const int64_t *in, size_t n, double a, uint32_t sensitivity,
                                       const whist_dp_payer *payer)
{
    const whist_dp_event event = integer_event(WHIST_DP_DISCRETE_LAPLACE, a, sensitivity, n);
    const double scale = nextafter(1 / a, INFINITY);
    WH_TRY(check_integer(out, in, n, sensitivity));
    WH_TRY(check_scale(scale));
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    return add_noise(out, in, n, noise, wh_sample_discrete_laplace, scale);
}

static whist_status draw_skellam(wh_noise *noise, int64_t *out, size_t n, double variance)
{
    WH_AUTO(wh_skellam) skellam = {.copies = 0};
    WH_TRY(wh_skellam_init(&skellam, variance));
    return wh_skellam_draw(&skellam, noise, out, n);
}

whist_status whist_dp_skellam(int64_t *out, const int64_t *in, size_t n, double variance, uint32_t sensitivity,
                              const whist_dp_payer *payer)
{
    const whist_dp_event event = integer_event(WHIST_DP_SKELLAM, variance, sensitivity, n);
    WH_TRY(check_integer(out, in, n, sensitivity));
    if (!(variance >= 0x1p-8 && variance <= 0x1p30))
        WH_FAIL(WHIST_E_RANGE, "a Skellam variance of %g: allowed are 2^-8 to 2^30", variance);
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    return add_noise(out, in, n, noise, draw_skellam, variance);
}

/* ---- Steady time -------------------------------------------------------------------------------------- */

/* A mechanism within total variation d of an (epsilon, delta)-DP one is (epsilon, delta + (1 + e^epsilon) d)-DP. */
static double steady_delta(double distance, size_t n)
{
    return nextafter((1 + exp(30)) * distance * (double)n, INFINITY);
}

static whist_status steady(int64_t *out, double *delta, const int64_t *in, size_t n, const wh_steady *law,
                           const whist_dp_event *event, const whist_dp_payer *payer)
{
    const whist_dp_event distance = {
        .mechanism = WHIST_DP_APPROXIMATE, .epsilon = 1e-9, .delta = steady_delta(law->distance, n)};
    WH_AUTO(wh_noise_ptr) unused = NULL;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc_raw(&memory, n, sizeof *out));
    int64_t *draw = memory;
    WH_TRY(wh_dp_pay(&unused, payer, &distance));
    WH_TRY(wh_dp_pay(&noise, payer, event));
    WH_TRY(wh_steady_draw(law, noise, draw, n));
    for (size_t i = 0; i < n; i++) out[i] = in[i] + draw[i];
    wh_wipe(draw, n * sizeof *draw);
    if (delta) *delta = distance.delta;
    return WHIST_OK;
}

whist_status whist_dp_steady_gaussian(int64_t *out, double *delta, const int64_t *in, size_t n, double sigma,
                                      uint32_t sensitivity, const whist_dp_payer *payer)
{
    const whist_dp_event event = integer_event(WHIST_DP_DISCRETE_GAUSSIAN, sigma, sensitivity, n);
    WH_TRY(check_integer(out, in, n, sensitivity));
    WH_AUTO(wh_steady) law = {.difference = false};
    WH_TRY(wh_steady_init(&law, WH_LAW_DISCRETE_GAUSS, sigma));
    return steady(out, delta, in, n, &law, &event, payer);
}

whist_status whist_dp_steady_laplace(int64_t *out, double *delta, const int64_t *in, size_t n, double a,
                                     uint32_t sensitivity, const whist_dp_payer *payer)
{
    const whist_dp_event event = integer_event(WHIST_DP_DISCRETE_LAPLACE, a, sensitivity, n);
    WH_TRY(check_integer(out, in, n, sensitivity));
    WH_AUTO(wh_steady) law = {.difference = false};
    WH_TRY(wh_steady_init(&law, WH_LAW_DISCRETE_LAPLACE, nextafter(1 / a, INFINITY)));
    return steady(out, delta, in, n, &law, &event, payer);
}

/* ---- Calibration -------------------------------------------------------------------------------------- */

whist_status whist_dp_gaussian_classic(double *sigma, double epsilon, double delta)
{
    if (!(delta > 0 && delta < 1)) WH_FAIL(WHIST_E_ARG, "delta is %g: it must lie between 0 and 1", delta);
    if (!(epsilon > 0 && epsilon < 1))
        WH_FAIL(WHIST_E_RANGE, "epsilon is %g: the classic calibration is proven between 0 and 1; use the analytic one",
                epsilon);
    *sigma = sqrt(2 * log(1.25 / delta)) / epsilon * (1 + 0x1p-50);
    return WHIST_OK;
}
