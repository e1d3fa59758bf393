/* data/kern/scatter_avx2.c: the loops of scatter_lanes.h, compiled for AVX2; the same bits. */
#include "data/kern/scatter_lanes.h"

wh_scatter_eight *const wh_scatter_eight_avx2 = eight;
