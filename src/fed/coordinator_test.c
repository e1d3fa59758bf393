/* fed/coordinator_test.c: the coordinator's machine call by call: what it takes once, what it refuses, when it
 * gives up, and what it knows again after a restart. */
#include "test.h"

#include "fed/coordinator_state.h"
#include "fed/toy.h"
#include "fed/upload.h"
#include "fed/world.h"

#include <math.h>
#include <string.h>

enum { SITES = 4, FEATURES = 7, P = FEATURES + 1 };

typedef struct desk {
    world_plan plan;
    wh_store *store;
    wh_coordinator *c;
    char *dir;
    uint64_t max_spool_bytes;
} desk;

static void open_desk(desk *d)
{
    const wh_coordinator_env env = {.plan = &d->plan.plan, .store = d->store, .max_spool_bytes = d->max_spool_bytes};
    assert_ok(wh_coordinator_new(&d->c, &env));
}

static void desk_plan(desk *d)
{
    *d = (desk){0};
    assert_ok(world_plan_init(&d->plan, SITES, FEATURES));
}

static void desk_start(desk *d, bool on_disk)
{
    if (on_disk) d->dir = test_dir("coordinator");
    assert_ok(wh_store_open(&d->store, d->dir, d->plan.plan.study));
    open_desk(d);
}

static void desk_again(desk *d)
{
    wh_coordinator_free(d->c);
    wh_store_close(d->store);
    assert_ok(wh_store_open(&d->store, d->dir, d->plan.plan.study));
    open_desk(d);
}

static void desk_end(desk *d)
{
    wh_coordinator_free(d->c);
    wh_store_close(d->store);
    if (d->dir) assert_ok(wh_tree_remove(d->dir));
    test_dir_free(d->dir);
    world_plan_clear(&d->plan);
}

static wh_run_state tick(desk *d)
{
    wh_run_state state;
    uint32_t wait_ms;
    do assert_ok(wh_coordinator_tick(d->c, &state, &wait_ms));
    while (state == WH_RUN_GOING && wait_ms == 0);
    return state;
}

static wh_coordinator_counts counts(desk *d)
{
    wh_coordinator_counts out;
    wh_coordinator_count(d->c, &out);
    return out;
}

/* ---- A site's part by hand ---- */

static whist_status append(void *user, uint64_t offset, whist_bytes bytes)
{
    wh_buf *upload = user;
    assert_int_equal(offset, upload->len);
    return wh_buf_add(upload, bytes.data, bytes.len);
}

/* The bytes of an update whose elements are all `value`. */
static void make_upload(desk *d, wh_buf *out, float value, whist_purpose purpose, size_t n_sites)
{
    wh_layout layout;
    whist_protection *machine;
    float x[P];
    double moments[2 * (2 * FEATURES + 1)] = {3};
    for (size_t i = 0; i < P; i++) x[i] = value;
    assert_ok(wh_layout_vectors(&layout, &d->plan.plan, purpose, n_sites));
    const whist_protection_env env = {0};
    assert_ok(wh_protection_none.new_(&machine, &env));
    assert_ok(wh_layout_place(&layout, machine));
    wh_contribution c = {.update = {.n_vectors = 1, .vectors = {x}, .rows = 10, .steps = 1}};
    if (purpose == WHIST_PURPOSE_MOMENTS) c.moments = moments;
    if (purpose == WHIST_PURPOSE_TRAIN) assert_ok(wh_contribution_weigh(&c, &d->plan.plan, 0));
    wh_buf_reset(out);
    assert_ok(wh_upload_make(&d->plan.plan, machine, &layout, n_sites, &c, append, out));
    wh_protection_free(machine);
}

static void digest_of(wh_manifest *out, const wh_buf *upload)
{
    assert_ok(wh_manifest_of_bytes(out, wh_buf_view(upload), WH_CHUNK_BYTES));
}

static whist_status begin_and_put(desk *d, size_t site, uint64_t step, const wh_buf *upload)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    digest_of(&manifest, upload);
    WH_TRY(wh_coordinator_begin(d->c, site, step, 0, upload->len, &manifest, NULL));
    return wh_coordinator_put(d->c, site, step, 0, 0, wh_buf_view(upload));
}

