/* cli/main.c: the program `whist`: finds the subcommand, reads its options, runs it. */
#include "cli/commands.h"
#include "cli/log.h"
#include "cli/signals.h"

#include <stdio.h>
#include <string.h>

static int unknown_command(int argc, char **argv)
{
    char asked[128];
    bool group = cli_is_group(argv[0]);
    snprintf(asked, sizeof asked, "%s%s%s", argv[0], group && argc > 1 ? " " : "", group && argc > 1 ? argv[1] : "");
    const char *near = NULL;
    unsigned best = 4;
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++) {
            unsigned distance = cli_distance(c->name, asked);
            if (distance < best) best = distance, near = c->name;
        }
    return cli_fail_text(CLI_USAGE, "usage", "there is no command '%s'%s%s%s (see `whist help`)", asked,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv)
{
    cli_signals_tame();
    if (argc < 2) {
        cli_help_overview(NULL);
        return CLI_USAGE;
    }
    if (asks_for_help(argv[1])) return cli_help_overview(NULL);
    static char version[] = "version";
    if (strcmp(argv[1], "--version") == 0) argv[1] = version;
    int words = 0;
    const cli_command *command = cli_command_find(argc - 1, argv + 1, &words);
    if (!command && cli_is_group(argv[1]) && (argc == 2 || asks_for_help(argv[2]))) {
        cli_help_overview(argv[1]);
        return argc == 2 ? CLI_USAGE : CLI_OK;
    }
    if (!command) return unknown_command(argc - 1, argv + 1);

    cli_args args;
    bool help;
    CLI_TRY(cli_args_parse(&args, &help, command, argc - 1 - words, argv + 1 + words));
    if (!help) cli_log_init(&args, false);
    int code = help ? cli_help_command(command) : command->run(&args);
    cli_args_clear(&args);
    return code;
}
