/* fed/records_test.c: sums over records: what one record moves, noise of all sites in shares, what is refused; and
 * noise over rounds, when a site comes back in between.
 *
 * Statistical tests: a sample variance of n numbers is off by more than 7 sqrt(2 / n) of itself with probability below
 * 1e-11. */
#include "test.h"

#include "base/file.h"
#include "base/settings.h"
#include "fed/coordinator_state.h"
#include "fed/ledger_state.h"
#include "fed/masks4.h"
#include "fed/private.h"
#include "fed/world.h"
#include "learn/learners.h"

#include <math.h>
#include <string.h>

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_dataset, whist_dataset_free)

enum { FEATURES = 19999, LENGTH = FEATURES + 1 };

static void set(const world_plan *plan, const char *name, const char *value)
{
    assert_ok(whist_settings_set((whist_settings *)(uintptr_t)plan->plan.learner_settings, name, value));
}

static void plan_for(world_plan *plan, size_t sites, whist_privacy_noise noise)
{
    assert_ok(world_plan_init(plan, sites, FEATURES));
    assert_ok(world_plan_learner(plan, &wh_learner_record_sum));
    assert_ok(world_plan_privacy(plan, noise));
    set(plan, "rows", "24");
    set(plan, "lr", "0.5");
    set(plan, "batch", "1");
    plan->privacy.unit = WHIST_DP_RECORD;
    plan->privacy.units = 1000;
    plan->privacy.relation = WHIST_DP_ADD_REMOVE;
    plan->plan.rounds = 1;
    plan->plan.bits = 48;
    plan->plan.fraction = 24;
    if (noise != WHIST_NOISE_DISTRIBUTED) return;
    assert_ok(world_plan_protection(plan, &test_masks4));
    plan->privacy.honest = plan->plan.min_sites = sites;
}

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

/* ---- One record ---- */

enum { ROWS = 40, D = 12 };

static void sum_of(int64_t *out, const whist_model *model, const whist_settings *settings, const float *params,
                   const whist_rows *rows, double clip, double step)
{
    WH_AUTO(whist_dataset_ptr) data = NULL;
    whist_learner *learner;
    const whist_learner_round round = {.model = params, .n = whist_model_size(model)};
    assert_ok(whist_dataset_from_rows(&data, rows, rows));
    const whist_learner_env env = {.model = model, .data = data, .settings = settings, .site = "one"};
    assert_ok(wh_learner_record_sum.new_(&learner, &env));
    assert_ok(wh_learner_record_sum.sum(learner, &round, clip, step, out));
    wh_learner_record_sum.free_(learner);
}

