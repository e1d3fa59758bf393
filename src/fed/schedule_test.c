/* fed/schedule_test.c: the row of steps, and who takes part in each. */
#include "test.h"

#include "fed/schedule.h"
#include "fed/world.h"

#include <string.h>

static world_plan plan;

static int set_up(void **state)
{
    (void)state;
    return world_plan_init(&plan, 10, 3) == WHIST_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    world_plan_clear(&plan);
    return 0;
}

static void assert_entry(uint64_t position, uint64_t stop, whist_purpose purpose, uint64_t round, size_t turn,
                         bool over)
{
    wh_schedule_entry e = wh_schedule_at(&plan.plan, position, stop);
    assert_int_equal(e.over, over);
    assert_int_equal(e.purpose, purpose);
    assert_int_equal(e.round, round);
    assert_int_equal(e.turn, turn);
}

static void test_plain_row(void **state)
{
    (void)state;
    for (uint64_t p = 0; p < 3; p++) assert_entry(p, UINT64_MAX, WHIST_PURPOSE_TRAIN, p, 0, false);
    assert_entry(3, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 3, 0, false);
    assert_entry(4, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 3, 0, true);
}

static void test_moments_come_first(void **state)
{
    (void)state;
    plan.plan.pooled_moments = true;
    assert_entry(0, UINT64_MAX, WHIST_PURPOSE_MOMENTS, 0, 0, false);
    assert_entry(1, UINT64_MAX, WHIST_PURPOSE_TRAIN, 0, 0, false);
    assert_entry(4, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 3, 0, false);
    assert_entry(5, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 3, 0, true);
}

static void test_early_stop(void **state)
{
    (void)state;
    assert_entry(1, 2, WHIST_PURPOSE_TRAIN, 1, 0, false);
    assert_entry(2, 2, WHIST_PURPOSE_EVALUATE, 2, 0, false);
    assert_entry(3, 2, WHIST_PURPOSE_EVALUATE, 2, 0, true);
    assert_entry(3, 99, WHIST_PURPOSE_EVALUATE, 3, 0, false); /* after the end it changes nothing */
}

static void test_no_rounds(void **state)
{
    (void)state;
    plan.plan.rounds = 0;
    assert_entry(0, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 0, 0, false);
    assert_entry(1, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 0, 0, true);
}

static size_t cohort_of(uint8_t *cohort, uint64_t position, uint64_t step)
{
    wh_schedule_entry e = wh_schedule_at(&plan.plan, position, UINT64_MAX);
    memset(cohort, 0xee, plan.plan.n_sites);
    assert_ok(wh_schedule_cohort(cohort, &plan.plan, &e, step));
    size_t n = 0;
    for (size_t i = 0; i < plan.plan.n_sites; i++) {
        assert_true(cohort[i] <= 1);
        n += cohort[i];
    }
    return n;
}

/* Turns: in each round every site exactly once, in an order that differs between rounds and is the same each time. */
static void test_turns(void **state)
{
    (void)state;
    assert_ok(world_plan_strategy(&plan, "cyclic"));
    plan.plan.rounds = 4;
    size_t order[4][10];
    for (uint64_t round = 0; round < 4; round++) {
        uint8_t seen[10] = {0}, cohort[10];
        for (uint64_t turn = 0; turn < 10; turn++) {
            assert_entry(round * 10 + turn, UINT64_MAX, WHIST_PURPOSE_TRAIN, round, turn, false);
            assert_int_equal(cohort_of(cohort, round * 10 + turn, 500 + turn), 1);
            size_t who = 0;
            while (!cohort[who]) who++;
            assert_false(seen[who]);
            seen[who] = 1;
            order[round][turn] = who;
            assert_int_equal(cohort_of(cohort, round * 10 + turn, 777), 1); /* a failed step's turn comes again */
            assert_true(cohort[who]);
        }
    }
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    assert_entry(40, UINT64_MAX, WHIST_PURPOSE_EVALUATE, 4, 0, false);
    uint8_t cohort[10];
    assert_int_equal(cohort_of(cohort, 40, 40), 10);
}

static void test_sampling(void **state)
{
    (void)state;
    static const struct {
        double fraction;
        size_t least, want;
    } cases[] = {{1, 1, 10},   {0.5, 1, 5}, {0.3, 1, 3},  {0.31, 1, 4},
                 {0.01, 1, 1}, {0.1, 4, 4}, {0.01, 0, 1}, {0.7, 1, 7}};
    uint8_t a[10], b[10];
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        plan.plan.sample_fraction = cases[i].fraction;
        plan.plan.min_sites = cases[i].least;
        assert_int_equal(cohort_of(a, 0, 0), cases[i].want);
        assert_int_equal(cohort_of(b, 0, 0), cases[i].want);
        assert_memory_equal(a, b, sizeof a);
    }
    plan.plan.pooled_moments = true; /* everybody for moments and for the last evaluation */
    assert_int_equal(cohort_of(a, 0, 0), 10);
    assert_int_equal(cohort_of(a, 4, 9), 10);
}

/* 2000 draws of 3 of 10: a site is drawn 600 times on average, sd 20.5. A site outside 600 ± 123 (6 sd) has
 * probability below 2e-9 each. */
static void test_sampling_is_even(void **state)
{
    (void)state;
    plan.plan.sample_fraction = 0.3;
    size_t drawn[10] = {0};
    for (uint64_t step = 0; step < 2000; step++) {
        uint8_t cohort[10];
        cohort_of(cohort, 0, step);
        for (size_t i = 0; i < 10; i++) drawn[i] += cohort[i];
    }
    for (size_t i = 0; i < 10; i++) assert_in_range(drawn[i], 477, 723);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_plain_row), CASE(test_moments_come_first), CASE(test_early_stop),       CASE(test_no_rounds),
        CASE(test_turns),     CASE(test_sampling),           CASE(test_sampling_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