static whist_status answer_with(desk *d, size_t site, const wh_buf *upload)
{
    uint64_t step = counts(d).step;
    WH_TRY(begin_and_put(d, site, step, upload));
    return wh_coordinator_submit(d->c, site, step, 0, NULL, 0);
}

static whist_status answer(desk *d, size_t site, float value)
{
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    wh_task task;
    assert_ok(wh_coordinator_poll(d->c, site, &task));
    assert_int_equal(task.kind, WH_TASK_WORK);
    make_upload(d, &upload, value, task.purpose, task.n_sites);
    wh_task_clear(&task);
    return answer_with(d, site, &upload);
}

static void assert_kind(desk *d, size_t site, wh_task_kind kind)
{
    wh_task task;
    assert_ok(wh_coordinator_poll(d->c, site, &task));
    assert_int_equal(task.kind, kind);
    wh_task_clear(&task);
}

/* Every parameter has moved by the mean of what the sites said since the first model. */
static void assert_moved(desk *d, double by)
{
    float model[P], first[P];
    whist_model_init(d->plan.plan.model, first, d->plan.plan.seed);
    assert_ok(wh_coordinator_model_copy(d->c, model));
    for (size_t i = 0; i < P; i++) assert_true(fabs((double)model[i] - (double)first[i] - by) < 1e-6 * (1 + by));
}

/* ---- Exactly once ---- */

static void test_an_answer_counts_once(void **state)
{
    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        desk d;
        desk_plan(&d);
        desk_start(&d, on_disk);
        assert_int_equal(tick(&d), WH_RUN_GOING);
        assert_ok(answer(&d, 0, 1));
        assert_kind(&d, 0, WH_TASK_WAIT);
        for (int i = 0; i < 3; i++) assert_ok(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0));
        assert_int_equal(counts(&d).repeated, 3);
        assert_int_equal(counts(&d).answers, 1);
        /* The upload itself cannot be begun or sent again. */
        WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
        make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
        assert_int_equal(begin_and_put(&d, 0, 0, &upload), WHIST_E_STATE);
        for (size_t i = 1; i < SITES; i++) assert_ok(answer(&d, i, 2));
        tick(&d);
        assert_moved(&d, (1 + 2 * (SITES - 1)) / (double)SITES);
        desk_end(&d);
    }
}

static void test_late_answers(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    tick(&d);
    for (size_t i = 0; i < SITES; i++) assert_ok(answer(&d, i, 1));
    tick(&d);
    uint64_t late = counts(&d).late;
    assert_int_equal(counts(&d).step, 1);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
    assert_int_equal(begin_and_put(&d, 0, 0, &upload), WHIST_E_STATE);
    assert_int_equal(wh_coordinator_put(d.c, 0, 0, 0, 0, wh_buf_view(&upload)), WHIST_E_STATE);
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0), WHIST_E_STATE);
    assert_int_equal(wh_coordinator_submit(d.c, 0, 2, 0, NULL, 0), WHIST_E_STATE); /* a step to come */
    assert_int_equal(wh_coordinator_submit(d.c, 0, 1, 5, NULL, 0), WHIST_E_STATE); /* a phase that is none */
    assert_int_equal(wh_coordinator_decline(d.c, 0, 0, 0, WHIST_E_RANGE, "late"), WHIST_E_STATE);
    assert_int_equal(counts(&d).late, late + 6);
    assert_moved(&d, 1);
    desk_end(&d);
}

static void test_duplicate_uploads(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, true);
    tick(&d);
    WH_AUTO(wh_buf) mine = WH_BUF_EMPTY, other = WH_BUF_EMPTY, have = WH_BUF_EMPTY;
    WH_AUTO(wh_manifest) a = WH_MANIFEST_EMPTY, b = WH_MANIFEST_EMPTY;
    make_upload(&d, &mine, 1, WHIST_PURPOSE_TRAIN, SITES);
    make_upload(&d, &other, 2, WHIST_PURPOSE_TRAIN, SITES);
    digest_of(&a, &mine);
    digest_of(&b, &other);
    assert_ok(wh_coordinator_begin(d.c, 1, 0, 0, mine.len, &a, &have));
    assert_int_equal(have.data[0] & 1, 0);
    assert_ok(wh_coordinator_put(d.c, 1, 0, 0, 0, wh_buf_view(&mine)));
    wh_buf_reset(&have);
    assert_ok(wh_coordinator_begin(d.c, 1, 0, 0, mine.len, &a, &have)); /* goes on */
    assert_int_equal(have.data[0] & 1, 1);
    assert_int_equal(wh_coordinator_begin(d.c, 1, 0, 0, other.len, &b, NULL), WHIST_E_AUTH);
    assert_int_equal(wh_coordinator_put(d.c, 1, 0, 0, 0, wh_buf_view(&other)), WHIST_E_FORMAT);
    assert_ok(wh_coordinator_submit(d.c, 1, 0, 0, NULL, 0));
    for (size_t i = 0; i < SITES; i++)
        if (i != 1) assert_ok(answer(&d, i, 1));
    tick(&d);
    assert_moved(&d, 1);
    desk_end(&d);
}

