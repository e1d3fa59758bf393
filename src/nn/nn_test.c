/* Tests of nn: gradients against central differences of an independent reference in double, the fused
 * step against gradient and axpy, learning, layout, refusals. */
#include "whist/nn.h"

#include <math.h>
#include <string.h>

#include "nn/model.h"
#include "nn/models_test.h"
#include "nn/optim.h"
#include "nn/zoo.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(wh_pool, wh_pool_free)

static uint64_t state_ = 7;
static double uniform(void)
{
    return test_uniform(&state_);
}

/* ---- The reference: everything in double, straight from the definitions ---------------------- */

typedef struct reference {
    size_t widths[6], n_layers; /* widths[0] = D */
    int activation;             /* 0 relu, 1 tanh, 2 sigmoid */
    bool bias, efron;
    double l2;
    whist_target target;
} reference;

static void reference_scores(const reference *r, const double *params, const float *x, double *scores)
{
    double value[2][64];
    for (size_t j = 0; j < r->widths[0]; j++) value[0][j] = (double)x[j];
    for (size_t l = 0; l < r->n_layers; l++) {
        size_t in = r->widths[l], out = r->widths[l + 1];
        for (size_t j = 0; j < out; j++) {
            double z = r->bias ? params[in * out + j] : 0;
            for (size_t i = 0; i < in; i++) z += value[l % 2][i] * params[i * out + j];
            bool last = l + 1 == r->n_layers;
            double f = r->activation == 0 ? fmax(z, 0) : r->activation == 1 ? tanh(z) : 1 / (1 + exp(-z));
            if (last)
                scores[j] = z;
            else
                value[(l + 1) % 2][j] = f;
        }
        params += in * out + (r->bias ? out : 0);
    }
}

static double reference_row_loss(const reference *r, const double *z, size_t width, double y)
{
    if (r->target == WHIST_TARGET_VALUE) return (z[0] - y) * (z[0] - y);
    if (r->target == WHIST_TARGET_BINARY) return -log(1 / (1 + exp(y == 1 ? -z[0] : z[0])));
    double total = 0;
    for (size_t j = 0; j < width; j++) total += exp(z[j]);
    return log(total) - z[(size_t)y];
}

/* Cox from the formulas, O(n²): every sum is taken anew. */
static double reference_cox(const reference *r, const double *eta, const whist_batch *b)
{
    double loss = 0, n_events = 0;
    for (size_t i = 0; i < b->n; i++) {
        size_t a = b->index ? b->index[i] : i;
        if (b->event[a] == 0) continue;
        n_events++;
        double risk = 0, dead = 0, weights = 0, deaths = 0, before = 0;
        for (size_t j = 0; j < b->n; j++) {
            size_t c = b->index ? b->index[j] : j;
            double w = b->weight ? (double)b->weight[c] : 1;
            if (b->strata && b->strata[a] != b->strata[c]) continue;
            if (b->target[c] >= b->target[a]) risk += w * exp(eta[j]);
            if (b->target[c] == b->target[a] && b->event[c] != 0) {
                dead += w * exp(eta[j]), weights += w, deaths++;
                before += j < i;
            }
        }
        double w = b->weight ? (double)b->weight[a] : 1;
        /* the l-th tied event takes the l-th term */
        loss +=
            r->efron ? weights / deaths * log(risk - before / deaths * dead) - w * eta[i] : w * (log(risk) - eta[i]);
    }
    return n_events > 0 ? loss / n_events : 0;
}

static double reference_loss(const reference *r, const double *params, const whist_batch *b)
{
    double loss = 0, eta[64], scores[64];
    size_t width = r->widths[r->n_layers], d = r->widths[0];
    for (size_t i = 0; i < b->n; i++) {
        size_t row = b->index ? b->index[i] : i;
        reference_scores(r, params, b->rows + row * d, scores);
        eta[i] = scores[0];
        double w = b->weight ? (double)b->weight[row] : 1;
        if (r->target != WHIST_TARGET_SURVIVAL)
            loss += w * reference_row_loss(r, scores, width, (double)b->target[row]) / (double)b->n;
    }
    if (r->target == WHIST_TARGET_SURVIVAL) loss = reference_cox(r, eta, b);
    for (size_t l = 0; l < r->n_layers; l++) {
        size_t n = r->widths[l] * r->widths[l + 1];
        for (size_t i = 0; i < n; i++) loss += 0.5 * r->l2 * params[i] * params[i];
        params += n + (r->bias ? r->widths[l + 1] : 0);
    }
    return loss;
}

