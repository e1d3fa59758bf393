/* Private gradients with correlated noise: who takes part when, sums without noise, the noise that is said, events,
 * refusals; the learner learns. Draws are the system's: no test fails by chance with probability above 1e-9. */
#include "learn/ftrl_step.h"

#include <math.h>
#include <string.h>

#include "dp/matrix/matrix.h"
#include "learn/private_test.h"
#include "learn/turns.h"

static const wh_ftrl_options plain = {
    .clip = 0.5, .sigma = 1e-3, .rows = N, .bins = 8, .steps = 24, .batch = N / 8, .design = WHIST_DP_BANDED};

/* ---- Turns ---- */

static void test_nobody_takes_part_out_of_turn(void **state)
{
    (void)state;
    WH_AUTO(wh_turns) turns = WH_TURNS_EMPTY;
    static const uint32_t both[] = {0, 2}, one[] = {2}, other[] = {1, 2}, twice[] = {3, 3}, nobody[] = {4};
    assert_ok(wh_turns_init(&turns, 4, 2, 3, false));
    assert_ok(wh_turns_take(&turns, 0, both, 2));
    assert_int_equal(wh_turns_take(&turns, 0, other, 2), WHIST_E_STATE); /* the step is over */
    assert_int_equal(wh_turns_take(&turns, 2, other, 2), WHIST_E_STATE); /* two steps after, not three */
    assert_null(strchr(whist_detail_get()->text, '1'));                  /* names no row */
    assert_ok(wh_turns_take(&turns, 4, other, 2)); /* what was refused is not counted: row 1 is new, row 2 may */
    assert_int_equal(wh_turns_take(&turns, 9, one, 1), WHIST_E_STATE); /* a third time */
    assert_int_equal(wh_turns_take(&turns, 9, twice, 2), WHIST_E_STATE);
    assert_int_equal(wh_turns_take(&turns, 9, nobody, 1), WHIST_E_STATE);
    assert_ok(wh_turns_take(&turns, 9, twice, 1));
    wh_turns_restart(&turns);
    assert_ok(wh_turns_take(&turns, 0, both, 2));
    wh_turns_clear(&turns);
    assert_ok(wh_turns_init(&turns, 4, 3, 3, true));
    assert_ok(wh_turns_take(&turns, 1, one, 1));
    assert_int_equal(wh_turns_take(&turns, 5, one, 1), WHIST_E_STATE); /* four steps after, and it is exactly three */
    assert_ok(wh_turns_take(&turns, 4, one, 1));
}

/* ---- Gradients ---- */

/* Tiny noise: the steps of a pass add up to the clipped sum of all rows, so each took part once; each pass is the same.
 */
static void test_passes_are_the_rows_and_alike(void **state)
{
    (void)state;
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_ftrl_ptr) f = NULL;
        WH_AUTO(wh_clip_ptr) clip = NULL;
        whist_rows rows = make_rows();
        float params[D + 1], grad[24][D + 1];
        double sum[D + 1] = {0};
        wh_ftrl_options o = plain;
        o.design = design;
        logistic(&model);
        for (size_t j = 0; j <= D; j++) params[j] = (float)uniform();
        assert_ok(wh_ftrl_new(&f, model, &rows, &o));
        assert_int_equal(wh_ftrl_gradient(f, grad[0], params), WHIST_E_STATE); /* no run */
        assert_ok(wh_ftrl_begin(f));
        for (size_t t = 0; t < 24; t++) assert_ok(wh_ftrl_gradient(f, grad[t], params));
        assert_int_equal(wh_ftrl_gradient(f, grad[0], params), WHIST_E_STATE); /* no further step */
        for (size_t t = 0; t < 8; t++)
            for (size_t j = 0; j <= D; j++) sum[j] += (double)grad[t][j];
        assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.n_max = N}));
        assert_ok(wh_clip_begin(clip, o.clip));
        const whist_batch batch = {.rows = x_, .target = y_, .n_rows = N, .n = N};
        assert_ok(wh_clip_add(clip, params, &batch, NULL));
        const double near = 60 * wh_ftrl_noise(f) / o.batch;
        for (size_t j = 0; j <= D; j++) {
            double want = (double)wh_clip_sum(clip)[j] * wh_clip_step(clip) / o.batch;
            assert_true(fabs(sum[j] - want) < near);
            for (size_t t = 8; t < 24; t++) assert_true(fabs((double)(grad[t][j] - grad[t - 8][j])) < near);
        }
    }
}

/* Errors of the sums over 900 runs of 9 numbers have the deviation that the facts of the design say, times noise and
 * sensitivity, within 7 standard errors. */
