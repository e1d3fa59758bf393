/* base/clock.c: the two clocks of the system. */
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double wh_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int64_t wh_clock_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t offset = 0;
#ifdef WH_TEST_HOOKS
    const char *text = getenv("WHIST_TEST_CLOCK_OFFSET");
    if (text) offset = strtoll(text, NULL, 10) * 1000;
#endif
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + offset;
}

void wh_clock_iso(char out[32], int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