/* ---- Gradients ------------------------------------------------------------------------------ */

enum { ROWS = 40, MAX_P = 4096 };
static float x_[ROWS * 64], y_[ROWS], event_[ROWS], weight_[ROWS];
static uint32_t strata_[ROWS], index_[ROWS];

static void make_rows(const reference *r)
{
    size_t width = r->widths[r->n_layers];
    for (size_t i = 0; i < ROWS * r->widths[0]; i++) x_[i] = (float)uniform();
    for (size_t i = 0; i < ROWS; i++) {
        double u = uniform();
        y_[i] = (float)u;
        if (r->target == WHIST_TARGET_BINARY) y_[i] = u > 0;
        if (r->target == WHIST_TARGET_CLASS) y_[i] = (float)(size_t)((u + 1) / 2 * (double)width);
        if (r->target == WHIST_TARGET_SURVIVAL) y_[i] = floorf((float)u * 4); /* many ties */
        event_[i] = uniform() > -0.3;
        weight_[i] = (float)(1 + uniform());
        strata_[i] = (uint32_t)(i % 3);
        index_[i] = (uint32_t)((i * 7 + 3) % ROWS);
    }
}

static void check_gradient(const whist_model *model, whist_model_work *work, const reference *r, const whist_batch *b)
{
    static float params[MAX_P], grad[MAX_P];
    static double exact[MAX_P];
    size_t size = whist_model_size(model);
    assert_true(size <= MAX_P);
    whist_model_init(model, params, 11);
    for (size_t i = 0; i < size; i++) params[i] += (float)(0.1 * uniform());
    for (size_t i = 0; i < size; i++) exact[i] = (double)params[i];
    double loss;
    assert_ok(whist_model_loss_grad(model, work, params, b, grad, &loss));
    double want = reference_loss(r, exact, b);
    assert_true(fabs(loss - want) <= 2e-6 * (1 + fabs(want)));
    double largest = 0;
    for (size_t i = 0; i < size; i++) largest = fmax(largest, fabs((double)grad[i]));
    for (size_t i = 0; i<size; i += size> 500 ? 7 : 1) {
        double kept = exact[i], h = 1e-6;
        exact[i] = kept + h;
        double above = reference_loss(r, exact, b);
        exact[i] = kept - h;
        double below = reference_loss(r, exact, b), slope = (above - below) / (2 * h);
        exact[i] = kept;
        if (!(fabs((double)grad[i] - slope) <= 3e-6 * (largest + fabs(slope)) + 1e-8))
            fail_msg("parameter %zu: gradient %g, slope %g", i, (double)grad[i], slope);
    }
}

typedef struct sample {
    const char *class_name, *settings; /* "key=value;key=value" */
    reference r;
} sample;

static void new_model(whist_model **model, const sample *s)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    assert_ok(whist_settings_new(&settings, whist_model_class_find(s->class_name)->options));
    char text[200];
    snprintf(text, sizeof text, "%s", s->settings);
    for (char *rest = text, *pair; (pair = strsep(&rest, ";")) && *pair;) {
        char *key = strsep(&pair, "=");
        assert_ok(whist_settings_set(settings, key, pair));
    }
    whist_model_shape shape = {s->r.widths[0], s->r.widths[s->r.n_layers], s->r.target};
    assert_ok(whist_model_new(model, s->class_name, settings, &shape));
}

