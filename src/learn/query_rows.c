/* learn/query_rows.c: the rows that questions read.
 *
 * The study's schema is cut down to the columns that some question names, and no row is dropped: what a row lacks is
 * NaN, and each question leaves it out for what it asks itself. So an answer is a sum over rows, each of which counts
 * by what it holds and never by what others hold: nothing is standardised, filled from other rows or dealt out by a
 * draw over all of them, and a table without rows is one like any other. */
#include <math.h>
#include <string.h>

#include "learn/query.h"

static bool is_named(whist_query *const *queries, size_t n, const char *column)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(queries[i]->column[0], column) == 0 || strcmp(queries[i]->column[1], column) == 0) return true;
    return false;
}

/* What is not asked is not read. Bounds, fills and thresholds belong to the type that goes. */
static void cut_column(whist_column *column, bool named)
{
    column->drop_first = false;
    column->center = column->scale = 0; /* answers are told in the file's own units */
    const bool asked = column->type == WHIST_COLUMN_REAL || column->type == WHIST_COLUMN_CATEGORY ||
                       column->type == WHIST_COLUMN_TARGET;
    if (named || (!asked && column->type != WHIST_COLUMN_PERSON)) return;
    column->type = WHIST_COLUMN_IGNORE;
    column->has_bounds = column->has_fill = column->has_threshold = false;
}

static whist_status cut_schema(whist_schema *out, whist_query *const *queries, size_t n, const whist_schema *schema)
{
    whist_column *columns;
    WH_TRY(WH_NEW(&columns, schema->n_columns));
    memcpy(columns, schema->columns, schema->n_columns * sizeof *columns);
    for (size_t c = 0; c < schema->n_columns; c++) cut_column(&columns[c], is_named(queries, n, columns[c].name));
    *out = *schema;
    out->columns = columns;
    out->asked_only = true;
    out->standardize = WHIST_STANDARDIZE_NONE;
    out->image_features = WHIST_FEATURES_PIXELS; /* no question is about them */
    out->feature_groups = 0;
    out->rows_with_missing = WHIST_MISSING_DROP; /* a refusal or a mean would tell of other rows */
    if (schema->partition != WHIST_PARTITION_SPLIT) {
        out->split_file[0] = 0; /* all rows, whatever their fold */
        out->split_classes = false;
    }
    out->test_fraction = out->validation_fraction = 0;
    out->class_weights = NULL;
    out->n_class_weights = 0;
    out->class_weights_balanced = false;
    return WHIST_OK;
}

/* Rows that a simulation deals out are one table: one row less would move others from one site to the next. */
static whist_status join_dealt(whist_schema *schema, size_t *n_sources, const whist_data_source *sources)
{
    if (schema->format != WHIST_DATA_CSV ||
        (schema->partition != WHIST_PARTITION_IID && schema->partition != WHIST_PARTITION_SHARDS))
        return WHIST_OK;
    const size_t sites = sources[0].n_sites ? sources[0].n_sites : 1;
    if (*n_sources != sites)
        WH_FAIL(WHIST_E_ARG,
                "the study deals its rows out to sites by a draw over all of them, so one row more moves others: ask "
                "about the rows of all sites");
    schema->partition = WHIST_PARTITION_FILE;
    *n_sources = 1;
    return WHIST_OK;
}

whist_status wh_query_rows_open(wh_query_rows *out, whist_query *const *queries, size_t n, const whist_schema *schema,
                                const whist_data_source *sources, size_t n_sources)
{
    WH_AUTO(wh_query_rows) rows = {.part = NULL};
    WH_TRY(cut_schema(&rows.schema, queries, n, schema));
    WH_TRY(join_dealt(&rows.schema, &n_sources, sources));
    WH_TRY(WH_NEW(&rows.part, n_sources));
    for (size_t i = 0; i < n_sources; i++) {
        WH_TRY(whist_dataset_open(&rows.part[i], &rows.schema, &sources[i]));
        rows.n_parts++;
    }
    *out = rows;
    rows = (wh_query_rows){.part = NULL};
    return WHIST_OK;
}

void wh_query_rows_clear(wh_query_rows *rows)
{
    for (size_t i = 0; i < rows->n_parts; i++) whist_dataset_free(rows->part[i]);
    wh_free(rows->part);
    wh_free(rows->schema.columns);
    *rows = (wh_query_rows){.part = NULL};
}

/* Where a column's value stands in a row: y, or x from `at` on, one-hot over `levels` where there are any. */
typedef struct place {
    bool none, target;
    size_t at, levels;
} place;

static whist_status find_place(place *out, const whist_schema *schema, const char *name)
{
    *out = (place){.none = !name[0]};
    if (out->none) return WHIST_OK;
    WH_TRY(wh_query_levels(&out->levels, schema, name));
    size_t at = 0;
    for (size_t c = 0; c < schema->n_columns; c++) {
        const whist_column *column = &schema->columns[c];
        if (strcmp(column->name, name) == 0) {
            out->target = column->type == WHIST_COLUMN_TARGET;
            out->at = at;
            return WHIST_OK;
        }
        at += column->type == WHIST_COLUMN_REAL ? 1 : column->type == WHIST_COLUMN_CATEGORY ? column->n_levels : 0;
    }
    WH_FAIL(WHIST_E_ARG, "the schema has no column '%s'", name);
}

static double value_at(const place *p, const whist_rows *rows, size_t i)
{
    if (p->none) return 0;
    if (p->target) return (double)rows->y[i];
    const float *x = rows->x + i * rows->d + p->at;
    if (p->levels == 0) return (double)*x;
    for (size_t l = 0; l < p->levels; l++)
        if (x[l] == 1) return (double)l;
    return NAN;
}

whist_status wh_query_each(const wh_query_rows *rows, const whist_query *query, wh_query_fn *fn, void *user)
{
    place place_[2];
    for (int k = 0; k < 2; k++) WH_TRY(find_place(&place_[k], &rows->schema, query->column[k]));
    for (size_t part = 0; part < rows->n_parts; part++)
        for (int fold = 0; fold < 3; fold++) {
            whist_rows r = whist_dataset_rows(rows->part[part], (whist_fold)fold);
            for (size_t i = 0; i < r.n; i++) {
                const double value[2] = {value_at(&place_[0], &r, i), value_at(&place_[1], &r, i)};
                fn(user, value);
            }
        }
    return WHIST_OK;
}
