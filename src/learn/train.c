/* learn/train.c: the steps of a central training.
 *
 * Epoch e shuffles the rows by the stream (seed, "order", "training", e); step t drops out by a seed of (seed, t). So a
 * place in the training is a number, and going on from it needs no state of the streams. */
#include "learn/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "learn/evaluate.h"
#include "learn/local.h"

#define STREAM "training"

const whist_option *whist_training_options(const char *optimizer)
{
    const wh_optimizer_class *class_ = wh_optimizer_find(optimizer);
    return class_ ? class_->options : NULL;
}

/* ---- Life --------------------------------------------------------------------------------------------- */

static whist_status plan_steps(whist_train *t)
{
    const whist_training *training = &t->env.training;
    t->rows = whist_dataset_rows(t->env.data, WHIST_FOLD_TRAIN);
    if (t->rows.n == 0) WH_FAIL(WHIST_E_FORMAT, "there are no training rows");
    if (t->rows.n > UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "more than 2^32 - 1 training rows");
    t->batch_rows = training->batch && training->batch < t->rows.n ? (size_t)training->batch : t->rows.n;
    t->pass = (t->rows.n + t->batch_rows - 1) / t->batch_rows;
    t->total = training->steps ? training->steps : training->epochs * t->pass;
    t->evaluate_every = training->evaluate_every ? training->evaluate_every : t->pass;
    if (t->total == 0) WH_FAIL(WHIST_E_ARG, "a training of no steps: set epochs or steps");
    return WHIST_OK;
}

static whist_status init(whist_train *t)
{
    const whist_train_env *env = &t->env;
    const wh_optimizer_class *class_ = wh_optimizer_find(env->training.optimizer);
    WH_ENSURE(class_ && env->training.settings && env->n_metrics <= WHIST_MAX_METRICS, WHIST_E_ARG);
    WH_TRY(plan_steps(t));
    WH_TRY(wh_schedule_read(&t->schedule, env->training.settings, t->total));
    t->lr = whist_settings_real(env->training.settings, "lr");
    t->n = whist_model_size(env->model);
    WH_TRY(wh_optimizer_new(&t->optimizer, class_, env->training.settings, t->n));
    WH_TRY(WH_NEW(&t->params, t->n));
    WH_TRY(WH_NEW_RAW(&t->grad, t->n));
    WH_TRY(wh_pool_new(&t->pool, env->threads));
    WH_TRY(whist_model_work_new(&t->work, env->model, t->batch_rows));
    wh_model_work_pool(t->work, t->pool);
    whist_model_init(env->model, t->params, env->seed);
    const wh_draw_design design = {.kind = t->batch_rows == t->rows.n ? WH_DRAW_FULL : WH_DRAW_SHUFFLED_PASS,
                                   .n = t->rows.n,
                                   .batch = t->batch_rows};
    return wh_draw_init(&t->draw, &design, env->seed, STREAM, 0);
}

whist_status whist_train_new(whist_train **out, const whist_train_env *env)
{
    WH_ENSURE(out && env && env->model && env->data && env->study, WHIST_E_ARG);
    whist_train *train;
    WH_TRY(WH_NEW(&train, 1));
    train->env = *env;
    train->draw = (wh_draw)WH_DRAW_EMPTY;
    whist_status status = init(train);
    if (status != WHIST_OK) {
        whist_train_free(train);
        return status;
    }
    *out = train;
    return WHIST_OK;
}

void whist_train_free(whist_train *train)
{
    if (!train) return;
    whist_model_work_free(train->work);
    wh_optimizer_free(train->optimizer);
    wh_pool_free(train->pool);
    wh_draw_clear(&train->draw);
    wh_free(train->params);
    wh_free(train->grad);
    wh_free(train->points);
    wh_free(train);
}

/* ---- Looking at it --------------------------------------------------------------------------------------- */

const whist_train_point *whist_train_points(const whist_train *train, size_t *n)
{
    *n = train->n_points;
    return train->points;
}

const float *whist_train_params(const whist_train *train)
{
    return train->params;
}

uint64_t whist_train_done(const whist_train *train, uint64_t *total)
{
    if (total) *total = train->total;
    return train->step;
}

whist_status whist_train_measure(const whist_train *train, whist_fold fold, whist_metric_value *out)
{
    const whist_rows rows = whist_dataset_rows(train->env.data, fold);
    return wh_learn_evaluate(out, train->env.model, train->params, &rows, train->env.metrics, train->env.n_metrics,
                             train->pool);
}

