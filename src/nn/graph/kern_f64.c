/* nn/graph/kern_f64.c: the kernels for double. */
#define WH_KERN_F32 0
#include "nn/graph/kern_body.h"
#include "nn/graph/kern_image_body.h"
