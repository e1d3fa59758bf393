/* fed/private_sum.c: what the coordinator does to the sum before anything else sees it. */
#include "draw/sample.h"
#include "fed/private.h"
#include "fed/schedule.h"
#include "learn/dp_planted.h"

#include <math.h>

whist_status wh_private_sum(double *sum, const whist_fed_plan *plan, const wh_private *rules, const uint8_t *elements,
                            size_t n, uint64_t j, uint64_t step, wh_noise *noise, int64_t *scratch)
{
    wh_private_unpack(scratch, plan, elements, n);
    for (size_t i = 0; i < n; i++) sum[i] = (double)scratch[i];
    if (plan->privacy->noise == WHIST_NOISE_CENTRAL) {
        int64_t *z;
        WH_AUTO(wh_owned) memory = NULL;
        WH_TRY(wh_alloc_raw(&memory, n, sizeof *z));
        z = memory;
        WH_TRY(wh_sample_normal(noise, z, n, planted_noise(rules->sigma)));
        /* Whole numbers are added before anything is rounded; a sum of 64 bits leaves room for the noise. */
        for (size_t i = 0; i < n; i++) sum[i] = (double)(scratch[i] + z[i]);
        wh_wipe(z, n * sizeof *z);
    }
    if (plan->privacy->noise == WHIST_NOISE_DISTRIBUTED && !wh_private_is_of_records(plan))
        wh_rotate(sum, n, plan, step, j, true);
    for (size_t i = 0; i < n; i++) sum[i] *= rules->step;
    return WHIST_OK;
}

double wh_private_next_clip(const whist_fed_plan *plan, const wh_private *rules, double last)
{
    const whist_fed_privacy *p = plan->privacy;
    double share = last / (rules->kappa * (double)wh_schedule_sample(plan)) + 0.5;
    double clip = rules->clip * exp(-p->rate * (fmin(fmax(share, 0), 1) - p->quantile));
    return fmin(fmax(clip, p->clip / WH_PRIVATE_CLIP_RANGE), p->clip * WH_PRIVATE_CLIP_RANGE);
}
