/* cli/commands.c: the list of subcommands and how a command line finds its own. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

const cli_command *const cli_tables[] = {
    cli_demo_commands,        cli_simulate_commands,  cli_study_commands,     cli_data_commands,
    cli_world_commands,       cli_provision_commands, cli_authority_commands, cli_kit_commands,
    cli_coordinator_commands, cli_site_commands,      cli_check_commands,     cli_operator_commands,
    cli_log_commands,         cli_state_commands,     cli_predict_commands,   cli_query_commands,
    cli_train_commands,       cli_model_commands,     cli_seal_commands,      cli_account_commands,
    cli_audit_commands,       cli_ledger_commands,    cli_meta_commands,      cli_meta_attack_commands,
    cli_bench_commands,       cli_selftest_commands,  cli_about_commands,     NULL,
};

const cli_command *cli_command_find(int argc, char **argv, int *n_words)
{
    char two[128];
    for (int words = argc >= 2 ? 2 : 1; words > 0 && argc > 0; words--) {
        snprintf(two, sizeof two, words == 2 ? "%s %s" : "%s", argv[0], words == 2 ? argv[1] : "");
        for (const cli_command *const *table = cli_tables; *table; table++)
            for (const cli_command *c = *table; c->name; c++)
                if (strcmp(c->name, two) == 0) {
                    *n_words = words;
                    return c;
                }
    }
    return NULL;
}

bool cli_is_group(const char *word)
{
    size_t len = strlen(word);
    for (const cli_command *const *table = cli_tables; *table; table++)
        for (const cli_command *c = *table; c->name; c++)
            if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ') return true;
    return false;
}
