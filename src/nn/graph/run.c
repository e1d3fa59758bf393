/* nn/graph/run.c: one arena and the pointers of one thread of work. */
#include <string.h>

#include "nn/graph/program_parts.h"

struct wh_run {
    const wh_program *program;
    unsigned threads;
    uint8_t *arena, *scratch;
    void **pointer;    /* by place */
    void **own;        /* by output: memory of ours, or NULL */
    const void **args; /* of all steps, one after the other */
    wh_call *calls;    /* of each step, whose result and arguments are found anew whenever it runs */
    size_t n_unbound;  /* inputs without data */
};

static whist_status reserve(wh_run *run)
{
    const wh_program *p = run->program;
    size_t scratch;
    if (!wh_mul_size(&scratch, p->size.scratch_bytes, run->threads))
        WH_FAIL(WHIST_E_RANGE, "scratch for %u threads does not fit memory", run->threads);
    WH_TRY(wh_alloc_raw((void **)&run->arena, p->size.arena_bytes + 64, 1));
    WH_TRY(wh_alloc_raw((void **)&run->scratch, scratch + 64, 1));
    WH_TRY(WH_NEW(&run->pointer, p->n_places));
    WH_TRY(WH_NEW(&run->own, p->n_outputs));
    WH_TRY(WH_NEW(&run->args, p->n_args + 1));
    for (size_t i = 1; i < p->n_places; i++) {
        if (p->places[i].kind == WH_PLACE_ARENA) run->pointer[i] = run->arena + p->places[i].offset;
        run->n_unbound += p->places[i].kind == WH_PLACE_INPUT;
    }
    for (size_t i = 0; i < p->n_outputs; i++) {
        WH_TRY(wh_alloc(&run->own[i], p->places[p->output_place[i]].bytes, 1));
        run->pointer[p->output_place[i]] = run->own[i];
    }
    return WHIST_OK;
}

static whist_status make_calls(wh_run *run)
{
    const wh_program *p = run->program;
    const wh_num_kernels *num = wh_num_kernels_at(p->level);
    WH_TRY(WH_NEW(&run->calls, p->n_steps + 1));
    for (size_t s = 0; s < p->n_steps; s++) {
        const wh_step *step = &p->steps[s];
        run->calls[s] = (wh_call){.arg = run->args + step->first_arg,
                                  .out_dims = &step->out_dims,
                                  .arg_dims = step->arg_dims,
                                  .n_args = step->n_args,
                                  .attr = &step->attr,
                                  .plan = &step->plan,
                                  .scratch = run->scratch,
                                  .chain = step->chain,
                                  .chain_arg = step->chain_arg,
                                  .num = num};
    }
    return WHIST_OK;
}

whist_status wh_run_new(wh_run **out, const wh_program *program, unsigned threads)
{
    WH_ENSURE(out && program && threads > 0, WHIST_E_ARG);
    WH_AUTO(wh_run_ptr) run = NULL;
    WH_TRY(WH_NEW(&run, 1));
    run->program = program;
    run->threads = threads;
    WH_TRY(reserve(run));
    WH_TRY(make_calls(run));
    *out = run;
    run = NULL;
    return WHIST_OK;
}

void wh_run_free(wh_run *run)
{
    if (!run) return;
    for (size_t i = 0; run->own && i < run->program->n_outputs; i++) wh_free(run->own[i]);
    wh_free(run->own);
    wh_free(run->arena);
    wh_free(run->scratch);
    wh_free(run->pointer);
    wh_free(run->args);
    wh_free(run->calls);
    wh_free(run);
}

whist_status wh_run_input(wh_run *run, wh_value input, const void *data)
{
    WH_ENSURE(run && data, WHIST_E_ARG);
    const wh_program *p = run->program;
    if (input >= p->n_values || !p->is_input[input]) WH_FAIL(WHIST_E_ARG, "value %u is no input of the program", input);
    /* Inputs are only read: kernels take their arguments as const. */
    union {
        const void *in;
        void *out;
    } pointer = {.in = data};
    uint32_t place = p->input_place[input];
    if (place == 0) return WHIST_OK;
    run->n_unbound -= !run->pointer[place];
    run->pointer[place] = pointer.out;
    return WHIST_OK;
}

whist_status wh_run_output(wh_run *run, size_t i, void *data)
{
    WH_ENSURE(run && data && i < run->program->n_outputs, WHIST_E_ARG);
    wh_free(run->own[i]);
    run->own[i] = NULL;
    run->pointer[run->program->output_place[i]] = data;
    return WHIST_OK;
}

const void *wh_run_result(const wh_run *run, size_t i)
{
    return i < run->program->n_outputs ? run->pointer[run->program->output_place[i]] : NULL;
}

static whist_status check_inputs(const wh_run *run)
{
    const wh_program *p = run->program;
    for (size_t i = 1; run->n_unbound > 0 && i < p->n_places; i++)
        if (p->places[i].kind == WH_PLACE_INPUT && !run->pointer[i])
            WH_FAIL(WHIST_E_STATE, "the input '%s' has no data yet (wh_run_input)", p->input_name[i]);
    for (size_t c = 0; c < p->n_checks; c++) {
        const wh_index_check *check = &p->checks[c];
        const uint32_t *index = run->pointer[check->place];
        for (size_t i = 0; i < check->n; i++)
            if (index[i] >= check->limit)
                WH_FAIL(WHIST_E_RANGE, "index %zu of '%s' is not below %llu", i, check->name,
                        (unsigned long long)check->limit);
    }
    return WHIST_OK;
}

/* A step that is cut into pieces. */
typedef struct work {
    const wh_run *run;
    const wh_step *step;
    const wh_call *call;
} work;

static whist_status piece(void *user, size_t index, unsigned worker)
{
    const work *w = user;
    wh_call call = *w->call;
    call.scratch = w->run->scratch + worker * w->run->program->size.scratch_bytes;
    size_t from = index * w->step->per_piece, to = from + w->step->per_piece;
    w->step->kernel(&call, from, to < w->step->n_units ? to : w->step->n_units);
    return WHIST_OK;
}

static whist_status run_step(wh_run *run, size_t s, wh_pool *pool)
{
    const wh_step *step = &run->program->steps[s];
    wh_call *call = &run->calls[s];
    const void **args = run->args + step->first_arg;
    for (unsigned i = 0; i < step->n_args; i++) args[i] = run->pointer[step->arg_place[i]];
    call->out = run->pointer[step->out_place];
    work w = {run, step, call};
    if (step->n_pieces > 1) return wh_pool_run(pool, step->n_pieces, piece, &w);
    step->kernel(call, 0, step->n_units);
    return WHIST_OK;
}

static whist_status run_steps(wh_run *run, wh_pool *pool, bool again)
{
    WH_ENSURE(run, WHIST_E_ARG);
    if (wh_pool_threads(pool) > run->threads)
        WH_FAIL(WHIST_E_ARG, "a pool of %u threads for a run of at most %u", wh_pool_threads(pool), run->threads);
    WH_TRY(check_inputs(run));
    for (size_t s = 0; s < run->program->n_steps; s++)
        if (!again || !run->program->steps[s].kept) WH_TRY(run_step(run, s, pool));
    return WHIST_OK;
}

whist_status wh_run_go(wh_run *run, wh_pool *pool)
{
    return run_steps(run, pool, false);
}

whist_status wh_run_again(wh_run *run, wh_pool *pool)
{
    return run_steps(run, pool, true);
}
