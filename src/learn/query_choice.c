/* learn/query_choice.c: answers that are no noised numbers.
 *
 *   mode        one level, chosen by its count: permute-and-flip, noisy maximum or exponential mechanism
 *   above       for one level after the other, whether its count is above a threshold: sparse vector
 *   response    each row's level told by randomised response, and how often each was told, unbiased
 *   unary       the same by unary encoding
 *
 * A count moves by at most 1, whether a row comes, goes or is replaced by another one.
 *
 * The local ones promise a row what it would have if whoever it is about had answered himself: nobody needs to be
 * trusted with the table, at the price of noise that grows with the root of the number of rows. Their answers add up to
 * the number of rows, which is the same for tables that differ by a replaced row, and for no others: so they are for
 * that relation. A row without a value answers, too, as one more level; so nobody learns by a row's absence. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "learn/query.h"

enum { MAX_BITS = 1 << 28 };

/* ---- Counts of a category ---- */

typedef struct counts {
    int64_t *of;
    size_t n;
} counts;

static void count_level(void *user, const double value[2])
{
    counts *c = user;
    if (!isnan(value[0]) && value[0] < (double)c->n) c->of[(size_t)value[0]]++;
}

static whist_status count_levels(counts *out, const whist_query *q, const wh_query_rows *rows)
{
    WH_TRY(wh_query_levels(&out->n, &rows->schema, q->column[0]));
    WH_TRY(wh_alloc((void **)&out->of, out->n, sizeof *out->of));
    return wh_query_each(rows, q, count_level, out);
}

static void label_level(whist_query_value *v, const whist_query *q, const wh_query_rows *rows, size_t l)
{
    char buffer[24];
    (void)snprintf(v->label, sizeof v->label, "%s=%.60s", q->column[0],
                   wh_query_level_name(buffer, &rows->schema, q->column[0], l));
}

/* ---- Choices ---- */

static whist_status mode_of(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows, const counts *c,
                            const wh_query_share *s)
{
    static const struct {
        const char *name;
        whist_status (*choose)(size_t *, const int64_t *, size_t, uint64_t, double, const whist_dp_payer *);
    } how[] = {{"permute and flip", whist_dp_permute_and_flip},
               {"noisy maximum", whist_dp_noisy_max},
               {"exponential mechanism", whist_dp_exponential}};
    size_t chosen;
    WH_TRY(how[q->level].choose(&chosen, c->of, c->n, 1, s->epsilon, s->payer));
    WH_TRY(wh_query_new_answer(out, 1, how[q->level].name));
    label_level(&out->values[0], q, rows, chosen);
    out->values[0].value = (double)chosen;
    return WHIST_OK;
}

/* Levels behind the last "yes" that was paid for are not asked, and not told. */
static whist_status above_of(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows, const counts *c,
                             const wh_query_share *s)
{
    whist_dp_sparse *sparse;
    size_t yes = 0;
    WH_TRY(wh_query_new_answer(out, c->n, "above threshold"));
    WH_TRY(whist_dp_sparse_new(&sparse, (int64_t)q->low, (uint32_t)q->points, 1, s->epsilon, s->payer));
    whist_status status = WHIST_OK;
    out->n = 0;
    for (size_t l = 0; l < c->n && yes < q->points && status == WHIST_OK; l++) {
        bool above;
        status = whist_dp_sparse_ask(sparse, &above, c->of[l]);
        if (status != WHIST_OK) break;
        label_level(&out->values[l], q, rows, l);
        out->values[l].value = above;
        yes += above;
        out->n++;
    }
    whist_dp_sparse_free(sparse);
    return status;
}

whist_status wh_query_answer_choice(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                    const wh_query_share *s)
{
    counts c = {NULL, 0};
    whist_status status = count_levels(&c, q, rows);
    if (status == WHIST_OK)
        status = q->kind == WH_QUERY_MODE ? mode_of(out, q, rows, &c, s) : above_of(out, q, rows, &c, s);
    wh_free(c.of);
    return status;
}

/* ---- Local ---- */

typedef struct told {
    uint32_t *value; /* (n): a level, or `none` */
    size_t n, cap;
    uint32_t none;
    uint64_t *seen; /* (none + 1) */
    double *count;  /* (none + 1) */
    uint8_t *bits;
    double keep, lie; /* with which probability a row is seen at its own level, and at each other one */
} told;

static void told_clear(told *t)
{
    wh_free(t->value);
    wh_free(t->seen);
    wh_free(t->count);
    wh_free(t->bits);
}
WH_AUTO_CLEAR(told, told_clear)

