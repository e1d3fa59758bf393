/* fed/store_fault.c: a disk that fills up, for tests (built with -Dtest_hooks=true only).
 *
 * A VFS "whist-fault" lies over the usual one: each file of it is a small head before the real file. It
 * passes everything on but counts the writes and, past WHIST_TEST_DISK_FULL_AFTER, refuses them as a
 * full disk does. Vector files ask the same counter. (sqlite.org/vfs.html) */
#include "fed/store_db.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char variable[] = "WHIST_TEST_DISK_FULL_AFTER";
static atomic_ullong writes;

bool wh_fault_disk_full(void)
{
    const char *after = getenv(variable);
    if (!after) return false;
    return atomic_fetch_add(&writes, 1) >= strtoull(after, NULL, 10);
}

void wh_fault_reset(void)
{
    atomic_store(&writes, 0);
}

uint64_t wh_fault_writes(void)
{
    return atomic_load(&writes);
}

typedef struct fault_file {
    sqlite3_file base;
    _Alignas(8) uint8_t real[];
} fault_file;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((fault_file *)(void *)file)->real;
}

static int fault_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    if (wh_fault_disk_full()) return SQLITE_FULL;
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, len, offset);
}

/* The rest passes through. */
#define REAL(call, ...) real_of(file)->pMethods->call(real_of(file), __VA_ARGS__)
#define REAL0(call) real_of(file)->pMethods->call(real_of(file))
static int fault_close(sqlite3_file *file)
{
    return REAL0(xClose);
}
static int fault_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    return REAL(xRead, out, len, offset);
}
static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return REAL(xTruncate, size);
}
static int fault_sync(sqlite3_file *file, int flags)
{
    return REAL(xSync, flags);
}
static int fault_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return REAL(xFileSize, out);
}
static int fault_lock(sqlite3_file *file, int level)
{
    return REAL(xLock, level);
}
static int fault_unlock(sqlite3_file *file, int level)
{
    return REAL(xUnlock, level);
}
static int fault_reserved(sqlite3_file *file, int *out)
{
    return REAL(xCheckReservedLock, out);
}
static int fault_control(sqlite3_file *file, int op, void *arg)
{
    return REAL(xFileControl, op, arg);
}
static int fault_sector(sqlite3_file *file)
{
    return REAL0(xSectorSize);
}
static int fault_device(sqlite3_file *file)
{
    return REAL0(xDeviceCharacteristics);
}
static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return REAL(xShmMap, page, size, extend, out);
}
static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return REAL(xShmLock, offset, n, flags);
}
static void fault_shm_barrier(sqlite3_file *file)
{
    REAL0(xShmBarrier);
}
static int fault_shm_unmap(sqlite3_file *file, int remove)
{
    return REAL(xShmUnmap, remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_reserved,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_device,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    sqlite3_vfs *below = vfs->pAppData;
    file->pMethods = NULL;
    int code = below->xOpen(below, name, real_of(file), flags, out_flags);
    if (code == SQLITE_OK) file->pMethods = &methods;
    return code;
}

static sqlite3_vfs fault;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_vfs(void)
{
    sqlite3_vfs *below = sqlite3_vfs_find(NULL);
    if (!below) return;
    fault = *below; /* all but opening is the usual one's own */
    fault.pNext = NULL;
    fault.zName = "whist-fault";
    fault.pAppData = below;
    fault.szOsFile = (int)sizeof(fault_file) + below->szOsFile;
    fault.xOpen = fault_open;
    sqlite3_vfs_register(&fault, 0);
}

const char *wh_fault_vfs(void)
{
    if (!getenv(variable)) return NULL;
    pthread_once(&once, make_vfs);
    return "whist-fault";
}
