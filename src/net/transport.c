/* net/transport.c: what both ends and the simulation agree on: body limits, how a failure becomes an
 * answer and an answer a failure, and how long to wait. */
#include "net/transport.h"

#include <stdio.h>
#include <string.h>

size_t wh_net_body_max(const char *path)
{
    bool chunk = strncmp(path, WH_NET_CHUNK_PATH, sizeof WH_NET_CHUNK_PATH - 1) == 0;
    return chunk ? WH_NET_CHUNK_MAX : WH_NET_CONTROL_MAX;
}

void wh_response_clear(wh_response *response)
{
    wh_buf_clear(&response->body);
    *response = (wh_response)WH_RESPONSE_EMPTY;
}

static int code_of(whist_status status)
{
    switch (status) {
    case WHIST_E_ARG:
    case WHIST_E_FORMAT:
    case WHIST_E_RANGE: return 400;
    case WHIST_E_AUTH: return 403;
    case WHIST_E_STATE: return 409;
    case WHIST_E_NOMEM:
    case WHIST_E_TIMEOUT:
    case WHIST_E_CANCELLED: return 503;
    default: return 500;
    }
}

void wh_response_fail(wh_response *response, whist_status status)
{
    wh_response_clear(response);
    response->code = code_of(status);
    if (response->code == 503) response->retry_after_ms = 1000;
    const char *text = response->code == 500 ? "internal error" : whist_detail_get()->text;
    /* An answer without words is still an answer. */
    if (wh_buf_text(&response->body, "%s", text) != WHIST_OK) wh_buf_reset(&response->body);
}

static whist_status status_of(int code)
{
    switch (code) {
    case 400:
    case 411:
    case 413:
    case 414: return WHIST_E_FORMAT;
    case 401:
    case 403: return WHIST_E_AUTH;
    case 404:
    case 409:
    case 410: return WHIST_E_STATE;
    case 429:
    case 502:
    case 503:
    case 504: return WHIST_E_TIMEOUT;
    default: return WHIST_E_IO;
    }
}

whist_status wh_response_expect(const wh_response *response, int code, const char *who)
{
    if (response->code == code) return WHIST_OK;
    /* The peer's words go to terminals and logs: one bounded line, nothing that moves a cursor. */
    char text[WH_NET_ERROR_TEXT_MAX + 1];
    size_t len = response->body.len < WH_NET_ERROR_TEXT_MAX ? response->body.len : WH_NET_ERROR_TEXT_MAX;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = response->body.data[i];
        text[i] = c >= 32 && c < 127 ? (char)c : ' ';
    }
    text[len] = 0;
    WH_FAIL(status_of(response->code), "%s answered %d: %s", who, response->code, text);
}

uint32_t wh_backoff_next(wh_backoff *backoff, uint32_t retry_after_ms, uint32_t dice)
{
    uint64_t wait = backoff->base_ms;
    for (unsigned i = 0; i < backoff->failures && wait < backoff->cap_ms; i++) wait *= 2;
    if (wait > backoff->cap_ms) wait = backoff->cap_ms;
    if (backoff->failures < 64) backoff->failures++;
    uint64_t low = wait - wait / 2, spread = wait / 2;
    if (retry_after_ms > 0) {
        low = retry_after_ms;
        spread = retry_after_ms / 4;
    }
    uint64_t result = low + (((uint64_t)dice * (spread + 1)) >> 32);
    return result > UINT32_MAX ? UINT32_MAX : (uint32_t)result;
}
