/* Tests of the zoo: every class as a graph in double against central differences, against the compiled steps and the
 * dense stack; sizes that the literature names; batch norm's modes; padding; refusals. */
#include "nn/zoo.h"

#include <math.h>
#include <string.h>

#include "nn/model.h"
#include "nn/models_test.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_pool, wh_pool_free)

static uint64_t state_ = 11;
static double uniform(void)
{
    return test_uniform(&state_);
}

typedef struct sample {
    const char *class_name, *settings; /* "key=value;key=value" */
    whist_model_shape shape;
    size_t size; /* parameters; 0: not checked */
} sample;

static const sample samples[] = {
    {"linear", "l2=0.3", {.n_features = 5, .n_outputs = 1, .target = WHIST_TARGET_VALUE}, 6},
    {"logistic", "", {.n_features = 7, .n_outputs = 1, .target = WHIST_TARGET_BINARY}, 8},
    {"softmax", "", {.n_features = 6, .n_outputs = 4, .target = WHIST_TARGET_CLASS}, 28},
    {"mlp",
     "hidden=[9, 5];activation=tanh;l2=0.1",
     {.n_features = 6, .n_outputs = 3, .target = WHIST_TARGET_CLASS},
     131},
    {"cox", "ties=efron", {.n_features = 5, .n_outputs = 1, .target = WHIST_TARGET_SURVIVAL}, 5},
    {"cnn", "activation=tanh", IMAGE(1, 28, 28, 10), 26010},
    {"cnn",
     "dropout=0.5",
     {.n_features = 2 * 20 * 22,
      .n_outputs = 1,
      .target = WHIST_TARGET_BINARY,
      .channels = 2,
      .height = 20,
      .width = 22},
     0},
    {"conv4", "width=4;groups=2;down=stride;readout=mean", IMAGE(1, 14, 14, 5), 0},
    {"conv4", "width=4;norm=transductive", IMAGE(1, 16, 16, 5), 0},
    {"conv4", "width=4;norm=inductive;down=stride;l2=0.01", IMAGE(2, 9, 9, 5), 0},
    {"resnet9", "width=4;groups=2", IMAGE(3, 8, 8, 4), 0},
    {"lstm", "embedding=3;width=5;depth=2;dropout=0.2", TOKENS(6, 7, 3, 1), 0},
    {"lstm", "embedding=3;width=5", TOKENS(6, 7, 7, 6), 0},
    {"transformer", "width=8;heads=2;depth=2;feed_forward=12", TOKENS(6, 7, 3, 1), 0},
    {"transformer",
     "width=8;heads=2;depth=1;feed_forward=12;norm_first=false;positions=none;activation=relu",
     {.n_features = 6, .n_outputs = 1, .target = WHIST_TARGET_VALUE, .vocabulary = 9},
     0},
    {"gpt", "width=8;heads=2;depth=2;feed_forward=12;dropout=0.1", TOKENS(6, 7, 7, 6), 0},
    {"gpt", "width=8;heads=4;depth=1;feed_forward=12;tied=false;init=glorot", TOKENS(5, 11, 11, 5), 0},
};

static void new_model(whist_model **model, const char *class_name, const char *settings_text,
                      const whist_model_shape *shape)
{
    WH_AUTO(whist_settings_ptr) settings = test_settings(whist_model_class_find(class_name)->options, settings_text);
    assert_ok(whist_model_new(model, class_name, settings, shape));
}

enum { ROWS = 12, MAX_D = 1024, MAX_T = 8, MAX_P = 120000, MAX_TENSORS = 64 };
static float x_[ROWS * MAX_D], y_[ROWS * MAX_T], event_[ROWS], weight_[ROWS];
static uint32_t index_[ROWS];

