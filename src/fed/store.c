/* fed/store.c: opening a store, its transactions, its small values. */
#include "fed/store_db.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_TRIES = 100 };

static whist_status new_store(wh_store **out, const char *dir)
{
    wh_store *store;
    WH_TRY(WH_NEW(&store, 1));
    store->lock_fd = store->turn_fd = -1;
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&store->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&store->files_lock, NULL);
    whist_status status = dir ? wh_strdup(&store->dir, dir) : WHIST_OK;
    if (status != WHIST_OK) {
        wh_store_close(store);
        return status;
    }
    *out = store;
    return WHIST_OK;
}

void wh_store_close(wh_store *store)
{
    if (!store) return;
    wh_store_rollback(store);
    for (size_t i = 0; i < WH_SQL_COUNT; i++) sqlite3_finalize(store->cached[i]);
    sqlite3_close(store->db);
    wh_vecfiles_clear(store);
    wh_fd_close(&store->turn_fd);
    wh_fd_close(&store->lock_fd); /* after the database: the next owner finds it closed */
    pthread_mutex_destroy(&store->lock);
    pthread_mutex_destroy(&store->files_lock);
    wh_free(store->dir);
    wh_free(store);
}

const char *wh_store_dir(const wh_store *store)
{
    return store->dir;
}

/* ---- Opening ---- */

static whist_status open_database(wh_store *store, const char *path, int flags)
{
    int code = sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX, wh_store_vfs());
    if (code == SQLITE_OK) return WHIST_OK;
    whist_status status = wh_store_fail(store, code, "open whist.db");
    sqlite3_close(store->db);
    store->db = NULL;
    return status;
}

/* A new database file gets its mode here; SQLite gives its companions the same. An existing one is not
 * touched: closing a second descriptor would drop the locks of a connection in this process. */
static whist_status make_private(const char *path)
{
    if (wh_file_exists(path)) return WHIST_OK;
    WH_AUTO(wh_fd) fd = -1;
    return wh_open(&fd, path, O_RDWR | O_CREAT, 0600);
}

static whist_status make_folder(const char *dir)
{
    static const char *const parts[] = {"model", "state", "spool"};
    for (size_t i = 0; i < WH_COUNT(parts); i++) {
        WH_AUTO(wh_store_path) path = NULL;
        WH_TRY(wh_path(&path, dir, "%s", parts[i]));
        WH_TRY(wh_make_dirs(path));
    }
    return wh_dir_sync(dir);
}

static whist_status open_folder(wh_store *store)
{
    WH_TRY(wh_make_dirs(store->dir));
    WH_TRY(store->shared ? wh_store_turn_open(&store->turn_fd, store->dir)
                         : wh_store_lock(&store->lock_fd, store->dir));
    WH_AUTO(wh_store_path) part = NULL;
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(wh_path(&part, store->dir, "whist.db.part"));
    if (wh_file_exists(part))
        WH_FAIL(WHIST_E_STATE, "%s is a backup that was never finished: remove it and take another", store->dir);
    WH_TRY(store->shared ? wh_dir_sync(store->dir) : make_folder(store->dir));
    WH_TRY(wh_path(&path, store->dir, "whist.db"));
    WH_TRY(make_private(path));
    WH_TRY(open_database(store, path, SQLITE_OPEN_READWRITE));
    return store->shared ? WHIST_OK : wh_spool_count(store);
}

static whist_status check_with(wh_store *store, const char *pragma)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, pragma, -1, &stmt, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    bool sound = text && strcmp(text, "ok") == 0;
    sqlite3_finalize(stmt);
    if (sound) return WHIST_OK;
    return wh_store_fail(store, code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_CORRUPT : code, "check whist.db");
}

/* A damaged page is better found at the start than in the middle of a round. What a shared store keeps for machines
 * (answers of millions of cells) is looked at when it is asked for: whoever opens it for a small thing would read all
 * of it. */