/* A site's rows with each one left out in turn, against what is said of one: for stacks of dense layers. */
static void check_model(const char *name)
{
    static float x[ROWS * D], y[ROWS], fewer_x[ROWS * D], fewer_y[ROWS];
    enum { LARGEST = 4096 };
    static float params[LARGEST];
    static int64_t all[LARGEST], fewer[LARGEST];
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_AUTO(whist_model_ptr) model = NULL;
    const double clip = 0.3, step = 0x1p-20;
    const whist_model_shape shape = {.n_features = D, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    for (size_t i = 0; i < ROWS * D; i++) x[i] = sinf((float)(i * i % 1009));
    for (size_t i = 0; i < ROWS; i++) y[i] = (float)(i % 2);
    assert_ok(whist_model_new(&model, name, NULL, &shape));
    assert_ok(whist_settings_new(&settings, wh_learner_record_sum.options));
    assert_ok(whist_settings_set(settings, "rows", "40"));
    assert_ok(whist_settings_set(settings, "lr", "0.7"));
    const size_t n = whist_model_size(model);
    assert_true(n <= LARGEST);
    for (size_t i = 0; i < n; i++) params[i] = cosf((float)(i * 31 % 97)) / 3;
    whist_record_sum said;
    assert_ok(wh_learner_record_sum.records(&said, model, settings, clip, step));
    const whist_rows rows = {.n = ROWS, .d = D, .x = x, .y = y, .n_targets = 1};
    sum_of(all, model, settings, params, &rows, clip, step);
    double farthest = 0;
    for (size_t left = 0; left < ROWS; left++) {
        const whist_rows rest = {.n = ROWS - 1, .d = D, .x = fewer_x, .y = fewer_y, .n_targets = 1};
        double square = 0;
        memcpy(fewer_x, x, left * D * sizeof *x);
        memcpy(fewer_x + left * D, x + (left + 1) * D, (ROWS - 1 - left) * D * sizeof *x);
        memcpy(fewer_y, y, left * sizeof *y);
        memcpy(fewer_y + left, y + left + 1, (ROWS - 1 - left) * sizeof *y);
        sum_of(fewer, model, settings, params, &rest, clip, step);
        for (size_t i = 0; i < n; i++) {
            square += (double)(all[i] - fewer[i]) * (double)(all[i] - fewer[i]);
            assert_true(fabs((double)all[i]) <= said.most);
        }
        farthest = fmax(farthest, sqrt(square));
    }
    assert_true(farthest <= said.norm && farthest > 0.9 * said.norm); /* and it is no loose bound */
}

static void test_one_record_moves_what_is_said(void **state)
{
    (void)state;
    check_model("logistic");
    check_model("mlp");
}

/* ---- Noise ---- */

/* Two runs differ by the noise of both, in a mean over the sites that were asked. */
static double noise_between(const world_plan *plan, const float *a, const float *b)
{
    double sum = 0, weights = wh_private_weights(&plan->plan);
    for (size_t i = 0; i < LENGTH; i++) {
        double z = ((double)a[i] - (double)b[i]) * weights;
        sum += z * z / 2;
    }
    return sum / LENGTH;
}

static void assert_variance(double found, double want)
{
    if (fabs(found / want - 1) > 7 * sqrt(2.0 / LENGTH)) fail_msg("variance %g instead of %g", found, want);
}

static void test_noise_is_what_was_charged(void **state)
{
    (void)state;
    for (int noise = WHIST_NOISE_LOCAL; noise <= WHIST_NOISE_CENTRAL; noise++) {
        world_plan plan;
        float *a, *b;
        double epsilon;
        uint64_t entries[5];
        plan_for(&plan, 5, (whist_privacy_noise)noise);
        plan.privacy.sigma = 2;
        run(&a, &plan, NULL, &epsilon, entries);
        run(&b, &plan, NULL, NULL, NULL);
        const wh_private rules = wh_private_rules(&plan.plan, 1);
        assert_true(rules.bound > 0.5 && rules.bound < 0.502); /* lr / batch, the clip is 1 */
        double each = 4 * rules.bound * rules.bound, sites = noise == WHIST_NOISE_LOCAL ? 5 : 1;
        assert_variance(noise_between(&plan, a, b), sites * each);
        const wh_spend one = wh_spend_gaussian(2);
        assert_true(fabs(epsilon / wh_spend_epsilon(&one, 1e-5) - 1) < 1e-3);
        for (size_t i = 0; i < 5; i++) assert_int_equal(entries[i], 1);
        wh_free(a);
        wh_free(b);
        world_plan_clear(&plan);
    }
}

/* Shares of Skellam noise, on a coarser grid. */
static void test_skellam(void **state)
{
    (void)state;
    world_plan plan;
    float *a, *b;
    plan_for(&plan, 5, WHIST_NOISE_DISTRIBUTED);
    plan.privacy.mechanism = WHIST_MECHANISM_SKELLAM;
    plan.plan.fraction = 15;
    run(&a, &plan, NULL, NULL, NULL);
    run(&b, &plan, NULL, NULL, NULL);
    double norm = wh_private_rules(&plan.plan, 1).bound;
    assert_variance(noise_between(&plan, a, b), norm * norm);
    wh_free(a);
    wh_free(b);
    world_plan_clear(&plan);
}

/* Three of ten are lost after they promised to come, two tell what they drew: five hide each record. */
static void test_dropouts_and_colluders(void **state)
{
    (void)state;
    world_plan plan;
    float *a, *b;
    plan_for(&plan, 10, WHIST_NOISE_DISTRIBUTED);
    plan.privacy.honest = 5;
    plan.privacy.colluders = 2;
    plan.plan.min_sites = 7;
    run(&a, &plan, world_three_leave, NULL, NULL);
    run(&b, &plan, world_three_leave, NULL, NULL);
    double norm = wh_private_rules(&plan.plan, 1).bound, found = noise_between(&plan, a, b);
    assert_variance(found, norm * norm * 7 / 5);
    wh_free(a);
    wh_free(b);
    world_plan_clear(&plan);
}

/* The sum is that of the learners: with noise too small to see, the coordinator's mean is the sites'. */
static void test_the_sum_is_the_learners(void **state)
{
    (void)state;
    world_plan plan;
    float *model;
    plan_for(&plan, 3, WHIST_NOISE_DISTRIBUTED);
    plan.privacy.sigma = 1e-4;
    plan.privacy.epsilon = 1e12;
    run(&model, &plan, NULL, NULL, NULL);
    const wh_private rules = wh_private_rules(&plan.plan, 1);
    double *want;
    float *start;
    int64_t *sum;
    assert_ok(WH_NEW(&want, LENGTH));
    assert_ok(WH_NEW(&start, LENGTH));
    assert_ok(WH_NEW(&sum, LENGTH));
    whist_model_init(plan.plan.model, start, plan.plan.seed);
    const whist_learner_round round = {.model = start, .n = LENGTH};
    for (size_t site = 0; site < 3; site++) {
        whist_dataset *data;
        whist_learner *learner;
        assert_ok(world_data(&data, &plan, site));
        const whist_learner_env env = {
            .model = plan.plan.model, .data = data, .settings = plan.plan.learner_settings, .site = "site"};
        assert_ok(wh_learner_record_sum.new_(&learner, &env));
        assert_ok(wh_learner_record_sum.sum(learner, &round, 1, rules.step, sum));
        for (size_t i = 0; i < LENGTH; i++) want[i] += (double)sum[i] * rules.step / 3;
        wh_learner_record_sum.free_(learner);
        whist_dataset_free(data);
    }
    double length = 0, off = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        length += want[i] * want[i];
        double moved = (double)model[i] - (double)start[i];
        off += (moved - want[i]) * (moved - want[i]);
    }
    assert_true(length > 1 && sqrt(off / LENGTH) < 1e-4);
    wh_free(want);
    wh_free(start);
    wh_free(sum);
    wh_free(model);
    world_plan_clear(&plan);
}

