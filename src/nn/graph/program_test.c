/* nn/graph/program_test.c: what may not change a program's results: instruction sets, fusing, threads, how attention is
 * written; and nodes with many arguments. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "nn/graph/node.h"
#include "nn/graph/program_parts.h"

/* One layer of a transformer over B sequences of T steps: gather, norms, attention, GELU, cross-entropy. */
enum { B = 3, T = 90, D = 32, HEADS = 2, INNER = 48, WORDS = 37, PARAMS = 12 };
static const size_t sizes[PARAMS] = {WORDS * D, D, D, D * 3 * D, 3 * D, D *D, D, D *INNER, INNER, INNER *D, D, T *D};

typedef struct net {
    wh_graph *g;
    wh_value tokens, target, param[PARAMS], losses, loss;
} net;

static wh_value parts_of(wh_graph *g, wh_value qkv, size_t i)
{
    wh_value x = wh_graph_slice(g, qkv, (const size_t[]){0, 0, i * D}, WH_DIMS(B, T, D));
    return wh_graph_transpose(g, wh_graph_reshape(g, x, WH_DIMS(B, T, HEADS, D / HEADS)),
                              (const unsigned[]){0, 2, 1, 3});
}

/* The same attention out of its parts. */
static wh_value in_parts(wh_graph *g, wh_value qkv, double scale, bool causal)
{
    wh_value y = wh_graph_attention(g, parts_of(g, qkv, 0), parts_of(g, qkv, 1), parts_of(g, qkv, 2), scale, causal);
    return wh_graph_reshape(g, wh_graph_transpose(g, y, (const unsigned[]){0, 2, 1, 3}), WH_DIMS(B, T, D));
}

static net make_net(wh_real real, bool causal, bool fused)
{
    net n;
    assert_ok(wh_graph_new(&n.g, real));
    n.tokens = wh_graph_index(n.g, "tokens", WH_EXAMPLES, WH_DIMS(B, T), WORDS);
    n.target = wh_graph_index(n.g, "target", WH_EXAMPLES, WH_DIMS(B, T), WORDS);
    const wh_dims dims[PARAMS] = {WH_DIMS(WORDS, D), WH_DIMS(D),        WH_DIMS(D), WH_DIMS(D, 3 * D),
                                  WH_DIMS(3 * D),    WH_DIMS(D, D),     WH_DIMS(D), WH_DIMS(D, INNER),
                                  WH_DIMS(INNER),    WH_DIMS(INNER, D), WH_DIMS(D), WH_DIMS(T, D)};
    for (size_t i = 0; i < PARAMS; i++) n.param[i] = wh_graph_input(n.g, "p", WH_PARAM, dims[i]);
    wh_value *p = n.param, x = wh_graph_add(n.g, wh_graph_gather(n.g, p[0], n.tokens), p[11]);
    wh_value qkv = wh_graph_linear(n.g, wh_graph_layer_norm(n.g, x, p[1], p[2], 1e-5), p[3], p[4], WH_MATMUL_NN);
    wh_value y = fused ? wh_graph_self_attention(n.g, qkv, HEADS, .25, causal) : in_parts(n.g, qkv, .25, causal);
    x = wh_graph_add(n.g, x, wh_graph_linear(n.g, y, p[5], p[6], WH_MATMUL_NN));
    wh_value h = wh_graph_gelu_tanh(n.g, wh_graph_linear(n.g, x, p[7], p[8], WH_MATMUL_NN));
    x = wh_graph_relu(n.g, wh_graph_add(n.g, x, wh_graph_linear(n.g, h, p[9], p[10], WH_MATMUL_NN)));
    x = wh_graph_cross_entropy(n.g, wh_graph_matmul(n.g, x, p[0], WH_MATMUL_NT), n.target);
    n.losses = wh_graph_mean(n.g, x, 2, false);
    n.loss = wh_graph_mean_all(n.g, n.losses);
    return n;
}

typedef struct data {
    float p[PARAMS][WORDS * D * 3];
    double p64[PARAMS][WORDS * D * 3];
    uint32_t tokens[B * T], target[B * T];
} data;

static data *make_data(void)
{
    data *d = test_calloc(1, sizeof *d);
    uint64_t state = 11;
    for (size_t k = 0; k < PARAMS; k++)
        for (size_t i = 0; i < WORDS * D * 3; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            d->p64[k][i] = d->p[k][i] = ((float)(state >> 40) * 0x1p-24f - .5f) * .4f;
        }
    for (size_t i = 0; i < B * T; i++)
        d->tokens[i] = (uint32_t)(i * i % WORDS), d->target[i] = (uint32_t)(i * 5 % WORDS);
    return d;
}

