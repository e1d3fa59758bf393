/* meta/train.c: steps of a training over tasks. Task t of step i is the draw i · tasks + t, so a place in the training
 * is a number. */
#include "meta/train.h"

#include "meta/attack.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/settings.h"

/* ---- What folds share ------------------------------------------------------------------------------------ */

/* A class that is trained on tells nothing about classes that are new. */
static whist_status check_apart(const whist_meta_env *env, whist_fold fold)
{
    const whist_rows train = whist_dataset_rows(env->data[0], WHIST_FOLD_TRAIN),
                     rows = whist_dataset_rows(env->data[0], fold);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 65536, 1));
    uint8_t *seen = memory;
    for (size_t i = 0; i < train.n; i++)
        if (train.y[i] >= 0 && train.y[i] < 65536) seen[(size_t)train.y[i]] = 1;
    for (size_t i = 0; i < rows.n; i++)
        if (rows.y[i] >= 0 && rows.y[i] < 65536 && seen[(size_t)rows.y[i]])
            WH_FAIL(WHIST_E_FORMAT,
                    "class %.0f is in the training and in the %s fold, and few-shot tests are on classes that training "
                    "never saw: split by classes (data.split.classes), or say episodes.seen_classes: true",
                    (double)rows.y[i], fold == WHIST_FOLD_TEST ? "test" : "validation");
    return WHIST_OK;
}

/* ---- Making ------------------------------------------------------------------------------------------------- */

static bool has_validation(const whist_meta_env *env)
{
    if (env->episodes.validate < 2) return false;
    if (env->episodes.kind == WHIST_TASKS_SINUSOID) return true;
    for (size_t i = 0; i < env->n_data; i++)
        if (whist_dataset_rows(env->data[i], WHIST_FOLD_VALIDATION).n == 0) return false;
    return env->n_data > 0;
}

static whist_status make_tasks(whist_meta_train *t)
{
    const bool attacks = t->env.episodes.attack.on != WHIST_ADVERSARY_NONE;
    size_t n = wh_source_step_tasks((size_t)whist_settings_int(t->env.settings, "tasks"), &t->env.episodes.attack);
    WH_TRY(wh_meta_scheme(&t->scheme, &t->env, t->source, SIZE_MAX, true, attacks));
    WH_TRY(wh_alloc((void **)&t->seats, t->env.threads, sizeof *t->seats));
    WH_TRY(wh_alloc((void **)&t->personal, t->env.threads, sizeof *t->personal));
    for (unsigned w = 0; w < t->env.threads; w++) {
        WH_TRY(wh_source_seat_new(&t->seats[w], t->source));
        if (attacks) WH_TRY(WH_NEW(&t->personal[w], t->n));
    }
    WH_TRY(WH_NEW(&t->tasks, n));
    WH_TRY(WH_NEW(&t->list, n));
    WH_TRY(WH_NEW(&t->losses, n));
    for (; t->n_tasks < n; t->n_tasks++) WH_TRY(wh_scheme_task_init(&t->tasks[t->n_tasks], t->scheme));
    for (size_t i = 0; i < n; i++) t->list[i] = t->tasks[i].task;
    return WHIST_OK;
}

static whist_status init(whist_meta_train *t)
{
    const wh_optimizer_class *class_ = wh_optimizer_find(t->training.optimizer);
    const whist_meta_env *env = &t->env;
    WH_ENSURE(class_, WHIST_E_ARG);
    if (env->backdoor.share > 0) WH_TRY(wh_backdoor_check(env, &env->backdoor));
    if (t->training.steps == 0)
        WH_FAIL(WHIST_E_ARG, "training: steps is missing: how many steps to take over episodes");
    if (wh_scheme_kind_of(env->learner) == WH_SCHEME_NONE)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "learner %s learns no start for few-shot tasks: take a meta-learner (docs/meta.md)",
                env->learner->name);
    WH_TRY(wh_schedule_read(&t->schedule, t->training.settings, t->training.steps));
    t->lr = whist_settings_real(t->training.settings, "lr");
    t->n = whist_model_size(env->model);
    WH_TRY(wh_pool_new(&t->pool, env->threads));
    WH_TRY(wh_meta_source(&t->source, env, WHIST_FOLD_TRAIN));
    t->validates = has_validation(env);
    if (env->episodes.kind == WHIST_TASKS_CLASSES && !env->episodes.seen_classes) {
        WH_TRY(check_apart(env, WHIST_FOLD_TEST));
        WH_TRY(check_apart(env, WHIST_FOLD_VALIDATION));
    }
    WH_TRY(make_tasks(t));
    WH_TRY(wh_optimizer_new(&t->optimizer, class_, t->training.settings, t->n));
    WH_TRY(WH_NEW(&t->params, t->n));
    WH_TRY(WH_NEW(&t->grad, t->n));
    WH_TRY(WH_NEW(&t->best, t->n));
    whist_model_init(env->model, t->params, env->seed);
    t->validation = (whist_meta_test){.episodes = env->episodes.validate,
                                      .fold = WHIST_FOLD_VALIDATION,
                                      .steps = SIZE_MAX,
                                      .purpose = "meta-validation"};
    return t->validates ? wh_measure_init(&t->measure, &t->env, &t->validation, t->pool) : WHIST_OK;
}

