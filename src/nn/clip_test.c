/* Clipped sums against a loop over examples; what one example can do to a sum; threads; refusals. */
#include "nn/clip.h"

#include <math.h>
#include <string.h>

#include "nn/clip_parts.h"
#include "nn/models_test.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_pool, wh_pool_free)

typedef struct sample {
    const char *class_name, *settings; /* "key=value;key=value" */
    whist_model_shape shape;
} sample;

static const sample samples[] = {
    {"linear", "l2=0.3", {.n_features = 5, .n_outputs = 1, .target = WHIST_TARGET_VALUE}},
    {"logistic", "", {.n_features = 70, .n_outputs = 1, .target = WHIST_TARGET_BINARY}},
    {"softmax", "", {.n_features = 37, .n_outputs = 10, .target = WHIST_TARGET_CLASS}},
    {"softmax", "", {.n_features = 90, .n_outputs = 10, .target = WHIST_TARGET_CLASS}}, /* narrow */
    {"mlp", "hidden=[33, 5];activation=tanh", {.n_features = 18, .n_outputs = 3, .target = WHIST_TARGET_CLASS}},
    {"cnn", "activation=tanh", IMAGE(1, 28, 28, 10)},
    {"conv4", "width=4;norm=group;groups=2", IMAGE(1, 16, 16, 5)},
    {"transformer", "width=8;heads=2;depth=2;feed_forward=12", TOKENS(6, 7, 3, 1)},
    {"gpt", "width=8;heads=2;depth=2;feed_forward=12", TOKENS(6, 7, 7, 6)},
};

enum { ROWS = 150, MAX_D = 1024, MAX_T = 8, MAX_P = 40000 };
static float x_[ROWS * MAX_D], y_[ROWS * MAX_T];
static uint32_t index_[ROWS];
static float params_[MAX_P];

static uint64_t state_;
static double uniform(void)
{
    return test_uniform(&state_);
}

static void make(whist_model **model, whist_batch *batch, const sample *s)
{
    WH_AUTO(whist_settings_ptr) settings = test_settings(whist_model_class_find(s->class_name)->options, s->settings);
    assert_ok(whist_model_new(model, s->class_name, settings, &s->shape));
    const whist_model_shape shape = whist_model_shape_get(*model);
    assert_true(shape.n_features <= MAX_D && shape.n_targets <= MAX_T && whist_model_size(*model) <= MAX_P);
    state_ = 17;
    for (size_t i = 0; i < ROWS * shape.n_features; i++) {
        double u = uniform();
        x_[i] = shape.vocabulary ? (float)floor((u + 1) / 2 * (double)shape.vocabulary) : (float)u;
    }
    for (size_t i = 0; i < ROWS * shape.n_targets; i++) {
        double u = uniform();
        y_[i] = shape.target == WHIST_TARGET_VALUE    ? (float)(3 * u)
                : shape.target == WHIST_TARGET_BINARY ? (float)(u > 0)
                                                      : (float)floor((u + 1) / 2 * (double)shape.n_outputs);
    }
    for (size_t i = 0; i < ROWS; i++) index_[i] = (uint32_t)((i * 7 + 3) % ROWS);
    whist_model_init(*model, params_, 5);
    for (size_t i = 0; i < whist_model_size(*model); i++) params_[i] += (float)(0.05 * uniform());
    *batch = (whist_batch){.rows = x_, .target = y_, .n_rows = ROWS, .index = index_, .n = ROWS};
}

