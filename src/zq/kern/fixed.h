/* zq/kern/fixed.h: the loops of zq/fixed.h, one table per instruction set, for b = 32 and b = 64.
 * Other widths run on the generic element loop of zq/fixed.c.
 *
 * Bytes are unaligned. Rounding is half to even in the default rounding mode of the thread. */
#ifndef WH_ZQ_KERN_FIXED_H
#define WH_ZQ_KERN_FIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wh_fixed_kernels {
    /* out[i] = round(x[i] * scale) as a 32- or 64-bit word. False if any |round(x[i] * scale)| > limit
     * or is NaN (which one is for the caller to find); out is then filled with anything. */
    bool (*encode32)(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit);
    bool (*encode64)(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit);
    void (*add32)(uint8_t *restrict acc, const uint8_t *restrict in, size_t n);
    void (*add64)(uint8_t *restrict acc, const uint8_t *restrict in, size_t n);
    /* out[i] = (signed word) * unit */
    void (*decode32)(double *restrict out, const uint8_t *restrict in, size_t n, double unit);
    void (*decode64)(double *restrict out, const uint8_t *restrict in, size_t n, double unit);
    /* True if every |signed word| <= limit, limit >= 0. */
    bool (*within32)(const uint8_t *in, size_t n, int32_t limit);
    bool (*within64)(const uint8_t *in, size_t n, int64_t limit);
};

extern const struct wh_fixed_kernels wh_fixed_kernels_generic;
#if defined(__x86_64__)
extern const struct wh_fixed_kernels wh_fixed_kernels_avx2;
extern const struct wh_fixed_kernels wh_fixed_kernels_avx512;
#endif

#endif
