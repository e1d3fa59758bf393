/* nn/graph/kern_wide_f64.c: the kernels for double, for the instruction set that the build names. */
#define WH_KERN_F32 0
#include "nn/graph/kern_body.h"
