/* learn/query.c: private answers.
 *
 *   counts      discrete Laplace, or a Gaussian rounded to whole numbers; a row is in one cell: it moves one by 1
 *   sum         of values clamped and rounded to a public grid; a row moves it by at most the larger bound
 *   mean        noisy sum of x - (low + high)/2 over noisy count, epsilon / 2 each
 *   variance    noisy sums of steps and of their squares, noisy count, epsilon / 3 each: squares of whole steps, so
 *               that no rounded mean enters a sensitivity
 *   quantile    exponential mechanism over evenly spaced public candidates, each value at the next of them (Smith
 *               2011, section 4: utility is distance in rank); the score of c is minus the distance of the rank q n to
 *               [rows below c, rows up to c], in whole numbers: rows that are equal fill one candidate's interval
 *
 * Ranges, sensitivities and grids follow from the question alone. Everything after the noise is post-processing. */
#include "learn/query.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef wh_query_share share;

#define LEAST_DISCRETE 2e-3 /* epsilon of a step */

/* Replacing a row is removing one and adding one. */
static double reach_of(const share *s)
{
    return s->payer->relation == WHIST_DP_REPLACE ? 2 : 1;
}

static share part_of(const share *s, double parts)
{
    const double down = (1 - 0x1p-50) / parts; /* the parts sum to no more than the whole */
    return (share){s->epsilon * down, s->delta * down, s->payer, s->steady};
}

/* Noise is drawn up to 2^40 steps; the step is as coarse as it may be for a good epsilon. */
static whist_status check_noise(double sd, const share *s)
{
    const double most = 0x1p39;
    if (sd <= most && s->epsilon >= 1e-8) return WHIST_OK;
    WH_FAIL(WHIST_E_RANGE,
            "this noise is paid with an epsilon of %.3g, and the answer would be noise alone: its share has to be %.2g "
            "at least (the questions of a run share epsilon, a mean cuts its part in two, a variance in three)",
            s->epsilon, fmax(s->epsilon * (sd / most), 1e-8));
}

/* Of the pmf ~ exp(-a |x|) on whole numbers: below the √2 / a of the continuous one, by half at a = 3. */
static double discrete_laplace_sd(double a)
{
    return sqrt(2 * exp(-a)) / -expm1(-a);
}

/* out <- in + noise for a sensitivity (L1 = L2: a row moves one entry) in steps. *sd: the noise's standard deviation.
 */
static whist_status add_noise(int64_t *out, double *sd, size_t n, double sensitivity, const share *s)
{
    const double reach = reach_of(s), up = 1 + 0x1p-50;
    if (s->delta > 0) {
        double sigma;
        WH_TRY(whist_dp_gaussian_sigma(&sigma, s->epsilon, s->delta));
        *sd = sigma * reach * sensitivity;
        WH_TRY(check_noise(*sd, s));
        return whist_dp_gaussian(out, out, n, sigma * reach * up, sensitivity, s->payer);
    }
    /* below that events of the discrete law are refused, and the rounded one is as good */
    if (sensitivity == 1 && s->epsilon / reach >= LEAST_DISCRETE) {
        *sd = discrete_laplace_sd(s->epsilon / reach);
        return whist_dp_discrete_laplace(out, out, n, s->epsilon / reach, 1, s->payer);
    }
    *sd = M_SQRT2 * reach * sensitivity / s->epsilon;
    WH_TRY(check_noise(*sd, s));
    return whist_dp_laplace(out, out, n, reach / s->epsilon * up, sensitivity, s->payer);
}

whist_status wh_query_new_answer(whist_query_answer *out, size_t n, const char *mechanism)
{
    *out = (whist_query_answer){.n = n, .mechanism = mechanism};
    return WH_NEW(&out->values, n);
}

static void set(whist_query_answer *answer, const char *label, double value, double noise)
{
    whist_query_value *v = &answer->values[0];
    (void)snprintf(v->label, sizeof v->label, "%s", label);
    v->value = value;
    v->noise = noise;
}

/* Counts in steady time. The second charge is an epsilon of 1e-9, so that much is kept for it. */
static whist_status add_steady(int64_t *out, double *sd, double *delta, size_t n, const share *s)
{
    const double a = (s->epsilon - 2e-9) / reach_of(s);
    if (!(a >= 0x1p-8 && a <= 8))
        WH_FAIL(WHIST_E_RANGE, "steady noise takes an epsilon of 1/256 to 8 for each answer, not %g", s->epsilon);
    *sd = discrete_laplace_sd(a);
    WH_TRY(whist_dp_steady_laplace(out, delta, out, n, a, 1, s->payer));
    if (*delta > s->delta / 2)
        WH_FAIL(WHIST_E_RANGE, "steady noise needs a delta of %g for this answer: state at least that", 2 * *delta);
    return WHIST_OK;
}

