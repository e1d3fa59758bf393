/* nn/graph/op_product.c: products of matrices. Bilinear, and closed: the derivatives of NN, TN and NT are again
 * NN, TN and NT; TT is (b a)ᵀ. */
#include "nn/graph/node.h"

/* aᵀ b of many rows, the gradient of a weight. In eight parts, summed afterwards: each walks its own rows once, and
 * threads have parts to share even where the product itself is small. */
static wh_value row_products(wh_graph *g, wh_value a, wh_value b)
{
    enum { PARTS = 8, LEAST = 4096, MOST = 1 << 18 };
    wh_dims da = wh_graph_dims(g, a), db = wh_graph_dims(g, b);
    size_t k = da.dim[0], m = da.dim[1], n = db.dim[1];
    if (da.rank != 2 || k < LEAST || k % PARTS != 0 || m * n > MOST || m * n < 1024)
        return wh_graph_matmul(g, a, b, WH_MATMUL_TN);
    a = wh_graph_reshape(g, a, WH_DIMS(PARTS, k / PARTS, m));
    b = wh_graph_reshape(g, b, WH_DIMS(PARTS, k / PARTS, n));
    return wh_graph_sum(g, wh_graph_matmul(g, a, b, WH_MATMUL_TN), 1, false);
}

static wh_value matmul_vjp(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    wh_value a = node.arg[0], b = node.arg[1];
    switch ((wh_matmul)node.attr.whole[0]) {
    case WH_MATMUL_NN: return i == 0 ? wh_graph_matmul(g, ct, b, WH_MATMUL_NT) : row_products(g, a, ct);
    case WH_MATMUL_TN:
        return i == 0 ? wh_graph_matmul(g, b, ct, WH_MATMUL_NT) : wh_graph_matmul(g, a, ct, WH_MATMUL_NN);
    default: return i == 0 ? wh_graph_matmul(g, ct, b, WH_MATMUL_NN) : row_products(g, ct, a);
    }
}

/* A stack of products keeps examples apart by its first axis; a flat one by the rows of a. */
static bool matmul_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    if (node->dims.rank > 2) return node->dims.dim[0] % examples == 0;
    if (split[1]) return examples == 1;
    return node->attr.whole[0] != WH_MATMUL_TN && wh_splits_first(g, node, split, examples);
}

static size_t halves_of(size_t size, size_t parts)
{
    return ((size + parts - 1) / parts + 31) / 32 * 32;
}

/* Blocks of up to 256 rows (512 where A is transposed and read in passing) and 4096 columns, halved on their longer
 * side until there are eight: a block of A stays in the second cache, what is copied of B serves many rows, and threads
 * find something to do. */
static wh_product_plan blocks_of(const wh_call *call)
{
    enum { COLUMNS = 4096, LEAST = 64, ENOUGH = 8 };
    const size_t most = call->attr->whole[0] == WH_MATMUL_TN ? 512 : 256;
    /* Of the arguments: the value may have another shape by now. */
    const wh_dims *a = &call->arg_dims[0], *b = &call->arg_dims[1];
    wh_product_plan p = {.m = a->dim[a->rank - 2], .k = a->dim[a->rank - 1], .n = b->dim[b->rank - 1]};
    if (call->attr->whole[0] == WH_MATMUL_TN) p.m = a->dim[a->rank - 1], p.k = a->dim[a->rank - 2];
    if (call->attr->whole[0] == WH_MATMUL_NT) p.n = b->dim[b->rank - 2];
    p.stack = wh_dims_size(a) / (p.m * p.k);
    p.rows = p.m <= most ? p.m : halves_of(p.m, (p.m + most - 1) / most);
    p.columns = p.n <= COLUMNS || call->chain ? p.n : halves_of(p.n, (p.n + COLUMNS - 1) / COLUMNS);
    for (;;) {
        p.n_rows = (p.m + p.rows - 1) / p.rows;
        p.n_columns = (p.n + p.columns - 1) / p.columns;
        size_t *longer = p.rows > p.columns || call->chain ? &p.rows : &p.columns; /* a chain needs whole rows */
        if (p.stack * p.n_rows * p.n_columns >= ENOUGH || *longer < 2 * LEAST) return p;
        *longer = halves_of(*longer, 2);
    }
}

