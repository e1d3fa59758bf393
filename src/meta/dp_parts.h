/* meta/dp_parts.h: what private meta-learners share: a chain over the rows of one task, its options, a personal model.
 */
#ifndef WH_META_DP_PARTS_H
#define WH_META_DP_PARTS_H

#include "base/settings.h"
#include "meta/model.h"

#include <whist/learn.h>

#define WH_META_TASK_OPTIONS                                                                                           \
    {"lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "step of the start along the private meta-gradient"},               \
        {"inner_lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "learning rate of the steps inside a task"},             \
    {                                                                                                                  \
        "inner_steps", WHIST_OPTION_INT, "1", 1, 1000, NULL, "steps inside a task"                                     \
    }
#define WH_META_NOISE_OPTIONS                                                                                          \
    {"rate", WHIST_OPTION_REAL, NULL, 1e-9, 1, NULL, "probability with which each is drawn, every time"},              \
        {"batch",                                                                                                      \
         WHIST_OPTION_REAL,                                                                                            \
         "0",                                                                                                          \
         0,                                                                                                            \
         1e9,                                                                                                          \
         NULL,                                                                                                         \
         "what sums are divided by, a public number; 0: rate times the public bound"},                                 \
        {"clip", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of what one puts into a sum"},                     \
    {                                                                                                                  \
        "noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL, "standard deviation of the noise over the sensitivity"      \
    }

/* The meta-gradient of one task of `support` and `query` rows; learners of one rule differ in it alone. */
typedef struct wh_meta_chain {
    const whist_model *model;
    bool *adapts; /* by tensor */
    wh_meta_model support, query;
    wh_meta *meta;
    wh_meta_work *work;
    float *x; /* (support + query, d) */
    void *y;  /* (support + query): floats, or indices */
    const void *data[4];
    float inner_lr;
    size_t inner_steps;
} wh_meta_chain;

/* `name` is a learner's: maml, fomaml, reptile, anil, boil or per-fedavg (Hessian-free). `out` stays where it is. */
WH_MUST_CHECK whist_status wh_meta_chain_init(wh_meta_chain *out, const whist_model *model, const char *name,
                                              size_t support, size_t query, double inner_lr, size_t inner_steps);
void wh_meta_chain_clear(wh_meta_chain *chain);
/* grad (P) at theta of the task of rows index[0 … support + query - 1]. */
WH_MUST_CHECK whist_status wh_meta_chain_gradient(float *grad, wh_meta_chain *chain, const float *theta,
                                                  const whist_rows *rows, const uint32_t index[]);

/* personal = steps of plain gradient on all the rows, from the model; adapts (by tensor) NULL: all move. */
WH_MUST_CHECK whist_status wh_meta_personal(float *personal, const whist_model *model, const float *start,
                                            const whist_rows *rows, double lr, size_t steps, const bool *adapts);

#endif