static void test_sums_err_as_is_said(void **state)
{
    (void)state;
    enum { RUNS = 900, STEPS = 6 };
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_ftrl_ptr) f = NULL;
        whist_rows rows = make_rows();
        rows.n = 0; /* a site without rows releases noise like the others */
        float params[D + 1] = {0}, grad[D + 1];
        double square[STEPS] = {0}, total = 0;
        wh_ftrl_options o = plain;
        o.design = design, o.bins = 3, o.steps = STEPS, o.sigma = 1.7;
        logistic(&model);
        assert_ok(wh_ftrl_new(&f, model, &rows, &o));
        for (size_t r = 0; r < RUNS; r++) {
            double sum[D + 1] = {0};
            assert_ok(wh_ftrl_begin(f));
            for (size_t t = 0; t < STEPS; t++) {
                assert_ok(wh_ftrl_gradient(f, grad, params));
                for (size_t j = 0; j <= D; j++) sum[j] += (double)grad[j];
                for (size_t j = 0; j <= D; j++) square[t] += sum[j] * sum[j] / (RUNS * (D + 1));
            }
        }
        whist_dp_matrix_facts facts = whist_dp_matrix_get(wh_ftrl_matrix(f));
        double s = wh_ftrl_noise(f) / o.batch, err = 7 * sqrt(2.0 / (RUNS * (D + 1)));
        for (size_t t = 0; t < STEPS; t++) total += square[t] / STEPS;
        assert_true(fabs(square[STEPS - 1] / (s * s * facts.last * facts.last) - 1) < err);
        assert_true(fabs(total / (s * s * facts.rms * facts.rms) - 1) < err);
        double least = o.sigma * facts.sensitivity * o.clip;
        assert_true(wh_ftrl_noise(f) >= least && wh_ftrl_noise(f) < least * 1.02);
    }
}

static void test_events_say_what_ran(void **state)
{
    (void)state;
    whist_dp_event events[WHIST_MAX_EVENTS];
    wh_ftrl_options o = {.clip = 1, .sigma = 1.5, .rows = 60000, .bins = 100, .steps = 470, .batch = 600};
    assert_int_equal(wh_ftrl_events(events, &o), 2);
    assert_int_equal(events[0].mechanism, WHIST_DP_GAUSSIAN);
    assert_int_equal(events[0].sampling, WHIST_DP_ALL); /* nothing is amplified */
    assert_true(events[0].noise == 1.5 && events[0].count == 1);
    assert_true(events[1].delta > 0 && events[1].delta < 1e-12);
    for (size_t i = 0; i < 2; i++) assert_ok(whist_dp_event_check(&events[i]));
    assert_int_equal(wh_ftrl_pattern(&o).participations, 5);
    assert_int_equal(wh_ftrl_pattern(&o).separation, 100);
    o.steps = 400;
    assert_int_equal(wh_ftrl_pattern(&o).participations, 4);
    o.bins = 1;
    assert_int_equal(wh_ftrl_events(events, &o), 1);
}

static void test_refusals(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(wh_ftrl_ptr) f = NULL;
    whist_rows rows = make_rows();
    logistic(&model);
    wh_ftrl_options o = plain;
    o.rows = N - 1;
    assert_int_equal(wh_ftrl_new(&f, model, &rows, &o), WHIST_E_STATE);
    assert_null(strstr(whist_detail_get()->text, "400")); /* how many rows there are is nobody's business */
    o = plain;
    o.sigma = NAN;
    assert_int_equal(wh_ftrl_new(&f, model, &rows, &o), WHIST_E_ARG);
    o = plain;
    o.bands = 9; /* wider than a pass, and there are three */
    assert_int_equal(wh_ftrl_new(&f, model, &rows, &o), WHIST_E_ARG);
    o.steps = 8;
    o.bands = 8;
    assert_ok(wh_ftrl_new(&f, model, &rows, &o));
    wh_ftrl_free(f), f = NULL;
    WH_AUTO(whist_model_ptr) dropping = NULL;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    for (const whist_model_class *m = whist_model_classes(); m->name; m++)
        if (strcmp(m->name, "cnn") == 0) assert_ok(whist_settings_new(&settings, m->options));
    assert_ok(whist_settings_set(settings, "dropout", "0.5"));
    const whist_model_shape digits = {
        .n_features = 28 * 28, .n_outputs = 10, .target = WHIST_TARGET_CLASS, .height = 28, .width = 28, .channels = 1};
    assert_ok(whist_model_new(&dropping, "cnn", settings, &digits));
    assert_int_equal(wh_ftrl_new(&f, dropping, &rows, &plain), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "set dropout: 0"));
    o = plain;
    o.sigma = 9000; /* no noise is that large on this grid */
    assert_ok(wh_ftrl_new(&f, model, &rows, &o));
    assert_int_equal(wh_ftrl_begin(f), WHIST_E_RANGE);
}

