/* meta/attack_test.c: curves by hand and by another program; attacks that find what is there and nothing else. */
#include "meta/attack.h"

#include <math.h>
#include <string.h>

#include "draw/stream.h"
#include "meta/learners.h"
#include "meta/train.h"
#include "test.h"

WH_AUTO_FREE(whist_settings, whist_settings_free)

static void near(double got, double expected, double most)
{
    if (!(fabs(got - expected) <= most)) fail_msg("%.9g, not %.9g", got, expected);
}

static void curves(void **state)
{
    (void)state;
    whist_meta_membership m;
    /* Values of another program over the same scores; at 1 % no false alarm is allowed. */
    double in[] = {1.7, -0.3, 0.2, 1.8, -0.6, 1.6, 0.8, -0.3, 0.1, 1.5, -0.4, 1.5},
           out[] = {0.6, 0.2, 0.7, 0.7, 0.1, -0.7, 1.5, 0.2, -0.1, -1.6, 0.1, 0.3, 0.2, -1.4, -2.3};
    wh_roc(&m, in, WH_COUNT(in), out, WH_COUNT(out));
    near(m.auc, 0.6583333333333333, 1e-12);
    near(m.tpr, 0.25, 0);
    assert_true(m.auc_low < 0.55 && m.auc_high > 0.8 && m.tpr_low > 0.05 && m.tpr_low < 0.06 && m.tpr_high > 0.57);
    double low[] = {1, 2, 3, 4}, high[] = {5, 6, 7, 8}, same[] = {1, 1, 1, 1}, equal[] = {1, 1};
    wh_roc(&m, high, 4, low, 4);
    assert_true(m.auc == 1 && m.auc_low == 1 && m.tpr == 1 && m.tpr_high == 1);
    wh_roc(&m, low, 4, high, 4);
    assert_true(m.auc == 0 && m.tpr == 0 && m.tpr_low == 0);
    wh_roc(&m, same, 4, equal, 2);
    assert_true(m.auc == 0.5 && m.tpr == 0);
    double many[200], others[200]; /* two of 200 may be passed */
    for (int i = 0; i < 200; i++) many[i] = i, others[i] = i;
    wh_roc(&m, many, 200, others, 200);
    near(m.auc, 0.5, 1e-12);
    near(m.tpr, 0.01, 0);
}

/* ---- Small worlds: classes of rows around points, ROWS of each in both folds ---- */

enum { D = 8, WAYS = 3, CLASSES = 8, EACH = 10, ROWS = CLASSES * EACH };

typedef struct world {
    whist_dataset *data;
    whist_model *model;
    whist_settings *settings, *optimizer;
    whist_meta_env env;
    whist_training training;
    whist_meta_train *run;
} world;

static void rows_of(float *x, float *y, size_t first)
{
    wh_seeded stream;
    wh_seeded_init(&stream, 3, "rows", "", first);
    for (size_t k = 0; k < CLASSES; k++) {
        float centre[D];
        for (size_t j = 0; j < D; j++) centre[j] = (float)wh_seeded_normal(&stream);
        for (size_t i = k * EACH; i < (k + 1) * EACH; i++) {
            y[i] = (float)(first + k);
            for (size_t j = 0; j < D; j++) x[i * D + j] = centre[j] + 0.7F * (float)wh_seeded_normal(&stream);
        }
    }
}

