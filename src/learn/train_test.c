/* Tests of central training: it learns, goes on from a checkpoint to the same bits, with any threads; refusals. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/settings.h"
#include "test.h"
#include "whist/learn.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_dataset, whist_dataset_free)
WH_AUTO_FREE(whist_train, whist_train_free)

static char folder[] = "/tmp/whist_train_XXXXXX";
static char file_[64];
static const uint8_t study_[32] = {7, 1};
static const char *const metrics_[] = {"accuracy", "logloss"};

enum { SIDE = 18, D = SIDE * SIDE, ROWS = 50, HELD = 10, CLASSES = 3 };

/* Images of a bright third, which is their class. */
static void make_data(whist_dataset **out, float scale)
{
    static float x[(ROWS + HELD) * D], y[ROWS + HELD];
    uint64_t state = 3;
    for (size_t i = 0; i < ROWS + HELD; i++) {
        y[i] = (float)(i * 7 % CLASSES);
        for (size_t j = 0; j < D; j++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            x[i * D + j] =
                scale * ((float)(state >> 40) * 0x1p-24f + (j / (D / CLASSES) == (size_t)y[i] ? 1.0f : 0.0f));
        }
    }
    const whist_rows train = {.n = ROWS, .d = D, .x = x, .y = y};
    const whist_rows test = {.n = HELD, .d = D, .x = x + ROWS * D, .y = y + ROWS};
    assert_ok(whist_dataset_from_rows(out, &train, &test));
}

static void set_all(whist_settings *settings, const char *list)
{
    char text[200];
    snprintf(text, sizeof text, "%s", list);
    for (char *rest = text, *pair; (pair = strsep(&rest, ";")) && *pair;) {
        char *key = strsep(&pair, "=");
        assert_ok(whist_settings_set(settings, key, pair));
    }
}

typedef struct world {
    whist_model *model;
    whist_dataset *data;
    whist_settings *settings;
    whist_train_env env;
} world;

static void world_init(world *w, const char *model, const char *model_settings, const char *optimizer,
                       const char *optimizer_settings)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const whist_model_shape shape = {.n_features = D,
                                     .n_outputs = CLASSES,
                                     .target = WHIST_TARGET_CLASS,
                                     .channels = 1,
                                     .height = SIDE,
                                     .width = SIDE};
    make_data(&w->data, 1);
    assert_ok(whist_settings_new(&settings, whist_model_class_find(model)->options));
    set_all(settings, model_settings);
    assert_ok(whist_model_new(&w->model, model, settings, &shape));
    assert_ok(whist_settings_new(&w->settings, whist_training_options(optimizer)));
    set_all(w->settings, optimizer_settings);
    w->env = (whist_train_env){.model = w->model,
                               .data = w->data,
                               .training = {.optimizer = optimizer, .settings = w->settings, .epochs = 3, .batch = 8},
                               .seed = 5,
                               .metrics = metrics_,
                               .n_metrics = 2,
                               .threads = 1,
                               .study = study_};
}

static void world_clear(world *w)
{
    whist_settings_free(w->settings);
    whist_dataset_free(w->data);
    whist_model_free(w->model);
}
WH_AUTO_CLEAR(world, world_clear)

/* Stops after `left` steps. */
static bool stop_after(void *user, const whist_progress *progress)
{
    uint64_t *left = user;
    assert_true(progress->total == 21 && progress->done <= 21);
    return --*left > 0;
}

static void run_in_parts(whist_train **out, world *w, uint64_t part)
{
    (void)unlink(file_);
    for (bool more = true; more;) {
        whist_train_free(*out);
        *out = NULL;
        assert_ok(whist_train_new(out, &w->env));
        if (wh_file_exists(file_)) assert_ok(whist_train_load(*out, file_));
        uint64_t left = part;
        const whist_train_go go = {.checkpoint = file_, .every = 4, .progress = stop_after, .user = &left};
        whist_status status = whist_train_run(*out, &go);
        more = status == WHIST_E_CANCELLED;
        if (!more) assert_ok(status);
    }
}

static void same(const whist_train *a, const whist_train *b, size_t size)
{
    size_t n, m;
    const whist_train_point *p = whist_train_points(a, &n), *q = whist_train_points(b, &m);
    assert_memory_equal(whist_train_params(a), whist_train_params(b), size * sizeof(float));
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_true(p[i].step == q[i].step && p[i].lr == q[i].lr && p[i].loss == q[i].loss && p[i].fold == q[i].fold);
        assert_memory_equal(p[i].metrics, q[i].metrics, 2 * sizeof p[i].metrics[0]);
    }
}

