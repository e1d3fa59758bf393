/* meta/metric_test.c: heads: derivatives against differences to second order, and what they have to say. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "meta/metric.h"
#include "nn/graph/check.h"
#include "nn/graph/program.h"

enum { S = 6, Q = 4, D = 5, WAYS = 3, NUMBERS = 4096 };

/* A graph with embeddings, labels and whatever else a case asks for. */
typedef struct scene {
    wh_graph *g;
    wh_value support, query, labels, target;
    wh_value wrt[16];
    const void *data[16];
    size_t n_wrt, n_data;
    double numbers[NUMBERS];
    size_t used;
} scene;

static const uint32_t labels[S] = {0, 1, 2, 2, 1, 0}, targets[Q] = {2, 0, 1, 1};

static double noise(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-52 - 1;
}

static wh_value learned(scene *s, wh_dims dims)
{
    size_t n = wh_dims_size(&dims);
    assert_true(s->used + n <= NUMBERS);
    double *x = s->numbers + s->used;
    for (size_t i = 0; i < n; i++) x[i] = noise(17 + s->used + i);
    s->used += n;
    s->data[s->n_data++] = x;
    return s->wrt[s->n_wrt++] = wh_graph_input(s->g, "x", WH_PARAM, dims);
}

static scene *open_scene(size_t width)
{
    scene *s = test_calloc(1, sizeof *s);
    assert_ok(wh_graph_new(&s->g, WH_F64));
    s->support = learned(s, WH_DIMS(S, width));
    s->query = learned(s, WH_DIMS(Q, width));
    s->labels = wh_graph_index(s->g, "labels", WH_SHARED, WH_DIMS(S), WAYS);
    s->data[s->n_data++] = labels;
    s->target = wh_graph_index(s->g, "targets", WH_SHARED, WH_DIMS(Q), WAYS);
    s->data[s->n_data++] = targets;
    return s;
}

static void close_scene(scene *s)
{
    wh_graph_free(s->g);
    test_free(s);
}

static void check(scene *s, wh_value logits)
{
    wh_gradcheck error;
    wh_value loss = wh_graph_mean_all(s->g, wh_graph_cross_entropy(s->g, logits, s->target));
    assert_ok(wh_graph_gradcheck(&error, s->g, loss, s->wrt, s->n_wrt, s->data, s->n_data));
    if (!(error.first < 1e-9 && error.second < 1e-9)) fail_msg("errors %.1e, %.1e", error.first, error.second);
}

/* The values of one node. */
static void values(double *out, const scene *s, wh_value v, size_t n)
{
    wh_program *program;
    wh_run *run;
    assert_ok(wh_program_new(&program, s->g, &v, 1));
    assert_ok(wh_run_new(&run, program, 1));
    for (size_t i = 0; i < s->n_wrt; i++)
        assert_ok(wh_run_input(run, s->wrt[i], i == 0 ? s->data[0] : i == 1 ? s->data[1] : s->data[i + 2]));
    assert_ok(wh_run_input(run, s->labels, labels));
    assert_ok(wh_run_input(run, s->target, targets));
    assert_ok(wh_run_go(run, NULL));
    memcpy(out, wh_run_result(run, 0), n * sizeof *out);
    wh_run_free(run);
    wh_program_free(program);
}

static void heads_have_derivatives(void **state)
{
    (void)state;
    for (int score = 0; score < 2; score++) {
        scene *s = open_scene(D);
        check(s, wh_meta_proto_head(s->g, s->support, s->labels, s->query, WAYS, (wh_meta_score)score, 1.5));
        close_scene(s);
        s = open_scene(D);
        check(s, wh_meta_matching_head(s->g, s->support, s->labels, s->query, WAYS, (wh_meta_score)score, 1.5));
        close_scene(s);
    }
    for (size_t width = 4; width <= 8; width += 4) { /* fewer and more features than rows */
        scene *s = open_scene(width);
        wh_value lambda = wh_graph_exp(s->g, learned(s, WH_SCALAR)), scale = learned(s, WH_SCALAR);
        check(s, wh_meta_ridge_head(s->g, s->support, s->labels, s->query, WAYS, lambda, scale, learned(s, WH_SCALAR)));
        close_scene(s);
    }
}