/* The gradient of one row, without the penalty. */
static void one_gradient(float *grad, const whist_model *model, whist_model_work *work, const whist_batch *batch,
                         size_t i)
{
    whist_batch one = *batch;
    one.index = batch->index + i;
    one.n = 1;
    assert_ok(whist_model_loss_grad(model, work, params_, &one, grad, NULL));
    for (size_t t = 0; t < model->n_tensors && model->l2 > 0; t++)
        for (size_t j = 0; j < model->tensors[t].size && model->penalised[t]; j++)
            grad[model->tensors[t].offset + j] -= (float)model->l2 * params_[model->tensors[t].offset + j];
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static double clipped(double norm, double bound, wh_clip_kind kind)
{
    return kind == WH_CLIP_AUTOMATIC ? bound / (norm + 0.01) : fmin(1, bound / norm);
}

static void loop_sum(double *sum, const whist_model *model, const whist_batch *batch, double bound, wh_clip_kind kind,
                     size_t *smaller)
{
    static float grad[MAX_P];
    WH_AUTO(whist_model_work_ptr) work = NULL;
    assert_ok(whist_model_work_new(&work, model, 1));
    memset(sum, 0, model->size * sizeof *sum);
    for (size_t i = 0; i < batch->n; i++) {
        one_gradient(grad, model, work, batch, i);
        double norm = norm_of(grad, model->size), weight = clipped(norm, bound, kind);
        *smaller += norm <= bound;
        for (size_t t = 0; t < model->n_tensors; t++) {
            const whist_tensor_info *info = &model->tensors[t];
            if (kind == WH_CLIP_LAYER)
                weight =
                    clipped(norm_of(grad + info->offset, info->size), bound / sqrt((double)model->n_tensors), kind);
            for (size_t j = info->offset; j < info->offset + info->size; j++) sum[j] += weight * (double)grad[j];
        }
    }
}

static void test_sums_are_those_of_a_loop(void **state)
{
    (void)state;
    static double want[MAX_P];
    static const double bounds[] = {0.25, 3, 60};
    for (size_t s = 0; s < WH_COUNT(samples); s++)
        for (unsigned round = 0; round < 3; round++) {
            WH_AUTO(whist_model_ptr) model = NULL;
            WH_AUTO(wh_clip_ptr) clip = NULL;
            whist_batch batch;
            wh_clip_kind kind = (wh_clip_kind)((round + s) % 3);
            size_t smaller = 0, smaller_want = 0;
            make(&model, &batch, &samples[s]);
            assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.kind = kind, .n_max = ROWS}));
            assert_ok(wh_clip_begin(clip, bounds[round]));
            assert_ok(wh_clip_add(clip, params_, &batch, &smaller));
            loop_sum(want, model, &batch, bounds[round], kind, &smaller_want);
            double error = 0, size = 0;
            for (size_t i = 0; i < model->size; i++) {
                double got = (double)wh_clip_sum(clip)[i] * wh_clip_step(clip);
                error += (got - want[i]) * (got - want[i]);
                size += want[i] * want[i];
            }
            if (!(sqrt(error) <= 2e-4 * sqrt(size) + 1e-6 * bounds[round] * ROWS))
                fail_msg("%s, bound %g, kind %d: off by %g of %g", samples[s].class_name, bounds[round], kind,
                         sqrt(error), sqrt(size));
            assert_int_equal(smaller, smaller_want);
        }
}

/* S(D) - S(D without i), for every i of a few: within the sensitivity; nearly all of it where the gradient is large. */
static void test_one_example_moves_the_sum_by_no_more_than_is_said(void **state)
{
    (void)state;
    static int64_t all[MAX_P];
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_clip_ptr) clip = NULL;
        whist_batch batch;
        double most = 0;
        make(&model, &batch, &samples[s]);
        assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.kind = WH_CLIP_FLAT, .n_max = ROWS}));
        assert_ok(wh_clip_begin(clip, 0.01));
        assert_ok(wh_clip_add(clip, params_, &batch, NULL));
        memcpy(all, wh_clip_sum(clip), model->size * sizeof *all);
        for (size_t out = 0; out < ROWS; out += 29) {
            uint32_t others[ROWS];
            whist_batch less = batch;
            less.n = ROWS - 1;
            for (size_t i = 0; i < ROWS - 1; i++) others[i] = index_[i + (i >= out)];
            less.index = others;
            assert_ok(wh_clip_begin(clip, 0.01));
            assert_ok(wh_clip_add(clip, params_, &less, NULL));
            double moved = 0;
            for (size_t i = 0; i < model->size; i++) {
                double d = (double)(all[i] - wh_clip_sum(clip)[i]);
                moved += d * d;
            }
            most = fmax(most, sqrt(moved));
        }
        assert_true(most <= wh_clip_sensitivity(clip));
        assert_true(most >= 0.9 * 0.01 / wh_clip_step(clip));
        assert_true(wh_clip_sensitivity(clip) <= 1.01 * 0.01 / wh_clip_step(clip));
    }
}

/* Models that run as programs: what an example adds is the same whole numbers in any company, at any place, of ones
 * whose gradients are not finite, too. */
static void test_programs_keep_examples_apart(void **state)
{
    (void)state;
    enum { N = 23 };
    static int64_t alone[MAX_P];
    static const wh_clip_kind kinds[] = {WH_CLIP_FLAT, WH_CLIP_LAYER};
    for (size_t s = 5; s < WH_COUNT(samples); s++)
        for (size_t k = 0; k < WH_COUNT(kinds); k++) {
            WH_AUTO(whist_model_ptr) model = NULL;
            WH_AUTO(wh_clip_ptr) clip = NULL;
            whist_batch batch;
            size_t smaller = 0, smaller_alone = 0;
            make(&model, &batch, &samples[s]);
            const size_t d = model->shape.n_features;
            if (!model->shape.vocabulary) x_[index_[5] * d + 3] = NAN, x_[index_[10] * d] = INFINITY;
            assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.kind = kinds[k], .n_max = ROWS}));
            memset(alone, 0, sizeof alone);
            for (size_t i = 0; i < N; i++) {
                whist_batch one = batch;
                one.index += i;
                one.n = 1;
                assert_ok(wh_clip_begin(clip, 0.5));
                assert_ok(wh_clip_add(clip, params_, &one, &smaller_alone));
                for (size_t j = 0; j < model->size; j++) alone[j] += wh_clip_sum(clip)[j];
            }
            uint32_t backwards[N];
            for (size_t i = 0; i < N; i++) backwards[i] = index_[N - 1 - i];
            batch.n = N;
            for (size_t turn = 0; turn < 2; turn++, batch.index = backwards, smaller = 0) {
                assert_ok(wh_clip_begin(clip, 0.5));
                assert_ok(wh_clip_add(clip, params_, &batch, &smaller));
                assert_memory_equal(wh_clip_sum(clip), alone, model->size * sizeof *alone);
                assert_int_equal(smaller, smaller_alone);
            }
        }
}

