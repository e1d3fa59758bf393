/* nn/graph/layout_test.c: networks of convolutions as programs: what is never turned over, threads, instruction sets,
 * per-example sums of large and small batches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph/node.h"
#include "nn/graph/program.h"
#include "test.h"

enum { MAX_PARAMS = 8, SIDE = 6 };

typedef struct net {
    wh_graph *g;
    wh_value x, losses, param[MAX_PARAMS];
    size_t n_params, batch;
} net;

static wh_value parameter(net *n, wh_dims dims)
{
    wh_value v = wh_graph_input(n->g, "p", WH_PARAM, dims);
    n->param[n->n_params++] = v;
    return v;
}

/* conv, norm, ReLU, pool, conv, average over places */
static net make_net(wh_real real, size_t batch, size_t channels, bool couples)
{
    net n = {.batch = batch};
    assert_ok(wh_graph_new(&n.g, real));
    n.x = wh_graph_input(n.g, "x", WH_EXAMPLES, WH_DIMS(batch, 3, SIDE, SIDE));
    wh_value y = wh_graph_conv(n.g, n.x, parameter(&n, WH_DIMS(channels, 3, 3, 3)), parameter(&n, WH_DIMS(channels)),
                               (wh_conv){1, 1, 1});
    wh_value gamma = parameter(&n, WH_DIMS(channels)), beta = parameter(&n, WH_DIMS(channels));
    y = couples ? wh_graph_batch_norm(n.g, y, gamma, beta, 1e-3) : wh_graph_group_norm(n.g, y, 2, gamma, beta, 1e-3);
    y = wh_graph_max_pool(n.g, wh_graph_relu(n.g, y), (wh_window){2, 2, 0});
    y = wh_graph_conv(n.g, y, parameter(&n, WH_DIMS(channels, channels, 3, 3)), WH_NO_VALUE, (wh_conv){1, 1, 1});
    y = wh_graph_mean(n.g, wh_graph_tanh(n.g, y), 1u << 2 | 1u << 3, false);
    n.losses = wh_graph_sum(n.g, wh_graph_square(n.g, y), 2, false);
    assert_ok(wh_graph_status(n.g));
    return n;
}

static double number(size_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53 - .5;
}

static float *numbers(size_t n, size_t from)
{
    float *x = test_malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)number(from + i);
    return x;
}

typedef struct bound {
    wh_program *program;
    wh_run *run;
    float *memory[MAX_PARAMS + 1];
    size_t n;
} bound;

/* Examples first … of one stream of numbers; parameters from another. */
static bound bind(const net *n, const wh_value outputs[], size_t n_outputs, unsigned threads, size_t first)
{
    bound b = {.n = n->n_params + 1};
    assert_ok(wh_program_new(&b.program, n->g, outputs, n_outputs));
    assert_ok(wh_run_new(&b.run, b.program, threads));
    for (size_t i = 0; i < n->n_params; i++) {
        wh_dims dims = wh_graph_dims(n->g, n->param[i]);
        b.memory[i] = numbers(wh_dims_size(&dims), 1000000 * (i + 1));
        assert_ok(wh_run_input(b.run, n->param[i], b.memory[i]));
    }
    size_t example = 3 * (size_t)SIDE * SIDE;
    b.memory[n->n_params] = numbers(n->batch * example, first * example);
    assert_ok(wh_run_input(b.run, n->x, b.memory[n->n_params]));
    return b;
}

static void unbind(bound *b)
{
    for (size_t i = 0; i < b->n; i++) test_free(b->memory[i]);
    wh_run_free(b->run);
    wh_program_free(b->program);
}

static size_t gradient_and_product(wh_value out[], const net *n)
{
    wh_value loss = wh_graph_sum_all(n->g, n->losses);
    assert_ok(wh_graph_gradient(out, n->g, loss, n->param, n->n_params));
    assert_ok(wh_graph_jvp(out + n->n_params, n->g, out, n->n_params, n->param, n->param, n->n_params));
    return 2 * n->n_params;
}

