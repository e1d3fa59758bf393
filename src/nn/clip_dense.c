/* nn/clip_dense.c: clipped sums of stacks of dense layers, up to PIECE examples in one product.
 *
 * Of layer l with input a and δ = ∂loss/∂(output) an example's gradient is a δᵀ, with norm |a| |δ|, and its bias's is
 * δ. Forward and backward run on our own kernels, whose rows depend on nothing but themselves (num/kern.h), and which
 * are the same ones for 33 to PIECE rows (wh_nn_is_narrow, wh_num_gemm); a smaller piece is filled up with rows of
 * weight 0. OpenBLAS, which products of 768 rows and more go to, may round a row by its place among the others, and
 * then an example would move its neighbours. */
#include <math.h>
#include <string.h>

#include "nn/clip_parts.h"

enum {
    LEAST = 33,
    LEAST_SHARED = 1 << 22, /* examples times parameters */
};

typedef struct worker {
    whist_model_work *work;
    float *delta[WH_NN_MAX_LAYERS]; /* (PIECE, stride out) */
    double *squared;                /* (PIECE, 2 layers): |a|² |δ|² of weights, |δ|² of biases */
    float *sum;                     /* (P) of the piece: the gradient's place in work */
    int64_t *far;                   /* (P): the clip's own sum for the first worker */
    float *turned;                  /* (out, in): the sum of a narrow layer, as rows */
    size_t smaller;
    wh_arena memory;
} worker;

struct wh_clip_dense {
    float *turned; /* (out, in): the parameters of a narrow layer, as rows; NULL for others */
    worker *workers;
    unsigned n_workers;
    size_t size;
};

/* One layer of few outputs over many inputs: its own way for every piece, whatever the piece's size. */
static bool is_narrow(const whist_model *model)
{
    return model->n_layers == 1 && wh_nn_is_narrow(&model->layers[0], SIZE_MAX);
}

static whist_status worker_init(worker *w, const whist_model *model, int64_t *far)
{
    w->far = far;
    WH_TRY(whist_model_work_new(&w->work, model, WH_CLIP_PIECE));
    for (size_t l = 0; l < model->n_layers; l++)
        WH_TRY(WH_ARENA_NEW(&w->delta[l], &w->memory, WH_CLIP_PIECE * wh_nn_stride(model->layers[l].out)));
    WH_TRY(WH_ARENA_NEW(&w->squared, &w->memory, WH_CLIP_PIECE * 2 * model->n_layers));
    w->sum = w->work->grad;
    if (is_narrow(model)) WH_TRY(WH_ARENA_NEW(&w->turned, &w->memory, model->layers[0].out * model->layers[0].in));
    return far ? WHIST_OK : WH_NEW(&w->far, model->size);
}

whist_status wh_clip_dense_new(wh_clip_dense **out, const wh_clip *clip)
{
    wh_clip_dense *dense;
    WH_TRY(WH_NEW(&dense, 1));
    *out = dense; /* the clip's at once: it is freed with it */
    dense->size = clip->model->size;
    dense->n_workers = wh_pool_threads(clip->options.pool);
    WH_TRY(WH_NEW(&dense->workers, dense->n_workers));
    if (is_narrow(clip->model)) WH_TRY(WH_NEW(&dense->turned, clip->model->size));
    for (unsigned i = 0; i < dense->n_workers; i++)
        WH_TRY(worker_init(&dense->workers[i], clip->model, i == 0 ? clip->sum : NULL));
    return WHIST_OK;
}

void wh_clip_dense_free(wh_clip_dense *dense)
{
    if (!dense) return;
    for (unsigned i = 0; dense->workers && i < dense->n_workers; i++) {
        worker *w = &dense->workers[i];
        if (w->sum) wh_wipe(w->sum, dense->size * sizeof *w->sum);
        whist_model_work_free(w->work);
        if (i > 0 && w->far) wh_wipe(w->far, dense->size * sizeof *w->far);
        if (i > 0) wh_free(w->far);
        wh_arena_clear(&w->memory);
    }
    wh_free(dense->workers);
    wh_free(dense->turned);
    wh_free(dense);
}

/* ---- One piece ---- */

/* δ of all layers, unweighted but for the rows' own weights. */
static void backward(worker *w, const whist_model *model, const wh_rows *rows, const float *params)
{
    const size_t last = model->n_layers - 1;
    wh_nn_head_rows(model, rows, w->work->value[last], 1, w->delta[last], 0, rows->n, NULL);
    for (size_t l = last; l > 0; l--)
        wh_nn_back(model, l, params, w->delta[l], w->delta[l - 1], w->work->value[l - 1], rows->n);
}

static void measure(worker *w, const whist_model *model, const wh_rows *rows)
{
    const wh_num_kernels *k = model->kernels;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        const float *a = l ? w->work->value[l - 1] : rows->x;
        const size_t lda = l ? wh_nn_stride(layer->in) : rows->ldx, ld = wh_nn_stride(layer->out);
        for (size_t i = 0; i < rows->n; i++) {
            double *squared = w->squared + (i * model->n_layers + l) * 2;
            squared[1] = wh_clip_squared(k, w->delta[l] + i * ld, layer->out);
            squared[0] = wh_clip_squared(k, a + i * lda, layer->in) * squared[1];
            if (!layer->has_bias) squared[1] = 0;
        }
    }
}

