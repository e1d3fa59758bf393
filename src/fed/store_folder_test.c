/* fed/store_folder_test.c: a store as a folder: owners, readers, backups, damage, schemas. */
#include "fed/store_test.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t study_b[32] = {9};

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

static void *set_to_3(void *user)
{
    set(user, "a", "3");
    return NULL;
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
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, set_to_3, f->store), 0);
    pthread_join(thread, NULL);
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
    wh_digest digest;
    char hex[65];
    wh_sha256_of(&digest, wh_store_migrations[0], strlen(wh_store_migrations[0]));
    wh_digest_hex(hex, &digest);
    assert_string_equal(hex,
                        "237d8ad1f1464aae9d35eb42054d7af6c70697092b7114d9e66323f6021d22d3"); /* types and keys too */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(backup_opens_as_a_store), BOTH(schema_is_as_released), BOTH(migrates_in_one_transaction),
        DISK(one_owner_at_a_time),     DISK(belongs_to_one_study),  DISK(reads_beside_a_writer),
        DISK(backup_while_writing),    DISK(refuses_damage),        DISK(refuses_other_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
