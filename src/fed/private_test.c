/* fed/private_test.c: bounds hold to the last bit, noise is as large as it was charged for, whoever drops out or
 * colludes, and what cannot be kept is refused.
 *
 * Statistical tests: a sample variance of n numbers is off by more than 7 sqrt(2 / n) of itself with probability below
 * 1e-11. */
#include "test.h"

#include "fed/coordinator_state.h"
#include "fed/ledger_state.h"
#include "fed/masks4.h"
#include "fed/private.h"
#include "fed/toy.h"
#include "fed/world.h"

#include <math.h>
#include <string.h>

/* ---- A learner that always says the same, three times too long ---- */

typedef struct flat {
    whist_learner base;
    float *delta;
    size_t n;
} flat;

static const float *flat_says; /* NULL: 3 / sqrt(n) everywhere */

static const whist_learner_class flat_learner;

static whist_status flat_new(whist_learner **out, const whist_learner_env *env)
{
    flat *self;
    WH_TRY(WH_NEW(&self, 1));
    self->base.class_ = &flat_learner;
    self->n = whist_model_size(env->model);
    WH_TRY(WH_NEW(&self->delta, self->n));
    for (size_t i = 0; i < self->n; i++) self->delta[i] = flat_says ? flat_says[i] : 3 / sqrtf((float)self->n);
    *out = &self->base;
    return WHIST_OK;
}

static void flat_free(whist_learner *self)
{
    wh_free(((flat *)self)->delta);
    wh_free(self);
}

static whist_status flat_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    (void)round;
    *out = (whist_update){.n_vectors = 1, .vectors = {((flat *)self)->delta}, .rows = 123, .steps = 1};
    return WHIST_OK;
}

static whist_status flat_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    (void)self;
    (void)model;
    (void)fold;
    out[0] = (whist_metric_value){1, 2, 100};
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};
static const whist_learner_class flat_learner = {
    .name = "flat",
    .doc = "for tests",
    .vectors = vectors,
    .new_ = flat_new,
    .free_ = flat_free,
    .fit = flat_fit,
    .evaluate = flat_evaluate,
};

/* The same, with what a private learner has to say. Whoever uses it sets what it says. */
static whist_dp_event flat_event;

static whist_status flat_spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n)
{
    (void)self;
    (void)round;
    out[0] = flat_event;
    *n = 1;
    return WHIST_OK;
}

static whist_status noisy_new(whist_learner **out, const whist_learner_env *env);
static const whist_learner_class noisy_learner = {
    .name = "noisy",
    .doc = "for tests",
    .vectors = vectors,
    .new_ = noisy_new,
    .free_ = flat_free,
    .fit = flat_fit,
    .evaluate = flat_evaluate,
    .spends = flat_spends,
};

static whist_status noisy_new(whist_learner **out, const whist_learner_env *env)
{
    WH_TRY(flat_new(out, env));
    (*out)->class_ = &noisy_learner;
    return WHIST_OK;
}

static void plan_for(world_plan *plan, size_t sites, size_t features, whist_privacy_noise noise)
{
    flat_says = NULL;
    assert_ok(world_plan_init(plan, sites, features));
    assert_ok(world_plan_learner(plan, &flat_learner));
    assert_ok(world_plan_privacy(plan, noise));
    plan->plan.rounds = 1;
    if (noise != WHIST_NOISE_DISTRIBUTED) return;
    assert_ok(world_plan_protection(plan, &test_masks4));
    plan->plan.bits = 40;
    plan->plan.fraction = 20;
    plan->privacy.honest = plan->plan.min_sites = sites;
}

/* ---- Rotation ---- */

static void test_rotation(void **state)
{
    (void)state;
    world_plan plan;
    plan_for(&plan, 2, 3, WHIST_NOISE_CENTRAL);
    for (size_t n = 1; n <= 4096; n *= 8) {
        double *x, *y, before = 0, after = 0;
        assert_ok(WH_NEW(&x, n));
        assert_ok(WH_NEW(&y, n));
        for (size_t i = 0; i < n; i++) x[i] = y[i] = i ? 0 : 100;
        wh_rotate(y, n, &plan.plan, 3, 1, false);
        for (size_t i = 0; i < n; i++) {
            before += x[i] * x[i], after += y[i] * y[i];
            assert_true(fabs(fabs(y[i]) - 100 / sqrt((double)n)) < 1e-9); /* evenly spread */
        }
        assert_true(fabs(before - after) < 1e-9 * before);
        wh_rotate(y, n, &plan.plan, 3, 1, true);
        for (size_t i = 0; i < n; i++) assert_true(fabs(x[i] - y[i]) < 1e-9);
        wh_free(x);
        wh_free(y);
    }
    world_plan_clear(&plan);
}

