/* Tests of data without any data set: what is refused and how, folds, parts, missing values, sharing. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "codec/idx.h"
#include "data/schemas_test.h"
#include "data/table.h"
#include "test.h"

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_dir("data");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    if (wh_tree_remove(folder) != WHIST_OK) return 1;
    test_dir_free(folder);
    return 0;
}

static void put(const char *name, const char *text)
{
    char *path = NULL;
    assert_ok(wh_path(&path, folder, "%s", name));
    assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)text, strlen(text)}, 0600));
    wh_free(path);
}

static whist_data_source source_of(const char *file)
{
    return (whist_data_source){.folder = folder, .file = file, .site = "here", .n_sites = 1, .seed = 1};
}

/* Opening text by a schema fails with a code; the reason holds each of the words (separated by '|') and not
 * the value "secret" or 98765. */
static void refused(const whist_schema *schema, const char *text, whist_status code, const char *words)
{
    whist_dataset *dataset = NULL;
    put("t.csv", text);
    const whist_data_source source = source_of("t.csv");
    whist_status status = whist_dataset_open(&dataset, schema, &source);
    const char *reason = whist_detail_get()->text;
    if (status != code) fail_msg("%s: got %s (%s)", words, whist_status_name(status), reason);
    assert_null(dataset);
    char copy[512], *save = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save))
        if (!strstr(reason, word)) fail_msg("'%s' is not in: %s", word, reason);
    if (strstr(reason, "secret") || strstr(reason, "98765")) fail_msg("a value in: %s", reason);
}

static whist_dataset *opened(const whist_schema *schema, const char *text)
{
    whist_dataset *dataset = NULL;
    put("t.csv", text);
    const whist_data_source source = source_of("t.csv");
    assert_ok(whist_dataset_open(&dataset, schema, &source));
    return dataset;
}

static void test_cells_are_refused_by_place(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_BINARY, "age:r kind:a|b ill:t");
    refused(&schema, "age,kind,ill\n1,a,0\nsecret,b,1\n", WHIST_E_FORMAT, "t.csv|line 3|'age'");
    refused(&schema, "age,kind,ill\n1,a,0\nnan,b,1\n", WHIST_E_FORMAT, "t.csv|line 3|'age'");
    refused(&schema, "age,kind,ill\n1,a,0\n-inf,b,1\n", WHIST_E_FORMAT, "t.csv|line 3|'age'");
    refused(&schema, "age,kind,ill\n1,a,0\n9e39,b,1\n", WHIST_E_FORMAT, "line 3|'age'|too large");
    refused(&schema, "age,kind,ill\n1,a,0\n1,secret,1\n", WHIST_E_FORMAT, "line 3|'kind'|2 levels|list the level");
    refused(&schema, "age,kind,ill\n1,a,98765\n", WHIST_E_FORMAT, "line 2|'ill'|from 0 to 1");
    refused(&schema, "age,kind,ill\n1,a,0.5\n", WHIST_E_FORMAT, "line 2|'ill'|whole number");
    refused(&schema, "age,kind,ill\n1,a,0,secret\n", WHIST_E_FORMAT, "t.csv|line 2");
    refused(&schema, "age,kind,ill\n1,a,0\n1,a\n", WHIST_E_FORMAT, "t.csv|line 3");
    refused(&schema, "ages,kind,ill\n1,a,0\n", WHIST_E_FORMAT, "t.csv|'age'|'ages'");
    refused(&schema, "age,kind,ill\n", WHIST_E_FORMAT, "t.csv|no rows");
    refused(&schema, "", WHIST_E_FORMAT, "t.csv");
    refused(&schema, "age,kind,ill\n?,a,0\n", WHIST_E_FORMAT, "'here'|no training rows|1 dropped");
    schema.rows_with_missing = WHIST_MISSING_REFUSE;
    refused(&schema, "age,kind,ill\n1,a,0\n1,?,0\n", WHIST_E_FORMAT, "t.csv|line 3|'kind'|missing");
    refused(&schema, "age,kind,ill\n1,a,\n1,a,0\n", WHIST_E_FORMAT, "t.csv|line 2|'ill'|missing");
    schema.header = false;
    refused(&schema, "1,a\n", WHIST_E_FORMAT, "t.csv|line 1|2 columns|has 3");
    whist_schema_clear(&schema);

    schema = tabular(WHIST_TASK_CLASSES, "age:r kind:red|green|blue");
    schema.columns[1].type = WHIST_COLUMN_TARGET;
    schema.n_classes = 3;
    refused(&schema, "age,kind\n1,red\n2,secret\n", WHIST_E_FORMAT, "line 3|'kind'|3 classes");
    whist_schema_clear(&schema);

    schema = tabular(WHIST_TASK_SURVIVAL, "age:r T:t E:e");
    refused(&schema, "age,T,E\n1,-5,1\n", WHIST_E_FORMAT, "line 2|'T'|negative");
    refused(&schema, "age,T,E\n1,5,2\n", WHIST_E_FORMAT, "line 2|'E'|censored");
    whist_schema_clear(&schema);
}

