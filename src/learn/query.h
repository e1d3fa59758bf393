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
    WH_QUERY_MODE,
    WH_QUERY_ABOVE,
    WH_QUERY_RESPONSE,
    WH_QUERY_UNARY,
} wh_query_kind;

struct whist_query {
    wh_query_kind kind;
    char column[2][WHIST_NAME_SIZE]; /* "" where there is none */
    size_t level;                    /* COUNT_LEVEL; MODE: by which mechanism */
    double low, high;                /* ABOVE: low is the threshold */
    double q;                        /* QUANTILE: 0 … 1 */
    size_t points;                   /* QUANTILE, HISTOGRAM; ABOVE: how often it may say yes */
};

enum { WH_QUERY_POINTS = 1 << 20, WH_QUERY_CELLS = 1 << 20 };

/* What a column holds: 0 for a number, else how many levels. WHIST_E_ARG naming the column where it is neither. */
WH_MUST_CHECK whist_status wh_query_levels(size_t *out, const whist_schema *schema, const char *column);
/* The name of level l: "2", "yes". buffer is used where the schema has no text for it. */
const char *wh_query_level_name(char buffer[24], const whist_schema *schema, const char *column, size_t l);

enum { WH_QUERY_RANK = 1000000 }; /* a rank of 1 */
/* score (points): the rows at each candidate, in order, become minus the distance of the rank q n to [rows below it,
 * rows up to it]; num: q times WH_QUERY_RANK. Returns the sensitivity. One row more moves q n by q and each end of the
 * interval by 0 or 1, so rank and end come apart by at most the larger of q and 1 - q, and the distance by no more than
 * the ends; one row in place of another leaves n and moves each end by at most 1. */
int64_t wh_query_score_ranks(int64_t *score, size_t points, int64_t num, whist_dp_relation relation);

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

/* What one answer may spend, and who pays. */
typedef struct wh_query_share {
    double epsilon, delta;
    const whist_dp_payer *payer;
    bool steady;
} wh_query_share;
/* An answer of n values, all 0. */
WH_MUST_CHECK whist_status wh_query_new_answer(whist_query_answer *out, size_t n, const char *mechanism);

/* ---- query_choice.c: MODE and ABOVE; RESPONSE and UNARY. A failed answer is the caller's to clear. ---- */
WH_MUST_CHECK whist_status wh_query_answer_choice(whist_query_answer *out, const whist_query *query,
                                                  const wh_query_rows *rows, const wh_query_share *share);
WH_MUST_CHECK whist_status wh_query_answer_local(whist_query_answer *out, const whist_query *query,
                                                 const wh_query_rows *rows, const wh_query_share *share);

#endif
