/* meta/chain.c: the gradient of one task, backwards through its steps; the mean over tasks. */
#include "meta/work.h"

/* The tasks are cut into at most this many runs of neighbours, each summed by itself and the sums then in order. */
enum { LANES = 16 };

struct wh_meta_work {
    const wh_meta *meta;
    unsigned threads;
    wh_meta_worker *workers;
    void *sum[LANES], *rate_sum[LANES];
    size_t bytes;
};

/* ---- One task ------------------------------------------------------------------------------------ */

static double weight_of(const wh_meta_worker *w, const wh_meta_at *at, size_t j)
{
    const wh_meta_problem *p = &w->meta->problem;
    return p->weighs_steps ? at->weights[j] : j == p->steps ? 1 : 0;
}

/* v += w_j ∂Q(z_j)/∂z, d += w_j ∂Q(z_j)/∂θ, loss += w_j Q(z_j) */
static whist_status add_query(wh_meta_worker *w, double *loss, const wh_meta_at *at, const wh_meta_task *task, size_t j)
{
    double weight = weight_of(w, at, j);
    wh_run *run = w->run[WH_META_QUERY];
    wh_real real = wh_meta_real(w);
    if (weight == 0) return WHIST_OK;
    WH_TRY(wh_meta_bind(w, WH_META_QUERY, at, task, j));
    WH_TRY(wh_run_go(run, NULL));
    *loss += weight * wh_vec_number(real, wh_run_result(run, 0));
    wh_vec_add(real, w->v[w->now], w->slope, weight, w->meta->n);
    if (w->meta->problem.uses_prior) wh_vec_add(real, w->d, w->part_d, weight, w->meta->n);
    return WHIST_OK;
}

static whist_status step_back(wh_meta_worker *w, const wh_meta_at *at, const wh_meta_task *task, size_t j)
{
    const wh_meta_problem *p = &w->meta->problem;
    wh_run *run = w->run[WH_META_BACK];
    bool moves = p->rule != WH_META_FIRST_ORDER;
    if (!run) return WHIST_OK;
    WH_TRY(wh_meta_bind(w, WH_META_BACK, at, task, j));
    WH_TRY(wh_meta_bind_vector(w, WH_META_BACK, 0, w->v[w->now]));
    if (moves) WH_TRY(wh_meta_bind_output(w, WH_META_BACK, 0, w->v[1 - w->now]));
    WH_TRY(wh_run_go(run, NULL));
    if (moves && w->d) wh_vec_add(wh_meta_real(w), w->d, w->part_d, 1, w->meta->n);
    if (p->learns_rates) wh_meta_take_rates(w, WH_META_BACK, !moves ? 0 : w->d ? 2 * p->n_params : p->n_params, j);
    if (moves) w->now = 1 - w->now;
    return WHIST_OK;
}

static whist_status chain(wh_meta_worker *w, double *loss, const wh_meta_at *at, const wh_meta_task *task)
{
    const wh_meta *m = w->meta;
    WH_TRY(add_query(w, loss, at, task, m->problem.steps));
    for (size_t j = m->problem.steps; j-- > 0;) {
        WH_TRY(wh_meta_recall(w, at, task, j));
        WH_TRY(step_back(w, at, task, j));
        WH_TRY(add_query(w, loss, at, task, j));
    }
    if (w->d) wh_vec_add(wh_meta_real(w), w->v[w->now], w->d, 1, m->n);
    return WHIST_OK;
}

/* θ - z_k */
static whist_status moved(wh_meta_worker *w, double *loss, const wh_meta_at *at, const wh_meta_task *task)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    const void *end = wh_meta_point(w, m->problem.steps);
    for (size_t i = 0; i < m->problem.n_params; i++)
        if (m->adapts[i])
            wh_vec_sub(real, wh_vec_at(real, w->v[w->now], m->offset[i]), wh_vec_from(real, at->theta, m->offset[i]),
                       wh_vec_from(real, end, m->adapted_at[i]), m->size[i]);
    if (!w->run[WH_META_VALUE] || !task->query) return WHIST_OK;
    WH_TRY(wh_meta_bind(w, WH_META_VALUE, at, task, m->problem.steps));
    WH_TRY(wh_run_go(w->run[WH_META_VALUE], NULL));
    *loss = wh_vec_number(real, wh_run_result(w->run[WH_META_VALUE], 0));
    return WHIST_OK;
}

static whist_status implicit(wh_meta_worker *w, double *loss, const wh_meta_at *at, const wh_meta_task *task)
{
    WH_TRY(wh_meta_to_minimum(w, at, task));
    WH_TRY(add_query(w, loss, at, task, w->meta->problem.steps));
    return wh_meta_through_minimum(w, at, task);
}

static whist_status gated(wh_meta_worker *w, double *loss, const wh_meta_at *at, const wh_meta_task *task)
{
    WH_TRY(add_query(w, loss, at, task, w->meta->problem.steps));
    return w->meta->problem.steps > 0 ? wh_meta_gates_back(w, at) : WHIST_OK;
}

