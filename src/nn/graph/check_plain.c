/* nn/graph/check_plain.c: cases of the derivative check: one operation each. */
#include "nn/graph/check_cases.h"

/* ---- Elementwise ----------------------------------------------------------------------------- */

/* One long enough for two blocks of a chain would take minutes: differences cost one run an element. */
static wh_dims any_dims(const wh_check_setup *s)
{
    return s->variant == 0 ? WH_DIMS(7) : s->variant == 1 ? WH_DIMS(3, 5) : WH_DIMS(2, 1, 3, 2);
}

#define UNARY(id, make)                                                                                                \
    static wh_value case_##id(wh_check_setup *s)                                                                       \
    {                                                                                                                  \
        return wh_graph_##id(s->g, make(s, any_dims(s)));                                                              \
    }
UNARY(neg, wh_check_learned)
UNARY(exp, wh_check_learned)
UNARY(log, wh_check_positive)
UNARY(sqrt, wh_check_positive)
UNARY(rsqrt, wh_check_positive)
UNARY(tanh, wh_check_learned)
UNARY(sigmoid, wh_check_learned)
UNARY(softplus, wh_check_learned)
UNARY(erf, wh_check_learned)
UNARY(relu, wh_check_learned)
UNARY(abs, wh_check_learned)
UNARY(gelu, wh_check_learned)
UNARY(gelu_tanh, wh_check_learned)
UNARY(square, wh_check_learned)

/* The second argument broadcasts, differently for each shape. */
static wh_dims narrow_dims(const wh_check_setup *s)
{
    return s->variant == 0 ? WH_DIMS(1) : s->variant == 1 ? WH_DIMS(5) : WH_DIMS(5, 3, 1);
}

#define BINARY(id, second)                                                                                             \
    static wh_value case_##id(wh_check_setup *s)                                                                       \
    {                                                                                                                  \
        wh_value a = wh_check_learned(s, any_dims(s));                                                                 \
        return wh_graph_##id(s->g, a, second(s, narrow_dims(s)));                                                      \
    }
BINARY(add, wh_check_learned)
BINARY(sub, wh_check_learned)
BINARY(mul, wh_check_learned)
BINARY(div, wh_check_positive)
BINARY(max, wh_check_learned)
BINARY(min, wh_check_learned)

static wh_value case_pow(wh_check_setup *s)
{
    static const double exponents[] = {3, -1.5, .7};
    return wh_graph_pow(s->g, wh_check_positive(s, any_dims(s)), exponents[s->variant]);
}

static wh_value case_where(wh_check_setup *s)
{
    wh_value a = wh_check_learned(s, any_dims(s)), b = wh_check_learned(s, any_dims(s));
    return wh_graph_where(s->g, wh_graph_positive(s->g, a), wh_graph_mul(s->g, a, b), wh_graph_exp(s->g, b));
}

static wh_value case_not_less(wh_check_setup *s)
{
    wh_value a = wh_check_learned(s, any_dims(s)), b = wh_check_learned(s, any_dims(s));
    return wh_graph_mul(s->g, wh_graph_not_less(s->g, a, b), wh_graph_mul(s->g, a, a));
}

/* A detached factor is a constant: a derivative through it would be twice too large. The difference cannot know, so the
 * factor is made of another input that is not differentiated. */
static wh_value case_detach(wh_check_setup *s)
{
    wh_value a = wh_check_learned(s, any_dims(s)), b = wh_check_given(s, WH_SHARED, any_dims(s), -1, 1);
    return wh_graph_mul(s->g, a, wh_graph_detach(s->g, wh_graph_exp(s->g, b)));
}

/* More operations and arguments than one chain holds. */
static wh_value case_long_chain(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, any_dims(s)), y = x;
    for (unsigned i = 0; i < 40; i++) {
        y = wh_graph_tanh(s->g, wh_graph_add(s->g, wh_graph_scale(s->g, y, .9 + .01 * i), x));
        if (i % 8 == 0) y = wh_graph_add(s->g, y, wh_check_learned(s, WH_DIMS(1)));
    }
    return y;
}

/* ---- Shapes, sums -------------------------------------------------------------------------------- */

static wh_value case_reshape(wh_check_setup *s)
{
    return wh_graph_exp(s->g, wh_graph_reshape(s->g, wh_check_learned(s, WH_DIMS(3, 4)), WH_DIMS(2, 6)));
}

static wh_value case_transpose(wh_check_setup *s)
{
    static const unsigned orders[3][4] = {{1, 0, 2, 3}, {0, 2, 1, 3}, {3, 1, 0, 2}};
    return wh_graph_transpose(s->g, wh_check_learned(s, WH_DIMS(2, 3, 2, 3)), orders[s->variant]);
}

