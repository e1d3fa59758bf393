/* learn/train.h: what a training run is made of, for the files of this room. */
#ifndef WH_LEARN_TRAIN_H
#define WH_LEARN_TRAIN_H

#include "draw/design.h"
#include "nn/optim.h"
#include "nn/zoo.h"

#include <whist/train.h>

struct whist_train {
    whist_train_env env;
    size_t n; /* parameters */
    whist_rows rows;
    size_t batch_rows;
    uint64_t pass, total, evaluate_every; /* steps in a pass, in all, from one evaluation to the next */
    double lr;
    wh_schedule schedule;
    wh_optimizer *optimizer;
    whist_model_work *work;
    wh_pool *pool;
    float *params, *grad; /* (n) each */
    wh_draw draw;         /* stands behind `step` steps */
    uint64_t step;        /* taken */
    double loss_sum;      /* over the steps since the last point, … */
    uint64_t loss_n;      /* … so many */
    whist_train_point *points;
    size_t n_points, cap_points;
};

/* Room for one more point. */
WH_MUST_CHECK whist_status wh_train_reserve(whist_train *train, size_t n_points);
/* Brings the draw behind `step` steps. */
void wh_train_seek(whist_train *train);

#endif
