/* learn/query_parse.c: "mean(age, 0, 120)" becomes a question. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "learn/query.h"

enum { MAX_WORDS = 6, WORD = WHIST_NAME_SIZE * 2 };

#define MOST 1e100 /* bounds stay where sums of squares of their steps are finite */

typedef struct words {
    char word[MAX_WORDS][WORD]; /* the name, then what stands in the brackets */
    size_t n;
} words;

static whist_status add_word(words *out, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from)) from++;
    while (to > from && isspace((unsigned char)to[-1])) to--;
    if (out->n == MAX_WORDS || to == from || to - from >= WORD)
        WH_FAIL(WHIST_E_ARG, "the query has an empty or too long word, or too many of them");
    memcpy(out->word[out->n], from, (size_t)(to - from));
    out->word[out->n++][to - from] = 0;
    return WHIST_OK;
}

static whist_status split(words *out, const char *text)
{
    const char *open = strchr(text, '('), *end = text + strlen(text);
    *out = (words){.n = 0};
    while (end > text && isspace((unsigned char)end[-1])) end--;
    if (!open) return add_word(out, text, end);
    if (end[-1] != ')') WH_FAIL(WHIST_E_ARG, "the query '%.80s' does not end with ')'", text);
    WH_TRY(add_word(out, text, open));
    for (const char *at = open + 1; at < end; at++) {
        const char *stop = at;
        while (stop < end - 1 && *stop != ',') stop++;
        WH_TRY(add_word(out, at, stop));
        at = stop;
    }
    return WHIST_OK;
}

static const whist_column *find_column(const whist_schema *schema, const char *name)
{
    for (size_t c = 0; c < schema->n_columns; c++)
        if (strcmp(schema->columns[c].name, name) == 0) return &schema->columns[c];
    return NULL;
}

whist_status wh_query_levels(size_t *out, const whist_schema *schema, const char *name)
{
    const whist_column *column = find_column(schema, name);
    if (!column) WH_FAIL(WHIST_E_ARG, "the study's schema has no column '%s'", name);
    bool classes = schema->task == WHIST_TASK_BINARY || schema->task == WHIST_TASK_CLASSES;
    if (column->type == WHIST_COLUMN_REAL || (column->type == WHIST_COLUMN_TARGET && !classes))
        *out = 0;
    else if (column->type == WHIST_COLUMN_CATEGORY)
        *out = column->n_levels;
    else if (column->type == WHIST_COLUMN_TARGET)
        *out = schema->task == WHIST_TASK_BINARY ? 2 : schema->n_classes;
    else
        WH_FAIL(WHIST_E_ARG, "column '%s' is ignored, or names a row or a site: there is nothing to ask of it", name);
    return WHIST_OK;
}

const char *wh_query_level_name(char buffer[24], const whist_schema *schema, const char *name, size_t l)
{
    const whist_column *column = find_column(schema, name);
    if (column && l < column->n_levels) return column->levels[l];
    snprintf(buffer, 24, "%zu", l);
    return buffer;
}

/* ---- Words ---------------------------------------------------------------------------------------- */

static whist_status number(double *out, const char *word, const char *what)
{
    char *end;
    double x = strtod(word, &end);
    if (*end || !isfinite(x)) WH_FAIL(WHIST_E_ARG, "%s is '%s': a finite number belongs there", what, word);
    *out = x;
    return WHIST_OK;
}

static whist_status whole(size_t *out, const char *word, const char *what, double least, double most)
{
    double x;
    WH_TRY(number(&x, word, what));
    if (!(x >= least && x <= most && x == floor(x)))
        WH_FAIL(WHIST_E_ARG, "%s is %s: allowed are whole numbers from %g to %g", what, word, least, most);
    *out = (size_t)x;
    return WHIST_OK;
}

static whist_status take_column(whist_query *q, int i, const words *w, size_t at, const whist_schema *schema,
                                bool category)
{
    size_t levels;
    if (at >= w->n || strlen(w->word[at]) >= WHIST_NAME_SIZE) WH_FAIL(WHIST_E_ARG, "%s names no column", w->word[0]);
    WH_TRY(wh_query_levels(&levels, schema, w->word[at]));
    if (category && levels == 0)
        WH_FAIL(WHIST_E_ARG,
                "column '%s' has no list of levels: declare it as a category in the study, or ask "
                "histogram(%s, LOW, HIGH, BINS)",
                w->word[at], w->word[at]);
    if (!category && levels > 0)
        WH_FAIL(WHIST_E_ARG, "column '%s' is no number: ask histogram(%s)", w->word[at], w->word[at]);
    memcpy(q->column[i], w->word[at], strlen(w->word[at]) + 1);
    return WHIST_OK;
}

