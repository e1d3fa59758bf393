/* nn/spread.c: gradients and predictions of a dense stack on several threads, with the bits of one.
 *
 * A gradient: first groups of rows go through the layers and back: a row's numbers depend on itself, and the kernels
 * for 64 rows and more are the same ones. Then strips of each layer's inputs get their gradient, every element of which
 * adds the rows in their order, as in one piece (num/kern.h). The loss adds up in that order, too, beside the strips.
 * Predictions: each worker has a work of its own and takes rows as one thread would. */
#include "nn/model.h"

enum { GROUP = 64, LEAST_ROWS = 2 * GROUP, LEAST_STRIP = 64 };

struct wh_spread {
    float *delta[WH_NN_MAX_LAYERS]; /* (B, stride out) */
    float **turned;                 /* by worker, as in whist_model_work */
    whist_model_work **works;       /* by worker, for predictions; made when they are first needed */
    unsigned threads;
    wh_arena memory;
};

void wh_spread_free(wh_spread *s)
{
    if (!s) return;
    for (unsigned t = 0; s->works && t < s->threads; t++) whist_model_work_free(s->works[t]);
    wh_arena_clear(&s->memory);
    wh_free(s);
}
WH_AUTO_FREE(wh_spread, wh_spread_free)

static whist_status spread_new(wh_spread **out, const whist_model_work *work, wh_pool *pool)
{
    const whist_model *model = work->model;
    WH_AUTO(wh_spread_ptr) s = NULL;
    size_t input = 1;
    WH_TRY(WH_NEW(&s, 1));
    s->threads = wh_pool_threads(pool);
    WH_TRY(WH_ARENA_NEW(&s->works, &s->memory, s->threads));
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        if (layer->in > input) input = layer->in;
        WH_TRY(wh_arena_alloc((void **)&s->delta[l], &s->memory, work->max_batch,
                              wh_nn_stride(layer->out) * sizeof(float)));
    }
    WH_TRY(WH_ARENA_NEW(&s->turned, &s->memory, s->threads));
    for (unsigned t = 0; t < s->threads; t++)
        WH_TRY(wh_arena_alloc((void **)&s->turned[t], &s->memory, WH_NN_NARROW, input * sizeof(float)));
    *out = s;
    s = NULL;
    return WHIST_OK;
}

/* Products that go to OpenBLAS stay in one piece: it may round by place. */
bool wh_spread_fits(const whist_model_work *work, const whist_batch *batch)
{
    const whist_model *model = work->model;
    if (wh_pool_threads(work->pool) < 2 || batch->n < LEAST_ROWS) return false;
    if (model->shape.target == WHIST_TARGET_SURVIVAL) return false;
    for (size_t l = 0; l < model->n_layers; l++)
        if (wh_num_is_large(model->kernels, WH_GEMM_NN, batch->n, model->layers[l].out, model->layers[l].in))
            return false;
    return true;
}

typedef struct job {
    whist_model_work *work;
    const wh_spread *spread;
    const wh_rows *rows;
    const whist_batch *batch;
    const float *params;
    float *grad;
    size_t strip[WH_NN_MAX_LAYERS], strips[WH_NN_MAX_LAYERS]; /* inputs of one, and how many */
    double sum;                                               /* of losses */
} job;

/* The work's memory as rows from … see it, with scratch of the worker's. */
static whist_model_work part_of(const job *j, size_t from, unsigned worker)
{
    whist_model_work part = *j->work;
    for (size_t l = 0; l < part.model->n_layers; l++) part.value[l] += from * wh_nn_stride(part.model->layers[l].out);
    part.turned = j->spread->turned[worker];
    return part;
}

static whist_status group(void *user, size_t piece, unsigned worker)
{
    const job *j = user;
    const whist_model *model = j->work->model;
    const size_t from = piece * GROUP, last = model->n_layers - 1, left = j->rows->n - from;
    whist_model_work part = part_of(j, from, worker);
    wh_rows rows = *j->rows;
    rows.n = left < 2 * GROUP ? left : GROUP; /* the last one takes the rest */
    rows.x += from * rows.ldx;
    rows.y += from;
    if (rows.weight) rows.weight += from;
    if (j->batch->index) wh_nn_copy_rows(j->work, j->batch, from, rows.n);
    wh_nn_forward(model, &part, j->params, rows.x, rows.ldx, rows.n, true);
    float *delta = j->spread->delta[last] + from * wh_nn_stride(model->layers[last].out);
    wh_nn_head_rows(model, &rows, part.value[last], (float)j->rows->n, delta, 0, rows.n, NULL);
    for (size_t l = last; l > 0; l--) {
        float *below = j->spread->delta[l - 1] + from * wh_nn_stride(model->layers[l - 1].out);
        wh_nn_back(model, l, j->params, delta, below, part.value[l - 1], rows.n);
        delta = below;
    }
    return WHIST_OK;
}