enum { OUTPUTS = 1 + PARAMS + 1 };

/* Loss, gradients, and the squared norms of the examples' gradients. */
static wh_program *program_of(net *n, bool fuse)
{
    wh_value out[OUTPUTS];
    wh_per_example *each = NULL;
    wh_program *program = NULL;
    out[0] = n->loss;
    assert_ok(wh_graph_gradient(out + 1, n->g, n->loss, n->param, PARAMS));
    assert_ok(wh_per_example_new(&each, n->g, n->losses, n->param, PARAMS));
    out[1 + PARAMS] = wh_per_example_total(each);
    wh_per_example_free(each);
    assert_ok(wh_program_make(&program, n->g, out, OUTPUTS, fuse, false));
    return program;
}

static size_t output_size(size_t o)
{
    return o == 0 ? 1 : o <= PARAMS ? sizes[o - 1] : B;
}

static wh_run *run_net(const net *n, const wh_program *program, const data *d, unsigned threads)
{
    wh_run *run = NULL;
    wh_pool *pool = NULL;
    bool single = wh_graph_real(n->g) == WH_F32;
    assert_ok(wh_run_new(&run, program, threads));
    assert_ok(wh_pool_new(&pool, threads));
    assert_ok(wh_run_input(run, n->tokens, d->tokens));
    assert_ok(wh_run_input(run, n->target, d->target));
    for (size_t i = 0; i < PARAMS; i++)
        assert_ok(wh_run_input(run, n->param[i], single ? (const void *)d->p[i] : d->p64[i]));
    assert_ok(wh_run_go(run, pool));
    wh_alloc_fail_after(1); /* the second time nothing may be asked for */
    assert_ok(wh_run_go(run, pool));
    wh_alloc_fail_after(0);
    wh_pool_free(pool);
    return run;
}

static void assert_same(const wh_run *a, const wh_run *b, size_t each)
{
    for (size_t o = 0; o < OUTPUTS; o++)
        assert_memory_equal(wh_run_result(a, o), wh_run_result(b, o), output_size(o) * each);
}

static double value_at(const wh_run *run, size_t o, size_t i, wh_real real)
{
    return real == WH_F32 ? (double)((const float *)wh_run_result(run, o))[i]
                          : ((const double *)wh_run_result(run, o))[i];
}

/* Differences below `bound` times the largest element of the output. */
static void assert_near(const wh_run *a, wh_real real_a, const wh_run *b, wh_real real_b, double bound)
{
    for (size_t o = 0; o < OUTPUTS; o++) {
        double top = 0, worst = 0;
        for (size_t i = 0; i < output_size(o); i++) {
            top = fmax(top, fabs(value_at(b, o, i, real_b)));
            worst = fmax(worst, fabs(value_at(a, o, i, real_a) - value_at(b, o, i, real_b)));
        }
        if (!(worst <= bound * top)) fail_msg("output %zu: %g apart, of %g", o, worst, top);
    }
}

static void fusing_and_threads_change_no_bit(void **state)
{
    (void)state;
    data *d = make_data();
    for (int real = WH_F32; real <= WH_F64; real++) {
        net n = make_net((wh_real)real, true, true);
        wh_program *fused = program_of(&n, true), *plain = program_of(&n, false);
        /* a bias, an activation, a residual, a mask and a gain at the least ran with something else */
        assert_true(wh_program_measure(fused).steps + 10 < wh_program_measure(plain).steps);
        wh_run *first = run_net(&n, fused, d, 1), *second = run_net(&n, plain, d, 1), *third = run_net(&n, fused, d, 3);
        size_t each = real == WH_F32 ? sizeof(float) : sizeof(double);
        assert_same(first, second, each);
        assert_same(first, third, each);
        wh_run_free(first), wh_run_free(second), wh_run_free(third);
        wh_program_free(fused), wh_program_free(plain);
        wh_graph_free(n.g);
    }
    test_free(d);
}

