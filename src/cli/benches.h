/* cli/benches.h: measurements of the program itself. */
#ifndef CLI_BENCHES_H
#define CLI_BENCHES_H

#include <whist/base.h>

extern const whist_bench cli_benches[]; /* a row without name ends it */

/* Whether the results of a bench are wanted as JSON, one object a line: for tables that a whist_bench_result cannot
 * hold. env: as cmd_bench.c gave it. */
bool cli_bench_json(const whist_bench_env *env);

/* ---- meta_table.c: accuracy with intervals of every meta-learner ---- */
whist_status cli_bench_meta(const whist_bench_env *env);
whist_status cli_bench_meta_small(const whist_bench_env *env); /* a row of each kind, in seconds */

#endif
