/* base/log.h: how the library speaks to whoever installed whist_log_set. */
#ifndef WH_BASE_LOG_H
#define WH_BASE_LOG_H

#include "base/status.h"

/* No newline, no secret, no data row, no model weight. Does nothing without a receiver. */
void wh_log(whist_log_level level, const char *event, const char *format, ...) WHIST_PRINTF(3, 4);

/* Tells the receiver (may be NULL) and turns its "no" into WHIST_E_CANCELLED. */
WH_MUST_CHECK whist_status wh_progress(whist_progress_fn *fn, void *user, const char *task, uint64_t done,
                                       uint64_t total, const char *note);

#endif
