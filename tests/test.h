/* tests/test.h: what every test includes: cmocka in the order it wants, and two helpers. */
#ifndef WH_TEST_H
#define WH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>

/* Asserts success and shows the reason when there is none. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        whist_status test_status_ = (call);                                                                            \
        if (test_status_ != WHIST_OK)                                                                                  \
            fail_msg("%s: %s: %s", #call, whist_status_name(test_status_), whist_detail_get()->text);                  \
    } while (0)

/* A fresh empty folder for the test, in $TMPDIR. End it by wh_tree_remove and test_dir_free. */
static inline char *test_dir(const char *name)
{
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/whist-%s-XXXXXX", tmp ? tmp : "/tmp", name) < 0 || !mkdtemp(path)) abort();
    return path;
}

static inline void test_dir_free(char *path)
{
    free(path);
}

/* The folder of real data or of known answers; NULL (the test then calls skip()) where absent. */
static inline const char *test_data(void)
{
    return getenv("WHIST_DATA");
}

static inline const char *test_reference(void)
{
    return getenv("WHIST_REFERENCE");
}

#endif
