/* nn/graph/kern_f32.c: the kernels for float. */
#define WH_KERN_F32 1
#include "nn/graph/kern_body.h"
#include "nn/graph/kern_image_body.h"
