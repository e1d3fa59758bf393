/* nn/feed.c: rows of a data set become the inputs of a graph. */
#include <math.h>
#include <string.h>

#include "nn/model.h"
#include "nn/zoo.h"

struct wh_feed {
    const whist_model *model;
    size_t batch;
    wh_real real;
    wh_arena memory;
    void *x, *target; /* (B,D), (B,T): float, double, or uint32_t for tokens and classes */
    void *weight;     /* (B), or one number for survival: what a row's loss is multiplied by in the mean */
    uint32_t seed[2];
    wh_cox_rows cox; /* survival */
    double *time, *seen;
    uint32_t *strata;
    float *event, *fraction; /* cox's as float32; NULL where the graph is double */
};

static whist_status reserve(wh_feed *feed)
{
    const whist_model_shape *shape = &feed->model->shape;
    const size_t n = feed->batch, number = feed->real == WH_F32 ? sizeof(float) : sizeof(double);
    const bool tokens = feed->model->class_->rows == WHIST_ROWS_TOKENS, classes = shape->target == WHIST_TARGET_CLASS;
    wh_arena *memory = &feed->memory;
    size_t x, y;
    if (!wh_mul_size(&x, n, shape->n_features) || !wh_mul_size(&y, n, shape->n_targets))
        WH_FAIL(WHIST_E_RANGE, "a batch of %zu rows of %zu numbers does not fit memory", n, shape->n_features);
    WH_TRY(wh_arena_alloc(&feed->x, memory, x, tokens ? sizeof(uint32_t) : number));
    WH_TRY(wh_arena_alloc(&feed->target, memory, y, classes ? sizeof(uint32_t) : number));
    WH_TRY(wh_arena_alloc(&feed->weight, memory, n, number));
    if (shape->target != WHIST_TARGET_SURVIVAL) return WHIST_OK;
    uint32_t **indices[] = {&feed->cox.order, &feed->cox.end, &feed->cox.stratum, &feed->cox.tie, &feed->strata};
    double **numbers[] = {&feed->cox.event, &feed->cox.fraction, &feed->time, &feed->seen};
    for (size_t i = 0; i < WH_COUNT(indices); i++) WH_TRY(WH_ARENA_NEW(indices[i], memory, n));
    for (size_t i = 0; i < WH_COUNT(numbers); i++) WH_TRY(WH_ARENA_NEW(numbers[i], memory, n));
    if (feed->real == WH_F64) return WHIST_OK;
    WH_TRY(WH_ARENA_NEW(&feed->event, memory, n));
    return WH_ARENA_NEW(&feed->fraction, memory, n);
}

whist_status wh_feed_new(wh_feed **out, const whist_model *model, size_t batch, wh_real real)
{
    WH_ENSURE(out && model && batch > 0, WHIST_E_ARG);
    WH_AUTO(wh_feed_ptr) feed = NULL;
    WH_TRY(WH_NEW(&feed, 1));
    feed->model = model;
    feed->batch = batch;
    feed->real = real;
    WH_TRY(reserve(feed));
    *out = feed;
    feed = NULL;
    return WHIST_OK;
}

void wh_feed_free(wh_feed *feed)
{
    if (!feed) return;
    wh_arena_clear(&feed->memory);
    wh_free(feed);
}

static whist_status bind(wh_run *run, wh_value input, const void *data)
{
    return input == WH_NO_VALUE ? WHIST_OK : wh_run_input(run, input, data);
}

whist_status wh_feed_bind(wh_run *run, const wh_feed *feed, const wh_model_values *values, wh_value weight)
{
    const wh_cox *cox = &values->cox;
    const bool single = feed->real == WH_F32;
    WH_TRY(bind(run, values->x, feed->x));
    WH_TRY(bind(run, values->target, feed->target));
    WH_TRY(bind(run, values->seed, feed->seed));
    WH_TRY(bind(run, weight, feed->weight));
    WH_TRY(bind(run, cox->order, feed->cox.order));
    WH_TRY(bind(run, cox->end, feed->cox.end));
    WH_TRY(bind(run, cox->stratum, feed->cox.stratum));
    WH_TRY(bind(run, cox->tie, feed->cox.tie));
    WH_TRY(bind(run, cox->event, single ? (const void *)feed->event : feed->cox.event));
    return bind(run, cox->fraction, single ? (const void *)feed->fraction : feed->cox.fraction);
}

void wh_feed_seed(wh_feed *feed, uint64_t seed)
{
    feed->seed[0] = (uint32_t)seed;
    feed->seed[1] = (uint32_t)(seed >> 32);
}

/* ---- Filling ------------------------------------------------------------------------------------------- */

static void put(const wh_feed *feed, void *to, size_t at, const float *from, size_t n)
{
    if (feed->real == WH_F32) {
        memcpy((float *)to + at, from, n * sizeof *from);
        return;
    }
    for (size_t i = 0; i < n; i++) ((double *)to)[at + i] = (double)from[i];
}

