/* cli/training.h: what a central training tells: table, JSON, chart. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "cli/term.h"

#include <whist/study.h>

typedef struct cli_training {
    const whist_study *study;
    const whist_train *train;
    const whist_dataset *data;
    whist_metric_value test[WHIST_MAX_METRICS];
    double seconds;
    unsigned threads;
} cli_training;

int cli_training_print(const cli_training *t);
int cli_training_json(const cli_training *t);
/* Loss over epochs, or over steps in a short training; where logloss is measured, that of the rows held back too. */
int cli_training_plot(const cli_training *t, const char *path);

#endif
