/* nn/graph/ops.c: the table of all operations. */
#include "nn/graph/node.h"

#define ROW(id) &wh_op_##id,
const wh_op *const wh_graph_ops[] = {WH_OPS(ROW) NULL};
