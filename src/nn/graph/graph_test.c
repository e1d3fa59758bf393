/* nn/graph/graph_test.c: builder, transformations, programs. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "nn/graph/check.h"
#include "nn/graph/node.h"
#include "nn/graph/program.h"

static void print(void *user, const wh_check_result *r)
{
    *(size_t *)user += r->shapes;
    if (getenv("WHIST_TEST_VERBOSE"))
        printf("%-24s %zu %.1e %.1e %.1e %.1e %.1e\n", r->name, r->shapes, r->error.first, r->error.tangent,
               r->error.second, r->error.reverse, r->norms);
}

static void every_operation_to_second_order(void **state)
{
    (void)state;
    size_t cases = 0;
    assert_ok(wh_graph_gradcheck_all(print, &cases));
    assert_true(cases > 100);
}

/* ---- The check sees what is wrong: operations with planted faults --------------------------------------- */

static wh_value slope_too_large(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_scale(g, n, 1.0001);
}

/* Right itself, a constant to the next derivative. */
static wh_value slope_without_slope(wh_graph *g, wh_value n, unsigned i)
{
    (void)i;
    return wh_graph_detach(g, n);
}

static wh_value double_back(wh_graph *g, wh_value n, unsigned i, wh_value ct)
{
    (void)n, (void)i;
    return wh_graph_scale(g, ct, 2);
}

static wh_value triple_forward(wh_graph *g, wh_value n, const wh_value tangents[])
{
    (void)n;
    return wh_graph_scale(g, tangents[0], 3);
}

static const wh_op wrong_first = {.name = "planted", .element = WH_ELEMENT_EXP, .slope = slope_too_large};
static const wh_op wrong_second = {.name = "planted", .element = WH_ELEMENT_EXP, .slope = slope_without_slope};
static const wh_op wrong_directions = {
    .name = "planted", .element = WH_ELEMENT_COPY, .vjp = double_back, .jvp = triple_forward};

static wh_gradcheck check_planted(const wh_op *op)
{
    static const double x[] = {.3, -.8, .5};
    const void *const inputs[] = {x};
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_gradcheck error;
    assert_ok(wh_graph_new(&g, WH_F64));
    wh_value v = wh_graph_input(g, "x", WH_PARAM, WH_DIMS(3)), y = wh_graph_node1(g, op, v, WH_DIMS(3), NULL);
    wh_value scalar = wh_graph_dot(g, y, wh_graph_add(g, y, wh_graph_square(g, v)));
    assert_ok(wh_graph_gradcheck(&error, g, scalar, &v, 1, inputs, 1));
    return error;
}

static void planted_wrong_derivatives_are_seen(void **state)
{
    (void)state;
    wh_gradcheck e = check_planted(&wh_op_exp);
    assert_true(e.first < 1e-9 && e.tangent < 1e-12 && e.second < 1e-9 && e.reverse < 1e-12);
    e = check_planted(&wrong_first);
    assert_true(e.first > 1e-5);
    e = check_planted(&wrong_second);
    assert_true(e.first < 1e-9 && e.second > .01);
    e = check_planted(&wrong_directions);
    assert_true(e.first > .01 && e.tangent > .01 && e.reverse > .01);
}

/* A running sum down the first axis, that says it keeps the examples apart. */
static void planted_wrong_norms_are_seen(void **state)
{
    (void)state;
    static const double x[] = {.3, -.8, .5, .2, .9, -.4}, w[] = {.7, -.2};
    const void *const inputs[] = {x, w};
    for (int wrong = 0; wrong < 2; wrong++) {
        WH_AUTO(wh_graph_ptr) g = NULL;
        wh_op liar = wh_op_transpose;
        double error = 0;
        liar.splits = wh_splits_always;
        assert_ok(wh_graph_new(&g, WH_F64));
        wh_value a = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(3, 2)),
                 p = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(2));
        wh_value h = wh_graph_mul(g, a, p);
        if (wrong) {
            wh_attr turn = {.whole = {1, 0}};
            wh_value turned = wh_graph_node1(g, &liar, h, WH_DIMS(2, 3), &turn);
            h = wh_graph_reshape(g, wh_graph_square(g, turned), WH_DIMS(3, 2));
        }
        wh_value losses = wh_graph_sum(g, wh_graph_square(g, h), 2, false);
        assert_ok(wh_graph_normcheck(&error, g, losses, &p, 1, inputs, 2));
        assert_true(wrong ? error > .01 : error < 1e-13);
    }
}

/* What a derivative is where it jumps. */
static void kinks_have_the_stated_derivatives(void **state)
{
    (void)state;
    static const double zero = 0, one = 1;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    assert_ok(wh_graph_new(&g, WH_F64));
    wh_value x = wh_graph_input(g, "x", WH_PARAM, WH_SCALAR), a = wh_graph_input(g, "a", WH_PARAM, WH_SCALAR),
             b = wh_graph_input(g, "b", WH_PARAM, WH_SCALAR), out[6];
    assert_ok(wh_graph_gradient(out + 0, g, wh_graph_relu(g, x), &x, 1));
    assert_ok(wh_graph_gradient(out + 1, g, wh_graph_abs(g, x), &x, 1));
    assert_ok(wh_graph_gradient(out + 2, g, wh_graph_max(g, a, b), (const wh_value[]){a, b}, 2));
    assert_ok(wh_graph_gradient(out + 4, g, wh_graph_min(g, a, b), (const wh_value[]){a, b}, 2));
    assert_ok(wh_program_new(&program, g, out, 6));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, x, &zero));
    assert_ok(wh_run_input(run, a, &one));
    assert_ok(wh_run_input(run, b, &one));
    assert_ok(wh_run_go(run, NULL));
    static const double want[] = {0, 0, 1, 0, 1, 0};
    for (size_t i = 0; i < 6; i++) assert_true(*(const double *)wh_run_result(run, i) == want[i]);
}