static whist_batch make_batch(const whist_model *model, size_t n)
{
    const whist_model_shape shape = whist_model_shape_get(model);
    assert_true(shape.n_features <= MAX_D && shape.n_targets <= MAX_T);
    for (size_t i = 0; i < ROWS * shape.n_features; i++) {
        double u = uniform();
        x_[i] = shape.vocabulary ? (float)floor((u + 1) / 2 * (double)shape.vocabulary) : (float)u;
    }
    for (size_t i = 0; i < ROWS * shape.n_targets; i++) {
        double u = uniform();
        y_[i] = (float)u;
        if (shape.target == WHIST_TARGET_BINARY) y_[i] = u > 0;
        if (shape.target == WHIST_TARGET_CLASS) y_[i] = (float)floor((u + 1) / 2 * (double)shape.n_outputs);
        if (shape.target == WHIST_TARGET_SURVIVAL) y_[i] = floorf((float)u * 3);
    }
    for (size_t i = 0; i < ROWS; i++) {
        event_[i] = uniform() > -0.5;
        weight_[i] = (float)(1 + uniform());
        index_[i] = (uint32_t)((i * 5 + 2) % ROWS);
    }
    bool survival = shape.target == WHIST_TARGET_SURVIVAL;
    return (whist_batch){.rows = x_,
                         .target = y_,
                         .event = survival ? event_ : NULL,
                         .weight = survival ? NULL : weight_,
                         .n_rows = ROWS,
                         .index = index_,
                         .n = n};
}

/* A model's mean loss and gradient in double. */
typedef struct exact {
    wh_graph *graph;
    wh_program *program;
    wh_run *run;
    wh_feed *feed;
    wh_value params[MAX_TENSORS];
    wh_model_values values;
    const whist_model *model;
} exact;

static void exact_clear(exact *e)
{
    wh_run_free(e->run);
    wh_program_free(e->program);
    wh_graph_free(e->graph);
    wh_feed_free(e->feed);
}
WH_AUTO_CLEAR(exact, exact_clear)

static void exact_init(exact *e, const whist_model *model, size_t batch, unsigned mode)
{
    wh_value outputs[MAX_TENSORS + 1], weight;
    assert_true(model->n_tensors <= MAX_TENSORS);
    e->model = model;
    assert_ok(wh_graph_new(&e->graph, WH_F64));
    assert_ok(wh_model_params(e->params, e->graph, model));
    assert_ok(wh_model_graph(&e->values, e->graph, model,
                             &(wh_model_use){.params = e->params, .batch = batch, .mode = mode}));
    outputs[0] = wh_model_mean_loss(&weight, e->graph, model, &e->values, e->params);
    assert_ok(wh_graph_gradient(outputs + 1, e->graph, outputs[0], e->params, model->n_tensors));
    assert_ok(wh_program_new(&e->program, e->graph, outputs, model->n_tensors + 1));
    assert_ok(wh_run_new(&e->run, e->program, 1));
    assert_ok(wh_feed_new(&e->feed, model, batch, WH_F64));
    assert_ok(wh_feed_bind(e->run, e->feed, &e->values, weight));
}

static double exact_go(exact *e, const whist_batch *batch, const double *params)
{
    wh_feed_seed(e->feed, 99);
    assert_ok(wh_feed_fill(e->feed, batch));
    assert_ok(wh_model_bind_params(e->run, e->params, e->model, params, WH_F64));
    assert_ok(wh_run_go(e->run, NULL));
    return *(const double *)wh_run_result(e->run, 0);
}

