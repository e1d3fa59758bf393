/* nn/graph/random_test.c: random graphs.
 *
 * Every node's value is worked out twice from the same arguments: by the compiled program, and by the plain interpreter
 * here, which knows no chains, no arena, no pieces of work and none of the kernels. Fused and unfused programs, shared
 * and separate memory, one thread and three give the same bits. Gradients of random graphs stand against differences. A
 * failure prints the seed of its graph; WHIST_TEST_SEED repeats it alone. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "nn/graph/check.h"
#include "nn/graph/node.h"
#include "nn/graph/program.h"

enum { GRAPHS = 400, SMOOTH_GRAPHS = 600, MAX_NODES = 4096, MAX_INPUTS = 16, MAX_VALUES = 48 };

/* ---- Randomness ------------------------------------------------------------------------------------ */

typedef struct dice {
    uint64_t state;
} dice;

static uint64_t roll(dice *d)
{
    uint64_t x = d->state += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static size_t below(dice *d, size_t n)
{
    return (size_t)(roll(d) % n);
}

static double number(dice *d)
{
    return (double)(roll(d) >> 11) * 0x1p-52 - 1;
}

/* ---- Random graphs ------------------------------------------------------------------------------------ */

typedef struct world {
    dice d;
    wh_graph *g;
    wh_value input[MAX_INPUTS];
    void *data[MAX_INPUTS]; /* double or uint32_t */
    float *data32[MAX_INPUTS];
    size_t n_inputs;
    wh_value value[MAX_VALUES];
    size_t n_values;
    bool smooth; /* no kinks: differences are taken */
} world;

static wh_dims random_dims(dice *d, unsigned lowest)
{
    wh_dims dims = {.rank = lowest + (unsigned)below(d, 5 - lowest)};
    for (unsigned i = 0; i < dims.rank; i++) dims.dim[i] = 1 + below(d, dims.rank > 2 ? 4 : 6);
    /* Now and then more than one block of a chain. */
    if (dims.rank > 0 && below(d, 12) == 0) dims.dim[dims.rank - 1] = 300 + below(d, 700);
    return dims;
}

static wh_value new_input(world *w, wh_dims dims)
{
    if (w->n_inputs == MAX_INPUTS) return w->value[0];
    size_t n = wh_dims_size(&dims);
    double *x = test_malloc(n * sizeof *x);
    float *y = test_malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++) x[i] = y[i] = (float)number(&w->d);
    w->data[w->n_inputs] = x;
    w->data32[w->n_inputs] = y;
    return w->input[w->n_inputs++] = wh_graph_input(w->g, "x", WH_PARAM, dims);
}

static wh_value new_index(world *w, wh_dims dims, size_t limit)
{
    if (w->n_inputs == MAX_INPUTS) return WH_NO_VALUE;
    size_t n = wh_dims_size(&dims);
    uint32_t *x = test_malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (uint32_t)below(&w->d, limit);
    w->data[w->n_inputs] = x;
    return w->input[w->n_inputs++] = wh_graph_index(w->g, "i", WH_SHARED, dims, limit);
}

static wh_value any(world *w)
{
    return w->value[below(&w->d, w->n_values)];
}

static wh_dims dims_of(const world *w, wh_value v)
{
    return wh_graph_dims(w->g, v);
}

/* A value that broadcasts with a: one there is, a new input of a narrower shape, or a itself. */
static wh_value partner(world *w, wh_value a)
{
    wh_dims da = dims_of(w, a);
    for (size_t i = 0; i < w->n_values; i++) {
        wh_value b = w->value[(i + roll(&w->d)) % w->n_values];
        wh_dims db = dims_of(w, b);
        if (b != a && wh_dims_equal(&da, &db)) return b;
    }
    if (below(&w->d, 4) == 0) return a;
    wh_dims narrow = da;
    if (narrow.rank > 0 && below(&w->d, 2)) {
        memmove(narrow.dim, narrow.dim + 1, (narrow.rank - 1) * sizeof *narrow.dim);
        narrow.rank--;
    }
    for (unsigned i = 0; i < narrow.rank; i++)
        if (below(&w->d, 3) == 0) narrow.dim[i] = 1;
    return new_input(w, narrow);
}

