/* meta/programs.c: the programs of a task, each a small graph around the problem's own builders. */
#include "meta/meta_parts.h"

WH_AUTO_FREE(wh_value, wh_free)

/* A part while it is made. */
typedef struct frame {
    const wh_meta *meta;
    wh_meta_part *part;
    wh_graph *g;
    const wh_meta_objective *objective;
    wh_value *outputs;
    size_t n_outputs;
} frame;

static void frame_clear(frame *f)
{
    wh_graph_free(f->g);
    wh_free(f->outputs);
}
WH_AUTO_CLEAR(frame, frame_clear)

static void give(frame *f, wh_value value)
{
    f->outputs[f->n_outputs++] = value;
}

static whist_status tensors(wh_value **out, frame *f, wh_meta *m, const char *name)
{
    const wh_meta_problem *p = &m->problem;
    WH_TRY(WH_ARENA_NEW(out, &m->memory, p->n_params + 1));
    for (size_t i = 0; i < p->n_params; i++) (*out)[i] = wh_graph_input(f->g, name, WH_PARAM, p->params[i]);
    return WHIST_OK;
}

static whist_status rates(frame *f, wh_meta *m)
{
    const wh_meta_problem *p = &m->problem;
    WH_TRY(WH_ARENA_NEW(&f->part->rate, &m->memory, m->n_rate_values + 1));
    for (size_t i = 0, r = 0; i < p->n_params; i++) {
        if (!m->adapts[i] || r == m->n_rate_values) continue;
        wh_dims dims = p->rates == WH_META_RATE_ELEMENTS ? p->params[i] : WH_SCALAR;
        f->part->rate[r++] = wh_graph_input(f->g, "rate", WH_PARAM, dims);
    }
    return WHIST_OK;
}

static whist_status arrays(frame *f, wh_meta *m)
{
    const wh_meta_objective *o = f->objective;
    WH_TRY(WH_ARENA_NEW(&f->part->data, &m->memory, o->n_arrays + 1));
    for (size_t a = 0; a < o->n_arrays; a++) {
        const wh_meta_array *array = &o->arrays[a];
        wh_role role = array->dims.rank > 0 ? WH_EXAMPLES : WH_SHARED;
        f->part->data[a] = array->limit ? wh_graph_index(f->g, array->name, role, array->dims, array->limit)
                                        : wh_graph_input(f->g, array->name, role, array->dims);
    }
    return WHIST_OK;
}

static whist_status open_part(frame *f, wh_meta *m, wh_meta_part_id id)
{
    const wh_meta_problem *p = &m->problem;
    *f = (frame){.meta = m, .part = &m->part[id]};
    f->part->is_query = id == WH_META_QUERY || id == WH_META_VALUE;
    f->objective = f->part->is_query ? &p->query : &p->support;
    WH_TRY(WH_NEW(&f->outputs, 4 * p->n_params + m->n_rate_values + 4));
    WH_TRY(wh_graph_new(&f->g, p->real));
    WH_TRY(tensors(&f->part->z, f, m, "z"));
    bool near = p->proximal > 0 && !f->part->is_query;
    if (p->uses_prior || near) WH_TRY(tensors(&f->part->prior, f, m, "theta"));
    if (id == WH_META_STEP || id == WH_META_BACK) WH_TRY(rates(f, m));
    if (id == WH_META_BACK) WH_TRY(tensors(&f->part->vector[0], f, m, "v"));
    for (size_t k = 0; id == WH_META_SOLVE && k < WH_META_VECTORS; k++)
        WH_TRY(tensors(&f->part->vector[k], f, m, "vector"));
    if (id == WH_META_SOLVE) f->part->number = wh_graph_input(f->g, "residue", WH_SHARED, WH_SCALAR);
    WH_TRY(arrays(f, m));
    return wh_graph_status(f->g);
}

static whist_status close_part(frame *f)
{
    return wh_program_new(&f->part->program, f->g, f->outputs, f->n_outputs);
}