/* ---- Bounds ---- */

static long double exact_norm(const int64_t *v, uint64_t n)
{
    long double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (long double)v[i] * (long double)v[i];
    return sqrtl(sum);
}

static void fill(float *x, size_t n, int how)
{
    for (size_t i = 0; i < n; i++) x[i] = how < 6 ? 0 : (float)((i * 7919) % 101) / 50 - 1;
    switch (how) {
    case 1: x[n / 2] = 1e30F; break;
    case 2: x[0] = NAN; break;
    case 3: x[n - 1] = INFINITY; break;
    case 4: x[1] = 1; break;
    case 5: x[1] = 0.25F; break;
    }
}

static void test_what_leaves_is_bounded(void **state)
{
    (void)state;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    assert_ok(wh_noise_new(&noise));
    for (unsigned fraction = 4; fraction <= 30; fraction += 13)
        for (int how = 0; how < 7; how++) {
            world_plan plan;
            plan_for(&plan, 3, 1000, WHIST_NOISE_CENTRAL);
            plan.plan.fraction = fraction;
            plan.sites[2].weight = 5;
            const wh_private rules = wh_private_rules(&plan.plan, plan.privacy.clip);
            float x[1001];
            int64_t v[1001];
            fill(x, 1001, how);
            for (size_t site = 0; site < 3; site++) {
                assert_ok(wh_private_update(v, &plan.plan, &rules, x, site, 0, noise));
                long double norm = exact_norm(v, 1001), most = (site == 2 ? 5 : 1) * ldexp(1, (int)fraction);
                /* The heaviest site's bound is everybody's; the others come near theirs but for the rounding. */
                assert_true(norm <= 5 * ldexp(1, (int)fraction) && norm <= most + (site == 2 ? 0 : 16));
                if (how == 0 || how == 2 || how == 3) assert_true(norm == 0);
                if (how == 4) assert_true(norm == most);
                if (how == 5) assert_true(norm == most / 4);
            }
            world_plan_clear(&plan);
        }
}

static void test_pack(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 1, -1, 12345, -12345, 131071, -131072};
    for (unsigned bits = 18; bits <= 64; bits += 23) {
        const whist_fed_plan plan = {.bits = bits};
        uint8_t bytes[8 * WH_COUNT(values)];
        int64_t back[WH_COUNT(values)];
        wh_private_pack(bytes, &plan, values, WH_COUNT(values));
        wh_private_unpack(back, &plan, bytes, WH_COUNT(values));
        assert_memory_equal(back, values, sizeof values);
    }
}

/* ---- Noise ---- */

/* Mean square of what the model has moved by beyond k flat updates, over n; the model begins at zero. */
static double noise_of(const world_plan *plan, const float *model, double k)
{
    size_t n = whist_model_size(plan->plan.model);
    double sum = 0, weights = wh_private_weights(&plan->plan);
    for (size_t i = 0; i < n; i++) {
        double z = (double)model[i] * weights - k / sqrt((double)n);
        sum += z * z;
    }
    return sum / (double)n;
}

static void assert_variance(double found, double want, size_t n)
{
    if (fabs(found / want - 1) > 7 * sqrt(2.0 / (double)n)) fail_msg("variance %g instead of %g", found, want);
}

/* Runs the plan in memory; `before` drops sites. */
static void run(float **model, const world_plan *plan, whist_status (*before)(world *w, size_t actor), double *epsilon,
                uint64_t *entries)
{
    world w = {.plan = plan, .before = before};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 300));
    assert_ok(world_model(&w, model));
    if (epsilon) *epsilon = wh_coordinator_epsilon(w.coordinator);
    for (size_t i = 0; entries && i < plan->plan.n_sites; i++) entries[i] = w.actors[i].ledger->state.tree.n;
    world_end(&w);
}

