/* net/answer.h: reading an answer from a wire, head then body. */
#ifndef WH_NET_ANSWER_H
#define WH_NET_ANSWER_H

#include "net/http.h"
#include "net/wire.h"

/* What was read and not yet used: in[at, end). Starts zeroed, with wire set. */
typedef struct wh_answer {
    wh_wire *wire;
    size_t at, end;
    bool heard; /* a byte has come since the caller last said false */
    uint8_t in[WH_HTTP_HEAD_MAX];
} wh_answer;

/* The head of the final answer; 100 Continue and its like are passed over. */
WH_MUST_CHECK whist_status wh_answer_head(wh_answer *answer, wh_http_head *head);

/* Takes a piece of a body; its failure ends the reading. */
typedef whist_status wh_sink_fn(void *user, whist_bytes piece);
/* The body behind head, at most max bytes (WHIST_E_RANGE), piece by piece. WHIST_E_IO where it breaks off. */
WH_MUST_CHECK whist_status wh_answer_body(wh_answer *answer, const wh_http_head *head, uint64_t max, wh_sink_fn *sink,
                                          void *user);

#endif
