/* meta/lstm.c: steps made by learned gates, each number of z by itself; see meta.h. */
#include <math.h>

#include "meta/work.h"

enum { C, I, F, SLOPE, LOSS, INPUTS };
enum { WI, BI, WF, BF, RATES };

size_t wh_meta_gate_features(const wh_meta_problem *p)
{
    return p->log_range > 0 ? 6 : 4;
}

/* ---- The programs -------------------------------------------------------------------------------- */

/* What a gate sees of x: itself, or (log|x| / p, sign x) and, near 0, (-1, e^p x). */
static size_t features_of(wh_value out[], wh_graph *g, wh_value x, double p)
{
    if (p == 0) {
        out[0] = x;
        return 1;
    }
    wh_value size = wh_graph_abs(g, x), large = wh_graph_not_less(g, size, wh_graph_fill_like(g, x, exp(-p)));
    wh_value sign = wh_graph_sub(g, wh_graph_positive(g, x), wh_graph_positive(g, wh_graph_neg(g, x)));
    out[0] = wh_graph_where(g, large, wh_graph_scale(g, wh_graph_log(g, size), 1 / p), wh_graph_fill_like(g, x, -1));
    out[1] = wh_graph_where(g, large, sign, wh_graph_scale(g, x, exp(p)));
    return 2;
}

/* σ(W · (x, gate) + b) */
static wh_value gate(wh_graph *g, const wh_value x[], size_t n, wh_value before, wh_value w, wh_value b)
{
    wh_value sum = b;
    for (size_t k = 0; k <= n; k++) {
        wh_value factor = wh_graph_reshape(g, wh_graph_slice(g, w, &k, WH_DIMS(1)), WH_SCALAR);
        sum = wh_graph_add(g, sum, wh_graph_mul(g, factor, k < n ? x[k] : before));
    }
    return wh_graph_sigmoid(g, sum);
}

static whist_status inputs(wh_meta_part *part, wh_graph *g, wh_meta *m)
{
    wh_dims n = WH_DIMS(m->n_adapted);
    WH_TRY(WH_ARENA_NEW(&part->z, &m->memory, INPUTS));
    WH_TRY(WH_ARENA_NEW(&part->rate, &m->memory, RATES));
    for (size_t k = 0; k < INPUTS; k++) part->z[k] = wh_graph_input(g, "c", WH_PARAM, k == LOSS ? WH_SCALAR : n);
    for (size_t r = 0; r < RATES; r++)
        part->rate[r] = wh_graph_input(g, "w", WH_PARAM, r == BI || r == BF ? WH_SCALAR : WH_DIMS(m->rate_size[r]));
    for (size_t k = 0; k < WH_META_VECTORS; k++) {
        WH_TRY(WH_ARENA_NEW(&part->vector[k], &m->memory, 1));
        part->vector[k][0] = wh_graph_input(g, "v", WH_SHARED, n);
    }
    return wh_graph_status(g);
}

/* out: c, i, f of the next step. */
static void one_step(wh_value out[3], wh_graph *g, const wh_meta_part *part, const wh_meta_problem *p)
{
    wh_value x[5];
    const wh_value *in = part->z, *w = part->rate;
    size_t n = features_of(x, g, in[SLOPE], p->log_range);
    n += features_of(x + n, g, in[LOSS], p->log_range);
    x[n++] = in[C];
    out[I] = gate(g, x, n, in[I], w[WI], w[BI]);
    out[F] = gate(g, x, n, in[F], w[WF], w[BF]);
    out[C] = wh_graph_sub(g, wh_graph_mul(g, out[F], in[C]), wh_graph_mul(g, out[I], in[SLOPE]));
}

static whist_status make_gate(wh_meta *m)
{
    wh_meta_part *part = &m->part[WH_META_GATE];
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_value out[3];
    WH_TRY(wh_graph_new(&g, m->problem.real));
    WH_TRY(inputs(part, g, m));
    one_step(out, g, part, &m->problem);
    return wh_program_new(&part->program, g, out, 3);
}

static whist_status make_ungate(wh_meta *m)
{
    wh_meta_part *part = &m->part[WH_META_UNGATE];
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_value next[3], wrt[3 + RATES], out[3 + RATES];
    WH_TRY(wh_graph_new(&g, m->problem.real));
    WH_TRY(inputs(part, g, m));
    one_step(next, g, part, &m->problem);
    wh_value sum = wh_graph_fill(g, WH_SCALAR, 0);
    for (size_t k = 0; k < 3; k++) sum = wh_graph_add(g, sum, wh_graph_dot(g, next[k], part->vector[k][0]));
    for (size_t k = 0; k < 3; k++) wrt[k] = part->z[k];
    for (size_t r = 0; r < RATES; r++) wrt[3 + r] = part->rate[r];
    WH_TRY(wh_graph_gradient(out, g, sum, wrt, 3 + RATES));
    return wh_program_new(&part->program, g, out, 3 + RATES);
}

