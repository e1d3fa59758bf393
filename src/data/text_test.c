/* Tests of text data sets: windows, folds, shares, joining, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/block.h"
#include "test.h"

static char folder[] = "/tmp/whist_text_XXXXXX";

static void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static char alphabet[] = "ab\nß€";
static whist_schema schema_of(char *letters)
{
    return (whist_schema){.format = WHIST_DATA_TEXT,
                          .task = WHIST_TASK_CLASSES,
                          .file = "text",
                          .partition = WHIST_PARTITION_IID,
                          .text_alphabet = letters,
                          .text_window = 3,
                          .text_step = 1};
}

static whist_data_source source_of(size_t index, size_t n)
{
    return (whist_data_source){.folder = folder, .site = "s", .site_index = index, .n_sites = n};
}

static void check_rows(const whist_rows *rows, size_t n, size_t step, const float *tokens)
{
    assert_int_equal(rows->n, n);
    assert_true(rows->d == 3 && rows->n_targets == 3 && rows->x_stride == step && rows->y_stride == step);
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < 3; t++) {
            assert_true(rows->x[i * step + t] == tokens[i * step + t]);
            assert_true(rows->y[i * step + t] == tokens[i * step + t + 1]);
        }
}

static void test_windows_and_folds(void **state)
{
    (void)state;
    /* 20 tokens: 12 training, 3 of the other 15 validation, 5 test */
    static const float tokens[] = {0, 1, 0, 1, 2, 3, 4, 3, 0, 0, 1, 1, 2, 0, 1, 0, 0, 1, 1, 4};
    write_text("text", "abab\nß€ßaabb\nabaabb€");
    whist_schema schema = schema_of(alphabet);
    schema.test_fraction = 0.25;
    schema.validation_fraction = 0.2;
    whist_data_source source = source_of(0, 1);
    WH_AUTO(whist_dataset_ptr) data = NULL;
    assert_ok(whist_dataset_open(&data, &schema, &source));
    whist_rows train = whist_dataset_rows(data, WHIST_FOLD_TRAIN), test = whist_dataset_rows(data, WHIST_FOLD_TEST);
    check_rows(&train, 9, 1, tokens);
    check_rows(&test, 1, 3, tokens + 15);
    assert_int_equal(whist_dataset_rows(data, WHIST_FOLD_VALIDATION).n, 0);
    assert_int_equal(whist_dataset_features(data), 3);
    assert_string_equal(whist_dataset_feature_name(data, 0), "");
    whist_row_shape shape;
    size_t d, k;
    assert_ok(whist_schema_shape(&schema, &shape));
    assert_ok(whist_schema_features(&schema, &d, &k));
    assert_true(shape.vocabulary == 5 && shape.n_outputs == 5 && shape.n_targets == 3 && shape.channels == 0);
    assert_true(d == 3 && k == 5);
}

static void test_shares_follow_each_other_and_join(void **state)
{
    (void)state;
    write_text("text", "aabbaabbaaabbbbaaabb");
    whist_schema schema = schema_of(alphabet);
    static const char *const names[] = {"x", "y"};
    whist_data_source source = {.folder = folder, .n_sites = 2};
    whist_dataset *all[2] = {NULL, NULL};
    assert_ok(whist_dataset_open_all(all, &schema, &source, NULL, names));
    WH_AUTO(whist_dataset_ptr) joined = NULL;
    WH_AUTO(whist_dataset_ptr) alone = NULL;
    WH_AUTO(whist_dataset_ptr) one = NULL;
    assert_ok(whist_dataset_concat(&joined, all, 2));
    schema.partition = WHIST_PARTITION_FILE;
    source = source_of(0, 1);
    assert_ok(whist_dataset_open(&alone, &schema, &source));
    whist_rows a = whist_dataset_rows(joined, WHIST_FOLD_TRAIN), b = whist_dataset_rows(alone, WHIST_FOLD_TRAIN);
    assert_true(a.n == 17 && b.n == 17);
    assert_memory_equal(a.x, b.x, 20 * sizeof(float));
    schema.partition = WHIST_PARTITION_IID;
    source = source_of(1, 2);
    assert_ok(whist_dataset_open(&one, &schema, &source));
    a = whist_dataset_rows(one, WHIST_FOLD_TRAIN), b = whist_dataset_rows(all[1], WHIST_FOLD_TRAIN);
    assert_true(a.n == 7 && b.n == 7);
    assert_memory_equal(a.x, b.x, 10 * sizeof(float));
    whist_dataset_free(all[0]);
    whist_dataset_free(all[1]);
}

static void test_bytes(void **state)
{
    (void)state;
    write_text("text", "\xff"
                       "aßb");
    whist_schema schema = schema_of(NULL);
    whist_data_source source = source_of(0, 1);
    WH_AUTO(whist_dataset_ptr) data = NULL;
    assert_ok(whist_dataset_open(&data, &schema, &source));
    static const float tokens[] = {255, 97, 195, 159, 98};
    whist_rows train = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
    check_rows(&train, 2, 1, tokens);
    whist_row_shape shape;
    assert_ok(whist_schema_shape(&schema, &shape));
    assert_int_equal(shape.vocabulary, 256);
}

static void refuse(const whist_schema *schema, whist_status code, const char *words)
{
    whist_data_source source = source_of(0, 1);
    whist_dataset *data = NULL;
    assert_int_equal(whist_dataset_open(&data, schema, &source), code);
    if (data || !strstr(whist_detail_get()->text, words))
        fail_msg("'%s' instead of '%s'", whist_detail_get()->text, words);
}

static void test_refusals(void **state)
{
    (void)state;
    whist_schema schema = schema_of(alphabet);
    write_text("text", "abba\naxb");
    refuse(&schema, WHIST_E_FORMAT, "text:2:2: a character that is not in the study's alphabet");
    write_text("text", "ab\xff");
    refuse(&schema, WHIST_E_FORMAT, "text:1:3: the text is not UTF-8");
    write_text("text", "aba");
    refuse(&schema, WHIST_E_FORMAT, "has 3 tokens of text for training, and a window takes 3 and one more");
    schema.text_window = 0;
    refuse(&schema, WHIST_E_ARG, "window");
    static char twice[] = "aba", one[] = "a";
    schema = schema_of(twice);
    refuse(&schema, WHIST_E_ARG, "U+0061 twice");
    schema = schema_of(one);
    refuse(&schema, WHIST_E_ARG, "1 characters");
    schema = schema_of(alphabet);
    schema.task = WHIST_TASK_BINARY;
    refuse(&schema, WHIST_E_ARG, "the next token");
    schema = schema_of(alphabet);
    schema.partition = WHIST_PARTITION_SHARDS;
    refuse(&schema, WHIST_E_ARG, "even shares");
    schema = schema_of(alphabet);
    schema.standardize = WHIST_STANDARDIZE_SITE;
    refuse(&schema, WHIST_E_ARG, "no columns");
    schema = schema_of(alphabet);
    schema.n_classes = 4;
    refuse(&schema, WHIST_E_ARG, "4 classes for a vocabulary of 5");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/text", folder);
    return unlink(path) || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_and_folds),
        cmocka_unit_test(test_shares_follow_each_other_and_join),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
