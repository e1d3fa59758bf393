/* cli/examples.h: the studies of examples/heart that the demo runs, as text. */
#ifndef CLI_EXAMPLES_H
#define CLI_EXAMPLES_H

extern const char cli_example_fedavg[], cli_example_local[], cli_example_pooled[], cli_example_private[];

#endif
