/* nn/graph/node.h: what a node is, and the table of operations.
 *
 * An operation is one wh_op: its rules for derivatives build nodes of the same graph, so every derivative can be
 * differentiated again. The rules an operation may leave out:
 *
 *   elementwise    slope(i) = ∂out/∂arg i as a node; vjp and jvp follow
 *   multilinear    jvp follows: Σ_i op(…, tangent of arg i, …)
 *   linear         jvp follows: op(tangents), zeros where there is none
 *   fused          vjp may be given for speed; what it lacks comes from decompose, the same value in simpler nodes */
#ifndef WH_NN_GRAPH_NODE_H
#define WH_NN_GRAPH_NODE_H

#include "nn/graph/graph.h"
#include "nn/graph/kern.h"

typedef enum wh_kind { WH_KIND_REAL, WH_KIND_INDEX } wh_kind;

typedef struct wh_node wh_node;
typedef struct wh_op wh_op;

enum {
    WH_OP_LEAF = 1,
    WH_OP_LINEAR = 2,      /* jointly in all real arguments */
    WH_OP_MULTILINEAR = 4, /* in each real argument */
    WH_OP_CONSTANT = 8,    /* every derivative is zero */
    WH_OP_VIEW = 16,       /* the argument's bytes under another shape */
    WH_OP_SEEN_THROUGH =
        32, /* builders may use the argument's argument in its place: no derivative is by such a value */
};

struct wh_op {
    const char *name;
    unsigned flags;
    wh_element element; /* != WH_ELEMENT_NONE: elementwise, run by the fused kernel */
    wh_value (*slope)(wh_graph *graph, wh_value n, unsigned i); /* WH_NO_VALUE: zero */
    wh_value (*vjp)(wh_graph *graph, wh_value n, unsigned i, wh_value cotangent);
    wh_value (*jvp)(wh_graph *graph, wh_value n, const wh_value tangents[]); /* WH_NO_VALUE where none */
    wh_value (*decompose)(wh_graph *graph, wh_value n);
    /* Some argument is split by example (equal parts of its row-major order, one an example), the others are too or
     * are the same for all. Is the value split likewise? NULL: no, it mixes examples. */
    bool (*splits)(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples);
    wh_kernel *kernel[2];                   /* by wh_real; NULL for leaves, views and elementwise ones */
    wh_kernel *wide[3][2];                  /* the same by wh_cpu_level, where each set has its own */
    wh_plan (*plan)(const wh_call *call);   /* what cut and the kernels find in call->plan; NULL: nothing */
    wh_cut (*cut)(const wh_call *call);     /* units of work; NULL: one unit */
    size_t (*scratch)(const wh_call *call); /* real numbers a worker needs; NULL: none */
};

struct wh_node {
    const wh_op *op;
    const wh_value *arg;
    unsigned n_args;
    wh_kind kind;
    wh_dims dims;
    wh_attr attr;
    const char *name; /* of an input, else NULL */
    wh_role role;
};

struct wh_graph {
    wh_real real;
    wh_arena memory; /* arguments and names */
    wh_node *nodes;  /* [0] stands for WH_NO_VALUE */
    size_t n, cap;
    wh_value *table; /* open addressing over the nodes' content */
    size_t table_cap;
    whist_status failed;
    whist_detail why;
};

/* Keeps the first failure; returns WH_NO_VALUE. */
wh_value wh_graph_fail(wh_graph *graph, whist_status code, const char *format, ...) WHIST_PRINTF(3, 4);
wh_value wh_graph_fail_dims(wh_graph *graph, const char *op, const wh_dims *a, const wh_dims *b, const char *why);

static inline const wh_node *wh_node_at(const wh_graph *graph, wh_value value)
{
    return &graph->nodes[value];
}
/* Do the arguments exist, with real (or, where bit i of indices is set, index) values? Else fails the graph. */
bool wh_graph_args(wh_graph *graph, const wh_op *op, const wh_value args[], unsigned n, unsigned indices);

/* The node with this content: an equal one that exists, or a new one. args are checked already. */
wh_value wh_graph_node(wh_graph *graph, const wh_op *op, const wh_value args[], unsigned n, wh_dims dims,
                       const wh_attr *attr, wh_kind kind);
wh_value wh_graph_node1(wh_graph *graph, const wh_op *op, wh_value a, wh_dims dims, const wh_attr *attr);
wh_value wh_graph_node2(wh_graph *graph, const wh_op *op, wh_value a, wh_value b, wh_dims dims, const wh_attr *attr);
/* The same operation on other arguments of the same shapes. */
wh_value wh_graph_again(wh_graph *graph, wh_value n, const wh_value args[]);

bool wh_graph_is_fill(const wh_graph *graph, wh_value value, double *number);
/* One more than the largest index the value can hold. */
uint64_t wh_graph_index_limit(const wh_graph *graph, wh_value index);
wh_value wh_graph_max_last(wh_graph *graph, wh_value a); /* (…,S) → (…), no derivative */
wh_dims wh_dims_matrix(const wh_dims *dims);             /* (rows, last axis) */
wh_dims wh_dims_drop_last(const wh_dims *dims);