static const sample samples[] = {
    {"linear", "", {{13, 1}, 1, 0, true, false, 0, WHIST_TARGET_VALUE}},
    {"linear", "l2=0.3", {{20, 1}, 1, 0, true, false, 0.3, WHIST_TARGET_VALUE}},
    {"logistic", "", {{13, 1}, 1, 0, true, false, 0, WHIST_TARGET_BINARY}},
    {"logistic", "l2=0.01;init=glorot", {{33, 1}, 1, 0, true, false, 0.01, WHIST_TARGET_BINARY}},
    {"softmax", "", {{17, 5}, 1, 0, true, false, 0, WHIST_TARGET_CLASS}},
    {"mlp", "hidden=[19, 7];init=he", {{9, 19, 7, 3}, 3, 0, true, false, 0, WHIST_TARGET_CLASS}},
    {"mlp", "hidden=[33];activation=tanh", {{16, 33, 4}, 2, 1, true, false, 0, WHIST_TARGET_CLASS}},
    {"mlp", "hidden=[6];activation=sigmoid;l2=0.1", {{5, 6, 1}, 2, 2, true, false, 0.1, WHIST_TARGET_BINARY}},
    {"mlp", "hidden=[12, 40]", {{31, 12, 40, 1}, 3, 0, true, false, 0, WHIST_TARGET_VALUE}},
    {"cox", "ties=breslow", {{10, 1}, 1, 0, false, false, 0, WHIST_TARGET_SURVIVAL}},
    {"cox", "ties=efron", {{10, 1}, 1, 0, false, true, 0, WHIST_TARGET_SURVIVAL}},
    {"cox", "ties=efron;l2=0.2", {{39, 1}, 1, 0, false, true, 0.2, WHIST_TARGET_SURVIVAL}},
};

static void test_gradients_are_the_slopes_of_the_loss(void **state)
{
    (void)state;
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        const reference *r = &samples[s].r;
        WH_AUTO(whist_model_ptr) model = NULL;
        WH_AUTO(whist_model_work_ptr) work = NULL;
        new_model(&model, &samples[s]);
        assert_ok(whist_model_work_new(&work, model, ROWS));
        make_rows(r);
        bool survival = r->target == WHIST_TARGET_SURVIVAL;
        whist_batch b = {.rows = x_, .target = y_, .event = survival ? event_ : NULL, .n_rows = ROWS, .n = ROWS};
        check_gradient(model, work, r, &b);
        b.weight = weight_;
        check_gradient(model, work, r, &b);
        b.index = index_, b.n = 10;
        check_gradient(model, work, r, &b);
        if (survival) b.strata = strata_;
        check_gradient(model, work, r, &b);
        b.n = 1;
        check_gradient(model, work, r, &b);
    }
}