static void test_noise_is_what_was_charged(void **state)
{
    (void)state;
    for (int noise = WHIST_NOISE_LOCAL; noise <= WHIST_NOISE_CENTRAL; noise++) {
        world_plan plan;
        float *model;
        double epsilon;
        uint64_t entries[5];
        plan_for(&plan, 5, 19999, (whist_privacy_noise)noise);
        plan.privacy.sigma = 2;
        run(&model, &plan, NULL, &epsilon, entries);
        double each = 2.0 * 2.0; /* of the sum; the grid adds less than one part in a thousand */
        assert_variance(noise_of(&plan, model, 5), noise == WHIST_NOISE_LOCAL ? 5 * each : each, 20000);
        const wh_spend one = wh_spend_gaussian(2);
        assert_true(fabs(epsilon / wh_spend_epsilon(&one, 1e-5) - 1) < 1e-6);
        for (size_t i = 0; i < 5; i++) assert_int_equal(entries[i], 1);
        wh_free(model);
        world_plan_clear(&plan);
    }
}

/* The other noise that comes in shares; its grid is coarser. */
static void test_skellam(void **state)
{
    (void)state;
    world_plan plan;
    float *model;
    double epsilon;
    plan_for(&plan, 5, 19999, WHIST_NOISE_DISTRIBUTED);
    plan.privacy.mechanism = WHIST_MECHANISM_SKELLAM;
    plan.plan.fraction = 12;
    run(&model, &plan, NULL, &epsilon, NULL);
    const wh_private rules = wh_private_rules(&plan.plan, 1);
    double norm = rules.norm * rules.step; /* a little above 1 on this grid */
    assert_variance(noise_of(&plan, model, 5), norm * norm, 20000);
    const wh_spend one = wh_spend_gaussian(1);
    assert_true(epsilon > wh_spend_epsilon(&one, 1e-5) && epsilon < wh_spend_epsilon(&one, 1e-5) * 1.2);
    wh_free(model);
    world_plan_clear(&plan);
}

static void plan_of_ten(world_plan *plan)
{
    plan_for(plan, 10, 19999, WHIST_NOISE_DISTRIBUTED);
    plan->privacy.honest = 5;
    plan->privacy.colluders = 2;
    plan->plan.min_sites = 7;
}

/* 30 % of ten sites are lost after they have promised to come, 20 % tell the coordinator what they drew: the five that
 * are left hide one another as they were charged for. */
static void test_dropouts_and_colluders(void **state)
{
    (void)state;
    world_plan plan;
    float *model;
    double epsilon;
    uint64_t entries[10];
    plan_of_ten(&plan);
    run(&model, &plan, world_three_leave, &epsilon, entries);
    /* Seven shares are in the sum, each a fifth of the noise. Less two of them, it is the noise that was charged. */
    double found = noise_of(&plan, model, 7);
    assert_variance(found, 7.0 / 5, 20000);
    assert_variance(found * 5 / 7, 1, 20000);
    const wh_spend one = wh_spend_gaussian(1);
    assert_true(epsilon >= wh_spend_epsilon(&one, 1e-5) && epsilon < wh_spend_epsilon(&one, 1e-5) * 1.001);
    for (size_t i = 0; i < 10; i++) assert_int_equal(entries[i], i >= 3); /* who was lost had opened nothing */
    wh_free(model);
    world_plan_clear(&plan);
}

/* One fewer, and nobody helps to open anything; nothing is charged. */
static whist_status four_leave(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    assert_true(now.phase < 3);
    w->actors[actor].away = actor < 4 && now.phase >= 2;
    return WHIST_OK;
}

static void test_too_few_to_hide_among(void **state)
{
    (void)state;
    world_plan plan;
    plan_of_ten(&plan);
    world w = {.plan = &plan, .before = four_leave};
    assert_ok(world_start(&w));
    assert_int_equal(world_run(&w, 300), WHIST_E_TIMEOUT);
    assert_non_null(strstr(whist_detail_get()->text, "6 of at least 7 sites answered phase upload"));
    assert_int_equal(w.ledger->state.tree.n, 0);
    for (size_t i = 0; i < 10; i++) assert_int_equal(w.actors[i].ledger->state.tree.n, 0);
    world_end(&w);
    world_plan_clear(&plan);
}

/* ---- What only tests see: the price of a mistake ---- */

