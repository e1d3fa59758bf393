/* fed/store_test.h: a store in memory or on disk for each test, and small helpers. */
#ifndef WH_FED_STORE_TEST_H
#define WH_FED_STORE_TEST_H

#include "test.h"

#include "fed/store_db.h"

#include <string.h>

static const uint8_t study_a[32] = {1, 2, 3};

typedef struct fixture {
    bool on_disk;
    char *dir; /* NULL in memory */
    wh_store *store;
} fixture;

static inline int set_up(void **state)
{
    static fixture fresh;
    fresh = (fixture){.on_disk = *state != NULL};
    if (fresh.on_disk) fresh.dir = test_dir("store");
    assert_ok(wh_store_open(&fresh.store, fresh.dir, study_a));
    *state = &fresh;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    wh_store_close(f->store);
    if (f->dir) assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

/* On disk: closes and opens again, so that what follows reads what was really stored. */
static inline void again(fixture *f)
{
    if (!f->on_disk) return;
    wh_store_close(f->store);
    f->store = NULL;
    assert_ok(wh_store_open(&f->store, f->dir, study_a));
}

static inline whist_bytes text(const char *t)
{
    return (whist_bytes){(const uint8_t *)t, strlen(t)};
}

static inline void assert_value(wh_store *store, const char *key, const char *want)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    assert_ok(wh_store_get(store, key, &value, &found));
    assert_int_equal(found, want != NULL);
    if (want) assert_string_equal(wh_buf_str(&value), want);
}

static inline void set(wh_store *store, const char *key, const char *value)
{
    assert_ok(wh_store_begin(store));
    assert_ok(wh_store_set(store, key, text(value)));
    assert_ok(wh_store_commit(store));
}

static inline void make_file(wh_store *store, const char *name, uint64_t bytes)
{
    wh_vecfile *file;
    assert_ok(wh_vecfile_create(&file, store, name, bytes));
    assert_ok(wh_vecfile_sync(file));
    wh_vecfile_close(file);
}

/* Rows of a test table. */
#define MEMORY(f)                                                                                                      \
    {                                                                                                                  \
#f " (memory)", f, set_up, tear_down, NULL                                                                     \
    }
#define DISK(f)                                                                                                        \
    {                                                                                                                  \
#f " (disk)", f, set_up, tear_down, (void *)(uintptr_t)1                                                       \
    }
#define BOTH(f) MEMORY(f), DISK(f)

#endif