/* a (…) to (…,n), the same number along the new axis. */
wh_value wh_graph_repeat_last(wh_graph *graph, wh_value a, size_t n);

/* Images: (N,C,H,W) as users see them, (N,H,W,C) as the graph works on them (layout.c). */
wh_value wh_graph_channels_last(wh_graph *graph, wh_value x);
wh_value wh_graph_channels_first(wh_graph *graph, wh_value x);
/* If the elementwise operation on these arguments (of one shape) can be done channels last: its value, seen channels
 * first; else WH_NO_VALUE. */
wh_value wh_graph_below_layout(wh_graph *graph, const wh_op *op, const wh_value args[], unsigned n,
                               const wh_attr *attr);
/* (…) over those axes: less its mean, over its deviation. */
wh_value wh_graph_standardize(wh_graph *graph, wh_value a, unsigned axes, double eps);
/* (…) normalised as a grid (A,B,C,D): over B and D. */
wh_value wh_graph_normalize_grid(wh_graph *graph, wh_value a, wh_dims grid, double eps);

/* The simple rules for `splits`. */
bool wh_splits_always(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples);
/* Rows of the last axis by themselves. */
bool wh_splits_rows(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples);
/* The first argument carries the examples in its first axis, the others are the same for all. */
bool wh_splits_first(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples);

/* clang-format off */
#define WH_OPS(X) \
    X(input) X(index) X(fill) X(detach) X(add) X(sub) X(mul) X(div) X(max) X(min) X(not_less) X(where) X(standardize) \
    X(neg) X(exp) X(log) X(sqrt) X(rsqrt) X(tanh) X(sigmoid) X(softplus) X(erf) X(relu) X(positive) X(abs) \
    X(pow) X(gelu) X(gelu_tanh) X(pin) X(reshape) X(transpose) X(broadcast) X(slice) X(pad) X(concat) X(sum) \
    X(cumsum) X(max_last) X(matmul) X(solve) X(gather) X(scatter) X(take) X(put) X(conv) X(conv_data) X(conv_weight) \
    X(max_window) X(window_take) X(window_put) X(avg_pool) X(avg_pool_back) X(normalize) X(normalize_back) \
    X(normalize_grid) X(normalize_grid_back) X(normalize_grid_second) X(softmax) X(softmax_back) \
    X(log_softmax) X(cross_entropy) X(cross_entropy_back) X(keep_mask) X(outer_squared) X(conv_squared) X(conv_each) \
    X(gather_squared) X(tied_cross) X(attention) X(attention_back) X(gelu_slope) X(gelu_tanh_slope)
/* clang-format on */
#define WH_OP_DECLARE(id) extern const wh_op wh_op_##id;
WH_OPS(WH_OP_DECLARE)
#undef WH_OP_DECLARE

/* No node's: a step of a chain and the sum behind it. */
extern const wh_op wh_op_chain_sum;
/* Whether a chain of shape dims can be summed block by block: one run of summed axes, and rows that a block holds. */
bool wh_graph_sums_chain(const wh_dims *dims, size_t axes);

/* Every operation; ends with NULL. */
extern const wh_op *const wh_graph_ops[];

/* ct[v] for v = 1 … of: the cotangent of every node that depends on a marked one, given that of `of`. With stop,
 * marked nodes pass nothing on. WH_NO_VALUE: zero. */
WH_MUST_CHECK whist_status wh_graph_cotangents(wh_value *ct, wh_graph *graph, wh_value of, wh_value cotangent,
                                               const bool *marked, bool stop);
/* The contribution of node n to the cotangent of its argument i. */
wh_value wh_graph_pull(wh_graph *graph, wh_value n, unsigned i, wh_value cotangent);

/* For the per-example transformation. rows (B,T,p), cols (B,T,q) → (B): |rowsᵀ cols|² of each example. */
wh_value wh_graph_outer_squared(wh_graph *graph, wh_value rows, wh_value cols);
/* x (N,H,W,C), cotangent of the convolution → (N): the squared norm of each example's weight gradient. */
wh_value wh_graph_conv_squared(wh_graph *graph, wh_value x, wh_value cotangent, wh_value conv);
/* The same → (N,kh,kw,C/groups,O): each example's weight gradient. */
wh_value wh_graph_conv_each(wh_graph *graph, wh_value x, wh_value cotangent, wh_value conv);
/* index (B,T), c (B,T,D) → (B): the squared norm of each example's table gradient. */
wh_value wh_graph_gather_squared(wh_graph *graph, wh_value index, wh_value c);
/* The inner product of an embedding's gradient (index (B,T), c (B,T,D)) and rowsᵀ cols (rows (B,S,V), cols (B,S,D)). */
wh_value wh_graph_tied_cross(wh_graph *graph, wh_value index, wh_value c, wh_value rows, wh_value cols);

#endif
