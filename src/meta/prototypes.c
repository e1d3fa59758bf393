/* meta/prototypes.c: rows through an embedding, means into a head. */
#include "meta/prototypes.h"

#include <string.h>

#include "base/status.h"
#include "meta/model.h"

/* The head's weight (F, outputs) and bias, by the tensors of the model. */
static whist_status find_head(wh_prototypes *p, size_t head, const char *learner)
{
    size_t n;
    const whist_tensor_info *t = whist_model_tensors(p->model, &n);
    const whist_model_shape shape = whist_model_shape_get(p->model);
    bool classes = shape.target == WHIST_TARGET_CLASS || shape.target == WHIST_TARGET_BINARY;
    if (!classes || head + 2 != n || t[head].n_dims != 2 || t[head + 1].size != t[head].shape[1])
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "%s needs a task of classes and a model that ends in a dense layer with bias; %s is none", learner,
                whist_model_class_name(p->model));
    p->features = t[head].shape[0];
    p->outputs = t[head].shape[1];
    p->classes = shape.target == WHIST_TARGET_BINARY ? 2 : p->outputs;
    p->weight = t[head].offset;
    p->bias = t[head + 1].offset;
    return WHIST_OK;
}

static whist_status init(wh_prototypes *p, const char *learner)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_model_values values;
    size_t n, numbers;
    wh_meta_model rows;
    WH_TRY(wh_meta_model_init(&rows, p->model, 1)); /* refuses what is no set of independent rows */
    (void)whist_model_tensors(p->model, &n);
    if (!wh_mul_size(&numbers, p->batch, whist_model_shape_get(p->model).n_features))
        WH_FAIL(WHIST_E_RANGE, "%zu rows at once do not fit memory", p->batch);
    WH_TRY(WH_NEW(&p->x, numbers));
    WH_TRY(WH_NEW(&p->theta, whist_model_size(p->model)));
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(WH_NEW(&p->params, n));
    WH_TRY(wh_model_params(p->params, g, p->model));
    WH_TRY(wh_model_graph(&values, g, p->model,
                          &(wh_model_use){.params = p->params, .batch = p->batch, .mode = WH_MODEL_EVAL}));
    wh_value out = wh_graph_scale(g, values.features, 1); /* of a model without layers the features are its input */
    WH_TRY(wh_graph_status(g));
    WH_TRY(find_head(p, values.head, learner));
    WH_TRY(wh_program_new(&p->program, g, &out, 1));
    WH_TRY(wh_run_new(&p->run, p->program, 1));
    WH_TRY(wh_model_bind_params(p->run, p->params, p->model, p->theta, WH_F32));
    return wh_run_input(p->run, values.x, p->x);
}

whist_status wh_prototypes_init(wh_prototypes *out, const whist_model *model, const char *learner, size_t batch)
{
    *out = (wh_prototypes){.model = model, .batch = batch};
    whist_status status = init(out, learner);
    if (status != WHIST_OK) wh_prototypes_clear(out);
    return status;
}

void wh_prototypes_clear(wh_prototypes *p)
{
    wh_run_free(p->run);
    wh_program_free(p->program);
    wh_free(p->params);
    wh_free(p->x);
    wh_free(p->theta);
    *p = (wh_prototypes){.model = NULL};
}

whist_status wh_prototypes_embed(const float **out, wh_prototypes *p, const whist_rows *rows, size_t from, size_t n)
{
    size_t stride = rows->x_stride ? rows->x_stride : rows->d;
    WH_CHECK(n > 0 && n <= p->batch && from + n <= rows->n);
    for (size_t i = 0; i < n; i++) memcpy(p->x + i * rows->d, rows->x + (from + i) * stride, rows->d * sizeof *p->x);
    memset(p->x + n * rows->d, 0, (p->batch - n) * rows->d * sizeof *p->x); /* the same bits whatever was there */
    WH_TRY(wh_run_go(p->run, NULL));
    *out = wh_run_result(p->run, 0);
    return WHIST_OK;
}

size_t wh_prototypes_class(const wh_prototypes *p, const whist_rows *rows, size_t i)
{
    float y = rows->y[i * (rows->y_stride ? rows->y_stride : 1)];
    return y >= 0 && y < (float)p->classes ? (size_t)y : p->classes;
}

/* Of two classes and one score, what speaks for the second. */
void wh_prototypes_put(float *params, const wh_prototypes *p, const float *means)
{
    size_t width = p->features + 1;
    bool one = p->outputs < p->classes;
    for (size_t k = 0; k < p->outputs; k++) {
        const float *mean = means + (one ? 1 : k) * width, *first = means;
        for (size_t j = 0; j < p->features; j++)
            params[p->weight + j * p->outputs + k] = 2 * (mean[j] - (one ? first[j] : 0));
        params[p->bias + k] = (one ? first[p->features] : 0) - mean[p->features];
    }
}
