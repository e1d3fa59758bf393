/* kat/kat_heads.c: heads over embeddings: proto, matching, r2d2. */
#include <string.h>

#include "kat/kat_meta.h"
#include "meta/metric.h"
#include "nn/graph/program.h"

typedef struct head {
    kat_case *c;
    kat_model *model;
    kat_tensor support, query;
    kat_index labels, target;
    size_t ways;
    wh_value logits, loss;
    wh_program *program;
    wh_run *run;
    bool unknown;
} head;

static void head_clear(head *h)
{
    wh_run_free(h->run);
    wh_program_free(h->program);
}
WH_AUTO_CLEAR(head, head_clear)

/* ---- Reading ------------------------------------------------------------------------------------ */

/* Is the text absent or this one? */
static bool said(const head *h, const char *key, const char *text)
{
    const wh_json *value = kat_field(h->c, key);
    return !value || (json_is_string(value) && strcmp(json_string_value(value), text) == 0);
}

static bool is_false(const head *h, const char *key)
{
    const wh_json *value = kat_field(h->c, key);
    return !value || json_is_false(value);
}

static double number(const head *h, const char *key, double fallback)
{
    const wh_json *value = kat_field(h->c, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

static bool find_score(wh_meta_score *out, const head *h)
{
    const char *name = kat_text(h->c->inner, "score");
    *out = strcmp(name, "cosine") == 0 ? WH_META_COSINE : WH_META_EUCLIDEAN;
    return *out == WH_META_COSINE || strcmp(name, "negative_squared_euclidean") == 0;
}

static whist_status read_head(head *h)
{
    const wh_json *task = kat_field(h->c, "task");
    const wh_json *xs = kat_data(h->c, "x_support"), *xq = kat_data(h->c, "x_query");
    const wh_json *ys = kat_data(h->c, "y_support"), *yq = kat_data(h->c, "y_query");
    const char *loss = kat_text(task, "loss"), *reduction = kat_text(task, "loss_reduction");
    h->ways = kat_size(task, "ways", 0);
    h->unknown = !xs || !xq || !ys || !yq || h->ways == 0 ||
                 (strcmp(loss, "nll") != 0 && strcmp(loss, "cross_entropy") != 0) ||
                 (*reduction && strncmp(reduction, "mean over", 9) != 0);
    if (h->unknown) return WHIST_OK;
    wh_arena *memory = &h->model->memory;
    WH_TRY(kat_model_read(h->model, h->c));
    WH_TRY(kat_tensor_read(&h->support, memory, "x_support", xs));
    WH_TRY(kat_tensor_read(&h->query, memory, "x_query", xq));
    WH_TRY(kat_index_read(&h->labels, memory, "y_support", ys, h->ways));
    return kat_index_read(&h->target, memory, "y_query", yq, h->ways);
}

/* ---- Building --------------------------------------------------------------------------------------- */

static wh_value embed(head *h, kat_tensor *x)
{
    kat_model *m = h->model;
    wh_value params[KAT_MAX_PARAMS];
    for (size_t i = 0; i < m->n_params; i++) params[i] = m->param[i].value;
    x->value = wh_graph_input(m->graph, x->name, WH_EXAMPLES, x->dims);
    return kat_model_layers(m, m->graph, params, x->value, h->c);
}

static wh_value ridge(head *h, wh_value support, wh_value labels, wh_value query)
{
    wh_graph *g = h->model->graph;
    if (!said(h, "targets", "one_hot") || !is_false(h, "bias") || !json_is_number(kat_field(h->c, "lambda"))) {
        h->unknown = true;
        return WH_NO_VALUE;
    }
    wh_value lambda = wh_graph_fill(g, WH_SCALAR, number(h, "lambda", 0));
    wh_value scale = wh_graph_fill(g, WH_SCALAR, number(h, "logit_scale", 1));
    wh_value offset = wh_graph_fill(g, WH_SCALAR, number(h, "logit_offset", 0));
    return wh_meta_ridge_head(g, support, labels, query, h->ways, lambda, scale, offset);
}

static wh_value logits_of(head *h, wh_value support, wh_value labels, wh_value query)
{
    wh_graph *g = h->model->graph;
    wh_meta_score score;
    if (strcmp(h->c->kind, "r2d2") == 0) return ridge(h, support, labels, query);
    h->unknown = !find_score(&score, h) || !is_false(h, "full_context_embeddings") ||
                 !said(h, "prototype", "class mean of the support embeddings") ||
                 !said(h, "attention", "softmax over the support examples, summed per class");
    if (h->unknown) return WH_NO_VALUE;
    double scale = number(h, "scale", 1);
    return strcmp(h->c->kind, "proto") == 0 ? wh_meta_proto_head(g, support, labels, query, h->ways, score, scale)
                                            : wh_meta_matching_head(g, support, labels, query, h->ways, score, scale);
}

static whist_status build(head *h)
{
    kat_model *m = h->model;
    h->labels.value = wh_graph_index(m->graph, "y_support", WH_EXAMPLES, h->labels.dims, h->ways);
    h->target.value = wh_graph_index(m->graph, "y_query", WH_EXAMPLES, h->target.dims, h->ways);
    wh_value support = embed(h, &h->support), query = embed(h, &h->query);
    if (m->unknown) return WHIST_OK;
    h->logits = logits_of(h, support, h->labels.value, query);
    if (h->unknown) return WHIST_OK;
    h->loss = wh_graph_mean_all(m->graph, wh_graph_cross_entropy(m->graph, h->logits, h->target.value));
    return wh_graph_status(m->graph);
}

static whist_status run(head *h)
{
    kat_model *m = h->model;
    wh_value outputs[2 + KAT_MAX_PARAMS] = {h->loss, wh_graph_log_softmax(m->graph, h->logits)}, wrt[KAT_MAX_PARAMS];
    for (size_t i = 0; i < m->n_params; i++) wrt[i] = m->param[i].value;
    WH_TRY(wh_graph_gradient(outputs + 2, m->graph, h->loss, wrt, m->n_params));
    WH_TRY(wh_program_new(&h->program, m->graph, outputs, 2 + m->n_params));
    WH_TRY(wh_run_new(&h->run, h->program, 1));
    for (size_t i = 0; i < m->n_params; i++) WH_TRY(wh_run_input(h->run, m->param[i].value, m->param[i].data));
    WH_TRY(wh_run_input(h->run, h->support.value, h->support.data));
    WH_TRY(wh_run_input(h->run, h->query.value, h->query.data));
    WH_TRY(wh_run_input(h->run, h->labels.value, h->labels.data));
    WH_TRY(wh_run_input(h->run, h->target.value, h->target.data));
    return wh_run_go(h->run, NULL);
}

/* ---- Judging --------------------------------------------------------------------------------------------- */

static kat_verdict compare(head *h)
{
    const double *grad[KAT_MAX_PARAMS];
    const wh_json *loss = json_object_get(h->c->inner, "loss"), *log_probs = json_object_get(h->c->inner, "log_probs"),
                  *expected = json_object_get(h->c->inner, "grad");
    wh_dims dims = wh_graph_dims(h->model->graph, h->logits);
    for (size_t i = 0; i < h->model->n_params; i++) grad[i] = wh_run_result(h->run, 2 + i);
    bool good = true;
    if (loss) good = kat_close(h->c, "loss", wh_run_result(h->run, 0), 1, loss);
    if (log_probs)
        good = kat_close(h->c, "log_probs", wh_run_result(h->run, 1), wh_dims_size(&dims), log_probs) && good;
    if (expected) good = kat_tensors_close(h->c, h->model, grad, expected) && good;
    if (!good) return kat_failed(h->c);
    return loss || log_probs || expected ? KAT_PASSED : KAT_SKIPPED;
}

static kat_verdict judge(head *h)
{
    if (read_head(h) != WHIST_OK) return kat_failed(h->c);
    if (h->unknown) return KAT_SKIPPED;
    if (build(h) != WHIST_OK) return kat_failed(h->c);
    if (h->unknown || h->model->unknown) return KAT_SKIPPED;
    return run(h) == WHIST_OK ? compare(h) : kat_failed(h->c);
}

bool kat_judge_heads(kat_verdict *out, kat_case *c)
{
    if (strcmp(c->kind, "proto") != 0 && strcmp(c->kind, "matching") != 0 && strcmp(c->kind, "r2d2") != 0) return false;
    WH_AUTO(wh_owned) memory = NULL; /* too large for the stack */
    *out = KAT_FAILED;
    if (wh_alloc(&memory, 1, sizeof(kat_model)) != WHIST_OK) return true;
    kat_model *model = memory;
    WH_AUTO(head) h = {.c = c, .model = model};
    *out = judge(&h);
    head_clear(&h);
    h.run = NULL;
    h.program = NULL;
    kat_model_clear(model);
    return true;
}
