/* account/event.h: the fields of events, with their defaults filled in. */
#ifndef WH_DP_ACCOUNT_EVENT_H
#define WH_DP_ACCOUNT_EVENT_H

#include "base/mem.h"
#include "draw/design.h"
#include "whist/dp.h"

static inline uint64_t wh_dp_count(const whist_dp_event *e)
{
    return e->count ? e->count : 1;
}
static inline uint32_t wh_dp_group(const whist_dp_event *e)
{
    return e->group ? e->group : 1;
}
static inline uint32_t wh_dp_sensitivity(const whist_dp_event *e)
{
    return e->sensitivity ? e->sensitivity : 1;
}
static inline uint32_t wh_dp_dimension(const whist_dp_event *e)
{
    return e->dimension ? e->dimension : 1;
}

/* Mechanisms whose epsilon, delta or rho is stated for the event's own relation; the others give their noise. */
static inline bool wh_dp_states_epsilon(whist_dp_mechanism m)
{
    return m == WHIST_DP_EXPONENTIAL || m == WHIST_DP_PERMUTE_AND_FLIP || m == WHIST_DP_NOISY_MAX ||
           m == WHIST_DP_PURE || m == WHIST_DP_APPROXIMATE || m == WHIST_DP_CONCENTRATED;
}

/* The names of the fields that a mechanism, a sampling uses; NULL ends the list. Both must be in their enums. */
const char *const *wh_dp_mechanism_fields(whist_dp_mechanism mechanism);
const char *const *wh_dp_sampling_fields(whist_dp_sampling sampling);

/* Fills in the sampling of an event from the design that its batches were really drawn by, and from nothing else:
 * a shuffled pass stays a shuffled pass. WHIST_E_UNSUPPORTED for a design that no accountant knows. */
WH_MUST_CHECK whist_status wh_dp_event_design(whist_dp_event *event, const wh_draw_design *design);

/* A copy of n events with everything they point at, in the arena. */
WH_MUST_CHECK whist_status wh_dp_events_copy(whist_dp_event **out, wh_arena *arena, const whist_dp_event *event,
                                             size_t n);
/* True where two checked events differ in nothing but their count. */
bool wh_dp_event_same(const whist_dp_event *a, const whist_dp_event *b);

#endif
