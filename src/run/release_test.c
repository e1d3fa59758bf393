/* run/release_test.c: the release log through rollback, crash, other keys and tampering. */
#include "run/run_test.h"

#include "run/identity_files.h"
#include "run/release.h"

#include <jansson.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct hospital {
    wh_test_plan t;
    wh_town town;
    wh_citizen site, stranger;
    wh_test_files files, other_files;
    char *dir;
    char study_dir[4096];
    whist_site_run run;
} hospital;

static int set_up(void **state)
{
    static hospital h;
    h = (hospital){.dir = test_dir("release")};
    test_plan_new(&h.t);
    assert_ok(wh_town_new(&h.town, "hearts"));
    assert_ok(wh_citizen_new(&h.site, &h.town, "cleveland", WHIST_CRYPT_SITE, 1, 30));
    assert_ok(wh_citizen_new(&h.stranger, &h.town, "hungary", WHIST_CRYPT_SITE, 1, 30));
    test_files_new(&h.files, h.dir, "site", &h.town, &h.site);
    test_files_new(&h.other_files, h.dir, "other", &h.town, &h.stranger);
    h.run = (whist_site_run){.plan = &h.t.plan, .index = 0, .identity = h.files.files, .state = h.dir};
    assert_ok(whist_site_study_state(h.study_dir, h.dir, h.t.plan.study));
    *state = &h;
    return 0;
}

static int tear_down(void **state)
{
    hospital *h = *state;
    test_files_clear(&h->files);
    test_files_clear(&h->other_files);
    wh_citizen_clear(&h->site);
    wh_citizen_clear(&h->stranger);
    wh_town_clear(&h->town);
    test_plan_clear(&h->t);
    assert_ok(wh_tree_remove(h->dir));
    test_dir_free(h->dir);
    return 0;
}

static wh_store *open_store(hospital *h)
{
    wh_store *store = NULL;
    assert_ok(wh_make_dirs(h->study_dir));
    assert_ok(wh_store_open(&store, h->study_dir, h->t.plan.study));
    return store;
}

/* As a party of that index; the plan's first party has the site's name, so that no data set is needed. */
static whist_status init(wh_release *out, hospital *h, wh_store *store, const whist_crypt_key *key)
{
    h->t.plan.parties = h->t.sites;
    h->t.plan.n_parties = 1;
    return wh_release_init(out, store, &h->run, key);
}

static void note(wh_release *release, uint64_t step, bool commit)
{
    WH_AUTO(wh_task) task = WH_TASK_EMPTY;
    WH_AUTO(wh_manifest) upload = WH_MANIFEST_EMPTY;
    task.step = step;
    task.round = step;
    task.purpose = WHIST_PURPOSE_TRAIN;
    assert_ok(wh_manifest_of_bytes(&upload, wh_text_bytes("protected bytes"), WH_CHUNK_BYTES));
    assert_ok(wh_store_begin(release->store));
    assert_ok(wh_release_note(release, &task, &upload, 2));
    if (commit)
        assert_ok(wh_store_commit(release->store));
    else
        wh_store_rollback(release->store);
}

static whist_status verify(hospital *h, const wh_citizen *as, uint64_t *n)
{
    return whist_site_log(h->study_dir, wh_text_bytes(as->cert), n, NULL, NULL);
}

static void make_log(hospital *h, uint64_t notes)
{
    wh_store *store = open_store(h);
    WH_AUTO(wh_release) release = {0};
    assert_ok(init(&release, h, store, h->site.key));
    for (uint64_t i = 0; i < notes; i++) note(&release, i, true);
    wh_store_close(store);
}

/* ---- */

static whist_status collect(void *user, const whist_log_line *line)
{
    json_t *all = user;
    json_t *body = json_loads(line->body, 0, NULL);
    if (!body) return WHIST_E_FORMAT;
    json_object_set_new(body, "kind", json_string(line->kind));
    json_object_set_new(body, "seq", json_integer((json_int_t)line->seq));
    return json_array_append_new(all, body) == 0 ? WHIST_OK : WHIST_E_NOMEM;
}

static const char *text_at(json_t *all, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(all, i), key));
}

