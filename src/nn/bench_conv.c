/* nn/bench_conv.c: networks of convolutions as programs: a training step of the CNN of 26,010 parameters over rows that
 * a shuffled index picks, the same with per-example clipping, gradients and Hessian-vector products of Conv4-64.
 *
 * FLOPs are those of convolutions and matrix products: forward, and backward without the first layer's image. */
#include "nn/bench.h"

#include "base/bench.h"
#include "nn/graph/lower.h"
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
        x = wh_graph_batch_norm(g, x, gamma, beta, 1e-5);
        if (pools) x = wh_graph_max_pool(g, x, (wh_window){2, 2, 0});
        x = wh_graph_relu(g, x);
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
/* A batch goes through as tiles: of examples whose activations the second cache holds, or whose own gradients by the
 * convolutions' weights. */
enum { TILE = 32, PRIVATE_TILE = 16 };

typedef struct trainer {
    wh_pool *pool;
    wh_run **run; /* one a thread */
    unsigned threads;
    const model *model;
    const wh_num_kernels *num;
    float *rows, *params, *grads; /* grads: of one tile after the other */
    uint32_t *labels, *order, *index, *target;
    size_t tile, batch_at;
    wh_value table, at;
} trainer;

/* One tile: for the same parameters as all tiles of the batch, into a gradient of its own. */
static whist_status one_tile(void *user, size_t which, unsigned worker)
{
    trainer *t = user;
    const model *m = t->model;
    wh_run *run = t->run[worker];
    size_t first = which * t->tile;
    float *grads = t->grads + which * m->size;
    for (size_t i = first; i < first + t->tile; i++) {
        t->index[i] = t->order[t->batch_at + i];
        t->target[i] = t->labels[t->index[i]];
    }
    WH_TRY(wh_run_input(run, t->at, t->index + first));
    WH_TRY(wh_run_input(run, m->target, t->target + first));
    for (size_t i = 0; i < m->n_params; i++) WH_TRY(wh_run_output(run, i, grads + m->at[i]));
    return wh_run_go(run, NULL);
}

/* Tiles go to the threads; their gradients are added in order, so that threads change no bit. */
static whist_status one_batch(trainer *t, size_t at)
{
    t->batch_at = at;
    WH_TRY(wh_pool_run(t->pool, BATCH / t->tile, one_tile, t));
    for (size_t i = 1; i < BATCH / t->tile; i++) t->num->add(t->grads, t->grads + i * t->model->size, t->model->size);
    t->num->axpy(t->params, t->grads, t->model->size, -1e-3f);
    return WHIST_OK;
}

static whist_status epoch(void *user)
{
    for (size_t at = 0; at < ROWS; at += BATCH) WH_TRY(one_batch(user, at));
    return WHIST_OK;
}

