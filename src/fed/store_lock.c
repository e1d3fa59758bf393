/* fed/store_lock.c: one process at a time owns a folder.
 *
 * flock(2) on DIR/lock: the kernel drops it with the process, however that ends, so a lock is never
 * stale. The text in the file only tells the next one whom to blame. The file is never removed:
 * removing it would let two processes hold two different files of that name. */
#include "fed/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* 0 where the owner has not yet written its id. */
static long owner_of(int fd)
{
    char text[24] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;
    return pid > 0 ? pid : 0;
}

static whist_status in_use(const char *dir, long pid)
{
    if (pid == (long)getpid()) WH_FAIL(WHIST_E_STATE, "%s is open already in this process (%ld)", dir, pid);
    if (pid > 0)
        WH_FAIL(WHIST_E_STATE, "%s is in use by process %ld: stop it first, or choose another folder", dir, pid);
    WH_FAIL(WHIST_E_STATE, "%s is in use by another process: stop it first, or choose another folder", dir);
}

whist_status wh_store_lock(wh_fd *out, const char *dir)
{
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(wh_path(&path, dir, "lock"));
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDWR | O_CREAT, 0600));
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return in_use(dir, owner_of(fd));
        if (errno != EINTR) return wh_fail_errno(errno, path, "lock");
    }
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0) return wh_fail_errno(errno, path, "write");
    whist_status status = wh_write_at(fd, text, (size_t)len, 0);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
    *out = fd;
    fd = -1;
    return WHIST_OK;
}
