/* data/csv_table.c: a CSV file becomes numbers, by the schema and by nothing that the file says of itself.
 *
 * Error texts name file, line and column. What stands in a cell is somebody's data and is never
 * repeated. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "codec/csv.h"
#include "codec/real.h"
#include "crypt/hash.h"
#include "data/table.h"

/* Level values as numbers, so that 1, 1.0 and 1.000 are one level. */
typedef struct level_set {
    double *value; /* n, NaN where the level is no number */
    size_t n;
    bool numeric; /* any is a number */
} level_set;

#define ABSENT SIZE_MAX

typedef struct csv_reader {
    wh_table *table;
    const whist_schema *schema;
    wh_csv *csv;
    bool to_predict;   /* only features have to be there */
    bool persons;      /* a column says whose row it is */
    size_t *field;     /* per column: its place in the file, or ABSENT */
    level_set *levels; /* per column */
    wh_lookup owners;
    float *x; /* one row */
    wh_arena arena;
} csv_reader;

static void reader_clear(csv_reader *reader)
{
    wh_lookup_clear(&reader->owners);
    wh_arena_clear(&reader->arena);
}
WH_AUTO_CLEAR(csv_reader, reader_clear)

static whist_bytes bytes_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

static bool same(whist_bytes a, const char *b)
{
    return strlen(b) == a.len && (a.len == 0 || memcmp(a.data, b, a.len) == 0);
}

static whist_status prepare_levels(csv_reader *reader)
{
    const whist_schema *schema = reader->schema;
    WH_TRY(WH_ARENA_NEW(&reader->levels, &reader->arena, schema->n_columns));
    for (size_t c = 0; c < schema->n_columns; c++) {
        const whist_column *column = &schema->columns[c];
        level_set *levels = &reader->levels[c];
        levels->n = column->n_levels;
        WH_TRY(WH_ARENA_NEW(&levels->value, &reader->arena, column->n_levels));
        for (size_t l = 0; l < levels->n; l++)
            if (wh_real_parse(&levels->value[l], bytes_of(column->levels[l])) == WHIST_OK)
                levels->numeric = true;
            else
                levels->value[l] = NAN;
    }
    return WHIST_OK;
}

static bool is_feature(const whist_column *column)
{
    return column->type == WHIST_COLUMN_REAL || column->type == WHIST_COLUMN_CATEGORY;
}

static bool has_column(const wh_csv *csv, const char *name)
{
    size_t i = 0;
    while (i < csv->n_columns && strcmp(csv->names[i], name) != 0) i++;
    return i < csv->n_columns;
}

/* Where each column of the schema stands in a file with a header. */
static whist_status map_columns(csv_reader *reader, const char *const *names)
{
    const whist_schema *schema = reader->schema;
    WH_TRY(WH_ARENA_NEW(&reader->field, &reader->arena, schema->n_columns));
    for (size_t c = 0; c < schema->n_columns; c++) {
        reader->field[c] = c;
        if (!schema->header || schema->columns[c].type == WHIST_COLUMN_IGNORE) continue;
        const char *name = names && names[c] ? names[c] : schema->columns[c].name;
        if (reader->to_predict && !is_feature(&schema->columns[c]) && !has_column(reader->csv, name))
            reader->field[c] = ABSENT;
        else
            WH_TRY(wh_csv_column(&reader->field[c], reader->csv, name));
    }
    return WHIST_OK;
}

/* Of a file without a header, at its first row: it has all columns, or (to predict) all that are not target, event,
 * site, person or row id. */
static whist_status check_width(csv_reader *reader, const char *file)
{
    const whist_schema *schema = reader->schema;
    size_t n = reader->csv->n_columns, n_fewer = 0;
    if (schema->header || n == schema->n_columns) return WHIST_OK;
    for (size_t c = 0; c < schema->n_columns; c++) {
        bool stays = is_feature(&schema->columns[c]) || schema->columns[c].type == WHIST_COLUMN_IGNORE;
        if (reader->to_predict) reader->field[c] = stays ? n_fewer : ABSENT;
        n_fewer += stays;
    }
    if (reader->to_predict && n == n_fewer) return WHIST_OK;
    WH_FAIL(WHIST_E_FORMAT,
            "%s, line %llu: %zu columns, and the study's schema has %zu: is this the right file, "
            "and the right delimiter?",
            file, (unsigned long long)reader->csv->row_line, n, schema->n_columns);
}

