/* codec/csv.h: comma-separated values (RFC 4180), read from a span of memory and written.
 *
 * Stricter than most: every row has as many fields as the first, a quote stands only around a whole
 * field, NUL bytes and lone carriage returns are refused. More lenient in three points: lines may
 * end in LF, a byte-order mark is skipped, and empty lines are skipped where a row has more than
 * one column. Error texts name file, line and column and never the content, which is data. */
#ifndef WH_CODEC_CSV_H
#define WH_CODEC_CSV_H

#include "base/buf.h"

typedef struct wh_csv_options {
    const char *name;   /* of the file, for error texts; must outlive the reader */
    char delimiter;     /* ',' ';' or a tab … no quote, CR or LF */
    bool header;        /* the first row holds the names of the columns */
    bool trim;          /* drop spaces and tabs around fields ("a, b") */
    size_t skip_lines;  /* lines before the table */
    size_t max_field;   /* bytes in a field */
    size_t max_columns; /* fields in a row */
    uint64_t max_rows;  /* rows without the header */
} wh_csv_options;
#define WH_CSV_DEFAULT                                                                                                 \
    {                                                                                                                  \
        .name = "CSV", .delimiter = ',', .header = true, .max_field = 65536, .max_columns = 65536,                     \
        .max_rows = UINT64_C(1) << 32                                                                                  \
    }

/* A reader. Fields are visible, for reading only. */
typedef struct wh_csv {
    wh_csv_options options;
    const uint8_t *at, *end; /* what is still to be read */
    uint64_t line;           /* line of `at`, from 1 */
    uint64_t row_line;       /* line where the present row began */
    uint64_t n_rows;         /* rows given so far */
    size_t n_columns;        /* of each row; 0 before the first */
    whist_bytes *fields;     /* of the present row: n_columns, valid until the next row */
    size_t cap_fields;
    char **names;     /* of the columns: n_columns, or NULL without a header */
    wh_buf unescaped; /* fields of this row that held doubled quotes */
} wh_csv;
#define WH_CSV_EMPTY                                                                                                   \
    {                                                                                                                  \
        .options = WH_CSV_DEFAULT                                                                                      \
    }

/* Starts reading `bytes`, which must outlive the reader, and reads the header where there is one.
 * WHIST_E_FORMAT (also: no header, a column twice); WHIST_E_NOMEM. `out` is empty before; ended by
 * wh_csv_clear. */
WH_MUST_CHECK whist_status wh_csv_init(wh_csv *out, whist_bytes bytes, const wh_csv_options *options);
void wh_csv_clear(wh_csv *csv);
WH_AUTO_CLEAR(wh_csv, wh_csv_clear)

/* Moves to the next row; *more is false behind the last one. WHIST_E_FORMAT; WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_csv_next(wh_csv *csv, bool *more);

/* The column with this name; WHIST_E_FORMAT names the file and, where one is near, the column that
 * was probably meant. */
WH_MUST_CHECK whist_status wh_csv_column(size_t *out, const wh_csv *csv, const char *name);

/* Field `column` of the present row as a number; see codec/real.h. WHIST_E_FORMAT with
 * "FILE, line 7, column 3 'age': …". */
WH_MUST_CHECK whist_status wh_csv_real(double *out, const wh_csv *csv, size_t column);
WH_MUST_CHECK whist_status wh_csv_int(int64_t *out, const wh_csv *csv, size_t column);

/* Writes a failure about a field of the present row, with its place in front. Returns code. */
whist_status wh_csv_fail(whist_status code, const wh_csv *csv, size_t column, const char *format, ...)
    WHIST_PRINTF(4, 5);

/* ---- Writing: fields go one by one, rows end in LF ("\r\n" only means trouble on our side). */

typedef struct wh_csv_writer {
    wh_buf *out; /* borrowed */
    char delimiter;
    bool inside; /* a row has begun */
} wh_csv_writer;

static inline wh_csv_writer wh_csv_writer_over(wh_buf *out)
{
    return (wh_csv_writer){out, ',', false};
}
/* Quoted where needed. WHIST_E_NOMEM, WHIST_E_RANGE as wh_buf_add. */
WH_MUST_CHECK whist_status wh_csv_put(wh_csv_writer *writer, whist_bytes text);
WH_MUST_CHECK whist_status wh_csv_put_text(wh_csv_writer *writer, const char *text);
WH_MUST_CHECK whist_status wh_csv_put_int(wh_csv_writer *writer, int64_t value);
/* Shortest that reads back; NaN and infinities write an empty field. */
WH_MUST_CHECK whist_status wh_csv_put_real(wh_csv_writer *writer, double value);
WH_MUST_CHECK whist_status wh_csv_end_row(wh_csv_writer *writer);

#endif
