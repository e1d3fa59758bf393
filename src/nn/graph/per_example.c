/* nn/graph/per_example.c: the norm of every example's gradient, without the gradients.
 *
 * Each value is the same for all examples, split by example, or mixed; a mixed one on the way to the losses couples the
 * examples and is refused. Where a split value is made of a parameter (the same for all), the example's gradient
 * follows from that place's other argument a and its cotangent c alone:
 *
 *     matmul      |a_bᵀ c_b|²: outer_squared picks products of steps or the gradient, whichever is less work
 *     conv        the same over unfolded images; the gradients themselves, where those of all examples fit the cache
 *     gather      Σ c_t · c_s over equal indices
 *     elementwise (biases, gains, positions) c_b summed over what the parameter was repeated along
 *
 * A parameter used at several places gets the sum's norm: dense uses stand one after the other along the steps, an
 * embedding tied to an output layer adds twice the inner product of the two.
 * (Goodfellow 2015, arXiv:1510.01799; Li et al. 2022, arXiv:2110.05679; Bu et al. 2023, arXiv:2210.00038) */
#include <string.h>

#include "nn/graph/node.h"

typedef enum spread { SAME, SPLIT, MIXED } spread;
typedef enum use_kind { USE_DENSE, USE_TABLE, USE_IMAGE, USE_DIRECT } use_kind;

/* A split node made of a parameter (or of a view of it). */
typedef struct use {
    use_kind kind;
    size_t param;
    wh_value node, view, ct;
    unsigned arg;
} use;

struct wh_per_example {
    size_t n_params, examples, n_uses;
    wh_value losses, total;
    wh_value *params, *squared;
    use *uses;
    uint8_t *spread; /* by value, while it is made */
    bool *active, *above;
    bool *split; /* of a node's arguments; room for the most that a node has */
    wh_value *ct;
};

/* ---- What depends on what ----------------------------------------------------------------------- */

static uint8_t spread_of(const wh_graph *g, const wh_per_example *p, wh_value v)
{
    const wh_node *node = wh_node_at(g, v);
    if (node->op == &wh_op_input || node->op == &wh_op_index) return node->role == WH_EXAMPLES ? SPLIT : SAME;
    bool any = false;
    for (unsigned i = 0; i < node->n_args; i++) {
        uint8_t s = p->spread[node->arg[i]];
        if (s == MIXED) return MIXED;
        any = any || s == SPLIT;
        p->split[i] = s == SPLIT;
    }
    if (node->op == &wh_op_keep_mask && node->dims.rank > 0 && node->dims.dim[0] % p->examples == 0) return SPLIT;
    if (!any) return SAME;
    return node->op->splits && node->op->splits(g, node, p->split, p->examples) ? SPLIT : MIXED;
}

static whist_status check_coupling(const wh_graph *g, const wh_per_example *p)
{
    for (wh_value v = 1; v <= p->losses; v++) {
        const wh_node *node = wh_node_at(g, v);
        if (!p->above[v]) continue;
        if (node->role == WH_EXAMPLES && node->dims.dim[0] != p->examples)
            WH_FAIL(WHIST_E_ARG, "per-example: the input '%s' of shape %s does not hold the %zu examples of the losses",
                    node->name ? node->name : "", wh_dims_show(&node->dims).text, p->examples);
        if (p->spread[v] == MIXED)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "per-example: %s of shape %s couples examples (batch norm by batch statistics does): there is no "
                    "gradient of one example alone",
                    node->op->name, wh_dims_show(&node->dims).text);
    }
    if (p->spread[p->losses] != SPLIT) WH_FAIL(WHIST_E_ARG, "per-example: the losses do not depend on any example");
    return WHIST_OK;
}

static whist_status analyse(const wh_graph *g, wh_per_example *p)
{
    p->above[p->losses] = true;
    for (wh_value v = p->losses; v > 0; v--)
        for (unsigned i = 0; p->above[v] && i < wh_node_at(g, v)->n_args; i++)
            p->above[wh_node_at(g, v)->arg[i]] = true;
    for (size_t i = 0; i < p->n_params; i++) p->active[p->params[i]] = true;
    for (wh_value v = 1; v <= p->losses; v++) {
        const wh_node *node = wh_node_at(g, v);
        p->spread[v] = spread_of(g, p, v);
        bool constant = (node->op->flags & WH_OP_CONSTANT) || node->kind == WH_KIND_INDEX;
        for (unsigned i = 0; !constant && i < node->n_args; i++) p->active[v] |= p->active[node->arg[i]];
    }
    return check_coupling(g, p);
}

