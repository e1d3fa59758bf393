/* draw/exact.h: the last word on a draw: decisions about real random numbers, by as many bits as they need.
 *
 * A uniform real U in (0,1) is known by its first 64 bits; further words are drawn from the source only when a question
 * is still open, and are kept, so that all questions about one U speak of the same real number. Each question is
 * answered with 256 bits, then 512, then 960; one that is open after that (probability below 2^-800 for the
 * ranges allowed here) fails with WHIST_E_STATE.
 *
 * What is answered is exact: no distribution below differs from its definition. Time depends on values. */
#ifndef WH_DRAW_EXACT_H
#define WH_DRAW_EXACT_H

#include "draw/noise.h"
#include "draw/wide.h"

enum { WH_LAZY_WORDS = 32 };

/* U = word[0] 2^-64 + word[1] 2^-128 + …; `known` words are drawn. Wiped by its owner. */
typedef struct wh_lazy {
    uint64_t word[WH_LAZY_WORDS];
    unsigned known;
} wh_lazy;
static inline void wh_lazy_end_(wh_lazy *u)
{
    wh_wipe(u, sizeof *u);
}

/* U whose first 64 bits are k … */
wh_lazy wh_lazy_of(uint64_t k);
/* … or whose first 63 are the highest of k; the lowest bit of k means something else and is drawn anew. */
WH_MUST_CHECK whist_status wh_lazy_of63(wh_lazy *out, wh_noise *noise, uint64_t k);

/* E = -ln U is exponentially distributed. Whether E * num > den, num > 0. */
WH_MUST_CHECK whist_status wh_exact_above(bool *out, wh_noise *noise, wh_lazy *u, const wh_big *num, const wh_big *den);
/* floor(s * E), or with `half` floor(s * E + 1/2). 2^-40 <= s <= 2^52. */
WH_MUST_CHECK whist_status wh_exact_floor(int64_t *out, wh_noise *noise, wh_lazy *u, double s, bool half);
/* floor(E / -ln(1 - q)): failures before the first success of trials with probability q, 2^-40 <= q < 1. At most
 * INT64_MAX / 2 is returned for more. */
WH_MUST_CHECK whist_status wh_exact_geometric(int64_t *out, wh_noise *noise, wh_lazy *u, double q);
/* With R = sqrt(2 E(u)): out[0] = round(s R cos(2 pi V)), out[1] = round(s R sin(2 pi V)), two independent rounded
 * Gaussians (Box, Muller 1958). 2^-40 <= s <= 2^52. */
WH_MUST_CHECK whist_status wh_exact_normal(int64_t out[2], wh_noise *noise, wh_lazy *u, wh_lazy *v, double s);

#endif
