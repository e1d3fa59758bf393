/* codec/csv.c: the reader behind codec/csv.h.
 *
 * A field is a view into the file unless it held doubled quotes; such a field is copied without
 * them into a buffer of the row. That buffer may move while the row is read, so such fields become
 * views only when the row is complete. */
#include "codec/csv.h"

#include "base/settings.h"
#include "codec/real.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The place of the reader in a failure: "FILE, line 7: ". */
#define FAIL_AT(csv, column, ...)                                                                                      \
    do {                                                                                                               \
        (void)wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, __VA_ARGS__);                                                \
        (void)wh_fail_context(WHIST_E_FORMAT, "%s, line %llu, column %zu: ", (csv)->options.name,                      \
                              (unsigned long long)(csv)->line, (size_t)(column) + 1);                                  \
        return WHIST_E_FORMAT;                                                                                         \
    } while (0)

/* A field while its row is being read: in the file (copied false) or in csv->unescaped. */
typedef struct span {
    const uint8_t *data; /* in the file */
    size_t len;
    bool copied;
} span;

static bool ends_line(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* Takes LF or CR LF. */
static whist_status take_line_end(wh_csv *csv, size_t column)
{
    if (*csv->at == '\r') {
        csv->at++;
        if (csv->at == csv->end || *csv->at != '\n')
            FAIL_AT(csv, column, "a carriage return without a line feed: save the file with line ends LF or CR LF");
    }
    csv->at++;
    csv->line++;
    return WHIST_OK;
}

static void skip_blanks(wh_csv *csv)
{
    while (csv->at < csv->end && (*csv->at == ' ' || *csv->at == '\t') && *csv->at != (uint8_t)csv->options.delimiter)
        csv->at++;
}

static whist_status read_plain(wh_csv *csv, span *out, size_t column)
{
    const uint8_t *from = csv->at, delimiter = (uint8_t)csv->options.delimiter;
    for (; csv->at < csv->end; csv->at++) {
        uint8_t c = *csv->at;
        if (c == delimiter || ends_line(c)) break;
        if (c == '"') FAIL_AT(csv, column, "a quote inside an unquoted field: quote the whole field and double it");
        if (c == 0) FAIL_AT(csv, column, "a NUL byte: this is no text file (save it as UTF-8, not UTF-16)");
    }
    const uint8_t *to = csv->at;
    if (csv->options.trim)
        while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    *out = (span){from, (size_t)(to - from), false};
    return WHIST_OK;
}

/* The field behind an opening quote. Runs between doubled quotes are copied one by one; a field
 * without any stays where it is. */
static whist_status read_quoted(wh_csv *csv, span *out, size_t column)
{
    uint64_t opened = csv->line;
    size_t offset = csv->unescaped.len;
    const uint8_t *from = ++csv->at;
    bool copied = false;
    for (;; csv->at++) {
        if (csv->at == csv->end)
            FAIL_AT(csv, column, "the quote opened on line %llu is never closed", (unsigned long long)opened);
        if (*csv->at == 0) FAIL_AT(csv, column, "a NUL byte: this is no text file (save it as UTF-8, not UTF-16)");
        if (*csv->at == '\n') csv->line++;
        if (*csv->at != '"') continue;
        if (csv->at + 1 == csv->end || csv->at[1] != '"') break;
        csv->at++; /* keep the first of the two */
        WH_TRY(wh_buf_add(&csv->unescaped, from, (size_t)(csv->at - from)));
        if (csv->unescaped.len - offset > csv->options.max_field) break;
        from = csv->at + 1;
        copied = true;
    }
    size_t len = (size_t)(csv->at - from);
    if (copied) {
        WH_TRY(wh_buf_add(&csv->unescaped, from, len));
        len = csv->unescaped.len - offset;
    }
    csv->at++;
    *out = (span){from, len, copied};
    if (csv->options.trim) skip_blanks(csv);
    return WHIST_OK;
}

static whist_status read_field(wh_csv *csv, span *out, size_t column)
{
    if (csv->options.trim) skip_blanks(csv);
    bool quoted = csv->at < csv->end && *csv->at == '"';
    WH_TRY(quoted ? read_quoted(csv, out, column) : read_plain(csv, out, column));
    if (out->len > csv->options.max_field)
        FAIL_AT(csv, column, "a field of more than %zu bytes (is a quote missing?)", csv->options.max_field);
    if (csv->at < csv->end && *csv->at != (uint8_t)csv->options.delimiter && !ends_line(*csv->at))
        FAIL_AT(csv, column, "text behind a closing quote: double the quotes inside a field");
    return WHIST_OK;
}

static whist_status grow_fields(wh_csv *csv, size_t column)
{
    if (column < csv->cap_fields) return WHIST_OK;
    size_t cap = csv->cap_fields ? csv->cap_fields * 2 : 16;
    whist_bytes *fields;
    WH_TRY(WH_NEW(&fields, cap));
    if (csv->cap_fields) memcpy(fields, csv->fields, csv->cap_fields * sizeof *fields);
    wh_free(csv->fields);
    csv->fields = fields;
    csv->cap_fields = cap;
    return WHIST_OK;
}

/* A copied field is noted as a NULL view with its length until the row is complete: the copies stand
 * in the buffer one behind the other. */
static whist_status read_row(wh_csv *csv, size_t *n_fields)
{
    size_t column = 0;
    bool any_copied = false;
    wh_buf_reset(&csv->unescaped);
    csv->row_line = csv->line;
    for (;; column++) {
        span field;
        if (column >= csv->options.max_columns) FAIL_AT(csv, column, "more than %zu columns", csv->options.max_columns);
        if (csv->n_columns && column >= csv->n_columns)
            FAIL_AT(csv, column, "more fields than the %zu of the first row (is a text with '%c' in it unquoted?)",
                    csv->n_columns, csv->options.delimiter);
        WH_TRY(read_field(csv, &field, column));
        WH_TRY(grow_fields(csv, column));
        csv->fields[column] = (whist_bytes){field.copied ? NULL : field.data, field.len};
        any_copied |= field.copied;
        if (csv->at == csv->end || *csv->at != (uint8_t)csv->options.delimiter) break;
        csv->at++;
    }
    if (csv->at < csv->end) WH_TRY(take_line_end(csv, column));
    *n_fields = column + 1;
    const uint8_t *from = csv->unescaped.data;
    for (size_t i = 0; any_copied && i <= column; i++)
        if (!csv->fields[i].data) {
            csv->fields[i].data = from;
            from += csv->fields[i].len;
        }
    return WHIST_OK;
}

static whist_status skip_empty_lines(wh_csv *csv)
{
    while (csv->n_columns != 1 && csv->at < csv->end && ends_line(*csv->at)) WH_TRY(take_line_end(csv, 0));
    return WHIST_OK;
}

static void forget_row(wh_csv *csv)
{
    for (size_t i = 0; i < csv->cap_fields; i++) csv->fields[i] = (whist_bytes){NULL, 0};
}

whist_status wh_csv_next(wh_csv *csv, bool *more)
{
    size_t n;
    WH_TRY(skip_empty_lines(csv));
    if (csv->at == csv->end) {
        *more = false;
        return WHIST_OK;
    }
    if (csv->n_rows >= csv->options.max_rows)
        FAIL_AT(csv, 0, "more than %llu rows", (unsigned long long)csv->options.max_rows);
    whist_status status = read_row(csv, &n);
    if (status != WHIST_OK) {
        forget_row(csv); /* a half-read row is not to be seen */
        return status;
    }
    if (csv->n_columns && n != csv->n_columns) {
        forget_row(csv);
        WH_FAIL(WHIST_E_FORMAT, "%s, line %llu: %zu fields where the first row has %zu", csv->options.name,
                (unsigned long long)csv->row_line, n, csv->n_columns);
    }
    csv->n_columns = n;
    csv->n_rows++;
    *more = true;
    return WHIST_OK;
}

static int compare_names(const void *a, const void *b, void *names)
{
    char *const *list = names;
    return strcmp(list[*(const size_t *)a], list[*(const size_t *)b]);
}

/* The text says places and no names: where the header is missing the names are somebody's data. */
static whist_status check_names(const wh_csv *csv)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, csv->n_columns, sizeof(size_t)));
    size_t *order = memory;
    for (size_t i = 0; i < csv->n_columns; i++) order[i] = i;
    qsort_r(order, csv->n_columns, sizeof *order, compare_names, csv->names);
    for (size_t i = 1; i < csv->n_columns; i++)
        if (strcmp(csv->names[order[i - 1]], csv->names[order[i]]) == 0)
            WH_FAIL(WHIST_E_FORMAT, "%s, line %llu: columns %zu and %zu have the same name (is the header missing?)",
                    csv->options.name, (unsigned long long)csv->row_line, order[i - 1] + 1, order[i] + 1);
    return WHIST_OK;
}

