/* nn/forward.c: from rows to scores, and from scores to predictions.
 *
 * value_l (B,N) = f(value_{l-1} (B,M) · W_l (M,N) + b_l (N)); the last layer has no f. */
#include <math.h>
#include <string.h>

#include "nn/model.h"

static void activate(const whist_model *model, float *value, size_t n)
{
    const wh_num_kernels *k = model->kernels;
    switch (model->activation) {
    case WH_ACTIVATION_RELU: k->relu(value, value, n); break;
    case WH_ACTIVATION_TANH: k->tanh(value, value, n); break;
    case WH_ACTIVATION_SIGMOID: k->sigmoid(value, value, n); break;
    case WH_ACTIVATION_GELU:
    case WH_ACTIVATION_GELU_TANH: break; /* no class of dense layers has them */
    }
}

/* Images and one-hot columns are mostly zeros: in a small batch many features are zero in every row. Their
 * rows of the first W take no part, which changes no bit. */
static void pick_columns(const whist_model *model, whist_model_work *work, const float *x, size_t ldx, size_t n)
{
    const size_t d = model->shape.n_features;
    work->picks = false;
    if (n > 32 || d < 64 || model->layers[0].out == 1) return;
    work->n_columns = model->kernels->used_columns(work->columns, x, ldx, n, d);
    work->picks = work->n_columns <= d - d / 8;
}

static void multiply(const whist_model *model, const whist_model_work *work, size_t l, const float *weight,
                     float *value, const float *x, size_t ldx, size_t n, bool train)
{
    const wh_num_kernels *k = model->kernels;
    const wh_layer *layer = &model->layers[l];
    const size_t ld = wh_nn_stride(layer->out);
    if (layer->out == 1) /* a column is a row: dot products along the features */
        wh_num_gemm(k, WH_GEMM_NT, value, ld, x, ldx, weight, layer->in, n, 1, layer->in);
    else if (l == 0 && work->picks)
        k->gemm_pick_k(value, ld, x, ldx, weight, layer->out, n, layer->out, work->columns, work->n_columns);
    else if (train && wh_nn_is_narrow(layer, n)) {
        k->turn(work->turned, weight, layer->in, layer->out);
        k->gemm_nt(value, ld, x, ldx, work->turned, layer->in, n, layer->out, layer->in);
    } else
        wh_num_gemm(k, WH_GEMM_NN, value, ld, x, ldx, weight, layer->out, n, layer->out, layer->in);
}

void wh_nn_forward(const whist_model *model, whist_model_work *work, const float *params, const float *x, size_t ldx,
                   size_t n, bool train)
{
    const wh_num_kernels *k = model->kernels;
    pick_columns(model, work, x, ldx, n);
    for (size_t l = 0; l < model->n_layers; l++) {
        const wh_layer *layer = &model->layers[l];
        float *value = work->value[l];
        size_t ld = wh_nn_stride(layer->out);
        multiply(model, work, l, params + layer->weight, value, x, ldx, n, train);
        if (layer->has_bias) k->add_rows(value, ld, params + layer->bias, n, layer->out);
        if (l + 1 < model->n_layers) activate(model, value, n * ld); /* the gaps between rows too: harmless */
        x = value;
        ldx = ld;
    }
}

/* p (K) from scores z (K): e^(z - max) over their sum, added up in the order of `sum`. */
static void softmax_row(const wh_num_kernels *k, float *p, const float *z, size_t n)
{
    float most = z[0];
    for (size_t j = 1; j < n; j++) most = z[j] > most ? z[j] : most;
    for (size_t j = 0; j < n; j++) p[j] = z[j] - most;
    k->exp(p, p, n);
    float total = k->sum(p, n);
    for (size_t j = 0; j < n; j++) p[j] = p[j] / total;
}

static void to_predictions(const whist_model *model, float *out, const float *scores, size_t ld, size_t n)
{
    const size_t width = model->shape.n_outputs;
    for (size_t i = 0; i < n; i++) {
        if (model->shape.target == WHIST_TARGET_CLASS)
            softmax_row(model->kernels, out + i * width, scores + i * ld, width);
        else
            out[i] = scores[i * ld];
    }
    if (model->shape.target == WHIST_TARGET_BINARY) model->kernels->sigmoid(out, out, n);
}

/* Rows that are picked by index go through the work's own memory. */
static const float *picked(whist_model_work *work, const whist_batch *batch, size_t from, size_t n, size_t *ld)
{
    const size_t d = work->model->shape.n_features, stride = batch->row_stride ? batch->row_stride : d;
    *ld = batch->index ? wh_nn_stride(d) : stride;
    if (!batch->index) return batch->rows + from * stride;
    for (size_t i = 0; i < n; i++)
        memcpy(work->x + i * *ld, batch->rows + batch->index[from + i] * stride, d * sizeof(float));
    return work->x;
}

