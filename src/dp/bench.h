/* dp/bench.h: the measurements of this room. */
#ifndef WH_DP_BENCH_H
#define WH_DP_BENCH_H

#include "whist/base.h"

extern const whist_bench wh_dp_benches[];

whist_status wh_dp_bench_matrix(const whist_bench_env *env);

#endif