/* One number for all tensors of example i, or one for each: weights[2 l] of the weights of layer l, [2 l + 1] of its
 * bias. */
static void weigh(float *weights, worker *w, const wh_clip *clip, size_t i)
{
    const size_t n = 2 * clip->model->n_layers;
    const double *squared = w->squared + i * n, bound = wh_clip_layer_bound(clip);
    double total = 0;
    for (size_t t = 0; t < n; t++) total += squared[t];
    float all = wh_clip_weight(clip, sqrt(total), bound);
    w->smaller += sqrt(total) <= clip->bound;
    for (size_t t = 0; t < n; t++)
        weights[t] = clip->options.kind == WH_CLIP_LAYER ? wh_clip_weight(clip, sqrt(squared[t]), bound) : all;
}

/* row = weight · row; what is not finite becomes zero, whatever it was. */
static void scale_row(const wh_num_kernels *k, float *row, size_t n, float weight)
{
    if (weight > 0)
        k->scale(row, n, weight);
    else
        memset(row, 0, n * sizeof *row);
}

/* n of the rows count. */
static void multiply(worker *w, const wh_clip *clip, const wh_rows *rows, size_t n)
{
    const whist_model *model = clip->model;
    const wh_num_kernels *k = model->kernels;
    float weights[2 * WH_NN_MAX_LAYERS][WH_CLIP_PIECE] = {{0}};
    for (size_t i = 0; i < n; i++) {
        float one[2 * WH_NN_MAX_LAYERS];
        weigh(one, w, clip, i);
        for (size_t t = 0; t < 2 * model->n_layers; t++) weights[t][i] = one[t];
    }
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        const float *a = l ? w->work->value[l - 1] : rows->x;
        const size_t lda = l ? wh_nn_stride(layer->in) : rows->ldx, ld = wh_nn_stride(layer->out);
        float *delta = w->delta[l];
        /* By layer the bias has a weight of its own: it goes first, from a δ that is not scaled yet. */
        for (size_t j = 0; layer->has_bias && j < layer->out; j++) w->sum[layer->bias + j] = 0;
        for (size_t i = 0; layer->has_bias && i < rows->n; i++)
            if (weights[2 * l + 1][i] > 0)
                k->axpy(w->sum + layer->bias, delta + i * ld, layer->out, weights[2 * l + 1][i]);
        for (size_t i = 0; i < rows->n; i++) scale_row(k, delta + i * ld, layer->out, weights[2 * l][i]);
        wh_nn_weight_gradient(model, w->work, layer, w->sum + layer->weight, a, lda, delta, rows->n, WH_GEMM_PUT, 0);
    }
}

/* A row whose gradient is not finite has a finite a only where that is its own fault: its a is zeroed as well, so that
 * 0 · ∞ does not reach the sum. */
static void silence(worker *w, const whist_model *model, wh_rows *rows, float *x)
{
    for (size_t i = 0; i < rows->n; i++) {
        double total = 0;
        for (size_t t = 0; t < 2 * model->n_layers; t++) total += w->squared[i * 2 * model->n_layers + t];
        if (isfinite(total)) continue;
        memset(x + i * rows->ldx, 0, model->shape.n_features * sizeof *x);
        for (size_t l = 0; l < model->n_layers; l++) {
            const size_t ld = wh_nn_stride(model->layers[l].out);
            memset(w->work->value[l] + i * ld, 0, ld * sizeof *x);
        }
    }
}

/* ---- One piece of a narrow layer ---- */

/* Norms of row i, its weight, and what it puts into the bias; then δ is scaled. */
static void clip_row(worker *w, const wh_clip *clip, float *x, float *delta, size_t i)
{
    const whist_model *model = clip->model;
    const wh_num_kernels *k = model->kernels;
    const wh_layer *layer = &model->layers[0];
    float weights[2] = {0};
    double *squared = w->squared + i * 2;
    squared[1] = wh_clip_squared(k, delta, layer->out);
    squared[0] = wh_clip_squared(k, x, layer->in) * squared[1];
    if (!layer->has_bias) squared[1] = 0;
    if (isfinite(squared[0] + squared[1]))
        weigh(weights, w, clip, i);
    else
        memset(x, 0, layer->in * sizeof *x);
    if (weights[1] > 0 && layer->has_bias) k->axpy(w->sum + layer->bias, delta, layer->out, weights[1]);
    scale_row(k, delta, layer->out, weights[0]);
}

/* Groups of rows are gathered, scored, clipped and added while they are in the near cache; the sums go on from group to
 * group. A row's score and δ are its own (num/kern.h: the bits of gemm_nt), whatever the group and however few there
 * are. more: rows whose indices come behind those of the piece. */
