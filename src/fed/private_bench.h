/* fed/private_bench.h: what a promise costs. */
#ifndef WH_FED_PRIVATE_BENCH_H
#define WH_FED_PRIVATE_BENCH_H

#include <whist/base.h>

extern const whist_bench wh_private_benches[]; /* ends with a row without name */

#endif
