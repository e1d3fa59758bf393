/* draw/wide.h: fixed-point numbers of many words, for the few decisions that double precision leaves open.
 *
 * A number of n fraction words is n + 1 words, least first: value = x * 2^(-64 n), the last word is its whole part.
 * One unit ("ulp") is 2^(-64 n). Every function states its largest error in units; only shifts, additions,
 * multiplications and divisions by one word are used, each of which cuts off less than one unit.
 *
 * Whole numbers of up to WH_BIG words (wh_big_…) are exact.
 *
 * Time depends on values. The constants are public and made once. Threads: any. */
#ifndef WH_DRAW_WIDE_H
#define WH_DRAW_WIDE_H

#include "base/status.h"

enum {
    WH_WIDE_MAX = 15,       /* most fraction words */
    WH_BIG = 48,            /* words of a whole number */
    WH_WIDE_LOG_ERROR = 12, /* log2 of the error of wh_wide_neg_log, in units */
    WH_WIDE_COS_ERROR = 10, /* … of wh_wide_one_plus_cos */
    WH_WIDE_EXP_ERROR = 1,  /* … of wh_wide_exp_neg */
};

/* -ln(m * 2^-zeros), m = mantissa * 2^(-64 n) in [1/2, 1): n words, the highest bit set. zeros <= 1024.
 * Error at most 2^WH_WIDE_LOG_ERROR units. */
void wh_wide_neg_log(uint64_t *out, const uint64_t *mantissa, unsigned zeros, size_t n);
/* 1 + cos(2 pi v), v = turn * 2^(-64 n) in [0, 1): n words. In [0, 2]. Error at most 2^WH_WIDE_COS_ERROR units. */
void wh_wide_one_plus_cos(uint64_t *out, const uint64_t *turn, size_t n);
/* exp(-x), x of n fraction words, x < 2^12. Error at most 2^WH_WIDE_EXP_ERROR units. */
void wh_wide_exp_neg(uint64_t *out, const uint64_t *x, size_t n);
/* a * b cut to n fraction words; a * b < 2^64. out may be a or b. Less than one unit too small. */
void wh_wide_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n);
/* x / d in place, d > 0; less than one unit too small. */
void wh_wide_div(uint64_t *x, uint64_t d, size_t n);

/* ---- Whole numbers: WH_BIG words, least first ------------------------------------------------ */

typedef struct wh_big {
    uint64_t word[WH_BIG];
} wh_big;

wh_big wh_big_of(uint64_t x);
wh_big wh_big_words(const uint64_t *x, size_t n);
/* Results must fit (tests build with checks). */
wh_big wh_big_add(const wh_big *a, const wh_big *b);
wh_big wh_big_sub(const wh_big *a, const wh_big *b); /* |a - b| */
wh_big wh_big_mul(const wh_big *a, const wh_big *b);
wh_big wh_big_shift(const wh_big *a, unsigned bits);
int wh_big_cmp(const wh_big *a, const wh_big *b);

/* A positive finite double is *mantissa * 2^*exponent, 2^52 <= *mantissa < 2^53 (exactly, subnormals apart). */
void wh_double_parts(double x, uint64_t *mantissa, int *exponent);

#endif