whist_status whist_model_predict_batch(const whist_model *model, whist_model_work *work, const float *params,
                                       const whist_batch *batch, float *out)
{
    WH_ENSURE(model && work && params && batch && work->model == model, WHIST_E_ARG);
    if (batch->n == 0) return WHIST_OK;
    WH_ENSURE(out, WHIST_E_ARG);
    if (work->compiled) return wh_compiled_predict(work->compiled, params, batch, out);
    WH_TRY(wh_nn_check_batch(model, SIZE_MAX, batch, false));
    if (wh_pool_threads(work->pool) > 1) return wh_spread_predict(work, params, batch, out);
    const size_t width = model->shape.n_outputs;
    for (size_t done = 0; done < batch->n;) {
        size_t part = batch->n - done < work->max_batch ? batch->n - done : work->max_batch, ld;
        const float *x = picked(work, batch, done, part, &ld);
        wh_nn_forward(model, work, params, x, ld, part, false);
        to_predictions(model, out + done * width, work->value[model->n_layers - 1], wh_nn_stride(width), part);
        done += part;
    }
    return WHIST_OK;
}

whist_status whist_model_predict(const whist_model *model, whist_model_work *work, const float *params, const float *x,
                                 size_t n, float *out)
{
    WH_ENSURE(model && work && params && (n == 0 || (x && out)), WHIST_E_ARG);
    const whist_batch batch = {.rows = x, .n_rows = n, .n = n};
    return whist_model_predict_batch(model, work, params, &batch, out);
}

/* ---- Losses ---------------------------------------------------------------------------------
 * Differences are float32, as the gradient is; the loss itself is reported in double. */

static double squared(float *d, float z, float y)
{
    float error = z - y;
    if (d) *d = 2.0f * error;
    return (double)error * (double)error;
}

/* ln(1 + e^z) - z y without overflow; p comes from the sigmoid kernel. */
static double binary(float *d, float z, float p, float y)
{
    if (d) *d = p - y;
    double s = (double)z;
    return fmax(s, 0) - s * (double)y + log1p(exp(-fabs(s)));
}

static double class_loss(const float *z, size_t n, float y)
{
    double most = (double)z[0], total = 0;
    for (size_t j = 1; j < n; j++) most = fmax(most, (double)z[j]);
    for (size_t j = 0; j < n; j++) total += exp((double)z[j] - most);
    return log(total) + most - (double)z[(size_t)y];
}

/* d (rows, ld) = softmax(z) - [column = class]: one exponential for all rows, the gaps between them too. */
static void class_delta(const wh_num_kernels *k, float *d, const float *z, size_t ld, size_t width, const float *y,
                        size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        const float *from = z + i * ld;
        float most = from[0];
        for (size_t j = 1; j < width; j++) most = from[j] > most ? from[j] : most;
        for (size_t j = 0; j < width; j++) d[i * ld + j] = from[j] - most;
    }
    k->exp(d, d, rows * ld);
    for (size_t i = 0; i < rows; i++) {
        float *row = d + i * ld, total = k->sum(row, width);
        for (size_t j = 0; j < width; j++) row[j] = row[j] / total;
        size_t right = (size_t)y[i];
        row[right] = row[right] - 1.0f;
    }
}

void wh_nn_head_rows(const whist_model *model, const wh_rows *rows, const float *scores, float divisor, float *delta,
                     size_t from, size_t to, double *loss)
{
    const wh_num_kernels *k = model->kernels;
    const size_t width = model->shape.n_outputs, ld = wh_nn_stride(width);
    if (delta && model->shape.target == WHIST_TARGET_CLASS)
        class_delta(k, delta + from * ld, scores + from * ld, ld, width, rows->y + from, to - from);
    for (size_t i = from; i < to; i++) {
        const float *z = scores + i * ld;
        float *d = delta ? delta + i * ld : NULL, p = 0, weight = rows->weight ? rows->weight[i] : 1.0f;
        double part = 0;
        if (model->shape.target == WHIST_TARGET_VALUE) part = squared(d, *z, rows->y[i]);
        if (model->shape.target == WHIST_TARGET_CLASS && loss) part = class_loss(z, width, rows->y[i]);
        if (model->shape.target == WHIST_TARGET_BINARY) {
            k->sigmoid(&p, z, 1);
            part = binary(d, *z, p, rows->y[i]);
        }
        if (loss) *loss += (double)weight * part;
        if (d) k->scale(d, width, weight / divisor);
    }
}

void wh_nn_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, float *delta, double *loss)
{
    const float *scores = work->value[model->n_layers - 1];
    if (model->shape.target == WHIST_TARGET_SURVIVAL) {
        wh_cox_head(model, work, rows, scores, wh_nn_stride(model->shape.n_outputs), delta, loss);
        return;
    }
    double sum = 0;
    wh_nn_head_rows(model, rows, scores, (float)rows->n, delta, 0, rows->n, loss ? &sum : NULL);
    if (loss) *loss = sum / (double)rows->n;
}
