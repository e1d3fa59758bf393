/* whist/data.h: a site's rows, as the study's schema says they are; and the known public data sets.
 *
 * The schema is agreed in the study and holds no local path; a data set is one site's rows of it,
 * turned into numbers: x (N,D) float32 row-major, y (N). Nothing about a column is discovered
 * from the data (that would leak): types, levels and bounds stand in the schema.
 *
 * Every file is a bare name inside the site's data folder: no '/', not ".", not "..". Error texts name
 * file, line and column and never what stands there. */
#ifndef WHIST_DATA_H
#define WHIST_DATA_H

#include <whist/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WHIST_NAME_SIZE = 64, WHIST_MAX_COLUMNS = 65536 };

typedef enum whist_data_format {
    WHIST_DATA_CSV,
    WHIST_DATA_IDX, /* images and labels as published with MNIST, .gz or plain */
    /* One text: a row is a window of tokens, its target the token after each of them. The order of tokens is kept:
     * test rows are the end of a site's text, validation rows stand before them. */
    WHIST_DATA_TEXT,
    /* A seeded cohort with the schema's columns (or image size), each site a little shifted; for
     * machines without the data. Split file and partition are not used: every site has its own rows. */
    WHIST_DATA_SYNTHETIC,
} whist_data_format;

typedef enum whist_column_type {
    WHIST_COLUMN_IGNORE,
    WHIST_COLUMN_REAL,
    WHIST_COLUMN_CATEGORY, /* one-hot over `levels`; numbers are compared as numbers: 1 is 1.0 */
    WHIST_COLUMN_TARGET,   /* what the model predicts; survival: the time, >= 0 */
    WHIST_COLUMN_EVENT,    /* survival: 1 = the event was seen, 0 = censored */
    WHIST_COLUMN_SITE,     /* names the site that owns the row */
    WHIST_COLUMN_ROW,      /* the row's id, for a split file that names ids */
    WHIST_COLUMN_PERSON,   /* whose row it is, by any text: rows of one person are one task, one unit of privacy */
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
    double fill; /* REAL: stands in for a missing value */
    /* REAL: x becomes (x - center) / scale, by numbers that everybody may know; a scale of 0 stands for 1. Unlike
     * standardisation it tells nothing of the rows, so private learners allow it. */
    double center, scale;
    /* REAL: public bounds, known without the data; a question that names none takes these. low < high. */
    bool has_bounds;
    double low, high;
    bool standardize; /* REAL: take part in standardisation (default true); one-hot columns follow the schema's flag */
} whist_column;

/* What becomes of a row with a missing value in a column that is used. A column's own `fill` comes
 * first. A missing target or event drops the row, or is refused. */
typedef enum whist_missing {
    WHIST_MISSING_DROP,
    WHIST_MISSING_REFUSE,
    WHIST_MISSING_MEAN, /* of the site's training rows; for a category: how often each level is there */
} whist_missing;
/* x <- (x - mean) / sd over training rows, sd with n - 1; a constant column has sd 1 and becomes 0.
 * SITE on images takes one mean and sd over all pixels. */
typedef enum whist_standardize {
    WHIST_STANDARDIZE_NONE,
    WHIST_STANDARDIZE_SITE,
    WHIST_STANDARDIZE_POOLED
} whist_standardize;
typedef enum whist_task {
    WHIST_TASK_REGRESSION,
    WHIST_TASK_BINARY,  /* y: threshold, or one of two levels, or 0 and 1 */
    WHIST_TASK_CLASSES, /* y: one of the levels, or 0 … n_classes - 1 */
    WHIST_TASK_SURVIVAL /* y: time; event: 0 or 1 */
} whist_task;

/* Which rows a site has when the data are not already one file a site. */
typedef enum whist_partition {
    WHIST_PARTITION_FILE,   /* each site names its own file in the study */
    WHIST_PARTITION_COLUMN, /* the SITE column names the owner */
    WHIST_PARTITION_IID,    /* simulation: shuffled and dealt out evenly */
    WHIST_PARTITION_SHARDS, /* simulation: sorted by target, `shards` pieces a site; test rows as IID */
    WHIST_PARTITION_SPLIT,  /* the split file's fold names the site: fold_train "train_{index}" */
} whist_partition;

/* What the rows of images hold. SCATTERING: for an image of height and width, both multiples of four, the (81,
 * height/4, width/4) numbers of a fixed transform (docs/data.md): each row is made from its own image and from public
 * constants alone. */