static void test_cox_is_stable_and_silent_without_events(void **state)
{
    (void)state;
    whist_model_shape shape = {1, 1, WHIST_TARGET_SURVIVAL};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    assert_ok(whist_model_new(&model, "cox", NULL, &shape));
    assert_ok(whist_model_work_new(&work, model, 4));
    const float x[] = {3000, -3000, 1000, 0}, time[] = {4, 1, 2, 3}, none[4] = {0}, all[] = {1, 1, 1, 1}, beta = 1;
    float grad = 5;
    double loss = 5;
    whist_batch b = {.rows = x, .target = time, .event = none, .n_rows = 4, .n = 4};
    assert_ok(whist_model_loss_grad(model, work, &beta, &b, &grad, &loss));
    assert_true(grad == 0 && loss == 0);
    /* deaths at 1, 2, 3 are of rows far below the one that lives longest: each costs 3000 - η */
    b.event = all;
    assert_ok(whist_model_loss_grad(model, work, &beta, &b, &grad, &loss));
    assert_true(fabs(loss - (6000 + 2000 + 3000) / 4.0) < 1e-9);
    assert_true(fabs((double)grad - 11000 / 4.0) < 1e-2);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* Steps of both ways from the same start; every bit is the same. */
static void check_step(const sample *s, const whist_step_terms *terms)
{
    static float fused[MAX_P], plain[MAX_P], grad[MAX_P];
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    new_model(&model, s);
    make_rows(&s->r);
    assert_ok(whist_model_work_new(&work, model, ROWS));
    size_t size = whist_model_size(model);
    whist_model_init(model, fused, 3);
    memcpy(plain, fused, sizeof plain);
    for (size_t n = 1; n <= ROWS; n += 3) {
        whist_batch b = {.rows = x_, .target = y_, .event = event_, .n_rows = ROWS, .index = index_, .n = n};
        double loss_fused, loss_plain;
        assert_ok(whist_model_sgd_step(model, work, fused, &b, 0.05, terms, &loss_fused));
        assert_ok(whist_model_loss_grad(model, work, plain, &b, grad, &loss_plain));
        for (size_t i = 0; i < size; i++) {
            float g = grad[i];
            if (terms && terms->mu != 0) g = g + (float)terms->mu * (plain[i] - terms->reference[i]);
            if (terms && terms->correction) g = g + terms->correction[i];
            plain[i] = plain[i] + -0.05f * g;
        }
        assert_true(loss_fused == loss_plain);
        assert_memory_equal(fused, plain, size * sizeof *fused);
    }
}

static void test_steps_have_the_bits_of_gradient_and_axpy(void **state)
{
    (void)state;
    static float anchor[MAX_P], correction[MAX_P];
    for (size_t i = 0; i < MAX_P; i++) anchor[i] = (float)uniform(), correction[i] = (float)(0.01 * uniform());
    whist_step_terms prox = {.mu = 0.1, .reference = anchor}, scaffold = {.correction = correction};
    for (size_t s = 0; s < WH_COUNT(samples); s++) {
        check_step(&samples[s], NULL);
        check_step(&samples[s], &prox);
        check_step(&samples[s], &scaffold);
    }
}

/* A layer that is large enough for OpenBLAS, where there is one: still the same bits. */
static void test_large_steps_have_them_too(void **state)
{
    (void)state;
    enum { D = 64, WIDTH = 1024, N = 512 };
    const whist_model_shape shape = {D, WIDTH, WHIST_TARGET_CLASS};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    assert_ok(whist_model_new(&model, "softmax", NULL, &shape));
    assert_ok(whist_model_work_new(&work, model, N));
    static float fused[(D + 1) * WIDTH], plain[(D + 1) * WIDTH], grad[(D + 1) * WIDTH], x[N * D], y[N];
    for (size_t i = 0; i < N * D; i++) x[i] = (float)uniform();
    for (size_t i = 0; i < N; i++) y[i] = (float)i;
    whist_model_init(model, fused, 3);
    memcpy(plain, fused, sizeof plain);
    whist_batch b = {.rows = x, .target = y, .n_rows = N, .n = N};
    assert_ok(whist_model_sgd_step(model, work, fused, &b, 0.05, NULL, NULL));
    assert_ok(whist_model_loss_grad(model, work, plain, &b, grad, NULL));
    for (size_t i = 0; i < WH_COUNT(plain); i++) plain[i] = plain[i] + -0.05f * grad[i];
    assert_memory_equal(fused, plain, sizeof plain);
}

/* Mostly zero rows go another way through the first layer: the same bits again, in the steps and in what a
 * larger batch, which does not look for zeros, predicts. */
static void test_sparse_steps_have_them_too(void **state)
{
    (void)state;
    enum { D = 120, N = 60 };
    const sample s = {"mlp", "hidden=[30]", {{D, 30, 4}, 2, 0, true, false, 0, WHIST_TARGET_CLASS}};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) small = NULL;
    WH_AUTO(whist_model_work_ptr) large = NULL;
    new_model(&model, &s);
    assert_ok(whist_model_work_new(&small, model, 10));
    assert_ok(whist_model_work_new(&large, model, N));
    static float fused[MAX_P], plain[MAX_P], grad[MAX_P], x[N * D], y[N], a[N * 4], b[N * 4];
    for (size_t i = 0; i < N * D; i++) x[i] = i % D % 4 == 2 || i % 97 == 0 ? (float)uniform() : 0.0f;
    for (size_t i = 0; i < N; i++) y[i] = (float)(i % 4);
    whist_model_init(model, fused, 3);
    memcpy(plain, fused, sizeof plain);
    for (size_t at = 0; at < N; at += 10) {
        whist_batch batch = {.rows = x + at * D, .target = y + at, .n_rows = 10, .index = index_, .n = 10};
        for (uint32_t i = 0; i < 10; i++) index_[i] = 9 - i;
        assert_ok(whist_model_sgd_step(model, small, fused, &batch, 0.05, NULL, NULL));
        assert_ok(whist_model_loss_grad(model, small, plain, &batch, grad, NULL));
        for (size_t i = 0; i < whist_model_size(model); i++) plain[i] = plain[i] + -0.05f * grad[i];
    }
    assert_memory_equal(fused, plain, sizeof plain);
    assert_ok(whist_model_predict(model, small, fused, x, N, a));
    assert_ok(whist_model_predict(model, large, fused, x, N, b));
    assert_memory_equal(a, b, sizeof a);
}