static whist_status check_database(wh_store *store)
{
    if (!store->shared) return check_with(store, "PRAGMA quick_check(1)");
    WH_TRY(check_with(store, "PRAGMA quick_check(meta)"));
    return check_with(store, "PRAGMA quick_check(log)");
}

static whist_status bind_study(wh_store *store, const uint8_t study[32])
{
    WH_AUTO(wh_buf) known = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, "study", &known, &found));
    if (found && known.len == 32 && memcmp(known.data, study, 32) == 0) return WHIST_OK;
    if (found)
        WH_FAIL(WHIST_E_STATE, "%s belongs to another study: choose another folder, or the study file it began with",
                store->dir ? store->dir : "the store");
    WH_TRY(wh_store_begin(store));
    whist_status status = wh_store_set(store, "study", (whist_bytes){study, 32});
    if (status == WHIST_OK) return wh_store_commit(store);
    wh_store_rollback(store);
    return status;
}

static whist_status start(wh_store *store, const uint8_t *study)
{
    WH_TRY(store->dir ? open_folder(store)
                      : open_database(store, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    WH_TRY(wh_store_configure(store));
    WH_TRY(wh_store_migrate(store, wh_store_migrations, WH_STORE_SCHEMA));
    if (store->dir) WH_TRY(check_database(store));
    return study ? bind_study(store, study) : WHIST_OK;
}

static whist_status open_store(wh_store **out, const char *dir, const uint8_t *study, bool shared)
{
    wh_store *store;
    WH_TRY(new_store(&store, dir));
    store->shared = shared;
    whist_status status = start(store, study);
    if (status != WHIST_OK) {
        wh_store_close(store);
        return status;
    }
    *out = store;
    return WHIST_OK;
}

whist_status wh_store_open(wh_store **out, const char *dir, const uint8_t study[32])
{
    WH_ENSURE(out, WHIST_E_ARG);
    return open_store(out, dir, study, false);
}

whist_status wh_store_open_shared(wh_store **out, const char *dir)
{
    WH_ENSURE(out, WHIST_E_ARG);
    /* Two that begin the same database get in each other's way where SQLite does not wait by itself. */
    whist_status status = open_store(out, dir, NULL, true);
    for (int i = 0; status == WHIST_E_TIMEOUT && i < OPEN_TRIES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
        status = open_store(out, dir, NULL, true);
    }
    return status;
}

/* "file:PATH?immutable=1" with the bytes escaped that mean something in a URI. */
static whist_status immutable_uri(wh_buf *out, const char *path)
{
    WH_TRY(wh_buf_text(out, "file:"));
    for (const char *c = path; *c; c++) {
        if (*c == '%' || *c == '?' || *c == '#')
            WH_TRY(wh_buf_text(out, "%%%02x", (unsigned char)*c));
        else
            WH_TRY(wh_buf_add(out, c, 1));
    }
    return wh_buf_text(out, "?immutable=1");
}

static whist_status look_at(wh_store *store, const char *path, int flags, unsigned *schema)
{
    WH_TRY(open_database(store, path, SQLITE_OPEN_READONLY | flags));
    WH_TRY(wh_store_configure(store));
    return wh_store_schema(store, schema);
}

/* A reader beside a writer needs the shared-memory file, which cannot be made on a read-only disk;
 * there nobody writes, so the database may be taken as it lies. */
static whist_status open_to_read(wh_store *store)
{
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(wh_path(&path, store->dir, "whist.db"));
    if (!wh_file_exists(path)) WH_FAIL(WHIST_E_STATE, "nothing was ever stored in %s: no whist.db there", store->dir);
    unsigned schema;
    whist_status status = look_at(store, path, 0, &schema);
    if (status == WHIST_E_IO && access(store->dir, W_OK) != 0) {
        WH_AUTO(wh_buf) uri = WH_BUF_EMPTY;
        WH_TRY(immutable_uri(&uri, path));
        sqlite3_close(store->db);
        store->db = NULL;
        status = look_at(store, wh_buf_str(&uri), SQLITE_OPEN_URI, &schema);
    }
    WH_TRY(status);
    if (schema == WH_STORE_SCHEMA) return WHIST_OK;
    if (schema == 0)
        WH_FAIL(WHIST_E_STATE, "nothing was ever stored in %s: its whist.db was begun and not finished", store->dir);
    WH_FAIL(WHIST_E_UNSUPPORTED, "%s has schema %u, this version of whist reads %d: %s", store->dir, schema,
            WH_STORE_SCHEMA,
            schema > WH_STORE_SCHEMA ? "use the newer version" : "start it once with this version to bring it up");
}

whist_status wh_store_open_readonly(wh_store **out, const char *dir)
{
    WH_ENSURE(out && dir, WHIST_E_ARG);
    wh_store *store;
    WH_TRY(new_store(&store, dir));
    store->readonly = true;
    whist_status status = open_to_read(store);
    if (status != WHIST_OK) {
        wh_store_close(store);
        return status;
    }
    *out = store;
    return WHIST_OK;
}

/* ---- Transactions ---- */

static whist_status run(wh_store *store, wh_sql sql)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, sql));
    return wh_stmt_run(&stmt, NULL);
}

