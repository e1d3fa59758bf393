/* cli/train_private.h: whist train of a study that makes a promise. */
#ifndef CLI_TRAIN_PRIVATE_H
#define CLI_TRAIN_PRIVATE_H

#include "cli/args.h"

#include <whist/study.h>

int cli_train_private(const cli_args *args, const whist_study *study, const char *folder);

#endif
