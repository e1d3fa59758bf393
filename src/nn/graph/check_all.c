/* nn/graph/check_all.c: runs all cases of the derivative check.
 *
 * Each case builds a value y from inputs. What is differentiated is Σ r y + Σ y²/7 with a fixed r, so that even linear
 * operations have a second derivative. */
#include <math.h>
#include <stdio.h>

#include "nn/graph/check_cases.h"

static void setup_clear(wh_check_setup *s)
{
    wh_graph_free(s->g);
    wh_arena_clear(&s->memory);
}
WH_AUTO_CLEAR(wh_check_setup, setup_clear)

/* ---- Inputs ------------------------------------------------------------------------------------ */

static double uniform(wh_check_setup *s)
{
    uint64_t x = ++s->counter * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

wh_value wh_check_given(wh_check_setup *s, wh_role role, wh_dims dims, double low, double high)
{
    double *data = NULL;
    size_t n = wh_dims_size(&dims);
    if (s->n_data == WH_CHECK_INPUTS || WH_ARENA_NEW(&data, &s->memory, n) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    for (size_t i = 0; i < n; i++) {
        double x = low + (high - low) * uniform(s);
        data[i] = fabs(x) < .01 ? .013 : x;
    }
    s->data[s->n_data++] = data;
    return wh_graph_input(s->g, "x", role, dims);
}

wh_value wh_check_learned(wh_check_setup *s, wh_dims dims)
{
    wh_value v = wh_check_given(s, WH_PARAM, dims, -1, 1);
    if (v != WH_NO_VALUE) s->wrt[s->n_wrt++] = v;
    return v;
}

wh_value wh_check_positive(wh_check_setup *s, wh_dims dims)
{
    wh_value v = wh_check_given(s, WH_PARAM, dims, .4, 1.6);
    if (v != WH_NO_VALUE) s->wrt[s->n_wrt++] = v;
    return v;
}

wh_value wh_check_indices(wh_check_setup *s, wh_role role, wh_dims dims, uint32_t limit)
{
    uint32_t *data = NULL;
    size_t n = wh_dims_size(&dims);
    if (s->n_data == WH_CHECK_INPUTS || WH_ARENA_NEW(&data, &s->memory, n) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    for (size_t i = 0; i < n; i++) data[i] = (uint32_t)(uniform(s) * limit);
    s->data[s->n_data++] = data;
    return wh_graph_index(s->g, "index", role, dims, limit);
}

/* ---- One case ------------------------------------------------------------------------------------ */

enum { MAX_OPS = 256 };

/* Over all cases. */
typedef struct tally {
    bool seen[MAX_OPS]; /* by place in wh_graph_ops */
    char failed[160];   /* the first that passed its bound */
} tally;

static void note_ops(tally *t, const wh_graph *g)
{
    for (wh_value v = 1; v <= wh_graph_size(g); v++)
        for (size_t i = 0; i < MAX_OPS && wh_graph_ops[i]; i++)
            if (wh_graph_ops[i] == wh_node_at(g, v)->op) t->seen[i] = true;
}

static whist_status build_case(wh_check_setup *s, wh_value *y, const wh_check_case *c)
{
    WH_TRY(wh_graph_new(&s->g, WH_F64));
    *y = c->build(s);
    WH_TRY(s->failed);
    return wh_graph_status(s->g);
}

static whist_status check_derivatives(wh_gradcheck *out, tally *t, const wh_check_case *c, size_t variant)
{
    WH_AUTO(wh_check_setup) s = {.variant = variant};
    wh_value y;
    WH_TRY(build_case(&s, &y, c));
    wh_value mix = wh_check_given(&s, WH_SHARED, wh_graph_dims(s.g, y), -1, 1);
    wh_value scalar =
        wh_graph_add(s.g, wh_graph_dot(s.g, mix, y), wh_graph_scale(s.g, wh_graph_dot(s.g, y, y), 1. / 7));
    WH_TRY(s.failed);
    WH_TRY(wh_graph_gradcheck(out, s.g, scalar, s.wrt, s.n_wrt, s.data, s.n_data));
    note_ops(t, s.g);
    return WHIST_OK;
}

static whist_status check_norms(double *out, tally *t, const wh_check_case *c, size_t variant)
{
    WH_AUTO(wh_check_setup) s = {.variant = variant};
    wh_value losses;
    WH_TRY(build_case(&s, &losses, c));
    WH_TRY(wh_graph_normcheck(out, s.g, losses, s.wrt, s.n_wrt, s.data, s.n_data));
    note_ops(t, s.g);
    return WHIST_OK;
}

/* A NaN is the worst. */
static void worse(double *worst, double error)
{
    if (!(error <= *worst)) *worst = error;
}

static bool is_good(const wh_gradcheck *e, double norms, bool has_norms)
{
    return e->first < 1e-9 && e->second < 1e-9 && e->tangent < 1e-12 && e->reverse < 1e-12 &&
           (!has_norms || norms < 1e-13);
}

static whist_status one_case(tally *t, const wh_check_case *c, bool has_norms, wh_check_report *report, void *user)
{
    wh_check_result all = {.name = c->name, .shapes = c->variants, .norms = has_norms ? 0 : NAN};
    for (size_t variant = 0; variant < c->variants; variant++) {
        wh_gradcheck e = {0};
        double norms = 0;
        whist_status status = check_derivatives(&e, t, c, variant);
        if (status == WHIST_OK && has_norms) status = check_norms(&norms, t, c, variant);
        if (status != WHIST_OK) return wh_fail_context(status, "%s, shape %zu: ", c->name, variant);
        worse(&all.error.first, e.first), worse(&all.error.tangent, e.tangent);
        worse(&all.error.second, e.second), worse(&all.error.reverse, e.reverse);
        if (has_norms) worse(&all.norms, norms);
        if (!is_good(&e, norms, has_norms) && !t->failed[0])
            snprintf(t->failed, sizeof t->failed, "%s, shape %zu: errors %.1e %.1e %.1e %.1e, norms %.1e", c->name,
                     variant, e.first, e.tangent, e.second, e.reverse, norms);
    }
    if (report) report(user, &all);
    return WHIST_OK;
}

size_t wh_graph_count_ops(void)
{
    size_t n = 0;
    while (wh_graph_ops[n]) n++;
    return n;
}

whist_status wh_graph_gradcheck_all(wh_check_report *report, void *user)
{
    static const wh_check_case *const tables[] = {wh_check_plain, wh_check_layers, wh_check_norms};
    tally t = {.failed = ""};
    for (size_t k = 0; k < WH_COUNT(tables); k++)
        for (const wh_check_case *c = tables[k]; c->name; c++)
            WH_TRY(one_case(&t, c, tables[k] == wh_check_norms, report, user));
    if (t.failed[0]) WH_FAIL(WHIST_E_STATE, "%s", t.failed);
    for (size_t i = 0; wh_graph_ops[i]; i++)
        if (i >= MAX_OPS || !t.seen[i]) WH_FAIL(WHIST_E_STATE, "no case uses the operation %s", wh_graph_ops[i]->name);
    return WHIST_OK;
}
