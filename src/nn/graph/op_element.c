/* nn/graph/op_element.c: operations on each element by itself, with their slopes.
 *
 * A slope is ∂out/∂arg as a node; the chain rule multiplies it. Slopes are elementwise as well, so a derivative of any
 * order is one fused chain. */
#include "nn/graph/node.h"

#include <math.h>

static wh_value arg(const wh_graph *g, wh_value n, unsigned i)
{
    return wh_node_at(g, n)->arg[i];
}

static wh_value number(wh_graph *g, wh_value like, double value)
{
    return wh_graph_fill_like(g, like, value);
}

/* ---- Slopes ---------------------------------------------------------------------------------- */

static wh_value slope_one(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return number(g, n, 1);
}

static wh_value slope_sub(wh_graph *g, wh_value n, unsigned i)
{
    return number(g, n, i == 0 ? 1 : -1);
}

static wh_value slope_neg(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return number(g, n, -1);
}

static wh_value slope_mul(wh_graph *g, wh_value n, unsigned i)
{
    return arg(g, n, 1 - i);
}

static wh_value slope_div(wh_graph *g, wh_value n, unsigned i)
{
    wh_value b = arg(g, n, 1);
    return i == 0 ? wh_graph_div(g, number(g, n, 1), b) : wh_graph_neg(g, wh_graph_div(g, n, b));
}

static wh_value slope_max(wh_graph *g, wh_value n, unsigned i)
{
    wh_value first = wh_graph_not_less(g, arg(g, n, 0), arg(g, n, 1));
    return i == 0 ? first : wh_graph_sub(g, number(g, n, 1), first);
}

static wh_value slope_min(wh_graph *g, wh_value n, unsigned i)
{
    wh_value first = wh_graph_not_less(g, arg(g, n, 1), arg(g, n, 0));
    return i == 0 ? first : wh_graph_sub(g, number(g, n, 1), first);
}

static wh_value slope_where(wh_graph *g, wh_value n, unsigned i)
{
    if (i == 0) return WH_NO_VALUE;
    return wh_graph_where(g, arg(g, n, 0), number(g, n, i == 1), number(g, n, i == 2));
}

static wh_value slope_exp(wh_graph *g, wh_value n, unsigned i)
{
    (void)g, (void)i;
    return n;
}

static wh_value slope_log(wh_graph *g, wh_value n, unsigned i)
{
    return wh_graph_div(g, number(g, n, 1), arg(g, n, i));
}

static wh_value slope_sqrt(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_div(g, number(g, n, .5), n);
}

static wh_value slope_rsqrt(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_scale(g, wh_graph_mul(g, n, wh_graph_square(g, n)), -.5);
}

static wh_value slope_tanh(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_sub(g, number(g, n, 1), wh_graph_square(g, n));
}

static wh_value slope_sigmoid(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_mul(g, n, wh_graph_sub(g, number(g, n, 1), n));
}

static wh_value slope_softplus(wh_graph *g, wh_value n, unsigned i)
{
    return wh_graph_sigmoid(g, arg(g, n, i));
}

/* 2/√π e^(-x²) */
static wh_value slope_erf(wh_graph *g, wh_value n, unsigned i)
{
    wh_value e = wh_graph_exp(g, wh_graph_neg(g, wh_graph_square(g, arg(g, n, i))));
    return wh_graph_scale(g, e, M_2_SQRTPI);
}

/* Of the value: then the argument need not be kept for the way back. */
static wh_value slope_relu(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_positive(g, n);
}

static wh_value slope_abs(wh_graph *g, wh_value n, unsigned i)
{
    wh_value x = arg(g, n, i);
    return wh_graph_sub(g, wh_graph_positive(g, x), wh_graph_positive(g, wh_graph_neg(g, x)));
}

static wh_value slope_pow(wh_graph *g, wh_value n, unsigned i)
{
    double p = wh_node_at(g, n)->attr.real[0];
    return wh_graph_scale(g, wh_graph_pow(g, arg(g, n, i), p - 1), p);
}

/* x Φ(x): Φ(x) + x φ(x), φ the normal density */
static wh_value slope_gelu(wh_graph *g, wh_value n, unsigned i)
{
    wh_value x = arg(g, n, i);
    wh_value normal = wh_graph_scale(g, wh_graph_shift(g, wh_graph_erf(g, wh_graph_scale(g, x, M_SQRT1_2)), 1), .5);
    wh_value density = wh_graph_exp(g, wh_graph_scale(g, wh_graph_square(g, x), -.5));
    return wh_graph_add(g, normal, wh_graph_scale(g, wh_graph_mul(g, x, density), .5 * M_2_SQRTPI * M_SQRT1_2));
}

