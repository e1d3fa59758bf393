/* fed/store_test.c: transactions, rows and vector files, by the same tests in memory and on disk. */
#include "fed/store_test.h"

#include <unistd.h>

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
                                const whist_metric_value *sum)
{
    return wh_buf_text(user, "%d/%s/%d/%s=%g:%g:%g ", (int)round, site, (int)fold, name, sum->num, sum->den, sum->n);
}

static void forgets_old_steps(void **state)
{
    fixture *f = *state;
    wh_digest one = {{1}};
    bool first, same, found;
    whist_metric_value sum = {1, 2, 3}, bad = {0, 0. / 0., 0};
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

int main(void)
{
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
        BOTH(survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