/* ---- What is refused ---- */

static void test_wrong_sizes(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    tick(&d);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0), WHIST_E_FORMAT); /* nothing was sent */
    upload.len -= 8;
    assert_int_equal(begin_and_put(&d, 0, 0, &upload), WHIST_E_FORMAT);
    upload.len += 8;
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    digest_of(&manifest, &upload);
    assert_ok(wh_coordinator_begin(d.c, 0, 0, 0, upload.len, &manifest, NULL));
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0), WHIST_E_FORMAT); /* begun, not sent */
    assert_int_equal(wh_coordinator_put(d.c, 0, 0, 0, 8, (whist_bytes){upload.data, 8}), WHIST_E_FORMAT);
    assert_int_equal(wh_coordinator_put(d.c, 0, 0, 0, 0, (whist_bytes){upload.data, 8}), WHIST_E_FORMAT);
    assert_int_equal(wh_coordinator_put(d.c, 0, 0, 0, UINT64_MAX, wh_buf_view(&upload)), WHIST_E_FORMAT);
    assert_int_equal(wh_coordinator_put(d.c, 0, 0, 0, 0, (whist_bytes){0}), WHIST_E_FORMAT);
    assert_ok(wh_coordinator_put(d.c, 0, 0, 0, 0, wh_buf_view(&upload)));
    assert_ok(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0));
    desk_end(&d);
}

/* An element that no honest site could send is found before the upload counts. */
static void test_out_of_range_upload(void **state)
{
    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        desk d;
        desk_plan(&d);
        desk_start(&d, on_disk);
        tick(&d);
        WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
        make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
        const int64_t most = INT64_MAX / SITES + 1;
        memcpy(upload.data + 8 * (P - 1), &most, 8);
        assert_int_equal(answer_with(&d, 2, &upload), WHIST_E_RANGE);
        assert_int_equal(counts(&d).refused, 1);
        assert_int_equal(counts(&d).answers, 0);
        assert_ok(wh_coordinator_decline(d.c, 2, 0, 0, WHIST_E_RANGE, "sorry"));
        for (size_t i = 0; i < SITES; i++)
            if (i != 2) assert_ok(answer(&d, i, 3));
        tick(&d);
        assert_int_equal(counts(&d).step, 1);
        assert_moved(&d, 3);
        desk_end(&d);
    }
}

/* Negative counts would take from those of others. */
static void test_negative_counts(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    tick(&d);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
    static const size_t at[] = {0, 1, 2, 2 + WHIST_MAX_VECTORS + 2}; /* rows, rows·steps, a weight, a metric's rows */
    for (size_t i = 0; i < WH_COUNT(at); i++) {
        WH_AUTO(wh_buf) bad = WH_BUF_EMPTY;
        assert_ok(wh_buf_add(&bad, upload.data, upload.len));
        const int64_t minus = -(1 << 20);
        memcpy(bad.data + 8 * (P + at[i]), &minus, 8);
        assert_int_equal(answer_with(&d, i, &bad), WHIST_E_RANGE);
    }
    desk_end(&d);
}

/* Nobody has rows: the strategy cannot step, and that ends the step and not the coordinator. */
static void test_no_rows_at_all(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 0, WHIST_PURPOSE_TRAIN, SITES);
    memset(upload.data + 8 * P, 0, 8 * (2 + WHIST_MAX_VECTORS));
    wh_run_state run = WH_RUN_GOING;
    whist_status status = WHIST_OK;
    for (int attempt = 0; attempt < WH_MAX_ATTEMPTS; attempt++) {
        uint32_t wait_ms;
        tick(&d);
        for (size_t i = 0; i < SITES; i++) assert_ok(answer_with(&d, i, &upload));
        status = wh_coordinator_tick(d.c, &run, &wait_ms);
    }
    assert_int_equal(status, WHIST_E_TIMEOUT);
    assert_int_equal(run, WH_RUN_FAILED);
    assert_non_null(strstr(whist_detail_get()->text, "no site of round 0 has training rows"));
    desk_end(&d);
}

