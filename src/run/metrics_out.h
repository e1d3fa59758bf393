/* run/metrics_out.h: the metrics of a run as files: DIR/metrics.csv and a TensorBoard event file. */
#ifndef WH_RUN_METRICS_OUT_H
#define WH_RUN_METRICS_OUT_H

#include "fed/store.h"

typedef struct wh_metrics_out wh_metrics_out;

WH_MUST_CHECK whist_status wh_metrics_out_new(wh_metrics_out **out, const char *dir, const whist_fed_plan *plan);
/* Adds the rounds that came since the last call. The CSV is written anew as a whole, so it is never half a line. */
WH_MUST_CHECK whist_status wh_metrics_out_write(wh_metrics_out *out, wh_store *store);
void wh_metrics_out_free(wh_metrics_out *out);

#endif