static void test_gradients_of_every_class(void **state)
{
    (void)state;
    static float params[MAX_P], grad[MAX_P];
    static double at[MAX_P], moved[MAX_P], direction[MAX_P];
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(whist_model_work_ptr) work = NULL;
        WH_AUTO(exact) e = {0};
        new_model(&model, samples[s].class_name, samples[s].settings, &samples[s].shape);
        const size_t size = whist_model_size(model), batch_rows = 7;
        assert_true(size <= MAX_P);
        if (samples[s].size) assert_int_equal(size, samples[s].size);
        whist_batch batch = make_batch(model, batch_rows);
        whist_model_init(model, params, 3);
        for (size_t i = 0; i < size; i++) params[i] += (float)(0.02 * uniform()), at[i] = (double)params[i];
        exact_init(&e, model, batch_rows, WH_MODEL_TRAIN);
        double loss = exact_go(&e, &batch, at), slope = 0, largest = 0, loss32;
        assert_true(isfinite(loss) && loss > 0);

        /* single precision, compiled or by the dense stack */
        assert_ok(whist_model_work_new(&work, model, batch_rows));
        wh_model_work_seed(work, 99);
        assert_ok(whist_model_loss_grad(model, work, params, &batch, grad, &loss32));
        assert_true(fabs(loss - loss32) <= 1e-5 * (1 + fabs(loss)));
        for (size_t i = 0; i < size; i++) direction[i] = uniform();
        for (size_t t = 0; t < model->n_tensors; t++) { /* errors pass from layer to layer: one measure for all */
            const double *g = wh_run_result(e.run, t + 1);
            for (size_t i = 0; i < model->tensors[t].size; i++) largest = fmax(largest, fabs(g[i]));
        }
        for (size_t t = 0; t < model->n_tensors; t++) {
            const whist_tensor_info *info = &model->tensors[t];
            const double *g = wh_run_result(e.run, t + 1);
            for (size_t i = 0; i < info->size; i++) {
                if (!info->learned) direction[info->offset + i] = 0;
                slope += g[i] * direction[info->offset + i];
                if (info->learned && !(fabs(g[i] - (double)grad[info->offset + i]) <= 1e-4 * largest))
                    fail_msg("sample %zu, %s[%zu]: %g in double, %g", s, info->name, i, g[i],
                             (double)grad[info->offset + i]);
                if (!info->learned) assert_true(grad[info->offset + i] == 0);
            }
        }
        const double h = 1e-6;
        for (size_t i = 0; i < size; i++) moved[i] = at[i] + h * direction[i];
        double above = exact_go(&e, &batch, moved);
        for (size_t i = 0; i < size; i++) moved[i] = at[i] - h * direction[i];
        double below = exact_go(&e, &batch, moved), want = (above - below) / (2 * h);
        if (!(fabs(slope - want) <= 2e-6 * (1 + fabs(want)))) fail_msg("sample %zu: slope %g, want %g", s, slope, want);
    }
}

/* 784-10: forward 2 · 784 · 10, and as much again for the weights' gradient. The first convolution of the CNN has no
 * gradient for the image. */
static void test_costs(void **state)
{
    (void)state;
    const whist_model_shape flat = {.n_features = 784, .n_outputs = 10, .target = WHIST_TARGET_CLASS},
                            shape = IMAGE(1, 28, 28, 10);
    WH_AUTO(whist_model_ptr) softmax = NULL;
    WH_AUTO(whist_model_ptr) cnn = NULL;
    whist_model_cost cost;
    new_model(&softmax, "softmax", "", &flat);
    assert_ok(whist_model_cost_of(&cost, softmax, 32));
    assert_true(cost.forward_flops == 15680 && cost.step_flops == 2 * 15680);
    new_model(&cnn, "cnn", "", &shape);
    assert_ok(whist_model_cost_of(&cost, cnn, 32));
    const double conv1 = 2.0 * 14 * 14 * 16 * 64, rest = 2.0 * (25 * 32 * 16 * 16 + 512 * 32 + 320);
    assert_true(cost.forward_flops == conv1 + rest);
    assert_true(cost.step_flops == 2 * conv1 + 3 * rest);
    assert_true(cost.step_bytes > cost.forward_bytes && cost.forward_bytes > 32 * 14 * 14 * 16 * 4);
    whist_model_cost twice;
    assert_ok(whist_model_cost_of(&twice, cnn, 64));
    assert_true(twice.step_flops == cost.step_flops && twice.step_bytes > cost.step_bytes);
}

/* ---- Other uses of the joint -------------------------------------------------------------------------------- */

static const whist_model_shape digits = IMAGE(1, 28, 28, 10), small = IMAGE(1, 10, 10, 3);

/* 2 layers of width 128 and 4 heads over 64 of 256 tokens: the encoder of the benchmarks. */
static void test_sizes_that_the_literature_names(void **state)
{
    (void)state;
    const whist_model_shape shape = TOKENS(64, 256, 2, 1), text = TOKENS(256, 8192, 8192, 256);
    WH_AUTO(whist_model_ptr) encoder = NULL;
    WH_AUTO(whist_model_ptr) decoder = NULL;
    WH_AUTO(whist_model_ptr) cnn = NULL;
    new_model(&encoder, "transformer", "positions=none;norm_first=false", &shape);
    assert_int_equal(whist_model_size(encoder), 429570);
    new_model(&decoder, "gpt", "width=384;depth=6;heads=6;feed_forward=1536", &text);
    assert_int_equal(whist_model_size(decoder), 13891584);
    new_model(&cnn, "cnn", "", &digits);
    assert_int_equal(whist_model_size(cnn), 26010);
}

