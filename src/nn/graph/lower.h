/* nn/graph/lower.h: hands convolutions to oneDNN where WHIST_CONV asks for it. */
#ifndef WH_NN_GRAPH_LOWER_H
#define WH_NN_GRAPH_LOWER_H

#include "nn/graph/graph.h"

/* WHIST_CONV=own (and unset): the engine's own kernels. onednn: every convolution that oneDNN has generated code for.
 * auto: those where it was measured to be faster, by shape alone (docs/nn.md); none where the library is missing.
 *
 * A transformation for values and first derivatives in float32, the last one before a program is made: outputs (n of
 * them) become values that agree within rounding; their graph is the same. What it adds has no derivative. It leaves
 * alone what it does not serve: float64, groups, per-example gradients.
 *
 * WHIST_E_ARG: WHIST_CONV is something else. WHIST_E_UNSUPPORTED: onednn is asked for and cannot be had, with the
 * reason. */
WH_MUST_CHECK whist_status wh_graph_lower(wh_value outputs[], wh_graph *graph, size_t n);

/* What the setting means on this machine, for files whose bits hang on it: "" for own, " conv=onednn", " conv=auto", or
 * " conv=auto without onednn". */
const char *wh_graph_lower_name(void);

#endif
