/* nn/clip_program.c: the program by which clip_each.c gets gradients of single examples.
 *
 * A few examples go through at once where each parameter's gradients have a simple form (wh_per_example_gradient):
 * kernels then run over more than one row, the weights are read once for all, and nothing is made that is not needed: a
 * dense layer's gradient stays the two sides of its outer product, and a convolution's lies as the kernel leaves it.
 * Other models take one example at a time. */
#include <string.h>

#include "nn/clip_each.h"

/* What a piece's activations and gradients may take of the second cache, beside the sums. */
enum { MOST = 4, CACHE_BYTES = 640 << 10 };

void wh_clip_program_clear(wh_clip_program *p)
{
    wh_program_free(p->program);
    wh_free(p->params);
    wh_free(p->parts);
    *p = (wh_clip_program){0};
}
WH_AUTO_CLEAR(wh_clip_program, wh_clip_program_clear)

static size_t of_one(const wh_graph *graph, wh_value v, size_t examples)
{
    const wh_dims dims = wh_graph_dims(graph, v);
    return v == WH_NO_VALUE ? 0 : wh_dims_size(&dims) / examples;
}

/* Its numbers stand behind those of the parts before it. */
static void add_part(wh_clip_program *p, const wh_graph *graph, const whist_tensor_info *tensor,
                     const wh_example_gradient *g)
{
    wh_clip_part *part = &p->parts[p->n_parts++];
    part->offset = tensor->offset;
    part->size = tensor->size;
    part->n_rows = of_one(graph, g->rows, p->examples);
    part->n_cols = of_one(graph, g->cols, p->examples);
    part->rows = p->reals;
    part->cols = part->rows + p->examples * part->n_rows;
    p->reals = part->cols + p->examples * part->n_cols;
    part->dims = g->dims;
    memcpy(part->step, g->step, sizeof part->step);
}

/* Outputs of all parts, or *n = 0: some parameter's gradients have no simple form. */
static whist_status by_example(wh_clip_program *p, wh_value *outputs, size_t *n, wh_graph *graph,
                               const whist_model *model, wh_value losses, const wh_value *learned, size_t n_learned)
{
    WH_AUTO(wh_per_example_ptr) each = NULL;
    *n = 0;
    whist_status status = wh_per_example_new(&each, graph, losses, learned, n_learned);
    if (status == WHIST_E_UNSUPPORTED) return WHIST_OK;
    WH_TRY(status);
    size_t found = 0;
    for (size_t i = 0, k = 0; i < model->n_tensors; i++) {
        wh_example_gradient g;
        if (!model->tensors[i].learned) continue;
        WH_TRY(wh_per_example_gradient(&g, graph, each, k++));
        if (g.rows == WH_NO_VALUE) return WHIST_OK;
        outputs[found++] = g.rows;
        if (g.cols != WH_NO_VALUE) outputs[found++] = g.cols;
        add_part(p, graph, &model->tensors[i], &g);
    }
    *n = found;
    return WHIST_OK;
}

/* Of one example: the gradient of its loss. */
static whist_status alone(wh_clip_program *p, wh_value *outputs, size_t *n, wh_graph *graph, const whist_model *model,
                          wh_value losses, const wh_value *learned, size_t n_learned)
{
    WH_TRY(wh_graph_gradient(outputs, graph, wh_graph_sum_all(graph, losses), learned, n_learned));
    for (size_t i = 0, k = 0; i < model->n_tensors; i++) {
        const whist_tensor_info *tensor = &model->tensors[i];
        if (!tensor->learned) continue;
        const wh_example_gradient g = {.rows = outputs[k++], .dims = WH_DIMS(tensor->size), .step = {1}};
        add_part(p, graph, tensor, &g);
    }
    *n = n_learned;
    return WHIST_OK;
}

/* p->program stays NULL where so many examples cannot go together. */
static whist_status make(wh_clip_program *p, const whist_model *model, size_t examples)
{
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_owned) memory = NULL, chosen = NULL;
    p->examples = examples;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(WH_NEW(&p->params, model->n_tensors));
    WH_TRY(WH_NEW(&p->parts, model->n_tensors));
    WH_TRY(wh_alloc(&memory, 2 * model->n_tensors, sizeof(wh_value)));
    WH_TRY(wh_alloc(&chosen, model->n_tensors, sizeof(wh_value)));
    WH_TRY(wh_model_params(p->params, graph, model));
    WH_TRY(wh_model_graph(&p->values, graph, model,
                          &(wh_model_use){.params = p->params, .batch = examples, .mode = WH_MODEL_TRAIN}));
    wh_value *outputs = memory, *learned = chosen;
    size_t n = 0, n_learned = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].learned) learned[n_learned++] = p->params[i];
    p->weight = wh_graph_input(graph, "weight", WH_EXAMPLES, WH_DIMS(examples));
    wh_value losses = wh_graph_mul(graph, p->values.losses, p->weight);
    WH_TRY((examples > 1 ? by_example : alone)(p, outputs, &n, graph, model, losses, learned, n_learned));
    return n > 0 ? wh_program_new_keeping(&p->program, graph, outputs, n) : WHIST_OK;
}

whist_status wh_clip_program_init(wh_clip_program *out, const whist_model *model)
{
    /* Masks go by the row's number, and there is one seed for all rows of a program. */
    for (size_t examples = wh_model_drops(model) ? 1 : MOST;; examples /= 2) {
        WH_AUTO(wh_clip_program) p = {0};
        WH_TRY(make(&p, model, examples));
        const bool fits =
            p.program && wh_program_measure(p.program).arena_bytes + p.reals * sizeof(float) <= CACHE_BYTES;
        if (!fits && examples > 1) continue;
        *out = p;
        p = (wh_clip_program){0};
        return WHIST_OK;
    }
}

whist_status wh_clip_program_bind(const wh_clip_program *p, wh_run *run, float *grad)
{
    size_t output = 0;
    for (size_t i = 0; i < p->n_parts; i++) {
        WH_TRY(wh_run_output(run, output++, grad + p->parts[i].rows));
        if (p->parts[i].n_cols) WH_TRY(wh_run_output(run, output++, grad + p->parts[i].cols));
    }
    return WHIST_OK;
}
