/* cli/rows.h: the rows that a model is applied to: a site's own, or those of a file that are converted as the site's.
 */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include "cli/args.h"

#include <whist/study.h>

/* The rows of --site, in --data. */
int cli_rows_site(whist_dataset **out, const cli_args *args, const whist_study *study);
/* The rows of a file, as the site's own rows would be: its training rows give mean and sd where the study asks for them
 * by site (then --site and --data are needed). Of images an IDX file (labels: its labels'
 * file, or NULL), a PNG image or a folder of them (--ink). */
int cli_rows_input(whist_dataset **out, const cli_args *args, const whist_study *study, const char *path,
                   const char *labels);
/* By the pooled mean and sd of a model file, where the study pools. */
int cli_rows_standardize(whist_dataset *data, const whist_study *study, const char *model);

#endif