static wh_value unary(world *w, wh_value a)
{
    wh_graph *g = w->g;
    switch (below(&w->d, w->smooth ? 11 : 15)) {
    case 0: return wh_graph_neg(g, a);
    case 1: return wh_graph_exp(g, wh_graph_tanh(g, a));
    case 2: return wh_graph_log(g, wh_graph_shift(g, wh_graph_square(g, a), .5));
    case 3: return wh_graph_sqrt(g, wh_graph_shift(g, wh_graph_square(g, a), .5));
    case 4: return wh_graph_rsqrt(g, wh_graph_shift(g, wh_graph_square(g, a), .5));
    case 5: return wh_graph_tanh(g, a);
    case 6: return wh_graph_sigmoid(g, a);
    case 7: return wh_graph_softplus(g, a);
    case 8: return wh_graph_erf(g, a);
    case 9: return wh_graph_gelu(g, a);
    case 10: return wh_graph_gelu_tanh(g, a);
    case 11: return wh_graph_relu(g, a);
    case 12: return wh_graph_abs(g, a);
    case 13: return wh_graph_positive(g, a);
    default: return wh_graph_pow(g, wh_graph_shift(g, wh_graph_abs(g, a), .5), 1.5);
    }
}

static wh_value binary(world *w, wh_value a)
{
    wh_graph *g = w->g;
    wh_value b = partner(w, a);
    switch (below(&w->d, w->smooth ? 4 : 8)) {
    case 0: return wh_graph_add(g, a, b);
    case 1: return wh_graph_sub(g, b, a);
    case 2: return wh_graph_mul(g, wh_graph_tanh(g, a), b);
    case 3: return wh_graph_div(g, a, wh_graph_shift(g, wh_graph_square(g, b), .7));
    case 4: return wh_graph_max(g, a, b);
    case 5: return wh_graph_min(g, a, b);
    case 6: return wh_graph_not_less(g, a, b);
    default: return wh_graph_where(g, wh_graph_positive(g, b), a, wh_graph_neg(g, b));
    }
}

static wh_value reshaped(world *w, wh_value a)
{
    wh_graph *g = w->g;
    wh_dims da = dims_of(w, a), to = da;
    unsigned order[WH_GRAPH_RANK] = {0, 1, 2, 3, 4};
    size_t at[WH_GRAPH_RANK] = {0};
    switch (below(&w->d, 6)) {
    case 0: return wh_graph_reshape(g, a, WH_DIMS(wh_dims_size(&da)));
    case 1:
        for (unsigned i = da.rank; i > 1; i--) {
            unsigned k = (unsigned)below(&w->d, i), keep = order[i - 1];
            order[i - 1] = order[k], order[k] = keep;
        }
        return wh_graph_transpose(g, a, order);
    case 2:
        if (da.rank == 0) return a;
        for (unsigned i = 0; i < da.rank; i++) {
            to.dim[i] = 1 + below(&w->d, da.dim[i]);
            at[i] = below(&w->d, da.dim[i] - to.dim[i] + 1);
        }
        return wh_graph_slice(g, a, at, to);
    case 3:
        if (da.rank == 0 || wh_dims_size(&da) > 500) return a;
        for (unsigned i = 0; i < da.rank; i++) {
            at[i] = below(&w->d, 2);
            to.dim[i] += at[i] + below(&w->d, 2);
        }
        return wh_graph_pad(g, a, at, to);
    case 4:
        if (da.rank == 0 || da.dim[0] > 8) return a;
        return wh_graph_concat(g, (unsigned)below(&w->d, da.rank), (const wh_value[]){a, a, wh_graph_neg(g, a)}, 3);
    default:
        if (da.rank == 0) return a;
        return wh_graph_sum(g, a, (unsigned)below(&w->d, (size_t)1 << da.rank), below(&w->d, 2));
    }
}

static wh_value rows(world *w, wh_value a)
{
    wh_graph *g = w->g;
    wh_dims da = dims_of(w, a), one = da;
    if (da.rank == 0) return a;
    size_t last = da.dim[da.rank - 1];
    one.dim[da.rank - 1] = 1 + below(&w->d, 3);
    wh_value index;
    switch (below(&w->d, 8)) {
    case 0: return wh_graph_softmax(g, a, da.rank > 1 && da.dim[da.rank - 2] <= last && below(&w->d, 2));
    case 1: return wh_graph_log_softmax(g, a);
    case 2: return wh_graph_normalize(g, a, .3);
    case 3: return wh_graph_cumsum(g, a, WH_NO_VALUE, below(&w->d, 2));
    case 4: index = new_index(w, one, last); return index ? wh_graph_take(g, a, index) : a;
    case 5: index = new_index(w, da, 5); return index ? wh_graph_put(g, a, index, 5) : a;
    case 6:
        one.rank--;
        index = new_index(w, one, last);
        return index ? wh_graph_cross_entropy(g, a, index) : a;
    default:
        if (da.rank != 2) return wh_graph_mean(g, a, 1, true);
        index = new_index(w, WH_DIMS(2, 3), da.dim[0]);
        return index ? wh_graph_gather(g, a, index) : a;
    }
}