static void test_messages_have_bounds(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    tick(&d);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
    assert_ok(begin_and_put(&d, 0, 0, &upload));
    static const uint8_t large[WHIST_MESSAGE_MAX + 1];
    whist_message message = {.to = "site1", .body = {large, sizeof large}};
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, &message, 1), WHIST_E_RANGE);
    static whist_message many[5000];
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, many, WH_COUNT(many)), WHIST_E_RANGE);
    message.body.len--;
    assert_ok(wh_coordinator_submit(d.c, 0, 0, 0, &message, 1));
    desk_end(&d);
}

static void test_who_is_not_of_the_step(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.sample_fraction = 0.5;
    desk_start(&d, false);
    tick(&d);
    uint32_t active[SITES];
    assert_int_equal(wh_coordinator_active(d.c, active), 2);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, 2);
    for (size_t i = 0; i < SITES; i++) {
        bool in = i == active[0] || i == active[1];
        assert_kind(&d, i, in ? WH_TASK_WORK : WH_TASK_WAIT);
        if (!in) assert_int_equal(answer_with(&d, i, &upload), WHIST_E_STATE);
    }
    const uint8_t pin[32] = {99};
    size_t actor;
    assert_int_equal(wh_coordinator_actor_find(d.c, pin, &actor), WHIST_E_AUTH);
    assert_ok(wh_coordinator_actor_find(d.c, d.plan.sites[3].pin, &actor));
    assert_int_equal(actor, 3);
    desk_end(&d);
}

/* ---- Declining, deadlines, failed steps ---- */

static void test_a_decline_ends_the_waiting(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, false);
    tick(&d);
    assert_ok(wh_coordinator_decline(d.c, 0, 0, 0, WHIST_E_RANGE, "not a number"));
    assert_kind(&d, 0, WH_TASK_WAIT);
    assert_int_equal(wh_coordinator_decline(d.c, 0, 0, 0, WHIST_E_RANGE, "again"), WHIST_E_STATE);
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0), WHIST_E_STATE);
    assert_int_equal(counts(&d).declined, 1);
    for (size_t i = 1; i < SITES; i++) assert_ok(answer(&d, i, 2));
    tick(&d);
    assert_int_equal(counts(&d).step, 1); /* without a deadline */
    assert_moved(&d, 2);
    assert_kind(&d, 0, WH_TASK_WORK); /* back with the next step */
    desk_end(&d);
}

/* What a declining site says reaches others as plain letters, however it is cut. */
static void test_words_of_a_site(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.min_sites = SITES;
    desk_start(&d, false);
    char words[301] = "";
    for (size_t i = 0; i < 300; i += 3) memcpy(words + i, "\xe2\x82\xac", 4); /* euro signs */
    words[7] = '\n';
    wh_run_state run = WH_RUN_GOING;
    whist_status status = WHIST_OK;
    for (uint64_t attempt = 0; attempt < WH_MAX_ATTEMPTS; attempt++) {
        uint32_t wait_ms;
        tick(&d);
        assert_ok(wh_coordinator_decline(d.c, 1, attempt, 0, WHIST_E_RANGE, words));
        wh_coordinator_expire(d.c);
        status = wh_coordinator_tick(d.c, &run, &wait_ms);
    }
    assert_int_equal(status, WHIST_E_TIMEOUT);
    wh_task task;
    assert_ok(wh_coordinator_poll(d.c, 0, &task));
    assert_non_null(strstr(task.text, "site1: "));
    for (const char *at = task.text; *at; at++) assert_in_range(*at, ' ', '~');
    wh_task_clear(&task);
    desk_end(&d);
}

