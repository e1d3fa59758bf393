/* Fuzz target: events as JSON; what is read is checked, accountable or refused, and writes back as it was. */
#include "base/buf.h"
#include "dp/account/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whist_dp_events events, again;
    whist_json *json = NULL;
    const char *text;
    if (whist_dp_events_read(&events, (whist_bytes){data, size}) != WHIST_OK) return 0;
    if (whist_json_new(&json) != WHIST_OK) return 0;
    whist_json_begin_array(json);
    for (size_t i = 0; i < events.n; i++) whist_dp_event_json(json, &events.event[i]);
    whist_json_end_array(json);
    if (whist_json_finish(json, &text) != WHIST_OK) __builtin_trap();
    size_t len = 0;
    while (text[len]) len++;
    if (len <= 1 << 20) {
        if (whist_dp_events_read(&again, (whist_bytes){(const uint8_t *)text, len}) != WHIST_OK) __builtin_trap();
        if (again.n != events.n) __builtin_trap();
        for (size_t i = 0; i < events.n; i++)
            if (!wh_dp_event_same(&events.event[i], &again.event[i])) __builtin_trap();
        whist_dp_events_clear(&again);
    }
    whist_json_free(json);
    whist_dp_events_clear(&events);
    return 0;
}
