/* meta/prototypes_test.c: class sums and counts as an update: their mean over sites is the class means of all rows,
 * whoever has them; an embedding is learned against them; what has no such means is refused. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/settings.h"
#include "meta/learners.h"
#include "nn/zoo.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_dataset, whist_dataset_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)

enum { D = 3, K = 4, F = 5, ROWS = 96, SITES = 3, MOST = 64, BUT_HEAD = D * F + F };

static double uniform(uint64_t i) /* [-1, 1) */
{
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)(int64_t)((z ^ (z >> 31)) >> 40) / 0x1p23 - 1.0;
}

/* Class k lies around a corner of its own, `shift` further along the second axis. */
static void make_rows(float x[], float y[], size_t n, const size_t classes[], size_t n_classes, double shift,
                      uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = classes[i % n_classes];
        y[i] = (float)k;
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)(((k >> j & 1) ? 2 : -2) + (j == 1 ? shift : 0) + uniform(seed + i * D + j));
    }
}

/* Site 0 has all classes but 3, site 1 nothing but class 1, site 2 classes 0 and 2: nobody has class 3. */
static const struct {
    size_t rows, n, classes[K];
} owners[SITES] = {{70, 3, {0, 1, 2}}, {17, 1, {1}}, {45, 2, {0, 2}}};

typedef struct world {
    float x[SITES][ROWS * D], y[SITES][ROWS];
    whist_dataset *data[SITES];
    whist_model *model;
    whist_settings *settings;
    float theta[MOST];
    size_t n;
} world;

static whist_model *make_model(bool deep)
{
    const whist_model_shape shape = {.n_features = D, .n_outputs = K, .target = WHIST_TARGET_CLASS};
    WH_AUTO(whist_settings_ptr) settings = NULL;
    whist_model *model;
    if (!deep) {
        assert_ok(whist_model_new(&model, "softmax", NULL, &shape));
        return model;
    }
    assert_ok(whist_settings_new(&settings, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(settings, "hidden", "[5]"));
    assert_ok(whist_settings_set(settings, "activation", "tanh"));
    assert_ok(whist_model_new(&model, "mlp", settings, &shape));
    assert_int_equal(whist_model_size(model), BUT_HEAD + F * K + K);
    return model;
}

static void open_world(world *w, bool deep, double shift)
{
    memset(w, 0, sizeof *w);
    w->model = make_model(deep);
    w->n = whist_model_size(w->model);
    whist_model_init(w->model, w->theta, 3);
    for (size_t s = 0; s < SITES; s++) {
        make_rows(w->x[s], w->y[s], owners[s].rows, owners[s].classes, owners[s].n, s == 2 ? shift : 0, 1000 * s);
        const whist_rows rows = {.n = owners[s].rows, .d = D, .x = w->x[s], .y = w->y[s]};
        assert_ok(whist_dataset_from_rows(&w->data[s], &rows, &rows));
    }
    assert_ok(whist_settings_new(&w->settings, wh_learner_prototypes.options));
}

static void close_world(world *w)
{
    for (size_t s = 0; s < SITES; s++) whist_dataset_free(w->data[s]);
    whist_model_free(w->model);
    whist_settings_free(w->settings);
}

static whist_learner *make_learner(const world *w, whist_learner_env *env, size_t site)
{
    static const char *const metrics[] = {"accuracy", "logloss"};
    whist_learner *l;
    *env = (whist_learner_env){.model = w->model,
                               .data = w->data[site],
                               .settings = w->settings,
                               .site = "one",
                               .seed = 5,
                               .metrics = metrics,
                               .n_metrics = 2};
    assert_ok(wh_learner_prototypes.new_(&l, env));
    return l;
}

/* One round of FedAvg over sites 0 … n - 1. */
static void step(world *w, uint64_t round, size_t n)
{
    double sum[MOST] = {0}, rows = 0;
    for (size_t s = 0; s < n; s++) {
        whist_learner_env env;
        whist_update update;
        whist_learner *l = make_learner(w, &env, s);
        const whist_learner_round r = {.round = round, .model = w->theta, .n = w->n};
        assert_ok(wh_learner_prototypes.fit(l, &r, &update));
        assert_true(update.rows == (double)owners[s].rows && update.steps == 1 && update.n_vectors == 1);
        for (size_t i = 0; i < w->n; i++) sum[i] += update.rows * (double)update.vectors[0][i];
        rows += update.rows;
        wh_learner_prototypes.free_(l);
    }
    for (size_t i = 0; i < w->n; i++) w->theta[i] = (float)((double)w->theta[i] + sum[i] / rows);
}

static double measure(const world *w, size_t site, size_t metric)
{
    whist_learner_env env;
    whist_metric_value out[2];
    whist_learner *l = make_learner(w, &env, site);
    assert_ok(wh_learner_prototypes.evaluate(l, w->theta, WHIST_FOLD_TEST, out));
    wh_learner_prototypes.free_(l);
    return out[metric].num / out[metric].den;
}

/* What the head sees, by hand. */
static size_t embed(double out[F], const world *w, const float *x)
{
    bool deep = w->n > D * K + K;
    for (size_t j = 0; j < (deep ? F : D); j++) {
        out[j] = deep ? (double)w->theta[D * F + j] : (double)x[j];
        for (size_t i = 0; deep && i < D; i++) out[j] += (double)w->theta[i * F + j] * (double)x[i];
        if (deep) out[j] = tanh(out[j]);
    }
    return deep ? F : D;
}

/* ---- Means ---- */

/* After one round of FedAvg, and after more, the last model is 2 p and -|p|² of the class means of all rows. */
static void sums_of_sites_are_means_of_all_rows(void **state)
{
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        world w;
        double mean[K][F] = {{0}}, count[K] = {0}, v[F];
        open_world(&w, deep, 0);
        size_t f = D;
        for (uint64_t r = 0; r < 3; r++) step(&w, r, SITES);
        for (size_t s = 0; s < SITES; s++)
            for (size_t i = 0; i < owners[s].rows; i++) {
                size_t k = (size_t)w.y[s][i];
                f = embed(v, &w, w.x[s] + i * D);
                for (size_t j = 0; j < f; j++) mean[k][j] += v[j];
                count[k]++;
            }
        float last[MOST];
        memcpy(last, w.theta, sizeof last);
        assert_ok(wh_learner_prototypes.finish(w.model, w.settings, last));
        const float *weight = last + w.n - K - f * K, *bias = last + w.n - K;
        for (size_t k = 0; k < 3; k++) {
            double square = 0;
            for (size_t j = 0; j < f; j++) {
                double p = mean[k][j] / count[k];
                square += p * p;
                assert_true(fabs((double)weight[j * K + k] - 2 * p) < 2e-6);
            }
            assert_true(fabs((double)bias[k] + square) < 1e-5);
        }
        assert_memory_equal(last, w.theta, (w.n - K - f * K) * sizeof *last); /* the embedding stands */
        close_world(&w);
    }
}

