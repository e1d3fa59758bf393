/* meta/meta_parts.h: what a wh_meta is inside: the layout of its vectors and the programs of a task. */
#ifndef WH_META_META_PARTS_H
#define WH_META_META_PARTS_H

#include "meta/meta.h"
#include "nn/graph/program.h"

/* The programs; which of them exist follows from the problem.
 *
 *     STEP     z, A               → S, z - A ∘ ∂S/∂z of the tensors that adapt
 *     QUERY    z                  → Q, ∂Q/∂z of all tensors, (∂Q/∂θ)
 *     VALUE    z                  → Q
 *     BACK     z, A, v            → v', (d' - d), (dL/dA)
 *     SLOPE    z                  → ∂S/∂z of the tensors that adapt, S
 *     SOLVE    z; x, r, p, r·r    → the next four, p · Hp: one iteration of conjugate gradients with H = ∂²S/∂z∂z
 *     GATE     z = (c, i, f, slope, S), A  → c, i, f of the next step; LSTM alone, over (n_adapted)
 *     UNGATE   those, v = cotangents of the three → their cotangents before the step, dL/dA */
typedef enum wh_meta_part_id {
    WH_META_STEP,
    WH_META_QUERY,
    WH_META_VALUE,
    WH_META_BACK,
    WH_META_SLOPE,
    WH_META_SOLVE,
    WH_META_GATE,
    WH_META_UNGATE,
    WH_META_PARTS
} wh_meta_part_id;

enum { WH_META_VECTORS = 3 };

typedef struct wh_meta_part {
    wh_program *program; /* NULL: not needed */
    bool is_query;       /* reads the query's arrays */
    wh_value *z, *prior, *rate, *data;
    wh_value *vector[WH_META_VECTORS]; /* BACK: v; SOLVE: x, r, p; by tensor */
    wh_value number;                   /* SOLVE: r·r */
} wh_meta_part;

struct wh_meta {
    wh_arena memory;
    wh_meta_problem problem; /* its lists are copies of ours */
    size_t n, n_adapted;
    size_t *offset, *size; /* by tensor, in θ */
    size_t *adapted_at;    /* by tensor, among those that adapt */
    bool *adapts;
    size_t n_rates, rate_set; /* numbers of all, and of one step */
    size_t n_rate_values;     /* inputs of a set */
    size_t *rate_offset;      /* by input */
    size_t *rate_size;
    wh_meta_part part[WH_META_PARTS];
};

/* Makes the programs that the problem needs (programs.c; those of gates in lstm.c). */
WH_MUST_CHECK whist_status wh_meta_compile(wh_meta *meta);
WH_MUST_CHECK whist_status wh_meta_compile_gates(wh_meta *meta);
size_t wh_meta_gate_features(const wh_meta_problem *problem); /* of W */

#endif