static const char *noise_name(const share *s, bool whole)
{
    whole = whole && s->epsilon / reach_of(s) >= LEAST_DISCRETE;
    return s->delta > 0 ? "Gaussian, rounded to the grid" : whole ? "discrete Laplace" : "Laplace, rounded to the grid";
}

/* ---- Cells ---------------------------------------------------------------------------------------- */

typedef struct cells {
    const whist_query *query;
    int64_t *count;
    size_t n, columns; /* columns: levels of the second category, or 1 */
} cells;

static void count_row(void *user, const double value[2])
{
    cells *c = user;
    const whist_query *q = c->query;
    double cell = 0;
    if (isnan(value[0]) || isnan(value[1])) return;
    if (q->kind == WH_QUERY_HISTOGRAM)
        cell =
            fmin(fmax(floor((value[0] - q->low) / (q->high - q->low) * (double)q->points), 0), (double)q->points - 1);
    else if (q->kind != WH_QUERY_COUNT)
        cell = value[0] * (double)c->columns + value[1];
    if (q->kind == WH_QUERY_COUNT_LEVEL) cell = value[0] == (double)q->level ? 0 : 1;
    if (cell < (double)c->n) c->count[(size_t)cell]++;
}

static void label_cell(char *out, size_t size, const whist_query *q, const whist_schema *schema, size_t columns,
                       size_t i)
{
    char a[24], b[24];
    const char *first = q->column[0], *second = q->column[1];
    const double width = (q->high - q->low) / (double)(q->points ? q->points : 1);
    if (q->kind == WH_QUERY_COUNT)
        snprintf(out, size, "rows");
    else if (q->kind == WH_QUERY_HISTOGRAM)
        snprintf(out, size, "%s %.6g to %.6g", first, q->low + (double)i * width, q->low + (double)(i + 1) * width);
    else if (q->kind == WH_QUERY_CONTINGENCY)
        snprintf(out, size, "%s=%.40s %s=%.40s", first, wh_query_level_name(a, schema, first, i / columns), second,
                 wh_query_level_name(b, schema, second, i % columns));
    else
        snprintf(out, size, "%s=%.60s", first,
                 wh_query_level_name(a, schema, first, q->kind == WH_QUERY_COUNT_LEVEL ? q->level : i));
}

static whist_status answer_cells(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                 const share *s)
{
    size_t n = q->kind == WH_QUERY_HISTOGRAM ? q->points : 1, columns = 1;
    double sd;
    if (q->kind == WH_QUERY_LEVELS || q->kind == WH_QUERY_CONTINGENCY)
        WH_TRY(wh_query_levels(&n, &rows->schema, q->column[0]));
    if (q->kind == WH_QUERY_CONTINGENCY) WH_TRY(wh_query_levels(&columns, &rows->schema, q->column[1]));
    n *= columns;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof(int64_t)));
    cells c = {q, memory, n, columns};
    WH_TRY(wh_query_each(rows, q, count_row, &c));
    double delta = 0;
    WH_TRY(s->steady ? add_steady(c.count, &sd, &delta, n, s) : add_noise(c.count, &sd, n, 1, s));
    WH_TRY(wh_query_new_answer(out, n, s->steady ? "discrete Laplace in steady time" : noise_name(s, true)));
    out->steady_delta = delta;
    for (size_t i = 0; i < n; i++) {
        whist_query_value *v = &out->values[i];
        label_cell(v->label, sizeof v->label, q, &rows->schema, columns, i);
        v->value = (double)c.count[i];
        v->noise = sd;
    }
    return WHIST_OK;
}

/* ---- Sums ----------------------------------------------------------------------------------------- */

typedef struct sums {
    whist_dp_sum sum;
    double centre;
    int64_t squares;
    whist_status status;
} sums;

static void sum_row(void *user, const double value[2])
{
    sums *s = user;
    if (isnan(value[0]) || s->status != WHIST_OK) return;
    int64_t steps = whist_dp_sum_steps(&s->sum, value[0] - s->centre);
    s->status = whist_dp_sum_add(&s->sum, value[0] - s->centre);
    s->squares += steps * steps;
}