static whist_status read_header(wh_csv *csv)
{
    bool more;
    WH_TRY(wh_csv_next(csv, &more));
    if (!more)
        WH_FAIL(WHIST_E_FORMAT, "%s is empty: a first line with the names of the columns is needed", csv->options.name);
    csv->n_rows = 0;
    WH_TRY(WH_NEW(&csv->names, csv->n_columns));
    for (size_t i = 0; i < csv->n_columns; i++) {
        WH_TRY(wh_alloc((void **)&csv->names[i], csv->fields[i].len + 1, 1));
        memcpy(csv->names[i], csv->fields[i].data, csv->fields[i].len);
    }
    return check_names(csv);
}

static whist_status begin(wh_csv *csv)
{
    if (csv->end - csv->at >= 3 && memcmp(csv->at, "\xEF\xBB\xBF", 3) == 0) csv->at += 3;
    for (size_t i = 0; i < csv->options.skip_lines && csv->at < csv->end; i++) {
        const uint8_t *lf = memchr(csv->at, '\n', (size_t)(csv->end - csv->at));
        csv->at = lf ? lf + 1 : csv->end;
        csv->line++;
    }
    return csv->options.header ? read_header(csv) : WHIST_OK;
}

whist_status wh_csv_init(wh_csv *out, whist_bytes bytes, const wh_csv_options *options)
{
    char d = options->delimiter;
    if (d == 0 || d == '"' || d == '\n' || d == '\r')
        WH_FAIL(WHIST_E_ARG, "%s: the delimiter cannot be a quote, a line end or NUL", options->name);
    static const uint8_t nothing[1];
    wh_csv csv = {.options = *options, .line = 1, .at = bytes.data ? bytes.data : nothing};
    csv.end = csv.at + bytes.len;
    whist_status status = begin(&csv);
    if (status == WHIST_OK)
        *out = csv;
    else
        wh_csv_clear(&csv);
    return status;
}

