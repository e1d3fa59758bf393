/* nn/step.c: the gradient of a batch, and the fused step of plain SGD.
 *
 * Backwards through layer l, with δ (B,N) = ∂loss/∂(its output before f) and v (B,M) its input:
 *   ∂W = v^T δ      ∂b = Σ_i δ_i      δ' = (δ W^T) ⊙ f'(v)
 * The fused step writes W − lr · v^T δ in one pass over W, after δ W^T has been taken; its products are the
 * ones of the gradient, so both ways give the same bits. */
#include <math.h>
#include <string.h>

#include "nn/model.h"

static size_t delta_stride(const wh_layer *layer)
{
    return wh_nn_stride(layer->out);
}

void wh_nn_back(const whist_model *model, size_t l, const float *params, const float *delta, float *out,
                const float *value, size_t n)
{
    const wh_num_kernels *k = model->kernels;
    const wh_layer *layer = &model->layers[l];
    const size_t ld = wh_nn_stride(layer->in);
    wh_num_gemm(k, WH_GEMM_NT, out, ld, delta, delta_stride(layer), params + layer->weight, layer->out, n, layer->in,
                layer->out);
    for (size_t i = 0; i < n; i++) {
        float *d = out + i * ld;
        const float *v = value + i * ld;
        switch (model->activation) {
        case WH_ACTIVATION_RELU: k->relu_back(d, v, layer->in); break;
        case WH_ACTIVATION_TANH: k->tanh_back(d, v, layer->in); break;
        case WH_ACTIVATION_SIGMOID: k->sigmoid_back(d, v, layer->in); break;
        case WH_ACTIVATION_GELU:
        case WH_ACTIVATION_GELU_TANH: break;
        }
    }
}

/* weight (M,N) becomes, or changes by alpha times, the turned gradient (N,M). */
static void turn_back(const whist_model *model, const wh_layer *layer, float *weight, const float *turned,
                      wh_gemm_mode mode, float alpha)
{
    if (mode == WH_GEMM_PUT)
        model->kernels->turn(weight, turned, layer->out, layer->in);
    else
        model->kernels->turn_axpy(weight, turned, layer->out, layer->in, alpha);
}

void wh_nn_weight_gradient(const whist_model *model, whist_model_work *work, const wh_layer *layer, float *weight,
                           const float *v, size_t ldv, const float *delta, size_t n, wh_gemm_mode mode, float alpha)
{
    const wh_num_kernels *k = model->kernels;
    const size_t ld = delta_stride(layer);
    if (layer->out == 1)
        k->gemm_bn(weight, layer->in, delta, 1, ld, v, ldv, 1, layer->in, n, mode, alpha);
    else if (wh_nn_is_narrow(layer, n)) {
        k->gemm_bn(work->turned, layer->in, delta, 1, ld, v, ldv, layer->out, layer->in, n, WH_GEMM_PUT, 0);
        turn_back(model, layer, weight, work->turned, mode, alpha);
    } else if (mode == WH_GEMM_PUT)
        wh_num_gemm(k, WH_GEMM_TN, weight, layer->out, v, ldv, delta, ld, layer->in, layer->out, n);
    else
        k->gemm_bn(weight, layer->out, v, 1, ldv, delta, ld, layer->in, layer->out, n, mode, alpha);
}

/* One walk back through the layers. With grad, the gradient is put there and params are only read;
 * else params take the step -lr at once. */
