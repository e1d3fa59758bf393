/* nn/graph/kern_wide_f32.c: the kernels for float, for the instruction set that the build names. */
#define WH_KERN_F32 1
#include "nn/graph/kern_body.h"
