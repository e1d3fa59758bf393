/* data/scatter.h: the scattering transform of an image: what stands in the rows where a study says `features:
 * scattering`.
 *
 * Two layers of fixed wavelets and moduli, of eight angles and two scales (J = 2, L = 8), then a low pass that keeps
 * every fourth pixel each way: (81, height/4, width/4) numbers for an image.
 *
 *     S0 = x ⋆ φ     S1[j,θ] = |x ⋆ ψj,θ| ⋆ φ     S2[θ,θ'] = ||x ⋆ ψ0,θ| ⋆ ψ1,θ'| ⋆ φ
 *
 * ψj,θ are Morlet wavelets (sd 0.8 2^j along the wave and twice that across it, frequency 3π/4 2^-j, angle πθ/8), φ a
 * Gaussian of sd 1.6. The image is reflected by four pixels or a few more at each edge and convolved in a circle; what
 * ψ1 gives is taken at every other pixel.
 *
 * With groups > 0 the 81 channels of an image are then normalised in so many groups of neighbours, each to mean 0 and
 * variance 1 over its channels and pixels, by (s - m) / √(v + 1e-5): group norm without weights.
 *
 * **All constants are fixed and public and each row is made from its own image alone**: nothing is learnt from other
 * rows, so two data sets that differ in one record still do, and a promise for records holds for their images.
 *
 * Sources: Bruna, Mallat, "Invariant scattering convolution networks" (PAMI 2013), section 2; Oyallon, Mallat, "Deep
 * roto-translation scattering" (CVPR 2015), section 3; with group norm before a private model: Tramèr, Boneh,
 * "Differentially private learning needs better features" (ICLR 2021), section 3. */
#ifndef WH_DATA_SCATTER_H
#define WH_DATA_SCATTER_H

#include "base/mem.h"
#include "base/pool.h"
#include "data/kern/scatter.h"

enum { WH_SCATTER_LEAST = 8, WH_SCATTER_MOST = 256 }; /* pixels each way, a multiple of four */

/* WHIST_E_ARG for sizes out of range and for groups that do not divide the channels. */
WH_MUST_CHECK whist_status wh_scatter_check(size_t height, size_t width, size_t groups);

WH_MUST_CHECK whist_status wh_scatter_init(wh_scatter *out, size_t height, size_t width);
void wh_scatter_clear(wh_scatter *scatter);
WH_AUTO_CLEAR(wh_scatter, wh_scatter_clear)
static inline size_t wh_scatter_features(const wh_scatter *s)
{
    return WH_SCATTER_CHANNELS * s->y.out * s->x.out;
}

/* Fills image (height, width) with the pixels of a row. */
typedef void wh_scatter_pixels_fn(float *image, const void *user, size_t row);

/* out (n, features) <- the rows 0 … n-1, by the threads of the pool (NULL: one), which change no bit. A row's numbers
 * do not depend on the rows beside it. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_scatter_rows(float *out, const wh_scatter *scatter, size_t groups, size_t n,
                                           wh_scatter_pixels_fn *pixels, const void *user, wh_pool *pool);

#endif
