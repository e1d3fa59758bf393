/* fed/store_backup.c: a consistent copy of a store while it is in use.
 *
 * Files are written before the transaction that names them and removed after the one that no longer
 * does. So while no transaction ends, every file that the database names is there, whole. The owner
 * of the store holds its transactions back during the copy. A reader beside a running process cannot:
 * it copies, and begins again where something was committed meanwhile.
 *
 * The database comes last and under another name until it is synced: an unfinished copy is never
 * mistaken for a store. */
#include "fed/store_db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MAX_TRIES = 20 };

typedef struct copying {
    wh_store *store;
    const char *to_dir;
} copying;

static whist_status copy_content(wh_vecfile *from, int to, const char *path)
{
    WH_AUTO(wh_owned) piece = NULL;
    WH_TRY(wh_alloc_raw(&piece, PIECE, 1));
    uint64_t bytes = wh_vecfile_bytes(from);
    for (uint64_t at = 0; at < bytes;) {
        size_t len = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        WH_TRY(wh_vecfile_read(from, piece, len, at));
        whist_status status = wh_write_at(to, piece, len, at);
        if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
        at += len;
    }
    return WHIST_OK;
}

static whist_status copy_one(void *user, const char *name)
{
    copying *copy = user;
    wh_vecfile *from;
    whist_status status = wh_vecfile_open(&from, copy->store, name);
    if (status != WHIST_OK) {
        /* Gone since it was listed: then no transaction names it any more. Or being replaced: once more. */
        if (!wh_vecfile_exists(copy->store, name)) return WHIST_OK;
        WH_TRY(wh_vecfile_open(&from, copy->store, name));
    }
    char *path = NULL;
    WH_AUTO(wh_fd) to = -1;
    status = wh_path(&path, copy->to_dir, "%s", name);
    if (status == WHIST_OK) status = wh_open(&to, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (status == WHIST_OK) status = copy_content(from, to, path);
    if (status == WHIST_OK) status = wh_sync(to);
    wh_free(path);
    wh_vecfile_close(from);
    return status;
}

static whist_status copy_folder(copying *copy, const char *folder)
{
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(wh_path(&path, copy->to_dir, "%s", folder));
    WH_TRY(wh_tree_remove(path)); /* of an earlier try */
    WH_TRY(wh_make_dirs(path));
    WH_TRY(wh_vecfile_each(copy->store, folder, copy_one, copy));
    return wh_dir_sync(path);
}

static whist_status copy_database(copying *copy, const char *path)
{
    WH_TRY(wh_file_remove(path));
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDWR | O_CREAT | O_EXCL, 0600));
    sqlite3 *to = NULL;
    int code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, wh_store_vfs());
    sqlite3_backup *backup = code == SQLITE_OK ? sqlite3_backup_init(to, "main", copy->store->db, "main") : NULL;
    if (backup) {
        code = sqlite3_backup_step(backup, -1);
        int ended = sqlite3_backup_finish(backup);
        if (code == SQLITE_DONE) code = ended;
    } else if (code == SQLITE_OK) {
        code = sqlite3_errcode(to);
    }
    int closed = sqlite3_close(to);
    if (code == SQLITE_OK) code = closed;
    if (code != SQLITE_OK)
        return wh_fail_context(wh_store_fail(copy->store, code, "copy whist.db"), "backup to %s: ", copy->to_dir);
    return wh_sync(fd);
}

/* data_version changes whenever another connection commits. */
static whist_status copy_once(copying *copy, const char *database, bool *steady)
{
    int64_t before, after;
    WH_TRY(wh_store_number(copy->store, "PRAGMA data_version", &before));
    WH_TRY(copy_folder(copy, "model"));
    WH_TRY(copy_folder(copy, "state"));
    WH_TRY(copy_folder(copy, "spool"));
    WH_TRY(copy_database(copy, database));
    WH_TRY(wh_store_number(copy->store, "PRAGMA data_version", &after));
    *steady = before == after;
    return WHIST_OK;
}

static whist_status copy_all(copying *copy)
{
    WH_AUTO(wh_store_path) part = NULL;
    WH_AUTO(wh_store_path) final = NULL;
    WH_TRY(wh_path(&part, copy->to_dir, "whist.db.part"));
    WH_TRY(wh_path(&final, copy->to_dir, "whist.db"));
    /* Stands from the beginning, so that a copy which a crash cut short is known for one. */
    WH_TRY(wh_file_write(part, (whist_bytes){NULL, 0}, 0600));
    bool steady = false;
    for (int i = 0; i < MAX_TRIES && !steady; i++) WH_TRY(copy_once(copy, part, &steady));
    if (!steady)
        WH_FAIL(WHIST_E_TIMEOUT, "%s changes faster than it can be copied: take the backup between two rounds",
                copy->store->dir);
    WH_TRY(wh_dir_sync(copy->to_dir));
    wh_durable_point("backup");
    if (rename(part, final) != 0) return wh_fail_errno(errno, final, "put in place");
    WH_TRY(wh_dir_sync(copy->to_dir));
    wh_durable_point("backed up");
    return WHIST_OK;
}

static whist_status check_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
    closedir(dir);
    if (!empty) WH_FAIL(WHIST_E_STATE, "%s is not empty: choose a new folder for the backup", path);
    return WHIST_OK;
}

whist_status wh_store_backup(wh_store *store, const char *to_dir)
{
    WH_TRY(wh_make_dirs(to_dir));
    WH_TRY(check_empty(to_dir));
    copying copy = {store, to_dir};
    pthread_mutex_lock(&store->lock);
    whist_status status = store->in_transaction
                              ? wh_fail(WHIST_E_STATE, __FILE__, __LINE__, "a backup inside a transaction")
                              : copy_all(&copy);
    pthread_mutex_unlock(&store->lock);
    return status;
}