/* ---- Failures -------------------------------------------------------------------------------------- */

#define assert_refused(g, code, words)                                                                                 \
    do {                                                                                                               \
        assert_int_equal(wh_graph_status(g), (code));                                                                  \
        const char *text_ = whist_detail_get()->text;                                                                  \
        const char *const words_[] = words;                                                                            \
        for (size_t i_ = 0; i_ < WH_COUNT(words_); i_++)                                                               \
            if (!strstr(text_, words_[i_])) fail_msg("'%s' does not say '%s'", text_, words_[i_]);                     \
    } while (0)
#define WORDS(...)                                                                                                     \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

typedef struct inputs {
    wh_graph *g;
    wh_value a, b, image, weight, index;
} inputs;

static inputs fresh(void)
{
    inputs in = {.g = NULL};
    assert_ok(wh_graph_new(&in.g, WH_F32));
    in.a = wh_graph_input(in.g, "a", WH_PARAM, WH_DIMS(2, 3));
    in.b = wh_graph_input(in.g, "b", WH_PARAM, WH_DIMS(4, 5));
    in.image = wh_graph_input(in.g, "image", WH_EXAMPLES, WH_DIMS(1, 3, 8, 8));
    in.weight = wh_graph_input(in.g, "weight", WH_PARAM, WH_DIMS(4, 2, 3, 3));
    in.index = wh_graph_index(in.g, "index", WH_EXAMPLES, WH_DIMS(2), 7);
    return in;
}

