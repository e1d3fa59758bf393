/* kat/kat_others.c: one task and one network: imaml, abml, lstm_meta, per_fedavg. */
#include <string.h>

#include "kat/kat_meta.h"
#include "meta/bayes.h"

enum { X, Y, XQ, YQ, ARRAYS };

typedef struct job {
    kat_case *c;
    kat_model *model;
    const wh_json *task;
    kat_loss loss;
    kat_tensor data[ARRAYS];
    wh_meta_array arrays[ARRAYS + 1];
    const void *support[3], *query[5];
    wh_dims dims[2 * KAT_MAX_PARAMS];
    size_t n;
    double *theta;
    bool unknown;
} job;

/* ---- Reading ------------------------------------------------------------------------------------ */

static bool said(const job *j, const char *key, const char *text)
{
    return strcmp(kat_text(j->task, key), text) == 0;
}

/* Is the list of texts exactly these? */
static bool lists(const job *j, const char *key, const char *const texts[], size_t n)
{
    const wh_json *list = json_object_get(j->task, key);
    bool good = json_array_size(list) == n;
    for (size_t i = 0; good && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        good = text && strcmp(text, texts[i]) == 0;
    }
    return good;
}

static whist_status read_job(job *j)
{
    static const char *const names[] = {"X", "y", "Xq", "yq"};
    wh_arena *memory = &j->model->memory;
    WH_TRY(kat_model_read(j->model, j->c));
    j->task = kat_field(j->c, "task");
    j->loss = kat_loss_find(j->task);
    j->unknown = !j->loss.build || j->loss.by_class || j->model->n_params == 0;
    for (size_t i = 0; i < ARRAYS; i++) {
        const wh_json *spec = kat_data(j->c, names[i]);
        if (!spec) j->unknown = true;
        if (j->unknown) return WHIST_OK;
        WH_TRY(kat_tensor_read(&j->data[i], memory, names[i], spec));
        j->arrays[i] = (wh_meta_array){.name = names[i], .dims = j->data[i].dims};
        j->query[i] = j->data[i].data;
    }
    memcpy(j->support, j->query, 2 * sizeof *j->support);
    for (size_t i = 0; i < j->model->n_params; i++) {
        j->dims[i] = j->model->param[i].dims;
        j->n += j->model->param[i].n;
    }
    WH_TRY(WH_ARENA_NEW(&j->theta, memory, j->n));
    for (size_t i = 0, at = 0; i < j->model->n_params; at += j->model->param[i++].n)
        memcpy(j->theta + at, j->model->param[i].data, j->model->param[i].n * sizeof *j->theta);
    return WHIST_OK;
}

/* A tensor of the case itself. */
static whist_status read_own(kat_tensor *out, job *j, const char *name)
{
    const wh_json *spec = kat_data(j->c, name);
    if (spec) return kat_tensor_read(out, &j->model->memory, name, spec);
    j->unknown = true;
    return WHIST_OK;
}

/* ---- Objectives ------------------------------------------------------------------------------------- */

static wh_value objective(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                          const wh_value data[])
{
    job *j = user;
    (void)prior;
    return j->loss.build(g, kat_model_layers(j->model, g, params, data[0], j->c), data[1]);
}

/* Of support and query as one set: data are X, y, Xq, yq. */
static wh_value objective_of_both(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                                  const wh_value data[])
{
    const wh_value x[] = {data[X], data[XQ]}, y[] = {data[Y], data[YQ]};
    const wh_value both[] = {wh_graph_concat(g, 0, x, 2), wh_graph_concat(g, 0, y, 2)};
    return objective(user, g, params, prior, both);
}

static wh_meta_problem problem_of(job *j, wh_meta_rule rule)
{
    return (wh_meta_problem){.real = WH_F64,
                             .params = j->dims,
                             .n_params = j->model->n_params,
                             .support = {objective, j, j->arrays + X, 2},
                             .query = {objective, j, j->arrays + XQ, 2},
                             .rule = rule,
                             .steps = kat_size(j->task, "inner_steps", 0)};
}