/* A step that turns images over would show the batch, a number that nothing else has. */
static void images_are_never_turned_over(void **state)
{
    (void)state;
    enum { BATCH = 37 };
    net n = make_net(WH_F32, BATCH, 8, true);
    wh_value outputs[2 * MAX_PARAMS];
    bound b = bind(&n, outputs, gradient_and_product(outputs, &n), 1, 0);
    WH_AUTO(wh_buf) text = {0};
    assert_ok(wh_program_show(&text, b.program));
    size_t turned = 0, kept = 0;
    for (const char *at = wh_buf_str(&text); (at = strstr(at, " transpose ")) != NULL; at++) {
        /* One: the images of three channels that come in. */
        const char *end = strchr(at, '\n'), *batch = strstr(at, "(37,");
        if (batch && batch < end)
            turned++;
        else
            kept++;
    }
    assert_int_equal(turned, 1);
    assert_true(kept > 0); /* weights, a few thousand numbers each */
    unbind(&b);
    wh_graph_free(n.g);
}

static void compare_bits(const bound *a, const bound *b, const net *n, size_t n_outputs)
{
    for (size_t o = 0; o < n_outputs; o++) {
        wh_dims dims = wh_graph_dims(n->g, n->param[o % n->n_params]);
        assert_memory_equal(wh_run_result(a->run, o), wh_run_result(b->run, o), wh_dims_size(&dims) * sizeof(float));
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    net n = make_net(WH_F32, 150, 20, true);
    wh_value outputs[2 * MAX_PARAMS];
    size_t n_outputs = gradient_and_product(outputs, &n);
    bound one = bind(&n, outputs, n_outputs, 1, 0);
    assert_ok(wh_run_go(one.run, NULL));
    for (unsigned threads = 2; threads <= 3; threads++) {
        wh_pool *pool = NULL;
        assert_ok(wh_pool_new(&pool, threads));
        bound many = bind(&n, outputs, n_outputs, threads, 0);
        assert_ok(wh_run_go(many.run, pool));
        compare_bits(&one, &many, &n, n_outputs);
        unbind(&many);
        wh_pool_free(pool);
    }
    unbind(&one);
    wh_graph_free(n.g);
}

static void instruction_sets_agree(void **state)
{
    (void)state;
    static const char *const sets[] = {"generic", "avx2", "avx512"};
    net n = make_net(WH_F32, 9, 20, true);
    wh_value outputs[2 * MAX_PARAMS];
    size_t n_outputs = gradient_and_product(outputs, &n);
    bound b[3];
    const char *before = getenv("WHIST_CPU");
    char *kept = before ? strdup(before) : NULL;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(setenv("WHIST_CPU", sets[i], 1), 0);
        b[i] = bind(&n, outputs, n_outputs, 1, 0);
        assert_ok(wh_run_go(b[i].run, NULL));
    }
    assert_int_equal(kept ? setenv("WHIST_CPU", kept, 1) : unsetenv("WHIST_CPU"), 0);
    free(kept); /* lint: strdup's own */
    /* A bias under a norm by the batch's statistics has the gradient 0, and rounding: so against the largest of all. */
    double top = 0;
    for (size_t o = 0; o < n_outputs; o++) {
        wh_dims dims = wh_graph_dims(n.g, n.param[o % n.n_params]);
        const float *want = wh_run_result(b[0].run, o);
        for (size_t k = 0; k < wh_dims_size(&dims); k++) top = fmax(top, fabs((double)want[k]));
    }
    for (size_t i = 1; i < 3; i++)
        for (size_t o = 0; o < n_outputs; o++) {
            wh_dims dims = wh_graph_dims(n.g, n.param[o % n.n_params]);
            const float *want = wh_run_result(b[0].run, o), *got = wh_run_result(b[i].run, o);
            for (size_t k = 0; k < wh_dims_size(&dims); k++)
                assert_true(fabs((double)got[k] - (double)want[k]) <= 5e-6 * top);
        }
    for (size_t i = 0; i < 3; i++) unbind(&b[i]);
    wh_graph_free(n.g);
}

/* ---- Per-example sums -------------------------------------------------------------------------------- */

enum { LARGE = 40, SMALL = 2, CHANNELS = 48 };

static size_t private_outputs(wh_value out[], const net *n)
{
    WH_AUTO(wh_per_example_ptr) each = NULL;
    assert_ok(wh_per_example_new(&each, n->g, n->losses, n->param, n->n_params));
    wh_value weights = wh_graph_clip_weights(n->g, wh_per_example_total(each), .1);
    assert_ok(wh_per_example_sum(out, n->g, each, weights));
    out[n->n_params] = wh_per_example_total(each);
    return n->n_params + 1;
}

