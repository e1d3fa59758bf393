/* learn/query.h: a parsed question, and the columns that it reads. */
#ifndef WH_LEARN_QUERY_H
#define WH_LEARN_QUERY_H

#include "base/mem.h"
#include "whist/learn.h"

typedef enum wh_query_kind {
    WH_QUERY_COUNT,
    WH_QUERY_COUNT_LEVEL,
    WH_QUERY_SUM,
    WH_QUERY_MEAN,
    WH_QUERY_VARIANCE,
    WH_QUERY_QUANTILE,
    WH_QUERY_HISTOGRAM, /* of a real column */
    WH_QUERY_LEVELS,    /* histogram of a category */
    WH_QUERY_CONTINGENCY,
} wh_query_kind;

struct whist_query {
    wh_query_kind kind;
    char column[2][WHIST_NAME_SIZE]; /* "" where there is none */
    size_t level;                    /* COUNT_LEVEL */
    double low, high;
    double q;      /* QUANTILE: 0 … 1 */
    size_t points; /* QUANTILE, HISTOGRAM */
};

enum { WH_QUERY_POINTS = 1 << 20, WH_QUERY_CELLS = 1 << 20 };

/* What a column holds: 0 for a number, else how many levels. WHIST_E_ARG naming the column where it is neither. */
WH_MUST_CHECK whist_status wh_query_levels(size_t *out, const whist_schema *schema, const char *column);
/* The name of level l: "2", "yes". buffer is used where the schema has no text for it. */
const char *wh_query_level_name(char buffer[24], const whist_schema *schema, const char *column, size_t l);

/* The rows of some sources: only the columns that queries name. */
typedef struct wh_query_rows {
    whist_dataset **part; /* n_parts; owned */
    size_t n_parts;
    whist_schema schema; /* the study's, cut down; its columns are owned */
} wh_query_rows;
WH_MUST_CHECK whist_status wh_query_rows_open(wh_query_rows *out, whist_query *const *queries, size_t n,
                                              const whist_schema *schema, const whist_data_source *sources,
                                              size_t n_sources);
void wh_query_rows_clear(wh_query_rows *rows);
WH_AUTO_CLEAR(wh_query_rows, wh_query_rows_clear)

/* Calls fn for each row with the values of the query's columns (a number, or the index of a level). */
typedef void wh_query_fn(void *user, const double value[2]);
WH_MUST_CHECK whist_status wh_query_each(const wh_query_rows *rows, const whist_query *query, wh_query_fn *fn,
                                         void *user);

#endif