/* The number of the level that the cell holds, or n. */
static size_t find_level(const whist_column *column, const level_set *levels, whist_bytes cell)
{
    for (size_t l = 0; l < levels->n; l++)
        if (same(cell, column->levels[l])) return l;
    double value;
    if (!levels->numeric || wh_real_parse(&value, cell) != WHIST_OK) return levels->n;
    for (size_t l = 0; l < levels->n; l++)
        if (levels->value[l] == value) return l;
    return levels->n;
}

static bool is_missing(const whist_schema *schema, whist_bytes cell)
{
    for (size_t i = 0; i < schema->n_missing; i++)
        if (same(cell, schema->missing[i])) return true;
    return cell.len == 0;
}

/* Where the file's own name of a column is not the schema's, the schema's stands in front. */
static whist_status name_column(whist_status status, const csv_reader *reader, size_t c)
{
    const char *name = reader->schema->columns[c].name;
    if (reader->csv->names && !strcmp(reader->csv->names[reader->field[c]], name)) return status;
    return wh_fail_context(status, "column '%s' of the schema: ", name);
}

#define FAIL_CELL(reader, c, ...)                                                                                      \
    return name_column(wh_csv_fail(WHIST_E_FORMAT, (reader)->csv, (reader)->field[c], __VA_ARGS__), (reader), (c))

static whist_status read_number(double *out, const csv_reader *reader, size_t c)
{
    double value;
    if (wh_real_parse(&value, reader->csv->fields[reader->field[c]]) != WHIST_OK)
        FAIL_CELL(reader, c,
                  "not a finite decimal number such as -12.5 or 3e-4: correct the cell, or list its text among the "
                  "study's missing values");
    if (fabs(value) > 3.4e38) FAIL_CELL(reader, c, "a number too large for float32");
    *out = value;
    return WHIST_OK;
}

static whist_status read_target(float *out, const csv_reader *reader, size_t c)
{
    const whist_schema *schema = reader->schema;
    const whist_column *column = &schema->columns[c];
    if (column->n_levels) {
        size_t level = find_level(column, &reader->levels[c], reader->csv->fields[reader->field[c]]);
        if (level == column->n_levels)
            FAIL_CELL(reader, c,
                      "none of the %zu classes of the study: correct the cell, or list the class in the study",
                      column->n_levels);
        *out = (float)level;
        return WHIST_OK;
    }
    double value;
    WH_TRY(read_number(&value, reader, c));
    if (schema->task == WHIST_TASK_BINARY && column->has_threshold) value = value > column->threshold;
    size_t classes = schema->task == WHIST_TASK_SURVIVAL ? 0 : wh_schema_classes(schema);
    if (classes && !(value >= 0 && value < (double)classes && value == floor(value)))
        FAIL_CELL(reader, c,
                  "a class must be a whole number from 0 to %zu: correct the cell, or give the target "
                  "levels or a threshold in the study",
                  classes - 1);
    if (schema->task == WHIST_TASK_SURVIVAL && value < 0) FAIL_CELL(reader, c, "a time must not be negative");
    *out = (float)value;
    return WHIST_OK;
}

static whist_status read_event(float *out, const csv_reader *reader, size_t c)
{
    double value;
    WH_TRY(read_number(&value, reader, c));
    if (value != 0 && value != 1) FAIL_CELL(reader, c, "an event must be 1 (seen) or 0 (censored)");
    *out = (float)value;
    return WHIST_OK;
}