/* A batch whose gradients do not fit the cache goes by norms, tiles of it by the gradients themselves. */
static void tiles_add_up_to_the_batch(void **state)
{
    (void)state;
    net large = make_net(WH_F32, LARGE, CHANNELS, false), small = make_net(WH_F32, SMALL, CHANNELS, false);
    wh_value of_large[MAX_PARAMS + 1], of_small[MAX_PARAMS + 1];
    bound whole = bind(&large, of_large, private_outputs(of_large, &large), 1, 0);
    assert_ok(wh_run_go(whole.run, NULL));
    size_t n_small = private_outputs(of_small, &small), n_params = large.n_params;
    double *sum[MAX_PARAMS], total[LARGE];
    for (size_t i = 0; i < n_params; i++) {
        wh_dims dims = wh_graph_dims(large.g, large.param[i]);
        sum[i] = test_calloc(wh_dims_size(&dims), sizeof **sum);
    }
    for (size_t first = 0; first < LARGE; first += SMALL) {
        bound tile = bind(&small, of_small, n_small, 1, first);
        assert_ok(wh_run_go(tile.run, NULL));
        for (size_t i = 0; i < n_params; i++) {
            wh_dims dims = wh_graph_dims(large.g, large.param[i]);
            for (size_t k = 0; k < wh_dims_size(&dims); k++)
                sum[i][k] += (double)((const float *)wh_run_result(tile.run, i))[k];
        }
        for (size_t k = 0; k < SMALL; k++)
            total[first + k] = (double)((const float *)wh_run_result(tile.run, n_params))[k];
        unbind(&tile);
    }
    const float *squared = wh_run_result(whole.run, n_params);
    for (size_t k = 0; k < LARGE; k++) assert_true(fabs((double)squared[k] - total[k]) <= 1e-4 * total[k]);
    for (size_t i = 0; i < n_params; i++) {
        wh_dims dims = wh_graph_dims(large.g, large.param[i]);
        const float *got = wh_run_result(whole.run, i);
        double top = 0;
        for (size_t k = 0; k < wh_dims_size(&dims); k++) top = fmax(top, fabs(sum[i][k]));
        for (size_t k = 0; k < wh_dims_size(&dims); k++) assert_true(fabs((double)got[k] - sum[i][k]) <= 2e-5 * top);
        test_free(sum[i]);
    }
    unbind(&whole);
    wh_graph_free(large.g);
    wh_graph_free(small.g);
}

/* ---- Norms ------------------------------------------------------------------------------------------------- */

/* The third derivative goes through the parts of the second: they have to be what the kernel computes. */
static void parts_of_a_norm_are_its_value(void **state)
{
    (void)state;
    enum { N = 2 * 5 * 3 * 2 };
    const wh_dims grid = WH_DIMS(2, 5, 3, 2);
    for (unsigned n_args = 3; n_args <= 4; n_args++) {
        WH_AUTO(wh_graph_ptr) g = NULL;
        WH_AUTO(wh_program_ptr) program = NULL;
        WH_AUTO(wh_run_ptr) run = NULL;
        wh_value arg[4], out[2];
        double data[4][N];
        assert_ok(wh_graph_new(&g, WH_F64));
        for (unsigned i = 0; i < n_args; i++) arg[i] = wh_graph_input(g, "a", WH_SHARED, grid);
        wh_attr attr = {.real = {1e-2}};
        out[0] = wh_graph_node(g, &wh_op_normalize_grid_second, arg, n_args, grid, &attr, WH_KIND_REAL);
        out[1] = wh_op_normalize_grid_second.decompose(g, out[0]);
        assert_ok(wh_program_new(&program, g, out, 2));
        assert_ok(wh_run_new(&run, program, 1));
        for (unsigned i = 0; i < n_args; i++) {
            for (size_t k = 0; k < N; k++) data[i][k] = number(1000 * i + k);
            assert_ok(wh_run_input(run, arg[i], data[i]));
        }
        assert_ok(wh_run_go(run, NULL));
        const double *kernel = wh_run_result(run, 0), *parts = wh_run_result(run, 1);
        for (size_t k = 0; k < N; k++) assert_true(fabs(kernel[k] - parts[k]) <= 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_never_turned_over),  cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(instruction_sets_agree),        cmocka_unit_test(tiles_add_up_to_the_batch),
        cmocka_unit_test(parts_of_a_norm_are_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