static void test_simulation_promises_the_same(void **state)
{
    (void)state;
    world_plan plan;
    float *model;
    double epsilon;
    whist_fed_result result = {0};
    plan_for(&plan, 5, WHIST_NOISE_DISTRIBUTED);
    run(&model, &plan, NULL, &epsilon, NULL);
    assert_ok(world_simulate(&result, &plan, 2, NULL, NULL));
    assert_true(result.epsilon == epsilon && epsilon > 0);
    double norm = wh_private_rules(&plan.plan, 1).bound;
    assert_variance(noise_between(&plan, model, result.model), norm * norm);
    whist_fed_result_clear(&result);
    wh_free(model);
    world_plan_clear(&plan);
}

/* ---- Noise that goes over rounds ---- */

static void plan_of_ftrl(world_plan *plan)
{
    static const char *const given[][2] = {{"rows", "24"}, {"pass", "2"},      {"updates", "2"}, {"span", "3"},
                                           {"noise", "5"}, {"design", "sqrt"}, {"bands", "6"}};
    assert_ok(world_plan_init(plan, 2, 5));
    assert_ok(world_plan_learner(plan, &wh_learner_dp_ftrl));
    assert_ok(world_plan_privacy(plan, WHIST_NOISE_LOCAL));
    for (size_t i = 0; i < WH_COUNT(given); i++) set(plan, given[i][0], given[i][1]);
    plan->privacy.unit = WHIST_DP_RECORD;
    plan->privacy.units = 1000;
    plan->privacy.relation = WHIST_DP_ADD_REMOVE;
    plan->privacy.sigma = 0;
    plan->plan.rounds = 3;
    plan->plan.min_sites = 2;
}

/* 1 / noise² of the three rounds of a run. */
static void prices_of(double price[3], const world_plan *plan)
{
    whist_dataset *data;
    whist_learner *learner;
    assert_ok(world_data(&data, plan, 0));
    const whist_learner_env env = {
        .model = plan->plan.model, .data = data, .settings = plan->plan.learner_settings, .site = "site"};
    assert_ok(wh_learner_dp_ftrl.new_(&learner, &env));
    for (uint64_t r = 0; r < 3; r++) {
        const float model[6] = {0};
        const whist_learner_round round = {.round = r, .model = model, .n = 6};
        whist_dp_event events[WHIST_MAX_EVENTS];
        whist_update update;
        size_t n;
        assert_ok(wh_learner_dp_ftrl.spends(learner, &round, events, &n));
        price[r] = 1 / (events[0].noise * events[0].noise);
        assert_ok(wh_learner_dp_ftrl.fit(learner, &round, &update));
    }
    wh_learner_dp_ftrl.free_(learner);
    whist_dataset_free(data);
}