static wh_plan matmul_plan(const wh_call *call)
{
    return (wh_plan){.product = blocks_of(call)};
}

/* A unit is one block of one product of the stack. */
static wh_cut matmul_cut(const wh_call *call)
{
    const wh_product_plan *p = &call->plan->product;
    return (wh_cut){p->stack * p->n_rows * p->n_columns, p->rows * p->columns * p->k};
}

const wh_op wh_op_matmul = {.name = "matmul",
                            .flags = WH_OP_MULTILINEAR,
                            .vjp = matmul_vjp,
                            .splits = matmul_splits,
                            .wide = WH_KERNEL_WIDE(matmul),
                            .plan = matmul_plan,
                            .cut = matmul_cut};

static wh_value swap_last(wh_graph *g, wh_value a)
{
    unsigned rank = wh_graph_dims(g, a).rank, order[WH_GRAPH_RANK] = {0, 1, 2, 3, 4};
    order[rank - 1] = rank - 2;
    order[rank - 2] = rank - 1;
    return wh_graph_transpose(g, a, order);
}

/* If a is a transpose of its last two axes alone, what it transposes. */
static wh_value untransposed(const wh_graph *g, wh_value a)
{
    const wh_node *node = wh_node_at(g, a);
    if (node->op != &wh_op_transpose) return WH_NO_VALUE;
    unsigned rank = node->dims.rank;
    for (unsigned k = 0; k + 2 < rank; k++)
        if (node->attr.whole[k] != k) return WH_NO_VALUE;
    return node->arg[0];
}

static wh_value flat_matmul(wh_graph *g, wh_value a, wh_value b, wh_matmul form)
{
    wh_dims da = wh_graph_dims(g, a), rows = wh_dims_matrix(&da);
    wh_value c = wh_graph_matmul(g, wh_graph_reshape(g, a, rows), b, form);
    if (c == WH_NO_VALUE) return c;
    da.dim[da.rank - 1] = wh_graph_dims(g, c).dim[1];
    return wh_graph_reshape(g, c, da);
}

wh_value wh_graph_matmul(wh_graph *g, wh_value a, wh_value b, wh_matmul form)
{
    wh_value args[] = {a, b};
    if (!wh_graph_args(g, &wh_op_matmul, args, 2, 0)) return WH_NO_VALUE;
    wh_dims da = wh_graph_dims(g, a), db = wh_graph_dims(g, b);
    if (da.rank < 2 || db.rank < 2) return wh_graph_fail_dims(g, "matmul", &da, &db, "both need two axes or more");
    bool ta = form & 1, tb = form & 2;
    if (untransposed(g, a) != WH_NO_VALUE)
        return wh_graph_matmul(g, untransposed(g, a), b, (wh_matmul)(form ^ WH_MATMUL_TN));
    if (untransposed(g, b) != WH_NO_VALUE)
        return wh_graph_matmul(g, a, untransposed(g, b), (wh_matmul)(form ^ WH_MATMUL_NT));
    size_t m = da.dim[da.rank - (ta ? 1 : 2)], k = da.dim[da.rank - (ta ? 2 : 1)];
    size_t l = db.dim[db.rank - (tb ? 1 : 2)], n = db.dim[db.rank - (tb ? 2 : 1)];
    if (k != l) return wh_graph_fail_dims(g, "matmul", &da, &db, "the inner axes differ");
    if (db.rank == 2 && da.rank > 2) {
        if (!ta) return flat_matmul(g, a, b, form);
        wh_dims wide = da;
        wide.dim[da.rank - 2] = db.dim[0];
        wide.dim[da.rank - 1] = db.dim[1];
        return wh_graph_matmul(g, a, wh_graph_broadcast(g, b, wide), form);
    }
    bool stacks = da.rank == db.rank;
    for (unsigned i = 0; stacks && i + 2 < da.rank; i++) stacks = da.dim[i] == db.dim[i];
    if (!stacks) return wh_graph_fail_dims(g, "matmul", &da, &db, "the axes before the last two differ");
    if (form == WH_MATMUL_TT) return swap_last(g, wh_graph_matmul(g, b, a, WH_MATMUL_NN));
    wh_attr attr = {.whole = {form}};
    da.dim[da.rank - 2] = m;
    da.dim[da.rank - 1] = n;
    return wh_graph_node2(g, &wh_op_matmul, a, b, da, &attr);
}

