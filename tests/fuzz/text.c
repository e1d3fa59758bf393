/* Fuzz: bytes become a text data set, by bytes and by an alphabet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "whist/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opening either fails with a reason, or every token of every window is below the vocabulary. */
static void try_schema(whist_schema *schema, size_t vocabulary)
{
    static const char *const names[] = {"north", "south"};
    whist_dataset *all[2] = {NULL, NULL}, *joined = NULL;
    const whist_data_source source = {.folder = "/proc/self/fd", .n_sites = 2, .seed = 1};
    if (whist_dataset_open_all(all, schema, &source, NULL, names) != WHIST_OK) {
        if (all[0] || all[1] || !whist_detail_get()->text[0]) abort();
        return;
    }
    if (whist_dataset_concat(&joined, all, 2) != WHIST_OK) abort();
    for (int fold = 0; fold < 3; fold++) {
        whist_rows rows = whist_dataset_rows(joined, (whist_fold)fold);
        for (size_t i = 0; i < rows.n; i++)
            for (size_t t = 0; t < rows.d; t++) {
                float x = rows.x[i * rows.x_stride + t], y = rows.y[i * rows.y_stride + t];
                if (!(x >= 0 && x < (float)vocabulary && y >= 0 && y < (float)vocabulary)) abort();
                if (t > 0 && rows.y[i * rows.y_stride + t - 1] != x) abort();
            }
    }
    whist_dataset_free(all[0]);
    whist_dataset_free(all[1]);
    whist_dataset_free(joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char alphabet[] = "abc \nß€";
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    whist_schema schema = {.format = WHIST_DATA_TEXT,
                           .task = WHIST_TASK_CLASSES,
                           .partition = WHIST_PARTITION_IID,
                           .test_fraction = 0.2,
                           .validation_fraction = 0.1,
                           .text_window = 3,
                           .text_step = 2};
    snprintf(schema.file, sizeof schema.file, "%d", fd);
    try_schema(&schema, 256);
    schema.text_alphabet = alphabet;
    try_schema(&schema, 7);
    schema.partition = WHIST_PARTITION_FILE;
    schema.text_step = 1;
    try_schema(&schema, 7);
    (void)close(fd);
    return 0;
}
