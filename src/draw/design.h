/* draw/design.h: batches of row numbers that carry the design they were drawn by.
 *
 * What a privacy accountant may claim about a batch depends on how the batch was drawn, so the
 * design travels with the batches: a shuffled pass cannot be accounted as Poisson sampling. */
#ifndef WH_DRAW_DESIGN_H
#define WH_DRAW_DESIGN_H

#include "base/mem.h"
#include "draw/stream.h"

typedef enum wh_draw_kind {
    WH_DRAW_FULL,          /* every batch is all rows, in order */
    WH_DRAW_SHUFFLED_PASS, /* the rows in random order, cut into batches, reshuffled for each pass; public seed */
    /* Private ones, drawn from the system's randomness (draw/private.h): */
    WH_DRAW_POISSON,             /* each row on its own coin of probability `rate`; a batch may be empty */
    WH_DRAW_TRUNCATED_POISSON,   /* the same, cut to a uniform subset of `batch` rows where there are more */
    WH_DRAW_WITHOUT_REPLACEMENT, /* a uniform subset of exactly `batch` rows, afresh each time */
    WH_DRAW_BALLS_IN_BINS,       /* a pass is `bins` batches; each row falls into one of them, uniformly */
} wh_draw_kind;

typedef struct wh_draw_design {
    wh_draw_kind kind;
    size_t n;     /* rows, 1 .. 2^32 - 1 */
    size_t batch; /* SHUFFLED_PASS: rows in a batch, >= 1, the last of a pass may be smaller. TRUNCATED_POISSON: most
                     rows, WITHOUT_REPLACEMENT: rows, 1 .. n. The others do not use it */
    double rate;  /* POISSON, TRUNCATED_POISSON: 2^-40 .. 1 */
    size_t bins;  /* BALLS_IN_BINS: >= 1 */
} wh_draw_design;

/* Batches in a pass. */
size_t wh_draw_pass(const wh_draw_design *design);

/* An iterator without end. Fields are visible, for reading only. */
typedef struct wh_draw {
    wh_draw_design design;
    uint32_t *index; /* n: the order of the present pass; owned */
    size_t at;       /* rows of the pass already given */
    uint64_t passes; /* passes begun */
    wh_seeded stream;
} wh_draw;
#define WH_DRAW_EMPTY                                                                                                  \
    {                                                                                                                  \
        .index = NULL                                                                                                  \
    }

/* Starts at the first pass of a round. The order is a function of (seed, site, round, n) alone.
 * WHIST_E_ARG for a design outside its ranges or a private one; WHIST_E_NOMEM. `out` is empty before. */
WH_MUST_CHECK whist_status wh_draw_init(wh_draw *out, const wh_draw_design *design, uint64_t seed, const char *site,
                                        uint64_t round);
/* The same design from the start of another round; gives what a fresh wh_draw_init would. */
void wh_draw_restart(wh_draw *draw, uint64_t seed, const char *site, uint64_t round);
/* The next batch: n row numbers, valid until the next call. */
void wh_draw_next(wh_draw *draw, const uint32_t **index, size_t *n);
void wh_draw_clear(wh_draw *draw);
WH_AUTO_CLEAR(wh_draw, wh_draw_clear)

#endif