static void entries_say_what_left(void **state)
{
    hospital *h = *state;
    assert_ok(whist_site_approve(&h->run, "Dr. Ada Moser"));
    make_log(h, 2);
    json_t *all = json_array();
    uint64_t n = 0;
    assert_ok(whist_site_log(h->study_dir, wh_text_bytes(h->site.cert), &n, collect, all));
    assert_int_equal(n, 3);
    assert_int_equal(json_array_size(all), 3);
    assert_string_equal(text_at(all, 0, "kind"), "approval");
    assert_string_equal(text_at(all, 0, "person"), "Dr. Ada Moser");
    assert_string_equal(text_at(all, 2, "kind"), "release");
    assert_string_equal(text_at(all, 2, "purpose"), "train");
    assert_string_equal(text_at(all, 2, "phase"), "upload");
    assert_int_equal(strlen(text_at(all, 2, "upload")), 64);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 2), "bytes")), 15);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 2), "messages")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(all, 2), "step")), 1);
    json_decref(all);
}

static whist_status refuse(void *user, const whist_log_line *line)
{
    (void)line;
    return *(whist_status *)user;
}

static void a_failing_receiver_ends_the_walk(void **state)
{
    hospital *h = *state;
    make_log(h, 2);
    whist_status mine = WHIST_E_CANCELLED;
    uint64_t n;
    assert_int_equal(whist_site_log(h->study_dir, wh_text_bytes(h->site.cert), &n, refuse, &mine), WHIST_E_CANCELLED);
}

static void approval_names_a_person(void **state)
{
    hospital *h = *state;
    char person[128] = "?";
    bool approved = true;
    assert_ok(whist_site_approval(&h->run, person, &approved));
    assert_false(approved);
    assert_string_equal(person, "");
    assert_int_equal(whist_site_approve(&h->run, ""), WHIST_E_ARG);
    assert_int_equal(whist_site_approve(&h->run, "a\nb"), WHIST_E_ARG);
    assert_int_equal(whist_site_approve(&h->run, "\xff"), WHIST_E_ARG);
    assert_ok(whist_site_approve(&h->run, "Dr. Ada Moser"));
    assert_ok(whist_site_approve(&h->run, "Prof. Ben Okri"));
    assert_ok(whist_site_approval(&h->run, person, &approved));
    assert_true(approved);
    assert_string_equal(person, "Prof. Ben Okri");
    uint64_t n;
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 2);
}

static void a_rolled_back_entry_leaves_no_trace(void **state)
{
    hospital *h = *state;
    wh_store *store = open_store(h);
    WH_AUTO(wh_release) release = {0};
    assert_ok(init(&release, h, store, h->site.key));
    note(&release, 0, false); /* the very first one too */
    note(&release, 0, true);
    note(&release, 1, false);
    note(&release, 1, false);
    note(&release, 1, true);
    wh_store_close(store);
    uint64_t n;
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 2);
}

static void the_key_may_go_while_the_run_goes_on(void **state)
{
    hospital *h = *state;
    wh_store *store = open_store(h);
    WH_AUTO(wh_release) release = {0};
    WH_AUTO(wh_identity_loaded) identity = {.certificate = WH_BUF_EMPTY};
    assert_ok(wh_identity_load(&identity, &h->files.files));
    assert_ok(init(&release, h, store, identity.key));
    wh_identity_clear(&identity); /* as when certificates are read again */
    note(&release, 0, true);
    wh_store_close(store);
    uint64_t n;
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 1);
}

static void the_chain_goes_on_in_another_process(void **state)
{
    hospital *h = *state;
    make_log(h, 3);
    make_log(h, 2); /* a second life over the same folder */
    uint64_t n;
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 5);
}

