/* account/sketch.h: a pair as a few hundred weighted losses: good to a percent, for choosing steps and tilts. Nothing
 * that is answered depends on how good it is. */
#ifndef WH_DP_ACCOUNT_SKETCH_H
#define WH_DP_ACCOUNT_SKETCH_H

#include "dp/account/pair.h"

typedef struct wh_dp_sketch {
    double *loss, *p, *q; /* (n) */
    size_t n;
    double uses;
} wh_dp_sketch;

WH_MUST_CHECK whist_status wh_dp_sketch_init(wh_dp_sketch *out, wh_arena *arena, const wh_dp_pair *pair, double uses);

/* Forgets what a grid from low to high leaves out: rare losses far beyond it would rule large tilts. */
void wh_dp_sketch_trim(wh_dp_sketch *sketch, double low, double high);

/* n sketches composed, seen in one direction (backward: (Q, P)). Losses above `cap` are taken apart as grids that end
 * there do it: what P has there in common with Q moves to the cap, the rest is infinite. */
typedef struct wh_dp_view {
    const wh_dp_sketch *sketch;
    size_t n;
    bool backward;
    double cap;
} wh_dp_view;

/* The cumulant function of all uses, K(t) = log E_P e^{t L} over finite losses, its slope and curvature. */
typedef struct wh_dp_cumulant {
    double value, slope, curvature;
} wh_dp_cumulant;
wh_dp_cumulant wh_dp_sketch_cumulant(const wh_dp_view *view, double t);
/* The mass above the cap that is infinite. */
double wh_dp_sketch_infinity(const wh_dp_view *view);
/* The tilt t > 0 that is best for delta, and the epsilon it gives (Chernoff). */
double wh_dp_sketch_tilt(double *epsilon, const wh_dp_view *view, double delta);
/* The tilt whose mean loss is epsilon, and log delta (Chernoff). */
double wh_dp_sketch_tilt_at(double *log_delta, const wh_dp_view *view, double epsilon);

#endif