typedef enum whist_image_features { WHIST_FEATURES_PIXELS, WHIST_FEATURES_SCATTERING } whist_image_features;

typedef struct whist_schema {
    char set[WHIST_NAME_SIZE]; /* name of the data set, "heart" */
    whist_data_format format;
    whist_task task;
    char file[128];    /* CSV: the file that all sites share, where the source names none */
    char delimiter;    /* 0: a comma */
    size_t skip_lines; /* CSV: lines before the header or the first row */
    bool header;       /* the first line names the columns: matched by name, in any order, others are ignored */
    char **missing;    /* texts that mean "no value"; an empty field always does */
    size_t n_missing;
    whist_missing rows_with_missing;
    whist_column *columns;
    size_t n_columns;
    whist_standardize standardize;
    bool standardize_one_hot; /* one-hot columns are standardised too */
    size_t n_classes;         /* CLASSES */

    /* Split: a CSV file with header in the data folder that says which fold a row belongs to. Its
     * column split_row holds the row's 1-based line in its file, or the row's id where the schema has a
     * ROW column; split_site ("" where it has none) the site's name. Rows it does not name are left
     * out, and so are folds of other names. In fold names {site} and {index} (from 0) stand for the
     * site's. Empty names: "row", "fold", "train", "test", and no validation fold. … */
    char split_file[128];
    bool split_classes; /* its column split_row holds classes: all rows of a class share its fold (episodes of unseen
                           classes) */
    char split_site[WHIST_NAME_SIZE], split_row[WHIST_NAME_SIZE], split_fold[WHIST_NAME_SIZE];
    char fold_train[WHIST_NAME_SIZE], fold_test[WHIST_NAME_SIZE], fold_validation[WHIST_NAME_SIZE];
    /* … or fractions drawn from the study's seed, stratified by target for classes. */
    double test_fraction;       /* used where split_file and test_images are ""; SYNTHETIC: 0 means 1/3 */
    double validation_fraction; /* of the training rows, where the split file names no validation fold */

    whist_partition partition;
    unsigned shards;
    char train_images[128], train_labels[128], test_images[128], test_labels[128]; /* IDX; test may be "" */
    unsigned image_height, image_width; /* IDX (or SYNTHETIC without columns): D = height * width, values 0 … 1 */
    whist_image_features image_features;
    unsigned feature_groups; /* SCATTERING: groups of channels in which an image is normalised; 0: none */

    /* TEXT, in `file` or the source's. Tokens are the characters of the alphabet, numbered as they stand in it (UTF-8,
     * each once), or the 256 bytes. It is fixed here because finding it in the data would leak. */
    char *text_alphabet;             /* NULL: bytes */
    uint32_t text_window, text_step; /* T tokens a row; from one training row to the next (others: T) */

    /* Example weights by class, for training and validation rows. */
    double *class_weights; /* NULL: all 1 */
    size_t n_class_weights;
    bool class_weights_balanced; /* n / (classes * count), from the site's own training rows */

    /* Rows are asked (learn.h) and nothing is learned from them: no column need be a target or a feature, no row is
     * dropped (what it lacks is NaN, whatever rows_with_missing says), and there may be no rows at all. */
    bool asked_only;

    uint64_t synthetic_rows; /* rows a site, SYNTHETIC; 0 means 200 */
} whist_schema;

typedef enum whist_fold { WHIST_FOLD_TRAIN, WHIST_FOLD_VALIDATION, WHIST_FOLD_TEST } whist_fold;

/* Rows as the models take them. Views into the data set; read-only. */
typedef struct whist_rows {
    size_t n, d;
    const float *x;      /* (n,d) row-major */
    const float *y;      /* (n) or (n,n_targets): value, 0/1, class index, or survival time */
    const float *event;  /* (n) for survival, else NULL */
    const float *weight; /* (n) example weights, or NULL for all 1 */
    /* (n) whose row it is: equal for rows of one person (the beginning of the text's SHA-256); NULL without a column of
     * persons */
    const uint64_t *person;
    size_t n_targets; /* of a row; 0: one */
    size_t x_stride;  /* elements from one row to the next, less than d where windows overlap; 0: d */
    size_t y_stride;  /* the same of y; 0: n_targets */
} whist_rows;

typedef struct whist_dataset whist_dataset;

/* Where a site's rows lie: the folder that holds the set, and this site's file in it (FILE). For
 * IID, SHARDS and SPLIT, index and count say which part is this site's. */
