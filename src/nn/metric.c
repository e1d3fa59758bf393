/* nn/metric.c: metrics as fractions. Pair counts (AUC, C-index) take O(n log n): scores become ranks, and a
 * Fenwick tree (Fenwick 1994) counts ranks. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "whist/nn.h"

#define BIT(target) (1u << WHIST_TARGET_##target)
static const whist_metric metrics[] = {
    {"accuracy", "share of rows with the right class", BIT(BINARY) | BIT(CLASS), true},
    {"auc", "chance that a 1 scores above a 0", BIT(BINARY), true},
    {"f1", "harmonic mean of precision and recall of class 1", BIT(BINARY), true},
    {"logloss", "mean of -ln of the probability of the truth", BIT(BINARY) | BIT(CLASS), false},
    {"brier", "mean squared error of the probabilities", BIT(BINARY) | BIT(CLASS), false},
    {"mae", "mean absolute error", BIT(VALUE), false},
    {"cindex", "share of comparable pairs whose risks are in the order of their events", BIT(SURVIVAL), true},
    {NULL, NULL, 0, false},
};

const whist_metric *whist_metrics(void)
{
    return metrics;
}

const whist_metric *whist_metric_find(const char *name)
{
    for (const whist_metric *m = metrics; name && m->name; m++)
        if (strcmp(m->name, name) == 0) return m;
    return NULL;
}

typedef whist_metric_rows input;

/* ---- One row at a time ---------------------------------------------------------------------- */

static bool is_class(const input *in)
{
    return in->shape.target == WHIST_TARGET_CLASS;
}

/* The probability that row i gives class k; a binary row has two classes. */
static double probability(const input *in, size_t i, size_t k)
{
    if (is_class(in)) return (double)in->prediction[i * in->shape.n_outputs + k];
    double p = (double)in->prediction[i];
    return k == 1 ? p : 1 - p;
}

static size_t predicted_class(const input *in, size_t i)
{
    if (!is_class(in)) return in->prediction[i] > 0.5f;
    size_t best = 0;
    for (size_t k = 1; k < in->shape.n_outputs; k++)
        if (probability(in, i, k) > probability(in, i, best)) best = k;
    return best;
}

static double row_accuracy(const input *in, size_t i)
{
    return predicted_class(in, i) == (size_t)in->target[i];
}

static double row_logloss(const input *in, size_t i)
{
    double p = probability(in, i, (size_t)in->target[i]);
    return -log(fmin(fmax(p, 1e-15), 1 - 1e-15));
}

static double row_brier(const input *in, size_t i)
{
    if (!is_class(in)) {
        double error = (double)in->prediction[i] - (double)in->target[i];
        return error * error;
    }
    double sum = 0;
    for (size_t k = 0; k < in->shape.n_outputs; k++) {
        double error = probability(in, i, k) - (k == (size_t)in->target[i]);
        sum += error * error;
    }
    return sum;
}

static double row_mae(const input *in, size_t i)
{
    return fabs((double)in->prediction[i] - (double)in->target[i]);
}

static whist_status mean_of(whist_metric_value *out, const input *in, double row(const input *, size_t))
{
    double sum = 0;
    for (size_t i = 0; i < in->n; i++) sum += row(in, i);
    *out = (whist_metric_value){.num = sum, .den = (double)in->n, .n = (double)in->n};
    return WHIST_OK;
}

static whist_status f1(whist_metric_value *out, const input *in)
{
    double both = 0, said = 0, is = 0; /* TP, TP + FP, TP + FN */
    for (size_t i = 0; i < in->n; i++) {
        bool p = predicted_class(in, i) == 1, y = in->target[i] == 1;
        both += p && y;
        said += p;
        is += y;
    }
    *out = (whist_metric_value){.num = 2 * both, .den = said + is, .n = (double)in->n};
    return WHIST_OK;
}

/* ---- Pairs ---------------------------------------------------------------------------------- */

typedef struct scored {
    float score, time;
    uint32_t row;
} scored;

static bool score_before(const scored *a, const scored *b)
{
    return a->score < b->score;
}

static bool time_before(const scored *a, const scored *b)
{
    return a->time < b->time;
}

/* Heapsort: in place, O(n log n) for every input. */
static void sift(scored *a, size_t at, size_t n, bool before(const scored *, const scored *))
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&a[child], &a[child + 1])) child++;
        if (!before(&a[at], &a[child])) return;
        scored swap = a[at];
        a[at] = a[child];
        a[child] = swap;
    }
}

static void sort(scored *a, size_t n, bool before(const scored *, const scored *))
{
    for (size_t i = n / 2; i-- > 0;) sift(a, i, n, before);
    for (size_t end = n; end-- > 1;) {
        scored swap = a[0];
        a[0] = a[end];
        a[end] = swap;
        sift(a, 0, end, before);
    }
}

static whist_status scored_rows(wh_owned *memory, const input *in)
{
    if (in->n > UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "%zu rows: metrics on pairs take at most 2^32 - 1", in->n);
    WH_TRY(wh_alloc_raw(memory, in->n, sizeof(scored)));
    scored *a = *memory;
    for (size_t i = 0; i < in->n; i++)
        a[i] = (scored){.score = in->prediction[i], .time = in->target[i], .row = (uint32_t)i};
    return WHIST_OK;
}

