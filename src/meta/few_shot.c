/* meta/few_shot.c: prototypical networks over episodes, trained and measured. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"
#include "data/episode.h"
#include "meta/metric.h"
#include "meta/model.h"
#include "nn/optim.h"
#include "nn/zoo.h"

#include <whist/meta.h>

enum { TASKS = 4, ARRAYS = 4, MAX_TENSORS = 64 };

WH_AUTO_FREE(wh_pool, wh_pool_free)

/* What one episode in flight needs. */
typedef struct seat {
    wh_episode episode;
    const void *data[ARRAYS]; /* support x and y, query x and y */
    uint32_t *label;          /* support, then query */
    wh_run *run;              /* measuring only */
} seat;

typedef struct few {
    const whist_meta_env *env;
    wh_episode_pool *episodes;
    wh_pool *pool;
    wh_meta_model support, query;
    wh_meta_array arrays[ARRAYS];
    wh_meta *meta;
    wh_meta_work *work;
    wh_optimizer *optimizer;
    wh_program *program;
    seat *seats;
    size_t n_seats;
    double *right; /* (n) of each episode */
} few;

static void few_clear(few *f)
{
    for (size_t i = 0; i < f->n_seats; i++) {
        wh_run_free(f->seats[i].run);
        wh_episode_clear(&f->seats[i].episode);
        wh_free(f->seats[i].label);
    }
    wh_free(f->seats);
    wh_free(f->right);
    wh_program_free(f->program);
    wh_optimizer_free(f->optimizer);
    wh_meta_work_free(f->work);
    wh_meta_free(f->meta);
    wh_pool_free(f->pool);
    wh_episode_pool_free(f->episodes);
}
WH_AUTO_CLEAR(few, few_clear)

/* ---- The graph ---- */

static wh_value logits(const few *f, wh_graph *g, const wh_value params[], const wh_value data[])
{
    wh_value features[2];
    for (size_t i = 0; i < 2; i++) {
        wh_model_values values;
        const wh_model_use use = {.params = params,
                                  .batch = i == 0 ? f->support.batch : f->query.batch,
                                  .mode = WH_MODEL_STATISTICS,
                                  .x = data[2 * i],
                                  .target = data[2 * i + 1]};
        if (wh_model_graph(&values, g, f->env->model, &use) != WHIST_OK) return WH_NO_VALUE;
        features[i] = values.features;
    }
    return wh_meta_proto_head(g, features[0], data[1], features[1], f->env->episodes.ways, WH_META_EUCLIDEAN, 1);
}

static wh_value loss(void *user, wh_graph *g, const wh_value params[], const wh_value prior[], const wh_value data[])
{
    (void)prior;
    wh_value scores = logits(user, g, params, data);
    return scores == WH_NO_VALUE ? scores : wh_graph_mean_all(g, wh_graph_cross_entropy(g, scores, data[3]));
}

/* ---- Episodes ---- */

static whist_status open_seats(few *f, size_t n)
{
    WH_TRY(WH_NEW(&f->seats, n));
    f->n_seats = n;
    for (size_t i = 0; i < n; i++) {
        seat *s = &f->seats[i];
        WH_TRY(wh_episode_init(&s->episode, f->episodes));
        WH_TRY(WH_NEW(&s->label, s->episode.n_support + s->episode.n_query));
        s->data[0] = s->episode.support_x, s->data[1] = s->label;
        s->data[2] = s->episode.query_x, s->data[3] = s->label + s->episode.n_support;
    }
    return WHIST_OK;
}

