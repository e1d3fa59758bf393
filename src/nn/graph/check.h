/* nn/graph/check.h: derivatives against differences, and fast sums against slow ones, in float64. */
#ifndef WH_NN_GRAPH_CHECK_H
#define WH_NN_GRAPH_CHECK_H

#include "nn/graph/graph.h"

typedef struct wh_gradcheck {
    double first;  /* the gradient against central differences of the value */
    double second; /* a Hessian-vector product against central differences of the gradient */
} wh_gradcheck;

/* The worst errors, each relative to the largest entry of its tensor (or to 1 where that is less). scalar: what is
 * differentiated; wrt: n inputs. inputs: data of the graph's inputs in the order of their creation. The graph is of
 * float64 and gets more nodes. Fails like the transformations; the caller judges the errors. */
WH_MUST_CHECK whist_status wh_graph_gradcheck(wh_gradcheck *out, wh_graph *graph, wh_value scalar, const wh_value wrt[],
                                              size_t n, const void *const inputs[], size_t n_inputs);

/* The worst relative error of the per-example squared norms and of their weighted sum, against one backward pass for
 * each example. */
WH_MUST_CHECK whist_status wh_graph_normcheck(double *out, wh_graph *graph, wh_value losses, const wh_value params[],
                                              size_t n, const void *const inputs[], size_t n_inputs);

/* One case of the table of wh_graph_gradcheck_all. */
typedef struct wh_check_result {
    const char *name;
    wh_gradcheck error; /* NaN where the case checks norms alone */
    double norms;       /* NaN where the case checks derivatives alone */
} wh_check_result;
typedef void wh_check_report(void *user, const wh_check_result *result);

/* Every operation at several shapes. WHIST_E_STATE naming the first case whose error passes its bound (1e-9 first
 * and second order, 1e-13 norms), after all have run. report may be NULL. */
WH_MUST_CHECK whist_status wh_graph_gradcheck_all(wh_check_report *report, void *user);

#endif
