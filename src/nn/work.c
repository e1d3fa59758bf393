/* nn/work.c: work memory, and how the rows of a batch come together in it. */
#include <math.h>
#include <string.h>

#include "nn/model.h"

WH_AUTO_FREE(whist_model_work, whist_model_work_free)

static whist_status reserve(whist_model_work *work, const whist_model *model, size_t max_batch)
{
    wh_arena *memory = &work->memory;
    size_t widest = 1, input = 1;
    WH_TRY(WH_ARENA_NEW(&work->y, memory, max_batch));
    WH_TRY(WH_ARENA_NEW(&work->weight, memory, max_batch));
    for (size_t l = 0; l < model->n_layers; l++) {
        size_t width = wh_nn_stride(model->layers[l].out);
        if (width > widest) widest = width;
        if (wh_nn_is_narrow(&model->layers[l], SIZE_MAX) && model->layers[l].in > input) input = model->layers[l].in;
        WH_TRY(wh_arena_alloc((void **)&work->value[l], memory, max_batch, width * sizeof(float)));
    }
    for (int i = 0; i < 2; i++)
        WH_TRY(wh_arena_alloc((void **)&work->delta[i], memory, max_batch, widest * sizeof(float)));
    WH_TRY(WH_ARENA_NEW(&work->bias_grad, memory, widest));
    WH_TRY(wh_arena_alloc((void **)&work->turned, memory, WH_NN_NARROW, input * sizeof(float)));
    WH_TRY(WH_ARENA_NEW(&work->columns, memory, model->shape.n_features));
    if (model->shape.target == WHIST_TARGET_SURVIVAL) {
        WH_TRY(WH_ARENA_NEW(&work->event, memory, max_batch));
        WH_TRY(WH_ARENA_NEW(&work->strata, memory, max_batch));
        WH_TRY(WH_ARENA_NEW(&work->order, memory, max_batch));
        WH_TRY(WH_ARENA_NEW(&work->order_scratch, memory, max_batch));
        WH_TRY(WH_ARENA_NEW(&work->log_risk, memory, max_batch));
    }
    return WHIST_OK;
}

whist_status whist_model_work_new(whist_model_work **out, const whist_model *model, size_t max_batch)
{
    WH_ENSURE(out && model, WHIST_E_ARG);
    if (max_batch == 0 || max_batch > UINT32_MAX)
        WH_FAIL(WHIST_E_RANGE, "a batch of %zu rows: allowed are 1 to 2^32 - 1", max_batch);
    if (model->headless)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "this model %s gives features and no predictions: only its meta-learner can use "
                "them (whist meta eval, whist meta adapt)",
                model->class_->name);
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_TRY(WH_NEW(&work, 1));
    work->model = model;
    work->max_batch = max_batch;
    if (!model->kind->dense) {
        WH_TRY(wh_compiled_new(&work->compiled, model, max_batch));
        *out = work;
        work = NULL;
        return WHIST_OK;
    }
    WH_TRY(reserve(work, model, max_batch));
    /* Not zeroed, so that steps which never use them cost no memory. */
    WH_TRY(wh_alloc_raw((void **)&work->grad, model->size, sizeof(float)));
    size_t row = wh_nn_stride(model->shape.n_features) * sizeof(float);
    WH_TRY(wh_alloc_raw((void **)&work->x, max_batch, row));
    *out = work;
    work = NULL;
    return WHIST_OK;
}

void whist_model_work_free(whist_model_work *work)
{
    if (!work) return;
    wh_compiled_free(work->compiled);
    wh_spread_free(work->spread);
    wh_arena_clear(&work->memory);
    wh_free(work->grad);
    wh_free(work->x);
    wh_free(work);
}

whist_status wh_nn_check_batch(const whist_model *model, size_t max_batch, const whist_batch *batch, bool targets)
{
    WH_ENSURE(batch->rows && (batch->target || !targets) && batch->n > 0, WHIST_E_ARG);
    if (batch->n > max_batch) WH_FAIL(WHIST_E_ARG, "a batch of %zu rows in work memory for %zu", batch->n, max_batch);
    if (model->shape.target == WHIST_TARGET_SURVIVAL && batch->target && !batch->event)
        WH_FAIL(WHIST_E_ARG, "a survival model needs the event of each row beside its time");
    if (!batch->index && batch->n > batch->n_rows)
        WH_FAIL(WHIST_E_ARG, "a batch of %zu rows from %zu", batch->n, batch->n_rows);
    for (size_t i = 0; batch->index && i < batch->n; i++)
        if (batch->index[i] >= batch->n_rows)
            WH_FAIL(WHIST_E_ARG, "row %zu of the batch has index %u of %zu rows", i, batch->index[i], batch->n_rows);
    return WHIST_OK;
}

