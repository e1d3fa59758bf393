/* base/file.h: files that survive a crash.
 *
 * Every durable step of the library (a file synced, a rename, a database commit) passes through
 * wh_durable_point, so that test builds can kill the process at each of them in turn:
 * WHIST_TEST_CRASH_AT=k ends the process by SIGKILL at the k-th point,
 * WHIST_TEST_CRASH_COUNT=FILE writes the number of points passed into FILE at exit. */
#ifndef WH_BASE_FILE_H
#define WH_BASE_FILE_H

#include "base/buf.h"

/* Call right before and right after a durable step; `what` names it in messages. */
void wh_durable_point(const char *what);

/* dir + "/" + name (printf). WHIST_E_NOMEM. Ended by wh_free. */
WH_MUST_CHECK whist_status wh_path(char **out, const char *dir, const char *format, ...) WHIST_PRINTF(3, 4);

/* Makes the folder and its parents, mode 0700. It may be there already. */
WH_MUST_CHECK whist_status wh_make_dirs(const char *path);
bool wh_file_exists(const char *path);
WH_MUST_CHECK whist_status wh_file_size(uint64_t *out, const char *path);

/* Appends the whole content to out, at most max bytes (WHIST_E_RANGE above). Errors name the path. */
WH_MUST_CHECK whist_status wh_file_read(wh_buf *out, const char *path, size_t max);

/* Writes path so that after a crash either the old or the new content is there: temporary
 * file, fsync, rename, fsync of the folder. mode as for open(2). */
/* WHIST_E_STATE where path is there and is no regular file: a device or a link is never replaced. */
WH_MUST_CHECK whist_status wh_file_write(const char *path, whist_bytes content, unsigned mode);

/* The last two steps of that for who writes the temporary file itself: rename, fsync of the folder. The file is
 * synced before (wh_sync). */
WH_MUST_CHECK whist_status wh_file_put_in_place(const char *temporary, const char *path);

/* fsync of a folder, after a rename or unlink in it. */
WH_MUST_CHECK whist_status wh_dir_sync(const char *path);
/* Removes a file; a missing one is fine. */
WH_MUST_CHECK whist_status wh_file_remove(const char *path);
/* Removes a folder with all that is in it; a missing one is fine. Follows no links. */
WH_MUST_CHECK whist_status wh_tree_remove(const char *path);

/* A file descriptor that closes itself. */
typedef int wh_fd;
void wh_fd_close(wh_fd *fd);
WH_AUTO_CLEAR(wh_fd, wh_fd_close)
/* open(2) with O_CLOEXEC; errors name the path and what to do about it. */
WH_MUST_CHECK whist_status wh_open(wh_fd *out, const char *path, int flags, unsigned mode);
/* Whole reads and writes at an offset; WHIST_E_FORMAT where the file ends early, WHIST_E_IO
 * (with "disk full" in words) otherwise. */
WH_MUST_CHECK whist_status wh_read_at(int fd, void *out, size_t len, uint64_t offset);
WH_MUST_CHECK whist_status wh_write_at(int fd, const void *bytes, size_t len, uint64_t offset);
/* fdatasync between two durable points. */
WH_MUST_CHECK whist_status wh_sync(int fd);

/* Writes a failure for the system error `err` on `path`: "PATH: No space left on device: free …". */
whist_status wh_fail_errno(int err, const char *path, const char *doing);

#endif
