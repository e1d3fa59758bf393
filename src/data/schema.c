/* data/schema.c: what a schema means without any data: checks, and the columns of x. */
#include <math.h>
#include <string.h>

#include "data/scatter.h"
#include "data/table.h"
#include "data/text.h"

enum { MAX_FEATURES = 1 << 24, MAX_CLASSES = 65536 };

const whist_column *wh_schema_column(const whist_schema *schema, whist_column_type type)
{
    for (size_t c = 0; c < schema->n_columns; c++)
        if (schema->columns[c].type == type) return &schema->columns[c];
    return NULL;
}

size_t wh_schema_classes(const whist_schema *schema)
{
    switch (schema->task) {
    case WHIST_TASK_REGRESSION: return 0;
    case WHIST_TASK_BINARY:
    case WHIST_TASK_SURVIVAL: return 2;
    case WHIST_TASK_CLASSES: return schema->format == WHIST_DATA_TEXT ? 0 : schema->n_classes;
    }
    return 0;
}

size_t wh_row_class(const whist_schema *schema, float y, float event)
{
    switch (schema->task) {
    case WHIST_TASK_REGRESSION: return 0;
    case WHIST_TASK_SURVIVAL: return event > 0;
    case WHIST_TASK_BINARY:
    case WHIST_TASK_CLASSES: return (size_t)y;
    }
    return 0;
}

/* Images come where the schema has no columns to say otherwise. */
static bool has_images(const whist_schema *schema)
{
    return schema->format == WHIST_DATA_IDX || (schema->format == WHIST_DATA_SYNTHETIC && !schema->n_columns);
}

size_t wh_schema_pixels(const whist_schema *schema)
{
    return (size_t)schema->image_height * schema->image_width;
}

bool wh_schema_scatters(const whist_schema *schema)
{
    return has_images(schema) && schema->image_features == WHIST_FEATURES_SCATTERING;
}

/* Numbers of an image in a row. */
static size_t image_numbers(const whist_schema *schema)
{
    if (!wh_schema_scatters(schema)) return wh_schema_pixels(schema);
    return WH_SCATTER_CHANNELS * (wh_schema_pixels(schema) / (WH_SCATTER_STEP * WH_SCATTER_STEP));
}

whist_status wh_schema_each(const whist_schema *schema, wh_feature_fn *fn, void *user)
{
    if (has_images(schema)) {
        size_t numbers = image_numbers(schema);
        for (size_t j = 0; j < numbers; j++) WH_TRY(fn(user, NULL, NULL));
        return WHIST_OK;
    }
    for (size_t c = 0; c < schema->n_columns; c++) {
        const whist_column *column = &schema->columns[c];
        if (column->type == WHIST_COLUMN_REAL) WH_TRY(fn(user, column, NULL));
        if (column->type != WHIST_COLUMN_CATEGORY) continue;
        for (size_t l = column->drop_first; l < column->n_levels; l++) WH_TRY(fn(user, column, column->levels[l]));
    }
    return WHIST_OK;
}

static whist_status count_one(void *user, const whist_column *column, const char *level)
{
    (void)column, (void)level;
    size_t *n = user;
    if (++*n > MAX_FEATURES) WH_FAIL(WHIST_E_ARG, "the schema makes more than %d features", MAX_FEATURES);
    return WHIST_OK;
}

/* ---- Checks */

static whist_status check_count(const whist_schema *schema, whist_column_type type, const char *what, size_t min,
                                size_t max)
{
    size_t n = 0;
    for (size_t c = 0; c < schema->n_columns; c++) n += schema->columns[c].type == type;
    if (n < min || n > max)
        WH_FAIL(WHIST_E_ARG, "the schema has %zu %s columns and needs %s%zu", n, what, min < max ? "at most " : "",
                max);
    return WHIST_OK;
}

