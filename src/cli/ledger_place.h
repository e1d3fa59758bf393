/* cli/ledger_place.h: which ledger a user means: a ledger's file, a configuration, a state folder, an exported file. */
#ifndef CLI_LEDGER_PLACE_H
#define CLI_LEDGER_PLACE_H

#include "cli/args.h"
#include "cli/file.h"

typedef struct cli_ledger_place {
    char path[CLI_PATH]; /* STATE/ledger/DATASET, or an exported file */
    char head[512];      /* file of the head that it keeps beside itself; "" where it keeps none */
    cli_blob certificate;
} cli_ledger_place;

/* By the first word: FILE.yaml (`whist ledger new`, a site's or a coordinator's configuration), STATE, STATE/ledger,
 * STATE/ledger/DATASET, or an exported file. Of several data sets --dataset names one. The certificate is the one of
 * --certificate, else of the configuration. */
int cli_ledger_find(cli_ledger_place *out, const cli_args *args);
void cli_ledger_place_clear(cli_ledger_place *place);

#endif
