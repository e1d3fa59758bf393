/* cli/few.h: a study, its rows as few-shot tasks, and a model of it, for whist meta. */
#ifndef CLI_FEW_H
#define CLI_FEW_H

#include "cli/data.h"

#include <whist/run.h>

typedef struct cli_few {
    whist_study *study;
    whist_dataset **data; /* (n_data) */
    const char **names;   /* (n_data), of the study */
    float *moments;       /* pooled mean and sd, where the study pools */
    float *params;        /* of the model file */
    const char *left_out; /* the site of --leave-out */
    whist_meta_env env;
} cli_few;

/* From the options data, seed, threads, leave-out, site, ways, shots, queries, statistics, as far as the command has
 * them. model: NULL, or a file, whose origin is checked (--force). Rows are standardised by the model file's moments,
 * or else, where the study pools, by those of all sites but the one left out. Without rows: only_study. */
int cli_few_open(cli_few *out, const cli_args *args, const char *study, const char *model);
int cli_few_study(cli_few *out, const cli_args *args, const char *study, const char *model);
void cli_few_clear_one(cli_few *few);

/* CLI_REFUSED unless the model's metadata name the study. */
int cli_model_origin(const char *path, const whist_study *study);
/* A number from an option; CLI_USAGE beside low … high. */
int cli_few_real(double *out, const cli_args *args, const char *option, double fallback, double low, double high);

#endif