static void prototypes_are_class_means(void **state)
{
    (void)state;
    scene *s = open_scene(D);
    double got[WAYS * D], logits[Q * WAYS];
    const double *x = s->data[0], *q = s->data[1];
    values(got, s, wh_meta_prototypes(s->g, s->support, s->labels, WAYS), WAYS * D);
    for (size_t c = 0; c < WAYS; c++)
        for (size_t d = 0; d < D; d++) {
            double want = 0;
            for (size_t i = 0; i < S; i++) want += labels[i] == c ? x[i * D + d] / 2 : 0;
            assert_true(fabs(got[c * D + d] - want) < 1e-15);
        }
    values(logits, s, wh_meta_proto_head(s->g, s->support, s->labels, s->query, WAYS, WH_META_EUCLIDEAN, 2), Q * WAYS);
    for (size_t i = 0; i < Q; i++)
        for (size_t c = 0; c < WAYS; c++) {
            double want = 0;
            for (size_t d = 0; d < D; d++) want -= 2 * pow(q[i * D + d] - got[c * D + d], 2);
            assert_true(fabs(logits[i * WAYS + c] - want) < 1e-13);
        }
    close_scene(s);
}

/* Whatever the shape, W solves (ZᵀZ + λ) W = ZᵀY; with query = support the logits are Z W. */
static void ridge_solves_the_normal_equations(void **state)
{
    (void)state;
    for (size_t width = 4; width <= 8; width += 4) {
        scene *s = open_scene(width);
        double fit[S * WAYS];
        const double *z = s->data[0], lambda = .3;
        values(fit, s,
               wh_meta_ridge_head(s->g, s->support, s->labels, s->support, WAYS, wh_graph_fill(s->g, WH_SCALAR, lambda),
                                  wh_graph_fill(s->g, WH_SCALAR, 1), wh_graph_fill(s->g, WH_SCALAR, 0)),
               S * WAYS);
        /* λ W = Zᵀ (Y - Z W), so λ Z W = Z Zᵀ (Y - Z W) */
        for (size_t i = 0; i < S; i++)
            for (size_t c = 0; c < WAYS; c++) {
                double right = 0;
                for (size_t j = 0; j < S; j++) {
                    double gram = 0;
                    for (size_t d = 0; d < width; d++) gram += z[i * width + d] * z[j * width + d];
                    right += gram * ((labels[j] == c ? 1 : 0) - fit[j * WAYS + c]);
                }
                assert_true(fabs(lambda * fit[i * WAYS + c] - right) < 1e-13);
            }
        close_scene(s);
    }
}

/* A row of zeros has a direction: none, and a derivative: 0. */
static void cosine_of_nothing_is_finite(void **state)
{
    (void)state;
    scene *s = open_scene(D);
    memset(s->numbers, 0, D * sizeof *s->numbers);
    wh_value logits = wh_meta_proto_head(s->g, s->support, s->labels, s->query, WAYS, WH_META_COSINE, 10);
    wh_value matching = wh_meta_matching_head(s->g, s->support, s->labels, s->query, WAYS, WH_META_COSINE, 10), grad;
    wh_value sum = wh_graph_sum_all(s->g, wh_graph_add(s->g, wh_graph_square(s->g, logits), matching));
    double got[S * D];
    assert_ok(wh_graph_gradient(&grad, s->g, sum, &s->support, 1));
    values(got, s, grad, S * D);
    for (size_t i = 0; i < S * D; i++) assert_true(isfinite(got[i]));
    close_scene(s);
}

