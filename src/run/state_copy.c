/* run/state_copy.c: backup and restore of a state folder, one store after the other.
 *
 *   coordinator   STATE/whist.db …                  one store
 *   site          STATE/studies/STUDY/whist.db …    one for each study
 *   both          STATE/ledger/DATASET/whist.db     privacy ledgers. An older copy of one is refused by its peers,
 * which is no reason to lose it
 *   site          STATE/recipient.pem               the key that models are sealed to, byte by byte: encrypted where it
 * is. It is made here and exists nowhere else, and without it nothing that was sealed to the site opens again
 *
 * Each store is copied consistently by itself (wh_store_backup); studies do not depend on each other. */
#include "base/file.h"
#include "fed/store.h"
#include "run/sealed.h"

#include <whist/run.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PATH = 4096, MAX_KEY = 1 << 16 };

static whist_status join(char out[MAX_PATH], const char *folder, const char *name)
{
    if (snprintf(out, MAX_PATH, "%s/%s", folder, name) >= MAX_PATH)
        WH_FAIL(WHIST_E_RANGE, "path too long under %.200s", folder);
    return WHIST_OK;
}

static whist_status has(bool *out, const char *folder, const char *name)
{
    char path[MAX_PATH];
    WH_TRY(join(path, folder, name));
    *out = wh_file_exists(path);
    return WHIST_OK;
}

static whist_status copy_store(const char *from, const char *to)
{
    wh_store *store;
    WH_TRY(wh_store_open_readonly(&store, from));
    whist_status status = wh_store_backup(store, to);
    wh_store_close(store);
    return status;
}

/* Opening looks at the database for damage. */
static whist_status open_and_close(const char *folder)
{
    wh_store *store;
    WH_TRY(wh_store_open(&store, folder, NULL));
    wh_store_close(store);
    return WHIST_OK;
}

typedef struct copying {
    const char *from, *to;
    size_t n; /* stores copied */
} copying;

static whist_status copy_below(copying *c, const char *folder, const char *name)
{
    char from[MAX_PATH], to[MAX_PATH], below[300];
    bool is_store;
    if (snprintf(below, sizeof below, "%s/%.255s", folder, name) < 0) return WHIST_E_ARG;
    WH_TRY(join(from, c->from, below));
    WH_TRY(join(to, c->to, below));
    WH_TRY(has(&is_store, from, "whist.db"));
    if (!is_store) return WHIST_OK;
    WH_TRY(copy_store(from, to));
    c->n++;
    return WHIST_OK;
}

static whist_status copy_each(copying *c, const char *folder)
{
    char path[MAX_PATH];
    WH_TRY(join(path, c->from, folder));
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    whist_status status = WHIST_OK;
    for (struct dirent *entry; status == WHIST_OK && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') status = copy_below(c, folder, entry->d_name);
    closedir(dir);
    return status;
}

static whist_status copy_key(const char *from_folder, const char *to_folder)
{
    char from[MAX_PATH], to[MAX_PATH];
    WH_AUTO(wh_buf) key = WH_BUF_EMPTY; /* wiped */
    WH_TRY(join(from, from_folder, WH_SEAL_KEY));
    WH_TRY(join(to, to_folder, WH_SEAL_KEY));
    if (!wh_file_exists(from)) return WHIST_OK;
    WH_TRY(wh_file_read(&key, from, MAX_KEY));
    return wh_file_write(to, wh_buf_view(&key), 0600);
}

static whist_status check_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
    closedir(dir);
    if (!empty) WH_FAIL(WHIST_E_STATE, "%s is not empty: choose a new folder", path);
    return WHIST_OK;
}

static whist_status copy_all(const char *from, const char *to)
{
    bool one, several, ledgers, key;
    copying c = {from, to, 0};
    WH_TRY(has(&one, from, "whist.db"));
    WH_TRY(has(&several, from, "studies"));
    WH_TRY(has(&ledgers, from, "ledger"));
    WH_TRY(has(&key, from, WH_SEAL_KEY));
    if (!one && !several && !key)
        WH_FAIL(WHIST_E_STATE,
                "%s holds no state: neither whist.db (coordinator) nor studies/ or " WH_SEAL_KEY " (site)", from);
    WH_TRY(wh_make_dirs(to));
    WH_TRY(check_empty(to));
    if (one) WH_TRY(copy_store(from, to));
    if (!one && several) WH_TRY(copy_each(&c, "studies"));
    if (!one && !key && !c.n) WH_FAIL(WHIST_E_STATE, "%s/studies holds no study", from);
    if (!one) WH_TRY(copy_key(from, to));
    return ledgers ? copy_each(&c, "ledger") : WHIST_OK;
}

whist_status whist_state_backup(const char *state, const char *to)
{
    WH_ENSURE(state && to, WHIST_E_ARG);
    return copy_all(state, to);
}

/* ---- Restoring ---- */

static whist_status open_each(const char *state)
{
    char path[MAX_PATH], study[MAX_PATH];
    WH_TRY(join(path, state, "studies"));
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    whist_status status = WHIST_OK;
    for (struct dirent *entry; status == WHIST_OK && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        status = join(study, path, entry->d_name);
        if (status == WHIST_OK) status = open_and_close(study);
    }
    closedir(dir);
    return status;
}

whist_status whist_state_restore(const char *backup, const char *state)
{
    WH_ENSURE(backup && state, WHIST_E_ARG);
    bool one, several;
    WH_TRY(copy_all(backup, state));
    WH_TRY(has(&one, state, "whist.db"));
    WH_TRY(has(&several, state, "studies"));
    if (one) return open_and_close(state);
    return several ? open_each(state) : WHIST_OK;
}
