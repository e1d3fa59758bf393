/* fed/store_db.c: SQLite under the store: schema, statements, error texts.
 *
 * Statements are prepared once and kept. Whatever comes back from the database is checked like bytes
 * from outside, because a file can be damaged or edited. */
#include "fed/store_db.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    BUSY_MS = 5000,
    MAX_VALUE = 256 << 20,    /* bytes of one row: machines and manifests stay far below */
    APPLICATION = 0x57485354, /* "WHST", tells our databases from others */
};

/* Tables with short rows live inside their key; bodies and states stay in ordinary tables, where long
 * rows cost less. A released schema never changes: what is new becomes the next migration. */
const char *const wh_store_migrations[WH_STORE_SCHEMA] = {
    "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE steps(step INTEGER PRIMARY KEY, round INTEGER NOT NULL, purpose INTEGER NOT NULL,"
    " phase INTEGER NOT NULL, state INTEGER NOT NULL, opened_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL,"
    " cohort BLOB NOT NULL);"
    "CREATE TABLE arrivals(step INTEGER NOT NULL, phase INTEGER NOT NULL, actor TEXT NOT NULL, answer BLOB NOT NULL,"
    " at_ms INTEGER NOT NULL, PRIMARY KEY(step, phase, actor)) WITHOUT ROWID;"
    "CREATE TABLE messages(step INTEGER NOT NULL, phase INTEGER NOT NULL, sender TEXT NOT NULL,"
    " number INTEGER NOT NULL, receiver TEXT NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY(step, phase, sender, number));"
    "CREATE INDEX messages_to ON messages(step, phase, receiver, sender, number);"
    "CREATE TABLE machines(step INTEGER NOT NULL, actor TEXT NOT NULL, state BLOB NOT NULL,"
    " PRIMARY KEY(step, actor));"
    "CREATE TABLE metrics(round INTEGER NOT NULL, site TEXT NOT NULL, fold INTEGER NOT NULL, name TEXT NOT NULL,"
    " num REAL NOT NULL, den REAL NOT NULL, n REAL NOT NULL, PRIMARY KEY(round, site, fold, name)) WITHOUT ROWID;"
    "CREATE TABLE answers(step INTEGER NOT NULL, phase INTEGER NOT NULL, sent INTEGER NOT NULL,"
    " has_upload INTEGER NOT NULL, manifest BLOB, messages BLOB NOT NULL, PRIMARY KEY(step, phase));"
    "CREATE TABLE log(seq INTEGER PRIMARY KEY, record BLOB NOT NULL);",
};

