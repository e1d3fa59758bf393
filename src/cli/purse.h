/* cli/purse.h: the ledger that a command pays from, as --ledger names it. */
#ifndef CLI_PURSE_H
#define CLI_PURSE_H

#include "cli/term.h"

#include <whist/run.h>
#include <whist/study.h>

CLI_ENDER(cli_purse_end, whist_purse, whist_purse_free)

#define CLI_LEDGER_OPTION                                                                                              \
    {                                                                                                                  \
        "ledger", 0, CLI_TEXT, "FILE",                                                                                 \
            "Pay from this ledger: a file of `whist ledger new`, or a site's configuration. Needed unless the rows "   \
            "are "                                                                                                     \
            "made up."                                                                                                 \
    }
#define CLI_ANEW_OPTION                                                                                                \
    {                                                                                                                  \
        "anew", 0, CLI_FLAG, NULL,                                                                                     \
            "Draw new noise and pay again, though the ledger still has what was released before."                      \
    }

#define CLI_DATASET_OPTION                                                                                             \
    {                                                                                                                  \
        "dataset", 0, CLI_TEXT, "NAME",                                                                                \
            "The ledger's data set, where the study calls its own otherwise: they are the same data."                  \
    }

/* Where the ledger of a configuration lies and what it allows; points into the configuration. */
whist_purse_place cli_purse_place(const whist_ledger_config *config);

/* Opens what --ledger names. *out stays NULL without it, which is refused (CLI_USAGE) unless `made_up`. set: what the
 * study calls its data ("" where it calls them nothing), which is the ledger's name unless --dataset says so. */
int cli_purse_open(whist_purse **out, whist_ledger_config *config, const cli_args *args, bool made_up, const char *set);

/* The id of the run that is meant among those of one text, and its number: the newest that was paid for, or with
 * --anew the one behind it. */
int cli_purse_run(uint8_t id[32], uint64_t *run, whist_purse *purse, const char *kind, whist_bytes text, bool anew);

/* "ledger of 'heart' (va): epsilon 1.2 of 3 at delta 1e-06 spent". */
int cli_purse_print(whist_purse *purse, const whist_ledger_config *config);
/* The same as an object under the key "ledger". */
int cli_purse_json(whist_json *json, whist_purse *purse, const whist_ledger_config *config, bool paid);

#endif
