/* learn/local.h: what all learners over a whist_model share: batches of the site's rows, a working copy of the
 * parameters, and the difference to the global model that becomes the update. */
#ifndef WH_LEARN_LOCAL_H
#define WH_LEARN_LOCAL_H

#include "base/settings.h"
#include "draw/design.h"
#include "nn/zoo.h"

#include <whist/learn.h>

/* Option rows that every local learner understands; put them at the head of a table. */
#define WH_LOCAL_OPTIONS                                                                                               \
    {"lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "learning rate"},                                                  \
        {"batch", WHIST_OPTION_INT, "32", 0, 1e6, NULL, "rows in a batch; 0 takes all of the site's rows at once"},    \
        {"updates", WHIST_OPTION_INT, "0", 0, 1e9, NULL, "local steps in a round; 0: as many as epochs says"},         \
    {                                                                                                                  \
        "epochs", WHIST_OPTION_INT, "1", 1, 1e6, NULL, "passes over the site's rows in a round, unless updates is set" \
    }

/* All rows, in order. */
whist_batch wh_batch_of(const whist_rows *rows);

/* A mask of dropout goes by the row's number, which changes when another row leaves: then more than that row's own
 * contribution would move. WHIST_E_UNSUPPORTED for models that drop out. */
WH_MUST_CHECK whist_status wh_local_refuse_dropout(const whist_model *model);

typedef struct wh_local {
    const whist_learner_env *env;
    size_t n; /* parameters */
    whist_rows train;
    whist_model_work *work;
    float *params; /* (n) working copy */
    float *delta;  /* (n) what becomes the update */
    double lr;
    size_t batch_rows;
    uint64_t steps; /* in a round */
    wh_draw draw;
    wh_seeded dropout; /* seeds, one a step */
    whist_batch batch; /* filled by wh_local_next */
} wh_local;

WH_MUST_CHECK whist_status wh_local_init(wh_local *out, const whist_learner_env *env);
/* For learners that draw their batches from elsewhere, as private ones do: parameters, rows, lr and `updates` steps. */
WH_MUST_CHECK whist_status wh_local_init_bare(wh_local *out, const whist_learner_env *env);
void wh_local_clear(wh_local *local);

/* Parameters of the round's model. WHIST_E_FORMAT for another length. */
WH_MUST_CHECK whist_status wh_local_load(wh_local *local, const whist_learner_round *round);
/* The same, and rows in the round's order. */
WH_MUST_CHECK whist_status wh_local_begin(wh_local *local, const whist_learner_round *round);
/* The next batch, in local->batch. */
void wh_local_next(wh_local *local);
/* delta = params - model, and the update that carries it as its first vector. */
void wh_local_finish(wh_local *local, const whist_learner_round *round, double steps, whist_update *out);

/* Shows a noised gradient to whoever watches (env->watch). */
WH_MUST_CHECK whist_status wh_local_show(const wh_local *local, const float *grad, double clip, double divisor);

/* The rest of a class that a learner beginning with { whist_learner base; wh_local local; } can use. */
typedef struct wh_local_learner {
    whist_learner base;
    wh_local local;
} wh_local_learner;
whist_status wh_local_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out);
/* Plain SGD on the support rows from the model, with the learner's lr, batch and steps. */
whist_status wh_local_adapt(whist_learner *self, const float *model, const whist_rows *support, float *personal);

#endif