static void contexts_have_derivatives_and_see_all_rows(void **state)
{
    (void)state;
    enum { W = 2 };
    scene *s = open_scene(W);
    wh_meta_context context = {.reads = 2};
    wh_value *const weights[] = {&context.forward_w, &context.backward_w, &context.read_w}, *const biases[] = {
                                                                                                &context.forward_b,
                                                                                                &context.backward_b,
                                                                                                &context.read_b};
    for (size_t i = 0; i < 3; i++) {
        *weights[i] = learned(s, WH_DIMS(i < 2 ? 2 * W : 3 * W, 4 * W));
        *biases[i] = learned(s, WH_DIMS(4 * W));
    }
    wh_value support = wh_meta_context_support(s->g, s->support, &context);
    wh_value query = wh_meta_context_query(s->g, s->query, support, &context);
    wh_value one = wh_graph_slice(s->g, support, (const size_t[]){2, 0}, WH_DIMS(1, W)), grad;
    double by_row[S * W];
    assert_ok(wh_graph_gradient(&grad, s->g, wh_graph_sum_all(s->g, one), &s->support, 1));
    values(by_row, s, grad, S * W);
    for (size_t i = 0; i < S; i++) assert_true(by_row[i * W] != 0); /* through one LSTM or the other */
    check(s, wh_meta_matching_head(s->g, support, s->labels, query, WAYS, WH_META_COSINE, 1));
    close_scene(s);
}

static void relations_pair_every_query_with_every_class(void **state)
{
    (void)state;
    enum { C = 2, H = 2, EACH = C * H * H };
    scene *s = open_scene(EACH);
    wh_value images = wh_graph_reshape(s->g, s->support, WH_DIMS(S, C, H, H)),
             query = wh_graph_reshape(s->g, s->query, WH_DIMS(Q, C, H, H));
    wh_value prototypes = wh_meta_prototypes(s->g, images, s->labels, WAYS);
    wh_value pairs = wh_meta_pairs(s->g, prototypes, query);
    wh_dims dims = wh_graph_dims(s->g, pairs), want = WH_DIMS(Q * WAYS, 2 * C, H, H);
    assert_true(wh_dims_equal(&dims, &want));
    double p[WAYS * EACH], all[Q * WAYS * 2 * EACH];
    values(p, s, prototypes, WH_COUNT(p));
    values(all, s, pairs, WH_COUNT(all));
    for (size_t q = 0; q < Q; q++)
        for (size_t c = 0; c < WAYS; c++) {
            const double *pair = all + (q * WAYS + c) * 2 * EACH;
            assert_memory_equal(pair, p + c * EACH, EACH * sizeof *p);
            assert_memory_equal(pair + EACH, (const double *)s->data[1] + q * EACH, EACH * sizeof *p);
        }
    wh_value flat = wh_graph_reshape(s->g, pairs, WH_DIMS(Q * WAYS, 2 * EACH));
    wh_value score =
        wh_graph_sigmoid(s->g, wh_graph_matmul(s->g, flat, learned(s, WH_DIMS(2 * EACH, 1)), WH_MATMUL_NN));
    wh_value loss = wh_meta_relation_loss(s->g, wh_graph_reshape(s->g, score, WH_DIMS(Q, WAYS)), s->target, WAYS);
    wh_gradcheck error;
    assert_ok(wh_graph_gradcheck(&error, s->g, loss, s->wrt, s->n_wrt, s->data, s->n_data));
    assert_true(error.first < 1e-9 && error.second < 1e-9);
    close_scene(s);
}

static void shapes_that_do_not_fit_are_told(void **state)
{
    (void)state;
    scene *s = open_scene(D);
    wh_value other = wh_graph_input(s->g, "other", WH_SHARED, WH_DIMS(Q, D + 1));
    wh_meta_proto_head(s->g, s->support, s->labels, other, WAYS, WH_META_EUCLIDEAN, 1);
    assert_int_equal(wh_graph_status(s->g), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "(4,6)"));
    assert_non_null(strstr(whist_detail_get()->text, "(3,5)"));
    close_scene(s);
    s = open_scene(D);
    wh_meta_proto_head(s->g, s->support, s->labels, s->query, WAYS - 1, WH_META_EUCLIDEAN, 1);
    assert_int_equal(wh_graph_status(s->g), WHIST_E_ARG);
    close_scene(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_have_derivatives),
        cmocka_unit_test(prototypes_are_class_means),
        cmocka_unit_test(ridge_solves_the_normal_equations),
        cmocka_unit_test(cosine_of_nothing_is_finite),
        cmocka_unit_test(contexts_have_derivatives_and_see_all_rows),
        cmocka_unit_test(relations_pair_every_query_with_every_class),
        cmocka_unit_test(shapes_that_do_not_fit_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