/* ---- Uses ------------------------------------------------------------------------------------------- */

static whist_status unusual(const wh_graph *g, wh_value param, const char *how)
{
    const char *name = wh_node_at(g, param)->name;
    WH_FAIL(WHIST_E_UNSUPPORTED, "per-example: no norm rule for the parameter '%s': %s", name ? name : "", how);
}

/* Which parameter the view is of, through reshapes and (for elementwise uses) repetitions. */
static whist_status find_param(use *u, const wh_graph *g, const wh_per_example *p)
{
    wh_value v = u->view;
    for (;;) {
        for (size_t i = 0; i < p->n_params; i++)
            if (p->params[i] == v) {
                u->param = i;
                return WHIST_OK;
            }
        const wh_node *node = wh_node_at(g, v);
        bool passes = node->op == &wh_op_reshape || (u->kind == USE_DIRECT && node->op == &wh_op_broadcast) ||
                      (u->kind == USE_IMAGE && node->op == &wh_op_transpose);
        if (!passes)
            WH_FAIL(WHIST_E_UNSUPPORTED, "per-example: a parameter reaches the examples through %s", node->op->name);
        v = node->arg[0];
    }
}

static whist_status kind_of(use *u, const wh_graph *g)
{
    const wh_node *node = wh_node_at(g, u->node);
    if (node->op == &wh_op_matmul && u->arg == 1 && node->dims.rank == 2)
        u->kind = USE_DENSE;
    else if (node->op == &wh_op_conv && u->arg == 1)
        u->kind = USE_IMAGE;
    else if (node->op == &wh_op_gather && u->arg == 0)
        u->kind = USE_TABLE;
    else if (node->op->element != WH_ELEMENT_NONE)
        u->kind = USE_DIRECT;
    else
        WH_FAIL(WHIST_E_UNSUPPORTED, "per-example: no norm rule for a parameter in %s of shape %s", node->op->name,
                wh_dims_show(&node->dims).text);
    return WHIST_OK;
}

static whist_status find_uses(wh_per_example *p, const wh_graph *g)
{
    size_t room = 0;
    for (wh_value v = 1; v <= p->losses; v++) room += p->above[v] ? wh_node_at(g, v)->n_args : 0;
    WH_TRY(WH_NEW(&p->uses, room + 1));
    for (wh_value v = 1; v <= p->losses; v++) {
        const wh_node *node = wh_node_at(g, v);
        if (!p->above[v] || p->spread[v] != SPLIT || p->ct[v] == WH_NO_VALUE) continue;
        for (unsigned i = 0; i < node->n_args; i++) {
            if (!p->active[node->arg[i]] || p->spread[node->arg[i]] != SAME) continue;
            use u = {.node = v, .arg = i, .view = node->arg[i], .ct = p->ct[v]};
            WH_TRY(kind_of(&u, g));
            WH_TRY(find_param(&u, g, p));
            p->uses[p->n_uses++] = u;
        }
    }
    return WHIST_OK;
}

/* ---- Norms --------------------------------------------------------------------------------------------- */

/* (R, D), R a multiple of the examples B, as (B, R/B, D). */
static wh_value steps(wh_graph *g, wh_value v, size_t examples)
{
    wh_dims dims = wh_graph_dims(g, v), flat = wh_dims_matrix(&dims);
    return wh_graph_reshape(g, v, WH_DIMS(examples, flat.dim[0] / examples, flat.dim[1]));
}

/* The gradient of the use's view is rowsᵀ cols. */
static void dense_sides(wh_value *rows, wh_value *cols, wh_graph *g, const use *u, size_t examples)
{
    wh_node node = *wh_node_at(g, u->node);
    wh_value a = steps(g, node.arg[0], examples), c = steps(g, u->ct, examples);
    bool turned = node.attr.whole[0] == WH_MATMUL_NT;
    *rows = turned ? c : a;
    *cols = turned ? a : c;
}

static void table_sides(wh_value *index, wh_value *c, wh_graph *g, const use *u, size_t examples)
{
    wh_value at = wh_node_at(g, u->node)->arg[1];
    wh_dims dims = wh_graph_dims(g, at);
    *index = wh_graph_reshape(g, at, WH_DIMS(examples, wh_dims_size(&dims) / examples));
    *c = steps(g, u->ct, examples);
}