static void products_run_the_chain_behind_them(void **state)
{
    (void)state;
    enum { ROWS = 1030, IN = 24, OUT = 40 };
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) fused = NULL;
    WH_AUTO(wh_program_ptr) plain = NULL;
    WH_AUTO(wh_run_ptr) a = NULL;
    WH_AUTO(wh_run_ptr) b = NULL;
    static float x[ROWS * IN], w[IN * OUT], bias[OUT];
    for (size_t i = 0; i < ROWS * IN; i++) x[i] = (float)(i % 23) - 11;
    for (size_t i = 0; i < IN * OUT; i++) w[i] = (float)(i % 7) - 3;
    for (size_t i = 0; i < OUT; i++) bias[i] = (float)i;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(2, ROWS / 2, IN));
    wh_value vw = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(IN, OUT)),
             vb = wh_graph_input(g, "b", WH_PARAM, WH_DIMS(OUT));
    wh_value y = wh_graph_relu(g, wh_graph_linear(g, vx, vw, vb, WH_MATMUL_NN));
    assert_ok(wh_program_make(&fused, g, &y, 1, true, false));
    assert_ok(wh_program_make(&plain, g, &y, 1, false, false));
    assert_int_equal(wh_program_measure(fused).steps, 1);
    const wh_program *const programs[] = {fused, plain};
    wh_run **const runs[] = {&a, &b};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(wh_run_new(runs[i], programs[i], 1));
        assert_ok(wh_run_input(*runs[i], vx, x));
        assert_ok(wh_run_input(*runs[i], vw, w));
        assert_ok(wh_run_input(*runs[i], vb, bias));
        assert_ok(wh_run_go(*runs[i], NULL));
    }
    assert_memory_equal(wh_run_result(a, 0), wh_run_result(b, 0), ROWS * OUT * sizeof(float));
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    assert_ok(wh_program_show(&text, fused));
    assert_non_null(strstr(wh_buf_str(&text), "matmul, chain"));
}

/* Other examples under the same parameters: what is made of parameters alone (here weights as convolutions want them,
 * and their doubles) is not made again, and everything else is. */
static void again_is_go_for_other_examples(void **state)
{
    (void)state;
    enum { SIDE = 6, IN = 3, OUT = 8, IMAGE = SIDE * SIDE * IN, WEIGHT = OUT * IN * 9 };
    static float x[2][IMAGE], w[WEIGHT];
    for (size_t i = 0; i < IMAGE; i++) x[0][i] = (float)(i % 23) - 11, x[1][i] = (float)(i * i % 19) - 9;
    for (size_t i = 0; i < WEIGHT; i++) w[i] = (float)(i * 7 % 13) - 6;
    WH_AUTO(wh_graph_ptr) g = NULL;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(1, IN, SIDE, SIDE));
    wh_value vw = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(OUT, IN, 3, 3)), out[2];
    wh_value y = wh_graph_relu(
        g, wh_graph_conv(g, vx, wh_graph_add(g, vw, vw), WH_NO_VALUE, (wh_conv){.stride = 1, .groups = 1}));
    out[0] = wh_graph_sum_all(g, wh_graph_mul(g, y, y));
    assert_ok(wh_graph_gradient(out + 1, g, out[0], &vw, 1));
    for (int fuse = 0; fuse < 2; fuse++) {
        WH_AUTO(wh_program_ptr) plain = NULL;
        WH_AUTO(wh_program_ptr) keeping = NULL;
        WH_AUTO(wh_run_ptr) a = NULL;
        WH_AUTO(wh_run_ptr) b = NULL;
        assert_ok(wh_program_make(&plain, g, out, 2, fuse, false));
        assert_ok(wh_program_make(&keeping, g, out, 2, fuse, true));
        assert_int_equal(wh_program_measure(plain).kept, 0);
        assert_true(wh_program_measure(keeping).kept >= 2);
        assert_int_equal(wh_program_measure(keeping).steps, wh_program_measure(plain).steps);
        assert_ok(wh_run_new(&a, plain, 1));
        assert_ok(wh_run_new(&b, keeping, 1));
        assert_ok(wh_run_input(a, vw, w));
        assert_ok(wh_run_input(b, vw, w));
        for (size_t i = 0; i < 5; i++) {
            assert_ok(wh_run_input(a, vx, x[i % 2]));
            assert_ok(wh_run_input(b, vx, x[i % 2]));
            assert_ok(wh_run_go(a, NULL));
            assert_ok(i ? wh_run_again(b, NULL) : wh_run_go(b, NULL));
            assert_memory_equal(wh_run_result(a, 0), wh_run_result(b, 0), sizeof(float));
            assert_memory_equal(wh_run_result(a, 1), wh_run_result(b, 1), sizeof w);
        }
    }
}

