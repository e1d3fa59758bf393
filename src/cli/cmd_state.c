/* cli/cmd_state.c: whist state backup|restore. */
#include "cli/commands.h"
#include "cli/term.h"

#include <whist/run.h>

static int show(const cli_args *args, const char *what)
{
    if (!cli_flag(args, "json")) {
        printf("%s: %s %s\n", args->words[0], what, args->words[1]);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "from"), whist_json_text(json, args->words[0]);
    whist_json_key(json, "to"), whist_json_text(json, args->words[1]);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int backup(const cli_args *args)
{
    CLI_LIB(whist_state_backup(args->words[0], args->words[1]));
    return show(args, "copied, as it was at one moment, to");
}

static int restore(const cli_args *args)
{
    CLI_LIB(whist_state_restore(args->words[0], args->words[1]));
    return show(args, "checked and put back to");
}

const cli_command cli_state_commands[] = {
    {"state backup", "STATE DIR", "Copy the state of a coordinator or site, also while it runs",
     "STATE is the `state` folder of its configuration. The copy is as confidential as the original.", NULL, 2, 2,
     backup},
    {"state restore", "DIR STATE", "Put a backup into a new state folder", "", NULL, 2, 2, restore},
    {0},
};
