/* num/kern/elementwise.h: the loops over vectors, written once in C and compiled for each instruction set.
 *
 * There is no fma and no reordering here, so a loop gives the same bits however wide the compiler
 * makes it. Every function is static inline, as files built for one instruction set need.
 *
 * exp: x = n ln 2 + r with |r| <= ln(2)/2 (Cody and Waite: ln 2 in two parts, n * high part exact), then the
 * Taylor series of e^r - 1 to r^7 (the first left out is below 2^-27), then 2^n in two factors.
 * log: x = 2^e m with m in [sqrt(1/2), sqrt 2), then log m = 2 artanh((m-1)/(m+1)) to the ninth power. */
#ifndef WH_NUM_KERN_ELEMENTWISE_H
#define WH_NUM_KERN_ELEMENTWISE_H

#include <math.h>
#include <string.h>

#include "num/kern.h"

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define EW_LOG2E 0x1.715476p0f
#define EW_LN2_HIGH 0x1.62e4p-1f      /* 14 bits of ln 2: n times it is exact for |n| < 512 */
#define EW_LN2_LOW 0x1.7f7d1cp-20f    /* ln 2 - EW_LN2_HIGH */
#define EW_ROUND 0x1.8p23f            /* x + this - this rounds |x| < 2^22 to an integer */
#define EW_EXP_LEAST (-0x1.5d589ep6f) /* ln of 2^-126 */
#define EW_EXP_MOST 0x1.62e42ep6f     /* ln of FLT_MAX, rounded down */

/* e^x = (1 + q) 2^n for x in [-88, 89.5]; a NaN goes into q. */
static inline float exp_parts(float x, int32_t *n)
{
    float t = x * EW_LOG2E + EW_ROUND, whole = t - EW_ROUND;
    float r = (x - whole * EW_LN2_HIGH) - whole * EW_LN2_LOW;
    float p = 1.0f / 720 + r * (1.0f / 5040);
    p = 1.0f / 120 + r * p;
    p = 1.0f / 24 + r * p;
    p = 1.0f / 6 + r * p;
    p = 0.5f + r * p;
    *n = (int32_t)(bits_of(t) - bits_of(EW_ROUND));
    return r + r * r * p;
}

static inline float power_of_two(int32_t n) /* n in [-126, 127] */
{
    return float_of((uint32_t)(n + 127) << 23);
}

static inline float exp_one(float x)
{
    float c = x < -88.0f ? -88.0f : x;
    c = c > 89.0f ? 89.0f : c;
    int32_t n;
    float q = exp_parts(c, &n);
    int32_t half = n >> 1;
    float y = (1.0f + q) * power_of_two(half) * power_of_two(n - half);
    y = x < EW_EXP_LEAST ? 0.0f : y;
    return x > EW_EXP_MOST ? INFINITY : y;
}

static inline float log_one(float x)
{
    bool small = x < 0x1p-126f;
    float scaled = small ? x * 0x1p23f : x;
    uint32_t shifted = bits_of(scaled) - bits_of(0x1.6a09e6p-1f); /* sqrt(1/2) */
    int32_t e = (int32_t)shifted >> 23;
    float m = float_of((shifted & 0x7fffff) + bits_of(0x1.6a09e6p-1f));
    float k = (float)(e - (small ? 23 : 0));
    float f = m - 1.0f, s = f / (2.0f + f), z = s * s;
    float p = 2.0f / 7 + z * (2.0f / 9);
    p = 2.0f / 5 + z * p;
    p = 2.0f / 3 + z * p;
    /* log(1+f) = f - s (f - z p) keeps f itself exact; f is the large term */
    float y = k * EW_LN2_HIGH + (f - (s * (f - z * p) - k * EW_LN2_LOW));
    y = x == INFINITY ? x : y;
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

static inline float sigmoid_one(float x)
{
    float e = exp_one(-fabsf(x));
    float top = x >= 0 ? 1.0f : e;
    return top / (1.0f + e);
}

/* tanh |x| = E / (E + 2) with E = e^(2|x|) - 1 = 2^n q + (2^n - 1) */
static inline float tanh_one(float x)
{
    float a = fabsf(x);
    a = a > 10.0f ? 10.0f : a;
    int32_t n;
    float q = exp_parts(2.0f * a, &n), two = power_of_two(n);
    float e = two * q + (two - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

/* |x| < 1: x P(x²); else 1 - e^(-x²) Q(|x| - 5/2), up to 4, where erf has become 1. P and Q are fitted for the least
 * largest relative error of erf (1.3e-9 and 2.6e-9 before rounding). */
static inline float erf_one(float x)
{
    float a = fabsf(x);
    a = a > 4.0f ? 4.0f : a;
    float z = a * a, s = a - 2.5f;
    float p = -0x1.a3f6fcp-11f + z * 0x1.496a28p-14f;
    p = 0x1.5405b2p-8f + z * p;
    p = -0x1.b7f90cp-6f + z * p;
    p = 0x1.ce2cf8p-4f + z * p;
    p = -0x1.81273ep-2f + z * p;
    p = 0x1.20dd74p+0f + z * p;
    float q = 0x1.d7a5a8p-13f + s * 0x1.c00592p-14f;
    q = 0x1.1ca548p-11f + s * q;
    q = -0x1.5ade8ap-11f + s * q;
    q = 0x1.2dc26ap-9f + s * q;
    q = -0x1.0a7a66p-7f + s * q;
    q = 0x1.9833b2p-6f + s * q;
    q = -0x1.30816ap-4f + s * q;
    q = 0x1.afbbe6p-3f + s * q;
    float large = 1.0f - exp_one(-z) * q;
    return copysignf(a < 1.0f ? a * p : large, x);
}

static inline float relu_one(float x)
{
    return x < 0.0f ? 0.0f : x;
}

#define EW_MAP(name)                                                                                                   \
    static void ew_##name(float *out, const float *x, size_t n)                                                        \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++) out[i] = name##_one(x[i]);                                                      \
    }
EW_MAP(exp)
EW_MAP(log)
EW_MAP(sigmoid)
EW_MAP(tanh)
EW_MAP(erf)
EW_MAP(relu)

static void ew_relu_back(float *restrict d, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) d[i] = y[i] > 0.0f ? d[i] : 0.0f;
}

static void ew_sigmoid_back(float *restrict d, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) d[i] = d[i] * (y[i] * (1.0f - y[i]));
}

