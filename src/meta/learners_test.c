/* meta/learners_test.c: meta-learners on the learner joint. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/settings.h"
#include "draw/design.h"
#include "meta/learners.h"
#include "meta/model.h"
#include "meta/scheme.h"

enum { SITES = 6, TRAIN = 40, TEST = 30, SUPPORT = 8, QUERY = 12, MOST = 1024 };

WH_AUTO_FREE(whist_model_work, whist_model_work_free)

/* Site s has rows of its own sinusoid. */
typedef struct world {
    whist_dataset *data[SITES];
    whist_model *model;
    whist_settings *settings;
    float theta[MOST];
    size_t n;
} world;

static double noise(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-52 - 1;
}

static whist_dataset *sinusoid(size_t site, size_t train_rows)
{
    float x[TRAIN + TEST], y[TRAIN + TEST];
    for (size_t i = 0; i < TRAIN + TEST; i++) {
        x[i] = (float)(3 * noise(site * 1000 + i));
        y[i] = (float)((1 + .2 * (double)site) * sin((double)x[i] + .7 * (double)site));
    }
    const whist_rows train = {.n = train_rows, .d = 1, .x = x, .y = y},
                     test = {.n = TEST, .d = 1, .x = x + TRAIN, .y = y + TRAIN};
    whist_dataset *out;
    assert_ok(whist_dataset_from_rows(&out, &train, &test));
    return out;
}

static void open_world(world *w, const whist_learner_class *class_)
{
    static const whist_model_shape shape = {.n_features = 1, .n_outputs = 1, .target = WHIST_TARGET_VALUE};
    WH_AUTO(whist_settings_ptr) settings = NULL;
    *w = (world){.model = NULL};
    assert_ok(whist_settings_new(&settings, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(settings, "hidden", "[20, 20]"));
    assert_ok(whist_settings_set(settings, "activation", "tanh"));
    assert_ok(whist_model_new(&w->model, "mlp", settings, &shape));
    w->n = whist_model_size(w->model);
    assert_true(w->n <= MOST);
    whist_model_init(w->model, w->theta, 3);
    for (size_t s = 0; s < SITES; s++) w->data[s] = sinusoid(s, TRAIN);
    assert_ok(whist_settings_new(&w->settings, class_->options));
    assert_ok(whist_settings_set(w->settings, "support", "8"));
    assert_ok(whist_settings_set(w->settings, "query", "12"));
    assert_ok(whist_settings_set(w->settings, "inner_lr", "0.05"));
    assert_ok(whist_settings_set(w->settings, "inner_steps", "2"));
}

static void close_world(world *w)
{
    for (size_t s = 0; s < SITES; s++) whist_dataset_free(w->data[s]);
    whist_model_free(w->model);
    whist_settings_free(w->settings);
}

static const char *const metrics[] = {"mae"};

static whist_learner_env env_of(const world *w, size_t site)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    return (whist_learner_env){.model = w->model,
                               .data = w->data[site],
                               .settings = w->settings,
                               .site = names[site],
                               .seed = 5,
                               .metrics = metrics,
                               .n_metrics = 1};
}

/* Loss of the query rows after the inner steps on the support rows, of the first task of round 0; the slow way. */
static double loss_after(const world *w, const float *theta, float *grad)
{
    const whist_rows rows = whist_dataset_rows(w->data[0], WHIST_FOLD_TRAIN);
    const wh_draw_design design = {.kind = WH_DRAW_SHUFFLED_PASS, .n = TRAIN, .batch = SUPPORT + QUERY};
    WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    const uint32_t *index;
    size_t n;
    float z[MOST];
    double loss;
    assert_ok(wh_draw_init(&draw, &design, 5, "a", 0));
    wh_draw_next(&draw, &index, &n);
    assert_ok(whist_model_work_new(&work, w->model, QUERY));
    memcpy(z, theta, w->n * sizeof *z);
    whist_batch batch = {.rows = rows.x, .target = rows.y, .n_rows = rows.n, .index = index, .n = SUPPORT};
    for (int step = 0; step < 2; step++) assert_ok(whist_model_sgd_step(w->model, work, z, &batch, .05, NULL, NULL));
    batch.index += SUPPORT;
    batch.n = QUERY;
    assert_ok(whist_model_loss_grad(w->model, work, z, &batch, grad, &loss));
    return loss;
}

