/* nn/graph/per_example.c: the norm of every example's gradient, without the gradients.
 *
 * Each value is the same for all examples, split by example, or mixed; a mixed one on the way to the losses couples the
 * examples and is refused. Where a split value is made of a parameter (the same for all), the example's gradient
 * follows from that place's other argument a and its cotangent c alone:
 *
 *     matmul      |a_bᵀ c_b|²: outer_squared picks products of steps or the gradient, whichever is less work
 *     conv        the same over unfolded images
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
    wh_value *ct;
};

/* ---- What depends on what ----------------------------------------------------------------------- */

static uint8_t spread_of(const wh_graph *g, const wh_per_example *p, wh_value v)
{
    const wh_node *node = wh_node_at(g, v);
    if (node->op == &wh_op_input || node->op == &wh_op_index) return node->role == WH_EXAMPLES ? SPLIT : SAME;
    bool split[64] = {false}, any = false, fits = node->n_args <= WH_COUNT(split);
    for (unsigned i = 0; i < node->n_args; i++) {
        uint8_t s = p->spread[node->arg[i]];
        if (s == MIXED) return MIXED;
        any = any || s == SPLIT;
        if (fits) split[i] = s == SPLIT;
    }
    if (node->op == &wh_op_keep_mask && node->dims.rank > 0 && node->dims.dim[0] % p->examples == 0) return SPLIT;
    if (!any) return SAME;
    return fits && node->op->splits && node->op->splits(g, node, split, p->examples) ? SPLIT : MIXED;
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

enum { MAX_USES = 4096 };

static whist_status dense_squared(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    wh_value rows[MAX_USES], cols[MAX_USES];
    size_t n = 0;
    wh_dims shape = WH_SCALAR;
    for (size_t i = 0; i < p->n_uses; i++) {
        const use *u = &p->uses[i];
        if (u->param != param || u->kind != USE_DENSE) continue;
        wh_dims view = wh_graph_dims(g, u->view);
        if (n == MAX_USES || (n > 0 && !wh_dims_equal(&view, &shape)))
            return unusual(g, p->params[param], "it is used under different shapes or too often");
        shape = view;
        dense_sides(&rows[n], &cols[n], g, u, p->examples);
        n++;
    }
    *out = wh_graph_outer_squared(g, wh_graph_concat(g, 1, rows, n), wh_graph_concat(g, 1, cols, n));
    return wh_graph_status(g);
}

static whist_status direct_squared(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    wh_value sum = WH_NO_VALUE;
    for (size_t i = 0; i < p->n_uses; i++) {
        const use *u = &p->uses[i];
        wh_value one;
        if (u->param != param || u->kind != USE_DIRECT) continue;
        WH_TRY(direct_gradients(&one, g, u, p->examples, p->params[param]));
        sum = sum == WH_NO_VALUE ? one : wh_graph_add(g, sum, one);
    }
    *out = square_sum(g, sum);
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

static whist_status squared_of(wh_value *out, wh_graph *g, const wh_per_example *p, size_t param)
{
    size_t count[4] = {0};
    const use *last[4] = {NULL};
    for (size_t i = 0; i < p->n_uses; i++) {
        if (p->uses[i].param != param) continue;
        count[p->uses[i].kind]++;
        last[p->uses[i].kind] = &p->uses[i];
    }
    size_t dense = count[USE_DENSE], table = count[USE_TABLE], image = count[USE_IMAGE], direct = count[USE_DIRECT];
    wh_value name = p->params[param];
    if (dense + table + image + direct == 0) {
        *out = wh_graph_fill(g, WH_DIMS(p->examples), 0);
    } else if (dense > 0 && table + image + direct == 0) {
        return dense_squared(out, g, p, param);
    } else if (direct > 0 && dense + table + image == 0) {
        return direct_squared(out, g, p, param);
    } else if (image == 1 && dense + table + direct == 0) {
        *out = wh_graph_conv_squared(g, wh_node_at(g, last[USE_IMAGE]->node)->arg[0], last[USE_IMAGE]->ct,
                                     last[USE_IMAGE]->node);
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
        wh_value part = wh_graph_pull(g, u->node, u->arg, weighted(g, u->ct, weights, p->examples));
        for (wh_value v = u->view; v != p->params[u->param]; v = wh_node_at(g, v)->arg[0])
            part = wh_graph_pull(g, v, 0, part);
        out[u->param] = wh_graph_add(g, out[u->param], part);
    }
    return wh_graph_status(g);
}

wh_value wh_graph_clip_weights(wh_graph *g, wh_value squared, double clip)
{
    if (!(clip > 0)) return wh_graph_fail(g, WHIST_E_RANGE, "clip_weights: a clip above 0");
    return wh_graph_min(g, wh_graph_scale(g, wh_graph_rsqrt(g, squared), clip), wh_graph_fill_like(g, squared, 1));
}