static void test_files_are_bare_names(void **state)
{
    (void)state;
    static const char *const names[] = {"/etc/passwd", "../t.csv", "..", ".", "a/b", ""};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "age:r ill:t");
    whist_dataset *dataset = NULL;
    for (size_t i = 0; i < WH_COUNT(names); i++) {
        whist_data_source source = source_of(names[i]);
        assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_ARG);
        put("t.csv", "age,ill\n1,0\n");
        source.file = "t.csv";
        snprintf(schema.split_file, sizeof schema.split_file, "%s", names[i]);
        if (names[i][0]) assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_ARG);
        schema.split_file[0] = 0;
    }
    whist_data_source source = source_of("absent.csv");
    assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "absent.csv"));
    assert_null(dataset);
    whist_schema_clear(&schema);
}

static void bad_schema(whist_schema schema, const char *word)
{
    size_t d = 7, k = 7;
    assert_int_equal(whist_schema_features(&schema, &d, &k), WHIST_E_ARG);
    if (!strstr(whist_detail_get()->text, word)) fail_msg("'%s' is not in: %s", word, whist_detail_get()->text);
    assert_true(d == 7 && k == 7);
}

static void test_schemas(void **state)
{
    (void)state;
    size_t d, k;
    whist_schema schema = heart_schema(), changed;
    assert_ok(whist_schema_features(&schema, &d, &k));
    assert_true(d == 13 && k == 1);
    changed = schema, changed.n_columns = 13;
    bad_schema(changed, "target");
    changed = schema, changed.task = WHIST_TASK_SURVIVAL;
    bad_schema(changed, "threshold");
    changed = schema, changed.test_fraction = 1;
    bad_schema(changed, "below 1");
    changed = schema, changed.validation_fraction = NAN;
    bad_schema(changed, "below 1");
    changed = schema, changed.partition = WHIST_PARTITION_SHARDS;
    bad_schema(changed, "shards");
    changed = schema, changed.partition = WHIST_PARTITION_COLUMN;
    bad_schema(changed, "site");
    changed = schema, changed.task = WHIST_TASK_CLASSES;
    bad_schema(changed, "2 to");
    double weights[3] = {1, 2, 3};
    changed = schema, changed.class_weights = weights, changed.n_class_weights = 3;
    bad_schema(changed, "3 class weights for 2");
    weights[1] = -1;
    changed.n_class_weights = 2;
    bad_schema(changed, "negative");
    SET(schema.columns[4].name, "age");
    bad_schema(schema, "twice");
    whist_schema_clear(&schema);
    schema = mnist_schema();
    assert_ok(whist_schema_features(&schema, &d, &k));
    assert_true(d == 784 && k == 10);
    schema.image_width = 0;
    bad_schema(schema, "size of the images");
    schema = tabular(WHIST_TASK_BINARY, "c:a|a ill:t");
    bad_schema(schema, "twice");
    whist_schema_clear(&schema);
    whist_schema_clear(&schema); /* harmless */
}

static void test_values(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_BINARY, "kind:-0|1|2 age:r ill:t");
    schema.columns[2].has_threshold = true;
    schema.columns[2].threshold = 0.1;
    whist_dataset *dataset = opened(&schema, "ill,other, age ,kind\n0.1,x, 5 ,1.000\n0.2,y,\"6\",+2e0\n-3,z,7,0\n");
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TRAIN);
    static const float x[] = {1, 0, 5, 0, 1, 6, 0, 0, 7}, y[] = {0, 1, 0};
    assert_int_equal(rows.n, 3);
    assert_memory_equal(rows.x, x, sizeof x);
    assert_memory_equal(rows.y, y, sizeof y);
    assert_string_equal(whist_dataset_feature_name(dataset, 1), "kind=2");
    assert_string_equal(whist_dataset_feature_name(dataset, 9), "");
    whist_dataset_free(dataset);
    static const char *const own[] = {NULL, "years", NULL}; /* the site calls it otherwise */
    put("t.csv", "kind,years,ill\n1,5,0\n");
    whist_data_source source = source_of("t.csv");
    source.local_names = own;
    assert_ok(whist_dataset_open(&dataset, &schema, &source));
    assert_true(whist_dataset_rows(dataset, WHIST_FOLD_TRAIN).x[2] == 5);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
}

