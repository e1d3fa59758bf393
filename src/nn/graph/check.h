/* nn/graph/check.h: derivatives against differences, and fast sums against slow ones, in float64. */
#ifndef WH_NN_GRAPH_CHECK_H
#define WH_NN_GRAPH_CHECK_H

#include "nn/graph/graph.h"

typedef struct wh_gradcheck {
    double first;   /* the gradient (backward) against central differences of the value */
    double tangent; /* the derivative along a direction (forward) against the gradient's inner product with it */
    double second;  /* a Hessian-vector product, forward through the gradient, against differences of the gradient */
    double reverse; /* the same product by a second backward pass, against the forward one */
} wh_gradcheck;

/* The worst errors, each relative to the largest entry of its tensor (or to 1 where that is less). scalar: what is
 * differentiated; wrt: n inputs. inputs: data of the graph's inputs in the order of their creation. The graph is of
 * float64 and gets more nodes. Fails like the transformations; the caller judges the errors. */
WH_MUST_CHECK whist_status wh_graph_gradcheck(wh_gradcheck *out, wh_graph *graph, wh_value scalar, const wh_value wrt[],
                                              size_t n, const void *const inputs[], size_t n_inputs);

/* The worst relative error of the per-example squared norms, of their weighted sum and of the gradients that have a
 * simple form (wh_per_example_gradient), against one backward pass for each example. */
WH_MUST_CHECK whist_status wh_graph_normcheck(double *out, wh_graph *graph, wh_value losses, const wh_value params[],
                                              size_t n, const void *const inputs[], size_t n_inputs);

/* What wh_graph_gradcheck_all found for one line of its tables: the worst of all its shapes. */
typedef struct wh_check_result {
    const char *name;
    size_t shapes;
    wh_gradcheck error;
    double norms; /* NaN where the case has no losses by example */
} wh_check_result;
typedef void wh_check_report(void *user, const wh_check_result *result);

/* Every operation at several shapes: derivatives to second order, in both directions, and per-example norms. Bounds:
 * 1e-9 against differences, 1e-12 between the directions, 1e-13 for norms. WHIST_E_STATE naming the first case that
 * passes its bound, after all have run, or the first operation of the engine that no case used. report may be NULL. */
WH_MUST_CHECK whist_status wh_graph_gradcheck_all(wh_check_report *report, void *user);
size_t wh_graph_count_ops(void); /* operations of the engine */

#endif
