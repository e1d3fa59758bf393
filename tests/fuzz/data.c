/* Fuzz: a CSV file and its split file become a data set, by a fixed schema.
 *
 * The input is the table, and behind a line "%%" the split file. Both lie in memory files whose bare
 * names are descriptors in /proc/self/fd, so the public way in is what runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "whist/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *kinds[] = {(char[]){"0"}, (char[]){"1"}, (char[]){"two"}}, *unknown[] = {(char[]){"?"}};
static whist_column columns[] = {
    {.name = "id", .type = WHIST_COLUMN_ROW},
    {.name = "site", .type = WHIST_COLUMN_SITE},
    {.name = "age", .type = WHIST_COLUMN_REAL, .standardize = true},
    {.name = "dose", .type = WHIST_COLUMN_REAL, .has_fill = true},
    {.name = "kind", .type = WHIST_COLUMN_CATEGORY, .levels = kinds, .n_levels = 3, .drop_first = true},
    {.name = "note", .type = WHIST_COLUMN_IGNORE},
    {.name = "ill", .type = WHIST_COLUMN_TARGET, .has_threshold = true},
};

static int memory_file(char *name, size_t name_size, const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(name, name_size, "%d", fd);
    return fd;
}

/* The same file as rows to predict for: a reason, or all of its rows, finite where they were like a site's. */
static void try_more(const whist_schema *schema, const whist_data_source *source, const whist_dataset *like)
{
    whist_dataset *more = NULL;
    if (whist_dataset_open_more(&more, schema, source, like) != WHIST_OK) {
        if (more || !whist_detail_get()->text[0]) abort();
        return;
    }
    whist_rows view = whist_dataset_rows(more, WHIST_FOLD_TEST);
    if (view.n != whist_dataset_describe(more).rows_read) abort();
    for (size_t i = 0; i < view.n * view.d; i++)
        if (!(view.x[i] - view.x[i] == 0)) abort();
    whist_dataset_free(more);
}

/* Opening either fails with a reason, or gives finite rows that add up. */
static void try_schema(const whist_schema *schema)
{
    static const char *const names[] = {"north", "south"};
    whist_dataset *all[2] = {NULL, NULL};
    const whist_data_source source = {.folder = "/proc/self/fd", .n_sites = 2, .seed = 1};
    if (whist_dataset_open_all(all, schema, &source, NULL, names) != WHIST_OK) {
        if (all[0] || all[1] || !whist_detail_get()->text[0]) abort();
        return;
    }
    try_more(schema, &source, all[0]);
    for (int s = 0; s < 2; s++) {
        whist_data_summary summary = whist_dataset_describe(all[s]);
        uint64_t rows = summary.rows_dropped + summary.rows_left_out;
        for (int fold = 0; fold < 3; fold++) {
            whist_rows view = whist_dataset_rows(all[s], (whist_fold)fold);
            rows += view.n;
            for (size_t i = 0; i < view.n * view.d; i++)
                if (!(view.x[i] - view.x[i] == 0)) abort();
        }
        if (rows != summary.rows_read) abort();
        whist_dataset_free(all[s]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) return 0;
    const uint8_t *cut = size > 3 ? memmem(data, size, "\n%%\n", 4) : NULL;
    size_t len = cut ? (size_t)(cut - data) + 1 : size;
    whist_schema schema = {.format = WHIST_DATA_CSV,
                           .task = WHIST_TASK_BINARY,
                           .header = true,
                           .missing = unknown,
                           .n_missing = 1,
                           .rows_with_missing = WHIST_MISSING_MEAN,
                           .columns = columns,
                           .n_columns = sizeof columns / sizeof columns[0],
                           .standardize = WHIST_STANDARDIZE_SITE,
                           .standardize_one_hot = true,
                           .validation_fraction = 0.2,
                           .class_weights_balanced = true,
                           .partition = WHIST_PARTITION_COLUMN};
    int table = memory_file(schema.file, sizeof schema.file, data, len), split = -1;
    if (cut) {
        split = memory_file(schema.split_file, sizeof schema.split_file, cut + 4, size - len - 3);
        try_schema(&schema);
        schema.partition = WHIST_PARTITION_SPLIT;
        snprintf(schema.fold_train, sizeof schema.fold_train, "%s", "train_{index}");
        snprintf(schema.fold_test, sizeof schema.fold_test, "%s", "test_{site}");
    } else {
        schema.test_fraction = 0.3;
        try_schema(&schema);
        schema.partition = WHIST_PARTITION_SHARDS;
        schema.shards = 1;
        schema.rows_with_missing = WHIST_MISSING_DROP;
    }
    try_schema(&schema);
    close(table);
    if (split >= 0) close(split);
    return 0;
}
