/* Private gradients: the mean of clipped ones without noise, the noise that is said, events, bounds, adaptation; the
 * learner learns. Draws are the system's: no test fails by chance with probability above 1e-9. */
#include "learn/dp_step.h"

#include <math.h>
#include <string.h>

#include "learn/private_test.h"

static const wh_dp_step_options plain = {.clip = 0.5, .sigma = 1e-3, .rate = 1, .rows = N, .batch = N};

static void check_mean(unsigned threads)
{
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    WH_AUTO(wh_clip_ptr) clip = NULL;
    whist_rows rows = make_rows();
    float params[D + 1] = {0}, grad[D + 1];
    wh_dp_step_options options = plain;
    options.threads = threads;
    logistic(&model);
    for (size_t j = 0; j <= D; j++) params[j] = (float)uniform();
    assert_ok(wh_dp_step_new(&step, model, &rows, &options));
    assert_ok(wh_dp_step_gradient(step, grad, params));
    assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.n_max = N}));
    assert_ok(wh_clip_begin(clip, 0.5));
    const whist_batch batch = {.rows = x_, .target = y_, .n_rows = N, .n = N};
    assert_ok(wh_clip_add(clip, params, &batch, NULL));
    for (size_t j = 0; j <= D; j++) {
        double want = (double)wh_clip_sum(clip)[j] * wh_clip_step(clip) / N;
        assert_true(fabs((double)grad[j] - want) < 12 * 1e-3 * 0.51 / N); /* 12 sigma */
    }
}

static void test_without_noise_it_is_the_clipped_mean(void **state)
{
    (void)state;
    check_mean(0);
    check_mean(3);
}

/* 4000 gradients of 9 numbers at one place: their variance is (sigma C inflation / L)² within 7 standard errors of
 * √(2 / 36000), and that of sampling (all rows: none). */
static void test_noise_is_what_is_charged(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    whist_rows rows = make_rows();
    rows.n = 64;
    float params[D + 1] = {0}, grad[D + 1];
    double mean[D + 1] = {0}, square = 0;
    enum { TIMES = 4000 };
    static float all[TIMES][D + 1];
    logistic(&model);
    wh_dp_step_options options = {.clip = 0.25, .sigma = 2, .rate = 1, .rows = 64, .batch = 64};
    assert_ok(wh_dp_step_new(&step, model, &rows, &options));
    for (size_t t = 0; t < TIMES; t++) {
        assert_ok(wh_dp_step_gradient(step, grad, params));
        for (size_t j = 0; j <= D; j++) mean[j] += (double)grad[j] / TIMES;
        memcpy(all[t], grad, sizeof grad);
    }
    for (size_t t = 0; t < TIMES; t++)
        for (size_t j = 0; j <= D; j++) square += ((double)all[t][j] - mean[j]) * ((double)all[t][j] - mean[j]);
    double got = square / ((TIMES - 1) * (D + 1)), want = 2 * 0.25 * wh_dp_step_inflation(step) / 64;
    assert_true(wh_dp_step_inflation(step) >= 1 && wh_dp_step_inflation(step) < 1.01);
    assert_true(fabs(got / (want * want) - 1) < 7 * sqrt(2.0 / (TIMES * (D + 1))));
}

static void test_events_say_what_ran(void **state)
{
    (void)state;
    whist_dp_event events[WHIST_MAX_EVENTS];
    wh_dp_step_options options = {.clip = 1, .sigma = 1.5, .rate = 0.01, .rows = 60000, .batch = 600};
    assert_int_equal(wh_dp_step_events(events, &options, 77), 2);
    assert_int_equal(events[0].mechanism, WHIST_DP_GAUSSIAN);
    assert_int_equal(events[0].sampling, WHIST_DP_POISSON);
    assert_true(events[0].noise == 1.5 && events[0].rate == 0.01 && events[0].count == 77);
    assert_true(events[1].delta > 0 && events[1].delta < 1e-12);
    for (size_t i = 0; i < 2; i++) assert_ok(whist_dp_event_check(&events[i]));
    /* The count of adaptive clipping costs: more divergence than without it. */
    options.adaptive = true;
    options.count_sigma = 3;
    assert_int_equal(wh_dp_step_events(events, &options, 1), 2);
    double expected = 1 / sqrt(1 / (1.5 * 1.5) + 1 / (4.0 * 9));
    assert_true(fabs(events[0].noise - expected) < 1e-12);
    options.rate = 1;
    assert_int_equal(wh_dp_step_events(events, &options, 1), 1);
    assert_int_equal(events[0].sampling, WHIST_DP_ALL);
}

/* The Chernoff bound against the exact tail of a binomial, summed term by term. */
static void test_batches_beyond_n_max_are_rare(void **state)
{
    (void)state;
    static const struct {
        uint64_t rows;
        double rate;
    } cases[] = {{60000, 256.0 / 60000}, {200, 0.1}, {1000, 0.5}, {10, 0.3}};
    for (size_t c = 0; c < WH_COUNT(cases); c++) {
        uint64_t n = cases[c].rows, most = wh_dp_step_most(n, cases[c].rate);
        double p = cases[c].rate, tail = 0;
        for (uint64_t k = most + 1; k <= n; k++)
            tail += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) +
                        (double)k * log(p) + (double)(n - k) * log1p(-p));
        assert_true(tail <= 0x1p-50);
        assert_true((double)most <= (double)n * p + 12 * sqrt((double)n * p) + 40);
    }
    assert_int_equal(wh_dp_step_most(50, 1), 50);
}

