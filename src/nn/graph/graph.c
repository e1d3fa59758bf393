/* nn/graph/graph.c: nodes, each content once, and the failure that sticks. */
#include "nn/graph/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NODES = 1 << 24 };

/* ---- Shapes -------------------------------------------------------------------------------- */

size_t wh_dims_size(const wh_dims *dims)
{
    size_t size = 1;
    for (unsigned i = 0; i < dims->rank; i++) size *= dims->dim[i];
    return size;
}

bool wh_dims_equal(const wh_dims *a, const wh_dims *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0;
}

wh_dims_text wh_dims_show(const wh_dims *dims)
{
    wh_dims_text out = {"("};
    size_t at = 1;
    for (unsigned i = 0; i < dims->rank; i++)
        at += (size_t)snprintf(out.text + at, sizeof out.text - at, "%s%zu", i ? "," : "", dims->dim[i]);
    snprintf(out.text + at, sizeof out.text - at, ")");
    return out;
}

size_t wh_dims_last(const wh_dims *dims)
{
    return dims->rank ? dims->dim[dims->rank - 1] : 1;
}

wh_dims wh_dims_drop_last(const wh_dims *dims)
{
    wh_dims out = *dims;
    if (out.rank) out.dim[--out.rank] = 0;
    return out;
}

wh_dims wh_dims_matrix(const wh_dims *dims)
{
    wh_dims rows = wh_dims_drop_last(dims);
    return WH_DIMS(wh_dims_size(&rows), wh_dims_last(dims));
}

/* ---- Life ------------------------------------------------------------------------------------ */

whist_status wh_graph_new(wh_graph **out, wh_real real)
{
    WH_ENSURE(out && (real == WH_F32 || real == WH_F64), WHIST_E_ARG);
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_TRY(WH_NEW(&graph, 1));
    graph->real = real;
    graph->cap = 256;
    graph->table_cap = 1024;
    WH_TRY(WH_NEW(&graph->nodes, graph->cap));
    WH_TRY(WH_NEW(&graph->table, graph->table_cap));
    graph->n = 1;
    *out = graph;
    graph = NULL;
    return WHIST_OK;
}

void wh_graph_free(wh_graph *graph)
{
    if (!graph) return;
    wh_arena_clear(&graph->memory);
    wh_free(graph->nodes);
    wh_free(graph->table);
    wh_free(graph);
}

whist_status wh_graph_status(const wh_graph *graph)
{
    WH_ENSURE(graph, WHIST_E_ARG);
    if (graph->failed != WHIST_OK) wh_detail_put(&graph->why);
    return graph->failed;
}

wh_real wh_graph_real(const wh_graph *graph)
{
    return graph->real;
}

size_t wh_graph_size(const wh_graph *graph)
{
    return graph->n - 1;
}

wh_dims wh_graph_dims(const wh_graph *graph, wh_value value)
{
    return value < graph->n ? graph->nodes[value].dims : WH_SCALAR;
}

/* ---- Failure ----------------------------------------------------------------------------------- */

static wh_value keep(wh_graph *graph, whist_status code)
{
    if (graph->failed != WHIST_OK) return WH_NO_VALUE;
    graph->failed = code;
    graph->why = *whist_detail_get();
    return WH_NO_VALUE;
}

wh_value wh_graph_fail(wh_graph *graph, whist_status code, const char *format, ...)
{
    if (graph->failed != WHIST_OK) return WH_NO_VALUE;
    char text[sizeof graph->why.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)wh_fail(code, __FILE__, __LINE__, "%s", text);
    return keep(graph, code);
}

wh_value wh_graph_fail_dims(wh_graph *graph, const char *op, const wh_dims *a, const wh_dims *b, const char *why)
{
    return wh_graph_fail(graph, WHIST_E_ARG, "%s of %s and %s: %s", op, wh_dims_show(a).text, wh_dims_show(b).text,
                         why);
}

bool wh_graph_args(wh_graph *graph, const wh_op *op, const wh_value args[], unsigned n, unsigned indices)
{
    if (graph->failed != WHIST_OK) return false;
    for (unsigned i = 0; i < n; i++) {
        if (args[i] == WH_NO_VALUE || args[i] >= graph->n) {
            wh_graph_fail(graph, WHIST_E_ARG, "%s: argument %u is no value of this graph", op->name, i);
            return false;
        }
        bool is_index = wh_node_at(graph, args[i])->kind == WH_KIND_INDEX;
        if (is_index != ((indices >> i & 1) != 0)) {
            wh_graph_fail(graph, WHIST_E_ARG, "%s: argument %u has to be of %s", op->name, i,
                          is_index ? "real numbers, not indices" : "indices, not real numbers");
            return false;
        }
    }
    return true;
}