/* Half the noise, a share that forgets the colluders: the same comparison rejects both. */
static void test_mistakes_show(void **state)
{
    (void)state;
    world_plan plan, wrong;
    float *model;
    plan_of_ten(&plan);
    plan_of_ten(&wrong);
    wrong.privacy.sigma = 0.5;
    run(&model, &wrong, world_three_leave, NULL, NULL);
    assert_true(noise_of(&plan, model, 7) * 5 / 7 < 1 - 7 * sqrt(2.0 / 20000)); /* half */
    wh_free(model);
    wrong.privacy.sigma = 1;
    wrong.privacy.honest = 7;
    wrong.privacy.colluders = 0;
    run(&model, &wrong, world_three_leave, NULL, NULL);
    assert_true(noise_of(&plan, model, 7) * 5 / 7 < 1 - 7 * sqrt(2.0 / 20000)); /* no colluders */
    wh_free(model);
    world_plan_clear(&plan);
    world_plan_clear(&wrong);
}

/* ---- Normaliser and weights ---- */

static whist_status one_is_late(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    w->actors[actor].away = actor == 0 && now.step == 0;
    return WHIST_OK;
}

static void test_who_is_late_changes_no_weight(void **state)
{
    (void)state;
    world_plan plan;
    float *model;
    plan_for(&plan, 4, 19999, WHIST_NOISE_CENTRAL);
    plan.sites[1].weight = 3;
    plan.privacy.sigma = 0.3;
    run(&model, &plan, one_is_late, NULL, NULL);
    double mean = 0;
    for (size_t i = 0; i < 20000; i++) mean += (double)model[i] / 20000;
    /* 3 + 1 + 1 of 6, each 1 / sqrt(n) long in each coordinate; noise 0.3 * 3. */
    assert_true(fabs(mean * 6 * sqrt(20000.0) - 5) < 7 * 0.9);
    assert_variance(noise_of(&plan, model, 5), 0.81, 20000);
    wh_free(model);
    world_plan_clear(&plan);
}

/* ---- Adaptive clipping ---- */

static void test_the_bound_follows(void **state)
{
    (void)state;
    for (int noise = WHIST_NOISE_DISTRIBUTED; noise <= WHIST_NOISE_CENTRAL; noise++) {
        world_plan plan;
        plan_for(&plan, 6, 20, (whist_privacy_noise)noise);
        plan.privacy.adaptive = true;
        plan.privacy.quantile = 0.5;
        plan.privacy.rate = 0.3;
        plan.privacy.count_sigma = 0.5;
        plan.privacy.sigma = 0.8;
        plan.privacy.epsilon = 400;
        plan.privacy.clip = 0.5;
        if (noise == WHIST_NOISE_DISTRIBUTED) plan.plan.bits = 48;
        plan.plan.rounds = 30;
        world w = {.plan = &plan};
        assert_ok(world_start(&w));
        assert_ok(world_run(&w, 2000));
        double clip;
        assert_ok(wh_model_clip(&clip, &plan.plan, w.coordinator->model));
        assert_true(clip > 1.5 && clip < 6); /* norms are 3 */
        assert_int_equal(w.ledger->state.tree.n, 30);
        world_end(&w);
        world_plan_clear(&plan);
    }
}

/* ---- Simulation ---- */

static void test_simulation_promises_the_same(void **state)
{
    (void)state;
    for (int noise = WHIST_NOISE_LOCAL; noise <= WHIST_NOISE_CENTRAL; noise++) {
        world_plan plan;
        float *model;
        double epsilon;
        whist_fed_result result = {0};
        plan_for(&plan, 5, 19999, (whist_privacy_noise)noise);
        run(&model, &plan, NULL, &epsilon, NULL);
        assert_ok(world_simulate(&result, &plan, 2, NULL, NULL));
        assert_true(result.epsilon == epsilon);
        double each = noise == WHIST_NOISE_LOCAL ? 5 : 1;
        assert_variance(noise_of(&plan, result.model, 5), each, 20000);
        assert_memory_not_equal(result.model, model, 20000 * sizeof *model);
        whist_fed_result_clear(&result);
        wh_free(model);
        world_plan_clear(&plan);
    }
}

/* ---- Learners that noise by themselves ---- */

