/* nn/graph/check_cases.h: what the cases of the derivative check build in, and their three tables. */
#ifndef WH_NN_GRAPH_CHECK_CASES_H
#define WH_NN_GRAPH_CHECK_CASES_H

#include "nn/graph/check.h"
#include "nn/graph/node.h"

enum { WH_CHECK_INPUTS = 32 };

/* One case while it is built. The first failure of memory sticks. */
typedef struct wh_check_setup {
    wh_graph *g;
    wh_arena memory;
    const void *data[WH_CHECK_INPUTS];
    size_t n_data;
    wh_value wrt[WH_CHECK_INPUTS];
    size_t n_wrt;
    size_t variant; /* which shape, from 0 */
    uint64_t counter;
    whist_status failed;
} wh_check_setup;

/* A real input with values in [low, high], at least .01 away from 0: kinks are further off than the differences' step.
 */
wh_value wh_check_given(wh_check_setup *s, wh_role role, wh_dims dims, double low, double high);
/* Inputs that are differentiated: in [-1, 1], and in [.4, 1.6]. */
wh_value wh_check_learned(wh_check_setup *s, wh_dims dims);
wh_value wh_check_positive(wh_check_setup *s, wh_dims dims);
wh_value wh_check_indices(wh_check_setup *s, wh_role role, wh_dims dims, uint32_t limit);

/* A table ends with a row without a name. */
typedef struct wh_check_case {
    const char *name;
    wh_value (*build)(wh_check_setup *s);
    size_t variants;
} wh_check_case;
extern const wh_check_case wh_check_plain[];  /* one operation each: elements, shapes, sums, products, indices */
extern const wh_check_case wh_check_layers[]; /* images, norms, losses, larger pieces */
extern const wh_check_case wh_check_norms[];  /* losses (B): derivatives and per-example norms */

#endif