/* What clip_dense.c stands on: a row of a forward and backward pass is the same in any company of 16 to PIECE rows. */
static void test_rows_of_dense_layers_depend_on_themselves(void **state)
{
    (void)state;
    enum { WIDE = 700, NARROW = 130, MOST = 128 };
    static float a[MOST * WIDE], w[WIDE * NARROW], few[MOST * WIDE], many[MOST * WIDE];
    const wh_num_kernels *k = wh_num_kernels_get();
    for (size_t i = 0; i < MOST * WIDE; i++) a[i] = (float)uniform();
    for (size_t i = 0; i < WIDE * NARROW; i++) w[i] = (float)uniform();
    for (size_t n = 16; n < MOST; n += 7) {
        size_t first = (MOST - n) / 2; /* rows from the middle */
        wh_num_gemm(k, WH_GEMM_NN, many, NARROW, a, WIDE, w, NARROW, MOST, NARROW, WIDE);
        wh_num_gemm(k, WH_GEMM_NN, few, NARROW, a + first * WIDE, WIDE, w, NARROW, n, NARROW, WIDE);
        assert_memory_equal(few, many + first * NARROW, n * NARROW * sizeof *few);
        wh_num_gemm(k, WH_GEMM_NT, many, WIDE, a, NARROW, w, NARROW, MOST, WIDE, NARROW);
        wh_num_gemm(k, WH_GEMM_NT, few, WIDE, a + first * NARROW, NARROW, w, NARROW, n, WIDE, NARROW);
        assert_memory_equal(few, many + first * WIDE, n * WIDE * sizeof *few);
    }
}

/* Whatever the numbers' size: norms of outer products are made of two, one of which may be tiny. */
static void test_squared_norms_of_any_size(void **state)
{
    (void)state;
    enum { N = 9000 };
    static float x[N];
    const wh_num_kernels *k = wh_num_kernels_get();
    for (int e = -149; e <= 55; e++)
        for (size_t n = 1; n <= N; n = n * 3 + 1) {
            double want = 0;
            for (size_t i = 0; i < n; i++) {
                x[i] = ldexpf((float)uniform(), e);
                want += (double)x[i] * (double)x[i];
            }
            assert_true(fabs(wh_clip_squared(k, x, n) - want) <= 0x1p-14 * want);
        }
    x[3] = NAN;
    assert_true(isnan(wh_clip_squared(k, x, 5)));
}

static void test_same_numbers_with_threads_and_in_parts(void **state)
{
    (void)state;
    static int64_t first[MAX_P];
    WH_AUTO(wh_pool_ptr) pool = NULL;
    assert_ok(wh_pool_new(&pool, 3));
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_clip_ptr) one = NULL, three = NULL;
        whist_batch batch;
        make(&model, &batch, &samples[s]);
        assert_ok(wh_clip_new(&one, model, &(wh_clip_options){.n_max = ROWS}));
        assert_ok(wh_clip_new(&three, model, &(wh_clip_options){.n_max = ROWS, .pool = pool}));
        assert_ok(wh_clip_add(one, params_, &batch, NULL));
        memcpy(first, wh_clip_sum(one), model->size * sizeof *first);
        whist_batch part = batch; /* in halves: pieces as before */
        part.n = ROWS / 2;
        assert_ok(wh_clip_add(three, params_, &part, NULL));
        part.index += ROWS / 2;
        part.n = ROWS - ROWS / 2;
        assert_ok(wh_clip_add(three, params_, &part, NULL));
        assert_memory_equal(first, wh_clip_sum(three), model->size * sizeof *first);
    }
}

