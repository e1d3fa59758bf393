/* nn/bench_graph.c: training steps of transformers as programs: windows of tokens by a shuffled index, forward,
 * loss, backward, update.
 *
 * FLOPs are those of the matrix products, causal attention counted in full, three times the forward pass. */
#include "nn/bench.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bench.h"
#include "base/settings.h"
#include "nn/graph/program.h"
#include "nn/optim.h"
#include "num/bench.h"

enum { MAX_PARAMS = 128 };

WH_AUTO_FREE(wh_pool, wh_pool_free)

/* A model while it is built: its parameters stand one after the other in one flat vector. */
typedef struct model {
    wh_graph *graph;
    wh_value param[MAX_PARAMS];
    size_t at[MAX_PARAMS], n_params, size;
    wh_value tokens, target, losses;
} model;

static wh_value parameter(model *m, wh_dims dims)
{
    wh_value v = wh_graph_input(m->graph, "p", WH_PARAM, dims);
    m->param[m->n_params] = v;
    m->at[m->n_params++] = m->size;
    m->size += wh_dims_size(&dims);
    return v;
}

static wh_value linear(model *m, wh_value x, size_t in, size_t out)
{
    wh_value w = parameter(m, WH_DIMS(in, out)), b = parameter(m, WH_DIMS(out));
    return wh_graph_linear(m->graph, x, w, b, WH_MATMUL_NN);
}

static wh_value norm(model *m, wh_value x, size_t width)
{
    wh_value gamma = parameter(m, WH_DIMS(width)), beta = parameter(m, WH_DIMS(width));
    return wh_graph_layer_norm(m->graph, x, gamma, beta, 1e-5);
}

typedef struct shape {
    size_t batch, steps, width, heads, inner, layers, vocabulary;
} shape;

static wh_value heads_first(model *m, wh_value x, const shape *s, size_t which)
{
    static const unsigned order[] = {0, 2, 1, 3};
    size_t each = s->width / s->heads;
    wh_value part =
        wh_graph_slice(m->graph, x, (const size_t[]){0, 0, which * s->width}, WH_DIMS(s->batch, s->steps, s->width));
    part = wh_graph_reshape(m->graph, part, WH_DIMS(s->batch, s->steps, s->heads, each));
    return wh_graph_transpose(m->graph, part, order);
}

static wh_value attention(model *m, wh_value x, const shape *s, bool causal)
{
    static const unsigned order[] = {0, 2, 1, 3};
    wh_value qkv = linear(m, x, s->width, 3 * s->width), part[3];
    for (size_t i = 0; i < 3; i++) part[i] = heads_first(m, qkv, s, i);
    double scale = 1 / sqrt((double)(s->width / s->heads));
    wh_value y = wh_graph_attention(m->graph, part[0], part[1], part[2], scale, causal);
    y = wh_graph_reshape(m->graph, wh_graph_transpose(m->graph, y, order), WH_DIMS(s->batch, s->steps, s->width));
    return linear(m, y, s->width, s->width);
}

/* Norm after each half, ReLU: the first transformer's encoder. */
static wh_value encoder_layer(model *m, wh_value x, const shape *s)
{
    x = norm(m, wh_graph_add(m->graph, x, attention(m, x, s, false)), s->width);
    wh_value h = wh_graph_relu(m->graph, linear(m, x, s->width, s->inner));
    return norm(m, wh_graph_add(m->graph, x, linear(m, h, s->inner, s->width)), s->width);
}

static void build_encoder(model *m, const shape *s)
{
    m->tokens = wh_graph_index(m->graph, "tokens", WH_EXAMPLES, WH_DIMS(s->batch, s->steps), s->vocabulary);
    m->target = wh_graph_index(m->graph, "target", WH_EXAMPLES, WH_DIMS(s->batch), 2);
    wh_value x = wh_graph_gather(m->graph, parameter(m, WH_DIMS(s->vocabulary, s->width)), m->tokens);
    for (size_t l = 0; l < s->layers; l++) x = encoder_layer(m, x, s);
    x = linear(m, wh_graph_mean(m->graph, x, 2, false), s->width, 2);
    m->losses = wh_graph_cross_entropy(m->graph, x, m->target);
}

/* Norm before each half, GELU, causal: a decoder whose embedding is its output layer as well. */
static wh_value decoder_layer(model *m, wh_value x, const shape *s)
{
    x = wh_graph_add(m->graph, x, attention(m, norm(m, x, s->width), s, true));
    wh_value h = wh_graph_gelu_tanh(m->graph, linear(m, norm(m, x, s->width), s->width, s->inner));
    return wh_graph_add(m->graph, x, linear(m, h, s->inner, s->width));
}