static whist_status prepare(few *f, const whist_meta_env *env, whist_fold fold)
{
    const whist_rows rows = whist_dataset_rows(env->data, fold);
    const whist_model_shape shape = whist_model_shape_get(env->model);
    const whist_episodes *e = &env->episodes;
    const wh_episode_design design = {e->ways, e->shots, e->queries, e->turns, shape.height, shape.width};
    f->env = env;
    if (shape.target != WHIST_TARGET_CLASS)
        WH_FAIL(WHIST_E_UNSUPPORTED, "episodes need classes: the study's task is another");
    if (e->queries == 0) WH_FAIL(WHIST_E_ARG, "episodes without queries: there is nothing to measure");
    if (e->ways > shape.n_outputs)
        WH_FAIL(WHIST_E_ARG, "an episode of %u ways, and the data have %zu classes", e->ways, shape.n_outputs);
    WH_TRY(wh_episode_pool_new(&f->episodes, &rows, &design));
    WH_TRY(wh_pool_new(&f->pool, env->threads));
    WH_TRY(wh_meta_model_init(&f->support, env->model, (size_t)e->ways * e->shots));
    WH_TRY(wh_meta_model_init(&f->query, env->model, (size_t)e->ways * e->queries));
    memcpy(f->arrays, f->support.arrays, sizeof f->support.arrays);
    memcpy(f->arrays + 2, f->query.arrays, sizeof f->query.arrays);
    f->arrays[1].limit = f->arrays[3].limit = e->ways;
    return WHIST_OK;
}

static void draw(seat *s, const few *f, const char *purpose, uint64_t index)
{
    wh_episode *e = &s->episode;
    wh_episode_draw(e, f->episodes, f->env->seed, purpose, index);
    for (size_t i = 0; i < e->n_support; i++) s->label[i] = (uint32_t)e->support_y[i];
    for (size_t i = 0; i < e->n_query; i++) s->label[e->n_support + i] = (uint32_t)e->query_y[i];
}

static whist_status tell(const whist_meta_env *env, const char *task, uint64_t done, uint64_t total)
{
    const whist_progress now = {task, done, total, ""};
    return !env->progress || env->progress(env->user, &now) ? WHIST_OK : WHIST_E_CANCELLED;
}

/* ---- Training ---- */

static whist_status prepare_training(few *f, const whist_training *training)
{
    wh_dims dims[MAX_TENSORS];
    bool head[MAX_TENSORS];
    size_t n;
    const wh_optimizer_class *class_ = wh_optimizer_find(training->optimizer);
    (void)whist_model_tensors(f->env->model, &n);
    WH_ENSURE(class_ && n <= MAX_TENSORS, WHIST_E_ARG);
    WH_TRY(wh_meta_model_tensors(dims, head, f->env->model));
    const wh_meta_problem problem = {.real = WH_F32,
                                     .params = dims,
                                     .n_params = n,
                                     .rule = WH_META_FIRST_ORDER,
                                     .query = {loss, f, f->arrays, ARRAYS}};
    WH_TRY(wh_meta_new(&f->meta, &problem));
    WH_TRY(wh_meta_work_new(&f->work, f->meta, f->env->threads));
    WH_TRY(open_seats(f, TASKS));
    return wh_optimizer_new(&f->optimizer, class_, training->settings, wh_meta_n(f->meta));
}

whist_status whist_meta_train(float *params, double *last, const whist_meta_env *env, const whist_training *training)
{
    WH_ENSURE(params && last && env && training, WHIST_E_ARG);
    WH_AUTO(few) f = {0};
    WH_AUTO(wh_owned) owned = NULL;
    wh_schedule schedule;
    double losses[TASKS], lr = whist_settings_real(training->settings, "lr");
    float rate = 0;
    if (training->steps == 0) WH_FAIL(WHIST_E_ARG, "training: steps is missing: how many steps to take over episodes");
    WH_TRY(prepare(&f, env, WHIST_FOLD_TRAIN));
    WH_TRY(prepare_training(&f, training));
    WH_TRY(wh_schedule_read(&schedule, training->settings, training->steps));
    WH_TRY(wh_alloc(&owned, wh_meta_n(f.meta), sizeof(float)));
    whist_model_init(env->model, params, env->seed);
    for (uint64_t step = 0; step < training->steps; step++) {
        wh_meta_task tasks[TASKS];
        for (size_t t = 0; t < TASKS; t++) {
            draw(&f.seats[t], &f, "meta-train", step * TASKS + t);
            tasks[t] = (wh_meta_task){f.seats[t].data, f.seats[t].data};
        }
        const wh_meta_at at = {.theta = params, .rates = &rate};
        const wh_meta_gradient gradient = {.theta = owned, .query_loss = losses};
        WH_TRY(wh_meta_step(&gradient, f.work, &at, tasks, TASKS, f.pool));
        *last = (losses[0] + losses[1] + losses[2] + losses[3]) / TASKS;
        if (!isfinite(*last)) WH_FAIL(WHIST_E_RANGE, "the loss is not finite: lower lr");
        wh_optimizer_step(f.optimizer, params, owned, wh_schedule_rate(&schedule, lr, step), f.pool);
        WH_TRY(tell(env, "meta-train", step + 1, training->steps));
    }
    return WHIST_OK;
}

