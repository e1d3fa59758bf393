/* run/audit_test.c: the private step under attack. The honest one is never caught; half the noise, a record that nobody
 * clips and a promise of the wrong relation are, each time.
 *
 * Noise is the system's. An honest audit may fail with probability 1e-5 (its confidence), four of them 4e-5 a run;
 * bugs are seen with room to spare (the tests say how much). */
#include "run/run_test.h"

#include "learn/dp_step.h"
#include "learn/learners.h"

WH_AUTO_FREE(whist_settings, whist_settings_free)

typedef struct attacked {
    const char *noise, *rate, *clipping;
    uint32_t rounds;
    bool replaced;
} attacked;

static whist_audit attack(const attacked *a)
{
    wh_test_plan t;
    whist_audit found;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const whist_fed_privacy privacy = {.unit = WHIST_DP_RECORD, .relation = WHIST_DP_ADD_REMOVE, .delta = 1e-2};
    test_plan_new(&t);
    assert_ok(whist_settings_new(&settings, wh_learner_dp_sgd.options));
    assert_ok(whist_settings_set(settings, "noise", a->noise));
    assert_ok(whist_settings_set(settings, "rate", a->rate));
    assert_ok(whist_settings_set(settings, "rows", "200"));
    assert_ok(whist_settings_set(settings, "updates", "2"));
    assert_ok(whist_settings_set(settings, "clipping", a->clipping));
    t.plan.learner = &wh_learner_dp_sgd;
    t.plan.learner_settings = settings;
    t.plan.privacy = &privacy;
    t.plan.rounds = a->rounds;
    const whist_audit_in in = {.plan = &t.plan,
                               .shape = {.n_features = 3, .n_outputs = 1, .n_targets = 1},
                               .trials = 12000,
                               .confidence = 1 - 1e-5,
                               .replaced = a->replaced};
    assert_ok(whist_audit_private(&found, &in));
    test_plan_clear(&t);
    return found;
}

static const attacked cases[] = {
    {"2", "1", "flat", 4, false},     /* all rows, eight steps */
    {"1.2", "0.2", "flat", 3, false}, /* sampled */
    {"2", "1", "layer", 4, false},
    {"2", "1", "automatic", 4, false},
};

static void test_honest_steps_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        whist_audit a = attack(&cases[i]);
        if (!(a.attacked <= a.proven && a.attacked > a.proven / 4))
            fail_msg("case %zu: attacked %g, proven %g", i, a.attacked, a.proven);
        assert_true(a.canary > 0.5 && a.canary < 1.001);
    }
}

static void caught(const char *bug, whist_audit a)
{
    if (!(a.attacked > a.proven))
        fail_msg("%s: attacked %g, proven %g, record %g: not seen", bug, a.attacked, a.proven, a.canary);
}

static void test_planted_bugs_are_caught(void **state)
{
    (void)state;
    const attacked replaced = {"2", "1", "flat", 4, true};
    wh_dp_step_break(WH_DP_STEP_HALF_NOISE);
    caught("half the noise", attack(&cases[0]));
    wh_dp_step_break(WH_DP_STEP_NO_CLIP);
    caught("no clip", attack(&cases[0]));
    caught("no clip, sampled", attack(&cases[1]));
    wh_dp_step_break(WH_DP_STEP_SOUND);
    caught("another relation", attack(&replaced)); /* charged as added or removed */
}

static void test_refusals(void **state)
{
    (void)state;
    wh_test_plan t;
    whist_audit found;
    test_plan_new(&t);
    whist_audit_in in = {.plan = &t.plan, .shape = {.n_features = 3, .n_outputs = 1}, .trials = 500, .confidence = 0.9};
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("attacks the private step of learner dp-sgd");
    test_plan_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_steps_hold),
        cmocka_unit_test(test_planted_bugs_are_caught),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
