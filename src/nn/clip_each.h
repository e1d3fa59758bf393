/* nn/clip_each.h: a program that gives the gradients of some examples, one by one, and where they lie in its outputs.
 */
#ifndef WH_NN_CLIP_EACH_H
#define WH_NN_CLIP_EACH_H

#include "nn/clip_parts.h"

/* The gradients of the examples by one learned tensor. */
typedef struct wh_clip_part {
    size_t offset, size;   /* the tensor's place in the parameters */
    size_t n_rows, n_cols; /* of an example: (size, 0) its gradient, else the two sides of it, an outer product */
    size_t rows, cols;     /* where those of the first example begin among a worker's numbers */
    wh_dims dims;          /* as it lies, and what one number further along each axis is in the tensor */
    size_t step[WH_GRAPH_RANK];
} wh_clip_part;

typedef struct wh_clip_program {
    wh_program *program;
    size_t examples; /* that go through it at once */
    wh_value *params, weight;
    wh_model_values values;
    wh_clip_part *parts;
    size_t n_parts, reals; /* of all gradients of all examples */
} wh_clip_program;

WH_MUST_CHECK whist_status wh_clip_program_init(wh_clip_program *out, const whist_model *model);
void wh_clip_program_clear(wh_clip_program *program);
/* Binds its outputs, the gradients, to (reals). */
WH_MUST_CHECK whist_status wh_clip_program_bind(const wh_clip_program *program, wh_run *run, float *grad);

#endif
