/* fed/network_test.c: the whole road of the network but sockets: nodes, wire messages, routing, coordinator, with
 * every kind of fault at every call, and objects ended and made anew. The model must come out the same, bit
 * for bit, as if nothing had happened. */
#include "test.h"

#include "fed/coordinator_state.h"
#include "fed/toy.h"
#include "fed/world.h"

#include <string.h>

enum { SITES = 3 };

static world_plan plan;
static float *want;

/* Stateful sites and two vectors: a round that counts twice, or not at all, shows. */
static int set_up(void **state)
{
    (void)state;
    assert_ok(world_plan_init(&plan, SITES, 6));
    assert_ok(world_plan_learner(&plan, &toy_state_learner));
    assert_ok(world_plan_strategy(&plan, "scaffold"));
    plan.plan.rounds = 2;
    plan.plan.min_sites = SITES;
    plan.plan.pooled_moments = true;
    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
    want = result.model;
    result.model = NULL;
    whist_fed_result_clear(&result);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wh_free(want);
    world_plan_clear(&plan);
    return 0;
}

static void assert_wanted(world *w)
{
    float *model;
    assert_ok(world_model(w, &model));
    assert_memory_equal(model, want, whist_model_size(plan.plan.model) * sizeof *want);
    wh_free(model);
}

static uint64_t faults_met(const world *w)
{
    uint64_t n = 0;
    for (size_t i = 0; i < w->n_actors; i++)
        for (int f = 0; f < WH_FAULT_KINDS; f++) n += wh_loopback_stats_get(w->actors[i].loopback)->faults[f];
    return n;
}

/* Every arrival of the record, once: 4 steps (moments, 2 rounds, evaluation) of 3 sites. */
static void assert_record(world *w)
{
    wh_coordinator_counts counts;
    wh_coordinator_count(w->coordinator, &counts);
    assert_int_equal(counts.answers, 4 * SITES);
    assert_int_equal(counts.declined + counts.refused, 0);
    assert_int_equal(counts.step, 4);
    for (size_t i = 0; i < w->n_actors; i++) {
        uint64_t left, released;
        assert_ok(wh_spool_bytes(w->actors[i].store, &left));
        assert_int_equal(left, 0);
        assert_ok(world_releases(w, i, &released));
        assert_int_equal(released, 4);
    }
}

static void test_undisturbed(void **state)
{
    (void)state;
    world w = {.plan = &plan};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 100));
    assert_wanted(&w);
    assert_record(&w);
    for (size_t i = 0; i < w.n_actors; i++) {
        assert_ok(world_pass(&w));
        assert_int_equal(w.actors[i].state, WH_NODE_FINISHED);
    }
    assert_int_equal(wh_coordinator_audience(w.coordinator), WH_AUDIENCE_TOLD);
    world_end(&w);
}

/* Damage is met only where digests stand guard: control messages rely on TLS for that. */
static const char *where(wh_fault fault)
{
    return fault >= WH_FAULT_CORRUPT_REQUEST && fault <= WH_FAULT_CUT_RESPONSE ? "/v1/chunk/" : NULL;
}

static void one_fault_at_each_call(const char *dir, wh_fault fault, uint64_t max)
{
    uint64_t k = 1;
    for (; k <= max; k++) {
        const wh_fault_rule rule = {.fault = fault, .prefix = where(fault), .calls = &k, .n_calls = 1};
        const wh_fault_plan faults = {.seed = k, .rules = &rule, .n_rules = 1};
        world w = {.plan = &plan, .dir = dir, .faults = &faults};
        assert_ok(world_start(&w));
        assert_ok(world_run(&w, 200));
        assert_wanted(&w);
        assert_record(&w);
        assert_int_equal(w.expired, 0);
        uint64_t met = faults_met(&w);
        world_end(&w);
        if (dir) assert_ok(wh_tree_remove(dir));
        if (!met && where(fault) == NULL) break;
    }
    assert_true(k > 2 || dir); /* something was met */
}

static void test_every_fault_at_every_call(void **state)
{
    (void)state;
    for (int f = 0; f < WH_FAULT_KINDS; f++) one_fault_at_each_call(NULL, (wh_fault)f, where((wh_fault)f) ? 12 : 200);
}

static void test_faults_on_disk(void **state)
{
    (void)state;
    char *dir = test_dir("network");
    one_fault_at_each_call(dir, WH_FAULT_DROP_RESPONSE, 4);
    test_dir_free(dir);
}

static void test_every_third_call_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        wh_fault_rule rules[WH_FAULT_KINDS];
        for (int f = 0; f < WH_FAULT_KINDS; f++)
            rules[f] = (wh_fault_rule){.fault = (wh_fault)f, .prefix = where((wh_fault)f), .probability = 0.06};
        const wh_fault_plan faults = {.seed = seed, .rules = rules, .n_rules = WH_FAULT_KINDS};
        world w = {.plan = &plan, .faults = &faults};
        assert_ok(world_start(&w));
        assert_ok(world_run(&w, 2000));
        assert_wanted(&w);
        assert_record(&w);
        world_end(&w);
    }
}