/* ---- Points ---------------------------------------------------------------------------------------------- */

whist_status wh_train_reserve(whist_train *train, size_t n_points)
{
    if (n_points <= train->cap_points) return WHIST_OK;
    size_t cap = 2 * n_points + 8;
    whist_train_point *points;
    WH_TRY(WH_NEW(&points, cap));
    if (train->n_points) memcpy(points, train->points, train->n_points * sizeof *points);
    wh_free(train->points);
    train->points = points;
    train->cap_points = cap;
    return WHIST_OK;
}

static whist_status add_point(whist_train *t, double lr)
{
    WH_TRY(wh_train_reserve(t, t->n_points + 1));
    bool validates = whist_dataset_rows(t->env.data, WHIST_FOLD_VALIDATION).n > 0;
    whist_train_point point = {.step = t->step,
                               .epoch = (double)t->step / (double)t->pass,
                               .lr = lr,
                               .loss = t->loss_n ? t->loss_sum / (double)t->loss_n : NAN,
                               .fold = validates ? WHIST_FOLD_VALIDATION : WHIST_FOLD_TEST};
    WH_TRY(whist_train_measure(t, point.fold, point.metrics));
    t->points[t->n_points++] = point;
    t->loss_sum = 0;
    t->loss_n = 0;
    return WHIST_OK;
}

/* ---- Steps ----------------------------------------------------------------------------------------------- */

void wh_train_seek(whist_train *t)
{
    wh_draw_restart(&t->draw, t->env.seed, STREAM, t->step / t->pass);
    const uint32_t *index;
    size_t n;
    for (uint64_t i = 0; i < t->step % t->pass; i++) wh_draw_next(&t->draw, &index, &n);
}

static uint64_t dropout_seed(uint64_t seed, uint64_t step)
{
    wh_seeded stream;
    wh_seeded_init(&stream, seed, "dropout", STREAM, step);
    return wh_seeded_u64(&stream);
}

static whist_status take_step(whist_train *t, double *lr)
{
    whist_batch batch = wh_batch_of(&t->rows);
    double loss;
    if (t->step % t->pass == 0) wh_train_seek(t);
    wh_draw_next(&t->draw, &batch.index, &batch.n);
    wh_model_work_seed(t->work, dropout_seed(t->env.seed, t->step));
    WH_TRY(whist_model_loss_grad(t->env.model, t->work, t->params, &batch, t->grad, &loss));
    if (!isfinite(loss))
        WH_FAIL(WHIST_E_RANGE, "the loss of step %llu is not finite: lower lr, or set clip or warmup",
                (unsigned long long)t->step + 1);
    *lr = wh_schedule_rate(&t->schedule, t->lr, t->step);
    wh_optimizer_step(t->optimizer, t->params, t->grad, *lr, t->pool);
    wh_model_work_track(t->work, t->params);
    t->step++;
    t->loss_sum += loss;
    t->loss_n++;
    return WHIST_OK;
}

static bool tell(const whist_train *t, const whist_train_go *go)
{
    char note[64] = "";
    if (!go->progress) return true;
    double loss = t->loss_n ? t->loss_sum / (double)t->loss_n : t->n_points ? t->points[t->n_points - 1].loss : NAN;
    if (!isnan(loss)) snprintf(note, sizeof note, "loss %.4f", loss);
    const whist_progress now = {"train", t->step, t->total, note};
    return go->progress(go->user, &now);
}

whist_status whist_train_run(whist_train *t, const whist_train_go *go)
{
    WH_ENSURE(t && go, WHIST_E_ARG);
    const uint64_t every = go->every ? go->every : t->pass;
    wh_train_seek(t);
    while (t->step < t->total) {
        double lr;
        WH_TRY(take_step(t, &lr));
        bool last = t->step == t->total;
        if (last || t->step % t->evaluate_every == 0) WH_TRY(add_point(t, lr));
        bool go_on = tell(t, go) || last;
        if (go->checkpoint && (last || !go_on || t->step % every == 0)) WH_TRY(whist_train_save(t, go->checkpoint));
        if (!go_on)
            WH_FAIL(WHIST_E_CANCELLED, "stopped after step %llu of %llu", (unsigned long long)t->step,
                    (unsigned long long)t->total);
    }
    return WHIST_OK;
}