static void mismatches_name_operation_and_shapes(void **state)
{
    (void)state;
    inputs in = fresh();
    assert_int_equal(wh_graph_matmul(in.g, in.a, in.b, WH_MATMUL_NN), WH_NO_VALUE);
    assert_refused(in.g, WHIST_E_ARG, WORDS("matmul", "(2,3)", "(4,5)"));
    /* The first failure stays. */
    assert_int_equal(wh_graph_add(in.g, in.a, in.a), WH_NO_VALUE);
    assert_refused(in.g, WHIST_E_ARG, WORDS("matmul"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_add(in.g, in.a, in.b);
    assert_refused(in.g, WHIST_E_ARG, WORDS("add", "(2,3)", "(4,5)"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_conv(in.g, in.image, in.weight, WH_NO_VALUE, (wh_conv){1, 1, 1});
    assert_refused(in.g, WHIST_E_ARG, WORDS("conv", "(1,3,8,8)", "(4,2,3,3)"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_gather(in.g, in.b, in.index); /* seven classes, four rows */
    assert_refused(in.g, WHIST_E_ARG, WORDS("gather", "7", "4"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_exp(in.g, in.index);
    assert_refused(in.g, WHIST_E_ARG, WORDS("exp", "indices"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_reshape(in.g, in.a, WH_DIMS(4, 2));
    assert_refused(in.g, WHIST_E_ARG, WORDS("reshape", "(2,3)", "(4,2)"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_input(in.g, "huge", WH_PARAM, WH_DIMS(SIZE_MAX / 2, 3));
    assert_refused(in.g, WHIST_E_RANGE, WORDS("input", "too large"));
    wh_graph_free(in.g);

    in = fresh();
    wh_graph_broadcast(in.g, wh_graph_fill(in.g, WH_DIMS(1, 1), 1), WH_DIMS(SIZE_MAX / 2, 16));
    assert_refused(in.g, WHIST_E_RANGE, WORDS("too large"));
    wh_graph_free(in.g);
}

/* In a fresh graph `in`, the call fails with the code and says every word. */
#define REFUSE(call, code, ...)                                                                                        \
    do {                                                                                                               \
        inputs in = fresh();                                                                                           \
        assert_int_equal(call, WH_NO_VALUE);                                                                           \
        assert_refused(in.g, code, WORDS(__VA_ARGS__));                                                                \
        wh_graph_free(in.g);                                                                                           \
    } while (0)

static void every_builder_names_the_shapes_it_refuses(void **state)
{
    (void)state;
    enum { ARG = WHIST_E_ARG };
    REFUSE(wh_graph_sub(in.g, in.a, in.b), ARG, "sub", "(2,3)", "(4,5)");
    REFUSE(wh_graph_mul(in.g, in.a, in.b), ARG, "mul", "(2,3)", "(4,5)");
    REFUSE(wh_graph_div(in.g, in.a, in.b), ARG, "div", "(2,3)", "(4,5)");
    REFUSE(wh_graph_max(in.g, in.a, in.b), ARG, "max", "(2,3)", "(4,5)");
    REFUSE(wh_graph_min(in.g, in.a, in.b), ARG, "min", "(2,3)", "(4,5)");
    REFUSE(wh_graph_not_less(in.g, in.a, in.b), ARG, "not_less", "(2,3)", "(4,5)");
    REFUSE(wh_graph_where(in.g, in.a, in.a, in.b), ARG, "where", "(2,3)", "(4,5)");
    REFUSE(wh_graph_dot(in.g, in.a, in.b), ARG, "(2,3)", "(4,5)");
    REFUSE(wh_graph_tanh(in.g, 999), ARG, "tanh", "no value");
    REFUSE(wh_graph_tanh(in.g, WH_NO_VALUE), ARG, "tanh", "no value");
    REFUSE(wh_graph_pow(in.g, in.index, 3), ARG, "pow", "indices");
    REFUSE(wh_graph_transpose(in.g, in.a, (const unsigned[]){1, 1}), ARG, "transpose", "(2,3)");
    REFUSE(wh_graph_transpose(in.g, in.a, (const unsigned[]){0, 7}), ARG, "transpose", "(2,3)");
    REFUSE(wh_graph_broadcast(in.g, in.a, WH_DIMS(2, 4)), ARG, "broadcast", "(2,3)", "(2,4)");
    REFUSE(wh_graph_broadcast(in.g, in.a, WH_DIMS(3)), ARG, "broadcast", "(2,3)", "(3)");
    REFUSE(wh_graph_slice(in.g, in.a, (const size_t[]){1, 1}, WH_DIMS(2, 2)), ARG, "slice", "(2,2)", "(2,3)");
    REFUSE(wh_graph_slice(in.g, in.a, (const size_t[]){SIZE_MAX, 0}, WH_DIMS(2, 2)), ARG, "slice", "(2,2)", "(2,3)");
    REFUSE(wh_graph_pad(in.g, in.a, (const size_t[]){0, 0}, WH_DIMS(2, 2)), ARG, "pad", "(2,3)", "(2,2)");
    REFUSE(wh_graph_concat(in.g, 0, (const wh_value[]){in.a, in.b}, 2), ARG, "concat", "(2,3)", "(4,5)");
    REFUSE(wh_graph_concat(in.g, 5, (const wh_value[]){in.a, in.a}, 2), ARG, "concat", "(2,3)", "axis 5");
    REFUSE(wh_graph_concat(in.g, 0, NULL, 0), ARG, "concat", "0 parts");
    REFUSE(wh_graph_sum(in.g, in.a, 4, false), ARG, "sum", "(2,3)");
    REFUSE(wh_graph_mean(in.g, in.a, 4, false), ARG, "sum", "(2,3)");
    REFUSE(wh_graph_cumsum(in.g, in.a, in.index, false), ARG, "cumsum", "(2,3)", "(2)");
    REFUSE(wh_graph_matmul(in.g, in.a, in.b, WH_MATMUL_TT), ARG, "matmul", "(2,3)", "(4,5)");
    REFUSE(wh_graph_matmul(in.g, in.a, in.image, WH_MATMUL_NN), ARG, "matmul", "(2,3)", "(1,3,8,8)");
    REFUSE(wh_graph_linear(in.g, in.a, in.a, in.b, WH_MATMUL_NT), ARG, "add", "(2,2)", "(4,5)");
    REFUSE(wh_graph_solve(in.g, in.a, in.a), ARG, "solve", "(2,3)");
    REFUSE(wh_graph_gather(in.g, in.image, in.index), ARG, "gather", "(1,3,8,8)", "(2)");
    REFUSE(wh_graph_gather(in.g, in.index, in.a), ARG, "gather", "argument 0");
    REFUSE(wh_graph_scatter(in.g, in.b, in.index, 9), ARG, "scatter", "(4,5)", "(2)");
    REFUSE(wh_graph_scatter(in.g, in.a, in.index, 3), ARG, "scatter", "7", "3");
    REFUSE(wh_graph_take(in.g, in.b, in.index), ARG, "take", "(4,5)", "(2)");
    REFUSE(wh_graph_put(in.g, in.b, in.index, 9), ARG, "put", "(4,5)", "(2)");
    REFUSE(wh_graph_conv(in.g, in.a, in.weight, WH_NO_VALUE, (wh_conv){1, 1, 1}), ARG, "conv", "(2,3)", "(4,2,3,3)");
    REFUSE(wh_graph_conv(in.g, in.image, in.weight, WH_NO_VALUE, (wh_conv){0, 1, 1}), ARG, "conv", "stride");
    REFUSE(wh_graph_conv(in.g, in.image, in.weight, WH_NO_VALUE, (wh_conv){1, 1, 0}), ARG, "conv", "groups");
    REFUSE(wh_graph_conv(in.g, in.image, in.weight, WH_NO_VALUE, (wh_conv){1, 1, SIZE_MAX / 2 + 2}), ARG, "conv",
           "groups");
    REFUSE(wh_graph_max_pool(in.g, in.a, (wh_window){2, 2, 0}), ARG, "max", "(2,3)", "(2,2)");
    REFUSE(wh_graph_max_pool(in.g, in.image, (wh_window){9, 2, 0}), ARG, "max", "(1,3,8,8)", "(9,9)");
    REFUSE(wh_graph_avg_pool(in.g, in.image, (wh_window){2, 0, 0}), ARG, "avg_pool", "(1,3,8,8)");
    REFUSE(wh_graph_avg_pool(in.g, in.image, (wh_window){2, 1, SIZE_MAX}), ARG, "avg_pool", "(1,3,8,8)");
    REFUSE(wh_graph_layer_norm(in.g, in.a, in.b, WH_NO_VALUE, 1e-5), ARG, "reshape", "(4,5)", "(3)");
    REFUSE(wh_graph_group_norm(in.g, in.image, 2, WH_NO_VALUE, WH_NO_VALUE, 1e-5), ARG, "group_norm", "(1,3,8,8)",
           "2 groups");
    REFUSE(wh_graph_batch_norm(in.g, in.image, in.a, WH_NO_VALUE, 1e-5), ARG, "(2,3)", "(3,1,1)");
    REFUSE(wh_graph_softmax(in.g, in.b, false)
               ? wh_graph_softmax(in.g, wh_graph_reshape(in.g, in.a, WH_DIMS(3, 2)), true)
               : 0,
           ARG, "softmax", "(3,2)", "causal");
    REFUSE(wh_graph_log_softmax(in.g, wh_graph_fill(in.g, WH_SCALAR, 1)), ARG, "log_softmax", "()");
    REFUSE(wh_graph_cross_entropy(in.g, in.b, in.index), ARG, "cross_entropy", "(4,5)", "(2)");
    REFUSE(wh_graph_cross_entropy(in.g, in.a, in.index), ARG, "cross_entropy", "(2,3)", "7");
    REFUSE(wh_graph_squared_error(in.g, in.a, in.b), ARG, "sub", "(2,3)", "(4,5)");
    REFUSE(wh_graph_binary_cross_entropy(in.g, in.a, in.b), ARG, "(2,3)", "(4,5)");
    REFUSE(wh_graph_attention(in.g, in.a, in.b, in.b, 1, false), ARG, "matmul", "(2,3)", "(4,5)");
    REFUSE(wh_graph_lstm_cell(in.g, &in.b, in.a, in.a, in.image, in.a, WH_NO_VALUE, WH_MATMUL_NN), ARG, "lstm_cell",
           "(1,3,8,8)", "(2,3)");
    REFUSE(wh_graph_self_attention(in.g, in.a, 1, 1, false), ARG, "attention", "(2,3)");
    REFUSE(wh_graph_self_attention(in.g, wh_graph_fill(in.g, WH_DIMS(1, 2, 8), 1), SIZE_MAX / 3 + 1, 1, false), ARG,
           "attention", "(1,2,8)");
    REFUSE(wh_graph_dropout(in.g, in.a, in.b), ARG, "(2,3)", "(4,5)");
    REFUSE(wh_graph_keep_mask(in.g, in.index, 0, 1, WH_DIMS(3)), WHIST_E_RANGE, "keep_mask", "rate");
    REFUSE(wh_graph_clip_weights(in.g, in.a, 0), WHIST_E_RANGE, "clip");
}

static void sizes_that_no_memory_holds_are_refused(void **state)
{
    (void)state;
    enum { RANGE = WHIST_E_RANGE };
    const size_t half = SIZE_MAX / 2;
    const wh_dims deep = {.rank = 9, .dim = {1, 1, 1, 1, 1}};
    REFUSE(wh_graph_fill(in.g, WH_DIMS(half, half, half), 1), RANGE, "fill", "too large");
    REFUSE(wh_graph_fill(in.g, WH_DIMS(3, 0), 1), RANGE, "fill", "(3,0)");
    REFUSE(wh_graph_fill(in.g, deep, 1), RANGE, "fill", "(1,1,1,1,1,…)");
    REFUSE(wh_graph_input(in.g, "x", WH_PARAM, deep), RANGE, "input", "…");
    REFUSE(wh_graph_index(in.g, "i", WH_PARAM, WH_DIMS(half / 2), 3), RANGE, "index", "too large");
    REFUSE(wh_graph_index(in.g, "i", WH_PARAM, WH_DIMS(2), 0), RANGE, "index", "limit");
    REFUSE(wh_graph_index(in.g, "i", WH_PARAM, WH_DIMS(2), (uint64_t)1 << 40), RANGE, "index", "limit");
    REFUSE(wh_graph_reshape(in.g, in.a, WH_DIMS(half + 4, 2)), RANGE, "reshape", "too large"); /* 6 in 64 bits */
    REFUSE(wh_graph_reshape(in.g, in.a, deep), WHIST_E_ARG, "reshape", "(2,3)");
    REFUSE(wh_graph_broadcast(in.g, in.a, deep), WHIST_E_ARG, "broadcast", "(2,3)");
    REFUSE(wh_graph_pad(in.g, in.a, (const size_t[]){0, 0}, WH_DIMS(half, half)), RANGE, "pad", "too large");
    REFUSE(wh_graph_scatter(in.g, in.a, in.index, half), RANGE, "scatter", "too large");
    REFUSE(wh_graph_put(in.g, wh_graph_sum(in.g, in.a, 2, false), in.index, half), RANGE, "put", "too large");
    REFUSE(wh_graph_keep_mask(in.g, in.index, 0, .5, WH_DIMS(half, half)), RANGE, "keep_mask", "too large");
    REFUSE(wh_graph_conv(in.g, in.image, wh_graph_input(in.g, "w", WH_PARAM, WH_DIMS(4, 3, 3, 3)), WH_NO_VALUE,
                         (wh_conv){1, half, 1}),
           WHIST_E_ARG, "conv", "(1,3,8,8)", "(4,3,3,3)");
    /* Shapes that fit one by one, and a product that does not. */
    REFUSE(wh_graph_matmul(in.g, wh_graph_fill(in.g, WH_DIMS((size_t)1 << 40, 2), 1),
                           wh_graph_fill(in.g, WH_DIMS(2, (size_t)1 << 40), 1), WH_MATMUL_NN),
           RANGE, "matmul", "too large");
    REFUSE(wh_graph_add(in.g, wh_graph_fill(in.g, WH_DIMS((size_t)1 << 40, 1), 1),
                        wh_graph_fill(in.g, WH_DIMS(1, (size_t)1 << 40), 1)),
           RANGE, "too large");
}

static void gradients_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    inputs in = fresh();
    wh_value out;
    assert_int_equal(wh_graph_gradient(&out, in.g, in.a, &in.a, 1), WHIST_E_ARG); /* not one number */
    assert_non_null(strstr(whist_detail_get()->text, "(2,3)"));
    wh_value row = wh_graph_reshape(in.g, in.a, WH_DIMS(2, 1, 3));
    wh_value squared = wh_graph_sum_all(in.g, wh_graph_outer_squared(in.g, row, row));
    assert_int_equal(wh_graph_gradient(&out, in.g, squared, &in.a, 1), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "outer_squared"));
    wh_graph_free(in.g);

    /* By what builders see through: the second reshape is one of a, not of the first. */
    in = fresh();
    wh_value flat = wh_graph_reshape(in.g, in.a, WH_DIMS(6)), pinned = wh_graph_pin(in.g, flat), grad;
    wh_value sum = wh_graph_sum_all(in.g, wh_graph_square(in.g, wh_graph_reshape(in.g, flat, WH_DIMS(3, 2))));
    assert_int_equal(wh_graph_gradient(&grad, in.g, sum, &flat, 1), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "reshape of shape (6)"));
    assert_int_equal(wh_graph_jvp(&grad, in.g, &sum, 1, &flat, &flat, 1), WHIST_E_UNSUPPORTED);
    wh_value one = wh_graph_fill(in.g, WH_DIMS(6), 1);
    assert_int_equal(wh_graph_gradient(&grad, in.g, sum, &one, 1), WHIST_E_UNSUPPORTED);
    sum = wh_graph_sum_all(in.g, wh_graph_square(in.g, wh_graph_reshape(in.g, pinned, WH_DIMS(3, 2))));
    assert_ok(wh_graph_gradient(&grad, in.g, sum, &pinned, 1));
    wh_program *program;
    wh_run *run;
    static const float x[] = {1, 2, 3, 4, 5, 6};
    assert_ok(wh_program_new(&program, in.g, &grad, 1));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, in.a, x));
    assert_ok(wh_run_go(run, NULL));
    for (size_t i = 0; i < 6; i++) assert_true(((const float *)wh_run_result(run, 0))[i] == 2 * x[i]);
    wh_run_free(run);
    wh_program_free(program);
    wh_graph_free(in.g);
}

static void coupled_examples_are_refused(void **state)
{
    (void)state;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_per_example_ptr) p = NULL;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value x = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(6, 4)),
             w = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(4, 3));
    wh_value h = wh_graph_batch_norm(g, wh_graph_matmul(g, x, w, WH_MATMUL_NN), WH_NO_VALUE, WH_NO_VALUE, 1e-5);
    wh_value losses = wh_graph_sum(g, h, 2, false);
    assert_int_equal(wh_per_example_new(&p, g, losses, &w, 1), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "couples"));
    /* The parameters' graph is as good as before. */
    assert_ok(wh_graph_status(g));
    losses = wh_graph_sum(g, wh_graph_tanh(g, wh_graph_matmul(g, x, w, WH_MATMUL_NN)), 2, false);
    assert_ok(wh_per_example_new(&p, g, losses, &w, 1));
}

/* Which gradients by example are simple: of dense layers once a row, images, biases; not of steps, nor of two uses. */
static void simple_gradients_by_example(void **state)
{
    (void)state;
    enum { CONV, BIAS, DENSE, TWICE, STEPS, TABLE, UNUSED, N };
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_per_example_ptr) p = NULL;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value x = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(3, 2, 4, 4)), index, h, w[N];
    const wh_dims dims[N] = {
        [CONV] = WH_DIMS(5, 2, 3, 3), [BIAS] = WH_DIMS(5),     [DENSE] = WH_DIMS(20, 6), [TWICE] = WH_DIMS(6, 6),
        [STEPS] = WH_DIMS(3, 6),      [TABLE] = WH_DIMS(4, 3), [UNUSED] = WH_DIMS(2)};
    for (size_t i = 0; i < N; i++) w[i] = wh_graph_input(g, "w", WH_PARAM, dims[i]);
    h = wh_graph_tanh(g, wh_graph_conv(g, x, w[CONV], w[BIAS], (wh_conv){1, 0, 1}));
    h = wh_graph_matmul(g, wh_graph_reshape(g, h, WH_DIMS(3, 20)), w[DENSE], WH_MATMUL_NN);
    for (size_t i = 0; i < 2; i++) h = wh_graph_tanh(g, wh_graph_matmul(g, h, w[TWICE], WH_MATMUL_NN));
    index = wh_graph_index(g, "index", WH_EXAMPLES, WH_DIMS(3, 2), 4);
    wh_value steps = wh_graph_linear(g, wh_graph_gather(g, w[TABLE], index), w[STEPS], WH_NO_VALUE, WH_MATMUL_NN);
    wh_value losses = wh_graph_add(g, wh_graph_sum(g, h, 2, false), wh_graph_sum(g, steps, 6, false));
    assert_ok(wh_per_example_new(&p, g, losses, w, N));
    for (size_t i = 0; i < N; i++) {
        wh_example_gradient form;
        assert_ok(wh_per_example_gradient(&form, g, p, i));
        assert_int_equal(form.rows != WH_NO_VALUE, i <= DENSE);
        assert_int_equal(form.cols != WH_NO_VALUE, i == DENSE);
        if (i == CONV) assert_true(form.step[0] == 3 && form.step[1] == 1 && form.step[2] == 9 && form.step[3] == 18);
    }
}

static void runs_check_their_inputs(void **state)
{
    (void)state;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    static const float table[] = {1, 2, 3, 4};
    uint32_t index[] = {1, 2};
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value t = wh_graph_input(g, "table", WH_PARAM, WH_DIMS(2, 2)),
             i = wh_graph_index(g, "rows", WH_SHARED, WH_DIMS(2), 2);
    wh_value y = wh_graph_gather(g, t, i);
    assert_ok(wh_program_new(&program, g, &y, 1));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, t, table));
    assert_int_equal(wh_run_go(run, NULL), WHIST_E_STATE);
    assert_non_null(strstr(whist_detail_get()->text, "rows"));
    assert_ok(wh_run_input(run, i, index));
    assert_int_equal(wh_run_go(run, NULL), WHIST_E_RANGE);
    index[1] = 0;
    assert_ok(wh_run_go(run, NULL));
    assert_memory_equal(wh_run_result(run, 0), ((const float[]){3, 4, 1, 2}), 16);
    assert_int_equal(wh_run_input(run, y, table), WHIST_E_ARG);
}