static whist_status check_column(const whist_schema *schema, const whist_column *column)
{
    const char *name = column->name;
    if (!memchr(name, 0, WHIST_NAME_SIZE) || !name[0])
        WH_FAIL(WHIST_E_ARG, "column %zu of the schema has no name", (size_t)(column - schema->columns) + 1);
    if (column->n_levels && !column->levels) WH_FAIL(WHIST_E_ARG, "column '%s' has no list of levels", name);
    WH_AUTO(wh_lookup) levels = {0};
    WH_TRY(wh_lookup_init(&levels, column->n_levels));
    for (size_t l = 0; l < column->n_levels; l++) wh_lookup_add(&levels, column->levels[l], 0);
    wh_lookup_sort(&levels);
    if (wh_lookup_twice(&levels)) WH_FAIL(WHIST_E_ARG, "column '%s' has a level twice", name);
    if (column->type == WHIST_COLUMN_CATEGORY && column->n_levels < 1 + (size_t)column->drop_first)
        WH_FAIL(WHIST_E_ARG, "category '%s' needs levels: list every value it may have", name);
    if (column->has_fill && (column->type != WHIST_COLUMN_REAL || !isfinite((float)column->fill)))
        WH_FAIL(WHIST_E_ARG, "column '%s': fill is a finite number, for numeric columns", name);
    if (column->has_bounds && (column->type != WHIST_COLUMN_REAL || !isfinite(column->low) || !isfinite(column->high) ||
                               !(column->low < column->high)))
        WH_FAIL(WHIST_E_ARG, "column '%s': low and high are finite numbers, low below high, for numeric columns", name);
    if (column->type != WHIST_COLUMN_TARGET) return WHIST_OK;
    size_t classes = schema->task == WHIST_TASK_SURVIVAL ? 0 : wh_schema_classes(schema);
    if (column->n_levels && column->n_levels != classes)
        WH_FAIL(WHIST_E_ARG, "target '%s' lists %zu classes and the task has %zu", name, column->n_levels, classes);
    if (column->has_threshold &&
        (schema->task != WHIST_TASK_BINARY || column->n_levels || !isfinite(column->threshold)))
        WH_FAIL(WHIST_E_ARG, "target '%s': a threshold is a finite number, for a binary task without levels", name);
    return WHIST_OK;
}

static whist_status check_columns(const whist_schema *schema)
{
    if (!schema->n_columns || !schema->columns || schema->n_columns > WHIST_MAX_COLUMNS)
        WH_FAIL(WHIST_E_ARG, "a schema has 1 to %d columns", WHIST_MAX_COLUMNS);
    WH_AUTO(wh_lookup) names = {0};
    WH_TRY(wh_lookup_init(&names, schema->n_columns));
    for (size_t c = 0; c < schema->n_columns; c++) {
        WH_TRY(check_column(schema, &schema->columns[c]));
        wh_lookup_add(&names, schema->columns[c].name, 0);
    }
    wh_lookup_sort(&names);
    const char *twice = wh_lookup_twice(&names);
    if (twice) WH_FAIL(WHIST_E_ARG, "the schema has column '%s' twice", twice);
    bool survival = schema->task == WHIST_TASK_SURVIVAL, by_column = schema->partition == WHIST_PARTITION_COLUMN;
    WH_TRY(check_count(schema, WHIST_COLUMN_TARGET, "target", !schema->asked_only, 1));
    WH_TRY(check_count(schema, WHIST_COLUMN_EVENT, "event", survival, survival));
    WH_TRY(check_count(schema, WHIST_COLUMN_SITE, "site", by_column, 1));
    WH_TRY(check_count(schema, WHIST_COLUMN_PERSON, "person", 0, 1));
    return check_count(schema, WHIST_COLUMN_ROW, "row", 0, 1);
}

static whist_status check_split(const whist_schema *schema)
{
    bool by_fold = strchr(schema->fold_train, '{') != NULL;
    bool dealt = schema->partition == WHIST_PARTITION_IID || schema->partition == WHIST_PARTITION_SHARDS;
    if (!(schema->test_fraction >= 0 && schema->test_fraction < 1))
        WH_FAIL(WHIST_E_ARG, "test fraction must be at least 0 and below 1");
    if (!(schema->validation_fraction >= 0 && schema->validation_fraction < 1))
        WH_FAIL(WHIST_E_ARG, "validation fraction must be at least 0 and below 1");
    if (schema->partition == WHIST_PARTITION_SHARDS && (schema->shards < 1 || schema->shards > 65536))
        WH_FAIL(WHIST_E_ARG, "partition by shards needs 1 to 65536 shards a site");
    if (schema->partition == WHIST_PARTITION_SPLIT &&
        (!schema->split_file[0] ||
         (!schema->split_site[0] && (!by_fold || (schema->fold_test[0] && !strchr(schema->fold_test, '{'))))))
        WH_FAIL(WHIST_E_ARG, "partition by the split file needs a split file with a column for the site, or folds "
                             "named like train_{site} or train_{index}");
    if (schema->split_classes && (!schema->split_file[0] || schema->task != WHIST_TASK_CLASSES))
        WH_FAIL(WHIST_E_ARG, "a split by classes needs a task of classes and a split file that lists them");
    if (schema->split_classes && (by_fold || schema->split_site[0]))
        WH_FAIL(WHIST_E_ARG, "a split by classes says nothing of sites: leave out split.site, and {site} and {index}");
    if (dealt && schema->split_file[0] && (by_fold || schema->split_site[0]))
        WH_FAIL(WHIST_E_ARG, "rows are either dealt out or given to sites by the split file, not both");
    return WHIST_OK;
}