static whist_status reserve(trainer *t, wh_arena *memory)
{
    WH_TRY(WH_ARENA_NEW(&t->rows, memory, (size_t)ROWS * FEATURES));
    WH_TRY(WH_ARENA_NEW(&t->params, memory, t->model->size));
    WH_TRY(WH_ARENA_NEW(&t->grads, memory, BATCH / t->tile * t->model->size));
    WH_TRY(WH_ARENA_NEW(&t->run, memory, t->threads));
    WH_TRY(WH_ARENA_NEW(&t->labels, memory, ROWS));
    WH_TRY(WH_ARENA_NEW(&t->order, memory, ROWS));
    WH_TRY(WH_ARENA_NEW(&t->index, memory, BATCH));
    WH_TRY(WH_ARENA_NEW(&t->target, memory, BATCH));
    fill_real(t->rows, (size_t)ROWS * FEATURES, 0, 1);
    fill_real(t->params, t->model->size, -.1, .2);
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

/* The tile's part of the mean loss's gradient, or of the mean of gradients clipped at 1. */
static whist_status descent(wh_value out[], model *m, bool private)
{
    if (!private) {
        wh_value loss = wh_graph_scale(m->graph, wh_graph_sum_all(m->graph, m->losses), 1. / BATCH);
        return wh_graph_gradient(out, m->graph, loss, m->param, m->n_params);
    }
    WH_AUTO(wh_per_example_ptr) each = NULL;
    WH_TRY(wh_per_example_new(&each, m->graph, m->losses, m->param, m->n_params));
    wh_value weights = wh_graph_clip_weights(m->graph, wh_per_example_total(each), 1);
    return wh_per_example_sum(out, m->graph, each, wh_graph_scale(m->graph, weights, 1. / BATCH));
}

WH_AUTO_FREE(wh_pool, wh_pool_free)

static whist_status bind_params(wh_run *run, const model *m, const float *params)
{
    for (size_t i = 0; i < m->n_params; i++) WH_TRY(wh_run_input(run, m->param[i], params + m->at[i]));
    return WHIST_OK;
}

static whist_status train(whist_bench_result *out, const char *name, trainer *t, const wh_program *program)
{
    for (unsigned i = 0; i < t->threads; i++) {
        WH_TRY(wh_run_new(&t->run[i], program, 1));
        WH_TRY(wh_run_input(t->run[i], t->table, t->rows));
        WH_TRY(bind_params(t->run[i], t->model, t->params));
    }
    return wh_bench_take(out, t->threads, name, "1/s", true, ROWS, 5, epoch, t);
}

static whist_status take_cnn(whist_bench_result *out, double *flops, const whist_bench_env *env, const char *name,
                             size_t tile, bool private)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_arena) memory = {0};
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_pool_new(&pool, env->threads));
    model m = {.graph = graph};
    wh_value grads[MAX_PARAMS];
    trainer t = {.pool = pool, .threads = env->threads, .model = &m, .num = wh_num_kernels_get(), .tile = tile};
    t.table = wh_graph_input(graph, "rows", WH_SHARED, WH_DIMS(ROWS, FEATURES));
    t.at = wh_graph_index(graph, "index", WH_EXAMPLES, WH_DIMS(tile), ROWS);
    build_cnn(&m, wh_graph_gather(graph, t.table, t.at), tile);
    WH_TRY(descent(grads, &m, private));
    WH_TRY(wh_graph_lower(grads, graph, m.n_params));
    WH_TRY(wh_program_new(&program, graph, grads, m.n_params));
    WH_TRY(reserve(&t, &memory));
    *flops = flops_of_gradient(&m) / (double)tile;
    whist_status status = train(out, name, &t, program);
    for (unsigned i = 0; i < t.threads; i++) wh_run_free(t.run[i]);
    return status;
}

static whist_status bench_cnn(const whist_bench_env *env)
{
    whist_bench_result result;
    double flops;
    WH_TRY(take_cnn(&result, &flops, env, "nn.sgd.cnn", TILE, false));
    return wh_num_bench_flops(env, &result, flops);
}

static whist_status bench_cnn_private(const whist_bench_env *env)
{
    whist_bench_result plain, private;
    double flops;
    WH_TRY(take_cnn(&plain, &flops, env, "nn.sgd.cnn", TILE, false));
    WH_TRY(take_cnn(&private, &flops, env, "nn.pernorm.cnn", PRIVATE_TILE, true));
    wh_nn_bench_ratio(env, &private, &plain);
    return WHIST_OK;
}

/* ---- Conv4-64 --------------------------------------------------------------------------------------------- */

typedef enum ask { GRADIENT, PRODUCT, BOTH } ask;

/* A program ready to run. */
typedef struct ready {
    wh_program *program;
    wh_run *run;
    wh_pool *pool;
    wh_arena memory;
    double flops; /* of the gradient */
} ready;

static void ready_clear(ready *r)
{
    wh_run_free(r->run);
    wh_program_free(r->program);
    wh_pool_free(r->pool);
    wh_arena_clear(&r->memory);
}
WH_AUTO_CLEAR(ready, ready_clear)

