/* base/bench.h: how a room measures a piece of work for its bench table: repetitions of a fixed
 * span, of which the median, the least and the most are reported. */
#ifndef WH_BASE_BENCH_H
#define WH_BASE_BENCH_H

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { WH_BENCH_REPS = 9 };

typedef whist_status wh_bench_work(void *user);

static inline int wh_bench_order_(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Repeats `work` for 50 ms, `reps` (at most WH_BENCH_REPS) times after a warm-up, into *result. With per_second the
 * result is `amount` per second, else seconds per `amount`. threads: how many the work uses. */
static inline whist_status wh_bench_take(whist_bench_result *result, unsigned threads, const char *name,
                                         const char *unit, bool per_second, double amount, unsigned reps,
                                         wh_bench_work *work, void *user)
{
    double value[WH_BENCH_REPS];
    WH_TRY(work(user));
    for (unsigned rep = 0; rep < reps; rep++) {
        double start = wh_clock_seconds(), spent = 0;
        uint64_t calls = 0;
        for (; spent < 0.05; spent = wh_clock_seconds() - start, calls++) WH_TRY(work(user));
        double done = amount * (double)calls;
        value[rep] = per_second ? done / spent : spent / done;
    }
    qsort(value, reps, sizeof value[0], wh_bench_order_);
    *result = (whist_bench_result){.unit = unit,
                                   .median = value[reps / 2],
                                   .min = value[0],
                                   .max = value[reps - 1],
                                   .reps = reps,
                                   .threads = threads};
    snprintf(result->name, sizeof result->name, "%s", name);
    return WHIST_OK;
}

/* Nine repetitions, reported. */
static inline whist_status wh_bench_measure_on(unsigned threads, const whist_bench_env *env, const char *name,
                                               const char *unit, bool per_second, double amount, wh_bench_work *work,
                                               void *user)
{
    whist_bench_result result;
    WH_TRY(wh_bench_take(&result, threads, name, unit, per_second, amount, WH_BENCH_REPS, work, user));
    env->emit(env->user, &result);
    return WHIST_OK;
}

/* The same on one thread. */
static inline whist_status wh_bench_measure(const whist_bench_env *env, const char *name, const char *unit,
                                            bool per_second, double amount, wh_bench_work *work, void *user)
{
    return wh_bench_measure_on(1, env, name, unit, per_second, amount, work, user);
}

#endif
