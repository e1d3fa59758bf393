/* fed/vecfile.c: large vectors, as files of the store's folder or as named memory.
 *
 * Both forms behave like files: a removed or replaced one lives on for the handles that have it open.
 * The memory form keeps its files in a tree by name and counts their users.
 *
 * On disk the order is: create (space reserved), write …, sync (content, then the folder entry), and only
 * then the transaction that names the file. */
#include "fed/store_db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct memory_file {
    char *name;
    uint8_t *bytes;
    uint64_t len;
    unsigned users; /* handles, and 1 for the tree */
} memory_file;

struct wh_vecfile {
    wh_store *store;
    char *name, *path; /* path NULL in memory */
    uint64_t bytes;
    wh_fd fd;            /* disk */
    wh_fd direct;        /* disk: the same past the page cache; -1: not asked for, or not to be had */
    bool entry_synced;   /* disk: the folder knows the file durably */
    memory_file *memory; /* memory */
    bool has_manifest;
    wh_manifest manifest; /* of the content as it is */
};

/* ---- Names ---- */

/* "model/x", "state/x" or "spool/x": one level, nothing hidden, nothing that climbs out. */
static whist_status check_name(const char *name)
{
    static const char *const folders[] = {"model/", "state/", "spool/"};
    for (size_t i = 0; i < WH_COUNT(folders); i++) {
        size_t len = strlen(folders[i]);
        if (strncmp(name, folders[i], len) != 0) continue;
        const char *rest = name + len;
        if (*rest && *rest != '.' && !strchr(rest, '/') && strlen(rest) <= NAME_MAX) return WHIST_OK;
    }
    WH_FAIL(WHIST_E_ARG, "\"%s\" is no name of a stored file: model/NAME, state/NAME or spool/NAME", name);
}

static bool in_spool(const char *name)
{
    return strncmp(name, "spool/", 6) == 0;
}

static void count_spool(wh_store *store, const char *name, uint64_t added, uint64_t taken)
{
    if (!in_spool(name)) return;
    pthread_mutex_lock(&store->files_lock);
    store->spool_bytes += added;
    store->spool_bytes -= taken < store->spool_bytes ? taken : store->spool_bytes;
    pthread_mutex_unlock(&store->files_lock);
}

static bool disk_full(void)
{
#ifdef WH_TEST_HOOKS
    return wh_fault_disk_full();
#else
    return false;
#endif
}

/* ---- Memory files (callers hold files_lock) ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const memory_file *)a)->name, ((const memory_file *)b)->name);
}

static memory_file *memory_find(wh_store *store, const char *name)
{
    char key_name[NAME_MAX + 16];
    snprintf(key_name, sizeof key_name, "%s", name);
    memory_file key = {.name = key_name};
    memory_file **node = tfind(&key, &store->files, by_name);
    return node ? *node : NULL;
}

static void memory_drop(memory_file *file)
{
    if (--file->users > 0) return;
    wh_free(file->bytes);
    wh_free(file->name);
    wh_free(file);
}

static void memory_remove(wh_store *store, const char *name)
{
    memory_file *file = memory_find(store, name);
    if (!file) return;
    tdelete(file, &store->files, by_name);
    if (in_spool(name)) store->spool_bytes -= file->len;
    memory_drop(file);
}

static whist_status memory_new(memory_file **out, const char *name, uint64_t bytes)
{
    memory_file *file;
    WH_TRY(WH_NEW(&file, 1));
    file->users = 1;
    file->len = bytes;
    whist_status status = bytes > SIZE_MAX ? WHIST_E_NOMEM : wh_alloc((void **)&file->bytes, (size_t)bytes, 1);
    if (status == WHIST_OK) status = wh_strdup(&file->name, name);
    if (status == WHIST_OK)
        *out = file;
    else
        memory_drop(file);
    return status;
}

static whist_status memory_create(wh_vecfile *file)
{
    memory_file *memory;
    WH_TRY(memory_new(&memory, file->name, file->bytes));
    wh_store *store = file->store;
    pthread_mutex_lock(&store->files_lock);
    memory_remove(store, file->name);
    bool kept = tsearch(memory, &store->files, by_name) != NULL;
    if (kept) {
        memory->users++;
        if (in_spool(file->name)) store->spool_bytes += memory->len;
        file->memory = memory;
    } else {
        memory_drop(memory);
    }
    pthread_mutex_unlock(&store->files_lock);
    if (!kept) WH_FAIL(WHIST_E_NOMEM, "no memory for the name of a stored file");
    return WHIST_OK;
}

static whist_status memory_open(wh_vecfile *file)
{
    wh_store *store = file->store;
    pthread_mutex_lock(&store->files_lock);
    memory_file *memory = memory_find(store, file->name);
    if (memory) memory->users++;
    pthread_mutex_unlock(&store->files_lock);
    if (!memory) WH_FAIL(WHIST_E_IO, "cannot read %s: it is not in the store", file->name);
    file->memory = memory;
    file->bytes = memory->len;
    return WHIST_OK;
}

static void free_node(void *node)
{
    memory_drop(node);
}

void wh_vecfiles_clear(wh_store *store)
{
    tdestroy(store->files, free_node);
    store->files = NULL;
}

/* ---- Disk files ---- */