static void note_row(void *user, const double value[2])
{
    told *t = user;
    if (t->n < t->cap) t->value[t->n] = isnan(value[0]) ? t->none : (uint32_t)value[0];
    t->n++;
}

static whist_status check_local(const whist_query *q, const wh_query_rows *rows, const wh_query_share *s)
{
    if (s->payer->relation != WHIST_DP_REPLACE)
        WH_FAIL(WHIST_E_ARG,
                "%s tells of every row and so how many there are: ask it by the relation replace, for which that is no "
                "secret",
                q->kind == WH_QUERY_RESPONSE ? "response" : "unary");
    if (rows->schema.partition != WHIST_PARTITION_FILE && rows->schema.format == WHIST_DATA_CSV)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a row that is replaced may go to another site here, so how many rows a site has "
                                     "is a secret, which local answers tell: ask of whole files");
    return WHIST_OK;
}

static whist_status take_rows(told *t, const whist_query *q, const wh_query_rows *rows)
{
    size_t levels;
    WH_TRY(wh_query_levels(&levels, &rows->schema, q->column[0]));
    t->none = (uint32_t)levels;
    WH_TRY(wh_query_each(rows, q, note_row, t)); /* how many */
    WH_TRY(WH_NEW(&t->value, t->n));
    WH_TRY(WH_NEW(&t->seen, levels + 1));
    WH_TRY(WH_NEW(&t->count, levels + 1));
    t->cap = t->n;
    t->n = 0;
    return wh_query_each(rows, q, note_row, t);
}

/* Of a level's count, which is (seen - n lie) / (keep - lie): at what it was estimated to be, for its rows and the
 * others vary differently. */
static double local_sd(const told *t, uint32_t level)
{
    const double n = (double)t->n, own = fmin(fmax(t->count[level], 0), n);
    return sqrt(own * t->keep * (1 - t->keep) + (n - own) * t->lie * (1 - t->lie)) / (t->keep - t->lie);
}

static whist_status respond(told *t, const wh_query_share *s)
{
    const uint32_t k = t->none + 1;
    double p;
    WH_TRY(whist_dp_response_p(&p, s->epsilon, k));
    if (!(p < 1)) WH_FAIL(WHIST_E_RANGE, "an epsilon of %g for each row tells nothing of it", s->epsilon);
    WH_TRY(whist_dp_response(t->value, t->value, t->n, k, p, s->payer));
    for (size_t i = 0; i < t->n; i++) t->seen[t->value[i]]++;
    whist_dp_response_counts(t->count, t->seen, t->n, k, p);
    t->keep = 1 - p + p / k;
    t->lie = p / k;
    return WHIST_OK;
}

static whist_status encode(told *t, const wh_query_share *s)
{
    const size_t k = (size_t)t->none + 1;
    if (t->n > MAX_BITS / k) WH_FAIL(WHIST_E_RANGE, "more than 2^28 bits to tell: ask response(…)");
    WH_TRY(wh_alloc((void **)&t->bits, t->n * k, 1));
    WH_TRY(whist_dp_unary_encode(t->bits, t->value, t->n, (uint32_t)k, s->epsilon, WHIST_DP_UNARY_OPTIMISED, s->payer));
    for (size_t i = 0; i < t->n * k; i++) t->seen[i % k] += t->bits[i];
    WH_TRY(whist_dp_unary_counts(t->count, t->seen, t->n, (uint32_t)k, s->epsilon, WHIST_DP_UNARY_OPTIMISED));
    t->keep = 0.5;
    t->lie = 1 / (1 + exp(s->epsilon));
    return WHIST_OK;
}

whist_status wh_query_answer_local(whist_query_answer *out, const whist_query *q, const wh_query_rows *rows,
                                   const wh_query_share *s)
{
    WH_AUTO(told) t = {.n = 0};
    const bool unary = q->kind == WH_QUERY_UNARY;
    WH_TRY(check_local(q, rows, s));
    WH_TRY(take_rows(&t, q, rows));
    WH_TRY(unary ? encode(&t, s) : respond(&t, s));
    WH_TRY(wh_query_new_answer(out, (size_t)t.none + 1,
                               unary ? "unary encoding, row by row" : "randomised response, row by row"));
    for (uint32_t l = 0; l <= t.none; l++) {
        whist_query_value *v = &out->values[l];
        if (l < t.none)
            label_level(v, q, rows, l);
        else
            (void)snprintf(v->label, sizeof v->label, "%s without a value", q->column[0]);
        v->value = t.count[l];
        v->noise = local_sd(&t, l);
    }
    return WHIST_OK;
}
