/* run/upload_bench.h: what the program can measure of the processes of a federation. */
#ifndef WH_RUN_UPLOAD_BENCH_H
#define WH_RUN_UPLOAD_BENCH_H

#include "base/status.h"

/* site_bench.c: one row of the table. */
WH_MUST_CHECK whist_status wh_bench_site_rss(const whist_bench_env *env);

extern const whist_bench wh_run_benches[]; /* ends with a row without name */

#endif
