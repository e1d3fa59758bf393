/* learn/dp_parts.h: what private learners read and refuse alike. */
#ifndef WH_LEARN_DP_PARTS_H
#define WH_LEARN_DP_PARTS_H

#include "base/settings.h"
#include "nn/clip.h"

#include <whist/data.h>

/* The setting clipping; `adaptive`, where a table has it, is flat with a bound that moves. */
wh_clip_kind wh_dp_clipping(const whist_settings *settings);

/* sigma: noise over sensitivity, above 0, up to 10^4; batch: what sums are divided by, above 0. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_dp_check_noise(double sigma, double batch);
/* rows: a public bound, 1 … 2^31 - 1 (WHIST_E_ARG); WHIST_E_STATE where there are more training rows. */
WH_MUST_CHECK whist_status wh_dp_check_rows(uint64_t rows, const whist_rows *train);

#endif