/* The larger bound becomes 2^bits steps or a little more. */
static whist_status collect(sums *out, const whist_query *q, const wh_query_rows *rows, bool centred, int bits)
{
    const double centre = centred ? q->low + (q->high - q->low) / 2 : 0, low = q->low - centre, high = q->high - centre;
    *out = (sums){.centre = centre, .status = WHIST_OK};
    WH_TRY(whist_dp_sum_init(&out->sum, low, high, ilogb(fmax(fabs(low), fabs(high))) - bits));
    WH_TRY(wh_query_each(rows, q, sum_row, out));
    return out->status;
}

static whist_status answer_sum(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows, const share *s)
{
    sums t;
    double sd;
    WH_TRY(collect(&t, q, rows, false, 20));
    WH_TRY(add_noise(&t.sum.total, &sd, 1, (double)whist_dp_sum_reach(&t.sum), s));
    WH_TRY(wh_query_new_answer(out, 1, noise_name(s, false)));
    set(out, "sum", whist_dp_from_grid(t.sum.total, t.sum.grid), ldexp(sd, t.sum.grid));
    return WHIST_OK;
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static whist_status answer_mean(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                const share *s)
{
    sums t;
    double sd, unused;
    const share half = part_of(s, 2);
    WH_TRY(collect(&t, q, rows, true, 20));
    int64_t n = (int64_t)t.sum.n;
    WH_TRY(add_noise(&t.sum.total, &sd, 1, (double)whist_dp_sum_reach(&t.sum), &half));
    WH_TRY(add_noise(&n, &unused, 1, 1, &half));
    const double count = fmax((double)n, 1);
    WH_TRY(wh_query_new_answer(out, 1, noise_name(s, false)));
    set(out, "mean", clamp(t.centre + whist_dp_from_grid(t.sum.total, t.sum.grid) / count, q->low, q->high),
        ldexp(sd, t.sum.grid) / count);
    return WHIST_OK;
}

static whist_status answer_variance(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                    const share *s)
{
    sums t;
    double sd, square_sd, unused;
    const share third = part_of(s, 3);
    WH_TRY(collect(&t, q, rows, true, 14));
    int64_t n = (int64_t)t.sum.n;
    const double reach = (double)whist_dp_sum_reach(&t.sum);
    WH_TRY(add_noise(&t.sum.total, &sd, 1, reach, &third));
    WH_TRY(add_noise(&t.squares, &square_sd, 1, reach * reach, &third));
    WH_TRY(add_noise(&n, &unused, 1, 1, &third));
    const double count = fmax((double)n, 1), mean = (double)t.sum.total / count;
    const double steps = (double)t.squares / count - mean * mean, widest = (q->high - q->low) / 2;
    WH_TRY(wh_query_new_answer(out, 1, noise_name(s, false)));
    set(out, "variance", clamp(ldexp(steps, 2 * t.sum.grid), 0, widest * widest),
        ldexp(square_sd, 2 * t.sum.grid) / count);
    return WHIST_OK;
}

/* ---- Quantile ------------------------------------------------------------------------------------- */

typedef struct ranks {
    const whist_query *query;
    int64_t *score; /* (points): rows at each candidate, then the score */
} ranks;

static double candidate(const whist_query *q, size_t i)
{
    return q->low + (q->high - q->low) * ((double)i / (double)(q->points - 1));
}

/* Each value stands at the candidate next to it, so that rows of one value are at one candidate, wherever it lies. */
static void rank_row(void *user, const double value[2])
{
    ranks *r = user;
    const whist_query *q = r->query;
    if (isnan(value[0])) return;
    const double last = (double)(q->points - 1), at = rint((value[0] - q->low) / (q->high - q->low) * last);
    r->score[(size_t)fmin(fmax(at, 0), last)]++;
}

int64_t wh_query_score_ranks(int64_t *score, size_t points, int64_t num, whist_dp_relation relation)
{
    const int64_t whole = WH_QUERY_RANK;
    int64_t n = 0, below = 0;
    for (size_t i = 0; i < points; i++) n += score[i];
    for (size_t i = 0; i < points; i++) {
        const int64_t up_to = below + score[i], above = whole * below - num * n, short_of = num * n - whole * up_to;
        score[i] = above > 0 ? -above : short_of > 0 ? -short_of : 0;
        below = up_to;
    }
    return relation == WHIST_DP_REPLACE ? whole : num > whole - num ? num : whole - num;
}

static whist_status answer_quantile(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                    const share *s)
{
    const int64_t num = (int64_t)rint(q->q * WH_QUERY_RANK); /* q to six places */
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, q->points, sizeof(int64_t)));
    ranks r = {.query = q, .score = memory};
    WH_TRY(wh_query_each(rows, q, rank_row, &r));
    const int64_t moves = wh_query_score_ranks(r.score, q->points, num, s->payer->relation);
    size_t chosen;
    WH_TRY(whist_dp_exponential(&chosen, r.score, q->points, (uint64_t)moves, s->epsilon, s->payer));
    WH_TRY(wh_query_new_answer(out, 1, "exponential mechanism"));
    set(out, "quantile", candidate(q, chosen), 0);
    (void)snprintf(out->values[0].label, sizeof out->values[0].label, "quantile %g", q->q);
    return WHIST_OK;
}