/* With u = √(2/π) (x + c x³), t = tanh u: (1 + t)/2 + x/2 (1 - t²) u' */
static wh_value slope_gelu_tanh(wh_graph *g, wh_value n, unsigned i)
{
    const double root = M_2_SQRTPI * M_SQRT1_2, c = 0.044715;
    wh_value x = arg(g, n, i), x2 = wh_graph_square(g, x);
    wh_value u = wh_graph_scale(g, wh_graph_mul(g, x, wh_graph_shift(g, wh_graph_scale(g, x2, c), 1)), root);
    wh_value du = wh_graph_scale(g, wh_graph_shift(g, wh_graph_scale(g, x2, 3 * c), 1), root);
    wh_value t = wh_graph_tanh(g, u);
    wh_value bend = wh_graph_sub(g, number(g, n, 1), wh_graph_square(g, t));
    wh_value second = wh_graph_mul(g, wh_graph_mul(g, x, bend), du);
    return wh_graph_scale(g, wh_graph_shift(g, wh_graph_add(g, t, second), 1), .5);
}

/* ---- The operations ----------------------------------------------------------------------------- */

#define ELEMENTWISE(id, code, rule, more)                                                                              \
    const wh_op wh_op_##id = {                                                                                         \
        .name = #id, .flags = (more), .element = WH_ELEMENT_##code, .slope = (rule), .splits = wh_splits_always}

ELEMENTWISE(detach, COPY, NULL, WH_OP_CONSTANT);
ELEMENTWISE(add, ADD, slope_one, 0);
ELEMENTWISE(sub, SUB, slope_sub, 0);
ELEMENTWISE(mul, MUL, slope_mul, 0);
ELEMENTWISE(div, DIV, slope_div, 0);
ELEMENTWISE(max, MAX, slope_max, 0);
ELEMENTWISE(min, MIN, slope_min, 0);
ELEMENTWISE(not_less, NOT_LESS, NULL, WH_OP_CONSTANT);
ELEMENTWISE(where, WHERE, slope_where, 0);
ELEMENTWISE(neg, NEG, slope_neg, 0);
ELEMENTWISE(exp, EXP, slope_exp, 0);
ELEMENTWISE(log, LOG, slope_log, 0);
ELEMENTWISE(sqrt, SQRT, slope_sqrt, 0);
ELEMENTWISE(rsqrt, RSQRT, slope_rsqrt, 0);
ELEMENTWISE(tanh, TANH, slope_tanh, 0);
ELEMENTWISE(sigmoid, SIGMOID, slope_sigmoid, 0);
ELEMENTWISE(softplus, SOFTPLUS, slope_softplus, 0);
ELEMENTWISE(erf, ERF, slope_erf, 0);
ELEMENTWISE(relu, RELU, slope_relu, 0);
ELEMENTWISE(positive, POSITIVE, NULL, WH_OP_CONSTANT);
ELEMENTWISE(abs, ABS, slope_abs, 0);
ELEMENTWISE(pow, POW, slope_pow, 0);
ELEMENTWISE(gelu, GELU, slope_gelu, 0);
ELEMENTWISE(gelu_tanh, GELU_TANH, slope_gelu_tanh, 0);

/* ---- Builders --------------------------------------------------------------------------------------- */

/* The shape both broadcast to; false where there is none. */
static bool join(wh_dims *out, const wh_dims *a, const wh_dims *b)
{
    wh_dims d = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (unsigned i = 0; i < d.rank; i++) {
        size_t x = i < d.rank - a->rank ? 1 : a->dim[i - (d.rank - a->rank)];
        size_t y = i < d.rank - b->rank ? 1 : b->dim[i - (d.rank - b->rank)];
        if (x != y && x != 1 && y != 1) return false;
        d.dim[i] = x == 1 ? y : x;
    }
    *out = d;
    return true;
}

