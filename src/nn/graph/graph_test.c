/* nn/graph/graph_test.c: builder, transformations, programs. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "nn/graph/check.h"
#include "nn/graph/program.h"

static void print(void *user, const wh_check_result *r)
{
    (void)user;
    if (getenv("WHIST_TEST_VERBOSE"))
        printf("%-24s %.1e %.1e %.1e\n", r->name, r->error.first, r->error.second, r->norms);
}

static void every_operation_to_second_order(void **state)
{
    (void)state;
    assert_ok(wh_graph_gradcheck_all(print, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_to_second_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
