/* nn/clip_each.c: clipped sums of models that run as programs, one example at a time.
 *
 * An example's gradient lies in a worker's near cache when it is measured, scaled and added, so that no P × B numbers
 * are ever stored; and nothing in it depends on who else is in the batch. Dropout goes by the row's number, not its
 * place in the batch, for the same reason. */
#include <math.h>
#include <string.h>

#include "nn/clip_parts.h"

typedef struct worker {
    wh_run *run;
    wh_feed *feed;
    float *grad;   /* (P) */
    int32_t *near; /* (P) sums of up to CARRY_AT examples */
    int64_t *far;  /* (P) */
    size_t n_near, smaller;
    bool begun; /* this add: the parameters are bound, and what is made of them alone is there */
} worker;

struct wh_clip_each {
    wh_program *program;
    wh_value *params;
    worker *workers;
    unsigned n_workers;
    size_t size;
};

static whist_status make_program(wh_clip_each *each, wh_model_values *values, wh_value *weight,
                                 const whist_model *model)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_owned) outputs = NULL, learned = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(WH_NEW(&each->params, model->n_tensors));
    WH_TRY(wh_alloc(&outputs, model->n_tensors, sizeof(wh_value)));
    WH_TRY(wh_alloc(&learned, model->n_tensors, sizeof(wh_value)));
    WH_TRY(wh_model_params(each->params, graph, model));
    WH_TRY(wh_model_graph(values, graph, model,
                          &(wh_model_use){.params = each->params, .batch = 1, .mode = WH_MODEL_TRAIN}));
    *weight = wh_graph_input(graph, "weight", WH_EXAMPLES, WH_DIMS(1));
    wh_value loss = wh_graph_dot(graph, values->losses, *weight);
    size_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].learned) ((wh_value *)learned)[n++] = each->params[i];
    WH_TRY(wh_graph_gradient(outputs, graph, loss, learned, n));
    return wh_program_new_keeping(&each->program, graph, outputs, n);
}

static whist_status worker_init(worker *w, const wh_clip_each *each, const wh_model_values *values, wh_value weight,
                                const whist_model *model)
{
    WH_TRY(wh_run_new(&w->run, each->program, 1));
    WH_TRY(wh_feed_new(&w->feed, model, 1, WH_F32));
    WH_TRY(wh_feed_bind(w->run, w->feed, values, weight));
    WH_TRY(WH_NEW(&w->grad, model->size));
    WH_TRY(WH_NEW(&w->near, model->size));
    WH_TRY(WH_NEW(&w->far, model->size));
    for (size_t i = 0, output = 0; i < model->n_tensors; i++)
        if (model->tensors[i].learned) WH_TRY(wh_run_output(w->run, output++, w->grad + model->tensors[i].offset));
    return WHIST_OK;
}

whist_status wh_clip_each_new(wh_clip_each **out, const wh_clip *clip)
{
    wh_clip_each *each;
    WH_TRY(WH_NEW(&each, 1));
    *out = each; /* the clip's at once: it is freed with it */
    wh_model_values values;
    wh_value weight;
    each->size = clip->model->size;
    WH_TRY(make_program(each, &values, &weight, clip->model));
    each->n_workers = wh_pool_threads(clip->options.pool);
    WH_TRY(WH_NEW(&each->workers, each->n_workers));
    for (unsigned i = 0; i < each->n_workers; i++)
        WH_TRY(worker_init(&each->workers[i], each, &values, weight, clip->model));
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
        free_wiped(w->grad, each->size * sizeof *w->grad);
        free_wiped(w->near, each->size * sizeof *w->near);
        free_wiped(w->far, each->size * sizeof *w->far);
    }
    wh_free(each->workers);
    wh_program_free(each->program);
    wh_free(each->params);
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

/* Toward zero, so that no number grows: |x f| is below 2^24 by the caller's weight. */
static void add_scaled(worker *w, const wh_clip *clip, const whist_tensor_info *t, float f)
{
    clip->model->kernels->add_whole32(w->near + t->offset, w->grad + t->offset, t->size, f);
}

static void add_tensors(worker *w, const wh_clip *clip)
{
    const whist_model *model = clip->model;
    const float steps = (float)(1 / clip->step);
    double total = 0, bound = wh_clip_layer_bound(clip);
    bool by_layer = clip->options.kind == WH_CLIP_LAYER;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const whist_tensor_info *t = &model->tensors[i];
        if (!t->learned) continue;
        double squared = wh_clip_squared(model->kernels, w->grad + t->offset, t->size);
        total += squared;
        if (!by_layer) continue;
        float weight = wh_clip_weight(clip, sqrt(squared), bound);
        if (weight > 0) add_scaled(w, clip, t, weight * steps);
    }
    double norm = sqrt(total);
    w->smaller += norm <= clip->bound;
    float weight = wh_clip_weight(clip, norm, bound);
    if (by_layer || weight <= 0) return;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const whist_tensor_info *t = &model->tensors[i];
        if (t->learned) add_scaled(w, clip, t, weight * steps);
    }
}

static whist_status add_one(void *user, size_t piece, unsigned index)
{
    const wh_clip_job *j = user;
    worker *w = &j->clip->each->workers[index];
    uint32_t row = j->batch->index ? j->batch->index[piece] : (uint32_t)piece;
    whist_batch one = *j->batch;
    one.index = &row;
    one.n = 1;
    WH_TRY(wh_feed_fill(w->feed, &one));
    wh_feed_seed(w->feed, j->clip->seed << 32 ^ row);
    if (!w->begun) WH_TRY(wh_model_bind_params(w->run, j->clip->each->params, j->clip->model, j->params, WH_F32));
    WH_TRY((w->begun ? wh_run_again : wh_run_go)(w->run, NULL));
    w->begun = true;
    add_tensors(w, j->clip);
    if (++w->n_near == WH_CLIP_CARRY_AT) carry(w, j->clip->model->size);
    return WHIST_OK;
}

whist_status wh_clip_each_add(wh_clip *clip, const float *params, const whist_batch *batch, size_t *smaller)
{
    wh_clip_job j = {.clip = clip, .params = params, .batch = batch};
    wh_clip_each *each = clip->each;
    for (unsigned k = 0; k < each->n_workers; k++) each->workers[k].begun = false;
    whist_status status = wh_pool_run(clip->options.pool, batch->n, add_one, &j);
    for (unsigned k = 0; k < each->n_workers; k++) {
        worker *w = &each->workers[k];
        carry(w, each->size);
        wh_clip_collect(clip, w->far);
        *smaller += w->smaller;
        w->smaller = 0;
    }
    return status;
}