static void build_decoder(model *m, const shape *s)
{
    m->tokens = wh_graph_index(m->graph, "tokens", WH_EXAMPLES, WH_DIMS(s->batch, s->steps), s->vocabulary);
    m->target = wh_graph_index(m->graph, "target", WH_EXAMPLES, WH_DIMS(s->batch, s->steps), s->vocabulary);
    wh_value table = parameter(m, WH_DIMS(s->vocabulary, s->width));
    wh_value place = parameter(m, WH_DIMS(s->steps, s->width));
    wh_value x = wh_graph_add(m->graph, wh_graph_gather(m->graph, table, m->tokens), place);
    for (size_t l = 0; l < s->layers; l++) x = decoder_layer(m, x, s);
    x = wh_graph_matmul(m->graph, norm(m, x, s->width), table, WH_MATMUL_NT);
    m->losses = wh_graph_cross_entropy(m->graph, x, m->target);
}

/* ---- A step ---------------------------------------------------------------------------------------- */

typedef struct trainer {
    const shape *shape;
    wh_pool *pool;
    wh_run *run;
    wh_optimizer *optimizer;
    float *params, *grad;
    uint32_t *stream, *index, *tokens, *target;
    size_t n_windows, next, size;
    bool decodes;
} trainer;

/* The next windows of the shuffled index; a decoder's target is the next token. */
static void fill_batch(trainer *t)
{
    const size_t steps = t->shape->steps;
    for (size_t b = 0; b < t->shape->batch; b++, t->next = (t->next + 1) % t->n_windows) {
        const uint32_t *window = t->stream + t->index[t->next] * steps;
        memcpy(t->tokens + b * steps, window, steps * sizeof *window);
        if (t->decodes)
            memcpy(t->target + b * steps, window + 1, steps * sizeof *window);
        else
            t->target[b] = window[0] & 1;
    }
}

static whist_status step(void *user)
{
    trainer *t = user;
    fill_batch(t);
    WH_TRY(wh_run_go(t->run, t->pool));
    wh_optimizer_step(t->optimizer, t->params, t->grad, t->decodes ? 1e-3 : 1e-2, t->pool);
    return WHIST_OK;
}

/* ---- Measuring ------------------------------------------------------------------------------------------ */

/* Of one token, forward and backward: products with weights, and with the other tokens of the window. */
static double flops_of_token(const shape *s, bool decodes)
{
    double d = (double)s->width, layer = 4 * d * d + 2 * d * (double)s->inner + 2 * d * (double)s->steps;
    return 6 * ((double)s->layers * layer + (decodes ? d * (double)s->vocabulary : 0));
}

static void fill_numbers(trainer *t, size_t vocabulary)
{
    uint64_t state = 1;
    for (size_t i = 0; i < t->n_windows * t->shape->steps + 1; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        t->stream[i] = (uint32_t)((state >> 33) % vocabulary);
    }
    for (size_t i = 0; i < t->size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        t->params[i] = ((float)(state >> 40) * 0x1p-24f - .5f) * .1f;
    }
    for (size_t i = 0; i < t->n_windows; i++) t->index[i] = (uint32_t)i;
    for (size_t i = t->n_windows; i > 1; i--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t j = (size_t)((state >> 32) % i);
        uint32_t swap = t->index[i - 1];
        t->index[i - 1] = t->index[j];
        t->index[j] = swap;
    }
}

static whist_status reserve(trainer *t, wh_arena *memory)
{
    const size_t rows = t->shape->batch * t->shape->steps;
    WH_TRY(WH_ARENA_NEW(&t->params, memory, t->size));
    WH_TRY(WH_ARENA_NEW(&t->grad, memory, t->size));
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const wh_optimizer_class *class_ = wh_optimizer_find(t->decodes ? "adamw" : "sgd");
    WH_TRY(whist_settings_new(&settings, class_->options));
    WH_TRY(wh_optimizer_new(&t->optimizer, class_, settings, t->size));
    WH_TRY(WH_ARENA_NEW(&t->stream, memory, t->n_windows * t->shape->steps + 1));
    WH_TRY(WH_ARENA_NEW(&t->index, memory, t->n_windows));
    WH_TRY(WH_ARENA_NEW(&t->tokens, memory, rows));
    return WH_ARENA_NEW(&t->target, memory, rows);
}

static whist_status bind(trainer *t, const model *m)
{
    WH_TRY(wh_run_input(t->run, m->tokens, t->tokens));
    WH_TRY(wh_run_input(t->run, m->target, t->target));
    for (size_t i = 0; i < m->n_params; i++) {
        WH_TRY(wh_run_input(t->run, m->param[i], t->params + m->at[i]));
        WH_TRY(wh_run_output(t->run, i, t->grad + m->at[i]));
    }
    return WHIST_OK;
}

static whist_status outputs(wh_value out[], model *m, const shape *s, bool private)
{
    double share = 1 / (double)s->batch;
    if (!private)
        return wh_graph_gradient(out, m->graph, wh_graph_mean_all(m->graph, m->losses), m->param, m->n_params);
    WH_AUTO(wh_per_example_ptr) each = NULL;
    WH_TRY(wh_per_example_new(&each, m->graph, m->losses, m->param, m->n_params));
    wh_value weights = wh_graph_clip_weights(m->graph, wh_per_example_total(each), 1);
    return wh_per_example_sum(out, m->graph, each, wh_graph_scale(m->graph, weights, share));
}