static void test_missing_values(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_REGRESSION, "a:r kind:p|q y:t");
    static const char text[] = "a,kind,y\n1,p,0\n?,q,1\n3,,2\n5,p,?\n";
    whist_dataset *dataset = opened(&schema, text);
    whist_data_summary summary = whist_dataset_describe(dataset);
    assert_true(summary.rows[0] == 1 && summary.rows_read == 4 && summary.rows_dropped == 3);
    assert_true(summary.missing[0] == 1 && summary.missing[1] == 1 && summary.missing[2] == 1);
    assert_int_equal(summary.n_classes, 0);
    whist_dataset_free(dataset);
    schema.rows_with_missing = WHIST_MISSING_MEAN;
    dataset = opened(&schema, text);
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TRAIN);
    static const float x[] = {1, 1, 0, 2, 0, 1, 3, 0.5F, 0.5F};
    assert_int_equal(rows.n, 3);
    assert_memory_equal(rows.x, x, sizeof x);
    whist_dataset_free(dataset);
    schema.columns[0].has_fill = true;
    schema.columns[0].fill = -1;
    dataset = opened(&schema, text);
    assert_true(whist_dataset_rows(dataset, WHIST_FOLD_TRAIN).x[3] == -1);
    whist_dataset_free(dataset);
    schema.columns[0].has_fill = false;
    refused(&schema, "a,kind,y\n?,p,0\n,q,1\n", WHIST_E_FORMAT, "'here'|'a'|fill");
    whist_schema_clear(&schema);
    /* A level that reads like "missing" is a level. */
    schema = tabular(WHIST_TASK_REGRESSION, "kind:p|? y:t");
    dataset = opened(&schema, "kind,y\n?,1\n");
    assert_true(whist_dataset_rows(dataset, WHIST_FOLD_TRAIN).x[1] == 1);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
}

static void test_standardisation(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_REGRESSION, "a:r b:r c:r kind:p|q y:t");
    schema.standardize = WHIST_STANDARDIZE_SITE;
    schema.standardize_one_hot = false;
    schema.columns[2].standardize = false;
    whist_dataset *dataset = opened(&schema, "a,b,c,kind,y\n1,0.1,7,p,0\n3,0.1,8,q,0\n5,0.1,9,p,0\n");
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TRAIN);
    static const float x[] = {-1, 0, 7, 1, 0, 0, 0, 8, 0, 1, 1, 0, 9, 1, 0};
    assert_memory_equal(rows.x, x, sizeof x);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
}

