/* data/person_test.c: whose row it is: equal texts are one person, through split, view, copy and pool. */
#include <string.h>

#include "base/file.h"
#include "test.h"
#include "whist/data.h"

static whist_column columns[] = {
    {.name = "who", .type = WHIST_COLUMN_PERSON},
    {.name = "x", .type = WHIST_COLUMN_REAL},
    {.name = "y", .type = WHIST_COLUMN_TARGET},
};

static whist_schema schema_of(void)
{
    return (whist_schema){
        .format = WHIST_DATA_CSV, .task = WHIST_TASK_REGRESSION, .header = true, .columns = columns, .n_columns = 3};
}

static whist_status open_text(whist_dataset **out, const char *dir, const whist_schema *schema, const char *text)
{
    char *path = NULL;
    assert_ok(wh_path(&path, dir, "rows.csv"));
    assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)text, strlen(text)}, 0644));
    wh_free(path);
    return whist_dataset_open(out, schema, &(whist_data_source){.folder = dir, .file = "rows.csv", .site = "one"});
}

/* Row i has the person of row j or not, as their texts say. */
static void check_persons(const whist_rows *rows, const char *who)
{
    assert_non_null(rows->person);
    assert_int_equal(rows->n, strlen(who));
    for (size_t i = 0; i < rows->n; i++)
        for (size_t j = 0; j < rows->n; j++) assert_int_equal(rows->person[i] == rows->person[j], who[i] == who[j]);
}

static void equal_texts_are_one_person(void **state)
{
    (void)state;
    char *dir = test_dir("person");
    whist_schema schema = schema_of();
    whist_dataset *data, *again, *all;
    assert_ok(open_text(&data, dir, &schema, "who,x,y\nann,1,1\nbob,2,0\nann,3,1\n,4,1\nann ,5,0\nBob,6,1\n"));
    whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
    check_persons(&rows, "abaaB"); /* the row of nobody is dropped */
    assert_true(rows.x[3] == 5);
    assert_ok(open_text(&again, dir, &schema, "who,x,y\nbob,1,1\n"));
    whist_dataset *const parts[] = {data, again};
    assert_ok(whist_dataset_concat(&all, parts, 2));
    rows = whist_dataset_rows(all, WHIST_FOLD_TRAIN);
    check_persons(&rows, "abaaBb"); /* the same text at another site is the same person */
    whist_dataset_free(all);
    whist_dataset_free(data);
    whist_dataset_free(again);
    schema.rows_with_missing = WHIST_MISSING_REFUSE;
    assert_int_equal(open_text(&data, dir, &schema, "who,x,y\nann,1,1\n,2,0\n"), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "line 3"));
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void made_up_ones_have_ten_rows_each(void **state)
{
    (void)state;
    whist_schema schema = schema_of();
    whist_dataset *data;
    schema.format = WHIST_DATA_SYNTHETIC;
    schema.synthetic_rows = 40;
    assert_ok(whist_dataset_open(&data, &schema, &(whist_data_source){.site = "one"}));
    size_t seen[4] = {0};
    for (int fold = 0; fold < 3; fold++) {
        const whist_rows rows = whist_dataset_rows(data, (whist_fold)fold);
        for (size_t i = 0; i < rows.n; i++) seen[rows.person[i]]++;
    }
    for (size_t i = 0; i < 4; i++) assert_int_equal(seen[i], 10);
    whist_dataset_free(data);
    schema.columns = columns + 1;
    schema.n_columns = 2;
    assert_ok(whist_dataset_open(&data, &schema, &(whist_data_source){.site = "one"}));
    assert_null(whist_dataset_rows(data, WHIST_FOLD_TRAIN).person);
    whist_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_are_one_person),
        cmocka_unit_test(made_up_ones_have_ten_rows_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