static wh_value product(world *w, wh_value a)
{
    wh_dims da = dims_of(w, a);
    if (da.rank < 2 || w->n_inputs == MAX_INPUTS) return a;
    wh_matmul form = (wh_matmul)below(&w->d, 4);
    size_t k = form & 1 ? da.dim[da.rank - 2] : da.dim[da.rank - 1], n = 1 + below(&w->d, 4);
    wh_dims db = WH_DIMS(form & 2 ? n : k, form & 2 ? k : n);
    if (da.rank > 2 && below(&w->d, 2)) {
        db = da;
        db.dim[da.rank - 2] = form & 2 ? n : k;
        db.dim[da.rank - 1] = form & 2 ? k : n;
    }
    return wh_graph_matmul(w->g, a, new_input(w, db), form);
}

static wh_value image(world *w, wh_value a)
{
    wh_dims da = dims_of(w, a);
    if (da.rank != 4 || w->n_inputs == MAX_INPUTS || wh_dims_size(&da) > 600) return a;
    wh_window window = {1 + below(&w->d, 2), 1 + below(&w->d, 2), 0};
    if (window.kernel == 2) window.pad = below(&w->d, 2);
    size_t high = da.dim[2] + 2 * window.pad, wide = da.dim[3] + 2 * window.pad;
    bool fits = high >= window.kernel && wide >= window.kernel;
    size_t what = below(&w->d, 3);
    if (what == 0 && fits) return wh_graph_avg_pool(w->g, a, window);
    if (what == 1 && fits && !w->smooth) return wh_graph_max_pool(w->g, a, window);
    wh_conv conv = {1 + below(&w->d, 2), below(&w->d, 3), below(&w->d, 2) ? da.dim[1] : 1};
    size_t k = 1 + below(&w->d, 3), outs = conv.groups * (1 + below(&w->d, 2));
    if (da.dim[2] + 2 * conv.pad < k || da.dim[3] + 2 * conv.pad < k || conv.pad >= k + da.dim[2]) return a;
    return wh_graph_conv(w->g, a, new_input(w, WH_DIMS(outs, da.dim[1] / conv.groups, k, k)), WH_NO_VALUE, conv);
}

static void grow(world *w)
{
    wh_value a = any(w), v;
    wh_dims da = dims_of(w, a);
    if (wh_dims_size(&da) > 20000) return;
    switch (below(&w->d, 10)) {
    case 0:
    case 1:
    case 2: v = unary(w, a); break;
    case 3:
    case 4:
    case 5: v = binary(w, a); break;
    case 6: v = reshaped(w, a); break;
    case 7: v = rows(w, a); break;
    case 8: v = product(w, a); break;
    default: v = image(w, a); break;
    }
    if (v != WH_NO_VALUE && w->n_values < MAX_VALUES) w->value[w->n_values++] = v;
}

static void open_world(world *w, uint64_t seed, wh_real real, bool smooth, size_t steps)
{
    *w = (world){.d = {seed}, .smooth = smooth};
    assert_ok(wh_graph_new(&w->g, real));
    wh_dims first = random_dims(&w->d, 1), images = WH_DIMS(2, 2, 2 + below(&w->d, 4), 2 + below(&w->d, 3));
    if (smooth)
        for (unsigned i = 0; i < first.rank; i++) first.dim[i] = 1 + first.dim[i] % 4;
    w->value[w->n_values++] = new_input(w, first);
    w->value[w->n_values++] = new_input(w, below(&w->d, 2) ? images : random_dims(&w->d, 1));
    if (smooth) w->n_values = 1;
    images.dim[2 + below(&w->d, 2)] = 1 + below(&w->d, 3); /* thin ones, too */
    if (smooth && below(&w->d, 4) > 0) w->value[0] = new_input(w, images);
    for (size_t i = 0; i < steps; i++) grow(w);
    if (wh_graph_status(w->g) != WHIST_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, whist_detail_get()->text);
}