static whist_status in_folder(char **out, const wh_store *store, const char *name)
{
    return wh_path(out, store->dir, "%s", name);
}

/* Reserves the space, so that a full disk shows before the work, not after it. File systems that cannot
 * reserve get the length only. */
static whist_status reserve(wh_vecfile *file)
{
    if (disk_full()) return wh_fail_errno(ENOSPC, file->path, "make");
    if (file->bytes > INT64_MAX) return wh_fail_errno(EFBIG, file->path, "make");
    if (file->bytes == 0) return WHIST_OK;
    int result;
    do result = fallocate(file->fd, 0, 0, (off_t)file->bytes);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EOPNOTSUPP) result = ftruncate(file->fd, (off_t)file->bytes);
    return result == 0 ? WHIST_OK : wh_fail_errno(errno, file->path, "make");
}

static whist_status disk_create(wh_vecfile *file)
{
    WH_TRY(wh_vecfile_remove(file->store, file->name));
    wh_durable_point("create file");
    WH_TRY(wh_open(&file->fd, file->path, O_RDWR | O_CREAT | O_EXCL, 0600));
    whist_status status = reserve(file);
    if (status != WHIST_OK) {
        unlink(file->path);
        return status;
    }
    count_spool(file->store, file->name, file->bytes, 0);
    wh_durable_point("created file");
    return WHIST_OK;
}

static whist_status disk_open(wh_vecfile *file)
{
    WH_TRY(wh_open(&file->fd, file->path, file->store->readonly ? O_RDONLY : O_RDWR, 0));
    struct stat st;
    if (fstat(file->fd, &st) != 0) return wh_fail_errno(errno, file->path, "look at");
    file->bytes = (uint64_t)st.st_size;
    return WHIST_OK;
}

/* ---- Both ---- */

void wh_vecfile_close(wh_vecfile *file)
{
    if (!file) return;
    if (file->memory) {
        pthread_mutex_lock(&file->store->files_lock);
        memory_drop(file->memory);
        pthread_mutex_unlock(&file->store->files_lock);
    }
    wh_fd_close(&file->fd);
    wh_fd_close(&file->direct);
    wh_manifest_clear(&file->manifest);
    wh_free(file->path);
    wh_free(file->name);
    wh_free(file);
}

static whist_status new_handle(wh_vecfile **out, wh_store *store, const char *name)
{
    WH_TRY(check_name(name));
    wh_vecfile *file;
    WH_TRY(WH_NEW(&file, 1));
    file->store = store;
    file->fd = file->direct = -1;
    whist_status status = wh_strdup(&file->name, name);
    if (status == WHIST_OK && store->dir) status = in_folder(&file->path, store, name);
    if (status == WHIST_OK)
        *out = file;
    else
        wh_vecfile_close(file);
    return status;
}

whist_status wh_vecfile_create(wh_vecfile **out, wh_store *store, const char *name, uint64_t bytes)
{
    if (store->readonly) WH_FAIL(WHIST_E_STATE, "%s was opened for reading only", store->dir);
    wh_vecfile *file;
    WH_TRY(new_handle(&file, store, name));
    file->bytes = bytes;
    whist_status status = store->dir ? disk_create(file) : memory_create(file);
    if (status == WHIST_OK)
        *out = file;
    else
        wh_vecfile_close(file);
    return status;
}

whist_status wh_vecfile_open(wh_vecfile **out, wh_store *store, const char *name)
{
    wh_vecfile *file;
    WH_TRY(new_handle(&file, store, name));
    whist_status status = store->dir ? disk_open(file) : memory_open(file);
    if (status == WHIST_OK)
        *out = file;
    else
        wh_vecfile_close(file);
    return status;
}

bool wh_vecfile_exists(wh_store *store, const char *name)
{
    if (check_name(name) != WHIST_OK) return false;
    if (!store->dir) {
        pthread_mutex_lock(&store->files_lock);
        bool found = memory_find(store, name) != NULL;
        pthread_mutex_unlock(&store->files_lock);
        return found;
    }
    char *path = NULL;
    bool found = in_folder(&path, store, name) == WHIST_OK && wh_file_exists(path);
    wh_free(path);
    return found;
}

