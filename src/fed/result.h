/* fed/result.h: what a run leaves behind, gathered from the store. */
#ifndef WH_FED_RESULT_H
#define WH_FED_RESULT_H

#include "fed/coordinator.h"

/* Room for metrics of each site and the pooled ones, all zero. */
WH_MUST_CHECK whist_status wh_result_init(whist_fed_result *out, const whist_fed_plan *plan);
WH_MUST_CHECK whist_status wh_result_sites(whist_fed_result *out, const whist_fed_plan *plan);
/* The model, the metrics of the last evaluation and the history of a finished coordinator. */
WH_MUST_CHECK whist_status wh_result_from(whist_fed_result *out, const whist_fed_plan *plan, wh_coordinator *c,
                                          wh_store *store);
/* sum += one */
void wh_result_add(whist_fed_metrics *sum, const whist_fed_metrics *one, size_t n_metrics);

#endif