static void close_world(world *w)
{
    wh_graph_free(w->g);
    for (size_t i = 0; i < w->n_inputs; i++) {
        test_free(w->data[i]);
        if (w->data32[i]) test_free(w->data32[i]);
    }
}

static void bind_world(wh_run *run, const world *w)
{
    for (size_t i = 0; i < w->n_inputs; i++) {
        bool is_index = wh_node_at(w->g, w->input[i])->kind == WH_KIND_INDEX;
        bool small = wh_graph_real(w->g) == WH_F32 && !is_index;
        assert_ok(wh_run_input(run, w->input[i], small ? (void *)w->data32[i] : w->data[i]));
    }
}

/* ---- The plain interpreter ------------------------------------------------------------------------------ */

typedef struct plain {
    const wh_graph *g;
    double *x[MAX_NODES]; /* by value; NULL: not known here, or an index */
    uint32_t *i[MAX_NODES];
} plain;

static double element(const wh_node *n, double a, double b, double c)
{
    switch (n->op->element) {
    case WH_ELEMENT_COPY: return a;
    case WH_ELEMENT_ADD: return a + b;
    case WH_ELEMENT_SUB: return a - b;
    case WH_ELEMENT_MUL: return a * b;
    case WH_ELEMENT_DIV: return a / b;
    case WH_ELEMENT_MAX: return a >= b ? a : b;
    case WH_ELEMENT_MIN: return a <= b ? a : b;
    case WH_ELEMENT_NOT_LESS: return a >= b;
    case WH_ELEMENT_WHERE: return a != 0 ? b : c;
    case WH_ELEMENT_NEG: return -a;
    case WH_ELEMENT_EXP: return exp(a);
    case WH_ELEMENT_LOG: return log(a);
    case WH_ELEMENT_SQRT: return sqrt(a);
    case WH_ELEMENT_RSQRT: return 1 / sqrt(a);
    case WH_ELEMENT_TANH: return tanh(a);
    case WH_ELEMENT_SIGMOID: return 1 / (1 + exp(-a));
    case WH_ELEMENT_SOFTPLUS: return fmax(a, 0) + log1p(exp(-fabs(a)));
    case WH_ELEMENT_ERF: return erf(a);
    case WH_ELEMENT_RELU: return fmax(a, 0);
    case WH_ELEMENT_POSITIVE: return a > 0;
    case WH_ELEMENT_ABS: return fabs(a);
    case WH_ELEMENT_POW: return pow(a, n->attr.real[0]);
    case WH_ELEMENT_GELU: return a * .5 * (1 + erf(a / sqrt(2)));
    case WH_ELEMENT_GELU_TANH: return .5 * a * (1 + tanh(sqrt(2 / acos(-1)) * (a + .044715 * a * a * a)));
    default: return NAN;
    }
}

/* The places of a number, from its row-major place and back. */
static void unravel(size_t at[], const wh_dims *dims, size_t i)
{
    for (unsigned k = dims->rank; k-- > 0; i /= dims->dim[k]) at[k] = i % dims->dim[k];
}

static size_t ravel(const size_t at[], const wh_dims *dims)
{
    size_t i = 0;
    for (unsigned k = 0; k < dims->rank; k++) i = i * dims->dim[k] + at[k];
    return i;
}

static bool is(const wh_node *n, const char *name)
{
    return strcmp(n->op->name, name) == 0;
}

/* Where element i of a shape-changing node comes from; false: from nowhere, it is 0. */
static bool source(size_t *from, const wh_node *n, const wh_dims *in, size_t i)
{
    size_t at[WH_GRAPH_RANK] = {0}, to[WH_GRAPH_RANK] = {0};
    unravel(at, &n->dims, i);
    unsigned lead = is(n, "broadcast") ? n->dims.rank - in->rank : 0;
    for (unsigned k = 0; k < in->rank; k++) {
        if (is(n, "transpose")) to[n->attr.whole[k]] = at[k];
        if (is(n, "broadcast")) to[k] = in->dim[k] == 1 ? 0 : at[k + lead];
        if (is(n, "slice")) to[k] = at[k] + n->attr.whole[k];
        if (!is(n, "pad")) continue;
        to[k] = at[k] - n->attr.whole[k];
        if (at[k] < n->attr.whole[k] || to[k] >= in->dim[k]) return false;
    }
    *from = is(n, "reshape") ? i : ravel(to, in);
    return true;
}

