/* nn/graph/check.h: derivatives against central differences, in float64. */
#ifndef WH_NN_GRAPH_CHECK_H
#define WH_NN_GRAPH_CHECK_H

#include "nn/graph/graph.h"

typedef struct wh_gradcheck {
    double first;  /* worst error of the gradient, relative to the largest entry of its tensor (or 1) */
    double second; /* the same for a Hessian-vector product; of the difference of gradients */
    double norms;  /* per-example squared norms against the loop; NaN where losses was WH_NO_VALUE */
} wh_gradcheck;

/* scalar: the value to differentiate; wrt: n inputs. inputs: data of all n_inputs inputs, in their order of
 * creation. Fails like the transformations; the caller judges the errors. */
WH_MUST_CHECK whist_status wh_graph_gradcheck(wh_gradcheck *out, wh_graph *graph, wh_value scalar, const wh_value wrt[],
                                              size_t n, const void *const inputs[], size_t n_inputs);

/* Every operation at several shapes, first and second order, and per-example norms against the loop.
 * WHIST_E_STATE naming the operation and the error. */
WH_MUST_CHECK whist_status wh_graph_gradcheck_all(void);

#endif