/* ---- A model to measure by: two layers, norm, softmax ------------------------------------------------ */

enum { B = 64, D = 96, H = 160, C = 10 };

typedef struct net {
    wh_graph *g;
    wh_value x, y, param[6], loss, losses;
} net;

static const size_t param_size[6] = {D * H, H, H, H, H *C, C};

static net make_net(wh_real real)
{
    net n;
    assert_ok(wh_graph_new(&n.g, real));
    n.x = wh_graph_input(n.g, "x", WH_EXAMPLES, WH_DIMS(B, D));
    n.y = wh_graph_index(n.g, "y", WH_EXAMPLES, WH_DIMS(B), C);
    const wh_dims dims[] = {WH_DIMS(D, H), WH_DIMS(H), WH_DIMS(H), WH_DIMS(H), WH_DIMS(H, C), WH_DIMS(C)};
    for (size_t i = 0; i < 6; i++) n.param[i] = wh_graph_input(n.g, "p", WH_PARAM, dims[i]);
    wh_value h = wh_graph_linear(n.g, n.x, n.param[0], n.param[1], WH_MATMUL_NN);
    h = wh_graph_gelu(n.g, wh_graph_layer_norm(n.g, h, n.param[2], n.param[3], 1e-5));
    h = wh_graph_linear(n.g, h, n.param[4], n.param[5], WH_MATMUL_NN);
    n.losses = wh_graph_cross_entropy(n.g, h, n.y);
    n.loss = wh_graph_mean_all(n.g, n.losses);
    return n;
}

