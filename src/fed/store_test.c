/* fed/store_test.c: what the store promises, by the same tests in memory and on disk. */
#include "test.h"

#include "fed/store_db.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t study_a[32] = {1, 2, 3}, study_b[32] = {9};

typedef struct fixture {
    bool on_disk;
    char *dir; /* NULL in memory */
    wh_store *store;
} fixture;

static int set_up(void **state)
{
    static fixture fresh;
    fresh = (fixture){.on_disk = *state != NULL};
    if (fresh.on_disk) fresh.dir = test_dir("store");
    assert_ok(wh_store_open(&fresh.store, fresh.dir, study_a));
    *state = &fresh;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wh_store_close(f->store);
    if (f->dir) assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

/* On disk: closes and opens again, so that what follows reads what was really stored. */
static void again(fixture *f)
{
    if (!f->on_disk) return;
    wh_store_close(f->store);
    f->store = NULL;
    assert_ok(wh_store_open(&f->store, f->dir, study_a));
}

static whist_bytes text(const char *t)
{
    return (whist_bytes){(const uint8_t *)t, strlen(t)};
}

static void assert_value(wh_store *store, const char *key, const char *want)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_get(store, key, &value, &found));
    assert_int_equal(found, want != NULL);
    if (want) assert_string_equal(wh_buf_str(&value), want);
}

static void set(wh_store *store, const char *key, const char *value)
{
    assert_ok(wh_store_begin(store));
    assert_ok(wh_store_set(store, key, text(value)));
    assert_ok(wh_store_commit(store));
}

/* ---- Transactions ---- */

static void keeps_committed_only(void **state)
{
    fixture *f = *state;
    set(f->store, "a", "1");
    set(f->store, "a", "2");
    set(f->store, "empty", "");
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_set(f->store, "a", text("3")));
    assert_value(f->store, "a", "3");
    wh_store_rollback(f->store);
    wh_store_rollback(f->store); /* harmless */
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_set(f->store, "b", text("x")));
    again(f); /* closing rolls back */
    if (!f->on_disk) wh_store_rollback(f->store);
    assert_value(f->store, "a", "2");
    assert_value(f->store, "b", NULL);
    assert_value(f->store, "empty", "");
}

static void refuses_wrong_moments(void **state)
{
    fixture *f = *state;
    bool first, same;
    wh_digest answer = {{1}};
    assert_int_equal(wh_store_set(f->store, "a", text("1")), WHIST_E_STATE);
    assert_int_equal(wh_store_arrival_put(f->store, 1, 0, "x", &answer, 0, &first, &same), WHIST_E_STATE);
    assert_int_equal(wh_store_commit(f->store), WHIST_E_STATE);
    assert_ok(wh_store_begin(f->store));
    assert_int_equal(wh_store_begin(f->store), WHIST_E_STATE);
    assert_ok(wh_store_set(f->store, "a", text("1"))); /* still open */
    assert_ok(wh_store_commit(f->store));
    assert_value(f->store, "a", "1");
}

/* A value that cannot be stored is refused, and what else is in the transaction stays whole. */
static void refuses_numbers_beyond_63_bits(void **state)
{
    fixture *f = *state;
    wh_step_row row = {.step = UINT64_MAX};
    assert_ok(wh_store_begin(f->store));
    assert_int_equal(wh_store_step_put(f->store, &row), WHIST_E_RANGE);
    assert_ok(wh_store_set(f->store, "a", text("1")));
    assert_ok(wh_store_commit(f->store));
    assert_value(f->store, "a", "1");
}

typedef struct other {
    wh_store *store;
    bool saw;
} other;

static void *look(void *user)
{
    other *o = user;
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found = false;
    if (wh_store_get(o->store, "half", &value, &found) == WHIST_OK) o->saw = found && value.len == 5;
    return NULL;
}

/* A reader on another thread waits for the end of the transaction and sees all of it. */
static void other_threads_wait(void **state)
{
    fixture *f = *state;
    other o = {f->store, false};
    pthread_t thread;
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_set(f->store, "half", text("h")));
    assert_int_equal(pthread_create(&thread, NULL, look, &o), 0);
    usleep(20000);
    assert_ok(wh_store_set(f->store, "half", text("whole")));
    assert_ok(wh_store_commit(f->store));
    pthread_join(thread, NULL);
    assert_true(o.saw);
}

enum { COUNTERS = 4, COUNTS = 25 };

