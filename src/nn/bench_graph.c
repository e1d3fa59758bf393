/* nn/bench_graph.c: training steps of transformers as programs: windows of tokens by a shuffled index, forward,
 * loss, backward, update.
 *
 * FLOPs are those of the matrix products, causal attention counted in full, three times the forward pass. */
#include "nn/bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bench.h"
#include "base/settings.h"
#include "nn/graph/program.h"
#include "nn/optim.h"
#include "nn/zoo.h"
#include "num/bench.h"

enum { MAX_TENSORS = 128 };

WH_AUTO_FREE(wh_pool, wh_pool_free)

/* What is trained. FLOPs need the sizes, the zoo their names. */
typedef struct shape {
    const char *class_name, *options; /* NAME VALUE NAME VALUE … */
    size_t batch, steps, width, inner, layers, vocabulary;
    bool decodes; /* predicts the token after each; else one class of two for a window */
} shape;

static const shape encoder = {.class_name = "transformer",
                              .options = "positions none norm_first false activation relu",
                              .batch = 256,
                              .steps = 64,
                              .width = 128,
                              .inner = 512,
                              .layers = 2,
                              .vocabulary = 256};
static const shape decoder = {.class_name = "gpt",
                              .options = "width 384 depth 6 heads 6 feed_forward 1536",
                              .batch = 4,
                              .steps = 256,
                              .width = 384,
                              .inner = 1536,
                              .layers = 6,
                              .vocabulary = 8192,
                              .decodes = true};

static whist_status set_options(whist_settings *settings, const char *options)
{
    char name[32], value[32];
    int used;
    for (; sscanf(options, " %31s %31s%n", name, value, &used) == 2; options += used)
        WH_TRY(whist_settings_set(settings, name, value));
    return WHIST_OK;
}

static whist_status make_model(whist_model **out, const shape *s)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_TRY(whist_settings_new(&settings, whist_model_class_find(s->class_name)->options));
    WH_TRY(set_options(settings, s->options));
    const whist_model_shape rows = {.n_features = s->steps,
                                    .n_outputs = s->decodes ? s->vocabulary : 2,
                                    .target = WHIST_TARGET_CLASS,
                                    .vocabulary = s->vocabulary,
                                    .n_targets = s->decodes ? s->steps : 1};
    return whist_model_new(out, s->class_name, settings, &rows);
}

/* A model as a graph. */
typedef struct graph_model {
    whist_model *model;
    wh_graph *graph;
    wh_value param[MAX_TENSORS];
    size_t n_params;
    wh_model_values values;
} graph_model;

static whist_status build(graph_model *m, const shape *s)
{
    WH_TRY(make_model(&m->model, s));
    (void)whist_model_tensors(m->model, &m->n_params);
    WH_ENSURE(m->n_params <= MAX_TENSORS, WHIST_E_RANGE);
    WH_TRY(wh_graph_new(&m->graph, WH_F32));
    WH_TRY(wh_model_params(m->param, m->graph, m->model));
    const wh_model_use use = {.params = m->param, .batch = s->batch, .mode = WH_MODEL_TRAIN};
    return wh_model_graph(&m->values, m->graph, m->model, &use);
}

static void graph_model_clear(graph_model *m)
{
    wh_graph_free(m->graph);
    whist_model_free(m->model);
}
WH_AUTO_CLEAR(graph_model, graph_model_clear)

/* ---- A step ---------------------------------------------------------------------------------------- */

typedef struct trainer {
    const shape *shape;
    wh_pool *pool;
    wh_run *run;
    wh_optimizer *optimizer;
    float *params, *grad;
    uint32_t *stream, *index, *tokens, *target;
    size_t n_windows, next, size;
} trainer;

