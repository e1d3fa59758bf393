/* cli/benches.c: how fast the program starts. */
#include "cli/benches.h"

#include "cli/child.h"

#include <stdlib.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static whist_status version_start(const whist_bench_env *env)
{
    enum { REPS = 20 };
    static const char *const argv[] = {"version", NULL};
    double seconds[REPS];
    for (int i = 0; i < REPS; i++) {
        cli_child child;
        double begin = now_s();
        if (cli_child_start(&child, "version", "/dev/null", argv) != CLI_OK || cli_child_wait(&child) != 0)
            return WHIST_E_IO;
        seconds[i] = now_s() - begin;
    }
    qsort(seconds, REPS, sizeof *seconds, ascending);
    const whist_bench_result result = {
        .name = "version.start",
        .unit = "s",
        .median = (seconds[REPS / 2 - 1] + seconds[REPS / 2]) / 2,
        .min = seconds[0],
        .max = seconds[REPS - 1],
        .reps = REPS,
        .threads = 1,
    };
    env->emit(env->user, &result);
    return WHIST_OK;
}

const whist_bench cli_benches[] = {
    {"version.start", "from fork to the end of `whist version`", false, version_start},
    {0},
};
