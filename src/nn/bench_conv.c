/* nn/bench_conv.c: networks of convolutions as programs: a training step of the CNN of 26,010 parameters over rows that
 * a shuffled index picks, the same with per-example clipping, gradients and Hessian-vector products of Conv4-64.
 *
 * FLOPs are those of convolutions and matrix products: forward, and backward without the first layer's image. */
#include "nn/bench.h"

#include "base/bench.h"
#include "nn/graph/program.h"
#include "num/bench.h"
#include "num/kern.h"

enum { MAX_PARAMS = 32 };

/* A model while it is built: its parameters stand one after the other in one flat vector. */
typedef struct model {
    wh_graph *graph;
    wh_value param[MAX_PARAMS];
    size_t at[MAX_PARAMS], n_params, size;
    wh_value x, target, losses;
    double forward, first; /* multiply-adds of the batch: all layers, and the first, whose image needs no gradient */
} model;

static wh_value parameter(model *m, wh_dims dims)
{
    wh_value v = wh_graph_input(m->graph, "p", WH_PARAM, dims);
    m->param[m->n_params] = v;
    m->at[m->n_params++] = m->size;
    m->size += wh_dims_size(&dims);
    return v;
}

static wh_value dense(model *m, wh_value x, size_t out)
{
    wh_dims dims = wh_graph_dims(m->graph, x);
    wh_value w = parameter(m, WH_DIMS(dims.dim[1], out)), b = parameter(m, WH_DIMS(out));
    m->forward += (double)(dims.dim[0] * dims.dim[1] * out);
    return wh_graph_linear(m->graph, x, w, b, WH_MATMUL_NN);
}

static wh_value conv(model *m, wh_value x, size_t out, size_t kernel, size_t stride, size_t pad)
{
    size_t channels = wh_graph_dims(m->graph, x).dim[1];
    wh_value w = parameter(m, WH_DIMS(out, channels, kernel, kernel)), b = parameter(m, WH_DIMS(out));
    wh_value y = wh_graph_conv(m->graph, x, w, b, (wh_conv){stride, pad, 1});
    wh_dims dims = wh_graph_dims(m->graph, y);
    double products = (double)(wh_dims_size(&dims) * channels * kernel * kernel);
    if (m->forward == 0) m->first = products;
    m->forward += products;
    return y;
}

static double flops_of_gradient(const model *m)
{
    return 2 * (3 * m->forward - m->first);
}

/* 16 kernels 8 x 8 in steps of 2, pool, 32 kernels 4 x 4 in steps of 2, pool, 32, 10. */
static void build_cnn(model *m, wh_value rows, size_t batch)
{
    wh_graph *g = m->graph;
    wh_value x = wh_graph_reshape(g, rows, WH_DIMS(batch, 1, 28, 28));
    x = wh_graph_max_pool(g, wh_graph_relu(g, conv(m, x, 16, 8, 2, 3)), (wh_window){2, 1, 0});
    x = wh_graph_max_pool(g, wh_graph_relu(g, conv(m, x, 32, 4, 2, 0)), (wh_window){2, 1, 0});
    x = dense(m, wh_graph_relu(g, dense(m, wh_graph_reshape(g, x, WH_DIMS(batch, 512)), 32)), 10);
    m->target = wh_graph_index(g, "target", WH_EXAMPLES, WH_DIMS(batch), 10);
    m->losses = wh_graph_cross_entropy(g, x, m->target);
}

/* Four times convolution 3 x 3, batch norm, ReLU and a step of 2 or a pool; five classes. */
static void build_conv4(model *m, size_t batch, bool pools)
{
    wh_graph *g = m->graph;
    m->x = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(batch, 1, 28, 28));
    wh_value x = m->x;
    for (size_t l = 0; l < 4; l++) {
        x = conv(m, x, 64, 3, pools ? 1 : 2, 1);
        wh_value gamma = parameter(m, WH_DIMS(64)), beta = parameter(m, WH_DIMS(64));
        x = wh_graph_relu(g, wh_graph_batch_norm(g, x, gamma, beta, 1e-5));
        if (pools) x = wh_graph_max_pool(g, x, (wh_window){2, 2, 0});
    }
    x = dense(m, wh_graph_mean(g, x, 1u << 2 | 1u << 3, false), 5);
    m->target = wh_graph_index(g, "target", WH_EXAMPLES, WH_DIMS(batch), 5);
    m->losses = wh_graph_cross_entropy(g, x, m->target);
}

/* ---- Numbers -------------------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 32;
}

static void fill_real(float *x, size_t n, double low, double width)
{
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) x[i] = (float)(low + width * (double)next(&state) * 0x1p-32);
}

static void fill_index(uint32_t *x, size_t n, uint32_t limit)
{
    uint64_t state = 2;
    for (size_t i = 0; i < n; i++) x[i] = (uint32_t)(next(&state) % limit);
}

/* ---- Training steps ---------------------------------------------------------------------------------- */

/* More rows than any cache holds: 64 MiB and more. */
enum { FEATURES = 784, BATCH = 256, ROWS = 84 * BATCH };