static void moves(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    const wh_dims *in = &wh_node_at(p->g, n->arg[0])->dims;
    for (size_t i = 0; i < wh_dims_size(&n->dims); i++) {
        size_t from;
        p->x[v][i] = source(&from, n, in, i) ? p->x[n->arg[0]][from] : 0;
    }
}

static void sums(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    const wh_dims *in = &wh_node_at(p->g, n->arg[0])->dims;
    memset(p->x[v], 0, wh_dims_size(&n->dims) * sizeof(double));
    for (size_t i = 0; i < wh_dims_size(in); i++) {
        size_t at[WH_GRAPH_RANK] = {0}, to[WH_GRAPH_RANK] = {0};
        unsigned rank = 0;
        unravel(at, in, i);
        for (unsigned k = 0; k < in->rank; k++)
            if (!(n->attr.whole[0] >> k & 1)) to[rank++] = at[k];
        p->x[v][ravel(to, &n->dims)] += p->x[n->arg[0]][i];
    }
}

static void joins(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    size_t axis = n->attr.whole[0], offset = 0;
    for (unsigned a = 0; a < n->n_args; a++) {
        const wh_dims *in = &wh_node_at(p->g, n->arg[a])->dims;
        for (size_t i = 0; i < wh_dims_size(in); i++) {
            size_t at[WH_GRAPH_RANK] = {0};
            unravel(at, in, i);
            at[axis] += offset;
            p->x[v][ravel(at, &n->dims)] = p->x[n->arg[a]][i];
        }
        offset += in->dim[axis];
    }
}

static void multiplies(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    const wh_dims *da = &wh_node_at(p->g, n->arg[0])->dims;
    bool ta = n->attr.whole[0] & 1, tb = n->attr.whole[0] & 2;
    size_t rows = n->dims.dim[n->dims.rank - 2], columns = n->dims.dim[n->dims.rank - 1];
    size_t inner = da->dim[da->rank - (ta ? 2 : 1)], stack = wh_dims_size(&n->dims) / (rows * columns);
    for (size_t s = 0; s < stack; s++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++) {
                const double *a = p->x[n->arg[0]] + s * rows * inner, *b = p->x[n->arg[1]] + s * inner * columns;
                double sum = 0;
                for (size_t k = 0; k < inner; k++)
                    sum += a[ta ? k * rows + i : i * inner + k] * b[tb ? j * inner + k : k * columns + j];
                p->x[v][(s * rows + i) * columns + j] = sum;
            }
}

/* One row of the last axis; t: which row of its matrix. */
static void row(double *out, const wh_node *n, const double *a, const uint32_t *index, size_t len, size_t t,
                size_t rows)
{
    size_t seen = is(n, "softmax") && n->attr.whole[0] ? t + 1 + len - rows : len;
    double sum = 0, mean = 0, var = 0;
    for (size_t i = 0; i < seen; i++) sum += exp(a[i]), mean += a[i] / (double)len;
    for (size_t i = 0; i < len; i++) var += (a[i] - mean) * (a[i] - mean) / (double)len;
    if (is(n, "cross_entropy")) *out = log(sum) - a[*index];
    for (size_t i = 0; i < len; i++) {
        if (is(n, "softmax")) out[i] = i < seen ? exp(a[i]) / sum : 0;
        if (is(n, "log_softmax")) out[i] = a[i] - log(sum);
        if (is(n, "normalize")) out[i] = (a[i] - mean) / sqrt(var + n->attr.real[0]);
        if (!is(n, "cumsum")) continue;
        size_t k = n->attr.whole[0] ? len - 1 - i : i, before = n->attr.whole[0] ? k + 1 : k - 1;
        out[k] = a[k] + (i > 0 ? out[before] : 0);
    }
}

static void by_rows(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    const wh_dims *in = &wh_node_at(p->g, n->arg[0])->dims;
    size_t len = wh_dims_last(in), all = wh_dims_size(in) / len, out = is(n, "cross_entropy") ? 1 : len;
    size_t rows = in->rank > 1 ? in->dim[in->rank - 2] : 1;
    for (size_t r = 0; r < all; r++)
        row(p->x[v] + r * out, n, p->x[n->arg[0]] + r * len, n->n_args > 1 ? p->i[n->arg[1]] + r : NULL, len, r % rows,
            rows);
}

