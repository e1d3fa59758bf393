/* meta/model.c: a whist_model as the objective of a task. */
#include "meta/model.h"

#include <string.h>

#include "nn/zoo.h"

enum { X, Y };

WH_AUTO_FREE(wh_value, wh_free)

whist_status wh_meta_model_init(wh_meta_model *out, const whist_model *model, size_t batch)
{
    const whist_model_shape shape = whist_model_shape_get(model);
    const char *name = whist_model_class_name(model);
    bool by_class = shape.target == WHIST_TARGET_CLASS;
    size_t n;
    const whist_tensor_info *tensors = whist_model_tensors(model, &n);
    if (shape.target == WHIST_TARGET_SURVIVAL)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a meta-learner of %s: the rows of survival data are not independent", name);
    if (shape.vocabulary > 0 || shape.n_targets > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a meta-learner of %s: rows of numbers with one target are needed", name);
    for (size_t i = 0; i < n; i++)
        if (!tensors[i].learned)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "a meta-learner of %s: '%s' is a running statistic, which no gradient moves: take norm: "
                    "transductive, group or none",
                    name, tensors[i].name);
    *out = (wh_meta_model){.model = model, .batch = batch, .parts = 1};
    out->arrays[X] = (wh_meta_array){.name = "x", .dims = WH_DIMS(batch, shape.n_features)};
    out->arrays[Y] = (wh_meta_array){.name = "y", .dims = WH_DIMS(batch), .limit = by_class ? shape.n_outputs : 0};
    return WHIST_OK;
}

void wh_meta_model_cut(wh_meta_model *m, size_t about, size_t steps)
{
    m->parts = wh_meta_parts(m->batch, about, steps);
    m->batch /= m->parts;
    for (size_t a = 0; a < WH_META_MODEL_ARRAYS; a++) {
        m->arrays[a].dims.dim[0] = m->batch;
        m->arrays[a].per_step = m->parts > 1;
        m->arrays[a].parts = m->parts;
    }
}

static wh_value build(void *user, wh_graph *g, const wh_value params[], const wh_value prior[], const wh_value data[])
{
    const wh_meta_model *m = user;
    const wh_model_use use = {
        .params = params, .batch = m->batch, .mode = WH_MODEL_STATISTICS, .x = data[X], .target = data[Y]};
    wh_model_values values;
    (void)prior;
    if (wh_model_graph(&values, g, m->model, &use) != WHIST_OK) return WH_NO_VALUE;
    wh_value loss = wh_graph_mean_all(g, values.losses), penalty = wh_model_penalty(g, m->model, params);
    return penalty == WH_NO_VALUE ? loss : wh_graph_add(g, loss, penalty);
}

wh_meta_objective wh_meta_model_objective(wh_meta_model *model)
{
    return (wh_meta_objective){build, model, model->arrays, WH_META_MODEL_ARRAYS};
}

whist_status wh_meta_model_tensors(wh_dims dims[], bool is_head[], const whist_model *model)
{
    size_t n;
    const whist_tensor_info *tensors = whist_model_tensors(model, &n);
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_value_ptr) params = NULL;
    wh_model_values values;
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(WH_NEW(&params, n));
    WH_TRY(wh_model_params(params, g, model));
    WH_TRY(wh_model_graph(&values, g, model, &(wh_model_use){.params = params, .batch = 1}));
    for (size_t i = 0; i < n; i++) {
        dims[i] = (wh_dims){.rank = (unsigned)tensors[i].n_dims};
        memcpy(dims[i].dim, tensors[i].shape, tensors[i].n_dims * sizeof *dims[i].dim);
        is_head[i] = i >= values.head;
    }
    return WHIST_OK;
}

whist_status wh_meta_model_gather(float *x, void *y, const wh_meta_model *m, const whist_rows *rows,
                                  const uint32_t index[])
{
    size_t stride = rows->x_stride ? rows->x_stride : rows->d, step = rows->y_stride ? rows->y_stride : 1;
    uint64_t classes = m->arrays[Y].limit;
    for (size_t i = 0; i < m->batch * m->parts; i++) {
        float target = rows->y[index[i] * step];
        memcpy(x + i * rows->d, rows->x + index[i] * stride, rows->d * sizeof *x);
        if (classes == 0) {
            ((float *)y)[i] = target;
            continue;
        }
        if (!(target >= 0 && target < (float)classes))
            WH_FAIL(WHIST_E_RANGE, "row %u: a target that is none of the %llu classes", index[i],
                    (unsigned long long)classes);
        ((uint32_t *)y)[i] = (uint32_t)target;
    }
    return WHIST_OK;
}
