/* nn/compiled.c: steps and predictions of models that run as programs.
 *
 * A program has one batch size. Those that were used last are kept: the full batch, the smaller one at the end of a
 * pass, and the one that predicts. */
#include <string.h>

#include "nn/graph/lower.h"
#include "nn/model.h"

typedef enum purpose { LOSS, GRADIENT, PREDICTION } purpose;

typedef struct compiled_program {
    purpose what;
    size_t batch;
    uint64_t used; /* when last */
    wh_program *program;
    wh_run *run;
    wh_feed *feed;
    wh_value *params;
    wh_model_values values;
} compiled_program;

enum { KEPT = 4 };

struct wh_compiled {
    const whist_model *model;
    size_t max_batch;
    wh_pool *pool;
    uint64_t seed, clock;
    float *grad; /* (P), made when first asked for */
    compiled_program kept[KEPT];
    const compiled_program *last; /* gradient */
};

static void program_clear(compiled_program *p)
{
    wh_run_free(p->run);
    wh_program_free(p->program);
    wh_feed_free(p->feed);
    wh_free(p->params);
    *p = (compiled_program){0};
}
WH_AUTO_CLEAR(compiled_program, program_clear)

whist_status wh_compiled_new(wh_compiled **out, const whist_model *model, size_t max_batch)
{
    wh_compiled *c;
    WH_TRY(WH_NEW(&c, 1));
    c->model = model;
    c->max_batch = max_batch;
    *out = c;
    return WHIST_OK;
}

static void forget(wh_compiled *c)
{
    for (size_t i = 0; i < KEPT; i++) program_clear(&c->kept[i]);
    c->last = NULL;
}

void wh_compiled_free(wh_compiled *c)
{
    if (!c) return;
    forget(c);
    wh_free(c->grad);
    wh_free(c);
}

/* ---- Making programs ----------------------------------------------------------------------------------- */

/* Outputs: the loss; the gradient of each learned tensor; what each other tensor becomes. */
static whist_status gradient_outputs(wh_value *outputs, size_t *n, wh_graph *graph, const compiled_program *p,
                                     const whist_model *model, wh_value loss)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, model->n_tensors, sizeof(wh_value)));
    wh_value *learned = memory;
    size_t n_learned = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].learned) learned[n_learned++] = p->params[i];
    outputs[0] = loss;
    WH_TRY(wh_graph_gradient(outputs + 1, graph, loss, learned, n_learned));
    memcpy(outputs + 1 + n_learned, p->values.next, p->values.n_next * sizeof *outputs);
    *n = 1 + n_learned + p->values.n_next;
    return WHIST_OK;
}

static whist_status make(compiled_program *p, const wh_compiled *c)
{
    const whist_model *model = c->model;
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(WH_NEW(&p->params, model->n_tensors));
    WH_TRY(wh_alloc(&memory, model->n_tensors + 1 + WH_MODEL_MAX_NEXT, sizeof(wh_value)));
    WH_TRY(wh_model_params(p->params, graph, model));
    const wh_model_use use = {
        .params = p->params, .batch = p->batch, .mode = p->what == PREDICTION ? WH_MODEL_EVAL : WH_MODEL_TRAIN};
    WH_TRY(wh_model_graph(&p->values, graph, model, &use));
    wh_value *outputs = memory, weight = WH_NO_VALUE;
    size_t n = 1;
    outputs[0] = p->values.prediction;
    if (p->what != PREDICTION) outputs[0] = wh_model_mean_loss(&weight, graph, model, &p->values, p->params);
    if (p->what == GRADIENT) WH_TRY(gradient_outputs(outputs, &n, graph, p, model, outputs[0]));
    WH_TRY(wh_graph_lower(outputs, graph, n));
    WH_TRY(wh_program_new(&p->program, graph, outputs, n));
    WH_TRY(wh_run_new(&p->run, p->program, wh_pool_threads(c->pool)));
    WH_TRY(wh_feed_new(&p->feed, model, p->batch, WH_F32));
    return wh_feed_bind(p->run, p->feed, &p->values, weight);
}

static whist_status get(compiled_program **out, wh_compiled *c, purpose what, size_t batch)
{
    compiled_program *oldest = &c->kept[0];
    for (size_t i = 0; i < KEPT; i++) {
        compiled_program *p = &c->kept[i];
        if (p->program && p->what == what && p->batch == batch) {
            p->used = ++c->clock;
            *out = p;
            return WHIST_OK;
        }
        if (p->used < oldest->used) oldest = p;
    }
    WH_AUTO(compiled_program) made = {.what = what, .batch = batch, .used = ++c->clock};
    WH_TRY(make(&made, c));
    if (c->last == oldest) c->last = NULL;
    program_clear(oldest);
    *oldest = made;
    made = (compiled_program){0};
    *out = oldest;
    return WHIST_OK;
}