static whist_status read_category(float *x, size_t n_x, const csv_reader *reader, size_t c, bool *missing)
{
    const whist_column *column = &reader->schema->columns[c];
    whist_bytes cell = reader->csv->fields[reader->field[c]];
    size_t level = find_level(column, &reader->levels[c], cell);
    if (level == column->n_levels) {
        if (!is_missing(reader->schema, cell))
            FAIL_CELL(reader, c,
                      "none of the %zu levels of the study: correct the cell, or list the level in the study",
                      column->n_levels);
        *missing = true;
    }
    for (size_t j = 0; j < n_x; j++) x[j] = *missing ? NAN : (float)(level == j + column->drop_first);
    return WHIST_OK;
}

typedef struct csv_row {
    float y, event;
    bool dropped;
    uint32_t owner;
    uint64_t person;
    char *id;
} csv_row;

static uint64_t person_of(whist_bytes cell)
{
    wh_digest digest;
    uint64_t person;
    wh_sha256_of(&digest, cell.data, cell.len);
    memcpy(&person, digest.bytes, sizeof person);
    return person;
}

/* A cell without a value: counts it and says what becomes of the row. */
static whist_status meet_missing(csv_reader *reader, csv_row *row, size_t c, bool needed)
{
    const whist_schema *schema = reader->schema;
    reader->table->missing[c]++;
    if (schema->columns[c].has_fill || schema->asked_only || (reader->to_predict && needed)) return WHIST_OK;
    if (reader->to_predict && schema->rows_with_missing != WHIST_MISSING_MEAN)
        FAIL_CELL(reader, c,
                  "a value is missing, and the study names none to take instead: complete the cell, or leave "
                  "the row out");
    if (schema->rows_with_missing == WHIST_MISSING_REFUSE)
        FAIL_CELL(reader, c,
                  "a value is missing, and the study refuses such rows: complete the cell, or choose drop, "
                  "mean or fill in the study");
    if (needed || schema->rows_with_missing == WHIST_MISSING_DROP) row->dropped = true;
    return WHIST_OK;
}

static float place_number(const whist_column *column, float value)
{
    double scale = column->scale != 0 ? column->scale : 1;
    if (column->center == 0 && scale == 1) return value;
    return (float)(((double)value - column->center) / scale);
}

static whist_status read_cell(csv_reader *reader, csv_row *row, size_t c, size_t *at)
{
    const whist_column *column = &reader->schema->columns[c];
    whist_bytes cell = {0};
    if (column->type != WHIST_COLUMN_IGNORE && reader->field[c] != ABSENT) cell = reader->csv->fields[reader->field[c]];
    bool missing = false;
    switch (column->type) {
    case WHIST_COLUMN_IGNORE: return WHIST_OK;
    case WHIST_COLUMN_REAL:
        missing = is_missing(reader->schema, cell);
        reader->x[*at] = column->has_fill ? (float)column->fill : NAN;
        if (!missing) {
            double value;
            WH_TRY(read_number(&value, reader, c));
            reader->x[*at] = (float)value;
        }
        reader->x[*at] = place_number(column, reader->x[*at]);
        *at += 1;
        return missing ? meet_missing(reader, row, c, false) : WHIST_OK;
    case WHIST_COLUMN_CATEGORY: {
        size_t n_x = column->n_levels - column->drop_first;
        WH_TRY(read_category(reader->x + *at, n_x, reader, c, &missing));
        *at += n_x;
        return missing ? meet_missing(reader, row, c, false) : WHIST_OK;
    }
    case WHIST_COLUMN_TARGET:
        if (!column->n_levels || find_level(column, &reader->levels[c], cell) == column->n_levels)
            missing = is_missing(reader->schema, cell);
        return missing ? meet_missing(reader, row, c, true) : read_target(&row->y, reader, c);
    case WHIST_COLUMN_EVENT:
        missing = is_missing(reader->schema, cell);
        return missing ? meet_missing(reader, row, c, true) : read_event(&row->event, reader, c);
    case WHIST_COLUMN_SITE:
        if (reader->to_predict) return WHIST_OK;
        row->owner = wh_lookup_find(&reader->owners, cell);
        return WHIST_OK;
    case WHIST_COLUMN_PERSON:
        if (reader->to_predict) return WHIST_OK;
        if (is_missing(reader->schema, cell)) return meet_missing(reader, row, c, true);
        row->person = person_of(cell);
        return WHIST_OK;
    case WHIST_COLUMN_ROW:
        if (reader->to_predict) return WHIST_OK;
        WH_TRY(WH_ARENA_NEW(&row->id, &reader->table->ids, cell.len + 1));
        if (cell.len) memcpy(row->id, cell.data, cell.len);
        return WHIST_OK;
    }
    return WHIST_OK;
}