typedef struct whist_data_source {
    const char *folder;
    const char *file; /* NULL: the schema's */
    const char *site; /* the site's name in the study */
    size_t site_index, n_sites;
    uint64_t seed; /* the study's: public order of splits and parts */
    /* Column mapping of the site: NULL, or for each schema column the site's own header name or NULL. */
    const char *const *local_names;
} whist_data_source;

/* Reads, checks and converts (features of images on all processors: their number changes no bit). WHIST_E_IO,
 * WHIST_E_FORMAT naming file, line and column. The schema is not kept. Standardisation per site is already applied; for
 * POOLED call the two functions below. A site without training rows is WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open(whist_dataset **out, const whist_schema *schema,
                                                           const whist_data_source *source);
/* Rows to predict for, of another file of the schema's columns (CSV only): all of them, in order, as WHIST_FOLD_TEST,
 * with no other fold; row i is the file's i-th. They are converted by the schema and filled and standardised by what
 * `like` has learnt from its own training rows or been given by whist_dataset_standardize, and never by the rows
 * themselves: a row gets here, to the bit, what it would get as a test row of `like`. `like` was opened by the same
 * schema; NULL where the schema neither standardises by site nor fills with means (pooled moments are then given to
 * the new rows by whist_dataset_standardize). It may be freed before or after.
 *
 * Target, event, site and row id may be empty, or absent from the file: with a header in any combination, without one
 * all four together. y and event of such a row are NaN. A feature that is missing where nothing stands in for it is
 * WHIST_E_FORMAT, with its place: no row is dropped. WHIST_E_STATE where `like` is needed; WHIST_E_ARG where its
 * columns are others; WHIST_E_RANGE naming the row whose standardised value is beyond float32. Of source only folder,
 * file, local_names and (in messages; may be NULL) site count; split file and partition do not. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open_more(whist_dataset **out, const whist_schema *schema,
                                                                const whist_data_source *source,
                                                                const whist_dataset *like);
/* Images to adapt to or to predict for, all of them in order, as WHIST_FOLD_TEST; not standardised. An IDX file of the
 * schema's size, with NULL (y is NaN) or an IDX file of as many whole numbers from 0 to 65535 as labels; or grey PNG
 * images, which are made the schema's size: one, a folder of them (y is NaN), or a folder of folders, each of them a
 * class (y: 0, 1, … by their names). ink: of PNG images black becomes 1 and white 0, as drawings are kept in IDX files.
 */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open_images(whist_dataset **out, const whist_schema *schema,
                                                                  const char *images_path, const char *labels_path,
                                                                  bool ink);
/* The one-shot runs of Omniglot (all_runs.zip, Lake et al. 2015): in each run a drawing of each of twenty characters is
 * given, and twenty drawings of other people are to be named. Images are made height × width by a Lanczos window, ink
 * 1, as the 28 × 28 sets of the literature are. WHIST_E_IO, WHIST_E_FORMAT naming the file in the archive. */
enum { WHIST_ONE_SHOT_RUNS = 20, WHIST_ONE_SHOT_WAYS = 20 };
typedef struct whist_one_shot {
    unsigned height, width;
    float *support, *query; /* (runs, ways, height · width); owned */
    uint32_t *truth;        /* (runs, ways): which support row a query row is of */
} whist_one_shot;
WHIST_API WHIST_MUST_CHECK whist_status whist_one_shot_load(whist_one_shot *out, const char *path, unsigned height,
                                                            unsigned width);
WHIST_API void whist_one_shot_clear(whist_one_shot *runs);
/* All sites of a simulation at once, reading each file once; each gets what whist_dataset_open would
 * give it. out has source->n_sites entries, owned by the caller one by one; on failure none is set.
 * names[i] per site; files NULL, or files[i] per site (FILE); source's file (FILE), site, site_index are
 * ignored. Sites that share a file share one block of memory, freed with the last of them. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_open_all(whist_dataset **out, const whist_schema *schema,
                                                               const whist_data_source *source,
                                                               const char *const *files, const char *const *names);
/* The rows of several sites as one data set, each standardised as it stands (the pooled baseline).
 * Nothing is copied where the parts are all sites of one whist_dataset_open_all, in order. The parts may
 * be freed before or after. WHIST_E_ARG where they have different columns. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_concat(whist_dataset **out, whist_dataset *const *parts,
                                                             size_t n);
/* n examples made elsewhere (copied): no schema needed. For tests, benches and embedders. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_from_rows(whist_dataset **out, const whist_rows *train,
                                                                const whist_rows *test);
WHIST_API void whist_dataset_free(whist_dataset *dataset);

/* A fold's rows; n is 0 where it has none. Valid until the data set is standardised or freed. */
WHIST_API whist_rows whist_dataset_rows(const whist_dataset *dataset, whist_fold fold);
/* D, columns of x. */
WHIST_API size_t whist_dataset_features(const whist_dataset *dataset);
/* Name of feature j: "age", "cp=2". Owned by the data set; "" for images. */
WHIST_API const char *whist_dataset_feature_name(const whist_dataset *dataset, size_t j);

