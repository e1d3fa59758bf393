/* kat/kat_chain.c: gradients through inner steps: maml, fomaml, reptile, anil, meta_sgd. */
#include <math.h>
#include <string.h>

#include "kat/kat_meta.h"
#include "meta/meta.h"

enum { X, Y, ARRAYS };

/* The support or the query of one task. */
typedef struct rows {
    kat_tensor x, y;
    kat_index labels; /* where the loss is by class */
    const void *data[ARRAYS];
} rows;

typedef struct job {
    kat_case *c;
    kat_model *model;
    kat_loss loss;
    wh_meta_rule rule;
    size_t n_tasks, n, steps, classes;
    rows *support, *query; /* by task */
    wh_meta_task *tasks;
    bool adapts[KAT_MAX_PARAMS], learns_rates;
    double *theta, *grad, *rates, *rate_grad, *part, *rate_part;
    double *before, *query_before, *after;
    const double *by_tensor[KAT_MAX_PARAMS], *rate_by_tensor[KAT_MAX_PARAMS];
    bool unknown;
} job;

/* ---- Losses ------------------------------------------------------------------------------------- */

static wh_value differences(wh_graph *g, wh_value output, wh_value target)
{
    return wh_graph_sub(g, output, wh_graph_reshape(g, target, wh_graph_dims(g, output)));
}

static wh_value mse(wh_graph *g, wh_value output, wh_value target)
{
    return wh_graph_mean_all(g, wh_graph_square(g, differences(g, output, target)));
}

static wh_value half_mse(wh_graph *g, wh_value output, wh_value target)
{
    return wh_graph_scale(g, mse(g, output, target), .5);
}

static wh_value half_sse(wh_graph *g, wh_value output, wh_value target)
{
    wh_value off = differences(g, output, target);
    return wh_graph_scale(g, wh_graph_dot(g, off, off), .5);
}

/* log cosh d = |d| + log(1 + e^(-2|d|)) - log 2, smooth at 0: softplus(2d) - d - log 2 */
static wh_value log_cosh(wh_graph *g, wh_value output, wh_value target)
{
    wh_value d = differences(g, output, target);
    wh_value each = wh_graph_sub(g, wh_graph_softplus(g, wh_graph_scale(g, d, 2)), d);
    return wh_graph_shift(g, wh_graph_mean_all(g, each), -M_LN2);
}

static wh_value cross_entropy(wh_graph *g, wh_value output, wh_value target)
{
    return wh_graph_mean_all(g, wh_graph_cross_entropy(g, output, target));
}

kat_loss kat_loss_find(const wh_json *task)
{
    static const struct {
        const char *name;
        const char *reductions[3]; /* "": not said */
        kat_loss loss;
    } all[] = {
        {"mse", {"mean over all elements", "", NULL}, {mse, false}},
        {"half_mse_mean", {"", NULL}, {half_mse, false}},
        {"half_sse_sum", {"", NULL}, {half_sse, false}},
        {"log_cosh_mean", {"", NULL}, {log_cosh, false}},
        {"cross_entropy", {"mean over examples", "mean over query examples", ""}, {cross_entropy, true}},
    };
    const char *name = kat_text(task, "loss"), *reduction = kat_text(task, "loss_reduction");
    for (size_t i = 0; i < WH_COUNT(all); i++)
        for (size_t k = 0; strcmp(all[i].name, name) == 0 && k < 3 && all[i].reductions[k]; k++)
            if (strcmp(all[i].reductions[k], reduction) == 0) return all[i].loss;
    return (kat_loss){NULL, false};
}

static wh_value objective(void *user, wh_graph *g, const wh_value params[], const wh_value prior[],
                          const wh_value data[])
{
    job *j = user;
    (void)prior;
    return j->loss.build(g, kat_model_layers(j->model, g, params, data[X], j->c), data[Y]);
}

/* ---- Reading ---------------------------------------------------------------------------------------- */