/* The per-example sums of the weights that the mean loss uses are its gradient. */
static void test_per_example_sums_are_the_gradient(void **state)
{
    (void)state;
    static double params[MAX_P];
    static float start[MAX_P];
    enum { B = 5 };
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_graph_ptr) graph = NULL;
        WH_AUTO(wh_per_example_ptr) each = NULL;
        WH_AUTO(wh_program_ptr) program = NULL;
        WH_AUTO(wh_run_ptr) run = NULL;
        WH_AUTO(wh_feed_ptr) feed = NULL;
        wh_value p[MAX_TENSORS], outputs[2 * MAX_TENSORS], weight;
        wh_model_values values;
        new_model(&model, samples[s].class_name, samples[s].settings, &samples[s].shape);
        model->l2 = 0;
        const size_t n = model->n_tensors;
        assert_ok(wh_graph_new(&graph, WH_F64));
        assert_ok(wh_model_params(p, graph, model));
        assert_ok(
            wh_model_graph(&values, graph, model, &(wh_model_use){.params = p, .batch = B, .mode = WH_MODEL_TRAIN}));
        wh_value loss = wh_model_mean_loss(&weight, graph, model, &values, p);
        if (wh_model_couples(model, WH_MODEL_TRAIN)) {
            bool survival = samples[s].shape.target == WHIST_TARGET_SURVIVAL;
            whist_status status = wh_per_example_new(&each, graph, values.losses, p, n);
            assert_int_equal(status, survival ? WHIST_E_ARG : WHIST_E_UNSUPPORTED);
            continue;
        }
        assert_ok(wh_graph_gradient(outputs, graph, loss, p, n));
        assert_ok(wh_per_example_new(&each, graph, values.losses, p, n));
        assert_ok(wh_per_example_sum(outputs + n, graph, each, weight));
        assert_ok(wh_program_new(&program, graph, outputs, 2 * n));
        assert_ok(wh_run_new(&run, program, 1));
        assert_ok(wh_feed_new(&feed, model, B, WH_F64));
        assert_ok(wh_feed_bind(run, feed, &values, weight));
        whist_batch batch = make_batch(model, B - 1); /* the last one is filled up */
        assert_ok(wh_feed_fill(feed, &batch));
        whist_model_init(model, start, 5);
        for (size_t i = 0; i < model->size; i++) params[i] = (double)start[i] + 0.05 * uniform();
        assert_ok(wh_model_bind_params(run, p, model, params, WH_F64));
        assert_ok(wh_run_go(run, NULL));
        for (size_t t = 0; t < n; t++) {
            const double *want = wh_run_result(run, t), *have = wh_run_result(run, n + t);
            for (size_t i = 0; i < model->tensors[t].size; i++)
                if (!(fabs(want[i] - have[i]) <= 1e-12 * (1 + fabs(want[i]))))
                    fail_msg("sample %zu, %s[%zu]: %g, by examples %g", s, model->tensors[t].name, i, want[i], have[i]);
        }
    }
}

