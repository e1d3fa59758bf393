/* learn/dp_sum.c: clip, sum, noise. */
#include "learn/dp_sum.h"

#include <math.h>
#include <string.h>

#include "draw/noise.h"
#include "draw/sample.h"

enum { BITS = 22 }; /* the bound is 2^22 to 2^23 steps */

struct wh_dp_sum {
    size_t n;
    double clip, sigma, step;
    wh_noise *noise;
    int64_t *sum, *noised; /* (n) */
};

whist_status wh_dp_sum_new(wh_dp_sum **out, size_t n, double clip, double sigma)
{
    WH_ENSURE(out && n, WHIST_E_ARG);
    if (!(clip >= 0x1p-20 && clip <= 0x1p20)) WH_FAIL(WHIST_E_ARG, "clip %g: allowed are 2^-20 to 2^20", clip);
    if (!(sigma > 0 && sigma <= 1e4)) WH_FAIL(WHIST_E_ARG, "noise %g: it must lie above 0, up to 10,000", sigma);
    WH_AUTO(wh_dp_sum_ptr) sum = NULL;
    WH_TRY(WH_NEW(&sum, 1));
    sum->n = n;
    sum->clip = clip;
    sum->sigma = sigma;
    sum->step = ldexp(1, ilogb(clip) - BITS);
    WH_TRY(wh_noise_new(&sum->noise));
    WH_TRY(WH_NEW(&sum->sum, n));
    WH_TRY(WH_NEW(&sum->noised, n));
    *out = sum;
    sum = NULL;
    return WHIST_OK;
}

static void wipe(int64_t *values, size_t n)
{
    if (values) wh_wipe(values, n * sizeof *values);
}

void wh_dp_sum_free(wh_dp_sum *sum)
{
    if (!sum) return;
    wipe(sum->sum, sum->n);
    wipe(sum->noised, sum->n);
    wh_noise_free(sum->noise);
    wh_free(sum->sum);
    wh_free(sum->noised);
    wh_free(sum);
}

void wh_dp_sum_begin(wh_dp_sum *sum)
{
    memset(sum->sum, 0, sum->n * sizeof *sum->sum);
}

void wh_dp_sum_add(wh_dp_sum *sum, const float *vector)
{
    double square = 0;
    for (size_t i = 0; i < sum->n; i++) square += (double)vector[i] * (double)vector[i];
    double norm = sqrt(square); /* off by less than (n + 2) 2^-53 of itself, which is below 2^-21 for n below 2^32 */
    if (!isfinite(norm)) return;
    double factor = (norm > sum->clip ? sum->clip / norm : 1) / sum->step;
    for (size_t i = 0; i < sum->n; i++) sum->sum[i] += (int64_t)((double)vector[i] * factor);
}

double wh_dp_sum_sensitivity(const wh_dp_sum *sum)
{
    return sum->clip * (1 + 0x1p-20);
}

whist_status wh_dp_sum_release(wh_dp_sum *sum, float *out, double l)
{
    WH_ENSURE(l > 0 && isfinite(l), WHIST_E_ARG);
    double scale = sum->sigma * wh_dp_sum_sensitivity(sum) / sum->step;
    WH_TRY(wh_sample_normal(sum->noise, sum->noised, sum->n, scale));
    for (size_t i = 0; i < sum->n; i++) out[i] = (float)((double)(sum->sum[i] + sum->noised[i]) * (sum->step / l));
    wipe(sum->noised, sum->n);
    return WHIST_OK;
}
