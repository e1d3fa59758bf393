/* data/block.h: the memory that rows live in, shared by the data sets that were opened together.
 *
 *     rows   | train of site 0 | train of site 1 | … | validation of site 0 | … | test of site 0 | … |
 *     x      (n,d)     y, event, weight, person  (n)
 *
 * A data set is three runs of rows. Because a fold of all sites is one run too, the pooled data set of
 * all sites is a view. */
#ifndef WH_DATA_BLOCK_H
#define WH_DATA_BLOCK_H

#include <stdatomic.h>

#include "base/mem.h"
#include "data/table.h"
#include "whist/data.h"

typedef struct wh_block {
    atomic_size_t refs;
    atomic_bool overlapped; /* a row belongs to two data sets: whoever wants to change it copies first */
    size_t n, d;
    float *x, *y;
    float *event, *weight; /* or NULL */
    uint64_t *person;      /* or NULL */
    char **names;          /* (d), or NULL for images */
    bool *takes_part;      /* (d) in standardisation */
    wh_arena arena;        /* names */
} wh_block;

/* With one reference. x and y are not set, weight is 1, takes_part is false. */
WH_MUST_CHECK whist_status wh_block_new(wh_block **out, size_t n, size_t d, bool event, bool weight);
/* Gives it room for persons, all 0; nothing where it has it already, or `wanted` is false. */
WH_MUST_CHECK whist_status wh_block_add_persons(wh_block *block, bool wanted);
WH_MUST_CHECK whist_status wh_block_set_name(wh_block *block, size_t j, const char *name, const char *level);
/* Names of the schema's features, and which take part. */
WH_MUST_CHECK whist_status wh_block_frame(wh_block *block, const whist_schema *schema);
/* Features of a row of the table in a block: the table's own, or what is made of its pixels. */
size_t wh_block_features(const wh_table *table, const whist_schema *schema);
/* x <- the rows row[0 … n-1] of the table; NULL: the first n. */
WH_MUST_CHECK whist_status wh_block_fill(wh_block *block, const wh_table *table, const whist_schema *schema,
                                         const uint32_t *row);
WH_MUST_CHECK whist_status wh_block_copy_frame(wh_block *to, const wh_block *from);
wh_block *wh_block_ref(wh_block *block);
void wh_block_unref(wh_block *block);
WH_AUTO_FREE(wh_block, wh_block_unref)

struct whist_dataset {
    wh_block *block;
    size_t begin[3], n[3]; /* by fold */
    /* Text (step not 0): the block is one run of tokens, begin counts tokens, and row i starts i step further. */
    size_t tokens[3], step[3];
    bool standardized; /* by its own or given moments */
    double *mean, *sd; /* (d) in one piece: those moments; NULL before */
    double *fill;      /* (d): training means for missing values, NaN where a column has none; or NULL */
    bool synthetic;
    uint64_t rows_read, rows_dropped, rows_left_out;
    size_t n_classes, n_columns;
    uint64_t *classes, *missing; /* (3, n_classes), (n_columns) */
};
WH_AUTO_FREE(whist_dataset, whist_dataset_free)

/* Makes an empty data set that holds a reference to the block. */
WH_MUST_CHECK whist_status wh_dataset_new(whist_dataset **out, wh_block *block, size_t n_classes, size_t n_columns);

/* ---- Standardisation (moments.c) */

/* x <- (x - mean) / sd over the three runs of a data set; columns with sd 0 are divided by 1. */
void wh_rows_standardize(whist_dataset *dataset, const double *mean, const double *sd);
/* Mean and sample sd of the training rows' columns (images: of all pixels together). mean, sd: (d). */
void wh_rows_moments(double *mean, double *sd, const whist_dataset *dataset, bool images);
/* Keeps the training means of all columns in dataset->fill. */
WH_MUST_CHECK whist_status wh_rows_learn_fill(whist_dataset *dataset);
/* Puts dataset->fill for NaN. WHIST_E_FORMAT naming a column that needs it and has none. */
WH_MUST_CHECK whist_status wh_rows_fill(whist_dataset *dataset, const char *site);
/* dataset->mean, ->sd <- copies of (d) each. */
WH_MUST_CHECK whist_status wh_dataset_keep_moments(whist_dataset *dataset, const double *mean, const double *sd);

#endif
