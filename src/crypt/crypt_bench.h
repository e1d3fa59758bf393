/* crypt/crypt_bench.h: benches of this room. */
#ifndef WH_CRYPT_BENCH_H
#define WH_CRYPT_BENCH_H

#include "whist/base.h"

extern const whist_bench wh_crypt_benches[]; /* ends with a row without name */

#endif
