/* nn/graph/kern_body.h: the kernels, written once for a type REAL and compiled for float and for double, and of each
 * once for every instruction set (WH_KERN_SET).
 *
 * A set changes no bit: nothing is contracted or reordered, and what runs along a row (sums, products, the largest)
 * runs in interleaved parts that a fixed tree joins. Products of matrices and exponentials are those of num/kern.h.
 * The parts are one file for each kind of work; each may use those in the groups above its own. */
#include "nn/graph/kern_real.h"

#include "nn/graph/kern_chain.h"
#include "nn/graph/kern_shape.h"
#include "nn/graph/kern_sum.h"

#include "nn/graph/kern_attention.h"
#include "nn/graph/kern_index.h"
#include "nn/graph/kern_norm.h"
#include "nn/graph/kern_product.h"