/* LOW, HIGH at place `at`; there are `more` words behind them at most. */
static whist_status take_bounds(whist_query *q, const words *w, size_t at, size_t more)
{
    if (w->n < at + 2)
        WH_FAIL(WHIST_E_ARG,
                "%s(%s) has no bounds: name LOW and HIGH that are known without the data (of age 0 and 120, say), "
                "never the data's own",
                w->word[0], w->word[1]);
    if (w->n > at + 2 + more) WH_FAIL(WHIST_E_ARG, "%s has too many words", w->word[0]);
    WH_TRY(number(&q->low, w->word[at], "LOW"));
    WH_TRY(number(&q->high, w->word[at + 1], "HIGH"));
    if (!(q->low < q->high)) WH_FAIL(WHIST_E_ARG, "bounds %g and %g: the lower one comes first", q->low, q->high);
    if (fmax(fabs(q->low), fabs(q->high)) > MOST || q->high - q->low < 1 / MOST)
        WH_FAIL(WHIST_E_ARG, "bounds %g and %g: allowed are numbers from -%g to %g, at least %g apart", q->low, q->high,
                MOST, MOST, 1 / MOST);
    return WHIST_OK;
}

/* Bounds that the column itself has stand at place `at` where the question names none. */
static void fill_bounds(words *w, size_t at, const whist_schema *schema)
{
    const whist_column *column = w->n > 1 ? find_column(schema, w->word[1]) : NULL;
    if (!column || !column->has_bounds || w->n < at || w->n + 2 > MAX_WORDS) return;
    memmove(w->word[at + 2], w->word[at], (w->n - at) * sizeof *w->word);
    (void)snprintf(w->word[at], sizeof w->word[at], "%.17g", column->low);
    (void)snprintf(w->word[at + 1], sizeof w->word[at + 1], "%.17g", column->high);
    w->n += 2;
}

static whist_status take_level(whist_query *q, words *w, const whist_schema *schema)
{
    char *equals = strchr(w->word[1], '='), buffer[24];
    size_t levels;
    if (!equals) WH_FAIL(WHIST_E_ARG, "count takes COLUMN=LEVEL");
    *equals = 0;
    q->kind = WH_QUERY_COUNT_LEVEL;
    WH_TRY(take_column(q, 0, w, 1, schema, true));
    WH_TRY(wh_query_levels(&levels, schema, q->column[0]));
    for (q->level = 0; q->level < levels; q->level++)
        if (strcmp(wh_query_level_name(buffer, schema, q->column[0], q->level), equals + 1) == 0) return WHIST_OK;
    WH_FAIL(WHIST_E_ARG, "column '%s' has no level '%s' in the study", q->column[0], equals + 1);
}

static whist_status parse_histogram(whist_query *q, words *w, const whist_schema *schema)
{
    if (w->n == 3) fill_bounds(w, 2, schema);
    if (w->n == 2) {
        q->kind = WH_QUERY_LEVELS;
        return take_column(q, 0, w, 1, schema, true);
    }
    q->kind = WH_QUERY_HISTOGRAM;
    WH_TRY(take_column(q, 0, w, 1, schema, false));
    WH_TRY(take_bounds(q, w, 2, 1));
    if (w->n != 5) WH_FAIL(WHIST_E_ARG, "histogram of a number takes COLUMN, LOW, HIGH, BINS");
    return whole(&q->points, w->word[4], "BINS", 1, WH_QUERY_CELLS);
}

static whist_status parse_quantile(whist_query *q, words *w, const whist_schema *schema)
{
    if (w->n == 3 || w->n == 4) fill_bounds(w, 3, schema);
    q->kind = WH_QUERY_QUANTILE;
    q->points = 1000;
    WH_TRY(take_column(q, 0, w, 1, schema, false));
    if (w->n < 3) WH_FAIL(WHIST_E_ARG, "quantile takes COLUMN, Q, LOW, HIGH");
    WH_TRY(number(&q->q, w->word[2], "Q"));
    if (!(q->q >= 0 && q->q <= 1)) WH_FAIL(WHIST_E_ARG, "Q is %g: a quantile lies between 0 and 1", q->q);
    WH_TRY(take_bounds(q, w, 3, 1));
    return w->n == 6 ? whole(&q->points, w->word[5], "POINTS", 2, WH_QUERY_POINTS) : WHIST_OK;
}