/* Whether every tensor that the case expects under `key` is right; absent: true. known counts those there. */
static bool expected(job *j, const char *key, const double *got, size_t n, size_t *known)
{
    const wh_json *want = json_object_get(j->c->inner, key);
    if (!want || json_is_null(want)) return true;
    ++*known;
    return kat_close(j->c, key, got, n, want);
}

static kat_verdict verdict_of(job *j, bool good, size_t known)
{
    if (!good) return kat_failed(j->c);
    return known > 0 ? KAT_PASSED : KAT_SKIPPED;
}

/* z and the gradient of one task. */
static whist_status solve(double *z, double *grad, double *rates, double *loss, const wh_meta_problem *problem,
                          const double *theta, const double *at_rates, const wh_meta_task *task)
{
    WH_AUTO(wh_meta_ptr) meta = NULL;
    WH_AUTO(wh_meta_work_ptr) work = NULL;
    wh_meta_at at = {.theta = theta, .rates = at_rates};
    WH_TRY(wh_meta_new(&meta, problem));
    WH_TRY(wh_meta_work_new(&work, meta, 1));
    if (z) WH_TRY(wh_meta_adapt(z, work, 0, &at, task));
    wh_meta_gradient out = {grad, rates, NULL, loss};
    return wh_meta_one(&out, work, 0, &at, task);
}

static wh_meta_task task_of(const job *j)
{
    return (wh_meta_task){j->support, j->query + XQ};
}

/* ---- iMAML --------------------------------------------------------------------------------------------- */

static kat_verdict judge_imaml(job *j)
{
    double lambda = kat_number(j->task, "lambda", 0), *phi, *outer, *implicit, rate = 0;
    if (!(lambda > 0) || !strstr(kat_text(j->task, "inner"), "exact")) return KAT_SKIPPED;
    double **all[] = {&phi, &outer, &implicit};
    for (size_t i = 0; i < WH_COUNT(all); i++)
        if (WH_ARENA_NEW(all[i], &j->model->memory, j->n) != WHIST_OK) return kat_failed(j->c);
    wh_meta_problem problem = problem_of(j, WH_META_IMPLICIT);
    problem.steps = 0;
    problem.proximal = lambda;
    problem.newton = 100;
    problem.conjugate = 10 * j->n;
    problem.tolerance = 1e-14;
    wh_meta_task task = task_of(j);
    whist_status status = solve(phi, implicit, NULL, NULL, &problem, j->theta, &rate, &task);
    if (j->model->unknown) return KAT_SKIPPED;
    wh_meta_problem at_phi = problem_of(j, WH_META_FIRST_ORDER);
    at_phi.steps = 0;
    if (status == WHIST_OK) status = solve(NULL, outer, NULL, NULL, &at_phi, phi, &rate, &task);
    if (status != WHIST_OK) return kat_failed(j->c);
    size_t known = 0;
    bool good = expected(j, "phi", phi, j->n, &known);
    good = expected(j, "outer_grad_at_phi", outer, j->n, &known) && good;
    return verdict_of(j, expected(j, "implicit_meta_grad", implicit, j->n, &known) && good, known);
}

/* ---- Per-FedAvg --------------------------------------------------------------------------------------------- */

static kat_verdict judge_per_fedavg(job *j)
{
    static const struct {
        const char *key;
        wh_meta_rule rule;
    } variants[] = {{"exact", WH_META_EXACT}, {"fo", WH_META_FIRST_ORDER}, {"hf", WH_META_HESSIAN_FREE}};
    double rate = kat_number(j->task, "inner_lr", 0), *grad;
    size_t known = 0;
    bool good = true;
    if (kat_size(j->task, "inner_steps", 0) == 0) return KAT_SKIPPED;
    if (WH_ARENA_NEW(&grad, &j->model->memory, j->n) != WHIST_OK) return kat_failed(j->c);
    wh_meta_task task = task_of(j);
    for (size_t i = 0; i < WH_COUNT(variants); i++) {
        if (!json_object_get(j->c->inner, variants[i].key)) continue;
        wh_meta_problem problem = problem_of(j, variants[i].rule);
        problem.delta = kat_number(j->task, "hf_delta", 1e-3);
        whist_status status = solve(NULL, grad, NULL, NULL, &problem, j->theta, &rate, &task);
        if (j->model->unknown) return KAT_SKIPPED;
        if (status != WHIST_OK) return kat_failed(j->c);
        good = expected(j, variants[i].key, grad, j->n, &known) && good;
    }
    return verdict_of(j, good, known);
}

