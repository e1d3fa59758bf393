/* net/answer.c: one buffer between the wire and the readers of http.h. */
#include "net/answer.h"

#include <string.h>

/* More bytes behind those not yet used; *got 0 at the end of the connection. */
static whist_status fill(wh_answer *answer, size_t *got)
{
    if (answer->at > 0) memmove(answer->in, answer->in + answer->at, answer->end - answer->at);
    answer->end -= answer->at;
    answer->at = 0;
    WH_TRY(wh_wire_read(answer->wire, got, answer->in + answer->end, sizeof answer->in - answer->end));
    answer->end += *got;
    answer->heard = answer->heard || *got > 0;
    return WHIST_OK;
}

static whist_bytes unused(const wh_answer *answer)
{
    return (whist_bytes){answer->in + answer->at, answer->end - answer->at};
}

whist_status wh_answer_head(wh_answer *answer, wh_http_head *head)
{
    for (;;) {
        size_t used = 0, got;
        WH_TRY(wh_http_head_parse(head, &used, unused(answer)));
        answer->at += used;
        if (used && head->code >= 200) return WHIST_OK;
        if (used) continue;
        WH_TRY(fill(answer, &got));
        if (got == 0)
            WH_FAIL(WHIST_E_IO, "%s: the connection was closed without an answer: is the server stopping?",
                    answer->wire->who);
    }
}

whist_status wh_answer_body(wh_answer *answer, const wh_http_head *head, uint64_t max, wh_sink_fn *sink, void *user)
{
    wh_http_body body;
    WH_TRY(wh_http_body_init(&body, head, max));
    while (!body.done) {
        whist_bytes content;
        size_t used, got;
        WH_TRY(wh_http_body_take(&body, &content, &used, unused(answer)));
        if (content.len) WH_TRY(sink(user, content));
        answer->at += used;
        if (used || body.done) continue;
        WH_TRY(fill(answer, &got));
        if (got == 0) WH_TRY(wh_http_body_close(&body));
    }
    return WHIST_OK;
}
