/* fed/upload.h: a site's update becomes protected bytes, block by block. */
#ifndef WH_FED_UPLOAD_H
#define WH_FED_UPLOAD_H

#include "fed/layout.h"
#include "fed/protection.h"

/* What a site puts into the sum of one step. */
typedef struct wh_contribution {
    whist_update update;   /* no vectors unless the step trains */
    const double *moments; /* MOMENTS: wh_sums_count values, as wh_moments_split leaves them; else NULL */
    const int64_t
        *numbers; /* with a promise that the site keeps itself (private.h): the whole vector, in place of update's */
    double weight[WHIST_MAX_VECTORS];
    wh_sums sums;
} wh_contribution;

/* Takes the protected bytes in order. */
typedef whist_status wh_upload_sink(void *user, uint64_t offset, whist_bytes bytes);

/* Weights, encodes, protects. WHIST_E_RANGE naming the value that is NaN, infinite or too large: nothing of such an
 * upload may be used. n_sites: of the cohort. */
WH_MUST_CHECK whist_status wh_upload_make(const whist_fed_plan *plan, whist_protection *machine,
                                          const wh_layout *layout, size_t n_sites, const wh_contribution *contribution,
                                          wh_upload_sink *sink, void *user);

/* Fills the weights from rows and steps, as the strategy wants them, and tells them in the sums. With a promise the
 * weights are the study's, and nothing is told. WHIST_E_RANGE for nonsense. */
WH_MUST_CHECK whist_status wh_contribution_weigh(wh_contribution *contribution, const whist_fed_plan *plan,
                                                 size_t site);

#endif