/* 40 rows of class 0 and 10 of class 1, the row's number as its only feature. */
static char *fifty_rows(void)
{
    static char text[1024];
    SET(text, "a,y\n");
    for (int i = 0; i < 50; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d\n", i, i % 5 == 4);
    return text;
}

static whist_status more_of(whist_dataset **out, const whist_schema *schema, const char *text,
                            const whist_dataset *like)
{
    put("more.csv", text);
    const whist_data_source source = {.folder = folder, .file = "more.csv"};
    return whist_dataset_open_more(out, schema, &source, like);
}

static void more_refused(const whist_schema *schema, const char *text, const whist_dataset *like, whist_status code,
                         const char *word)
{
    whist_dataset *more = NULL;
    assert_int_equal(more_of(&more, schema, text, like), code);
    assert_null(more);
    if (!strstr(whist_detail_get()->text, word)) fail_msg("'%s' is not in: %s", word, whist_detail_get()->text);
}

/* Mean 3, sd 2 and the fill of the training rows count, never those of the file. */
static void test_more_rows(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_REGRESSION, "id:k a:r kind:p|q y:t");
    schema.standardize = WHIST_STANDARDIZE_SITE;
    schema.rows_with_missing = WHIST_MISSING_MEAN;
    schema.standardize_one_hot = false;
    whist_dataset *more, *like = opened(&schema, "id,a,kind,y\n1,1,p,0\n2,3,q,0\n3,5,p,0\n");
    assert_ok(more_of(&more, &schema, "kind,a\nq,7\n,\np,3\n", like));
    whist_rows rows = whist_dataset_rows(more, WHIST_FOLD_TEST);
    assert_true(rows.n == 3 && rows.d == 3 && isnan(rows.y[0]) && !rows.weight);
    assert_true(rows.x[0] == 2 && rows.x[3] == 0 && rows.x[6] == 0);
    assert_true(rows.x[1] == 0 && rows.x[2] == 1 && rows.x[4] == (float)(2.0 / 3));
    assert_int_equal(whist_dataset_rows(more, WHIST_FOLD_TRAIN).n, 0);
    const double zero[3] = {0}, one[3] = {1, 1, 1};
    assert_int_equal(whist_dataset_standardize(more, zero, one), WHIST_E_STATE);
    whist_dataset_free(more);
    assert_ok(more_of(&more, &schema, "y,kind,a,other\n?,q,7,x\n4,q,7,x\n", like)); /* targets where there are any */
    rows = whist_dataset_rows(more, WHIST_FOLD_TEST);
    assert_true(isnan(rows.y[0]) && rows.y[1] == 4 && rows.x[0] == rows.x[3]);
    whist_dataset_free(more);
    more_refused(&schema, "kind\nq\n", like, WHIST_E_FORMAT, "'a'");
    more_refused(&schema, "kind,a,y\nq,1,secret\n", like, WHIST_E_FORMAT, "line 2");
    more_refused(&schema, "kind,a\n", like, WHIST_E_FORMAT, "no rows");
    more_refused(&schema, "kind,a\nq,1\n", NULL, WHIST_E_STATE, "name the site");
    whist_dataset *close = opened(&schema, "id,a,kind,y\n1,1,p,0\n2,1.0001,q,0\n");
    more_refused(&schema, "kind,a\nq,1\nq,3e38\n", close, WHIST_E_RANGE, "row 2: the standardised value of 'a'");
    whist_dataset_free(close);
    whist_schema_clear(&schema);

    whist_schema other = tabular(WHIST_TASK_REGRESSION, "a:r b:r y:t");
    more_refused(&other, "a,b\n1,2\n", like, WHIST_E_ARG, "different columns");
    more_refused(&other, "a,b\n1,2\n?,2\n", NULL, WHIST_E_FORMAT, "line 3");
    other.header = false;
    assert_ok(more_of(&more, &other, "1,2\n", NULL)); /* raw: for pooled moments */
    assert_true(whist_dataset_rows(more, WHIST_FOLD_TEST).x[1] == 2);
    assert_ok(whist_dataset_standardize(more, zero, one));
    whist_dataset_free(more);
    more_refused(&other, "1\n", NULL, WHIST_E_FORMAT, "line 1");
    more_refused(&other, "1,2,3,4\n", NULL, WHIST_E_FORMAT, "line 1");
    whist_schema_clear(&other);
    whist_dataset_free(like);

    other = tabular(WHIST_TASK_SURVIVAL, "where:s a:r T:t E:e");
    other.partition = WHIST_PARTITION_COLUMN;
    assert_ok(more_of(&more, &other, "a,T,E\n1,,\n2,5,1\n", NULL));
    rows = whist_dataset_rows(more, WHIST_FOLD_TEST);
    assert_true(isnan(rows.event[0]) && rows.event[1] == 1 && rows.y[1] == 5);
    whist_dataset_free(more);
    whist_schema_clear(&other);
    whist_schema images = mnist_schema();
    more_refused(&images, "1\n", NULL, WHIST_E_UNSUPPORTED, "CSV");
    whist_schema_clear(&images);
}

static void test_fractions(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    schema.test_fraction = 0.3;
    schema.validation_fraction = 0.2;
    whist_dataset *dataset = opened(&schema, fifty_rows()), *again;
    whist_data_summary summary = whist_dataset_describe(dataset);
    assert_true(summary.rows[0] == 28 && summary.rows[1] == 7 && summary.rows[2] == 15);
    assert_true(summary.classes[4] == 12 && summary.classes[5] == 3); /* test: 4 to 1, as all */
    bool seen[50] = {false};
    for (int fold = 0; fold < 3; fold++) {
        whist_rows rows = whist_dataset_rows(dataset, (whist_fold)fold);
        for (size_t i = 0; i < rows.n; i++) {
            assert_false(seen[(size_t)rows.x[i]]);
            seen[(size_t)rows.x[i]] = true;
        }
    }
    whist_data_source source = source_of("t.csv");
    source.seed = 2;
    assert_ok(whist_dataset_open(&again, &schema, &source));
    whist_rows a = whist_dataset_rows(dataset, WHIST_FOLD_TEST), b = whist_dataset_rows(again, WHIST_FOLD_TEST);
    assert_memory_not_equal(a.x, b.x, 15 * sizeof *a.x); /* another seed, another split */
    whist_dataset_free(again);
    whist_dataset_free(dataset);
    dataset = opened(&schema, "a,y\n1,0\n2,0\n"); /* too few for three folds: a row each for two */
    summary = whist_dataset_describe(dataset);
    assert_true(summary.rows[0] == 1 && summary.rows[1] == 0 && summary.rows[2] == 1);
    whist_dataset_free(dataset);
    dataset = opened(&schema, "a,y\n1,0\n");
    assert_int_equal(whist_dataset_describe(dataset).rows[0], 1);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
}

