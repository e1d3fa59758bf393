/* kat/kat_model.h: from the `arch`, `params` and data of a case to a graph in float64. */
#ifndef WH_KAT_MODEL_H
#define WH_KAT_MODEL_H

#include "kat/kat.h"
#include "nn/graph/graph.h"

enum { KAT_MAX_PARAMS = 512 };

typedef struct kat_tensor {
    const char *name; /* of the file */
    wh_dims dims;
    size_t n;
    double *data;
    wh_value value;
} kat_tensor;

typedef struct kat_index {
    wh_dims dims;
    uint64_t limit;
    uint32_t *data;
    wh_value value;
} kat_index;

typedef struct kat_model {
    wh_arena memory;
    wh_graph *graph;
    kat_tensor param[KAT_MAX_PARAMS];
    size_t n_params;
    kat_tensor x;       /* value is WH_NO_VALUE where the input is ids */
    kat_tensor weights; /* R of a weighted sum */
    kat_index ids, target;
    size_t examples;
    wh_value output, losses, loss; /* losses (B), loss a number */
    bool unknown;                  /* the case has something we do not know: skip it */
} kat_model;

void kat_model_clear(kat_model *model);
WH_AUTO_CLEAR(kat_model, kat_model_clear)

/* The tensors of `params` alone, as inputs of a graph of the model's. */
WH_MUST_CHECK whist_status kat_model_read(kat_model *model, const kat_case *c);
/* The layers of the arch on x, in any graph of float64, over params[i] in place of the model's own tensors. Sets
 * unknown for a layer that is not known. */
wh_value kat_model_layers(kat_model *model, wh_graph *graph, const wh_value params[], wh_value x, const kat_case *c);

/* A tensor of numbers, generated or a list; no input is made. */
WH_MUST_CHECK whist_status kat_tensor_read(kat_tensor *out, wh_arena *memory, const char *name, const wh_json *spec);
/* Whole numbers below limit (0: below one more than the largest), nested lists of any depth. */
WH_MUST_CHECK whist_status kat_index_read(kat_index *out, wh_arena *memory, const char *name, const wh_json *list,
                                          uint64_t limit);

/* The field of the case or of its element, there or in an object `data`. */
const wh_json *kat_data(const kat_case *c, const char *key);

/* Tensors by name, each a list, against got[i] for tensor i (NULL: none). */
bool kat_tensors_close(kat_case *c, kat_model *model, const double *const got[], const wh_json *expected);

/* Fails for memory and for shapes that do not fit; sets unknown for a form that is not known. */
WH_MUST_CHECK whist_status kat_model_build(kat_model *model, const kat_case *c);
kat_tensor *kat_model_param(kat_model *model, const char *name); /* NULL where there is none */

#endif