/* Few outputs of many rows: the step in groups has the bits of gradient and axpy, here too. What it predicts does not
 * depend on the batch. */
static void test_narrow_steps_have_them_too(void **state)
{
    (void)state;
    enum { D = 101, K = 10, N = 75 };
    static float fused[(D + 1) * K], plain[(D + 1) * K], grad[(D + 1) * K], x[N * D], y[N], a[N * K], b[N * K];
    uint32_t index[N];
    const whist_model_shape shape = {D, K, WHIST_TARGET_CLASS};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(whist_model_work_ptr) small = NULL;
    assert_ok(whist_model_new(&model, "softmax", NULL, &shape));
    assert_ok(whist_model_work_new(&work, model, N));
    assert_ok(whist_model_work_new(&small, model, 7));
    for (size_t i = 0; i < N * D; i++) x[i] = (float)uniform();
    for (size_t i = 0; i < N; i++) y[i] = (float)(i % K), index[i] = (uint32_t)(i * 31 % N);
    whist_model_init(model, fused, 3);
    memcpy(plain, fused, sizeof plain);
    for (size_t n = 33; n <= N; n += 14) {
        whist_batch batch = {.rows = x, .target = y, .n_rows = N, .index = index, .n = n};
        double loss_fused, loss_plain;
        assert_ok(whist_model_sgd_step(model, work, fused, &batch, 0.05, NULL, &loss_fused));
        assert_ok(whist_model_loss_grad(model, work, plain, &batch, grad, &loss_plain));
        for (size_t i = 0; i < WH_COUNT(plain); i++) plain[i] = plain[i] + -0.05f * grad[i];
        assert_true(loss_fused == loss_plain);
        assert_memory_equal(fused, plain, sizeof plain);
    }
    assert_ok(whist_model_predict(model, work, fused, x, N, a));
    assert_ok(whist_model_predict(model, small, fused, x, N, b));
    assert_memory_equal(a, b, sizeof a);
}

/* ---- Threads ------------------------------------------------------------------------------------------- */

