/* Tests of data on the published data sets (skipped where WHIST_DATA is not set): counts as FLamby
 * states them, and values against a computation that shares no code with the room. */
#include <math.h>
#include <time.h>

#include "base/file.h"
#include "data/schemas_test.h"
#include "test.h"

static const char *const hospitals[] = {"cleveland", "hungarian", "switzerland", "va"};
static const char *const heart_files[] = {"processed.cleveland.data", "processed.hungarian.data",
                                          "processed.switzerland.data", "processed.va.data"};

static char *folder_of(const char *set)
{
    char *path = NULL;
    if (!test_data()) skip();
    assert_ok(wh_path(&path, test_data(), "%s", set));
    if (!wh_file_exists(path)) {
        wh_free(path);
        skip();
    }
    return path;
}

/* The file as plain numbers, by strtod; NAN for '?'. Returns the number of lines. */
static size_t read_plain(double out[400][14], const char *folder, const char *file)
{
    char *path = NULL, line[512];
    assert_ok(wh_path(&path, folder, "%s", file));
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t n = 0;
    while (fgets(line, sizeof line, in)) {
        char *at = line;
        for (int c = 0; c < 14; c++) {
            out[n][c] = *at == '?' ? (double)NAN : strtod(at, NULL);
            at += strcspn(at, ",\n");
            if (*at) at++;
        }
        n++;
    }
    fclose(in);
    wh_free(path);
    return n;
}

/* The 13 features of a line, not standardised; false where one is missing. */
static bool plain_features(double out[13], const double cells[14])
{
    static const int numbers[] = {0, 1, -3, 3, 4, 5, -7, 7, 8, 9};
    size_t j = 0;
    for (size_t i = 0; i < WH_COUNT(numbers); i++) {
        int c = numbers[i] < 0 ? -numbers[i] - 1 : numbers[i];
        if (isnan(cells[c])) return false;
        if (c == 2)
            for (int level = 2; level <= 4; level++) out[j++] = cells[2] == level;
        else if (c == 6)
            for (int level = 1; level <= 2; level++) out[j++] = cells[6] == level;
        else
            out[j++] = cells[c];
    }
    assert_int_equal(j, 13);
    return !isnan(cells[13]);
}

/* Folds by line, from the split file. */
static void read_folds(char out[400], const char *folder, const char *hospital)
{
    char *path = NULL, line[256], name[64], fold[16];
    unsigned centre, number;
    memset(out, 0, 400);
    assert_ok(wh_path(&path, folder, "flamby_split.csv"));
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in))
        if (sscanf(line, "%u,%63[^,],%u,%15s", &centre, name, &number, fold) == 4 && !strcmp(name, hospital))
            out[number] = fold[1] == 'r' ? 1 : 2;
    fclose(in);
    wh_free(path);
}

static void check_hospital(const whist_dataset *dataset, const char *folder, size_t h)
{
    static double cells[400][14];
    double rows[2][400][13], mean[13] = {0}, sd[13] = {0};
    float target[2][400];
    char fold[400];
    size_t count[2] = {0}, n = read_plain(cells, folder, heart_files[h]);
    read_folds(fold, folder, hospitals[h]);
    for (size_t i = 0; i < n; i++) {
        double features[13];
        if (!plain_features(features, cells[i])) {
            assert_int_equal(fold[i + 1], 0);
            continue;
        }
        size_t f = (size_t)fold[i + 1] - 1;
        assert_true(f < 2);
        memcpy(rows[f][count[f]], features, sizeof features);
        target[f][count[f]++] = cells[i][13] > 0;
    }
    for (size_t j = 0; j < 13; j++) {
        for (size_t i = 0; i < count[0]; i++) mean[j] += rows[0][i][j] / (double)count[0];
        for (size_t i = 0; i < count[0]; i++) sd[j] += (rows[0][i][j] - mean[j]) * (rows[0][i][j] - mean[j]);
        sd[j] = sqrt(sd[j] / (double)(count[0] - 1));
    }
    static const whist_fold folds[] = {WHIST_FOLD_TRAIN, WHIST_FOLD_TEST};
    for (size_t f = 0; f < 2; f++) {
        whist_rows view = whist_dataset_rows(dataset, folds[f]);
        assert_int_equal(view.n, count[f]);
        assert_int_equal(view.d, 13);
        for (size_t i = 0; i < view.n; i++) {
            assert_true(view.y[i] == target[f][i]);
            for (size_t j = 0; j < 13; j++) {
                double expect = sd[j] > 1e-9 ? (rows[f][i][j] - mean[j]) / sd[j] : rows[f][i][j] - mean[j];
                assert_true(fabs((double)view.x[i * 13 + j] - expect) < 1e-5);
            }
        }
    }
}

