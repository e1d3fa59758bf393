/* nn/graph/program.h: a graph made ready, and running it.
 *
 * wh_program_new picks the nodes that the outputs need, joins chains of elementwise operations, and gives every
 * value that lives at all a fixed place in one arena: best fit over lifetimes, 64-byte aligned, in place where
 * an argument dies. A program is immutable and does not need its graph any more; threads may share it. A wh_run
 * is one arena with the callers' pointers; it belongs to one thread at a time and a go allocates nothing.
 *
 * Results depend on the program and its inputs, never on the number of threads: work is cut by shape. */
#ifndef WH_NN_GRAPH_PROGRAM_H
#define WH_NN_GRAPH_PROGRAM_H

#include "base/buf.h"
#include "base/pool.h"
#include "nn/graph/graph.h"

typedef struct wh_program wh_program;
typedef struct wh_run wh_run;

/* Fails like wh_graph_status; WHIST_E_RANGE, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_program_new(wh_program **out, const wh_graph *graph, const wh_value outputs[], size_t n);
/* The same for wh_run_again: what depends on nothing but parameters (WH_PARAM) keeps a place of its own. */
WH_MUST_CHECK whist_status wh_program_new_keeping(wh_program **out, const wh_graph *graph, const wh_value outputs[],
                                                  size_t n);
void wh_program_free(wh_program *program);
WH_AUTO_FREE(wh_program, wh_program_free)

typedef struct wh_program_size {
    size_t steps;         /* kernels a go calls */
    size_t kept;          /* of which wh_run_again leaves out */
    size_t arena_bytes;   /* values and scratch, for one thread */
    size_t values_bytes;  /* what the same values would take side by side */
    size_t scratch_bytes; /* for each worker */
} wh_program_size;
wh_program_size wh_program_measure(const wh_program *program);
/* One line a step: operation, shapes, place. For people. */
WH_MUST_CHECK whist_status wh_program_show(wh_buf *out, const wh_program *program);

/* threads: the most that wh_run_go's pool will have (scratch for each). */
WH_MUST_CHECK whist_status wh_run_new(wh_run **out, const wh_program *program, unsigned threads);
void wh_run_free(wh_run *run);
WH_AUTO_FREE(wh_run, wh_run_free)

/* Where an input lies: float, double or uint32_t by its kind, row-major, the caller's until the run is freed or
 * bound anew. Inputs that the program does not use may be bound, to no effect. WHIST_E_ARG: not an input. */
WH_MUST_CHECK whist_status wh_run_input(wh_run *run, wh_value input, const void *data);
/* Where output i goes; unbound outputs get memory of the run's. May not overlap an input. */
WH_MUST_CHECK whist_status wh_run_output(wh_run *run, size_t i, void *data);
const void *wh_run_result(const wh_run *run, size_t i);

/* Runs all steps. pool may be NULL. WHIST_E_STATE: an input is not bound; WHIST_E_RANGE: an index is not below its
 * limit (outputs untouched). */
WH_MUST_CHECK whist_status wh_run_go(wh_run *run, wh_pool *pool);
/* The same for other examples under the parameters of the last go, bound and unchanged since: what was made of them
 * alone (weights as a kernel wants them) is not made again. Of a program that keeps nothing: wh_run_go. */
WH_MUST_CHECK whist_status wh_run_again(wh_run *run, wh_pool *pool);

#endif
