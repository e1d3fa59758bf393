/* zq/fixed.c: picks the loops by width and instruction set, and finds the element that broke a limit. */
#include "zq/fixed.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "zq/kern/fixed.h"

static const wh_fixed_kernels *kernels_at(wh_cpu_level level)
{
#if defined(__x86_64__)
    static const wh_fixed_kernels *const tables[] = {&wh_fixed_kernels_generic, &wh_fixed_kernels_avx2,
                                                     &wh_fixed_kernels_avx512};
    return tables[level];
#else
    (void)level;
    return &wh_fixed_kernels_generic;
#endif
}

/* The largest double that is an integer and not above v. */
static double double_below(uint64_t v)
{
    unsigned drop = v >> 53 ? 11 - (unsigned)__builtin_clzll(v) : 0; /* bits that a double cannot hold */
    return (double)(v >> drop << drop);
}

whist_status wh_fixed_init(wh_fixed *out, unsigned bits, unsigned fraction, uint64_t max_summands)
{
    if (bits < 8 || bits > 64) WH_FAIL(WHIST_E_RANGE, "fixed point of %u bits: allowed are 8 to 64", bits);
    if (fraction > bits - 2)
        WH_FAIL(WHIST_E_RANGE, "%u fraction bits in a ring of %u bits: allowed are 0 to %u", fraction, bits, bits - 2);
    uint64_t half = (UINT64_C(1) << (bits - 1)) - 1;
    if (max_summands == 0 || max_summands > half)
        WH_FAIL(WHIST_E_RANGE, "a sum over %llu sites in a ring of %u bits: use 1 to %llu sites or more bits",
                (unsigned long long)max_summands, bits, (unsigned long long)half);
    *out = (wh_fixed){
        .bits = bits,
        .fraction = fraction,
        .width = (bits + 7) / 8,
        .limit = double_below(half / max_summands),
        .kernels = kernels_at(wh_cpu_get()),
    };
    return WHIST_OK;
}

double wh_fixed_largest(const wh_fixed *fixed)
{
    return ldexp(fixed->limit, -(int)fixed->fraction);
}

/* ---- Elements of any width ------------------------------------------------------------------ */

static uint64_t ring_mask(const wh_fixed *fixed)
{
    return UINT64_MAX >> (64 - fixed->bits);
}

static uint64_t load(const uint8_t *bytes, unsigned width)
{
    uint64_t word = 0;
    for (unsigned k = 0; k < width; k++) word |= (uint64_t)bytes[k] << (8 * k);
    return word;
}

static void store(uint8_t *bytes, unsigned width, uint64_t word)
{
    for (unsigned k = 0; k < width; k++) bytes[k] = (uint8_t)(word >> (8 * k));
}

/* The number in (-2^(b-1), 2^(b-1)) or -2^(b-1) itself that the low b bits of word stand for. */
static int64_t signed_value(const wh_fixed *fixed, uint64_t word)
{
    uint64_t sign = UINT64_C(1) << (fixed->bits - 1);
    word &= ring_mask(fixed);
    return (int64_t)((word ^ sign) - sign);
}

static bool any_encode(uint8_t *out, const wh_fixed *fixed, const float *x, size_t n, double scale)
{
    const uint64_t mask = ring_mask(fixed);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        double v = rint((double)x[i] * scale);
        bool fits = fabs(v) <= fixed->limit;
        good &= fits;
        store(out + i * fixed->width, fixed->width, fits ? (uint64_t)(int64_t)v & mask : 0);
    }
    return good;
}

static void any_add(uint8_t *acc, const wh_fixed *fixed, const uint8_t *in, size_t n)
{
    const uint64_t mask = ring_mask(fixed);
    const unsigned width = fixed->width;
    for (size_t i = 0; i < n * width; i += width)
        store(acc + i, width, (load(acc + i, width) + load(in + i, width)) & mask);
}

static bool any_within(const wh_fixed *fixed, const uint8_t *in)
{
    uint64_t word = load(in, fixed->width);
    int64_t v = signed_value(fixed, word), limit = (int64_t)fixed->limit;
    return (word & ~ring_mask(fixed)) == 0 && v >= -limit && v <= limit;
}

/* ---- The four operations -------------------------------------------------------------------- */

static bool encode(uint8_t *out, const wh_fixed *fixed, const float *x, size_t n, double scale)
{
    if (fixed->bits == 32) return fixed->kernels->encode32(out, x, n, scale, fixed->limit);
    if (fixed->bits == 64) return fixed->kernels->encode64(out, x, n, scale, fixed->limit);
    return any_encode(out, fixed, x, n, scale);
}

/* The text names the place and the limit and keeps the value to itself: it is a model weight. */
static whist_status refuse(const wh_fixed *fixed, const float *x, size_t n, double weight, double scale)
{
    size_t i = 0;
    while (i < n && fabs(rint((double)x[i] * scale)) <= fixed->limit) i++;
    const char *why = i == n || isfinite(x[i]) ? "is beyond what one site may send" : "is not finite";
    WH_FAIL(WHIST_E_RANGE,
            "element %zu of the update %s: |value * weight| has to be at most %.9g (weight %.9g, %u bits, %u of them "
            "fraction): clip the update, lower the learning rate or use fewer fraction bits",
            i, why, wh_fixed_largest(fixed), weight, fixed->bits, fixed->fraction);
}

whist_status wh_fixed_encode(uint8_t *out, const wh_fixed *fixed, const float *x, size_t n, double weight)
{
    double scale = ldexp(weight, (int)fixed->fraction);
    if (!(weight >= 0) || !isfinite(scale))
        WH_FAIL(WHIST_E_RANGE, "the weight of an update is %g: it has to be finite and not negative", weight);
    if (encode(out, fixed, x, n, scale)) return WHIST_OK;
    return refuse(fixed, x, n, weight, scale);
}

void wh_fixed_add(uint8_t *acc, const wh_fixed *fixed, const uint8_t *in, size_t n)
{
    if (fixed->bits == 32)
        fixed->kernels->add32(acc, in, n);
    else if (fixed->bits == 64)
        fixed->kernels->add64(acc, in, n);
    else
        any_add(acc, fixed, in, n);
}

void wh_fixed_decode(double *out, const wh_fixed *fixed, const uint8_t *in, size_t n)
{
    double unit = ldexp(1.0, -(int)fixed->fraction);
    if (fixed->bits == 32) {
        fixed->kernels->decode32(out, in, n, unit);
    } else if (fixed->bits == 64) {
        fixed->kernels->decode64(out, in, n, unit);
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = (double)signed_value(fixed, load(in + i * fixed->width, fixed->width)) * unit;
    }
}

whist_status wh_fixed_check(const wh_fixed *fixed, const uint8_t *in, size_t n)
{
    if (fixed->bits == 32 && fixed->kernels->within32(in, n, (int32_t)fixed->limit)) return WHIST_OK;
    if (fixed->bits == 64 && fixed->kernels->within64(in, n, (int64_t)fixed->limit)) return WHIST_OK;
    for (size_t i = 0; i < n; i++)
        if (!any_within(fixed, in + i * fixed->width))
            WH_FAIL(WHIST_E_RANGE, "element %zu of the update is beyond %.9g, what one site may send", i,
                    wh_fixed_largest(fixed));
    return WHIST_OK;
}
