/* data/kern/scatter_generic.c: the scattering for any processor. */
#include "data/kern/scatter_lanes.h"

wh_scatter_eight *const wh_scatter_eight_generic = eight;

size_t wh_scatter_scratch(const wh_scatter *scatter)
{
    return 10 * scatter->y.padded * scatter->x.padded * LANES;
}
