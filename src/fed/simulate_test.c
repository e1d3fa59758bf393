/* fed/simulate_test.c: the simulation: the bits of the network, whatever the number of threads; a recorded run again;
 * baselines; and sites that fail. */
#include "test.h"

#include "fed/coordinator_state.h"
#include "fed/toy.h"
#include "fed/world.h"
#include "learn/learners.h"

#include <math.h>
#include <string.h>

static void assert_same(const world_plan *plan, const float *a, const float *b)
{
    assert_memory_equal(a, b, whist_model_size(plan->plan.model) * sizeof *a);
}

/* 1 thread, 2 threads, and the road of the network. */
static void check_bits(const world_plan *plan)
{
    whist_fed_result one = {0}, two = {0};
    float *wire;
    assert_ok(world_simulate(&one, plan, 1, NULL, NULL));
    assert_ok(world_simulate(&two, plan, 2, NULL, NULL));
    assert_ok(world_undisturbed(&wire, plan));
    assert_same(plan, one.model, two.model);
    assert_same(plan, one.model, wire);
    assert_int_equal(one.n_history, two.n_history);
    for (size_t i = 0; i < one.n_history; i++)
        assert_memory_equal(&one.history[i], &two.history[i], sizeof one.history[i]);
    float first[64];
    assert_true(one.n <= WH_COUNT(first));
    whist_model_init(plan->plan.model, first, plan->plan.seed);
    assert_memory_not_equal(first, one.model, one.n * sizeof *first); /* something was learnt */
    wh_free(wire);
    whist_fed_result_clear(&one);
    whist_fed_result_clear(&two);
}

static void check_learner(const whist_learner_class *learner, const char *strategy, double fraction, bool moments)
{
    world_plan plan;
    assert_ok(world_plan_init(&plan, 6, 5));
    plan.rows = 40;
    assert_ok(world_plan_learner(&plan, learner));
    assert_ok(world_plan_strategy(&plan, strategy));
    plan.plan.rounds = 4;
    plan.plan.sample_fraction = fraction;
    plan.plan.pooled_moments = moments;
    check_bits(&plan);
    world_plan_clear(&plan);
}

static void test_same_bits(void **state)
{
    (void)state;
    check_learner(&toy_learner, "fedavg", 1, false);
    check_learner(&toy_learner, "fedavg", 0.5, true);
    check_learner(&toy_state_learner, "scaffold", 0.5, false);
    check_learner(&wh_learner_sgd, "fedavg", 1, true);
    check_learner(&wh_learner_sgd, "fednova", 0.5, false);
    check_learner(&wh_learner_sgd, "fedyogi", 0.5, true);
    check_learner(&wh_learner_sgd, "cyclic", 1, false);
    check_learner(&wh_learner_fedprox, "fedprox", 0.5, false);
    check_learner(&wh_learner_adam, "fedadam", 1, false);
    check_learner(&wh_learner_scaffold, "scaffold", 1, false);
    check_learner(&wh_learner_scaffold, "scaffold", 0.5, true);
}

/* More sites than the simulation keeps objects of. */
static void test_many_sites(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 100, 3));
    plan.plan.sample_fraction = 0.2;
    check_bits(&plan);
    world_plan_clear(&plan);
}

/* A FedAvg round by hand, in double: no protection and no coding may come between. */
static void test_against_plain_arithmetic(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 4));
    plan.plan.rounds = 1;
    float model[5];
    double want[5] = {0}, rows = 0;
    whist_model_init(plan.plan.model, model, plan.plan.seed);
    for (size_t site = 0; site < 3; site++) {
        whist_dataset *data;
        whist_learner *learner;
        whist_update update;
        assert_ok(world_data(&data, &plan, site));
        const whist_learner_env env = {.model = plan.plan.model, .data = data, .site = plan.sites[site].name};
        const whist_learner_round round = {.model = model, .n = 5};
        assert_ok(toy_learner.new_(&learner, &env));
        assert_ok(toy_learner.fit(learner, &round, &update));
        for (size_t i = 0; i < 5; i++) want[i] += update.rows * (double)update.vectors[0][i];
        rows += update.rows;
        toy_learner.free_(learner);
        whist_dataset_free(data);
    }
    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    for (size_t i = 0; i < 5; i++)
        assert_true(fabs((double)result.model[i] - ((double)model[i] + want[i] / rows)) < 1e-6);
    whist_fed_result_clear(&result);
    world_plan_clear(&plan);
}

