/* nn/graph/check.c: central differences of fourth order.
 *
 *     f'(x) ≈ (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h
 *
 * With h = 2e-4 its own error (h⁴/30 · f⁽⁵⁾) and what rounding adds (1e-16/h) both stay near 1e-12. */
#include "nn/graph/check.h"

#include <math.h>
#include <string.h>

#include "nn/graph/node.h"
#include "nn/graph/program.h"

static const double H = 2e-4;

typedef double real;
WH_AUTO_FREE(real, wh_free)

/* The inputs of the graph and where a run reads them: wrt ones from copies that may be moved. */
typedef struct bench {
    wh_graph *graph;
    wh_run *run;
    wh_program *program;
    wh_arena memory;
    double **x, **v; /* (n): points and directions */
    size_t *size, n;
} bench;

static void bench_clear(bench *b)
{
    wh_run_free(b->run);
    wh_program_free(b->program);
    wh_arena_clear(&b->memory);
}
WH_AUTO_CLEAR(bench, bench_clear)

static double noise(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-52 - 1;
}

static whist_status bind_inputs(bench *b, const void *const inputs[], size_t n_inputs)
{
    size_t at = 0;
    for (wh_value v = 1; v <= wh_graph_size(b->graph) && at < n_inputs; v++)
        if (wh_node_at(b->graph, v)->name) WH_TRY(wh_run_input(b->run, v, inputs[at++]));
    return WHIST_OK;
}

static whist_status find_data(const void **out, const wh_graph *g, wh_value input, const void *const inputs[],
                              size_t n_inputs)
{
    size_t at = 0;
    for (wh_value v = 1; v < input; v++) at += wh_node_at(g, v)->name != NULL;
    if (!wh_node_at(g, input)->name || at >= n_inputs) WH_FAIL(WHIST_E_ARG, "gradcheck: wrt is no input with data");
    *out = inputs[at];
    return WHIST_OK;
}

static whist_status set_points(bench *b, const wh_value wrt[], const wh_value along[], const void *const inputs[],
                               size_t n_inputs)
{
    WH_TRY(WH_ARENA_NEW(&b->x, &b->memory, b->n));
    WH_TRY(WH_ARENA_NEW(&b->v, &b->memory, b->n));
    WH_TRY(WH_ARENA_NEW(&b->size, &b->memory, b->n));
    for (size_t i = 0; i < b->n; i++) {
        wh_dims dims = wh_graph_dims(b->graph, wrt[i]);
        const void *data;
        b->size[i] = wh_dims_size(&dims);
        WH_TRY(find_data(&data, b->graph, wrt[i], inputs, n_inputs));
        WH_TRY(WH_ARENA_NEW(&b->x[i], &b->memory, b->size[i]));
        WH_TRY(WH_ARENA_NEW(&b->v[i], &b->memory, b->size[i]));
        memcpy(b->x[i], data, b->size[i] * sizeof(double));
        for (size_t k = 0; k < b->size[i]; k++) b->v[i][k] = noise(1000 * i + k);
        WH_TRY(wh_run_input(b->run, wrt[i], b->x[i]));
        WH_TRY(wh_run_input(b->run, along[i], b->v[i]));
    }
    return WHIST_OK;
}

static double worst(const double *a, const double *b, size_t n)
{
    double top = 1, error = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(b[i]));
    for (size_t i = 0; i < n; i++) {
        double d = fabs(a[i] - b[i]) / top;
        error = d <= error ? error : d; /* a NaN is an error and stays */
    }
    return error;
}

static whist_status go_value(double *out, bench *b)
{
    WH_TRY(wh_run_go(b->run, NULL));
    *out = *(const double *)wh_run_result(b->run, 0);
    return WHIST_OK;
}

static whist_status difference(double *out, bench *b, double *at)
{
    double keep = *at, f[4];
    static const double moves[] = {1, -1, 2, -2};
    for (int k = 0; k < 4; k++) {
        *at = keep + moves[k] * H;
        WH_TRY(go_value(&f[k], b));
    }
    *at = keep;
    *out = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * H);
    return WHIST_OK;
}