/* avx2 and avx512 agree to the bit; generic rounds each product of a matrix. Double agrees on all but where OpenBLAS
 * serves large products. */
static void instruction_sets_agree(void **state)
{
    (void)state;
    static const char *const names[] = {"generic", "avx2", "avx512"};
    const char *outside = getenv("WHIST_CPU");
    char kept[16] = "";
    if (outside) snprintf(kept, sizeof kept, "%s", outside);
    data *d = make_data();
    for (int real = WH_F32; real <= WH_F64; real++) {
        net n = make_net((wh_real)real, false, true);
        wh_run *runs[3] = {NULL};
        wh_program *programs[3] = {NULL};
        for (int level = 0; level <= (int)wh_cpu_machine(); level++) {
            assert_int_equal(setenv("WHIST_CPU", names[level], 1), 0);
            programs[level] = program_of(&n, true);
            assert_int_equal(programs[level]->level, level);
            runs[level] = run_net(&n, programs[level], d, 1);
        }
        if (wh_cpu_machine() == WH_CPU_AVX512) assert_same(runs[1], runs[2], real == WH_F32 ? 4 : 8);
        for (int level = 1; level <= (int)wh_cpu_machine(); level++)
            assert_near(runs[level], (wh_real)real, runs[0], (wh_real)real, real == WH_F32 ? 2e-5 : 1e-13);
        for (int level = 0; level < 3; level++) wh_run_free(runs[level]), wh_program_free(programs[level]);
        wh_graph_free(n.g);
    }
    if (outside)
        setenv("WHIST_CPU", kept, 1);
    else
        unsetenv("WHIST_CPU");
    test_free(d);
}

/* More steps than a block of scores has rows: first derivatives by the fused operation and by its parts. */
static void attention_is_the_sum_of_its_parts(void **state)
{
    (void)state;
    data *d = make_data();
    for (int causal = 0; causal < 2; causal++) {
        net one = make_net(WH_F64, causal, true), parts = make_net(WH_F64, causal, false);
        net single = make_net(WH_F32, causal, true);
        wh_program *p1 = program_of(&one, true), *p2 = program_of(&parts, true), *p3 = program_of(&single, true);
        wh_run *r1 = run_net(&one, p1, d, 1), *r2 = run_net(&parts, p2, d, 1), *r3 = run_net(&single, p3, d, 1);
        assert_near(r1, WH_F64, r2, WH_F64, 1e-12);
        assert_near(r3, WH_F32, r1, WH_F64, 2e-5);
        assert_true(wh_program_measure(p1).values_bytes < wh_program_measure(p2).values_bytes);
        wh_run_free(r1), wh_run_free(r2), wh_run_free(r3);
        wh_program_free(p1), wh_program_free(p2), wh_program_free(p3);
        wh_graph_free(one.g), wh_graph_free(parts.g), wh_graph_free(single.g);
    }
    test_free(d);
}

/* All that works element by element, row by row or moves things: the same bits on every set, and near double. */
enum { ROWS = 21, COLS = 67, RESULTS = 26 };

static void build_all(wh_value out[RESULTS], wh_graph *g, wh_value x, wh_value y, wh_value index)
{
    const size_t from[] = {3, 5};
    const wh_value all[RESULTS] = {wh_graph_exp(g, x),
                                   wh_graph_log(g, wh_graph_abs(g, x)),
                                   wh_graph_sqrt(g, wh_graph_abs(g, x)),
                                   wh_graph_rsqrt(g, wh_graph_shift(g, wh_graph_abs(g, x), 1)),
                                   wh_graph_tanh(g, x),
                                   wh_graph_sigmoid(g, x),
                                   wh_graph_softplus(g, x),
                                   wh_graph_erf(g, x),
                                   wh_graph_relu(g, x),
                                   wh_graph_gelu(g, x),
                                   wh_graph_gelu_tanh(g, x),
                                   wh_graph_div(g, x, wh_graph_shift(g, wh_graph_square(g, y), 1)),
                                   wh_graph_max(g, x, y),
                                   wh_graph_where(g, wh_graph_not_less(g, x, y), x, wh_graph_neg(g, y)),
                                   wh_graph_softmax(g, x, false),
                                   wh_graph_log_softmax(g, x),
                                   wh_graph_normalize(g, x, 1e-5),
                                   wh_graph_cross_entropy(g, x, index),
                                   wh_graph_sum(g, x, 1, false),
                                   wh_graph_sum(g, x, 2, false),
                                   wh_graph_sum_all(g, x),
                                   wh_graph_max_last(g, x),
                                   wh_graph_transpose(g, x, (const unsigned[]){1, 0}),
                                   wh_graph_slice(g, x, from, WH_DIMS(9, 40)),
                                   wh_graph_cumsum(g, x, WH_NO_VALUE, true),
                                   wh_graph_concat(g, 1, (const wh_value[]){x, y}, 2)};
    memcpy(out, all, sizeof all);
}

