/* nn/graph/check_cases.c: every operation, at several shapes, to second order; per-example norms against the loop.
 *
 * Each case builds a value y from inputs. What is differentiated is Σ r y + Σ y²/7 with a fixed r, so that even linear
 * operations have a second derivative. Inputs keep away from kinks by more than the differences' step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/graph/check.h"
#include "nn/graph/node.h"

enum { MAX_INPUTS = 32 };

/* What a case builds in. The first failure of memory sticks. */
typedef struct setup {
    wh_graph *g;
    wh_arena memory;
    const void *data[MAX_INPUTS];
    size_t n_data;
    wh_value wrt[MAX_INPUTS];
    size_t n_wrt;
    size_t variant; /* which shape, from 0 */
    uint64_t counter;
    whist_status failed;
} setup;

static void setup_clear(setup *s)
{
    wh_graph_free(s->g);
    wh_arena_clear(&s->memory);
}
WH_AUTO_CLEAR(setup, setup_clear)

static double uniform(setup *s)
{
    uint64_t x = ++s->counter * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

/* A real input with values in [low, high], at least .01 away from 0. */
static wh_value given(setup *s, wh_role role, wh_dims dims, double low, double high)
{
    double *data = NULL;
    size_t n = wh_dims_size(&dims);
    if (s->n_data == MAX_INPUTS || WH_ARENA_NEW(&data, &s->memory, n) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    for (size_t i = 0; i < n; i++) {
        double x = low + (high - low) * uniform(s);
        data[i] = fabs(x) < .01 ? .013 : x;
    }
    s->data[s->n_data++] = data;
    return wh_graph_input(s->g, "x", role, dims);
}

/* One that is differentiated. */
static wh_value learned(setup *s, wh_dims dims)
{
    wh_value v = given(s, WH_PARAM, dims, -1, 1);
    if (v != WH_NO_VALUE) s->wrt[s->n_wrt++] = v;
    return v;
}

static wh_value positive(setup *s, wh_dims dims)
{
    wh_value v = given(s, WH_PARAM, dims, .4, 1.6);
    if (v != WH_NO_VALUE) s->wrt[s->n_wrt++] = v;
    return v;
}

static wh_value indices(setup *s, wh_role role, wh_dims dims, uint32_t limit)
{
    uint32_t *data = NULL;
    size_t n = wh_dims_size(&dims);
    if (s->n_data == MAX_INPUTS || WH_ARENA_NEW(&data, &s->memory, n) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    for (size_t i = 0; i < n; i++) data[i] = (uint32_t)(uniform(s) * limit);
    s->data[s->n_data++] = data;
    return wh_graph_index(s->g, "index", role, dims, limit);
}

/* ---- Elementwise ----------------------------------------------------------------------------- */

/* One long enough for two blocks of a chain would take minutes: differences cost one run an element. */
static wh_dims any_dims(const setup *s)
{
    return s->variant == 0 ? WH_DIMS(7) : s->variant == 1 ? WH_DIMS(3, 5) : WH_DIMS(2, 1, 3, 2);
}

#define UNARY(id, make)                                                                                                \
    static wh_value case_##id(setup *s)                                                                                \
    {                                                                                                                  \
        return wh_graph_##id(s->g, make(s, any_dims(s)));                                                              \
    }
UNARY(neg, learned)
UNARY(exp, learned)
UNARY(log, positive)
UNARY(sqrt, positive)
UNARY(rsqrt, positive)
UNARY(tanh, learned)
UNARY(sigmoid, learned)
UNARY(softplus, learned)
UNARY(erf, learned)
UNARY(relu, learned)
UNARY(abs, learned)
UNARY(gelu, learned)
UNARY(gelu_tanh, learned)
UNARY(square, learned)

/* The second argument broadcasts, differently for each shape. */
static wh_dims narrow_dims(const setup *s)
{
    return s->variant == 0 ? WH_DIMS(1) : s->variant == 1 ? WH_DIMS(5) : WH_DIMS(5, 3, 1);
}

#define BINARY(id, second)                                                                                             \
    static wh_value case_##id(setup *s)                                                                                \
    {                                                                                                                  \
        wh_value a = learned(s, any_dims(s));                                                                          \
        return wh_graph_##id(s->g, a, second(s, narrow_dims(s)));                                                      \
    }
BINARY(add, learned)
BINARY(sub, learned)
BINARY(mul, learned)
BINARY(div, positive)
BINARY(max, learned)
BINARY(min, learned)

static wh_value case_pow(setup *s)
{
    static const double exponents[] = {3, -1.5, .7};
    return wh_graph_pow(s->g, positive(s, any_dims(s)), exponents[s->variant]);
}

static wh_value case_where(setup *s)
{
    wh_value a = learned(s, any_dims(s)), b = learned(s, any_dims(s));
    return wh_graph_where(s->g, wh_graph_positive(s->g, a), wh_graph_mul(s->g, a, b), wh_graph_exp(s->g, b));
}

static wh_value case_not_less(setup *s)
{
    wh_value a = learned(s, any_dims(s)), b = learned(s, any_dims(s));
    return wh_graph_mul(s->g, wh_graph_not_less(s->g, a, b), wh_graph_mul(s->g, a, a));
}

/* A detached factor is a constant: a derivative through it would be twice too large. The difference cannot know, so the
 * factor is made of another input that is not differentiated. */
static wh_value case_detach(setup *s)
{
    wh_value a = learned(s, any_dims(s)), b = given(s, WH_SHARED, any_dims(s), -1, 1);
    return wh_graph_mul(s->g, a, wh_graph_detach(s->g, wh_graph_exp(s->g, b)));
}

/* More operations and arguments than one chain holds. */
static wh_value case_long_chain(setup *s)
{
    wh_value x = learned(s, any_dims(s)), y = x;
    for (unsigned i = 0; i < 40; i++) {
        y = wh_graph_tanh(s->g, wh_graph_add(s->g, wh_graph_scale(s->g, y, .9 + .01 * i), x));
        if (i % 8 == 0) y = wh_graph_add(s->g, y, learned(s, WH_DIMS(1)));
    }
    return y;
}

/* ---- Shapes, sums -------------------------------------------------------------------------------- */

static wh_value case_reshape(setup *s)
{
    return wh_graph_exp(s->g, wh_graph_reshape(s->g, learned(s, WH_DIMS(3, 4)), WH_DIMS(2, 6)));
}

static wh_value case_transpose(setup *s)
{
    static const unsigned orders[3][4] = {{1, 0, 2, 3}, {0, 2, 1, 3}, {3, 1, 0, 2}};
    return wh_graph_transpose(s->g, learned(s, WH_DIMS(2, 3, 2, 3)), orders[s->variant]);
}

static wh_value case_broadcast(setup *s)
{
    wh_dims from = s->variant == 0 ? WH_SCALAR : s->variant == 1 ? WH_DIMS(3, 1) : WH_DIMS(2, 1, 4);
    wh_dims to = s->variant == 0 ? WH_DIMS(2, 3) : s->variant == 1 ? WH_DIMS(2, 3, 4) : WH_DIMS(2, 3, 4);
    return wh_graph_broadcast(s->g, learned(s, from), to);
}

static wh_value case_slice(setup *s)
{
    const size_t from[] = {1, s->variant, 0};
    return wh_graph_slice(s->g, learned(s, WH_DIMS(3, 4, 2)), from, WH_DIMS(2, 2, 1 + s->variant % 2));
}

static wh_value case_pad(setup *s)
{
    const size_t before[] = {s->variant, 1};
    return wh_graph_pad(s->g, learned(s, WH_DIMS(2, 3)), before, WH_DIMS(4, 5));
}

static wh_value case_concat(setup *s)
{
    unsigned axis = (unsigned)s->variant;
    wh_dims dims = WH_DIMS(2, 3, 2), other = dims;
    other.dim[axis] = 4;
    const wh_value parts[] = {learned(s, dims), learned(s, other), learned(s, dims)};
    return wh_graph_concat(s->g, axis, parts, 3);
}

static wh_value case_sum(setup *s)
{
    static const unsigned axes[] = {1, 4, 5};
    return wh_graph_sum(s->g, learned(s, WH_DIMS(2, 3, 4)), axes[s->variant], s->variant == 1);
}

static wh_value case_mean(setup *s)
{
    static const unsigned axes[] = {15, 10, 6};
    return wh_graph_mean(s->g, learned(s, WH_DIMS(2, 3, 1, 2)), axes[s->variant], s->variant == 1);
}

static wh_value case_cumsum(setup *s)
{
    wh_dims dims = WH_DIMS(2, 6);
    wh_value segment = s->variant == 2 ? indices(s, WH_SHARED, dims, 2) : WH_NO_VALUE;
    return wh_graph_cumsum(s->g, learned(s, dims), segment, s->variant > 0);
}

/* ---- Products, indices --------------------------------------------------------------------------------- */

static wh_value case_matmul(setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(4, 3) : WH_DIMS(3, 4), b = form & 2 ? WH_DIMS(5, 4) : WH_DIMS(4, 5);
    return wh_graph_matmul(s->g, learned(s, a), learned(s, b), form);
}

static wh_value case_matmul_stack(setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(2, 2, 3, 2) : WH_DIMS(2, 2, 2, 3),
            b = form & 2 ? WH_DIMS(2, 2, 4, 3) : WH_DIMS(2, 2, 3, 4);
    return wh_graph_matmul(s->g, learned(s, a), learned(s, b), form);
}

static wh_value case_matmul_shared(setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(2, 3, 2) : WH_DIMS(2, 2, 3), b = form & 2 ? WH_DIMS(4, 3) : WH_DIMS(3, 4);
    return wh_graph_matmul(s->g, learned(s, a), learned(s, b), form);
}

static wh_value case_linear(setup *s)
{
    wh_value x = learned(s, WH_DIMS(2, 3, 4));
    bool turned = s->variant == 1;
    wh_value w = learned(s, turned ? WH_DIMS(5, 4) : WH_DIMS(4, 5));
    return wh_graph_linear(s->g, x, w, learned(s, WH_DIMS(5)), turned ? WH_MATMUL_NT : WH_MATMUL_NN);
}

static wh_value case_gather(setup *s)
{
    wh_dims dims = s->variant == 0 ? WH_DIMS(3) : WH_DIMS(2, 4);
    return wh_graph_gather(s->g, learned(s, WH_DIMS(5, 3)), indices(s, WH_SHARED, dims, 5));
}

static wh_value case_scatter(setup *s)
{
    wh_value x = learned(s, WH_DIMS(2, 4, 3));
    return wh_graph_scatter(s->g, x, indices(s, WH_SHARED, WH_DIMS(2, 4), 5), 5);
}

static wh_value case_take(setup *s)
{
    return wh_graph_take(s->g, learned(s, WH_DIMS(3, 5)), indices(s, WH_SHARED, WH_DIMS(3, 1 + s->variant), 5));
}

static wh_value case_put(setup *s)
{
    return wh_graph_put(s->g, learned(s, WH_DIMS(3, 2)), indices(s, WH_SHARED, WH_DIMS(3, 2), 4), 4);
}

/* ---- Images ------------------------------------------------------------------------------------------------ */

static wh_value case_conv(setup *s)
{
    static const wh_conv convs[] = {{1, 1, 1}, {2, 0, 1}, {2, 1, 2}, {3, 2, 4}};
    wh_conv conv = convs[s->variant];
    wh_value x = learned(s, WH_DIMS(2, 4, 4, 5)), w = learned(s, WH_DIMS(4, 4 / conv.groups, 3, 2));
    return wh_graph_conv(s->g, x, w, learned(s, WH_DIMS(4)), conv);
}

static const wh_window windows[] = {{2, 2, 0}, {3, 2, 1}, {3, 1, 0}};

static wh_value case_max_pool(setup *s)
{
    return wh_graph_max_pool(s->g, learned(s, WH_DIMS(2, 2, 5, 4)), windows[s->variant]);
}

static wh_value case_avg_pool(setup *s)
{
    return wh_graph_avg_pool(s->g, learned(s, WH_DIMS(2, 2, 5, 4)), windows[s->variant]);
}

/* ---- Norms, softmax, losses ------------------------------------------------------------------------------------ */

static wh_value case_normalize(setup *s)
{
    return wh_graph_normalize(s->g, learned(s, s->variant == 0 ? WH_DIMS(5) : WH_DIMS(2, 3, 4)), 1e-3);
}

static wh_value case_layer_norm(setup *s)
{
    wh_value x = learned(s, WH_DIMS(2, 2, 4));
    return wh_graph_layer_norm(s->g, x, positive(s, WH_DIMS(4)), learned(s, WH_DIMS(4)), 1e-5);
}

static wh_value case_group_norm(setup *s)
{
    static const size_t groups[] = {1, 2, 4};
    wh_value x = learned(s, WH_DIMS(2, 4, 2, 3));
    return wh_graph_group_norm(s->g, x, groups[s->variant], positive(s, WH_DIMS(4)), learned(s, WH_DIMS(4)), 1e-5);
}

static wh_value case_batch_norm(setup *s)
{
    wh_value x = learned(s, s->variant == 0 ? WH_DIMS(5, 3) : WH_DIMS(2, 3, 2, 2));
    return wh_graph_batch_norm(s->g, x, positive(s, WH_DIMS(3)), learned(s, WH_DIMS(3)), 1e-5);
}

static wh_value case_batch_norm_given(setup *s)
{
    wh_value x = learned(s, WH_DIMS(2, 3, 2, 2)), mean = learned(s, WH_DIMS(3)), var = positive(s, WH_DIMS(3));
    return wh_graph_batch_norm_given(s->g, x, mean, var, positive(s, WH_DIMS(3)), learned(s, WH_DIMS(3)), 1e-5);
}

static wh_value case_softmax(setup *s)
{
    return wh_graph_softmax(s->g, learned(s, WH_DIMS(2, 3, 4)), s->variant == 1);
}

static wh_value case_log_softmax(setup *s)
{
    return wh_graph_log_softmax(s->g, learned(s, WH_DIMS(3, 4)));
}

static wh_value case_cross_entropy(setup *s)
{
    wh_dims rows = s->variant == 0 ? WH_DIMS(3) : WH_DIMS(2, 3), logits = rows;
    logits.dim[logits.rank++] = 4;
    return wh_graph_cross_entropy(s->g, learned(s, logits), indices(s, WH_SHARED, rows, 4));
}

static wh_value case_binary_cross_entropy(setup *s)
{
    return wh_graph_binary_cross_entropy(s->g, learned(s, any_dims(s)), learned(s, any_dims(s)));
}

static wh_value case_squared_error(setup *s)
{
    return wh_graph_squared_error(s->g, learned(s, any_dims(s)), learned(s, any_dims(s)));
}

static wh_value cox_input(setup *s, const void *data, size_t n, uint32_t limit)
{
    s->data[s->n_data++] = data;
    return limit ? wh_graph_index(s->g, "rows", WH_SHARED, WH_DIMS(n), limit)
                 : wh_graph_input(s->g, "rows", WH_SHARED, WH_DIMS(n));
}

/* Nine rows with ties and two strata. */
static wh_value case_cox(setup *s)
{
    enum { N = 9 };
    static const double time[N] = {3, 1, 2, 2, 5, 2, 3, 1, 4}, event[N] = {1, 1, 1, 1, 0, 1, 0, 1, 1};
    static const uint32_t stratum[N] = {0, 0, 1, 1, 0, 1, 0, 0, 1};
    uint32_t *index = NULL;
    double *number = NULL;
    if (WH_ARENA_NEW(&index, &s->memory, 4 * N) != WHIST_OK || WH_ARENA_NEW(&number, &s->memory, 2 * N) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    wh_cox_rows rows = {index, index + N, index + 2 * N, index + 3 * N, number, number + N};
    s->failed = wh_graph_cox_rows(&rows, time, event, s->variant == 2 ? stratum : NULL, N, s->variant > 0);
    wh_value scores = learned(s, WH_DIMS(N));
    wh_cox cox = {.order = cox_input(s, rows.order, N, N), .end = cox_input(s, rows.end, N, N)};
    cox.stratum = cox_input(s, rows.stratum, N, 2);
    cox.tie = cox_input(s, rows.tie, N, N);
    cox.event = cox_input(s, rows.event, N, 0);
    cox.fraction = cox_input(s, rows.fraction, N, 0);
    return wh_graph_cox(s->g, scores, &cox);
}

/* ---- Larger pieces --------------------------------------------------------------------------------------------- */

static wh_value case_attention(setup *s)
{
    wh_value q = learned(s, WH_DIMS(2, 3, 2)), k = learned(s, WH_DIMS(2, 4, 2)), v = learned(s, WH_DIMS(2, 4, 3));
    return wh_graph_attention(s->g, q, k, v, .7, s->variant == 1);
}

static wh_value case_self_attention(setup *s)
{
    wh_value qkv = learned(s, WH_DIMS(2, 3, 12));
    return wh_graph_self_attention(s->g, qkv, s->variant == 1 ? 1 : 2, .7, s->variant == 2);
}

static wh_value case_lstm_cell(setup *s)
{
    wh_value x = learned(s, WH_DIMS(2, 3)), h = learned(s, WH_DIMS(2, 2)), c = learned(s, WH_DIMS(2, 2));
    bool turned = s->variant == 1;
    wh_value w = learned(s, turned ? WH_DIMS(8, 5) : WH_DIMS(5, 8)), next;
    wh_value out =
        wh_graph_lstm_cell(s->g, &next, x, h, c, w, learned(s, WH_DIMS(8)), turned ? WH_MATMUL_NT : WH_MATMUL_NN);
    return wh_graph_add(s->g, out, next);
}

static wh_value case_dropout(setup *s)
{
    wh_value seed = indices(s, WH_SHARED, WH_DIMS(2), UINT32_MAX);
    wh_value mask = wh_graph_keep_mask(s->g, seed, 3, .4, WH_DIMS(3, 5));
    return wh_graph_dropout(s->g, wh_graph_exp(s->g, learned(s, WH_DIMS(3, 5))), mask);
}

/* A value that several branches use, one of them through a view. */
static wh_value case_branches(setup *s)
{
    wh_value x = learned(s, WH_DIMS(3, 4)), e = wh_graph_exp(s->g, x);
    wh_value turned = wh_graph_transpose(s->g, e, (const unsigned[]){1, 0});
    wh_value square = wh_graph_matmul(s->g, e, turned, WH_MATMUL_NN);
    return wh_graph_mul(s->g, square, wh_graph_sum(s->g, wh_graph_mul(s->g, e, x), 2, true));
}

/* ---- Per-example norms: losses (B) --------------------------------------------------------------------------------
 */

static wh_value batch(setup *s, wh_dims dims)
{
    return given(s, WH_EXAMPLES, dims, -1, 1);
}

static wh_value norms_mlp(setup *s)
{
    wh_value x = batch(s, WH_DIMS(5, 4)), y = indices(s, WH_EXAMPLES, WH_DIMS(5), 3);
    wh_value w1 = learned(s, WH_DIMS(4, 6)), b1 = learned(s, WH_DIMS(6)), w2 = learned(s, WH_DIMS(3, 6));
    wh_value h = wh_graph_tanh(s->g, wh_graph_linear(s->g, x, w1, b1, WH_MATMUL_NN));
    return wh_graph_cross_entropy(s->g, wh_graph_linear(s->g, h, w2, learned(s, WH_DIMS(3)), WH_MATMUL_NT), y);
}

/* Steps: few of many features by products of steps, many of few by the gradient. */
static wh_value norms_steps(setup *s)
{
    size_t t = s->variant == 0 ? 2 : 9, d = s->variant == 0 ? 8 : 3;
    wh_value x = batch(s, WH_DIMS(3, t, d)), w = learned(s, WH_DIMS(d, d)), gain = positive(s, WH_DIMS(d));
    wh_value h = wh_graph_layer_norm(s->g, wh_graph_linear(s->g, x, w, learned(s, WH_DIMS(d)), WH_MATMUL_NN), gain,
                                     learned(s, WH_DIMS(d)), 1e-5);
    h = wh_graph_add(s->g, h, learned(s, WH_DIMS(t, d)));
    h = wh_graph_gelu(s->g, wh_graph_matmul(s->g, h, w, WH_MATMUL_NN)); /* the same weight again */
    return wh_graph_sum(s->g, h, 6, false);
}

static wh_value norms_conv(setup *s)
{
    static const wh_conv convs[] = {{1, 1, 1}, {2, 1, 2}, {2, 0, 1}};
    size_t size = s->variant == 2 ? 4 : 7;
    wh_value x = batch(s, WH_DIMS(3, 2, size, size));
    wh_conv conv = convs[s->variant];
    wh_value w = learned(s, WH_DIMS(4, 2 / conv.groups, 3, 3));
    wh_value h = wh_graph_conv(s->g, x, w, learned(s, WH_DIMS(4)), conv);
    h = wh_graph_group_norm(s->g, h, 2, positive(s, WH_DIMS(4)), learned(s, WH_DIMS(4)), 1e-5);
    h = wh_graph_tanh(s->g, h);
    return wh_graph_sum(s->g, h, 14, false);
}

static wh_value norms_tied(setup *s)
{
    wh_value ids = indices(s, WH_EXAMPLES, WH_DIMS(3, 4), 6), y = indices(s, WH_EXAMPLES, WH_DIMS(3, 4), 6);
    wh_value table = learned(s, WH_DIMS(6, 5)), h = wh_graph_gather(s->g, table, ids);
    if (s->variant > 0) h = wh_graph_attention(s->g, h, h, h, .4, true);
    h = wh_graph_tanh(s->g, wh_graph_linear(s->g, h, learned(s, WH_DIMS(5, 5)), WH_NO_VALUE, WH_MATMUL_NT));
    wh_value logits = s->variant == 2 ? wh_graph_linear(s->g, h, learned(s, WH_DIMS(6, 5)), WH_NO_VALUE, WH_MATMUL_NT)
                                      : wh_graph_linear(s->g, h, table, WH_NO_VALUE, WH_MATMUL_NT);
    return wh_graph_mean(s->g, wh_graph_cross_entropy(s->g, logits, y), 2, false);
}

static wh_value norms_lstm(setup *s)
{
    wh_value w = learned(s, WH_DIMS(5, 8)), bias = learned(s, WH_DIMS(8));
    wh_value h = wh_graph_fill(s->g, WH_DIMS(3, 2), 0), c = h;
    wh_value x = batch(s, WH_DIMS(3, 4, 3));
    for (size_t t = 0; t < 4; t++) {
        wh_value now = wh_graph_slice(s->g, x, (const size_t[]){0, t, 0}, WH_DIMS(3, 1, 3));
        h = wh_graph_lstm_cell(s->g, &c, wh_graph_reshape(s->g, now, WH_DIMS(3, 3)), h, c, w, bias, WH_MATMUL_NN);
    }
    return wh_graph_sum(s->g, wh_graph_square(s->g, h), 2, false);
}

/* Max-pool, batch norm by given statistics, average pool. */
static wh_value norms_pools(setup *s)
{
    wh_value x = batch(s, WH_DIMS(2, 1, 6, 6)), w = learned(s, WH_DIMS(3, 1, 3, 3));
    wh_value h = wh_graph_conv(s->g, x, w, WH_NO_VALUE, (wh_conv){1, 1, 1});
    wh_value mean = given(s, WH_SHARED, WH_DIMS(3), -1, 1), var = given(s, WH_SHARED, WH_DIMS(3), .5, 1);
    h = wh_graph_batch_norm_given(s->g, h, mean, var, positive(s, WH_DIMS(3)), learned(s, WH_DIMS(3)), 1e-5);
    h = wh_graph_relu(s->g, wh_graph_max_pool(s->g, h, (wh_window){2, 2, 0}));
    h = wh_graph_reshape(s->g, wh_graph_avg_pool(s->g, h, (wh_window){2, 1, 0}), WH_DIMS(2, 12));
    wh_value y = wh_graph_linear(s->g, h, learned(s, WH_DIMS(12, 1)), WH_NO_VALUE, WH_MATMUL_NN);
    wh_value target = batch(s, WH_DIMS(2, 1));
    return wh_graph_reshape(s->g, wh_graph_squared_error(s->g, y, target), WH_DIMS(2));
}

/* ---- The table
 * --------------------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    wh_value (*build)(setup *s);
    size_t variants;
    bool norms; /* derivatives are checked as well */
} row;

#define ROW(id, n)                                                                                                     \
    {                                                                                                                  \
#id, case_##id, n, false                                                                                       \
    }
#define NORMS(id, n)                                                                                                   \
    {                                                                                                                  \
        "norms." #id, norms_##id, n, true                                                                              \
    }
static const row rows[] = {
    ROW(neg, 3),
    ROW(exp, 3),
    ROW(log, 3),
    ROW(sqrt, 3),
    ROW(rsqrt, 3),
    ROW(tanh, 3),
    ROW(sigmoid, 3),
    ROW(softplus, 3),
    ROW(erf, 3),
    ROW(relu, 3),
    ROW(abs, 3),
    ROW(gelu, 3),
    ROW(gelu_tanh, 3),
    ROW(square, 3),
    ROW(pow, 3),
    ROW(add, 3),
    ROW(sub, 3),
    ROW(mul, 3),
    ROW(div, 3),
    ROW(max, 3),
    ROW(min, 3),
    ROW(where, 3),
    ROW(not_less, 3),
    ROW(detach, 2),
    ROW(long_chain, 2),
    ROW(reshape, 1),
    ROW(transpose, 3),
    ROW(broadcast, 3),
    ROW(slice, 3),
    ROW(pad, 3),
    ROW(concat, 3),
    ROW(sum, 3),
    ROW(mean, 3),
    ROW(cumsum, 3),
    ROW(matmul, 4),
    ROW(matmul_stack, 4),
    ROW(matmul_shared, 4),
    ROW(linear, 2),
    ROW(gather, 2),
    ROW(scatter, 1),
    ROW(take, 2),
    ROW(put, 1),
    ROW(conv, 4),
    ROW(max_pool, 3),
    ROW(avg_pool, 3),
    ROW(normalize, 2),
    ROW(layer_norm, 1),
    ROW(group_norm, 3),
    ROW(batch_norm, 2),
    ROW(batch_norm_given, 1),
    ROW(softmax, 2),
    ROW(log_softmax, 1),
    ROW(cross_entropy, 2),
    ROW(binary_cross_entropy, 2),
    ROW(squared_error, 2),
    ROW(cox, 3),
    ROW(attention, 2),
    ROW(lstm_cell, 2),
    ROW(dropout, 1),
    ROW(branches, 1),
    ROW(self_attention, 3),
    NORMS(mlp, 1),
    NORMS(steps, 2),
    NORMS(conv, 3),
    NORMS(tied, 3),
    NORMS(lstm, 1),
    NORMS(pools, 1),
};

static whist_status build_case(setup *s, wh_value *y, const row *r)
{
    WH_TRY(wh_graph_new(&s->g, WH_F64));
    *y = r->build(s);
    WH_TRY(s->failed);
    return wh_graph_status(s->g);
}

static whist_status check_derivatives(wh_gradcheck *out, const row *r, size_t variant)
{
    WH_AUTO(setup) s = {.variant = variant};
    wh_value y;
    WH_TRY(build_case(&s, &y, r));
    wh_value mix = given(&s, WH_SHARED, wh_graph_dims(s.g, y), -1, 1);
    wh_value scalar =
        wh_graph_add(s.g, wh_graph_dot(s.g, mix, y), wh_graph_scale(s.g, wh_graph_dot(s.g, y, y), 1. / 7));
    return wh_graph_gradcheck(out, s.g, scalar, s.wrt, s.n_wrt, s.data, s.n_data);
}

static whist_status check_norms(double *out, const row *r, size_t variant)
{
    WH_AUTO(setup) s = {.variant = variant};
    wh_value losses;
    WH_TRY(build_case(&s, &losses, r));
    return wh_graph_normcheck(out, s.g, losses, s.wrt, s.n_wrt, s.data, s.n_data);
}

whist_status wh_graph_gradcheck_all(wh_check_report *report, void *user)
{
    char failed[128] = "";
    for (size_t i = 0; i < WH_COUNT(rows); i++)
        for (size_t variant = 0; variant < rows[i].variants; variant++) {
            wh_check_result result = {rows[i].name, {NAN, NAN}, NAN};
            whist_status status = check_derivatives(&result.error, &rows[i], variant);
            if (status == WHIST_OK && rows[i].norms) status = check_norms(&result.norms, &rows[i], variant);
            if (status != WHIST_OK) return wh_fail_context(status, "%s, shape %zu: ", rows[i].name, variant);
            if (report) report(user, &result);
            bool good = result.error.first < 1e-9 && result.error.second < 1e-9;
            if (rows[i].norms) good = good && result.norms < 1e-13;
            if (!good && !failed[0])
                snprintf(failed, sizeof failed, "%s, shape %zu: errors %.1e (first) %.1e (second) %.1e (norms)",
                         rows[i].name, variant, result.error.first, result.error.second, result.norms);
        }
    if (failed[0]) WH_FAIL(WHIST_E_STATE, "%s", failed);
    return WHIST_OK;
}
