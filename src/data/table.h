/* data/table.h: what all formats are turned into before rows are given to sites and folds.
 *
 * A table knows numbers and, of the text, only what says whose row it is. Rows that were dropped stay
 * in it as a mark, so that a split file can name them. */
#ifndef WH_DATA_TABLE_H
#define WH_DATA_TABLE_H

#include "base/buf.h"
#include "codec/idx.h"
#include "whist/data.h"

enum { WH_MAX_FILE_BYTES_LOG = 33 }; /* 8 GiB: the largest file of data that is read */
#define WH_MAX_FILE_BYTES ((size_t)1 << WH_MAX_FILE_BYTES_LOG)
#define WH_NOBODY UINT32_MAX

/* The sites that are wanted: a run of all n_all sites of the study. */
typedef struct wh_sites {
    size_t n;                 /* slots 0 .. n-1 */
    const char *const *names; /* n */
    size_t first;             /* index of slot 0 in the study */
    size_t n_all;
    uint64_t seed;
} wh_sites;

/* Texts and what they stand for, sorted for look-up. The texts are borrowed. */
typedef struct wh_lookup {
    struct wh_lookup_entry {
        const char *text;
        size_t len;
        uint32_t value;
    } * entries;
    size_t n, cap;
} wh_lookup;
WH_MUST_CHECK whist_status wh_lookup_init(wh_lookup *out, size_t cap);
void wh_lookup_add(wh_lookup *lookup, const char *text, uint32_t value);
void wh_lookup_sort(wh_lookup *lookup);
/* The value of a text, or WH_NOBODY. */
uint32_t wh_lookup_find(const wh_lookup *lookup, whist_bytes text);
/* After sorting: a text that is there twice, or NULL. */
const char *wh_lookup_twice(const wh_lookup *lookup);
void wh_lookup_clear(wh_lookup *lookup);
WH_AUTO_CLEAR(wh_lookup, wh_lookup_clear)

typedef struct wh_table {
    size_t n, d;
    size_t n_own_test; /* the last rows, which the publisher calls test rows (IDX) */
    /* Features: x (n,d), NaN where a value is missing; or images, n - n_own_test and n_own_test of them. */
    wh_buf x;
    wh_idx images, test_images;
    wh_buf y, event; /* (n) float; event only for survival */
    wh_buf line;     /* (n) u64, from 1; the row's number for IDX */
    wh_buf dropped;  /* (n) u8 */
    wh_buf person;   /* (n) u64; with a PERSON column */
    wh_buf owner;    /* (n) u32: slot or WH_NOBODY; with a SITE column */
    wh_buf id;       /* (n) char *; with a ROW column */
    wh_arena ids;
    uint64_t *missing; /* per column of the schema; owned */
    bool synthetic;
} wh_table;
#define WH_TABLE_EMPTY                                                                                                 \
    {                                                                                                                  \
        .n = 0                                                                                                         \
    }
void wh_table_clear(wh_table *table);
WH_AUTO_CLEAR(wh_table, wh_table_clear)

static inline const float *wh_table_y(const wh_table *table)
{
    return (const float *)(const void *)table->y.data;
}
static inline const float *wh_table_event(const wh_table *table)
{
    return (const float *)(const void *)table->event.data;
}
static inline const uint64_t *wh_table_line(const wh_table *table)
{
    return (const uint64_t *)(const void *)table->line.data;
}
static inline const uint64_t *wh_table_person(const wh_table *table)
{
    return (const uint64_t *)(const void *)table->person.data;
}
static inline bool wh_table_dropped(const wh_table *table, size_t row)
{
    return table->dropped.len && table->dropped.data[row];
}
/* The row's d features; of images the pixels. */
void wh_table_row(float *out, const wh_table *table, size_t row);

/* Readers. `out` is empty before; cleared by the caller also on failure. WHIST_E_IO, WHIST_E_FORMAT,
 * WHIST_E_RANGE, WHIST_E_NOMEM. names: local names of columns or NULL. sites NULL: rows to predict for; columns that
 * are no features may be absent or empty (y, event: NaN), and no row is dropped: a feature that is missing where the
 * study has no fill and no mean is refused. */
WH_MUST_CHECK whist_status wh_table_read_csv(wh_table *out, const whist_schema *schema, const char *folder,
                                             const char *file, const wh_sites *sites, const char *const *names);
/* The same from memory; `file` only stands in error texts. */
WH_MUST_CHECK whist_status wh_table_parse_csv(wh_table *out, const whist_schema *schema, whist_bytes text,
                                              const char *file, const wh_sites *sites, const char *const *names);
WH_MUST_CHECK whist_status wh_table_read_idx(wh_table *out, const whist_schema *schema, const char *folder);
/* One file of images, and NULL or one of labels; y is NaN without. */
WH_MUST_CHECK whist_status wh_table_read_images(wh_table *out, const whist_schema *schema, const char *images,
                                                const char *labels);
/* A PNG file, a folder of them, or a folder of folders that are classes; made the schema's size. invert: black is 1. */
WH_MUST_CHECK whist_status wh_table_read_pictures(wh_table *out, const whist_schema *schema, const char *path,
                                                  bool invert);
bool wh_is_pictures(const char *path);
/* Rows of slot 0. */
WH_MUST_CHECK whist_status wh_table_synthesize(wh_table *out, const whist_schema *schema, const wh_sites *sites);

/* folder/name for a bare name; WHIST_E_ARG for any other. Ended by wh_free. */
WH_MUST_CHECK whist_status wh_data_path(char **out, const char *folder, const char *name);

/* ---- The schema (schema.c) */

/* What a study can get wrong in a schema, with the fix in the text. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_schema_check(const whist_schema *schema);
/* Columns of x, in order: calls fn for each (column is NULL for a pixel, level NULL for a number). */
typedef whist_status wh_feature_fn(void *user, const whist_column *column, const char *level);
WH_MUST_CHECK whist_status wh_schema_each(const whist_schema *schema, wh_feature_fn *fn, void *user);
/* Kinds of y that a count or a stratum tells apart: classes, or censored and seen; 0 for regression. */
size_t wh_schema_classes(const whist_schema *schema);
/* The kind of a row: below wh_schema_classes, or 0. */
size_t wh_row_class(const whist_schema *schema, float y, float event);
size_t wh_schema_pixels(const whist_schema *schema); /* of an image */
bool wh_schema_scatters(const whist_schema *schema); /* rows are scattering features, not pixels */
/* The first column of a type, or NULL. */
const whist_column *wh_schema_column(const whist_schema *schema, whist_column_type type);

#endif