static void ew_tanh_back(float *restrict d, const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) d[i] = d[i] * (1.0f - y[i] * y[i]);
}

static void ew_axpy(float *restrict y, const float *restrict x, size_t n, float alpha)
{
    for (size_t i = 0; i < n; i++) y[i] = y[i] + alpha * x[i];
}

static void ew_scale(float *x, size_t n, float alpha)
{
    for (size_t i = 0; i < n; i++) x[i] = alpha * x[i];
}

static void ew_add(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = y[i] + x[i];
}

static void ew_add_difference(float *restrict y, const float *restrict a, const float *restrict b, size_t n,
                              float alpha)
{
    for (size_t i = 0; i < n; i++) y[i] = y[i] + alpha * (a[i] - b[i]);
}

static void ew_adam(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n,
                    const wh_adam_terms *terms)
{
    const wh_adam_terms t = *terms;
    for (size_t i = 0; i < n; i++) {
        float d = t.scale * g[i] + t.decay * p[i], kept = p[i] - t.shrink * p[i];
        m[i] = t.beta1 * m[i] + t.rest1 * d;
        v[i] = t.beta2 * v[i] + t.rest2 * d * d;
        p[i] = kept - t.lr * m[i] / (sqrtf(v[i]) * t.correct2 + t.eps);
    }
}

static void ew_add_rows(float *restrict x, size_t ldx, const float *restrict bias, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) x[i * ldx + j] = x[i * ldx + j] + bias[j];
}

/* Squares of numbers first, so that a vector is read and written whole. */
static void ew_turn(float *restrict out, const float *restrict x, size_t m, size_t n)
{
    enum { SIDE = 8 };
    size_t i = 0;
    for (; i + SIDE <= m; i += SIDE) {
        size_t j = 0;
        for (; j + SIDE <= n; j += SIDE)
            for (size_t b = 0; b < SIDE; b++)
                for (size_t a = 0; a < SIDE; a++) out[(j + b) * m + i + a] = x[(i + a) * n + j + b];
        for (; j < n; j++)
            for (size_t a = 0; a < SIDE; a++) out[j * m + i + a] = x[(i + a) * n + j];
    }
    for (; i < m; i++)
        for (size_t j = 0; j < n; j++) out[j * m + i] = x[i * n + j];
}

static void ew_turn_axpy(float *restrict out, const float *restrict x, size_t m, size_t n, float alpha)
{
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++) out[j * m + i] = out[j * m + i] + alpha * x[i * n + j];
}

/* Four vectors at once: the sums are read and written once for all. */
static inline void ew_whole4(int32_t *restrict to, const float *restrict x0, const float *restrict x1,
                             const float *restrict x2, const float *restrict x3, const float f[4], size_t n)
{
    const float f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
    for (size_t i = 0; i < n; i++)
        to[i] += (int32_t)(x0[i] * f0) + (int32_t)(x1[i] * f1) + (int32_t)(x2[i] * f2) + (int32_t)(x3[i] * f3);
}

static inline void ew_whole1(int32_t *restrict to, const float *restrict x, float f, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] += (int32_t)(x[i] * f);
}

static void ew_add_whole32(int32_t *restrict to, const float *const *x, const float *f, size_t examples, size_t n)
{
    size_t e = 0;
    for (; e + 4 <= examples; e += 4) ew_whole4(to, x[e], x[e + 1], x[e + 2], x[e + 3], f + e, n);
    for (; e < examples; e++) ew_whole1(to, x[e], f[e], n);
}