static void fit_once(float *delta, const world *w, const whist_learner_class *class_)
{
    const whist_learner_env env = env_of(w, 0);
    const whist_learner_round round = {.round = 0, .model = w->theta, .n = w->n};
    whist_learner *l;
    whist_update update;
    assert_ok(class_->new_(&l, &env));
    assert_ok(class_->fit(l, &round, &update));
    assert_true(update.n_vectors == 1 && update.rows == TRAIN && update.steps == 1);
    memcpy(delta, update.vectors[0], w->n * sizeof *delta);
    class_->free_(l);
}

/* -lr times the gradient: of first order, what the adapted model's loss gives; of second, what differences say. */
static void updates_are_meta_gradients(void **state)
{
    (void)state;
    world w;
    float delta[MOST], grad[MOST], moved[MOST];
    open_world(&w, &wh_learner_fomaml);
    assert_ok(whist_settings_set(w.settings, "tasks", "1"));
    assert_ok(whist_settings_set(w.settings, "lr", "0.5"));
    fit_once(delta, &w, &wh_learner_fomaml);
    loss_after(&w, w.theta, grad);
    for (size_t i = 0; i < w.n; i++) assert_true(fabs((double)delta[i] + .5 * (double)grad[i]) < 1e-6);
    fit_once(delta, &w, &wh_learner_maml); /* the same options */
    double first = 0, along = 0, h = 5e-3;
    for (int side = -1; side <= 1; side += 2) {
        for (size_t i = 0; i < w.n; i++) moved[i] = w.theta[i] + (float)(side * h * noise(i));
        first += side * loss_after(&w, moved, NULL) / (2 * h);
    }
    for (size_t i = 0; i < w.n; i++) along += (double)delta[i] / -.5 * noise(i);
    if (!(fabs(along - first) < 2e-4 * fmax(1, fabs(first)))) fail_msg("%g, differences %g", along, first);
    close_world(&w);
}

static double personal_error(const world *w, whist_learner *const l[], const whist_learner_class *class_)
{
    double num = 0, den = 0;
    for (size_t s = 0; s < SITES; s++) {
        whist_metric_value value;
        assert_ok(class_->evaluate(l[s], w->theta, WHIST_FOLD_TEST, &value));
        num += value.num;
        den += value.den;
    }
    return num / den;
}

/* Sites whose mean is no good model of any: the start that a few steps make one of is learned by the mean of the
 * updates. Twice the same bits. */
static void every_learner_learns(void **state)
{
    (void)state;
    float first[MOST];
    for (const whist_learner_class *const *c = wh_meta_learner_classes(); *c; c++)
        for (int again = 0; wh_scheme_kind_of(*c) == WH_SCHEME_CHAIN && again < 2;
             again++) { /* others: few_test.c, dp_test.c */
            world w;
            whist_learner *l[SITES];
            open_world(&w, *c);
            assert_ok(whist_settings_set(w.settings, "lr", *c == &wh_learner_reptile ? "0.8" : "0.1"));
            for (size_t s = 0; s < SITES; s++) {
                static whist_learner_env env[SITES];
                env[s] = env_of(&w, s);
                assert_ok((*c)->new_(&l[s], &env[s]));
            }
            double before = personal_error(&w, l, *c);
            for (uint64_t r = 0; r < 150; r++) {
                float sum[MOST] = {0};
                for (size_t s = 0; s < SITES; s++) {
                    const whist_learner_round round = {.round = r, .model = w.theta, .n = w.n};
                    whist_update update;
                    assert_ok((*c)->fit(l[s], &round, &update));
                    for (size_t i = 0; i < w.n; i++) sum[i] += update.vectors[0][i] / SITES;
                }
                for (size_t i = 0; i < w.n; i++) w.theta[i] += sum[i];
            }
            double after = personal_error(&w, l, *c);
            if (!(after < .9 * before)) fail_msg("%s: error %g before, %g after", (*c)->name, before, after);
            if (again == 0) memcpy(first, w.theta, w.n * sizeof *first);
            assert_memory_equal(first, w.theta, w.n * sizeof *first);
            for (size_t s = 0; s < SITES; s++) (*c)->free_(l[s]);
            close_world(&w);
        }
}

