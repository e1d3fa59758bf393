/* cli/benches.h: measurements of the program itself. */
#ifndef CLI_BENCHES_H
#define CLI_BENCHES_H

#include <whist/base.h>

extern const whist_bench cli_benches[]; /* a row without name ends it */

#endif
