/* Answers of an HTTP server, head and body, cut into pieces by the first byte: whatever comes, the content
 * stays under its ceiling, every step moves on, and cutting it otherwise changes nothing. */
#include "net/http.h"

#include <stdlib.h>
#include <string.h>

enum { MAX = 4096 };

/* The status of the whole, content into out. */
static whist_status read_all(wh_buf *out, whist_bytes in, size_t step)
{
    wh_http_head head;
    wh_http_body body;
    size_t used = 0;
    WH_TRY(wh_http_head_parse(&head, &used, in));
    if (used == 0) return WHIST_E_TIMEOUT;
    if (used > in.len || head.code < 100 || head.code > 599) abort();
    WH_TRY(wh_http_body_init(&body, &head, MAX));
    for (size_t at = used; at < in.len && !body.done;) {
        size_t n = in.len - at < step ? in.len - at : step;
        whist_bytes content;
        WH_TRY(wh_http_body_take(&body, &content, &used, (whist_bytes){in.data + at, n}));
        if (used == 0 || used > n || content.len > used) abort();
        WH_TRY(wh_buf_add(out, content.data, content.len));
        if (out->len > MAX) abort();
        at += used;
    }
    return wh_http_body_close(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    WH_AUTO(wh_buf) whole = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) pieces = WH_BUF_EMPTY;
    const whist_bytes in = {data + 1, size - 1};
    whist_status a = read_all(&whole, in, SIZE_MAX), b = read_all(&pieces, in, (size_t)data[0] + 1);
    if (a != b) abort();
    if (a != WHIST_OK) return 0;
    if (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0)) abort();
    return 0;
}