whist_status wh_store_begin(wh_store *store)
{
    pthread_mutex_lock(&store->lock);
    if (store->in_transaction) {
        pthread_mutex_unlock(&store->lock);
        WH_FAIL(WHIST_E_STATE, "this thread has a transaction open already");
    }
    whist_status status = wh_store_turn_take(store);
    if (status == WHIST_OK) status = run(store, store->readonly ? WH_SQL_BEGIN_READ : WH_SQL_BEGIN_WRITE);
    if (status != WHIST_OK) {
        wh_store_turn_give(store);
        pthread_mutex_unlock(&store->lock);
        return status;
    }
    store->in_transaction = true;
    store->broken = false;
    return WHIST_OK; /* with the lock */
}

/* Ends the transaction of this thread and gives back the lock that begin took. */
static void end(wh_store *store)
{
    /* SQLite may have rolled back by itself after a full disk. */
    if (!sqlite3_get_autocommit(store->db)) (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store->in_transaction = false;
    store->broken = false;
    wh_store_turn_give(store);
    pthread_mutex_unlock(&store->lock);
}

static whist_status commit_locked(wh_store *store)
{
    if (!store->in_transaction) WH_FAIL(WHIST_E_STATE, "nothing to commit: this thread has no transaction open");
    whist_status status = WHIST_OK;
    if (store->broken) {
        status = wh_fail(WHIST_E_STATE, __FILE__, __LINE__, "the transaction failed before and was rolled back");
    } else {
        if (store->dir && !store->readonly) wh_durable_point("commit");
        status = run(store, WH_SQL_COMMIT);
        if (status == WHIST_OK && store->dir && !store->readonly) wh_durable_point("committed");
    }
    end(store);
    return status;
}

whist_status wh_store_commit(wh_store *store)
{
    pthread_mutex_lock(&store->lock);
    whist_status status = commit_locked(store);
    pthread_mutex_unlock(&store->lock);
    return status;
}

void wh_store_rollback(wh_store *store)
{
    pthread_mutex_lock(&store->lock);
    if (store->in_transaction) end(store);
    pthread_mutex_unlock(&store->lock);
}

/* ---- Small values ---- */

whist_status wh_store_set(wh_store *store, const char *key, whist_bytes value)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_META_SET));
    wh_stmt_text(&stmt, 1, key);
    wh_stmt_blob(&stmt, 2, value);
    return wh_stmt_run(&stmt, NULL);
}

whist_status wh_store_get(wh_store *store, const char *key, wh_buf *out, bool *found)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_META_GET));
    wh_stmt_text(&stmt, 1, key);
    bool row;
    WH_TRY(wh_stmt_next(&stmt, &row));
    if (row) {
        whist_bytes value = wh_column_blob(&stmt, 0);
        WH_TRY(wh_buf_add(out, value.data, value.len));
    }
    *found = row;
    return WHIST_OK;
}
