/* mechanism/snapping.c: Mironov's repair of floating-point Laplace noise, to compare with.
 *
 *   out = clamp(snap(clamp(x) + sign b ln U)),   U uniform over all doubles of (0, 1): each octave as likely as it is
 *   wide, snap: to the nearest multiple of the least power of two that is not below b
 *
 * (Mironov, "On significance of the least significant bits for differential privacy", CCS 2012, theorem 1) */
#include "dp/mechanism/pay.h"

#include <math.h>

#include "draw/sample.h"

/* The exponent is geometric: leading zeros of a stream of bits. */
static whist_status draw_uniform(double *out, wh_noise *noise)
{
    uint64_t bits, mantissa;
    int zeros = 0;
    for (bits = 0; bits == 0 && zeros < 1024; zeros += bits ? 0 : 64) WH_TRY(wh_noise_u64(noise, &bits));
    WH_TRY(wh_noise_u64(noise, &mantissa));
    zeros += bits ? __builtin_clzll(bits) : 0;
    *out = ldexp((double)(mantissa >> 12 | UINT64_C(1) << 52), -53 - zeros);
    return WHIST_OK;
}

static double clamp(double x, double bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

whist_status whist_dp_snapping(double *out, double x, double b, double bound, const whist_dp_payer *payer)
{
    WH_ENSURE(out && isfinite(x), WHIST_E_ARG);
    if (!(b > 0 && bound > b && bound < 0x1p46 * b))
        WH_FAIL(WHIST_E_RANGE, "snapping with scale %g and bound %g: the bound lies between b and 2^46 b", b, bound);
    const double step = exp2(ceil(log2(b))), epsilon = (1 / b + 0x1p-49 * bound / b) * (1 + 0x1p-50);
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &(whist_dp_event){.mechanism = WHIST_DP_PURE, .epsilon = epsilon}));
    double u;
    uint64_t sign;
    WH_TRY(draw_uniform(&u, noise));
    WH_TRY(wh_noise_u64(noise, &sign));
    double y = clamp(x, bound) + (sign & 1 ? -b : b) * log(u);
    *out = clamp(rint(y / step) * step, bound);
    return WHIST_OK;
}
