/* base/clock.h: time, with a hook so that tests can turn the clock. */
#ifndef WH_BASE_CLOCK_H
#define WH_BASE_CLOCK_H

#include "base/status.h"

/* Monotonic seconds, for durations. */
double wh_clock_seconds(void);
/* Milliseconds since 1970 UTC. In test builds WHIST_TEST_CLOCK_OFFSET (seconds) is added. */
int64_t wh_clock_unix_ms(void);
/* "2026-11-21T08:00:00Z"; out has room for 32 bytes. */
void wh_clock_iso(char out[32], int64_t unix_ms);

#endif