/* ---- Measuring ---- */

static whist_status prepare_runs(few *f, const float *params)
{
    wh_value tensors[MAX_TENSORS], data[ARRAYS];
    size_t n;
    WH_AUTO(wh_graph_ptr) g = NULL;
    (void)whist_model_tensors(f->env->model, &n);
    WH_ENSURE(n <= MAX_TENSORS, WHIST_E_ARG);
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(wh_model_params(tensors, g, f->env->model));
    for (size_t a = 0; a < ARRAYS; a++) {
        const wh_meta_array *array = &f->arrays[a];
        data[a] = array->limit ? wh_graph_index(g, array->name, WH_EXAMPLES, array->dims, array->limit)
                               : wh_graph_input(g, array->name, WH_EXAMPLES, array->dims);
    }
    wh_value scores = logits(f, g, tensors, data);
    WH_TRY(wh_graph_status(g));
    WH_TRY(wh_program_new(&f->program, g, &scores, 1));
    WH_TRY(open_seats(f, f->env->threads));
    for (size_t i = 0; i < f->n_seats; i++) {
        seat *s = &f->seats[i];
        WH_TRY(wh_run_new(&s->run, f->program, 1));
        WH_TRY(wh_model_bind_params(s->run, tensors, f->env->model, params, WH_F32));
        for (size_t a = 0; a < ARRAYS; a++) WH_TRY(wh_run_input(s->run, data[a], s->data[a]));
    }
    return WHIST_OK;
}

static whist_status measure(void *user, size_t index, unsigned worker)
{
    few *f = user;
    seat *s = &f->seats[worker];
    size_t right = 0, ways = f->env->episodes.ways, n = s->episode.n_query;
    draw(s, f, "meta-test", index);
    WH_TRY(wh_run_go(s->run, NULL));
    const float *scores = wh_run_result(s->run, 0);
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        for (size_t k = 1; k < ways; k++)
            if (scores[i * ways + k] > scores[i * ways + best]) best = k;
        right += best == s->label[s->episode.n_support + i];
    }
    f->right[index] = (double)right / (double)n;
    return WHIST_OK;
}

whist_status whist_meta_evaluate(whist_meta_accuracy *out, const whist_meta_env *env, const float *params, uint64_t n)
{
    WH_ENSURE(out && env && params && n >= 2, WHIST_E_ARG);
    WH_AUTO(few) f = {0};
    double mean = 0, square = 0;
    WH_TRY(prepare(&f, env, WHIST_FOLD_TEST));
    WH_TRY(prepare_runs(&f, params));
    WH_TRY(WH_NEW(&f.right, (size_t)n));
    WH_TRY(wh_pool_run(f.pool, (size_t)n, measure, &f));
    for (size_t i = 0; i < n; i++) mean += f.right[i] / (double)n;
    for (size_t i = 0; i < n; i++) square += (f.right[i] - mean) * (f.right[i] - mean);
    *out = (whist_meta_accuracy){mean, 1.96 * sqrt(square / (double)(n - 1) / (double)n)};
    return WHIST_OK;
}