static void open_world(world *w, const char *learner, const char *inner_lr, uint64_t steps)
{
    static float x[2 * ROWS * D], y[2 * ROWS];
    static const whist_model_shape shape = {.n_features = D, .n_outputs = WAYS, .target = WHIST_TARGET_CLASS};
    static const uint8_t study[32] = {5};
    WH_AUTO(whist_settings_ptr) hidden = NULL;
    const whist_learner_class *class_ = NULL;
    *w = (world){0};
    for (const whist_learner_class *const *c = wh_meta_learner_classes(); *c; c++)
        if (strcmp((*c)->name, learner) == 0) class_ = *c;
    assert_non_null(class_);
    assert_ok(whist_settings_new(&hidden, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(hidden, "hidden", "[24]"));
    assert_ok(whist_model_new(&w->model, "mlp", hidden, &shape));
    assert_ok(whist_settings_new(&w->settings, class_->options));
    if (inner_lr) assert_ok(whist_settings_set(w->settings, "inner_lr", inner_lr));
    assert_ok(wh_scheme_extend(w->model, class_, w->settings));
    rows_of(x, y, 0);
    rows_of(x + ROWS * D, y + ROWS, CLASSES);
    const whist_rows train = {.n = ROWS, .d = D, .x = x, .y = y},
                     test = {.n = ROWS, .d = D, .x = x + ROWS * D, .y = y + ROWS};
    assert_ok(whist_dataset_from_rows(&w->data, &train, &test));
    assert_ok(whist_settings_new(&w->optimizer, whist_training_options("adam")));
    assert_ok(whist_settings_set(w->optimizer, "lr", "0.01"));
    w->training = (whist_training){.optimizer = "adam", .settings = w->optimizer, .steps = steps};
    w->env = (whist_meta_env){.model = w->model,
                              .learner = class_,
                              .settings = w->settings,
                              .episodes = {.ways = WAYS, .shots = 2, .queries = 4, .turns = 1},
                              .data = (const whist_dataset *const *)&w->data,
                              .n_data = 1,
                              .seed = 7,
                              .threads = 1,
                              .study = study};
}

static void train(world *w)
{
    assert_ok(whist_meta_train_new(&w->run, &w->env, &w->training));
    assert_ok(whist_meta_train_run(w->run, &(whist_meta_go){0}));
}

static void close_world(world *w)
{
    whist_meta_train_free(w->run);
    whist_dataset_free(w->data);
    whist_model_free(w->model);
    whist_settings_free(w->settings);
    whist_settings_free(w->optimizer);
}

static whist_meta_membership membership(const world *w, const float *params)
{
    whist_meta_membership m;
    const whist_meta_test in = {.episodes = 300, .fold = WHIST_FOLD_TRAIN, .steps = SIZE_MAX},
                          out = {.episodes = 300, .fold = WHIST_FOLD_TEST, .steps = SIZE_MAX};
    assert_ok(whist_meta_membership_test(&m, params, &w->env, &in, &w->env, &out));
    return m;
}

/* A start that learned its eight classes by heart gives them away; one that saw none of them does not. */
static void training_is_found_and_nothing_else(void **state)
{
    (void)state;
    world w, fresh;
    open_world(&w, "maml", "0.1", 400);
    train(&w);
    const whist_meta_membership found = membership(&w, whist_meta_train_params(w.run));
    if (!(found.auc_low > 0.7 && found.tpr > 0.05 && found.loss_in < found.loss_out))
        fail_msg("auc %g [%g, %g], tpr %g", found.auc, found.auc_low, found.auc_high, found.tpr);
    close_world(&w);
    open_world(&fresh, "maml", "0.1", 1);
    train(&fresh);
    const whist_meta_membership none = membership(&fresh, whist_meta_train_params(fresh.run));
    if (!(fabs(none.auc - 0.5) < 0.15)) fail_msg("auc %g of one step", none.auc);
    assert_true(none.auc < found.auc_low);
    close_world(&fresh);
}

static void backdoors_survive_adapting(void **state)
{
    (void)state;
    enum { CLEAN, POISONED };
    whist_meta_score accuracy[2], success[2];
    const whist_backdoor b = {.share = 0.2, .target = 1, .size = 2, .value = 5};
    for (int poisoned = 0; poisoned < 2; poisoned++) {
        world w;
        open_world(&w, "maml", "0.1", 300);
        if (poisoned) w.env.backdoor = b;
        train(&w);
        whist_meta_test test = {.episodes = 200, .fold = WHIST_FOLD_TEST, .steps = SIZE_MAX};
        assert_ok(whist_meta_evaluate(&accuracy[poisoned], &w.env, whist_meta_train_params(w.run), &test));
        test.trigger = &b;
        assert_ok(whist_meta_evaluate(&success[poisoned], &w.env, whist_meta_train_params(w.run), &test));
        close_world(&w);
    }
    if (!(success[POISONED].mean > 0.8 && success[CLEAN].mean < 0.6))
        fail_msg("success %g poisoned, %g clean", success[POISONED].mean, success[CLEAN].mean);
    if (!(accuracy[POISONED].mean > accuracy[CLEAN].mean - 0.15 && accuracy[POISONED].mean > 0.5))
        fail_msg("accuracy %g poisoned, %g clean", accuracy[POISONED].mean, accuracy[CLEAN].mean);
}

#define assert_says(words)                                                                                             \
    do {                                                                                                               \
        if (!strstr(whist_detail_get()->text, (words)))                                                                \
            fail_msg("'%s' not in: %s", (words), whist_detail_get()->text);                                            \
    } while (0)

static void refused(whist_status expected, const char *words, const char *learner, const whist_backdoor *b)
{
    world w;
    whist_meta_train *run = NULL;
    open_world(&w, learner, NULL, 2);
    w.env.backdoor = *b;
    assert_int_equal(whist_meta_train_new(&run, &w.env, &w.training), expected);
    assert_says(words);
    close_world(&w);
}

static void refusals(void **state)
{
    (void)state;
    refused(WHIST_E_ARG, "allowed are 0 to 1", "maml", &(whist_backdoor){1.5, 0, 1, 1});
    refused(WHIST_E_ARG, "target 3", "maml", &(whist_backdoor){0.5, 3, 1, 1});
    refused(WHIST_E_ARG, "a trigger of 0", "maml", &(whist_backdoor){0.5, 0, 0, 1});
    refused(WHIST_E_ARG, "a trigger of 9", "maml", &(whist_backdoor){0.5, 0, 9, 1});
    refused(WHIST_E_ARG, "not finite", "maml", &(whist_backdoor){0.5, 0, 1, NAN});
    refused(WHIST_E_UNSUPPORTED, "compares with the support rows", "protonet", &(whist_backdoor){0.5, 0, 1, 1});
    world w;
    open_world(&w, "maml", NULL, 2);
    w.env.backdoor = (whist_backdoor){0.5, 0, 1, 1};
    assert_ok(whist_meta_train_new(&w.run, &w.env, &w.training));
    assert_int_equal(whist_meta_train_run(w.run, &(whist_meta_go){.checkpoint = "x"}), WHIST_E_UNSUPPORTED);
    assert_says("keeps no checkpoints");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(curves), cmocka_unit_test(training_is_found_and_nothing_else),
                                       cmocka_unit_test(backdoors_survive_adapting), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
