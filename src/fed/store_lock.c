/* fed/store_lock.c: one process at a time owns a folder, or several take turns.
 *
 * flock(2) on DIR/lock: the kernel drops it with the process, however that ends, so a lock is never
 * stale. The text in the file only tells the next one whom to blame. The file is never removed:
 * removing it would let two processes hold two different files of that name.
 *
 * Turns: SQLite's own waiting is by naps, so a process that writes again and again keeps one with longer naps out for
 * good. DIR/turn has a lock on each of two bytes: the turn, and the place of the one who is next. Who wants the turn
 * takes the place first, waits there for the turn, and then gives the place up: so whoever has just had the turn finds
 * the place taken by somebody who comes before him. Locks of open file descriptions: of threads as of processes, and
 * gone with them. */
#include "fed/store_db.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { TURN = 0, NEXT = 1, TURN_WAIT_S = 300, NAP_MAX_NS = 5 * 1000 * 1000 };

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

/* ---- Turns ---- */

whist_status wh_store_turn_open(wh_fd *out, const char *dir)
{
    WH_AUTO(wh_store_path) path = NULL;
    WH_TRY(wh_path(&path, dir, "turn"));
    return wh_open(out, path, O_RDWR | O_CREAT, 0600);
}

static int set_lock(int fd, int place, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

static whist_status wait_for(const wh_store *store, int place, double until)
{
    long nap = 100 * 1000;
    for (int err; (err = set_lock(store->turn_fd, place, F_WRLCK)) != 0;) {
        if (err != EAGAIN && err != EACCES && err != EINTR) return wh_fail_errno(err, store->dir, "lock");
        if (wh_clock_seconds() > until)
            WH_FAIL(WHIST_E_TIMEOUT,
                    "another program has had %s for %d minutes and does not give it back: end it (fuser %s/turn names "
                    "it) and try again",
                    store->dir, TURN_WAIT_S / 60, store->dir);
        nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
        nap = nap * 2 > NAP_MAX_NS ? NAP_MAX_NS : nap * 2;
    }
    return WHIST_OK;
}

whist_status wh_store_turn_take(wh_store *store)
{
    if (store->turn_fd < 0) return WHIST_OK;
    const double until = wh_clock_seconds() + TURN_WAIT_S;
    WH_TRY(wait_for(store, NEXT, until));
    whist_status status = wait_for(store, TURN, until);
    (void)set_lock(store->turn_fd, NEXT, F_UNLCK);
    return status;
}

void wh_store_turn_give(wh_store *store)
{
    if (store->turn_fd >= 0) (void)set_lock(store->turn_fd, TURN, F_UNLCK);
}