static void check_threads(const char *class_name, const char *settings_text, whist_model_shape shape, size_t n)
{
    enum { MAX = 300, FEATURES = 90, SIZE = 20000 };
    static float x[MAX * FEATURES], y[MAX], weight[MAX], params[SIZE], one[SIZE], many[SIZE], out[2][MAX * 3];
    static uint32_t index[MAX];
    WH_AUTO(whist_settings_ptr) settings = test_settings(whist_model_class_find(class_name)->options, settings_text);
    WH_AUTO(whist_model_ptr) model = NULL;
    assert_true(n <= MAX && shape.n_features <= FEATURES);
    assert_ok(whist_model_new(&model, class_name, settings, &shape));
    for (size_t i = 0; i < n * shape.n_features; i++) x[i] = (float)uniform();
    for (size_t i = 0; i < n; i++) {
        y[i] = shape.target == WHIST_TARGET_CLASS ? (float)(i % 3) : (float)(i % 2);
        weight[i] = (float)(1 + uniform());
        index[i] = (uint32_t)((i * 7 + 3) % n);
    }
    assert_true(whist_model_size(model) <= SIZE);
    whist_model_init(model, params, 5);
    for (int picks = 0; picks < 2; picks++) {
        whist_batch batch = {.rows = x, .target = y, .n_rows = n, .n = n};
        if (picks) batch.index = index, batch.weight = weight;
        double losses[2];
        for (unsigned threads = 1; threads <= 3; threads++) {
            WH_AUTO(wh_pool_ptr) pool = NULL;
            WH_AUTO(whist_model_work_ptr) work = NULL;
            assert_ok(wh_pool_new(&pool, threads));
            assert_ok(whist_model_work_new(&work, model, n));
            wh_model_work_pool(work, pool);
            float *grad = threads == 1 ? one : many;
            int which = threads > 1;
            assert_ok(whist_model_loss_grad(model, work, params, &batch, grad, &losses[which]));
            assert_ok(whist_model_predict_batch(model, work, params, &batch, out[which]));
            assert_int_equal(work->spread != NULL, threads > 1);
            if (threads == 1) continue;
            assert_memory_equal(one, many, whist_model_size(model) * sizeof(float));
            assert_memory_equal(&losses[0], &losses[1], sizeof(double));
            assert_memory_equal(out[0], out[1], n * shape.n_outputs * sizeof(float));
        }
    }
}

static void test_threads_change_no_bit(void **state)
{
    (void)state;
    const whist_model_shape classes = {90, 3, WHIST_TARGET_CLASS}, binary = {70, 1, WHIST_TARGET_BINARY};
    check_threads("softmax", "l2=0.1", classes, 300);
    check_threads("mlp", "hidden=[33, 17];activation=tanh;l2=0.1", classes, 128);
    check_threads("mlp", "hidden=[200]", classes, 191);
    check_threads("mlp", "hidden=[20]", binary, 257);
    check_threads("logistic", "", binary, 200);
    check_threads("linear", "", (whist_model_shape){5, 1, WHIST_TARGET_VALUE}, 129);
}

/* The n-th request for memory fails: a clean error, and success once there are enough. */
static void test_lack_of_memory_is_an_error(void **state)
{
    (void)state;
    const whist_model_shape shape = {4, 1, WHIST_TARGET_SURVIVAL};
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        whist_model *model = NULL;
        whist_model_work *work = NULL;
        wh_alloc_fail_after(n);
        whist_status status = whist_model_new(&model, "cox", NULL, &shape);
        if (status == WHIST_OK) status = whist_model_work_new(&work, model, 8);
        wh_alloc_fail_after(0);
        done = status == WHIST_OK;
        assert_true(done || status == WHIST_E_NOMEM);
        assert_true(done == (work != NULL));
        whist_model_work_free(work);
        whist_model_free(model);
    }
}

static void test_mlp_learns_xor(void **state)
{
    (void)state;
    const sample s = {"mlp", "hidden=[8];activation=tanh", {{2, 8, 1}, 2, 1, true, false, 0, WHIST_TARGET_BINARY}};
    const float x[] = {0, 0, 0, 1, 1, 0, 1, 1}, y[] = {0, 1, 1, 0};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) work = NULL;
    new_model(&model, &s);
    assert_ok(whist_model_work_new(&work, model, 4));
    float params[64], grad[64], p[4];
    whist_model_init(model, params, 1);
    whist_batch b = {.rows = x, .target = y, .n_rows = 4, .n = 4};
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_AUTO(wh_optimizer_ptr) adam = NULL;
    assert_ok(whist_settings_new(&settings, wh_optimizer_find("adam")->options));
    assert_ok(wh_optimizer_new(&adam, wh_optimizer_find("adam"), settings, whist_model_size(model)));
    for (int t = 0; t < 800; t++) {
        assert_ok(whist_model_loss_grad(model, work, params, &b, grad, NULL));
        wh_optimizer_step(adam, params, grad, 0.02, NULL);
    }
    assert_ok(whist_model_predict(model, work, params, x, 4, p));
    for (int i = 0; i < 4; i++) assert_true(fabsf(p[i] - y[i]) < 0.1f);
}

