/* nn/graph/graph.h: computations as data: build, differentiate as often as wanted, compile, run.
 *
 * A graph is a list of nodes, each an operation on earlier nodes, so it has no loops and its order is an
 * order of work. A value is the number of a node. Shapes are static: up to five axes, row-major. All real
 * values of a graph have its one type (float32 or float64); indices are a kind of their own (uint32).
 *
 * Gradients, Jacobian-vector products and per-example sums are transformations: they add nodes to the same
 * graph. The set of operations is closed under differentiation, so what they add can be transformed again.
 * Equal nodes (same operation, arguments and settings) are one node: common subexpressions never arise.
 *
 * Failures stick. A builder that fails returns WH_NO_VALUE and keeps the first reason; every later builder
 * call then returns WH_NO_VALUE at once. Whoever needs to know asks wh_graph_status; every transformation and
 * wh_program_new do. The codes: WHIST_E_ARG for shapes that do not fit (the text names the operation and both
 * shapes), WHIST_E_RANGE for sizes beyond memory, WHIST_E_UNSUPPORTED for a derivative that does not exist.
 *
 * Threads: a graph belongs to one at a time. */
#ifndef WH_NN_GRAPH_GRAPH_H
#define WH_NN_GRAPH_GRAPH_H

#include "base/mem.h"

enum { WH_GRAPH_RANK = 5 };

typedef struct wh_dims {
    unsigned rank; /* 0: a scalar */
    size_t dim[WH_GRAPH_RANK];
} wh_dims;
/* WH_DIMS(2, 3): two rows of three. WH_SCALAR: one number. */
#define WH_DIMS(...) ((wh_dims){.rank = sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t), .dim = {__VA_ARGS__}})
#define WH_SCALAR ((wh_dims){0})

size_t wh_dims_size(const wh_dims *dims); /* the product; 1 for a scalar */
bool wh_dims_equal(const wh_dims *a, const wh_dims *b);
typedef struct wh_dims_text {
    char text[120];
} wh_dims_text;
wh_dims_text wh_dims_show(const wh_dims *dims); /* "(2,3)" */

typedef enum wh_real { WH_F32, WH_F64 } wh_real;

typedef struct wh_graph wh_graph;
typedef uint32_t wh_value;
enum { WH_NO_VALUE = 0 };

WH_MUST_CHECK whist_status wh_graph_new(wh_graph **out, wh_real real);
void wh_graph_free(wh_graph *graph);
WH_AUTO_FREE(wh_graph, wh_graph_free)

/* The first failure so far, with its detail record put back in place; else WHIST_OK. */
WH_MUST_CHECK whist_status wh_graph_status(const wh_graph *graph);
wh_real wh_graph_real(const wh_graph *graph);
size_t wh_graph_size(const wh_graph *graph); /* nodes, numbered 1 … size */
wh_dims wh_graph_dims(const wh_graph *graph, wh_value value);

/* ---- Leaves --------------------------------------------------------------------------------- */

/* What an input is to the per-example transformation. */
typedef enum wh_role {
    WH_PARAM,    /* learned; the same for all examples */
    WH_SHARED,   /* given; the same for all examples */
    WH_EXAMPLES, /* given; its first axis counts examples */
} wh_role;

/* Names are for texts and dumps; two inputs of one name are two inputs. */
wh_value wh_graph_input(wh_graph *graph, const char *name, wh_role role, wh_dims dims);
/* Indices; each must lie below limit, which a run checks. */
wh_value wh_graph_index(wh_graph *graph, const char *name, wh_role role, wh_dims dims, uint64_t limit);
/* The same number everywhere. Takes no memory where an elementwise operation uses it. */
wh_value wh_graph_fill(wh_graph *graph, wh_dims dims, double number);
wh_value wh_graph_fill_like(wh_graph *graph, wh_value like, double number);

/* ---- Elementwise ------------------------------------------------------------------------------
 * Of two arguments the shapes must be equal or broadcast: aligned at the last axis, an axis of 1 (or a missing
 * one) is repeated. */