/* ---- Running them ----------------------------------------------------------------------------------------- */

static whist_status go(wh_compiled *c, compiled_program *p, const float *params, const whist_batch *batch)
{
    WH_TRY(wh_feed_fill(p->feed, batch));
    wh_feed_seed(p->feed, c->seed);
    WH_TRY(wh_model_bind_params(p->run, p->params, c->model, params, WH_F32));
    return wh_run_go(p->run, c->pool);
}

/* A program that fails has not touched its outputs: they may be the caller's memory. */
static whist_status bind_gradient(const compiled_program *p, const whist_model *model, float *grad)
{
    size_t output = 1;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const whist_tensor_info *tensor = &model->tensors[i];
        if (tensor->learned) WH_TRY(wh_run_output(p->run, output++, grad + tensor->offset));
    }
    return WHIST_OK;
}

whist_status wh_compiled_loss_grad(wh_compiled *c, const float *params, const whist_batch *batch, float *grad,
                                   double *loss)
{
    compiled_program *p;
    WH_TRY(wh_nn_check_batch(c->model, c->max_batch, batch, true));
    WH_TRY(get(&p, c, grad ? GRADIENT : LOSS, batch->n));
    if (grad) WH_TRY(bind_gradient(p, c->model, grad));
    WH_TRY(go(c, p, params, batch));
    for (size_t i = 0; grad && i < c->model->n_tensors; i++) {
        const whist_tensor_info *tensor = &c->model->tensors[i];
        if (!tensor->learned) memset(grad + tensor->offset, 0, tensor->size * sizeof *grad);
    }
    if (grad) c->last = p;
    if (loss) *loss = (double)*(const float *)wh_run_result(p->run, 0);
    return WHIST_OK;
}

whist_status wh_compiled_predict(wh_compiled *c, const float *params, const whist_batch *batch, float *out)
{
    const whist_model_shape *shape = &c->model->shape;
    const size_t width = shape->n_targets * shape->n_outputs;
    const size_t stride = batch->row_stride ? batch->row_stride : shape->n_features;
    WH_TRY(wh_nn_check_batch(c->model, SIZE_MAX, batch, false));
    for (size_t done = 0, part; done < batch->n; done += part) {
        part = batch->n - done < c->max_batch ? batch->n - done : c->max_batch;
        whist_batch piece = {.rows = batch->rows, .n_rows = batch->n_rows, .n = part, .row_stride = batch->row_stride};
        if (batch->index)
            piece.index = batch->index + done;
        else
            piece.rows += done * stride, piece.n_rows -= done;
        compiled_program *p;
        WH_TRY(get(&p, c, PREDICTION, wh_model_couples(c->model, WH_MODEL_TRAIN) ? part : c->max_batch));
        WH_TRY(go(c, p, params, &piece));
        memcpy(out + done * width, wh_run_result(p->run, 0), part * width * sizeof *out);
    }
    return WHIST_OK;
}

float *wh_compiled_grad(wh_compiled *c)
{
    if (!c->grad && wh_alloc_raw((void **)&c->grad, c->model->size, sizeof *c->grad) != WHIST_OK) return NULL;
    return c->grad;
}

/* ---- What learners set ------------------------------------------------------------------------------------- */

void wh_model_work_pool(whist_model_work *work, wh_pool *pool)
{
    if (work->pool == pool) return;
    work->pool = pool;
    wh_spread_free(work->spread); /* scratch goes by the number of threads */
    work->spread = NULL;
    if (!work->compiled) return;
    forget(work->compiled);
    work->compiled->pool = pool;
}

void wh_model_work_seed(whist_model_work *work, uint64_t seed)
{
    if (work->compiled) work->compiled->seed = seed;
}

void wh_model_work_track(const whist_model_work *work, float *params)
{
    const wh_compiled *c = work->compiled;
    if (!c || !c->last) return;
    const wh_model_values *values = &c->last->values;
    size_t output = 1;
    for (size_t i = 0; i < c->model->n_tensors; i++) output += c->model->tensors[i].learned;
    for (size_t i = 0; i < values->n_next; i++, output++) {
        const whist_tensor_info *tensor = &c->model->tensors[values->next_tensor[i]];
        memcpy(params + tensor->offset, wh_run_result(c->last->run, output), tensor->size * sizeof *params);
    }
}