/* Nobody has class 3: it is never predicted, and probabilities are numbers, at the start as well. */
static void a_class_that_nobody_has_never_wins(void **state)
{
    (void)state;
    world w;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    float last[MOST], p[ROWS * K];
    open_world(&w, false, 0);
    assert_true(isfinite(measure(&w, 0, 1)));
    step(&w, 0, SITES);
    assert_true(measure(&w, 0, 0) == 1 && measure(&w, 1, 0) == 1 && measure(&w, 2, 0) == 1);
    assert_true(measure(&w, 0, 1) < 0.1);
    memcpy(last, w.theta, sizeof last);
    assert_ok(wh_learner_prototypes.finish(w.model, w.settings, last));
    assert_ok(whist_model_work_new(&work, w.model, ROWS));
    assert_ok(whist_model_predict(w.model, work, last, w.x[0], owners[0].rows, p));
    for (size_t i = 0; i < owners[0].rows; i++) {
        assert_true(p[i * K + 3] == 0);
        assert_true(fabsf(p[i * K] + p[i * K + 1] + p[i * K + 2] - 1) < 1e-5F);
    }
    close_world(&w);
}

/* The rows of site 2 lie elsewhere. By the means of everybody it is wrong about some; by its own it is right, and asks
 * the others about the classes that it lacks. */
static void a_site_can_have_means_of_its_own(void **state)
{
    (void)state;
    world w;
    open_world(&w, false, 4);
    step(&w, 0, SITES);
    double global = measure(&w, 2, 0);
    assert_true(global < 0.9);
    assert_ok(whist_settings_set(w.settings, "evaluate", "personal"));
    assert_true(measure(&w, 2, 0) == 1);
    assert_true(measure(&w, 1, 0) == 1); /* one class: of the others it knows by the rest */
    close_world(&w);
}

/* ---- Learning ---- */

/* Cross-entropy of a site's rows by the model as it would be handed over. */
static double loss_of(const world *w, size_t site)
{
    return measure(w, site, 1);
}

