/* fed/rotate.c: the randomised Hadamard transform, which spreads a vector evenly over its coordinates, so that few bits
 * hold each of them (Ailon, Chazelle 2009). A block is rotated by itself: that is as good for privacy, which asks only
 * that lengths stay what they are, and keeps memory at a block. */
#include "draw/stream.h"
#include "fed/private.h"

#include <math.h>

static void flip_signs(double *x, size_t n, const whist_fed_plan *plan, uint64_t step, uint64_t block)
{
    wh_seeded stream;
    wh_seeded_init(&stream, plan->seed ^ step * 0x9e3779b97f4a7c15U, "rotation", "", block);
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++, bits >>= 1) {
        if (i % 64 == 0) bits = wh_seeded_u64(&stream);
        if (bits & 1) x[i] = -x[i];
    }
}

/* Butterflies from near to far; n log2 n additions. */
static void hadamard(double *x, size_t n)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t at = 0; at < n; at += 2 * half)
            for (size_t i = at; i < at + half; i++) {
                double a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    double scale = 1 / sqrt((double)n);
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

void wh_rotate(double *x, size_t n, const whist_fed_plan *plan, uint64_t step, uint64_t block, bool inverse)
{
    if (!inverse) flip_signs(x, n, plan, step, block);
    hadamard(x, n);
    if (inverse) flip_signs(x, n, plan, step, block);
}
