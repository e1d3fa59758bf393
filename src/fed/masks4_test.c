/* fed/masks4_test.c: the joint carries a protection with four phases, a third party and messages per
 * recipient: any site lost in any phase, any machine made anew in any phase, and the model is that of the
 * plain sum of the survivors, bit for bit. */
#include "test.h"

#include "fed/coordinator_state.h"
#include "fed/masks4.h"
#include "fed/toy.h"
#include "fed/wire.h"
#include "fed/world.h"

#include <string.h>

enum { SITES = 4, FEATURES = 16500 }; /* 16501 parameters: a full block and a bit */

static void plan_for(world_plan *plan, bool masked, bool scaffold, size_t features)
{
    assert_ok(world_plan_init(plan, SITES, features));
    plan->plan.min_sites = 2;
    plan->plan.rounds = 2;
    if (masked) assert_ok(world_plan_protection(plan, &test_masks4));
    if (!scaffold) return;
    assert_ok(world_plan_learner(plan, &toy_state_learner));
    assert_ok(world_plan_strategy(plan, "scaffold"));
}

static void assert_models_equal(const world_plan *plan, const float *a, const float *b)
{
    assert_memory_equal(a, b, whist_model_size(plan->plan.model) * sizeof *a);
}

static void check_undisturbed(bool scaffold, unsigned bits)
{
    world_plan plain, masked;
    plan_for(&plain, false, scaffold, FEATURES);
    plan_for(&masked, true, scaffold, FEATURES);
    plain.plan.bits = masked.plan.bits = bits;
    plain.plan.fraction = masked.plan.fraction = bits / 2;
    float *a = NULL, *b = NULL;
    assert_ok(world_undisturbed(&a, &plain));
    assert_ok(world_undisturbed(&b, &masked));
    assert_models_equal(&plain, a, b);
    whist_fed_result result = {0};
    assert_ok(world_simulate(&result, &masked, 2, NULL, NULL));
    assert_models_equal(&plain, a, result.model);
    whist_fed_result_clear(&result);
    wh_free(a);
    wh_free(b);
    world_plan_clear(&plain);
    world_plan_clear(&masked);
}

static void test_undisturbed(void **state)
{
    (void)state;
    static const unsigned bits[] = {20, 32, 53, 64};
    for (size_t i = 0; i < WH_COUNT(bits); i++) check_undisturbed(false, bits[i]);
    check_undisturbed(true, 64);
}

/* ---- Dropouts ---- */

/* Site `who` stops asking when step `step` has reached phase `phase`, and comes back with the next step. */
typedef struct dropout {
    size_t who;
    uint64_t step;
    unsigned phase;
} dropout;

static whist_status drop_out(world *w, size_t actor)
{
    const dropout *d = w->user;
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    if (actor == d->who) w->actors[actor].away = now.step == d->step && now.phase >= d->phase;
    return WHIST_OK;
}

/* The plain run in which the site was not there for its upload. */
static void run_dropout(float **out, const world_plan *plan, dropout d)
{
    world w = {.plan = plan, .before = drop_out, .user = &d};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 200));
    assert_int_equal(w.expired, 1);
    assert_ok(world_model(&w, out));
    world_end(&w);
}

static void test_dropout_in_each_phase(void **state)
{
    (void)state;
    for (int scaffold = 0; scaffold < 2; scaffold++) {
        world_plan plain, masked;
        plan_for(&plain, false, scaffold, 40);
        plan_for(&masked, true, scaffold, 40);
        float *whole, *without[SITES];
        assert_ok(world_undisturbed(&whole, &plain));
        for (size_t who = 0; who < SITES; who++) run_dropout(&without[who], &plain, (dropout){who, 1, 0});
        for (size_t who = 0; who < SITES; who++)
            for (unsigned phase = 0; phase < 4; phase++) {
                float *model;
                run_dropout(&model, &masked, (dropout){who, 1, phase});
                /* Lost after the upload: it counts. */
                assert_models_equal(&plain, model, phase == 3 ? whole : without[who]);
                wh_free(model);
            }
        assert_memory_not_equal(whole, without[0], 40 * sizeof *whole);
        wh_free(whole);
        for (size_t who = 0; who < SITES; who++) wh_free(without[who]);
        world_plan_clear(&plain);
        world_plan_clear(&masked);
    }
}

/* ---- A message that does not hold ---- */