static void *count_up(void *user)
{
    wh_store *store = user;
    for (int i = 0; i < COUNTS; i++) {
        WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
        bool found;
        uint8_t n = 0;
        if (wh_store_begin(store) != WHIST_OK) return store;
        whist_status status = wh_store_get(store, "n", &value, &found);
        if (status == WHIST_OK && found) n = value.data[0];
        n++;
        if (status == WHIST_OK) status = wh_store_set(store, "n", (whist_bytes){&n, 1});
        if (status == WHIST_OK)
            status = wh_store_commit(store);
        else
            wh_store_rollback(store);
        if (status != WHIST_OK) return store;
    }
    return NULL;
}

static void transactions_take_turns(void **state)
{
    fixture *f = *state;
    pthread_t threads[COUNTERS];
    for (int i = 0; i < COUNTERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_up, f->store), 0);
    for (int i = 0; i < COUNTERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_get(f->store, "n", &value, &found));
    assert_int_equal(value.data[0], COUNTERS * COUNTS);
}

/* ---- Rows ---- */

static void keeps_steps(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_step_row) row = {0};
    bool found = true;
    assert_ok(wh_store_step_last(f->store, &row, &found));
    assert_false(found);
    uint8_t cohort[3] = {1, 0, 3};
    wh_step_row put = {.step = 7,
                       .round = 6,
                       .purpose = WHIST_PURPOSE_TRAIN,
                       .phase = 2,
                       .state = WH_STEP_OPEN,
                       .opened_ms = -5,
                       .deadline_ms = 99,
                       .cohort = cohort,
                       .n_sites = 3};
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_step_put(f->store, &put));
    put.step = 3;
    assert_ok(wh_store_step_put(f->store, &put));
    put.state = WH_STEP_FAILED;
    put.n_sites = 0;
    assert_ok(wh_store_step_put(f->store, &put));
    assert_ok(wh_store_commit(f->store));
    again(f);
    assert_ok(wh_store_step_last(f->store, &row, &found));
    assert_true(found);
    assert_int_equal(row.step, 7);
    assert_int_equal(row.phase, 2);
    assert_int_equal(row.opened_ms, -5);
    assert_int_equal(row.n_sites, 3);
    assert_memory_equal(row.cohort, cohort, 3);
    assert_ok(wh_store_step_get(f->store, 3, &row, &found)); /* clears the row it had */
    assert_int_equal(row.state, WH_STEP_FAILED);
    assert_int_equal(row.n_sites, 0);
    assert_ok(wh_store_step_get(f->store, 4, &row, &found));
    assert_false(found);
    assert_int_equal(row.step, 3);
}

static whist_status join_actor(void *user, const char *actor, const wh_digest *answer)
{
    return wh_buf_text(user, "%s=%d ", actor, answer->bytes[0]);
}

static void arrivals_count_once(void **state)
{
    fixture *f = *state;
    wh_digest one = {{1}}, two = {{2}};
    bool first, same;
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "va", &one, 5, &first, &same));
    assert_true(first);
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "va", &one, 6, &first, &same));
    assert_true(!first && same);
    assert_ok(wh_store_commit(f->store));
    again(f);
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "va", &two, 7, &first, &same));
    assert_true(!first && !same);
    assert_ok(wh_store_arrival_put(f->store, 1, 1, "va", &two, 8, &first, &same));
    assert_true(first); /* another phase */
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "ch", &two, 8, &first, &same));
    assert_true(first);
    assert_ok(wh_store_commit(f->store));
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    assert_ok(wh_store_arrivals(f->store, 1, 0, join_actor, &seen));
    assert_string_equal(wh_buf_str(&seen), "ch=2 va=1 ");
}

static whist_status join_message(void *user, const whist_message *message)
{
    return wh_buf_text(user, "%s>%s:%.*s ", message->from, message->to, (int)message->body.len, message->body.data);
}

static void put_message(wh_store *store, uint64_t step, const char *from, size_t number, const char *to,
                        const char *body)
{
    whist_message message = {.body = text(body)};
    snprintf(message.from, sizeof message.from, "%s", from);
    snprintf(message.to, sizeof message.to, "%s", to);
    assert_ok(wh_store_message_put(store, step, 1, number, &message));
}

static void assert_messages(wh_store *store, uint64_t step, const char *to, const char *want)
{
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    assert_ok(wh_store_messages(store, step, 1, to, join_message, &seen));
    assert_string_equal(wh_buf_str(&seen), want);
}

