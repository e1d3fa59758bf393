/* cli/runs.h: simulates one study for one or many seeds. */
#ifndef CLI_RUNS_H
#define CLI_RUNS_H

#include "cli/results.h"

#include <whist/study.h>

CLI_ENDER(cli_study_end, whist_study, whist_study_free)

typedef struct cli_runs_in {
    const whist_study *study;
    const char *path; /* of the study, for error texts */
    const char *data; /* folder; unused by synthetic data */
    /* NULL, or looks at the data of all sites, as the first seed reads them. */
    void (*opened)(whist_dataset *const *data, const whist_fed_site *sites, size_t n);
    uint64_t first_seed;
    size_t n_seeds;
    unsigned threads;
    const char *replay;     /* NULL, or a coordinator's state folder */
    cli_progress *progress; /* its stop flag counts too */
} cli_runs_in;

typedef struct cli_runs {
    whist_fed_result *runs; /* (n) */
    size_t n;
} cli_runs;

/* Runs are independent: with several seeds threads share out the seeds, else they work inside the run. */
int cli_runs_do(cli_runs *out, const cli_runs_in *in);
void cli_runs_clear(cli_runs *runs);

#endif