whist_status wh_meta_compile_gates(wh_meta *m)
{
    WH_TRY(make_gate(m));
    return make_ungate(m);
}

/* ---- Running ------------------------------------------------------------------------------------------ */

/* i (0) or f (1) after step j. */
static void *gate_at(const wh_meta_worker *w, size_t j, size_t which)
{
    return wh_vec_at(wh_meta_real(w), w->gates, (2 * j + which) * w->meta->n_adapted);
}

static void *slope_at(const wh_meta_worker *w, size_t j)
{
    return wh_vec_at(wh_meta_real(w), w->slopes, j * w->meta->n_adapted);
}

static whist_status bind_gate(wh_meta_worker *w, wh_meta_part_id id, const wh_meta_at *at, size_t j)
{
    wh_real real = wh_meta_real(w);
    const void *const in[INPUTS] = {wh_meta_point(w, j), gate_at(w, j, 0), gate_at(w, j, 1), slope_at(w, j),
                                    wh_vec_from(real, w->losses, j)};
    for (size_t k = 0; k < INPUTS; k++) WH_TRY(wh_run_input(w->run[id], w->meta->part[id].z[k], in[k]));
    return wh_meta_bind_rates(w, id, at, 0);
}

whist_status wh_meta_gates_forward(wh_meta_worker *w, double *support_loss, const wh_meta_at *at,
                                   const wh_meta_task *task)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    size_t n_tensors = 0;
    for (size_t i = 0; i < m->problem.n_params; i++) n_tensors += m->adapts[i];
    for (size_t i = 0; i < 2 * m->n_adapted; i++) wh_vec_set(real, wh_vec_at(real, w->gates, i), m->problem.gate_start);
    for (size_t j = 0; j < m->problem.steps; j++) {
        void *loss = wh_vec_at(real, w->losses, j);
        WH_TRY(wh_meta_bind(w, WH_META_SLOPE, at, task, j));
        WH_TRY(wh_meta_bind_adapted(w, WH_META_SLOPE, 0, slope_at(w, j)));
        WH_TRY(wh_run_output(w->run[WH_META_SLOPE], n_tensors, loss));
        WH_TRY(wh_run_go(w->run[WH_META_SLOPE], NULL));
        void *const out[] = {wh_meta_point(w, j + 1), gate_at(w, j + 1, 0), gate_at(w, j + 1, 1)};
        WH_TRY(bind_gate(w, WH_META_GATE, at, j));
        for (size_t k = 0; k < 3; k++) WH_TRY(wh_run_output(w->run[WH_META_GATE], k, out[k]));
        WH_TRY(wh_run_go(w->run[WH_META_GATE], NULL));
        if (j == 0 && support_loss) *support_loss = wh_vec_number(real, loss);
    }
    return WHIST_OK;
}

/* The numbers of the tensors that adapt, out of or back into a vector like θ. */
static void exchange(wh_meta_worker *w, void *adapted, void *all, bool back)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    for (size_t i = 0; i < m->problem.n_params; i++) {
        void *a = wh_vec_at(real, adapted, m->adapted_at[i]), *b = wh_vec_at(real, all, m->offset[i]);
        if (m->adapts[i]) wh_vec_copy(real, back ? b : a, back ? a : b, m->size[i]);
    }
}

whist_status wh_meta_gates_back(wh_meta_worker *w, const wh_meta_at *at)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    size_t n = m->n_adapted, now = 0;
    wh_vec_zero(real, w->cotangents, 3 * n);
    exchange(w, w->cotangents, w->v[w->now], false);
    for (size_t j = m->problem.steps; j-- > 0; now = 1 - now) {
        WH_TRY(bind_gate(w, WH_META_UNGATE, at, j));
        for (size_t k = 0; k < 3; k++) {
            const void *from = wh_vec_from(real, w->cotangents, (3 * now + k) * n);
            void *to = wh_vec_at(real, w->cotangents, (3 * (1 - now) + k) * n);
            WH_TRY(wh_run_input(w->run[WH_META_UNGATE], m->part[WH_META_UNGATE].vector[k][0], from));
            WH_TRY(wh_run_output(w->run[WH_META_UNGATE], k, to));
        }
        WH_TRY(wh_run_go(w->run[WH_META_UNGATE], NULL));
        if (m->problem.learns_rates) wh_meta_take_rates(w, WH_META_UNGATE, 3, 0);
    }
    exchange(w, wh_vec_at(real, w->cotangents, 3 * now * n), w->v[w->now], true);
    return WHIST_OK;
}
