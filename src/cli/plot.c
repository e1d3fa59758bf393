/* cli/plot.c: charts into files. */
#include "cli/plot.h"

#include <string.h>

int cli_plot_write(const char *path, const whist_plot *plot)
{
    char *svg;
    CLI_LIB(whist_plot_svg(&svg, plot));
    int code = cli_write(path, svg, strlen(svg), 0644, CLI_WRITE_REPLACE);
    whist_plot_free(svg);
    return code;
}
