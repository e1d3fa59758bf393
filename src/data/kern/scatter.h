/* data/kern/scatter.h: the scattering of eight images at once, one in each lane.
 *
 *     x  → |x ⋆ ψ0,θ| → ||x ⋆ ψ0,θ| ⋆ ψ1,φ|       each, and |x ⋆ ψ1,θ|, low-passed and kept at every fourth pixel
 *
 * Planes are (height, width, lane) float32, re and im apart. Convolutions are products of Fourier transforms
 * (Stockham's, radix 2 to 5: no bit reversal, inner loops run along lanes). Every sum is taken in one order, with
 * separate multiply and add, so that all kernels give the same bits. */
#ifndef WH_DATA_KERN_SCATTER_H
#define WH_DATA_KERN_SCATTER_H

#include <stddef.h>

enum {
    WH_SCATTER_LANES = 8,
    WH_SCATTER_ANGLES = 8, /* L */
    WH_SCATTER_STEP = 4,   /* 2^J, J = 2 */
    WH_SCATTER_CHANNELS = 1 + 2 * WH_SCATTER_ANGLES + WH_SCATTER_ANGLES * WH_SCATTER_ANGLES,
    WH_SCATTER_MAX_RADICES = 12,
};

/* A transform of n = product of radices, each 2 to 5. */
typedef struct wh_scatter_fourier {
    size_t n, n_radices;
    unsigned radix[WH_SCATTER_MAX_RADICES];
    float *cosine, *sine; /* (n) of 2 pi k / n */
} wh_scatter_fourier;

typedef struct wh_scatter_axis {
    size_t n, padded, out;         /* pixels, pixels with reflection (even), numbers kept: n / 4 */
    wh_scatter_fourier full, half; /* of padded and padded / 2 */
    float *low[2];                 /* (out, padded), (out, padded / 2): low pass at the pixels that are kept */
} wh_scatter_axis;

typedef struct wh_scatter {
    wh_scatter_axis y, x;
    float *psi[2][WH_SCATTER_ANGLES]; /* (padded y, padded x): real, in frequency, over the number of pixels */
    float *memory;
} wh_scatter;

/* Floats of scratch that an eight needs, and where in it the padded images come: (padded y, padded x, lane). */
size_t wh_scatter_scratch(const wh_scatter *scatter);

/* out (81, out y, out x, lane). Channels: x; ψ0 by angle; ψ1 by angle; ψ0 ψ1 by first, then second angle. */
typedef void wh_scatter_eight(float *out, const wh_scatter *scatter, float *scratch);
extern wh_scatter_eight *const wh_scatter_eight_generic, *const wh_scatter_eight_avx2;

#endif
