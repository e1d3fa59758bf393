/* nn/graph/transform.c: derivatives as more nodes.
 *
 * Backward (vjp): from the value down to what it was made of, each node adds its part to the cotangents of its
 * arguments. Forward (jvp): from the inputs up. An operation without a rule of its own is taken apart
 * (wh_op.decompose) and the walk goes through the parts, down to the node's arguments and no further. Builders see
 * through some values (a reshape of a reshape), so the parts are made of pins of the arguments, which they do not see
 * through; in the result the arguments stand in their places again. */
#include <string.h>

#include "nn/graph/node.h"

WH_AUTO_FREE(bool, wh_free)
WH_AUTO_FREE(wh_value, wh_free)

/* depends[v]: is v marked, or made of something marked by an operation that has a derivative? */
static void spread_marks(bool *depends, const wh_graph *g, wh_value last, const bool *marked, bool stop)
{
    for (wh_value v = 1; v <= last; v++) {
        const wh_node *node = wh_node_at(g, v);
        depends[v] = marked[v];
        if ((stop && marked[v]) || (node->op->flags & WH_OP_CONSTANT) || node->kind != WH_KIND_REAL) continue;
        for (unsigned i = 0; i < node->n_args && !depends[v]; i++) depends[v] = depends[node->arg[i]];
    }
}

static wh_value unsupported(wh_graph *g, const wh_node *node)
{
    return wh_graph_fail(g, WHIST_E_UNSUPPORTED, "%s has no derivative", node->op->name);
}

/* ---- Backward ----------------------------------------------------------------------------------- */

/* A node taken apart: pinned[k] stands for argument k, of real values that are no leaves. */
typedef struct parts {
    wh_value whole, first; /* parts are numbered from `first` on */
    wh_value *pinned;      /* (n_args); other arguments stand for themselves */
    bool *marked;          /* by value up to whole: is it an argument? */
    wh_value *value;       /* by value up to whole: for the walk */
} parts;

static void parts_clear(parts *p)
{
    wh_free(p->pinned);
    wh_free(p->marked);
    wh_free(p->value);
}
WH_AUTO_CLEAR(parts, parts_clear)

static whist_status take_apart(parts *p, wh_graph *g, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    p->first = (wh_value)g->n;
    WH_TRY(WH_NEW(&p->pinned, node.n_args));
    for (unsigned k = 0; k < node.n_args; k++) {
        const wh_node *arg = wh_node_at(g, node.arg[k]);
        bool stays = arg->kind != WH_KIND_REAL || (arg->op->flags & WH_OP_LEAF);
        wh_attr fresh = {.whole = {g->n}}; /* a pin of its own: what is made of it is new and lies after `first` */
        p->pinned[k] = node.arg[k];
        for (unsigned j = 0; j < k; j++)
            if (node.arg[j] == node.arg[k]) p->pinned[k] = p->pinned[j];
        if (!stays && p->pinned[k] == node.arg[k])
            p->pinned[k] = wh_graph_node1(g, &wh_op_pin, node.arg[k], arg->dims, &fresh);
    }
    WH_TRY(wh_graph_status(g));
    wh_value again = wh_graph_again(g, n, p->pinned);
    WH_TRY(wh_graph_status(g));
    p->whole = node.op->decompose(g, again);
    WH_TRY(wh_graph_status(g));
    size_t room = g->n;
    WH_TRY(WH_NEW(&p->marked, room));
    return WH_NEW(&p->value, room);
}

/* value, with the arguments in the places of their pins. */
static whist_status unpin(wh_value *value, wh_graph *g, const parts *p, wh_value n)
{
    wh_node node = *wh_node_at(g, n);
    wh_value end = *value;
    unsigned room = 1;
    WH_AUTO(wh_value_ptr) map = NULL;
    WH_AUTO(wh_value_ptr) args = NULL;
    if (end < p->first) return WHIST_OK;
    for (wh_value v = p->first; v <= end; v++)
        if (wh_node_at(g, v)->n_args > room) room = wh_node_at(g, v)->n_args;
    WH_TRY(WH_NEW(&map, (size_t)end - p->first + 1));
    WH_TRY(WH_NEW(&args, room));
    for (wh_value v = p->first; v <= end; v++) {
        wh_node part = *wh_node_at(g, v);
        bool moves = false;
        map[v - p->first] = v;
        for (unsigned k = 0; k < node.n_args; k++)
            if (p->pinned[k] == v) map[v - p->first] = node.arg[k];
        if (map[v - p->first] != v) continue;
        for (unsigned k = 0; k < part.n_args; k++) {
            args[k] = part.arg[k] < p->first ? part.arg[k] : map[part.arg[k] - p->first];
            moves = moves || args[k] != part.arg[k];
        }
        if (moves) map[v - p->first] = wh_graph_again(g, v, args);
    }
    *value = map[end - p->first];
    return wh_graph_status(g);
}