static void messages_reach_their_readers(void **state)
{
    fixture *f = *state;
    assert_ok(wh_store_begin(f->store));
    put_message(f->store, 1, "b", 1, "a", "second");
    put_message(f->store, 1, "b", 0, "a", "first");
    put_message(f->store, 1, "b", 0, "c", "ignored: this number is taken");
    put_message(f->store, 1, "a", 0, "*", "all");
    put_message(f->store, 1, "", 0, "*", "hello");
    put_message(f->store, 1, "c", 0, "", "up");
    put_message(f->store, 2, "c", 0, "a", "later");
    assert_ok(wh_store_commit(f->store));
    again(f);
    assert_messages(f->store, 1, "a", ">*:hello b>a:first b>a:second ");
    assert_messages(f->store, 1, "b", ">*:hello a>*:all ");
    assert_messages(f->store, 1, "", "a>*:all c>:up ");
    uint8_t *large;
    assert_ok(WH_NEW(&large, WHIST_MESSAGE_MAX + 1));
    whist_message message = {.from = "x", .to = "y", .body = {large, WHIST_MESSAGE_MAX + 1}};
    assert_ok(wh_store_begin(f->store));
    assert_int_equal(wh_store_message_put(f->store, 3, 1, 0, &message), WHIST_E_RANGE);
    message.body.len--;
    assert_ok(wh_store_message_put(f->store, 3, 1, 0, &message));
    assert_ok(wh_store_commit(f->store));
    wh_free(large);
}

typedef struct nested {
    wh_store *store;
    unsigned inner;
} nested;

static whist_status count_arrival(void *user, const char *actor, const wh_digest *answer)
{
    (void)actor, (void)answer;
    ++*(unsigned *)user;
    return WHIST_OK;
}

static whist_status list_again(void *user, const char *actor, const wh_digest *answer)
{
    (void)answer;
    nested *n = user;
    if (strcmp(actor, "stop") == 0) WH_FAIL(WHIST_E_CANCELLED, "stopped");
    return wh_store_arrivals(n->store, 1, 0, count_arrival, &n->inner);
}

static void listings_nest_and_stop(void **state)
{
    fixture *f = *state;
    wh_digest one = {{1}};
    bool first, same;
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "a", &one, 0, &first, &same));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "b", &one, 0, &first, &same));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "stop", &one, 0, &first, &same));
    assert_ok(wh_store_arrival_put(f->store, 1, 0, "zz", &one, 0, &first, &same));
    assert_ok(wh_store_commit(f->store));
    nested n = {f->store, 0};
    assert_int_equal(wh_store_arrivals(f->store, 1, 0, list_again, &n), WHIST_E_CANCELLED);
    assert_int_equal(n.inner, 8);
    set(f->store, "a", "the listing gave everything back");
}

static void machine(wh_store *store, uint64_t step, const char *want)
{
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_machine_get(store, step, "", &out, &found));
    assert_int_equal(found, want != NULL);
    if (want) assert_string_equal(wh_buf_str(&out), want);
}

static whist_status join_metric(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                                const whist_metric_sum *sum)
{
    return wh_buf_text(user, "%d/%s/%d/%s=%g:%g:%g ", (int)round, site, (int)fold, name, sum->num, sum->den, sum->n);
}

static void forgets_old_steps(void **state)
{
    fixture *f = *state;
    wh_digest one = {{1}};
    bool first, same, found;
    whist_metric_sum sum = {1, 2, 3}, bad = {0, 0. / 0., 0};
    wh_step_row row = {.step = 1};
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_step_put(f->store, &row));
    for (uint64_t step = 1; step <= 2; step++) {
        assert_ok(wh_store_machine_put(f->store, step, "", text("old")));
        assert_ok(wh_store_machine_put(f->store, step, "", text("new")));
        assert_ok(wh_store_arrival_put(f->store, step, 0, "a", &one, 0, &first, &same));
        put_message(f->store, step, "a", 0, "", "m");
    }
    assert_ok(wh_store_metric_put(f->store, 1, "a", WHIST_FOLD_TEST, "auc", &bad) == WHIST_E_RANGE ? WHIST_OK
                                                                                                   : WHIST_E_ARG);
    assert_ok(wh_store_metric_put(f->store, 1, "a", WHIST_FOLD_TEST, "auc", &sum));
    sum.num = 5;
    assert_ok(wh_store_metric_put(f->store, 1, "a", WHIST_FOLD_TEST, "auc", &sum));
    assert_ok(wh_store_forget_before(f->store, 2));
    assert_ok(wh_store_commit(f->store));
    again(f);
    machine(f->store, 1, NULL);
    machine(f->store, 2, "new");
    assert_messages(f->store, 1, "", "");
    assert_messages(f->store, 2, "", "a>:m ");
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    assert_ok(wh_store_arrivals(f->store, 1, 0, join_actor, &seen));
    assert_int_equal(seen.len, 0);
    assert_ok(wh_store_metrics(f->store, join_metric, &seen));
    assert_string_equal(wh_buf_str(&seen), "1/a/2/auc=5:2:3 ");
    WH_AUTO(wh_step_row) kept = {0};
    assert_ok(wh_store_step_get(f->store, 1, &kept, &found));
    assert_true(found);
}