static void ew_add_outer32(int32_t *restrict to, const float *const *a, const float *const *b, const float *f,
                           size_t examples, size_t m, size_t n)
{
    size_t e = 0;
    for (; e + 4 <= examples; e += 4)
        for (size_t i = 0; i < m; i++) {
            const float s[4] = {a[e][i] * f[e], a[e + 1][i] * f[e + 1], a[e + 2][i] * f[e + 2], a[e + 3][i] * f[e + 3]};
            ew_whole4(to + i * n, b[e], b[e + 1], b[e + 2], b[e + 3], s, n);
        }
    for (; e < examples; e++)
        for (size_t i = 0; i < m; i++) ew_whole1(to + i * n, b[e], a[e][i] * f[e], n);
}

static void ew_add_whole64(int64_t *restrict to, const float *restrict x, size_t n, float f)
{
    for (size_t i = 0; i < n; i++) to[i] += (int32_t)(x[i] * f);
}

static void ew_from_whole64(float *restrict out, const int64_t *restrict a, const int64_t *restrict b, size_t n,
                            double f)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)((double)(a[i] + b[i]) * f);
}

static void ew_sum_rows(float *restrict out, const float *restrict x, size_t ldx, size_t m, size_t n)
{
    for (size_t j = 0; j < n; j++) out[j] = m ? x[j] : 0.0f;
    for (size_t i = 1; i < m; i++)
        for (size_t j = 0; j < n; j++) out[j] = out[j] + x[i * ldx + j];
}

enum { EW_LANES = 16 };

/* Sixteen partial sums become one: lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline float ew_tree(float part[EW_LANES])
{
    for (int width = EW_LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) part[j] = part[j] + part[j + width];
    return part[0];
}

static float ew_dot(const float *restrict x, const float *restrict y, size_t n)
{
    float part[EW_LANES] = {0};
    size_t i = 0;
    for (; i + EW_LANES <= n; i += EW_LANES)
        for (int j = 0; j < EW_LANES; j++) part[j] = part[j] + x[i + (size_t)j] * y[i + (size_t)j];
    for (size_t j = 0; i + j < n; j++) part[j] = part[j] + x[i + j] * y[i + j];
    return ew_tree(part);
}

/* Four vectors of parts: one alone would wait for its own sum at each step. */
static float ew_squared(const float *x, size_t n)
{
    enum { PARTS = 4 * EW_LANES };
    if (n < PARTS) return ew_dot(x, x, n);
    float part[PARTS] = {0};
    size_t i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int j = 0; j < PARTS; j++) part[j] = part[j] + x[i + (size_t)j] * x[i + (size_t)j];
    for (size_t j = 0; i + j < n; j++) part[j] = part[j] + x[i + j] * x[i + j];
    for (int width = PARTS / 2; width > EW_LANES / 2; width /= 2)
        for (int j = 0; j < width; j++) part[j] = part[j] + part[j + width];
    return ew_tree(part);
}

static float ew_sum(const float *x, size_t n)
{
    float part[EW_LANES] = {0};
    size_t i = 0;
    for (; i + EW_LANES <= n; i += EW_LANES)
        for (int j = 0; j < EW_LANES; j++) part[j] = part[j] + x[i + (size_t)j];
    for (size_t j = 0; i + j < n; j++) part[j] = part[j] + x[i + j];
    return ew_tree(part);
}

static size_t ew_used_columns(uint32_t *restrict list, const float *restrict x, size_t ldx, size_t m, size_t n)
{
    enum { WIDTH = 64 };
    size_t count = 0;
    for (size_t from = 0; from < n; from += WIDTH) {
        size_t width = n - from < WIDTH ? n - from : WIDTH;
        uint32_t seen[WIDTH] = {0};
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < width; j++) seen[j] |= bits_of(x[i * ldx + from + j]);
        for (size_t j = 0; j < width; j++) {
            list[count] = (uint32_t)(from + j); /* count <= from + j: there is room */
            count += (seen[j] << 1) != 0;       /* the sign of a zero does not count */
        }
    }
    return count;
}

/* The rows of the table that every instruction set fills from this file. */
#define EW_TABLE                                                                                                       \
    .axpy = ew_axpy, .scale = ew_scale, .add = ew_add, .add_difference = ew_add_difference, .dot = ew_dot,             \
    .sum = ew_sum, .squared = ew_squared, .exp = ew_exp, .log = ew_log, .sigmoid = ew_sigmoid, .tanh = ew_tanh,        \
    .erf = ew_erf, .relu = ew_relu, .relu_back = ew_relu_back, .sigmoid_back = ew_sigmoid_back,                        \
    .tanh_back = ew_tanh_back, .add_rows = ew_add_rows, .sum_rows = ew_sum_rows, .adam = ew_adam, .turn = ew_turn,     \
    .turn_axpy = ew_turn_axpy, .used_columns = ew_used_columns, .add_whole32 = ew_add_whole32,                         \
    .add_outer32 = ew_add_outer32, .add_whole64 = ew_add_whole64, .from_whole64 = ew_from_whole64

#endif