/* Into v[now] and rates. */
static whist_status gradient_of(wh_meta_worker *w, double *support_loss, double *query_loss, const wh_meta_at *at,
                                const wh_meta_task *task)
{
    const wh_meta *m = w->meta;
    wh_real real = wh_meta_real(w);
    w->now = 0;
    wh_vec_zero(real, w->v[0], m->n);
    if (w->d) wh_vec_zero(real, w->d, m->n);
    if (w->rates) wh_vec_zero(real, w->rates, m->n_rates);
    WH_TRY(wh_meta_forward(w, support_loss, at, task));
    if (m->problem.rule == WH_META_REPTILE)
        WH_TRY(moved(w, query_loss, at, task));
    else if (m->problem.rule == WH_META_IMPLICIT)
        WH_TRY(implicit(w, query_loss, at, task));
    else if (m->problem.rule == WH_META_LSTM)
        WH_TRY(gated(w, query_loss, at, task));
    else
        WH_TRY(chain(w, query_loss, at, task));
    for (size_t i = 0; i < m->problem.n_params; i++)
        if (m->problem.starts_at_zero[i]) wh_vec_zero(real, wh_vec_at(real, w->v[w->now], m->offset[i]), m->size[i]);
    return WHIST_OK;
}

static whist_status check_at(const wh_meta *m, const wh_meta_at *at)
{
    WH_ENSURE(at && at->theta && (at->rates || m->n_rates == 0 || m->problem.steps == 0), WHIST_E_ARG);
    WH_ENSURE(at->weights || !m->problem.weighs_steps, WHIST_E_ARG);
    return WHIST_OK;
}

static whist_status worker_of(wh_meta_worker **out, wh_meta_work *work, unsigned worker, const wh_meta_at *at)
{
    WH_ENSURE(work && worker < work->threads, WHIST_E_ARG);
    WH_TRY(check_at(work->meta, at));
    *out = &work->workers[worker];
    return WHIST_OK;
}

whist_status wh_meta_one(const wh_meta_gradient *out, wh_meta_work *work, unsigned worker, const wh_meta_at *at,
                         const wh_meta_task *task)
{
    wh_meta_worker *w;
    double support = 0, query = 0;
    WH_ENSURE(out && task, WHIST_E_ARG);
    WH_TRY(worker_of(&w, work, worker, at));
    WH_TRY(gradient_of(w, &support, &query, at, task));
    if (out->theta) wh_vec_copy(wh_meta_real(w), out->theta, w->v[w->now], work->meta->n);
    if (out->rates && w->rates) wh_vec_copy(wh_meta_real(w), out->rates, w->rates, work->meta->n_rates);
    if (out->support_loss) *out->support_loss = support;
    if (out->query_loss) *out->query_loss = query;
    return WHIST_OK;
}

whist_status wh_meta_adapt(void *z, wh_meta_work *work, unsigned worker, const wh_meta_at *at, const wh_meta_task *task)
{
    wh_meta_worker *w;
    WH_ENSURE(z && task, WHIST_E_ARG);
    WH_TRY(worker_of(&w, work, worker, at));
    const wh_meta *m = work->meta;
    wh_real real = wh_meta_real(w);
    WH_TRY(wh_meta_forward(w, NULL, at, task));
    if (m->problem.rule == WH_META_IMPLICIT) WH_TRY(wh_meta_to_minimum(w, at, task));
    const void *end = wh_meta_point(w, m->problem.steps);
    for (size_t i = 0; i < m->problem.n_params; i++)
        wh_vec_copy(real, wh_vec_at(real, z, m->offset[i]),
                    m->adapts[i] ? wh_vec_from(real, end, m->adapted_at[i])
                                 : wh_vec_from(real, at->theta, m->offset[i]),
                    m->size[i]);
    return WHIST_OK;
}

whist_status wh_meta_curve(double losses[], wh_meta_work *work, unsigned worker, const wh_meta_at *at,
                           const wh_meta_task *task)
{
    wh_meta_worker *w;
    WH_ENSURE(losses && task, WHIST_E_ARG);
    WH_TRY(worker_of(&w, work, worker, at));
    wh_run *run = w->run[WH_META_VALUE];
    if (!run) WH_FAIL(WHIST_E_STATE, "meta: this problem has no query objective");
    WH_TRY(wh_meta_forward(w, NULL, at, task));
    if (work->meta->problem.rule == WH_META_IMPLICIT) WH_TRY(wh_meta_to_minimum(w, at, task));
    for (size_t j = work->meta->problem.steps + 1; j-- > 0;) {
        if (j < work->meta->problem.steps) WH_TRY(wh_meta_recall(w, at, task, j));
        WH_TRY(wh_meta_bind(w, WH_META_VALUE, at, task, j));
        WH_TRY(wh_run_go(run, NULL));
        losses[j] = wh_vec_number(wh_meta_real(w), wh_run_result(run, 0));
    }
    return WHIST_OK;
}

