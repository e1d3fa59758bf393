/* meta/meta.c: checking a problem, laying out its vectors. */
#include "meta/meta_parts.h"

#include <math.h>
#include <string.h>

static whist_status check_rule(const wh_meta_problem *p)
{
    bool chain = p->rule == WH_META_EXACT || p->rule == WH_META_FIRST_ORDER || p->rule == WH_META_HESSIAN_FREE;
    if (!p->query.build && p->rule != WH_META_REPTILE) WH_FAIL(WHIST_E_ARG, "meta: a query objective is needed");
    if (!p->support.build && (p->steps > 0 || p->rule == WH_META_IMPLICIT))
        WH_FAIL(WHIST_E_ARG, "meta: inner steps need a support objective");
    if (p->learns_rates && !chain && p->rule != WH_META_LSTM)
        WH_FAIL(WHIST_E_ARG, "meta: rates are learned by a chain, not by this rule");
    if (p->weighs_steps && !chain) WH_FAIL(WHIST_E_ARG, "meta: steps are weighed in a chain, not by this rule");
    if (p->rule == WH_META_HESSIAN_FREE && !(p->delta > 0 && isfinite(p->delta)))
        WH_FAIL(WHIST_E_ARG, "meta: hessian-free needs a step above 0 for its differences");
    if (!(p->proximal >= 0 && isfinite(p->proximal))) WH_FAIL(WHIST_E_ARG, "meta: the proximal weight is below 0");
    if (p->rule == WH_META_LSTM && (p->uses_prior || p->rates_per_step))
        WH_FAIL(WHIST_E_UNSUPPORTED, "meta: an LSTM's gates are the same for all steps and know no prior");
    if (!(p->log_range >= 0 && p->log_range < 1e3)) WH_FAIL(WHIST_E_ARG, "meta: a log range of 0 to 1000");
    if (p->rule != WH_META_IMPLICIT) return WHIST_OK;
    if (!(p->proximal > 0)) WH_FAIL(WHIST_E_ARG, "meta: an implicit gradient needs a proximal weight above 0");
    if (p->conjugate == 0) WH_FAIL(WHIST_E_ARG, "meta: an implicit gradient needs conjugate-gradient iterations");
    if (p->uses_prior || p->rates != WH_META_RATE_ONE || p->rates_per_step)
        WH_FAIL(WHIST_E_UNSUPPORTED, "meta: an implicit gradient knows one rate and no prior but the proximal term");
    for (size_t a = 0; a < p->support.n_arrays; a++)
        if (p->support.arrays[a].per_step)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "meta: the minimum of an implicit gradient is of one support set, not of one a step");
    return WHIST_OK;
}

static whist_status check_tensors(const wh_meta_problem *p)
{
    bool any = false;
    for (size_t i = 0; i < p->n_params; i++) {
        bool adapts = !p->adapts || p->adapts[i];
        any = any || adapts;
        if (p->starts_at_zero && p->starts_at_zero[i] && !adapts)
            WH_FAIL(WHIST_E_ARG, "meta: tensor %zu starts at zero and does not adapt: it would stay zero", i);
        if (p->rule == WH_META_IMPLICIT && (!adapts || (p->starts_at_zero && p->starts_at_zero[i])))
            WH_FAIL(WHIST_E_UNSUPPORTED, "meta: an implicit gradient adapts all tensors from theta (tensor %zu)", i);
    }
    if (!any && p->steps > 0) WH_FAIL(WHIST_E_ARG, "meta: inner steps and no tensor that adapts");
    return WHIST_OK;
}

static whist_status copy_objective(wh_meta_objective *out, wh_meta *m, const wh_meta_objective *from)
{
    wh_meta_array *arrays;
    *out = *from;
    if (!from->build) out->n_arrays = 0;
    WH_TRY(WH_ARENA_NEW(&arrays, &m->memory, out->n_arrays + 1));
    for (size_t a = 0; a < out->n_arrays; a++) {
        char *name;
        arrays[a] = from->arrays[a];
        WH_TRY(wh_arena_strdup(&name, &m->memory, arrays[a].name ? arrays[a].name : "array"));
        arrays[a].name = name;
    }
    out->arrays = arrays;
    return WHIST_OK;
}

static whist_status copy_problem(wh_meta *m, const wh_meta_problem *p)
{
    wh_dims *dims;
    bool *zero;
    m->problem = *p;
    WH_TRY(WH_ARENA_NEW(&dims, &m->memory, p->n_params));
    WH_TRY(WH_ARENA_NEW(&zero, &m->memory, p->n_params));
    WH_TRY(WH_ARENA_NEW(&m->adapts, &m->memory, p->n_params));
    memcpy(dims, p->params, p->n_params * sizeof *dims);
    for (size_t i = 0; i < p->n_params; i++) {
        zero[i] = p->starts_at_zero && p->starts_at_zero[i];
        m->adapts[i] = !p->adapts || p->adapts[i];
    }
    m->problem.params = dims;
    m->problem.starts_at_zero = zero;
    m->problem.adapts = m->adapts;
    if (p->keep_every == 0) m->problem.keep_every = p->steps <= 8 ? 1 : (size_t)ceil(sqrt((double)p->steps));
    if (p->rule == WH_META_LSTM || p->keep_every > p->steps) m->problem.keep_every = 1;
    WH_TRY(copy_objective(&m->problem.support, m, &p->support));
    return copy_objective(&m->problem.query, m, &p->query);
}

