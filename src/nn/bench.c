/* nn/bench.c: training speed. Every epoch goes through a shuffled index: gather, forward, loss, backward,
 * update. The rows have no zeros but where the name says sparse. */
#include "nn/bench.h"

#include "base/bench.h"
#include "base/settings.h"
#include "nn/clip.h"
#include "nn/model.h"
#include "nn/zoo.h"
#include "num/bench.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_pool, wh_pool_free)

/* n rows are walked once, in batches; site by site where the rows belong to several. */
typedef struct epoch {
    whist_model *model;
    whist_model_work *work;
    float *params, *x, *y;
    uint32_t *index;
    size_t n, batch;
    wh_clip *clip;
    float *grad;
} epoch;

static whist_status walk(void *user)
{
    epoch *e = user;
    for (size_t at = 0; at + e->batch <= e->n; at += e->batch) {
        whist_batch batch = {.rows = e->x, .target = e->y, .n_rows = e->n, .index = e->index + at, .n = e->batch};
        WH_TRY(whist_model_sgd_step(e->model, e->work, e->params, &batch, 1e-3, NULL, NULL));
    }
    return WHIST_OK;
}

/* Gradient, then step: what an optimiser needs, and what threads share. */
static whist_status walk_gradient(void *user)
{
    epoch *e = user;
    for (size_t at = 0; at + e->batch <= e->n; at += e->batch) {
        whist_batch batch = {.rows = e->x, .target = e->y, .n_rows = e->n, .index = e->index + at, .n = e->batch};
        WH_TRY(whist_model_loss_grad(e->model, e->work, e->params, &batch, e->grad, NULL));
        wh_num_kernels_get()->axpy(e->params, e->grad, whist_model_size(e->model), -1e-3f);
    }
    return WHIST_OK;
}

static whist_status walk_clipped(void *user)
{
    epoch *e = user;
    for (size_t at = 0; at + e->batch <= e->n; at += e->batch) {
        whist_batch batch = {.rows = e->x, .target = e->y, .n_rows = e->n, .index = e->index + at, .n = e->batch};
        WH_TRY(wh_clip_begin(e->clip, 1));
        WH_TRY(wh_clip_add(e->clip, e->params, &batch, NULL));
        const int64_t *sum = wh_clip_sum(e->clip);
        const float unit = (float)(wh_clip_step(e->clip) / (double)e->batch);
        for (size_t i = 0; i < whist_model_size(e->model); i++) e->grad[i] = (float)sum[i] * unit;
        wh_num_kernels_get()->axpy(e->params, e->grad, whist_model_size(e->model), -1e-3f);
    }
    return WHIST_OK;
}

/* As in MNIST, half of the features are zero in all rows of a batch of ten, if sparse. */
static void fill(epoch *e, size_t d, size_t n_classes, bool sparse)
{
    uint64_t state = 1;
    for (size_t i = 0; i < e->n * d; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        e->x[i] = sparse && i % d % 2 ? 0.0f : (float)((state >> 40) + 1) * 0x1p-24f;
    }
    for (size_t i = 0; i < e->n; i++) e->y[i] = (float)(i * 7 % n_classes);
    for (size_t i = 0; i < e->n; i++) e->index[i] = (uint32_t)i;
    for (size_t i = e->n; i > 1; i--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t j = (size_t)((state >> 32) % i);
        uint32_t swap = e->index[i - 1];
        e->index[i - 1] = e->index[j];
        e->index[j] = swap;
    }
}

typedef struct task {
    const char *name, *class_name, *hidden;
    size_t n, batch;
    bool sparse;
    double flops; /* of the products, for a row */
} task;

enum { D = 784, CLASSES = 10 };

static whist_status make_model(whist_model **out, const task *t)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    whist_model_shape shape = {D, CLASSES, WHIST_TARGET_CLASS};
    WH_TRY(whist_settings_new(&settings, whist_model_class_find(t->class_name)->options));
    if (t->hidden) WH_TRY(whist_settings_set(settings, "hidden", t->hidden));
    return whist_model_new(out, t->class_name, settings, &shape);
}