/* All inputs in both types, the same numbers. */
typedef struct data {
    float x[B * D], p[6][D * H];
    double x64[B * D], p64[6][D * H];
    uint32_t y[B];
} data;

static data *make_data(void)
{
    data *d = test_calloc(1, sizeof *d);
    uint64_t state = 7;
    for (size_t i = 0; i < B * D; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        d->x64[i] = d->x[i] = (float)(state >> 40) * 0x1p-24f - .5f;
    }
    for (size_t k = 0; k < 6; k++)
        for (size_t i = 0; i < D * H; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            d->p64[k][i] = d->p[k][i] = ((float)(state >> 40) * 0x1p-24f - .5f) * .2f;
        }
    for (size_t i = 0; i < B; i++) d->y[i] = (uint32_t)(i * 7 % C);
    return d;
}

static void bind_net(wh_run *run, const net *n, const data *d, wh_real real)
{
    assert_ok(wh_run_input(run, n->x, real == WH_F32 ? (const void *)d->x : d->x64));
    assert_ok(wh_run_input(run, n->y, d->y));
    for (size_t i = 0; i < 6; i++)
        assert_ok(wh_run_input(run, n->param[i], real == WH_F32 ? (const void *)d->p[i] : d->p64[i]));
}

/* Gradients and norms in outputs 0 … 12: loss, six gradients, six squared norms. */
static wh_program *net_program(net *n)
{
    wh_value out[13];
    wh_per_example *p = NULL;
    wh_program *program = NULL;
    out[0] = n->loss;
    assert_ok(wh_graph_gradient(out + 1, n->g, n->loss, n->param, 6));
    assert_ok(wh_per_example_new(&p, n->g, n->losses, n->param, 6));
    for (size_t i = 0; i < 6; i++) out[7 + i] = wh_per_example_squared(p, i);
    wh_per_example_free(p);
    assert_ok(wh_program_new(&program, n->g, out, 13));
    return program;
}

