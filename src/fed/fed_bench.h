/* fed/fed_bench.h: what the program can measure of rounds. */
#ifndef WH_FED_BENCH_H
#define WH_FED_BENCH_H

#include <whist/base.h>

extern const whist_bench wh_fed_benches[]; /* ends with a row without name */

#endif
