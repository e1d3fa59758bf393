/* tests/fuzz/query.c: questions about a table: what is taken has bounds, an existing column and a bounded size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learn/query.h"

static char one[] = "1", two[] = "2";
static char *levels[] = {one, two};
static whist_column columns[] = {
    {.name = "age", .type = WHIST_COLUMN_REAL},
    {.name = "cp", .type = WHIST_COLUMN_CATEGORY, .levels = levels, .n_levels = 2},
    {.name = "t", .type = WHIST_COLUMN_TARGET},
};
static const whist_schema schema = {
    .format = WHIST_DATA_CSV, .task = WHIST_TASK_BINARY, .columns = columns, .n_columns = 3};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512];
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    whist_query *q;
    if (whist_query_parse(&q, text, &schema) != WHIST_OK) return 0;
    size_t kinds;
    bool bounded = q->kind == WH_QUERY_SUM || q->kind == WH_QUERY_MEAN || q->kind == WH_QUERY_VARIANCE ||
                   q->kind == WH_QUERY_QUANTILE || q->kind == WH_QUERY_HISTOGRAM;
    if (bounded && !(q->low < q->high && isfinite(q->high - q->low))) abort();
    if (q->kind != WH_QUERY_COUNT && wh_query_levels(&kinds, &schema, q->column[0]) != WHIST_OK) abort();
    if (q->points > WH_QUERY_POINTS || q->level > 1) abort();
    whist_query_free(q);
    return 0;
}