static void walk_back(const whist_model *model, whist_model_work *work, const wh_rows *rows, const float *params,
                      float *grad, float *stepped, float lr)
{
    const wh_num_kernels *k = model->kernels;
    const size_t n = rows->n;
    float *delta = work->delta[0], *spare = work->delta[1];
    for (size_t l = model->n_layers; l-- > 0;) {
        const wh_layer *layer = &model->layers[l];
        const float *v = l ? work->value[l - 1] : rows->x;
        const size_t ldv = l ? wh_nn_stride(layer->in) : rows->ldx;
        if (l) wh_nn_back(model, l, params, delta, spare, v, n);
        float *target = grad ? grad : stepped;
        if (!grad && l == 0 && work->picks)
            k->gemm_pick_m(stepped + layer->weight, layer->out, v, ldv, delta, delta_stride(layer), work->columns,
                           work->n_columns, layer->out, n, -lr);
        else
            wh_nn_weight_gradient(model, work, layer, target + layer->weight, v, ldv, delta, n,
                                  grad ? WH_GEMM_PUT : WH_GEMM_AXPY, -lr);
        if (layer->has_bias) {
            float *sums = grad ? grad + layer->bias : work->bias_grad;
            k->sum_rows(sums, delta, delta_stride(layer), n, layer->out);
            if (!grad) k->axpy(stepped + layer->bias, sums, layer->out, -lr);
        }
        float *swap = delta;
        delta = spare;
        spare = swap;
    }
}

static double penalty(const whist_model *model, const float *params)
{
    double sum = 0;
    if (model->l2 == 0) return 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        const float *w = params + layer->weight;
        for (size_t i = 0; i < layer->in * layer->out; i++) sum += (double)w[i] * (double)w[i];
    }
    return 0.5 * model->l2 * sum;
}

static void add_penalty(const whist_model *model, const float *params, float *grad)
{
    if (model->l2 == 0) return;
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        model->kernels->axpy(grad + layer->weight, params + layer->weight, layer->in * layer->out, (float)model->l2);
    }
}

static void gradient(const whist_model *model, whist_model_work *work, const wh_rows *rows, const float *params,
                     float *grad, double *loss)
{
    wh_nn_forward(model, work, params, rows->x, rows->ldx, rows->n, true);
    wh_nn_head(model, work, rows, grad ? work->delta[0] : NULL, loss);
    if (loss) *loss += penalty(model, params);
    if (!grad) return;
    walk_back(model, work, rows, params, grad, NULL, 0);
    add_penalty(model, params, grad);
}

whist_status whist_model_loss_grad(const whist_model *model, whist_model_work *work, const float *params,
                                   const whist_batch *batch, float *grad, double *loss)
{
    WH_ENSURE(model && work && params && batch && work->model == model, WHIST_E_ARG);
    if (work->compiled) return wh_compiled_loss_grad(work->compiled, params, batch, grad, loss);
    if (grad && wh_spread_fits(work, batch)) {
        WH_TRY(wh_spread_gradient(work, params, batch, grad, loss));
        if (loss) *loss += penalty(model, params);
        add_penalty(model, params, grad);
        return WHIST_OK;
    }
    wh_rows rows;
    WH_TRY(wh_nn_gather(&rows, model, work, batch));
    gradient(model, work, &rows, params, grad, loss);
    return WHIST_OK;
}

/* One pass is possible where nothing but the products meets the weights, and where wh_num_gemm would not have
 * sent a product to OpenBLAS, whose bits are others. */
static bool can_fuse(const whist_model *model, const whist_step_terms *terms, size_t n)
{
    if (model->l2 != 0 || (terms && (terms->mu != 0 || terms->correction))) return false;
    for (size_t l = 0; l < model->n_layers; l++)
        if (wh_num_is_large(model->kernels, WH_GEMM_TN, model->layers[l].in, model->layers[l].out, n)) return false;
    return true;
}

/* One narrow layer: groups of rows are gathered, scored, and added to the gradient while they are in the cache. The
 * sums of the gradient go on from group to group, so the bits are those of the whole. */