/* params of one use may be values: a step inside the graph is the step outside. */
static void test_parameters_may_be_values(void **state)
{
    (void)state;
    static float params[MAX_P], moved[MAX_P], grad[MAX_P];
    enum { B = 6 };
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    WH_AUTO(wh_feed_ptr) feed = NULL;
    wh_value p[MAX_TENSORS], g[MAX_TENSORS], weight;
    wh_model_values first, second;
    new_model(&model, "conv4", "width=3;depth=2;groups=3", &small);
    assert_ok(wh_graph_new(&graph, WH_F32));
    assert_ok(wh_model_params(p, graph, model));
    assert_ok(wh_model_graph(&first, graph, model, &(wh_model_use){.params = p, .batch = B}));
    wh_value loss = wh_model_mean_loss(&weight, graph, model, &first, p);
    assert_ok(wh_graph_gradient(g, graph, loss, p, model->n_tensors));
    for (size_t i = 0; i < model->n_tensors; i++) p[i] = wh_graph_sub(graph, p[i], wh_graph_scale(graph, g[i], 0.5));
    assert_ok(wh_model_graph(&second, graph, model, &(wh_model_use){.params = p, .batch = B, .x = first.x}));
    assert_ok(wh_program_new(&program, graph, &second.prediction, 1));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_feed_new(&feed, model, B, WH_F32));
    assert_ok(wh_feed_bind(run, feed, &first, weight));
    whist_batch batch = make_batch(model, B);
    whist_model_init(model, params, 5);
    assert_ok(wh_feed_fill(feed, &batch));
    wh_value inputs[MAX_TENSORS];
    for (size_t i = 0; i < model->n_tensors; i++) inputs[i] = (wh_value)(i + 1); /* the first nodes of the graph */
    assert_ok(wh_model_bind_params(run, inputs, model, params, WH_F32));
    assert_ok(wh_run_go(run, NULL));

    float want[B * 3];
    assert_ok(whist_model_work_new(&work, model, B));
    assert_ok(whist_model_loss_grad(model, work, params, &batch, grad, NULL));
    for (size_t i = 0; i < model->size; i++) moved[i] = params[i] - 0.5f * grad[i];
    assert_ok(whist_model_predict_batch(model, work, moved, &batch, want));
    const float *have = wh_run_result(run, 0);
    for (size_t i = 0; i < WH_COUNT(want); i++) assert_true(fabsf(want[i] - have[i]) < 1e-5f);
}

/* ---- Batch norm ------------------------------------------------------------------------------------------------ */

static void test_running_statistics_follow_the_batches(void **state)
{
    (void)state;
    static float params[MAX_P], grad[MAX_P], out[2][ROWS * 3];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    new_model(&model, "conv4", "width=2;depth=1;norm=inductive;norm_momentum=1", &small);
    assert_ok(whist_model_work_new(&work, model, ROWS));
    const whist_tensor_info *mean = NULL, *variance = NULL;
    for (size_t i = 0; i < model->n_tensors; i++) {
        if (strcmp(model->tensors[i].name, "block1.norm.mean") == 0) mean = &model->tensors[i];
        if (strcmp(model->tensors[i].name, "block1.norm.variance") == 0) variance = &model->tensors[i];
    }
    assert_true(mean && variance && !mean->learned && !variance->learned && model->tensors[0].learned);
    whist_model_init(model, params, 5);
    assert_true(params[mean->offset] == 0 && params[variance->offset] == 1);
    whist_batch batch = make_batch(model, ROWS);
    assert_ok(whist_model_loss_grad(model, work, params, &batch, grad, NULL));
    wh_model_work_track(work, params);
    assert_true(params[mean->offset] != 0 && params[variance->offset] != 1 && params[variance->offset] > 0);
    /* With momentum 1 they are this batch's own, whatever they were. */
    float kept = params[variance->offset];
    assert_ok(whist_model_sgd_step(model, work, params, &batch, 0, NULL, NULL));
    assert_true(fabsf(kept - params[variance->offset]) <= 1e-6f * kept);
    assert_ok(whist_model_predict_batch(model, work, params, &batch, out[0]));
    /* Inductive: a row's prediction does not depend on the others. */
    whist_batch one = batch;
    one.n = 1;
    assert_ok(whist_model_predict_batch(model, work, params, &one, out[1]));
    assert_memory_equal(out[0], out[1], 3 * sizeof(float));
}

static void test_transductive_predictions_depend_on_the_batch(void **state)
{
    (void)state;
    static float params[MAX_P], out[2][ROWS * 3];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    new_model(&model, "conv4", "width=2;depth=2;norm=transductive", &small);
    for (size_t i = 0; i < model->n_tensors; i++) assert_true(model->tensors[i].learned);
    assert_ok(whist_model_work_new(&work, model, ROWS));
    whist_model_init(model, params, 5);
    whist_batch batch = make_batch(model, ROWS), two = batch;
    two.n = 2;
    assert_ok(whist_model_predict_batch(model, work, params, &batch, out[0]));
    assert_ok(whist_model_predict_batch(model, work, params, &two, out[1]));
    assert_memory_not_equal(out[0], out[1], 3 * sizeof(float));
}

