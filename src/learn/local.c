/* learn/local.c: batches, working copy, difference. */
#include "learn/local.h"

#include "learn/learners.h"

#include <string.h>

whist_batch wh_batch_of(const whist_rows *rows)
{
    return (whist_batch){
        .rows = rows->x,
        .target = rows->y,
        .event = rows->event,
        .weight = rows->weight,
        .n_rows = rows->n,
        .row_stride = rows->x_stride,
        .target_stride = rows->y_stride,
    };
}

static uint64_t count_steps(const whist_settings *settings, size_t rows, size_t batch_rows)
{
    uint64_t updates = (uint64_t)whist_settings_int(settings, "updates");
    if (updates) return updates;
    return (uint64_t)whist_settings_int(settings, "epochs") * ((rows + batch_rows - 1) / batch_rows);
}

static whist_status init(wh_local *out, const whist_learner_env *env)
{
    out->env = env;
    out->n = whist_model_size(env->model);
    out->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    if (out->train.n == 0) WH_FAIL(WHIST_E_FORMAT, "%s has no training rows", env->site);
    out->batch_rows = (size_t)whist_settings_int(env->settings, "batch");
    if (out->batch_rows == 0 || out->batch_rows > out->train.n) out->batch_rows = out->train.n;
    out->lr = whist_settings_real(env->settings, "lr");
    out->steps = count_steps(env->settings, out->train.n, out->batch_rows);
    out->batch = wh_batch_of(&out->train);
    WH_TRY(WH_NEW_RAW(&out->params, out->n));
    WH_TRY(WH_NEW_RAW(&out->delta, out->n));
    WH_TRY(whist_model_work_new(&out->work, env->model, out->batch_rows));
    const wh_draw_design design = {
        .kind = out->batch_rows == out->train.n ? WH_DRAW_FULL : WH_DRAW_SHUFFLED_PASS,
        .n = out->train.n,
        .batch = out->batch_rows,
    };
    return wh_draw_init(&out->draw, &design, env->seed, env->site, 0);
}

whist_status wh_local_refuse_dropout(const whist_model *model)
{
    if (wh_model_drops(model))
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "dropout goes by the numbers of rows, and one row that leaves changes those of others: set dropout: 0");
    return WHIST_OK;
}

whist_status wh_local_init(wh_local *out, const whist_learner_env *env)
{
    *out = (wh_local){.draw = WH_DRAW_EMPTY};
    whist_status status = init(out, env);
    if (status != WHIST_OK) wh_local_clear(out);
    return status;
}

static whist_status init_bare(wh_local *out, const whist_learner_env *env)
{
    out->env = env;
    out->n = whist_model_size(env->model);
    out->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    out->lr = whist_settings_real(env->settings, "lr");
    out->steps = (uint64_t)whist_settings_int(env->settings, "updates");
    WH_TRY(WH_NEW_RAW(&out->params, out->n));
    return WH_NEW_RAW(&out->delta, out->n);
}

whist_status wh_local_init_bare(wh_local *out, const whist_learner_env *env)
{
    *out = (wh_local){.draw = WH_DRAW_EMPTY};
    whist_status status = init_bare(out, env);
    if (status != WHIST_OK) wh_local_clear(out);
    return status;
}

void wh_local_clear(wh_local *local)
{
    whist_model_work_free(local->work);
    wh_free(local->params);
    wh_free(local->delta);
    wh_draw_clear(&local->draw);
    *local = (wh_local){.draw = WH_DRAW_EMPTY};
}

whist_status wh_local_load(wh_local *local, const whist_learner_round *round)
{
    if (round->n != local->n)
        WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, local->n);
    memcpy(local->params, round->model, local->n * sizeof *local->params);
    return WHIST_OK;
}

whist_status wh_local_begin(wh_local *local, const whist_learner_round *round)
{
    WH_TRY(wh_local_load(local, round));
    wh_draw_restart(&local->draw, local->env->seed, local->env->site, round->round);
    wh_seeded_init(&local->dropout, local->env->seed, "dropout", local->env->site, round->round);
    return WHIST_OK;
}

void wh_local_next(wh_local *local)
{
    wh_draw_next(&local->draw, &local->batch.index, &local->batch.n);
    wh_model_work_seed(local->work, wh_seeded_u64(&local->dropout));
}

void wh_local_finish(wh_local *local, const whist_learner_round *round, double steps, whist_update *out)
{
    for (size_t i = 0; i < local->n; i++) local->delta[i] = local->params[i] - round->model[i];
    *out = (whist_update){.n_vectors = 1, .vectors = {local->delta}, .rows = (double)local->train.n, .steps = steps};
}

whist_status wh_local_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    return wh_learner_measure(out, ((wh_local_learner *)self)->local.env, model, fold);
}

whist_status wh_local_adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal)
{
    wh_local *local = &((wh_local_learner *)self)->local;
    if (support->n == 0) WH_FAIL(WHIST_E_ARG, "no rows to adapt to");
    size_t batch_rows = support->n < local->batch_rows ? support->n : local->batch_rows;
    const wh_draw_design design = {.kind = WH_DRAW_SHUFFLED_PASS, .n = support->n, .batch = batch_rows};
    WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
    WH_TRY(wh_draw_init(&draw, &design, local->env->seed, local->env->site, UINT64_MAX));
    whist_batch batch = wh_batch_of(support);
    memcpy(local->params, model, local->n * sizeof *model);
    for (uint64_t step = 0; step < local->steps; step++) {
        wh_draw_next(&draw, &batch.index, &batch.n);
        WH_TRY(whist_model_sgd_step(local->env->model, local->work, local->params, &batch, local->lr, NULL, NULL));
    }
    memcpy(personal, local->params, local->n * sizeof *personal);
    return WHIST_OK;
}

whist_status wh_local_show(const wh_local *local, const float *grad, double clip, double divisor)
{
    const whist_release_watch *watch = local->env->watch;
    if (!watch) return WHIST_OK;
    const whist_release release = {local->params, grad, local->n, clip, divisor};
    return watch->see(watch->user, &release);
}