static void float_and_double_agree(void **state)
{
    (void)state;
    data *d = make_data();
    net n32 = make_net(WH_F32), n64 = make_net(WH_F64);
    wh_program *p32 = net_program(&n32), *p64 = net_program(&n64);
    wh_run *r32 = NULL, *r64 = NULL;
    assert_ok(wh_run_new(&r32, p32, 1));
    assert_ok(wh_run_new(&r64, p64, 1));
    bind_net(r32, &n32, d, WH_F32);
    bind_net(r64, &n64, d, WH_F64);
    assert_ok(wh_run_go(r32, NULL));
    assert_ok(wh_run_go(r64, NULL));
    for (size_t o = 0; o < 13; o++) {
        size_t size = o == 0 ? 1 : o < 7 ? param_size[o - 1] : B;
        const float *a = wh_run_result(r32, o);
        const double *b = wh_run_result(r64, o);
        double top = 0, worst = 0;
        for (size_t i = 0; i < size; i++) top = fmax(top, fabs(b[i]));
        for (size_t i = 0; i < size; i++) worst = fmax(worst, fabs((double)a[i] - b[i]));
        if (!(worst <= 2e-5 * top)) fail_msg("output %zu: %g apart, of %g", o, worst, top);
    }
    wh_run_free(r32);
    wh_run_free(r64);
    wh_program_free(p32);
    wh_program_free(p64);
    wh_graph_free(n32.g);
    wh_graph_free(n64.g);
    test_free(d);
}