static whist_status go(void *user)
{
    ready *r = user;
    return wh_run_go(r->run, r->pool);
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

static whist_status bind_conv4(ready *r, const model *m, const wh_value tangents[], size_t batch)
{
    float *x, *params;
    uint32_t *target;
    WH_TRY(WH_ARENA_NEW(&x, &r->memory, batch * FEATURES));
    WH_TRY(WH_ARENA_NEW(&params, &r->memory, m->size));
    WH_TRY(WH_ARENA_NEW(&target, &r->memory, batch));
    fill_real(x, batch * FEATURES, 0, 1);
    fill_real(params, m->size, -.05, .15);
    fill_index(target, batch, 5);
    WH_TRY(wh_run_input(r->run, m->x, x));
    WH_TRY(wh_run_input(r->run, m->target, target));
    WH_TRY(bind_params(r->run, m, params));
    for (size_t i = 0; i < m->n_params; i++) WH_TRY(wh_run_input(r->run, tangents[i], params + m->at[i]));
    return WHIST_OK;
}

static whist_status prepare_conv4(ready *r, unsigned threads, size_t batch, bool pools, ask what)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_pool_new(&r->pool, threads));
    model m = {.graph = graph};
    build_conv4(&m, batch, pools);
    wh_value tangents[MAX_PARAMS], outputs[2 * MAX_PARAMS];
    for (size_t i = 0; i < m.n_params; i++)
        tangents[i] = wh_graph_input(graph, "v", WH_SHARED, wh_graph_dims(graph, m.param[i]));
    size_t n;
    WH_TRY(conv4_outputs(outputs, &n, &m, tangents, what));
    if (what == GRADIENT) WH_TRY(wh_graph_lower(outputs, graph, n));
    WH_TRY(wh_program_new(&r->program, graph, outputs, n));
    WH_TRY(wh_run_new(&r->run, r->program, threads));
    r->flops = flops_of_gradient(&m);
    return bind_conv4(r, &m, tangents, batch);
}

/* Three convolutions of one shape with a bias and a ReLU between: what is nothing but convolutions, so that the two
 * settings of WHIST_CONV can be compared. */
typedef struct stack {
    size_t batch, side, channels, kernel;
} stack;

static void build_stack(model *m, const stack *s)
{
    wh_graph *g = m->graph;
    m->x = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(s->batch, s->channels, s->side, s->side));
    wh_value x = m->x;
    for (size_t l = 0; l < 3; l++) x = wh_graph_relu(g, conv(m, x, s->channels, s->kernel, 1, s->kernel / 2));
    m->losses = wh_graph_mean(g, x, 1u << 1 | 1u << 2 | 1u << 3, false);
}

static whist_status prepare_stack(ready *r, unsigned threads, const stack *s)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_pool_new(&r->pool, threads));
    model m = {.graph = graph};
    build_stack(&m, s);
    wh_value grads[MAX_PARAMS];
    float *x, *params;
    size_t image = s->batch * s->channels * s->side * s->side;
    WH_TRY(wh_graph_gradient(grads, graph, wh_graph_mean_all(graph, m.losses), m.param, m.n_params));
    WH_TRY(wh_graph_lower(grads, graph, m.n_params));
    WH_TRY(wh_program_new(&r->program, graph, grads, m.n_params));
    WH_TRY(wh_run_new(&r->run, r->program, threads));
    WH_TRY(WH_ARENA_NEW(&x, &r->memory, image));
    WH_TRY(WH_ARENA_NEW(&params, &r->memory, m.size));
    fill_real(x, image, 0, 1);
    fill_real(params, m.size, -.05, .15);
    WH_TRY(wh_run_input(r->run, m.x, x));
    r->flops = flops_of_gradient(&m);
    return bind_params(r->run, &m, params);
}

static whist_status bench_stacks(const whist_bench_env *env)
{
    static const stack stacks[] = {{32, 32, 32, 3}, {32, 32, 64, 3}, {32, 16, 128, 3}, {32, 8, 256, 3},
                                   {80, 14, 64, 3}, {80, 7, 64, 3},  {32, 14, 32, 5}};
    for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) {
        const stack *s = &stacks[i];
        whist_bench_result result;
        char name[48];
        WH_AUTO(ready) r = {.program = NULL};
        (void)snprintf(name, sizeof name, "nn.convs.%zux%zu.%zu.%zux%zu", s->side, s->side, s->channels, s->kernel,
                       s->kernel);
        WH_TRY(prepare_stack(&r, env->threads, s));
        WH_TRY(wh_bench_take(&result, env->threads, name, "1/s", true, 1, WH_BENCH_REPS, go, &r));
        WH_TRY(wh_num_bench_flops(env, &result, r.flops));
    }
    return WHIST_OK;
}

