/* fed/store_db.h: what the files of the store share: the object, its statements, its lock.
 *
 * One SQLite connection serves all threads under one recursive lock. A transaction holds the lock from
 * begin to its end, so a reader on another thread waits and never sees half a transaction, and a
 * thread that has the lock while `in_transaction` stands is the one that began it.
 *
 * Lock order: wh_store.lock, then wh_store.files_lock. */
#ifndef WH_FED_STORE_DB_H
#define WH_FED_STORE_DB_H

#include "fed/store.h"

#include <pthread.h>
#include <sqlite3.h>

/* Every statement of the store; the texts stand in store_db.c in this order. */
typedef enum wh_sql {
    WH_SQL_BEGIN_WRITE,
    WH_SQL_BEGIN_READ,
    WH_SQL_COMMIT,
    WH_SQL_META_SET,
    WH_SQL_META_GET,
    WH_SQL_STEP_PUT,
    WH_SQL_STEP_GET,
    WH_SQL_STEP_LAST,
    WH_SQL_ARRIVAL_PUT,
    WH_SQL_ARRIVAL_GET,
    WH_SQL_ARRIVALS,
    WH_SQL_MESSAGE_PUT,
    WH_SQL_MESSAGES,
    WH_SQL_FORGET_ARRIVALS,
    WH_SQL_FORGET_MESSAGES,
    WH_SQL_FORGET_MACHINES,
    WH_SQL_FORGET_ANSWERS,
    WH_SQL_MACHINE_PUT,
    WH_SQL_MACHINE_GET,
    WH_SQL_METRIC_PUT,
    WH_SQL_METRICS,
    WH_SQL_METRICS_END,
    WH_SQL_ANSWER_PUT,
    WH_SQL_ANSWER_GET,
    WH_SQL_ANSWER_SENT,
    WH_SQL_LOG_PUT,
    WH_SQL_LOG_EACH,
    WH_SQL_COUNT
} wh_sql;

struct wh_store {
    char *dir; /* NULL in memory */
    bool readonly;
    bool shared;   /* several processes write; the folder has no owner */
    wh_fd lock_fd; /* DIR/lock, -1 where none is held */
    wh_fd turn_fd; /* shared: DIR/turn, -1 in memory */

    pthread_mutex_t lock; /* recursive; guards the next five */
    sqlite3 *db;
    sqlite3_stmt *cached[WH_SQL_COUNT];
    bool taken[WH_SQL_COUNT]; /* the cached statement is in use: a nested call prepares its own */
    bool in_transaction;
    bool broken; /* a statement of the transaction failed: only a rollback helps */

    pthread_mutex_t files_lock; /* guards the next two, and the counters of the memory files */
    void *files;                /* in memory: tree of memory files by name (tsearch) */
    uint64_t spool_bytes;       /* of all spool files */
};

typedef char *wh_store_path; /* WH_AUTO(wh_store_path): freed at the end of the block */
static inline void wh_store_path_end_(wh_store_path *path)
{
    wh_free(*path);
}

/* ---- store_db.c ---- */
extern const char *const wh_store_migrations[WH_STORE_SCHEMA]; /* [v] brings schema v to v + 1 */

/* The VFS to open a database with; NULL is the usual one. */
const char *wh_store_vfs(void);
/* Settings of a fresh connection. */
WH_MUST_CHECK whist_status wh_store_configure(wh_store *store);
/* Brings the database to schema n, in one transaction; refuses newer ones and foreign databases. */
WH_MUST_CHECK whist_status wh_store_migrate(wh_store *store, const char *const *migrations, unsigned n);
/* PRAGMA user_version. */
WH_MUST_CHECK whist_status wh_store_schema(wh_store *store, unsigned *out);
/* The one number of a one-row statement, not cached. */
WH_MUST_CHECK whist_status wh_store_number(wh_store *store, const char *sql, int64_t *out);
/* One statement text without results, not cached. */
WH_MUST_CHECK whist_status wh_store_exec(wh_store *store, const char *sql, const char *doing);
/* Turns an SQLite code of failure into a status and a text that names the folder and the fix. */
whist_status wh_store_fail(wh_store *store, int code, const char *doing);

