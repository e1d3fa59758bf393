/* nn/bench.h: what the program can measure of this room. */
#ifndef WH_NN_BENCH_H
#define WH_NN_BENCH_H

#include "base/status.h"

extern const whist_bench wh_nn_benches[]; /* ends with a row whose name is NULL */
extern const whist_bench wh_nn_graph_benches[], wh_nn_conv_benches[];

/* Reports the time of `slow` over that of `fast`, both counts a second, under the name of `slow`. */
void wh_nn_bench_ratio(const whist_bench_env *env, const whist_bench_result *slow, const whist_bench_result *fast);

#endif