static void test_deadline(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.min_sites = 2;
    desk_start(&d, false);
    tick(&d);
    assert_ok(answer(&d, 1, 1));
    assert_ok(answer(&d, 3, 2));
    tick(&d);
    assert_int_equal(counts(&d).step, 0); /* there is time */
    wh_coordinator_expire(d.c);
    tick(&d);
    assert_int_equal(counts(&d).step, 1);
    assert_moved(&d, 1.5);
    /* Real time does the same. */
    desk_end(&d);
    desk_plan(&d);
    d.plan.plan.round_timeout_ms = 30;
    desk_start(&d, false);
    tick(&d);
    assert_ok(answer(&d, 1, 1));
    wh_coordinator_wait(d.c, 60);
    tick(&d);
    assert_int_equal(counts(&d).step, 1);
    desk_end(&d);
}

static void test_three_failures_end_the_run(void **state)
{
    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        desk d;
        desk_plan(&d);
        d.plan.plan.min_sites = 2;
        desk_start(&d, on_disk);
        wh_run_state run;
        uint32_t wait_ms;
        for (uint64_t attempt = 0; attempt < WH_MAX_ATTEMPTS; attempt++) {
            tick(&d);
            assert_int_equal(counts(&d).step, attempt);
            assert_ok(answer(&d, 0, 1));
            wh_coordinator_expire(d.c);
            whist_status status = wh_coordinator_tick(d.c, &run, &wait_ms);
            bool last = attempt + 1 == WH_MAX_ATTEMPTS;
            assert_int_equal(status, last ? WHIST_E_TIMEOUT : WHIST_OK);
            uint64_t left;
            assert_ok(wh_spool_bytes(d.store, &left));
            assert_int_equal(left, 0); /* a failed step leaves nothing behind */
        }
        assert_int_equal(run, WH_RUN_FAILED);
        assert_non_null(strstr(whist_detail_get()->text, "failed 3 times: 1 of at least 2 sites"));
        wh_task task;
        assert_ok(wh_coordinator_poll(d.c, 1, &task));
        assert_int_equal(task.kind, WH_TASK_FINISHED);
        assert_non_null(strstr(task.text, "failed 3 times"));
        wh_task_clear(&task);
        assert_moved(&d, 0);
        if (on_disk) { /* whoever starts it again gets another three */
            desk_again(&d);
            assert_int_equal(tick(&d), WH_RUN_GOING);
        }
        desk_end(&d);
    }
}

static void test_a_success_forgives_failures(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.min_sites = 2;
    desk_start(&d, false);
    for (uint64_t round = 0; round < 3; round++) {
        for (int i = 0; i < WH_MAX_ATTEMPTS - 1; i++) {
            tick(&d);
            wh_coordinator_expire(d.c);
        }
        tick(&d);
        assert_int_equal(counts(&d).round, round);
        for (size_t i = 0; i < SITES; i++) assert_ok(answer(&d, i, 1));
        tick(&d);
    }
    assert_int_equal(wh_coordinator_rounds_done(d.c), 3);
    assert_moved(&d, 3);
    desk_end(&d);
}

/* ---- The spool's ceiling ---- */

static void test_spool_ceiling(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY;
    make_upload(&d, &upload, 1, WHIST_PURPOSE_TRAIN, SITES);
    d.max_spool_bytes = 2 * upload.len + upload.len / 2;
    desk_start(&d, true);
    for (int attempt = 0; attempt < 2; attempt++) { /* a failed step gives its room back */
        tick(&d);
        assert_ok(answer(&d, 0, 1));
        assert_ok(answer(&d, 1, 1));
        assert_int_equal(answer(&d, 2, 1), WHIST_E_BUDGET);
        d.plan.plan.min_sites = 3;
        wh_coordinator_expire(d.c);
    }
    desk_end(&d);
}

/* ---- Going on after a restart ---- */