uint64_t wh_vecfile_bytes(const wh_vecfile *file)
{
    return file->bytes;
}

const uint8_t *wh_vecfile_view(const wh_vecfile *file)
{
    return file->memory ? file->memory->bytes : NULL;
}

static whist_status check_range(const wh_vecfile *file, size_t len, uint64_t offset)
{
    WH_ENSURE(offset <= file->bytes && len <= file->bytes - offset, WHIST_E_RANGE);
    return WHIST_OK;
}

whist_status wh_vecfile_read(const wh_vecfile *file, void *out, size_t len, uint64_t offset)
{
    WH_TRY(check_range(file, len, offset));
    if (len == 0) return WHIST_OK;
    if (file->memory) {
        memcpy(out, file->memory->bytes + offset, len);
        return WHIST_OK;
    }
    whist_status status = wh_read_at(file->fd, out, len, offset);
    return status == WHIST_OK ? status : wh_fail_context(status, "%s: ", file->path);
}

void wh_vecfile_go_direct(wh_vecfile *file)
{
    if (file->memory || file->direct >= 0) return;
    file->direct = open(file->path, O_RDWR | O_CLOEXEC | O_DIRECT); /* EINVAL where the file system cannot */
}

/* The disk takes whole pages from whole pages of memory. False where it does not take these. */
static bool write_direct(const wh_vecfile *file, const void *bytes, size_t len, uint64_t offset)
{
    enum { PAGE = 4096 };
    if (file->direct < 0 || len % PAGE || offset % PAGE) return false;
    void *memory;
    if (wh_alloc_raw(&memory, len + PAGE, 1) != WHIST_OK) return false;
    uint8_t *aligned = (uint8_t *)memory + (PAGE - (uintptr_t)memory % PAGE) % PAGE;
    memcpy(aligned, bytes, len);
    ssize_t n;
    do n = pwrite(file->direct, aligned, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    wh_free(memory);
    return n == (ssize_t)len;
}

bool wh_vecfile_read_pages(const wh_vecfile *file, void *to, size_t len, uint64_t offset, size_t *got)
{
    if (file->direct < 0 || offset >= file->bytes) return false;
    ssize_t n;
    do n = pread(file->direct, to, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    return n > 0;
}

whist_status wh_vecfile_write(wh_vecfile *file, const void *bytes, size_t len, uint64_t offset)
{
    WH_TRY(check_range(file, len, offset));
    if (len == 0) return WHIST_OK;
    file->has_manifest = false;
    if (file->memory) {
        memcpy(file->memory->bytes + offset, bytes, len);
        return WHIST_OK;
    }
    if (disk_full()) return wh_fail_errno(ENOSPC, file->path, "write");
    if (write_direct(file, bytes, len, offset)) return WHIST_OK;
    whist_status status = wh_write_at(file->fd, bytes, len, offset);
    return status == WHIST_OK ? status : wh_fail_context(status, "%s: ", file->path);
}

static whist_status sync_folder_of(const wh_vecfile *file)
{
    WH_AUTO(wh_store_path) folder = NULL;
    WH_TRY(wh_path(&folder, file->store->dir, "%.5s", file->name)); /* every folder name has five letters */
    WH_TRY(wh_dir_sync(folder));
    wh_durable_point("synced folder");
    return WHIST_OK;
}

whist_status wh_vecfile_sync(wh_vecfile *file)
{
    if (file->memory) return WHIST_OK;
    whist_status status = wh_sync(file->fd);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", file->path);
    if (!file->entry_synced) WH_TRY(sync_folder_of(file));
    file->entry_synced = true;
    return WHIST_OK;
}

static whist_status hash(const wh_vecfile *file, wh_manifest *out, uint32_t chunk_bytes)
{
    if (file->memory)
        return wh_manifest_of_bytes(out, (whist_bytes){file->memory->bytes, (size_t)file->bytes}, chunk_bytes);
    whist_status status = wh_manifest_of_file(out, file->fd, file->bytes, chunk_bytes);
    return status == WHIST_OK ? status : wh_fail_context(status, "%s: ", file->path);
}

whist_status wh_vecfile_manifest(wh_vecfile *file, wh_manifest *out, uint32_t chunk_bytes)
{
    if (!file->has_manifest || file->manifest.chunk_bytes != chunk_bytes) {
        wh_manifest fresh = WH_MANIFEST_EMPTY;
        WH_TRY(hash(file, &fresh, chunk_bytes));
        wh_manifest_clear(&file->manifest);
        file->manifest = fresh;
        file->has_manifest = true;
    }
    return wh_manifest_copy(out, &file->manifest);
}

whist_status wh_vecfile_remove(wh_store *store, const char *name)
{
    WH_TRY(check_name(name));
    if (store->readonly) WH_FAIL(WHIST_E_STATE, "%s was opened for reading only", store->dir);
    if (!store->dir) {
        pthread_mutex_lock(&store->files_lock);
        memory_remove(store, name);
        pthread_mutex_unlock(&store->files_lock);
        return WHIST_OK;
    }
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(in_folder(&path, store, name));
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? WHIST_OK : wh_fail_errno(errno, path, "remove");
    wh_durable_point("remove file");
    WH_TRY(wh_file_remove(path));
    count_spool(store, name, 0, (uint64_t)st.st_size);
    wh_durable_point("removed file");
    return WHIST_OK;
}

/* ---- Lists ---- */

typedef struct name_list {
    char **names;
    size_t n, cap;
    const char *folder;
    whist_status status;
} name_list;

static void names_clear(name_list *list)
{
    for (size_t i = 0; i < list->n; i++) wh_free(list->names[i]);
    wh_free(list->names);
}

static whist_status names_add(name_list *list, const char *name)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        char **names;
        WH_TRY(WH_NEW_RAW(&names, cap));
        if (list->n) memcpy(names, list->names, list->n * sizeof *names);
        wh_free(list->names);
        list->names = names;
        list->cap = cap;
    }
    WH_TRY(wh_strdup(&list->names[list->n], name));
    list->n++;
    return WHIST_OK;
}