/* ---- LSTM -------------------------------------------------------------------------------------------------------- */

static kat_verdict judge_lstm(job *j)
{
    static const char *const inputs[] = {"grad", "loss", "c", "gate_previous"}, *const detached[] = {"grad", "loss"};
    bool known_form = lists(j, "inputs", inputs, 4) && lists(j, "detach_inputs", detached, 2) &&
                      said(j, "preprocess", "none") && said(j, "cell_initial", "theta");
    kat_tensor wi, wf;
    double rates[10], rate_grad[10], outer, *end, *grad;
    if (!known_form || read_own(&wi, j, "WI") != WHIST_OK || read_own(&wf, j, "WF") != WHIST_OK || j->unknown ||
        wi.n != 4 || wf.n != 4)
        return KAT_SKIPPED;
    memcpy(rates, wi.data, 4 * sizeof *rates);
    memcpy(rates + 5, wf.data, 4 * sizeof *rates);
    rates[4] = kat_number(j->c->inner, "bI", 0);
    rates[9] = kat_number(j->c->inner, "bF", 0);
    if (WH_ARENA_NEW(&end, &j->model->memory, j->n) != WHIST_OK ||
        WH_ARENA_NEW(&grad, &j->model->memory, j->n) != WHIST_OK)
        return kat_failed(j->c);
    wh_meta_problem problem = problem_of(j, WH_META_LSTM);
    problem.learns_rates = true;
    problem.gate_start = kat_number(j->task, "gate_initial", 0);
    wh_meta_task task = task_of(j);
    whist_status status = solve(end, grad, rate_grad, &outer, &problem, j->theta, rates, &task);
    if (j->model->unknown) return KAT_SKIPPED;
    if (status != WHIST_OK) return kat_failed(j->c);
    size_t known = 0;
    bool good = expected(j, "c_final", end, j->n, &known);
    good = expected(j, "outer", &outer, 1, &known) && good;
    good = expected(j, "grad_WI", rate_grad, 4, &known) && good;
    good = expected(j, "grad_bI", rate_grad + 4, 1, &known) && good;
    good = expected(j, "grad_WF", rate_grad + 5, 4, &known) && good;
    good = expected(j, "grad_theta", grad, j->n, &known) && good;
    return verdict_of(j, expected(j, "grad_bF", rate_grad + 9, 1, &known) && good, known);
}

/* ---- ABML
 * ------------------------------------------------------------------------------------------------------------ */

/* The noise of all steps, and the outer objective's. */
static whist_status read_noise(double **out, job *j, size_t steps)
{
    const wh_json *list = kat_data(j->c, "eps");
    j->unknown = json_array_size(list) != steps + 1;
    WH_TRY(WH_ARENA_NEW(out, &j->model->memory, (steps + 1) * j->n));
    for (size_t k = 0; k <= steps && !j->unknown; k++) {
        kat_tensor one;
        WH_TRY(kat_tensor_read(&one, &j->model->memory, "eps", json_array_get(list, k)));
        j->unknown = one.n != j->n;
        if (!j->unknown) memcpy(*out + k * j->n, one.data, j->n * sizeof **out);
    }
    return WHIST_OK;
}

static bool is_known_bayes(const job *j)
{
    const wh_json *detach = json_object_get(j->task, "detach_prior");
    return said(j, "inner_objective", "loss(support) + KL(q||prior)") &&
           said(j, "outer_objective", "loss(support and query) + KL(q||prior)") &&
           said(j, "posterior", "diagonal Gaussian, mean m, log standard deviation l") &&
           (!detach || json_is_false(detach)) && kat_size(j->task, "inner_steps", 0) > 0;
}

