/* cli/signals.c: a polite stop first, the system's own way at the second Ctrl-C. SIGPIPE is ignored: writes
 * report it. */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile int stop;

static void ask_to_stop(int number)
{
    stop = 1;
    if (number == SIGINT) signal(SIGINT, SIG_DFL);
}

const volatile int *cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return &stop;
}