/* Each example's gradient by the view, (B, elements): its cotangent summed over what repeats. */
static whist_status direct_gradients(wh_value *out, wh_graph *g, const use *u, size_t examples, wh_value param)
{
    wh_value c = wh_graph_pull(g, u->node, u->arg, u->ct);
    wh_node view = *wh_node_at(g, u->view);
    wh_dims wide = view.dims, narrow = wide;
    if (view.op == &wh_op_broadcast) narrow = wh_graph_dims(g, view.arg[0]);
    unsigned lead = wide.rank - narrow.rank, axes = 0;
    for (unsigned k = 1; k < wide.rank; k++)
        if (k < lead || (narrow.dim[k - lead] == 1 && wide.dim[k] != 1)) axes |= 1u << k;
    bool repeats = lead > 0 || narrow.dim[0] == 1;
    if (!repeats && examples > 1) return unusual(g, param, "it has an element for each example");
    wh_value kept = wh_graph_sum(g, c, axes, false);
    wh_dims dk = wh_graph_dims(g, kept);
    size_t inner = wh_dims_size(&dk) / dk.dim[0];
    if (!repeats) {
        *out = wh_graph_reshape(g, kept, WH_DIMS(1, dk.dim[0] * inner));
    } else {
        kept = wh_graph_reshape(g, kept, WH_DIMS(examples, dk.dim[0] / examples, inner));
        *out = wh_graph_sum(g, kept, 2, false);
    }
    /* A second repetition below the first (a view of a view) has been joined by the sum's shape or does not exist. */
    wh_dims total = wh_graph_dims(g, *out), want = wh_graph_dims(g, param);
    if (wh_dims_size(&total) != examples * wh_dims_size(&want)) return unusual(g, param, "it is repeated twice");
    return wh_graph_status(g);
}

static wh_value square_sum(wh_graph *g, wh_value rows)
{
    return wh_graph_sum(g, wh_graph_square(g, rows), 2, false);
}

WH_AUTO_FREE(wh_value, wh_free)

static whist_status dense_squared(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    WH_AUTO(wh_value_ptr) rows = NULL;
    WH_AUTO(wh_value_ptr) cols = NULL;
    size_t n = 0;
    wh_dims shape = WH_SCALAR;
    WH_TRY(WH_NEW(&rows, p->n_uses));
    WH_TRY(WH_NEW(&cols, p->n_uses));
    for (size_t i = 0; i < p->n_uses; i++) {
        const use *u = &p->uses[i];
        if (u->param != param || u->kind != USE_DENSE) continue;
        wh_dims view = wh_graph_dims(g, u->view);
        if (n > 0 && !wh_dims_equal(&view, &shape))
            return unusual(g, p->params[param], "it is used under different shapes");
        shape = view;
        dense_sides(&rows[n], &cols[n], g, u, p->examples);
        n++;
    }
    *out = wh_graph_outer_squared(g, wh_graph_concat(g, 1, rows, n), wh_graph_concat(g, 1, cols, n));
    return wh_graph_status(g);
}

/* Of all elementwise uses of a parameter, (B, elements). */
static whist_status direct_total(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    wh_value sum = WH_NO_VALUE;
    for (size_t i = 0; i < p->n_uses; i++) {
        const use *u = &p->uses[i];
        wh_value one;
        if (u->param != param || u->kind != USE_DIRECT) continue;
        WH_TRY(direct_gradients(&one, g, u, p->examples, p->params[param]));
        sum = sum == WH_NO_VALUE ? one : wh_graph_add(g, sum, one);
    }
    *out = sum;
    return wh_graph_status(g);
}

static whist_status direct_squared(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    WH_TRY(direct_total(out, g, p, param));
    *out = square_sum(g, *out);
    return wh_graph_status(g);
}

/* 2 ⟨embedding's gradient, output layer's⟩, over all the dense uses. */
static whist_status tied_squared(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param, const use *table)
{
    wh_value index, c, sum;
    table_sides(&index, &c, g, table, p->examples);
    WH_TRY(dense_squared(&sum, g, p, param));
    sum = wh_graph_add(g, sum, wh_graph_gather_squared(g, index, c));
    wh_dims shape = wh_graph_dims(g, table->view);
    for (size_t i = 0; i < p->n_uses; i++) {
        const use *u = &p->uses[i];
        if (u->param != param || u->kind != USE_DENSE) continue;
        wh_dims view = wh_graph_dims(g, u->view);
        wh_value rows, cols;
        if (!wh_dims_equal(&view, &shape)) return unusual(g, p->params[param], "it is used under different shapes");
        dense_sides(&rows, &cols, g, u, p->examples);
        sum = wh_graph_add(g, sum, wh_graph_scale(g, wh_graph_tied_cross(g, index, c, rows, cols), 2));
    }
    /* Rounding may leave a hair below zero where the two nearly cancel. */
    *out = wh_graph_max(g, sum, wh_graph_fill_like(g, sum, 0));
    return wh_graph_status(g);
}

