/* cli/data.h: where a study's data lie on this machine, and what is odd about them. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include "cli/args.h"
#include "cli/file.h"

#include <whist/study.h>

/* --data, else WHIST_DATA/SET where that folder is there, SET being the study's data set; "." for made-up rows.
 * CLI_USAGE, naming both ways, where there is neither. */
int cli_data_folder(char out[CLI_PATH], const cli_args *args, const whist_study *study);

/* A warning in the log where the training rows of some sites all have one class: n data sets, names of their sites. */
void cli_data_warn(whist_dataset *const *data, const whist_fed_site *sites, size_t n);

#endif