/* The objective at z, the support's with its proximal term. */
static whist_status objective(wh_value *out, const frame *f, const wh_value z[])
{
    const wh_meta_problem *p = &f->meta->problem;
    const wh_meta_objective *o = f->objective;
    wh_value value = o->build(o->user, f->g, z, p->uses_prior ? f->part->prior : NULL, f->part->data);
    WH_TRY(wh_graph_status(f->g));
    wh_dims dims = wh_graph_dims(f->g, value);
    if (wh_dims_size(&dims) != 1)
        WH_FAIL(WHIST_E_ARG, "the %s objective is of shape %s: one number is needed",
                f->part->is_query ? "query" : "support", wh_dims_show(&dims).text);
    value = wh_graph_reshape(f->g, value, WH_SCALAR);
    for (size_t i = 0; i < p->n_params && p->proximal > 0 && !f->part->is_query; i++) {
        if (!f->meta->adapts[i]) continue;
        wh_value off = wh_graph_sub(f->g, z[i], f->part->prior[i]);
        value = wh_graph_add(f->g, value, wh_graph_scale(f->g, wh_graph_dot(f->g, off, off), p->proximal / 2));
    }
    *out = value;
    return wh_graph_status(f->g);
}

/* The rate of tensor i, which adapts and is the a-th that does. */
static wh_value rate_of(const frame *f, size_t a)
{
    return f->part->rate[f->meta->n_rate_values == 1 ? 0 : a];
}

/* What adapts, in order: values[i] for i with adapts[i]. */
static size_t pick(wh_value out[], const wh_meta *m, const wh_value values[])
{
    size_t n = 0;
    for (size_t i = 0; i < m->problem.n_params; i++)
        if (m->adapts[i]) out[n++] = values[i];
    return n;
}

/* ---- Forward ------------------------------------------------------------------------------------ */

static whist_status make_step(wh_meta *m)
{
    WH_AUTO(frame) f = {0};
    WH_AUTO(wh_value_ptr) list = NULL;
    wh_value s;
    WH_TRY(open_part(&f, m, WH_META_STEP));
    WH_TRY(objective(&s, &f, f.part->z));
    WH_TRY(WH_NEW(&list, 2 * m->problem.n_params + 1));
    wh_value *slope = list + m->problem.n_params;
    size_t n = pick(list, m, f.part->z);
    WH_TRY(wh_graph_gradient(slope, f.g, s, list, n));
    give(&f, s);
    for (size_t a = 0; a < n; a++) give(&f, wh_graph_sub(f.g, list[a], wh_graph_mul(f.g, slope[a], rate_of(&f, a))));
    return close_part(&f);
}

/* Gradients by all tensors of z, then (uses_prior, or a proximal term's) by all of θ. */
static whist_status all_slopes(wh_value *out, size_t *n_out, frame *f, wh_value of, const wh_value z[])
{
    size_t n = f->meta->problem.n_params;
    WH_AUTO(wh_value_ptr) wrt = NULL;
    WH_TRY(WH_NEW(&wrt, 2 * n + 1));
    for (size_t i = 0; i < n; i++) wrt[i] = z[i];
    for (size_t i = 0; i < n && f->part->prior; i++) wrt[n + i] = f->part->prior[i];
    *n_out = f->part->prior ? 2 * n : n;
    return wh_graph_gradient(out, f->g, of, wrt, *n_out);
}

static whist_status make_query(wh_meta *m, bool slopes)
{
    WH_AUTO(frame) f = {0};
    wh_value q;
    size_t n = 0;
    WH_TRY(open_part(&f, m, slopes ? WH_META_QUERY : WH_META_VALUE));
    WH_TRY(objective(&q, &f, f.part->z));
    give(&f, q);
    if (slopes) WH_TRY(all_slopes(f.outputs + 1, &n, &f, q, f.part->z));
    f.n_outputs += n;
    return close_part(&f);
}

/* ---- Backward ------------------------------------------------------------------------------------- */

/* u = A ∘ v of what adapts. Hessian-free with one rate: u = v and the rate is the factor, so that the differences are
 * taken along v itself. */
static void directions(wh_value u[], wh_value *factor, frame *f)
{
    const wh_meta *m = f->meta;
    bool outside =
        m->problem.rule == WH_META_HESSIAN_FREE && m->n_rate_values == 1 && m->problem.rates == WH_META_RATE_ONE;
    *factor = outside ? f->part->rate[0] : WH_NO_VALUE;
    for (size_t i = 0, a = 0; i < m->problem.n_params; i++) {
        if (!m->adapts[i]) continue;
        wh_value v = f->part->vector[0][i];
        u[a] = outside ? v : wh_graph_mul(f->g, v, rate_of(f, a));
        a++;
    }
}

