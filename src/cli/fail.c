/* cli/fail.c: error lines and exit codes. */
#include "cli/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int exit_of(whist_status status)
{
    switch (status) {
    case WHIST_OK: return CLI_OK;
    case WHIST_E_AUTH:
    case WHIST_E_BUDGET: return CLI_REFUSED;
    case WHIST_E_CANCELLED: return CLI_INTERRUPTED;
    case WHIST_E_TIMEOUT: return CLI_LATE;
    default: return CLI_FAILED;
    }
}

int cli_fail(whist_status status)
{
    const whist_detail *detail = whist_detail_get();
    bool known = detail->code == status && detail->text[0];
    fprintf(stderr, "whist: %s%s%s\n", whist_status_name(status), known ? ": " : "", known ? detail->text : "");
    return exit_of(status);
}

int cli_fail_word(whist_status status)
{
    int code = cli_fail(status);
    return status == WHIST_E_ARG || status == WHIST_E_FORMAT || status == WHIST_E_RANGE ? CLI_USAGE : code;
}

int cli_fail_file(whist_status status, const char *path)
{
    const whist_detail *detail = whist_detail_get();
    bool known = detail->code == status && detail->text[0];
    fprintf(stderr, "whist: %s: %s%s%s\n", whist_status_name(status), path, known ? ": " : "",
            known ? detail->text : "");
    return exit_of(status);
}

int cli_fail_text(cli_exit exit_code, const char *code, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "whist: %s: %s\n", code, text);
    return (int)exit_code;
}

int cli_fail_errno(const char *path)
{
    return cli_fail_text(CLI_FAILED, "io", "%s: %s", path, strerror(errno));
}

int cli_no_memory(void)
{
    return cli_fail_text(CLI_FAILED, "nomem", "out of memory");
}