/* Do the gradients of all examples of this use fit the second cache? Then each is made once, and the weighted sum is of
 * what lies there already. Larger batches go through as tiles of a few examples. */
static bool fits_cache(const wh_graph *g, const use *u, size_t examples)
{
    enum { REALS = 1 << 17 };
    wh_dims w = wh_graph_dims(g, wh_node_at(g, u->node)->arg[1]);
    return u->kind == USE_IMAGE && wh_dims_size(&w) <= REALS / examples;
}

/* (B, elements) */
static wh_value image_gradients(wh_graph *g, const use *u, size_t examples)
{
    wh_value each = wh_graph_conv_each(g, wh_node_at(g, u->node)->arg[0], u->ct, u->node);
    wh_dims dims = wh_graph_dims(g, each);
    return wh_graph_reshape(g, each, WH_DIMS(examples, wh_dims_size(&dims) / examples));
}

static wh_value image_squared(wh_graph *g, const use *u, size_t examples)
{
    if (fits_cache(g, u, examples)) return square_sum(g, image_gradients(g, u, examples));
    return wh_graph_conv_squared(g, wh_node_at(g, u->node)->arg[0], u->ct, u->node);
}

/* How often a parameter is used in each way, and the last of each. */
static void count_uses(size_t count[4], const use *last[4], const wh_per_example *p, size_t param)
{
    memset(count, 0, 4 * sizeof *count);
    for (size_t i = 0; i < p->n_uses; i++) {
        if (p->uses[i].param != param) continue;
        count[p->uses[i].kind]++;
        last[p->uses[i].kind] = &p->uses[i];
    }
}

static whist_status squared_of(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    size_t count[4];
    const use *last[4] = {NULL};
    count_uses(count, last, p, param);
    size_t dense = count[USE_DENSE], table = count[USE_TABLE], image = count[USE_IMAGE], direct = count[USE_DIRECT];
    wh_value name = p->params[param];
    if (dense + table + image + direct == 0) {
        *out = wh_graph_fill(g, WH_DIMS(p->examples), 0);
    } else if (dense > 0 && table + image + direct == 0) {
        return dense_squared(out, g, p, param);
    } else if (direct > 0 && dense + table + image == 0) {
        return direct_squared(out, g, p, param);
    } else if (image == 1 && dense + table + direct == 0) {
        *out = image_squared(g, last[USE_IMAGE], p->examples);
    } else if (table == 1 && dense == 0 && image + direct == 0) {
        wh_value index, c;
        table_sides(&index, &c, g, last[USE_TABLE], p->examples);
        *out = wh_graph_gather_squared(g, index, c);
    } else if (table == 1 && image + direct == 0) {
        return tied_squared(out, g, p, param, last[USE_TABLE]);
    } else {
        return unusual(g, name, "it is used in ways whose gradients have no common form");
    }
    return wh_graph_status(g);
}

/* ---- The transformation ------------------------------------------------------------------------------------ */

static whist_status check_arguments(const wh_graph *g, wh_value losses, const wh_value params[], size_t n)
{
    WH_ENSURE(losses != WH_NO_VALUE && losses < g->n, WHIST_E_ARG);
    wh_dims dims = wh_graph_dims(g, losses);
    if (dims.rank != 1)
        WH_FAIL(WHIST_E_ARG, "per-example: losses of shape %s, one for each example (B) is needed",
                wh_dims_show(&dims).text);
    for (size_t i = 0; i < n; i++) {
        const wh_node *node = params[i] < g->n ? wh_node_at(g, params[i]) : NULL;
        if (!node || node->op != &wh_op_input || node->role == WH_EXAMPLES)
            WH_FAIL(WHIST_E_ARG, "per-example: value %zu of the list is no parameter", i);
    }
    return WHIST_OK;
}

