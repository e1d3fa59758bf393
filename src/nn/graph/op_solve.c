/* nn/graph/op_solve.c: linear equations with a symmetric positive definite matrix, by Cholesky's a = L Lᵀ.
 *
 * Closed under differentiation: of x = a⁻¹ b the tangent is a⁻¹ (ḃ - ȧ x), and a cotangent c gives b the cotangent
 * a⁻¹ c and a the cotangent -(a⁻¹ c) xᵀ. The latter is not symmetric; for an a that is made symmetric, as it has to
 * be, only its symmetric part counts. */
#include "nn/graph/node.h"

#include <math.h>

static wh_value solve_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_value back = wh_graph_solve(g, wh_node_at(g, n)->arg[0], ct);
    return i == 1 ? back : wh_graph_neg(g, wh_graph_matmul(g, back, n, WH_MATMUL_NT));
}

static wh_value solve_jvp(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_value a = wh_node_at(g, n)->arg[0], right = tangents[1];
    if (tangents[0] != WH_NO_VALUE) {
        wh_value moved = wh_graph_matmul(g, tangents[0], n, WH_MATMUL_NN);
        right = right == WH_NO_VALUE ? wh_graph_neg(g, moved) : wh_graph_sub(g, right, moved);
    }
    return wh_graph_solve(g, a, right);
}

/* A stack of equations keeps examples apart by its first axis. */
static bool solve_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    (void)g, (void)split;
    return node->dims.rank > 2 ? node->dims.dim[0] % examples == 0 : examples == 1;
}

static double get(wh_real real, const void *x, size_t i)
{
    return real == WH_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void set(wh_real real, void *x, size_t i, double value)
{
    if (real == WH_F32)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

/* l (N,N), its lower triangle: from a's element `at` on. A pivot that is not above 0 becomes NaN and spreads. */
static void factor(double *l, wh_real real, const void *a, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = get(real, a, at + i * n + j);
            for (size_t k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = i == j ? (sum > 0 ? sqrt(sum) : NAN) : sum / l[j * n + j];
        }
}

/* x (N,M) holds b, then L⁻¹ b, then L⁻ᵀ L⁻¹ b. */
static void substitute(double *x, const double *l, size_t n, size_t m)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            for (size_t j = 0; j < m; j++) x[i * m + j] -= l[i * n + k] * x[k * m + j];
        for (size_t j = 0; j < m; j++) x[i * m + j] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            for (size_t j = 0; j < m; j++) x[i * m + j] -= l[k * n + i] * x[k * m + j];
        for (size_t j = 0; j < m; j++) x[i * m + j] /= l[i * n + i];
    }
}

/* A unit is one matrix of the stack. All in double, whatever the type. */
static void solve_units(const wh_call *call, wh_real real, size_t from, size_t to)
{
    const wh_dims *dims = call->out_dims;
    size_t n = dims->dim[dims->rank - 2], m = dims->dim[dims->rank - 1];
    double *l = call->scratch, *x = l + n * n;
    for (size_t unit = from; unit < to; unit++) {
        factor(l, real, call->arg[0], unit * n * n, n);
        for (size_t i = 0; i < n * m; i++) x[i] = get(real, call->arg[1], unit * n * m + i);
        substitute(x, l, n, m);
        for (size_t i = 0; i < n * m; i++) set(real, call->out, unit * n * m + i, x[i]);
    }
}

static void solve_f32(const wh_call *call, size_t from, size_t to)
{
    solve_units(call, WH_F32, from, to);
}

static void solve_f64(const wh_call *call, size_t from, size_t to)
{
    solve_units(call, WH_F64, from, to);
}

static wh_cut solve_cut(const wh_call *call)
{
    const wh_dims *dims = call->out_dims;
    size_t n = dims->dim[dims->rank - 2], m = dims->dim[dims->rank - 1];
    return (wh_cut){wh_dims_size(dims) / (n * m), n * n * (n / 6 + m) + 1};
}

/* Doubles, counted in floats. */
static size_t solve_scratch(const wh_call *call)
{
    const wh_dims *dims = call->out_dims;
    size_t n = dims->dim[dims->rank - 2], m = dims->dim[dims->rank - 1];
    return 2 * n * (n + m);
}

const wh_op wh_op_solve = {.name = "solve",
                           .vjp = solve_vjp,
                           .jvp = solve_jvp,
                           .splits = solve_splits,
                           .kernel = {solve_f32, solve_f64},
                           .cut = solve_cut,
                           .scratch = solve_scratch};

wh_value wh_graph_solve(wh_graph *g, wh_value a, wh_value b)
{
    wh_value args[] = {a, b};
    if (!wh_graph_args(g, &wh_op_solve, args, 2, 0)) return WH_NO_VALUE;
    wh_dims da = wh_graph_dims(g, a), db = wh_graph_dims(g, b);
    bool good = da.rank >= 2 && da.rank == db.rank && da.dim[da.rank - 1] == da.dim[da.rank - 2];
    for (unsigned i = 0; good && i + 1 < da.rank; i++) good = da.dim[i] == db.dim[i];
    if (!good) return wh_graph_fail_dims(g, "solve", &da, &db, "(…,N,N) and (…,N,M) with equal axes before");
    return wh_graph_node2(g, &wh_op_solve, a, b, db, NULL);
}