static const struct {
    const char *model, *settings, *optimizer, *options;
} kinds[] = {
    {"mlp", "hidden=[16]", "sgd", "lr=0.1"},
    {"mlp", "hidden=[16]", "adam", "lr=0.01;schedule=cosine;warmup=3"},
    {"cnn", "dropout=0.3", "adamw", "lr=0.003;clip=1"},
    {"conv4", "width=4;depth=2;norm=inductive", "momentum", "lr=0.05;schedule=step;decay_steps=7"},
    {"conv4", "width=4;depth=2;groups=2", "yogi", "lr=0.01"},
    {"resnet9", "width=2;groups=2", "nesterov", "lr=0.05"},
    {"conv4", "width=4;depth=1;norm=transductive", "adagrad", "lr=0.05"},
};

static void test_stopped_and_threaded_runs_give_the_same_bits(void **state)
{
    (void)state;
    for (size_t k = 0; k < WH_COUNT(kinds); k++) {
        WH_AUTO(world) w = {0};
        WH_AUTO(whist_train_ptr) whole = NULL;
        WH_AUTO(whist_train_ptr) parts = NULL;
        WH_AUTO(whist_train_ptr) threads = NULL;
        world_init(&w, kinds[k].model, kinds[k].settings, kinds[k].optimizer, kinds[k].options);
        w.env.training.evaluate_every = 5;
        const size_t size = whist_model_size(w.model);
        const whist_train_go go = {.checkpoint = NULL};
        assert_ok(whist_train_new(&whole, &w.env));
        assert_ok(whist_train_run(whole, &go));
        uint64_t total;
        assert_int_equal(whist_train_done(whole, &total), 21);
        assert_int_equal(total, 21);
        run_in_parts(&parts, &w, 2 + k);
        same(whole, parts, size);
        w.env.threads = 2;
        assert_ok(whist_train_new(&threads, &w.env));
        assert_ok(whist_train_run(threads, &go));
        same(whole, threads, size);
        /* another seed is another run */
        WH_AUTO(whist_train_ptr) other = NULL;
        w.env.seed = 6;
        assert_ok(whist_train_new(&other, &w.env));
        assert_ok(whist_train_run(other, &go));
        assert_memory_not_equal(whist_train_params(whole), whist_train_params(other), size * sizeof(float));
    }
}

static void test_it_learns_and_measures(void **state)
{
    (void)state;
    WH_AUTO(world) w = {0};
    WH_AUTO(whist_train_ptr) train = NULL;
    world_init(&w, "cnn", "", "adam", "lr=0.01");
    w.env.training.epochs = 20;
    assert_ok(whist_train_new(&train, &w.env));
    assert_ok(whist_train_run(train, &(whist_train_go){.checkpoint = NULL}));
    size_t n;
    const whist_train_point *points = whist_train_points(train, &n);
    assert_int_equal(n, 20);
    assert_true(points[0].step == 7 && points[0].epoch == 1 && points[0].lr == 0.01);
    assert_true(points[0].fold == WHIST_FOLD_TEST && points[0].metrics[0].n == HELD);
    assert_true(points[n - 1].loss < 0.1 && points[n - 1].loss < points[0].loss);
    whist_metric_value test[2];
    assert_ok(whist_train_measure(train, WHIST_FOLD_TEST, test));
    assert_memory_equal(test, points[n - 1].metrics, sizeof test);
    assert_true(test[0].num == HELD);

    char path[128], text[4096];
    assert_ok(whist_train_save_points(train, folder));
    snprintf(path, sizeof path, "%s/training.csv", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    (void)fclose(file);
    size_t lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, 21);
    assert_true(strncmp(text, "step,epoch,lr,loss,fold,accuracy,logloss\n7,1,", 45) == 0);
}

static void refuse_load(world *w, whist_status code, const char *words)
{
    WH_AUTO(whist_train_ptr) train = NULL;
    assert_ok(whist_train_new(&train, &w->env));
    assert_int_equal(whist_train_load(train, file_), code);
    if (!strstr(whist_detail_get()->text, words)) fail_msg("'%s' instead of '%s'", whist_detail_get()->text, words);
    assert_int_equal(whist_train_done(train, NULL), 0);
}