wh_value wh_graph_add(wh_graph *graph, wh_value a, wh_value b);
wh_value wh_graph_sub(wh_graph *graph, wh_value a, wh_value b);
wh_value wh_graph_mul(wh_graph *graph, wh_value a, wh_value b);
wh_value wh_graph_div(wh_graph *graph, wh_value a, wh_value b);
wh_value wh_graph_max(wh_graph *graph, wh_value a, wh_value b); /* at a tie the derivative is a's */
wh_value wh_graph_min(wh_graph *graph, wh_value a, wh_value b);
wh_value wh_graph_not_less(wh_graph *graph, wh_value a, wh_value b);          /* 1 where a >= b, else 0; derivative 0 */
wh_value wh_graph_where(wh_graph *graph, wh_value c, wh_value a, wh_value b); /* a where c ≠ 0, else b */
wh_value wh_graph_neg(wh_graph *graph, wh_value a);
wh_value wh_graph_exp(wh_graph *graph, wh_value a);
wh_value wh_graph_log(wh_graph *graph, wh_value a);
wh_value wh_graph_sqrt(wh_graph *graph, wh_value a);
wh_value wh_graph_rsqrt(wh_graph *graph, wh_value a);
wh_value wh_graph_tanh(wh_graph *graph, wh_value a);
wh_value wh_graph_sigmoid(wh_graph *graph, wh_value a);
wh_value wh_graph_softplus(wh_graph *graph, wh_value a); /* log(1 + e^a) */
wh_value wh_graph_erf(wh_graph *graph, wh_value a);
wh_value wh_graph_relu(wh_graph *graph, wh_value a);     /* derivative at 0: 0 */
wh_value wh_graph_positive(wh_graph *graph, wh_value a); /* 1 where a > 0, else 0; derivative 0 */
wh_value wh_graph_abs(wh_graph *graph, wh_value a);      /* derivative at 0: 0 */
wh_value wh_graph_pow(wh_graph *graph, wh_value a, double exponent);
wh_value wh_graph_scale(wh_graph *graph, wh_value a, double factor);
wh_value wh_graph_shift(wh_graph *graph, wh_value a, double term);
wh_value wh_graph_square(wh_graph *graph, wh_value a);
wh_value wh_graph_gelu(wh_graph *graph, wh_value a);      /* x Φ(x) */
wh_value wh_graph_gelu_tanh(wh_graph *graph, wh_value a); /* x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) */
/* The value, as a constant to every derivative. */
wh_value wh_graph_detach(wh_graph *graph, wh_value a);

/* The value itself, at no cost, as a node of its own that no builder sees through: what derivatives can be taken by. */
wh_value wh_graph_pin(wh_graph *graph, wh_value a);

/* ---- Shapes ------------------------------------------------------------------------------------ */
wh_value wh_graph_reshape(wh_graph *graph, wh_value a, wh_dims dims);
/* out axis i is a's axis order[i] */
wh_value wh_graph_transpose(wh_graph *graph, wh_value a, const unsigned order[]);
wh_value wh_graph_broadcast(wh_graph *graph, wh_value a, wh_dims dims);
/* a[from[0] : from[0] + dims.dim[0], …] */
wh_value wh_graph_slice(wh_graph *graph, wh_value a, const size_t from[], wh_dims dims);
/* Zeros of shape dims with a put at before. */
wh_value wh_graph_pad(wh_graph *graph, wh_value a, const size_t before[], wh_dims dims);
wh_value wh_graph_concat(wh_graph *graph, unsigned axis, const wh_value parts[], size_t n);

/* ---- Sums and products --------------------------------------------------------------------------
 * axes: bit i for axis i. Summed axes vanish (keep: stay as 1). */
wh_value wh_graph_sum(wh_graph *graph, wh_value a, unsigned axes, bool keep);
wh_value wh_graph_mean(wh_graph *graph, wh_value a, unsigned axes, bool keep);
wh_value wh_graph_sum_all(wh_graph *graph, wh_value a);
wh_value wh_graph_mean_all(wh_graph *graph, wh_value a);
/* The sum over all elements of a · b, same shape. */
wh_value wh_graph_dot(wh_graph *graph, wh_value a, wh_value b);
/* Running sums along the last axis, from its start or (reverse) its end; segment (same shape, or WH_NO_VALUE):
 * the sum starts again where the index changes. */
wh_value wh_graph_cumsum(wh_graph *graph, wh_value a, wh_value segment, bool reverse);

/* op(a) · op(b) over the last two axes: a (…,M,K) or, transposed, (…,K,M); b (…,K,N) or (…,N,K). The axes before
 * are equal, or b has none and serves all of a. */
typedef enum wh_matmul { WH_MATMUL_NN = 0, WH_MATMUL_TN = 1, WH_MATMUL_NT = 2, WH_MATMUL_TT = 3 } wh_matmul;
wh_value wh_graph_matmul(wh_graph *graph, wh_value a, wh_value b, wh_matmul form);
/* x (…,K) · w + bias: w (K,N), or (N,K) with NT; bias (N) or WH_NO_VALUE. */
wh_value wh_graph_linear(wh_graph *graph, wh_value x, wh_value w, wh_value bias, wh_matmul form);

/* The x of a x = b: a (…,N,N) symmetric positive definite, of which the lower triangle is read, b (…,N,M), equal axes
 * before. Not a number where a is not positive definite. Worked out in double. */
wh_value wh_graph_solve(wh_graph *graph, wh_value a, wh_value b);