/* Site 1's share for site 0 is spoilt in step 1: the first sealed body of its answer begins before byte 100. */
static whist_status spoil_share(void *user, const wh_request *request, wh_response *response)
{
    world *w = user;
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    bool strikes = now.step == 1 && now.phase == 1 && request->peer.pin[0] == 2;
    if (!strikes || strcmp(request->path, WH_PATH_SUBMIT) != 0) return wh_serve_handle(&w->serve, request, response);
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    WH_TRY(wh_buf_add(&body, request->body.data, request->body.len));
    body.data[100] ^= 1;
    wh_request spoilt = *request;
    spoilt.body = wh_buf_view(&body);
    return wh_serve_handle(&w->serve, &spoilt, response);
}

/* Whoever got it declines at once, and the others go on without it. */
static void test_a_spoilt_share(void **state)
{
    (void)state;
    world_plan plain, masked;
    plan_for(&plain, false, false, 40);
    plan_for(&masked, true, false, 40);
    float *want, *model;
    run_dropout(&want, &plain, (dropout){0, 1, 0});
    world w = {.plan = &masked, .handler = spoil_share};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 200));
    assert_int_equal(w.expired, 0);
    wh_coordinator_counts now;
    wh_coordinator_count(w.coordinator, &now);
    assert_int_equal(now.declined, 1);
    assert_ok(world_model(&w, &model));
    assert_models_equal(&plain, model, want);
    world_end(&w);
    wh_free(want);
    wh_free(model);
    world_plan_clear(&plain);
    world_plan_clear(&masked);
}

/* ---- Restarts ---- */

/* In one phase of each step, after some have answered and some have not. */
typedef struct restart {
    unsigned phase;
    size_t who, times;
    uint64_t next_step;
} restart;

static whist_status make_anew(world *w, size_t actor)
{
    restart *r = w->user;
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    if (w->state != WH_RUN_GOING || actor != 2 || now.phase != r->phase || now.step < r->next_step) return WHIST_OK;
    r->next_step = now.step + 1;
    r->times++;
    return r->who < w->n_actors ? world_restart_actor(w, r->who) : world_restart_coordinator(w);
}

static void check_restart(const world_plan *plan, const float *want, unsigned phase, size_t who)
{
    char *dir = test_dir("masks4");
    restart r = {.phase = phase, .who = who};
    world w = {.plan = plan, .dir = dir, .before = make_anew, .user = &r};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 200));
    assert_int_equal(w.expired, 0);
    assert_int_equal(r.times, plan->plan.rounds + 1);
    float *model;
    assert_ok(world_model(&w, &model));
    assert_models_equal(plan, want, model);
    wh_free(model);
    world_end(&w);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void test_restart_in_each_phase(void **state)
{
    (void)state;
    world_plan plain, masked;
    plan_for(&plain, false, true, 40);
    plan_for(&masked, true, true, 40);
    plain.plan.rounds = masked.plan.rounds = 1; /* a training step and an evaluation: disks are slow */
    float *want;
    assert_ok(world_undisturbed(&want, &plain));
    for (unsigned phase = 0; phase < 4; phase++) {
        check_restart(&masked, want, phase, 1);         /* a site that has answered */
        check_restart(&masked, want, phase, 2);         /* one that has not */
        check_restart(&masked, want, phase, SITES);     /* the third party */
        check_restart(&masked, want, phase, SITES + 1); /* the coordinator */
    }
    wh_free(want);
    world_plan_clear(&plain);
    world_plan_clear(&masked);
}

/* ---- What the coordinator sees ---- */

typedef struct seen {
    wh_buf upload[SITES]; /* of step 0 */
} seen;
static seen *eyes;

static whist_status look(void *user, const wh_request *request, wh_response *response)
{
    world *w = user;
    static const char first[] = WH_PATH_UPLOAD_CHUNK "0/";
    size_t site = (size_t)request->peer.pin[0] - 1;
    if (strncmp(request->path, first, sizeof first - 1) == 0 && site < SITES && !eyes->upload[site].len)
        WH_TRY(wh_buf_add(&eyes->upload[site], request->body.data, request->body.len));
    return wh_serve_handle(&w->serve, request, response);
}

static void see(seen *out, const world_plan *plan)
{
    *out = (seen){0};
    eyes = out;
    world w = {.plan = plan, .handler = look};
    assert_ok(world_start(&w));
    assert_ok(world_run(&w, 1000));
    world_end(&w);
    for (size_t i = 0; i < SITES; i++) assert_true(out->upload[i].len > 0);
}

static uint64_t element(const wh_buf *upload, size_t i)
{
    uint64_t v;
    memcpy(&v, upload->data + 8 * i, 8);
    return v;
}