/* The next windows of the shuffled index; a decoder's target is the next token. */
static void fill_batch(trainer *t)
{
    const size_t steps = t->shape->steps;
    for (size_t b = 0; b < t->shape->batch; b++, t->next = (t->next + 1) % t->n_windows) {
        const uint32_t *window = t->stream + t->index[t->next] * steps;
        memcpy(t->tokens + b * steps, window, steps * sizeof *window);
        if (t->shape->decodes)
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
    wh_optimizer_step(t->optimizer, t->params, t->grad, 1e-3, t->pool);
    return WHIST_OK;
}

/* ---- Measuring ------------------------------------------------------------------------------------------ */

/* Of one token, forward and backward: products with weights, and with the other tokens of the window. */
static double flops_of_token(const shape *s)
{
    double d = (double)s->width, layer = 4 * d * d + 2 * d * (double)s->inner + 2 * d * (double)s->steps;
    return 6 * ((double)s->layers * layer + (s->decodes ? d * (double)s->vocabulary : 0));
}

static void fill_numbers(trainer *t, size_t vocabulary)
{
    uint64_t state = 1;
    for (size_t i = 0; i < t->n_windows * t->shape->steps + 1; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        t->stream[i] = (uint32_t)((state >> 33) % vocabulary);
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
    WH_TRY(WH_ARENA_NEW(&t->stream, memory, t->n_windows * t->shape->steps + 1));
    WH_TRY(WH_ARENA_NEW(&t->index, memory, t->n_windows));
    WH_TRY(WH_ARENA_NEW(&t->tokens, memory, rows));
    return WH_ARENA_NEW(&t->target, memory, rows);
}

static whist_status bind(trainer *t, const graph_model *m)
{
    size_t n;
    const whist_tensor_info *tensors = whist_model_tensors(m->model, &n);
    WH_TRY(wh_run_input(t->run, m->values.x, t->tokens));
    WH_TRY(wh_run_input(t->run, m->values.target, t->target));
    WH_TRY(wh_model_bind_params(t->run, m->param, m->model, t->params, WH_F32));
    for (size_t i = 0; i < n; i++) WH_TRY(wh_run_output(t->run, i, t->grad + tensors[i].offset));
    whist_model_init(m->model, t->params, 1);
    return WHIST_OK;
}

static whist_status outputs(wh_value out[], graph_model *m, const shape *s, bool private)
{
    wh_value losses = m->values.losses;
    if (!private) return wh_graph_gradient(out, m->graph, wh_graph_mean_all(m->graph, losses), m->param, m->n_params);
    WH_AUTO(wh_per_example_ptr) each = NULL;
    WH_TRY(wh_per_example_new(&each, m->graph, losses, m->param, m->n_params));
    wh_value weights = wh_graph_clip_weights(m->graph, wh_per_example_total(each), 1);
    return wh_per_example_sum(out, m->graph, each, wh_graph_scale(m->graph, weights, 1 / (double)s->batch));
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

static whist_status choose_optimizer(trainer *t)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const wh_optimizer_class *class_ = wh_optimizer_find(t->shape->decodes ? "adamw" : "sgd");
    WH_TRY(whist_settings_new(&settings, class_->options));
    return wh_optimizer_new(&t->optimizer, class_, settings, t->size);
}

static whist_status prepare(setup *out, const shape *s, wh_pool *pool, bool private)
{
    WH_AUTO(graph_model) m = {.model = NULL};
    wh_value grads[MAX_TENSORS];
    WH_TRY(build(&m, s));
    WH_TRY(outputs(grads, &m, s, private));
    WH_TRY(wh_program_new(&out->program, m.graph, grads, m.n_params));
    out->trainer = (trainer){.shape = s, .pool = pool, .size = whist_model_size(m.model), .n_windows = (size_t)1 << 14};
    WH_TRY(wh_run_new(&out->trainer.run, out->program, wh_pool_threads(pool)));
    WH_TRY(choose_optimizer(&out->trainer));
    WH_TRY(reserve(&out->trainer, &out->memory));
    fill_numbers(&out->trainer, s->vocabulary);
    return bind(&out->trainer, &m);
}

enum { REPS = 5 };

static whist_status take(whist_bench_result *result, const whist_bench_env *env, const char *name, const shape *s,
                         bool private)
{
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(setup) made = {.program = NULL};
    WH_TRY(wh_pool_new(&pool, env->threads));
    WH_TRY(prepare(&made, s, pool, private));
    double amount = (double)(s->decodes ? s->batch * s->steps : s->batch);
    return wh_bench_take(result, env->threads, name, "1/s", true, amount, REPS, step, &made.trainer);
}

static whist_status bench_transformer(const whist_bench_env *env)
{
    whist_bench_result result;
    WH_TRY(take(&result, env, "nn.sgd.transformer", &encoder, false));
    return wh_num_bench_flops(env, &result, flops_of_token(&encoder) * (double)encoder.steps);
}

static whist_status bench_transformer_private(const whist_bench_env *env)
{
    whist_bench_result plain, private;
    WH_TRY(take(&plain, env, "nn.sgd.transformer", &encoder, false));
    WH_TRY(take(&private, env, "nn.pernorm.transformer", &encoder, true));
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
    if (child == 0) _exit(take(result, env, "nn.gpt", &decoder, false) == WHIST_OK ? 0 : 1);
    bool good = child > 0 && wait4(child, &code, 0, &usage) == child && WIFEXITED(code) && WEXITSTATUS(code) == 0;
    whist_bench_result taken = *result;
    (void)munmap(result, sizeof *result);
    if (!good) WH_FAIL(WHIST_E_STATE, "the process that trains the decoder failed");
    taken.unit = "1/s"; /* the pointer was the child's */
    WH_TRY(wh_num_bench_flops(env, &taken, flops_of_token(&decoder)));
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
