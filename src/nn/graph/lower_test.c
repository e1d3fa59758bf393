/* nn/graph/lower_test.c: convolutions by oneDNN against our own: values, bits by threads, layouts kept, refusals.
 *
 * |theirs - ours| <= 2e-5 times the largest number of the same array: both round sums of at most 9 · 64 products of one
 * network three layers deep, each by 2^-24 of its terms. Where oneDNN is not here these tests are skipped; the refusal
 * is not. */
#include "nn/graph/lower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph/program.h"
#include "num/kern.h"
#include "num/onednn.h"
#include "test.h"

enum { MAX_PARAMS = 12 };

typedef struct net {
    wh_graph *g;
    wh_value x, losses, param[MAX_PARAMS];
    size_t n_params;
} net;

static wh_value parameter(net *n, wh_dims dims)
{
    wh_value v = wh_graph_input(n->g, "p", WH_PARAM, dims);
    n->param[n->n_params++] = v;
    return v;
}

static wh_value conv(net *n, wh_value x, size_t out, size_t kernel, wh_conv how)
{
    size_t in = wh_graph_dims(n->g, x).dim[1];
    wh_value w = parameter(n, WH_DIMS(out, in / how.groups, kernel, kernel)), b = parameter(n, WH_DIMS(out));
    return wh_graph_conv(n->g, x, w, b, how);
}

static void finish(net *n, wh_value y)
{
    n->losses = wh_graph_mean(n->g, wh_graph_square(n->g, y), 1u << 1 | 1u << 2 | 1u << 3, false);
    assert_ok(wh_graph_status(n->g));
}

static net start(wh_real real, size_t batch, size_t channels, size_t side)
{
    net n = {.n_params = 0};
    assert_ok(wh_graph_new(&n.g, real));
    n.x = wh_graph_input(n.g, "x", WH_EXAMPLES, WH_DIMS(batch, channels, side, side));
    return n;
}

/* Nothing but convolutions, elements and pools after the first layer: all of it can stay in blocks. */
static net plain_net(wh_real real, size_t batch, size_t channels)
{
    net n = start(real, batch, channels, 13);
    wh_value y = wh_graph_relu(n.g, conv(&n, n.x, 32, 3, (wh_conv){1, 1, 1}));
    y = wh_graph_max_pool(n.g, y, (wh_window){2, 2, 0});
    wh_value z = wh_graph_tanh(n.g, conv(&n, y, 32, 3, (wh_conv){1, 1, 1}));
    y = wh_graph_relu(n.g, conv(&n, wh_graph_add(n.g, y, z), 64, 5, (wh_conv){2, 2, 1}));
    finish(&n, wh_graph_avg_pool(n.g, y, (wh_window){2, 1, 0}));
    return n;
}

/* A norm wants rows; 20 channels fit no block, groups are ours. */
static net mixed_net(wh_real real, size_t batch)
{
    net n = start(real, batch, 3, 12);
    wh_value y = conv(&n, n.x, 32, 4, (wh_conv){2, 1, 1});
    y = wh_graph_relu(n.g,
                      wh_graph_group_norm(n.g, y, 4, parameter(&n, WH_DIMS(32)), parameter(&n, WH_DIMS(32)), 1e-3));
    y = wh_graph_relu(n.g, conv(&n, y, 20, 3, (wh_conv){1, 0, 1}));
    y = wh_graph_relu(n.g, conv(&n, y, 32, 2, (wh_conv){1, 1, 4}));
    finish(&n, conv(&n, y, 16, 3, (wh_conv){1, 1, 1}));
    return n;
}

static float number(size_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (float)((double)((x ^ (x >> 31)) >> 11) * 0x1p-53 - .5);
}

/* ---- Running ---------------------------------------------------------------------------------------------- */

typedef struct bound {
    wh_program *program;
    wh_run *run;
    float *memory[MAX_PARAMS + 1];
    size_t n;
} bound;