/* ---- Replay ---- */

/* Site 1 misses step 0, nobody but site 2 comes to step 1 (which fails), site 0 misses what follows it. */
static whist_status miss_steps(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    w->actors[actor].away =
        (now.step == 0 && actor == 1) || (now.step == 1 && actor != 2) || (now.step == 2 && actor == 0);
    return WHIST_OK;
}

static void test_replay(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 4, 6));
    assert_ok(world_plan_learner(&plan, &toy_state_learner));
    assert_ok(world_plan_strategy(&plan, "scaffold"));
    plan.plan.min_sites = 2;
    char *dir = test_dir("replay");
    world w = {.plan = &plan, .dir = dir, .before = miss_steps};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 200));
    assert_int_equal(w.expired, 3);
    float *recorded, *whole;
    assert_ok(world_model(&w, &recorded));
    world_end(&w);

    char *record;
    assert_ok(wh_path(&record, dir, "coordinator"));
    whist_fed_result again = {0};
    assert_ok(world_simulate(&again, &plan, 2, record, NULL));
    assert_same(&plan, recorded, again.model);
    assert_ok(world_undisturbed(&whole, &plan));
    assert_memory_not_equal(whole, recorded, again.n * sizeof *whole); /* who took part does matter */
    whist_fed_result_clear(&again);

    /* A simulation leaves such a record, too. */
    char *own;
    assert_ok(wh_path(&own, dir, "own"));
    assert_ok(wh_make_dirs(own));
    plan.plan.sample_fraction = 0.5;
    whist_fed_result sampled = {0};
    assert_ok(world_simulate(&sampled, &plan, 1, NULL, own));
    plan.plan.sample_fraction = 1;
    assert_ok(world_simulate(&again, &plan, 1, own, NULL));
    assert_same(&plan, sampled.model, again.model);
    whist_fed_result_clear(&sampled);
    whist_fed_result_clear(&again);
    wh_free(own);

    plan.plan.n_sites = 3; /* another federation's record */
    assert_int_equal(world_simulate(&again, &plan, 1, record, NULL), WHIST_E_FORMAT);
    wh_free(record);
    wh_free(recorded);
    wh_free(whole);
    world_plan_clear(&plan);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* ---- Pooled moments ---- */

static void test_moments_are_told(void **state)
{
    (void)state;
    world_plan plan;
    whist_dataset *parts[3], *all;
    assert_ok(world_plan_init(&plan, 3, 5));
    size_t d = plan.plan.n_features;
    double sums[64];
    assert_true(2 * d + 1 <= WH_COUNT(sums));
    plan.plan.pooled_moments = true;
    for (size_t i = 0; i < 3; i++) assert_ok(world_data(&parts[i], &plan, i));
    assert_ok(whist_dataset_concat(&all, parts, 3));
    whist_dataset_moments(all, sums);
    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    assert_non_null(result.moments);
    for (size_t j = 0; j < d; j++) {
        double mean = sums[1 + j] / sums[0], var = (sums[1 + d + j] - sums[0] * mean * mean) / (sums[0] - 1);
        assert_true(fabs((double)result.moments[j] - mean) < 1e-3);
        assert_true(fabs((double)result.moments[d + j] - sqrt(var)) < 1e-3);
    }
    whist_fed_result_clear(&result);
    assert_null(result.moments);
    plan.plan.pooled_moments = false;
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    assert_null(result.moments);
    whist_fed_result_clear(&result);
    for (size_t i = 0; i < 3; i++) whist_dataset_free(parts[i]);
    whist_dataset_free(all);
    world_plan_clear(&plan);
}

/* ---- Baselines ---- */