static void threads_do_not_change_bits_and_runs_allocate_nothing(void **state)
{
    (void)state;
    data *d = make_data();
    net n = make_net(WH_F32);
    wh_program *program = net_program(&n);
    wh_graph_free(n.g); /* a program does not need its graph */
    float *first[13] = {NULL};
    for (unsigned threads = 1; threads <= 3; threads++) {
        wh_run *run = NULL;
        wh_pool *pool = NULL;
        assert_ok(wh_run_new(&run, program, threads));
        assert_ok(wh_pool_new(&pool, threads));
        bind_net(run, &n, d, WH_F32);
        for (int again = 0; again < 2; again++) {
            wh_alloc_fail_after(1); /* the first request of the run would fail */
            assert_ok(wh_run_go(run, pool));
            wh_alloc_fail_after(0);
            for (size_t o = 0; o < 13; o++) {
                size_t bytes = (o == 0 ? 1 : o < 7 ? param_size[o - 1] : B) * sizeof(float);
                if (!first[o]) {
                    first[o] = test_malloc(bytes);
                    memcpy(first[o], wh_run_result(run, o), bytes);
                }
                assert_memory_equal(wh_run_result(run, o), first[o], bytes);
            }
        }
        wh_pool_free(pool);
        wh_run_free(run);
    }
    for (size_t o = 0; o < 13; o++) test_free(first[o]);
    wh_program_free(program);
    test_free(d);
}

/* ---- Programs ------------------------------------------------------------------------------------------ */

static void chains_fuse_and_work_in_place(void **state)
{
    (void)state;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    enum { N = 1300 }; /* more than two blocks */
    float x[N];
    for (size_t i = 0; i < N; i++) x[i] = (float)i / N;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value v = wh_graph_input(g, "x", WH_PARAM, WH_DIMS(N)), y = v;
    for (int i = 0; i < 100; i++) y = wh_graph_shift(g, wh_graph_scale(g, y, .5), 1);
    assert_ok(wh_program_new(&program, g, &y, 1));
    wh_program_size size = wh_program_measure(program);
    assert_true(size.steps <= 10);                                /* 200 operations, 24 a chain */
    assert_true(size.arena_bytes < 3 * (N * sizeof(float) + 64)); /* one chain writes over the other's result */
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, v, x));
    assert_ok(wh_run_go(run, NULL));
    const float *out = wh_run_result(run, 0);
    for (size_t i = 0; i < N; i++) {
        float want = x[i];
        for (int k = 0; k < 100; k++) want = .5f * want + 1;
        assert_true(out[i] == want);
    }
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    assert_ok(wh_program_show(&text, program));
    assert_non_null(strstr(wh_buf_str(&text), "chain"));
    assert_non_null(strstr(wh_buf_str(&text), "(1300)"));
}

static void lifetimes_share_memory(void **state)
{
    (void)state;
    net n = make_net(WH_F32);
    wh_program *program = net_program(&n);
    wh_program_size size = wh_program_measure(program);
    assert_true(size.arena_bytes < size.values_bytes * 2 / 3);
    wh_program_free(program);
    wh_graph_free(n.g);
}

/* Outputs that no step makes of their own: an input, a view, a constant, a repetition, one value twice. */
static void any_value_can_be_an_output(void **state)
{
    (void)state;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    static const double x[] = {1, 2, 3, 4};
    double own[4] = {0};
    assert_ok(wh_graph_new(&g, WH_F64));
    wh_value v = wh_graph_input(g, "x", WH_PARAM, WH_DIMS(2, 2)), e = wh_graph_neg(g, v);
    const wh_value out[] = {v,
                            wh_graph_reshape(g, v, WH_DIMS(4)),
                            wh_graph_fill(g, WH_DIMS(3), 7),
                            wh_graph_broadcast(g, wh_graph_sum(g, v, 2, true), WH_DIMS(2, 2)),
                            e,
                            e,
                            wh_graph_reshape(g, e, WH_DIMS(4)),
                            wh_graph_add(g, e, wh_graph_fill(g, WH_DIMS(2, 2), 1))};
    assert_ok(wh_program_new(&program, g, out, WH_COUNT(out)));
    assert_ok(wh_run_new(&run, program, 1));
    assert_ok(wh_run_input(run, v, x));
    assert_ok(wh_run_output(run, 5, own));
    assert_ok(wh_run_go(run, NULL));
    static const double want[][4] = {{1, 2, 3, 4},     {1, 2, 3, 4},     {7, 7, 7, 7},     {3, 3, 7, 7},
                                     {-1, -2, -3, -4}, {-1, -2, -3, -4}, {-1, -2, -3, -4}, {0, -1, -2, -3}};
    for (size_t i = 0; i < WH_COUNT(out); i++)
        assert_memory_equal(wh_run_result(run, i), want[i], (i == 2 ? 3 : 4) * sizeof(double));
    assert_memory_equal(own, want[5], sizeof own);
}

