/* zq/fixed.h: real vectors as fixed point in the ring Z_2^b, the road of every federated update.
 *
 * A site turns x into v = round(x * weight * 2^fraction), half to even, and writes v mod 2^b in two's
 * complement. Sums are taken mod 2^b. They come out right when the true sum fits, which is what the
 * limit is for: with at most max_summands sites and |v| <= limit = floor((2^(b-1) - 1) / max_summands)
 * at each, no sum can wrap.
 *
 * Arithmetic: the product x * (weight * 2^fraction) is rounded once, to a double, then to an integer.
 * The double has 53 bits, so the bits below the 53rd of a large v are 0.
 *
 * Bytes: an element takes b/8 bytes for b in {8, 16, 32, 64}, else ceil(b/8), little-endian, the bits
 * above b zero. Elements lie packed, in no alignment.
 *
 *     b = 20:  | v0 0..7 | v0 8..15 | v0 16..19 0000 | v1 0..7 | …
 *
 * All kernels give the same bytes. A const wh_fixed may be read by many threads; the kernel table is
 * chosen by wh_fixed_init and nothing is global. */
#ifndef WH_ZQ_FIXED_H
#define WH_ZQ_FIXED_H

#include "base/status.h"

typedef struct wh_fixed_kernels wh_fixed_kernels;

/* Plain value, filled by wh_fixed_init, changed by nobody. */
typedef struct wh_fixed {
    unsigned bits;     /* b, 8 … 64 */
    unsigned fraction; /* 0 … bits-2 */
    unsigned width;    /* bytes of an element, 1 … 8 */
    double limit;      /* largest |v| of one site: an integer, rounded down where a double cannot hold it */
    const wh_fixed_kernels *kernels;
} wh_fixed;

/* max_summands: how many sites a sum may have, >= 1. WHIST_E_RANGE where bits or fraction are outside
 * their range or no value but 0 is left to a site. */
WH_MUST_CHECK whist_status wh_fixed_init(wh_fixed *out, unsigned bits, unsigned fraction, uint64_t max_summands);

/* The largest |x * weight| that a site may send: limit * 2^-fraction. */
double wh_fixed_largest(const wh_fixed *fixed);

/* out (n * width bytes) from x (n) times weight >= 0.
 *
 * WHIST_E_RANGE naming the index and the limit when a value is NaN, infinite or beyond the limit, or
 * when weight is negative or not finite; out then holds bytes that must not be used. */
WH_MUST_CHECK whist_status wh_fixed_encode(uint8_t *out, const wh_fixed *fixed, const float *x, size_t n,
                                           double weight);

/* acc[i] += in[i] mod 2^b, i = 0 … n-1. acc and in (n * width bytes) do not overlap. Bits above b of
 * `in` are ignored. */
void wh_fixed_add(uint8_t *acc, const wh_fixed *fixed, const uint8_t *in, size_t n);

/* out[i] = the signed value of element i times 2^-fraction, rounded to double where it has more bits. */
void wh_fixed_decode(double *out, const wh_fixed *fixed, const uint8_t *in, size_t n);

/* Is every element one that a single site may send? For updates that arrive in plain. WHIST_E_RANGE
 * naming the index when |v| > limit or a bit above b is set. */
WH_MUST_CHECK whist_status wh_fixed_check(const wh_fixed *fixed, const uint8_t *in, size_t n);

#endif