static whist_status first_order(double *out, bench *b)
{
    for (size_t i = 0; i < b->n; i++) {
        WH_AUTO(real_ptr) slope = NULL;
        WH_AUTO(real_ptr) grad = NULL;
        WH_TRY(WH_NEW(&slope, b->size[i]));
        WH_TRY(WH_NEW(&grad, b->size[i]));
        WH_TRY(wh_run_go(b->run, NULL));
        memcpy(grad, wh_run_result(b->run, 1 + i), b->size[i] * sizeof *grad);
        for (size_t k = 0; k < b->size[i]; k++) WH_TRY(difference(&slope[k], b, &b->x[i][k]));
        double error = worst(grad, slope, b->size[i]);
        *out = error <= *out ? *out : error;
    }
    return WHIST_OK;
}

/* Adds factor times the gradients at x + step · v to sum. */
static whist_status add_gradients(double **sum, bench *b, double step, double factor)
{
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->size[i]; k++) b->x[i][k] += step * b->v[i][k];
    WH_TRY(wh_run_go(b->run, NULL));
    for (size_t i = 0; i < b->n; i++) {
        const double *grad = wh_run_result(b->run, 1 + i);
        for (size_t k = 0; k < b->size[i]; k++) {
            sum[i][k] += factor * grad[k];
            b->x[i][k] -= step * b->v[i][k];
        }
    }
    return WHIST_OK;
}

static whist_status second_order(double *out, bench *b)
{
    double **sum;
    WH_TRY(WH_ARENA_NEW(&sum, &b->memory, b->n));
    for (size_t i = 0; i < b->n; i++) WH_TRY(WH_ARENA_NEW(&sum[i], &b->memory, b->size[i]));
    WH_TRY(add_gradients(sum, b, H, 8 / (12 * H)));
    WH_TRY(add_gradients(sum, b, -H, -8 / (12 * H)));
    WH_TRY(add_gradients(sum, b, 2 * H, -1 / (12 * H)));
    WH_TRY(add_gradients(sum, b, -2 * H, 1 / (12 * H)));
    WH_TRY(wh_run_go(b->run, NULL));
    for (size_t i = 0; i < b->n; i++) {
        double error = worst(wh_run_result(b->run, 1 + b->n + i), sum[i], b->size[i]);
        *out = error <= *out ? *out : error;
    }
    return WHIST_OK;
}

/* Outputs 1+3n: the forward derivative along v; 1+2n …: the second backward pass. */
static whist_status directions(wh_gradcheck *out, bench *b)
{
    double along = 0, size = 1;
    WH_TRY(wh_run_go(b->run, NULL));
    for (size_t i = 0; i < b->n; i++) {
        const double *grad = wh_run_result(b->run, 1 + i);
        for (size_t k = 0; k < b->size[i]; k++) {
            along += grad[k] * b->v[i][k];
            size += fabs(grad[k] * b->v[i][k]);
        }
        double error = worst(wh_run_result(b->run, 1 + 2 * b->n + i), wh_run_result(b->run, 1 + b->n + i), b->size[i]);
        out->reverse = error <= out->reverse ? out->reverse : error;
    }
    out->tangent = fabs(*(const double *)wh_run_result(b->run, 1 + 3 * b->n) - along) / size;
    return WHIST_OK;
}

/* outputs: the scalar; n gradients; n products forward; n backward; the derivative along. */
static whist_status derive(wh_value *outputs, wh_graph *g, wh_value scalar, const wh_value wrt[],
                           const wh_value along[], size_t n)
{
    outputs[0] = scalar;
    WH_TRY(wh_graph_gradient(outputs + 1, g, scalar, wrt, n));
    WH_TRY(wh_graph_jvp(outputs + 1 + n, g, outputs + 1, n, wrt, along, n));
    wh_value inner = wh_graph_fill(g, WH_SCALAR, 0);
    for (size_t i = 0; i < n; i++) inner = wh_graph_add(g, inner, wh_graph_dot(g, outputs[1 + i], along[i]));
    WH_TRY(wh_graph_gradient(outputs + 1 + 2 * n, g, inner, wrt, n));
    return wh_graph_jvp(outputs + 1 + 3 * n, g, &scalar, 1, wrt, along, n);
}