static const char *const texts[WH_SQL_COUNT] = {
    [WH_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [WH_SQL_BEGIN_READ] = "BEGIN",
    [WH_SQL_COMMIT] = "COMMIT",
    [WH_SQL_META_SET] = "INSERT INTO meta VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
    [WH_SQL_META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [WH_SQL_STEP_PUT] = "INSERT OR REPLACE INTO steps VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [WH_SQL_STEP_GET] = "SELECT * FROM steps WHERE step = ?1",
    [WH_SQL_STEP_LAST] = "SELECT * FROM steps ORDER BY step DESC LIMIT 1",
    [WH_SQL_ARRIVAL_PUT] = "INSERT OR IGNORE INTO arrivals VALUES(?1, ?2, ?3, ?4, ?5)",
    [WH_SQL_ARRIVAL_GET] = "SELECT answer FROM arrivals WHERE step = ?1 AND phase = ?2 AND actor = ?3",
    [WH_SQL_ARRIVALS] = "SELECT actor, answer FROM arrivals WHERE step = ?1 AND phase = ?2 ORDER BY actor",
    [WH_SQL_MESSAGE_PUT] = "INSERT OR IGNORE INTO messages VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    /* Two walks along the index messages_to, merged: an OR would read every message of the phase. */
    [WH_SQL_MESSAGES] = "SELECT sender, receiver, body, number FROM messages WHERE step = ?1 AND phase = ?2"
                        " AND receiver = ?3 UNION ALL SELECT sender, receiver, body, number FROM messages"
                        " WHERE step = ?1 AND phase = ?2 AND receiver = '*' AND ?3 <> '*' AND sender <> ?3"
                        " ORDER BY 1, 4",
    [WH_SQL_FORGET_ARRIVALS] = "DELETE FROM arrivals WHERE step < ?1",
    [WH_SQL_FORGET_MESSAGES] = "DELETE FROM messages WHERE step < ?1",
    [WH_SQL_FORGET_MACHINES] = "DELETE FROM machines WHERE step < ?1",
    [WH_SQL_FORGET_ANSWERS] = ("UPDATE answers SET has_upload = 0, manifest = NULL, messages = x''"
                               " WHERE step < ?1 AND sent = 1 AND (has_upload = 1 OR messages <> x'')"),
    [WH_SQL_MACHINE_PUT] = "INSERT INTO machines VALUES(?1, ?2, ?3) ON CONFLICT(step, actor) DO UPDATE SET state = ?3",
    [WH_SQL_MACHINE_GET] = "SELECT state FROM machines WHERE step = ?1 AND actor = ?2",
    [WH_SQL_METRIC_PUT] = "INSERT OR REPLACE INTO metrics VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [WH_SQL_METRICS] = "SELECT * FROM metrics ORDER BY round, site, fold, name",
    [WH_SQL_METRICS_END] = ("SELECT COALESCE(MAX(round), 0), COUNT(*) FROM metrics"
                            " WHERE round = (SELECT MAX(round) FROM metrics)"),
    [WH_SQL_ANSWER_PUT] = "INSERT INTO answers VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [WH_SQL_ANSWER_GET] = "SELECT sent, has_upload, manifest, messages FROM answers WHERE step = ?1 AND phase = ?2",
    [WH_SQL_ANSWER_SENT] = "UPDATE answers SET sent = 1 WHERE step = ?1 AND phase = ?2",
    [WH_SQL_LOG_PUT] = "INSERT INTO log VALUES(?1, ?2)",
    [WH_SQL_LOG_EACH] = "SELECT seq, record FROM log WHERE seq >= ?1 ORDER BY seq",
};

/* ---- Failures ---- */

static const char *place(const wh_store *store)
{
    return store->dir ? store->dir : "the store in memory";
}

/* What the person in front of it can do. */
static const char *fix_of(int code, int system_error)
{
    switch (code & 0xff) {
    case SQLITE_FULL: return "the disk is full or the file-size limit (ulimit -f) met: free some space there";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return "whist.db is damaged: restore the folder from a backup";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another program holds whist.db open: close it (fuser names it) and try again";
    case SQLITE_PROTOCOL: /* its companions beside it cannot be made or locked */
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
        return "check that the folder exists, is not on a read-only disk, and that this user may write to it";
    case SQLITE_IOERR:
        if (system_error == EFBIG) return "the file-size limit is too small: raise it (ulimit -f)";
        if (system_error == ENOSPC || system_error == EDQUOT) return "the disk is full: free some space there";
        return "the disk failed or the file-size limit (ulimit -f) is met: look into the system log";
    default: return "";
    }
}

static whist_status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return WHIST_OK;
    case SQLITE_NOMEM: return WHIST_E_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return WHIST_E_FORMAT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return WHIST_E_TIMEOUT;
    case SQLITE_TOOBIG:
    case SQLITE_RANGE: return WHIST_E_RANGE;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE: return WHIST_E_STATE;
    default: return WHIST_E_IO;
    }
}

whist_status wh_store_fail(wh_store *store, int code, const char *doing)
{
    const char *fix = fix_of(code, store->db ? sqlite3_system_errno(store->db) : 0);
    WH_FAIL(status_of(code), "cannot %s in %s: %s%s%s", doing, place(store), sqlite3_errstr(code), *fix ? ": " : "",
            fix);
}

/* A failure of a statement. One that could have ended the transaction behind our back makes it broken:
 * what followed would otherwise be stored piece by piece. */
static whist_status stmt_fail(const wh_stmt *stmt, int code)
{
    wh_store *store = stmt->store;
    if ((code & 0xff) != SQLITE_CONSTRAINT && (code & 0xff) != SQLITE_RANGE) store->broken = store->in_transaction;
    return wh_store_fail(store, code, sqlite3_stmt_readonly(stmt->stmt) ? "read" : "write");
}

/* ---- Statements ---- */