/* ---- All ------------------------------------------------------------------------------------------ */

static whist_status answer(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows, const share *s)
{
    switch (q->kind) {
    case WH_QUERY_SUM: return answer_sum(out, q, rows, s);
    case WH_QUERY_MEAN: return answer_mean(out, q, rows, s);
    case WH_QUERY_VARIANCE: return answer_variance(out, q, rows, s);
    case WH_QUERY_QUANTILE: return answer_quantile(out, q, rows, s);
    case WH_QUERY_MODE:
    case WH_QUERY_ABOVE: return wh_query_answer_choice(out, q, rows, s);
    case WH_QUERY_RESPONSE:
    case WH_QUERY_UNARY: return wh_query_answer_local(out, q, rows, s);
    default: return answer_cells(out, q, rows, s);
    }
}

static whist_status check_terms(const whist_query_terms *t)
{
    if (!(t->epsilon > 0 && t->epsilon <= 100))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 100", t->epsilon);
    if (!(t->delta >= 0 && t->delta < 1)) WH_FAIL(WHIST_E_ARG, "delta is %g: it must lie between 0 and 1", t->delta);
    if (t->delta > 0 && t->public_n == 0)
        WH_FAIL(WHIST_E_ARG, "a delta needs a public bound on the number of rows, to be below its inverse: state one");
    if (t->delta > 0 && !(t->delta * (double)t->public_n < 1))
        WH_FAIL(WHIST_E_ARG,
                "delta is %g and there may be %llu rows: a delta of 1/n lets one row be published outright; "
                "take one far below %.3g",
                t->delta, (unsigned long long)t->public_n, 1 / (double)t->public_n);
    if (t->payer.relation == WHIST_DP_ZERO_OUT || t->payer.unit != WHIST_DP_RECORD)
        WH_FAIL(WHIST_E_UNSUPPORTED, "queries are private for records added or removed, or replaced");
    return WHIST_OK;
}

static whist_status check_steady(const whist_query_terms *t, whist_query *const *queries, size_t n)
{
    if (!t->steady) return WHIST_OK;
    if (t->delta == 0) WH_FAIL(WHIST_E_ARG, "steady noise is off its law by a little: it needs a delta above 0");
    for (size_t i = 0; i < n; i++)
        if ((queries[i]->kind >= WH_QUERY_SUM && queries[i]->kind <= WH_QUERY_QUANTILE) ||
            queries[i]->kind >= WH_QUERY_MODE)
            WH_FAIL(WHIST_E_UNSUPPORTED, "only counts, histograms and contingency tables have steady noise");
    return WHIST_OK;
}

whist_status whist_query_run(whist_query_answer *out, whist_query *const *queries, size_t n, const whist_schema *schema,
                             const whist_data_source *sources, size_t n_sources, const whist_query_terms *terms)
{
    WH_ENSURE(out && queries && n >= 1 && n <= 1 << 16 && schema && sources && n_sources >= 1 && terms, WHIST_E_ARG);
    WH_ENSURE(terms->payer.charge, WHIST_E_ARG);
    WH_TRY(check_terms(terms));
    WH_TRY(check_steady(terms, queries, n));
    WH_AUTO(wh_query_rows) rows = {.part = NULL};
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof *out));
    WH_TRY(wh_query_rows_open(&rows, queries, n, schema, sources, n_sources));
    whist_query_answer *answers = memory;
    const share all = {terms->epsilon, terms->delta, &terms->payer, terms->steady}, each = part_of(&all, (double)n);
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n && status == WHIST_OK; i++) status = answer(&answers[i], queries[i], &rows, &each);
    for (size_t i = 0; i < n && status != WHIST_OK; i++) whist_query_answer_clear(&answers[i]);
    if (status == WHIST_OK) memcpy(out, answers, n * sizeof *out);
    return status;
}

void whist_query_answer_clear(whist_query_answer *answer)
{
    wh_free(answer->values);
    *answer = (whist_query_answer){.n = 0};
}
