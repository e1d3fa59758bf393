/* Fuzz: bytes as a checkpoint of a training run: refused with a reason, or the run goes on from it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "whist/learn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 6, D = 2 };

static whist_train *new_run(void)
{
    static const float x[ROWS * D] = {0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1}, y[ROWS] = {0, 1, 1, 0, 1, 0};
    static const char *const metrics[] = {"accuracy"};
    static const uint8_t study[32] = {1};
    static whist_model *model;
    static whist_dataset *data;
    static whist_settings *settings;
    const whist_rows rows = {.n = ROWS, .d = D, .x = x, .y = y};
    const whist_model_shape shape = {.n_features = D, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    if (!model && (whist_model_new(&model, "logistic", NULL, &shape) != WHIST_OK ||
                   whist_dataset_from_rows(&data, &rows, &rows) != WHIST_OK ||
                   whist_settings_new(&settings, whist_training_options("momentum")) != WHIST_OK))
        abort();
    const whist_train_env env = {.model = model,
                                 .data = data,
                                 .training = {.optimizer = "momentum", .settings = settings, .epochs = 2, .batch = 2},
                                 .seed = 1,
                                 .metrics = metrics,
                                 .n_metrics = 1,
                                 .threads = 1,
                                 .study = study};
    whist_train *train;
    if (whist_train_new(&train, &env) != WHIST_OK) abort();
    return train;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    whist_train *train = new_run();
    if (whist_train_load(train, path) == WHIST_OK) {
        size_t n;
        (void)whist_train_points(train, &n);
        if (whist_train_run(train, &(whist_train_go){.checkpoint = NULL}) != WHIST_OK && !whist_detail_get()->text[0])
            abort();
    } else if (whist_train_done(train, NULL) != 0 || !whist_detail_get()->text[0]) {
        abort();
    }
    whist_train_free(train);
    (void)close(fd);
    return 0;
}