static void plan_of_noisy(world_plan *plan)
{
    plan_for(plan, 3, 5, WHIST_NOISE_LOCAL);
    assert_ok(world_plan_learner(plan, &noisy_learner));
    plan->privacy.unit = WHIST_DP_RECORD;
    plan->privacy.units = 1000;
    plan->privacy.sigma = 0;
    plan->privacy.epsilon = 8;
    plan->plan.rounds = 3;
    flat_event = (whist_dp_event){
        .mechanism = WHIST_DP_GAUSSIAN,
        .noise = 1.1,
        .sampling = WHIST_DP_POISSON,
        .rate = 0.01,
        .count = 100,
        .relation = WHIST_DP_ZERO_OUT,
        .unit = WHIST_DP_RECORD,
    };
}

/* Three rounds of a hundred steps: what the accountant says of three hundred. */
static void test_a_private_learner_is_charged(void **state)
{
    (void)state;
    world_plan plan;
    plan_of_noisy(&plan);
    world w = {.plan = &plan};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 100));
    double spent;
    assert_int_equal(w.actors[1].ledger->state.tree.n, 3);
    assert_int_equal(w.ledger->state.tree.n, 0); /* the sites' affair */
    assert_ok(wh_ledger_spent(w.actors[1].ledger, WHIST_DP_RECORD, 1e-5, &spent));
    world_end(&w);

    const whist_dp_options options = {.method = WHIST_DP_RDP, .relation = WHIST_DP_ZERO_OUT, .unit = WHIST_DP_RECORD};
    whist_dp_accountant *accountant;
    whist_dp_answer answer;
    assert_ok(whist_dp_accountant_new(&accountant, &options));
    for (int i = 0; i < 3; i++) assert_ok(whist_dp_compose(accountant, &flat_event));
    assert_ok(whist_dp_epsilon(&answer, accountant, 1e-5));
    whist_dp_accountant_free(accountant);
    /* Fewer orders than the accountant has: never below it, and within a twentieth. */
    assert_true(spent >= answer.upper * (1 - 1e-9) && spent < answer.upper * 1.05);

    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    assert_true(fabs(result.epsilon / spent - 1) < 1e-9);
    whist_fed_result_clear(&result);

    flat_event.unit = WHIST_DP_SITE; /* says one thing, the study another */
    assert_int_equal(world_simulate(&result, &plan, 1, NULL, NULL), WHIST_E_TIMEOUT);
    if (!strstr(whist_detail_get()->text, "set them alike")) fail_msg("%s", whist_detail_get()->text);
    world_plan_clear(&plan);
    plan_of_noisy(&plan);
    plan.privacy.epsilon = 0.5;
    world poor = {.plan = &plan};
    assert_ok(world_start(&poor));
    assert_int_equal(world_run(&poor, 100), WHIST_E_BUDGET);
    assert_non_null(strstr(whist_detail_get()->text, "the budget of this data set is spent"));
    assert_int_equal(poor.actors[1].ledger->state.tree.n, 0);
    world_end(&poor);
    world_plan_clear(&plan);
}

/* ---- Metrics stay ---- */

/* A private learner whose update was not kept is thrown away, with whatever it remembers: the next one starts anew. */
static size_t made, fits;

static whist_status frail_new(whist_learner **out, const whist_learner_env *env);
static whist_status frail_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    if (++fits == 2) WH_FAIL(WHIST_E_RANGE, "this once");
    return flat_fit(self, round, out);
}

static const whist_learner_class frail_learner = {
    .name = "frail",
    .doc = "for tests",
    .vectors = vectors,
    .new_ = frail_new,
    .free_ = flat_free,
    .fit = frail_fit,
    .evaluate = flat_evaluate,
    .spends = flat_spends,
};

static whist_status frail_new(whist_learner **out, const whist_learner_env *env)
{
    made++;
    WH_TRY(flat_new(out, env));
    (*out)->class_ = &frail_learner;
    return WHIST_OK;
}

static void test_what_was_not_kept_is_forgotten(void **state)
{
    (void)state;
    world_plan plan;
    plan_of_noisy(&plan);
    assert_ok(world_plan_learner(&plan, &frail_learner));
    plan.plan.rounds = 4;
    plan.plan.min_sites = 1;
    plan.privacy.epsilon = 100;
    made = fits = 0;
    world w = {.plan = &plan};
    assert_ok(world_start(&w));
    assert_int_equal(made, 3);
    assert_ok(world_run(&w, 300));
    assert_true(fits >= 8);
    assert_int_equal(made, 4); /* one of three objects, once */
    world_end(&w);
    world_plan_clear(&plan);
}

