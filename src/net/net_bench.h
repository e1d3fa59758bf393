/* net/net_bench.h: benches of this room. */
#ifndef WH_NET_BENCH_H
#define WH_NET_BENCH_H

#include "whist/base.h"

extern const whist_bench wh_net_benches[]; /* ends with a row without name */

#endif