/* Each test row of a hospital, alone in a file: the same numbers as inside the hospital's data, with the target, with
 * an empty one and without its column. */
static void test_heart_row_alone(void **state)
{
    (void)state;
    static double cells[400][14];
    char fold[400], *folder = folder_of("heart"), *dir = test_dir("more"), *from = NULL, *to = NULL, line[512];
    whist_schema schema = heart_schema();
    whist_dataset *va, *more;
    const whist_data_source source = {
        .folder = folder, .file = heart_files[3], .site = "va", .site_index = 3, .n_sites = 4, .seed = 1};
    const whist_data_source alone = {.folder = dir, .file = "one.csv"};
    assert_ok(whist_dataset_open(&va, &schema, &source));
    whist_rows test = whist_dataset_rows(va, WHIST_FOLD_TEST);
    read_plain(cells, folder, heart_files[3]);
    read_folds(fold, folder, "va");
    assert_ok(wh_path(&from, folder, "%s", heart_files[3]));
    assert_ok(wh_path(&to, dir, "one.csv"));
    FILE *in = fopen(from, "r");
    assert_non_null(in);
    size_t n = 0;
    for (size_t i = 0; fgets(line, sizeof line, in); i++) {
        if (fold[i + 1] != 2) continue;
        for (int form = 0; form < 3; form++) { /* whole; empty target; no target */
            if (form) strrchr(line, ',')[form == 1] = 0;
            assert_ok(wh_file_write(to, (whist_bytes){(const uint8_t *)line, strlen(line)}, 0600));
            assert_ok(whist_dataset_open_more(&more, &schema, &alone, va));
            whist_rows rows = whist_dataset_rows(more, WHIST_FOLD_TEST);
            assert_int_equal(rows.n, 1);
            assert_memory_equal(rows.x, test.x + n * 13, 13 * sizeof *rows.x);
            assert_true(form ? isnan(rows.y[0]) : rows.y[0] == test.y[n]);
            whist_dataset_free(more);
        }
        n++;
    }
    assert_int_equal(n, test.n);
    fclose(in);
    whist_dataset_free(va);
    whist_schema_clear(&schema);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    wh_free(from);
    wh_free(to);
    wh_free(folder);
}

static void test_heart(void **state)
{
    (void)state;
    static const size_t counts[4][2] = {{199, 104}, {172, 89}, {30, 16}, {85, 45}};
    char *folder = folder_of("heart");
    whist_schema schema = heart_schema();
    whist_dataset *all[4], *pooled;
    const whist_data_source source = {.folder = folder, .n_sites = 4, .seed = 1};
    assert_ok(whist_dataset_open_all(all, &schema, &source, heart_files, hospitals));
    for (size_t h = 0; h < 4; h++) {
        assert_int_equal(whist_dataset_rows(all[h], WHIST_FOLD_TRAIN).n, counts[h][0]);
        assert_int_equal(whist_dataset_rows(all[h], WHIST_FOLD_TEST).n, counts[h][1]);
        assert_int_equal(whist_dataset_rows(all[h], WHIST_FOLD_VALIDATION).n, 0);
        check_hospital(all[h], folder, h);
    }
    assert_string_equal(whist_dataset_feature_name(all[0], 2), "cp=2");
    assert_string_equal(whist_dataset_feature_name(all[0], 12), "oldpeak");
    whist_data_summary summary = whist_dataset_describe(all[1]);
    assert_int_equal(summary.rows_read, 294);
    assert_int_equal(summary.rows_dropped, 294 - 172 - 89);
    assert_int_equal(summary.rows_left_out, 0);
    assert_int_equal(summary.classes[0] + summary.classes[1], 172);
    assert_ok(whist_dataset_concat(&pooled, all, 4));
    assert_int_equal(whist_dataset_rows(pooled, WHIST_FOLD_TRAIN).n, 486);
    assert_int_equal(whist_dataset_rows(pooled, WHIST_FOLD_TEST).n, 254);
    whist_rows va = whist_dataset_rows(all[3], WHIST_FOLD_TEST), end = whist_dataset_rows(pooled, WHIST_FOLD_TEST);
    assert_memory_equal(va.x, end.x + 209 * 13, va.n * 13 * sizeof *va.x);
    whist_dataset_free(pooled);
    for (size_t h = 0; h < 4; h++) whist_dataset_free(all[h]);
    whist_schema_clear(&schema);
    wh_free(folder);
}

