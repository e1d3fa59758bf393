/* base/file.c: POSIX files behind base/file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef WH_TEST_HOOKS
#include <signal.h>
#include <stdatomic.h>

static atomic_ullong points_passed;

static void write_count(void)
{
    const char *path = getenv("WHIST_TEST_CRASH_COUNT");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    fprintf(f, "%llu\n", (unsigned long long)points_passed);
    fclose(f);
}

void wh_durable_point(const char *what)
{
    (void)what;
    unsigned long long count = atomic_fetch_add(&points_passed, 1) + 1;
    if (count == 1) atexit(write_count);
    const char *at = getenv("WHIST_TEST_CRASH_AT");
    if (at && strtoull(at, NULL, 10) == count) raise(SIGKILL);
}
#else
void wh_durable_point(const char *what)
{
    (void)what;
}
#endif

whist_status wh_fail_errno(int err, const char *path, const char *doing)
{
    char words[128];
    const char *text = strerror_r(err, words, sizeof words);
    const char *fix = "";
    if (err == ENOSPC || err == EDQUOT) fix = ": free some space there";
    if (err == EFBIG) fix = ": the file-size limit (ulimit -f) is too small";
    if (err == EACCES || err == EPERM) fix = ": check the owner and the permissions";
    return wh_fail(err == ENOMEM ? WHIST_E_NOMEM : WHIST_E_IO, __FILE__, __LINE__, "cannot %s %s: %s%s", doing, path,
                   text, fix);
}

whist_status wh_path(char **out, const char *dir, const char *format, ...)
{
    char name[PATH_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof name) WH_FAIL(WHIST_E_RANGE, "path too long under %s", dir);
    WH_AUTO(wh_buf) path = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&path, "%s/%s", dir, name));
    return wh_strdup(out, wh_buf_str(&path));
}

whist_status wh_make_dirs(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part) WH_FAIL(WHIST_E_ARG, "bad folder name '%s'", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST) return wh_fail_errno(errno, part, "make the folder");
    }
    struct stat st;
    if (stat(path, &st) != 0) return wh_fail_errno(errno, path, "open the folder");
    if (!S_ISDIR(st.st_mode)) WH_FAIL(WHIST_E_IO, "%s is in the way: it is no folder", path);
    return WHIST_OK;
}

bool wh_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

whist_status wh_file_size(uint64_t *out, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return wh_fail_errno(errno, path, "look at");
    *out = (uint64_t)st.st_size;
    return WHIST_OK;
}

void wh_fd_close(wh_fd *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

whist_status wh_open(wh_fd *out, const char *path, int flags, unsigned mode)
{
    int fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) return wh_fail_errno(errno, path, (flags & O_ACCMODE) == O_RDONLY ? "read" : "write");
    *out = fd;
    return WHIST_OK;
}

whist_status wh_read_at(int fd, void *out, size_t len, uint64_t offset)
{
    uint8_t *to = out;
    while (len > 0) {
        ssize_t got = pread(fd, to, len, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return wh_fail_errno(errno, "a stored file", "read");
        if (got == 0) WH_FAIL(WHIST_E_FORMAT, "a stored file ends %zu bytes early", len);
        to += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return WHIST_OK;
}

whist_status wh_write_at(int fd, const void *bytes, size_t len, uint64_t offset)
{
    const uint8_t *from = bytes;
    while (len > 0) {
        ssize_t put = pwrite(fd, from, len, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return wh_fail_errno(errno, "a stored file", "write");
        from += put;
        len -= (size_t)put;
        offset += (uint64_t)put;
    }
    return WHIST_OK;
}

whist_status wh_sync(int fd)
{
    wh_durable_point("sync");
    if (fdatasync(fd) != 0) return wh_fail_errno(errno, "a stored file", "sync");
    wh_durable_point("synced");
    return WHIST_OK;
}

whist_status wh_dir_sync(const char *path)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDONLY | O_DIRECTORY, 0));
    if (fsync(fd) != 0) return wh_fail_errno(errno, path, "sync");
    return WHIST_OK;
}

whist_status wh_file_read(wh_buf *out, const char *path, size_t max)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    size_t total = 0;
    for (;;) {
        uint8_t piece[16384];
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return wh_fail_errno(errno, path, "read");
        if (got == 0) return WHIST_OK;
        total += (size_t)got;
        if (total > max) WH_FAIL(WHIST_E_RANGE, "%s is larger than the allowed %zu bytes", path, max);
        WH_TRY(wh_buf_add(out, piece, (size_t)got));
    }
}

/* The folder part of a path, "." where there is none. */
static void folder_of(char out[PATH_MAX], const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, PATH_MAX, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
}

static whist_status write_and_sync(const char *path, whist_bytes content, unsigned mode)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, mode));
    whist_status status = wh_write_at(fd, content.data, content.len, 0);
    if (status == WHIST_OK) status = wh_sync(fd);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

/* Is there something that a rename would destroy? */
static bool is_special(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

whist_status wh_file_put_in_place(const char *temporary, const char *path)
{
    char folder[PATH_MAX];
    folder_of(folder, path);
    if (is_special(path)) WH_FAIL(WHIST_E_STATE, "%s is no regular file: it would be replaced", path);
    if (rename(temporary, path) != 0) return wh_fail_errno(errno, path, "put in place");
    WH_TRY(wh_dir_sync(folder));
    wh_durable_point("renamed");
    return WHIST_OK;
}

whist_status wh_file_write(const char *path, whist_bytes content, unsigned mode)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.part", path) >= (int)sizeof temporary)
        WH_FAIL(WHIST_E_RANGE, "path too long: %s", path);
    if (is_special(path)) WH_FAIL(WHIST_E_STATE, "%s is no regular file: it would be replaced", path);
    whist_status status = write_and_sync(temporary, content, mode);
    if (status != WHIST_OK) {
        unlink(temporary);
        return status;
    }
    return wh_file_put_in_place(temporary, path);
}

whist_status wh_file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) return wh_fail_errno(errno, path, "remove");
    return WHIST_OK;
}

whist_status wh_tree_remove(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? WHIST_OK : wh_fail_errno(errno, path, "remove");
    if (!S_ISDIR(st.st_mode)) return wh_file_remove(path);
    DIR *dir = opendir(path);
    if (!dir) return wh_fail_errno(errno, path, "open the folder");
    whist_status status = WHIST_OK;
    struct dirent *entry;
    while (status == WHIST_OK && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *child = NULL;
        status = wh_path(&child, path, "%s", entry->d_name);
        if (status == WHIST_OK) status = wh_tree_remove(child);
        wh_free(child);
    }
    closedir(dir);
    WH_TRY(status);
    if (rmdir(path) != 0) return wh_fail_errno(errno, path, "remove the folder");
    return WHIST_OK;
}