static whist_status prepare(wh_store *store, wh_sql sql, sqlite3_stmt **out)
{
    int code = sqlite3_prepare_v3(store->db, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (code != SQLITE_OK) return wh_store_fail(store, code, "work");
    return WHIST_OK;
}

static whist_status take_locked(wh_stmt *out, wh_store *store, wh_sql sql)
{
    wh_stmt stmt = {store, NULL, sql, store->taken[sql], SQLITE_OK};
    if (stmt.spare) {
        WH_TRY(prepare(store, sql, &stmt.stmt));
    } else {
        if (!store->cached[sql]) WH_TRY(prepare(store, sql, &store->cached[sql]));
        stmt.stmt = store->cached[sql];
        store->taken[sql] = true;
    }
    *out = stmt;
    return WHIST_OK;
}

whist_status wh_stmt_take(wh_stmt *out, wh_store *store, wh_sql sql)
{
    pthread_mutex_lock(&store->lock);
    whist_status status = take_locked(out, store, sql);
    if (status != WHIST_OK) pthread_mutex_unlock(&store->lock);
    return status;
}

static whist_status check_write(const wh_store *store)
{
    if (store->readonly) WH_FAIL(WHIST_E_STATE, "%s was opened for reading only", place(store));
    if (!store->in_transaction) WH_FAIL(WHIST_E_STATE, "a write to the store outside a transaction");
    if (store->broken) WH_FAIL(WHIST_E_STATE, "the transaction failed before: roll it back");
    return WHIST_OK;
}

whist_status wh_stmt_take_write(wh_stmt *out, wh_store *store, wh_sql sql)
{
    pthread_mutex_lock(&store->lock);
    whist_status status = check_write(store);
    if (status == WHIST_OK) status = take_locked(out, store, sql);
    if (status != WHIST_OK) pthread_mutex_unlock(&store->lock);
    return status;
}

void wh_stmt_give(wh_stmt *stmt)
{
    wh_store *store = stmt->store;
    if (!store) return;
    if (stmt->spare) {
        sqlite3_finalize(stmt->stmt);
    } else {
        sqlite3_reset(stmt->stmt);
        sqlite3_clear_bindings(stmt->stmt);
        store->taken[stmt->sql] = false;
    }
    stmt->store = NULL;
    pthread_mutex_unlock(&store->lock);
}

static void keep(wh_stmt *stmt, int code)
{
    if (stmt->code == SQLITE_OK) stmt->code = code;
}

void wh_stmt_i64(wh_stmt *stmt, int at, int64_t value)
{
    keep(stmt, sqlite3_bind_int64(stmt->stmt, at, value));
}

void wh_stmt_u64(wh_stmt *stmt, int at, uint64_t value)
{
    if (value > INT64_MAX)
        keep(stmt, SQLITE_RANGE);
    else
        wh_stmt_i64(stmt, at, (int64_t)value);
}

void wh_stmt_real(wh_stmt *stmt, int at, double value)
{
    keep(stmt, sqlite3_bind_double(stmt->stmt, at, value));
}

void wh_stmt_text(wh_stmt *stmt, int at, const char *value)
{
    keep(stmt, sqlite3_bind_text(stmt->stmt, at, value, -1, SQLITE_STATIC));
}

void wh_stmt_blob(wh_stmt *stmt, int at, whist_bytes value)
{
    /* A NULL pointer would mean NULL, not "no bytes". */
    keep(stmt,
         sqlite3_bind_blob64(stmt->stmt, at, value.data ? value.data : (const uint8_t *)"", value.len, SQLITE_STATIC));
}

void wh_stmt_null(wh_stmt *stmt, int at)
{
    keep(stmt, sqlite3_bind_null(stmt->stmt, at));
}

whist_status wh_stmt_next(wh_stmt *stmt, bool *row)
{
    if (stmt->code != SQLITE_OK) return stmt_fail(stmt, stmt->code);
    int code = sqlite3_step(stmt->stmt);
    if (code != SQLITE_ROW && code != SQLITE_DONE) return stmt_fail(stmt, code);
    *row = code == SQLITE_ROW;
    return WHIST_OK;
}

whist_status wh_stmt_run(wh_stmt *stmt, bool *changed)
{
    bool row;
    WH_TRY(wh_stmt_next(stmt, &row));
    if (changed) *changed = sqlite3_changes(stmt->store->db) > 0;
    return WHIST_OK;
}

static whist_status damaged(const wh_stmt *stmt)
{
    WH_FAIL(WHIST_E_FORMAT, "%s holds a value that cannot be: whist.db is damaged: restore the folder from a backup",
            place(stmt->store));
}

whist_status wh_column_u64(const wh_stmt *stmt, int at, uint64_t max, uint64_t *out)
{
    if (sqlite3_column_type(stmt->stmt, at) != SQLITE_INTEGER) return damaged(stmt);
    int64_t value = sqlite3_column_int64(stmt->stmt, at);
    if (value < 0 || (uint64_t)value > max) return damaged(stmt);
    *out = (uint64_t)value;
    return WHIST_OK;
}

whist_bytes wh_column_blob(const wh_stmt *stmt, int at)
{
    const uint8_t *data = sqlite3_column_blob(stmt->stmt, at);
    return (whist_bytes){data, data ? (size_t)sqlite3_column_bytes(stmt->stmt, at) : 0};
}

whist_status wh_column_digest(const wh_stmt *stmt, int at, wh_digest *out)
{
    whist_bytes bytes = wh_column_blob(stmt, at);
    if (bytes.len != sizeof out->bytes) return damaged(stmt);
    memcpy(out->bytes, bytes.data, sizeof out->bytes);
    return WHIST_OK;
}

const char *wh_column_text(const wh_stmt *stmt, int at)
{
    const unsigned char *text = sqlite3_column_text(stmt->stmt, at);
    return text ? (const char *)text : "";
}

/* ---- Connection and schema ---- */

whist_status wh_store_exec(wh_store *store, const char *sql, const char *doing)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? WHIST_OK : wh_store_fail(store, code, doing);
}

