/* run/upload_bench.h: what the program can measure of the processes of a federation. */
#ifndef WH_RUN_UPLOAD_BENCH_H
#define WH_RUN_UPLOAD_BENCH_H

#include <whist/base.h>

extern const whist_bench wh_run_benches[]; /* ends with a row without name */

#endif
