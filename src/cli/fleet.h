/* cli/fleet.h: a federation as processes on this machine: one coordinator, one process for each site, each with its
 * own key, certificate and state. */
#ifndef CLI_FLEET_H
#define CLI_FLEET_H

#include "cli/child.h"
#include "cli/runs.h"

typedef struct cli_fleet {
    const char *work;          /* folder of ours; the federation goes into work/federation */
    const char *data;          /* folder, or NULL */
    const whist_study *wanted; /* without keys */
    cli_progress *progress;
    const volatile int *stop;
    unsigned limit_s; /* for all of it */

    whist_study *study; /* with the keys; made by cli_fleet_run */
    char model[CLI_PATH];
    cli_child *children; /* coordinator first, then the sites */
    size_t n_children;
    char url[64];
} cli_fleet;

/* Provisions, starts, approves, waits. On failure everything that was started is ended, and the last lines of
 * whoever failed are shown. cli_fleet_clear in any case. */
int cli_fleet_run(cli_fleet *fleet);
void cli_fleet_clear(cli_fleet *fleet);

#endif
