/* cli/results.h: results of one or more runs (seeds) as a table and as JSON. */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "cli/term.h"

#include <whist/fed.h>

typedef struct cli_results {
    const whist_fed_plan *plan;
    const whist_fed_result *runs; /* (n) */
    size_t n;
} cli_results;

typedef struct cli_stat {
    double mean, sd; /* over runs; NaN where there is none (sd: fewer than two runs) */
    double rows;     /* behind the value, in the last run */
} cli_stat;

/* num/den of metric m of the final model on the test rows. */
cli_stat cli_stat_site(const cli_results *results, size_t m, size_t site);
cli_stat cli_stat_pooled(const cli_results *results, size_t m);
/* Of a run: the unweighted mean over the sites with a value; the pooled one where sites are hidden. */
cli_stat cli_stat_mean(const cli_results *results, size_t m);

/* One row a site, then mean and pooled; one column a metric. */
int cli_results_table(const cli_results *results, FILE *to);
/* Writes "metrics": {…} into an open object. */
/* What the study promised and spent, in words; nothing where it promises nothing. */
void cli_results_privacy(const cli_results *results, FILE *to);
void cli_results_json(whist_json *json, const cli_results *results);

#endif