static whist_status take(whist_bench_result *result, const char *name, const task *t, wh_bench_work *work_fn,
                         unsigned threads)
{
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(wh_clip_ptr) clip = NULL;
    WH_AUTO(wh_owned) x = NULL;
    WH_AUTO(wh_arena) memory = WH_ARENA_EMPTY;
    WH_TRY(make_model(&model, t));
    WH_TRY(wh_pool_new(&pool, threads));
    WH_TRY(whist_model_work_new(&work, model, t->batch));
    wh_model_work_pool(work, pool);
    epoch e = {.model = model, .work = work, .n = t->n, .batch = t->batch};
    WH_TRY(WH_ARENA_NEW(&e.params, &memory, whist_model_size(model)));
    WH_TRY(WH_ARENA_NEW(&e.grad, &memory, whist_model_size(model)));
    WH_TRY(wh_clip_new(&clip, model, &(wh_clip_options){.n_max = t->batch}));
    e.clip = clip;
    WH_TRY(WH_ARENA_NEW(&e.y, &memory, t->n));
    WH_TRY(WH_ARENA_NEW(&e.index, &memory, t->n));
    WH_TRY(wh_alloc_raw(&x, t->n * D, sizeof(float)));
    e.x = x;
    whist_model_init(model, e.params, 1);
    fill(&e, D, CLASSES, t->sparse);
    return wh_bench_take(result, threads, name, "1/s", true, (double)(t->n / t->batch * t->batch), WH_BENCH_REPS,
                         work_fn, &e);
}

static whist_status measure(const whist_bench_env *env, const task *t)
{
    whist_bench_result result;
    WH_TRY(take(&result, t->name, t, walk, 1));
    return wh_num_bench_flops(env, &result, t->flops);
}

/* Per-example norms and the clipped sum over the plain step. */
static whist_status compare(const whist_bench_env *env, const char *name, const task *t)
{
    whist_bench_result plain, clipped;
    WH_TRY(take(&plain, t->name, t, walk, 1));
    WH_TRY(take(&clipped, name, t, walk_clipped, 1));
    wh_nn_bench_ratio(env, &clipped, &plain);
    return WHIST_OK;
}

/* Forward and the gradient by the weights; below the first layer the gradient by its input as well. */
static const task task_2nn = {"nn.sgd.2nn", "mlp", "[200, 200]", 600, 10, false, 4. * D * 200 + 6. * 200 * 210};
static const task task_sparse = {"nn.sgd.2nn.sparse",          "mlp", "[200, 200]", 600, 10, true,
                                 2. * D * 200 + 6. * 200 * 210};
static const task task_logreg = {"nn.sgd.logreg", "softmax", NULL, 24576, 256, false, 4. * D *CLASSES};
static const task task_mlp = {"nn.sgd.mlp", "mlp", "[128]", 24576, 256, false, 4. * D * 128 + 6. * 128 * CLASSES};

static whist_status two_nn(const whist_bench_env *env)
{
    return measure(env, &task_2nn);
}

static whist_status two_nn_sparse(const whist_bench_env *env)
{
    return measure(env, &task_sparse);
}

static whist_status logreg(const whist_bench_env *env)
{
    return measure(env, &task_logreg);
}

static whist_status mlp(const whist_bench_env *env)
{
    return measure(env, &task_mlp);
}

static whist_status mlp_gradient(const whist_bench_env *env)
{
    whist_bench_result result;
    WH_TRY(take(&result, "nn.grad.mlp", &task_mlp, walk_gradient, env->threads));
    return wh_num_bench_flops(env, &result, task_mlp.flops);
}

static whist_status logreg_clipped(const whist_bench_env *env)
{
    return compare(env, "nn.pernorm.logreg", &task_logreg);
}

static whist_status mlp_clipped(const whist_bench_env *env)
{
    return compare(env, "nn.pernorm.mlp", &task_mlp);
}

void wh_nn_bench_ratio(const whist_bench_env *env, const whist_bench_result *slow, const whist_bench_result *fast)
{
    whist_bench_result out = *slow;
    out.unit = "1";
    out.median = fast->max / slow->max;
    out.min = fast->min / slow->max;
    out.max = fast->max / slow->min;
    env->emit(env->user, &out);
}

const whist_bench wh_nn_benches[] = {
    {"nn.sgd.2nn", "784-200-200-10, batch 10, one site's 600 rows: samples a second", false, two_nn},
    {"nn.sgd.2nn.sparse", "the same with half of the features zero, as in MNIST", false, two_nn_sparse},
    {"nn.sgd.logreg", "784-10, batch 256, 73 MiB of rows: samples a second", false, logreg},
    {"nn.sgd.mlp", "784-128-10, batch 256, 73 MiB of rows: samples a second", false, mlp},
    {"nn.grad.mlp", "the same by a gradient and a step, on several threads: samples a second", false, mlp_gradient},
    {"nn.pernorm.logreg", "per-example norms and clipped sum: time over that of nn.sgd.logreg", false, logreg_clipped},
    {"nn.pernorm.mlp", "per-example norms and clipped sum: time over that of nn.sgd.mlp", false, mlp_clipped},
    {NULL, NULL, false, NULL},
};