/* out = H u for all of z, then θ: the derivative of the slopes along u. */
static whist_status exact_product(wh_value *out, frame *f, const wh_value slopes[], size_t n, const wh_value u[])
{
    WH_AUTO(wh_value_ptr) wrt = NULL;
    WH_TRY(WH_NEW(&wrt, f->meta->problem.n_params + 1));
    size_t n_wrt = pick(wrt, f->meta, f->part->z);
    return wh_graph_jvp(out, f->g, slopes, n, wrt, u, n_wrt);
}

static whist_status moved_slopes(wh_value *out, size_t *n, frame *f, const wh_value u[], double by)
{
    const wh_meta *m = f->meta;
    WH_AUTO(wh_value_ptr) z = NULL;
    wh_value s;
    WH_TRY(WH_NEW(&z, m->problem.n_params + 1));
    for (size_t i = 0, a = 0; i < m->problem.n_params; i++) {
        z[i] = f->part->z[i];
        if (m->adapts[i]) z[i] = wh_graph_add(f->g, z[i], wh_graph_scale(f->g, u[a++], by));
    }
    WH_TRY(objective(&s, f, z));
    return all_slopes(out, n, f, s, z);
}

/* (g(z + δu) - g(z - δu)) / 2δ */
static whist_status difference_product(wh_value *out, frame *f, const wh_value u[])
{
    const wh_meta *m = f->meta;
    double delta = m->problem.delta;
    WH_AUTO(wh_value_ptr) sides = NULL;
    size_t n = 0;
    WH_TRY(WH_NEW(&sides, 4 * m->problem.n_params + 1));
    wh_value *minus = sides + 2 * m->problem.n_params;
    WH_TRY(moved_slopes(sides, &n, f, u, delta));
    WH_TRY(moved_slopes(minus, &n, f, u, -delta));
    for (size_t i = 0; i < n; i++)
        out[i] = wh_graph_scale(f->g, wh_graph_sub(f->g, sides[i], minus[i]), 1 / (2 * delta));
    return wh_graph_status(f->g);
}

/* dL/dA = -v ∘ g, by element, tensor, or in one number. */
static whist_status give_rates(frame *f, const wh_value slopes[])
{
    const wh_meta *m = f->meta;
    wh_value one = WH_NO_VALUE;
    for (size_t i = 0; i < m->problem.n_params; i++) {
        if (!m->adapts[i]) continue;
        wh_value each = wh_graph_neg(f->g, wh_graph_mul(f->g, f->part->vector[0][i], slopes[i]));
        if (m->problem.rates == WH_META_RATE_ELEMENTS) {
            give(f, each);
            continue;
        }
        each = wh_graph_sum_all(f->g, each);
        if (m->problem.rates == WH_META_RATE_TENSORS)
            give(f, each);
        else
            one = one == WH_NO_VALUE ? each : wh_graph_add(f->g, one, each);
    }
    if (one != WH_NO_VALUE) give(f, one);
    return wh_graph_status(f->g);
}

static whist_status make_back(wh_meta *m)
{
    const wh_meta_problem *p = &m->problem;
    WH_AUTO(frame) f = {0};
    WH_AUTO(wh_value_ptr) list = NULL;
    WH_TRY(open_part(&f, m, WH_META_BACK));
    WH_TRY(WH_NEW(&list, 5 * p->n_params + 1));
    wh_value s = WH_NO_VALUE, *slopes = list, *product = list + 2 * p->n_params, *u = product + 2 * p->n_params, factor;
    size_t n = f.part->prior ? 2 * p->n_params : p->n_params;
    if (p->rule == WH_META_EXACT || p->learns_rates) {
        WH_TRY(objective(&s, &f, f.part->z));
        WH_TRY(all_slopes(slopes, &n, &f, s, f.part->z));
    }
    directions(u, &factor, &f);
    if (p->rule == WH_META_EXACT) WH_TRY(exact_product(product, &f, slopes, n, u));
    if (p->rule == WH_META_HESSIAN_FREE) WH_TRY(difference_product(product, &f, u));
    for (size_t i = 0; i < n && p->rule != WH_META_FIRST_ORDER; i++) {
        wh_value part = factor == WH_NO_VALUE ? product[i] : wh_graph_mul(f.g, product[i], factor);
        give(&f, i < p->n_params ? wh_graph_sub(f.g, f.part->vector[0][i], part) : wh_graph_neg(f.g, part));
    }
    if (p->learns_rates) WH_TRY(give_rates(&f, slopes));
    return close_part(&f);
}