static void visit(const void *node, VISIT order, void *user)
{
    name_list *list = user;
    const memory_file *file = *(const memory_file *const *)node;
    if (list->status != WHIST_OK || (order != postorder && order != leaf)) return;
    size_t len = strlen(list->folder);
    if (strncmp(file->name, list->folder, len) == 0 && file->name[len] == '/')
        list->status = names_add(list, file->name);
}

static whist_status list_memory(wh_store *store, name_list *list)
{
    pthread_mutex_lock(&store->files_lock);
    twalk_r(store->files, visit, list);
    pthread_mutex_unlock(&store->files_lock);
    return list->status;
}

static whist_status list_entries(DIR *dir, name_list *list)
{
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        char name[NAME_MAX + 16];
        snprintf(name, sizeof name, "%s/%s", list->folder, entry->d_name);
        WH_TRY(names_add(list, name));
    }
    return WHIST_OK;
}

static whist_status list_disk(wh_store *store, name_list *list)
{
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(in_folder(&path, store, list->folder));
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    whist_status status = list_entries(dir, list);
    closedir(dir);
    return status;
}

/* The names are collected first: fn may remove what it is told about. */
whist_status wh_vecfile_each(wh_store *store, const char *folder, wh_vecfile_name_fn *fn, void *user)
{
    name_list list = {.folder = folder};
    whist_status status = store->dir ? list_disk(store, &list) : list_memory(store, &list);
    for (size_t i = 0; i < list.n && status == WHIST_OK; i++) status = fn(user, list.names[i]);
    names_clear(&list);
    return status;
}

/* ---- The spool ---- */

typedef struct spool_walk {
    wh_store *store;
    const char *keep_prefix;
    uint64_t bytes;
} spool_walk;

static whist_status clean_one(void *user, const char *name)
{
    const spool_walk *walk = user;
    const char *rest = name + strlen("spool/");
    if (walk->keep_prefix && strncmp(rest, walk->keep_prefix, strlen(walk->keep_prefix)) == 0) return WHIST_OK;
    return wh_vecfile_remove(walk->store, name);
}

whist_status wh_spool_clean(wh_store *store, const char *keep_prefix)
{
    spool_walk walk = {store, keep_prefix, 0};
    return wh_vecfile_each(store, "spool", clean_one, &walk);
}

static whist_status count_one(void *user, const char *name)
{
    spool_walk *walk = user;
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(in_folder(&path, walk->store, name));
    struct stat st;
    if (lstat(path, &st) == 0) walk->bytes += (uint64_t)st.st_size; /* else gone since it was listed */
    return WHIST_OK;
}

whist_status wh_spool_count(wh_store *store)
{
    spool_walk walk = {store, NULL, 0};
    WH_TRY(wh_vecfile_each(store, "spool", count_one, &walk));
    pthread_mutex_lock(&store->files_lock);
    store->spool_bytes = walk.bytes;
    pthread_mutex_unlock(&store->files_lock);
    return WHIST_OK;
}

whist_status wh_spool_bytes(wh_store *store, uint64_t *out)
{
    if (store->readonly) WH_TRY(wh_spool_count(store)); /* somebody else adds and removes */
    pthread_mutex_lock(&store->files_lock);
    *out = store->spool_bytes;
    pthread_mutex_unlock(&store->files_lock);
    return WHIST_OK;
}