static void narrow_piece(worker *w, const wh_clip *clip, const wh_rows *rows, const whist_batch *part,
                         const float *params, size_t more)
{
    enum { GROUP = 32 };
    const whist_model *model = clip->model;
    const wh_num_kernels *k = model->kernels;
    const wh_layer *layer = &model->layers[0];
    const size_t d = layer->in, width = layer->out, ld = wh_nn_stride(width);
    const size_t stride = part->row_stride ? part->row_stride : d;
    float *x = w->work->x, *scores = w->work->value[0], *delta = w->delta[0];
    const float *weights = clip->dense->turned;
    for (size_t j = 0; layer->has_bias && j < width; j++) w->sum[layer->bias + j] = 0;
    for (size_t i = 0; i < rows->n; i += GROUP) {
        const size_t some = rows->n - i < GROUP ? rows->n - i : GROUP;
        k->gather_nt(scores + i * ld, ld, x, rows->ldx, part->rows, stride, part->index + i, some,
                     rows->n - i - some + more, weights, d, width, d);
        if (layer->has_bias) k->add_rows(scores + i * ld, ld, params + layer->bias, some, width);
        wh_nn_head_rows(model, rows, scores, 1, delta, i, i + some, NULL);
        for (size_t r = 0; r < some; r++) clip_row(w, clip, x + r * rows->ldx, delta + (i + r) * ld, i + r);
        k->gemm_bn(w->turned, d, delta + i * ld, 1, ld, x, rows->ldx, width, d, some, i ? WH_GEMM_MORE : WH_GEMM_PUT,
                   0);
    }
    k->turn(w->sum + layer->weight, w->turned, width, d);
}

/* PIECE examples of at most 2^23 steps each: 2^30, and what rounding adds. */
static void carry(worker *w, const wh_clip *clip)
{
    clip->model->kernels->add_whole64(w->far, w->sum, clip->model->size, (float)(1 / clip->step));
}

static whist_status add_narrow(worker *w, const wh_clip_job *j, size_t from, size_t n)
{
    uint32_t order[WH_CLIP_PIECE];
    whist_batch part = *j->batch;
    wh_rows rows;
    size_t more = part.index ? part.n - from - n : 0; /* they come next, if not to this worker */
    for (size_t i = 0; i < n && !part.index; i++) order[i] = (uint32_t)(from + i);
    part.index = part.index ? part.index + from : order; /* so that the rows are a copy, which may be silenced */
    part.n = n;
    WH_TRY(wh_nn_gather_targets(&rows, j->clip->model, w->work, &part));
    narrow_piece(w, j->clip, &rows, &part, j->params, more);
    carry(w, j->clip);
    return WHIST_OK;
}

static size_t pieces_of(size_t n)
{
    return (n + WH_CLIP_PIECE - 1) / WH_CLIP_PIECE;
}

/* As even as can be: a piece of a few rows would have to be filled up. */
static whist_status add_piece(void *user, size_t piece, unsigned index)
{
    const wh_clip_job *j = user;
    const whist_model *model = j->clip->model;
    worker *w = &j->clip->dense->workers[index];
    const size_t pieces = pieces_of(j->batch->n), each = j->batch->n / pieces, longer = j->batch->n % pieces;
    const size_t from = piece * each + (piece < longer ? piece : longer), n = each + (piece < longer);
    uint32_t order[WH_CLIP_PIECE];
    whist_batch part = *j->batch;
    if (w->turned) return add_narrow(w, j, from, n);
    for (size_t i = 0; i < WH_CLIP_PIECE; i++) {
        size_t at = from + (i < n ? i : 0);
        order[i] = part.index ? part.index[at] : (uint32_t)at;
    }
    part.n = n < LEAST ? LEAST : n;
    part.index = order; /* so that the rows are a copy, which may be silenced */
    wh_rows rows;
    WH_TRY(wh_nn_gather(&rows, model, w->work, &part));
    wh_nn_forward(model, w->work, j->params, rows.x, rows.ldx, rows.n, true);
    backward(w, model, &rows, j->params);
    measure(w, model, &rows);
    silence(w, model, &rows, w->work->x);
    multiply(w, j->clip, &rows, n);
    carry(w, j->clip);
    return WHIST_OK;
}

whist_status wh_clip_dense_add(wh_clip *clip, const float *params, const whist_batch *batch, size_t *smaller)
{
    wh_clip_job j = {.clip = clip, .params = params, .batch = batch};
    wh_clip_dense *dense = clip->dense;
    const wh_layer *first = &clip->model->layers[0];
    if (dense->turned) clip->model->kernels->turn(dense->turned, params + first->weight, first->in, first->out);
    /* A small batch is done before another thread would have begun. */
    wh_pool *pool = batch->n * dense->size < LEAST_SHARED ? NULL : clip->options.pool;
    whist_status status = wh_pool_run(pool, pieces_of(batch->n), add_piece, &j);
    for (unsigned t = 0; t < dense->n_workers; t++) {
        worker *w = &dense->workers[t];
        if (t > 0) wh_clip_collect(clip, w->far);
        *smaller += w->smaller;
        w->smaller = 0;
    }
    return status;
}
