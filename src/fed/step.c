/* fed/step.c: who takes part in a step and how far each is. */
#include "fed/step.h"

#include <string.h>

static whist_status list_members(wh_step *step, const whist_fed_plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < step->row.n_sites; i++) n += step->row.cohort[i] & WH_COHORT_MEMBER;
    step->n = n;
    WH_TRY(WH_ARENA_NEW(&step->members, &step->arena, n));
    WH_TRY(WH_ARENA_NEW(&step->done, &step->arena, n));
    WH_TRY(WH_ARENA_NEW(&step->uploads, &step->arena, n));
    WH_TRY(WH_ARENA_NEW(&step->names, &step->arena, n));
    WH_TRY(WH_ARENA_NEW(&step->alive, &step->arena, n));
    WH_TRY(WH_ARENA_NEW(&step->party_done, &step->arena, plan->n_parties));
    WH_TRY(WH_ARENA_NEW(&step->party_names, &step->arena, plan->n_parties));
    for (size_t i = 0, at = 0; i < step->row.n_sites; i++) {
        if (!(step->row.cohort[i] & WH_COHORT_MEMBER)) continue;
        step->members[at] = (uint32_t)i;
        step->names[at++] = plan->sites[i].name;
    }
    for (size_t i = 0; i < plan->n_parties; i++) step->party_names[i] = plan->parties[i].name;
    return WHIST_OK;
}

static whist_status make_machine(wh_step *step, const whist_fed_plan *plan)
{
    WH_TRY(wh_layout_vectors(&step->layout, plan, step->row.purpose, step->n));
    const whist_protection_env env = {
        .role = WHIST_ROLE_COORDINATOR,
        .name = "",
        .study = plan->study,
        .step = step->row.step,
        .n_sites = step->n,
        .sites = step->names,
        .n_parties = plan->n_parties,
        .parties = step->party_names,
        .n_vectors = step->layout.n_vectors,
        .vectors = step->layout.vectors,
        .min_sites = plan->strategy->sequential ? 1 : plan->min_sites,
        .settings = plan->protection_settings,
    };
    WH_TRY(plan->protection->new_(&step->machine, &env));
    WH_TRY(wh_layout_place(&step->layout, step->machine));
    for (size_t k = 0; k < step->layout.n_vectors; k++)
        if (step->layout.block_bytes[k] > WH_MAX_BLOCK_BYTES)
            WH_FAIL(WHIST_E_UNSUPPORTED, "protection %s makes %zu bytes of a block; at most %d are supported",
                    plan->protection->name, step->layout.block_bytes[k], WH_MAX_BLOCK_BYTES);
    return WHIST_OK;
}

whist_status wh_step_init(wh_step *out, const whist_fed_plan *plan, wh_step_row *row)
{
    *out = (wh_step){.row = *row};
    *row = (wh_step_row){0};
    whist_status status = list_members(out, plan);
    if (status == WHIST_OK) status = make_machine(out, plan);
    if (status == WHIST_OK)
        wh_step_recount(out, plan);
    else
        wh_step_clear(out);
    return status;
}

void wh_step_clear(wh_step *step)
{
    for (size_t i = 0; step->uploads && i < step->n; i++) wh_upload_free(step->uploads[i]);
    wh_protection_free(step->machine);
    wh_free(step->sum);
    wh_step_row_clear(&step->row);
    wh_arena_clear(&step->arena);
    *step = (wh_step){0};
}

size_t wh_step_slot(const wh_step *step, size_t site)
{
    size_t low = 0, high = step->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (step->members[middle] < site)
            low = middle + 1;
        else
            high = middle;
    }
    return low < step->n && step->members[low] == site ? low : SIZE_MAX;
}

void wh_step_pass(wh_step *step, const whist_fed_plan *plan, unsigned phase)
{
    const whist_phase *acts = &plan->protection->phases[phase];
    for (size_t i = 0; !acts->sites && i < step->n; i++)
        if (step->done[i] == phase) step->done[i]++;
    for (size_t i = 0; !acts->parties && i < plan->n_parties; i++)
        if (step->party_done[i] == phase) step->party_done[i]++;
}

void wh_step_recount(wh_step *step, const whist_fed_plan *plan)
{
    const whist_phase *phase = &plan->protection->phases[step->row.phase];
    step->n_alive = step->n_answers = step->n_expected = 0;
    for (size_t i = 0; i < step->n; i++) {
        if (!wh_step_is_alive(step, i)) continue;
        step->alive[step->n_alive++] = step->names[i];
        if (phase->sites) step->n_answers += wh_step_has_completed(step, i);
    }
    if (phase->sites) step->n_expected += step->n_alive;
    if (!phase->parties) return;
    step->n_expected += plan->n_parties;
    for (size_t i = 0; i < plan->n_parties; i++) step->n_answers += step->party_done[i] > step->row.phase;
}