wh_value wh_graph_linear(wh_graph *g, wh_value x, wh_value w, wh_value bias, wh_matmul form)
{
    wh_value y = wh_graph_matmul(g, x, w, form);
    return bias == WH_NO_VALUE ? y : wh_graph_add(g, y, bias);
}

/* ---- For per-example norms ------------------------------------------------------------------------- */

/* The cheaper of the two ways, for T steps, p rows and q columns: the T × T products of steps, or the gradient. */
static bool by_steps(size_t t, size_t p, size_t q)
{
    return t * (p + q) < p * q;
}

static size_t outer_scratch(const wh_call *call)
{
    size_t t = call->arg_dims[0].dim[1], p = call->arg_dims[0].dim[2], q = call->arg_dims[1].dim[2];
    if (t == 1) return 0;
    return by_steps(t, p, q) ? 2 * t * t : p * q;
}

static wh_cut outer_cut(const wh_call *call)
{
    size_t t = call->arg_dims[0].dim[1], p = call->arg_dims[0].dim[2], q = call->arg_dims[1].dim[2];
    return (wh_cut){call->out_dims->dim[0], t == 1 ? p + q : t * (by_steps(t, p, q) ? t * (p + q) : p * q)};
}

const wh_op wh_op_outer_squared = {.name = "outer_squared",
                                   .splits = wh_splits_always,
                                   .wide = WH_KERNEL_WIDE(outer_squared),
                                   .cut = outer_cut,
                                   .scratch = outer_scratch};

wh_value wh_graph_outer_squared(wh_graph *g, wh_value rows, wh_value cols)
{
    wh_value args[] = {rows, cols};
    if (!wh_graph_args(g, &wh_op_outer_squared, args, 2, 0)) return WH_NO_VALUE;
    wh_dims dims = wh_graph_dims(g, rows);
    size_t t = dims.dim[1], p = dims.dim[2], q = wh_graph_dims(g, cols).dim[2];
    wh_attr attr = {.whole = {by_steps(t, p, q)}};
    return wh_graph_node2(g, &wh_op_outer_squared, rows, cols, WH_DIMS(dims.dim[0]), &attr);
}

static size_t tied_scratch(const wh_call *call)
{
    return call->arg_dims[1].dim[1] * call->arg_dims[3].dim[1];
}

static wh_cut tied_cut(const wh_call *call)
{
    const wh_dims *c = &call->arg_dims[1];
    return (wh_cut){call->out_dims->dim[0], c->dim[1] * call->arg_dims[3].dim[1] * c->dim[2]};
}

const wh_op wh_op_tied_cross = {.name = "tied_cross",
                                .splits = wh_splits_always,
                                .wide = WH_KERNEL_WIDE(tied_cross),
                                .cut = tied_cut,
                                .scratch = tied_scratch};

wh_value wh_graph_tied_cross(wh_graph *g, wh_value index, wh_value c, wh_value rows, wh_value cols)
{
    wh_value args[] = {index, c, rows, cols};
    if (!wh_graph_args(g, &wh_op_tied_cross, args, 4, 1)) return WH_NO_VALUE;
    return wh_graph_node(g, &wh_op_tied_cross, args, 4, WH_DIMS(wh_graph_dims(g, c).dim[0]), NULL, WH_KIND_REAL);
}