static whist_status read_rows(rows *out, job *j, const wh_json *task, const char *x, const char *y)
{
    wh_arena *memory = &j->model->memory;
    const wh_json *inputs = json_object_get(task, x), *targets = json_object_get(task, y);
    if (!inputs || !targets) {
        j->unknown = true;
        return WHIST_OK;
    }
    WH_TRY(kat_tensor_read(&out->x, memory, x, inputs));
    if (j->loss.by_class)
        WH_TRY(kat_index_read(&out->labels, memory, y, targets, j->classes));
    else
        WH_TRY(kat_tensor_read(&out->y, memory, y, targets));
    out->data[X] = out->x.data;
    out->data[Y] = j->loss.by_class ? (const void *)out->labels.data : out->y.data;
    return WHIST_OK;
}

/* How many classes the network tells apart. */
static whist_status count_classes(job *j, const wh_json *task)
{
    kat_tensor x;
    wh_value params[KAT_MAX_PARAMS];
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_TRY(kat_tensor_read(&x, &j->model->memory, "x_support", json_object_get(task, "x_support")));
    WH_TRY(wh_graph_new(&g, WH_F64));
    for (size_t i = 0; i < j->model->n_params; i++)
        params[i] = wh_graph_input(g, "p", WH_PARAM, j->model->param[i].dims);
    wh_value out = kat_model_layers(j->model, g, params, wh_graph_input(g, "x", WH_EXAMPLES, x.dims), j->c);
    if (j->model->unknown) return WHIST_OK;
    WH_TRY(wh_graph_status(g));
    wh_dims dims = wh_graph_dims(g, out);
    j->classes = dims.rank == 2 ? dims.dim[1] : 0;
    j->unknown = j->loss.by_class && dims.rank != 2;
    return WHIST_OK;
}

static void read_mask(job *j)
{
    const wh_json *list = kat_field(j->c, "adapt");
    if (!list) list = json_object_get(kat_field(j->c, "task"), "adapt");
    bool all = !list || (json_is_string(list) && strcmp(json_string_value(list), "all") == 0);
    for (size_t i = 0; i < j->model->n_params; i++) j->adapts[i] = all;
    if (!all && !json_is_array(list)) j->unknown = true;
    for (size_t k = 0; !all && k < json_array_size(list); k++) {
        const char *name = json_string_value(json_array_get(list, k));
        const kat_tensor *t = name ? kat_model_param(j->model, name) : NULL;
        if (t)
            j->adapts[t - j->model->param] = true;
        else
            j->unknown = true;
    }
}

static void read_rule(job *j, const wh_json *task)
{
    const char *kind = j->c->kind, *optimizer = kat_text(task, "inner_optimizer");
    const wh_json *steps = json_object_get(task, "inner_steps"), *second = kat_field(j->c, "second_order");
    j->rule = strcmp(kind, "reptile") == 0                                       ? WH_META_REPTILE
              : strcmp(kind, "fomaml") == 0 || (second && json_is_false(second)) ? WH_META_FIRST_ORDER
                                                                                 : WH_META_EXACT;
    j->learns_rates = strcmp(kind, "meta_sgd") == 0;
    const wh_json *rate = j->learns_rates ? kat_field(j->c, "alpha_init") : json_object_get(task, "inner_lr");
    if ((*optimizer && strcmp(optimizer, "sgd") != 0) || !json_is_integer(steps) || !json_is_number(rate))
        j->unknown = true;
    if (!j->unknown) *j->rates = json_number_value(rate);
    j->steps = kat_size(task, "inner_steps", 0);
}

static whist_status vectors(job *j)
{
    wh_arena *memory = &j->model->memory;
    double **all[] = {&j->theta, &j->grad, &j->rates, &j->rate_grad, &j->part, &j->rate_part};
    for (size_t i = 0; i < j->model->n_params; i++) j->n += j->model->param[i].n;
    for (size_t i = 0; i < WH_COUNT(all); i++) WH_TRY(WH_ARENA_NEW(all[i], memory, j->n + 1));
    double **losses[] = {&j->before, &j->query_before, &j->after};
    for (size_t i = 0; i < WH_COUNT(losses); i++) WH_TRY(WH_ARENA_NEW(losses[i], memory, j->n_tasks));
    for (size_t i = 0, at = 0; i < j->model->n_params; at += j->model->param[i++].n)
        memcpy(j->theta + at, j->model->param[i].data, j->model->param[i].n * sizeof *j->theta);
    return WHIST_OK;
}