/* Moments of all hospitals, added up, standardise the pooled rows to mean 0 and sd 1. */
static void test_heart_pooled_standardisation(void **state)
{
    (void)state;
    char *folder = folder_of("heart");
    whist_schema schema = heart_schema();
    schema.standardize = WHIST_STANDARDIZE_POOLED;
    whist_dataset *all[4], *pooled;
    const whist_data_source source = {.folder = folder, .n_sites = 4, .seed = 1};
    assert_ok(whist_dataset_open_all(all, &schema, &source, heart_files, hospitals));
    double total[27] = {0}, sums[27], mean[13], sd[13];
    for (size_t h = 0; h < 4; h++) {
        whist_dataset_moments(all[h], sums);
        for (size_t i = 0; i < 27; i++) total[i] += sums[i];
    }
    assert_true(total[0] == 486);
    for (size_t j = 0; j < 13; j++) {
        mean[j] = total[1 + j] / total[0];
        sd[j] = sqrt((total[14 + j] - total[0] * mean[j] * mean[j]) / (total[0] - 1));
    }
    for (size_t h = 0; h < 4; h++) assert_ok(whist_dataset_standardize(all[h], mean, sd));
    assert_int_equal(whist_dataset_standardize(all[0], mean, sd), WHIST_E_STATE);
    assert_ok(whist_dataset_concat(&pooled, all, 4));
    whist_dataset_moments(pooled, sums);
    for (size_t j = 0; j < 13; j++) {
        assert_true(fabs(sums[1 + j] / 486) < 1e-5);
        assert_true(fabs(sums[14 + j] / 485 - 1) < 1e-4);
    }
    whist_dataset_free(pooled);
    for (size_t h = 0; h < 4; h++) whist_dataset_free(all[h]);
    whist_schema_clear(&schema);
    wh_free(folder);
}

/* All columns of a file with a header as real numbers, but for some. */
static whist_schema schema_of_header(const char *folder, const char *file, whist_task task)
{
    whist_schema schema = {.format = WHIST_DATA_CSV, .task = task, .header = true};
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    char *path = NULL;
    assert_ok(wh_path(&path, folder, "%s", file));
    assert_ok(wh_file_read(&text, path, 1 << 24));
    wh_free(path);
    assert_ok(WH_NEW(&schema.columns, 64));
    const char *at = wh_buf_str(&text);
    while (*at && *at != '\n') {
        bool quoted = *at == '"';
        size_t len = quoted ? strcspn(++at, "\"") : strcspn(at, ",\n");
        whist_column *column = &schema.columns[schema.n_columns++];
        memcpy(column->name, at, len < 63 ? len : 63);
        column->type = WHIST_COLUMN_REAL;
        column->standardize = true;
        at += len + quoted;
        if (*at == ',') at++;
    }
    return schema;
}

