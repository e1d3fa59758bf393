/* cli/benches.c: how fast the program starts, how much memory a waiting site takes; the table of
 * meta-learners (meta_table.c). */
#include "cli/benches.h"

#include "cli/child.h"
#include "cli/term.h"
#include "cli/world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- version.start ---- */

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

/* ---- site.rss: a site that cannot reach its coordinator and waits ---- */

static const char waiting_study[] = "whist: 1\nname: waiting\n"
                                    "data:\n  format: synthetic\n  task: binary\n  columns:\n"
                                    "    - {name: a, type: real}\n    - {name: t, type: target}\n"
                                    "model: logistic\nlearner: {name: sgd, lr: 0.1, batch: 4, epochs: 1}\n"
                                    "strategy: fedavg\nrounds: 1\nmetrics: [accuracy]\n"
                                    "sites:\n  - {name: one}\n  - {name: two}\n";

static double resident_bytes(pid_t pid)
{
    char path[64], line[128];
    double kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmRSS:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    if (file) fclose(file);
    return 1024 * kilobytes;
}

static int start_waiting(cli_child *child, const char *scratch)
{
    char folder[CLI_PATH], config[CLI_PATH], study[CLI_PATH];
    CLI_AUTO(cli_study_end) whist_study *parsed = NULL;
    CLI_LIB(
        whist_study_parse(&parsed, (whist_bytes){(const uint8_t *)waiting_study, sizeof waiting_study - 1}, "waiting"));
    CLI_TRY(cli_path(folder, "%s/world", scratch));
    CLI_TRY(cli_path(config, "%s/world/sites/one/site.yaml", scratch));
    CLI_TRY(cli_path(study, "%s/world/study.yaml", scratch));
    const cli_world world = {.folder = folder, .host = "127.0.0.1", .port = 1, .days = 90};
    CLI_TRY(cli_world_make(&world, parsed));
    const char *const approve[] = {"site", "approve", config, "--study", study, "--as", "Bench", "--yes", NULL};
    const char *const run[] = {"site", "run", config, "--study", study, "--quiet", NULL};
    CLI_TRY(cli_child_start(child, "approve", "/dev/null", approve));
    if (cli_child_wait(child) != 0) return CLI_FAILED;
    return cli_child_start(child, "site", "/dev/null", run);
}

static whist_status site_rss(const whist_bench_env *env)
{
    enum { SETTLE_MS = 1500 };
    cli_child child = {0};
    if (start_waiting(&child, env->scratch) != CLI_OK) return WHIST_E_IO;
    cli_sleep_ms(SETTLE_MS);
    double bytes = cli_child_runs(&child) ? resident_bytes(child.pid) : 0;
    cli_child_stop(&child, 1, 2000);
    if (bytes <= 0) return WHIST_E_STATE;
    const whist_bench_result result = {"site.rss", "B", bytes, bytes, bytes, 1, 1};
    env->emit(env->user, &result);
    return WHIST_OK;
}

const whist_bench cli_benches[] = {
    {"version.start", "from fork to the end of `whist version`", false, version_start},
    {"site.rss", "resident memory of a site that waits for its coordinator", false, site_rss},
    {"meta.table.small", "a short form of meta.table: a row of each kind, to see that it runs", false,
     cli_bench_meta_small},
    {"meta.table", "every meta-learner for the same processor time: error or accuracy ± 95 % over 600 tasks; two hours",
     true, cli_bench_meta},
    {0},
};
