/* run/canaries_test.c: one training with planted records under attack. The honest training is never caught; half the
 * noise and records that nobody clips are, by an attacker who sees the steps, and the latter by one who sees the end.
 *
 * Coins, batches and noise are replayed: a pass for ever. With fresh ones each honest run may fail with a probability
 * of 0.1 by what is proven of its two bounds; both lie far from it (dp/one_run_test.c: none of 200). */
#include "run/run_test.h"

#include "draw/noise.h"
#include "learn/dp_step.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"

WH_AUTO_FREE(whist_settings, whist_settings_free)
WH_AUTO_FREE(whist_model, whist_model_free)

enum { FEATURES = 1200, CANARIES = 1000 };

typedef struct attacked {
    const whist_learner_class *learner;
    const char *settings[12];
    uint32_t rounds;
    bool white_box;
} attacked;

/* Four steps over all rows: a Gaussian of mu 1. */
static const attacked
    all = {&wh_learner_dp_sgd, {"noise", "2", "rate", "1", "updates", "2", "lr", "0.001"}, 2, true},
    sampled = {&wh_learner_dp_sgd, {"noise", "1.5", "rate", "0.2", "updates", "8", "lr", "0.001"}, 1, true},
    momentum = {&wh_learner_dp_sgd, {"noise", "2", "rate", "1", "updates", "4", "optimizer", "momentum"}, 1, false},
    correlated = {&wh_learner_dp_ftrl, {"noise", "1", "pass", "4", "updates", "4", "lr", "0.001"}, 1, true};

static whist_status try_attack(whist_canaries *out, const attacked *a, const whist_fed_privacy *privacy,
                               uint64_t canaries, double confidence)
{
    wh_test_plan t;
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_AUTO(whist_model_ptr) model = NULL;
    const whist_model_shape shape = {FEATURES, 1, WHIST_TARGET_BINARY};
    test_plan_new(&t);
    assert_ok(whist_model_new(&model, "logistic", NULL, &shape));
    assert_ok(whist_settings_new(&settings, a->learner->options));
    assert_ok(whist_settings_set(settings, "rows", "2000"));
    for (size_t i = 0; a->settings[i]; i += 2)
        assert_ok(whist_settings_set(settings, a->settings[i], a->settings[i + 1]));
    t.plan.model = model;
    t.plan.learner = a->learner;
    t.plan.learner_settings = settings;
    t.plan.privacy = privacy;
    t.plan.rounds = a->rounds;
    const whist_canaries_in in = {.plan = &t.plan,
                                  .shape = {.n_features = FEATURES, .n_outputs = 1, .n_targets = 1},
                                  .canaries = canaries,
                                  .white_box = a->white_box,
                                  .confidence = confidence};
    whist_status status = whist_audit_canaries(out, &in);
    test_plan_clear(&t);
    return status;
}

static const whist_fed_privacy promise = {.unit = WHIST_DP_RECORD, .relation = WHIST_DP_ADD_REMOVE, .delta = 1e-5};

static whist_canaries attack(const attacked *a, uint64_t seed)
{
    whist_canaries found;
    wh_noise_replay_from(1000 * seed);
    assert_ok(try_attack(&found, a, &promise, CANARIES, 0.95));
    wh_noise_replay_from(0);
    assert_true(found.there > CANARIES * 2 / 5 && found.there < CANARIES * 3 / 5);
    return found;
}

static void test_honest_trainings_hold(void **state)
{
    (void)state;
    const attacked *const each[] = {&all, &sampled, &momentum, &correlated};
    for (size_t i = 0; i < WH_COUNT(each); i++) {
        const whist_canaries a = attack(each[i], 1 + i);
        if (i % 2 == 0) /* it sees something where there is something */
            assert_true(a.attacked > (i ? 0 : a.proven / 8) && a.by_law > a.proven / 6 && a.steps == 4);
        if (!(a.attacked <= a.proven && !a.refuted && a.by_law < a.proven))
            fail_msg("case %zu: attacked %g, by law %g, proven %g", i, a.attacked, a.by_law, a.proven);
        assert_true(a.reach > 0.9 && a.reach < 1.001);
    }
}

static void caught(const char *bug, whist_canaries a)
{
    if (!(a.refuted && a.by_law > a.proven))
        fail_msg("%s: attacked %g, by law %g, proven %g: not seen", bug, a.attacked, a.by_law, a.proven);
}

static void test_planted_bugs_are_caught(void **state)
{
    (void)state;
    wh_dp_step_break(WH_DP_STEP_HALF_NOISE);
    caught("half the noise", attack(&all, 11));
    wh_dp_step_break(WH_DP_STEP_NO_CLIP);
    const whist_canaries a = attack(&all, 12);
    caught("no clip", a);
    assert_true(a.attacked > a.proven); /* without a word about the law */
    caught("no clip, sampled", attack(&sampled, 13));
    caught("no clip, at the end", attack(&momentum, 14));
    wh_dp_step_break(WH_DP_STEP_SOUND);
}

static void refused(whist_status expected, const char *words, const attacked *a, const whist_fed_privacy *privacy,
                    uint64_t canaries, double confidence)
{
    whist_canaries found = {.proven = -1};
    assert_int_equal(try_attack(&found, a, privacy, canaries, confidence), expected);
    assert_says(words);
    assert_true(found.proven == -1);
}

static void test_refusals(void **state)
{
    (void)state;
    whist_fed_privacy other = promise;
    const attacked open = {&wh_learner_record_sum, {0}, 1, true};
    refused(WHIST_E_ARG, "canaries: 10 to 100000", &all, &promise, 9, 0.95);
    refused(WHIST_E_ARG, "fewer than the 2000 rows", &all, &promise, 2000, 0.95);
    refused(WHIST_E_ARG, "confidence lies between 0 and 1", &all, &promise, 100, 1);
    refused(WHIST_E_UNSUPPORTED, "planted records attack a private learner", &open, &promise, 100, 0.95);
    refused(WHIST_E_UNSUPPORTED, "planted records attack a private learner", &all, NULL, 100, 0.95);
    /* Inner steps are thrown away, and prototypes have none: neither is asked how it would score. */
    const whist_learner_class *const others[] = {&wh_learner_dp_reptile, &wh_learner_dp_fomaml,
                                                 &wh_learner_dp_protonet};
    for (size_t i = 0; i < 2 * WH_COUNT(others); i++) {
        attacked inner = {others[i / 2], {"noise", "2", "rate", "1"}, 1, i % 2};
        if (inner.learner == &wh_learner_dp_protonet) inner.settings[2] = NULL;
        refused(WHIST_E_UNSUPPORTED, "go on from every noised gradient", &inner, &promise, 100, 0.95);
        assert_says(inner.learner->name);
    }
    other.unit = WHIST_DP_SITE;
    refused(WHIST_E_UNSUPPORTED, "planted records attack a private learner", &all, &other, 100, 0.95);
    other = promise, other.relation = WHIST_DP_REPLACE;
    refused(WHIST_E_UNSUPPORTED, "one that becomes another", &all, &other, 100, 0.95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_trainings_hold),
        cmocka_unit_test(test_planted_bugs_are_caught),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