void wh_csv_clear(wh_csv *csv)
{
    for (size_t i = 0; csv->names && i < csv->n_columns; i++) wh_free(csv->names[i]);
    wh_free(csv->names);
    wh_free(csv->fields);
    wh_buf_clear(&csv->unescaped);
    *csv = (wh_csv)WH_CSV_EMPTY;
}

whist_status wh_csv_column(size_t *out, const wh_csv *csv, const char *name)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; csv->names && i < csv->n_columns; i++) {
        if (strcmp(csv->names[i], name) == 0) {
            *out = i;
            return WHIST_OK;
        }
        unsigned distance = wh_edit_distance(csv->names[i], name);
        if (distance >= best) continue;
        best = distance;
        nearest = csv->names[i];
    }
    if (nearest) WH_FAIL(WHIST_E_FORMAT, "%s has no column '%s': did you mean '%s'?", csv->options.name, name, nearest);
    WH_FAIL(WHIST_E_FORMAT, "%s has no column '%s'%s", csv->options.name, name,
            csv->names ? "" : ": it was read as a file without a header");
}

/* Puts the place before the reason that the detail record holds. */
static whist_status with_place(whist_status code, const wh_csv *csv, size_t column)
{
    bool named = csv->names && column < csv->n_columns;
    return wh_fail_context(code, "%s, line %llu, column %zu%s%.64s%s: ", csv->options.name,
                           (unsigned long long)csv->row_line, column + 1, named ? " '" : "",
                           named ? csv->names[column] : "", named ? "'" : "");
}

whist_status wh_csv_fail(whist_status code, const wh_csv *csv, size_t column, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)wh_fail(code, __FILE__, __LINE__, "%s", text);
    return with_place(code, csv, column);
}

whist_status wh_csv_real(double *out, const wh_csv *csv, size_t column)
{
    WH_ENSURE(column < csv->n_columns, WHIST_E_ARG);
    whist_status status = wh_real_parse(out, csv->fields[column]);
    return status == WHIST_OK ? WHIST_OK : with_place(status, csv, column);
}

whist_status wh_csv_int(int64_t *out, const wh_csv *csv, size_t column)
{
    WH_ENSURE(column < csv->n_columns, WHIST_E_ARG);
    whist_status status = wh_int_parse(out, csv->fields[column]);
    return status == WHIST_OK ? WHIST_OK : with_place(status, csv, column);
}
