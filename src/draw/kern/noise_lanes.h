/* draw/kern/noise_lanes.h: the loops of noise.h in C, one lane at a time: the generic kernels, compiled once more with
 * fused operations. The proof of the bounds stands in noise.h. */
#ifndef WH_DRAW_KERN_NOISE_LANES_H
#define WH_DRAW_KERN_NOISE_LANES_H

#include <math.h>
#include <string.h>

#include "draw/kern/noise.h"

static inline double lane_poly_log(double r)
{
    double r2 = r * r;
    double q = -1 / 10.0;
    q = q * r2 + (-1 / 8.0 + r * (1 / 9.0));
    q = q * r2 + (-1 / 6.0 + r * (1 / 7.0));
    q = q * r2 + (-1 / 4.0 + r * (1 / 5.0));
    q = q * r2 + (-1 / 2.0 + r * (1 / 3.0));
    return q * r2 + r;
}

/* (1) */
static inline double lane_exponential(double *rho, uint64_t k)
{
    static const double inverse[16] = {WH_NOISE_INVERSE}, log_of[16] = {WH_NOISE_LOG};
    double x = (double)(k | 1), m;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    unsigned j = (unsigned)(bits >> 48) & 15;
    int64_t e = (int64_t)(bits >> 52) - 1023 + (j >> 3);
    bits = (bits & 0xfffffffffffff) | (uint64_t)(1023 - (j >> 3)) << 52;
    memcpy(&m, &bits, sizeof m);
    *rho = 1 / (x - 1);
    double r = m * inverse[j] - 1;
    return ((double)(64 - e) * WH_NOISE_LN2 + log_of[j]) - lane_poly_log(r);
}

/* (3) */
static inline void lane_cos_sin(double *cosine, double *sine, uint64_t k)
{
    int64_t w = (int64_t)(k << 2) >> 2;
    unsigned quarter = (unsigned)((k - (uint64_t)w) >> 62);
    double a = (double)w * WH_NOISE_QUARTER, z = a * a;
    double c = 1 / 20922789888000.0, s = 1 / 355687428096000.0;
    c = c * z - 1 / 87178291200.0, s = s * z - 1 / 1307674368000.0;
    c = c * z + 1 / 479001600.0, s = s * z + 1 / 6227020800.0;
    c = c * z - 1 / 3628800.0, s = s * z - 1 / 39916800.0;
    c = c * z + 1 / 40320.0, s = s * z + 1 / 362880.0;
    c = c * z - 1 / 720.0, s = s * z - 1 / 5040.0;
    c = c * z + 1 / 24.0, s = s * z + 1 / 120.0;
    c = c * z - 1 / 2.0, s = s * z - 1 / 6.0;
    c = c * z + 1, s = s * z * a + a;
    double first = quarter & 1 ? s : c, second = quarter & 1 ? c : s;
    *cosine = quarter == 1 || quarter == 2 ? -first : first;
    *sine = quarter & 2 ? -second : second;
}

/* Rounds; false where it is open. */
static inline bool lane_round(int64_t *out, double t, double margin)
{
    double n = rint(t);
    bool closed = fabs(t - n) + margin < 0.5;
    *out = closed ? (int64_t)n : 0;
    return closed;
}

static inline size_t lanes_normal(int64_t *out, const uint64_t *random, size_t n, double s, uint32_t *open)
{
    size_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        double rho, c, d;
        double radius = sqrt(2 * lane_exponential(&rho, random[i])), over = 1 / radius;
        lane_cos_sin(&c, &d, random[n + i]);
        double margin = s * (0x1p-48 * (radius + over) + 4 * rho * over);
        bool closed = lane_round(&out[i], s * (radius * c), margin);
        closed &= lane_round(&out[n + i], s * (radius * d), margin);
        if (!closed) open[n_open++] = (uint32_t)i;
    }
    return n_open;
}

/* +-floor(v); false where it is open. */
static inline bool lane_floor(int64_t *out, double v, double margin)
{
    bool closed = fabs(v - rint(v)) > margin;
    *out = closed ? (int64_t)v : 0;
    return closed;
}

static inline size_t lanes_exponential(int64_t *out, const uint64_t *random, size_t n, double s, double half,
                                       uint32_t *open)
{
    size_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        double rho, e = lane_exponential(&rho, random[i]);
        int64_t y = 0, sign = -(int64_t)(random[i] & 1);
        bool closed = lane_floor(&y, s * e + half, s * (0x1p-49 * (1 + e) + 2 * rho) + 0x1p-52);
        out[i] = half == 0 && sign && y == 0 ? WH_NO_DRAW : (y ^ sign) - sign;
        if (!closed) open[n_open++] = (uint32_t)i;
    }
    return n_open;
}

static inline size_t lanes_gauss(int64_t *out, const uint64_t *random, size_t n, const wh_gauss_try *try_,
                                 uint32_t *open)
{
    size_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        double rho, rho2, e = lane_exponential(&rho, random[i]), e2 = lane_exponential(&rho2, random[n + i]);
        int64_t y = 0, sign = -(int64_t)(random[i] & 1);
        bool closed = lane_floor(&y, try_->t * e, try_->t * (0x1p-49 * (1 + e) + 2 * rho) + 0x1p-52);
        double ya = (double)y * try_->a, w = ya - try_->b, g = ya + try_->b, gap = e2 - w * w;
        closed &= fabs(gap) > 0x1p-49 * (g * g + 1 + e2) + 2 * rho2;
        out[i] = gap < 0 || (sign && y == 0) ? WH_NO_DRAW : (y ^ sign) - sign;
        if (!closed) open[n_open++] = (uint32_t)i;
    }
    return n_open;
}

#endif
