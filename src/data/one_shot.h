/* data/one_shot.h: images made smaller, as few-shot data sets are published. */
#ifndef WH_DATA_ONE_SHOT_H
#define WH_DATA_ONE_SHOT_H

#include "codec/png.h"

/* out (height, width), 0 … 1: the image by a Lanczos window of three lobes, whose width is that of the coarser grid (so
 * nothing is skipped), rounded to bytes after each pass. invert: ink, which is black in the image, becomes 1. */
WH_MUST_CHECK whist_status wh_png_shrink(float *out, const wh_png *png, size_t height, size_t width, bool invert);

#endif