static void by_index(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    const wh_dims *in = &wh_node_at(p->g, n->arg[0])->dims, *di = &wh_node_at(p->g, n->arg[1])->dims;
    const uint32_t *index = p->i[n->arg[1]];
    size_t last = wh_dims_last(in), k = wh_dims_last(di), out = wh_dims_last(&n->dims);
    memset(p->x[v], 0, wh_dims_size(&n->dims) * sizeof(double));
    for (size_t i = 0; i < wh_dims_size(di); i++) {
        if (is(n, "take")) p->x[v][i] = p->x[n->arg[0]][i / k * last + index[i]];
        if (is(n, "put")) p->x[v][i / k * out + index[i]] += p->x[n->arg[0]][i];
        for (size_t j = 0; j < last && is(n, "gather"); j++)
            p->x[v][i * last + j] = p->x[n->arg[0]][index[i] * last + j];
    }
}

/* One number of a convolution or of a window, images (N,H,W,C), weights (kh,kw,C/groups,O). */
static double window_of(const plain *p, const wh_node *n, const size_t at[4])
{
    const wh_dims *in = &wh_node_at(p->g, n->arg[0])->dims;
    bool conv = is(n, "conv"), max = is(n, "max_window");
    const wh_dims *w = conv ? &wh_node_at(p->g, n->arg[1])->dims : NULL;
    size_t stride = n->attr.whole[conv ? 0 : 1], pad = n->attr.whole[conv ? 1 : 2];
    size_t kh = conv ? w->dim[0] : n->attr.whole[0], kw = conv ? w->dim[1] : n->attr.whole[0];
    size_t depth = conv ? w->dim[2] : 1, first = conv ? at[3] / (w->dim[3] / n->attr.whole[2]) * depth : at[3];
    double out = max ? -INFINITY : 0;
    for (size_t c = 0; c < depth; c++)
        for (size_t i = 0; i < kh; i++)
            for (size_t j = 0; j < kw; j++) {
                size_t y = at[1] * stride + i - pad, x = at[2] * stride + j - pad; /* wraps below 0, beyond any size */
                if (y >= in->dim[1] || x >= in->dim[2]) continue;
                double value = p->x[n->arg[0]][ravel((const size_t[]){at[0], y, x, first + c}, in)];
                if (conv) value *= p->x[n->arg[1]][ravel((const size_t[]){i, j, c, at[3]}, w)];
                out = max ? fmax(out, value) : out + (conv ? value : value / (double)(kh * kw));
            }
    return out;
}

static void windows(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    for (size_t i = 0; i < wh_dims_size(&n->dims); i++) {
        size_t at[4];
        unravel(at, &n->dims, i);
        p->x[v][i] = window_of(p, n, at);
    }
}

static bool one_of(const wh_node *n, const char *const names[])
{
    for (; *names; names++)
        if (is(n, *names)) return true;
    return false;
}

static void elements(plain *p, wh_value v)
{
    const wh_node *n = wh_node_at(p->g, v);
    for (size_t i = 0; i < wh_dims_size(&n->dims); i++) {
        double a[3] = {0};
        for (unsigned k = 0; k < n->n_args; k++) a[k] = p->x[n->arg[k]][i];
        p->x[v][i] = element(n, a[0], a[1], a[2]);
    }
}

/* False where this interpreter does not know the operation. */
static bool interpret(plain *p, wh_value v)
{
    static const char *const frames[] = {"reshape", "transpose", "broadcast", "slice", "pad", NULL},
                             *const by_row[] = {"softmax", "log_softmax", "normalize", "cumsum", "cross_entropy", NULL},
                             *const indexed[] = {"take", "put", "gather", NULL};
    const wh_node *n = wh_node_at(p->g, v);
    if (n->op->element != WH_ELEMENT_NONE) return elements(p, v), true;
    if (is(n, "fill")) {
        for (size_t i = 0; i < wh_dims_size(&n->dims); i++) p->x[v][i] = n->attr.real[0];
        return true;
    }
    if (one_of(n, frames)) return moves(p, v), true;
    if (one_of(n, by_row)) return by_rows(p, v), true;
    if (one_of(n, indexed)) return by_index(p, v), true;
    if (is(n, "sum")) return sums(p, v), true;
    if (is(n, "concat")) return joins(p, v), true;
    if (is(n, "matmul")) return multiplies(p, v), true;
    if (is(n, "conv") || is(n, "avg_pool") || is(n, "max_window")) return windows(p, v), true;
    return false;
}

