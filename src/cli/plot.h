/* cli/plot.h: charts into files. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include "cli/file.h"

#include <whist/codec.h>

/* Writes the chart; the old file or the new one is there, never half of it. */
int cli_plot_write(const char *path, const whist_plot *plot);

#endif
