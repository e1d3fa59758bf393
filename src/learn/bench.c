/* learn/bench.c: private steps beside plain ones: drawing, clipping and noise included. Rows fill 64 MiB and more and
 * are picked by a private Poisson draw, or by a shuffled index; the two take turns, and the ratio is of neighbours. */
#include "learn/bench.h"

#include <malloc.h>
#include <string.h>

#include "base/bench.h"
#include "base/settings.h"
#include "learn/dp_step.h"
#include "nn/zoo.h"
#include "num/kern.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_pool, wh_pool_free)

enum { BATCH = 256 };

typedef struct kind {
    const char *name, *class_name, *settings; /* "key=value" or NULL */
    whist_model_shape shape;
    size_t rows, steps; /* steps in one repetition */
    unsigned reps;
} kind;

static const kind kinds[] = {
    {"logreg", "softmax", NULL, {.n_features = 784, .n_outputs = 10, .target = WHIST_TARGET_CLASS}, 84 * BATCH, 84, 9},
    {"mlp",
     "mlp",
     "hidden=[128]",
     {.n_features = 784, .n_outputs = 10, .target = WHIST_TARGET_CLASS},
     84 * BATCH,
     42,
     9},
    {"cnn",
     "cnn",
     NULL,
     {.n_features = 784, .n_outputs = 10, .target = WHIST_TARGET_CLASS, .channels = 1, .height = 28, .width = 28},
     84 * BATCH,
     8,
     7},
    {"transformer",
     "transformer",
     NULL,
     {.n_features = 64, .n_outputs = 2, .target = WHIST_TARGET_CLASS, .vocabulary = 256},
     1 << 18,
     1,
     5},
};

typedef struct rig {
    const kind *kind;
    whist_model *model;
    whist_model_work *work;
    wh_dp_step *step;
    wh_pool *pool;
    unsigned threads;
    float *params, *grad, *x, *y;
    uint32_t *index;
    size_t at;
    wh_arena memory;
} rig;

static void rig_clear(rig *r)
{
    wh_dp_step_free(r->step);
    whist_model_work_free(r->work);
    whist_model_free(r->model);
    wh_arena_clear(&r->memory);
}
WH_AUTO_CLEAR(rig, rig_clear)

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 32;
}

static void fill(rig *r)
{
    const whist_model_shape *shape = &r->kind->shape;
    uint64_t state = 1;
    const size_t n = r->kind->rows, d = shape->n_features;
    for (size_t i = 0; i < n * d; i++)
        r->x[i] = shape->vocabulary ? (float)(next(&state) % shape->vocabulary) : (float)next(&state) * 0x1p-32f;
    for (size_t i = 0; i < n; i++) {
        r->y[i] = (float)(next(&state) % shape->n_outputs);
        r->index[i] = (uint32_t)i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(next(&state) % i);
        uint32_t swap = r->index[i - 1];
        r->index[i - 1] = r->index[j];
        r->index[j] = swap;
    }
}

static whist_status prepare(rig *r)
{
    const kind *k = r->kind;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    if (k->settings) {
        const char *sign = strchr(k->settings, '=');
        char key[32] = {0};
        memcpy(key, k->settings, (size_t)(sign - k->settings));
        WH_TRY(whist_settings_new(&settings, whist_model_class_find(k->class_name)->options));
        WH_TRY(whist_settings_set(settings, key, sign + 1));
    }
    WH_TRY(whist_model_new(&r->model, k->class_name, settings, &k->shape));
    const size_t p = whist_model_size(r->model);
    WH_TRY(WH_ARENA_NEW(&r->params, &r->memory, p));
    WH_TRY(WH_ARENA_NEW(&r->grad, &r->memory, p));
    WH_TRY(WH_ARENA_NEW(&r->x, &r->memory, k->rows * k->shape.n_features));
    WH_TRY(WH_ARENA_NEW(&r->y, &r->memory, k->rows));
    WH_TRY(WH_ARENA_NEW(&r->index, &r->memory, k->rows));
    fill(r);
    whist_model_init(r->model, r->params, 1);
    return WHIST_OK;
}

static whist_status make_plain(rig *r)
{
    WH_TRY(whist_model_work_new(&r->work, r->model, BATCH));
    wh_model_work_pool(r->work, r->pool);
    return WHIST_OK;
}

static whist_status make_private(rig *r)
{
    const kind *k = r->kind;
    const whist_rows rows = {.n = k->rows, .d = k->shape.n_features, .x = r->x, .y = r->y, .n_targets = 1};
    const wh_dp_step_options options = {.clip = 1,
                                        .sigma = 1,
                                        .rate = (double)BATCH / (double)k->rows,
                                        .rows = k->rows,
                                        .batch = BATCH,
                                        .threads = r->threads};
    return wh_dp_step_new(&r->step, r->model, &rows, &options);
}