/* The node's value from its arguments' values in p; false where it is not known how. */
static bool work_out(plain *p, const world *w, wh_value v)
{
    const wh_node *n = wh_node_at(w->g, v);
    size_t size = wh_dims_size(&n->dims), k = 0;
    bool is_index = n->kind == WH_KIND_INDEX;
    for (unsigned i = 0; i < n->n_args; i++)
        if (!p->x[n->arg[i]] && !p->i[n->arg[i]]) return false;
    if (is_index)
        p->i[v] = test_malloc(size * sizeof **p->i);
    else
        p->x[v] = test_malloc(size * sizeof **p->x);
    while (n->name && w->input[k] != v) k++;
    if (n->name) {
        memcpy(is_index ? (void *)p->i[v] : p->x[v], w->data[k], size * (is_index ? sizeof **p->i : sizeof **p->x));
    } else if (is_index && is(n, "reshape")) {
        memcpy(p->i[v], p->i[n->arg[0]], size * sizeof **p->i);
    } else if (!interpret(p, v)) {
        test_free(is_index ? (void *)p->i[v] : p->x[v]);
        p->x[v] = NULL;
        p->i[v] = NULL;
        return false;
    }
    return true;
}

static void plain_free(plain *p)
{
    for (size_t v = 0; v < MAX_NODES; v++) {
        if (p->x[v]) test_free(p->x[v]);
        if (p->i[v]) test_free(p->i[v]);
    }
    test_free(p);
}

/* ---- The tests --------------------------------------------------------------------------------------------- */

/* The seeds of a test: WHIST_TEST_SEED, or 1 … n. */
static bool next_seed(uint64_t *seed, size_t n)
{
    const char *only = getenv("WHIST_TEST_SEED");
    if (only) return *seed == 0 ? (*seed = strtoull(only, NULL, 10)) > 0 : false;
    return ++*seed <= n;
}

/* Every real node is an output: nothing is fused and nothing shares memory. */
static size_t all_values(wh_value out[], const world *w)
{
    size_t n = 0;
    for (wh_value v = 1; v <= wh_graph_size(w->g); v++)
        if (wh_node_at(w->g, v)->kind == WH_KIND_REAL) out[n++] = v;
    return n;
}

/* Then goes on with the program's numbers, so that no rounding decides a jump later. */
static void compare(plain *p, wh_value v, const double *got, bool known, uint64_t seed)
{
    const wh_node *node = wh_node_at(p->g, v);
    size_t n = wh_dims_size(&node->dims);
    double top = 1;
    for (size_t i = 0; known && i < n; i++) top = fmax(top, fabs(p->x[v][i]));
    for (size_t i = 0; known && i < n; i++)
        if (!(fabs(got[i] - p->x[v][i]) <= 1e-12 * top))
            fail_msg("seed %llu: %s %s [%zu]: %.17g, plainly %.17g", (unsigned long long)seed, node->op->name,
                     wh_dims_show(&node->dims).text, i, got[i], p->x[v][i]);
    if (!known) p->x[v] = test_malloc(n * sizeof *got);
    memcpy(p->x[v], got, n * sizeof *got);
}

static void programs_agree_with_the_interpreter(void **state)
{
    (void)state;
    static wh_value out[MAX_NODES];
    size_t known = 0;
    for (uint64_t seed = 0; next_seed(&seed, GRAPHS);) {
        world w;
        wh_program *program;
        wh_run *run;
        open_world(&w, seed, WH_F64, false, 24);
        size_t n = all_values(out, &w);
        assert_ok(wh_program_new(&program, w.g, out, n));
        assert_ok(wh_run_new(&run, program, 1));
        bind_world(run, &w);
        assert_ok(wh_run_go(run, NULL));
        plain *p = test_calloc(1, sizeof *p);
        p->g = w.g;
        assert_true(wh_graph_size(w.g) < MAX_NODES);
        for (wh_value v = 1, o = 0; v <= wh_graph_size(w.g); v++) {
            bool is_real = wh_node_at(w.g, v)->kind == WH_KIND_REAL, good = work_out(p, &w, v);
            if (is_real) compare(p, v, wh_run_result(run, o++), good, seed);
            known += is_real && good;
        }
        plain_free(p);
        wh_run_free(run);
        wh_program_free(program);
        close_world(&w);
    }
    if (!getenv("WHIST_TEST_SEED")) assert_true(known > 10000);
}