static void test_metrics_stay_unless_plain(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        world_plan plan;
        whist_fed_result result = {0};
        plan_for(&plan, 3, 5, WHIST_NOISE_CENTRAL);
        plan.privacy.plain_metrics = plain;
        assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
        assert_true(result.pooled.test[0].n == (plain ? 300 : 0));
        whist_fed_result_clear(&result);
        world_plan_clear(&plan);
    }
}

/* ---- Budgets ---- */

static void shell(const char *format, const char *dir, const char *name)
{
    char *command = NULL;
    assert_true(asprintf(&command, format, dir, name) > 0);
    assert_int_equal(system(command), 0);
    free(command);
}

static void a_second_study(whist_privacy_noise noise)
{
    char *dir = test_dir("private");
    world_plan plan;
    plan_for(&plan, 3, 5, noise);
    plan.plan.rounds = 4;
    plan.privacy.epsilon = wh_private_epsilon(&plan.plan, 6);
    for (uint8_t study = 0; study < 2; study++) {
        plan.plan.study[5] = study;
        world w = {.plan = &plan, .dir = dir};
        assert_ok(world_start(&w));
        if (study == 0) {
            assert_ok(world_run(&w, 100));
            assert_int_equal(w.actors[1].ledger->state.tree.n, 4);
        } else {
            /* Two of its four rounds would fit: none is begun, whoever looks first. */
            assert_int_equal(world_run(&w, 100), WHIST_E_BUDGET);
            assert_non_null(strstr(whist_detail_get()->text, "the budget of this data set is spent"));
            assert_non_null(strstr(whist_detail_get()->text, "with the 4 rounds still planned epsilon would be"));
            assert_int_equal(w.actors[1].ledger->state.tree.n, 4);
            assert_int_equal(w.ledger->state.tree.n, noise == WHIST_NOISE_LOCAL ? 0 : 4);
        }
        world_end(&w);
        /* The studies' states go, the ledgers stay. */
        shell("cd %s && rm -rf coordinator site0 site1 site2 keeper0 %s", dir, "");
    }
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    world_plan_clear(&plan);
}

static void test_a_second_study_finds_less(void **state)
{
    (void)state;
    for (int noise = WHIST_NOISE_LOCAL; noise <= WHIST_NOISE_CENTRAL; noise++)
        a_second_study((whist_privacy_noise)noise);
}

/* The same for a learner that noises by itself and knows its plan: the second study's three rounds are one too many. */
static whist_status flat_plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    (void)settings;
    out[0] = flat_event;
    out[0].count *= rounds;
    *n = 1;
    return WHIST_OK;
}

static void test_a_plan_is_held_against_the_ledger(void **state)
{
    (void)state;
    char *dir = test_dir("private");
    whist_learner_class planning = noisy_learner;
    planning.plans = flat_plans;
    world_plan plan;
    wh_spend one, four, five;
    plan_of_noisy(&plan);
    assert_ok(world_plan_learner(&plan, &planning));
    flat_event = (whist_dp_event){
        .mechanism = WHIST_DP_GAUSSIAN, .noise = 8, .count = 1, .relation = WHIST_DP_ZERO_OUT, .unit = WHIST_DP_RECORD};
    assert_ok(wh_spend_events(&one, &flat_event, 1));
    four = wh_spend_times(&one, 4);
    five = wh_spend_times(&one, 5);
    for (plan.privacy.epsilon = 1; !wh_spend_fits(&four, plan.privacy.epsilon, plan.privacy.delta);)
        plan.privacy.epsilon *= 1.001;
    assert_false(wh_spend_fits(&five, plan.privacy.epsilon, plan.privacy.delta));
    for (uint8_t study = 0; study < 3; study++) {
        plan.plan.study[5] = study;
        plan.plan.rounds = study == 1 ? 3 : 2;
        world w = {.plan = &plan, .dir = dir};
        assert_ok(world_start(&w));
        assert_int_equal(world_run(&w, 100), study == 1 ? WHIST_E_BUDGET : WHIST_OK);
        if (study == 1) assert_non_null(strstr(whist_detail_get()->text, "with the 3 rounds still planned"));
        assert_int_equal(w.actors[1].ledger->state.tree.n, study == 2 ? 4 : 2);
        world_end(&w);
        shell("cd %s && rm -rf coordinator site0 site1 site2 %s", dir, "");
    }
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    world_plan_clear(&plan);
}