static void answers_are_made_once(void **state)
{
    fixture *f = *state;
    uint8_t bytes[100] = {7};
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_manifest) back = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_buf) messages = WH_BUF_EMPTY;
    assert_ok(wh_manifest_of_bytes(&manifest, (whist_bytes){bytes, sizeof bytes}, 64));
    wh_answer_row row = {.step = 1, .phase = 2, .has_upload = true}, got;
    bool found;
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_answer_put(f->store, &row, &manifest, text("mm")));
    assert_int_equal(wh_store_answer_put(f->store, &row, &manifest, text("other")), WHIST_E_STATE);
    assert_int_equal(wh_store_answer_sent(f->store, 1, 3), WHIST_E_STATE);
    assert_ok(wh_store_commit(f->store));
    again(f);
    assert_ok(wh_store_answer_get(f->store, 1, 2, &got, &back, &messages, &found));
    assert_true(found && got.has_upload && !got.sent);
    assert_string_equal(wh_buf_str(&messages), "mm");
    assert_int_equal(back.n_chunks, 2);
    assert_memory_equal(back.digests, manifest.digests, 2 * sizeof *back.digests);

    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_forget_before(f->store, 9)); /* not sent: stays whole */
    assert_ok(wh_store_answer_sent(f->store, 1, 2));
    assert_ok(wh_store_commit(f->store));
    assert_ok(wh_store_answer_get(f->store, 1, 2, &got, &back, NULL, &found));
    assert_true(found && got.has_upload && got.sent);
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_forget_before(f->store, 9));
    assert_ok(wh_store_commit(f->store));
    assert_ok(wh_store_answer_get(f->store, 1, 2, &got, &back, NULL, &found));
    assert_true(found && !got.has_upload && got.sent && back.n_chunks == 0);
    assert_ok(wh_store_answer_get(f->store, 1, 1, &got, NULL, NULL, &found));
    assert_false(found);
}

static whist_status join_record(void *user, uint64_t seq, whist_bytes record)
{
    return wh_buf_text(user, "%d:%.*s ", (int)seq, (int)record.len, record.data);
}

static void log_only_grows(void **state)
{
    fixture *f = *state;
    assert_ok(wh_store_begin(f->store));
    for (uint64_t i = 0; i < 3; i++) assert_ok(wh_store_log_put(f->store, i, text("r")));
    assert_int_equal(wh_store_log_put(f->store, 1, text("forged")), WHIST_E_STATE);
    assert_ok(wh_store_commit(f->store));
    again(f);
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    assert_ok(wh_store_log_each(f->store, 1, join_record, &seen));
    assert_string_equal(wh_buf_str(&seen), "1:r 2:r ");
}

/* ---- Vector files ---- */

static void files_keep_bytes(void **state)
{
    fixture *f = *state;
    wh_vecfile *file, *old;
    uint8_t out[8];
    assert_ok(wh_vecfile_create(&file, f->store, "model/00000001.bin", 100));
    assert_int_equal(wh_vecfile_bytes(file), 100);
    assert_ok(wh_vecfile_write(file, "abcdefgh", 8, 92));
    assert_int_equal(wh_vecfile_write(file, "abcdefgh", 8, 93), WHIST_E_RANGE);
    assert_int_equal(wh_vecfile_write(file, "abcdefgh", 8, UINT64_MAX - 3), WHIST_E_RANGE);
    assert_int_equal(wh_vecfile_read(file, out, 8, 100), WHIST_E_RANGE);
    assert_ok(wh_vecfile_sync(file));
    wh_vecfile_close(file);
    again(f);
    assert_true(wh_vecfile_exists(f->store, "model/00000001.bin"));
    assert_ok(wh_vecfile_open(&old, f->store, "model/00000001.bin"));
    assert_int_equal(wh_vecfile_bytes(old), 100);
    /* A new one of that name; the handle keeps the old. */
    assert_ok(wh_vecfile_create(&file, f->store, "model/00000001.bin", 4));
    assert_ok(wh_vecfile_read(old, out, 8, 92));
    assert_memory_equal(out, "abcdefgh", 8);
    assert_ok(wh_vecfile_read(file, out, 4, 0));
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_int_equal(wh_vecfile_view(file) != NULL, !f->on_disk);
    wh_vecfile_close(old);
    assert_ok(wh_vecfile_remove(f->store, "model/00000001.bin"));
    assert_ok(wh_vecfile_remove(f->store, "model/00000001.bin"));
    assert_ok(wh_vecfile_write(file, "late", 4, 0));
    wh_vecfile_close(file);
    assert_false(wh_vecfile_exists(f->store, "model/00000001.bin"));
    assert_int_equal(wh_vecfile_open(&file, f->store, "model/00000001.bin"), WHIST_E_IO);
    assert_ok(wh_vecfile_create(&file, f->store, "state/empty", 0));
    assert_ok(wh_vecfile_sync(file));
    wh_vecfile_close(file);
}

