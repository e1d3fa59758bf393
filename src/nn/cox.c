/* nn/cox.c: the Cox negative partial log-likelihood and its gradient in O(n log n).
 *
 * Rows of a stratum are sorted by time. With η_j the score and w_j the weight of row j, R(t) the rows whose
 * time is >= t and D(t) the events at t:
 *
 *   Breslow:  loss = Σ_t [ −Σ_{D(t)} w η + (Σ_{D(t)} w) ln S(t) ],                  S(t) = Σ_{R(t)} w e^η
 *   Efron:    loss = Σ_t [ −Σ_{D(t)} w η + w̄ Σ_{l<d} ln(S(t) − (l/d) E(t)) ],      E(t) = Σ_{D(t)} w e^η,
 *             d = |D(t)|, w̄ = the mean of w over D(t)
 *
 * both divided by the number of events (Breslow 1974; Efron 1977; weights as in R's survival package). The
 * gradient needs A(t) = Σ_{s <= t} (coefficient of s) / S(s), summed with time upward. Nothing overflows: S and A are
 * kept as (log of a scale, sum in that scale), and e^η only meets A, which is at most about 1/e^η. */
#include <math.h>
#include <string.h>

#include "nn/model.h"

/* A positive sum Σ e^(x_i), kept as e^scale * sum. */
typedef struct log_sum {
    double scale, sum;
} log_sum;
#define LOG_SUM_EMPTY                                                                                                  \
    {                                                                                                                  \
        -INFINITY, 0                                                                                                   \
    }

/* Adds factor * e^x. */
static void log_sum_add(log_sum *s, double x, double factor)
{
    if (factor == 0) return;
    if (x > s->scale) {
        s->sum = s->sum * exp(s->scale - x);
        s->scale = x;
    }
    s->sum += factor * exp(x - s->scale);
}

static double log_sum_get(const log_sum *s)
{
    return s->sum > 0 ? s->scale + log(s->sum) : -INFINITY;
}

typedef struct cox {
    const wh_rows *rows;
    const float *scores;
    size_t ld;
    const uint32_t *order;
    double *log_risk; /* at the first row of each run of equal times: ln S */
    bool efron;
    size_t n_events;
} cox;

static double weight_of(const cox *c, size_t row)
{
    return c->rows->weight ? (double)c->rows->weight[row] : 1;
}

static double score_of(const cox *c, size_t row)
{
    return (double)c->scores[row * c->ld];
}

static bool comes_before(const wh_rows *rows, uint32_t a, uint32_t b)
{
    if (rows->strata && rows->strata[a] != rows->strata[b]) return rows->strata[a] < rows->strata[b];
    return rows->y[a] < rows->y[b];
}

/* Bottom-up merge sort: stable and without memory of its own, which qsort is not. Returns the sorted half. */
static const uint32_t *sort(const wh_rows *rows, uint32_t *from, uint32_t *to)
{
    const size_t n = rows->n;
    for (size_t i = 0; i < n; i++) from[i] = (uint32_t)i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = start + width < n ? start + width : n, end = middle + width < n ? middle + width : n;
            for (size_t i = start, j = middle, k = start; k < end; k++) {
                bool right = i == middle || (j < end && comes_before(rows, from[j], from[i]));
                to[k] = from[right ? j++ : i++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static bool same_stratum(const cox *c, size_t i, size_t j)
{
    return !c->rows->strata || c->rows->strata[c->order[i]] == c->rows->strata[c->order[j]];
}

/* The end of the run of equal stratum and time that starts at position i. */
static size_t run_end(const cox *c, size_t i)
{
    size_t j = i + 1;
    while (j < c->rows->n && same_stratum(c, i, j) && c->rows->y[c->order[j]] == c->rows->y[c->order[i]]) j++;
    return j;
}

/* Backwards in time: everybody at or after a time is at risk. */
static void fill_log_risk(cox *c)
{
    log_sum risk = LOG_SUM_EMPTY;
    for (size_t i = c->rows->n; i-- > 0;) {
        if (i + 1 < c->rows->n && !same_stratum(c, i, i + 1)) risk = (log_sum)LOG_SUM_EMPTY;
        uint32_t row = c->order[i];
        log_sum_add(&risk, score_of(c, row), weight_of(c, row));
        c->log_risk[i] = log_sum_get(&risk);
    }
}

/* What one time with events adds. */
typedef struct moment {
    double loss;
    double all;  /* Σ over its terms of the coefficient of e^η w / S for rows at risk */
    double less; /* what rows with an event at this very time have less of it (Efron) */
} moment;

static moment moment_of(const cox *c, size_t start, size_t end)
{
    moment m = {0, 0, 0};
    double weights = 0, share = 0; /* share = E / S */
    size_t deaths = 0;
    for (size_t i = start; i < end; i++) {
        uint32_t row = c->order[i];
        if (c->rows->event[row] == 0) continue;
        double w = weight_of(c, row), eta = score_of(c, row);
        if (w > 0) share += w * exp(eta - c->log_risk[start]);
        weights += w;
        m.loss -= w * eta;
        deaths++;
    }
    if (weights == 0) return (moment){0, 0, 0};
    if (!c->efron || deaths == 1) {
        m.loss += weights * c->log_risk[start];
        m.all = weights;
        return m;
    }
    double mean = weights / (double)deaths;
    for (size_t l = 0; l < deaths; l++) {
        double part = (double)l / (double)deaths, rest = 1 - part * share;
        m.loss += mean * (c->log_risk[start] + log(rest));
        m.all += mean / rest;
        m.less += mean * part / rest;
    }
    return m;
}

static double gradient_of(const cox *c, uint32_t row, const log_sum *hazard, const moment *m, double log_risk)
{
    double w = weight_of(c, row), eta = score_of(c, row), g = 0;
    if (w == 0) return 0;
    if (hazard->sum > 0) g = w * exp(eta + hazard->scale) * hazard->sum;
    if (c->rows->event[row] != 0) {
        if (m->less > 0) g -= w * exp(eta - log_risk) * m->less;
        g -= w;
    }
    return g;
}

void wh_cox_head(const whist_model *model, whist_model_work *work, const wh_rows *rows, const float *scores, size_t ld,
                 float *delta, double *loss)
{
    cox c = {.rows = rows, .scores = scores, .ld = ld, .log_risk = work->log_risk, .efron = model->efron};
    c.order = sort(rows, work->order, work->order_scratch);
    for (size_t i = 0; i < rows->n; i++) c.n_events += rows->event[i] != 0;
    fill_log_risk(&c);

    double sum = 0, scale = c.n_events ? 1 / (double)c.n_events : 0;
    log_sum hazard = LOG_SUM_EMPTY;
    for (size_t start = 0, end; start < rows->n; start = end) {
        end = run_end(&c, start);
        if (start > 0 && !same_stratum(&c, start - 1, start)) hazard = (log_sum)LOG_SUM_EMPTY;
        moment m = moment_of(&c, start, end);
        sum += m.loss;
        log_sum_add(&hazard, -c.log_risk[start], m.all);
        for (size_t i = start; delta && i < end; i++)
            delta[c.order[i] * ld] = (float)(scale * gradient_of(&c, c.order[i], &hazard, &m, c.log_risk[start]));
    }
    if (loss) *loss = sum * scale;
}
