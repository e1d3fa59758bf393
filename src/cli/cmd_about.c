/* cli/cmd_about.c: version, help, completion. */
#include "cli/commands.h"
#include "cli/term.h"

#include <whist/study.h>

#include <string.h>

/* A build that tests may interrupt and whose clock they may turn is not for use. */
#ifdef WH_TEST_HOOKS
#define WITH_TEST_HOOKS true
#else
#define WITH_TEST_HOOKS false
#endif

static int version(const cli_args *args)
{
    if (!cli_flag(args, "json")) {
        printf("whist %s\n", whist_version());
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "version"), whist_json_text(json, whist_version());
    whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
    whist_json_key(json, "machine"), whist_json_text(json, whist_machine());
    whist_json_key(json, "test_hooks"), whist_json_bool(json, WITH_TEST_HOOKS);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* Every command in one object, for programs that wrap this one. */
static int help_json(void)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "commands");
    whist_json_begin_object(json);
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++)
            whist_json_key(json, c->name), whist_json_text(json, c->summary);
    whist_json_end_object(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int help(const cli_args *args)
{
    if (cli_flag(args, "man")) return cli_help_man();
    if (cli_flag(args, "json")) return help_json();
    if (args->n_words == 0) return cli_help_overview(NULL);
    char *words[2] = {(char *)(uintptr_t)args->words[0], args->n_words > 1 ? (char *)(uintptr_t)args->words[1] : NULL};
    int n;
    const cli_command *command = cli_command_find((int)args->n_words, words, &n);
    if (command) return cli_help_command(command);
    if (cli_is_group(args->words[0])) return cli_help_overview(args->words[0]);
    return cli_fail_text(CLI_USAGE, "usage", "there is no command '%s' (see `whist help`)", args->words[0]);
}

static int completion(const cli_args *args)
{
    if (strcmp(args->words[0], "bash") != 0)
        return cli_fail_text(CLI_USAGE, "usage", "completion is there for bash, not for '%s'", args->words[0]);
    return cli_help_completion();
}

static const cli_option help_options[] = {
    {"man", 0, CLI_FLAG, NULL, "The man page, as roff."},
    {0},
};

const cli_command cli_about_commands[] = {
    {"version", "", "Print the version; with --json also kernels and machine", "", NULL, 0, 0, version},
    {"help", "[COMMAND]", "Explain the commands", "", help_options, 0, 2, help},
    {"completion", "bash", "Print a script that completes commands in the shell",
     "Put `source <(whist completion bash)` into ~/.bashrc.", NULL, 1, 1, completion},
    {0},
};
