/* fed/aggregate.h: from the spool to the next model, block by block.
 *
 *   uploads → combine → open → decode → strategy.step → model/V+1, state/V+1
 *
 * A version's files are complete and synced before the transaction that names it; files of a version that was
 * never named are made again with the same bits. */
#ifndef WH_FED_AGGREGATE_H
#define WH_FED_AGGREGATE_H

#include "fed/step.h"

/* model/V.bin: parameters, broadcast vectors, 2D floats (mean, sd) where moments are pooled, and the bound in force
 * where it is adaptive (private.h). */
uint64_t wh_model_file_bytes(const whist_fed_plan *plan);
/* The bound in force, from such a file or from the model in memory. */
WH_MUST_CHECK whist_status wh_model_clip(double *clip, const whist_fed_plan *plan, const wh_vecfile *model);
double wh_model_clip_of(const whist_fed_plan *plan, const float *model);
void wh_model_file_name(char out[64], uint64_t version);

/* Version 0: initial parameters, states as the strategy begins them. */
WH_MUST_CHECK whist_status wh_model_begin(wh_store *store, const whist_fed_plan *plan);
/* Version `version`+1 from version `version` and the sum of the step; *sums_out as pooled. */
WH_MUST_CHECK whist_status wh_model_step(wh_store *store, const whist_fed_plan *plan, wh_step *step, uint64_t version,
                                         wh_sums *sums_out);
/* The sums of a step without a model: metrics of EVALUATE. */
WH_MUST_CHECK whist_status wh_step_sums(wh_sums *out, const whist_fed_plan *plan, wh_step *step);
/* Version `version`+1: the same model, with mean and sd from the moments of the step. */
WH_MUST_CHECK whist_status wh_model_moments(wh_store *store, const whist_fed_plan *plan, wh_step *step,
                                            uint64_t version);
WH_MUST_CHECK whist_status wh_model_forget(wh_store *store, uint64_t version);

#endif
