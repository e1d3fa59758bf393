/* crash/fed_crash.c: a federation that is killed at every durable write, and finds the disk full after every
 * number of writes, goes on and ends with the bits of one that was never disturbed.
 *
 *   fed_crash            every point (suite crash)
 *   fed_crash --short    some ten of them, spread over the run
 *   fed_crash N          every point of one federation: 0 plain, 1 central noise, 2 noise in shares
 *   fed_crash N full     its full disks alone
 *
 * The federation lives in one child process: coordinator and three sites with stores on disk, stateful
 * learners, two vectors, pooled moments, early stopping. A second child goes on from what the first left.
 *
 * Two more federations promise privacy, with noise at the coordinator and in shares. Their bits are nobody's to know;
 * what must come out is that each side's ledger holds one charge for each round that was opened: none is missing, none
 * is there twice, and none was for other bytes than those that were sent (a ledger refuses that). */
#include "base/file.h"
#include "fed/ledger_state.h"
#include "fed/masks4.h"
#include "fed/toy.h"
#include "fed/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SITES = 3, FEATURES = 6, ROUNDS = 3, STEPS = ROUNDS + 2, MAX_PASSES = 400, SHORT = 10 };
enum { CHILD_DONE = 0, CHILD_WRONG = 1, CHILD_DISK_FULL = 3 };

typedef enum kind { PLAIN, CENTRAL, SHARES, KINDS } kind;
static const char *const kind_names[KINDS] = {"plain", "central noise", "noise in shares"};

static whist_status make_private_plan(world_plan *plan, kind what)
{
    WH_TRY(world_plan_privacy(plan, what == SHARES ? WHIST_NOISE_DISTRIBUTED : WHIST_NOISE_CENTRAL));
    plan->plan.min_sites = plan->privacy.honest = SITES;
    plan->plan.rounds = ROUNDS - 1;
    plan->plan.n_metrics = 0;
    if (what == SHARES) WH_TRY(world_plan_protection(plan, &test_masks4));
    return WHIST_OK;
}

static whist_status make_plan(world_plan *plan, kind what)
{
    WH_TRY(world_plan_init(plan, SITES, FEATURES));
    if (what != PLAIN) return make_private_plan(plan, what);
    WH_TRY(world_plan_learner(plan, &toy_state_learner));
    WH_TRY(world_plan_strategy(plan, "scaffold"));
    plan->plan.min_sites = SITES;
    plan->plan.pooled_moments = true;
    plan->plan.rounds = 9;
    plan->plan.stop_early = true;
    plan->plan.stop_patience = ROUNDS - 1;
    return WHIST_OK;
}

/* ---- In the child ---- */

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, whist_detail_get()->text);
    return CHILD_WRONG;
}

/* Each site answered each step once, and each step closed with all of them. */
static whist_status check_record(world *w)
{
    for (size_t i = 0; i < SITES; i++) {
        uint64_t released;
        WH_TRY(world_releases(w, i, &released));
        if (released != STEPS) WH_FAIL(WHIST_E_STATE, "site %zu let out %d answers", i, (int)released);
    }
    for (uint64_t step = 0; step <= STEPS; step++) {
        WH_AUTO(wh_step_row) row = {0};
        bool found;
        WH_TRY(wh_store_step_get(w->store, step, &row, &found));
        if (found != (step < STEPS)) WH_FAIL(WHIST_E_STATE, "step %d is %s", (int)step, found ? "there" : "missing");
        if (!found) break;
        if (row.state != WH_STEP_CLOSED) WH_FAIL(WHIST_E_STATE, "step %d is not closed", (int)step);
        for (size_t i = 0; i < SITES; i++)
            if (row.cohort[i] != 3) WH_FAIL(WHIST_E_STATE, "step %d closed without site %zu", (int)step, i);
    }
    return WHIST_OK;
}

static whist_status check_ledger(const wh_ledger *ledger, const char *whose)
{
    if (ledger->state.tree.n == ROUNDS - 1) return WHIST_OK;
    WH_FAIL(WHIST_E_STATE, "the ledger of %s has %d charges for %d rounds", whose, (int)ledger->state.tree.n,
            ROUNDS - 1);
}

static whist_status check_ledgers(world *w)
{
    WH_TRY(check_ledger(w->ledger, "the coordinator"));
    for (size_t i = 0; i < SITES; i++) WH_TRY(check_ledger(w->actors[i].ledger, w->plan->sites[i].name));
    return WHIST_OK;
}

static bool disk_is_full(const world *w, whist_status status)
{
    bool full = status == WHIST_E_IO;
    for (size_t i = 0; i < w->n_actors; i++) full = full || w->actors[i].last == WHIST_E_IO;
    return full;
}

static whist_status run(world *w)
{
    WH_TRY(world_start(w));
    whist_status status = WHIST_E_TIMEOUT;
    for (int i = 0; status == WHIST_E_TIMEOUT && i < MAX_PASSES && !disk_is_full(w, WHIST_OK); i++)
        status = world_run(w, 1);
    return disk_is_full(w, status) ? WHIST_E_IO : status;
}

