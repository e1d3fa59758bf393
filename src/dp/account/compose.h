/* account/compose.h: measures composed by one transform, ready to be summed. */
#ifndef WH_DP_ACCOUNT_COMPOSE_H
#define WH_DP_ACCOUNT_COMPOSE_H

#include "dp/account/fft.h"
#include "dp/account/grid.h"

/* One side of the composition (from above or from below): tilted masses of losses origin + (first + i) h, i < n. */
typedef struct wh_dp_side {
    const double *mass; /* (n) by index modulo n */
    double log_scale;   /* mass of the real measure at loss index j: mass_j e^{log_scale - tilt j h} */
    double error;       /* of each mass, at most */
    double norm;        /* the same of all together, in the Euclidean norm */
    double inverse;     /* and besides, from the inverse transform: of all together, in that norm */
    double outside;     /* tilted mass outside the window, at most; it may also lie inside by aliasing */
} wh_dp_side;

typedef struct wh_dp_composed {
    double h, tilt, origin;
    ptrdiff_t first;
    size_t n;
    wh_dp_side above, below;
    double infinity;           /* mass of `above` without a finite loss */
    double certain;            /* such mass of `below` */
    double beyond_p, beyond_q; /* of some loss above the grid: at least p - e^eps q of delta, which `below` lacks */
    double blur, blur_squares; /* log E R^2 of what `below` is blurred by, n h^2; 0 where it is not */
    double slack;              /* losses are off by at most this */
    double relative_error;     /* of every mass, besides `error`: rounding of weights and their powers */
} wh_dp_composed;

/* By how much more and less the tilt is for the Chernoff bounds on the window's ends: any > 0 is sound, good ones make
 * the window narrow. */
typedef struct wh_dp_lean {
    double up, down;
} wh_dp_lean;
extern const double wh_dp_window_cut; /* -log of the tilted mass that may lie outside, on each side */

/* measure[i] is used uses[i] times; all have the same h. The arena holds the masses. WHIST_E_RANGE where the window
 * needs more than n_max points. */
WH_MUST_CHECK whist_status wh_dp_compose_measures(wh_dp_composed *out, wh_arena *arena, wh_dp_fft *fft,
                                                  const wh_dp_measure *measure, const double *uses, size_t n,
                                                  double tilt, wh_dp_lean lean, size_t n_max);

/* The least epsilon proven to hold, and the largest proven not to. */
double wh_dp_composed_upper(const wh_dp_composed *c, double delta);
double wh_dp_composed_lower(const wh_dp_composed *c, double delta);
double wh_dp_composed_delta_upper(const wh_dp_composed *c, double epsilon);
double wh_dp_composed_delta_lower(const wh_dp_composed *c, double epsilon);

#endif
