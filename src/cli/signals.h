/* cli/signals.h: SIGINT, SIGTERM and a closed terminal become a flag that long work looks at. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/* From the start of the program: SIGPIPE and SIGXFSZ do not end it. */
void cli_signals_tame(void);
/* Installs the handlers; the flag becomes 1 at the first signal. A second SIGINT ends the process at once. */
const volatile int *cli_signals_catch(void);

#endif