/* ---- Rows by index ------------------------------------------------------------------------------- */
/* table (V,D), index (…) → (…,D): an embedding. */
wh_value wh_graph_gather(wh_graph *graph, wh_value table, wh_value index);
/* Its transpose: x (…,D) added to the rows of zeros (n_rows,D). */
wh_value wh_graph_scatter(wh_graph *graph, wh_value x, wh_value index, size_t n_rows);
/* a (…,S), index (…,K) → (…,K): out[r,k] = a[r,index[r,k]]. */
wh_value wh_graph_take(wh_graph *graph, wh_value a, wh_value index);
/* Its transpose: zeros (…,n) with a (…,K) added at index (…,K). */
wh_value wh_graph_put(wh_graph *graph, wh_value a, wh_value index, size_t n);

/* ---- Images: x (N,C,H,W), w (O,C/groups,kernel,kernel) ---------------------------------------------- */
typedef struct wh_conv {
    size_t stride, pad, groups; /* stride >= 1, groups >= 1 */
} wh_conv;
/* Cross-correlation with zero padding; bias (O) or WH_NO_VALUE. */
wh_value wh_graph_conv(wh_graph *graph, wh_value x, wh_value w, wh_value bias, wh_conv conv);
typedef struct wh_window {
    size_t kernel, stride, pad;
} wh_window;
/* Windows that start outside the padded image are dropped (floor). The maximum never looks at padding; at a tie the
 * first in row-major order counts. The average divides by kernel². */
wh_value wh_graph_max_pool(wh_graph *graph, wh_value x, wh_window window);
wh_value wh_graph_avg_pool(wh_graph *graph, wh_value x, wh_window window);

/* ---- Normalisation ------------------------------------------------------------------------------------
 * gamma and beta may be WH_NO_VALUE. Variances are biased, eps stands under the root. */
/* (a - mean) / √(var + eps) over the last axis. */
wh_value wh_graph_normalize(wh_graph *graph, wh_value a, double eps);
wh_value wh_graph_layer_norm(wh_graph *graph, wh_value x, wh_value gamma, wh_value beta, double eps);
/* x (N,C,…); gamma, beta (C) */
wh_value wh_graph_group_norm(wh_graph *graph, wh_value x, size_t groups, wh_value gamma, wh_value beta, double eps);
/* Transductive: by the statistics of this very batch, whose examples it couples. x (N,C,…) or (N,C). */
wh_value wh_graph_batch_norm(wh_graph *graph, wh_value x, wh_value gamma, wh_value beta, double eps);
/* Inductive: by given mean and var (C). */
wh_value wh_graph_batch_norm_given(wh_graph *graph, wh_value x, wh_value mean, wh_value var, wh_value gamma,
                                   wh_value beta, double eps);

/* ---- Softmax, losses -------------------------------------------------------------------------------------
 * Over the last axis. Causal: (…,T,S), row t sees columns s <= t + S - T, the others are 0. */
wh_value wh_graph_softmax(wh_graph *graph, wh_value a, bool causal);
wh_value wh_graph_log_softmax(wh_graph *graph, wh_value a);
/* Losses one by one, not averaged: logits (…,C), index (…) → (…). */
wh_value wh_graph_cross_entropy(wh_graph *graph, wh_value logits, wh_value index);
/* -y log σ(a) - (1-y) log(1 - σ(a)), same shapes. */
wh_value wh_graph_binary_cross_entropy(wh_graph *graph, wh_value logits, wh_value y);
wh_value wh_graph_squared_error(wh_graph *graph, wh_value a, wh_value y);

/* The rows of survival data in the order the partial likelihood wants: by stratum, then time falling. Filled by
 * wh_graph_cox_rows from the batch; shape (N) each. */
typedef struct wh_cox {
    wh_value order;    /* index < N: which row stands here */
    wh_value end;      /* index < N: the last place with this place's stratum and time */
    wh_value stratum;  /* index */
    wh_value tie;      /* index < N: the first place with this stratum and time */
    wh_value event;    /* real: 1 event, 0 censored, in the new order */
    wh_value fraction; /* real: Efron's l/d for the l-th (0 …) of d tied events; zeros for Breslow */
} wh_cox;
/* -Σ_events (score_i - log Σ_risk e^score), summed, not divided. scores (N). */
wh_value wh_graph_cox(wh_graph *graph, wh_value scores, const wh_cox *cox);
typedef struct wh_cox_rows {
    uint32_t *order, *end, *stratum, *tie; /* (N) each, the caller's */
    double *event, *fraction;
} wh_cox_rows;
/* time, event (0 or 1), stratum (may be NULL) of n rows. WHIST_E_NOMEM, WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_graph_cox_rows(const wh_cox_rows *out, const double *time, const double *event,
                                             const uint32_t *stratum, size_t n, bool efron);

/* ---- Larger pieces ------------------------------------------------------------------------------------------ */
/* q (…,T,D), k (…,S,D), v (…,S,E) → (…,T,E): softmax(scale q kᵀ) v. */
wh_value wh_graph_attention(wh_graph *graph, wh_value q, wh_value k, wh_value v, double scale, bool causal);
/* The same of a sequence to itself, as one operation that never holds all scores: qkv (B,T,3·H·D), in each row the
 * queries of all heads, then the keys, then the values → (B,T,H·D). */