/* Stacks of dense layers share batches that are large enough for it. */
static void test_threads_share_large_batches(void **state)
{
    (void)state;
    enum { MANY = 601 };
    static const sample large[] = {
        {"softmax", "", {.n_features = 1000, .n_outputs = 10, .target = WHIST_TARGET_CLASS}}, /* narrow */
        {"mlp", "hidden=[70]", {.n_features = 400, .n_outputs = 3, .target = WHIST_TARGET_CLASS}},
    };
    WH_AUTO(wh_pool_ptr) pool = NULL;
    assert_ok(wh_pool_new(&pool, 3));
    for (size_t s = 0; s < WH_COUNT(large); s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_clip_ptr) one = NULL, three = NULL;
        whist_batch batch;
        uint32_t order[MANY];
        size_t smaller = 0, smaller_three = 0;
        make(&model, &batch, &large[s]);
        for (size_t i = 0; i < MANY; i++) order[i] = (uint32_t)(i * 7 % ROWS);
        batch.index = order;
        batch.n = MANY;
        assert_ok(wh_clip_new(&one, model, &(wh_clip_options){.n_max = MANY}));
        assert_ok(wh_clip_new(&three, model, &(wh_clip_options){.n_max = MANY, .pool = pool}));
        assert_ok(wh_clip_add(one, params_, &batch, &smaller));
        assert_ok(wh_clip_add(three, params_, &batch, &smaller_three));
        assert_memory_equal(wh_clip_sum(one), wh_clip_sum(three), model->size * sizeof(int64_t));
        assert_int_equal(smaller, smaller_three);
    }
}

static void test_what_is_not_finite_counts_as_zero(void **state)
{
    (void)state;
    static int64_t without[MAX_P];
    for (size_t s = 1; s < 5; s++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(wh_clip_ptr) clip = NULL;
        whist_batch batch;
        make(&model, &batch, &samples[s]);
        assert_ok(wh_clip_new(&clip, model, &(wh_clip_options){.n_max = ROWS}));
        batch.n = 30;
        assert_ok(wh_clip_add(clip, params_, &batch, NULL));
        memcpy(without, wh_clip_sum(clip), model->size * sizeof *without);
        const size_t d = model->shape.n_features;
        x_[index_[30] * d] = INFINITY;
        x_[index_[31] * d + 1] = NAN;
        x_[index_[32] * d + 2] = 3e38f;
        batch.n = 33;
        assert_ok(wh_clip_begin(clip, 1));
        assert_ok(wh_clip_add(clip, params_, &batch, NULL));
        double moved = 0;
        for (size_t j = 0; j < model->size; j++) {
            double by = (double)(wh_clip_sum(clip)[j] - without[j]);
            moved += by * by;
        }
        assert_true(sqrt(moved) <= wh_clip_sensitivity(clip)); /* 3e38 may be finite, and then is clipped */
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const sample coupled = {"conv4", "width=4;norm=transductive", IMAGE(1, 16, 16, 5)};
    static const sample survival = {"cox", "", {.n_features = 5, .n_outputs = 1, .target = WHIST_TARGET_SURVIVAL}};
    WH_AUTO(whist_model_ptr) a = NULL, b = NULL, c = NULL;
    WH_AUTO(wh_clip_ptr) clip = NULL;
    whist_batch batch;
    make(&a, &batch, &coupled);
    assert_int_equal(wh_clip_new(&clip, a, &(wh_clip_options){.n_max = 1}), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "norm: group"));
    make(&b, &batch, &survival);
    assert_int_equal(wh_clip_new(&clip, b, &(wh_clip_options){.n_max = 1}), WHIST_E_UNSUPPORTED);
    make(&c, &batch, &samples[1]);
    assert_int_equal(wh_clip_new(&clip, c, &(wh_clip_options){.n_max = 0}), WHIST_E_RANGE);
    assert_ok(wh_clip_new(&clip, c, &(wh_clip_options){.n_max = 100}));
    assert_int_equal(wh_clip_begin(clip, NAN), WHIST_E_RANGE);
    assert_int_equal(wh_clip_add(clip, params_, &batch, NULL), WHIST_E_RANGE);
    batch.n = 100;
    assert_ok(wh_clip_add(clip, params_, &batch, NULL));
    batch.n = 1;
    assert_int_equal(wh_clip_add(clip, params_, &batch, NULL), WHIST_E_RANGE);
    assert_ok(wh_clip_begin(clip, 1));
    y_[index_[0]] = 0.5f;
    assert_int_equal(wh_clip_add(clip, params_, &batch, NULL), WHIST_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_a_loop),
        cmocka_unit_test(test_one_example_moves_the_sum_by_no_more_than_is_said),
        cmocka_unit_test(test_programs_keep_examples_apart),
        cmocka_unit_test(test_rows_of_dense_layers_depend_on_themselves),
        cmocka_unit_test(test_squared_norms_of_any_size),
        cmocka_unit_test(test_same_numbers_with_threads_and_in_parts),
        cmocka_unit_test(test_threads_share_large_batches),
        cmocka_unit_test(test_what_is_not_finite_counts_as_zero),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
