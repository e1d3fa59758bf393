/* cli/log.h: where the library's log lines go. */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include "cli/args.h"

/* Installs the sink as --log, --verbose and the command's nature say. Long-running commands show info lines,
 * others warnings. */
void cli_log_init(const cli_args *args, bool long_running);
/* A line of our own. */
void cli_log(whist_log_level level, const char *event, const char *format, ...) WHIST_PRINTF(3, 4);

#endif