/* Whatever the counts, the shares add up, and no class is more than one row off its exact share. */
static void test_fractions_are_stratified(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_CLASSES, "a:r y:t");
    schema.n_classes = 3;
    schema.test_fraction = 0.34;
    for (int n = 3; n < 60; n += 7) {
        char text[2048] = "a,y\n";
        size_t count[3] = {0};
        for (int i = 0; i < n; i++) {
            int y = i % 7 == 0 ? 2 : i % 3 == 0;
            count[y]++;
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d\n", i, y);
        }
        whist_dataset *dataset = opened(&schema, text);
        whist_data_summary summary = whist_dataset_describe(dataset);
        assert_int_equal(summary.rows[2], (size_t)llround(0.34 * n));
        for (size_t k = 0; k < 3; k++)
            assert_true(fabs((double)summary.classes[6 + k] - (double)(summary.rows[2] * count[k]) / n) < 1);
        whist_dataset_free(dataset);
    }
    whist_schema_clear(&schema);
}

static void test_class_weights(void **state)
{
    (void)state;
    double weights[2] = {1, 10};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    schema.class_weights = weights;
    schema.n_class_weights = 2;
    schema.class_weights_balanced = true;
    whist_dataset *dataset = opened(&schema, fifty_rows());
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TRAIN);
    assert_true(rows.weight[0] == 50.0F / 80 && rows.weight[4] == 25);
    whist_dataset_free(dataset);
    schema.class_weights = NULL;
    schema.class_weights_balanced = false;
    dataset = opened(&schema, fifty_rows());
    assert_null(whist_dataset_rows(dataset, WHIST_FOLD_TRAIN).weight);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
}

static void test_split_files(void **state)
{
    (void)state;
    whist_schema schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    SET(schema.split_file, "s.csv");
    SET(schema.fold_validation, "val");
    put("s.csv", "row,fold\n2,train\n3,test\n5,val\n6,other\n");
    whist_dataset *dataset = opened(&schema, "a,y\n1,0\n2,0\n3,0\n4,0\n5,0\n6,0\n");
    whist_data_summary summary = whist_dataset_describe(dataset);
    assert_true(summary.rows[0] == 1 && summary.rows[1] == 1 && summary.rows[2] == 1 && summary.rows_left_out == 3);
    assert_true(whist_dataset_rows(dataset, WHIST_FOLD_VALIDATION).x[0] == 4);
    whist_dataset_free(dataset);
    put("s.csv", "row,fold\n2,train\n9,test\n");
    refused(&schema, "a,y\n1,0\n2,0\n", WHIST_E_FORMAT, "s.csv|line 3|belong together");
    put("s.csv", "row,fold\n2,train\n2,test\n");
    refused(&schema, "a,y\n1,0\n2,0\n", WHIST_E_FORMAT, "s.csv|line 3|second time");
    put("s.csv", "rows,fold\n2,train\n");
    refused(&schema, "a,y\n1,0\n2,0\n", WHIST_E_FORMAT, "s.csv|'row'|'rows'");
    put("s.csv", "row,fold\n2,other\n");
    refused(&schema, "a,y\n1,0\n2,0\n", WHIST_E_FORMAT, "no training rows");
    SET(schema.fold_test, "val");
    refused(&schema, "a,y\n1,0\n2,0\n", WHIST_E_ARG, "'val'");
    whist_schema_clear(&schema);

    schema = tabular(WHIST_TASK_BINARY, "id:k a:r y:t");
    SET(schema.split_file, "s.csv");
    put("s.csv", "row,fold\np2,train\np1,test\n");
    dataset = opened(&schema, "id,a,y\np1,1,0\np2,2,0\n");
    assert_true(whist_dataset_rows(dataset, WHIST_FOLD_TRAIN).x[0] == 2);
    whist_dataset_free(dataset);
    refused(&schema, "id,a,y\nsecret,1,0\nsecret,2,0\n", WHIST_E_FORMAT, "same id");
    refused(&schema, "id,a,y\np7,1,0\n", WHIST_E_FORMAT, "s.csv|line 2|this id");
    whist_schema_clear(&schema);
}