/* ---- Layout and refusals -------------------------------------------------------------------- */

static void test_tensors_cover_the_parameters(void **state)
{
    (void)state;
    const sample s = {"mlp", "hidden=[200, 200]", {{784, 200, 200, 10}, 3, 0, true, false, 0, WHIST_TARGET_CLASS}};
    WH_AUTO(whist_model_ptr) model = NULL;
    new_model(&model, &s);
    assert_int_equal(whist_model_size(model), 199210);
    size_t n, at = 0;
    const whist_tensor_info *t = whist_model_tensors(model, &n);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(t[i].offset, at);
        at += t[i].size;
    }
    assert_int_equal(at, 199210);
    assert_string_equal(t[4].name, "layer2.weight");
    assert_string_equal(whist_model_class_name(model), "mlp");
    assert_int_equal(whist_model_shape_get(model).n_outputs, 10);
    assert_non_null(whist_model_kernels());
}

static void test_start_values(void **state)
{
    (void)state;
    whist_model_shape shape = {13, 1, WHIST_TARGET_BINARY};
    WH_AUTO(whist_model_ptr) model = NULL;
    assert_ok(whist_model_new(&model, "logistic", NULL, &shape));
    float a[14], b[14], c[14];
    whist_model_init(model, a, 42);
    whist_model_init(model, b, 42);
    whist_model_init(model, c, 43);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    float bound = (float)(1 / sqrt(13)), least = 1, most = -1;
    for (int seed = 0; seed < 100; seed++) {
        whist_model_init(model, a, (uint64_t)seed);
        for (int i = 0; i < 14; i++) least = fminf(least, a[i]), most = fmaxf(most, a[i]);
    }
    assert_true(least >= -bound && least < -0.98f * bound && most < bound && most > 0.98f * bound);
}

