/* Tests of optimisers: two steps of each by hand, clipping, threads, schedules. */
#include "nn/optim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/models_test.h"

WH_AUTO_FREE(wh_pool, wh_pool_free)

static void make(wh_optimizer **out, const char *name, const char *settings_text, size_t n)
{
    const wh_optimizer_class *class_ = wh_optimizer_find(name);
    assert_non_null(class_);
    WH_AUTO(whist_settings_ptr) settings = test_settings(class_->options, settings_text);
    assert_ok(wh_optimizer_new(out, class_, settings, n));
}

/* From w = 1 by gradients 0.5 and then -0.1. */
static void test_two_steps_by_hand(void **state)
{
    (void)state;
    /* Adam: m 0.05, v 2.5e-4, both corrected 0.5 and 0.25: the first step is the rate; then m 0.035, v 2.5975e-4 */
    const double second = (0.035 / 0.19) / sqrt(2.5975e-4 / 1.999e-3);
    /* Yogi's first v is the same; the second: v < g^2, so v 2.5e-4 + 1e-5 = 2.6e-4 */
    const double yogi = (0.035 / 0.19) / sqrt(2.6e-4 / 1.999e-3);
    const struct {
        const char *name, *settings;
        double lr, first, second;
    } cases[] = {
        {"sgd", "", 2, 0, 0.2},
        {"sgd", "weight_decay=0.2", 0.1, 1 - 0.07, 0.93 - 0.1 * (-0.1 + 0.186)},
        {"momentum", "momentum=0.9;weight_decay=0.2", 0.1, 0.93, 0.93 - 0.1 * (0.9 * 0.7 - 0.1 + 0.186)},
        {"nesterov", "momentum=0.9", 0.1, 1 - 0.1 * (0.5 + 0.45), 0.905 - 0.1 * (-0.1 + 0.9 * 0.35)},
        {"adam", "", 0.001, 0.999, 0.999 - 0.001 * second},
        {"adamw", "weight_decay=0.5", 0.01, 1 - 0.005 - 0.01, 0.985 * (1 - 0.005) - 0.01 * second},
        {"adagrad", "", 0.1, 1 - 0.1, 0.9 + 0.1 * 0.1 / sqrt(0.26)},
        {"yogi", "eps=1e-12", 0.01, 0.99, 0.99 - 0.01 * yogi},
    };
    for (size_t c = 0; c < WH_COUNT(cases); c++) {
        WH_AUTO(wh_optimizer_ptr) o = NULL;
        make(&o, cases[c].name, cases[c].settings, 1);
        for (int again = 0; again < 2; again++) { /* a reset forgets everything */
            float w = 1, g = 0.5f;
            wh_optimizer_step(o, &w, &g, cases[c].lr, NULL);
            if (fabs((double)w - cases[c].first) > 1e-6)
                fail_msg("%s: %g, want %g", cases[c].name, (double)w, cases[c].first);
            g = -0.1f;
            wh_optimizer_step(o, &w, &g, cases[c].lr, NULL);
            if (fabs((double)w - cases[c].second) > 1e-6)
                fail_msg("%s: then %g, want %g", cases[c].name, (double)w, cases[c].second);
            assert_int_equal(wh_optimizer_steps(o), 2);
            wh_optimizer_reset(o);
        }
    }
    for (const wh_optimizer_class *c = wh_optimizer_classes(); c->name; c++) {
        bool seen = false;
        for (size_t k = 0; k < WH_COUNT(cases); k++) seen |= strcmp(cases[k].name, c->name) == 0;
        if (!seen) fail_msg("%s has no case", c->name);
    }
    assert_null(wh_optimizer_find("lion"));
}

static void test_yogi_shrinks_slowly(void **state)
{
    (void)state;
    WH_AUTO(wh_optimizer_ptr) o = NULL;
    make(&o, "yogi", "", 1);
    float w = 1, g = 1;
    wh_optimizer_step(o, &w, &g, 0.01, NULL); /* v 1e-3 */
    g = 0.01f;
    wh_optimizer_step(o, &w, &g, 0.01, NULL); /* v above g^2: v -= 1e-3 g^2, where Adam's would lose 1e-6 */
    assert_true(fabs((double)*wh_optimizer_state(o, 1) - (1e-3 - 1e-7)) < 1e-10);
}