static whist_status pull_parts(wh_value *out, wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    WH_AUTO(parts) p = {.whole = WH_NO_VALUE};
    *out = WH_NO_VALUE;
    /* An argument that stands twice gets its whole part at the first place. */
    for (unsigned k = 0; k < i; k++)
        if (node.arg[k] == node.arg[i]) return WHIST_OK;
    WH_TRY(take_apart(&p, g, n));
    for (unsigned k = 0; k < node.n_args; k++) p.marked[p.pinned[k]] = wh_node_at(g, node.arg[k])->kind == WH_KIND_REAL;
    WH_TRY(wh_graph_cotangents(p.value, g, p.whole, ct, p.marked, true));
    *out = p.value[p.pinned[i]];
    return *out == WH_NO_VALUE ? WHIST_OK : unpin(out, g, &p, n);
}

/* Keeps what is no failure of the graph's own (memory) as one. */
static wh_value kept(wh_graph *g, whist_status status, wh_value value)
{
    if (status == WHIST_OK) return value;
    return wh_graph_fail(g, status, "no memory for a derivative");
}

wh_value wh_graph_pull(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    wh_node node = *wh_node_at(g, n);
    if (node.op->flags & WH_OP_CONSTANT) return WH_NO_VALUE;
    if (node.op->vjp) return node.op->vjp(g, n, i, ct);
    if (node.op->slope) {
        wh_value slope = node.op->slope(g, n, i);
        return slope == WH_NO_VALUE ? WH_NO_VALUE : wh_graph_mul(g, ct, slope);
    }
    if (!node.op->decompose) return unsupported(g, &node);
    wh_value out = WH_NO_VALUE;
    whist_status status = pull_parts(&out, g, n, i, ct);
    return kept(g, status, out);
}

static void add_to(wh_graph *g, wh_value *sum, wh_value part)
{
    if (part == WH_NO_VALUE) return;
    *sum = *sum == WH_NO_VALUE ? part : wh_graph_add(g, *sum, part);
}

whist_status wh_graph_cotangents(wh_value *ct, wh_graph *g, wh_value of, wh_value cotangent, const bool *marked,
                                 bool stop)
{
    WH_AUTO(bool_ptr) depends = NULL;
    WH_TRY(WH_NEW(&depends, (size_t)of + 1));
    spread_marks(depends, g, of, marked, stop);
    memset(ct, 0, ((size_t)of + 1) * sizeof *ct);
    ct[of] = cotangent;
    for (wh_value v = of; v > 0; v--) {
        if (ct[v] == WH_NO_VALUE || !depends[v] || (stop && marked[v])) continue;
        wh_node node = *wh_node_at(g, v);
        for (unsigned i = 0; i < node.n_args && g->failed == WHIST_OK; i++)
            if (depends[node.arg[i]]) add_to(g, &ct[node.arg[i]], wh_graph_pull(g, v, i, ct[v]));
    }
    return wh_graph_status(g);
}

static whist_status check_values(const wh_graph *g, const wh_value values[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] == WH_NO_VALUE || values[i] >= g->n || wh_node_at(g, values[i])->kind != WH_KIND_REAL)
            WH_FAIL(WHIST_E_ARG, "derivative: value %zu of the list is no real value of this graph", i);
    return WHIST_OK;
}

/* A value that builders see through may not be what others were made of. */
static whist_status check_wrt(const wh_graph *g, const wh_value wrt[], size_t n)
{
    WH_TRY(check_values(g, wrt, n));
    for (size_t i = 0; i < n; i++) {
        const wh_node *node = wh_node_at(g, wrt[i]);
        bool constant = node->op == &wh_op_fill;
        if (constant || node->op->flags & WH_OP_SEEN_THROUGH)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "derivative by a %s of shape %s: builders see through it (use wh_graph_pin of it instead)",
                    node->op->name, wh_dims_show(&node->dims).text);
    }
    return WHIST_OK;
}

