/* meta/model.h: a whist_model as the objective of a task: the mean loss of B rows, plus the model's penalty. */
#ifndef WH_META_MODEL_H
#define WH_META_MODEL_H

#include "meta/meta.h"

#include <whist/data.h>
#include <whist/nn.h>

enum { WH_META_MODEL_ARRAYS = 2 };

/* Rows x (B,D), targets y (B): float, or (classes) uint32_t. */
typedef struct wh_meta_model {
    const whist_model *model;
    size_t batch; /* B: of one step */
    size_t parts; /* of the task's B · parts rows, which steps take in turns; 1 */
    wh_meta_array arrays[WH_META_MODEL_ARRAYS];
} wh_meta_model;

/* WHIST_E_UNSUPPORTED for what is no set of independent rows of numbers with one target each: survival, tokens; and
 * for running statistics, which no gradient moves. `out` stays where it is while the objective is used. */
WH_MUST_CHECK whist_status wh_meta_model_init(wh_meta_model *out, const whist_model *model, size_t batch);
/* So many steps take parts of about so many rows (wh_meta_parts) of a task's B instead of all. */
void wh_meta_model_cut(wh_meta_model *model, size_t about, size_t steps);
wh_meta_objective wh_meta_model_objective(wh_meta_model *model);

/* The tensors' shapes, and whether a tensor belongs to the last dense layer; (n) each, of whist_model_tensors. */
WH_MUST_CHECK whist_status wh_meta_model_tensors(wh_dims dims[], bool is_head[], const whist_model *model);

/* Row by row: x (B · parts,D) and y of rows index[0 … B · parts - 1]. WHIST_E_RANGE for a target that is no class. */
WH_MUST_CHECK whist_status wh_meta_model_gather(float *x, void *y, const wh_meta_model *model, const whist_rows *rows,
                                                const uint32_t index[]);

#endif
