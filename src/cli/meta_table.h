/* cli/meta_table.h: the lines of whist bench meta --full. */
#ifndef CLI_META_TABLE_H
#define CLI_META_TABLE_H

#include "cli/benches.h"

#include <whist/meta.h>

typedef struct cli_meta_table {
    const whist_bench_env *env;
    double budget; /* processor seconds of a training; 0: it ends after its rounds */
    uint64_t episodes;
    double begin, cpu; /* of the training that runs, and what it took */
    uint64_t taken;    /* steps, or rounds */
    bool shown;        /* the head of the table */
} cli_meta_table;

/* One measurement of a row. */
typedef struct cli_meta_line {
    const whist_meta_env *env;
    const whist_meta_score *score;
    bool attacked;       /* query rows were moved against it */
    const char *against; /* attack that it was trained against; NULL */
    size_t sites;        /* of a federation; 0 */
    double epsilon;      /* spent, for one task; 0 */
} cli_meta_line;

int cli_meta_table_line(cli_meta_table *table, const cli_meta_line *line);
int cli_meta_table_skipped(const cli_meta_table *table, const char *what, const char *why);

#endif