static whist_status bench_conv4(const whist_bench_env *env)
{
    static const size_t batches[] = {5, 75, 80};
    for (int pools = 0; pools < 2; pools++)
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            whist_bench_result result;
            char name[40];
            WH_AUTO(ready) r = {.program = NULL};
            snprintf(name, sizeof name, "nn.conv4.%s.%zu", pools ? "maxpool" : "strided", batches[i]);
            WH_TRY(prepare_conv4(&r, env->threads, batches[i], pools, GRADIENT));
            WH_TRY(wh_bench_take(&result, env->threads, name, "1/s", true, 1, WH_BENCH_REPS, go, &r));
            WH_TRY(wh_num_bench_flops(env, &result, r.flops));
        }
    return WHIST_OK;
}

static whist_status seconds_of(double *out, ready *r)
{
    enum { TIMES = 4 };
    double start = wh_clock_seconds();
    for (int i = 0; i < TIMES; i++) WH_TRY(go(r));
    *out = (wh_clock_seconds() - start) / TIMES;
    return WHIST_OK;
}

static void emit_ratios(const whist_bench_env *env, const char *name, double ratio[WH_BENCH_REPS])
{
    qsort(ratio, WH_BENCH_REPS, sizeof *ratio, wh_bench_order_);
    whist_bench_result result = {.unit = "1",
                                 .median = ratio[WH_BENCH_REPS / 2],
                                 .min = ratio[0],
                                 .max = ratio[WH_BENCH_REPS - 1],
                                 .reps = WH_BENCH_REPS,
                                 .threads = env->threads};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
}

/* Times over that of the gradient, taken in turns: the product by itself, and what it adds where the gradient is asked
 * for as well. */
static whist_status bench_hvp(const whist_bench_env *env)
{
    enum { N = 80 };
    WH_AUTO(ready) gradient = {.program = NULL};
    WH_AUTO(ready) product = {.program = NULL};
    WH_AUTO(ready) both = {.program = NULL};
    WH_TRY(prepare_conv4(&gradient, env->threads, N, false, GRADIENT));
    WH_TRY(prepare_conv4(&product, env->threads, N, false, PRODUCT));
    WH_TRY(prepare_conv4(&both, env->threads, N, false, BOTH));
    double alone[WH_BENCH_REPS], beside[WH_BENCH_REPS];
    for (int rep = -1; rep < WH_BENCH_REPS; rep++) {
        double g, p, b;
        WH_TRY(seconds_of(&g, &gradient));
        WH_TRY(seconds_of(&p, &product));
        WH_TRY(seconds_of(&b, &both));
        if (rep < 0) continue; /* to warm up */
        alone[rep] = p / g;
        beside[rep] = (b - g) / g;
    }
    emit_ratios(env, "nn.hvp.conv4.alone", alone);
    emit_ratios(env, "nn.hvp.conv4", beside);
    return WHIST_OK;
}

const whist_bench wh_nn_conv_benches[] = {
    {"nn.sgd.cnn", "CNN of 26,010 parameters, batch 256, 64 MiB of rows: samples a second", false, bench_cnn},
    {"nn.pernorm.cnn", "the same with per-example norms and clipped sum: time over that of the plain step", false,
     bench_cnn_private},
    {"nn.conv4", "gradients of Conv4-64, 28 x 28, batches of 5, 75, 80, by steps of 2 or pools: gradients a second",
     false, bench_conv4},
    {"nn.convs", "gradients of three equal convolutions with ReLUs: gradients a second", false, bench_stacks},
    {"nn.hvp.conv4", "Hessian-vector product of Conv4-64, batch 80: time over that of the gradient", false, bench_hvp},
    {NULL, NULL, false, NULL},
};
