/* meta/dp_parts.c: one task's gradient, one personal model. */
#include "meta/dp_parts.h"

#include <string.h>

WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_dims, wh_free)

static wh_meta_rule rule_of(const char *name)
{
    if (strcmp(name, "reptile") == 0) return WH_META_REPTILE;
    if (strcmp(name, "fomaml") == 0) return WH_META_FIRST_ORDER;
    return strcmp(name, "per-fedavg") == 0 ? WH_META_HESSIAN_FREE : WH_META_EXACT;
}

static whist_status make_meta(wh_meta_chain *c, const char *name)
{
    WH_AUTO(wh_dims_ptr) dims = NULL;
    size_t n;
    (void)whist_model_tensors(c->model, &n);
    WH_TRY(WH_NEW(&dims, n));
    WH_TRY(WH_NEW(&c->adapts, n));
    WH_TRY(wh_meta_model_tensors(dims, c->adapts, c->model));
    for (size_t i = 0; i < n; i++) {
        bool is_head = c->adapts[i];
        c->adapts[i] = strcmp(name, "anil") == 0 ? is_head : strcmp(name, "boil") == 0 ? !is_head : true;
    }
    wh_meta_problem problem = {.real = WH_F32, .params = dims, .n_params = n, .adapts = c->adapts};
    problem.rule = rule_of(name);
    problem.steps = c->inner_steps;
    problem.support = wh_meta_model_objective(&c->support);
    problem.query = wh_meta_model_objective(&c->query);
    if (problem.rule == WH_META_HESSIAN_FREE) problem.delta = 1e-3;
    WH_TRY(wh_meta_new(&c->meta, &problem));
    return wh_meta_work_new(&c->work, c->meta, 1);
}

whist_status wh_meta_chain_init(wh_meta_chain *out, const whist_model *model, const char *name, size_t support,
                                size_t query, double inner_lr, size_t inner_steps)
{
    size_t rows = support + query, d = whist_model_shape_get(model).n_features, values;
    *out = (wh_meta_chain){.model = model, .inner_lr = (float)inner_lr, .inner_steps = inner_steps};
    if (!wh_mul_size(&values, rows, d)) WH_FAIL(WHIST_E_RANGE, "the rows of a task do not fit memory");
    WH_TRY(wh_meta_model_init(&out->support, model, support));
    WH_TRY(wh_meta_model_init(&out->query, model, query));
    WH_TRY(WH_NEW_RAW(&out->x, values));
    WH_TRY(wh_alloc_raw(&out->y, rows, sizeof(uint32_t)));
    out->data[0] = out->x, out->data[1] = out->y;
    out->data[2] = out->x + support * d, out->data[3] = (uint32_t *)out->y + support;
    return make_meta(out, name);
}

void wh_meta_chain_clear(wh_meta_chain *chain)
{
    wh_meta_work_free(chain->work);
    wh_meta_free(chain->meta);
    wh_free(chain->adapts);
    wh_free(chain->x);
    wh_free(chain->y);
    *chain = (wh_meta_chain){.meta = NULL};
}

whist_status wh_meta_chain_gradient(float *grad, wh_meta_chain *c, const float *theta, const whist_rows *rows,
                                    const uint32_t index[])
{
    size_t support = c->support.batch;
    const wh_meta_at at = {.theta = theta, .rates = &c->inner_lr};
    const wh_meta_task task = {c->data, c->data + 2};
    WH_TRY(wh_meta_model_gather(c->x, c->y, &c->support, rows, index));
    WH_TRY(
        wh_meta_model_gather(c->x + support * rows->d, (uint32_t *)c->y + support, &c->query, rows, index + support));
    return wh_meta_one(&(wh_meta_gradient){.theta = grad}, c->work, 0, &at, &task);
}

whist_status wh_meta_personal(float *personal, const whist_model *model, const float *start, const whist_rows *rows,
                              double lr, size_t steps, const bool *adapts)
{
    WH_AUTO(whist_model_work_ptr) work = NULL;
    size_t n;
    const whist_tensor_info *tensors = whist_model_tensors(model, &n);
    if (rows->n == 0) WH_FAIL(WHIST_E_ARG, "no rows to adapt to");
    const whist_batch batch = {.rows = rows->x,
                               .target = rows->y,
                               .event = rows->event,
                               .weight = rows->weight,
                               .n_rows = rows->n,
                               .n = rows->n,
                               .row_stride = rows->x_stride,
                               .target_stride = rows->y_stride};
    WH_TRY(whist_model_work_new(&work, model, rows->n));
    memcpy(personal, start, whist_model_size(model) * sizeof *personal);
    for (size_t step = 0; step < steps; step++) {
        WH_TRY(whist_model_sgd_step(model, work, personal, &batch, lr, NULL, NULL));
        for (size_t i = 0; adapts && i < n; i++)
            if (!adapts[i])
                memcpy(personal + tensors[i].offset, start + tensors[i].offset, tensors[i].size * sizeof *personal);
    }
    return WHIST_OK;
}