static const float *gather(float *out, const float *values, const whist_batch *batch)
{
    if (!values || !batch->index) return values;
    for (size_t i = 0; i < batch->n; i++) out[i] = values[batch->index[i]];
    return out;
}

bool wh_nn_target_is_good(const whist_model *model, float y)
{
    if (model->shape.target == WHIST_TARGET_BINARY) return y == 0 || y == 1;
    if (model->shape.target == WHIST_TARGET_CLASS) return y >= 0 && y < (float)model->shape.n_outputs && y == floorf(y);
    return isfinite(y);
}

/* The texts name the place, not the value: it is somebody's record. */
whist_status wh_nn_bad_target(const whist_model *model, size_t i)
{
    WH_FAIL(
        WHIST_E_RANGE,
        "the target of row %zu of the batch is not what the model learns (finite; 0 or 1; a class below %zu; an event "
        "of 0 or 1)",
        i, model->shape.n_outputs);
}

whist_status wh_nn_bad_weight(size_t i)
{
    WH_FAIL(WHIST_E_RANGE, "the weight of row %zu of the batch is negative or not finite", i);
}

static whist_status check_values(const whist_model *model, const wh_rows *rows)
{
    bool survival = model->shape.target == WHIST_TARGET_SURVIVAL;
    for (size_t i = 0; i < rows->n; i++) {
        bool good = wh_nn_target_is_good(model, rows->y[i]);
        if (!good || (survival && rows->event[i] != 0 && rows->event[i] != 1)) return wh_nn_bad_target(model, i);
        if (rows->weight && !(rows->weight[i] >= 0 && isfinite(rows->weight[i]))) return wh_nn_bad_weight(i);
    }
    return WHIST_OK;
}

whist_status wh_nn_gather_targets(wh_rows *out, const whist_model *model, whist_model_work *work,
                                  const whist_batch *batch)
{
    WH_ENSURE(work->model == model, WHIST_E_ARG);
    WH_TRY(wh_nn_check_batch(model, work->max_batch, batch, true));
    const size_t d = model->shape.n_features, n = batch->n;
    WH_ENSURE(batch->target_stride <= 1, WHIST_E_ARG);
    wh_rows rows = {.n = n, .x = batch->rows, .ldx = batch->row_stride ? batch->row_stride : d};
    if (batch->index) rows = (wh_rows){.n = n, .ldx = wh_nn_stride(d)};
    rows.y = gather(work->y, batch->target, batch);
    rows.weight = gather(work->weight, batch->weight, batch);
    if (model->shape.target == WHIST_TARGET_SURVIVAL) {
        rows.event = gather(work->event, batch->event, batch);
        rows.strata = batch->strata;
        for (size_t i = 0; batch->strata && batch->index && i < n; i++)
            work->strata[i] = batch->strata[batch->index[i]];
        if (batch->strata && batch->index) rows.strata = work->strata;
    }
    WH_TRY(check_values(model, &rows));
    *out = rows;
    return WHIST_OK;
}

/* What comes next is on its way while a row is copied. */
void wh_nn_copy_rows(const whist_model_work *work, const whist_batch *batch, size_t from, size_t n)
{
    enum { AHEAD = 8 };
    const size_t d = work->model->shape.n_features, stride = batch->row_stride ? batch->row_stride : d;
    const size_t ld = wh_nn_stride(d);
    const uint32_t *index = batch->index + from;
    float *out = work->x + from * ld;
    for (size_t i = 0; i < n; i++) {
        const float *next = batch->rows + index[i + AHEAD < n ? i + AHEAD : i] * stride;
        for (size_t j = 0; j < d; j += 16) __builtin_prefetch(next + j, 0, 2);
        memcpy(out + i * ld, batch->rows + index[i] * stride, d * sizeof *out);
    }
}

whist_status wh_nn_gather(wh_rows *out, const whist_model *model, whist_model_work *work, const whist_batch *batch)
{
    wh_rows rows;
    WH_TRY(wh_nn_gather_targets(&rows, model, work, batch));
    if (batch->index) {
        wh_nn_copy_rows(work, batch, 0, rows.n);
        rows.x = work->x;
    }
    *out = rows;
    return WHIST_OK;
}
