/* nn/bench.c: training speed. Every epoch goes through a shuffled index: gather, forward, loss, backward,
 * update. The rows have no zeros but where the name says sparse. */
#include "nn/bench.h"

#include "base/bench.h"
#include "base/settings.h"
#include "whist/nn.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)

/* n rows are walked once, in batches; site by site where the rows belong to several. */
typedef struct epoch {
    whist_model *model;
    whist_model_work *work;
    float *params, *x, *y;
    uint32_t *index;
    size_t n, batch;
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

static whist_status measure(const whist_bench_env *env, const char *name, const char *class_name, const char *hidden,
                            size_t n, size_t batch, bool sparse)
{
    enum { D = 784, CLASSES = 10 };
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(wh_owned) params = NULL;
    WH_AUTO(wh_owned) x = NULL;
    WH_AUTO(wh_owned) y = NULL;
    WH_AUTO(wh_owned) index = NULL;
    whist_model_shape shape = {D, CLASSES, WHIST_TARGET_CLASS};
    WH_TRY(whist_settings_new(&settings, whist_model_class_find(class_name)->options));
    if (hidden) WH_TRY(whist_settings_set(settings, "hidden", hidden));
    WH_TRY(whist_model_new(&model, class_name, settings, &shape));
    WH_TRY(whist_model_work_new(&work, model, batch));
    WH_TRY(wh_alloc(&params, whist_model_size(model), sizeof(float)));
    WH_TRY(wh_alloc(&x, n * D, sizeof(float)));
    WH_TRY(wh_alloc(&y, n, sizeof(float)));
    WH_TRY(wh_alloc(&index, n, sizeof(uint32_t)));
    epoch e = {model, work, params, x, y, index, n, batch};
    whist_model_init(model, e.params, 1);
    fill(&e, D, CLASSES, sparse);
    return wh_bench_measure(env, name, "1/s", true, (double)(n / batch * batch), walk, &e);
}

static whist_status two_nn(const whist_bench_env *env)
{
    return measure(env, "nn.sgd.2nn", "mlp", "[200, 200]", 600, 10, false);
}

static whist_status two_nn_sparse(const whist_bench_env *env)
{
    return measure(env, "nn.sgd.2nn.sparse", "mlp", "[200, 200]", 600, 10, true);
}

static whist_status logreg(const whist_bench_env *env)
{
    return measure(env, "nn.sgd.logreg", "softmax", NULL, 24576, 256, false);
}

static whist_status mlp(const whist_bench_env *env)
{
    return measure(env, "nn.sgd.mlp", "mlp", "[128]", 24576, 256, false);
}

void wh_nn_bench_ratio(const whist_bench_env *env, const whist_bench_result *slow, const whist_bench_result *fast)
{
    whist_bench_result out = *slow;
    out.unit = "1";
    out.median = fast->median / slow->median;
    out.min = fast->min / slow->max;
    out.max = fast->max / slow->min;
    env->emit(env->user, &out);
}

const whist_bench wh_nn_benches[] = {
    {"nn.sgd.2nn", "784-200-200-10, batch 10, one site's 600 rows: samples a second", false, two_nn},
    {"nn.sgd.2nn.sparse", "the same with half of the features zero, as in MNIST", false, two_nn_sparse},
    {"nn.sgd.logreg", "784-10, batch 256, 73 MiB of rows: samples a second", false, logreg},
    {"nn.sgd.mlp", "784-128-10, batch 256, 73 MiB of rows: samples a second", false, mlp},
    {NULL, NULL, false, NULL},
};
