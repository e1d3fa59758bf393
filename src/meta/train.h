/* meta/train.h: what a training over tasks is made of, and measuring by a scheme. */
#ifndef WH_META_TRAIN_H
#define WH_META_TRAIN_H

#include "meta/source.h"
#include "nn/optim.h"

#include <whist/meta.h>

WH_AUTO_FREE(wh_pool, wh_pool_free)

/* Scheme and tasks for measuring. */
typedef struct wh_measure {
    const whist_meta_env *env;
    const whist_meta_test *test;
    const float *params;
    wh_source *source;
    wh_scheme *scheme;
    wh_pool *pool; /* not owned */
    unsigned threads;
    wh_source_seat **seats;     /* (threads) */
    wh_scheme_task *task, *own; /* (threads): as drawn, and with noise */
    float **personal, **sum, **part;
    double *score; /* (episodes) */
    bool losses;   /* scores are losses: -log of the probability of what is true, or squared errors */
} wh_measure;
/* What *env and *test point to stays where it is. */
WH_MUST_CHECK whist_status wh_measure_init(wh_measure *out, const whist_meta_env *env, const whist_meta_test *test,
                                           wh_pool *pool);
WH_MUST_CHECK whist_status wh_measure_run(whist_meta_score *out, wh_measure *measure, const float *params);
void wh_measure_clear(wh_measure *measure);
WH_AUTO_CLEAR(wh_measure, wh_measure_clear)

WH_MUST_CHECK whist_status wh_meta_source(wh_source **out, const whist_meta_env *env, whist_fold fold);
WH_MUST_CHECK whist_status wh_meta_scheme(wh_scheme **out, const whist_meta_env *env, const wh_source *source,
                                          size_t steps, bool learns, bool attacks);

struct whist_meta_train {
    whist_meta_env env;
    whist_training training;
    size_t n, n_tasks;
    wh_pool *pool;
    wh_source *source;
    wh_scheme *scheme;
    wh_source_seat **seats; /* (threads) */
    wh_scheme_task *tasks;  /* (n_tasks) */
    wh_meta_task *list;
    double *losses;
    wh_optimizer *optimizer;
    wh_schedule schedule;
    double lr;
    float *params, *grad, *best, **personal; /* (n) each; personal (threads) where rows are attacked */
    bool validates;
    whist_meta_test validation;
    wh_measure measure;
    uint64_t step, best_step;
    double best_score, loss_sum;
    uint64_t loss_n;
};

#endif
