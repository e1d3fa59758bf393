/* nn/clip_each.c: clipped sums of models that run as programs: a few examples at a time, each by itself.
 *
 * Their gradients lie in a worker's near caches when they are measured, scaled and added, so that no P × B numbers are
 * ever stored. Nothing in an example's gradient depends on who else goes through: kernels compute a row or an image
 * from itself alone, wherever it stands (num/kern.h, docs/nn.md), and a piece that is not full is filled up. Dropout
 * goes by the row's number, not its place in the batch, for the same reason. */
#include <math.h>
#include <string.h>

#include "nn/clip_each.h"

typedef struct worker {
    wh_run *run;
    wh_feed *feed;
    float *weight;         /* of the examples' losses */
    float *grad;           /* as the program says */
    const float **side[2]; /* of those examples that count: rows, cols */
    float *factor;         /* what their gradients are multiplied by */
    double *squared;       /* (examples, parts) */
    int32_t *near;         /* (P) sums of up to CARRY_AT examples, as the parts lie */
    int64_t *far;          /* (P) */
    size_t n_near, smaller;
    bool begun; /* this add: the parameters are bound, and what is made of them alone is there */
} worker;

struct wh_clip_each {
    wh_clip_program of;
    worker *workers;
    unsigned n_workers;
    size_t size;
};

static whist_status worker_init(worker *w, const wh_clip_program *p, const whist_model *model)
{
    WH_TRY(wh_run_new(&w->run, p->program, 1));
    WH_TRY(wh_feed_new(&w->feed, model, p->examples, WH_F32));
    WH_TRY(wh_feed_bind(w->run, w->feed, &p->values, WH_NO_VALUE));
    WH_TRY(WH_NEW(&w->weight, p->examples));
    WH_TRY(WH_NEW(&w->grad, p->reals));
    for (unsigned s = 0; s < 2; s++) WH_TRY(WH_NEW(&w->side[s], p->examples));
    WH_TRY(WH_NEW(&w->factor, p->examples));
    WH_TRY(WH_NEW(&w->squared, p->examples * p->n_parts));
    WH_TRY(WH_NEW(&w->near, model->size));
    WH_TRY(WH_NEW(&w->far, model->size));
    WH_TRY(wh_run_input(w->run, p->weight, w->weight));
    return wh_clip_program_bind(p, w->run, w->grad);
}

whist_status wh_clip_each_new(wh_clip_each **out, const wh_clip *clip)
{
    wh_clip_each *each;
    WH_TRY(WH_NEW(&each, 1));
    *out = each; /* the clip's at once: it is freed with it */
    each->size = clip->model->size;
    WH_TRY(wh_clip_program_init(&each->of, clip->model));
    each->n_workers = wh_pool_threads(clip->options.pool);
    WH_TRY(WH_NEW(&each->workers, each->n_workers));
    for (unsigned i = 0; i < each->n_workers; i++) WH_TRY(worker_init(&each->workers[i], &each->of, clip->model));
    return WHIST_OK;
}

static void free_wiped(void *memory, size_t bytes)
{
    if (memory) wh_wipe(memory, bytes);
    wh_free(memory);
}

void wh_clip_each_free(wh_clip_each *each)
{
    if (!each) return;
    for (unsigned i = 0; each->workers && i < each->n_workers; i++) {
        worker *w = &each->workers[i];
        wh_run_free(w->run);
        wh_feed_free(w->feed);
        free_wiped(w->grad, each->of.reals * sizeof *w->grad);
        free_wiped(w->squared, each->of.examples * each->of.n_parts * sizeof *w->squared);
        free_wiped(w->factor, each->of.examples * sizeof *w->factor);
        free_wiped(w->near, each->size * sizeof *w->near);
        free_wiped(w->far, each->size * sizeof *w->far);
        wh_free(w->weight);
        for (unsigned s = 0; s < 2; s++) wh_free(w->side[s]);
    }
    wh_free(each->workers);
    wh_clip_program_clear(&each->of);
    wh_free(each);
}

/* ---- Adding ---- */

static void carry(worker *w, size_t size)
{
    int64_t *restrict far = w->far;
    int32_t *restrict near = w->near;
    for (size_t i = 0; i < size; i++) {
        far[i] += near[i];
        near[i] = 0;
    }
    w->n_near = 0;
}

/* squared norms of the first n examples' gradients by each part */
static void measure(worker *w, const wh_clip *clip, size_t n)
{
    const wh_clip_program *p = &clip->each->of;
    const wh_num_kernels *k = clip->model->kernels;
    for (size_t i = 0; i < p->n_parts; i++) {
        const wh_clip_part *part = &p->parts[i];
        for (size_t e = 0; e < n; e++) {
            double *squared = &w->squared[e * p->n_parts + i];
            *squared = wh_clip_squared(k, w->grad + part->rows + e * part->n_rows, part->n_rows);
            if (part->n_cols) *squared *= wh_clip_squared(k, w->grad + part->cols + e * part->n_cols, part->n_cols);
        }
    }
}