static int child(const world_plan *plan, const char *dir, const float *want)
{
    world w = {.plan = plan, .dir = dir};
    whist_status status = run(&w);
    if (status == WHIST_E_IO && getenv("WHIST_TEST_DISK_FULL_AFTER")) {
        world_end(&w); /* a full disk is no kill: what was made is ended */
        return CHILD_DISK_FULL;
    }
    if (status != WHIST_OK) return complain("run");
    float *model;
    if (plan->plan.privacy) {
        if (check_ledgers(&w) != WHIST_OK) return complain("ledgers");
        world_end(&w);
        return CHILD_DONE;
    }
    if (world_model(&w, &model) != WHIST_OK || check_record(&w) != WHIST_OK) return complain("record");
    bool same = memcmp(model, want, whist_model_size(plan->plan.model) * sizeof *want) == 0;
    wh_free(model);
    world_end(&w);
    if (!same) fprintf(stderr, "the model has other bits\n");
    return same ? CHILD_DONE : CHILD_WRONG;
}

/* ---- In the parent ---- */

typedef struct matrix {
    world_plan plan;
    float *want;
    char *dir, *count_file, *want_file;
} matrix;

/* A child with variable = value (NULL: none). Its wait status. */
static int run_child(const matrix *m, const char *variable, uint64_t value)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        if (variable) setenv(variable, text, 1);
        exit(child(&m->plan, m->dir, m->want));
    }
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static bool ended_with(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* One disturbed run and one that goes on. *struck: the disturbance came. */
static bool one(const matrix *m, const char *variable, uint64_t value, bool *struck)
{
    int status = run_child(m, variable, value);
    *struck = (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || ended_with(status, CHILD_DISK_FULL);
    bool good = *struck ? ended_with(run_child(m, NULL, 0), CHILD_DONE) : ended_with(status, CHILD_DONE);
    if (!good) fprintf(stderr, "FAILED at %s=%llu\n", variable, (unsigned long long)value);
    if (wh_tree_remove(m->dir) != WHIST_OK) return false;
    return good;
}

static bool all(const matrix *m, const char *variable, uint64_t first, uint64_t stride)
{
    bool good = true, struck = true;
    uint64_t n = 0, value = first;
    for (; struck && good; value += stride, n++) good = one(m, variable, value, &struck);
    printf("%s: %llu runs up to %llu, %s\n", variable, (unsigned long long)n, (unsigned long long)(value - stride),
           good ? "all went on to the same end" : "FAILED");
    return good;
}

/* Durable points and disk writes of a run that nothing disturbs. */
static bool count(const matrix *m, uint64_t *points)
{
    setenv("WHIST_TEST_CRASH_COUNT", m->count_file, 1);
    bool good = ended_with(run_child(m, NULL, 0), CHILD_DONE);
    unsetenv("WHIST_TEST_CRASH_COUNT");
    unsigned long long n = 0;
    FILE *f = fopen(m->count_file, "r");
    good = good && f && fscanf(f, "%llu", &n) == 1 && n > 0;
    if (f) fclose(f);
    *points = n;
    return wh_tree_remove(m->dir) == WHIST_OK && good;
}

/* The undisturbed model is made by a child, too: what the parent does would count in every child. */
static bool make_want(matrix *m)
{
    size_t bytes = whist_model_size(m->plan.plan.model) * sizeof *m->want;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        float *model;
        if (world_undisturbed(&model, &m->plan) != WHIST_OK) exit(complain("an undisturbed run in memory"));
        exit(wh_file_write(m->want_file, (whist_bytes){(const uint8_t *)model, bytes}, 0600) == WHIST_OK ? 0 : 1);
    }
    int status;
    WH_AUTO(wh_buf) model = WH_BUF_EMPTY;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !ended_with(status, 0)) return false;
    if (wh_file_read(&model, m->want_file, bytes) != WHIST_OK || model.len != bytes) return false;
    if (WH_NEW(&m->want, bytes / sizeof *m->want) != WHIST_OK) return false;
    memcpy(m->want, model.data, bytes);
    return true;
}

static bool make_matrix(matrix *m, const char *root, kind what)
{
    if (asprintf(&m->dir, "%s/run", root) < 0 || asprintf(&m->count_file, "%s/count", root) < 0 ||
        asprintf(&m->want_file, "%s/want", root) < 0)
        return false;
    return make_plan(&m->plan, what) == WHIST_OK && (what != PLAIN || make_want(m));
}

static bool one_kind(const char *root, kind what, bool brief, bool full_disks_only)
{
    matrix m = {0};
    uint64_t points;
    if (!make_matrix(&m, root, what)) return complain("start") == CHILD_DONE;
    bool good = count(&m, &points);
    if (!good) complain("an undisturbed run on disk");
    uint64_t stride = brief && points > SHORT ? points / (what == PLAIN ? SHORT : SHORT / 2) : 1;
    printf("%s, %llu durable points\n", kind_names[what], (unsigned long long)points);
    if (!full_disks_only) good = good && all(&m, "WHIST_TEST_CRASH_AT", 1, stride);
    if (what == PLAIN || !brief) good = good && all(&m, "WHIST_TEST_DISK_FULL_AFTER", 0, brief ? 2 * stride : 1);
    world_plan_clear(&m.plan);
    wh_free(m.want);
    free(m.dir);
    free(m.count_file);
    free(m.want_file);
    return good;
}

int main(int argc, char **argv)
{
    bool brief = argc > 1 && strcmp(argv[1], "--short") == 0;
    const char *tmp = getenv("TMPDIR");
    char root[4096];
    snprintf(root, sizeof root, "%s/whist-crash-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(root)) return complain("start");
    bool good = true;
    const int only = argc > 1 && !brief ? atoi(argv[1]) : -1;
    for (int what = PLAIN; good && what < KINDS; what++)
        if (only < 0 || only == what)
            good = one_kind(root, (kind)what, brief, argc > 2 && strcmp(argv[2], "full") == 0);
    return wh_tree_remove(root) == WHIST_OK && good ? 0 : 1;
}