whist_status wh_graph_vjp(wh_value out[], wh_graph *g, wh_value of, wh_value cotangent, const wh_value wrt[], size_t n)
{
    WH_ENSURE(out && g && (wrt || n == 0), WHIST_E_ARG);
    WH_TRY(wh_graph_status(g));
    WH_TRY(check_values(g, (const wh_value[]){of, cotangent}, 2));
    WH_TRY(check_wrt(g, wrt, n));
    wh_dims want = wh_graph_dims(g, of), have = wh_graph_dims(g, cotangent);
    if (!wh_dims_equal(&want, &have)) {
        wh_graph_fail_dims(g, "vjp", &want, &have, "a value and its cotangent have one shape");
        return wh_graph_status(g);
    }
    size_t room = g->n;
    WH_AUTO(bool_ptr) marked = NULL;
    WH_AUTO(wh_value_ptr) ct = NULL;
    WH_TRY(WH_NEW(&marked, room));
    WH_TRY(WH_NEW(&ct, room));
    for (size_t i = 0; i < n; i++) marked[wrt[i]] = true;
    WH_TRY(wh_graph_cotangents(ct, g, of, cotangent, marked, false));
    for (size_t i = 0; i < n; i++) {
        wh_value zero = wh_graph_fill_like(g, wrt[i], 0);
        out[i] = ct[wrt[i]] == WH_NO_VALUE ? zero : ct[wrt[i]];
    }
    return wh_graph_status(g);
}

whist_status wh_graph_gradient(wh_value out[], wh_graph *g, wh_value of, const wh_value wrt[], size_t n)
{
    WH_ENSURE(out && g, WHIST_E_ARG);
    WH_TRY(wh_graph_status(g));
    wh_dims dims = wh_graph_dims(g, of);
    if (wh_dims_size(&dims) != 1)
        WH_FAIL(WHIST_E_ARG, "a gradient is of one number, not of a value of shape %s (sum it, or ask wh_graph_vjp)",
                wh_dims_show(&dims).text);
    return wh_graph_vjp(out, g, of, wh_graph_fill(g, dims, 1), wrt, n);
}

/* ---- Forward -------------------------------------------------------------------------------------- */

static wh_value linear_push(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    WH_AUTO(wh_value_ptr) args = NULL;
    if (WH_NEW(&args, node.n_args) != WHIST_OK) return wh_graph_fail(g, WHIST_E_NOMEM, "no memory for a derivative");
    for (unsigned i = 0; i < node.n_args; i++) {
        bool is_real = wh_node_at(g, node.arg[i])->kind == WH_KIND_REAL;
        args[i] = !is_real ? node.arg[i] : tangents[i] ? tangents[i] : wh_graph_fill_like(g, node.arg[i], 0);
    }
    return g->failed == WHIST_OK ? wh_graph_again(g, n, args) : WH_NO_VALUE;
}

static wh_value multilinear_push(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    wh_value sum = WH_NO_VALUE, args[4] = {0};
    for (unsigned i = 0; i < node.n_args && i < 4; i++) {
        if (tangents[i] == WH_NO_VALUE) continue;
        for (unsigned k = 0; k < node.n_args && k < 4; k++) args[k] = k == i ? tangents[k] : node.arg[k];
        add_to(g, &sum, wh_graph_again(g, n, args));
    }
    return sum;
}

static wh_value slope_push(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    wh_value sum = WH_NO_VALUE;
    for (unsigned i = 0; i < node.n_args; i++) {
        if (tangents[i] == WH_NO_VALUE) continue;
        wh_value slope = node.op->slope(g, n, i);
        if (slope != WH_NO_VALUE) add_to(g, &sum, wh_graph_mul(g, tangents[i], slope));
    }
    return sum;
}

static wh_value push(wh_graph *g, wh_value n, const wh_value tangents[]);

