/* meta/work.c: the memory of one thread, and running a part of a task in it. */
#include "meta/work.h"

static whist_status room(void **out, const wh_meta *m, size_t n, size_t *bytes)
{
    size_t size;
    if (!wh_mul_size(&size, n, wh_vec_size(m->problem.real)) || !wh_add_size(bytes, *bytes, size))
        WH_FAIL(WHIST_E_RANGE, "meta: vectors of %zu numbers do not fit memory", n);
    return wh_alloc(out, n + 1, wh_vec_size(m->problem.real));
}

static whist_status make_vectors(wh_meta_worker *w, size_t *bytes)
{
    const wh_meta *m = w->meta;
    const wh_meta_problem *p = &m->problem;
    size_t points, slots = p->steps / p->keep_every + p->keep_every;
    if (!wh_add_size(&points, p->steps, 1) || !wh_mul_size(&points, points, m->n_adapted) || points > SIZE_MAX / 32)
        WH_FAIL(WHIST_E_RANGE, "meta: the points of %zu steps do not fit memory", p->steps);
    WH_TRY(room(&w->z, m, slots * m->n_adapted, bytes));
    for (int i = 0; i < 2; i++) WH_TRY(room(&w->v[i], m, m->n, bytes));
    WH_TRY(room(&w->slope, m, m->n, bytes));
    if (p->uses_prior || p->proximal > 0) {
        WH_TRY(room(&w->d, m, m->n, bytes));
        WH_TRY(room(&w->part_d, m, m->n, bytes));
    }
    if (p->learns_rates) WH_TRY(room(&w->rates, m, m->n_rates, bytes));
    if (p->rule == WH_META_IMPLICIT) {
        for (int i = 0; i < 6; i++) WH_TRY(room(&w->solve[i], m, m->n, bytes));
        WH_TRY(wh_alloc(&w->tamed, 8, sizeof(double)));
    }
    if (p->rule == WH_META_LSTM) {
        WH_TRY(room(&w->gates, m, 2 * points, bytes));
        WH_TRY(room(&w->slopes, m, points, bytes));
        WH_TRY(room(&w->losses, m, p->steps, bytes));
        WH_TRY(room(&w->cotangents, m, 6 * m->n_adapted, bytes));
    }
    return WH_NEW(&w->numbers, 8);
}

/* Outputs whose place never changes. */
static whist_status bind_fixed(wh_meta_worker *w)
{
    const wh_meta_problem *p = &w->meta->problem;
    if (w->run[WH_META_QUERY]) {
        WH_TRY(wh_meta_bind_output(w, WH_META_QUERY, 1, w->slope));
        if (p->uses_prior) WH_TRY(wh_meta_bind_output(w, WH_META_QUERY, 1 + p->n_params, w->part_d));
    }
    bool moves = p->rule != WH_META_FIRST_ORDER;
    if (w->run[WH_META_BACK] && moves && w->d) WH_TRY(wh_meta_bind_output(w, WH_META_BACK, p->n_params, w->part_d));
    if (w->run[WH_META_SLOPE]) WH_TRY(wh_meta_bind_adapted(w, WH_META_SLOPE, 0, w->slope));
    return WHIST_OK;
}

whist_status wh_meta_worker_init(wh_meta_worker *w, const wh_meta *meta, size_t *bytes)
{
    *w = (wh_meta_worker){.meta = meta};
    for (size_t k = 0; k < WH_META_PARTS; k++) {
        const wh_program *program = meta->part[k].program;
        if (!program) continue;
        WH_TRY(wh_run_new(&w->run[k], program, 1));
        wh_program_size size = wh_program_measure(program);
        *bytes += size.arena_bytes + size.scratch_bytes;
    }
    WH_TRY(make_vectors(w, bytes));
    return bind_fixed(w);
}

void wh_meta_worker_clear(wh_meta_worker *w)
{
    for (size_t k = 0; k < WH_META_PARTS; k++) wh_run_free(w->run[k]);
    void *const all[] = {w->z,     w->v[0],   w->v[1],   w->d,     w->part_d,     w->slope, w->numbers,
                         w->rates, w->slopes, w->losses, w->gates, w->cotangents, w->tamed};
    for (size_t i = 0; i < WH_COUNT(all); i++) wh_free(all[i]);
    for (size_t i = 0; i < WH_COUNT(w->solve); i++) wh_free(w->solve[i]);
}

/* Kept points first, then the places of those between two of them. */
void *wh_meta_point(const wh_meta_worker *w, size_t j)
{
    const wh_meta_problem *p = &w->meta->problem;
    size_t every = p->keep_every, slot = j % every == 0 ? j / every : p->steps / every + j % every;
    return wh_vec_at(wh_meta_real(w), w->z, slot * w->meta->n_adapted);
}

whist_status wh_meta_bind_rates(wh_meta_worker *w, wh_meta_part_id id, const wh_meta_at *at, size_t j)
{
    const wh_meta *m = w->meta;
    size_t set = m->problem.rates_per_step ? j * m->rate_set : 0;
    const void *rates = w->is_tamed ? w->tamed : at->rates;
    for (size_t r = 0; r < m->n_rate_values; r++)
        WH_TRY(wh_run_input(w->run[id], m->part[id].rate[r],
                            wh_vec_from(wh_meta_real(w), rates, set + m->rate_offset[r])));
    return WHIST_OK;
}