/* D of the schema without any data: what a coordinator needs to lay out the model. */
WHIST_API WHIST_MUST_CHECK whist_status whist_schema_features(const whist_schema *schema, size_t *out_features,
                                                              size_t *out_outputs);
/* What a row is, beside its length: an image, tokens, or (all 0) numbers without an order. */
typedef struct whist_row_shape {
    size_t n_features, n_outputs;   /* as whist_schema_features says */
    size_t channels, height, width; /* images */
    size_t vocabulary, n_targets;   /* text; n_targets is 1 elsewhere */
} whist_row_shape;
WHIST_API WHIST_MUST_CHECK whist_status whist_schema_shape(const whist_schema *schema, whist_row_shape *out);
WHIST_API void whist_schema_clear(whist_schema *schema);

/* What `whist data describe` shows, at the site only: counts are data too. Views into the data set. */
typedef struct whist_data_summary {
    bool synthetic;
    uint64_t rows_read;      /* rows of the site's files, or of the shared file */
    uint64_t rows_dropped;   /* of those, dropped for a missing value */
    uint64_t rows_left_out;  /* neither dropped nor this site's, or not named by the split file */
    size_t rows[3];          /* by whist_fold */
    size_t n_classes;        /* 0 for regression; survival: 2, censored and seen */
    const uint64_t *classes; /* (3, n_classes) */
    size_t n_columns;
    const uint64_t *missing; /* (n_columns) of the schema: missing values met in rows_read */
} whist_data_summary;
WHIST_API whist_data_summary whist_dataset_describe(const whist_dataset *dataset);

/* Pooled standardisation: sums (2D+1 values: n, Σx, Σx² of the training rows) leave through the
 * protection; the pooled mean and sample sd come back and are applied once, to the columns that take
 * part in it. An sd of 0 counts as 1. WHIST_E_STATE the second time. */
WHIST_API void whist_dataset_moments(const whist_dataset *dataset, double *sums);
WHIST_API WHIST_MUST_CHECK whist_status whist_dataset_standardize(whist_dataset *dataset, const double *mean,
                                                                  const double *sd);

/* ---- Public data sets ------------------------------------------------------------------------
 * A table of what `whist data get NAME` fetches from its publisher. Fetching is the program's work. */

enum { WHIST_DATA_MIRRORS = 3 };

typedef struct whist_data_file {
    const char *name;                     /* in the set's folder; NULL ends the list */
    const char *urls[WHIST_DATA_MIRRORS]; /* the publisher first; NULL where there are fewer. None: the file is
                                             derived from the others by whist_data_derive */
    const char *sha256;                   /* hex */
    uint64_t size;                        /* bytes */
} whist_data_file;

typedef struct whist_data_set {
    const char *name; /* "heart": also the name of its folder; NULL ends the table */
    const char *title;
    const char *licence;
    const char *citation;
    const char *notice; /* what a user has to promise or to know; "" where nothing */
    const whist_data_file *files;
} whist_data_set;

/* The table; a set without name ends it. */
WHIST_API const whist_data_set *whist_data_sets(void);
/* NULL where the name is not known. */
WHIST_API const whist_data_set *whist_data_find(const char *name);
/* Every file is there, with its size and hash. WHIST_E_IO or WHIST_E_FORMAT naming the first that is not. */
WHIST_API WHIST_MUST_CHECK whist_status whist_data_verify(const whist_data_set *set, const char *folder);
/* Writes the files that are computed from downloaded ones, where a set has such. heart: FLamby's split;
 * omniglot: the complete set (omniglot28-*, Vinyals' split) and the two small background sets (omniglot-small28-*,
 * folds by alphabet) as 28 × 28 IDX files with lists of their classes. */
WHIST_API WHIST_MUST_CHECK whist_status whist_data_derive(const whist_data_set *set, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