static wh_run *run_all(wh_real real, const void *x, const void *y, const uint32_t *index, size_t count[RESULTS],
                       wh_program **program)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_run *run = NULL;
    wh_value out[RESULTS];
    assert_ok(wh_graph_new(&g, real));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(ROWS, COLS));
    wh_value vy = wh_graph_input(g, "y", WH_EXAMPLES, WH_DIMS(ROWS, COLS));
    wh_value vi = wh_graph_index(g, "i", WH_EXAMPLES, WH_DIMS(ROWS), COLS);
    build_all(out, g, vx, vy, vi);
    for (size_t o = 0; o < RESULTS; o++) {
        wh_dims dims = wh_graph_dims(g, out[o]);
        count[o] = wh_dims_size(&dims);
    }
    assert_ok(wh_program_new(program, g, out, RESULTS));
    assert_ok(wh_run_new(&run, *program, 1));
    assert_ok(wh_run_input(run, vx, x));
    assert_ok(wh_run_input(run, vy, y));
    assert_ok(wh_run_input(run, vi, index));
    assert_ok(wh_run_go(run, NULL));
    return run;
}

static void every_kernel_has_the_bits_of_the_generic_one(void **state)
{
    (void)state;
    static const char *const names[] = {"generic", "avx2", "avx512"};
    static float x[ROWS * COLS], y[ROWS * COLS];
    static double x64[ROWS * COLS], y64[ROWS * COLS];
    uint32_t index[ROWS];
    for (size_t i = 0; i < ROWS * COLS; i++) {
        x64[i] = x[i] = (float)((double)(i * 7919 % 1601) / 100 - 8);
        y64[i] = y[i] = (float)((double)(i * 31 % 97) / 10 - 4);
    }
    for (uint32_t i = 0; i < ROWS; i++) index[i] = i * 3;
    size_t count[RESULTS];
    wh_program *programs[4] = {NULL};
    wh_run *exact = run_all(WH_F64, x64, y64, index, count, &programs[3]), *runs[3] = {NULL};
    const char *outside = getenv("WHIST_CPU");
    char kept[16] = "";
    if (outside) snprintf(kept, sizeof kept, "%s", outside);
    for (int level = 0; level <= (int)wh_cpu_machine(); level++) {
        assert_int_equal(setenv("WHIST_CPU", names[level], 1), 0);
        runs[level] = run_all(WH_F32, x, y, index, count, &programs[level]);
        for (size_t o = 0; o < RESULTS; o++) {
            const float *got = wh_run_result(runs[level], o);
            const double *want = wh_run_result(exact, o);
            assert_memory_equal(got, wh_run_result(runs[0], o), count[o] * sizeof *got);
            for (size_t i = 0; i < count[o]; i++)
                if (!(fabs(got[i] - want[i]) <= 2e-6 * (fabs(want[i]) + 1)) && isfinite(want[i]))
                    fail_msg("result %zu, element %zu: %g, not %g", o, i, (double)got[i], want[i]);
        }
    }
    for (size_t i = 0; i < 3; i++) wh_run_free(runs[i]);
    wh_run_free(exact);
    for (size_t i = 0; i < 4; i++) wh_program_free(programs[i]);
    if (outside)
        setenv("WHIST_CPU", kept, 1);
    else
        unsetenv("WHIST_CPU");
}

