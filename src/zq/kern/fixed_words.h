/* zq/kern/fixed_words.h: the element loops in C. They are the generic kernels, and the siblings use
 * them for the last few elements. Static inline only, as files built for one instruction set need. */
#ifndef WH_ZQ_KERN_FIXED_WORDS_H
#define WH_ZQ_KERN_FIXED_WORDS_H

#include <math.h>
#include <string.h>

#include "zq/kern/fixed.h"

/* Words are little-endian on the wire; the memcpy forms below are right on such machines only. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian machines need byte swaps here");

/* |v| <= limit is false for NaN, so the product is only converted when it fits: no undefined cast. */
static inline bool words_encode32(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        double v = rint((double)x[i] * scale);
        bool fits = fabs(v) <= limit;
        int32_t word = fits ? (int32_t)v : 0;
        good &= fits;
        memcpy(out + 4 * i, &word, 4);
    }
    return good;
}

static inline bool words_encode64(uint8_t *restrict out, const float *restrict x, size_t n, double scale, double limit)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        double v = rint((double)x[i] * scale);
        bool fits = fabs(v) <= limit;
        int64_t word = fits ? (int64_t)v : 0;
        good &= fits;
        memcpy(out + 8 * i, &word, 8);
    }
    return good;
}

static inline void words_add32(uint8_t *restrict acc, const uint8_t *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t a, b;
        memcpy(&a, acc + 4 * i, 4);
        memcpy(&b, in + 4 * i, 4);
        a += b;
        memcpy(acc + 4 * i, &a, 4);
    }
}

static inline void words_add64(uint8_t *restrict acc, const uint8_t *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t a, b;
        memcpy(&a, acc + 8 * i, 8);
        memcpy(&b, in + 8 * i, 8);
        a += b;
        memcpy(acc + 8 * i, &a, 8);
    }
}

static inline void words_decode32(double *restrict out, const uint8_t *restrict in, size_t n, double unit)
{
    for (size_t i = 0; i < n; i++) {
        int32_t word;
        memcpy(&word, in + 4 * i, 4);
        out[i] = (double)word * unit;
    }
}

static inline void words_decode64(double *restrict out, const uint8_t *restrict in, size_t n, double unit)
{
    for (size_t i = 0; i < n; i++) {
        int64_t word;
        memcpy(&word, in + 8 * i, 8);
        out[i] = (double)word * unit;
    }
}

/* word + limit lies in [0, 2 limit] exactly when |word| <= limit, all mod 2^b. */
static inline bool words_within32(const uint8_t *in, size_t n, int32_t limit)
{
    uint32_t worst = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, in + 4 * i, 4);
        word += (uint32_t)limit;
        worst = word > worst ? word : worst;
    }
    return worst <= 2 * (uint32_t)limit;
}

static inline bool words_within64(const uint8_t *in, size_t n, int64_t limit)
{
    uint64_t worst = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t word;
        memcpy(&word, in + 8 * i, 8);
        word += (uint64_t)limit;
        worst = word > worst ? word : worst;
    }
    return worst <= 2 * (uint64_t)limit;
}

#endif