static void narrow_walk(const whist_model *model, whist_model_work *work, const wh_rows *rows, const whist_batch *batch,
                        float *params, float lr, double *loss)
{
    enum { GROUP = 32 };
    const wh_num_kernels *k = model->kernels;
    const wh_layer *layer = &model->layers[0];
    const size_t d = layer->in, width = layer->out, ld = delta_stride(layer), n = rows->n;
    const size_t stride = batch->row_stride ? batch->row_stride : d;
    float *scores = work->value[0], *delta = work->delta[0], *sums = work->grad;
    double total = 0;
    k->turn(work->turned, params + layer->weight, d, width);
    for (size_t i = 0; i < n; i += GROUP) {
        size_t some = n - i < GROUP ? n - i : GROUP;
        k->gather_nt(scores + i * ld, ld, work->x, rows->ldx, batch->rows, stride, batch->index + i, some, n - i - some,
                     work->turned, d, width, d);
        if (layer->has_bias) k->add_rows(scores + i * ld, ld, params + layer->bias, some, width);
        wh_nn_head_rows(model, rows, scores, (float)rows->n, delta, i, i + some, loss ? &total : NULL);
        k->gemm_bn(sums, d, delta + i * ld, 1, ld, work->x, rows->ldx, width, d, some, i ? WH_GEMM_MORE : WH_GEMM_PUT,
                   0);
    }
    turn_back(model, layer, params + layer->weight, sums, WH_GEMM_AXPY, -lr);
    if (layer->has_bias) {
        k->sum_rows(work->bias_grad, delta, ld, n, width);
        k->axpy(params + layer->bias, work->bias_grad, width, -lr);
    }
    if (loss) *loss = total / (double)n;
}

static bool walks_narrow(const whist_model *model, const whist_batch *batch)
{
    return model->n_layers == 1 && batch->index && model->shape.target != WHIST_TARGET_SURVIVAL &&
           wh_nn_is_narrow(&model->layers[0], batch->n);
}

/* params take the step from the gradient g, which the terms change. */
static void take_step(const whist_model *model, float *params, float *g, double lr, const whist_step_terms *terms)
{
    const wh_num_kernels *k = model->kernels;
    if (terms && terms->mu != 0) k->add_difference(g, params, terms->reference, model->size, (float)terms->mu);
    if (terms && terms->correction) k->add(g, terms->correction, model->size);
    k->axpy(params, g, model->size, -(float)lr);
}

static whist_status compiled_step(const whist_model *model, whist_model_work *work, float *params,
                                  const whist_batch *batch, double lr, const whist_step_terms *terms, double *loss)
{
    float *g = wh_compiled_grad(work->compiled);
    if (!g) return WHIST_E_NOMEM;
    WH_TRY(wh_compiled_loss_grad(work->compiled, params, batch, g, loss));
    take_step(model, params, g, lr, terms);
    wh_model_work_track(work, params);
    return WHIST_OK;
}

whist_status whist_model_sgd_step(const whist_model *model, whist_model_work *work, float *params,
                                  const whist_batch *batch, double lr, const whist_step_terms *terms, double *loss)
{
    WH_ENSURE(model && work && params && batch, WHIST_E_ARG);
    WH_ENSURE(isfinite(lr), WHIST_E_ARG);
    WH_ENSURE(!terms || terms->mu == 0 || terms->reference, WHIST_E_ARG);
    WH_ENSURE(work->model == model, WHIST_E_ARG);
    if (work->compiled) return compiled_step(model, work, params, batch, lr, terms, loss);
    wh_rows rows;
    if (walks_narrow(model, batch) && can_fuse(model, terms, batch->n)) {
        WH_TRY(wh_nn_gather_targets(&rows, model, work, batch));
        narrow_walk(model, work, &rows, batch, params, (float)lr, loss);
        return WHIST_OK;
    }
    WH_TRY(wh_nn_gather(&rows, model, work, batch));
    if (can_fuse(model, terms, rows.n)) {
        wh_nn_forward(model, work, params, rows.x, rows.ldx, rows.n, true);
        wh_nn_head(model, work, &rows, work->delta[0], loss);
        walk_back(model, work, &rows, params, NULL, params, (float)lr);
        return WHIST_OK;
    }
    gradient(model, work, &rows, params, work->grad, loss);
    take_step(model, params, work->grad, lr, terms);
    return WHIST_OK;
}
