/* cli/child.h: other processes of this program: started, watched, ended. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "cli/file.h"

#include <stdio.h>
#include <sys/types.h>

typedef struct cli_child {
    char name[80];
    char log[CLI_PATH]; /* its stdout and stderr; "/dev/null" drops them */
    pid_t pid;          /* 0: not started or ended */
    int status;         /* of waitpid, once ended */
} cli_child;

/* Runs this program with the arguments (NULL ends them; argv[0] is the first argument, "site"). It is sent SIGTERM
 * should we die before it. */
int cli_child_start(cli_child *out, const char *name, const char *log, const char *const *argv);
/* Whether it still runs; does not wait. */
bool cli_child_runs(cli_child *child);
/* Waits for the end; its exit code, 128 + signal where it was killed. */
int cli_child_wait(cli_child *child);
int cli_child_code(const cli_child *child);
/* SIGTERM to all that run, SIGKILL to those that are still there after `ms`; collects them. */
void cli_child_stop(cli_child *children, size_t n, int ms);
/* The last lines of its log. */
void cli_child_tail(const cli_child *child, unsigned lines, FILE *to);

void cli_sleep_ms(unsigned ms);

#endif
