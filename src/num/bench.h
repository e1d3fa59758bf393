/* num/bench.h: what the program can measure of this room. */
#ifndef WH_NUM_BENCH_H
#define WH_NUM_BENCH_H

#include "base/status.h"

extern const whist_bench wh_num_benches[]; /* ends with a row whose name is NULL */

/* Reports a result that counts things of `flops` operations each, and beside it NAME.flops and NAME.share: the share of
 * the peak, which is measured in the same run by a loop of products in registers on as many threads. */
WH_MUST_CHECK whist_status wh_num_bench_flops(const whist_bench_env *env, const whist_bench_result *result,
                                              double flops);

#endif