typedef struct trainer {
    wh_pool *pool;
    wh_run *run;
    const wh_num_kernels *num;
    float *rows, *params, *grads;
    uint32_t *labels, *order, *index, *target;
    size_t size;
} trainer;

static whist_status epoch(void *user)
{
    trainer *t = user;
    for (size_t at = 0; at < ROWS; at += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            t->index[i] = t->order[at + i];
            t->target[i] = t->labels[t->index[i]];
        }
        WH_TRY(wh_run_go(t->run, t->pool));
        t->num->axpy(t->params, t->grads, t->size, -1e-3f);
    }
    return WHIST_OK;
}

static whist_status reserve(trainer *t, wh_arena *memory)
{
    WH_TRY(WH_ARENA_NEW(&t->rows, memory, (size_t)ROWS * FEATURES));
    WH_TRY(WH_ARENA_NEW(&t->params, memory, t->size));
    WH_TRY(WH_ARENA_NEW(&t->grads, memory, t->size));
    WH_TRY(WH_ARENA_NEW(&t->labels, memory, ROWS));
    WH_TRY(WH_ARENA_NEW(&t->order, memory, ROWS));
    WH_TRY(WH_ARENA_NEW(&t->index, memory, BATCH));
    WH_TRY(WH_ARENA_NEW(&t->target, memory, BATCH));
    fill_real(t->rows, (size_t)ROWS * FEATURES, 0, 1);
    fill_real(t->params, t->size, -.1, .2);
    fill_index(t->labels, ROWS, 10);
    uint64_t state = 3;
    for (size_t i = 0; i < ROWS; i++) t->order[i] = (uint32_t)i;
    for (size_t i = ROWS; i > 1; i--) {
        size_t j = next(&state) % i;
        uint32_t other = t->order[i - 1];
        t->order[i - 1] = t->order[j];
        t->order[j] = other;
    }
    return WHIST_OK;
}

/* The mean loss's gradient, or the mean of gradients clipped at 1. */
static whist_status descent(wh_value out[], model *m, bool private)
{
    if (!private)
        return wh_graph_gradient(out, m->graph, wh_graph_mean_all(m->graph, m->losses), m->param, m->n_params);
    WH_AUTO(wh_per_example_ptr) each = NULL;
    WH_TRY(wh_per_example_new(&each, m->graph, m->losses, m->param, m->n_params));
    wh_value weights = wh_graph_clip_weights(m->graph, wh_per_example_total(each), 1);
    return wh_per_example_sum(out, m->graph, each, wh_graph_scale(m->graph, weights, 1. / BATCH));
}

WH_AUTO_FREE(wh_pool, wh_pool_free)

static whist_status bind_params(wh_run *run, const model *m, const float *params, float *grads)
{
    for (size_t i = 0; i < m->n_params; i++) {
        WH_TRY(wh_run_input(run, m->param[i], params + m->at[i]));
        if (grads) WH_TRY(wh_run_output(run, i, grads + m->at[i]));
    }
    return WHIST_OK;
}

static whist_status take_cnn(whist_bench_result *out, double *flops, const whist_bench_env *env, const char *name,
                             bool private)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_arena) memory = {0};
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_pool_new(&pool, env->threads));
    model m = {.graph = graph};
    wh_value table = wh_graph_input(graph, "rows", WH_SHARED, WH_DIMS(ROWS, FEATURES)), grads[MAX_PARAMS];
    wh_value index = wh_graph_index(graph, "index", WH_EXAMPLES, WH_DIMS(BATCH), ROWS);
    build_cnn(&m, wh_graph_gather(graph, table, index), BATCH);
    WH_TRY(descent(grads, &m, private));
    WH_TRY(wh_program_new(&program, graph, grads, m.n_params));
    WH_TRY(wh_run_new(&run, program, env->threads));
    trainer t = {.pool = pool, .run = run, .num = wh_num_kernels_get(), .size = m.size};
    WH_TRY(reserve(&t, &memory));
    WH_TRY(wh_run_input(run, table, t.rows));
    WH_TRY(wh_run_input(run, index, t.index));
    WH_TRY(wh_run_input(run, m.target, t.target));
    WH_TRY(bind_params(run, &m, t.params, t.grads));
    *flops = flops_of_gradient(&m) / BATCH;
    return wh_bench_take(out, env->threads, name, "1/s", true, ROWS, 5, epoch, &t);
}

static whist_status bench_cnn(const whist_bench_env *env)
{
    whist_bench_result result;
    double flops;
    WH_TRY(take_cnn(&result, &flops, env, "nn.sgd.cnn", false));
    return wh_num_bench_flops(env, &result, flops);
}

static whist_status bench_cnn_private(const whist_bench_env *env)
{
    whist_bench_result plain, private;
    double flops;
    WH_TRY(take_cnn(&plain, &flops, env, "nn.sgd.cnn", false));
    WH_TRY(take_cnn(&private, &flops, env, "nn.pernorm.cnn", true));
    wh_nn_bench_ratio(env, &private, &plain);
    return WHIST_OK;
}

/* ---- Conv4-64 --------------------------------------------------------------------------------------------- */