static void strip(const job *j, size_t l, size_t index, unsigned worker)
{
    const whist_model *model = j->work->model;
    wh_layer layer = model->layers[l];
    const float *v = l ? j->work->value[l - 1] : j->rows->x, *delta = j->spread->delta[l];
    const size_t first = index * j->strip[l], ldv = l ? wh_nn_stride(layer.in) : j->rows->ldx;
    whist_model_work part = part_of(j, 0, worker);
    if (index == 0 && layer.has_bias)
        model->kernels->sum_rows(j->grad + layer.bias, delta, wh_nn_stride(layer.out), j->rows->n, layer.out);
    layer.in = layer.in - first < j->strip[l] ? layer.in - first : j->strip[l];
    wh_nn_weight_gradient(model, &part, &layer, j->grad + layer.weight + first * layer.out, v + first, ldv, delta,
                          j->rows->n, WH_GEMM_PUT, 0);
}

/* The losses, then the strips of one layer after the other. */
static whist_status sums(void *user, size_t piece, unsigned worker)
{
    job *j = user;
    const whist_model *model = j->work->model;
    size_t index = piece - 1, l = 0;
    if (piece == 0) {
        wh_nn_head_rows(model, j->rows, j->work->value[model->n_layers - 1], (float)j->rows->n, NULL, 0, j->rows->n,
                        &j->sum);
        return WHIST_OK;
    }
    for (; index >= j->strips[l]; l++) index -= j->strips[l];
    strip(j, l, index, worker);
    return WHIST_OK;
}

/* Strips of about as much work each, by shape alone; returns how many there are. */
static size_t cut(job *j)
{
    enum { WORK = 1 << 20 };
    const whist_model *model = j->work->model;
    size_t total = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        size_t inputs = WORK / (layer->out * j->rows->n) / 16 * 16;
        j->strip[l] = inputs < LEAST_STRIP ? LEAST_STRIP : inputs;
        j->strips[l] = (layer->in + j->strip[l] - 1) / j->strip[l];
        total += j->strips[l];
    }
    return total;
}

whist_status wh_spread_gradient(whist_model_work *work, const float *params, const whist_batch *batch, float *grad,
                                double *loss)
{
    wh_rows rows;
    WH_TRY(wh_nn_gather_targets(&rows, work->model, work, batch));
    if (!work->spread) WH_TRY(spread_new(&work->spread, work, work->pool));
    if (batch->index) rows.x = work->x;
    job j = {.work = work, .spread = work->spread, .rows = &rows, .batch = batch, .params = params, .grad = grad};
    WH_TRY(wh_pool_run(work->pool, rows.n / GROUP, group, &j));
    WH_TRY(wh_pool_run(work->pool, 1 + cut(&j), sums, &j));
    if (loss) *loss = j.sum / (double)rows.n;
    return WHIST_OK;
}

/* ---- Predictions ------------------------------------------------------------------------------------------ */

typedef struct prediction {
    const whist_model_work *work;
    const float *params;
    const whist_batch *batch;
    float *out;
    size_t rows; /* of a piece */
} prediction;

static whist_status predict(void *user, size_t piece, unsigned worker)
{
    const prediction *p = user;
    const whist_model *model = p->work->model;
    const size_t from = piece * p->rows, left = p->batch->n - from;
    const size_t stride = p->batch->row_stride ? p->batch->row_stride : model->shape.n_features;
    whist_batch part = {.rows = p->batch->rows, .n_rows = p->batch->n_rows, .row_stride = p->batch->row_stride};
    part.n = left < p->rows ? left : p->rows;
    if (p->batch->index)
        part.index = p->batch->index + from;
    else
        part.rows += from * stride, part.n_rows -= from;
    whist_model_work **own = &p->work->spread->works[worker];
    if (!*own) WH_TRY(whist_model_work_new(own, model, p->work->max_batch));
    return whist_model_predict_batch(model, *own, p->params, &part, p->out + from * model->shape.n_outputs);
}

whist_status wh_spread_predict(whist_model_work *work, const float *params, const whist_batch *batch, float *out)
{
    enum { ROWS = 64 };
    const size_t most = work->max_batch;
    prediction p = {.work = work, .params = params, .batch = batch, .out = out};
    p.rows = most < ROWS ? ROWS / most * most : most; /* pieces that one thread would make, too */
    if (!work->spread) WH_TRY(spread_new(&work->spread, work, work->pool));
    return wh_pool_run(work->pool, (batch->n + p.rows - 1) / p.rows, predict, &p);
}
