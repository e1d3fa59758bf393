/* meta/implicit.c: the gradient of a minimum, by conjugate gradients over Hessian-vector products.
 *
 * At the minimum m of S(z) + λ/2 |z - θ|² the slope ∂S + λ (m - θ) is zero, so that dm/dθ = λ (H + λ)⁻¹ and
 * dQ(m)/dθ = λ (H + λ)⁻¹ ∂Q/∂z. How m was found does not matter, and nothing of the way is kept. */
#include "meta/work.h"

/* x = (H + λ)⁻¹ b at the last point, into solve[0]. A direction without curvature ends it: H + λ is not positive there.
 */
static whist_status solve(wh_meta_worker *w, const void *b, const wh_meta_at *at, const wh_meta_task *task)
{
    const wh_meta_problem *p = &w->meta->problem;
    wh_real real = wh_meta_real(w);
    wh_run *run = w->run[WH_META_SOLVE];
    size_t n = w->meta->n, now = 0;
    double left = wh_vec_dot(real, b, b, n), enough = p->tolerance * p->tolerance * left;
    wh_vec_zero(real, w->solve[0], n);
    wh_vec_copy(real, w->solve[1], b, n);
    wh_vec_copy(real, w->solve[2], b, n);
    WH_TRY(wh_meta_bind(w, WH_META_SOLVE, at, task, p->steps));
    for (size_t i = 0; i < p->conjugate && left > enough; i++) {
        wh_vec_set(real, w->numbers, left);
        WH_TRY(wh_run_input(run, w->meta->part[WH_META_SOLVE].number, w->numbers));
        for (size_t k = 0; k < WH_META_VECTORS; k++) {
            WH_TRY(wh_meta_bind_vector(w, WH_META_SOLVE, k, w->solve[3 * now + k]));
            WH_TRY(wh_meta_bind_output(w, WH_META_SOLVE, k * p->n_params, w->solve[3 * (1 - now) + k]));
        }
        WH_TRY(wh_run_go(run, NULL));
        if (!(wh_vec_number(real, wh_run_result(run, 3 * p->n_params + 1)) > 0)) break;
        left = wh_vec_number(real, wh_run_result(run, 3 * p->n_params));
        now = 1 - now;
    }
    if (now == 1) wh_vec_copy(real, w->solve[0], w->solve[3], n);
    return WHIST_OK;
}

/* Steps that are too long for a task's curvature climb, ever faster, and what a minimum's gradient says at their end
 * drives the start to where curvature is larger still: on sinusoids training ended at infinity within some thousand
 * iterations. Any way down will do, so such a task goes slower. */
whist_status wh_meta_descend(wh_meta_worker *w, double *support_loss, const wh_meta_at *at, const wh_meta_task *task)
{
    enum { HALVINGS = 16 };
    const wh_meta_problem *p = &w->meta->problem;
    wh_run *run = w->run[WH_META_SLOPE];
    double first = 0, rate = 1;
    w->is_tamed = false;
    if (p->steps == 0) return WHIST_OK;
    for (int i = 0; i <= HALVINGS; i++, rate /= 2) {
        if (i > 0) wh_vec_scale(wh_meta_real(w), w->tamed, at->rates, rate, 1);
        w->is_tamed = i > 0;
        WH_TRY(wh_meta_walk(w, &first, at, task));
        WH_TRY(wh_meta_bind(w, WH_META_SLOPE, at, task, p->steps));
        WH_TRY(wh_run_go(run, NULL));
        if (wh_vec_number(wh_meta_real(w), wh_run_result(run, p->n_params)) <= first) break;
    }
    if (support_loss) *support_loss = first;
    return WHIST_OK;
}

whist_status wh_meta_to_minimum(wh_meta_worker *w, const wh_meta_at *at, const wh_meta_task *task)
{
    const wh_meta_problem *p = &w->meta->problem;
    wh_real real = wh_meta_real(w);
    void *z = wh_meta_point(w, p->steps);
    double first = 0;
    for (size_t i = 0; i < p->newton; i++) {
        WH_TRY(wh_meta_bind(w, WH_META_SLOPE, at, task, p->steps));
        WH_TRY(wh_run_go(w->run[WH_META_SLOPE], NULL));
        double size = wh_vec_dot(real, w->slope, w->slope, w->meta->n);
        if (i == 0) first = size;
        if (!(size > p->tolerance * p->tolerance * first)) break;
        WH_TRY(solve(w, w->slope, at, task));
        wh_vec_add(real, z, w->solve[0], -1, w->meta->n);
    }
    return WHIST_OK;
}

whist_status wh_meta_through_minimum(wh_meta_worker *w, const wh_meta_at *at, const wh_meta_task *task)
{
    WH_TRY(solve(w, w->v[w->now], at, task));
    wh_vec_scale(wh_meta_real(w), w->v[w->now], w->solve[0], w->meta->problem.proximal, w->meta->n);
    return WHIST_OK;
}
