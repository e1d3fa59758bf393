/* data/schemas_test.h: schemas built by hand, as a study file would have them. */
#ifndef WH_DATA_SCHEMAS_TEST_H
#define WH_DATA_SCHEMAS_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "whist/data.h"

/* Text into an array. */
#define SET(array, text) ((void)snprintf((array), sizeof(array), "%s", (text)))

static inline char **copy_texts(const char *const *texts, size_t n)
{
    char **copy = NULL;
    if (WH_NEW(&copy, n) != WHIST_OK) abort();
    for (size_t i = 0; i < n; i++)
        if (wh_strdup(&copy[i], texts[i]) != WHIST_OK) abort();
    return copy;
}

/* "name:type" separated by blanks; type i ignore, r real, t target, e event, s site, k row, or the levels of a
 * category separated by '|', with a leading '-' where the first is dropped. */
static inline void add_columns(whist_schema *schema, const char *text)
{
    if (WH_NEW(&schema->columns, 64) != WHIST_OK) abort();
    char copy[4096], *save = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        whist_column *column = &schema->columns[schema->n_columns++];
        char *type = strchr(word, ':');
        *type++ = 0;
        snprintf(column->name, sizeof column->name, "%s", word);
        column->standardize = true;
        static const char letters[] = "irctesk";
        const char *letter = type[1] ? NULL : strchr(letters, type[0]);
        column->type = letter ? (whist_column_type)(letter - letters) : WHIST_COLUMN_CATEGORY;
        if (letter) continue;
        column->drop_first = type[0] == '-';
        const char *levels[16];
        char *inner = NULL;
        for (char *level = strtok_r(type + column->drop_first, "|", &inner); level; level = strtok_r(NULL, "|", &inner))
            levels[column->n_levels++] = level;
        column->levels = copy_texts(levels, column->n_levels);
    }
}

static inline whist_schema tabular(whist_task task, const char *columns)
{
    whist_schema schema = {.format = WHIST_DATA_CSV, .task = task, .delimiter = ',', .header = true};
    add_columns(&schema, columns);
    static const char *const missing[] = {"?"};
    schema.missing = copy_texts(missing, 1);
    schema.n_missing = 1;
    schema.standardize_one_hot = true;
    return schema;
}

static inline whist_schema heart_schema(void)
{
    whist_schema schema = tabular(WHIST_TASK_BINARY, "age:r sex:r cp:-1|2|3|4 trestbps:r chol:r fbs:r restecg:-0|1|2 "
                                                     "thalach:r exang:r oldpeak:r slope:i ca:i thal:i num:t");
    SET(schema.set, "heart");
    schema.header = false;
    schema.columns[13].has_threshold = true;
    schema.standardize = WHIST_STANDARDIZE_SITE;
    SET(schema.split_file, "flamby_split.csv");
    SET(schema.split_site, "hospital");
    SET(schema.split_row, "line");
    SET(schema.split_fold, "fold");
    return schema;
}

static inline whist_schema mnist_schema(void)
{
    whist_schema schema = {.format = WHIST_DATA_IDX,
                           .task = WHIST_TASK_CLASSES,
                           .n_classes = 10,
                           .partition = WHIST_PARTITION_IID,
                           .image_height = 28,
                           .image_width = 28,
                           .shards = 2};
    SET(schema.train_images, "train-images-idx3-ubyte.gz");
    SET(schema.train_labels, "train-labels-idx1-ubyte.gz");
    SET(schema.test_images, "t10k-images-idx3-ubyte.gz");
    SET(schema.test_labels, "t10k-labels-idx1-ubyte.gz");
    return schema;
}

#endif