wh_value wh_graph_self_attention(wh_graph *graph, wh_value qkv, size_t heads, double scale, bool causal);
/* x (B,D), h, c (B,H); w (D+H,4H) or NT (4H,D+H), bias (4H); gates in the order i, f, g, o. */
wh_value wh_graph_lstm_cell(wh_graph *graph, wh_value *c_out, wh_value x, wh_value h, wh_value c, wh_value w,
                            wh_value bias, wh_matmul form);
/* Zero with probability rate, else 1 / (1 - rate); seed: index (2). Element i of site s is a function of
 * (seed, s, i) alone. dims count examples first. */
wh_value wh_graph_keep_mask(wh_graph *graph, wh_value seed, uint32_t site, double rate, wh_dims dims);
wh_value wh_graph_dropout(wh_graph *graph, wh_value x, wh_value mask);

/* ---- Transformations --------------------------------------------------------------------------------------- */
/* out[i] = ∂of/∂wrt[i], of a scalar; zeros where it does not depend on wrt[i]. wrt may be any nodes but
 * constants and those that builders see through (reshape, transpose, broadcast, neg: WHIST_E_UNSUPPORTED; pin them
 * first). */
WH_MUST_CHECK whist_status wh_graph_gradient(wh_value out[], wh_graph *graph, wh_value of, const wh_value wrt[],
                                             size_t n);
/* The same for any shape, from a given cotangent of `of`: out[i] = cotangent · ∂of/∂wrt[i]. */
WH_MUST_CHECK whist_status wh_graph_vjp(wh_value out[], wh_graph *graph, wh_value of, wh_value cotangent,
                                        const wh_value wrt[], size_t n);
/* out[j] = Σ_i ∂of[j]/∂wrt[i] · tangent[i]. With of = gradients: a Hessian-vector product. */
WH_MUST_CHECK whist_status wh_graph_jvp(wh_value out[], wh_graph *graph, const wh_value of[], size_t n_of,
                                        const wh_value wrt[], const wh_value tangent[], size_t n);

/* Per-example gradients of losses (B) by n parameters, never stored one by one: one backward pass for the
 * activations, then a norm rule for each use of a parameter (docs/nn.md). Exact, also where a parameter is used
 * more than once. WHIST_E_UNSUPPORTED where examples are coupled on the way from a parameter to the losses
 * (batch norm by batch statistics), naming the operation.
 *   squared[i] (B)   the squared norm of each example's gradient by params[i]
 *   total (B)        their sum over parameters */
typedef struct wh_per_example wh_per_example;
WH_MUST_CHECK whist_status wh_per_example_new(wh_per_example **out, wh_graph *graph, wh_value losses,
                                              const wh_value params[], size_t n);
void wh_per_example_free(wh_per_example *per_example);
WH_AUTO_FREE(wh_per_example, wh_per_example_free)
wh_value wh_per_example_squared(const wh_per_example *per_example, size_t i);
wh_value wh_per_example_total(const wh_per_example *per_example);
/* out[i] = Σ_b weights[b] ∂losses[b]/∂params[i], from the activations' cotangents that are already there. */
WH_MUST_CHECK whist_status wh_per_example_sum(wh_value out[], wh_graph *graph, const wh_per_example *per_example,
                                              wh_value weights);
/* Each example's gradient by a parameter as it comes about: whole, rows (B,K), or as the outer product of two sides,
 * rows (B,K) and cols (B,N). It lies as an array of dims; one number further along axis k is step[k] numbers further in
 * the parameter. */
typedef struct wh_example_gradient {
    wh_value rows, cols; /* cols: WH_NO_VALUE where rows are all */
    wh_dims dims;
    size_t step[WH_GRAPH_RANK];
} wh_example_gradient;
/* Of params[i]. *out has no rows where the gradient is not as simple as that: a table's, one of several steps, or of
 * several uses. */
WH_MUST_CHECK whist_status wh_per_example_gradient(wh_example_gradient *out, wh_graph *graph,
                                                   const wh_per_example *per_example, size_t i);
/* min(1, clip / √squared), (B) */
wh_value wh_graph_clip_weights(wh_graph *graph, wh_value squared, double clip);

/* Floating-point operations for these values: two for each multiply-add of products, convolutions and their
 * derivatives, and nothing for the rest, as is the custom. */
WH_MUST_CHECK whist_status wh_graph_flops(double *out, const wh_graph *graph, const wh_value outputs[], size_t n);

#endif
