/* meta/bench.c: meta-iterations: the mean gradient over a batch of tasks, and a step of Adam along it. */
#include "meta/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/bench.h"
#include "base/settings.h"
#include "meta/metric.h"
#include "meta/model.h"
#include "nn/optim.h"
#include "nn/zoo.h"

enum { MAX_TENSORS = 64, REPS = 5 };

WH_AUTO_FREE(wh_pool, wh_pool_free)

/* What is learned, on what tasks. */
typedef struct shape {
    const char *name, *class_name, *options; /* NAME VALUE NAME VALUE … */
    whist_model_shape rows;
    size_t tasks, support, query, steps;
    wh_meta_rule rule;
    bool prototypes; /* a head over features in place of the model's own */
} shape;

typedef struct learning {
    const shape *shape;
    whist_model *model;
    wh_meta_model support, query;
    wh_meta *meta;
    wh_meta_work *work;
    wh_optimizer *optimizer;
    wh_pool *pool;
    wh_arena memory;
    float *theta, *grad;
    wh_meta_task *tasks;
    float rate;
} learning;

static void learning_clear(learning *l)
{
    wh_meta_work_free(l->work);
    wh_meta_free(l->meta);
    wh_optimizer_free(l->optimizer);
    whist_model_free(l->model);
    wh_arena_clear(&l->memory);
}
WH_AUTO_CLEAR(learning, learning_clear)

static whist_status make_model(whist_model **out, const shape *s)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    char name[32], value[32];
    int used;
    WH_TRY(whist_settings_new(&settings, whist_model_class_find(s->class_name)->options));
    for (const char *at = s->options; sscanf(at, " %31s %31s%n", name, value, &used) == 2; at += used)
        WH_TRY(whist_settings_set(settings, name, value));
    return whist_model_new(out, s->class_name, settings, &s->rows);
}

/* Features of support and query rows, each by their own statistics; cross-entropy of the distances to the class means.
 * data: support x and y, query x and y. */
static wh_value prototypes(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                           const wh_value data[])
{
    const learning *l = user;
    wh_value features[2] = {WH_NO_VALUE, WH_NO_VALUE};
    (void)prior;
    for (size_t i = 0; i < 2; i++) {
        const wh_model_use use = {.params = params,
                                  .batch = i == 0 ? l->shape->support : l->shape->query,
                                  .mode = WH_MODEL_STATISTICS,
                                  .x = data[2 * i],
                                  .target = data[2 * i + 1]};
        wh_model_values values;
        if (wh_model_graph(&values, g, l->model, &use) != WHIST_OK) return WH_NO_VALUE;
        features[i] = values.features;
    }
    wh_value logits =
        wh_meta_proto_head(g, features[0], data[1], features[1], l->shape->rows.n_outputs, WH_META_EUCLIDEAN, 1);
    return wh_graph_mean_all(g, wh_graph_cross_entropy(g, logits, data[3]));
}

/* Numbers of a fixed stream; classes in turn. */
static whist_status make_rows(const void **x, const void **y, learning *l, size_t n, uint64_t *state)
{
    const whist_model_shape *rows = &l->shape->rows;
    float *numbers, *values;
    uint32_t *classes;
    WH_TRY(WH_ARENA_NEW(&numbers, &l->memory, n * rows->n_features));
    WH_TRY(WH_ARENA_NEW(&values, &l->memory, n));
    WH_TRY(WH_ARENA_NEW(&classes, &l->memory, n));
    for (size_t i = 0; i < n * rows->n_features; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        numbers[i] = (float)(*state >> 40) * 0x1p-23f - 1;
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = numbers[i * rows->n_features] * numbers[i * rows->n_features];
        classes[i] = (uint32_t)(i % rows->n_outputs);
    }
    *x = numbers;
    *y = rows->target == WHIST_TARGET_CLASS ? (const void *)classes : values;
    return WHIST_OK;
}

static whist_status make_tasks(learning *l)
{
    uint64_t state = 1;
    WH_TRY(WH_ARENA_NEW(&l->tasks, &l->memory, l->shape->tasks));
    for (size_t t = 0; t < l->shape->tasks; t++) {
        const void **data;
        WH_TRY(WH_ARENA_NEW(&data, &l->memory, 4));
        WH_TRY(make_rows(&data[0], &data[1], l, l->shape->support, &state));
        WH_TRY(make_rows(&data[2], &data[3], l, l->shape->query, &state));
        l->tasks[t] = (wh_meta_task){data, l->shape->prototypes ? data : data + 2};
    }
    return WHIST_OK;
}

