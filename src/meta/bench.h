/* meta/bench.h: what the program can measure of this room. */
#ifndef WH_META_BENCH_H
#define WH_META_BENCH_H

#include "base/status.h"

extern const whist_bench wh_meta_benches[]; /* ends with a row whose name is NULL */

#endif