const char *wh_store_vfs(void)
{
#ifdef WH_TEST_HOOKS
    return wh_fault_vfs();
#else
    return NULL;
#endif
}

whist_status wh_store_configure(wh_store *store)
{
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, MAX_VALUE);
    WH_TRY(wh_store_exec(store,
                         "PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                         "PRAGMA temp_store = MEMORY",
                         "start"));
    if (!store->dir || store->readonly) return WHIST_OK;
    /* Saved machines hold keys: what is deleted is also overwritten. */
    return wh_store_exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON",
                         "start");
}

whist_status wh_store_number(wh_store *store, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(stmt);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    if (code != SQLITE_ROW) return wh_store_fail(store, code == SQLITE_DONE ? SQLITE_CORRUPT : code, "read");
    *out = value;
    return WHIST_OK;
}

whist_status wh_store_schema(wh_store *store, unsigned *out)
{
    int64_t version = 0, application = 0, tables = 0;
    WH_TRY(wh_store_number(store, "PRAGMA user_version", &version));
    WH_TRY(wh_store_number(store, "PRAGMA application_id", &application));
    WH_TRY(wh_store_number(store, "SELECT count(*) FROM sqlite_schema", &tables));
    if (version < 0 || (application != APPLICATION && tables > 0))
        WH_FAIL(WHIST_E_FORMAT, "%s/whist.db is a database of another program: choose another folder", place(store));
    *out = (unsigned)version;
    return WHIST_OK;
}

static whist_status migrate_open(wh_store *store, const char *const *migrations, unsigned from, unsigned to)
{
    for (unsigned v = from; v < to; v++) WH_TRY(wh_store_exec(store, migrations[v], "bring the schema up to date"));
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %u; PRAGMA application_id = %d", to, APPLICATION);
    WH_TRY(wh_store_exec(store, sql, "bring the schema up to date"));
    wh_durable_point("migrate");
    WH_TRY(wh_store_exec(store, "COMMIT", "bring the schema up to date"));
    wh_durable_point("migrated");
    return WHIST_OK;
}

whist_status wh_store_migrate(wh_store *store, const char *const *migrations, unsigned n)
{
    unsigned version;
    WH_TRY(wh_store_schema(store, &version));
    if (version > n)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "%s was written by a newer version of whist (schema %u, this one knows %u): use that version",
                place(store), version, n);
    if (version == n) return WHIST_OK;
    WH_TRY(wh_store_exec(store, "BEGIN IMMEDIATE", "bring the schema up to date"));
    whist_status status = wh_store_schema(store, &version); /* another process may have been quicker */
    if (status == WHIST_OK) status = migrate_open(store, migrations, version, n);
    if (status != WHIST_OK) {
        /* The texts of the failure are already written; a rollback that SQLite did itself is no news. */
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    if (version > 0) wh_log(WHIST_LOG_INFO, "store.migrated", "%s: schema %u to %u", place(store), version, n);
    return WHIST_OK;
}
