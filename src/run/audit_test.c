/* run/audit_test.c: the private step under attack. The honest one is never caught; half the noise, a record that nobody
 * clips and a promise of the wrong relation are, each time.
 *
 * Noise is the system's. An honest audit may fail with probability 1e-5 (its confidence), twelve of them 1.2e-4 a run;
 * bugs are seen with room to spare (the tests say how much). */
#include "run/run_test.h"

#include "learn/dp_step.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"

WH_AUTO_FREE(whist_settings, whist_settings_free)

typedef struct attacked {
    const whist_learner_class *learner;
    const char *settings[10]; /* name, value, … */
    uint32_t rounds;
    whist_privacy_noise noise; /* of sums over records, with sigma */
    double sigma;
    bool replaced;
    uint64_t trials; /* 0: 8000 */
} attacked;

static whist_audit attack(const attacked *a)
{
    wh_test_plan t;
    whist_audit found;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    const whist_fed_privacy privacy = {
        .unit = WHIST_DP_RECORD,
        .relation = WHIST_DP_ADD_REMOVE,
        .noise = a->noise,
        .mechanism = a->noise == WHIST_NOISE_DISTRIBUTED ? WHIST_MECHANISM_DISCRETE_GAUSSIAN : WHIST_MECHANISM_GAUSSIAN,
        .clip = 1,
        .sigma = a->sigma,
        .honest = 2,
        .delta = 1e-2};
    test_plan_new(&t);
    assert_ok(whist_settings_new(&settings, a->learner->options));
    assert_ok(whist_settings_set(settings, "rows", "200"));
    for (size_t i = 0; a->settings[i]; i += 2)
        assert_ok(whist_settings_set(settings, a->settings[i], a->settings[i + 1]));
    t.plan.learner = a->learner;
    t.plan.learner_settings = settings;
    t.plan.privacy = &privacy;
    t.plan.rounds = a->rounds;
    const whist_audit_in in = {.plan = &t.plan,
                               .shape = {.n_features = 3, .n_outputs = 1, .n_targets = 1},
                               .trials = a->trials ? a->trials : 8000,
                               .confidence = 1 - 1e-5,
                               .replaced = a->replaced};
    assert_ok(whist_audit_private(&found, &in));
    test_plan_clear(&t);
    return found;
}

#define SGD(noise, rate, clipping)                                                                                     \
    .learner = &wh_learner_dp_sgd, .settings = {"noise", noise, "rate", rate, "updates", "2", "clipping", clipping}
/* Two passes of two steps. */
#define FTRL(design)                                                                                                   \
    .learner = &wh_learner_dp_ftrl, .rounds = 1, .trials = 24000,                                                      \
    .settings = {"noise", "2", "updates", "4", "pass", "2", "design", design}
#define META(class_, inner)                                                                                            \
    .learner = &(class_), .rounds = 2, .settings = {"noise", "4", "rate", "1", "updates", "2", "inner_steps", inner}
#define SUMS(place, sigma_)                                                                                            \
    .learner = &wh_learner_record_sum, .rounds = 4, .noise = (place), .sigma = (sigma_), .trials = 30000

static const attacked cases[] = {
    {SGD("4", "1", "flat"), .rounds = 4},     /* all rows, eight steps */
    {SGD("1.2", "0.2", "flat"), .rounds = 3}, /* sampled */
    {SGD("2", "1", "layer"), .rounds = 4},
    {SGD("2", "1", "automatic"), .rounds = 4},
    {FTRL("banded")},
    {FTRL("sqrt")},
    {FTRL("blt")},
    {FTRL("tree")},
    {META(wh_learner_dp_reptile, "2")},
    {META(wh_learner_dp_fomaml, "1")},
    {SUMS(WHIST_NOISE_CENTRAL, 3)},
    {SUMS(WHIST_NOISE_DISTRIBUTED, 3)},
};

/* A bound from so few trainings finds little now and then; it does not time after time. */
enum { TIMES = 4 };

static void test_honest_steps_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        whist_audit a = attack(&cases[i]);
        for (int k = 1; k < TIMES && a.attacked <= a.proven / 4; k++) a = attack(&cases[i]);
        if (!(a.attacked <= a.proven && a.attacked > a.proven / 4))
            fail_msg("case %zu: attacked %g, proven %g", i, a.attacked, a.proven);
        assert_true(a.canary > 0.5 && a.canary < 1.001);
    }
}

static void caught(const char *bug, const attacked *what)
{
    whist_audit a = attack(what);
    for (int i = 1; i < TIMES && a.attacked <= a.proven; i++) a = attack(what);
    if (!(a.attacked > a.proven))
        fail_msg("%s, learner %s: attacked %g, proven %g, record %g: not seen", bug, what->learner->name, a.attacked,
                 a.proven, a.canary);
}

/* Charged as a record that is added or removed. */
static void caught_replaced(const attacked *what)
{
    attacked replaced = *what;
    replaced.replaced = true;
    caught("another relation", &replaced);
}

static void test_planted_bugs_are_caught(void **state)
{
    (void)state;
    static const size_t broken[] = {0, 4, 9, 10, 11}; /* of the cases: one of each kind */
    for (size_t i = 0; i < WH_COUNT(broken); i++) {
        wh_dp_step_break(WH_DP_STEP_HALF_NOISE);
        caught("half the noise", &cases[broken[i]]);
        wh_dp_step_break(WH_DP_STEP_SOUND);
        caught_replaced(&cases[broken[i]]);
    }
    wh_dp_step_break(WH_DP_STEP_NO_CLIP);
    for (size_t i = 0; i < 2; i++) caught("no clip", &cases[i]);
    caught("no clip", &cases[4]);
    caught("no clip", &cases[9]);
    wh_dp_step_break(WH_DP_STEP_SOUND);
}

static void test_refusals(void **state)
{
    (void)state;
    wh_test_plan t;
    whist_audit found;
    test_plan_new(&t);
    whist_audit_in in = {.plan = &t.plan, .shape = {.n_features = 3, .n_outputs = 1}, .trials = 500, .confidence = 0.9};
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("makes no promise");
    whist_fed_privacy privacy = {.unit = WHIST_DP_RECORD, .relation = WHIST_DP_ADD_REMOVE, .delta = 1e-2};
    t.plan.privacy = &privacy;
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("has a learner of its own: the audit knows how dp-sgd");
    t.plan.learner = &wh_learner_dp_meta;
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("all rows of a person");
    t.plan.learner = &wh_learner_dp_protonet;
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("sums of embedded rows");
    t.plan.learner = &wh_learner_dp_sgd;
    privacy.unit = WHIST_DP_SITE;
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("promises something about a site");
    /* A run that is too long to measure. */
    WH_AUTO(whist_settings_ptr) settings = NULL;
    static const char *const given[][2] = {
        {"rows", "200"}, {"noise", "2"}, {"updates", "256"}, {"span", "3"}, {"pass", "8"}};
    assert_ok(whist_settings_new(&settings, wh_learner_dp_ftrl.options));
    for (size_t i = 0; i < WH_COUNT(given); i++) assert_ok(whist_settings_set(settings, given[i][0], given[i][1]));
    privacy.unit = WHIST_DP_RECORD;
    t.plan.learner = &wh_learner_dp_ftrl;
    t.plan.learner_settings = settings;
    in.shape.n_targets = 1;
    assert_int_equal(whist_audit_private(&found, &in), WHIST_E_UNSUPPORTED);
    assert_says("runs of up to 512 steps");
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