static wh_meta_problem bayes_problem(job *j, wh_meta_bayes bayes[2], wh_meta_array arrays[8])
{
    wh_meta_problem problem = problem_of(j, WH_META_EXACT);
    wh_meta_array noise = {.name = "eps", .dims = WH_DIMS(j->n)};
    bayes[0] = (wh_meta_bayes){objective, j, problem.n_params, 2, 1};
    bayes[1] = (wh_meta_bayes){objective_of_both, j, problem.n_params, ARRAYS, 1};
    memcpy(arrays, j->arrays, 2 * sizeof *arrays);
    memcpy(arrays + 3, j->arrays, ARRAYS * sizeof *arrays);
    arrays[2] = arrays[3 + ARRAYS] = noise;
    arrays[2].per_step = true;
    problem.support = (wh_meta_objective){wh_meta_bayes_build, &bayes[0], arrays, 3};
    problem.query = (wh_meta_objective){wh_meta_bayes_build, &bayes[1], arrays + 3, ARRAYS + 1};
    memcpy(j->dims + problem.n_params, j->dims, problem.n_params * sizeof *j->dims);
    problem.n_params *= 2;
    problem.uses_prior = true;
    return problem;
}

static kat_verdict judge_abml(job *j)
{
    size_t steps = kat_size(j->task, "inner_steps", 0), n = j->n, known = 0;
    double rate = kat_number(j->task, "inner_lr", 0), *noise, *start, *end, *grad, outer;
    kat_tensor mu, ls;
    if (!is_known_bayes(j)) return KAT_SKIPPED;
    if (read_own(&mu, j, "mu") != WHIST_OK || read_own(&ls, j, "ls") != WHIST_OK ||
        read_noise(&noise, j, steps) != WHIST_OK)
        return kat_failed(j->c);
    if (j->unknown || mu.n != n || ls.n != n) return KAT_SKIPPED;
    double **all[] = {&start, &end, &grad};
    for (size_t i = 0; i < WH_COUNT(all); i++)
        if (WH_ARENA_NEW(all[i], &j->model->memory, 2 * n) != WHIST_OK) return kat_failed(j->c);
    memcpy(start, mu.data, n * sizeof *start);
    memcpy(start + n, ls.data, n * sizeof *start);
    wh_meta_bayes bayes[2];
    wh_meta_array arrays[8];
    wh_meta_problem problem = bayes_problem(j, bayes, arrays);
    j->support[2] = noise;
    j->query[ARRAYS] = noise + steps * n;
    wh_meta_task task = {j->support, j->query};
    whist_status status = solve(end, grad, NULL, &outer, &problem, start, &rate, &task);
    if (j->model->unknown) return KAT_SKIPPED;
    if (status != WHIST_OK) return kat_failed(j->c);
    bool good = expected(j, "m_adapted", end, n, &known);
    good = expected(j, "l_adapted", end + n, n, &known) && good;
    good = expected(j, "outer_objective", &outer, 1, &known) && good;
    good = expected(j, "grad_mu", grad, n, &known) && good;
    return verdict_of(j, expected(j, "grad_ls", grad + n, n, &known) && good, known);
}

/* ---- Judging
 * ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *kind;
    kat_verdict (*judge)(job *j);
} kinds[] = {{"imaml", judge_imaml}, {"abml", judge_abml}, {"lstm_meta", judge_lstm}, {"per_fedavg", judge_per_fedavg}};

bool kat_judge_others(kat_verdict *out, kat_case *c)
{
    for (size_t i = 0; i < WH_COUNT(kinds); i++) {
        if (strcmp(c->kind, kinds[i].kind) != 0) continue;
        WH_AUTO(wh_owned) memory = NULL; /* too large for the stack */
        *out = KAT_FAILED;
        if (wh_alloc(&memory, 1, sizeof(kat_model) + sizeof(job)) != WHIST_OK) return true;
        kat_model *model = memory;
        job *j = (job *)(model + 1);
        j->c = c;
        j->model = model;
        whist_status status = read_job(j);
        *out = status != WHIST_OK ? kat_failed(c) : j->unknown ? KAT_SKIPPED : kinds[i].judge(j);
        kat_model_clear(model);
        return true;
    }
    return false;
}