/* ---- Objects made anew ---- */

static uint64_t dice;
static uint64_t roll(void) /* xorshift64 (Marsaglia 2003) */
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    return dice ^= dice << 17;
}

static whist_status restart_somebody(world *w, size_t actor)
{
    if (w->state != WH_RUN_GOING) return WHIST_OK;
    if (roll() % 5 == 0) WH_TRY(world_restart_coordinator(w));
    return roll() % 4 == 0 ? world_restart_actor(w, actor) : WHIST_OK;
}

static void test_restarts_at_random_points(void **state)
{
    (void)state;
    char *dir = test_dir("network");
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const wh_fault_rule rules[] = {
            {.fault = WH_FAULT_DROP_REQUEST, .probability = 0.1},
            {.fault = WH_FAULT_DROP_RESPONSE, .probability = 0.2},
        };
        const wh_fault_plan faults = {.seed = seed, .rules = rules, .n_rules = WH_COUNT(rules)};
        world w = {.plan = &plan, .dir = dir, .faults = &faults, .before = restart_somebody};
        dice = seed * 0x9e3779b97f4a7c15u;
        assert_ok(world_start(&w));
        assert_ok(world_run(&w, 2000));
        assert_wanted(&w);
        assert_int_equal(w.expired, 0);
        world_end(&w);
        assert_ok(wh_tree_remove(dir));
    }
    test_dir_free(dir);
}

/* Memory behind nodes only: the coordinator lives, every node is made anew before each poll. */
static whist_status restart_node(world *w, size_t actor)
{
    return w->state == WH_RUN_GOING ? world_restart_actor(w, actor) : WHIST_OK;
}

static void test_nodes_without_memory(void **state)
{
    (void)state;
    world w = {.plan = &plan, .before = restart_node};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 100));
    assert_wanted(&w);
    assert_record(&w);
    world_end(&w);
}

/* ---- Threads ---- */

/* Each site in a thread of its own, as over the network; the coordinator's loop in this one. */
static void *live(void *user)
{
    world_actor *a = user;
    for (int i = 0; i < 100000 && a->state != WH_NODE_FINISHED; i++) {
        uint32_t wait_ms;
        a->last = wh_node_step(a->node, &a->state, &wait_ms);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const wh_fault_rule rules[] = {
            {.fault = WH_FAULT_DUPLICATE, .probability = 0.2},
            {.fault = WH_FAULT_DROP_RESPONSE, .probability = 0.2},
        };
        const wh_fault_plan faults = {.seed = seed, .rules = rules, .n_rules = WH_COUNT(rules)};
        world w = {.plan = &plan, .faults = &faults};
        pthread_t threads[SITES];
        assert_ok(world_start(&w));
        for (size_t i = 0; i < SITES; i++) assert_int_equal(pthread_create(&threads[i], NULL, live, &w.actors[i]), 0);
        while (w.state == WH_RUN_GOING) {
            uint32_t wait_ms;
            assert_ok(wh_coordinator_tick(w.coordinator, &w.state, &wait_ms));
            if (wait_ms) wh_coordinator_wait(w.coordinator, 10);
        }
        for (size_t i = 0; i < SITES; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(w.actors[i].state, WH_NODE_FINISHED);
        }
        assert_wanted(&w);
        assert_record(&w);
        world_end(&w);
    }
}

/* ---- An answer that was overtaken ---- */

static whist_status lose_site_0(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    if (actor == 0) w->actors[0].away = now.step == 1 && w->actors[0].last != WHIST_OK;
    return WHIST_OK;
}

static void test_an_overtaken_answer_leaves_nothing(void **state)
{
    (void)state;
    plan.plan.min_sites = 1;
    /* Site 0 makes its update of step 1, cannot begin to send it, and is gone until the step is over. */
    const uint64_t at = 2;
    const wh_fault_rule rule = {.fault = WH_FAULT_DROP_REQUEST, .prefix = "/v1/begin", .calls = &at, .n_calls = 1};
    const wh_fault_plan faults = {.rules = &rule, .n_rules = 1};
    world w = {.plan = &plan, .faults = &faults, .before = lose_site_0};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 100));
    assert_int_equal(w.expired, 1);
    uint64_t left;
    assert_ok(wh_spool_bytes(w.actors[0].store, &left));
    assert_int_equal(left, 0);
    world_end(&w);
    plan.plan.min_sites = SITES;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_every_fault_at_every_call),
        cmocka_unit_test(test_faults_on_disk),
        cmocka_unit_test(test_every_third_call_fails),
        cmocka_unit_test(test_restarts_at_random_points),
        cmocka_unit_test(test_nodes_without_memory),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_an_overtaken_answer_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