typedef enum ask { GRADIENT, PRODUCT, BOTH } ask;

typedef struct going {
    wh_run *run;
    wh_pool *pool;
} going;

static whist_status go(void *user)
{
    going *g = user;
    return wh_run_go(g->run, g->pool);
}

/* The gradient, its Hessian-vector product, or both from one set of activations. */
static whist_status conv4_outputs(wh_value out[], size_t *n, model *m, const wh_value tangents[], ask what)
{
    wh_value grads[MAX_PARAMS], product[MAX_PARAMS];
    WH_TRY(wh_graph_gradient(grads, m->graph, wh_graph_mean_all(m->graph, m->losses), m->param, m->n_params));
    *n = 0;
    if (what != PRODUCT)
        for (size_t i = 0; i < m->n_params; i++) out[(*n)++] = grads[i];
    if (what == GRADIENT) return WHIST_OK;
    WH_TRY(wh_graph_jvp(product, m->graph, grads, m->n_params, m->param, tangents, m->n_params));
    for (size_t i = 0; i < m->n_params; i++) out[(*n)++] = product[i];
    return WHIST_OK;
}

static whist_status take_conv4(whist_bench_result *out, double *flops, const whist_bench_env *env, const char *name,
                               size_t batch, bool pools, ask what)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_arena) memory = {0};
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_pool_new(&pool, env->threads));
    model m = {.graph = graph};
    build_conv4(&m, batch, pools);
    wh_value tangents[MAX_PARAMS], outputs[2 * MAX_PARAMS];
    for (size_t i = 0; i < m.n_params; i++)
        tangents[i] = wh_graph_input(graph, "v", WH_SHARED, wh_graph_dims(graph, m.param[i]));
    size_t n;
    WH_TRY(conv4_outputs(outputs, &n, &m, tangents, what));
    WH_TRY(wh_program_new(&program, graph, outputs, n));
    WH_TRY(wh_run_new(&run, program, env->threads));
    float *x, *params;
    uint32_t *target;
    WH_TRY(WH_ARENA_NEW(&x, &memory, batch * FEATURES));
    WH_TRY(WH_ARENA_NEW(&params, &memory, m.size));
    WH_TRY(WH_ARENA_NEW(&target, &memory, batch));
    fill_real(x, batch * FEATURES, 0, 1);
    fill_real(params, m.size, -.05, .15);
    fill_index(target, batch, 5);
    WH_TRY(wh_run_input(run, m.x, x));
    WH_TRY(wh_run_input(run, m.target, target));
    WH_TRY(bind_params(run, &m, params, NULL));
    for (size_t i = 0; i < m.n_params; i++) WH_TRY(wh_run_input(run, tangents[i], params + m.at[i]));
    *flops = flops_of_gradient(&m);
    going g = {run, pool};
    return wh_bench_take(out, env->threads, name, "1/s", true, 1, WH_BENCH_REPS, go, &g);
}

static whist_status bench_conv4(const whist_bench_env *env)
{
    static const size_t batches[] = {5, 75, 80};
    for (int pools = 0; pools < 2; pools++)
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            whist_bench_result result;
            char name[40];
            double flops;
            snprintf(name, sizeof name, "nn.conv4.%s.%zu", pools ? "maxpool" : "strided", batches[i]);
            WH_TRY(take_conv4(&result, &flops, env, name, batches[i], pools, GRADIENT));
            WH_TRY(wh_num_bench_flops(env, &result, flops));
        }
    return WHIST_OK;
}

/* Times over that of the gradient: the product by itself, and what it adds where the gradient is asked for as well. */
static whist_status bench_hvp(const whist_bench_env *env)
{
    enum { N = 80 };
    whist_bench_result gradient, product, both;
    double flops;
    WH_TRY(take_conv4(&gradient, &flops, env, "nn.conv4.strided.80", N, false, GRADIENT));
    WH_TRY(take_conv4(&product, &flops, env, "nn.hvp.conv4.alone", N, false, PRODUCT));
    WH_TRY(take_conv4(&both, &flops, env, "nn.hvp.conv4", N, false, BOTH));
    wh_nn_bench_ratio(env, &product, &gradient);
    both.median = 1 / (1 / both.median - 1 / gradient.median);
    both.min = 1 / (1 / both.min - 1 / gradient.max);
    both.max = 1 / (1 / both.max - 1 / gradient.min);
    wh_nn_bench_ratio(env, &both, &gradient);
    return WHIST_OK;
}

const whist_bench wh_nn_conv_benches[] = {
    {"nn.sgd.cnn", "CNN of 26,010 parameters, batch 256, 64 MiB of rows: samples a second", false, bench_cnn},
    {"nn.pernorm.cnn", "the same with per-example norms and clipped sum: time over that of the plain step", false,
     bench_cnn_private},
    {"nn.conv4", "gradients of Conv4-64, 28 x 28, batches of 5, 75, 80, by steps of 2 or pools: gradients a second",
     false, bench_conv4},
    {"nn.hvp.conv4", "Hessian-vector product of Conv4-64, batch 80: time over that of the gradient", false, bench_hvp},
    {NULL, NULL, false, NULL},
};