static whist_status read_job(job *j)
{
    const wh_json *task = kat_field(j->c, "task"), *tasks = kat_field(j->c, "tasks");
    wh_arena *memory = &j->model->memory;
    WH_TRY(kat_model_read(j->model, j->c));
    j->loss = kat_loss_find(task);
    j->n_tasks = json_array_size(tasks);
    j->unknown = !j->loss.build || j->n_tasks == 0 || j->model->n_params == 0;
    if (j->unknown) return WHIST_OK;
    WH_TRY(vectors(j));
    read_rule(j, task);
    read_mask(j);
    if (!json_object_get(json_array_get(tasks, 0), "x_support")) j->unknown = true;
    if (j->unknown) return WHIST_OK;
    WH_TRY(count_classes(j, json_array_get(tasks, 0)));
    WH_TRY(WH_ARENA_NEW(&j->support, memory, j->n_tasks));
    WH_TRY(WH_ARENA_NEW(&j->query, memory, j->n_tasks));
    WH_TRY(WH_ARENA_NEW(&j->tasks, memory, j->n_tasks));
    for (size_t t = 0; t < j->n_tasks && !j->unknown && !j->model->unknown; t++) {
        const wh_json *one = json_array_get(tasks, t);
        WH_TRY(read_rows(&j->support[t], j, one, "x_support", "y_support"));
        WH_TRY(read_rows(&j->query[t], j, one, "x_query", "y_query"));
        j->tasks[t] = (wh_meta_task){j->support[t].data, j->query[t].data};
    }
    return WHIST_OK;
}

/* ---- Computing ------------------------------------------------------------------------------------------ */

static bool same_shapes(const rows *a, const rows *b)
{
    return wh_dims_equal(&a->x.dims, &b->x.dims) && wh_dims_equal(&a->y.dims, &b->y.dims) &&
           wh_dims_equal(&a->labels.dims, &b->labels.dims);
}

static wh_meta_objective describe(job *j, const rows *r, wh_meta_array arrays[ARRAYS])
{
    arrays[X] = (wh_meta_array){.name = "x", .dims = r->x.dims};
    arrays[Y] = (wh_meta_array){.name = "y", .dims = j->loss.by_class ? r->labels.dims : r->y.dims};
    arrays[Y].limit = j->loss.by_class ? j->classes : 0;
    return (wh_meta_objective){objective, j, arrays, ARRAYS};
}

/* Tasks from … to-1, which have the same shapes; adds their gradients, not averaged. */
static whist_status some_tasks(job *j, size_t from, size_t to)
{
    wh_dims dims[KAT_MAX_PARAMS];
    wh_meta_array support[ARRAYS], query[ARRAYS];
    WH_AUTO(wh_meta_ptr) meta = NULL;
    WH_AUTO(wh_meta_work_ptr) work = NULL;
    for (size_t i = 0; i < j->model->n_params; i++) dims[i] = j->model->param[i].dims;
    wh_meta_problem problem = {.real = WH_F64, .params = dims, .n_params = j->model->n_params, .rule = j->rule};
    problem.support = describe(j, &j->support[from], support);
    problem.query = describe(j, &j->query[from], query);
    problem.steps = j->steps;
    problem.adapts = j->adapts;
    problem.learns_rates = j->learns_rates;
    problem.rates = j->learns_rates ? WH_META_RATE_ELEMENTS : WH_META_RATE_ONE;
    WH_TRY(wh_meta_new(&meta, &problem));
    WH_TRY(wh_meta_work_new(&work, meta, 1));
    for (size_t i = 1; i < wh_meta_n_rates(meta); i++) j->rates[i] = j->rates[0];
    wh_meta_at at = {.theta = j->theta, .rates = j->rates};
    wh_meta_gradient out = {j->part, j->rate_part, j->before + from, j->after + from};
    WH_TRY(wh_meta_step(&out, work, &at, j->tasks + from, to - from, NULL));
    for (size_t i = 0; i < j->n; i++) j->grad[i] += j->part[i] * (double)(to - from);
    for (size_t i = 0; i < wh_meta_n_rates(meta); i++) j->rate_grad[i] += j->rate_part[i] * (double)(to - from);
    for (size_t t = from; t < to; t++) {
        double *curve;
        WH_TRY(WH_ARENA_NEW(&curve, &j->model->memory, j->steps + 1));
        WH_TRY(wh_meta_curve(curve, work, 0, &at, &j->tasks[t]));
        j->query_before[t] = curve[0];
    }
    return WHIST_OK;
}