/* ---- Nodes ---------------------------------------------------------------------------------------- */

/* No product of the axes may pass what an allocation of doubles could have. */
static bool fits(const wh_dims *dims)
{
    size_t bytes = sizeof(double);
    if (dims->rank > WH_GRAPH_RANK) return false;
    for (unsigned i = 0; i < dims->rank; i++)
        if (dims->dim[i] == 0 || !wh_mul_size(&bytes, bytes, dims->dim[i]) || bytes > PTRDIFF_MAX / 8) return false;
    return true;
}

static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) h = (h ^ p[i]) * 0x100000001b3;
    return h;
}

static uint64_t hash(const wh_node *node)
{
    uint64_t h = mix(0xcbf29ce484222325, &node->op, sizeof node->op);
    h = mix(h, node->arg, node->n_args * sizeof *node->arg);
    h = mix(h, node->dims.dim, node->dims.rank * sizeof *node->dims.dim);
    return mix(h, &node->attr, sizeof node->attr);
}

static bool same(const wh_node *a, const wh_node *b)
{
    return a->op == b->op && a->n_args == b->n_args && a->kind == b->kind && wh_dims_equal(&a->dims, &b->dims) &&
           (a->n_args == 0 || memcmp(a->arg, b->arg, a->n_args * sizeof *a->arg) == 0) &&
           memcmp(&a->attr, &b->attr, sizeof a->attr) == 0;
}

/* The cell of the table that holds an equal node, or an empty one. */
static wh_value *cell(const wh_graph *graph, const wh_node *node)
{
    size_t mask = graph->table_cap - 1, at = hash(node) & mask;
    while (graph->table[at] != WH_NO_VALUE && !same(&graph->nodes[graph->table[at]], node)) at = (at + 1) & mask;
    return &graph->table[at];
}

static whist_status grow(wh_graph *graph)
{
    if (graph->n >= MAX_NODES) WH_FAIL(WHIST_E_RANGE, "a graph of more than %d nodes", MAX_NODES);
    if (graph->n == graph->cap) {
        wh_node *nodes;
        WH_TRY(WH_NEW(&nodes, 2 * graph->cap));
        memcpy(nodes, graph->nodes, graph->n * sizeof *nodes);
        wh_free(graph->nodes);
        graph->nodes = nodes;
        graph->cap *= 2;
    }
    if (2 * graph->n < graph->table_cap) return WHIST_OK;
    wh_value *table;
    WH_TRY(WH_NEW(&table, 2 * graph->table_cap));
    wh_free(graph->table);
    graph->table = table;
    graph->table_cap *= 2;
    for (wh_value v = 1; v < graph->n; v++)
        if (!graph->nodes[v].name) *cell(graph, &graph->nodes[v]) = v;
    return WHIST_OK;
}

static whist_status append(wh_value *out, wh_graph *graph, const wh_node *node)
{
    WH_TRY(grow(graph));
    wh_node copy = *node;
    wh_value *args = NULL;
    if (node->n_args) {
        WH_TRY(WH_ARENA_NEW(&args, &graph->memory, node->n_args));
        memcpy(args, node->arg, node->n_args * sizeof *args);
    }
    copy.arg = args;
    if (node->name) {
        char *name;
        WH_TRY(wh_arena_strdup(&name, &graph->memory, node->name));
        copy.name = name;
    }
    graph->nodes[graph->n] = copy;
    *out = (wh_value)graph->n++;
    return WHIST_OK;
}

static wh_value add_node(wh_graph *graph, const wh_node *node)
{
    if (graph->failed != WHIST_OK) return WH_NO_VALUE;
    if (!fits(&node->dims))
        return wh_graph_fail(graph, WHIST_E_RANGE, "%s: the shape %s is empty or too large", node->op->name,
                             wh_dims_show(&node->dims).text);
    if (!node->name) {
        wh_value *found = cell(graph, node);
        if (*found != WH_NO_VALUE) return *found;
    }
    wh_value value = WH_NO_VALUE;
    whist_status status = append(&value, graph, node);
    if (status != WHIST_OK) return keep(graph, status);
    if (!node->name) *cell(graph, node) = value;
    return value;
}

