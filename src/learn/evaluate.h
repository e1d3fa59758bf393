/* learn/evaluate.h: metrics of a model, on the threads of a pool. */
#ifndef WH_LEARN_EVALUATE_H
#define WH_LEARN_EVALUATE_H

#include "base/pool.h"

#include <whist/learn.h>

/* whist_learn_evaluate; pool may be NULL and changes no bit. */
WH_MUST_CHECK whist_status wh_learn_evaluate(whist_metric_value *out, const whist_model *model, const float *params,
                                             const whist_rows *rows, const char *const *metrics, size_t n_metrics,
                                             wh_pool *pool);

#endif