static whist_status read_row(csv_reader *reader)
{
    const whist_schema *schema = reader->schema;
    wh_table *table = reader->table;
    if (table->n >= UINT32_MAX - 1) WH_FAIL(WHIST_E_RANGE, "more than 2^32 - 2 rows");
    csv_row row = {.owner = WH_NOBODY};
    if (reader->to_predict || schema->asked_only) row.y = row.event = NAN;
    size_t at = 0;
    for (size_t c = 0; c < schema->n_columns; c++) WH_TRY(read_cell(reader, &row, c, &at));
    const uint8_t dropped = row.dropped;
    WH_TRY(wh_buf_add(&table->x, reader->x, table->d * sizeof *reader->x));
    WH_TRY(wh_buf_add(&table->y, &row.y, sizeof row.y));
    if (schema->task == WHIST_TASK_SURVIVAL) WH_TRY(wh_buf_add(&table->event, &row.event, sizeof row.event));
    WH_TRY(wh_buf_add(&table->line, &reader->csv->row_line, sizeof reader->csv->row_line));
    WH_TRY(wh_buf_add(&table->dropped, &dropped, 1));
    WH_TRY(wh_buf_add(&table->owner, &row.owner, sizeof row.owner));
    if (reader->persons) WH_TRY(wh_buf_add(&table->person, &row.person, sizeof row.person));
    if (row.id) WH_TRY(wh_buf_add(&table->id, &row.id, sizeof row.id));
    table->n++;
    return WHIST_OK;
}

whist_status wh_table_parse_csv(wh_table *out, const whist_schema *schema, whist_bytes text, const char *file,
                                const wh_sites *sites, const char *const *names)
{
    wh_csv_options options = WH_CSV_DEFAULT;
    options.name = file;
    options.delimiter = schema->delimiter ? schema->delimiter : ',';
    options.header = schema->header;
    options.trim = true;
    options.skip_lines = schema->skip_lines;
    options.max_columns = WHIST_MAX_COLUMNS;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    WH_TRY(wh_csv_init(&csv, text, &options));
    WH_AUTO(csv_reader) reader = {.table = out, .schema = schema, .csv = &csv, .to_predict = !sites};
    size_t outputs;
    WH_TRY(whist_schema_features(schema, &out->d, &outputs));
    WH_TRY(WH_NEW(&out->missing, schema->n_columns));
    WH_TRY(WH_ARENA_NEW(&reader.x, &reader.arena, out->d));
    WH_TRY(prepare_levels(&reader));
    WH_TRY(map_columns(&reader, names));
    reader.persons = sites && wh_schema_column(schema, WHIST_COLUMN_PERSON);
    WH_TRY(wh_lookup_init(&reader.owners, sites ? sites->n : 0));
    for (size_t s = 0; sites && s < sites->n; s++) wh_lookup_add(&reader.owners, sites->names[s], (uint32_t)s);
    wh_lookup_sort(&reader.owners);
    for (bool more;;) {
        WH_TRY(wh_csv_next(&csv, &more));
        if (!more) break;
        if (csv.n_rows == 1) WH_TRY(check_width(&reader, file));
        WH_TRY(read_row(&reader));
    }
    if (!out->n && !schema->asked_only) WH_FAIL(WHIST_E_FORMAT, "%s holds no rows", file);
    return WHIST_OK;
}

whist_status wh_table_read_csv(wh_table *out, const whist_schema *schema, const char *folder, const char *file,
                               const wh_sites *sites, const char *const *names)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_data_path((char **)&path, folder, file));
    WH_TRY(wh_file_read(&text, path, WH_MAX_FILE_BYTES));
    return wh_table_parse_csv(out, schema, wh_buf_view(&text), file, sites, names);
}
