/* nn/cost.c: what a model costs, from the programs that would run it. */
#include "nn/model.h"

#include "nn/zoo.h"

static whist_status measure(double *flops, size_t *bytes, const wh_graph *graph, const wh_value outputs[], size_t n,
                            size_t batch)
{
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_TRY(wh_graph_flops(flops, graph, outputs, n));
    *flops /= (double)batch;
    WH_TRY(wh_program_new(&program, graph, outputs, n));
    const wh_program_size size = wh_program_measure(program);
    *bytes = size.arena_bytes + size.scratch_bytes;
    return WHIST_OK;
}

whist_status whist_model_cost_of(whist_model_cost *out, const whist_model *model, size_t batch)
{
    WH_ENSURE(out && model && batch > 0, WHIST_E_ARG);
    const size_t n = model->n_tensors;
    WH_AUTO(wh_graph_ptr) graph = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_graph_new(&graph, WH_F32));
    WH_TRY(wh_alloc(&memory, 2 * n + 1, sizeof(wh_value)));
    wh_value *params = memory, *outputs = params + n, weight;
    wh_model_values values;
    whist_model_cost cost;
    WH_TRY(wh_model_params(params, graph, model));
    WH_TRY(wh_model_graph(&values, graph, model,
                          &(wh_model_use){.params = params, .batch = batch, .mode = WH_MODEL_TRAIN}));
    WH_TRY(measure(&cost.forward_flops, &cost.forward_bytes, graph, &values.prediction, 1, batch));
    outputs[0] = wh_model_mean_loss(&weight, graph, model, &values, params);
    WH_TRY(wh_graph_gradient(outputs + 1, graph, outputs[0], params, n));
    WH_TRY(measure(&cost.step_flops, &cost.step_bytes, graph, outputs, n + 1, batch));
    *out = cost;
    return WHIST_OK;
}