static wh_value case_broadcast(wh_check_setup *s)
{
    wh_dims from = s->variant == 0 ? WH_SCALAR : s->variant == 1 ? WH_DIMS(3, 1) : WH_DIMS(2, 1, 4);
    wh_dims to = s->variant == 0 ? WH_DIMS(2, 3) : s->variant == 1 ? WH_DIMS(2, 3, 4) : WH_DIMS(2, 3, 4);
    return wh_graph_broadcast(s->g, wh_check_learned(s, from), to);
}

static wh_value case_slice(wh_check_setup *s)
{
    const size_t from[] = {1, s->variant, 0};
    return wh_graph_slice(s->g, wh_check_learned(s, WH_DIMS(3, 4, 2)), from, WH_DIMS(2, 2, 1 + s->variant % 2));
}

static wh_value case_pad(wh_check_setup *s)
{
    const size_t before[] = {s->variant, 1};
    return wh_graph_pad(s->g, wh_check_learned(s, WH_DIMS(2, 3)), before, WH_DIMS(4, 5));
}

static wh_value case_concat(wh_check_setup *s)
{
    unsigned axis = (unsigned)s->variant;
    wh_dims dims = WH_DIMS(2, 3, 2), other = dims;
    other.dim[axis] = 4;
    const wh_value parts[] = {wh_check_learned(s, dims), wh_check_learned(s, other), wh_check_learned(s, dims)};
    return wh_graph_concat(s->g, axis, parts, 3);
}

static wh_value case_sum(wh_check_setup *s)
{
    static const unsigned axes[] = {1, 4, 5};
    return wh_graph_sum(s->g, wh_check_learned(s, WH_DIMS(2, 3, 4)), axes[s->variant], s->variant == 1);
}

static wh_value case_mean(wh_check_setup *s)
{
    static const unsigned axes[] = {15, 10, 6};
    return wh_graph_mean(s->g, wh_check_learned(s, WH_DIMS(2, 3, 1, 2)), axes[s->variant], s->variant == 1);
}

static wh_value case_cumsum(wh_check_setup *s)
{
    wh_dims dims = WH_DIMS(2, 6);
    wh_value segment = s->variant == 2 ? wh_check_indices(s, WH_SHARED, dims, 2) : WH_NO_VALUE;
    return wh_graph_cumsum(s->g, wh_check_learned(s, dims), segment, s->variant > 0);
}

/* ---- Products, indices --------------------------------------------------------------------------------- */

static wh_value case_matmul(wh_check_setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(4, 3) : WH_DIMS(3, 4), b = form & 2 ? WH_DIMS(5, 4) : WH_DIMS(4, 5);
    return wh_graph_matmul(s->g, wh_check_learned(s, a), wh_check_learned(s, b), form);
}

static wh_value case_matmul_stack(wh_check_setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(2, 2, 3, 2) : WH_DIMS(2, 2, 2, 3),
            b = form & 2 ? WH_DIMS(2, 2, 4, 3) : WH_DIMS(2, 2, 3, 4);
    return wh_graph_matmul(s->g, wh_check_learned(s, a), wh_check_learned(s, b), form);
}

static wh_value case_matmul_shared(wh_check_setup *s)
{
    wh_matmul form = (wh_matmul)s->variant;
    wh_dims a = form & 1 ? WH_DIMS(2, 3, 2) : WH_DIMS(2, 2, 3), b = form & 2 ? WH_DIMS(4, 3) : WH_DIMS(3, 4);
    return wh_graph_matmul(s->g, wh_check_learned(s, a), wh_check_learned(s, b), form);
}

static wh_value case_linear(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 3, 4));
    bool turned = s->variant == 1;
    wh_value w = wh_check_learned(s, turned ? WH_DIMS(5, 4) : WH_DIMS(4, 5));
    return wh_graph_linear(s->g, x, w, wh_check_learned(s, WH_DIMS(5)), turned ? WH_MATMUL_NT : WH_MATMUL_NN);
}

static wh_value case_gather(wh_check_setup *s)
{
    wh_dims dims = s->variant == 0 ? WH_DIMS(3) : WH_DIMS(2, 4);
    return wh_graph_gather(s->g, wh_check_learned(s, WH_DIMS(5, 3)), wh_check_indices(s, WH_SHARED, dims, 5));
}

static wh_value case_scatter(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 4, 3));
    return wh_graph_scatter(s->g, x, wh_check_indices(s, WH_SHARED, WH_DIMS(2, 4), 5), 5);
}

static wh_value case_take(wh_check_setup *s)
{
    return wh_graph_take(s->g, wh_check_learned(s, WH_DIMS(3, 5)),
                         wh_check_indices(s, WH_SHARED, WH_DIMS(3, 1 + s->variant), 5));
}

