/* learn/private_test.h: two classes on either side of a plane, and a private learner that learns to tell them apart:
 * for the tests of the private learners. */
#ifndef WH_LEARN_PRIVATE_TEST_H
#define WH_LEARN_PRIVATE_TEST_H

#include "base/settings.h"
#include "learn/learners.h"
#include "nn/model.h"
#include "test.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_dataset, whist_dataset_free)

enum { N = 400, D = 8 };
static float x_[N * D], y_[N];

static uint64_t state_;
static inline double uniform(void) /* [-1, 1), splitmix64 */
{
    uint64_t z = (state_ += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)(int64_t)((z ^ (z >> 31)) >> 40) / 0x1p23 - 1.0;
}

/* Two classes on either side of a plane. */
static inline whist_rows make_rows(void)
{
    state_ = 3;
    for (size_t i = 0; i < N; i++) {
        double side = 0;
        for (size_t j = 0; j < D; j++) {
            x_[i * D + j] = (float)uniform();
            side += (j % 2 ? 1.0 : -1.0) * (double)x_[i * D + j];
        }
        y_[i] = side > 0;
    }
    return (whist_rows){.n = N, .d = D, .x = x_, .y = y_, .n_targets = 1};
}

static inline void logistic(whist_model **model)
{
    const whist_model_shape shape = {.n_features = D, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    assert_ok(whist_model_new(model, "logistic", NULL, &shape));
}

/* One round of 60 private steps over up to 500 rows, from zero, with these settings on top: it says what it spends, its
 * update is weighted by public numbers, and the model is right about three rows in four. Returns what it says first. */
static inline whist_dp_event learns_and_spends(const whist_learner_class *class_, const char *const given[][2],
                                               size_t n)
{
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_dataset_ptr) data = NULL;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    static const char *const metrics[] = {"accuracy"};
    whist_rows rows = make_rows();
    logistic(&model);
    assert_ok(whist_dataset_from_rows(&data, &rows, &rows));
    assert_ok(whist_settings_new(&settings, class_->options));
    assert_ok(whist_settings_set(settings, "rows", "500"));
    assert_ok(whist_settings_set(settings, "updates", "60"));
    for (size_t i = 0; i < n; i++) assert_ok(whist_settings_set(settings, given[i][0], given[i][1]));
    const whist_learner_env env = {
        .model = model, .data = data, .settings = settings, .site = "one", .metrics = metrics, .n_metrics = 1};
    whist_learner *learner;
    assert_ok(class_->new_(&learner, &env));
    float params[D + 1] = {0};
    const whist_learner_round round = {.model = params, .n = D + 1};
    whist_dp_event events[WHIST_MAX_EVENTS];
    whist_metric_value right;
    whist_update update;
    size_t n_events;
    assert_ok(class_->spends(learner, &round, events, &n_events));
    assert_int_equal(n_events, 2);
    assert_ok(class_->fit(learner, &round, &update));
    assert_true(update.rows == 500 && update.steps == 60);
    for (size_t j = 0; j <= D; j++) params[j] += update.vectors[0][j];
    assert_ok(class_->evaluate(learner, params, WHIST_FOLD_TEST, &right));
    assert_true(right.num / right.den > 0.75);
    assert_ok(class_->fit(learner, &round, &update)); /* another round */
    class_->free_(learner);
    return events[0];
}

#endif
