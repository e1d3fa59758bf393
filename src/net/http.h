/* net/http.h: reading HTTP/1.1 responses (RFC 9112), pure functions over bytes.
 *
 * The head is read strictly: a response that two readers could cut in two ways (both lengths, two
 * lengths, folded lines) is refused, not guessed at. */
#ifndef WH_NET_HTTP_H
#define WH_NET_HTTP_H

#include "base/buf.h"

enum {
    WH_HTTP_HEAD_MAX = 16384,
};

typedef struct wh_http_head {
    int code;
    bool has_length, chunked, close;
    uint64_t length;
    uint32_t retry_after_ms; /* Whist-Retry-Ms, else Retry-After; at most a day */
    int64_t date_ms;         /* Date; 0: none */
    char location[1024];     /* Location; "" none */
} wh_http_head;

/* Reads a head from the start of bytes. *used: its length with the empty line; 0 where it is not whole
 * yet (WHIST_OK, *out untouched). WHIST_E_FORMAT; WHIST_E_RANGE past WH_HTTP_HEAD_MAX. */
WH_MUST_CHECK whist_status wh_http_head_parse(wh_http_head *out, size_t *used, whist_bytes bytes);

typedef struct wh_http_body {
    int state;
    uint64_t left; /* of the body or of the chunk */
    uint64_t total, max;
    unsigned digits, line;
    bool done, until_close;
} wh_http_body;

/* How the body that follows head is cut; max bounds it (WHIST_E_RANGE at once where the length says more). */
WH_MUST_CHECK whist_status wh_http_body_init(wh_http_body *body, const wh_http_head *head, uint64_t max);
/* Takes one piece of `in` and gives what of it is content, as a view (maybe empty). *used > 0 unless
 * body->done or in is empty. Call until done. WHIST_E_FORMAT, WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_http_body_take(wh_http_body *body, whist_bytes *content, size_t *used, whist_bytes in);
/* The connection has ended: WHIST_OK where that is how this body ends, else WHIST_E_IO. */
WH_MUST_CHECK whist_status wh_http_body_close(wh_http_body *body);

#endif