/* Parts of a run, charged one after the other, come to the whole: exactly one Gaussian of noise sigma. */
static void test_parts_of_a_run_add_up(void **state)
{
    (void)state;
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_ftrl_ptr) f = NULL;
        whist_rows rows = make_rows();
        wh_ftrl_options o = plain;
        double sum = 0, least = INFINITY;
        o.design = design, o.sigma = 1.5;
        logistic(&model);
        assert_ok(wh_ftrl_new(&f, model, &rows, &o));
        for (uint64_t from = 0; from < 24; from += 3) {
            whist_dp_event events[WHIST_MAX_EVENTS];
            size_t n;
            double squared = 0;
            assert_ok(wh_ftrl_events_of(events, &n, f, from, 3));
            assert_ok(whist_dp_event_check(&events[0]));
            sum += 1 / (events[0].noise * events[0].noise);
            assert_ok(wh_matrix_prefix(&squared, wh_ftrl_matrix(f), from + 3));
            /* At every moment what was charged covers what the worst row has done so far. */
            double so_far = squared / pow(whist_dp_matrix_get(wh_ftrl_matrix(f)).sensitivity, 2) / (1.5 * 1.5);
            assert_true(sum >= so_far * (1 - 1e-9));
            least = fmin(least, 1 / events[0].noise);
        }
        assert_true(fabs(sum * 1.5 * 1.5 - 1) < 1e-6 && least >= 1e-9);
    }
}

/* ---- The learner ---- */

static void test_the_learner_learns_and_spends(void **state)
{
    (void)state;
    static const char *const designs[] = {"banded", "sqrt", "blt", "tree"};
    static const char *const optimizers[] = {"momentum", "adam", "sgd", "yogi"};
    for (size_t c = 0; c < WH_COUNT(designs); c++) {
        const char *const given[][2] = {{"pass", "20"},
                                        {"noise", "1"},
                                        {"lr", c % 2 ? "0.1" : "0.3"},
                                        {"design", designs[c]},
                                        {"optimizer", optimizers[c]}};
        assert_true(learns_and_spends(&wh_learner_dp_ftrl, given, WH_COUNT(given)).noise == 1);
    }
}

/* A run over three rounds: the first costs most, all three one run, the fourth begins another. */
static void test_a_run_goes_over_rounds(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_dataset_ptr) data = NULL;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    static const char *const given[][2] = {
        {"rows", "500"}, {"pass", "20"}, {"noise", "2"}, {"updates", "20"}, {"span", "3"}};
    whist_rows rows = make_rows();
    logistic(&model);
    assert_ok(whist_dataset_from_rows(&data, &rows, &rows));
    assert_ok(whist_settings_new(&settings, wh_learner_dp_ftrl.options));
    for (size_t i = 0; i < WH_COUNT(given); i++) assert_ok(whist_settings_set(settings, given[i][0], given[i][1]));
    const whist_learner_env env = {.model = model, .data = data, .settings = settings, .site = "one"};
    whist_learner *learner;
    assert_ok(wh_learner_dp_ftrl.new_(&learner, &env));
    float params[D + 1] = {0};
    double price[6], sum = 0;
    for (uint64_t r = 0; r < 6; r++) {
        const whist_learner_round round = {.round = r, .model = params, .n = D + 1};
        whist_dp_event events[WHIST_MAX_EVENTS];
        whist_update update;
        size_t n;
        assert_ok(wh_learner_dp_ftrl.spends(learner, &round, events, &n));
        price[r] = 1 / (events[0].noise * events[0].noise);
        sum += price[r];
        assert_ok(wh_learner_dp_ftrl.fit(learner, &round, &update));
        assert_true(update.steps == 20);
    }
    assert_true(fabs(sum - 2.0 / 4) < 1e-6); /* two runs of noise 2 */
    for (size_t r = 0; r < 3; r++) assert_true(fabs(price[r] - price[r + 3]) < 1e-9 && price[r] > 0.01);
    wh_learner_dp_ftrl.free_(learner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_takes_part_out_of_turn),
        cmocka_unit_test(test_passes_are_the_rows_and_alike),
        cmocka_unit_test(test_sums_err_as_is_said),
        cmocka_unit_test(test_events_say_what_ran),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_parts_of_a_run_add_up),
        cmocka_unit_test(test_a_run_goes_over_rounds),
        cmocka_unit_test(test_the_learner_learns_and_spends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