static whist_status put_row(wh_feed *feed, size_t i, const float *row)
{
    const whist_model_shape *shape = &feed->model->shape;
    const size_t d = shape->n_features;
    if (feed->model->class_->rows != WHIST_ROWS_TOKENS) {
        put(feed, feed->x, i * d, row, d);
        return WHIST_OK;
    }
    uint32_t *tokens = (uint32_t *)feed->x + i * d;
    const float end = (float)shape->vocabulary;
    for (size_t j = 0; j < d; j++) {
        if (!(row[j] >= 0 && row[j] < end && row[j] == floorf(row[j])))
            WH_FAIL(WHIST_E_RANGE, "place %zu of row %zu of the batch is no token below the vocabulary of %zu", j, i,
                    shape->vocabulary);
        tokens[j] = (uint32_t)row[j];
    }
    return WHIST_OK;
}

static whist_status put_target(wh_feed *feed, size_t i, const float *y)
{
    const whist_model_shape *shape = &feed->model->shape;
    const size_t n = shape->n_targets;
    for (size_t j = 0; j < n; j++) {
        if (!wh_nn_target_is_good(feed->model, y[j])) return wh_nn_bad_target(feed->model, i);
        if (shape->target == WHIST_TARGET_CLASS) ((uint32_t *)feed->target)[i * n + j] = (uint32_t)y[j];
    }
    if (shape->target != WHIST_TARGET_CLASS) put(feed, feed->target, i * n, y, n);
    return WHIST_OK;
}

static void put_number(const wh_feed *feed, void *to, size_t at, double number)
{
    if (feed->real == WH_F32)
        ((float *)to)[at] = (float)number;
    else
        ((double *)to)[at] = number;
}

static size_t row_of(const whist_batch *batch, size_t i)
{
    return batch->index ? batch->index[i] : i;
}

static whist_status put_survival(wh_feed *feed, const whist_batch *batch)
{
    double events = 0;
    for (size_t i = 0; i < batch->n; i++) {
        size_t row = row_of(batch, i);
        if (batch->weight && batch->weight[row] != 1)
            WH_FAIL(WHIST_E_UNSUPPORTED, "a graph of a survival model takes rows of weight 1 only");
        if (!wh_nn_target_is_good(feed->model, batch->target[row]) ||
            (batch->event[row] != 0 && batch->event[row] != 1))
            return wh_nn_bad_target(feed->model, i);
        feed->time[i] = (double)batch->target[row];
        feed->seen[i] = (double)batch->event[row];
        feed->strata[i] = batch->strata ? batch->strata[row] : 0;
        events += feed->seen[i];
    }
    WH_TRY(wh_graph_cox_rows(&feed->cox, feed->time, feed->seen, feed->strata, batch->n, feed->model->efron));
    for (size_t i = 0; feed->event && i < batch->n; i++) {
        feed->event[i] = (float)feed->cox.event[i];
        feed->fraction[i] = (float)feed->cox.fraction[i];
    }
    put_number(feed, feed->weight, 0, events > 0 ? 1 / events : 0);
    return WHIST_OK;
}

static whist_status put_targets(wh_feed *feed, const whist_batch *batch)
{
    const size_t stride = batch->target_stride ? batch->target_stride : feed->model->shape.n_targets;
    for (size_t i = 0; i < feed->batch; i++) {
        bool real = i < batch->n;
        size_t row = row_of(batch, real ? i : 0);
        double weight = real && batch->weight ? (double)batch->weight[row] : real;
        if (!(weight >= 0 && isfinite(weight))) return wh_nn_bad_weight(i);
        WH_TRY(put_target(feed, i, batch->target + row * stride));
        put_number(feed, feed->weight, i, weight / (double)batch->n);
    }
    return WHIST_OK;
}

whist_status wh_feed_fill(wh_feed *feed, const whist_batch *batch)
{
    WH_ENSURE(feed && batch, WHIST_E_ARG);
    const whist_model *model = feed->model;
    WH_TRY(wh_nn_check_batch(model, feed->batch, batch, false));
    if (batch->n < feed->batch && wh_model_couples(model, WH_MODEL_TRAIN))
        WH_FAIL(WHIST_E_ARG, "%zu rows for a program of %zu: the rows of model %s see each other", batch->n,
                feed->batch, model->class_->name);
    const size_t stride = batch->row_stride ? batch->row_stride : model->shape.n_features;
    for (size_t i = 0; i < feed->batch; i++)
        WH_TRY(put_row(feed, i, batch->rows + row_of(batch, i < batch->n ? i : 0) * stride));
    if (!batch->target) return WHIST_OK;
    return model->shape.target == WHIST_TARGET_SURVIVAL ? put_survival(feed, batch) : put_targets(feed, batch);
}