static float *bind_input(bound *b, const net *n, wh_value v, size_t from, float scale)
{
    wh_dims dims = wh_graph_dims(n->g, v);
    float *x = test_malloc(wh_dims_size(&dims) * sizeof *x);
    for (size_t i = 0; i < wh_dims_size(&dims); i++) x[i] = scale * number(from + i);
    assert_ok(wh_run_input(b->run, v, x));
    return x;
}

/* Outputs: the sum of losses, and its gradient by every parameter and by the images. */
static size_t outputs_of(wh_value out[], const net *n)
{
    wh_value wrt[MAX_PARAMS + 1];
    memcpy(wrt, n->param, n->n_params * sizeof *wrt);
    wrt[n->n_params] = n->x;
    out[0] = wh_graph_sum_all(n->g, n->losses);
    assert_ok(wh_graph_gradient(out + 1, n->g, out[0], wrt, n->n_params + 1));
    return n->n_params + 2;
}

static bound bind(const net *n, wh_value outputs[], size_t n_outputs, const char *how, unsigned threads)
{
    bound b = {.n = n->n_params + 1};
    assert_int_equal(setenv("WHIST_CONV", how, 1), 0);
    assert_ok(wh_graph_lower(outputs, n->g, n_outputs));
    assert_int_equal(unsetenv("WHIST_CONV"), 0);
    assert_ok(wh_program_new(&b.program, n->g, outputs, n_outputs));
    assert_ok(wh_run_new(&b.run, b.program, threads));
    for (size_t i = 0; i < n->n_params; i++) b.memory[i] = bind_input(&b, n, n->param[i], 1000000 * (i + 1), .3f);
    b.memory[n->n_params] = bind_input(&b, n, n->x, 0, 2);
    return b;
}

static void unbind(bound *b)
{
    for (size_t i = 0; i < b->n; i++) test_free(b->memory[i]);
    wh_run_free(b->run);
    wh_program_free(b->program);
}

/* The error of one output over its largest number. */
static double distance(const bound *a, const bound *b, size_t o, size_t n)
{
    const float *x = wh_run_result(a->run, o), *y = wh_run_result(b->run, o);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(x[i]) && isfinite(y[i]));
        worst = fmax(worst, fabs((double)x[i] - y[i]));
        largest = fmax(largest, fabs((double)x[i]));
    }
    assert_true(largest > 0);
    return worst / largest;
}

static size_t count(const wh_program *program, const char *what)
{
    WH_AUTO(wh_buf) text = {0};
    assert_ok(wh_program_show(&text, program));
    size_t n = 0;
    for (const char *at = wh_buf_str(&text); (at = strstr(at, what)) != NULL; at++) n++;
    return n;
}

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define WATCHED_BYTES /* what a library wrote counts as undefined there */
#endif
#endif

static void need_onednn(void)
{
#ifdef WATCHED_BYTES
    print_message("skipped: MemorySanitizer cannot look into oneDNN\n");
    skip();
#endif
    if (wh_onednn_load() == WHIST_OK) return;
    print_message("skipped: %s\n", whist_detail_get()->text);
    skip();
}

/* least: of oneDNN's calls. First layers of few channels have their own code or none, by machine. */
static void agrees(net n, size_t least)
{
    wh_value own[MAX_PARAMS + 2], theirs[MAX_PARAMS + 2];
    size_t n_outputs = outputs_of(own, &n);
    memcpy(theirs, own, sizeof theirs);
    bound a = bind(&n, own, n_outputs, "own", 1), b = bind(&n, theirs, n_outputs, "onednn", 1);
    assert_int_equal(count(a.program, " onednn "), 0);
    assert_true(count(b.program, " onednn ") >= least);
    assert_ok(wh_run_go(a.run, NULL));
    assert_ok(wh_run_go(b.run, NULL));
    assert_non_null(strstr(wh_num_kernels_name(), "+onednn-2.6."));
    for (size_t o = 0; o < n_outputs; o++) {
        wh_dims dims = wh_graph_dims(n.g, own[o]);
        double error = distance(&a, &b, o, wh_dims_size(&dims));
        if (error > 2e-5) fail_msg("output %zu is off by %g of its largest number", o, error);
    }
    unbind(&a);
    unbind(&b);
    wh_graph_free(n.g);
}

