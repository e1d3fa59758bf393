/* draw/private.h: private batches of row numbers, whose drawing nobody can repeat.
 *
 * Amplification by sampling holds only against those who do not know who was drawn, so these batches come from wh_noise
 * and never from a seed. Every batch carries the design it was drawn by: an accountant is given the design of the draw
 * that made it, and of nothing else.
 *
 * All designs are exact: coins with the probability given, subsets and bins without bias. Time depends on the batch. */
#ifndef WH_DRAW_PRIVATE_H
#define WH_DRAW_PRIVATE_H

#include "draw/design.h"
#include "draw/noise.h"

/* Fields are visible, for reading only. */
typedef struct wh_private_draw {
    wh_draw_design design;
    wh_noise *noise; /* owned */
    uint32_t *index; /* room for n rows; owned, wiped */
    uint32_t *bin;   /* BALLS_IN_BINS: (bins + 1), where each batch of the present pass begins */
    size_t at;       /* BALLS_IN_BINS: batches of the pass already given */
    uint64_t drawn;  /* batches drawn; BALLS_IN_BINS: passes begun */
} wh_private_draw;
#define WH_PRIVATE_DRAW_EMPTY                                                                                          \
    {                                                                                                                  \
        .noise = NULL                                                                                                  \
    }

/* WHIST_E_ARG for a design outside its ranges or a public one; WHIST_E_ENTROPY; WHIST_E_NOMEM. `out` is empty before.
 */
WH_MUST_CHECK whist_status wh_private_draw_init(wh_private_draw *out, const wh_draw_design *design);
#ifdef WH_TEST_HOOKS
/* Test builds only: draws from `noise`, which it then owns. On failure noise is the caller's. */
WH_MUST_CHECK whist_status wh_private_draw_init_from(wh_private_draw *out, const wh_draw_design *design,
                                                     wh_noise *noise);
#endif
/* The next batch: n row numbers in increasing order (none for an empty batch), valid until the next call. On failure
 * nothing is drawn. */
WH_MUST_CHECK whist_status wh_private_draw_next(wh_private_draw *draw, const uint32_t **index, size_t *n);
void wh_private_draw_clear(wh_private_draw *draw);
WH_AUTO_CLEAR(wh_private_draw, wh_private_draw_clear)

#endif