whist_status whist_meta_train_new(whist_meta_train **out, const whist_meta_env *env, const whist_training *training)
{
    WH_ENSURE(out && env && training && env->model && env->learner && env->settings && env->study, WHIST_E_ARG);
    whist_meta_train *t;
    WH_TRY(WH_NEW(&t, 1));
    t->env = *env;
    t->training = *training;
    whist_status status = init(t);
    if (status != WHIST_OK) {
        whist_meta_train_free(t);
        return status;
    }
    *out = t;
    return WHIST_OK;
}

void whist_meta_train_free(whist_meta_train *t)
{
    if (!t) return;
    wh_measure_clear(&t->measure);
    for (unsigned w = 0; w < t->env.threads; w++) {
        if (t->seats) wh_source_seat_free(t->seats[w]);
        if (t->personal) wh_free(t->personal[w]);
    }
    wh_free(t->seats);
    wh_free(t->personal);
    for (size_t i = 0; t->tasks && i < t->n_tasks; i++) wh_scheme_task_clear(&t->tasks[i]);
    wh_free(t->tasks);
    wh_free(t->list);
    wh_free(t->losses);
    wh_free(t->params);
    wh_free(t->grad);
    wh_free(t->best);
    wh_optimizer_free(t->optimizer);
    wh_scheme_free(t->scheme);
    wh_source_free(t->source);
    wh_pool_free(t->pool);
    wh_free(t);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------- */

static whist_status draw(void *user, size_t i, unsigned w)
{
    whist_meta_train *t = user;
    const wh_source_step step = {.purpose = "meta-train",
                                 .step = t->step,
                                 .n = t->n_tasks,
                                 .attack = &t->env.episodes.attack,
                                 .unit = whist_model_shape_get(t->env.model).height > 0,
                                 .params = t->params,
                                 .poison = &t->env};
    return wh_source_step_draw(&t->tasks[i], t->seats[w], t->source, t->scheme, w, &step, i, t->personal[w]);
}

static whist_status take_step(whist_meta_train *t)
{
    double loss = 0;
    WH_TRY(wh_pool_run(t->pool, t->n_tasks, draw, t));
    WH_TRY(wh_scheme_gradient(t->grad, t->losses, t->scheme, t->params, t->step, t->list, t->n_tasks, t->pool));
    for (size_t i = 0; i < t->n_tasks; i++) loss += t->losses[i] / (double)t->n_tasks;
    if (!isfinite(loss))
        WH_FAIL(WHIST_E_RANGE, "the loss of step %llu is not finite: lower lr or inner_lr, or set clip",
                (unsigned long long)t->step + 1);
    wh_optimizer_step(t->optimizer, t->params, t->grad, wh_schedule_rate(&t->schedule, t->lr, t->step), t->pool);
    t->step++;
    t->loss_sum += loss;
    t->loss_n++;
    return WHIST_OK;
}

static whist_status validate(whist_meta_train *t)
{
    whist_meta_score score;
    WH_TRY(wh_measure_run(&score, &t->measure, t->params));
    bool better = t->best_step == 0 || (score.is_error ? score.mean < t->best_score : score.mean > t->best_score);
    if (!better) return WHIST_OK;
    memcpy(t->best, t->params, t->n * sizeof *t->best);
    t->best_score = score.mean;
    t->best_step = t->step;
    return WHIST_OK;
}

static bool tell(const whist_meta_train *t, const whist_meta_go *go)
{
    char note[96];
    if (!go->progress) return true;
    const whist_meta_state now = whist_meta_train_state(t);
    int at = snprintf(note, sizeof note, "loss %.4f", now.loss);
    if (now.best_step) snprintf(note + at, sizeof note - (size_t)at, ", best validation %.4f", now.best);
    const whist_progress progress = {"meta-train", t->step, t->training.steps, note};
    return go->progress(go->user, &progress);
}

whist_status whist_meta_train_run(whist_meta_train *t, const whist_meta_go *go)
{
    WH_ENSURE(t && go, WHIST_E_ARG);
    if (go->checkpoint && t->env.backdoor.share > 0)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "a training with poisoned tasks keeps no checkpoints: they would pass for the study's");
    const uint64_t total = t->training.steps, often = go->every ? go->every : 100;
    const uint64_t look = t->training.evaluate_every ? t->training.evaluate_every : total >= 20 ? total / 20 : 1;
    while (t->step < total) {
        if (t->loss_n >= look) t->loss_sum = 0, t->loss_n = 0;
        WH_TRY(take_step(t));
        bool last = t->step == total;
        if (t->validates && (last || t->step % look == 0)) WH_TRY(validate(t));
        bool go_on = tell(t, go) || last;
        if (go->checkpoint && (last || !go_on || t->step % often == 0))
            WH_TRY(whist_meta_train_save(t, go->checkpoint));
        if (!go_on)
            WH_FAIL(WHIST_E_CANCELLED, "stopped after step %llu of %llu", (unsigned long long)t->step,
                    (unsigned long long)total);
    }
    return WHIST_OK;
}

whist_meta_state whist_meta_train_state(const whist_meta_train *t)
{
    return (whist_meta_state){.step = t->step,
                              .total = t->training.steps,
                              .loss = t->loss_n ? t->loss_sum / (double)t->loss_n : NAN,
                              .validates = t->validates,
                              .best_step = t->best_step,
                              .best = t->best_score};
}

const float *whist_meta_train_params(const whist_meta_train *t)
{
    return t->best_step ? t->best : t->params;
}
