/* cli/args.c: reads a command line by its table: -x, -xVALUE, --name, --name=VALUE, and -- before words that begin
 * with a dash. Options and words may be mixed. */
#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_option cli_common_options[] = {
    {"json", 0, CLI_FLAG, NULL, "Print one JSON object instead of text."},
    {"quiet", 'q', CLI_FLAG, NULL, "No progress."},
    {"log", 0, CLI_TEXT, "FORM", "Log to stderr as text, as json, or off (text)."},
    {"verbose", 'v', CLI_FLAG, NULL, "Log more."},
    {"help", 'h', CLI_FLAG, NULL, "Explain this command."},
    {0},
};

bool cli_number(uint64_t *out, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        unsigned digit = (unsigned)(*text - '0');
        if (value > (max - digit) / 10 || max < digit) return false;
        value = 10 * value + digit;
    }
    if (value < min) return false;
    *out = value;
    return true;
}

unsigned cli_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) return MAX;
    unsigned row[MAX + 1];
    for (unsigned j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

const cli_option *cli_option_find(const cli_command *command, const char *name)
{
    for (const cli_option *o = command->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    for (const cli_option *o = cli_common_options; o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

static const cli_option *find_letter(const cli_command *command, char letter)
{
    for (const cli_option *o = command->options; o && o->name; o++)
        if (o->letter == letter) return o;
    for (const cli_option *o = cli_common_options; o->name; o++)
        if (o->letter == letter) return o;
    return NULL;
}

static const char *nearest_option(const cli_command *command, const char *name)
{
    const cli_option *tables[2] = {command->options, cli_common_options};
    const char *near = NULL;
    unsigned best = 4;
    for (int t = 0; t < 2; t++)
        for (const cli_option *o = tables[t]; o && o->name; o++) {
            unsigned distance = cli_distance(o->name, name);
            if (distance < best) best = distance, near = o->name;
        }
    return near;
}

void cli_usage_line(char out[256], const cli_command *command)
{
    size_t at =
        (size_t)snprintf(out, 256, "whist %s%s%s", command->name, command->arguments[0] ? " " : "", command->arguments);
    for (const cli_option *o = command->options; o && o->name && at < 256; o++)
        if (o->required) at += (size_t)snprintf(out + at, 256 - at, " --%s %s", o->name, o->value);
    if (at < 256) snprintf(out + at, 256 - at, " [options]");
}

static int usage(const cli_command *command, const char *what, const char *word, const char *rest)
{
    return cli_fail_text(CLI_USAGE, "usage", "%s%s%s (see `whist %s --help`)", what, word, rest, command->name);
}

/* ---- One option ---- */

static int add_value(cli_args *args, const cli_option *option, const char *text)
{
    uint64_t number;
    char what[160];
    if (option->kind == CLI_COUNT && !cli_number(&number, text, option->min, option->max)) {
        snprintf(what, sizeof what, "--%s takes a whole number from %llu to %llu, not '", option->name,
                 (unsigned long long)option->min, (unsigned long long)option->max);
        return usage(args->command, what, text, "'");
    }
    if (option->kind != CLI_FLAG && !text[0]) {
        snprintf(what, sizeof what, "--%s takes %s, not an empty text", option->name, option->value);
        return usage(args->command, what, "", "");
    }
    args->values[args->n_values++] = (cli_value){option, text};
    return CLI_OK;
}

static int unknown(const cli_command *command, const char *name)
{
    const char *near = nearest_option(command, name);
    char rest[80];
    snprintf(rest, sizeof rest, near ? "; did you mean --%s?" : "%s", near ? near : "");
    return usage(command, "unknown option --", name, rest);
}

/* *at is the position in argv of the option; it moves on where the value is the next word. */
static int take_long(cli_args *args, int argc, char **argv, int *at)
{
    const char *word = argv[*at] + 2, *equals = strchr(word, '=');
    char name[64];
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : 63, word);
    const cli_option *option = cli_option_find(args->command, name);
    if (!option) return unknown(args->command, name);
    if (option->kind == CLI_FLAG)
        return equals ? usage(args->command, "--", name, " takes no value") : add_value(args, option, "");
    if (equals) return add_value(args, option, equals + 1);
    if (*at + 1 >= argc) return usage(args->command, "--", name, " needs a value behind it");
    return add_value(args, option, argv[++*at]);
}

static int take_letters(cli_args *args, int argc, char **argv, int *at)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const char name[2] = {*p, 0};
        const cli_option *option = find_letter(args->command, *p);
        if (!option) return usage(args->command, "unknown option -", name, "");
        if (option->kind == CLI_FLAG) {
            CLI_TRY(add_value(args, option, ""));
            continue;
        }
        if (p[1]) return add_value(args, option, p + 1);
        if (*at + 1 >= argc) return usage(args->command, "-", name, " needs a value behind it");
        return add_value(args, option, argv[++*at]);
    }
    return CLI_OK;
}

/* ---- The whole line ---- */

static int take_all(cli_args *args, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_words || word[0] != '-' || !word[1])
            args->words[args->n_words++] = word;
        else if (strcmp(word, "--") == 0)
            only_words = true;
        else
            CLI_TRY(word[1] == '-' ? take_long(args, argc, argv, &i) : take_letters(args, argc, argv, &i));
    }
    return CLI_OK;
}

