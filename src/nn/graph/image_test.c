/* nn/graph/image_test.c: the kernels for images of every instruction set against the generic ones. */
#include "nn/graph/image.h"

#include <math.h>

#include "base/mem.h"
#include "test.h"

static uint64_t state = 1;

static float next(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(state >> 40) * 0x1p-23 - 1);
}

/* ---- A call on memory of its own --------------------------------------------------------------- */

enum { MAX_ARGS = 3 };

typedef struct trial {
    wh_dims out_dims, arg_dims[MAX_ARGS];
    wh_attr attr;
    unsigned n_args;
    float *arg[MAX_ARGS];
    size_t scratch, units;
} trial;

static float *filled(const wh_dims *dims)
{
    size_t n = wh_dims_size(dims);
    float *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = next();
    return x;
}

static void fill_trial(trial *t)
{
    for (unsigned i = 0; i < t->n_args; i++) t->arg[i] = filled(&t->arg_dims[i]);
}

static void free_trial(trial *t)
{
    for (unsigned i = 0; i < t->n_args; i++) free(t->arg[i]);
}

/* The output, a guard behind it that has to stay; in two parts, as two threads would. */
static float *run(const trial *t, wh_kernel *kernel, wh_cpu_level level)
{
    const void *args[MAX_ARGS] = {t->arg[0], t->arg[1], t->arg[2]};
    size_t n = wh_dims_size(&t->out_dims);
    float *out = calloc(n + 1, sizeof *out), *scratch = malloc((t->scratch + 1) * sizeof *scratch);
    assert_non_null(out);
    assert_non_null(scratch);
    for (size_t i = 0; i < t->scratch; i++) scratch[i] = NAN;
    out[n] = scratch[t->scratch] = 12345;
    wh_call call = {.out = out, .arg = args, .out_dims = &t->out_dims, .arg_dims = t->arg_dims, .n_args = t->n_args};
    call.attr = &t->attr;
    call.scratch = scratch;
    call.num = wh_num_kernels_at(level);
    size_t middle = t->units / 3;
    kernel(&call, middle, t->units);
    if (middle > 0) kernel(&call, 0, middle);
    assert_true(out[n] == 12345.0f && scratch[t->scratch] == 12345.0f);
    free(scratch);
    return out;
}

static wh_cpu_level levels(void)
{
    return wh_cpu_machine();
}

/* ---- Convolutions -------------------------------------------------------------------------------------- */

typedef struct shape {
    size_t n, h, w, c, o, kh, kw, stride, pad, groups;
} shape;

static const shape shapes[] = {
    {3, 28, 28, 1, 16, 8, 8, 2, 3, 1}, {3, 13, 13, 16, 32, 4, 4, 2, 0, 1}, {2, 7, 7, 64, 64, 3, 3, 1, 1, 1},
    {5, 4, 4, 64, 64, 3, 3, 2, 1, 1},  {4, 5, 7, 3, 70, 3, 2, 1, 2, 1},    {2, 9, 6, 20, 12, 2, 3, 3, 1, 2},
    {3, 6, 6, 24, 24, 3, 3, 1, 1, 24}, {1, 1, 1, 5, 7, 1, 1, 1, 0, 1},     {2, 8, 8, 9, 130, 1, 1, 2, 0, 1},
    {40, 2, 2, 64, 64, 3, 3, 1, 1, 1}, {2, 3, 3, 8, 33, 5, 5, 4, 4, 1},    {2, 11, 4, 10, 6, 2, 2, 3, 0, 2},
    {60, 3, 3, 2, 20, 3, 3, 1, 1, 1},
};

typedef enum map { CONV, DATA, WEIGHT, SQUARED } map;

