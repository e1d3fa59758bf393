/* cli/file.c: whole files in, whole files out. A written file appears by rename (or link) after its bytes are
 * on disk, so that nobody ever sees half of it. */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_blob_clear(cli_blob *blob)
{
    free(blob->data);
    *blob = (cli_blob){0};
}

whist_bytes cli_view(const cli_blob *blob)
{
    return (whist_bytes){(const uint8_t *)blob->data, blob->len};
}

static int read_open(cli_blob *out, FILE *file, const char *path, size_t max)
{
    size_t room = 8192, len = 0;
    char *data = NULL;
    for (;;) {
        char *more = realloc(data, room + 1);
        if (!more) {
            free(data);
            return cli_no_memory();
        }
        data = more;
        len += fread(data + len, 1, room - len, file);
        if (len < room || len > max) break;
        room *= 2;
    }
    int code = CLI_OK;
    if (ferror(file))
        code = cli_fail_errno(path);
    else if (len > max)
        code = cli_fail_text(CLI_FAILED, "range", "%s is larger than %zu bytes", path, max);
    if (code != CLI_OK) {
        free(data);
        return code;
    }
    data[len] = 0;
    *out = (cli_blob){data, len};
    return CLI_OK;
}

int cli_read(cli_blob *out, const char *path, size_t max)
{
    FILE *file = fopen(path, "re");
    if (!file) return cli_fail_errno(path);
    int code = read_open(out, file, path, max);
    fclose(file);
    return code;
}

static int write_all(int fd, const char *data, size_t len, const char *path)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cli_fail_errno(path);
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 ? CLI_OK : cli_fail_errno(path);
}

static int put_in_place(const char *temporary, const char *path, cli_write_how how)
{
    struct stat st;
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return cli_fail_text(CLI_FAILED, "state", "%s is no regular file: it would be replaced", path);
    if (how == CLI_WRITE_REPLACE) return rename(temporary, path) == 0 ? CLI_OK : cli_fail_errno(path);
    int code = CLI_OK;
    if (link(temporary, path) != 0)
        code = errno == EEXIST ? cli_fail_text(CLI_FAILED, "state", "%s is there already and stays as it is", path)
                               : cli_fail_errno(path);
    unlink(temporary);
    return code;
}

int cli_write(const char *path, const void *data, size_t len, unsigned mode, cli_write_how how)
{
    char temporary[CLI_PATH];
    CLI_TRY(cli_path(temporary, "%s.XXXXXX", path));
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return cli_fail_errno(path);
    int code = fchmod(fd, mode) == 0 ? write_all(fd, data, len, path) : cli_fail_errno(path);
    close(fd);
    if (code == CLI_OK) code = put_in_place(temporary, path, how);
    if (code != CLI_OK) unlink(temporary);
    return code;
}

int cli_path(char out[CLI_PATH], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, CLI_PATH, format, args);
    va_end(args);
    if (n >= 0 && n < CLI_PATH) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "range", "a path is longer than %d bytes", CLI_PATH - 1);
}

int cli_make_dirs(const char *path, unsigned mode)
{
    char part[CLI_PATH];
    CLI_TRY(cli_path(part, "%s", path));
    for (char *p = part + 1;; p++) {
        if (*p && *p != '/') continue;
        char end = *p;
        *p = 0;
        if (mkdir(part, mode) != 0 && errno != EEXIST) return cli_fail_errno(part);
        if (!end) break;
        *p = end;
    }
    struct stat info;
    if (stat(path, &info) != 0) return cli_fail_errno(path);
    return S_ISDIR(info.st_mode) ? CLI_OK : cli_fail_text(CLI_FAILED, "io", "%s is a file, not a folder", path);
}

bool cli_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

int cli_remove_tree(const char *path)
{
    if (!cli_exists(path)) return CLI_OK;
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? CLI_OK : cli_fail_errno(path);
}

int cli_temp_dir(char out[CLI_PATH], const char *prefix)
{
    const char *base = getenv("TMPDIR");
    CLI_TRY(cli_path(out, "%s/%s-XXXXXX", base && base[0] ? base : "/tmp", prefix));
    return mkdtemp(out) ? CLI_OK : cli_fail_errno(out);
}

int cli_absolute(char out[CLI_PATH], const char *path)
{
    char *full = realpath(path, NULL);
    if (!full) return cli_fail_errno(path);
    int code = cli_path(out, "%s", full);
    free(full);
    return code;
}

int cli_passphrase(char out[1024], const char *path)
{
    out[0] = 0;
    if (!path || !path[0]) return CLI_OK;
    FILE *file = fopen(path, "re");
    if (!file) return cli_fail_errno(path);
    setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer */
    bool got = fgets(out, 1024, file) != NULL;
    fclose(file);
    out[strcspn(out, "\r\n")] = 0;
    if (got && out[0]) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "format", "%s: the first line must hold the passphrase", path);
}

void cli_passphrase_clear(char (*text)[1024])
{
    explicit_bzero(*text, sizeof *text);
}