static whist_status parse_contingency(whist_query *q, const words *w, const whist_schema *schema)
{
    q->kind = WH_QUERY_CONTINGENCY;
    if (w->n != 3) WH_FAIL(WHIST_E_ARG, "contingency takes two categories");
    WH_TRY(take_column(q, 0, w, 1, schema, true));
    WH_TRY(take_column(q, 1, w, 2, schema, true));
    size_t a, b;
    WH_TRY(wh_query_levels(&a, schema, q->column[0]));
    WH_TRY(wh_query_levels(&b, schema, q->column[1]));
    if (a * b > WH_QUERY_CELLS) WH_FAIL(WHIST_E_ARG, "a table of more than 2^20 cells");
    return WHIST_OK;
}

static whist_status parse_mode(whist_query *q, const words *w, const whist_schema *schema)
{
    static const char *const how[] = {"permute_and_flip", "noisy_max", "exponential"};
    q->kind = WH_QUERY_MODE;
    if (w->n > 3) WH_FAIL(WHIST_E_ARG, "mode takes a category and a mechanism");
    WH_TRY(take_column(q, 0, w, 1, schema, true));
    if (w->n < 3) return WHIST_OK;
    for (q->level = 0; q->level < WH_COUNT(how); q->level++)
        if (strcmp(w->word[2], how[q->level]) == 0) return WHIST_OK;
    WH_FAIL(WHIST_E_ARG, "mode(%s, …) goes by permute_and_flip, noisy_max or exponential, not by '%s'", w->word[1],
            w->word[2]);
}

static whist_status parse_above(whist_query *q, const words *w, const whist_schema *schema)
{
    size_t threshold;
    q->kind = WH_QUERY_ABOVE;
    q->points = 1;
    if (w->n < 3 || w->n > 4) WH_FAIL(WHIST_E_ARG, "above takes CATEGORY, THRESHOLD and how often it may say yes");
    WH_TRY(take_column(q, 0, w, 1, schema, true));
    WH_TRY(whole(&threshold, w->word[2], "THRESHOLD", 0, 0x1p40));
    q->low = (double)threshold;
    return w->n == 4 ? whole(&q->points, w->word[3], "TIMES", 1, WH_QUERY_CELLS) : WHIST_OK;
}

static whist_status parse_local(whist_query *q, const words *w, const whist_schema *schema)
{
    q->kind = strcmp(w->word[0], "unary") == 0 ? WH_QUERY_UNARY : WH_QUERY_RESPONSE;
    if (w->n != 2) WH_FAIL(WHIST_E_ARG, "%s takes one category", w->word[0]);
    return take_column(q, 0, w, 1, schema, true);
}

static whist_status parse(whist_query *q, words *w, const whist_schema *schema)
{
    static const struct {
        const char *name;
        wh_query_kind kind;
    } simple[] = {{"sum", WH_QUERY_SUM}, {"mean", WH_QUERY_MEAN}, {"variance", WH_QUERY_VARIANCE}};
    const char *name = w->word[0];
    for (size_t i = 0; i < WH_COUNT(simple); i++) {
        if (strcmp(name, simple[i].name) != 0) continue;
        q->kind = simple[i].kind;
        if (w->n == 2) fill_bounds(w, 2, schema);
        WH_TRY(take_column(q, 0, w, 1, schema, false));
        return take_bounds(q, w, 2, 0);
    }
    if (strcmp(name, "count") == 0 && w->n == 1) return WHIST_OK;
    if (strcmp(name, "count") == 0 && w->n == 2) return take_level(q, w, schema);
    if (strcmp(name, "histogram") == 0) return parse_histogram(q, w, schema);
    if (strcmp(name, "quantile") == 0) return parse_quantile(q, w, schema);
    if (strcmp(name, "contingency") == 0) return parse_contingency(q, w, schema);
    if (strcmp(name, "mode") == 0) return parse_mode(q, w, schema);
    if (strcmp(name, "above") == 0) return parse_above(q, w, schema);
    if (strcmp(name, "response") == 0 || strcmp(name, "unary") == 0) return parse_local(q, w, schema);
    WH_FAIL(WHIST_E_ARG,
            "no query is called '%.40s': there are count, sum, mean, variance, quantile, histogram, contingency, mode, "
            "above, response and unary",
            name);
}

whist_status whist_query_parse(whist_query **out, const char *text, const whist_schema *schema)
{
    WH_ENSURE(out && text && schema, WHIST_E_ARG);
    if (schema->n_columns == 0 || (schema->format != WHIST_DATA_CSV && schema->format != WHIST_DATA_SYNTHETIC))
        WH_FAIL(WHIST_E_UNSUPPORTED, "queries need a table with columns: this study's data are none");
    words w;
    whist_query q = {.kind = WH_QUERY_COUNT};
    WH_TRY(split(&w, text));
    WH_TRY(parse(&q, &w, schema));
    WH_TRY(WH_NEW(out, 1));
    **out = q;
    return WHIST_OK;
}

void whist_query_free(whist_query *query)
{
    wh_free(query);
}