/* A statement in use: holds the lock of the store until given back. */
typedef struct wh_stmt {
    wh_store *store; /* NULL: not taken */
    sqlite3_stmt *stmt;
    wh_sql sql;
    bool spare; /* not the cached one */
    int code;   /* first failure of a bind */
} wh_stmt;
#define WH_STMT_EMPTY                                                                                                  \
    {                                                                                                                  \
        NULL, NULL, WH_SQL_COUNT, false, 0                                                                             \
    }
WH_MUST_CHECK whist_status wh_stmt_take(wh_stmt *out, wh_store *store, wh_sql sql);
/* The same for statements that change something: WHIST_E_STATE outside a transaction. */
WH_MUST_CHECK whist_status wh_stmt_take_write(wh_stmt *out, wh_store *store, wh_sql sql);
void wh_stmt_give(wh_stmt *stmt);
WH_AUTO_CLEAR(wh_stmt, wh_stmt_give)

/* Parameters count from 1 and must live until the statement is given back. A failure is kept and comes
 * out of the next call. */
void wh_stmt_u64(wh_stmt *stmt, int at, uint64_t value); /* up to 2^63 - 1 */
void wh_stmt_i64(wh_stmt *stmt, int at, int64_t value);
void wh_stmt_real(wh_stmt *stmt, int at, double value);
void wh_stmt_text(wh_stmt *stmt, int at, const char *value);
void wh_stmt_blob(wh_stmt *stmt, int at, whist_bytes value);
void wh_stmt_null(wh_stmt *stmt, int at);

/* Next row of a result; *row is false behind the last. */
WH_MUST_CHECK whist_status wh_stmt_next(wh_stmt *stmt, bool *row);
/* A statement without result; *changed (may be NULL) tells whether a row came or changed. WHIST_E_STATE
 * where its key is taken already. */
WH_MUST_CHECK whist_status wh_stmt_run(wh_stmt *stmt, bool *changed);

/* Columns count from 0; pointers live until the next row. */
WH_MUST_CHECK whist_status wh_column_u64(const wh_stmt *stmt, int at, uint64_t max, uint64_t *out);
whist_bytes wh_column_blob(const wh_stmt *stmt, int at);
WH_MUST_CHECK whist_status wh_column_digest(const wh_stmt *stmt, int at, wh_digest *out);
const char *wh_column_text(const wh_stmt *stmt, int at); /* never NULL */

/* ---- store_lock.c ---- */
/* Takes DIR/lock for this process. WHIST_E_STATE naming the process that has it. */
WH_MUST_CHECK whist_status wh_store_lock(wh_fd *out, const char *dir);
/* Of a shared store: DIR/turn, to wait in. Nothing happens to stores without one. */
WH_MUST_CHECK whist_status wh_store_turn_open(wh_fd *out, const char *dir);
WH_MUST_CHECK whist_status wh_store_turn_take(wh_store *store);
void wh_store_turn_give(wh_store *store);

/* ---- vecfile.c ---- */
void wh_vecfiles_clear(wh_store *store); /* memory files, at the end of the store */
WH_MUST_CHECK whist_status wh_spool_count(wh_store *store);
typedef whist_status wh_vecfile_name_fn(void *user, const char *name);
/* Every file of `folder` ("model", "state", "spool"), as "folder/name". */
WH_MUST_CHECK whist_status wh_vecfile_each(wh_store *store, const char *folder, wh_vecfile_name_fn *fn, void *user);

/* ---- store_fault.c, test builds only ---- */
#ifdef WH_TEST_HOOKS
/* WHIST_TEST_DISK_FULL_AFTER=N: N writes succeed (of the database and of vector files alike), every later
 * one finds the disk full. */
bool wh_fault_disk_full(void);  /* counts one write and tells its fate */
void wh_fault_reset(void);      /* starts to count again */
uint64_t wh_fault_writes(void); /* so far */
const char *wh_fault_vfs(void); /* name of the VFS to open the database with; NULL: the usual one */
#endif

#endif