/* One kind of training, ready to step. */
typedef struct setup {
    trainer trainer;
    wh_arena memory;
    wh_program *program;
} setup;

static void setup_clear(setup *s)
{
    wh_run_free(s->trainer.run);
    wh_optimizer_free(s->trainer.optimizer);
    wh_program_free(s->program);
    wh_arena_clear(&s->memory);
}
WH_AUTO_CLEAR(setup, setup_clear)

static whist_status prepare(setup *out, const shape *s, wh_pool *pool, bool decodes, bool private)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    model m = {.graph = graph};
    wh_value grads[MAX_PARAMS];
    decodes ? build_decoder(&m, s) : build_encoder(&m, s);
    WH_TRY(outputs(grads, &m, s, private));
    WH_TRY(wh_program_new(&out->program, graph, grads, m.n_params));
    out->trainer =
        (trainer){.shape = s, .pool = pool, .size = m.size, .decodes = decodes, .n_windows = (size_t)1 << 14};
    WH_TRY(wh_run_new(&out->trainer.run, out->program, wh_pool_threads(pool)));
    WH_TRY(reserve(&out->trainer, &out->memory));
    fill_numbers(&out->trainer, s->vocabulary);
    return bind(&out->trainer, &m);
}

enum { REPS = 5 };

static whist_status take(whist_bench_result *result, const whist_bench_env *env, const char *name, const shape *s,
                         bool decodes, bool private)
{
    WH_AUTO(setup) made = {.program = NULL};
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_TRY(wh_pool_new(&pool, env->threads));
    WH_TRY(prepare(&made, s, pool, decodes, private));
    double amount = (double)(decodes ? s->batch * s->steps : s->batch);
    return wh_bench_take(result, env->threads, name, "1/s", true, amount, REPS, step, &made.trainer);
}

static const shape encoder = {
    .batch = 256, .steps = 64, .width = 128, .heads = 4, .inner = 512, .layers = 2, .vocabulary = 256};
static const shape decoder = {
    .batch = 4, .steps = 256, .width = 384, .heads = 6, .inner = 1536, .layers = 6, .vocabulary = 8192};

static whist_status bench_transformer(const whist_bench_env *env)
{
    whist_bench_result result;
    WH_TRY(take(&result, env, "nn.sgd.transformer", &encoder, false, false));
    return wh_num_bench_flops(env, &result, flops_of_token(&encoder, false) * (double)encoder.steps);
}

static whist_status bench_transformer_private(const whist_bench_env *env)
{
    whist_bench_result plain, private;
    WH_TRY(take(&plain, env, "nn.sgd.transformer", &encoder, false, false));
    WH_TRY(take(&private, env, "nn.pernorm.transformer", &encoder, false, true));
    wh_nn_bench_ratio(env, &private, &plain);
    return WHIST_OK;
}

/* In a process of its own, whose peak memory is nobody else's; its result comes back through shared memory. */
static whist_status bench_gpt(const whist_bench_env *env)
{
    whist_bench_result *result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED) WH_FAIL(WHIST_E_NOMEM, "no memory to share with a process");
    struct rusage usage;
    int code = 1;
    pid_t child = fork();
    if (child == 0) _exit(take(result, env, "nn.gpt", &decoder, true, false) == WHIST_OK ? 0 : 1);
    bool good = child > 0 && wait4(child, &code, 0, &usage) == child && WIFEXITED(code) && WEXITSTATUS(code) == 0;
    whist_bench_result taken = *result;
    (void)munmap(result, sizeof *result);
    if (!good) WH_FAIL(WHIST_E_STATE, "the process that trains the decoder failed");
    taken.unit = "1/s"; /* the pointer was the child's */
    WH_TRY(wh_num_bench_flops(env, &taken, flops_of_token(&decoder, true)));
    double bytes = (double)usage.ru_maxrss * 1024;
    whist_bench_result memory = {.name = "nn.gpt.rss",
                                 .unit = "B",
                                 .median = bytes,
                                 .min = bytes,
                                 .max = bytes,
                                 .reps = 1,
                                 .threads = env->threads};
    env->emit(env->user, &memory);
    return WHIST_OK;
}

const whist_bench wh_nn_graph_benches[] = {
    {"nn.sgd.transformer", "encoder of 2 layers, width 128, 4 heads, 64 tokens, batch 256: samples a second", false,
     bench_transformer},
    {"nn.pernorm.transformer", "the same with per-example norms and clipped sum: time over that of the plain step",
     true, bench_transformer_private},
    {"nn.gpt", "decoder of 6 layers, width 384, 6 heads, 256 tokens, 8192 words, batch 4, AdamW: tokens a second", true,
     bench_gpt},
    {NULL, NULL, false, NULL},
};
