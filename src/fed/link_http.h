/* fed/link_http.h: a link that speaks the wire protocol over a wh_transport. */
#ifndef WH_FED_LINK_HTTP_H
#define WH_FED_LINK_HTTP_H

#include "fed/link.h"
#include "net/transport.h"

typedef struct wh_link_http {
    wh_link link; /* first: a wh_link * is a wh_link_http * */
    wh_transport transport;
    uint8_t study[32];
    uint8_t pin[32];         /* of the coordinator, for notes about ledgers; set by the owner of the link */
    char who[128];           /* the coordinator, in error texts */
    uint32_t retry_after_ms; /* of the last answer */
    int64_t skew_ms;         /* the coordinator's clock minus ours, from hello */
    wh_manifest model;       /* what `floats` holds or is being filled with */
    uint8_t *have;           /* bitmap over its chunks */
    float *floats;
    wh_buf have_upload;
} wh_link_http;

WH_MUST_CHECK whist_status wh_link_http_init(wh_link_http *out, wh_transport transport, const uint8_t study[32],
                                             const char *who);
void wh_link_http_clear(wh_link_http *link);

/* Says hello: versions and studies agree, and the clocks are compared. */
WH_MUST_CHECK whist_status wh_link_http_hello(wh_link_http *link);

#endif
