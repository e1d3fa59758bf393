/* cli/world.h: a complete federation on one machine: authority, coordinator, sites, parties, an operator, each with
 * its own folder, key, certificate and configuration. For demos and tests: one machine holds all keys. */
#ifndef CLI_WORLD_H
#define CLI_WORLD_H

#include "cli/runs.h"

typedef struct cli_world {
    const char *folder; /* must not be there, or be empty */
    const char *host;   /* under which the coordinator is called */
    unsigned port;
    const char *data; /* folder with the data; NULL: each site's own "data" */
    unsigned days;
} cli_world;

/* Makes all of it or nothing. */
int cli_world_make(const cli_world *world, const whist_study *study);

#endif