static void the_embedding_is_learned_in_odd_rounds(void **state)
{
    (void)state;
    world w;
    float before[MOST];
    double start = 0, end = 0;
    open_world(&w, true, 0);
    assert_ok(whist_settings_set(w.settings, "learn", "20"));
    assert_ok(whist_settings_set(w.settings, "lr", "0.3"));
    assert_ok(whist_settings_set(w.settings, "batch", "16"));
    assert_ok(whist_settings_set(w.settings, "updates", "4"));
    step(&w, 0, SITES);
    for (size_t s = 0; s < SITES; s++) start += loss_of(&w, s);
    for (uint64_t r = 1; r < 43; r++) {
        memcpy(before, w.theta, sizeof before);
        step(&w, r, SITES);
        bool moved = memcmp(before, w.theta, BUT_HEAD * sizeof *before) != 0;
        assert_int_equal(moved, r % 2 == 1 && r < 40);
    }
    for (size_t s = 0; s < SITES; s++) end += loss_of(&w, s);
    if (!(end < 0.7 * start)) fail_msg("loss %g, and at the start %g", end, start);
    close_world(&w);
}

/* ---- What cannot be ---- */

static void refused(whist_status want, const whist_model *model, const whist_dataset *data,
                    const whist_settings *settings, const char *why)
{
    whist_learner *l = NULL;
    const whist_learner_env env = {.model = model, .data = data, .settings = settings, .site = "one", .seed = 5};
    assert_int_equal(wh_learner_prototypes.new_(&l, &env), want);
    assert_null(l);
    if (!strstr(whist_detail_get()->text, why)) fail_msg("'%s' does not say '%s'", whist_detail_get()->text, why);
}

static void models_without_class_means_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *option, *value, *why;
        whist_target target;
        size_t outputs;
    } cases[] = {
        {"logistic", NULL, NULL, "say task: classes", WHIST_TARGET_BINARY, 1},
        {"linear", NULL, NULL, "say task: classes", WHIST_TARGET_VALUE, 1},
        {"conv4", "norm", "transductive", "norm group or none", WHIST_TARGET_CLASS, K},
        {"conv4", "norm", "inductive", "norm group or none", WHIST_TARGET_CLASS, K},
    };
    world w;
    open_world(&w, false, 0);
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(whist_settings_ptr) settings = NULL;
        const whist_model_shape shape = {.n_features = 256,
                                         .n_outputs = cases[i].outputs,
                                         .target = cases[i].target,
                                         .channels = 1,
                                         .height = 16,
                                         .width = 16};
        assert_ok(whist_settings_new(&settings, whist_model_class_find(cases[i].model)->options));
        if (cases[i].option) assert_ok(whist_settings_set(settings, cases[i].option, cases[i].value));
        assert_ok(whist_model_new(&model, cases[i].model, settings, &shape));
        refused(WHIST_E_UNSUPPORTED, model, w.data[0], w.settings, cases[i].why);
    }
    assert_ok(whist_settings_set(w.settings, "learn", "1"));
    refused(WHIST_E_UNSUPPORTED, w.model, w.data[0], w.settings, "leave out learn");
    close_world(&w);
}

static void rows_that_are_none_are_refused(void **state)
{
    (void)state;
    world w;
    float y[2] = {1, K}, x[2 * D] = {0};
    open_world(&w, false, 0);
    const whist_rows bad = {.n = 2, .d = D, .x = x, .y = y};
    whist_dataset_free(w.data[0]);
    assert_ok(whist_dataset_from_rows(&w.data[0], &bad, NULL));
    whist_learner_env env;
    whist_learner *l = make_learner(&w, &env, 0);
    whist_update update;
    whist_learner_round round = {.model = w.theta, .n = w.n};
    assert_int_equal(wh_learner_prototypes.fit(l, &round, &update), WHIST_E_RANGE);
    assert_non_null(strstr(whist_detail_get()->text, "training row 2"));
    round.n = w.n - 1;
    assert_int_equal(wh_learner_prototypes.fit(l, &round, &update), WHIST_E_FORMAT);
    wh_learner_prototypes.free_(l);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_sites_are_means_of_all_rows),
        cmocka_unit_test(a_class_that_nobody_has_never_wins),
        cmocka_unit_test(a_site_can_have_means_of_its_own),
        cmocka_unit_test(the_embedding_is_learned_in_odd_rounds),
        cmocka_unit_test(models_without_class_means_are_refused),
        cmocka_unit_test(rows_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