/* ---- Implicit --------------------------------------------------------------------------------------- */

static whist_status make_slope(wh_meta *m)
{
    WH_AUTO(frame) f = {0};
    WH_AUTO(wh_value_ptr) list = NULL;
    wh_value s;
    WH_TRY(open_part(&f, m, WH_META_SLOPE));
    WH_TRY(objective(&s, &f, f.part->z));
    WH_TRY(WH_NEW(&list, m->problem.n_params));
    size_t n = pick(list, m, f.part->z);
    WH_TRY(wh_graph_gradient(f.outputs, f.g, s, list, n));
    f.n_outputs = n;
    give(&f, s);
    return close_part(&f);
}

static wh_value dot_all(wh_graph *g, const wh_value a[], const wh_value b[], size_t n)
{
    wh_value sum = wh_graph_fill(g, WH_SCALAR, 0);
    for (size_t i = 0; i < n; i++) sum = wh_graph_add(g, sum, wh_graph_dot(g, a[i], b[i]));
    return sum;
}

/* α = r·r / p·Hp;  x += αp;  r -= αHp;  p = r + β p with β the new r·r over the old. */
static whist_status make_solve(wh_meta *m)
{
    size_t n = m->problem.n_params;
    WH_AUTO(frame) f = {0};
    WH_AUTO(wh_value_ptr) list = NULL;
    wh_value s;
    WH_TRY(open_part(&f, m, WH_META_SOLVE));
    WH_TRY(WH_NEW(&list, 2 * n + 1));
    wh_value *slopes = list, *product = list + n;
    const wh_value *x = f.part->vector[0], *r = f.part->vector[1], *p = f.part->vector[2];
    WH_TRY(objective(&s, &f, f.part->z));
    WH_TRY(wh_graph_gradient(slopes, f.g, s, f.part->z, n));
    WH_TRY(wh_graph_jvp(product, f.g, slopes, n, f.part->z, p, n));
    wh_value curve = dot_all(f.g, p, product, n), alpha = wh_graph_div(f.g, f.part->number, curve);
    for (size_t i = 0; i < n; i++) give(&f, wh_graph_add(f.g, x[i], wh_graph_mul(f.g, p[i], alpha)));
    for (size_t i = 0; i < n; i++) give(&f, wh_graph_sub(f.g, r[i], wh_graph_mul(f.g, product[i], alpha)));
    wh_value left = dot_all(f.g, f.outputs + n, f.outputs + n, n), beta = wh_graph_div(f.g, left, f.part->number);
    for (size_t i = 0; i < n; i++) give(&f, wh_graph_add(f.g, f.outputs[n + i], wh_graph_mul(f.g, p[i], beta)));
    give(&f, left);
    give(&f, curve);
    return close_part(&f);
}

whist_status wh_meta_compile(wh_meta *m)
{
    const wh_meta_problem *p = &m->problem;
    bool second = p->rule == WH_META_EXACT || p->rule == WH_META_HESSIAN_FREE;
    bool chain = second || (p->rule == WH_META_FIRST_ORDER && p->learns_rates);
    if (p->steps > 0 && p->rule != WH_META_LSTM) WH_TRY(make_step(m));
    if (p->query.build && p->rule != WH_META_REPTILE) WH_TRY(make_query(m, true));
    if (p->query.build) WH_TRY(make_query(m, false));
    if (p->steps > 0 && chain) WH_TRY(make_back(m));
    if (p->rule == WH_META_IMPLICIT || (p->steps > 0 && p->rule == WH_META_LSTM)) WH_TRY(make_slope(m));
    if (p->steps > 0 && p->rule == WH_META_LSTM) WH_TRY(wh_meta_compile_gates(m));
    return p->rule == WH_META_IMPLICIT ? make_solve(m) : WHIST_OK;
}