whist_status wh_graph_gradcheck(wh_gradcheck *out, wh_graph *g, wh_value scalar, const wh_value wrt[], size_t n,
                                const void *const inputs[], size_t n_inputs)
{
    WH_ENSURE(out && g && wrt && n > 0 && inputs && wh_graph_real(g) == WH_F64, WHIST_E_ARG);
    WH_AUTO(bench) b = {.graph = g, .n = n};
    wh_value *outputs, *along;
    WH_TRY(WH_ARENA_NEW(&outputs, &b.memory, 2 + 3 * n));
    WH_TRY(WH_ARENA_NEW(&along, &b.memory, n));
    for (size_t i = 0; i < n; i++) along[i] = wh_graph_input(g, "direction", WH_SHARED, wh_graph_dims(g, wrt[i]));
    WH_TRY(derive(outputs, g, scalar, wrt, along, n));
    WH_TRY(wh_program_new(&b.program, g, outputs, 2 + 3 * n));
    WH_TRY(wh_run_new(&b.run, b.program, 1));
    WH_TRY(bind_inputs(&b, inputs, n_inputs));
    WH_TRY(set_points(&b, wrt, along, inputs, n_inputs));
    wh_gradcheck error = {0};
    WH_TRY(first_order(&error.first, &b));
    WH_TRY(second_order(&error.second, &b));
    WH_TRY(directions(&error, &b));
    *out = error;
    return WHIST_OK;
}

/* ---- Norms -------------------------------------------------------------------------------------------- */

static double apart(double got, double want)
{
    double d = fabs(got - want) / fmax(1, fabs(want));
    return d;
}

/* The gradient of example e in the form that the next outputs have, against grad. */
static double compare_form(const bench *b, const wh_example_gradient *form, size_t *output, size_t e,
                           const double *grad, size_t n)
{
    if (form->rows == WH_NO_VALUE) return 0;
    const wh_dims r = wh_graph_dims(b->graph, form->rows), c = wh_graph_dims(b->graph, form->cols);
    const double *rows = (const double *)wh_run_result(b->run, (*output)++) + e * r.dim[1], *cols = NULL;
    if (form->cols != WH_NO_VALUE) cols = (const double *)wh_run_result(b->run, (*output)++) + e * c.dim[1];
    size_t at[WH_GRAPH_RANK] = {0}, to = 0;
    double error = 0;
    for (size_t i = 0; i < n; i++) {
        double got = cols ? rows[i / c.dim[1]] * cols[i % c.dim[1]] : rows[i], d = apart(got, grad[to]);
        error = d <= error ? error : d;
        for (unsigned k = form->dims.rank; k-- > 0;) {
            to += form->step[k];
            if (++at[k] < form->dims.dim[k]) break;
            to -= form->step[k] * form->dims.dim[k];
            at[k] = 0;
        }
    }
    return error;
}

/* Outputs 0 … n-1: gradients by params for the example that seed picks; n … 2n-1: squared norms; 2n … 3n-1: weighted
 * sums; 3n: total; 3n+1 …: what forms say. */
