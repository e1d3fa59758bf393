/* data/bench.h: what the program can measure of this room. */
#ifndef WH_DATA_BENCH_H
#define WH_DATA_BENCH_H

#include "base/status.h"

extern const whist_bench wh_data_benches[]; /* ends with a row whose name is NULL */

#endif