/* ---- Many tasks ------------------------------------------------------------------------------------- */

typedef struct batch {
    const wh_meta_gradient *out;
    wh_meta_work *work;
    const wh_meta_at *at;
    const wh_meta_task *tasks;
    size_t n_tasks, n_lanes;
} batch;

static whist_status one_lane(void *user, size_t lane, unsigned worker)
{
    const batch *b = user;
    wh_meta_worker *w = &b->work->workers[worker];
    const wh_meta *m = b->work->meta;
    wh_real real = wh_meta_real(w);
    size_t from = lane * b->n_tasks / b->n_lanes, to = (lane + 1) * b->n_tasks / b->n_lanes;
    wh_vec_zero(real, b->work->sum[lane], m->n);
    if (w->rates) wh_vec_zero(real, b->work->rate_sum[lane], m->n_rates);
    for (size_t t = from; t < to; t++) {
        double support = 0, query = 0;
        WH_TRY(gradient_of(w, &support, &query, b->at, &b->tasks[t]));
        wh_vec_add(real, b->work->sum[lane], w->v[w->now], 1, m->n);
        if (w->rates) wh_vec_add(real, b->work->rate_sum[lane], w->rates, 1, m->n_rates);
        if (b->out->support_loss) b->out->support_loss[t] = support;
        if (b->out->query_loss) b->out->query_loss[t] = query;
    }
    return WHIST_OK;
}

static void mean_of(void *out, wh_real real, void *const sums[], size_t n_sums, size_t n_tasks, size_t n)
{
    for (size_t i = 1; i < n_sums; i++) wh_vec_add(real, sums[0], sums[i], 1, n);
    wh_vec_scale(real, out, sums[0], 1 / (double)n_tasks, n);
}

whist_status wh_meta_step(const wh_meta_gradient *out, wh_meta_work *work, const wh_meta_at *at,
                          const wh_meta_task tasks[], size_t n_tasks, wh_pool *pool)
{
    WH_ENSURE(out && out->theta && work && tasks, WHIST_E_ARG);
    WH_TRY(check_at(work->meta, at));
    if (n_tasks == 0) WH_FAIL(WHIST_E_ARG, "meta: a step of no tasks");
    if (wh_pool_threads(pool) > work->threads)
        WH_FAIL(WHIST_E_ARG, "meta: a pool of %u threads for memory of %u", wh_pool_threads(pool), work->threads);
    batch b = {out, work, at, tasks, n_tasks, n_tasks < LANES ? n_tasks : LANES};
    WH_TRY(wh_pool_run(pool, b.n_lanes, one_lane, &b));
    const wh_meta *m = work->meta;
    mean_of(out->theta, m->problem.real, work->sum, b.n_lanes, n_tasks, m->n);
    if (out->rates && m->problem.learns_rates)
        mean_of(out->rates, m->problem.real, work->rate_sum, b.n_lanes, n_tasks, m->n_rates);
    return WHIST_OK;
}

/* ---- Life ----------------------------------------------------------------------------------------------- */

whist_status wh_meta_work_new(wh_meta_work **out, const wh_meta *meta, unsigned threads)
{
    WH_ENSURE(out && meta && threads > 0, WHIST_E_ARG);
    WH_AUTO(wh_meta_work_ptr) work = NULL;
    size_t each = wh_vec_size(meta->problem.real);
    WH_TRY(WH_NEW(&work, 1));
    work->meta = meta;
    WH_TRY(WH_NEW(&work->workers, threads));
    for (; work->threads < threads; work->threads++) {
        wh_meta_worker *w = &work->workers[work->threads];
        whist_status status = wh_meta_worker_init(w, meta, &work->bytes);
        if (status != WHIST_OK) wh_meta_worker_clear(w);
        WH_TRY(status);
    }
    for (size_t i = 0; i < LANES; i++) {
        WH_TRY(wh_alloc(&work->sum[i], meta->n, each));
        work->bytes += meta->n * each;
        if (meta->problem.learns_rates) WH_TRY(wh_alloc(&work->rate_sum[i], meta->n_rates, each));
        if (meta->problem.learns_rates) work->bytes += meta->n_rates * each;
    }
    *out = work;
    work = NULL;
    return WHIST_OK;
}

void wh_meta_work_free(wh_meta_work *work)
{
    if (!work) return;
    for (unsigned i = 0; i < work->threads; i++) wh_meta_worker_clear(&work->workers[i]);
    for (size_t i = 0; i < LANES; i++) {
        wh_free(work->sum[i]);
        wh_free(work->rate_sum[i]);
    }
    wh_free(work->workers);
    wh_free(work);
}

size_t wh_meta_work_bytes(const wh_meta_work *work)
{
    return work->bytes;
}