static whist_status plain_steps(rig *r, size_t steps)
{
    for (size_t s = 0; s < steps; s++) {
        if (r->at + BATCH > r->kind->rows) r->at = 0;
        const whist_batch batch = {
            .rows = r->x, .target = r->y, .n_rows = r->kind->rows, .index = r->index + r->at, .n = BATCH};
        WH_TRY(whist_model_sgd_step(r->model, r->work, r->params, &batch, 1e-3, NULL, NULL));
        r->at += BATCH;
    }
    return WHIST_OK;
}

static whist_status private_steps(rig *r, size_t steps)
{
    for (size_t s = 0; s < steps; s++) {
        WH_TRY(wh_dp_step_gradient(r->step, r->grad, r->params));
        wh_num_kernels_get()->axpy(r->params, r->grad, whist_model_size(r->model), -1e-3f);
    }
    return WHIST_OK;
}

static void report(const whist_bench_env *env, const char *name, const char *unit, double *value, unsigned reps)
{
    qsort(value, reps, sizeof *value, wh_bench_order_);
    whist_bench_result result = {.unit = unit,
                                 .median = value[reps / 2],
                                 .min = value[0],
                                 .max = value[reps - 1],
                                 .reps = reps,
                                 .threads = env->threads};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
}

/* What is allocated at this moment, in bytes: rows, parameters and gradient, the same for both ways, are there before.
 */
static double allocated(void)
{
    const struct mallinfo2 now = mallinfo2();
    return (double)(now.uordblks + now.hblkhd);
}

/* Working memory of a plain and of a private training: everything that is made for its steps. */
static whist_status weigh(double *plain, double *private, rig *r)
{
    const double before = allocated();
    WH_TRY(make_plain(r));
    WH_TRY(plain_steps(r, 1));
    const double middle = allocated();
    WH_TRY(make_private(r));
    WH_TRY(private_steps(r, 3));
    *plain = middle - before;
    *private = allocated() - middle;
    return WHIST_OK;
}

static whist_status measure(const whist_bench_env *env, const kind *k)
{
    WH_AUTO(wh_pool_ptr) pool = NULL;
    if (env->threads > 1) WH_TRY(wh_pool_new(&pool, env->threads));
    WH_AUTO(rig) r = {.kind = k, .pool = pool, .threads = env->threads};
    double speed[WH_BENCH_REPS], ratio[WH_BENCH_REPS];
    double plain, private;
    WH_TRY(prepare(&r));
    WH_TRY(weigh(&plain, &private, &r));
    WH_TRY(plain_steps(&r, k->steps));
    WH_TRY(private_steps(&r, 1));
    for (unsigned rep = 0; rep < k->reps; rep++) {
        double begin = wh_clock_seconds();
        WH_TRY(plain_steps(&r, k->steps));
        double middle = wh_clock_seconds();
        WH_TRY(private_steps(&r, k->steps));
        double end = wh_clock_seconds();
        speed[rep] = (double)(k->steps * BATCH) / (end - middle);
        ratio[rep] = (end - middle) / (middle - begin);
    }
    char name[64];
    snprintf(name, sizeof name, "dp.sgd.%s", k->name);
    report(env, name, "1/s", speed, k->reps);
    snprintf(name, sizeof name, "dp.sgd.%s.ratio", k->name);
    report(env, name, "1", ratio, k->reps);
    const double shared = 2.0 * (double)whist_model_size(r.model) * sizeof(float), taken = shared + private;
    double bytes[] = {taken}, share[] = {taken / (shared + plain)};
    snprintf(name, sizeof name, "dp.sgd.%s.bytes", k->name);
    report(env, name, "B", bytes, 1);
    snprintf(name, sizeof name, "dp.sgd.%s.memory", k->name);
    report(env, name, "1", share, 1);
    return WHIST_OK;
}

#define BENCH(id, i)                                                                                                   \
    static whist_status id(const whist_bench_env *env)                                                                 \
    {                                                                                                                  \
        return measure(env, &kinds[i]);                                                                                \
    }
BENCH(logreg, 0)
BENCH(mlp, 1)
BENCH(cnn, 2)
BENCH(transformer, 3)

const whist_bench wh_learn_benches[] = {
    {"dp.sgd.logreg", "private steps 784-10, B = 256 expected; .ratio: time over that of plain steps", false, logreg},
    {"dp.sgd.mlp", "the same of 784-128-10", false, mlp},
    {"dp.sgd.cnn", "the same of the CNN of 26,010 parameters", false, cnn},
    {"dp.sgd.transformer", "the same of two encoder layers of width 128, 64 tokens", true, transformer},
    {NULL, NULL, false, NULL},
};
