/* nn/graph/program_parts.h: what a program is inside. */
#ifndef WH_NN_GRAPH_PROGRAM_PARTS_H
#define WH_NN_GRAPH_PROGRAM_PARTS_H

#include "nn/graph/node.h"
#include "nn/graph/program.h"

typedef enum wh_place_kind { WH_PLACE_ARENA, WH_PLACE_INPUT, WH_PLACE_OUTPUT } wh_place_kind;

/* Where a value lies. */
typedef struct wh_place {
    wh_place_kind kind;
    wh_value value;
    size_t bytes;
    size_t offset;   /* ARENA */
    size_t output;   /* OUTPUT: which */
    size_t last_use; /* the last step that reads or writes it */
    bool taken;      /* ARENA: a later value took over its bytes */
    bool kept;       /* parameters, and what is made of nothing else: nobody takes over its bytes */
} wh_place;

typedef struct wh_step {
    const char *name;
    wh_kernel *kernel;
    wh_attr attr;
    wh_plan plan;
    wh_dims out_dims;
    wh_dims *arg_dims;
    uint32_t *arg_place; /* of operands that are constants: 0 */
    unsigned n_args;
    uint32_t out_place;
    wh_chain *chain;
    unsigned chain_arg; /* the argument that is the chain's first operand: those before it are of `fused` */
    const wh_op *fused; /* the product before a chain, or the sum behind it, that plan and cut are of; or NULL */
    size_t n_units, per_piece, n_pieces;
    size_t first_arg; /* in a run's list of argument pointers */
    bool kept;        /* its result is, too: wh_run_again leaves it out */
} wh_step;

typedef struct wh_index_check {
    uint32_t place;
    size_t n;
    uint64_t limit;
    const char *name;
} wh_index_check;

struct wh_program {
    wh_real real;
    wh_cpu_level level; /* whose kernels the steps call */
    wh_arena memory;
    wh_step *steps;
    size_t n_steps, n_args;
    wh_place *places; /* [0] is none */
    size_t n_places;
    const char **input_name; /* by place; NULL: no input */
    uint32_t *input_place;   /* by value; 0: not used or no input */
    bool *is_input;          /* by value */
    size_t n_values;
    uint32_t *output_place;
    size_t n_outputs;
    wh_index_check *checks;
    size_t n_checks;
    wh_program_size size;
};

/* wh_program_new; without fuse every node is a step of its own, which changes no bit (and is for tests); with keep,
 * wh_program_new_keeping. */
WH_MUST_CHECK whist_status wh_program_make(wh_program **out, const wh_graph *graph, const wh_value outputs[], size_t n,
                                           bool fuse, bool keep);

static inline size_t wh_real_size(wh_real real)
{
    return real == WH_F32 ? sizeof(float) : sizeof(double);
}

/* Gives every place in the arena its offset: best fit over lifetimes. */
WH_MUST_CHECK whist_status wh_program_plan(wh_program *program);

#endif
