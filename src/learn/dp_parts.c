/* learn/dp_parts.c: words and ranges of private learners. */
#include "learn/dp_parts.h"

#include <math.h>
#include <string.h>

wh_clip_kind wh_dp_clipping(const whist_settings *settings)
{
    const char *word = whist_settings_text(settings, "clipping");
    if (strcmp(word, "layer") == 0) return WH_CLIP_LAYER;
    return strcmp(word, "automatic") == 0 ? WH_CLIP_AUTOMATIC : WH_CLIP_FLAT;
}

whist_status wh_dp_check_noise(double sigma, double batch)
{
    if (!(sigma > 0 && sigma <= 1e4)) WH_FAIL(WHIST_E_ARG, "noise %g: it must lie above 0, up to 10,000", sigma);
    if (!(batch > 0 && isfinite(batch))) WH_FAIL(WHIST_E_ARG, "batch %g: what sums are divided by is above 0", batch);
    return WHIST_OK;
}

whist_status wh_dp_check_rows(uint64_t rows, const whist_rows *train)
{
    if (rows < 1 || rows > INT32_MAX) WH_FAIL(WHIST_E_ARG, "rows: a public bound from 1 to 2^31 - 1");
    if (train->n > rows) /* the text does not say by how much */
        WH_FAIL(WHIST_E_STATE, "there are more training rows than the public bound of %llu: agree on a larger one",
                (unsigned long long)rows);
    return WHIST_OK;
}