/* ---- Old copies ---- */

/* A study, then a second one on the same data, whose ledger `name` is the one of before the first. */
static void run_with_old_ledger(const char *name, whist_status wanted, const char *says)
{
    char *dir = test_dir("private");
    world_plan plan;
    plan_for(&plan, 3, 5, WHIST_NOISE_CENTRAL);
    plan.plan.rounds = 2;
    plan.plan.min_sites = 3;
    for (uint8_t study = 0; study < 3; study++) {
        plan.plan.study[5] = study;
        world w = {.plan = &plan, .dir = dir};
        assert_ok(world_start(&w));
        whist_status status = world_run(&w, 60);
        assert_int_equal(status, study < 2 ? WHIST_OK : wanted);
        if (study == 2 && !strstr(whist_detail_get()->text, says)) fail_msg("%s", whist_detail_get()->text);
        /* The old copy was charged once before it was shown what it lacks, and never again. */
        if (study == 2 && wanted == WHIST_E_TIMEOUT) assert_int_equal(w.actors[1].ledger->state.tree.n, 3);
        world_end(&w);
        shell("cd %s && rm -rf coordinator site0 site1 site2 %s", dir, "");
        if (study == 0) shell("cd %s && cp -r %s-ledger old", dir, name);
        if (study == 1) shell("cd %s && rm -rf %s-ledger", dir, name);
        if (study == 1) shell("cd %s && mv old %s-ledger", dir, name);
    }
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    world_plan_clear(&plan);
}

/* Another name for the data is no fresh budget: the coordinator knows the ledger that this site had. */
static void test_another_name(void **state)
{
    (void)state;
    char *dir = test_dir("private");
    world_plan plan;
    plan_for(&plan, 3, 5, WHIST_NOISE_CENTRAL);
    plan.plan.min_sites = 3;
    for (uint8_t study = 0; study < 2; study++) {
        plan.plan.study[5] = study;
        world w = {.plan = &plan, .dir = dir, .datasets = {[1] = study ? "fresh" : NULL}};
        assert_ok(world_start(&w));
        assert_int_equal(world_run(&w, 60), study ? WHIST_E_TIMEOUT : WHIST_OK);
        if (study && !strstr(whist_detail_get()->text, "shows another ledger than before"))
            fail_msg("%s", whist_detail_get()->text);
        world_end(&w);
        shell("cd %s && rm -rf coordinator site0 site1 site2 site1-ledger %s", dir, "");
    }
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    world_plan_clear(&plan);
}

static void test_old_copies(void **state)
{
    (void)state;
    run_with_old_ledger("coordinator", WHIST_E_AUTH, "an older copy was put in its place");
    run_with_old_ledger("site1", WHIST_E_TIMEOUT, "our own signature under other entries than these");
}

/* ---- Refusals ---- */

static void refused(world_plan *plan, const char *text)
{
    whist_status status = whist_fed_plan_check(&plan->plan);
    if (status != WHIST_E_UNSUPPORTED || !strstr(whist_detail_get()->text, text))
        fail_msg("%s: '%s' instead of '%s'", whist_status_name(status), whist_detail_get()->text, text);
    world_plan_clear(plan);
}

#define REFUSED(noise, change, text)                                                                                   \
    do {                                                                                                               \
        world_plan plan;                                                                                               \
        plan_for(&plan, 10, 5, noise);                                                                                 \
        plan.privacy.epsilon = 1e6;                                                                                    \
        assert_ok(whist_fed_plan_check(&plan.plan));                                                                   \
        change;                                                                                                        \
        refused(&plan, text);                                                                                          \
    } while (0)