static void files_stay_inside(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"x",         "/etc/passwd", "model/", "model/..",   "model/../x", "spool/.x",
                                        "spool/a/b", "whist.db",    "",       "../model/x", "modelling/x"};
    wh_vecfile *file;
    for (size_t i = 0; i < WH_COUNT(names); i++) {
        assert_int_equal(wh_vecfile_create(&file, f->store, names[i], 1), WHIST_E_ARG);
        assert_int_equal(wh_vecfile_open(&file, f->store, names[i]), WHIST_E_ARG);
        assert_int_equal(wh_vecfile_remove(f->store, names[i]), WHIST_E_ARG);
        assert_false(wh_vecfile_exists(f->store, names[i]));
    }
}

static void manifests_follow_writes(void **state)
{
    fixture *f = *state;
    wh_vecfile *file;
    assert_ok(wh_vecfile_create(&file, f->store, "model/m", 3000));
    WH_AUTO(wh_manifest) a = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_manifest) b = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_manifest) c = WH_MANIFEST_EMPTY;
    assert_ok(wh_vecfile_manifest(file, &a, 1024));
    assert_int_equal(a.n_chunks, 3);
    assert_ok(wh_vecfile_write(file, "x", 1, 2048));
    assert_ok(wh_vecfile_manifest(file, &b, 1024));
    assert_memory_equal(&a.digests[1], &b.digests[1], sizeof(wh_digest));
    assert_memory_not_equal(&a.digests[2], &b.digests[2], sizeof(wh_digest));
    assert_ok(wh_vecfile_manifest(file, &c, 4096));
    assert_int_equal(c.n_chunks, 1);
    wh_vecfile_close(file);
}

static void make_file(wh_store *store, const char *name, uint64_t bytes)
{
    wh_vecfile *file;
    assert_ok(wh_vecfile_create(&file, store, name, bytes));
    assert_ok(wh_vecfile_sync(file));
    wh_vecfile_close(file);
}

static void spool_is_counted_and_cleaned(void **state)
{
    fixture *f = *state;
    uint64_t bytes;
    make_file(f->store, "spool/1-a", 1000);
    make_file(f->store, "spool/2-a", 200);
    make_file(f->store, "spool/2-b", 30);
    make_file(f->store, "model/2", 5000);
    make_file(f->store, "spool/2-b", 40); /* replaced, not added */
    assert_ok(wh_spool_bytes(f->store, &bytes));
    assert_int_equal(bytes, 1240);
    again(f);
    assert_ok(wh_spool_clean(f->store, "2-"));
    assert_ok(wh_spool_bytes(f->store, &bytes));
    assert_int_equal(bytes, 240);
    assert_false(wh_vecfile_exists(f->store, "spool/1-a"));
    assert_true(wh_vecfile_exists(f->store, "spool/2-b"));
    assert_ok(wh_spool_clean(f->store, NULL));
    assert_ok(wh_spool_bytes(f->store, &bytes));
    assert_int_equal(bytes, 0);
    assert_true(wh_vecfile_exists(f->store, "model/2"));
}

/* ---- Backup ---- */

