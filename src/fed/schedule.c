/* fed/schedule.c: the order of steps and the public sampling of sites. */
#include "fed/schedule.h"

#include "draw/stream.h"

#include <math.h>
#include <string.h>

wh_schedule_entry wh_schedule_at(const whist_fed_plan *plan, uint64_t position, uint64_t stop_round)
{
    if (plan->pooled_moments) {
        if (position == 0) return (wh_schedule_entry){.purpose = WHIST_PURPOSE_MOMENTS};
        position--;
    }
    uint64_t rounds = stop_round < plan->rounds ? stop_round : plan->rounds;
    uint64_t turns = plan->strategy->sequential ? plan->n_sites : 1;
    if (position < rounds * turns)
        return (wh_schedule_entry){
            .purpose = WHIST_PURPOSE_TRAIN, .round = position / turns, .turn = (size_t)(position % turns)};
    /* Without metrics there is nothing to evaluate. */
    bool over = position > rounds * turns || plan->n_metrics == 0;
    return (wh_schedule_entry){.purpose = WHIST_PURPOSE_EVALUATE, .round = rounds, .over = over};
}

size_t wh_schedule_sample(const whist_fed_plan *plan)
{
    size_t n = (size_t)ceil(plan->sample_fraction * (double)plan->n_sites - 1e-9);
    if (n < plan->min_sites) n = plan->min_sites;
    if (n < 1) n = 1;
    return n < plan->n_sites ? n : plan->n_sites;
}

whist_status wh_schedule_cohort(uint8_t *cohort, const whist_fed_plan *plan, const wh_schedule_entry *entry,
                                uint64_t step)
{
    bool train = entry->purpose == WHIST_PURPOSE_TRAIN, sequential = plan->strategy->sequential;
    if (!train || (!sequential && wh_schedule_sample(plan) == plan->n_sites)) {
        memset(cohort, 1, plan->n_sites);
        return WHIST_OK;
    }
    uint32_t *order;
    WH_TRY(WH_NEW_RAW(&order, plan->n_sites));
    wh_seeded stream;
    wh_seeded_init(&stream, plan->seed, sequential ? "turns" : "cohort", "", sequential ? entry->round : step);
    wh_seeded_permutation(&stream, order, plan->n_sites);
    memset(cohort, 0, plan->n_sites);
    if (sequential)
        cohort[order[entry->turn]] = 1;
    else
        for (size_t i = 0; i < wh_schedule_sample(plan); i++) cohort[order[i]] = 1;
    wh_free(order);
    return WHIST_OK;
}