static void test_refusals(void **state)
{
    (void)state;
    const whist_privacy_noise central = WHIST_NOISE_CENTRAL, local = WHIST_NOISE_LOCAL,
                              shares = WHIST_NOISE_DISTRIBUTED;
    REFUSED(central, plan.privacy.epsilon = 0, "epsilon must be a number above 0");
    REFUSED(central, plan.privacy.epsilon = NAN, "epsilon must be a number above 0");
    REFUSED(central, plan.privacy.delta = 0.1, "is not below 1/10");
    REFUSED(central, plan.privacy.delta = NAN, "delta must lie between");
    REFUSED(central, plan.privacy.clip = 0, "clip must be above 0");
    REFUSED(central, plan.privacy.clip = NAN, "clip must be above 0");
    REFUSED(central, plan.privacy.epsilon = 1, "1 rounds with sigma 1 spend epsilon");
    REFUSED(central, plan.plan.pooled_moments = true, "standardize: pooled");
    REFUSED(central, assert_ok(world_plan_strategy(&plan, "fednova")), "rows per step");
    REFUSED(central, assert_ok(world_plan_strategy(&plan, "cyclic")), "one site's update after another");
    REFUSED(central, assert_ok(world_plan_strategy(&plan, "local")), "a baseline");
    REFUSED(central, (plan.privacy.unit = WHIST_DP_RECORD, plan.privacy.units = 100), "clipped one by one");
    REFUSED(local, (plan.privacy.unit = WHIST_DP_RECORD, plan.privacy.units = 100), "leave out clip and sigma");
    REFUSED(local, (plan.privacy.unit = WHIST_DP_RECORD), "units: is missing");
    REFUSED(local, (plan.privacy.unit = WHIST_DP_RECORD, plan.privacy.units = 9, plan.privacy.sigma = 0),
            "adds the noise itself");
    REFUSED(central, plan.privacy.sigma = 0, "unit site needs sigma");
    REFUSED(central, plan.privacy.mechanism = WHIST_MECHANISM_SKELLAM, "for distributed noise");
    REFUSED(central, plan.plan.fraction = 50, "at most 2^40 can be drawn");
    REFUSED(central, (plan.plan.bits = 40, plan.plan.fraction = 20, plan.privacy.clip = 1e5),
            "does not fit in 40 bits");
    REFUSED(shares, plan.plan.protection = whist_protection_classes()[0];
            plan.plan.n_parties = 0, "protection none shows each update");
    REFUSED(shares, plan.privacy.mechanism = WHIST_MECHANISM_GAUSSIAN, "lives on whole numbers");
    REFUSED(shares, plan.privacy.honest = 0, "needs honest");
    REFUSED(shares, (plan.privacy.honest = 0, plan.privacy.sigma = 0), "needs honest");
    REFUSED(central, (plan.privacy.clip = 0, plan.privacy.sigma = 0), "clip is missing");
    REFUSED(shares, plan.privacy.colluders = 3, "raise min_sites to 13");
    REFUSED(shares, plan.privacy.mechanism = WHIST_MECHANISM_SKELLAM, "skellam noise of");
    REFUSED(shares, (plan.plan.bits = 24, plan.plan.fraction = 18, plan.privacy.sigma = 10), "the sum wraps");
    REFUSED(shares, (plan.plan.fraction = 0, plan.privacy.sigma = 0.1), "too coarse");
    REFUSED(central, (plan.privacy.adaptive = true, plan.privacy.quantile = 0), "quantile");
    REFUSED(central, (plan.privacy.adaptive = true, plan.privacy.quantile = 0.5, plan.privacy.count_sigma = 0.4),
            "count_sigma must be above");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_what_leaves_is_bounded),
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_noise_is_what_was_charged),
        cmocka_unit_test(test_skellam),
        cmocka_unit_test(test_dropouts_and_colluders),
        cmocka_unit_test(test_too_few_to_hide_among),
        cmocka_unit_test(test_mistakes_show),
        cmocka_unit_test(test_who_is_late_changes_no_weight),
        cmocka_unit_test(test_the_bound_follows),
        cmocka_unit_test(test_simulation_promises_the_same),
        cmocka_unit_test(test_a_private_learner_is_charged),
        cmocka_unit_test(test_what_was_not_kept_is_forgotten),
        cmocka_unit_test(test_metrics_stay_unless_plain),
        cmocka_unit_test(test_a_second_study_finds_less),
        cmocka_unit_test(test_a_plan_is_held_against_the_ledger),
        cmocka_unit_test(test_another_name),
        cmocka_unit_test(test_old_copies),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