static whist_status compute(job *j)
{
    for (size_t from = 0, to; from < j->n_tasks; from = to) {
        for (to = from + 1; to < j->n_tasks && same_shapes(&j->support[from], &j->support[to]) &&
                            same_shapes(&j->query[from], &j->query[to]);)
            to++;
        WH_TRY(some_tasks(j, from, to));
    }
    for (size_t i = 0; i < j->n; i++) j->grad[i] /= (double)j->n_tasks;
    for (size_t i = 0; i < j->n; i++) j->rate_grad[i] /= (double)j->n_tasks;
    size_t at = 0, rate = 0;
    for (size_t i = 0; i < j->model->n_params; i++) {
        j->by_tensor[i] = j->grad + at;
        j->rate_by_tensor[i] = j->learns_rates && j->adapts[i] ? j->rate_grad + rate : NULL;
        at += j->model->param[i].n;
        rate += j->adapts[i] ? j->model->param[i].n : 0;
    }
    return WHIST_OK;
}

/* ---- Judging ------------------------------------------------------------------------------------------------ */

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static bool field_close(job *j, const char *key, const wh_json *value, size_t *known)
{
    bool reptile = j->rule == WH_META_REPTILE;
    ++*known;
    if (strcmp(key, "meta_grad") == 0 && !reptile) return kat_tensors_close(j->c, j->model, j->by_tensor, value);
    if (strcmp(key, "direction_theta_minus_adapted") == 0 && reptile)
        return kat_tensors_close(j->c, j->model, j->by_tensor, value);
    if (strcmp(key, "alpha_grad") == 0) return kat_tensors_close(j->c, j->model, j->rate_by_tensor, value);
    if (strcmp(key, "meta_loss") == 0) return kat_close_one(j->c, key, mean_of(j->after, j->n_tasks), value);
    if (strcmp(key, "task_support_loss_before") == 0) return kat_close(j->c, key, j->before, j->n_tasks, value);
    if (strcmp(key, "task_query_loss_before") == 0) return kat_close(j->c, key, j->query_before, j->n_tasks, value);
    if (strcmp(key, "task_query_loss_after") == 0) return kat_close(j->c, key, j->after, j->n_tasks, value);
    --*known;
    return true;
}

static kat_verdict compare(job *j)
{
    const char *key;
    wh_json *value;
    size_t known = 0;
    bool good = true;
    json_object_foreach((wh_json *)(uintptr_t)j->c->inner, key, value)
    {
        if (!json_is_null(value)) good = field_close(j, key, value, &known) && good;
    }
    if (!good) return kat_failed(j->c);
    return known > 0 ? KAT_PASSED : KAT_SKIPPED;
}

static kat_verdict judge(job *j)
{
    if (read_job(j) != WHIST_OK) return kat_failed(j->c);
    if (j->unknown || j->model->unknown) return KAT_SKIPPED;
    whist_status status = compute(j);
    if (j->model->unknown) return KAT_SKIPPED;
    return status == WHIST_OK ? compare(j) : kat_failed(j->c);
}

bool kat_judge_chain(kat_verdict *out, kat_case *c)
{
    static const char *const kinds[] = {"maml", "fomaml", "reptile", "anil", "meta_sgd"};
    bool known = false;
    for (size_t i = 0; i < WH_COUNT(kinds); i++) known = known || strcmp(c->kind, kinds[i]) == 0;
    if (!known) return false;
    WH_AUTO(wh_owned) memory = NULL; /* too large for the stack */
    *out = KAT_FAILED;
    if (wh_alloc(&memory, 1, sizeof(kat_model) + sizeof(job)) != WHIST_OK) return true;
    kat_model *model = memory;
    job *j = (job *)(model + 1);
    j->c = c;
    j->model = model;
    *out = judge(j);
    kat_model_clear(model);
    return true;
}