static void backup_opens_as_a_store(void **state)
{
    fixture *f = *state;
    char *to = test_dir("backup");
    wh_vecfile *file;
    uint8_t out[3];
    set(f->store, "a", "1");
    assert_ok(wh_vecfile_create(&file, f->store, "model/5", 3));
    assert_ok(wh_vecfile_write(file, "xyz", 3, 0));
    assert_ok(wh_store_begin(f->store));
    assert_int_equal(wh_store_backup(f->store, to), WHIST_E_STATE);
    wh_store_rollback(f->store);
    assert_ok(wh_store_backup(f->store, to));
    assert_int_equal(wh_store_backup(f->store, to), WHIST_E_STATE); /* not empty */
    wh_vecfile_close(file);
    set(f->store, "a", "2");

    wh_store *copy;
    assert_int_equal(wh_store_open(&copy, to, study_b), WHIST_E_STATE);
    assert_ok(wh_store_open(&copy, to, study_a));
    assert_value(copy, "a", "1");
    assert_ok(wh_vecfile_open(&file, copy, "model/5"));
    assert_ok(wh_vecfile_read(file, out, 3, 0));
    assert_memory_equal(out, "xyz", 3);
    wh_vecfile_close(file);
    set(copy, "a", "3");
    wh_store_close(copy);
    assert_ok(wh_tree_remove(to));
    test_dir_free(to);
}

/* ---- Folders: disk only ---- */

static void path_in(char out[4096], const char *dir, const char *name)
{
    assert_true(snprintf(out, 4096, "%s/%s", dir, name) < 4096);
}

static void one_owner_at_a_time(void **state)
{
    fixture *f = *state;
    char pid[32];
    int status;
    snprintf(pid, sizeof pid, "process %d:", (int)getpid());
    wh_store *second;
    assert_int_equal(wh_store_open(&second, f->dir, study_a), WHIST_E_STATE);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool right = wh_store_open(&second, f->dir, study_a) == WHIST_E_STATE &&
                     strstr(whist_detail_get()->text, pid) && strstr(whist_detail_get()->text, f->dir);
        _exit(right ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    again(f); /* a closed store can be opened */
}

static void belongs_to_one_study(void **state)
{
    fixture *f = *state;
    wh_store_close(f->store);
    f->store = NULL;
    wh_store *second;
    assert_int_equal(wh_store_open(&second, f->dir, study_b), WHIST_E_STATE);
    assert_ok(wh_store_open(&f->store, f->dir, NULL));
    WH_AUTO(wh_buf) study = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_get(f->store, "study", &study, &found));
    assert_true(found);
    assert_memory_equal(study.data, study_a, 32);
}

static void reads_beside_a_writer(void **state)
{
    fixture *f = *state;
    wh_store *reader;
    set(f->store, "a", "1");
    assert_ok(wh_store_open_readonly(&reader, f->dir));
    assert_value(reader, "a", "1");
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_set(f->store, "a", text("2")));
    assert_value(reader, "a", "1");
    assert_ok(wh_store_commit(f->store));
    assert_value(reader, "a", "2");

    assert_ok(wh_store_begin(reader)); /* one look for several reads */
    assert_value(reader, "a", "2");
    set(f->store, "a", "3");
    assert_value(reader, "a", "2");
    assert_int_equal(wh_store_set(reader, "a", text("4")), WHIST_E_STATE);
    assert_ok(wh_store_commit(reader));
    assert_value(reader, "a", "3");

    wh_vecfile *file;
    uint64_t bytes;
    assert_int_equal(wh_vecfile_create(&file, reader, "spool/x", 1), WHIST_E_STATE);
    assert_int_equal(wh_vecfile_remove(reader, "spool/x"), WHIST_E_STATE);
    make_file(f->store, "spool/x", 77);
    assert_ok(wh_spool_bytes(reader, &bytes));
    assert_int_equal(bytes, 77);
    wh_store_close(reader);

    wh_store_close(f->store); /* nobody owns it now */
    f->store = NULL;
    assert_ok(wh_store_open_readonly(&reader, f->dir));
    assert_value(reader, "a", "3");
    wh_store_close(reader);
    char none[4096];
    path_in(none, f->dir, "model");
    assert_int_equal(wh_store_open_readonly(&reader, none), WHIST_E_STATE);
}

typedef struct writing {
    wh_store *store;
    bool stop; /* atomic */
    bool failed;
} writing;

/* Makes model/N and then names it, removes model/N-1 after that: as a coordinator does. */
static void *write_on(void *user)
{
    writing *w = user;
    for (uint8_t n = 1; !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) && !w->failed && n < 250; n++) {
        char name[16], before[16];
        wh_vecfile *file = NULL;
        snprintf(name, sizeof name, "model/%d", n);
        snprintf(before, sizeof before, "model/%d", n - 1);
        whist_status status = wh_vecfile_create(&file, w->store, name, 1);
        if (status == WHIST_OK) status = wh_vecfile_write(file, &n, 1, 0);
        if (status == WHIST_OK) status = wh_vecfile_sync(file);
        wh_vecfile_close(file);
        if (status == WHIST_OK) status = wh_store_begin(w->store);
        if (status == WHIST_OK) status = wh_store_set(w->store, "n", (whist_bytes){&n, 1});
        if (status == WHIST_OK) status = wh_store_commit(w->store);
        if (status == WHIST_OK) status = wh_vecfile_remove(w->store, before);
        w->failed = status != WHIST_OK;
    }
    return NULL;
}