static void test_site_column(void **state)
{
    (void)state;
    static const char *const names[] = {"south", "north"};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "where:s a:r y:t");
    schema.partition = WHIST_PARTITION_COLUMN;
    SET(schema.file, "c.csv");
    put("c.csv", "where,a,y\nnorth,1,0\nsouth,2,0\nnorth,3,1\neast,4,1\n");
    whist_dataset *all[2];
    const whist_data_source source = {.folder = folder, .n_sites = 2};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, names));
    whist_rows north = whist_dataset_rows(all[1], WHIST_FOLD_TRAIN);
    assert_true(north.n == 2 && north.x[0] == 1 && north.x[1] == 3 && north.y[1] == 1);
    assert_int_equal(whist_dataset_rows(all[0], WHIST_FOLD_TRAIN).n, 1);
    assert_int_equal(whist_dataset_describe(all[0]).rows_left_out, 3);
    for (int s = 0; s < 2; s++) whist_dataset_free(all[s]);
    static const char *const twice[] = {"south", "south"};
    assert_int_equal(whist_dataset_open_all(all, &schema, &source, NULL, twice), WHIST_E_ARG);
    static const char *const absent[] = {"south", "west"};
    assert_int_equal(whist_dataset_open_all(all, &schema, &source, NULL, absent), WHIST_E_FORMAT);
    whist_schema_clear(&schema);
}

/* Dealt-out parts are a partition, also where the numbers do not divide. */
static void test_dealing(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    SET(schema.file, "t.csv");
    schema.shards = 3;
    put("t.csv", fifty_rows());
    for (int shards = 0; shards < 2; shards++) {
        schema.partition = shards ? WHIST_PARTITION_SHARDS : WHIST_PARTITION_IID;
        whist_dataset *all[7], *alone;
        whist_data_source source = {.folder = folder, .n_sites = 7, .seed = 11};
        assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, names));
        bool seen[50] = {false};
        size_t total = 0;
        for (size_t s = 0; s < 7; s++) {
            whist_rows rows = whist_dataset_rows(all[s], WHIST_FOLD_TRAIN);
            for (size_t i = 0; i < rows.n; i++) {
                assert_false(seen[(size_t)rows.x[i]]);
                seen[(size_t)rows.x[i]] = true;
            }
            assert_true(shards || rows.n == 7 || rows.n == 8);
            total += rows.n;
            source.site = names[s], source.site_index = s;
            assert_ok(whist_dataset_open(&alone, &schema, &source));
            whist_rows one = whist_dataset_rows(alone, WHIST_FOLD_TRAIN);
            assert_int_equal(one.n, rows.n);
            assert_memory_equal(one.x, rows.x, one.n * sizeof *one.x);
            whist_dataset_free(alone);
        }
        assert_int_equal(total, 50);
        for (size_t s = 0; s < 7; s++) whist_dataset_free(all[s]);
    }
    whist_dataset *all[7];
    schema.shards = 9; /* 63 pieces of 50 rows */
    const whist_data_source source = {.folder = folder, .n_sites = 7};
    assert_int_equal(whist_dataset_open_all(all, &schema, &source, NULL, names), WHIST_E_ARG);
    whist_schema_clear(&schema);
}