static void a_crash_inside_the_transaction_leaves_the_chain_whole(void **state)
{
    hospital *h = *state;
    make_log(h, 2);
    pid_t child = fork();
    if (child == 0) {
        wh_store *store = open_store(h);
        WH_AUTO(wh_release) release = {0};
        WH_AUTO(wh_task) task = WH_TASK_EMPTY;
        if (init(&release, h, store, h->site.key) != WHIST_OK || wh_store_begin(store) != WHIST_OK ||
            wh_release_note(&release, &task, NULL, 0) != WHIST_OK)
            _exit(1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    make_log(h, 1);
    uint64_t n;
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 3);
}

static void another_key_is_refused(void **state)
{
    hospital *h = *state;
    make_log(h, 1);
    uint64_t n = 7;
    assert_int_equal(verify(h, &h->stranger, &n), WHIST_E_AUTH);
    assert_int_equal(n, 0);
    wh_store *store = open_store(h);
    WH_AUTO(wh_release) release = {0};
    assert_int_equal(init(&release, h, store, h->stranger.key), WHIST_E_AUTH);
    assert_says("begun with another key");
    wh_store_close(store);
    memcpy(h->t.sites[0].pin, h->stranger.pin, 32);
    h->t.sites[0].pinned = true;
    assert_int_equal(whist_site_approve(&h->run, "Dr. Ada Moser"), WHIST_E_AUTH);
    assert_says("names another key for cleveland");
}

/* ---- Tampering: straight into the database, as somebody with the disk could. */

static void run_sql(hospital *h, const char *sql, const void *blob, int len)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/whist.db", h->study_dir);
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (blob) assert_int_equal(sqlite3_bind_blob(stmt, 1, blob, len, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static whist_status keep_record(void *user, uint64_t seq, whist_bytes record)
{
    return seq == 1 ? wh_buf_add(user, record.data, record.len) : WHIST_OK;
}

static void every_byte_of_a_record_counts(void **state)
{
    hospital *h = *state;
    make_log(h, 3);
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    wh_store *store = open_store(h);
    assert_ok(wh_store_log_each(store, 0, keep_record, &record));
    wh_store_close(store);
    assert_true(record.len > 200);
    run_sql(h, "PRAGMA synchronous = OFF", NULL, 0);
    for (size_t i = 0; i < record.len; i++) {
        uint64_t n = 99;
        record.data[i] ^= (uint8_t)(1u << i % 8);
        run_sql(h, "UPDATE log SET record = ?1 WHERE seq = 1", record.data, (int)record.len);
        record.data[i] ^= (uint8_t)(1u << i % 8);
        if (verify(h, &h->site, &n) != WHIST_E_AUTH) fail_msg("byte %zu of the record can be changed", i);
        assert_int_equal(n, 1);
        assert_says("entry 1 of the release log");
    }
    run_sql(h, "UPDATE log SET record = ?1 || x'00' WHERE seq = 1", record.data, (int)record.len);
    uint64_t n;
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_AUTH);
    run_sql(h, "UPDATE log SET record = ?1 WHERE seq = 1", record.data, (int)record.len);
    assert_ok(verify(h, &h->site, &n));
}

static void missing_entries_show(void **state)
{
    hospital *h = *state;
    uint64_t n;
    make_log(h, 3);
    run_sql(h, "DELETE FROM log WHERE seq = 2", NULL, 0);
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_AUTH);
    assert_int_equal(n, 2);
    assert_says("entries are missing after 2");
    run_sql(h, "DELETE FROM log WHERE seq = 0", NULL, 0);
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_AUTH);
    assert_says("an entry is missing");
    run_sql(h, "DELETE FROM log", NULL, 0);
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_AUTH);
}

static void a_log_of_another_name_is_refused(void **state)
{
    hospital *h = *state;
    uint64_t n;
    make_log(h, 2);
    run_sql(h, "UPDATE meta SET value = ?1 WHERE key = 'log_site'", "hungary", 7);
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_AUTH);
    assert_int_equal(n, 0);
}

static void an_empty_log_is_good(void **state)
{
    hospital *h = *state;
    uint64_t n = 4;
    assert_int_equal(verify(h, &h->site, &n), WHIST_E_STATE); /* no store */
    wh_store_close(open_store(h));
    assert_ok(verify(h, &h->site, &n));
    assert_int_equal(n, 0);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(entries_say_what_left),
        ROW(a_failing_receiver_ends_the_walk),
        ROW(approval_names_a_person),
        ROW(a_rolled_back_entry_leaves_no_trace),
        ROW(the_key_may_go_while_the_run_goes_on),
        ROW(the_chain_goes_on_in_another_process),
        ROW(a_crash_inside_the_transaction_leaves_the_chain_whole),
        ROW(another_key_is_refused),
        ROW(every_byte_of_a_record_counts),
        ROW(missing_entries_show),
        ROW(a_log_of_another_name_is_refused),
        ROW(an_empty_log_is_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
