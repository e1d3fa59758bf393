/* base/log.c: the one process-wide log receiver. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static whist_log_fn *receiver;
static void *receiver_user;

void whist_log_set(whist_log_fn *fn, void *user)
{
    receiver = fn;
    receiver_user = user;
}

void wh_log(whist_log_level level, const char *event, const char *format, ...)
{
    if (!receiver) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    receiver(receiver_user, level, event, text);
}

whist_status wh_progress(whist_progress_fn *fn, void *user, const char *task, uint64_t done, uint64_t total,
                         const char *note)
{
    if (!fn) return WHIST_OK;
    whist_progress progress = {task, done, total, note ? note : ""};
    if (!fn(user, &progress)) WH_FAIL(WHIST_E_CANCELLED, "%s was asked to stop", task);
    return WHIST_OK;
}
