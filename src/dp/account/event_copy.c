/* account/event_copy.c: events that outlive the arrays of their caller, and events of a drawn design. */
#include "dp/account/event.h"

#include <string.h>

static whist_status copy_numbers(const double **out, wh_arena *arena, const double *values, size_t n)
{
    double *copy = NULL;
    WH_TRY(WH_ARENA_NEW(&copy, arena, n));
    memcpy(copy, values, n * sizeof *copy);
    *out = copy;
    return WHIST_OK;
}

whist_status wh_dp_events_copy(whist_dp_event **out, wh_arena *arena, const whist_dp_event *event, size_t n)
{
    whist_dp_event *copy = NULL;
    WH_TRY(WH_ARENA_NEW(&copy, arena, n));
    for (size_t i = 0; i < n; i++) {
        copy[i] = event[i];
        if (event[i].mechanism == WHIST_DP_GAUSSIAN_MIXTURE) {
            WH_TRY(copy_numbers(&copy[i].shift, arena, event[i].shift, event[i].n_mixture));
            WH_TRY(copy_numbers(&copy[i].weight, arena, event[i].weight, event[i].n_mixture));
        }
        if (event[i].mechanism == WHIST_DP_REPEAT) { /* one level: repeat does not stand inside repeat */
            whist_dp_event *inner = NULL;
            WH_TRY(wh_dp_events_copy(&inner, arena, event[i].inner, event[i].n_inner));
            copy[i].inner = inner;
        }
    }
    *out = copy;
    return WHIST_OK;
}

static bool same_numbers(const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static bool same_parameters(const whist_dp_event *a, const whist_dp_event *b)
{
    return a->noise == b->noise && a->epsilon == b->epsilon && a->delta == b->delta && a->rho == b->rho &&
           a->p == b->p && a->k == b->k && wh_dp_sensitivity(a) == wh_dp_sensitivity(b) &&
           wh_dp_dimension(a) == wh_dp_dimension(b) && a->steps == b->steps && a->mean == b->mean &&
           a->shape == b->shape;
}

static bool same_sampling(const whist_dp_event *a, const whist_dp_event *b)
{
    return a->sampling == b->sampling && a->rate == b->rate && a->n == b->n && a->batch == b->batch &&
           a->bins == b->bins;
}

bool wh_dp_event_same(const whist_dp_event *a, const whist_dp_event *b)
{
    bool plain = a->mechanism == b->mechanism && same_parameters(a, b) && same_sampling(a, b) &&
                 wh_dp_group(a) == wh_dp_group(b) && a->relation == b->relation && a->unit == b->unit;
    if (!plain) return false;
    if (a->mechanism == WHIST_DP_GAUSSIAN_MIXTURE)
        return a->n_mixture == b->n_mixture && same_numbers(a->shift, b->shift, a->n_mixture) &&
               same_numbers(a->weight, b->weight, a->n_mixture);
    if (a->mechanism != WHIST_DP_REPEAT) return true;
    bool same = a->n_inner == b->n_inner;
    for (size_t i = 0; same && i < a->n_inner; i++)
        same = wh_dp_event_same(&a->inner[i], &b->inner[i]) && wh_dp_count(&a->inner[i]) == wh_dp_count(&b->inner[i]);
    return same;
}

whist_status wh_dp_event_design(whist_dp_event *event, const wh_draw_design *design)
{
    whist_dp_sampling sampling;
    switch (design->kind) {
    case WH_DRAW_FULL: sampling = WHIST_DP_ALL; break;
    case WH_DRAW_SHUFFLED_PASS: sampling = WHIST_DP_SHUFFLED_PASS; break;
    case WH_DRAW_POISSON: sampling = WHIST_DP_POISSON; break;
    case WH_DRAW_TRUNCATED_POISSON: sampling = WHIST_DP_TRUNCATED_POISSON; break;
    case WH_DRAW_WITHOUT_REPLACEMENT: sampling = WHIST_DP_WITHOUT_REPLACEMENT; break;
    case WH_DRAW_BALLS_IN_BINS: sampling = WHIST_DP_BALLS_IN_BINS; break;
    default: WH_FAIL(WHIST_E_UNSUPPORTED, "no accountant knows design %d of batches", (int)design->kind);
    }
    event->sampling = sampling;
    event->n = design->n;
    event->batch = design->batch < design->n ? design->batch : design->n;
    event->rate = design->rate;
    event->bins = design->bins;
    return WHIST_OK;
}