/* With scores rising: each 1 is in order with every 0 before it, and half so with a 0 of its own score. */
static whist_status auc(whist_metric_value *out, const input *in)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(scored_rows(&memory, in));
    scored *a = memory;
    sort(a, in->n, score_before);
    double zeros = 0, ones = 0, ordered = 0;
    for (size_t i = 0, end; i < in->n; i = end) {
        double zeros_here = 0, ones_here = 0;
        for (end = i; end < in->n && a[end].score == a[i].score; end++) {
            ones_here += a[end].time == 1;
            zeros_here += a[end].time != 1;
        }
        ordered += ones_here * (zeros + 0.5 * zeros_here);
        zeros += zeros_here;
        ones += ones_here;
    }
    *out = (whist_metric_value){.num = ordered, .den = ones * zeros, .n = (double)in->n};
    return WHIST_OK;
}

/* How many of the ranks added so far are below `rank`. */
static uint32_t tree_below(const uint32_t *tree, uint32_t rank)
{
    uint32_t count = 0;
    for (; rank > 0; rank &= rank - 1) count += tree[rank];
    return count;
}

static void tree_add(uint32_t *tree, size_t n, uint32_t rank)
{
    for (size_t i = (size_t)rank + 1; i <= n; i += i & (~i + 1)) tree[i]++;
}

/* Pairs of row i, which had its event, with all rows in the tree, which outlived it. */
static void count_pairs(whist_metric_value *out, const uint32_t *tree, uint32_t rank, uint32_t n_in_tree)
{
    double below = tree_below(tree, rank), not_above = tree_below(tree, rank + 1);
    out->num += below + 0.5 * (not_above - below);
    out->den += n_in_tree;
}

/* Harrell's: a pair is comparable when the earlier time is an event; at equal times, when one is an
 * event and the other is censored (it outlived it). Times falling; a row enters the tree after those it outlived. */
static void walk_times(whist_metric_value *out, const input *in, const scored *a, const uint32_t *ranks, uint32_t *tree)
{
    uint32_t in_tree = 0;
    for (size_t end = in->n, start; end > 0; end = start) {
        for (start = end; start > 0 && a[start - 1].time == a[end - 1].time;) start--;
        for (size_t i = start; i < end; i++)
            if (in->event[a[i].row] == 0) tree_add(tree, in->n, ranks[a[i].row]), in_tree++;
        for (size_t i = start; i < end; i++)
            if (in->event[a[i].row] != 0) count_pairs(out, tree, ranks[a[i].row], in_tree);
        for (size_t i = start; i < end; i++)
            if (in->event[a[i].row] != 0) tree_add(tree, in->n, ranks[a[i].row]), in_tree++;
    }
}

static whist_status cindex(whist_metric_value *out, const input *in)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_AUTO(wh_owned) rank_memory = NULL;
    WH_AUTO(wh_owned) tree_memory = NULL;
    WH_TRY(scored_rows(&memory, in));
    WH_TRY(wh_alloc(&rank_memory, in->n, sizeof(uint32_t)));
    WH_TRY(wh_alloc(&tree_memory, in->n + 1, sizeof(uint32_t)));
    scored *a = memory;
    uint32_t *ranks = rank_memory;
    sort(a, in->n, score_before);
    for (size_t i = 0; i < in->n; i++) {
        bool tied = i > 0 && a[i].score == a[i - 1].score;
        ranks[a[i].row] = tied ? ranks[a[i - 1].row] : (uint32_t)i;
    }
    sort(a, in->n, time_before);
    whist_metric_value value = {.n = (double)in->n};
    walk_times(&value, in, a, ranks, tree_memory);
    *out = value;
    return WHIST_OK;
}

/* ---- By name -------------------------------------------------------------------------------- */

static whist_status check(const whist_metric *metric, const input *in)
{
    if (!(metric->targets >> in->shape.target & 1))
        WH_FAIL(WHIST_E_UNSUPPORTED, "metric %s (%s) is not defined for this kind of target", metric->name,
                metric->doc);
    const size_t width = in->shape.n_outputs;
    for (size_t i = 0; i < in->n; i++) {
        float y = in->target[i];
        bool good = isfinite(y) && (!is_class(in) || (y >= 0 && y < (float)width && y == floorf(y))) &&
                    (in->shape.target != WHIST_TARGET_BINARY || y == 0 || y == 1);
        if (!good) WH_FAIL(WHIST_E_RANGE, "the target of row %zu is not one that metric %s can read", i, metric->name);
        for (size_t k = 0; k < width; k++)
            if (isnan(in->prediction[i * width + k]))
                WH_FAIL(WHIST_E_RANGE, "the prediction for row %zu is not a number: the model has diverged", i);
    }
    return WHIST_OK;
}

whist_status whist_metric_compute(whist_metric_value *out, const char *name, const whist_metric_rows *rows)
{
    WH_ENSURE(out && name && rows, WHIST_E_ARG);
    WH_ENSURE(rows->n == 0 || (rows->prediction && rows->target), WHIST_E_ARG);
    WH_ENSURE(rows->n == 0 || rows->event || rows->shape.target != WHIST_TARGET_SURVIVAL, WHIST_E_ARG);
    const whist_metric *metric = whist_metric_find(name);
    if (!metric)
        WH_FAIL(WHIST_E_ARG, "no metric is called %.64s: there are accuracy, auc, f1, logloss, brier, mae and cindex",
                name);
    WH_TRY(check(metric, rows));
    if (strcmp(name, "auc") == 0) return auc(out, rows);
    if (strcmp(name, "f1") == 0) return f1(out, rows);
    if (strcmp(name, "cindex") == 0) return cindex(out, rows);
    if (strcmp(name, "accuracy") == 0) return mean_of(out, rows, row_accuracy);
    if (strcmp(name, "logloss") == 0) return mean_of(out, rows, row_logloss);
    if (strcmp(name, "brier") == 0) return mean_of(out, rows, row_brier);
    return mean_of(out, rows, row_mae);
}
