/* cli/args.h: subcommands as tables. One table reads the command line, prints --help, fills the man page and
 * completes words in the shell. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "cli/fail.h"

typedef enum cli_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_COUNT, /* a whole number, min … max */
    CLI_LIST,  /* a text; may be given more than once */
} cli_kind;

typedef struct cli_option {
    const char *name; /* long form without the dashes; NULL ends a table */
    char letter;      /* 0: no short form */
    cli_kind kind;
    const char *value; /* what it takes: "DIR"; NULL for flags */
    const char *doc;   /* one sentence */
    bool required;
    uint64_t min, max; /* COUNT */
} cli_option;

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;      /* "simulate" or "data get"; NULL ends a table */
    const char *arguments; /* "STUDY", "[NAME…]" */
    const char *summary;   /* one line */
    const char *doc;       /* paragraphs between empty lines; "" */
    const cli_option *options;
    unsigned min_arguments, max_arguments;
    int (*run)(const cli_args *args);
    const char *(*word)(size_t k); /* what an argument may be, for completion; NULL behind the last. NULL: a file */
} cli_command;

enum { CLI_ANY = 100000 }; /* max_arguments without a limit worth a name */

typedef struct cli_value {
    const cli_option *option;
    const char *text;
} cli_value;

struct cli_args {
    const cli_command *command;
    const char **words; /* arguments that are no options */
    unsigned n_words;
    cli_value *values; /* in order of appearance */
    size_t n_values;
};

/* Options that every subcommand has: --help, --json, --quiet, --log. */
extern const cli_option cli_common_options[];

/* argv: what follows the words of the command. On CLI_OK *out is ended by cli_args_clear. *help: --help was asked
 * for, nothing else counts. CLI_USAGE after a line on stderr. */
int cli_args_parse(cli_args *out, bool *help, const cli_command *command, int argc, char **argv);
void cli_args_clear(cli_args *args);

/* What was given last; NULL, false or the fallback where nothing was. */
const char *cli_text(const cli_args *args, const char *option);
bool cli_flag(const cli_args *args, const char *option);
uint64_t cli_count(const cli_args *args, const char *option, uint64_t fallback);
/* The option threads; all cores where it was not given. */
unsigned cli_threads(const cli_args *args);
/* The k-th value of a LIST; NULL behind the last. */
const char *cli_list(const cli_args *args, const char *option, size_t k);

/* Reads digits only. */
bool cli_number(uint64_t *out, const char *text, uint64_t min, uint64_t max);
/* Differences between two words (Levenshtein), up to 64 letters. */
unsigned cli_distance(const char *a, const char *b);
/* "whist simulate STUDY --data DIR [options]" */
void cli_usage_line(char out[256], const cli_command *command);
/* The option of a command (own or common) by name; NULL. */
const cli_option *cli_option_find(const cli_command *command, const char *name);

#endif
