/* account/grid.h: a dominating pair on a grid of losses, from above and from below.
 *
 * Cells of half a grid step hold the masses of P and Q with losses inside; each mass has its own rounding bound.
 *
 *   above: "connect the dots" (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022): the masses between two grid points
 *   go to these two points so that both P and Q keep theirs. The hockey-stick curve becomes its own chord, which
 *   lies above, since the curve is convex.
 *
 *   below: parts of the cells around a grid point are thrown together (post-processing) so that their P and Q masses
 *   have just the ratio of that point. What finds no partner moves down to the next grid point.
 *
 * Both are measures, not probabilities: rounding inflates the one and deflates the other. That is sound, since
 * integrals of (1 - a e^-l)+ grow with the mass and with the loss, and composing keeps the order.
 *
 * Grid points are offset + j h. All real losses of a cell lie within `slack` of its ends. */
#ifndef WH_DP_ACCOUNT_GRID_H
#define WH_DP_ACCOUNT_GRID_H

#include "dp/account/pair.h"

/* Cells k = 0 .. n-1 hold losses from offset + (first + k) h/2 to the next; first and n are even. */
typedef struct wh_dp_cells {
    double h, offset, slack;
    ptrdiff_t first;
    size_t n;
    double *p, *q, *p_error, *q_error; /* (n), one block */
    bool counted;                      /* outcomes one by one, all with errors in proportion */
    double *p_on, *q_on;               /* (n/2 + 1): masses of outcomes that lie on the grid points themselves */
    double p_never, q_never;           /* of these, masses where the other distribution has nothing */
    double p_below, q_below, p_above, q_above; /* the masses outside, above includes infinity; rounded up */
} wh_dp_cells;

/* h is the step wanted; the one taken may be smaller, to fit the lattice of the pair. Losses outside [low, high] are
 * counted as outside. WHIST_E_RANGE above 2^23 cells. */
WH_MUST_CHECK whist_status wh_dp_cells_init(wh_dp_cells *out, wh_arena *arena, const wh_dp_pair *pair, double h,
                                            double low, double high);
/* What losses that have a mass of their own lie apart, at multiples of it; 0: there is no such distance. */
double wh_dp_lattice(const wh_dp_pair *pair);
/* (P, Q) becomes (Q, P), in place. */
void wh_dp_cells_mirror(wh_dp_cells *cells);

/* Masses at grid points first + i, i < n. */
typedef struct wh_dp_measure {
    double h, offset, slack;
    ptrdiff_t first;
    size_t n;
    double *above, *below; /* (n) */
    bool blurred;    /* `below` is as `above`, deflated: dots connected, to be sharpened after composing (sum.c) */
    double infinity; /* the mass of `above` that has no finite loss */
    double excess;   /* P's masses of `above` come to at most this more than 1 */
    double beyond_p, beyond_q; /* masses above the last point, which `below` lacks: P's rounded down, Q's up */
    double certain;            /* what of that is not rounding, and so belongs to `below`, too */
} wh_dp_measure;
/* tilt: losses about which weight to care about, for choosing between two ways to `below`. */
WH_MUST_CHECK whist_status wh_dp_measure_init(wh_dp_measure *out, wh_arena *arena, const wh_dp_cells *cells,
                                              double tilt);

#endif
