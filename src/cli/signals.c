/* cli/signals.c: a polite stop first, the system's own way at the second Ctrl-C. A write to a closed pipe or past
 * the file-size limit reports itself, with a reason; as a signal it would end the program without one. */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile int stop;

static void ask_to_stop(int number)
{
    stop = 1;
    if (number == SIGINT) signal(SIGINT, SIG_DFL);
}

void cli_signals_tame(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

const volatile int *cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = ask_to_stop}, before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL); /* nohup */
    return &stop;
}