/* 64-bit elements: one that is equal by chance has probability 2^-64 times some thousand tries. */
static void test_no_plain_element_is_seen(void **state)
{
    (void)state;
    world_plan plain, masked;
    plan_for(&plain, false, false, 300);
    plan_for(&masked, true, false, 300);
    seen a, b, c;
    see(&a, &plain);
    see(&b, &masked);
    see(&c, &masked);
    size_t n = a.upload[0].len / 8;
    assert_true(n > 300);
    for (size_t s = 0; s < SITES; s++) {
        assert_int_equal(a.upload[s].len, b.upload[s].len);
        for (size_t i = 0; i < n; i++) {
            uint64_t plain_ = element(&a.upload[s], i), hidden = element(&b.upload[s], i);
            assert_true(plain_ != hidden);
            assert_true(hidden != element(&c.upload[s], i)); /* another run, other masks */
            for (size_t o = 0; o < s; o++) {
                uint64_t gap = plain_ - element(&a.upload[o], i), sum = plain_ + element(&a.upload[o], i);
                assert_true(gap != hidden - element(&b.upload[o], i));
                assert_true(sum != hidden + element(&b.upload[o], i)); /* pair masks gone, own ones not */
            }
        }
    }
    for (size_t s = 0; s < SITES; s++) {
        wh_buf_clear(&a.upload[s]);
        wh_buf_clear(&b.upload[s]);
        wh_buf_clear(&c.upload[s]);
    }
    world_plan_clear(&plain);
    world_plan_clear(&masked);
}

/* ---- Refusals ---- */

/* Two of four are gone from the upload on; nobody is ever asked to reveal. */
static whist_status two_leave(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    assert_true(now.phase < 3);
    w->actors[actor].away = actor < 2 && now.phase == 2;
    return WHIST_OK;
}

static void test_too_few_survivors(void **state)
{
    (void)state;
    world_plan masked;
    plan_for(&masked, true, false, 10);
    masked.plan.min_sites = 3;
    world w = {.plan = &masked, .before = two_leave};
    assert_ok(world_start(&w));
    assert_int_equal(world_run(&w, 200), WHIST_E_TIMEOUT);
    assert_int_equal(w.state, WH_RUN_FAILED);
    assert_non_null(strstr(whist_detail_get()->text, "2 of at least 3 sites answered phase upload"));
    world_end(&w);
    world_plan_clear(&masked);
}

static void test_a_lost_party_fails_the_step(void **state)
{
    (void)state;
    world_plan masked;
    plan_for(&masked, true, false, 10);
    world w = {.plan = &masked};
    assert_ok(world_start(&w));
    w.actors[SITES].away = true;
    assert_int_equal(world_run(&w, 100), WHIST_E_TIMEOUT);
    assert_non_null(strstr(whist_detail_get()->text, "a third party did not answer phase advertise"));
    world_end(&w);
    world_plan_clear(&masked);
}

static void test_plan_refusals(void **state)
{
    (void)state;
    world_plan masked;
    plan_for(&masked, true, false, 10);
    assert_ok(whist_fed_plan_check(&masked.plan));
    assert_ok(world_plan_strategy(&masked, "cyclic"));
    assert_int_equal(whist_fed_plan_check(&masked.plan), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "cyclic"));
    assert_non_null(strstr(whist_detail_get()->text, "test-masks4"));
    assert_ok(world_plan_strategy(&masked, "fedavg"));
    masked.plan.n_parties = 0;
    assert_int_equal(whist_fed_plan_check(&masked.plan), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "third parties"));
    world_plan_clear(&masked);
}

/* More sites than the simulation keeps objects of: their machines must live through all phases. */
static void test_many_sites_in_a_simulation(void **state)
{
    (void)state;
    world_plan plain, masked;
    assert_ok(world_plan_init(&plain, 70, 3));
    assert_ok(world_plan_init(&masked, 70, 3));
    plain.plan.rounds = masked.plan.rounds = 1;
    masked.plan.min_sites = 2;
    assert_ok(world_plan_protection(&masked, &test_masks4));
    whist_fed_result a = {0}, b = {0};
    assert_ok(world_simulate(&a, &plain, 2, NULL, NULL));
    assert_ok(world_simulate(&b, &masked, 2, NULL, NULL));
    assert_models_equal(&plain, a.model, b.model);
    whist_fed_result_clear(&a);
    whist_fed_result_clear(&b);
    world_plan_clear(&plain);
    world_plan_clear(&masked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_dropout_in_each_phase),
        cmocka_unit_test(test_a_spoilt_share),
        cmocka_unit_test(test_restart_in_each_phase),
        cmocka_unit_test(test_no_plain_element_is_seen),
        cmocka_unit_test(test_too_few_survivors),
        cmocka_unit_test(test_a_lost_party_fails_the_step),
        cmocka_unit_test(test_plan_refusals),
        cmocka_unit_test(test_many_sites_in_a_simulation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