/* Brings n arguments to one shape. */
static bool meet(wh_graph *g, const wh_op *op, wh_value args[], unsigned n)
{
    if (!wh_graph_args(g, op, args, n, 0)) return false;
    wh_dims dims = wh_graph_dims(g, args[0]);
    for (unsigned i = 1; i < n; i++) {
        wh_dims next = wh_graph_dims(g, args[i]);
        if (!join(&dims, &dims, &next)) {
            wh_graph_fail_dims(g, op->name, &dims, &next, "the shapes neither agree nor broadcast");
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++) args[i] = wh_graph_broadcast(g, args[i], dims);
    return g->failed == WHIST_OK;
}

/* The node, of arguments of one shape. */
static wh_value element(wh_graph *g, const wh_op *op, const wh_value args[], unsigned n, const wh_attr *attr)
{
    wh_value below = wh_graph_below_layout(g, op, args, n, attr);
    if (below != WH_NO_VALUE || g->failed != WHIST_OK) return below;
    return wh_graph_node(g, op, args, n, wh_graph_dims(g, args[0]), attr, WH_KIND_REAL);
}

static wh_value binary(wh_graph *g, const wh_op *op, wh_value a, wh_value b)
{
    const wh_value args[] = {a, b};
    return element(g, op, args, 2, NULL);
}

static wh_value unary(wh_graph *g, const wh_op *op, wh_value a)
{
    if (!wh_graph_args(g, op, &a, 1, 0)) return WH_NO_VALUE;
    return element(g, op, &a, 1, NULL);
}

wh_value wh_graph_add(wh_graph *g, wh_value a, wh_value b)
{
    wh_value args[] = {a, b};
    if (!meet(g, &wh_op_add, args, 2)) return WH_NO_VALUE;
    double x, y;
    bool fa = wh_graph_is_fill(g, args[0], &x), fb = wh_graph_is_fill(g, args[1], &y);
    if (fa && fb) return number(g, args[0], x + y);
    if (fa && x == 0) return args[1];
    if (fb && y == 0) return args[0];
    return binary(g, &wh_op_add, args[0], args[1]);
}

wh_value wh_graph_sub(wh_graph *g, wh_value a, wh_value b)
{
    wh_value args[] = {a, b};
    if (!meet(g, &wh_op_sub, args, 2)) return WH_NO_VALUE;
    double x, y;
    bool fa = wh_graph_is_fill(g, args[0], &x), fb = wh_graph_is_fill(g, args[1], &y);
    if (fa && fb) return number(g, args[0], x - y);
    if (fa && x == 0) return wh_graph_neg(g, args[1]);
    if (fb && y == 0) return args[0];
    return binary(g, &wh_op_sub, args[0], args[1]);
}

wh_value wh_graph_mul(wh_graph *g, wh_value a, wh_value b)
{
    wh_value args[] = {a, b};
    if (!meet(g, &wh_op_mul, args, 2)) return WH_NO_VALUE;
    double x, y;
    bool fa = wh_graph_is_fill(g, args[0], &x), fb = wh_graph_is_fill(g, args[1], &y);
    if (fa && fb) return number(g, args[0], x * y);
    if (fb && !fa) return wh_graph_mul(g, args[1], args[0]); /* a constant stands first: one form to compare */
    if (fa && x == 0) return args[0];
    if (fa && x == 1) return args[1];
    if (fa && x == -1) return wh_graph_neg(g, args[1]);
    return binary(g, &wh_op_mul, args[0], args[1]);
}

wh_value wh_graph_div(wh_graph *g, wh_value a, wh_value b)
{
    wh_value args[] = {a, b};
    if (!meet(g, &wh_op_div, args, 2)) return WH_NO_VALUE;
    double y;
    if (wh_graph_is_fill(g, args[1], &y) && y == 1) return args[0];
    return binary(g, &wh_op_div, args[0], args[1]);
}

#define PAIR(id)                                                                                                       \
    wh_value wh_graph_##id(wh_graph *g, wh_value a, wh_value b)                                                        \
    {                                                                                                                  \
        wh_value args[] = {a, b};                                                                                      \
        if (!meet(g, &wh_op_##id, args, 2)) return WH_NO_VALUE;                                                        \
        return binary(g, &wh_op_##id, args[0], args[1]);                                                               \
    }
PAIR(max)
PAIR(min)
PAIR(not_less)

wh_value wh_graph_where(wh_graph *g, wh_value c, wh_value a, wh_value b)
{
    wh_value args[] = {c, a, b};
    if (!meet(g, &wh_op_where, args, 3)) return WH_NO_VALUE;
    return element(g, &wh_op_where, args, 3, NULL);
}

wh_value wh_graph_neg(wh_graph *g, wh_value a)
{
    if (!wh_graph_args(g, &wh_op_neg, &a, 1, 0)) return WH_NO_VALUE;
    double x;
    if (wh_graph_is_fill(g, a, &x)) return number(g, a, -x);
    if (wh_node_at(g, a)->op == &wh_op_neg) return arg(g, a, 0);
    return unary(g, &wh_op_neg, a);
}

#define SINGLE(id)                                                                                                     \
    wh_value wh_graph_##id(wh_graph *g, wh_value a)                                                                    \
    {                                                                                                                  \
        return unary(g, &wh_op_##id, a);                                                                               \
    }
SINGLE(exp)
SINGLE(log)
SINGLE(sqrt)
SINGLE(rsqrt)
SINGLE(tanh)
SINGLE(sigmoid)
SINGLE(softplus)
SINGLE(erf)
SINGLE(relu)
SINGLE(positive)
SINGLE(abs)
SINGLE(gelu)
SINGLE(gelu_tanh)
SINGLE(detach)

wh_value wh_graph_pow(wh_graph *g, wh_value a, double exponent)
{
    if (!wh_graph_args(g, &wh_op_pow, &a, 1, 0)) return WH_NO_VALUE;
    if (exponent == 0) return number(g, a, 1);
    if (exponent == 1) return a;
    if (exponent == 2) return wh_graph_square(g, a);
    wh_attr attr = {.real = {exponent}};
    return element(g, &wh_op_pow, &a, 1, &attr);
}

wh_value wh_graph_scale(wh_graph *g, wh_value a, double factor)
{
    if (!wh_graph_args(g, &wh_op_mul, &a, 1, 0)) return WH_NO_VALUE;
    return wh_graph_mul(g, number(g, a, factor), a);
}

wh_value wh_graph_shift(wh_graph *g, wh_value a, double term)
{
    if (!wh_graph_args(g, &wh_op_add, &a, 1, 0)) return WH_NO_VALUE;
    return wh_graph_add(g, a, number(g, a, term));
}

wh_value wh_graph_square(wh_graph *g, wh_value a)
{
    return wh_graph_mul(g, a, a);
}