static void test_baselines(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 5));
    plan.rows = 30;
    assert_ok(world_plan_learner(&plan, &wh_learner_sgd));
    assert_ok(world_plan_strategy(&plan, "local"));
    plan.plan.pooled_moments = true;
    whist_fed_result local = {0}, pooled = {0};
    assert_ok(world_simulate(&local, &plan, 1, NULL, NULL));
    assert_null(local.model);
    assert_int_equal(local.n_sites, 3);
    double n = 0;
    for (size_t i = 0; i < 3; i++) n += local.sites[i].test[0].n;
    assert_true(n > 0 && n >= local.pooled.test[0].n && n <= local.pooled.test[0].n);
    assert_ok(world_plan_strategy(&plan, "pooled"));
    assert_ok(world_simulate(&pooled, &plan, 1, NULL, NULL));
    assert_non_null(pooled.model);
    assert_true(pooled.sites[2].test[0].n > 0);
    assert_null(local.moments);
    whist_metric_value sum = {0};
    for (size_t i = 0; i < 3; i++) {
        sum.num += pooled.sites[i].test[0].num;
        sum.n += pooled.sites[i].test[0].n;
    }
    assert_true(sum.n == pooled.pooled.test[0].n && sum.n > 0); /* sites see the rows that the model was made for */
    assert_true(fabs(sum.num - pooled.pooled.test[0].num) < 1e-3);
    whist_fed_result_clear(&local);
    whist_fed_result_clear(&pooled);
    world_plan_clear(&plan);
}

/* ---- Sites that fail ---- */

static void test_bad_sites_are_left_out(void **state)
{
    (void)state;
    static const toy_evil evils[] = {TOY_NAN, TOY_INF, TOY_HUGE, TOY_FAILS, TOY_NO_STEPS};
    world_plan plan;
    assert_ok(world_plan_init(&plan, 4, 6));
    assert_ok(world_plan_learner(&plan, &toy_bad_learner));
    plan.plan.min_sites = 3;
    float *first = NULL;
    for (size_t i = 0; i < WH_COUNT(evils); i++) {
        toy_bad_say = evils[i];
        toy_bad_site = "site2";
        whist_fed_result result = {0};
        assert_ok(world_simulate(&result, &plan, 2, NULL, NULL));
        if (!first) {
            assert_ok(WH_NEW(&first, result.n));
            memcpy(first, result.model, result.n * sizeof *first);
        }
        assert_same(&plan, first, result.model); /* as if it were not there, whatever it did */
        whist_fed_result_clear(&result);
    }
    toy_bad_site = NULL; /* all of them */
    whist_fed_result result = {0};
    assert_int_equal(world_simulate(&result, &plan, 2, NULL, NULL), WHIST_E_TIMEOUT);
    assert_non_null(strstr(whist_detail_get()->text, "0 of at least 3 sites"));
    assert_non_null(strstr(whist_detail_get()->text, "steps")); /* and why the last one declined */
    assert_null(result.model);
    toy_bad_say = TOY_GOOD;
    wh_free(first);
    world_plan_clear(&plan);
}

/* ---- Metrics ---- */

static void test_history(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 4));
    plan.plan.rounds = 5;
    plan.plan.evaluate_every = 2;
    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    static const uint64_t rounds[] = {0, 2, 4, 5};
    assert_int_equal(result.rounds, 5);
    assert_int_equal(result.n_history, WH_COUNT(rounds));
    for (size_t i = 0; i < WH_COUNT(rounds); i++) {
        assert_int_equal(result.history[i].round, rounds[i]);
        assert_true(result.history[i].test[0].n > 11.9 && result.history[i].test[0].n < 12.1); /* 3 sites, 4 rows */
    }
    assert_memory_equal(&result.history[3].test, &result.pooled.test, sizeof result.pooled.test);
    double sum = 0;
    for (size_t i = 0; i < result.n_sites; i++) sum += result.sites[i].test[0].num;
    assert_true(fabs(sum - result.pooled.test[0].num) < 1e-5);
    whist_fed_result_clear(&result);

    plan.plan.min_metric_count = 5; /* more than a site's 4 rows: they stay at home */
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    assert_true(fabs(result.pooled.test[0].n) < 0.5);
    whist_fed_result_clear(&result);
    world_plan_clear(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_many_sites),
        cmocka_unit_test(test_against_plain_arithmetic),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_moments_are_told),
        cmocka_unit_test(test_baselines),
        cmocka_unit_test(test_bad_sites_are_left_out),
        cmocka_unit_test(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