wh_value wh_graph_node(wh_graph *graph, const wh_op *op, const wh_value args[], unsigned n, wh_dims dims,
                       const wh_attr *attr, wh_kind kind)
{
    wh_node node = {.op = op, .arg = args, .n_args = n, .kind = kind, .dims = dims};
    if (attr) node.attr = *attr;
    return add_node(graph, &node);
}

wh_value wh_graph_node1(wh_graph *graph, const wh_op *op, wh_value a, wh_dims dims, const wh_attr *attr)
{
    return wh_graph_node(graph, op, &a, 1, dims, attr, WH_KIND_REAL);
}

wh_value wh_graph_node2(wh_graph *graph, const wh_op *op, wh_value a, wh_value b, wh_dims dims, const wh_attr *attr)
{
    return wh_graph_node(graph, op, (const wh_value[]){a, b}, 2, dims, attr, WH_KIND_REAL);
}

wh_value wh_graph_again(wh_graph *graph, wh_value n, const wh_value args[])
{
    wh_node node = *wh_node_at(graph, n);
    node.arg = args;
    return add_node(graph, &node);
}

/* ---- Leaves ------------------------------------------------------------------------------------------ */

const wh_op wh_op_input = {.name = "input", .flags = WH_OP_LEAF};
const wh_op wh_op_index = {.name = "index", .flags = WH_OP_LEAF};

static wh_value leaf(wh_graph *graph, const wh_op *op, const char *name, wh_role role, wh_dims dims, uint64_t limit)
{
    if (graph->failed != WHIST_OK) return WH_NO_VALUE;
    if (role == WH_EXAMPLES && dims.rank == 0)
        return wh_graph_fail(graph, WHIST_E_ARG, "input '%s': a scalar has no axis of examples", name ? name : "");
    wh_node node = {.op = op, .dims = dims, .name = name ? name : "", .role = role};
    node.kind = op == &wh_op_index ? WH_KIND_INDEX : WH_KIND_REAL;
    node.attr.whole[0] = limit;
    return add_node(graph, &node);
}

wh_value wh_graph_input(wh_graph *graph, const char *name, wh_role role, wh_dims dims)
{
    return leaf(graph, &wh_op_input, name, role, dims, 0);
}

wh_value wh_graph_index(wh_graph *graph, const char *name, wh_role role, wh_dims dims, uint64_t limit)
{
    if (limit == 0 || limit > (uint64_t)UINT32_MAX + 1)
        return wh_graph_fail(graph, WHIST_E_RANGE, "index '%s': a limit of 1 to 2^32", name ? name : "");
    return leaf(graph, &wh_op_index, name, role, dims, limit);
}

bool wh_splits_always(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples)
{
    (void)graph, (void)node, (void)split, (void)examples;
    return true;
}

/* Does the first axis of the value hold whole examples, and is it an axis the operation keeps apart? */
bool wh_splits_rows(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples)
{
    (void)split;
    for (unsigned i = 0; i < node->n_args; i++) {
        const wh_dims *dims = &wh_node_at(graph, node->arg[i])->dims;
        if (dims->rank == 0 || dims->dim[0] % examples != 0) return false;
        if (dims->rank == 1 && i == 0 && examples > 1) return false;
    }
    return node->dims.rank > 0 && node->dims.dim[0] % examples == 0;
}

bool wh_splits_first(const wh_graph *graph, const wh_node *node, const bool split[], size_t examples)
{
    for (unsigned i = 1; i < node->n_args; i++)
        if (split[i]) return false;
    return split[0] && wh_node_at(graph, node->arg[0])->dims.dim[0] % examples == 0;
}

const wh_op wh_op_fill = {.name = "fill", .flags = WH_OP_LEAF, .wide = WH_KERNEL_WIDE(fill)};

wh_value wh_graph_fill(wh_graph *graph, wh_dims dims, double number)
{
    wh_attr attr = {.real = {number}};
    return wh_graph_node(graph, &wh_op_fill, NULL, 0, dims, &attr, WH_KIND_REAL);
}

wh_value wh_graph_fill_like(wh_graph *graph, wh_value like, double number)
{
    if (graph->failed != WHIST_OK) return WH_NO_VALUE;
    return wh_graph_fill(graph, wh_graph_dims(graph, like), number);
}

bool wh_graph_is_fill(const wh_graph *graph, wh_value value, double *number)
{
    const wh_node *node = wh_node_at(graph, value);
    if (node->op != &wh_op_fill) return false;
    *number = node->attr.real[0];
    return true;
}
