/* cli/term.h: what people see: a progress bar, tables, one JSON line. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include "cli/args.h"

#include <whist/codec.h>

#include <stdio.h>

/* ---- Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing with --quiet. */
typedef struct cli_progress {
    bool off, terminal;
    const volatile int *stop; /* NULL, or: nonzero asks the work to stop */
    const char *label;        /* before the bar; NULL: the task's name */
    uint64_t done, total;     /* shown last */
    int64_t shown_ms;
    bool open; /* a bar stands on the line */
} cli_progress;
void cli_progress_init(cli_progress *progress, const cli_args *args, const volatile int *stop);
/* A whist_progress_fn; user is the cli_progress. */
bool cli_progress_show(void *user, const whist_progress *progress);
/* Takes the bar away, so that other text can follow. */
void cli_progress_end(cli_progress *progress);

/* ---- Tables: cells are added row by row; columns of numbers stand on the right. */
typedef struct cli_table cli_table;
cli_table *cli_table_new(size_t n_columns); /* the first row is the heading; NULL without memory */
void cli_table_free(cli_table *table);
void cli_table_add(cli_table *table, const char *format, ...) WHIST_PRINTF(2, 3);
/* CLI_FAILED where a cell was lost for want of memory. */
int cli_table_print(const cli_table *table, FILE *to);
CLI_ENDER(cli_table_end, cli_table, cli_table_free)

/* ---- JSON and the end of output */
CLI_ENDER(cli_json_end, whist_json, whist_json_free)
/* Prints the finished document as one line. */
int cli_json_print(whist_json *json);
/* CLI_FAILED where stdout could not take everything (disk full). */
int cli_flush(void);

/* Escape sequences where the stream is a terminal and NO_COLOR is not set, "" elsewhere. */
const char *cli_bold(FILE *to);
const char *cli_plain(FILE *to);

int64_t cli_now_ms(void); /* monotonic */

#endif
