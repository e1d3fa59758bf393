/* nn/zoo.c: a model's graph: parameters in, walk, losses and predictions out. */
#include "nn/zoo.h"

#include "nn/net.h"

static wh_dims dims_of(const whist_tensor_info *info)
{
    wh_dims dims = {.rank = (unsigned)info->n_dims};
    for (unsigned i = 0; i < dims.rank; i++) dims.dim[i] = info->shape[i];
    return dims;
}

whist_status wh_model_params(wh_value out[], wh_graph *graph, const whist_model *model)
{
    WH_ENSURE(out && graph && model, WHIST_E_ARG);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const whist_tensor_info *info = &model->tensors[i];
        out[i] = wh_graph_input(graph, info->name, info->learned ? WH_PARAM : WH_SHARED, dims_of(info));
    }
    return wh_graph_status(graph);
}

whist_status wh_model_bind_params(wh_run *run, const wh_value params[], const whist_model *model, const void *flat,
                                  wh_real real)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        size_t at = model->tensors[i].offset;
        const void *data = real == WH_F32 ? (const void *)((const float *)flat + at) : (const double *)flat + at;
        WH_TRY(wh_run_input(run, params[i], data));
    }
    return WHIST_OK;
}

/* ---- Losses -------------------------------------------------------------------------------------------- */

static wh_value survival_loss(wh_graph *g, wh_model_values *v, size_t n)
{
    const wh_dims rows = WH_DIMS(n);
    v->cox = (wh_cox){
        .order = wh_graph_index(g, "order", WH_SHARED, rows, n),
        .end = wh_graph_index(g, "end", WH_SHARED, rows, n),
        .stratum = wh_graph_index(g, "stratum", WH_SHARED, rows, UINT64_C(1) << 32),
        .tie = wh_graph_index(g, "tie", WH_SHARED, rows, n),
        .event = wh_graph_input(g, "event", WH_SHARED, rows),
        .fraction = wh_graph_input(g, "fraction", WH_SHARED, rows),
    };
    return wh_graph_reshape(g, wh_graph_cox(g, wh_graph_reshape(g, v->scores, rows), &v->cox), WH_DIMS(1));
}

/* v->target: one that exists, or WH_NO_VALUE. */
static void finish(wh_graph *g, wh_model_values *v, const whist_model *model, size_t batch)
{
    const whist_model_shape *shape = &model->shape;
    const wh_dims rows = WH_DIMS(batch);
    v->prediction = v->scores;
    if (shape->target == WHIST_TARGET_SURVIVAL) {
        v->losses = survival_loss(g, v, batch);
        return;
    }
    if (shape->target == WHIST_TARGET_CLASS) {
        bool each = shape->n_targets > 1;
        wh_dims dims = each ? WH_DIMS(batch, shape->n_targets) : rows;
        if (v->target == WH_NO_VALUE) v->target = wh_graph_index(g, "target", WH_EXAMPLES, dims, shape->n_outputs);
        v->prediction = wh_graph_softmax(g, v->scores, false);
        v->losses = wh_graph_cross_entropy(g, v->scores, v->target);
        if (each) v->losses = wh_graph_mean(g, v->losses, 2U, false);
        return;
    }
    wh_value score = wh_graph_reshape(g, v->scores, rows);
    if (v->target == WH_NO_VALUE) v->target = wh_graph_input(g, "target", WH_EXAMPLES, rows);
    if (shape->target == WHIST_TARGET_BINARY) {
        v->prediction = wh_graph_sigmoid(g, v->scores);
        v->losses = wh_graph_binary_cross_entropy(g, score, v->target);
    } else {
        v->losses = wh_graph_squared_error(g, score, v->target);
    }
}

whist_status wh_model_graph(wh_model_values *out, wh_graph *graph, const whist_model *model, const wh_model_use *use)
{
    WH_ENSURE(out && graph && model && use && use->params && use->batch > 0, WHIST_E_ARG);
    const whist_model_shape *shape = &model->shape;
    const wh_dims rows = WH_DIMS(use->batch, shape->n_features);
    wh_model_values values = {.x = use->x, .target = use->target};
    if (values.x == WH_NO_VALUE)
        values.x = model->class_->rows == WHIST_ROWS_TOKENS
                       ? wh_graph_index(graph, "x", WH_EXAMPLES, rows, shape->vocabulary)
                       : wh_graph_input(graph, "x", WH_EXAMPLES, rows);
    wh_net net = {
        .model = model, .graph = graph, .params = use->params, .batch = use->batch, .mode = use->mode, .out = &values};
    net.statistics = use->statistics;
    values.scores = model->kind->build(&net, values.x);
    WH_TRY(net.failed);
    finish(graph, &values, model, use->batch);
    WH_TRY(wh_graph_status(graph));
    *out = values;
    return WHIST_OK;
}

/* ---- Sums of losses -------------------------------------------------------------------------------------- */

wh_value wh_model_penalty(wh_graph *graph, const whist_model *model, const wh_value params[])
{
    wh_value sum = WH_NO_VALUE;
    for (size_t i = 0; model->l2 != 0 && i < model->n_tensors; i++) {
        if (!model->penalised[i]) continue;
        wh_value part = wh_graph_dot(graph, params[i], params[i]);
        sum = sum == WH_NO_VALUE ? part : wh_graph_add(graph, sum, part);
    }
    return sum == WH_NO_VALUE ? WH_NO_VALUE : wh_graph_scale(graph, sum, 0.5 * model->l2);
}

wh_value wh_model_mean_loss(wh_value *weight, wh_graph *graph, const whist_model *model, const wh_model_values *values,
                            const wh_value params[])
{
    *weight = wh_graph_input(graph, "weight", model->shape.target == WHIST_TARGET_SURVIVAL ? WH_SHARED : WH_EXAMPLES,
                             wh_graph_dims(graph, values->losses));
    wh_value loss = wh_graph_dot(graph, *weight, values->losses), penalty = wh_model_penalty(graph, model, params);
    return penalty == WH_NO_VALUE ? loss : wh_graph_add(graph, loss, penalty);
}

bool wh_model_couples(const whist_model *model, unsigned mode)
{
    if (model->shape.target == WHIST_TARGET_SURVIVAL) return true;
    return model->couples && (model->zoo.norm == WH_NORM_TRANSDUCTIVE || (mode & WH_MODEL_STATISTICS));
}

bool wh_model_drops(const whist_model *model)
{
    return model->drops;
}