static void test_restart_keeps_what_arrived(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, true);
    tick(&d);
    assert_ok(answer(&d, 0, 1));
    WH_AUTO(wh_buf) upload = WH_BUF_EMPTY, have = WH_BUF_EMPTY;
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    make_upload(&d, &upload, 5, WHIST_PURPOSE_TRAIN, SITES);
    assert_ok(begin_and_put(&d, 1, 0, &upload)); /* sent, not submitted */
    desk_again(&d);
    tick(&d);
    assert_int_equal(counts(&d).step, 0);
    assert_int_equal(counts(&d).arrived, 1);
    assert_kind(&d, 0, WH_TASK_WAIT);
    assert_ok(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0));
    assert_int_equal(counts(&d).repeated, 1);
    digest_of(&manifest, &upload);
    assert_ok(wh_coordinator_begin(d.c, 1, 0, 0, upload.len, &manifest, &have));
    assert_int_equal(have.data[0] & 1, 1);
    assert_ok(wh_coordinator_submit(d.c, 1, 0, 0, NULL, 0));
    desk_again(&d);
    assert_ok(answer(&d, 2, 1));
    assert_ok(answer(&d, 3, 1));
    tick(&d);
    assert_moved(&d, 2);
    desk_again(&d);
    tick(&d);
    assert_int_equal(counts(&d).step, 1);
    assert_moved(&d, 2);
    assert_false(wh_vecfile_exists(d.store, "model/00000000.bin"));
    desk_end(&d);
}

static void test_restart_keeps_who_declined(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, true);
    tick(&d);
    assert_ok(wh_coordinator_decline(d.c, 0, 0, 0, WHIST_E_RANGE, "not a number"));
    assert_ok(answer(&d, 1, 2));
    desk_again(&d);
    tick(&d);
    assert_kind(&d, 0, WH_TASK_WAIT);
    assert_int_equal(wh_coordinator_submit(d.c, 0, 0, 0, NULL, 0), WHIST_E_STATE);
    for (size_t i = 2; i < SITES; i++) assert_ok(answer(&d, i, 2));
    tick(&d);
    assert_int_equal(counts(&d).step, 1); /* without a deadline */
    assert_moved(&d, 2);
    assert_kind(&d, 0, WH_TASK_WORK);
    desk_end(&d);
}

/* Who asked before a restart is waited for, once. */
static void test_restart_keeps_the_audience(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.rounds = 1;
    desk_start(&d, true);
    tick(&d);
    for (size_t i = 0; i < SITES; i++) assert_ok(answer(&d, i, 2));
    assert_int_equal(tick(&d), WH_RUN_GOING); /* the last model is evaluated */
    for (size_t i = 0; i < SITES; i++) assert_ok(answer(&d, i, 0));
    assert_int_equal(tick(&d), WH_RUN_FINISHED);
    assert_int_equal(wh_coordinator_audience(d.c), WH_AUDIENCE_ASKING);
    assert_kind(&d, 0, WH_TASK_FINISHED);
    desk_again(&d);
    assert_int_equal(tick(&d), WH_RUN_FINISHED);
    assert_int_equal(wh_coordinator_audience(d.c), WH_AUDIENCE_AWAY);
    for (size_t i = 0; i < SITES; i++) assert_kind(&d, i, WH_TASK_FINISHED);
    assert_int_equal(wh_coordinator_audience(d.c), WH_AUDIENCE_TOLD);
    assert_ok(wh_coordinator_end_audience(d.c));
    desk_again(&d);
    assert_int_equal(tick(&d), WH_RUN_FINISHED);
    assert_int_equal(wh_coordinator_audience(d.c), WH_AUDIENCE_TOLD);
    desk_end(&d);
}

static void test_another_study_is_refused(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    desk_start(&d, true);
    tick(&d);
    wh_coordinator_free(d.c);
    d.c = NULL;
    d.plan.plan.n_sites--;
    const wh_coordinator_env env = {.plan = &d.plan.plan, .store = d.store};
    wh_coordinator *c;
    assert_int_equal(wh_coordinator_new(&c, &env), WHIST_E_FORMAT);
    desk_end(&d);
}

/* ---- Purposes ---- */