static void test_tcga_brca(void **state)
{
    (void)state;
    static const size_t counts[6][2] = {{248, 63}, {156, 40}, {164, 42}, {129, 33}, {129, 33}, {40, 11}};
    static const char *const regions[] = {"northeast", "south", "west", "midwest", "europe", "canada"};
    char *folder = folder_of("tcga_brca");
    whist_schema schema = schema_of_header(folder, "brca.csv", WHIST_TASK_SURVIVAL);
    assert_int_equal(schema.n_columns, 42);
    schema.columns[0].type = WHIST_COLUMN_ROW;
    schema.columns[40].type = WHIST_COLUMN_EVENT;
    schema.columns[41].type = WHIST_COLUMN_TARGET;
    schema.partition = WHIST_PARTITION_SPLIT;
    SET(schema.file, "brca.csv");
    SET(schema.split_file, "train_test_split.csv");
    SET(schema.split_row, "pid");
    SET(schema.split_fold, "fold2");
    SET(schema.fold_train, "train_{index}");
    SET(schema.fold_test, "test_{index}");
    whist_dataset *all[6], *alone, *pooled;
    whist_data_source source = {.folder = folder, .n_sites = 6};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, regions));
    double events = 0;
    for (size_t s = 0; s < 6; s++) {
        whist_rows train = whist_dataset_rows(all[s], WHIST_FOLD_TRAIN),
                   test = whist_dataset_rows(all[s], WHIST_FOLD_TEST);
        assert_int_equal(train.n, counts[s][0]);
        assert_int_equal(test.n, counts[s][1]);
        assert_int_equal(train.d, 39);
        for (size_t i = 0; i < train.n; i++) events += (double)train.event[i];
        for (size_t i = 0; i < test.n; i++) events += (double)test.event[i];
        source.site = regions[s], source.site_index = s;
        assert_ok(whist_dataset_open(&alone, &schema, &source));
        whist_rows one = whist_dataset_rows(alone, WHIST_FOLD_TRAIN);
        assert_int_equal(one.n, train.n);
        assert_memory_equal(one.x, train.x, train.n * train.d * sizeof *train.x);
        assert_memory_equal(one.y, train.y, train.n * sizeof *train.y);
        whist_dataset_free(alone);
    }
    assert_true(events > 100 && events <= 151);
    assert_ok(whist_dataset_concat(&pooled, all, 6));
    assert_int_equal(whist_dataset_rows(pooled, WHIST_FOLD_TRAIN).n, 866);
    assert_ptr_equal(whist_dataset_rows(pooled, WHIST_FOLD_TRAIN).x, whist_dataset_rows(all[0], WHIST_FOLD_TRAIN).x);
    whist_dataset_free(pooled);
    for (size_t s = 0; s < 6; s++) whist_dataset_free(all[s]);
    whist_schema_clear(&schema);
    wh_free(folder);
}

static void test_adult(void **state)
{
    (void)state;
    char *folder = folder_of("adult");
    whist_schema schema = tabular(
        WHIST_TASK_BINARY, "age:r workclass:i fnlwgt:r education:i education_num:r marital:i occupation:i "
                           "relationship:i race:i sex:Female|Male gain:r loss:r hours:r country:i income:<=50K|>50K");
    schema.columns[14].type = WHIST_COLUMN_TARGET;
    schema.columns[14].drop_first = false;
    schema.header = false;
    schema.partition = WHIST_PARTITION_IID;
    schema.test_fraction = 0.2;
    schema.class_weights_balanced = true;
    SET(schema.file, "adult.data");
    static const char *const banks[] = {"a", "b", "c"};
    whist_dataset *all[3];
    const whist_data_source source = {.folder = folder, .n_sites = 3, .seed = 5};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, banks));
    uint64_t rich = 0, rows = 0;
    for (size_t s = 0; s < 3; s++) {
        whist_data_summary summary = whist_dataset_describe(all[s]);
        rich += summary.classes[1] + summary.classes[5];
        rows += summary.rows[0] + summary.rows[2];
        whist_rows train = whist_dataset_rows(all[s], WHIST_FOLD_TRAIN);
        double sum = 0;
        for (size_t i = 0; i < train.n; i++) sum += (double)train.weight[i];
        assert_true(fabs(sum / (double)train.n - 1) < 1e-4);
        double share = (double)summary.classes[1] / (double)summary.rows[0];
        assert_true(fabs(share - (double)summary.classes[5] / (double)summary.rows[2]) < 1e-3); /* stratified */
        whist_dataset_free(all[s]);
    }
    assert_int_equal(rich, 7841);
    assert_int_equal(rows, 32561);
    whist_schema_clear(&schema);
    wh_free(folder);
}

