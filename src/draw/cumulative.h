/* draw/cumulative.h: whole numbers by their cumulative distribution in wide fixed point.
 *
 *   Poisson, binomial, Skellam   exactly: a table of 128 bits, made again with 256, 512 and 896 where a draw needs it
 *   wh_steady                    discrete Gaussian, discrete Laplace, Skellam with a fixed number of operations and no
 *                                branch or address that depends on the draw; not exact, but off by a stated distance
 *
 * Row k of a table is P(X <= low + k) within three units of its last place: errors of the recurrence are counted in
 * cumulative.c and stay below one unit because one more word is used on the way.
 *
 * Tables are public: they depend on parameters only. A table may be read by many threads. */
#ifndef WH_DRAW_CUMULATIVE_H
#define WH_DRAW_CUMULATIVE_H

#include "draw/noise.h"

typedef enum wh_law {
    WH_LAW_POISSON,          /* parameter: the mean, 2^-10 .. 2^22 */
    WH_LAW_BINOMIAL,         /* parameter: p, 2^-10 .. 1 - 2^-10, with at most 63 bits behind the point; trials */
    WH_LAW_DISCRETE_GAUSS,   /* parameter: sigma, 2^-3 .. 2^11; a table of |X| */
    WH_LAW_DISCRETE_LAPLACE, /* parameter: scale, 2^-3 .. 2^8; a table of |X| */
} wh_law;

typedef struct wh_cumulative {
    wh_law law;
    double parameter;
    uint64_t trials; /* binomial: 1 .. 2^24 */
    uint64_t low;    /* X of row 0 */
    size_t n, words;
    uint64_t *row; /* (n, words), highest word first */
} wh_cumulative;
#define WH_CUMULATIVE_EMPTY                                                                                            \
    {                                                                                                                  \
        .row = NULL                                                                                                    \
    }

/* WHIST_E_RANGE for a parameter out of range, WHIST_E_NOMEM. words: 2, or what a test wants (1 .. 14). */
WH_MUST_CHECK whist_status wh_cumulative_init(wh_cumulative *out, wh_law law, double parameter, uint64_t trials,
                                              size_t words);
void wh_cumulative_clear(wh_cumulative *table);
WH_AUTO_CLEAR(wh_cumulative, wh_cumulative_clear)
/* n independent draws, exact (the sign of the last two laws included). Time depends on them. On failure out is wiped.
 */
WH_MUST_CHECK whist_status wh_cumulative_draw(const wh_cumulative *table, wh_noise *noise, int64_t *out, size_t n);

/* Skellam of a variance in 2^-8 .. 2^30: the difference of two Poisson numbers of mean variance / 2, each the sum of
 * `copies` of mean variance / (2 copies). Exact. */
typedef struct wh_skellam {
    wh_cumulative half;
    unsigned copies;
} wh_skellam;
WH_MUST_CHECK whist_status wh_skellam_init(wh_skellam *out, double variance);
void wh_skellam_clear(wh_skellam *skellam);
WH_AUTO_CLEAR(wh_skellam, wh_skellam_clear)
WH_MUST_CHECK whist_status wh_skellam_draw(const wh_skellam *skellam, wh_noise *noise, int64_t *out, size_t n);

/* ---- Steady time ------------------------------------------------------------------------------- */

/* Each draw compares 127 random bits with every row: n subtractions, whatever the draw. */
typedef struct wh_steady {
    wh_cumulative table;
    bool difference; /* of two draws (Skellam) */
    double distance; /* total variation between a draw and the exact law, at most; times the number of draws it goes
                        into delta */
} wh_steady;
WH_MUST_CHECK whist_status wh_steady_init(wh_steady *out, wh_law law, double parameter);
/* Skellam of a variance in 2^-8 .. 2^16. */
WH_MUST_CHECK whist_status wh_steady_init_skellam(wh_steady *out, double variance);
void wh_steady_clear(wh_steady *steady);
WH_AUTO_CLEAR(wh_steady, wh_steady_clear)
WH_MUST_CHECK whist_status wh_steady_draw(const wh_steady *steady, wh_noise *noise, int64_t *out, size_t n);
/* Words of randomness of one draw, and the draws themselves from such words (for the test under memcheck). */
size_t wh_steady_words(const wh_steady *steady);
void wh_steady_pick(int64_t *out, const wh_steady *steady, const uint64_t *word, size_t n);

#endif