static bool grow(size_t *sum, size_t by)
{
    return wh_add_size(sum, *sum, by) && *sum <= PTRDIFF_MAX / 64;
}

static void add_rate(wh_meta *m, size_t size)
{
    m->rate_offset[m->n_rate_values] = m->rate_set;
    m->rate_size[m->n_rate_values++] = size;
    m->rate_set += size;
}

static whist_status lay_out_rates(wh_meta *m, size_t n_tensors)
{
    const wh_meta_problem *p = &m->problem;
    WH_TRY(WH_ARENA_NEW(&m->rate_offset, &m->memory, n_tensors + 4));
    WH_TRY(WH_ARENA_NEW(&m->rate_size, &m->memory, n_tensors + 4));
    for (size_t i = 0; p->rule == WH_META_LSTM && i < 4; i++) add_rate(m, i % 2 ? 1 : wh_meta_gate_features(p));
    for (size_t i = 0; p->rule != WH_META_LSTM && i < p->n_params; i++) {
        bool has_one = m->adapts[i] && (p->rates != WH_META_RATE_ONE || m->n_rate_values == 0);
        if (has_one) add_rate(m, p->rates == WH_META_RATE_ELEMENTS ? m->size[i] : 1);
    }
    if (!wh_mul_size(&m->n_rates, m->rate_set, p->rates_per_step ? p->steps : 1))
        WH_FAIL(WHIST_E_RANGE, "meta: the rates of %zu steps do not fit memory", p->steps);
    return WHIST_OK;
}

static whist_status lay_out(wh_meta *m)
{
    const wh_meta_problem *p = &m->problem;
    size_t n_tensors = 0;
    WH_TRY(WH_ARENA_NEW(&m->offset, &m->memory, p->n_params));
    WH_TRY(WH_ARENA_NEW(&m->size, &m->memory, p->n_params));
    WH_TRY(WH_ARENA_NEW(&m->adapted_at, &m->memory, p->n_params));
    for (size_t i = 0; i < p->n_params; i++) {
        size_t size = 1;
        for (unsigned k = 0; k < p->params[i].rank; k++)
            if (!wh_mul_size(&size, size, p->params[i].dim[k])) size = SIZE_MAX / 2;
        m->size[i] = size;
        m->offset[i] = m->n;
        m->adapted_at[i] = m->n_adapted;
        if (size == 0 || !grow(&m->n, size) || (m->adapts[i] && !grow(&m->n_adapted, size)))
            WH_FAIL(WHIST_E_RANGE, "meta: tensor %zu of shape %s is empty or too large", i,
                    wh_dims_show(&p->params[i]).text);
        n_tensors += m->adapts[i];
    }
    return lay_out_rates(m, n_tensors);
}

size_t wh_meta_parts(size_t rows, size_t about, size_t steps)
{
    if (about == 0 || about >= rows || steps < 2) return 1;
    for (size_t each = about; 2 * each >= about && each * steps >= rows; each--)
        if (rows % each == 0) return rows / each;
    size_t each = about;
    while (rows % each > 0 || each * steps < rows) each++;
    return rows / each;
}

/* By how many rows of its class came before, and where that is the same by place. */
whist_status wh_meta_turns(uint32_t *order, const uint32_t *class_, size_t n, size_t n_classes)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 2 * n + n_classes + 1, sizeof(uint32_t)));
    uint32_t *before = memory, *begin = before + n, *seen = begin + n + 1;
    for (size_t i = 0; i < n; i++) before[i] = seen[class_[i]]++;
    for (size_t i = 0; i < n; i++) begin[before[i] + 1]++;
    for (size_t i = 0; i < n; i++) begin[i + 1] += begin[i];
    for (size_t i = 0; i < n; i++) order[begin[before[i]]++] = (uint32_t)i;
    return WHIST_OK;
}

whist_status wh_meta_new(wh_meta **out, const wh_meta_problem *problem)
{
    WH_ENSURE(out && problem && problem->params && problem->n_params > 0, WHIST_E_ARG);
    WH_ENSURE(problem->real == WH_F32 || problem->real == WH_F64, WHIST_E_ARG);
    WH_TRY(check_rule(problem));
    WH_TRY(check_tensors(problem));
    WH_AUTO(wh_meta_ptr) meta = NULL;
    WH_TRY(WH_NEW(&meta, 1));
    WH_TRY(copy_problem(meta, problem));
    WH_TRY(lay_out(meta));
    WH_TRY(wh_meta_compile(meta));
    *out = meta;
    meta = NULL;
    return WHIST_OK;
}

void wh_meta_free(wh_meta *meta)
{
    if (!meta) return;
    for (size_t k = 0; k < WH_META_PARTS; k++) wh_program_free(meta->part[k].program);
    wh_arena_clear(&meta->memory);
    wh_free(meta);
}

size_t wh_meta_n(const wh_meta *meta)
{
    return meta->n;
}

size_t wh_meta_n_rates(const wh_meta *meta)
{
    return meta->n_rates;
}

size_t wh_meta_n_adapted(const wh_meta *meta)
{
    return meta->n_adapted;
}