static wh_geometry make(trial *t, const shape *s, map which)
{
    size_t oh = (s->h + 2 * s->pad - s->kh) / s->stride + 1, ow = (s->w + 2 * s->pad - s->kw) / s->stride + 1;
    wh_dims x = WH_DIMS(s->n, s->h, s->w, s->c), c = WH_DIMS(s->n, oh, ow, s->o);
    wh_dims w = WH_DIMS(s->kh, s->kw, s->c / s->groups, s->o), turned = WH_DIMS(s->kh, s->kw, s->o, s->c / s->groups);
    *t = (trial){.n_args = 2, .attr = {.whole = {s->stride, s->pad, s->groups, s->kh, s->kw}}, .units = s->n};
    wh_dims first[] = {x, c, x, x}, second[] = {w, turned, c, c}, out[] = {c, x, w, WH_DIMS(s->n)};
    t->arg_dims[0] = first[which];
    t->arg_dims[1] = second[which];
    t->out_dims = out[which];
    if (which == WEIGHT) t->units = s->kh;
    wh_geometry g = wh_geometry_of(&x, &c, s->kh, s->kw, &t->attr);
    wh_frame f = which == DATA ? wh_frame_cotangent(&g) : wh_frame_image(&g);
    t->scratch = wh_frame_reals(&f);
    if (which == SQUARED) {
        size_t places = oh * ow, depth = g.kh * g.kw * g.cg;
        t->scratch = wh_geometry_by_places(&g) ? places * (depth + 2 * places) : f.h * f.w * f.c + g.kw * g.cg * g.o;
    }
    fill_trial(t);
    return g;
}

static wh_kernel *of(wh_cpu_level level, map which)
{
    const wh_image_kernels *k = wh_image_kernels_at(level);
    wh_kernel *const all[] = {k->conv, k->conv_data, k->conv_weight, k->conv_squared};
    return all[which];
}

/* |kernel - generic| <= 2 (terms + 1) 2^-24 Σ |a b|, the sum made by the generic kernel of absolute values. */
static void compare(const shape *s, map which, wh_cpu_level level)
{
    trial t;
    wh_geometry g = make(&t, s, which);
    size_t terms = which == CONV ? g.kh * g.kw * g.cg : which == DATA ? g.kh * g.kw * g.og : g.n * g.oh * g.ow;
    if (which == SQUARED) terms = 2 * g.oh * g.ow + g.kh * g.kw * g.cg * g.o;
    float *want = run(&t, of(WH_CPU_GENERIC, which), WH_CPU_GENERIC), *got = run(&t, of(level, which), level);
    for (unsigned i = 0; i < t.n_args; i++)
        for (size_t k = 0; k < wh_dims_size(&t.arg_dims[i]); k++) t.arg[i][k] = fabsf(t.arg[i][k]);
    float *size = run(&t, of(WH_CPU_GENERIC, which), WH_CPU_GENERIC);
    for (size_t i = 0; i < wh_dims_size(&t.out_dims); i++) {
        double bound = 2 * (double)(terms + 1) * 0x1p-24 * (double)size[i];
        if (!(fabs((double)got[i] - (double)want[i]) <= bound))
            fail_msg("map %d of %zux%zux%zux%zu: element %zu is %g, not %g", which, s->n, s->h, s->w, s->c, i,
                     (double)got[i], (double)want[i]);
    }
    free(want);
    free(got);
    free(size);
    free_trial(&t);
}

static void convolutions_agree(void **unused)
{
    (void)unused;
    for (wh_cpu_level level = WH_CPU_AVX2; level <= levels(); level++)
        for (size_t i = 0; i < WH_COUNT(shapes); i++)
            for (map which = CONV; which <= SQUARED; which++) compare(&shapes[i], which, level);
}

/* The pieces that a kernel is called for change no bit. */
static void pieces_change_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < WH_COUNT(shapes); i++)
        for (map which = CONV; which <= SQUARED; which++) {
            trial t;
            make(&t, &shapes[i], which);
            float *whole = run(&t, of(levels(), which), levels());
            const void *args[] = {t.arg[0], t.arg[1]};
            float *one = calloc(wh_dims_size(&t.out_dims), sizeof *one), *scratch = calloc(t.scratch + 1, sizeof *one);
            assert_non_null(one);
            assert_non_null(scratch);
            wh_call call = {.out = one, .arg = args, .out_dims = &t.out_dims, .arg_dims = t.arg_dims, .n_args = 2};
            call.attr = &t.attr;
            call.scratch = scratch;
            call.num = wh_num_kernels_at(levels());
            for (size_t unit = t.units; unit-- > 0;) of(levels(), which)(&call, unit, unit + 1);
            assert_memory_equal(one, whole, wh_dims_size(&t.out_dims) * sizeof *one);
            free(one);
            free(scratch);
            free(whole);
            free_trial(&t);
        }
}

/* ---- Pools: the same bits ------------------------------------------------------------------------------------ */

