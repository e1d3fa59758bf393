/* whist/data.h: a site's rows, as the study's schema says they are.
 *
 * The schema is agreed in the study and holds no local path; a data set is one site's rows of it,
 * turned into numbers: x (N,D) float32 row-major, y (N). Nothing about a column is discovered
 * from the data (that would leak): types, levels and bounds stand in the schema. */
#ifndef WHIST_DATA_H
#define WHIST_DATA_H

#include <whist/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WHIST_NAME_SIZE = 64, WHIST_MAX_COLUMNS = 65536 };

typedef enum whist_data_format {
    WHIST_DATA_CSV,
    WHIST_DATA_IDX,       /* images and labels as published with MNIST, .gz or plain */
    WHIST_DATA_SYNTHETIC, /* seeded cohort with the schema's columns; for machines without the data */
} whist_data_format;

typedef enum whist_column_type {
    WHIST_COLUMN_IGNORE,
    WHIST_COLUMN_REAL,
    WHIST_COLUMN_CATEGORY, /* one-hot over `levels` */
    WHIST_COLUMN_TARGET,   /* what the model predicts */
    WHIST_COLUMN_EVENT,    /* survival: 1 = the event was seen, 0 = censored */
    WHIST_COLUMN_SITE,     /* names the site that owns the row */
    WHIST_COLUMN_ROW,      /* the row's id, for a split file that names ids */
} whist_column_type;

typedef struct whist_column {
    char name[WHIST_NAME_SIZE];
    whist_column_type type;
    char **levels; /* CATEGORY: allowed values, in order; TARGET of classes: the class names */
    size_t n_levels;
    bool drop_first; /* CATEGORY: the first level is the reference and gets no column */
    bool has_threshold;
    double threshold; /* TARGET: 1 where value > threshold, else 0 */
    bool has_fill;
    double fill;      /* REAL: stands in for a missing value */
    bool standardize; /* REAL: take part in standardisation (default true); one-hot columns follow the schema's flag */
} whist_column;

typedef enum whist_missing { WHIST_MISSING_DROP, WHIST_MISSING_REFUSE, WHIST_MISSING_MEAN } whist_missing;
typedef enum whist_standardize {
    WHIST_STANDARDIZE_NONE,
    WHIST_STANDARDIZE_SITE,
    WHIST_STANDARDIZE_POOLED
} whist_standardize;
typedef enum whist_task {
    WHIST_TASK_REGRESSION,
    WHIST_TASK_BINARY,
    WHIST_TASK_CLASSES,
    WHIST_TASK_SURVIVAL
} whist_task;

/* Which rows a site has when the data are not already one file a site. */
typedef enum whist_partition {
    WHIST_PARTITION_FILE,   /* each site names its own file in the study */
    WHIST_PARTITION_COLUMN, /* the SITE column names the owner */
    WHIST_PARTITION_IID,    /* simulation: shuffled and dealt out evenly */
    WHIST_PARTITION_SHARDS, /* simulation: sorted by target, `shards` pieces a site */
} whist_partition;

typedef struct whist_schema {
    char set[WHIST_NAME_SIZE]; /* name of the data set, "heart" */
    whist_data_format format;
    whist_task task;
    char delimiter;
    bool header;    /* the first line names the columns: matched by name, in any order */
    char **missing; /* texts that mean "no value" */
    size_t n_missing;
    whist_missing rows_with_missing;
    whist_column *columns;
    size_t n_columns;
    whist_standardize standardize;
    bool standardize_one_hot; /* one-hot columns are standardised too */
    size_t n_classes;         /* CLASSES */

    /* Split: a file in the data folder that names rows (columns site, row = 1-based line, fold) … */
    char split_file[128];
    char split_site[WHIST_NAME_SIZE], split_row[WHIST_NAME_SIZE], split_fold[WHIST_NAME_SIZE];
    char fold_train[WHIST_NAME_SIZE], fold_test[WHIST_NAME_SIZE];
    /* … or fractions drawn from the study's seed, stratified by target for classes. */
    double test_fraction;       /* used where split_file is "" */
    double validation_fraction; /* of the training rows */

    whist_partition partition;
    unsigned shards;
    char train_images[128], train_labels[128], test_images[128], test_labels[128]; /* IDX */

    double *class_weights; /* NULL: all 1 */
    size_t n_class_weights;
    bool class_weights_balanced; /* n / (classes * count), from the site's own training rows */

    uint64_t synthetic_rows; /* rows a site, SYNTHETIC */
} whist_schema;

typedef enum whist_fold { WHIST_FOLD_TRAIN, WHIST_FOLD_VALIDATION, WHIST_FOLD_TEST } whist_fold;

/* Rows as the models take them. Views into the data set; read-only. */
typedef struct whist_rows {
    size_t n, d;
    const float *x;      /* (n,d) row-major */
    const float *y;      /* (n): value, 0/1, class index, or survival time */
    const float *event;  /* (n) for survival, else NULL */
    const float *weight; /* (n) example weights, or NULL for all 1 */
} whist_rows;

typedef struct whist_dataset whist_dataset;

/* Where a site's rows lie: the folder that holds the set, and this site's file in it (FILE). For
 * IID and SHARDS, index and count say which part is this site's. */
typedef struct whist_data_source {
    const char *folder;
    const char *file; /* may be NULL for other partitions */
    const char *site; /* the site's name in the study */
    size_t site_index, n_sites;
    uint64_t seed; /* the study's: public order of splits and parts */
    /* Column mapping of the site: its own header name for each schema column, or NULL. */
    const char *const *local_names;
} whist_data_source;

/* Reads, checks and converts. WHIST_E_IO, WHIST_E_FORMAT naming file, line and column. The schema is not
 * kept. Standardisation per site is already applied; for POOLED call the two functions below. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open(whist_dataset **out, const whist_schema *schema,
                                                           const whist_data_source *source);
/* All sites of a simulation at once, reading each file once. out has source->n_sites entries, owned by
 * the caller one by one. files[i] and names[i] per site; source's file, site, site_index are ignored. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open_all(whist_dataset **out, const whist_schema *schema,
                                                               const whist_data_source *source,
                                                               const char *const *files, const char *const *names);
/* The rows of several sites as one data set, each standardised as it stands (the pooled baseline). */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_concat(whist_dataset **out, whist_dataset *const *parts,
                                                             size_t n);
/* n examples made elsewhere (copied): no schema needed. For tests, benches and embedders. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_from_rows(whist_dataset **out, const whist_rows *train,
                                                                const whist_rows *test);
WHIST_API void whist_dataset_free(whist_dataset *dataset);

WHIST_API whist_rows whist_dataset_rows(const whist_dataset *dataset, whist_fold fold);
WHIST_API size_t whist_dataset_features(const whist_dataset *dataset);
/* Name of feature j: "age", "cp=2". Owned by the data set; "" for images. */
WHIST_API const char *whist_dataset_feature_name(const whist_dataset *dataset, size_t j);

/* D of the schema without any data: what a coordinator needs to lay out the model. */
WHIST_API WHIST_MUST_CHECK whist_status whist_schema_features(const whist_schema *schema, size_t *out_features,
                                                              size_t *out_outputs);
WHIST_API void whist_schema_clear(whist_schema *schema);

/* Pooled standardisation: sums (2D+1 values: n, Σx, Σx² of the training rows) leave through the
 * protection; the pooled mean and sample sd come back and are applied once. */
WHIST_API void whist_dataset_moments(const whist_dataset *dataset, double *sums);
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_standardize(whist_dataset *dataset, const double *mean,
                                                                  const double *sd);

#ifdef __cplusplus
}
#endif
#endif
