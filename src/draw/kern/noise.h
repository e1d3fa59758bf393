/* draw/kern/noise.h: draws in double precision that know when double precision does not suffice.
 *
 * A word k stands for a uniform real U in [k, k+1) 2^-64 whose further bits nobody has drawn yet. Each kernel computes
 * the draw that follows from U together with a bound on its error (rounding, series, and the unknown bits of U). A draw
 * whose interval holds a boundary of the result is *open*: its lane is listed, and draw/exact.c decides it with more
 * bits. What is not listed is right for every continuation of U, so all kernels give the same values where none is
 * open.
 *
 * The bounds, with u = 2^-53, x = fl(k | 1), rho = 1 / (x - 1), E = -ln U, and ^ for what is computed:
 *
 *   U lies within 1 of k | 1, so |ln U - ln((k|1) 2^-64)| <= rho; fl adds u.
 *   x = 2^e m, 3/4 <= m < 3/2, r = m c - 1 with c of 10 bits near 1/m, |r| <= 0.0304, error of r <= u.
 *   E^ = (64 - e) ln 2 + ln c - p(r), p Taylor's series of ln(1 + r) to r^10, rest < 0.0304^11 / 10 < u / 16.
 *   Roundings: (64 - e) ln 2 <= 2 u (E + 0.7), ln c <= u/2, two sums <= 2 u (E + 1), p <= 2 u.
 *        |E^ - E| <= 8 u (1 + E) + rho                                                                       (1)
 *   R = sqrt(2 E):  |R^ - R| <= u R + 2 |E^ - E| / R^ <= u (9 R + 16 / R) + 2 rho / R                         (2)
 *   Angle a = (pi/2) w, w = fl of the low 62 bits as a signed number, |a| <= pi/4: error <= 3 u with the unknown bits.
 *   sin and cos by Taylor's series to a^17 and a^16 (rest < u/32), each off by at most 8 u.                  (3)
 *   X = R cos, t = s X:  |t^ - t| <= s (R 8u + (2) + 2 u R) <= s (32 u (R + 1/R) + 4 rho / R)                 (4)
 *   s E:  |t^ - t| <= s (16 u (1 + E) + 2 rho), and 2 u for adding 1/2                                        (5)
 *   z = (y a - b)^2 with g = y a + b, a and b off by 3 u: error <= 16 u g^2                                   (6)
 *
 * Reciprocals in bounds may be 2^-14 too small: (4) and (5) have that much to spare. Where a bound or a value is
 * infinite or NaN (k < 2, R = 0) no comparison holds and the lane is open. |t| >= 2^51 is open by (4) and (5)
 * themselves. With or without fused operations: a fused one rounds once less.
 *
 * Time depends on values only in the number of open lanes. n is a multiple of 8. */
#ifndef WH_DRAW_KERN_NOISE_H
#define WH_DRAW_KERN_NOISE_H

#include <stddef.h>
#include <stdint.h>

#define WH_NO_DRAW INT64_MIN /* a candidate that is thrown away */

/* A candidate of the discrete Gaussian (Canonne, Kamath, Steinke 2020, algorithm 3): y = +-floor(t E), kept where
 * E' > (|y| - sigma^2/t)^2 / (2 sigma^2) = (|y| a - b)^2. */
typedef struct wh_gauss_try {
    double t; /* floor(sigma) + 1 */
    double a; /* 1 / (sigma sqrt 2) */
    double b; /* sigma / (t sqrt 2) */
} wh_gauss_try;

struct wh_noise_kernels {
    /* Rounded Gaussians: pair i is made of random[i] and random[n + i]; out[i] = round(s R cos), out[n + i] = round(s R
     * sin). Lists open pairs, returns how many. */
    size_t (*normal)(int64_t *out, const uint64_t *random, size_t n, double s, uint32_t *open);
    /* +-floor(s E + half), half 0 or 1/2, the sign by the lowest bit of random[i], which E does not see. With half = 0
     * a negative zero is WH_NO_DRAW. */
    size_t (*exponential)(int64_t *out, const uint64_t *random, size_t n, double s, double half, uint32_t *open);
    /* Candidate i is made of random[i] (sign and E) and random[n + i] (E'); WH_NO_DRAW where it is not kept. */
    size_t (*gauss)(int64_t *out, const uint64_t *random, size_t n, const wh_gauss_try *try_, uint32_t *open);
};

extern const struct wh_noise_kernels wh_noise_kernels_generic;
#if defined(__x86_64__)
extern const struct wh_noise_kernels wh_noise_kernels_avx2;
extern const struct wh_noise_kernels wh_noise_kernels_avx512;
#endif

/* c by the four highest bits of the mantissa, for 1 <= m < 3/2 and then 3/4 <= m < 1; and ln c to the nearest double.
 */
#define WH_NOISE_INVERSE                                                                                               \
    993 / 1024.0, 936 / 1024.0, 886 / 1024.0, 840 / 1024.0, 799 / 1024.0, 762 / 1024.0, 728 / 1024.0, 697 / 1024.0,    \
        1337 / 1024.0, 1285 / 1024.0, 1237 / 1024.0, 1192 / 1024.0, 1150 / 1024.0, 1111 / 1024.0, 1074 / 1024.0,       \
        1040 / 1024.0
#define WH_NOISE_LOG                                                                                                   \
    -0x1.f7a9b16782856p-6, -0x1.700d30aeac0e1p-4, -0x1.28753bc11aba5p-3, -0x1.95a5adcf7017fp-3, -0x1.fc218be620a5ep-3, \
        -0x1.2e9e2bce12286p-2, -0x1.5d5bddf595f30p-2, -0x1.89eb3af432874p-2, 0x1.111ce4003ee4dp-2,                     \
        0x1.d0fb7f2255e51p-3, 0x1.83040c91bcf2ep-3, 0x1.371fc201e8f74p-3, 0x1.db5270187d927p-4, 0x1.4e01108a35ae6p-4,  \
        0x1.868a83083f6cfp-5, 0x1.fc0a8b0fc03e4p-7
#define WH_NOISE_LN2 0x1.62e42fefa39efp-1
#define WH_NOISE_QUARTER 0x1.921fb54442d18p-62 /* pi/2 * 2^-62: the low 62 bits of a word as an angle */

#endif