/* All results of a program whose outputs are the last few values and the gradients of their sum. */
static wh_run *run_of(wh_program **program, const world *w, const wh_value out[], size_t n, unsigned threads)
{
    wh_run *run;
    wh_pool *pool;
    assert_ok(wh_program_new(program, w->g, out, n));
    assert_ok(wh_run_new(&run, *program, threads));
    assert_ok(wh_pool_new(&pool, threads));
    bind_world(run, w);
    assert_ok(wh_run_go(run, pool));
    assert_ok(wh_run_go(run, pool)); /* what is left in the arena does not matter */
    wh_pool_free(pool);
    return run;
}

static size_t few_values(wh_value out[], world *w)
{
    wh_value wrt[MAX_INPUTS], sum = wh_graph_fill(w->g, WH_SCALAR, 0);
    size_t n = 0, n_wrt = 0;
    for (size_t i = w->n_values > 3 ? w->n_values - 3 : 0; i < w->n_values; i++) {
        out[n++] = w->value[i];
        sum = wh_graph_add(w->g, sum, wh_graph_mean_all(w->g, wh_graph_square(w->g, w->value[i])));
    }
    for (size_t i = 0; i < w->n_inputs; i++)
        if (wh_node_at(w->g, w->input[i])->kind == WH_KIND_REAL) wrt[n_wrt++] = w->input[i];
    assert_ok(wh_graph_gradient(out + n, w->g, sum, wrt, n_wrt));
    return n + n_wrt;
}

static void fusing_sharing_and_threads_do_not_change_bits(void **state)
{
    (void)state;
    static wh_value few[MAX_NODES], all[MAX_NODES];
    for (uint64_t seed = 0; next_seed(&seed, GRAPHS);) {
        world w;
        wh_program *fused, *threaded, *apart;
        open_world(&w, seed, seed % 2 ? WH_F32 : WH_F64, false, 20);
        size_t n = few_values(few, &w), n_all = all_values(all, &w);
        wh_run *a = run_of(&fused, &w, few, n, 1), *b = run_of(&threaded, &w, few, n, 3),
               *c = run_of(&apart, &w, all, n_all, 1);
        size_t each = seed % 2 ? sizeof(float) : sizeof(double);
        for (size_t o = 0; o < n; o++) {
            size_t same = 0;
            while (all[same] != few[o]) same++;
            wh_dims dims = wh_graph_dims(w.g, few[o]);
            size_t bytes = wh_dims_size(&dims) * each;
            if (memcmp(wh_run_result(a, o), wh_run_result(b, o), bytes) != 0)
                fail_msg("seed %llu: output %zu has other bits with three threads", (unsigned long long)seed, o);
            if (memcmp(wh_run_result(a, o), wh_run_result(c, same), bytes) != 0)
                fail_msg("seed %llu: output %zu has other bits unfused", (unsigned long long)seed, o);
        }
        wh_run_free(a), wh_run_free(b), wh_run_free(c);
        wh_program_free(fused), wh_program_free(threaded), wh_program_free(apart);
        close_world(&w);
    }
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    for (uint64_t seed = 0; next_seed(&seed, SMOOTH_GRAPHS);) {
        world w;
        wh_value wrt[MAX_INPUTS];
        const void *data[MAX_INPUTS];
        wh_gradcheck e;
        size_t n = 0, elements = 0;
        open_world(&w, seed, WH_F64, true, 10);
        for (size_t i = 0; i < w.n_inputs; i++) {
            data[i] = w.data[i];
            wh_dims dims = wh_graph_dims(w.g, w.input[i]);
            if (wh_node_at(w.g, w.input[i])->kind == WH_KIND_REAL)
                wrt[n++] = w.input[i], elements += wh_dims_size(&dims);
        }
        wh_value last = w.value[w.n_values - 1];
        wh_value sum = wh_graph_mean_all(w.g, wh_graph_square(w.g, wh_graph_tanh(w.g, last)));
        if (elements <= 2000) {
            assert_ok(wh_graph_gradcheck(&e, w.g, sum, wrt, n, data, w.n_inputs));
            if (!(e.first < 1e-8 && e.second < 1e-8 && e.tangent < 1e-11 && e.reverse < 1e-11))
                fail_msg("seed %llu: errors %.1e %.1e %.1e %.1e", (unsigned long long)seed, e.first, e.tangent,
                         e.second, e.reverse);
        }
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_agree_with_the_interpreter),
        cmocka_unit_test(fusing_sharing_and_threads_do_not_change_bits),
        cmocka_unit_test(gradients_agree_with_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