/* weight (n) of the gradients by part i, 0 where one is not finite; by the whole gradient's norm, or the part's. */
static void weigh(float *weight, const worker *w, const wh_clip *clip, size_t n, size_t i)
{
    const size_t n_parts = clip->each->of.n_parts;
    const double bound = wh_clip_layer_bound(clip);
    for (size_t e = 0; e < n; e++) {
        const double *squared = w->squared + e * n_parts;
        double total = 0;
        for (size_t j = 0; j < n_parts; j++) total += squared[j];
        double norm = sqrt(clip->options.kind == WH_CLIP_LAYER ? squared[i] : total);
        weight[e] = wh_clip_weight(clip, norm, bound);
    }
}

static void count_smaller(worker *w, const wh_clip *clip, size_t n)
{
    const size_t n_parts = clip->each->of.n_parts;
    for (size_t e = 0; e < n; e++) {
        double total = 0;
        for (size_t j = 0; j < n_parts; j++) total += w->squared[e * n_parts + j];
        w->smaller += sqrt(total) <= clip->bound;
    }
}

/* Toward zero, so that no number grows: what is added is below 2^24 by the weight. */
static void add_parts(worker *w, const wh_clip *clip, size_t n)
{
    const wh_clip_program *p = &clip->each->of;
    const wh_num_kernels *k = clip->model->kernels;
    const float steps = (float)(1 / clip->step);
    for (size_t i = 0; i < p->n_parts; i++) {
        const wh_clip_part *part = &p->parts[i];
        float weight[WH_CLIP_CARRY_AT];
        size_t some = 0;
        weigh(weight, w, clip, n, i);
        for (size_t e = 0; e < n; e++) {
            if (weight[e] <= 0) continue;
            w->side[0][some] = w->grad + part->rows + e * part->n_rows;
            w->side[1][some] = w->grad + part->cols + e * part->n_cols;
            w->factor[some++] = weight[e] * steps;
        }
        if (part->n_cols)
            k->add_outer32(w->near + part->offset, w->side[0], w->side[1], w->factor, some, part->n_rows, part->n_cols);
        else
            k->add_whole32(w->near + part->offset, w->side[0], w->factor, some, part->n_rows);
    }
}

static whist_status add_piece(void *user, size_t piece, unsigned index)
{
    const wh_clip_job *j = user;
    const wh_clip_program *p = &j->clip->each->of;
    worker *w = &j->clip->each->workers[index];
    const size_t from = piece * p->examples, left = j->batch->n - from, n = left < p->examples ? left : p->examples;
    uint32_t row[WH_CLIP_CARRY_AT];
    whist_batch some = *j->batch;
    for (size_t e = 0; e < n; e++) row[e] = some.index ? some.index[from + e] : (uint32_t)(from + e);
    for (size_t e = 0; e < p->examples; e++) w->weight[e] = e < n ? (some.weight ? some.weight[row[e]] : 1) : 0;
    some.index = row;
    some.n = n;
    WH_TRY(wh_feed_fill(w->feed, &some));
    wh_feed_seed(w->feed, j->clip->seed << 32 ^ row[0]);
    if (!w->begun) WH_TRY(wh_model_bind_params(w->run, p->params, j->clip->model, j->params, WH_F32));
    WH_TRY((w->begun ? wh_run_again : wh_run_go)(w->run, NULL));
    w->begun = true;
    measure(w, j->clip, n);
    count_smaller(w, j->clip, n);
    add_parts(w, j->clip, n);
    w->n_near += n;
    if (w->n_near + p->examples > WH_CLIP_CARRY_AT) carry(w, j->clip->model->size);
    return WHIST_OK;
}

/* The clip's sum takes a worker's, turned from the way it lies to the tensor's; it is zero then. */
static void collect(wh_clip *clip, const wh_clip_part *part, int64_t *far)
{
    size_t at[WH_GRAPH_RANK] = {0}, to = 0;
    int64_t *sum = clip->sum + part->offset;
    far += part->offset;
    for (size_t i = 0; i < part->size; i++) {
        sum[to] += far[i];
        far[i] = 0;
        for (unsigned k = part->dims.rank; k-- > 0;) {
            to += part->step[k];
            if (++at[k] < part->dims.dim[k]) break;
            to -= part->step[k] * part->dims.dim[k];
            at[k] = 0;
        }
    }
}

whist_status wh_clip_each_add(wh_clip *clip, const float *params, const whist_batch *batch, size_t *smaller)
{
    wh_clip_job j = {.clip = clip, .params = params, .batch = batch};
    wh_clip_each *each = clip->each;
    for (unsigned k = 0; k < each->n_workers; k++) each->workers[k].begun = false;
    const size_t pieces = (batch->n + each->of.examples - 1) / each->of.examples;
    whist_status status = wh_pool_run(clip->options.pool, pieces, add_piece, &j);
    for (unsigned k = 0; k < each->n_workers; k++) {
        worker *w = &each->workers[k];
        carry(w, each->size);
        for (size_t i = 0; i < each->of.n_parts; i++) collect(clip, &each->of.parts[i], w->far);
        *smaller += w->smaller;
        w->smaller = 0;
    }
    return status;
}