/* A personal model from any number of rows; what does not adapt stays. */
static void adapting_moves_what_adapts(void **state)
{
    (void)state;
    static const whist_learner_class *const classes[] = {&wh_learner_maml, &wh_learner_anil, &wh_learner_boil};
    for (size_t k = 0; k < WH_COUNT(classes); k++) {
        world w;
        float personal[MOST];
        whist_learner *l;
        size_t n;
        open_world(&w, classes[k]);
        const whist_learner_env env = env_of(&w, 1);
        assert_ok(classes[k]->new_(&l, &env));
        whist_rows rows = whist_dataset_rows(w.data[1], WHIST_FOLD_TEST);
        rows.n = 3;
        assert_ok(classes[k]->adapt(l, w.theta, &rows, personal));
        const whist_tensor_info *t = whist_model_tensors(w.model, &n);
        for (size_t i = 0; i < n; i++) {
            bool head = i + 2 >= n, moves = k == 0 || head == (k == 1);
            int differs = memcmp(personal + t[i].offset, w.theta + t[i].offset, t[i].size * sizeof *personal);
            assert_true((differs != 0) == moves);
        }
        rows.n = 0;
        assert_int_equal(classes[k]->adapt(l, w.theta, &rows, personal), WHIST_E_ARG);
        classes[k]->free_(l);
        close_world(&w);
    }
}

/* Reptile's steps take the support in two halves: in a round, and of any rows. */
static void reptile_steps_on_parts(void **state)
{
    (void)state;
    const whist_learner_class *class_ = &wh_learner_reptile;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(wh_draw) draw = WH_DRAW_EMPTY;
    const wh_draw_design design = {.kind = WH_DRAW_SHUFFLED_PASS, .n = TRAIN, .batch = SUPPORT + QUERY};
    world w;
    float delta[MOST], z[MOST], personal[MOST];
    const uint32_t *index;
    uint32_t order[SUPPORT];
    size_t n;
    open_world(&w, class_);
    assert_ok(whist_settings_set(w.settings, "inner_batch", "5")); /* eight rows: halves */
    assert_ok(whist_settings_set(w.settings, "tasks", "1"));
    assert_ok(whist_settings_set(w.settings, "lr", "0.5"));
    fit_once(delta, &w, class_);
    whist_rows rows = whist_dataset_rows(w.data[0], WHIST_FOLD_TRAIN);
    assert_ok(whist_model_work_new(&work, w.model, SUPPORT));
    assert_ok(wh_draw_init(&draw, &design, 5, "a", 0));
    wh_draw_next(&draw, &index, &n);
    for (int any = 0; any < 2; any++) {
        for (uint32_t i = 0; i < SUPPORT; i++) order[i] = any ? i : index[i];
        memcpy(z, w.theta, sizeof z);
        for (size_t step = 0; step < 2; step++) {
            const whist_batch batch = {.rows = rows.x,
                                       .target = rows.y,
                                       .n_rows = rows.n,
                                       .index = order + step * SUPPORT / 2,
                                       .n = SUPPORT / 2};
            assert_ok(whist_model_sgd_step(w.model, work, z, &batch, .05, NULL, NULL));
        }
        for (size_t i = 0; i < w.n && !any; i++)
            assert_true(fabs((double)delta[i] + .5 * ((double)w.theta[i] - (double)z[i])) < 1e-6);
    }
    whist_learner *l;
    const whist_learner_env env = env_of(&w, 0);
    assert_ok(class_->new_(&l, &env));
    rows.n = SUPPORT;
    assert_ok(class_->adapt(l, w.theta, &rows, personal));
    for (size_t i = 0; i < w.n; i++) assert_true(fabsf(personal[i] - z[i]) < 1e-6f);
    class_->free_(l);
    close_world(&w);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    world w;
    whist_learner *l = NULL;
    open_world(&w, &wh_learner_maml);
    whist_dataset_free(w.data[0]);
    w.data[0] = sinusoid(0, SUPPORT + QUERY - 1);
    const whist_learner_env env = env_of(&w, 0);
    assert_int_equal(wh_learner_maml.new_(&l, &env), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "19 training rows; a task takes 20 (support 8, query 12)"));
    whist_model *cox;
    wh_meta_model objective;
    const whist_model_shape survival = {.n_features = 2, .n_outputs = 1, .target = WHIST_TARGET_SURVIVAL};
    assert_ok(whist_model_new(&cox, "cox", NULL, &survival));
    assert_int_equal(wh_meta_model_init(&objective, cox, 4), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "survival"));
    whist_model_free(cox);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_meta_gradients), cmocka_unit_test(every_learner_learns),
        cmocka_unit_test(adapting_moves_what_adapts), cmocka_unit_test(reptile_steps_on_parts),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