static void test_sharing(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    schema.partition = WHIST_PARTITION_IID;
    schema.standardize = WHIST_STANDARDIZE_POOLED;
    schema.test_fraction = 0.2;
    SET(schema.file, "t.csv");
    put("t.csv", fifty_rows());
    whist_dataset *all[2], *pooled, *swapped;
    const whist_data_source source = {.folder = folder, .n_sites = 2};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, names));
    assert_ok(whist_dataset_concat(&pooled, all, 2));
    assert_ok(whist_dataset_concat(&swapped, (whist_dataset *[]){all[1], all[0]}, 2));
    whist_rows a = whist_dataset_rows(all[0], WHIST_FOLD_TEST), p = whist_dataset_rows(pooled, WHIST_FOLD_TEST),
               s = whist_dataset_rows(swapped, WHIST_FOLD_TEST);
    assert_ptr_equal(a.x, p.x);
    assert_true(p.n == 10 && s.n == 10 && s.x[5] == p.x[0] && s.x[0] == p.x[5]);
    float before = p.x[0];
    const double mean = 100, sd = 0; /* sd 0 counts as 1 */
    assert_ok(whist_dataset_standardize(all[0], &mean, &sd));
    assert_true(whist_dataset_rows(all[0], WHIST_FOLD_TEST).x[0] == before - 100);
    assert_true(whist_dataset_rows(pooled, WHIST_FOLD_TEST).x[0] == before); /* the view is as it was */
    const double bad = NAN;
    assert_int_equal(whist_dataset_standardize(all[1], &bad, &sd), WHIST_E_ARG);
    for (int i = 0; i < 2; i++) whist_dataset_free(all[i]);
    assert_true(whist_dataset_rows(pooled, WHIST_FOLD_TEST).x[0] == before); /* and outlives its parts */
    whist_dataset_free(pooled);
    whist_dataset_free(swapped);
    whist_schema_clear(&schema);
}

static void test_rows_made_elsewhere(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6}, y[] = {0, 1, 1};
    const whist_rows train = {.n = 2, .d = 2, .x = x, .y = y}, test = {.n = 1, .d = 2, .x = x + 4, .y = y + 2};
    whist_dataset *dataset = NULL;
    assert_ok(whist_dataset_from_rows(&dataset, &train, &test));
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TEST);
    assert_true(rows.n == 1 && rows.x[0] == 5 && rows.y[0] == 1 && !rows.event && !rows.weight);
    double sums[5];
    whist_dataset_moments(dataset, sums);
    assert_true(sums[0] == 2 && sums[1] == 4 && sums[2] == 6 && sums[3] == 10 && sums[4] == 20);
    whist_dataset_free(dataset);
    const whist_rows other = {.n = 1, .d = 3, .x = x, .y = y};
    assert_int_equal(whist_dataset_from_rows(&dataset, &train, &other), WHIST_E_ARG);
    whist_dataset_free(NULL);
}

static void test_synthetic(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    whist_schema schema = heart_schema();
    schema.format = WHIST_DATA_SYNTHETIC;
    schema.synthetic_rows = 150;
    whist_dataset *all[2], *alone;
    whist_data_source source = {.n_sites = 2, .seed = 1};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, names));
    for (int s = 0; s < 2; s++) {
        whist_data_summary summary = whist_dataset_describe(all[s]);
        assert_true(summary.synthetic && summary.rows[0] == 100 && summary.rows[2] == 50);
        assert_true(summary.classes[0] >= 10 && summary.classes[1] >= 10);
        assert_int_equal(whist_dataset_features(all[s]), 13);
    }
    source.site = "b", source.site_index = 1;
    assert_ok(whist_dataset_open(&alone, &schema, &source));
    whist_rows one = whist_dataset_rows(alone, WHIST_FOLD_TRAIN), b = whist_dataset_rows(all[1], WHIST_FOLD_TRAIN),
               a = whist_dataset_rows(all[0], WHIST_FOLD_TRAIN);
    assert_memory_equal(one.x, b.x, one.n * one.d * sizeof *one.x);
    assert_memory_not_equal(a.x, b.x, one.n * one.d * sizeof *one.x);
    whist_dataset_free(alone);
    for (int s = 0; s < 2; s++) whist_dataset_free(all[s]);
    whist_schema_clear(&schema);
    schema = mnist_schema();
    schema.format = WHIST_DATA_SYNTHETIC;
    assert_ok(whist_dataset_open(&alone, &schema, &source));
    one = whist_dataset_rows(alone, WHIST_FOLD_TRAIN);
    assert_int_equal(one.d, 784);
    for (size_t i = 0; i < one.n * 784; i++) assert_true(one.x[i] >= 0 && one.x[i] <= 1);
    whist_dataset_free(alone);
    schema = tabular(WHIST_TASK_SURVIVAL, "a:r b:r T:t E:e");
    schema.format = WHIST_DATA_SYNTHETIC;
    assert_ok(whist_dataset_open(&alone, &schema, &source));
    assert_true(whist_dataset_rows(alone, WHIST_FOLD_TRAIN).y[0] >= 1);
    whist_dataset_free(alone);
    whist_schema_clear(&schema);
}

