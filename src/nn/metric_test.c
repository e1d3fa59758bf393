/* Tests of nn/metric: each metric against its definition in O(n²), pooling, refusals. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "test.h"
#include "whist/nn.h"

enum { N = 97, K = 4 };
static uint64_t state_ = 3;
static uint32_t below(uint32_t n)
{
    state_ = state_ * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state_ >> 33) % n;
}

static whist_metric_value compute(const char *name, const whist_metric_rows *rows)
{
    whist_metric_value value = {-1, -1, -1};
    assert_ok(whist_metric_compute(&value, name, rows));
    assert_true(value.n == (double)rows->n);
    return value;
}

static void assert_is(whist_metric_value value, double num, double den)
{
    if (!(fabs(value.num - num) <= 1e-9 * (1 + fabs(num)) && value.den == den))
        fail_msg("%.17g / %.17g instead of %.17g / %.17g", value.num, value.den, num, den);
}

/* Scores from few levels, so that there are many ties. */
static void test_binary(void **state)
{
    (void)state;
    float p[N], y[N];
    whist_metric_rows rows = {.prediction = p, .target = y, .n = N, .shape = {1, 1, WHIST_TARGET_BINARY}};
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < N; i++) p[i] = (float)below(20) / 20, y[i] = (float)below(2);
        double right = 0, pairs = 0, ordered = 0, loss = 0, brier = 0, tp = 0, fp = 0, fn = 0;
        for (size_t i = 0; i < N; i++) {
            bool said = p[i] > 0.5f;
            right += said == (y[i] == 1);
            tp += said && y[i] == 1, fp += said && y[i] == 0, fn += !said && y[i] == 1;
            double of_truth = y[i] == 1 ? (double)p[i] : 1 - (double)p[i];
            loss += -log(fmax(of_truth, 1e-15));
            brier += (1 - of_truth) * (1 - of_truth);
            for (size_t j = 0; j < N; j++)
                if (y[i] == 1 && y[j] == 0) pairs++, ordered += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0;
        }
        assert_is(compute("accuracy", &rows), right, N);
        assert_is(compute("auc", &rows), ordered, pairs);
        assert_is(compute("f1", &rows), 2 * tp, 2 * tp + fp + fn);
        assert_is(compute("logloss", &rows), loss, N);
        assert_is(compute("brier", &rows), brier, N);
    }
}

static void test_classes(void **state)
{
    (void)state;
    float p[N * K], y[N];
    whist_metric_rows rows = {.prediction = p, .target = y, .n = N, .shape = {1, K, WHIST_TARGET_CLASS}};
    double right = 0, loss = 0, brier = 0;
    for (size_t i = 0; i < N; i++) {
        float total = 0, part[K];
        for (size_t k = 0; k < K; k++) total += part[k] = (float)(1 + below(50));
        y[i] = (float)below(K);
        size_t best = 0;
        for (size_t k = 0; k < K; k++) {
            p[i * K + k] = part[k] / total;
            if (part[k] > part[best]) best = k;
            double error = (double)p[i * K + k] - (k == (size_t)y[i]);
            brier += error * error;
        }
        right += best == (size_t)y[i];
        loss -= log((double)p[i * K + (size_t)y[i]]);
    }
    assert_is(compute("accuracy", &rows), right, N);
    assert_is(compute("logloss", &rows), loss, N);
    assert_is(compute("brier", &rows), brier, N);
    whist_metric_value value;
    assert_int_equal(whist_metric_compute(&value, "auc", &rows), WHIST_E_UNSUPPORTED);
}

static void test_concordance(void **state)
{
    (void)state;
    float risk[N], time[N], event[N];
    whist_metric_rows rows = {
        .prediction = risk, .target = time, .event = event, .n = N, .shape = {1, 1, WHIST_TARGET_SURVIVAL}};
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < N; i++)
            risk[i] = (float)below(12) - 6, time[i] = (float)below(15), event[i] = (float)below(2);
        double comparable = 0, ordered = 0;
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                bool outlived = time[j] > time[i] || (time[j] == time[i] && event[j] == 0);
                if (event[i] == 0 || i == j || !outlived) continue;
                comparable++;
                ordered += risk[i] > risk[j] ? 1 : risk[i] == risk[j] ? 0.5 : 0;
            }
        assert_is(compute("cindex", &rows), ordered, comparable);
    }
}

static void test_values_pool_exactly(void **state)
{
    (void)state;
    float p[] = {1, 2, -3, 4, 0}, y[] = {0, 2, 1, 8, 0};
    whist_metric_rows rows = {.prediction = p, .target = y, .n = 5, .shape = {1, 1, WHIST_TARGET_VALUE}};
    assert_is(compute("mae", &rows), 9, 5);
    whist_metric_rows first = rows, second = rows;
    first.n = 2;
    second.prediction += 2, second.target += 2, second.n = 3;
    whist_metric_value a = compute("mae", &first), b = compute("mae", &second);
    assert_true(a.num + b.num == 9 && a.den + b.den == 5);
    rows.n = 0;
    assert_is(compute("mae", &rows), 0, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    float p[] = {0.5f, NAN}, y[] = {0, 1};
    whist_metric_rows rows = {.prediction = p, .target = y, .n = 2, .shape = {1, 1, WHIST_TARGET_BINARY}};
    whist_metric_value value;
    assert_int_equal(whist_metric_compute(&value, "auc", &rows), WHIST_E_RANGE);
    p[1] = 0.25f;
    assert_int_equal(whist_metric_compute(&value, "acuracy", &rows), WHIST_E_ARG);
    assert_int_equal(whist_metric_compute(&value, "cindex", &rows), WHIST_E_UNSUPPORTED);
    y[0] = 2;
    assert_int_equal(whist_metric_compute(&value, "f1", &rows), WHIST_E_RANGE);
    assert_non_null(whist_metric_find("brier"));
    assert_null(whist_metric_find("bries"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary),      cmocka_unit_test(test_classes),
        cmocka_unit_test(test_concordance), cmocka_unit_test(test_values_pool_exactly),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
