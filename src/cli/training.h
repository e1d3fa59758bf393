/* cli/training.h: what trainings in one place share: their checkpoint options, and what is told of them. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "cli/args.h"
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

/* --checkpoint, --every and --resume together, before any work is done in vain. */
int cli_check_checkpoint(const cli_args *args);

#endif
