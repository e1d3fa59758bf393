/* run/site_bench.c: what a site takes while it waits. The site has sent its answer and asks again and again, as sites
 * do most of their days, because the other site of the study never comes. */
#include "base/clock.h"
#include "base/file.h"
#include "run/town.h"
#include "run/upload_bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 16, ROWS = 300, STAY_MS = 1500 };

static whist_status make_rows(whist_dataset **out)
{
    static float x[ROWS][WIDTH], y[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < WIDTH; j++) x[i][j] = (float)((i * 7 + j * 3) % 11) / 11;
    const whist_rows train = {.n = ROWS - 50, .d = WIDTH, .x = x[0], .y = y};
    const whist_rows test = {.n = 50, .d = WIDTH, .x = x[ROWS - 50], .y = y};
    return whist_dataset_from_rows(out, &train, &test);
}

static bool tell_answer(void *user, const whist_progress *progress)
{
    const int *fd = user;
    return progress->done == 0 || write(*fd, "!", 1) == 1;
}

static whist_status run_site(const wh_fed_town *town, int fd)
{
    char url[64];
    char *state = NULL, *certificate = NULL, *key = NULL;
    whist_dataset *data = NULL;
    snprintf(url, sizeof url, "https://127.0.0.1:%u", town->port);
    WH_TRY(wh_path(&state, town->dir, "site"));
    WH_TRY(wh_fed_town_pem(&certificate, town, &town->citizens[0], "site-0", "pem"));
    WH_TRY(wh_fed_town_pem(&key, town, &town->citizens[0], "site-0", "key"));
    WH_TRY(make_rows(&data));
    const whist_site_run run = {
        .plan = &town->plan,
        .study_text = wh_text_bytes("a study"),
        .data = data,
        .identity = {.ca = town->files[0], .certificate = certificate, .key = key},
        .state = state,
        .coordinator = url,
        .progress = tell_answer,
        .user = &fd,
    };
    WH_TRY(whist_site_approve(&run, "bench"));
    return whist_run_site(&run); /* until it is killed */
}

/* Bytes behind NAME in /proc/PID/status; 0 where it cannot be read. */
static double status_bytes(pid_t pid, const char *name)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) kib = strtod(line + strlen(name) + 1, NULL);
    if (file) (void)fclose(file);
    return 1024 * kib;
}

/* The pipe brings one letter with the first answer, and its end if the site fails before. */
static whist_status start_site(pid_t *out, wh_fd *hears, const wh_fed_town *town)
{
    int ends[2];
    char answer;
    if (pipe(ends) != 0) WH_FAIL(WHIST_E_NOMEM, "no pipe to the site's process: too many open files?");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        (void)run_site(town, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    *hears = ends[0];
    ssize_t n = pid > 0 ? read(ends[0], &answer, 1) : -1;
    if (pid < 0) WH_FAIL(WHIST_E_NOMEM, "cannot start a process");
    *out = pid;
    if (n != 1) WH_FAIL(WHIST_E_STATE, "the site does not answer");
    return WHIST_OK;
}

static void emit(const whist_bench_env *env, const char *name, double value)
{
    whist_bench_result result = {.unit = "B", .median = value, .min = value, .max = value, .reps = 1, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
}

static whist_status measure(const whist_bench_env *env, const char *dir)
{
    const whist_learner_class *const *learner = whist_learner_classes();
    while (*learner && strcmp((*learner)->name, "sgd") != 0) learner++;
    const wh_fed_town_options options = {
        .dir = dir, .n_sites = 2, .width = WIDTH, .strategy = "fedavg", .learner = *learner, .rounds = 2};
    WH_AUTO(wh_fed_town) town = {0};
    WH_TRY(wh_fed_town_init(&town, &options));
    WH_TRY(wh_fed_town_start(&town));
    pid_t pid = 0;
    WH_AUTO(wh_fd) hears = -1; /* open as long as the site lives: it tells us more than we read */
    whist_status status = start_site(&pid, &hears, &town);
    if (status == WHIST_OK) {
        nanosleep(&(struct timespec){.tv_sec = STAY_MS / 1000, .tv_nsec = STAY_MS % 1000 * 1000000L}, NULL);
        emit(env, "site.rss", status_bytes(pid, "VmRSS:"));
        emit(env, "site.rss.peak", status_bytes(pid, "VmHWM:"));
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    return status;
}

whist_status wh_bench_site_rss(const whist_bench_env *env)
{
    char *dir = NULL;
    WH_TRY(wh_path(&dir, env->scratch, "site-rss"));
    whist_status status = wh_make_dirs(dir);
    if (status == WHIST_OK) status = measure(env, dir);
    if (wh_tree_remove(dir) != WHIST_OK && status == WHIST_OK) status = WHIST_E_IO;
    wh_free(dir);
    return status;
}