/* The file that the copied database names is in the copy. */
static void assert_whole(const char *dir)
{
    wh_store *copy;
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_open(&copy, dir, study_a));
    assert_ok(wh_store_get(copy, "n", &value, &found));
    if (found) {
        char name[16];
        uint8_t byte;
        wh_vecfile *file;
        snprintf(name, sizeof name, "model/%d", value.data[0]);
        assert_ok(wh_vecfile_open(&file, copy, name));
        assert_ok(wh_vecfile_read(file, &byte, 1, 0));
        assert_int_equal(byte, value.data[0]);
        wh_vecfile_close(file);
    }
    wh_store_close(copy);
}

static void backup_while_writing(void **state)
{
    fixture *f = *state;
    writing w = {f->store, false, false};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    char *to = test_dir("backup");
    wh_store *reader;
    assert_ok(wh_store_open_readonly(&reader, f->dir));
    for (int i = 0; i < 6; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d", to, i);
        whist_status status = wh_store_backup(i % 2 ? reader : f->store, path);
        /* Beside a writer without pause the reader may have to give up; it says so. */
        if (i % 2 && status == WHIST_E_TIMEOUT) {
            wh_store *unfinished;
            assert_int_equal(wh_store_open(&unfinished, path, study_a), WHIST_E_STATE);
            continue;
        }
        assert_ok(status);
        assert_whole(path);
    }
    __atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_false(w.failed);
    char path[4096];
    path_in(path, to, "quiet");
    assert_ok(wh_store_backup(reader, path));
    assert_whole(path);
    wh_store_close(reader);
    assert_ok(wh_tree_remove(to));
    test_dir_free(to);
}

static void refuses_damage(void **state)
{
    fixture *f = *state;
    char path[4096], junk[4096];
    memset(junk, 0x5a, sizeof junk);
    path_in(path, f->dir, "whist.db");
    wh_store *second;

    wh_store_close(f->store);
    f->store = NULL;
    WH_AUTO(wh_fd) fd = -1;
    assert_ok(wh_open(&fd, path, O_RDWR, 0));
    assert_ok(wh_write_at(fd, junk, sizeof junk, 8192)); /* a page in the middle */
    assert_int_equal(wh_store_open(&second, f->dir, study_a), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "restore"));
    assert_ok(wh_write_at(fd, junk, sizeof junk, 0)); /* the head */
    assert_int_equal(wh_store_open(&second, f->dir, study_a), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, f->dir));
    assert_int_equal(wh_store_open_readonly(&second, f->dir), WHIST_E_FORMAT);
}

/* ---- Schemas ---- */

/* Schema 1 as it was released. It never changes: a difference here asks for a migration, not for an edit. */
static const char schema_1[] =
    "index:messages_to answers(step,phase,sent,has_upload,manifest,messages) arrivals(step,phase,actor,answer,at_ms) "
    "log(seq,record) machines(step,actor,state) messages(step,phase,sender,number,receiver,body) meta(key,value) "
    "metrics(round,site,fold,name,num,den,n) "
    "steps(step,round,purpose,phase,state,opened_ms,deadline_ms,cohort) ";

static void describe(wh_store *store, wh_buf *out)
{
    static const char sql[] =
        "SELECT 'index:' || name, 1, name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL UNION ALL "
        "SELECT s.name || '(' || group_concat(c.name) || ')', 2, s.name FROM sqlite_schema s,"
        " pragma_table_info(s.name) c WHERE s.type = 'table' GROUP BY s.name ORDER BY 2, 3";
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        assert_ok(wh_buf_text(out, "%s ", (const char *)sqlite3_column_text(stmt, 0)));
    sqlite3_finalize(stmt);
}

static void schema_is_as_released(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    describe(f->store, &seen);
    assert_string_equal(wh_buf_str(&seen), schema_1);
}