static wh_value case_put(wh_check_setup *s)
{
    return wh_graph_put(s->g, wh_check_learned(s, WH_DIMS(3, 2)), wh_check_indices(s, WH_SHARED, WH_DIMS(3, 2), 4), 4);
}

/* ---- What is made of others ---------------------------------------------------------------------------- */

static wh_value case_scale(wh_check_setup *s)
{
    return wh_graph_scale(s->g, wh_check_learned(s, any_dims(s)), -2.5);
}

static wh_value case_shift(wh_check_setup *s)
{
    return wh_graph_shift(s->g, wh_check_learned(s, any_dims(s)), .7);
}

static wh_value case_sum_all(wh_check_setup *s)
{
    return wh_graph_sum_all(s->g, wh_graph_exp(s->g, wh_check_learned(s, any_dims(s))));
}

static wh_value case_mean_all(wh_check_setup *s)
{
    return wh_graph_mean_all(s->g, wh_graph_exp(s->g, wh_check_learned(s, any_dims(s))));
}

static wh_value case_dot(wh_check_setup *s)
{
    wh_value a = wh_check_learned(s, any_dims(s));
    return wh_graph_dot(s->g, a, wh_check_learned(s, any_dims(s)));
}

static wh_value case_clip_weights(wh_check_setup *s)
{
    return wh_graph_clip_weights(s->g, wh_check_positive(s, WH_DIMS(9)), 1.01);
}

/* Symmetric, as it has to be, and far from singular. */
static wh_value case_solve(wh_check_setup *s)
{
    wh_dims da = s->variant == 0 ? WH_DIMS(3, 3) : s->variant == 1 ? WH_DIMS(2, 2, 3, 3) : WH_DIMS(1, 1), db = da;
    db.dim[db.rank - 1] = 2;
    wh_value m = wh_check_learned(s, da), a = wh_graph_matmul(s->g, m, m, WH_MATMUL_NT);
    double *one = NULL;
    size_t n = da.dim[da.rank - 1];
    if (WH_ARENA_NEW(&one, &s->memory, n * n) != WHIST_OK) s->failed = WHIST_E_NOMEM;
    for (size_t i = 0; one && i < n; i++) one[i * n + i] = 1;
    s->data[s->n_data++] = one;
    a = wh_graph_add(s->g, a, wh_graph_input(s->g, "identity", WH_SHARED, WH_DIMS(n, n)));
    return wh_graph_solve(s->g, a, wh_check_learned(s, db));
}

/* ---- The table ---- */

const wh_check_case wh_check_plain[] = {
    {"neg", case_neg, 3},
    {"exp", case_exp, 3},
    {"log", case_log, 3},
    {"sqrt", case_sqrt, 3},
    {"rsqrt", case_rsqrt, 3},
    {"tanh", case_tanh, 3},
    {"sigmoid", case_sigmoid, 3},
    {"softplus", case_softplus, 3},
    {"erf", case_erf, 3},
    {"relu", case_relu, 3},
    {"abs", case_abs, 3},
    {"gelu", case_gelu, 3},
    {"gelu_tanh", case_gelu_tanh, 3},
    {"square", case_square, 3},
    {"pow", case_pow, 3},
    {"add", case_add, 3},
    {"sub", case_sub, 3},
    {"mul", case_mul, 3},
    {"div", case_div, 3},
    {"max", case_max, 3},
    {"min", case_min, 3},
    {"where", case_where, 3},
    {"not_less", case_not_less, 3},
    {"detach", case_detach, 2},
    {"long_chain", case_long_chain, 2},
    {"reshape", case_reshape, 1},
    {"transpose", case_transpose, 3},
    {"broadcast", case_broadcast, 3},
    {"slice", case_slice, 3},
    {"pad", case_pad, 3},
    {"concat", case_concat, 3},
    {"sum", case_sum, 3},
    {"mean", case_mean, 3},
    {"cumsum", case_cumsum, 3},
    {"matmul", case_matmul, 4},
    {"matmul_stack", case_matmul_stack, 4},
    {"matmul_shared", case_matmul_shared, 4},
    {"linear", case_linear, 2},
    {"gather", case_gather, 2},
    {"scatter", case_scatter, 1},
    {"take", case_take, 2},
    {"put", case_put, 1},
    {"scale", case_scale, 1},
    {"shift", case_shift, 1},
    {"sum_all", case_sum_all, 2},
    {"mean_all", case_mean_all, 2},
    {"dot", case_dot, 2},
    {"clip_weights", case_clip_weights, 1},
    {"solve", case_solve, 3},
    {NULL, NULL, 0},
};
