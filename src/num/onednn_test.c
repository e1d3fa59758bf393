/* num/onednn_test.c: a library of another version is refused, by name.
 *
 * The loader takes a library that is there already for the one of its name, so this process never sees the real one. */
#include "num/onednn.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "test.h"

/* Beside this program, in the folder of the room. */
static void *open_fake(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    assert_true(n > 0);
    path[n] = 0;
    char *slash = strrchr(path, '/');
    assert_non_null(slash);
    memcpy(slash, "/num/libdnnl.so.2", sizeof "/num/libdnnl.so.2");
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    if (wh_cpu_get() == WH_CPU_GENERIC) skip();
    void *fake = open_fake();
    assert_non_null(fake);
    assert_null(wh_onednn_name());
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wh_onednn_load(), WHIST_E_UNSUPPORTED);
        assert_non_null(strstr(whist_detail_get()->text, "libdnnl.so.2 is version 3.1.4; 2.6 is asked for"));
    }
    assert_null(wh_onednn_name());
    assert_int_equal(dlclose(fake), 0);
}

static void generic_code_has_none(void **state)
{
    (void)state;
    const char *before = getenv("WHIST_CPU");
    char *kept = before ? strdup(before) : NULL;
    assert_int_equal(setenv("WHIST_CPU", "generic", 1), 0);
    assert_int_equal(wh_onednn_load(), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "generic"));
    assert_int_equal(kept ? setenv("WHIST_CPU", kept, 1) : unsetenv("WHIST_CPU"), 0);
    free(kept); /* lint: strdup's own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(another_version_is_refused),
                                       cmocka_unit_test(generic_code_has_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