static void pools_agree(void **unused)
{
    (void)unused;
    static const struct {
        size_t n, h, w, c, kernel, stride, pad;
    } pools[] = {{2, 14, 14, 16, 2, 1, 0}, {2, 5, 4, 33, 3, 2, 1}, {1, 7, 6, 3, 2, 2, 0}, {2, 4, 4, 64, 4, 4, 2}};
    for (wh_cpu_level level = WH_CPU_AVX2; level <= levels(); level++)
        for (size_t i = 0; i < WH_COUNT(pools); i++)
            for (int which = 0; which < 3; which++) {
                size_t k = pools[i].kernel, s = pools[i].stride, p = pools[i].pad;
                size_t oh = (pools[i].h + 2 * p - k) / s + 1, ow = (pools[i].w + 2 * p - k) / s + 1;
                wh_dims x = WH_DIMS(pools[i].n, pools[i].h, pools[i].w, pools[i].c);
                wh_dims y = WH_DIMS(pools[i].n, oh, ow, pools[i].c);
                trial t = {.n_args = which == 0 ? 1 : 2, .arg_dims = {x, which == 1 ? x : y}};
                t.out_dims = which == 2 ? x : y;
                t.attr = (wh_attr){.whole = {k, s, p}};
                t.units = pools[i].n;
                fill_trial(&t);
                for (size_t e = 0; e < wh_dims_size(&x); e++) t.arg[0][e] = roundf(4 * t.arg[0][e]); /* ties */
                t.arg[0][1] = NAN;
                const wh_image_kernels *a = wh_image_kernels_at(WH_CPU_GENERIC), *b = wh_image_kernels_at(level);
                wh_kernel *const ka[] = {a->max_window, a->window_take, a->window_put};
                wh_kernel *const kb[] = {b->max_window, b->window_take, b->window_put};
                float *want = run(&t, ka[which], WH_CPU_GENERIC), *got = run(&t, kb[which], level);
                assert_memory_equal(got, want, wh_dims_size(&t.out_dims) * sizeof *got);
                free(want);
                free(got);
                free_trial(&t);
            }
}

/* ---- Norms: float sums over blocks of 64 rows ------------------------------------------------------------------- */

static void norms_agree(void **unused)
{
    (void)unused;
    const wh_dims grids[] = {WH_DIMS(1, 700, 64, 1), WH_DIMS(3, 25, 4, 8), WH_DIMS(2, 9, 1, 70), WH_DIMS(1, 5, 3, 1),
                             WH_DIMS(2, 1, 70, 1)};
    for (wh_cpu_level level = WH_CPU_AVX2; level <= levels(); level++)
        for (size_t i = 0; i < WH_COUNT(grids); i++)
            for (unsigned n_args = 1; n_args <= 3; n_args++) {
                trial t = {.n_args = n_args, .out_dims = grids[i], .arg_dims = {grids[i], grids[i], grids[i]}};
                wh_grid g = wh_grid_of(&grids[i]);
                t.attr = (wh_attr){.real = {1e-3}};
                t.units = g.a * wh_grid_strips(&g);
                fill_trial(&t);
                for (size_t e = 0; e < wh_dims_size(&grids[i]); e++) t.arg[0][e] = 5 + 2 * t.arg[0][e];
                const wh_image_kernels *a = wh_image_kernels_at(WH_CPU_GENERIC), *b = wh_image_kernels_at(level);
                wh_kernel *const ka[] = {a->normalize_grid, a->normalize_grid_back, a->normalize_grid_second};
                wh_kernel *const kb[] = {b->normalize_grid, b->normalize_grid_back, b->normalize_grid_second};
                float *want = run(&t, ka[n_args - 1], WH_CPU_GENERIC), *got = run(&t, kb[n_args - 1], level);
                /* With one row, 1/s is √eps: the numbers of a cell grow by 1/√eps for each argument. */
                double grows = g.b * g.d == 1 ? pow(1e-3, -.5 * n_args) : 1;
                for (size_t e = 0; e < wh_dims_size(&grids[i]); e++)
                    assert_true(fabs((double)got[e] - (double)want[e]) <= 2 * 64 * 0x1p-24 * 10 * grows);
                free(want);
                free(got);
                free_trial(&t);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_agree),
        cmocka_unit_test(pieces_change_nothing),
        cmocka_unit_test(pools_agree),
        cmocka_unit_test(norms_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