static void test_breast_cancer(void **state)
{
    (void)state;
    char *folder = folder_of("breast_cancer"), columns[512] = "";
    for (int j = 0; j < 30; j++) snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "x%d:r ", j);
    snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "benign:t");
    whist_schema schema = tabular(WHIST_TASK_BINARY, columns);
    schema.header = false;
    schema.skip_lines = 1;
    schema.test_fraction = 0.2;
    schema.standardize = WHIST_STANDARDIZE_SITE;
    whist_dataset *dataset;
    const whist_data_source source = {.folder = folder, .file = "breast_cancer.csv", .site = "clinic"};
    assert_ok(whist_dataset_open(&dataset, &schema, &source));
    whist_data_summary summary = whist_dataset_describe(dataset);
    assert_int_equal(summary.rows[0] + summary.rows[2], 569);
    assert_int_equal(summary.classes[1] + summary.classes[5], 357);
    whist_dataset_free(dataset);
    whist_schema_clear(&schema);
    wh_free(folder);
}

static void test_mnist(void **state)
{
    (void)state;
    enum { SITES = 100 };
    char *folder = folder_of("mnist"), names[SITES][8];
    const char *sites[SITES];
    for (size_t s = 0; s < SITES; s++) {
        snprintf(names[s], sizeof names[s], "s%zu", s);
        sites[s] = names[s];
    }
    whist_schema schema = mnist_schema();
    whist_dataset *all[SITES], *alone;
    whist_data_source source = {.folder = folder, .n_sites = SITES, .seed = 3};
    for (int shards = 0; shards < 2; shards++) {
        schema.partition = shards ? WHIST_PARTITION_SHARDS : WHIST_PARTITION_IID;
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, sites));
        clock_gettime(CLOCK_MONOTONIC, &b);
        print_message("mnist, %d sites: %.2f s\n", SITES,
                      (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9);
        unsigned kinds = 0;
        double sum = 0;
        for (size_t s = 0; s < SITES; s++) {
            whist_rows train = whist_dataset_rows(all[s], WHIST_FOLD_TRAIN);
            assert_int_equal(train.n, 600);
            assert_int_equal(train.d, 784);
            assert_int_equal(whist_dataset_rows(all[s], WHIST_FOLD_TEST).n, 100);
            bool seen[10] = {false};
            for (size_t i = 0; i < train.n; i++) seen[(size_t)train.y[i]] = true;
            for (size_t k = 0; k < 10; k++) kinds += seen[k];
            for (size_t i = 0; i < train.n * 784; i++) sum += (double)train.x[i];
        }
        assert_true(fabs(sum / (60000.0 * 784) - 0.13066) < 2e-5);
        if (shards)
            assert_true(kinds < 300); /* two shards of 300 images: seldom more than two or three digits a site */
        else
            assert_int_equal(kinds, 1000);
        source.site = sites[42], source.site_index = 42; /* alone it gets the same rows */
        assert_ok(whist_dataset_open(&alone, &schema, &source));
        whist_rows one = whist_dataset_rows(alone, WHIST_FOLD_TRAIN),
                   of_all = whist_dataset_rows(all[42], WHIST_FOLD_TRAIN);
        assert_memory_equal(one.x, of_all.x, one.n * one.d * sizeof *one.x);
        assert_memory_equal(one.y, of_all.y, one.n * sizeof *one.y);
        whist_dataset_free(alone);
        for (size_t s = 0; s < SITES; s++) whist_dataset_free(all[s]);
    }
    whist_schema_clear(&schema);
    wh_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heart),
        cmocka_unit_test(test_heart_row_alone),
        cmocka_unit_test(test_heart_pooled_standardisation),
        cmocka_unit_test(test_tcga_brca),
        cmocka_unit_test(test_adult),
        cmocka_unit_test(test_breast_cancer),
        cmocka_unit_test(test_mnist),
    };
    return cmocka_run_group_tests_name("public data", tests, NULL, NULL);
}