static whist_status fill_in(wh_per_example *p, wh_graph *g, const wh_value params[])
{
    size_t room = g->n;
    WH_TRY(WH_NEW(&p->params, p->n_params + 1));
    WH_TRY(WH_NEW(&p->squared, p->n_params + 1));
    WH_TRY(WH_NEW(&p->spread, room));
    WH_TRY(WH_NEW(&p->active, room));
    WH_TRY(WH_NEW(&p->above, room));
    unsigned most = 1;
    for (wh_value v = 1; v < room; v++)
        if (wh_node_at(g, v)->n_args > most) most = wh_node_at(g, v)->n_args;
    WH_TRY(WH_NEW(&p->split, most));
    WH_TRY(WH_NEW(&p->ct, room));
    if (p->n_params) memcpy(p->params, params, p->n_params * sizeof *params);
    WH_TRY(analyse(g, p));
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, room, sizeof(bool)));
    bool *marked = memory;
    for (size_t i = 0; i < p->n_params; i++) marked[params[i]] = true;
    wh_value ones = wh_graph_fill(g, WH_DIMS(p->examples), 1);
    WH_TRY(wh_graph_cotangents(p->ct, g, p->losses, ones, marked, false));
    WH_TRY(find_uses(p, g));
    p->total = wh_graph_fill(g, WH_DIMS(p->examples), 0);
    for (size_t i = 0; i < p->n_params; i++) {
        WH_TRY(squared_of(&p->squared[i], g, p, i));
        p->total = wh_graph_add(g, p->total, p->squared[i]);
    }
    return wh_graph_status(g);
}

whist_status wh_per_example_new(wh_per_example **out, wh_graph *graph, wh_value losses, const wh_value params[],
                                size_t n)
{
    WH_ENSURE(out && graph && (params || n == 0), WHIST_E_ARG);
    WH_TRY(wh_graph_status(graph));
    WH_TRY(check_arguments(graph, losses, params, n));
    WH_AUTO(wh_per_example_ptr) p = NULL;
    WH_TRY(WH_NEW(&p, 1));
    p->n_params = n;
    p->losses = losses;
    p->examples = wh_graph_dims(graph, losses).dim[0];
    WH_TRY(fill_in(p, graph, params));
    *out = p;
    p = NULL;
    return WHIST_OK;
}

void wh_per_example_free(wh_per_example *p)
{
    if (!p) return;
    wh_free(p->params);
    wh_free(p->squared);
    wh_free(p->uses);
    wh_free(p->spread);
    wh_free(p->active);
    wh_free(p->above);
    wh_free(p->split);
    wh_free(p->ct);
    wh_free(p);
}

wh_value wh_per_example_squared(const wh_per_example *per_example, size_t i)
{
    return i < per_example->n_params ? per_example->squared[i] : WH_NO_VALUE;
}

wh_value wh_per_example_total(const wh_per_example *per_example)
{
    return per_example->total;
}

/* Every example's part of a split value times its weight. */
static wh_value weighted(wh_graph *g, wh_value v, wh_value weights, size_t examples)
{
    wh_dims dims = wh_graph_dims(g, v);
    wh_value rows = wh_graph_reshape(g, v, WH_DIMS(examples, wh_dims_size(&dims) / examples));
    rows = wh_graph_mul(g, rows, wh_graph_reshape(g, weights, WH_DIMS(examples, 1)));
    return wh_graph_reshape(g, rows, dims);
}

/* By the use's argument: Σ_b weights[b] · its gradient for example b. */
static wh_value weighted_gradient(wh_graph *g, const use *u, wh_value weights, size_t examples)
{
    if (!fits_cache(g, u, examples)) return wh_graph_pull(g, u->node, u->arg, weighted(g, u->ct, weights, examples));
    wh_value row = wh_graph_reshape(g, weights, WH_DIMS(1, examples));
    wh_value sum = wh_graph_matmul(g, row, image_gradients(g, u, examples), WH_MATMUL_NN);
    return wh_graph_reshape(g, sum, wh_graph_dims(g, wh_node_at(g, u->node)->arg[1]));
}

/* A use's part of the weighted sum. What the norm needed of a direct use, each example's gradient, is there already and
 * small; so may be an image's; the others go back once more from the weighted cotangent. */
static whist_status weighted_part(wh_value *out, wh_graph *g, const wh_per_example *p, const use *u, wh_value weights)
{
    wh_value param = p->params[u->param];
    if (u->kind == USE_DIRECT) {
        wh_value each;
        WH_TRY(direct_gradients(&each, g, u, p->examples, param));
        each = wh_graph_mul(g, each, wh_graph_reshape(g, weights, WH_DIMS(p->examples, 1)));
        *out = wh_graph_reshape(g, wh_graph_sum(g, each, 1, false), wh_graph_dims(g, param));
        return wh_graph_status(g);
    }
    *out = weighted_gradient(g, u, weights, p->examples);
    for (wh_value v = u->view; v != param; v = wh_node_at(g, v)->arg[0]) *out = wh_graph_pull(g, v, 0, *out);
    return wh_graph_status(g);
}