/* A weight used at a hundred places: its uses stand side by side in one node. */
static void nodes_may_have_many_arguments(void **state)
{
    (void)state;
    enum { N = 4, W = 3, TIMES = 100 };
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_per_example_ptr) each = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    double x[N * W], w[W * W];
    for (size_t i = 0; i < N * W; i++) x[i] = .1 * (double)i - .4;
    for (size_t i = 0; i < W * W; i++) w[i] = .2 * (double)(i % 4) - .3;
    assert_ok(wh_graph_new(&g, WH_F64));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(N, W)),
             vw = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(W, W));
    wh_value h = vx, all[TIMES];
    for (size_t i = 0; i < TIMES; i++) all[i] = h = wh_graph_tanh(g, wh_graph_matmul(g, h, vw, WH_MATMUL_NN));
    wh_value losses = wh_graph_sum(g, wh_graph_concat(g, 1, all, TIMES), 2, false);
    assert_ok(wh_graph_status(g));
    assert_ok(wh_per_example_new(&each, g, losses, &vw, 1));
    wh_value out[1 + N] = {wh_per_example_total(each)};
    for (size_t i = 0; i < N; i++) {
        wh_value own = wh_graph_sum_all(g, wh_graph_slice(g, losses, &i, WH_DIMS(1))), grad;
        assert_ok(wh_graph_gradient(&grad, g, own, &vw, 1));
        out[1 + i] = wh_graph_dot(g, grad, grad);
    }
    assert_ok(wh_program_new(&program, g, out, 1 + N));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, vx, x));
    assert_ok(wh_run_input(run, vw, w));
    assert_ok(wh_run_go(run, NULL));
    for (size_t i = 0; i < N; i++) {
        double got = ((const double *)wh_run_result(run, 0))[i], want = *(const double *)wh_run_result(run, 1 + i);
        assert_true(fabs(got - want) <= 1e-12 * want && want > 0);
    }
}

/* One output of a graph over x (shape dims) and row (its last axis), fused and one step a node: the same bits. */
typedef wh_value build_fn(wh_graph *g, wh_value x, wh_value row, unsigned axes);

static size_t same_bits(build_fn *build, wh_dims dims, unsigned axes, bool sums)
{
    enum { MOST = 3 * 40 * 512 };
    static float x[MOST], row[MOST];
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_program *programs[2];
    wh_run *runs[2];
    for (size_t i = 0; i < MOST; i++) x[i] = (float)(i * i % 1013) * .01f - 5, row[i] = (float)(i % 11) * .3f - 1;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, dims),
             vrow = wh_graph_input(g, "row", WH_PARAM, WH_DIMS(wh_dims_last(&dims)));
    wh_value out = build(g, vx, vrow, axes);
    wh_dims shape = wh_graph_dims(g, out);
    for (int i = 0; i < 2; i++) {
        assert_ok(wh_program_make(&programs[i], g, &out, 1, i == 0, false));
        assert_ok(wh_run_new(&runs[i], programs[i], 1));
        assert_ok(wh_run_input(runs[i], vx, x));
        assert_ok(wh_run_input(runs[i], vrow, row));
        assert_ok(wh_run_go(runs[i], NULL));
    }
    assert_memory_equal(wh_run_result(runs[0], 0), wh_run_result(runs[1], 0), wh_dims_size(&shape) * sizeof(float));
    assert_ok(wh_program_show(&text, programs[0]));
    assert_int_equal(strstr(wh_buf_str(&text), "chain, sum") != NULL, sums);
    size_t steps = wh_program_measure(programs[0]).steps;
    for (int i = 0; i < 2; i++) wh_run_free(runs[i]), wh_program_free(programs[i]);
    return steps;
}

static wh_value sum_of_chain(wh_graph *g, wh_value x, wh_value row, unsigned axes)
{
    return wh_graph_sum(g, wh_graph_tanh(g, wh_graph_add(g, x, row)), axes, false);
}

