/* learn/query_rows.c: the rows that questions read.
 *
 * The study's schema is cut down to the columns that some question names: a row is left out only for what it lacks
 * itself, never for what other rows hold, nothing is standardised, and no other column is looked at. */
#include <math.h>
#include <string.h>

#include "learn/query.h"

static bool is_named(whist_query *const *queries, size_t n, const char *column)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(queries[i]->column[0], column) == 0 || strcmp(queries[i]->column[1], column) == 0) return true;
    return false;
}

/* Fills by mean would mix rows: such rows are left out instead. */
static whist_status cut_schema(whist_schema *out, whist_query *const *queries, size_t n, const whist_schema *schema)
{
    whist_column *columns;
    bool feature = false;
    WH_TRY(WH_NEW(&columns, schema->n_columns));
    memcpy(columns, schema->columns, schema->n_columns * sizeof *columns);
    for (size_t c = 0; c < schema->n_columns; c++) {
        whist_column *column = &columns[c];
        column->drop_first = false;
        column->center = column->scale = 0; /* answers are told in the file's own units */
        if (column->type != WHIST_COLUMN_REAL && column->type != WHIST_COLUMN_CATEGORY) continue;
        if (!is_named(queries, n, column->name)) column->type = WHIST_COLUMN_IGNORE;
        feature |= column->type != WHIST_COLUMN_IGNORE;
    }
    for (size_t c = 0; c < schema->n_columns && !feature; c++) { /* a table has at least one */
        columns[c].type = schema->columns[c].type;
        feature = columns[c].type == WHIST_COLUMN_REAL || columns[c].type == WHIST_COLUMN_CATEGORY;
    }
    *out = *schema;
    out->columns = columns;
    out->standardize = WHIST_STANDARDIZE_NONE;
    out->image_features = WHIST_FEATURES_PIXELS; /* no question is about them */
    out->feature_groups = 0;
    if (out->rows_with_missing == WHIST_MISSING_MEAN) out->rows_with_missing = WHIST_MISSING_DROP;
    if (schema->partition != WHIST_PARTITION_SPLIT) out->split_file[0] = 0; /* all rows, whatever their fold */
    out->test_fraction = out->validation_fraction = 0;
    out->class_weights = NULL;
    out->n_class_weights = 0;
    out->class_weights_balanced = false;
    return WHIST_OK;
}

whist_status wh_query_rows_open(wh_query_rows *out, whist_query *const *queries, size_t n, const whist_schema *schema,
                                const whist_data_source *sources, size_t n_sources)
{
    WH_AUTO(wh_query_rows) rows = {.part = NULL};
    WH_TRY(cut_schema(&rows.schema, queries, n, schema));
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
