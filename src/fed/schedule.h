/* fed/schedule.h: which step comes when, and who takes part.
 *
 * Position p counts closed steps: moments first (if pooled), then the rounds (one step each, or one step a site
 * for sequential strategies), then the evaluation of the last model. Failed steps do not move p. */
#ifndef WH_FED_SCHEDULE_H
#define WH_FED_SCHEDULE_H

#include "base/mem.h"

#include <whist/fed.h>

typedef struct wh_schedule_entry {
    bool over; /* nothing comes after the last evaluation */
    whist_purpose purpose;
    uint64_t round; /* TRAIN: the round; EVALUATE: rounds done */
    size_t turn;
} wh_schedule_entry;

/* stop_round: rounds after which training stops early, UINT64_MAX for none. */
wh_schedule_entry wh_schedule_at(const whist_fed_plan *plan, uint64_t position, uint64_t stop_round);

/* Sites in the cohort of a training step (of a strategy that is not sequential). */
size_t wh_schedule_sample(const whist_fed_plan *plan);

/* Marks the cohort: cohort[i] = 1 for sites that take part. step names the draw, so that a failed step is
 * followed by another draw. */
WH_MUST_CHECK whist_status wh_schedule_cohort(uint8_t *cohort, const whist_fed_plan *plan,
                                              const wh_schedule_entry *entry, uint64_t step);

#endif