static void put_idx(const char *name, unsigned n_dims, const size_t *dims, uint8_t *values)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    wh_idx idx = {.type = WH_DTYPE_U8, .n_dims = n_dims, .dims = {1, 1, 1, 1, 1, 1, 1, 1}, .n = 1, .values = values};
    for (unsigned i = 0; i < n_dims; i++) idx.dims[i] = dims[i], idx.n *= dims[i];
    assert_ok(wh_idx_write(&file, &idx));
    char *path = NULL;
    assert_ok(wh_path(&path, folder, "%s", name));
    assert_ok(wh_file_write(path, wh_buf_view(&file), 0600));
    wh_free(path);
}

static void test_images(void **state)
{
    (void)state;
    uint8_t pixels[] = {0, 51, 102, 153, 204, 255, 0, 255}, labels[] = {1, 0};
    put_idx("images", 3, (const size_t[]){2, 2, 2}, pixels);
    put_idx("labels", 1, (const size_t[]){2}, labels);
    whist_schema schema = mnist_schema();
    schema.image_height = schema.image_width = 2;
    schema.n_classes = 2;
    schema.test_images[0] = 0;
    SET(schema.train_images, "images");
    SET(schema.train_labels, "labels");
    whist_dataset *dataset = NULL;
    const whist_data_source source = source_of(NULL);
    assert_ok(whist_dataset_open(&dataset, &schema, &source));
    whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TRAIN);
    assert_true(rows.n == 2 && rows.x[1] == 0.2F && rows.x[5] == 1 && rows.y[0] == 1);
    whist_dataset_free(dataset);
    dataset = NULL;
    labels[1] = 2;
    put_idx("labels", 1, (const size_t[]){2}, labels);
    assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "label 2"));
    put_idx("labels", 1, (const size_t[]){1}, labels);
    assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_FORMAT);
    schema.image_width = 3;
    assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_FORMAT);
    SET(schema.train_images, "labels");
    assert_int_equal(whist_dataset_open(&dataset, &schema, &source), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "swapped"));
    assert_null(dataset);
}

/* Every allocation fails once: nothing is set, nothing leaks (the sanitised build looks). */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    whist_schema schema = tabular(WHIST_TASK_BINARY, "where:s kind:p|q a:r y:t");
    schema.partition = WHIST_PARTITION_COLUMN;
    schema.standardize = WHIST_STANDARDIZE_SITE;
    schema.test_fraction = 0.3;
    schema.class_weights_balanced = true;
    SET(schema.file, "c.csv");
    put("c.csv", "where,kind,a,y\na,p,1,0\nb,q,2,0\na,p,3,1\nb,p,4,1\n");
    const whist_data_source source = {.folder = folder, .n_sites = 2};
    whist_status status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status != WHIST_OK && n < 1000; n++) {
        whist_dataset *all[2] = {NULL, NULL};
        wh_alloc_fail_after(n);
        status = whist_dataset_open_all(all, &schema, &source, NULL, names);
        wh_alloc_fail_after(0);
        assert_true(status == WHIST_OK || (status == WHIST_E_NOMEM && !all[0] && !all[1]));
        for (int s = 0; s < 2; s++) whist_dataset_free(all[s]);
    }
    assert_int_equal(status, WHIST_OK);
    schema.rows_with_missing = WHIST_MISSING_MEAN;
    whist_dataset *like = NULL;
    const whist_data_source of_a = {.folder = folder, .site = "a", .n_sites = 2};
    assert_ok(whist_dataset_open(&like, &schema, &of_a));
    put("more.csv", "a,kind\n7,p\n?,\n");
    const whist_data_source more_source = {.folder = folder, .file = "more.csv"};
    status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status != WHIST_OK && n < 1000; n++) {
        whist_dataset *more = NULL;
        wh_alloc_fail_after(n);
        status = whist_dataset_open_more(&more, &schema, &more_source, like);
        wh_alloc_fail_after(0);
        assert_true(status == WHIST_OK || (status == WHIST_E_NOMEM && !more));
        whist_dataset_free(more);
    }
    assert_int_equal(status, WHIST_OK);
    whist_dataset_free(like);
    whist_schema_clear(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_refused_by_place),
        cmocka_unit_test(test_files_are_bare_names),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_missing_values),
        cmocka_unit_test(test_standardisation),
        cmocka_unit_test(test_more_rows),
        cmocka_unit_test(test_fractions),
        cmocka_unit_test(test_fractions_are_stratified),
        cmocka_unit_test(test_class_weights),
        cmocka_unit_test(test_split_files),
        cmocka_unit_test(test_site_column),
        cmocka_unit_test(test_dealing),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_rows_made_elsewhere),
        cmocka_unit_test(test_synthetic),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("data", tests, make_folder, remove_folder);
}