static void sums_run_the_chain_before_them(void **state)
{
    (void)state;
    static const struct {
        wh_dims dims;
        unsigned axes;
        bool fused;
    } cases[] = {
        {{2, {70, 64}}, 1, true},       {{2, {70, 7}}, 1, true},   {{4, {3, 5, 4, 512}}, 1 | 2 | 4, true},
        {{3, {3, 40, 100}}, 2, true},   {{2, {33, 20}}, 2, true},  {{1, {300}}, 1, true},
        {{2, {3, 513}}, 1, false},      {{2, {3, 513}}, 2, false}, {{3, {3, 40, 100}}, 1 | 4, false},
        {{3, {3, 40, 8}}, 2 | 4, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t steps = same_bits(sum_of_chain, cases[i].dims, cases[i].axes, cases[i].fused);
        assert_int_equal(steps, cases[i].fused ? 1 : 2);
    }
}

/* x - row is read by two chains that a sum keeps apart; neither it nor anything else is laid out. */
static wh_value cheap_twice(wh_graph *g, wh_value x, wh_value row, unsigned axes)
{
    wh_value off = wh_graph_sub(g, x, row), sum = wh_graph_sum(g, wh_graph_exp(g, off), axes, true);
    return wh_graph_div(g, off, sum);
}

/* The same of what costs something: computed once, and read. */
static wh_value dear_twice(wh_graph *g, wh_value x, wh_value row, unsigned axes)
{
    wh_value off = wh_graph_tanh(g, wh_graph_sub(g, x, row)), sum = wh_graph_sum(g, wh_graph_exp(g, off), axes, true);
    return wh_graph_div(g, off, sum);
}

static void cheap_operations_are_done_anew(void **state)
{
    (void)state;
    assert_int_equal(same_bits(cheap_twice, WH_DIMS(9, 30), 1, true), 2);
    assert_int_equal(same_bits(dear_twice, WH_DIMS(9, 30), 1, true), 3);
}

/* Σ x row + Σ x is row Σ x + Σ x: one sum. */
static wh_value factor_twice(wh_graph *g, wh_value x, wh_value row, unsigned axes)
{
    wh_value with = wh_graph_sum(g, wh_graph_mul(g, wh_graph_mul(g, x, row), x), axes, false);
    return wh_graph_add(g, with, wh_graph_sum(g, wh_graph_square(g, x), axes, false));
}

static void factors_stand_behind_sums(void **state)
{
    (void)state;
    assert_int_equal(same_bits(factor_twice, WH_DIMS(50, 30), 1, true), 2);
    /* Over the row's own axis it is no factor. */
    assert_int_equal(same_bits(factor_twice, WH_DIMS(50, 30), 2, true), 3);
}

/* Batch norm: a convolution's bias has no part in it, so its gradient is no rounding error but 0. */
static void batch_norm_drops_the_bias(void **state)
{
    (void)state;
    enum { N = 3, C = 2, O = 4, SIDE = 6 };
    static float x[N * C * SIDE * SIDE], w[O * C * 9], bias[O] = {1, -2, 3, 1e3f};
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    for (size_t i = 0; i < N * C * SIDE * SIDE; i++) x[i] = (float)(i * i % 17) - 8;
    for (size_t i = 0; i < O * C * 9; i++) w[i] = (float)(i % 5) - 2;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value vx = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(N, C, SIDE, SIDE));
    wh_value vw = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(O, C, 3, 3)),
             vb = wh_graph_input(g, "b", WH_PARAM, WH_DIMS(O)), out[3], grads[2];
    for (int with = 0; with < 2; with++) {
        wh_value y = wh_graph_conv(g, vx, vw, with ? vb : WH_NO_VALUE, (wh_conv){1, 1, 1});
        out[with] = wh_graph_tanh(g, wh_graph_batch_norm(g, y, WH_NO_VALUE, WH_NO_VALUE, 1e-5));
    }
    const wh_value params[] = {vw, vb};
    assert_ok(wh_graph_gradient(grads, g, wh_graph_sum_all(g, wh_graph_square(g, out[1])), params, 2));
    out[2] = grads[1];
    assert_ok(wh_program_new(&program, g, out, 3));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, vx, x));
    assert_ok(wh_run_input(run, vw, w));
    assert_ok(wh_run_input(run, vb, bias));
    assert_ok(wh_run_go(run, NULL));
    assert_memory_equal(wh_run_result(run, 0), wh_run_result(run, 1), sizeof(float) * N * O * SIDE * SIDE);
    for (size_t i = 0; i < O; i++) assert_true(((const float *)wh_run_result(run, 2))[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusing_and_threads_change_no_bit),
        cmocka_unit_test(products_run_the_chain_behind_them),
        cmocka_unit_test(again_is_go_for_other_examples),
        cmocka_unit_test(sums_run_the_chain_before_them),
        cmocka_unit_test(cheap_operations_are_done_anew),
        cmocka_unit_test(factors_stand_behind_sums),
        cmocka_unit_test(batch_norm_drops_the_bias),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(attention_is_the_sum_of_its_parts),
        cmocka_unit_test(nodes_may_have_many_arguments),
        cmocka_unit_test(every_kernel_has_the_bits_of_the_generic_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