/* ---- Rows ---------------------------------------------------------------------------------------------------------
 */

/* Windows of one text, each a place further: a row stride of 1, targets a place behind. */
static void test_windows_may_overlap(void **state)
{
    (void)state;
    static float params[MAX_P], text[64], windows[ROWS * 6], next[ROWS * 6];
    static float out[2][ROWS * 6 * 7], grad[2][MAX_P];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    const whist_model_shape shape = TOKENS(6, 7, 7, 6);
    new_model(&model, "gpt", "width=8;heads=2;depth=1;feed_forward=8", &shape);
    assert_ok(whist_model_work_new(&work, model, 5));
    whist_model_init(model, params, 1);
    for (size_t i = 0; i < WH_COUNT(text); i++) text[i] = (float)(i * i % 7);
    for (size_t i = 0; i < ROWS; i++) {
        memcpy(windows + i * 6, text + i, 6 * sizeof(float));
        memcpy(next + i * 6, text + i + 1, 6 * sizeof(float));
    }
    whist_batch plain = {.rows = windows, .target = next, .n_rows = ROWS, .n = ROWS};
    whist_batch strided = {
        .rows = text, .target = text + 1, .n_rows = ROWS, .n = ROWS, .row_stride = 1, .target_stride = 1};
    assert_ok(whist_model_predict_batch(model, work, params, &plain, out[0]));
    assert_ok(whist_model_predict_batch(model, work, params, &strided, out[1]));
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    plain.index = strided.index = (const uint32_t[]){7, 3, 11, 0, 3};
    plain.n = strided.n = 5;
    assert_ok(whist_model_loss_grad(model, work, params, &plain, grad[0], NULL));
    assert_ok(whist_model_loss_grad(model, work, params, &strided, grad[1], NULL));
    assert_memory_equal(grad[0], grad[1], whist_model_size(model) * sizeof(float));
}

/* Causal: a prediction knows what came before it only. */
static void test_gpt_does_not_look_ahead(void **state)
{
    (void)state;
    static float params[MAX_P], out[2][6 * 7];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    const whist_model_shape shape = TOKENS(6, 7, 7, 6);
    new_model(&model, "gpt", "width=8;heads=2;depth=2;feed_forward=8", &shape);
    assert_ok(whist_model_work_new(&work, model, 1));
    whist_model_init(model, params, 1);
    const float a[] = {0, 1, 2, 3, 4, 5}, b[] = {0, 1, 2, 3, 6, 6};
    assert_ok(whist_model_predict(model, work, params, a, 1, out[0]));
    assert_ok(whist_model_predict(model, work, params, b, 1, out[1]));
    assert_memory_equal(out[0], out[1], 4 * 7 * sizeof(float));
    assert_memory_not_equal(out[0] + 4 * 7, out[1] + 4 * 7, 7 * sizeof(float));
}

static void test_same_bits_with_threads(void **state)
{
    (void)state;
    static float params[MAX_P], grad[2][MAX_P];
    static const size_t picks[] = {5, 7, 10, 11, 13, 15};
    WH_AUTO(wh_pool_ptr) pool = NULL;
    assert_ok(wh_pool_new(&pool, 2));
    for (size_t s = 0; s < WH_COUNT(picks); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(whist_model_work_ptr) work = NULL;
        const sample *pick = &samples[picks[s]];
        new_model(&model, pick->class_name, pick->settings, &pick->shape);
        assert_ok(whist_model_work_new(&work, model, ROWS));
        whist_batch batch = make_batch(model, ROWS);
        whist_model_init(model, params, 3);
        for (int threads = 0; threads < 2; threads++) {
            wh_model_work_pool(work, threads ? pool : NULL);
            wh_model_work_seed(work, 5);
            assert_ok(whist_model_loss_grad(model, work, params, &batch, grad[threads], NULL));
        }
        assert_memory_equal(grad[0], grad[1], whist_model_size(model) * sizeof(float));
        wh_model_work_pool(work, NULL);
    }
}