static whist_status bind_arrays(wh_meta_worker *w, wh_meta_part_id id, const wh_meta_task *task, size_t j)
{
    const wh_meta_part *part = &w->meta->part[id];
    const wh_meta_objective *o = part->is_query ? &w->meta->problem.query : &w->meta->problem.support;
    const void *const *data = part->is_query ? task->query : task->support;
    for (size_t a = 0; a < o->n_arrays; a++) {
        WH_ENSURE(data && data[a], WHIST_E_ARG);
        size_t each = o->arrays[a].limit ? sizeof(uint32_t) : wh_vec_size(wh_meta_real(w));
        const size_t turn = o->arrays[a].parts ? j % o->arrays[a].parts : j;
        size_t skip = o->arrays[a].per_step ? turn * wh_dims_size(&o->arrays[a].dims) * each : 0;
        WH_TRY(wh_run_input(w->run[id], part->data[a], (const uint8_t *)data[a] + skip));
    }
    return WHIST_OK;
}

whist_status wh_meta_bind(wh_meta_worker *w, wh_meta_part_id id, const wh_meta_at *at, const wh_meta_task *task,
                          size_t j)
{
    const wh_meta *m = w->meta;
    const wh_meta_part *part = &m->part[id];
    wh_real real = wh_meta_real(w);
    const void *point = wh_meta_point(w, j);
    for (size_t i = 0; i < m->problem.n_params; i++) {
        const void *theta = wh_vec_from(real, at->theta, m->offset[i]);
        const void *z = m->adapts[i] ? wh_vec_from(real, point, m->adapted_at[i]) : theta;
        WH_TRY(wh_run_input(w->run[id], part->z[i], z));
        if (part->prior) WH_TRY(wh_run_input(w->run[id], part->prior[i], theta));
    }
    if (part->rate) WH_TRY(wh_meta_bind_rates(w, id, at, j));
    return bind_arrays(w, id, task, j);
}

whist_status wh_meta_bind_vector(wh_meta_worker *w, wh_meta_part_id id, size_t k, const void *x)
{
    const wh_meta *m = w->meta;
    for (size_t i = 0; i < m->problem.n_params; i++)
        WH_TRY(wh_run_input(w->run[id], m->part[id].vector[k][i], wh_vec_from(wh_meta_real(w), x, m->offset[i])));
    return WHIST_OK;
}

whist_status wh_meta_bind_output(wh_meta_worker *w, wh_meta_part_id id, size_t first, void *out)
{
    const wh_meta *m = w->meta;
    for (size_t i = 0; i < m->problem.n_params; i++)
        WH_TRY(wh_run_output(w->run[id], first + i, wh_vec_at(wh_meta_real(w), out, m->offset[i])));
    return WHIST_OK;
}

whist_status wh_meta_bind_adapted(wh_meta_worker *w, wh_meta_part_id id, size_t first, void *out)
{
    const wh_meta *m = w->meta;
    for (size_t i = 0; i < m->problem.n_params; i++)
        if (m->adapts[i]) WH_TRY(wh_run_output(w->run[id], first++, wh_vec_at(wh_meta_real(w), out, m->adapted_at[i])));
    return WHIST_OK;
}

void wh_meta_take_rates(wh_meta_worker *w, wh_meta_part_id id, size_t first, size_t j)
{
    const wh_meta *m = w->meta;
    size_t set = m->problem.rates_per_step ? j * m->rate_set : 0;
    for (size_t r = 0; r < m->n_rate_values; r++)
        wh_vec_add(wh_meta_real(w), wh_vec_at(wh_meta_real(w), w->rates, set + m->rate_offset[r]),
                   wh_run_result(w->run[id], first + r), 1, m->rate_size[r]);
}

static void start(wh_meta_worker *w, const wh_meta_at *at)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    for (size_t i = 0; i < m->problem.n_params; i++) {
        if (!m->adapts[i]) continue;
        void *z = wh_vec_at(real, w->z, m->adapted_at[i]);
        if (m->problem.starts_at_zero[i])
            wh_vec_zero(real, z, m->size[i]);
        else
            wh_vec_copy(real, z, wh_vec_from(real, at->theta, m->offset[i]), m->size[i]);
    }
}

static whist_status make_point(wh_meta_worker *w, const wh_meta_at *at, const wh_meta_task *task, size_t j)
{
    WH_TRY(wh_meta_bind(w, WH_META_STEP, at, task, j - 1));
    WH_TRY(wh_meta_bind_adapted(w, WH_META_STEP, 1, wh_meta_point(w, j)));
    WH_TRY(wh_run_go(w->run[WH_META_STEP], NULL));
    w->segment = j / w->meta->problem.keep_every;
    return WHIST_OK;
}

whist_status wh_meta_walk(wh_meta_worker *w, double *support_loss, const wh_meta_at *at, const wh_meta_task *task)
{
    w->segment = 0;
    for (size_t j = 0; j < w->meta->problem.steps; j++) {
        WH_TRY(make_point(w, at, task, j + 1));
        const void *loss = wh_run_result(w->run[WH_META_STEP], 0);
        if (j == 0 && support_loss) *support_loss = wh_vec_number(wh_meta_real(w), loss);
    }
    return WHIST_OK;
}

whist_status wh_meta_forward(wh_meta_worker *w, double *support_loss, const wh_meta_at *at, const wh_meta_task *task)
{
    wh_meta_rule rule = w->meta->problem.rule;
    start(w, at);
    w->segment = 0;
    if (rule == WH_META_LSTM) return wh_meta_gates_forward(w, support_loss, at, task);
    return rule == WH_META_IMPLICIT ? wh_meta_descend(w, support_loss, at, task)
                                    : wh_meta_walk(w, support_loss, at, task);
}

whist_status wh_meta_recall(wh_meta_worker *w, const wh_meta_at *at, const wh_meta_task *task, size_t j)
{
    size_t every = w->meta->problem.keep_every;
    if (j % every == 0 || j / every == w->segment) return WHIST_OK;
    for (size_t i = j / every * every + 1; i <= j; i++) WH_TRY(make_point(w, at, task, i));
    return WHIST_OK;
}