static bool was_restarted;

/* Site 0 comes back as a new process once its first round is over. */
static whist_status come_back(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    if (actor != 0 || now.step != 1 || was_restarted) return WHIST_OK;
    was_restarted = true;
    return world_restart_actor(w, 0);
}

static void assert_spent(wh_ledger *ledger, double inverse_square)
{
    double spent;
    const wh_spend want = wh_spend_gaussian(1 / sqrt(inverse_square));
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_RECORD, 1e-5, &spent));
    if (fabs(spent / wh_spend_epsilon(&want, 1e-5) - 1) > 1e-4)
        fail_msg("%g instead of %g", spent, wh_spend_epsilon(&want, 1e-5));
}

/* Who was there all the time pays for one run; who came back in between for the part that was seen, and for the two
 * first rounds of another run. */
static void test_a_restart_begins_another_run(void **state)
{
    (void)state;
    world_plan plan;
    char *dir = test_dir("ftrl");
    double price[3];
    plan_of_ftrl(&plan);
    prices_of(price, &plan);
    assert_true(fabs(price[0] + price[1] + price[2] - 1.0 / 25) < 1e-9 && price[2] > 1.2 * price[0]);
    was_restarted = false;
    world w = {.plan = &plan, .dir = dir, .before = come_back};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 300));
    assert_true(was_restarted);
    assert_spent(w.actors[1].ledger, price[0] + price[1] + price[2]);
    assert_spent(w.actors[0].ledger, price[0] + price[0] + price[1]);
    world_end(&w);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    world_plan_clear(&plan);
}

/* ---- Refusals ---- */

#define REFUSED(noise, change, words)                                                                                  \
    do {                                                                                                               \
        world_plan plan;                                                                                               \
        plan_for(&plan, 10, noise);                                                                                    \
        assert_ok(whist_fed_plan_check(&plan.plan));                                                                   \
        change;                                                                                                        \
        if (whist_fed_plan_check(&plan.plan) == WHIST_OK || !strstr(whist_detail_get()->text, words))                  \
            fail_msg("'%s' instead of '%s'", whist_detail_get()->text, words);                                         \
        world_plan_clear(&plan);                                                                                       \
    } while (0)

static void test_refusals(void **state)
{
    (void)state;
    const whist_privacy_noise central = WHIST_NOISE_CENTRAL, shares = WHIST_NOISE_DISTRIBUTED;
    REFUSED(shares, plan.privacy.unit = WHIST_DP_SITE, "bounds what one record adds");
    REFUSED(shares, plan.privacy.unit = WHIST_DP_TASK, "bounds what one record adds");
    REFUSED(shares, plan.privacy.sigma = 0, "adds no noise");
    REFUSED(shares, plan.privacy.units = 0, "units: is missing");
    REFUSED(shares, plan.plan.privacy = NULL, "makes no promise");
    REFUSED(shares, plan.sites[3].weight = 2, "counts alike");
    REFUSED(shares, (plan.privacy.adaptive = true, plan.privacy.quantile = 0.5), "not about records");
    REFUSED(shares, (plan.plan.protection = whist_protection_classes()[0], plan.plan.n_parties = 0),
            "protection none shows each update");
    REFUSED(shares, plan.plan.bits = 30, "the sum wraps");
    REFUSED(central, plan.plan.bits = 30, "does not fit in 30 bits");
    REFUSED(central, plan.privacy.clip = 1e30, "allowed are 2^-20 to 2^20");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_record_moves_what_is_said),
        cmocka_unit_test(test_noise_is_what_was_charged),
        cmocka_unit_test(test_skellam),
        cmocka_unit_test(test_dropouts_and_colluders),
        cmocka_unit_test(test_the_sum_is_the_learners),
        cmocka_unit_test(test_simulation_promises_the_same),
        cmocka_unit_test(test_a_restart_begins_another_run),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
