/* draw/kern/noise_avx2.c: the loops of noise_lanes.h, compiled for AVX2 with fused operations. */
#include <stdbool.h>

#include "draw/kern/noise_lanes.h"

const struct wh_noise_kernels wh_noise_kernels_avx2 = {lanes_normal, lanes_exponential, lanes_gauss};
