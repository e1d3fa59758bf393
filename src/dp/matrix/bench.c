/* matrix/bench.c: correlated noise of one step for a million parameters. */
#include "base/bench.h"
#include "dp/bench.h"
#include "dp/matrix/stream.h"

enum { LENGTH = 1000000, STEPS = 1 << 20 };

typedef struct work {
    wh_matrix_stream *stream;
    int64_t *e;
} work;

static whist_status step(void *user)
{
    const work *w = user;
    return wh_matrix_stream_next(w->stream, w->e);
}

static whist_status measure(const whist_bench_env *env, const char *name, whist_dp_design design, uint32_t bands)
{
    const whist_dp_matrix_options options = {
        .design = design, .steps = STEPS, .participations = 1, .separation = 1, .bands = bands};
    WH_AUTO(whist_dp_matrix_ptr) m = NULL;
    WH_AUTO(wh_matrix_stream_ptr) stream = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(whist_dp_matrix_new(&m, &options));
    WH_TRY(wh_matrix_stream_new(&stream, m, LENGTH, 0x1p24));
    WH_TRY(wh_alloc(&memory, LENGTH, sizeof(int64_t)));
    work w = {stream, memory};
    for (int i = 0; i < 16; i++) WH_TRY(step(&w)); /* the ring is full */
    return wh_bench_measure(env, name, "s", false, 1, step, &w);
}

whist_status wh_dp_bench_matrix(const whist_bench_env *env)
{
    WH_TRY(measure(env, "dp.ftrl1e6.banded", WHIST_DP_BANDED, 16));
    WH_TRY(measure(env, "dp.ftrl1e6.blt", WHIST_DP_BLT, 4));
    return measure(env, "dp.ftrl1e6.tree", WHIST_DP_TREE_SUMS, 0);
}