static int check_all(const cli_args *args)
{
    const cli_command *command = args->command;
    char line[256];
    cli_usage_line(line, command);
    if (args->n_words < command->min_arguments) return usage(command, "something is missing: ", line, "");
    if (args->n_words > command->max_arguments)
        return usage(command, "one word too many: '", args->words[command->max_arguments], "'");
    for (unsigned i = 0; i < args->n_words; i++)
        if (!args->words[i][0]) return usage(command, "a word is empty: ", line, "");
    for (const cli_option *o = command->options; o && o->name; o++)
        if (o->required && !cli_text(args, o->name)) return usage(command, "--", o->name, " is missing");
    const char *log = cli_text(args, "log");
    if (log && strcmp(log, "text") != 0 && strcmp(log, "json") != 0 && strcmp(log, "off") != 0)
        return usage(command, "--log takes text, json or off, not '", log, "'");
    return CLI_OK;
}

int cli_args_parse(cli_args *out, bool *help, const cli_command *command, int argc, char **argv)
{
    size_t room = 1; /* -abc is three options: letters are counted */
    for (int i = 0; i < argc; i++) room += strlen(argv[i]) + 1;
    *out = (cli_args){.command = command};
    out->words = calloc((size_t)argc + 1, sizeof *out->words);
    out->values = calloc(room, sizeof *out->values);
    int code = out->words && out->values ? take_all(out, argc, argv) : cli_no_memory();
    *help = code == CLI_OK && cli_flag(out, "help");
    if (code == CLI_OK && !*help) code = check_all(out);
    if (code != CLI_OK) cli_args_clear(out);
    return code;
}

void cli_args_clear(cli_args *args)
{
    free(args->words);
    free(args->values);
    *args = (cli_args){0};
}

const char *cli_list(const cli_args *args, const char *option, size_t k)
{
    for (size_t i = 0; i < args->n_values; i++)
        if (strcmp(args->values[i].option->name, option) == 0 && k-- == 0) return args->values[i].text;
    return NULL;
}

const char *cli_text(const cli_args *args, const char *option)
{
    for (size_t i = args->n_values; i-- > 0;)
        if (strcmp(args->values[i].option->name, option) == 0) return args->values[i].text;
    return NULL;
}

bool cli_flag(const cli_args *args, const char *option)
{
    return cli_text(args, option) != NULL;
}

uint64_t cli_count(const cli_args *args, const char *option, uint64_t fallback)
{
    const char *text = cli_text(args, option);
    uint64_t value;
    return text && cli_number(&value, text, 0, UINT64_MAX) ? value : fallback;
}

unsigned cli_threads(const cli_args *args)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)cli_count(args, "threads", cores > 0 ? (uint64_t)cores : 1);
}
