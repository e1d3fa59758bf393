/* base/status.c: names of the codes and the per-thread detail record.
 *
 * The record has a fixed size, so that saying why something failed can itself never fail. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local whist_detail detail;

const char *whist_status_name(whist_status status)
{
    static const char *const names[] = {
        "ok",   "arg",    "state",  "range",   "nomem",     "io",          "entropy",
        "auth", "format", "budget", "timeout", "cancelled", "unsupported",
    };
    return (size_t)status < WH_COUNT(names) ? names[status] : "unknown";
}

const char *whist_version(void)
{
    return WH_VERSION;
}

const whist_detail *whist_detail_get(void)
{
    return &detail;
}

whist_status wh_fail(whist_status code, const char *file, int line, const char *format, ...)
{
    /* Arguments may point into the old text, so the new one is built beside it. */
    char text[sizeof detail.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(detail.text, text, sizeof text);
    detail.code = code;
    detail.file = file;
    detail.line = line;
    return code;
}

whist_status wh_fail_context(whist_status code, const char *format, ...)
{
    char text[sizeof detail.text];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof text) snprintf(text + used, sizeof text - (size_t)used, "%s", detail.text);
    memcpy(detail.text, text, sizeof text);
    detail.code = code;
    return code;
}

void wh_detail_put(const whist_detail *other)
{
    detail = *other;
}