static whist_status make_meta(learning *l)
{
    const shape *s = l->shape;
    wh_dims dims[MAX_TENSORS];
    bool head[MAX_TENSORS];
    wh_meta_array both[2 * WH_META_MODEL_ARRAYS];
    size_t n;
    (void)whist_model_tensors(l->model, &n);
    WH_ENSURE(n <= MAX_TENSORS, WHIST_E_RANGE);
    WH_TRY(wh_meta_model_init(&l->support, l->model, s->support));
    WH_TRY(wh_meta_model_init(&l->query, l->model, s->query));
    WH_TRY(wh_meta_model_tensors(dims, head, l->model));
    wh_meta_problem problem = {.real = WH_F32, .params = dims, .n_params = n, .rule = s->rule, .steps = s->steps};
    problem.support = wh_meta_model_objective(&l->support);
    problem.query = wh_meta_model_objective(&l->query);
    memcpy(both, l->support.arrays, sizeof l->support.arrays);
    memcpy(both + WH_META_MODEL_ARRAYS, l->query.arrays, sizeof l->query.arrays);
    if (s->prototypes) problem.query = (wh_meta_objective){prototypes, l, both, WH_COUNT(both)};
    WH_TRY(wh_meta_new(&l->meta, &problem));
    return wh_meta_work_new(&l->work, l->meta, wh_pool_threads(l->pool));
}

static whist_status prepare(learning *l, const shape *s, wh_pool *pool)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const wh_optimizer_class *adam = wh_optimizer_find("adam");
    l->shape = s;
    l->pool = pool;
    l->rate = .01f;
    WH_TRY(make_model(&l->model, s));
    WH_TRY(make_meta(l));
    WH_TRY(WH_ARENA_NEW(&l->theta, &l->memory, wh_meta_n(l->meta)));
    WH_TRY(WH_ARENA_NEW(&l->grad, &l->memory, wh_meta_n(l->meta)));
    whist_model_init(l->model, l->theta, 1);
    WH_TRY(make_tasks(l));
    WH_TRY(whist_settings_new(&settings, adam->options));
    return wh_optimizer_new(&l->optimizer, adam, settings, wh_meta_n(l->meta));
}

static whist_status iterate(void *user)
{
    learning *l = user;
    const wh_meta_at at = {.theta = l->theta, .rates = &l->rate};
    WH_TRY(wh_meta_step(&(wh_meta_gradient){.theta = l->grad}, l->work, &at, l->tasks, l->shape->tasks, l->pool));
    wh_optimizer_step(l->optimizer, l->theta, l->grad, 1e-3, l->pool);
    return WHIST_OK;
}

static whist_status measure(const whist_bench_env *env, const shape *s)
{
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(learning) l = {.shape = s};
    whist_bench_result result;
    WH_TRY(wh_pool_new(&pool, env->threads));
    WH_TRY(prepare(&l, s, pool));
    WH_TRY(wh_bench_take(&result, env->threads, s->name, "1/s", true, 1, REPS, iterate, &l));
    env->emit(env->user, &result);
    return WHIST_OK;
}

/* ---- The table ------------------------------------------------------------------------------------- */

#define IMAGES                                                                                                         \
    {                                                                                                                  \
        .n_features = 784, .n_outputs = 5, .target = WHIST_TARGET_CLASS, .channels = 1, .height = 28, .width = 28      \
    }
#define STRIDED "down stride readout mean norm transductive"
#define POOLED "down max_pool norm transductive"

static whist_status bench_sinusoid(const whist_bench_env *env)
{
    static const whist_model_shape rows = {.n_features = 1, .n_outputs = 1, .target = WHIST_TARGET_VALUE};
    static const char options[] = "hidden [40,40] activation relu";
    shape s = {"meta.sinusoid1", "mlp", options, rows, 25, 10, 10, 1, WH_META_EXACT, false};
    WH_TRY(measure(env, &s));
    s.name = "meta.sinusoid5";
    s.steps = 5;
    return measure(env, &s);
}

static whist_status bench_images(const whist_bench_env *env)
{
    static const shape shapes[] = {
        {"meta.maml.strided", "conv4", STRIDED, IMAGES, 32, 5, 75, 1, WH_META_EXACT, false},
        {"meta.fomaml", "conv4", STRIDED, IMAGES, 32, 5, 75, 1, WH_META_FIRST_ORDER, false},
        {"meta.protonet", "conv4", STRIDED, IMAGES, 32, 5, 75, 0, WH_META_FIRST_ORDER, true},
        {"meta.maml.maxpool", "conv4", POOLED, IMAGES, 32, 5, 75, 1, WH_META_EXACT, false},
    };
    for (size_t i = 0; i < WH_COUNT(shapes); i++) WH_TRY(measure(env, &shapes[i]));
    return WHIST_OK;
}

const whist_bench wh_meta_benches[] = {
    {"meta.sinusoid", "25 sinusoids of 10 + 10 rows, 1-40-40-1, one and five inner steps: meta-iterations", false,
     bench_sinusoid},
    {"meta.images", "32 tasks of 5 ways, 1 shot, 15 queries on conv4-64 of 28 × 28: meta-iterations", true,
     bench_images},
    {NULL, NULL, false, NULL},
};
