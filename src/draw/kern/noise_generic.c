/* draw/kern/noise_generic.c: the loops of noise_lanes.h as any machine runs them. */
#include <stdbool.h>

#include "draw/kern/noise_lanes.h"

const struct wh_noise_kernels wh_noise_kernels_generic = {lanes_normal, lanes_exponential, lanes_gauss};