/* The machinery, with made-up migrations on a store of schema 1 that has rows. */
static void migrates_in_one_transaction(void **state)
{
    fixture *f = *state;
    unsigned schema;
    set(f->store, "a", "1");
    static const char *const broken[] = {NULL, "CREATE TABLE extra(x); INSERT INTO extra SELECT value FROM meta;",
                                         "INSERT INTO nowhere VALUES(1);"};
    assert_int_not_equal(wh_store_migrate(f->store, broken, 3), WHIST_OK);
    assert_ok(wh_store_schema(f->store, &schema));
    assert_int_equal(schema, 1);
    WH_AUTO(wh_buf) seen = WH_BUF_EMPTY;
    describe(f->store, &seen);
    assert_string_equal(wh_buf_str(&seen), schema_1);

    static const char *const good[] = {NULL, "ALTER TABLE meta ADD COLUMN at INTEGER NOT NULL DEFAULT 7;",
                                       "UPDATE meta SET at = at + 1;"};
    assert_ok(wh_store_migrate(f->store, good, 3));
    assert_ok(wh_store_schema(f->store, &schema));
    assert_int_equal(schema, 3);
    int64_t at;
    assert_ok(wh_store_number(f->store, "SELECT at FROM meta WHERE key = 'a'", &at));
    assert_int_equal(at, 8);
    assert_value(f->store, "a", "1");
    assert_ok(wh_store_migrate(f->store, good, 3)); /* nothing to do */

    /* A store of the future, for this version. */
    assert_int_equal(wh_store_migrate(f->store, wh_store_migrations, WH_STORE_SCHEMA), WHIST_E_UNSUPPORTED);
    if (!f->on_disk) return;
    wh_store_close(f->store);
    f->store = NULL;
    wh_store *second;
    assert_int_equal(wh_store_open(&second, f->dir, study_a), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "newer version"));
    assert_int_equal(wh_store_open_readonly(&second, f->dir), WHIST_E_UNSUPPORTED);
}

static void refuses_other_databases(void **state)
{
    fixture *f = *state;
    assert_ok(wh_store_exec(f->store, "PRAGMA application_id = 5", "test"));
    wh_store_close(f->store);
    f->store = NULL;
    wh_store *second;
    assert_int_equal(wh_store_open(&second, f->dir, study_a), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "another program"));
}

/* Every request for memory fails once in turn; nothing leaks, and the store stays as it was. */
static void survives_lack_of_memory(void **state)
{
    fixture *f = *state;
    wh_step_row row = {.step = 1, .cohort = (uint8_t[]){1}, .n_sites = 1};
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_step_put(f->store, &row));
    assert_ok(wh_store_commit(f->store));
    for (uint64_t n = 1;; n++) {
        WH_AUTO(wh_step_row) got = {0};
        bool found;
        wh_vecfile *file = NULL;
        wh_alloc_fail_after(n);
        whist_status status = wh_store_step_last(f->store, &got, &found);
        if (status == WHIST_OK) status = wh_vecfile_create(&file, f->store, "spool/m", 10);
        if (status == WHIST_OK) status = wh_spool_clean(f->store, NULL);
        wh_alloc_fail_after(0);
        wh_vecfile_close(file);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_true(n < 100);
    }
    uint64_t bytes;
    assert_ok(wh_spool_bytes(f->store, &bytes));
    assert_int_equal(bytes, 0);
}

#define MEMORY(f)                                                                                                      \
    {                                                                                                                  \
#f " (memory)", f, set_up, tear_down, NULL                                                                     \
    }
#define DISK(f)                                                                                                        \
    {                                                                                                                  \
#f " (disk)", f, set_up, tear_down, (void *)&on_disk                                                           \
    }
#define BOTH(f) MEMORY(f), DISK(f)

int main(void)
{
    static bool on_disk = true;
    const struct CMUnitTest tests[] = {
        BOTH(keeps_committed_only),
        BOTH(refuses_wrong_moments),
        BOTH(refuses_numbers_beyond_63_bits),
        BOTH(other_threads_wait),
        BOTH(transactions_take_turns),
        BOTH(keeps_steps),
        BOTH(arrivals_count_once),
        BOTH(messages_reach_their_readers),
        BOTH(listings_nest_and_stop),
        BOTH(forgets_old_steps),
        BOTH(answers_are_made_once),
        BOTH(log_only_grows),
        BOTH(files_keep_bytes),
        BOTH(files_stay_inside),
        BOTH(manifests_follow_writes),
        BOTH(spool_is_counted_and_cleaned),
        BOTH(backup_opens_as_a_store),
        BOTH(schema_is_as_released),
        BOTH(migrates_in_one_transaction),
        BOTH(survives_lack_of_memory),
        DISK(one_owner_at_a_time),
        DISK(belongs_to_one_study),
        DISK(reads_beside_a_writer),
        DISK(backup_while_writing),
        DISK(refuses_damage),
        DISK(refuses_other_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
