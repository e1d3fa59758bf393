/* nn/clip.c: bounds, the grid and the sensitivity of a clipped sum. */
#include "nn/clip_parts.h"

#include <math.h>
#include <string.h>

static whist_status check(const whist_model *model, const wh_clip_options *o)
{
    if (model->shape.target == WHIST_TARGET_SURVIVAL)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "survival couples the rows of a risk set: no row has a gradient of its own to clip");
    if (wh_model_couples(model, WH_MODEL_TRAIN))
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "the batch norm of model %s couples the rows of a batch: no row has a gradient of its own to clip. Choose "
            "norm: group",
            model->class_->name);
    if (o->n_max < 1 || o->n_max > 1 << 24) WH_FAIL(WHIST_E_RANGE, "a clipped sum takes 1 to 2^24 examples");
    return WHIST_OK;
}

whist_status wh_clip_new(wh_clip **out, const whist_model *model, const wh_clip_options *options)
{
    WH_ENSURE(out && model && options && options->kind <= WH_CLIP_AUTOMATIC, WHIST_E_ARG);
    WH_TRY(check(model, options));
    WH_AUTO(wh_clip_ptr) clip = NULL;
    WH_TRY(WH_NEW(&clip, 1));
    clip->model = model;
    clip->options = *options;
    WH_TRY(WH_NEW(&clip->sum, model->size));
    if (model->kind->dense)
        WH_TRY(wh_clip_dense_new(&clip->dense, clip));
    else
        WH_TRY(wh_clip_each_new(&clip->each, clip));
    WH_TRY(wh_clip_begin(clip, 1));
    *out = clip;
    clip = NULL;
    return WHIST_OK;
}

void wh_clip_free(wh_clip *clip)
{
    if (!clip) return;
    wh_clip_each_free(clip->each);
    wh_clip_dense_free(clip->dense);
    if (clip->sum) wh_wipe(clip->sum, clip->model->size * sizeof *clip->sum);
    wh_free(clip->sum);
    wh_free(clip);
}

static double step_of(double bound)
{
    return ldexp(1, ilogb(bound) - WH_CLIP_BITS);
}

whist_status wh_clip_begin(wh_clip *clip, double bound)
{
    WH_ENSURE(clip, WHIST_E_ARG);
    if (!(bound >= 0x1p-20 && bound <= 0x1p20))
        WH_FAIL(WHIST_E_RANGE, "a bound of %g: allowed are 2^-20 to 2^20", bound);
    clip->bound = bound;
    clip->step = step_of(bound);
    clip->n = 0;
    clip->seed++;
    memset(clip->sum, 0, clip->model->size * sizeof *clip->sum);
    return WHIST_OK;
}

whist_status wh_clip_add(wh_clip *clip, const float *params, const whist_batch *batch, size_t *smaller)
{
    WH_ENSURE(clip && params && batch, WHIST_E_ARG);
    size_t none = 0;
    if (batch->n == 0) return WHIST_OK;
    if (batch->n > clip->options.n_max - clip->n)
        WH_FAIL(WHIST_E_RANGE, "more than %zu examples in a clipped sum", clip->options.n_max);
    WH_TRY(wh_nn_check_batch(clip->model, SIZE_MAX, batch, true));
    clip->n += batch->n;
    return (clip->dense ? wh_clip_dense_add : wh_clip_each_add)(clip, params, batch, smaller ? smaller : &none);
}

int64_t *wh_clip_sum(wh_clip *clip)
{
    return clip->sum;
}

double wh_clip_step(const wh_clip *clip)
{
    return clip->step;
}

/* In steps; the head of nn/clip.h derives it. */
static double reach(const whist_model *model, double bound, size_t n_max)
{
    double own = bound * (1 + 0x1p-13), n = (double)n_max, step = step_of(bound);
    if (!model->kind->dense) return own / step;
    const double gamma = WH_CLIP_PIECE * 0x1p-24 / (1 - WH_CLIP_PIECE * 0x1p-24);
    double pieces = floor(n / WH_CLIP_PIECE) + 1;
    return (own + 2 * n * gamma * own) / step + 2 * pieces * sqrt((double)model->size);
}

double wh_clip_sensitivity(const wh_clip *clip)
{
    return reach(clip->model, clip->bound, clip->options.n_max);
}

double wh_clip_reach(const whist_model *model, double bound, size_t n_max)
{
    return reach(model, bound, n_max) * step_of(bound);
}

double wh_clip_most(const whist_model *model, double bound, size_t n_max)
{
    return (double)n_max * reach(model, bound, n_max) * step_of(bound);
}

/* ---- What both ways use ---- */

double wh_clip_layer_bound(const wh_clip *clip)
{
    size_t n = 0;
    if (clip->options.kind != WH_CLIP_LAYER) return clip->bound;
    for (size_t i = 0; i < clip->model->n_tensors; i++) n += clip->model->tensors[i].learned;
    return clip->bound / sqrt((double)n);
}

void wh_clip_collect(wh_clip *clip, int64_t *far)
{
    for (size_t i = 0; i < clip->model->size; i++) {
        clip->sum[i] += far[i];
        far[i] = 0;
    }
}

float wh_clip_weight(const wh_clip *clip, double norm, double bound)
{
    if (!isfinite(norm)) return 0;
    const bool automatic = clip->options.kind == WH_CLIP_AUTOMATIC;
    if (!automatic && norm <= bound) return 1;
    return (float)(bound / (automatic ? norm + 0.01 : norm) * (1 - 0x1p-23)); /* its rounding does not lift it above */
}

/* Squares below 2^-126 lose their digits in float32, and below 2^-150 themselves: as one side of an outer product x may
 * be as small as that, and the product large. */
static double exactly(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

double wh_clip_squared(const wh_num_kernels *kernels, const float *x, size_t n)
{
    enum { BLOCK = 4096 }; /* of which there are sixty-four sums of 64: off by 72 · 2^-24 */
    double sum = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t len = n - at < BLOCK ? n - at : BLOCK;
        double block = (double)kernels->squared(x + at, len);
        sum += block < 0x1p-100 ? exactly(x + at, len) : block;
    }
    return sum;
}