static void test_dropout_goes_by_its_seed(void **state)
{
    (void)state;
    static float params[MAX_P], grad[3][MAX_P];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    new_model(&model, "cnn", "dropout=0.5", &digits);
    assert_true(wh_model_drops(model));
    assert_ok(whist_model_work_new(&work, model, 4));
    whist_batch batch = make_batch(model, 4);
    whist_model_init(model, params, 3);
    for (int i = 0; i < 3; i++) {
        wh_model_work_seed(work, i == 1 ? 7 : 6);
        assert_ok(whist_model_loss_grad(model, work, params, &batch, grad[i], NULL));
    }
    assert_memory_equal(grad[0], grad[2], whist_model_size(model) * sizeof(float));
    assert_memory_not_equal(grad[0], grad[1], whist_model_size(model) * sizeof(float));
}

/* ---- Start values ---------------------------------------------------------------------------------------------------
 */

static void moments_of(const float *x, size_t n, double *mean, double *sd, double *most)
{
    double sum = 0, squares = 0;
    *most = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i], squares += (double)x[i] * (double)x[i];
        *most = fmax(*most, fabs((double)x[i]));
    }
    *mean = sum / (double)n;
    *sd = sqrt(squares / (double)n - *mean * *mean);
}

/* 25,088 numbers: mean and sd stray by 5 sigma less than once in a million. */
static void test_normal_starts(void **state)
{
    (void)state;
    static float params[MAX_P];
    const whist_model_shape shape = {.n_features = 784, .n_outputs = 32, .target = WHIST_TARGET_CLASS};
    static const char *const settings[] = {"init=normal;init_scale=0.5", "init=truncated;init_scale=0.5"};
    for (int i = 0; i < 2; i++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        double mean, sd, most, n = 25088;
        new_model(&model, "softmax", settings[i], &shape);
        whist_model_init(model, params, 17);
        moments_of(params, 25088, &mean, &sd, &most);
        double want = i ? 0.5 * 0.87962566103423978 : 0.5; /* of a normal cut at two sigma */
        assert_true(fabs(mean) < 5 * want / sqrt(n) && fabs(sd - want) < 5 * want / sqrt(2 * n));
        assert_true(i ? most <= 1 : most > 1.5);
        assert_true(params[25088] == 0);
    }
}

static void test_orthogonal_start_piece_by_piece(void **state)
{
    (void)state;
    enum { H = 12 };
    static float params[MAX_P], pieces[MAX_P];
    WH_AUTO(whist_model_ptr) model = NULL;
    const whist_model_shape shape = TOKENS(3, 5, 2, 1);
    new_model(&model, "lstm", "embedding=4;width=12", &shape);
    whist_model_init(model, params, 9);
    const whist_tensor_info *w = NULL;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (strcmp(model->tensors[i].name, "layer0.recurrent") == 0) w = &model->tensors[i];
    assert_true(w && w->shape[0] == H && w->shape[1] == 4 * H);
    for (size_t b = 0; b < 4; b++)
        for (size_t i = 0; i < H; i++)
            for (size_t j = 0; j <= i; j++) {
                double dot = 0;
                for (size_t k = 0; k < H; k++)
                    dot += (double)params[w->offset + i * 4 * H + b * H + k] *
                           (double)params[w->offset + j * 4 * H + b * H + k];
                assert_true(fabs(dot - (i == j)) < 1e-6);
            }
    for (size_t at = 0; at < model->size; at += 37) {
        size_t n = model->size - at < 37 ? model->size - at : 37;
        wh_model_init_range(model, pieces + at, at, n, 9);
    }
    assert_memory_equal(params, pieces, model->size * sizeof(float));
}

/* ---- Refusals
 * -------------------------------------------------------------------------------------------------------- */

static void refuse(const char *class_name, const char *settings_text, whist_model_shape shape, whist_status code,
                   const char *words)
{
    WH_AUTO(whist_settings_ptr) settings = test_settings(whist_model_class_find(class_name)->options, settings_text);
    whist_model *model = NULL;
    assert_int_equal(whist_model_new(&model, class_name, settings, &shape), code);
    if (model || !strstr(whist_detail_get()->text, words))
        fail_msg("%s: '%s' instead of '%s'", class_name, whist_detail_get()->text, words);
}