whist_status wh_per_example_sum(wh_value out[], wh_graph *g, const wh_per_example *p, wh_value weights)
{
    WH_ENSURE(out && g && p, WHIST_E_ARG);
    WH_TRY(wh_graph_status(g));
    wh_dims have = wh_graph_dims(g, weights), want = WH_DIMS(p->examples);
    if (!wh_dims_equal(&have, &want)) {
        wh_graph_fail_dims(g, "per-example sum", &have, &want, "one weight for each example");
        return wh_graph_status(g);
    }
    for (size_t i = 0; i < p->n_params; i++) out[i] = wh_graph_fill_like(g, p->params[i], 0);
    for (size_t i = 0; i < p->n_uses && g->failed == WHIST_OK; i++) {
        const use *u = &p->uses[i];
        wh_value part;
        WH_TRY(weighted_part(&part, g, p, u, weights));
        out[u->param] = wh_graph_add(g, out[u->param], part);
    }
    return wh_graph_status(g);
}

/* ---- Gradients of single examples ---------------------------------------------------------------------------- */

/* As the use's view lies: the parameter itself or reshaped, or one transposition of it. */
static bool lies_as(wh_example_gradient *out, const wh_graph *g, wh_value view, wh_value param)
{
    const wh_node *node = wh_node_at(g, view);
    const bool turned = node->op == &wh_op_transpose && node->arg[0] == param;
    while (!turned && view != param && wh_node_at(g, view)->op == &wh_op_reshape) view = wh_node_at(g, view)->arg[0];
    const wh_dims of = wh_graph_dims(g, param);
    out->dims = wh_graph_dims(g, turned ? view : param);
    for (unsigned k = 0; k < of.rank; k++) {
        const size_t axis = turned ? node->attr.whole[k] : k;
        out->step[k] = 1;
        for (size_t j = axis + 1; j < of.rank; j++) out->step[k] *= of.dim[j];
    }
    return turned || view == param;
}

/* One step an example: (B,1,K) and (B,1,N). */
static void outer_sides(wh_example_gradient *out, wh_graph *g, const use *u, size_t examples)
{
    wh_value rows, cols;
    dense_sides(&rows, &cols, g, u, examples);
    const wh_dims r = wh_graph_dims(g, rows), c = wh_graph_dims(g, cols);
    if (r.dim[1] != 1) return;
    out->rows = wh_graph_reshape(g, rows, WH_DIMS(examples, r.dim[2]));
    out->cols = wh_graph_reshape(g, cols, WH_DIMS(examples, c.dim[2]));
}

whist_status wh_per_example_gradient(wh_example_gradient *out, wh_graph *g, const wh_per_example *p, size_t i)
{
    size_t count[4];
    const use *last[4] = {NULL}, *u;
    WH_ENSURE(out && g && p && i < p->n_params, WHIST_E_ARG);
    WH_TRY(wh_graph_status(g));
    *out = (wh_example_gradient){.rows = WH_NO_VALUE, .cols = WH_NO_VALUE};
    count_uses(count, last, p, i);
    const size_t all = count[USE_DENSE] + count[USE_TABLE] + count[USE_IMAGE] + count[USE_DIRECT];
    if (all == 0) return WHIST_OK;
    if (count[USE_DIRECT] == all) {
        (void)lies_as(out, g, p->params[i], p->params[i]);
        return direct_total(&out->rows, g, p, i);
    }
    u = last[USE_DENSE] ? last[USE_DENSE] : last[USE_IMAGE];
    if (all > 1 || !u || !lies_as(out, g, u->view, p->params[i])) return WHIST_OK;
    if (u->kind == USE_IMAGE)
        out->rows = image_gradients(g, u, p->examples);
    else
        outer_sides(out, g, u, p->examples);
    return wh_graph_status(g);
}

wh_value wh_graph_clip_weights(wh_graph *g, wh_value squared, double clip)
{
    if (!(clip > 0)) return wh_graph_fail(g, WHIST_E_RANGE, "clip_weights: a clip above 0");
    return wh_graph_min(g, wh_graph_scale(g, wh_graph_rsqrt(g, squared), clip), wh_graph_fill_like(g, squared, 1));
}