static void networks_agree(void **state)
{
    (void)state;
    need_onednn();
    /* Batches of pieces that come out even, of a smaller last one, of one piece, of one image. */
    agrees(plain_net(WH_F32, 64, 3), 6);
    agrees(plain_net(WH_F32, 61, 3), 6);
    agrees(plain_net(WH_F32, 7, 3), 6);
    agrees(plain_net(WH_F32, 1, 3), 6);
    agrees(plain_net(WH_F32, 5, 32), 9);
    agrees(mixed_net(WH_F32, 9), 3);
}

/* From the first convolution to the last nothing is turned over: a transposition of images would show the batch. */
static void blocks_are_kept(void **state)
{
    (void)state;
    need_onednn();
    net n = plain_net(WH_F32, 37, 32);
    wh_value outputs[MAX_PARAMS + 2];
    bound b = bind(&n, outputs, outputs_of(outputs, &n), "onednn", 1);
    WH_AUTO(wh_buf) text = {0};
    assert_ok(wh_program_show(&text, b.program));
    size_t turned = 0;
    for (const char *at = wh_buf_str(&text); (at = strstr(at, " transpose ")) != NULL; at++) {
        const char *end = strchr(at, '\n'), *batch = strstr(at, "(37,");
        turned += batch && batch < end;
    }
    /* The images that come in, to rows and to blocks; their gradient, back. */
    assert_int_equal(turned, 4);
    assert_int_equal(count(b.program, " onednn "), 9);
    unbind(&b);
    wh_graph_free(n.g);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    need_onednn();
    net n = plain_net(WH_F32, 90, 3);
    wh_value outputs[MAX_PARAMS + 2];
    size_t n_outputs = outputs_of(outputs, &n);
    wh_value again[MAX_PARAMS + 2];
    memcpy(again, outputs, sizeof again);
    bound one = bind(&n, outputs, n_outputs, "onednn", 1);
    assert_ok(wh_run_go(one.run, NULL));
    for (unsigned threads = 2; threads <= 3; threads++) {
        wh_pool *pool = NULL;
        wh_value mine[MAX_PARAMS + 2];
        memcpy(mine, again, sizeof mine);
        assert_ok(wh_pool_new(&pool, threads));
        bound many = bind(&n, mine, n_outputs, "onednn", threads);
        assert_ok(wh_run_go(many.run, pool));
        for (size_t o = 0; o < n_outputs; o++) {
            wh_dims dims = wh_graph_dims(n.g, again[o]);
            assert_memory_equal(wh_run_result(one.run, o), wh_run_result(many.run, o),
                                wh_dims_size(&dims) * sizeof(float));
        }
        unbind(&many);
        wh_pool_free(pool);
    }
    unbind(&one);
    wh_graph_free(n.g);
}

/* 64 channels and images of 16 x 16 are taken where vectors have 256 bits, but not beside a norm. */
static net large_net(bool norm)
{
    net n = start(WH_F32, 3, 64, 16);
    wh_value y = conv(&n, n.x, 64, 3, (wh_conv){1, 1, 1});
    if (norm) y = wh_graph_group_norm(n.g, y, 4, parameter(&n, WH_DIMS(64)), parameter(&n, WH_DIMS(64)), 1e-3);
    finish(&n, wh_graph_relu(n.g, y));
    return n;
}

static void auto_takes_large_layers(void **state)
{
    (void)state;
    need_onednn();
    for (int norm = 0; norm < 2; norm++) {
        net n = large_net(norm);
        wh_value outputs[MAX_PARAMS + 2];
        bound b = bind(&n, outputs, outputs_of(outputs, &n), "auto", 1);
        assert_int_equal(count(b.program, " onednn "), !norm && wh_cpu_get() == WH_CPU_AVX2 ? 3 : 0);
        unbind(&b);
        wh_graph_free(n.g);
    }
}

/* ---- One shape after the other ---------------------------------------------------------------------------- */