static whist_status compare_norms(double *out, bench *b, double *seed, const double *weights, size_t examples,
                                  const wh_example_gradient *forms)
{
    double **sum, *total, error = 0;
    size_t n = b->n;
    WH_TRY(WH_ARENA_NEW(&sum, &b->memory, n));
    WH_TRY(WH_ARENA_NEW(&total, &b->memory, examples));
    for (size_t i = 0; i < n; i++) WH_TRY(WH_ARENA_NEW(&sum[i], &b->memory, b->size[i]));
    for (size_t e = 0; e < examples; e++) {
        memset(seed, 0, examples * sizeof *seed);
        seed[e] = 1;
        WH_TRY(wh_run_go(b->run, NULL));
        size_t output = 3 * n + 1;
        for (size_t i = 0; i < n; i++) {
            const double *grad = wh_run_result(b->run, i), *squared = wh_run_result(b->run, n + i);
            double want = 0;
            for (size_t k = 0; k < b->size[i]; k++) {
                want += grad[k] * grad[k];
                sum[i][k] += weights[e] * grad[k];
            }
            total[e] += want;
            double d = apart(squared[e], want);
            error = d <= error ? error : d;
            d = compare_form(b, &forms[i], &output, e, grad, b->size[i]);
            error = d <= error ? error : d;
        }
    }
    for (size_t i = 0; i < n; i++) {
        double d = worst(wh_run_result(b->run, 2 * n + i), sum[i], b->size[i]);
        error = d <= error ? error : d;
    }
    double d = worst(wh_run_result(b->run, 3 * n), total, examples);
    *out = d <= error ? error : d;
    return WHIST_OK;
}

whist_status wh_graph_normcheck(double *out, wh_graph *g, wh_value losses, const wh_value params[], size_t n,
                                const void *const inputs[], size_t n_inputs)
{
    WH_ENSURE(out && g && params && n > 0 && inputs && wh_graph_real(g) == WH_F64, WHIST_E_ARG);
    WH_AUTO(bench) b = {.graph = g, .n = n};
    wh_value *outputs;
    wh_example_gradient *forms;
    size_t n_outputs = 3 * n + 1;
    WH_TRY(WH_ARENA_NEW(&outputs, &b.memory, 5 * n + 1));
    WH_TRY(WH_ARENA_NEW(&forms, &b.memory, n));
    wh_dims dims = wh_graph_dims(g, losses);
    size_t examples = wh_dims_size(&dims);
    wh_value seed = wh_graph_input(g, "seed", WH_EXAMPLES, dims), w = wh_graph_input(g, "weights", WH_EXAMPLES, dims);
    WH_TRY(wh_graph_vjp(outputs, g, losses, seed, params, n));
    WH_AUTO(wh_per_example_ptr) p = NULL;
    WH_TRY(wh_per_example_new(&p, g, losses, params, n));
    for (size_t i = 0; i < n; i++) outputs[n + i] = wh_per_example_squared(p, i);
    WH_TRY(wh_per_example_sum(outputs + 2 * n, g, p, w));
    outputs[3 * n] = wh_per_example_total(p);
    for (size_t i = 0; i < n; i++) {
        WH_TRY(wh_per_example_gradient(&forms[i], g, p, i));
        if (forms[i].rows != WH_NO_VALUE) outputs[n_outputs++] = forms[i].rows;
        if (forms[i].cols != WH_NO_VALUE) outputs[n_outputs++] = forms[i].cols;
    }
    WH_TRY(wh_program_new(&b.program, g, outputs, n_outputs));
    WH_TRY(wh_run_new(&b.run, b.program, 1));
    WH_TRY(bind_inputs(&b, inputs, n_inputs));
    double *pick, *weights;
    WH_TRY(WH_ARENA_NEW(&pick, &b.memory, examples));
    WH_TRY(WH_ARENA_NEW(&weights, &b.memory, examples));
    WH_TRY(WH_ARENA_NEW(&b.size, &b.memory, n));
    for (size_t e = 0; e < examples; e++) weights[e] = noise(77 + e);
    for (size_t i = 0; i < n; i++) {
        wh_dims dp = wh_graph_dims(g, params[i]);
        b.size[i] = wh_dims_size(&dp);
    }
    WH_TRY(wh_run_input(b.run, seed, pick));
    WH_TRY(wh_run_input(b.run, w, weights));
    return compare_norms(out, &b, pick, weights, examples, forms);
}