whist_status wh_schema_check(const whist_schema *schema)
{
    if (schema->format == WHIST_DATA_TEXT) return wh_text_check(schema);
    if (schema->task == WHIST_TASK_CLASSES && (schema->n_classes < 2 || schema->n_classes > MAX_CLASSES))
        WH_FAIL(WHIST_E_ARG, "a task of classes has 2 to %d of them", MAX_CLASSES);
    WH_TRY(check_split(schema));
    if (has_images(schema)) {
        if (schema->image_height < 1 || schema->image_height > 4096 || schema->image_width < 1 ||
            schema->image_width > 4096)
            WH_FAIL(WHIST_E_ARG, "the schema must state the size of the images, 1 to 4096 pixels each way");
        if (schema->task == WHIST_TASK_SURVIVAL) WH_FAIL(WHIST_E_ARG, "images have no survival task");
        if (schema->partition == WHIST_PARTITION_COLUMN)
            WH_FAIL(WHIST_E_ARG, "images have no site column: deal them out (iid, shards) or use a split file");
        if (wh_schema_scatters(schema))
            WH_TRY(wh_scatter_check(schema->image_height, schema->image_width, schema->feature_groups));
        else if (schema->feature_groups)
            WH_FAIL(WHIST_E_ARG,
                    "groups are of scattering features, and the rows are pixels: say features: scattering");
    } else {
        if (schema->image_features != WHIST_FEATURES_PIXELS)
            WH_FAIL(WHIST_E_ARG, "scattering features are made of images, and the data are columns");
        WH_TRY(check_columns(schema));
    }
    size_t classes = schema->task == WHIST_TASK_SURVIVAL ? 0 : wh_schema_classes(schema);
    bool weighted = schema->class_weights || schema->class_weights_balanced;
    if (weighted && !classes) WH_FAIL(WHIST_E_ARG, "class weights need a task with classes");
    if (schema->class_weights && schema->n_class_weights != classes)
        WH_FAIL(WHIST_E_ARG, "%zu class weights for %zu classes", schema->n_class_weights, classes);
    for (size_t k = 0; schema->class_weights && k < classes; k++)
        if (!(schema->class_weights[k] >= 0 && isfinite((float)schema->class_weights[k])))
            WH_FAIL(WHIST_E_ARG, "class weights must be finite and not negative");
    size_t d = 0;
    WH_TRY(wh_schema_each(schema, count_one, &d));
    if (!d && !schema->asked_only) WH_FAIL(WHIST_E_ARG, "the schema leaves no feature to learn from");
    return WHIST_OK;
}

/* ---- Public */

whist_status whist_schema_features(const whist_schema *schema, size_t *out_features, size_t *out_outputs)
{
    WH_ENSURE(schema && out_features && out_outputs, WHIST_E_ARG);
    whist_row_shape shape;
    WH_TRY(whist_schema_shape(schema, &shape));
    *out_features = shape.n_features;
    *out_outputs = shape.n_outputs;
    return WHIST_OK;
}

whist_status whist_schema_shape(const whist_schema *schema, whist_row_shape *out)
{
    WH_ENSURE(schema && out, WHIST_E_ARG);
    WH_TRY(wh_schema_check(schema));
    whist_row_shape shape = {.n_targets = 1, .n_outputs = schema->task == WHIST_TASK_CLASSES ? schema->n_classes : 1};
    if (schema->format == WHIST_DATA_TEXT) {
        shape.vocabulary = shape.n_outputs = wh_text_vocabulary(schema);
        shape.n_features = shape.n_targets = schema->text_window;
        *out = shape;
        return WHIST_OK;
    }
    WH_TRY(wh_schema_each(schema, count_one, &shape.n_features));
    const bool scatters = wh_schema_scatters(schema);
    const size_t step = scatters ? WH_SCATTER_STEP : 1;
    if (has_images(schema)) {
        shape.channels = scatters ? WH_SCATTER_CHANNELS : 1;
        shape.height = schema->image_height / step;
        shape.width = schema->image_width / step;
    }
    *out = shape;
    return WHIST_OK;
}

void whist_schema_clear(whist_schema *schema)
{
    if (!schema) return;
    for (size_t c = 0; schema->columns && c < schema->n_columns; c++) {
        whist_column *column = &schema->columns[c];
        for (size_t l = 0; column->levels && l < column->n_levels; l++) wh_free(column->levels[l]);
        wh_free(column->levels);
    }
    for (size_t i = 0; schema->missing && i < schema->n_missing; i++) wh_free(schema->missing[i]);
    wh_free(schema->missing);
    wh_free(schema->text_alphabet);
    wh_free(schema->columns);
    wh_free(schema->class_weights);
    *schema = (whist_schema){0};
}