/* tangent[] holds those of the marked nodes and receives those of all that `of` is made of. */
static whist_status push_all(wh_value *tangent, const bool *marked, wh_graph *g, const wh_value of[], size_t n_of,
                             bool stop)
{
    wh_value last = 1;
    for (size_t i = 0; i < n_of; i++)
        if (of[i] > last) last = of[i];
    WH_AUTO(bool_ptr) depends = NULL;
    WH_AUTO(bool_ptr) above = NULL;
    WH_AUTO(wh_value_ptr) args = NULL;
    WH_TRY(WH_NEW(&depends, (size_t)last + 1));
    WH_TRY(WH_NEW(&above, (size_t)last + 1));
    spread_marks(depends, g, last, marked, stop);
    unsigned room = 1;
    for (size_t i = 0; i < n_of; i++) above[of[i]] = true;
    for (wh_value v = last; v > 0; v--) {
        const wh_node *node = wh_node_at(g, v);
        if (node->n_args > room) room = node->n_args;
        for (unsigned i = 0; above[v] && !marked[v] && i < node->n_args; i++) above[node->arg[i]] = true;
    }
    WH_TRY(WH_NEW(&args, room));
    for (wh_value v = 1; v <= last && g->failed == WHIST_OK; v++) {
        wh_node node = *wh_node_at(g, v);
        if (!above[v] || !depends[v] || marked[v]) continue;
        for (unsigned i = 0; i < node.n_args; i++) args[i] = depends[node.arg[i]] ? tangent[node.arg[i]] : WH_NO_VALUE;
        tangent[v] = push(g, v, args);
    }
    return wh_graph_status(g);
}

static whist_status push_parts(wh_value *out, wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    WH_AUTO(parts) p = {.whole = WH_NO_VALUE};
    WH_TRY(take_apart(&p, g, n));
    for (unsigned k = 0; k < node.n_args; k++) {
        p.marked[p.pinned[k]] = tangents[k] != WH_NO_VALUE;
        p.value[p.pinned[k]] = tangents[k];
    }
    WH_TRY(push_all(p.value, p.marked, g, &p.whole, 1, true));
    *out = p.value[p.whole];
    return *out == WH_NO_VALUE ? WHIST_OK : unpin(out, g, &p, n);
}

static wh_value push(wh_graph *g, wh_value n, const wh_value tangents[])
{
    wh_node node = *wh_node_at(g, n);
    bool any = false;
    for (unsigned i = 0; i < node.n_args; i++) any = any || tangents[i] != WH_NO_VALUE;
    if (!any || node.op->flags & WH_OP_CONSTANT) return WH_NO_VALUE;
    if (node.op->slope) return slope_push(g, n, tangents);
    if (node.op->flags & WH_OP_LINEAR) return linear_push(g, n, tangents);
    if (node.op->flags & WH_OP_MULTILINEAR) return multilinear_push(g, n, tangents);
    if (node.op->jvp) return node.op->jvp(g, n, tangents);
    if (!node.op->decompose) return unsupported(g, &node);
    wh_value out = WH_NO_VALUE;
    whist_status status = push_parts(&out, g, n, tangents);
    return kept(g, status, out);
}

whist_status wh_graph_jvp(wh_value out[], wh_graph *g, const wh_value of[], size_t n_of, const wh_value wrt[],
                          const wh_value tangent[], size_t n)
{
    WH_ENSURE(out && g && of && wrt && tangent, WHIST_E_ARG);
    WH_TRY(wh_graph_status(g));
    WH_TRY(check_values(g, of, n_of));
    WH_TRY(check_wrt(g, wrt, n));
    WH_TRY(check_values(g, tangent, n));
    size_t room = g->n;
    WH_AUTO(bool_ptr) marked = NULL;
    WH_AUTO(wh_value_ptr) all = NULL;
    WH_TRY(WH_NEW(&marked, room));
    WH_TRY(WH_NEW(&all, room));
    for (size_t i = 0; i < n; i++) {
        wh_dims want = wh_graph_dims(g, wrt[i]), have = wh_graph_dims(g, tangent[i]);
        if (!wh_dims_equal(&want, &have)) {
            wh_graph_fail_dims(g, "jvp", &want, &have, "a value and its tangent have one shape");
            return wh_graph_status(g);
        }
        marked[wrt[i]] = true;
        all[wrt[i]] = tangent[i];
    }
    WH_TRY(push_all(all, marked, g, of, n_of, false));
    for (size_t i = 0; i < n_of; i++) out[i] = all[of[i]] ? all[of[i]] : wh_graph_fill_like(g, of[i], 0);
    return wh_graph_status(g);
}