static void test_checkpoints_of_something_else(void **state)
{
    (void)state;
    static const uint8_t other[32] = {8};
    WH_AUTO(world) w = {0};
    WH_AUTO(world) wide = {0};
    WH_AUTO(whist_train_ptr) train = NULL;
    world_init(&w, "mlp", "hidden=[16]", "adam", "");
    world_init(&wide, "mlp", "hidden=[17]", "adam", "");
    assert_ok(whist_train_new(&train, &w.env));
    assert_ok(whist_train_run(train, &(whist_train_go){.checkpoint = file_}));
    refuse_load(&wide, WHIST_E_FORMAT, "tensor 'layer0.weight' is (324,16) and this run's is (324,17)");
    w.env.seed = 6;
    refuse_load(&w, WHIST_E_STATE, "its seed is 5 and this run's is 6");
    w.env.seed = 5;
    w.env.study = other;
    refuse_load(&w, WHIST_E_STATE, "its study is 0701");
    w.env.study = study_;
    w.env.training.optimizer = "adamw";
    refuse_load(&w, WHIST_E_STATE, "its optimizer is adam and this run's is adamw");
    w.env.training.optimizer = "adam";
    assert_int_equal(setenv("WHIST_CONV", "onednn", 1), 0);
    refuse_load(&w, WHIST_E_STATE, "conv=onednn: the bits would be others");
    assert_int_equal(unsetenv("WHIST_CONV"), 0);
    w.env.training.epochs = 1;
    refuse_load(&w, WHIST_E_FORMAT, "position");
    w.env.training.epochs = 3;
    assert_int_equal(truncate(file_, 5000), 0);
    refuse_load(&w, WHIST_E_FORMAT, file_);
    assert_ok(wh_file_write(file_, (whist_bytes){(const uint8_t *)"none", 4}, 0600));
    refuse_load(&w, WHIST_E_FORMAT, file_);
}

/* Any byte that is not what was written is seen, wherever it stands: the run is untouched. */
static void test_a_damaged_checkpoint(void **state)
{
    (void)state;
    WH_AUTO(world) w = {0};
    WH_AUTO(whist_train_ptr) train = NULL;
    WH_AUTO(whist_train_ptr) other = NULL;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    world_init(&w, "mlp", "hidden=[16]", "adam", "");
    assert_ok(whist_train_new(&train, &w.env));
    assert_ok(whist_train_run(train, &(whist_train_go){.checkpoint = file_}));
    assert_ok(whist_train_new(&other, &w.env));
    assert_ok(wh_file_read(&bytes, file_, 1 << 24));
    size_t tried = 0;
    for (size_t i = 8; i < bytes.len; i += i < 3000 ? 1 : bytes.len / 97, tried++) {
        bytes.data[i] ^= 1;
        assert_ok(wh_file_write(file_, wh_buf_view(&bytes), 0600));
        if (whist_train_load(other, file_) == WHIST_OK) fail_msg("byte %zu of %zu may be another one", i, bytes.len);
        assert_int_equal(whist_train_done(other, NULL), 0);
        bytes.data[i] ^= 1;
    }
    assert_true(tried > 1000);
    bytes.data[bytes.len - 50000] ^= 1; /* in the midst of the optimiser's state */
    assert_ok(wh_file_write(file_, wh_buf_view(&bytes), 0600));
    assert_int_equal(whist_train_load(other, file_), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "is damaged: its SHA-256 is"));
    bytes.data[bytes.len - 50000] ^= 1;
    assert_ok(wh_file_write(file_, wh_buf_view(&bytes), 0600));
    assert_ok(whist_train_load(other, file_));
}

static void test_a_loss_that_runs_away(void **state)
{
    (void)state;
    WH_AUTO(world) w = {0};
    WH_AUTO(whist_train_ptr) train = NULL;
    world_init(&w, "softmax", "", "sgd", "lr=1000");
    whist_dataset_free(w.data);
    make_data(&w.data, 1e25f);
    w.env.data = w.data;
    assert_ok(whist_train_new(&train, &w.env));
    assert_int_equal(whist_train_run(train, &(whist_train_go){.checkpoint = NULL}), WHIST_E_RANGE);
    assert_non_null(strstr(whist_detail_get()->text, "lower lr"));
    w.env.training.epochs = 0;
    whist_train *none = NULL;
    assert_int_equal(whist_train_new(&none, &w.env), WHIST_E_ARG);
    assert_null(none);
    assert_null(whist_training_options("lion"));
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file_, sizeof file_, "%s/state", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return wh_tree_remove(folder) == WHIST_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_and_threaded_runs_give_the_same_bits),
        cmocka_unit_test(test_it_learns_and_measures),
        cmocka_unit_test(test_checkpoints_of_something_else),
        cmocka_unit_test(test_a_damaged_checkpoint),
        cmocka_unit_test(test_a_loss_that_runs_away),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
