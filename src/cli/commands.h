/* cli/commands.h: all subcommands. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/args.h"

/* One table for each cmd_*.c; a command without name ends it. */
extern const cli_command cli_simulate_commands[], cli_study_commands[], cli_data_commands[], cli_provision_commands[],
    cli_authority_commands[], cli_kit_commands[], cli_world_commands[], cli_coordinator_commands[], cli_site_commands[],
    cli_check_commands[], cli_operator_commands[], cli_predict_commands[], cli_query_commands[], cli_state_commands[],
    cli_log_commands[], cli_bench_commands[], cli_selftest_commands[], cli_demo_commands[], cli_about_commands[],
    cli_train_commands[], cli_meta_commands[], cli_model_commands[], cli_account_commands[], cli_ledger_commands[],
    cli_seal_commands[], cli_audit_commands[], cli_meta_attack_commands[];

/* The tables in the order of the help; ends with NULL. */
extern const cli_command *const cli_tables[];

/* The command that argv[0…] names and how many words its name has; NULL. */
const cli_command *cli_command_find(int argc, char **argv, int *n_words);
/* Whether `word` begins the name of commands of two words ("data"). */
bool cli_is_group(const char *word);

/* help.c */
int cli_help_command(const cli_command *command);
int cli_help_overview(const char *group); /* NULL: all */
int cli_help_man(void);
int cli_help_completion(void);

#endif