static void test_refusals_name_what_does_not_fit(void **state)
{
    (void)state;
    const whist_model_shape table = {.n_features = 13, .n_outputs = 2, .target = WHIST_TARGET_CLASS};
    refuse("cnn", "", table, WHIST_E_ARG, "model cnn takes images, and the rows are 13 numbers");
    refuse("gpt", "", table, WHIST_E_ARG, "takes tokens");
    refuse("softmax", "", (whist_model_shape)TOKENS(6, 7, 3, 1), WHIST_E_ARG, "the rows are tokens");
    refuse("cnn", "", (whist_model_shape)IMAGE(1, 9, 9, 10), WHIST_E_ARG, "(1,16,3,3)");
    refuse("conv4", "groups=7", (whist_model_shape)IMAGE(1, 28, 28, 10), WHIST_E_ARG, "7 groups do not divide");
    refuse("conv4", "depth=6", (whist_model_shape)IMAGE(1, 28, 28, 10), WHIST_E_ARG, "(1,64,1,1) and (2,2)");
    refuse("transformer", "heads=3", (whist_model_shape)TOKENS(6, 7, 3, 1), WHIST_E_ARG,
           "3 heads do not divide a width");
    refuse("transformer", "", (whist_model_shape)TOKENS(6, 7, 7, 6), WHIST_E_ARG, "one target for a row");
    refuse("gpt", "", (whist_model_shape)TOKENS(6, 7, 7, 1), WHIST_E_ARG, "a class after every token");
    refuse("gpt", "", (whist_model_shape)TOKENS(6, 7, 9, 6), WHIST_E_ARG, "not 9 classes");
    whist_model_shape odd = IMAGE(1, 28, 28, 10);
    odd.n_features = 100;
    refuse("cnn", "", odd, WHIST_E_ARG, "1 x 28 x 28 in rows of 100");
    refuse("gpt", "width=65536;feed_forward=1048576;depth=9", (whist_model_shape)TOKENS(6, 7, 7, 6), WHIST_E_RANGE,
           "more than 2^31 parameters");
    WH_AUTO(whist_settings_ptr) settings = NULL;
    assert_ok(whist_settings_new(&settings, whist_model_class_find("cnn")->options));
    assert_int_equal(whist_settings_set(settings, "init", "xavier"), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "glorot"));
}

static void test_tokens_outside_the_vocabulary(void **state)
{
    (void)state;
    static float params[MAX_P], grad[MAX_P], out[4];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    const whist_model_shape shape = TOKENS(3, 7, 2, 1);
    new_model(&model, "lstm", "", &shape);
    assert_ok(whist_model_work_new(&work, model, 2));
    float rows[] = {0, 1, 2, 3, 7, 5}, y[] = {0, 1};
    whist_batch batch = {.rows = rows, .target = y, .n_rows = 2, .n = 2};
    grad[0] = 5;
    assert_int_equal(whist_model_loss_grad(model, work, params, &batch, grad, NULL), WHIST_E_RANGE);
    assert_non_null(strstr(whist_detail_get()->text, "place 1 of row 1 of the batch"));
    assert_true(grad[0] == 5);
    rows[4] = 0.5f;
    assert_int_equal(whist_model_predict(model, work, params, rows, 2, out), WHIST_E_RANGE);
    rows[4] = 0, y[1] = 2;
    assert_int_equal(whist_model_loss_grad(model, work, params, &batch, grad, NULL), WHIST_E_RANGE);
    y[1] = 1, batch.n = 3;
    assert_int_equal(whist_model_loss_grad(model, work, params, &batch, grad, NULL), WHIST_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_every_class),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_sizes_that_the_literature_names),
        cmocka_unit_test(test_per_example_sums_are_the_gradient),
        cmocka_unit_test(test_parameters_may_be_values),
        cmocka_unit_test(test_running_statistics_follow_the_batches),
        cmocka_unit_test(test_transductive_predictions_depend_on_the_batch),
        cmocka_unit_test(test_windows_may_overlap),
        cmocka_unit_test(test_gpt_does_not_look_ahead),
        cmocka_unit_test(test_same_bits_with_threads),
        cmocka_unit_test(test_dropout_goes_by_its_seed),
        cmocka_unit_test(test_normal_starts),
        cmocka_unit_test(test_orthogonal_start_piece_by_piece),
        cmocka_unit_test(test_refusals_name_what_does_not_fit),
        cmocka_unit_test(test_tokens_outside_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
