/* learn/evaluate.c: metrics of a model on rows.
 *
 * A metric over pairs (auc, cindex) or over counts of the whole (f1) needs all predictions at once. Those of classes
 * are sums over rows, so a long text or a large image set goes through in pieces. */
#include "learn/evaluate.h"

#include "learn/local.h"
#include "nn/model.h"

#include <string.h>

WH_AUTO_FREE(whist_model_work, whist_model_work_free)

enum { PIECE_NUMBERS = 1 << 22, PIECE_ROWS = 64 };

typedef struct evaluation {
    const whist_model *model;
    whist_model_shape shape;
    const float *params;
    const whist_rows *rows;
    whist_model_work *work;
    float *prediction, *target; /* (piece,T,K), (piece,T) */
    size_t n_targets, piece;
} evaluation;

static size_t piece_rows(const whist_model *model, const whist_rows *rows)
{
    const whist_model_shape shape = whist_model_shape_get(model);
    if (shape.target != WHIST_TARGET_CLASS || model->kind->dense) return rows->n;
    size_t n = PIECE_NUMBERS / (shape.n_targets * shape.n_outputs);
    n = n < 1 ? 1 : n > PIECE_ROWS ? PIECE_ROWS : n;
    return n < rows->n ? n : rows->n;
}

/* Rows [at, at + n): what was predicted and what is true. */
static whist_status predict(whist_metric_rows *out, const evaluation *e, size_t at, size_t n)
{
    whist_batch batch = wh_batch_of(e->rows);
    const size_t x_stride = batch.row_stride ? batch.row_stride : e->rows->d;
    const size_t y_stride = batch.target_stride ? batch.target_stride : e->n_targets;
    batch.rows += at * x_stride;
    batch.n_rows = batch.n = n;
    WH_TRY(whist_model_predict_batch(e->model, e->work, e->params, &batch, e->prediction));
    for (size_t i = 0; i < n; i++)
        memcpy(e->target + i * e->n_targets, e->rows->y + (at + i) * y_stride, e->n_targets * sizeof *e->target);
    *out = (whist_metric_rows){.prediction = e->prediction,
                               .target = e->target,
                               .event = e->rows->event ? e->rows->event + at : NULL,
                               .n = n * e->n_targets,
                               .shape = e->shape};
    return WHIST_OK;
}

static whist_status run(whist_metric_value *out, const evaluation *e, const char *const *metrics, size_t n_metrics)
{
    for (size_t at = 0; at < e->rows->n; at += e->piece) {
        size_t n = e->rows->n - at < e->piece ? e->rows->n - at : e->piece;
        whist_metric_rows seen;
        WH_TRY(predict(&seen, e, at, n));
        for (size_t m = 0; m < n_metrics; m++) {
            whist_metric_value part;
            WH_TRY(whist_metric_compute(&part, metrics[m], &seen));
            out[m].num += part.num, out[m].den += part.den, out[m].n += part.n;
        }
    }
    return WHIST_OK;
}

whist_status wh_learn_evaluate(whist_metric_value *out, const whist_model *model, const float *params,
                               const whist_rows *rows, const char *const *metrics, size_t n_metrics, wh_pool *pool)
{
    WH_ENSURE(out && model && params && rows, WHIST_E_ARG);
    for (size_t m = 0; m < n_metrics; m++) out[m] = (whist_metric_value){0, 0, 0};
    if (rows->n == 0 || n_metrics == 0) return WHIST_OK;
    evaluation e = {.model = model, .shape = whist_model_shape_get(model), .params = params, .rows = rows};
    e.n_targets = e.shape.n_targets;
    e.piece = piece_rows(model, rows);
    WH_ENSURE(e.n_targets == (rows->n_targets ? rows->n_targets : 1), WHIST_E_ARG);
    WH_AUTO(wh_owned) prediction = NULL;
    WH_AUTO(wh_owned) target = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_TRY(wh_alloc_raw(&prediction, e.piece, e.n_targets * e.shape.n_outputs * sizeof(float)));
    WH_TRY(wh_alloc_raw(&target, e.piece, e.n_targets * sizeof(float)));
    /* One row at a time in the dense stack: its products of a few rows and of many differ in the last bit. */
    size_t batch = rows->n < PIECE_ROWS ? rows->n : PIECE_ROWS;
    WH_TRY(whist_model_work_new(&work, model, model->kind->dense ? 1 : e.piece < batch ? e.piece : batch));
    wh_model_work_pool(work, pool);
    e.prediction = prediction;
    e.target = target;
    e.work = work;
    return run(out, &e, metrics, n_metrics);
}

whist_status whist_learn_evaluate(whist_metric_value *out, const whist_model *model, const float *params,
                                  const whist_rows *rows, const char *const *metrics, size_t n_metrics)
{
    return wh_learn_evaluate(out, model, params, rows, metrics, n_metrics, NULL);
}