/* Any cut of the parameters holds what the whole holds there, and nothing is left unset. */
static void test_start_in_pieces(void **state)
{
    (void)state;
    whist_model_shape shape = {7, 3, WHIST_TARGET_CLASS};
    WH_AUTO(whist_settings_ptr) settings = NULL;
    assert_ok(whist_settings_new(&settings, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(settings, "hidden", "[5, 4]"));
    static const char *const inits[] = {"uniform", "glorot", "zero"};
    for (size_t k = 0; k < WH_COUNT(inits); k++) {
        WH_AUTO(whist_model_ptr) model = NULL;
        assert_ok(whist_settings_set(settings, "init", inits[k]));
        assert_ok(whist_model_new(&model, "mlp", settings, &shape));
        float whole[79], piece[79];
        size_t n = whist_model_size(model);
        assert_int_equal(n, WH_COUNT(whole));
        whist_model_init(model, whole, 5);
        for (size_t from = 0; from < n; from++)
            for (size_t len = 1; from + len <= n; len++) {
                memset(piece, 0xff, sizeof piece);
                wh_model_init_range(model, piece, from, len, 5);
                assert_memory_equal(piece, whole + from, len * sizeof *piece);
            }
    }
}

static void test_refusals(void **state)
{
    (void)state;
    WH_AUTO(whist_model_ptr) model = NULL;
    whist_model_shape shape = {3, 2, WHIST_TARGET_CLASS};
    assert_int_equal(whist_model_new(&model, "transformer", NULL, &shape), WHIST_E_ARG);
    assert_int_equal(whist_model_new(&model, "logistic", NULL, &shape), WHIST_E_ARG);
    shape.n_outputs = 1;
    assert_int_equal(whist_model_new(&model, "softmax", NULL, &shape), WHIST_E_RANGE);
    shape = (whist_model_shape){1 << 24, 1 << 20, WHIST_TARGET_CLASS};
    assert_int_equal(whist_model_new(&model, "softmax", NULL, &shape), WHIST_E_RANGE);
    shape = (whist_model_shape){0, 2, WHIST_TARGET_CLASS};
    assert_int_equal(whist_model_new(&model, "softmax", NULL, &shape), WHIST_E_RANGE);
    assert_null(model);

    shape = (whist_model_shape){2, 3, WHIST_TARGET_CLASS};
    assert_ok(whist_model_new(&model, "softmax", NULL, &shape));
    WH_AUTO(whist_model_work_ptr) work = NULL;
    assert_ok(whist_model_work_new(&work, model, 2));
    float params[9] = {0}, x[4] = {0}, y[2] = {0, 2}, weight[2] = {1, 1};
    uint32_t index[2] = {0, 1};
    whist_batch b = {.rows = x, .target = y, .weight = weight, .n_rows = 2, .index = index, .n = 2};
    assert_ok(whist_model_sgd_step(model, work, params, &b, 0.1, NULL, NULL));
    float kept[9];
    memcpy(kept, params, sizeof kept);
#define REFUSED(code, change, undo)                                                                                    \
    change;                                                                                                            \
    assert_int_equal(whist_model_sgd_step(model, work, params, &b, 0.1, NULL, NULL), code);                            \
    assert_memory_equal(kept, params, sizeof kept);                                                                    \
    undo
    REFUSED(WHIST_E_ARG, b.n = 3, b.n = 2);
    REFUSED(WHIST_E_ARG, index[1] = 2, index[1] = 1);
    REFUSED(WHIST_E_ARG, b.target = NULL, b.target = y);
    REFUSED(WHIST_E_RANGE, y[1] = 3, y[1] = 0);
    REFUSED(WHIST_E_RANGE, y[1] = 0.5f, y[1] = 0);
    REFUSED(WHIST_E_RANGE, y[0] = NAN, y[0] = 0);
    REFUSED(WHIST_E_RANGE, weight[0] = -1, weight[0] = 1);
    REFUSED(WHIST_E_RANGE, weight[0] = INFINITY, weight[0] = 1);
#undef REFUSED
    whist_step_terms terms = {.mu = 1};
    assert_int_equal(whist_model_sgd_step(model, work, params, &b, 0.1, &terms, NULL), WHIST_E_ARG);
}

static void test_predictions_come_in_any_number(void **state)
{
    (void)state;
    const sample s = {"mlp", "hidden=[20]", {{6, 20, 3}, 2, 0, true, false, 0, WHIST_TARGET_CLASS}};
    WH_AUTO(whist_model_ptr) model = NULL;
    WH_AUTO(whist_model_work_ptr) small = NULL;
    WH_AUTO(whist_model_work_ptr) large = NULL;
    new_model(&model, &s);
    make_rows(&s.r);
    assert_ok(whist_model_work_new(&small, model, 3));
    assert_ok(whist_model_work_new(&large, model, ROWS));
    float params[300], a[ROWS * 3], b[ROWS * 3];
    whist_model_init(model, params, 5);
    assert_ok(whist_model_predict(model, small, params, x_, ROWS, a));
    assert_ok(whist_model_predict(model, large, params, x_, ROWS, b));
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < ROWS; i++) assert_true(fabsf(a[3 * i] + a[3 * i + 1] + a[3 * i + 2] - 1) < 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_the_slopes_of_the_loss),
        cmocka_unit_test(test_cox_is_stable_and_silent_without_events),
        cmocka_unit_test(test_steps_have_the_bits_of_gradient_and_axpy),
        cmocka_unit_test(test_large_steps_have_them_too),
        cmocka_unit_test(test_sparse_steps_have_them_too),
        cmocka_unit_test(test_narrow_steps_have_them_too),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_lack_of_memory_is_an_error),
        cmocka_unit_test(test_mlp_learns_xor),
        cmocka_unit_test(test_tensors_cover_the_parameters),
        cmocka_unit_test(test_start_values),
        cmocka_unit_test(test_start_in_pieces),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_predictions_come_in_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