static void test_moments_reach_the_model(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    d.plan.plan.pooled_moments = true;
    desk_start(&d, false);
    tick(&d);
    wh_task task;
    assert_ok(wh_coordinator_poll(d.c, 0, &task));
    assert_int_equal(task.purpose, WHIST_PURPOSE_MOMENTS);
    assert_false(task.has_model);
    wh_task_clear(&task);
    /* Sites see n = 3 rows each; column j: Σx = 3 (j + site), Σx² = 3 (j + site)² + 2: variance known. Each column in
     * a unit of its own, the last of 1e-6. */
    double pooled[2 * FEATURES + 1] = {0};
    for (size_t site = 0; site < SITES; site++) {
        wh_layout layout;
        assert_ok(wh_layout_vectors(&layout, &d.plan.plan, WHIST_PURPOSE_MOMENTS, SITES));
        double m[2 * FEATURES + 1] = {3};
        for (size_t j = 0; j < FEATURES; j++) {
            double x = (double)(j + site), unit = pow(10, -(double)j);
            m[1 + j] = 3 * x * unit;
            m[1 + FEATURES + j] = (3 * x * x + 2) * unit * unit;
        }
        for (size_t j = 0; j < WH_COUNT(m); j++) pooled[j] += m[j];
        double parts[2 * WH_COUNT(m)];
        uint8_t bytes[sizeof parts];
        wh_moments_split(parts, m, WH_COUNT(m));
        assert_ok(wh_sums_encode(bytes, parts, WH_COUNT(parts), SITES));
        assert_ok(wh_coordinator_begin(d.c, site, 0, 0, sizeof bytes, NULL, NULL));
        assert_ok(wh_coordinator_put(d.c, site, 0, 0, 0, (whist_bytes){bytes, sizeof bytes}));
        assert_ok(wh_coordinator_submit(d.c, site, 0, 0, NULL, 0));
    }
    tick(&d);
    const float *model = wh_coordinator_model_view(d.c);
    for (size_t j = 0; j < FEATURES; j++) {
        double mean = pooled[1 + j] / pooled[0];
        double sd = sqrt((pooled[1 + FEATURES + j] - pooled[0] * mean * mean) / (pooled[0] - 1));
        assert_true(fabs((double)model[P + j] - mean) < 1e-6 * sd);
        assert_true(fabs((double)model[P + FEATURES + j] - sd) < 1e-6 * sd);
    }
    assert_moved(&d, 0);
    assert_int_equal(wh_coordinator_rounds_done(d.c), 0);
    desk_end(&d);
}

static void test_turns(void **state)
{
    (void)state;
    desk d;
    desk_plan(&d);
    assert_ok(world_plan_strategy(&d.plan, "cyclic"));
    d.plan.plan.rounds = 2;
    desk_start(&d, false);
    double want = 0;
    for (int turn = 0; turn < 2 * SITES; turn++) {
        assert_int_equal(tick(&d), WH_RUN_GOING);
        uint32_t active[SITES];
        assert_int_equal(wh_coordinator_active(d.c, active), 1);
        assert_ok(answer(&d, active[0], (float)(1 << active[0])));
        want += 1 << active[0];
    }
    tick(&d);
    assert_moved(&d, want);
    assert_true(fabs(want - 2 * ((1 << SITES) - 1)) < 0.5); /* each site twice */
    desk_end(&d);
}

/* The toy's validation metric never gets better, so patience decides. */
static void test_early_stop(void **state)
{
    (void)state;
    for (uint32_t every = 1; every < 3; every++) {
        world_plan plan;
        assert_ok(world_plan_init(&plan, SITES, FEATURES));
        plan.plan.rounds = 50;
        plan.plan.stop_early = true;
        plan.plan.stop_patience = 3;
        plan.plan.evaluate_every = every;
        whist_fed_result result = {0};
        assert_ok(world_simulate(&result, &plan, 1, NULL, NULL));
        assert_int_equal(result.rounds, 1 + 3 * every);
        assert_int_equal(result.n_history, 4 + 1); /* rounds 0, e, 2e, 3e, and the last model */
        whist_fed_result_clear(&result);
        world_plan_clear(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_counts_once),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_duplicate_uploads),
        cmocka_unit_test(test_wrong_sizes),
        cmocka_unit_test(test_out_of_range_upload),
        cmocka_unit_test(test_negative_counts),
        cmocka_unit_test(test_no_rows_at_all),
        cmocka_unit_test(test_messages_have_bounds),
        cmocka_unit_test(test_who_is_not_of_the_step),
        cmocka_unit_test(test_a_decline_ends_the_waiting),
        cmocka_unit_test(test_words_of_a_site),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_three_failures_end_the_run),
        cmocka_unit_test(test_a_success_forgives_failures),
        cmocka_unit_test(test_spool_ceiling),
        cmocka_unit_test(test_restart_keeps_what_arrived),
        cmocka_unit_test(test_restart_keeps_who_declined),
        cmocka_unit_test(test_restart_keeps_the_audience),
        cmocka_unit_test(test_another_study_is_refused),
        cmocka_unit_test(test_moments_reach_the_model),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_early_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