static void primitives_are_kept_by_shape(void **state)
{
    (void)state;
    need_onednn();
    wh_onednn_shape s = {WH_ONEDNN_FORWARD, 2, 32, 9, 9, 32, 9, 9, 3, 3, 1, 1};
    size_t first = wh_onednn_conv(&s);
    assert_true(first > 0);
    assert_int_equal(wh_onednn_conv(&s), first);
    s.n = 3;
    size_t second = wh_onednn_conv(&s);
    assert_true(second > 0 && second != first);
    s.kind = WH_ONEDNN_WEIGHT;
    assert_true(wh_onednn_conv(&s) != second);
    s.oh = 4; /* no convolution has this output */
    assert_int_equal(wh_onednn_conv(&s), 0);
    assert_int_equal(wh_onednn_conv(&s), 0);
}

/* ---- Who is left alone, who is refused ---------------------------------------------------------------------- */

static whist_status lowered(wh_value out[], const net *n, const char *how)
{
    size_t n_outputs = outputs_of(out, n);
    assert_int_equal(setenv("WHIST_CONV", how, 1), 0);
    whist_status status = wh_graph_lower(out, n->g, n_outputs);
    assert_int_equal(unsetenv("WHIST_CONV"), 0);
    return status;
}

static void left_alone(net n, const char *how)
{
    wh_value before[MAX_PARAMS + 2], after[MAX_PARAMS + 2];
    size_t n_outputs = outputs_of(before, &n);
    assert_ok(lowered(after, &n, how));
    assert_memory_equal(before, after, n_outputs * sizeof *after);
    wh_graph_free(n.g);
}

static void others_are_left_alone(void **state)
{
    (void)state;
    left_alone(plain_net(WH_F32, 4, 3), "own");
    left_alone(plain_net(WH_F32, 4, 3), "");
    left_alone(plain_net(WH_F32, 4, 3), "auto"); /* images this small are ours */
    need_onednn();
    left_alone(plain_net(WH_F64, 4, 3), "onednn");
    net n = plain_net(WH_F32, 4, 3);
    WH_AUTO(wh_per_example_ptr) each = NULL;
    assert_ok(wh_per_example_new(&each, n.g, n.losses, n.param, n.n_params));
    wh_value norms = wh_per_example_total(each), same = norms;
    assert_int_equal(setenv("WHIST_CONV", "onednn", 1), 0);
    assert_ok(wh_graph_lower(&same, n.g, 1));
    assert_int_equal(unsetenv("WHIST_CONV"), 0);
    assert_int_equal(same, norms);
    wh_graph_free(n.g);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    wh_value out[MAX_PARAMS + 2];
    net n = plain_net(WH_F32, 4, 3);
    assert_int_equal(lowered(out, &n, "fast"), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "WHIST_CONV is 'fast': own, onednn or auto"));
    const char *before = getenv("WHIST_CPU");
    char *kept = before ? strdup(before) : NULL;
    assert_int_equal(setenv("WHIST_CPU", "generic", 1), 0);
    assert_int_equal(lowered(out, &n, "onednn"), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "oneDNN"));
    assert_ok(lowered(out, &n, "auto"));
    assert_int_equal(kept ? setenv("WHIST_CPU", kept, 1) : unsetenv("WHIST_CPU"), 0);
    free(kept); /* lint: strdup's own */
    if (wh_onednn_load() != WHIST_OK) assert_int_equal(lowered(out, &n, "onednn"), WHIST_E_UNSUPPORTED);
    wh_graph_free(n.g);
}

static void what_it_made_has_no_derivative(void **state)
{
    (void)state;
    need_onednn();
    wh_value out[MAX_PARAMS + 2], grad;
    net n = plain_net(WH_F32, 4, 3);
    assert_ok(lowered(out, &n, "onednn"));
    assert_int_equal(wh_graph_gradient(&grad, n.g, out[0], n.param, 1), WHIST_E_UNSUPPORTED);
    wh_graph_free(n.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_agree),
        cmocka_unit_test(blocks_are_kept),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(primitives_are_kept_by_shape),
        cmocka_unit_test(auto_takes_large_layers),
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_it_made_has_no_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