static void test_clipping_keeps_the_direction(void **state)
{
    (void)state;
    WH_AUTO(wh_optimizer_ptr) o = NULL;
    make(&o, "sgd", "clip=1", 2);
    float w[] = {0, 0}, g[] = {3, 4}, small[] = {0.3f, 0.4f};
    wh_optimizer_step(o, w, g, 1, NULL);
    assert_true(fabsf(w[0] + 0.6f) < 1e-6f && fabsf(w[1] + 0.8f) < 1e-6f);
    w[0] = w[1] = 0;
    wh_optimizer_step(o, w, small, 1, NULL);
    assert_true(w[0] == -0.3f && w[1] == -0.4f);
}

enum { MANY = 300001 };

static void test_threads_change_no_bit(void **state)
{
    (void)state;
    static float w[2][MANY], g[MANY];
    WH_AUTO(wh_pool_ptr) pool = NULL;
    assert_ok(wh_pool_new(&pool, 2));
    for (size_t i = 0; i < MANY; i++) g[i] = (float)((i * 7919) % 1000) / 500 - 1;
    double square = 0;
    for (size_t i = 0; i < MANY; i++) square += (double)g[i] * (double)g[i];
    assert_true(fabs(wh_norm(g, MANY, pool) - sqrt(square)) < 1e-9 * sqrt(square));
    assert_true(wh_norm(g, MANY, pool) == wh_norm(g, MANY, NULL));
    for (const wh_optimizer_class *c = wh_optimizer_classes(); c->name; c++) {
        for (int threads = 0; threads < 2; threads++) {
            WH_AUTO(wh_optimizer_ptr) o = NULL;
            make(&o, c->name, "clip=3", MANY);
            for (size_t i = 0; i < MANY; i++) w[threads][i] = (float)(i % 17);
            for (int t = 0; t < 3; t++) wh_optimizer_step(o, w[threads], g, 0.01, threads ? pool : NULL);
        }
        assert_memory_equal(w[0], w[1], sizeof w[0]);
    }
}

static void test_schedules(void **state)
{
    (void)state;
    wh_schedule s = {.kind = WH_SCHEDULE_CONSTANT};
    assert_true(wh_schedule_rate(&s, 0.3, 0) == 0.3 && wh_schedule_rate(&s, 0.3, 1000) == 0.3);
    s.warmup = 4;
    assert_true(fabs(wh_schedule_rate(&s, 1, 0) - 0.2) < 1e-15 && fabs(wh_schedule_rate(&s, 1, 3) - 0.8) < 1e-15);
    assert_true(wh_schedule_rate(&s, 1, 4) == 1);
    s = (wh_schedule){.kind = WH_SCHEDULE_STEP, .length = 10, .decay = 0.5};
    assert_true(wh_schedule_rate(&s, 8, 9) == 8 && wh_schedule_rate(&s, 8, 10) == 4 &&
                wh_schedule_rate(&s, 8, 39) == 1);
    s = (wh_schedule){.kind = WH_SCHEDULE_COSINE, .warmup = 10, .length = 110, .floor = 0.1};
    assert_true(wh_schedule_rate(&s, 1, 10) == 1);
    assert_true(fabs(wh_schedule_rate(&s, 1, 60) - 0.55) < 1e-12); /* half way down */
    assert_true(fabs(wh_schedule_rate(&s, 1, 110) - 0.1) < 1e-12 && fabs(wh_schedule_rate(&s, 1, 500) - 0.1) < 1e-12);

    WH_AUTO(whist_settings_ptr) settings = NULL;
    assert_ok(whist_settings_new(&settings, wh_optimizer_find("sgd")->options));
    assert_ok(whist_settings_set(settings, "schedule", "cosine"));
    assert_ok(wh_schedule_read(&s, settings, 70));
    assert_true(s.kind == WH_SCHEDULE_COSINE && s.length == 70);
    assert_int_equal(wh_schedule_read(&s, settings, 0), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "decay_steps"));
    assert_ok(whist_settings_set(settings, "schedule", "step"));
    assert_int_equal(wh_schedule_read(&s, settings, 70), WHIST_E_ARG);
    assert_ok(whist_settings_set(settings, "decay_steps", "30"));
    assert_ok(wh_schedule_read(&s, settings, 70));
    assert_true(s.kind == WH_SCHEDULE_STEP && s.length == 30 && s.decay == 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_steps_by_hand),
        cmocka_unit_test(test_yogi_shrinks_slowly),
        cmocka_unit_test(test_clipping_keeps_the_direction),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
