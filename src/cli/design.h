/* cli/design.h: --mechanism matrix: how noise is correlated between steps, and what that does to sums. */
#ifndef CLI_DESIGN_H
#define CLI_DESIGN_H

#include "cli/term.h"

#include <whist/dp.h>

typedef struct cli_design {
    bool on; /* --mechanism matrix */
    whist_dp_matrix_options options;
    whist_dp_matrix_facts facts;
} cli_design;

/* The rows of --design and its companions. */
#define CLI_DESIGN_OPTIONS                                                                                             \
    {"design", 0, CLI_TEXT, "NAME", "Mechanism matrix: banded, sqrt, blt or tree (blt)."},                             \
        {"participations",                                                                                             \
         0,                                                                                                            \
         CLI_COUNT,                                                                                                    \
         "N",                                                                                                          \
         "Mechanism matrix: steps that one unit takes part in, at most (1).",                                          \
         .min = 1,                                                                                                     \
         .max = 1048576},                                                                                              \
        {"separation",                                                                                                 \
         0,                                                                                                            \
         CLI_COUNT,                                                                                                    \
         "N",                                                                                                          \
         "Mechanism matrix: steps from one participation to the next, at least (1).",                                  \
         .min = 1,                                                                                                     \
         .max = 1048576},                                                                                              \
        {"fixed", 0, CLI_FLAG, NULL, "Mechanism matrix: always exactly --separation, as in passes of one order."},     \
    {                                                                                                                  \
        "bands", 0, CLI_COUNT, "N", "Mechanism matrix: coefficients of banded and sqrt (16), buffers of blt (4).",     \
            .min = 1, .max = 256                                                                                       \
    }

/* Reads them; companions without --mechanism matrix, and what it does not go with, are refused. */
int cli_design_read(cli_design *out, const cli_args *args);
/* A table of this design beside independent noise: how sums err, for noise over the sensitivity. */
int cli_design_print(const cli_design *design, double noise);
void cli_design_json(whist_json *json, const cli_design *design, double noise);

#endif