static void equal_nodes_are_one(void **state)
{
    (void)state;
    inputs in = fresh();
    wh_value one = wh_graph_exp(in.g, wh_graph_mul(in.g, in.a, in.a));
    size_t n = wh_graph_size(in.g);
    assert_int_equal(wh_graph_exp(in.g, wh_graph_mul(in.g, in.a, in.a)), one);
    assert_int_equal(wh_graph_size(in.g), n);
    wh_value other = wh_graph_input(in.g, "a", WH_PARAM, WH_DIMS(2, 3)); /* inputs are what they are */
    assert_int_not_equal(other, in.a);
    wh_graph_free(in.g);
}

/* However memory runs out, building and compiling fail cleanly. */
static void memory_may_run_out(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n += 1 + n / 16) {
        wh_graph *g = NULL;
        wh_program *program = NULL;
        wh_run *run = NULL;
        wh_per_example *p = NULL;
        wh_alloc_fail_after(n);
        whist_status status = wh_graph_new(&g, WH_F64);
        if (status == WHIST_OK) {
            wh_value x = wh_graph_input(g, "x", WH_EXAMPLES, WH_DIMS(3, 4)),
                     w = wh_graph_input(g, "w", WH_PARAM, WH_DIMS(4, 4));
            wh_value h = wh_graph_normalize(g, wh_graph_matmul(g, x, w, WH_MATMUL_NN), 1e-5);
            wh_value losses = wh_graph_sum(g, h, 2, false), grad, hvp;
            status = wh_graph_gradient(&grad, g, wh_graph_sum_all(g, wh_graph_square(g, losses)), &w, 1);
            if (status == WHIST_OK) status = wh_graph_jvp(&hvp, g, &grad, 1, &w, &w, 1);
            if (status == WHIST_OK) status = wh_per_example_new(&p, g, losses, &w, 1);
            if (status == WHIST_OK) status = wh_program_new(&program, g, &hvp, 1);
            if (status == WHIST_OK) status = wh_run_new(&run, program, 1);
        }
        wh_alloc_fail_after(0);
        wh_run_free(run);
        wh_program_free(program);
        wh_per_example_free(p);
        wh_graph_free(g);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_true(n < 100000);
    }
}

static double share_kept(wh_run *run, wh_value seed, const uint32_t words[2], float *out)
{
    assert_ok(wh_run_input(run, seed, words));
    assert_ok(wh_run_go(run, NULL));
    const float *mask = wh_run_result(run, 0);
    double kept = 0;
    for (size_t i = 0; i < 100 * 1000; i++) {
        assert_true(mask[i] == 0 || mask[i] == (float)(1 / .7));
        kept += mask[i] != 0;
    }
    memcpy(out, mask, 100 * 1000 * sizeof *out);
    return kept / 1e5;
}

/* 1e5 draws of 0.7: six deviations are .0087; a false alarm is below 1e-8. */
static void dropout_masks_follow_the_seed(void **state)
{
    (void)state;
    WH_AUTO(wh_graph_ptr) g = NULL;
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(wh_run_ptr) run = NULL;
    assert_ok(wh_graph_new(&g, WH_F32));
    wh_value seed = wh_graph_index(g, "seed", WH_SHARED, WH_DIMS(2), (uint64_t)UINT32_MAX + 1);
    wh_value mask = wh_graph_keep_mask(g, seed, 5, .3, WH_DIMS(100, 1000));
    assert_ok(wh_program_new(&program, g, &mask, 1));
    assert_ok(wh_run_new(&run, program, 1));
    static float a[100 * 1000], b[100 * 1000], c[100 * 1000];
    assert_true(fabs(share_kept(run, seed, (const uint32_t[]){1, UINT32_MAX}, a) - .7) < .0087);
    assert_true(fabs(share_kept(run, seed, (const uint32_t[]){2, UINT32_MAX}, b) - .7) < .0087);
    share_kept(run, seed, (const uint32_t[]){1, UINT32_MAX}, c);
    assert_memory_equal(a, c, sizeof a);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_to_second_order),
        cmocka_unit_test(planted_wrong_derivatives_are_seen),
        cmocka_unit_test(planted_wrong_norms_are_seen),
        cmocka_unit_test(kinks_have_the_stated_derivatives),
        cmocka_unit_test(mismatches_name_operation_and_shapes),
        cmocka_unit_test(every_builder_names_the_shapes_it_refuses),
        cmocka_unit_test(sizes_that_no_memory_holds_are_refused),
        cmocka_unit_test(gradients_that_do_not_exist_are_refused),
        cmocka_unit_test(coupled_examples_are_refused),
        cmocka_unit_test(simple_gradients_by_example),
        cmocka_unit_test(runs_check_their_inputs),
        cmocka_unit_test(float_and_double_agree),
        cmocka_unit_test(threads_do_not_change_bits_and_runs_allocate_nothing),
        cmocka_unit_test(chains_fuse_and_work_in_place),
        cmocka_unit_test(lifetimes_share_memory),
        cmocka_unit_test(any_value_can_be_an_output),
        cmocka_unit_test(equal_nodes_are_one),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(dropout_masks_follow_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
