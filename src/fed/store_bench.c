/* fed/store_bench.c: what the store costs: a durable step, and a step of a simulation in memory. */
#include "fed/store_bench.h"

#include "base/clock.h"
#include "fed/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPS = 5 };

/* A step as a coordinator takes it: its row, and `arrivals` answers, in one transaction. */
static whist_status one_step(wh_store *store, uint64_t step, unsigned arrivals)
{
    uint8_t cohort[64] = {0};
    wh_step_row row = {.step = step, .round = step, .cohort = cohort, .n_sites = sizeof cohort};
    WH_TRY(wh_store_begin(store));
    WH_TRY(wh_store_step_put(store, &row));
    for (unsigned i = 0; i < arrivals; i++) {
        char actor[16];
        wh_digest answer = {{(uint8_t)i}};
        bool first, same;
        snprintf(actor, sizeof actor, "site-%05u", i);
        WH_TRY(wh_store_arrival_put(store, step, 0, actor, &answer, 0, &first, &same));
    }
    return wh_store_commit(store);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void emit(const whist_bench_env *env, const char *name, const char *unit, double *values)
{
    whist_bench_result result = {.unit = unit, .reps = REPS, .threads = 1};
    qsort(values, REPS, sizeof *values, by_value);
    snprintf(result.name, sizeof result.name, "%s", name);
    result.min = values[0];
    result.median = values[REPS / 2];
    result.max = values[REPS - 1];
    env->emit(env->user, &result);
}

/* Seconds for n steps of `arrivals` answers. */
static whist_status time_steps(wh_store *store, uint64_t first, unsigned n, unsigned arrivals, double *out)
{
    double start = wh_clock_seconds();
    for (unsigned i = 0; i < n; i++) {
        whist_status status = one_step(store, first + i, arrivals);
        if (status != WHIST_OK) {
            wh_store_rollback(store);
            return status;
        }
    }
    *out = wh_clock_seconds() - start;
    return WHIST_OK;
}

static whist_status bench(const whist_bench_env *env, const char *name, const char *dir, unsigned n, unsigned arrivals)
{
    double values[REPS];
    wh_store *store;
    WH_TRY(wh_store_open(&store, dir, NULL));
    whist_status status = WHIST_OK;
    for (unsigned i = 0; i < REPS && status == WHIST_OK; i++) {
        status = time_steps(store, (uint64_t)i * n, n, arrivals, &values[i]);
        /* durable: steps a second; in memory: seconds an arrival (the step's own row included) */
        if (status == WHIST_OK) values[i] = dir ? n / values[i] : values[i] / n / arrivals;
    }
    wh_store_close(store);
    if (status == WHIST_OK) emit(env, name, dir ? "1/s" : "s", values);
    return status;
}

static whist_status bench_step(const whist_bench_env *env)
{
    char *dir = NULL;
    WH_TRY(wh_path(&dir, env->scratch, "store"));
    whist_status status = bench(env, "fed.store.step", dir, 50, 1);
    wh_free(dir);
    return status;
}

static whist_status bench_arrival(const whist_bench_env *env)
{
    return bench(env, "fed.store.arrival", NULL, 200, 100);
}

static whist_status bench_single(const whist_bench_env *env)
{
    return bench(env, "fed.store.memory", NULL, 20000, 1);
}

const whist_bench wh_store_benches[] = {
    {"fed.store.step", "durable steps (row, one arrival, commit) of a store on disk", false, bench_step},
    {"fed.store.arrival", "one arrival of a step with 100, store in memory", false, bench_arrival},
    {"fed.store.memory", "a step (row, one arrival, commit), store in memory", false, bench_single},
    {NULL, NULL, false, NULL},
};
