/* fed/store_bench.h: benches of the store. */
#ifndef WH_FED_STORE_BENCH_H
#define WH_FED_STORE_BENCH_H

#include "whist/base.h"

extern const whist_bench wh_store_benches[]; /* ends with a row without name */

#endif