static void test_the_bound_follows_its_quantile(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    whist_rows rows = make_rows();
    float params[D + 1] = {0}, grad[D + 1];
    logistic(&model);
    wh_dp_step_options options = {.clip = 8,
                                  .sigma = 1,
                                  .rate = 1,
                                  .rows = N,
                                  .batch = N,
                                  .adaptive = true,
                                  .quantile = 0.5,
                                  .speed = 0.3,
                                  .count_sigma = 2};
    assert_ok(wh_dp_step_new(&step, model, &rows, &options));
    for (size_t t = 0; t < 80; t++) assert_ok(wh_dp_step_gradient(step, grad, params));
    /* At zero parameters |g| = |(x, 1)| / 2: the median norm. */
    size_t within = 0;
    for (size_t i = 0; i < N; i++) {
        double square = 1;
        for (size_t j = 0; j < D; j++) square += (double)x_[i * D + j] * (double)x_[i * D + j];
        within += sqrt(square) / 2 <= wh_dp_step_clip(step);
    }
    assert_true((double)within > 0.4 * (double)N && (double)within < 0.6 * (double)N);
}

static void test_refusals(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    whist_rows rows = make_rows();
    logistic(&model);
    wh_dp_step_options o = plain;
    o.rows = N - 1;
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &o), WHIST_E_STATE);
    assert_null(strstr(whist_detail_get()->text, "400")); /* how many rows there are is nobody's business */
    o = plain;
    o.sigma = 0;
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &o), WHIST_E_ARG);
    o.sigma = NAN;
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &o), WHIST_E_ARG);
    o = plain;
    o.rate = 1.5;
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &o), WHIST_E_ARG);
    o = plain;
    o.adaptive = true;
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &o), WHIST_E_ARG);
}

/* Masks go by the numbers of rows: one that leaves would change those behind it. */
static void test_dropout_is_refused(void **state)
{
    (void)state;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    const whist_rows rows = make_rows();
    const whist_model_shape digits = {
        .n_features = 28 * 28, .n_outputs = 10, .target = WHIST_TARGET_CLASS, .height = 28, .width = 28, .channels = 1};
    assert_ok(whist_settings_new(&settings, whist_model_class_find("cnn")->options));
    assert_ok(whist_settings_set(settings, "dropout", "0.5"));
    assert_ok(whist_model_new(&model, "cnn", settings, &digits));
    assert_int_equal(wh_dp_step_new(&step, model, &rows, &plain), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "set dropout: 0"));
}

static void test_the_learner_learns_and_spends(void **state)
{
    (void)state;
    static const char *const clippings[] = {"flat", "layer", "automatic", "adaptive"};
    static const char *const optimizers[] = {"sgd", "adam", "momentum", "yogi"};
    for (size_t c = 0; c < WH_COUNT(clippings); c++) {
        const char *const given[][2] = {{"rate", "0.25"},
                                        {"noise", "1"},
                                        {"lr", c % 2 ? "0.2" : "2"},
                                        {"clipping", clippings[c]},
                                        {"optimizer", optimizers[c]}};
        assert_int_equal(learns_and_spends(&wh_learner_dp_sgd, given, WH_COUNT(given)).count, 60);
    }
}

/* The update of two nearly noiseless steps over all rows, with and without a mean of the models. */
static void two_steps(float out[D + 1], const char *updates, const char *average)
{
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_dataset_ptr) data = NULL;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    whist_rows rows = make_rows();
    logistic(&model);
    assert_ok(whist_dataset_from_rows(&data, &rows, &rows));
    assert_ok(whist_settings_new(&settings, wh_learner_dp_sgd.options));
    const char *const pairs[][2] = {{"rows", "400"}, {"rate", "1"},        {"noise", "1e-3"},
                                    {"lr", "3"},     {"updates", updates}, {"average", average}};
    for (size_t i = 0; i < WH_COUNT(pairs); i++) assert_ok(whist_settings_set(settings, pairs[i][0], pairs[i][1]));
    const whist_learner_env env = {.model = model, .data = data, .settings = settings, .site = "one"};
    whist_learner *learner;
    whist_update update;
    const float params[D + 1] = {0};
    const whist_learner_round round = {.model = params, .n = D + 1};
    assert_ok(wh_learner_dp_sgd.new_(&learner, &env));
    assert_ok(wh_learner_dp_sgd.fit(learner, &round, &update));
    memcpy(out, update.vectors[0], (D + 1) * sizeof *out);
    wh_learner_dp_sgd.free_(learner);
}

/* After two steps the mean keeps 2 / 11 of the first model, whatever larger share it is allowed. */
static void test_the_mean_of_models(void **state)
{
    (void)state;
    float first[D + 1], last[D + 1], mean[D + 1], short_[D + 1];
    double apart = 0;
    two_steps(first, "1", "0");
    two_steps(last, "2", "0");
    two_steps(mean, "2", "0.9");
    two_steps(short_, "2", "0.1");
    for (size_t j = 0; j <= D; j++) {
        const double noise = 3 * 12 * 1e-3 * 1.01 / 400 * 2; /* lr, twelve sigma, two steps */
        const double a = (double)first[j], b = (double)last[j];
        assert_true(fabs((double)mean[j] - (2 * a + 9 * b) / 11) < noise);
        assert_true(fabs((double)short_[j] - (0.1 * a + 0.9 * b)) < noise);
        apart = fmax(apart, fabs(a - b));
    }
    assert_true(apart > 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_noise_it_is_the_clipped_mean),
        cmocka_unit_test(test_noise_is_what_is_charged),
        cmocka_unit_test(test_events_say_what_ran),
        cmocka_unit_test(test_batches_beyond_n_max_are_rare),
        cmocka_unit_test(test_the_bound_follows_its_quantile),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_dropout_is_refused),
        cmocka_unit_test(test_the_learner_learns_and_spends),
        cmocka_unit_test(test_the_mean_of_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
