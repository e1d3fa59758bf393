/* cli/site.h: what the commands of a site begin with: its configuration, the study, its place in it. */
#ifndef CLI_SITE_H
#define CLI_SITE_H

#include "cli/runs.h"

#include <whist/run.h>

typedef struct cli_site {
    const cli_args *args;
    whist_site_config config;
    whist_study *study;
    size_t index; /* of the site, or of the third party */
    bool party;
    whist_dataset *data; /* NULL until cli_site_open_data */
    whist_site_run run;  /* filled but for data, stop and progress */
} cli_site;

/* From CONFIG and --study. */
int cli_site_open(cli_site *out, const cli_args *args);
void cli_site_close(cli_site *site);
/* The site's rows; nothing to do for a third party. The library's status, for those who explain it themselves. */
whist_status cli_site_open_data(cli_site *site);
/* The site's own rules against the study. */
whist_status cli_site_policy(const cli_site *site);

#endif
