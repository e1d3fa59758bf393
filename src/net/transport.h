/* net/transport.h: the shape of one exchange, the same over the network and in the simulation.
 *
 * A handler answers a request of a peer whose identity is settled already; a transport carries a
 * request to somebody's handler and brings the answer back. Rounds are written against these two
 * and know nothing of sockets. */
#ifndef WH_NET_TRANSPORT_H
#define WH_NET_TRANSPORT_H

#include "base/buf.h"
#include "whist/crypt.h"

enum {
    WH_NET_CONTROL_MAX = 1 << 20,              /* bytes of a control message's body */
    WH_NET_CHUNK_MAX = (4 << 20) + (64 << 10), /* bytes of a body under WH_NET_CHUNK_PATH: 4 MiB and its frame */
    WH_NET_PATH_MAX = 512,                     /* letters of a path */
    WH_NET_ERROR_TEXT_MAX = 480,               /* bytes of a refusal that reach a detail record */
};
#define WH_NET_CHUNK_PATH "/v1/chunk/"

/* The largest body that may travel to or from a path. */
size_t wh_net_body_max(const char *path);

/* Who speaks. The pin (SHA-256 of the public key) is the identity; name, role and rights are what
 * the certificate, and then whoever authorised the pin, says of it. */
typedef struct wh_peer {
    char name[64];
    whist_crypt_role role;
    unsigned rights; /* WHIST_CRYPT_MAY_… */
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
} wh_peer;

typedef struct wh_request {
    const char *method; /* "GET", "PUT" or "POST" */
    const char *path;   /* "/v1/…", without host and query */
    whist_bytes body;
    wh_peer peer;
} wh_request;

/* Starts as WH_RESPONSE_EMPTY; whoever holds it clears it. */
typedef struct wh_response {
    int code; /* HTTP status */
    wh_buf body;
    uint32_t retry_after_ms; /* 0: nothing said. On the wire: Whist-Retry-Ms, beside Retry-After in seconds */
} wh_response;
#define WH_RESPONSE_EMPTY                                                                                              \
    {                                                                                                                  \
        0, WH_BUF_EMPTY, 0                                                                                             \
    }
void wh_response_clear(wh_response *response);
WH_AUTO_CLEAR(wh_response, wh_response_clear)

/* Answers one request. The response arrives empty; a handler that fails has its status and detail
 * turned into an answer by wh_response_fail. Called from several threads at once. */
typedef whist_status wh_handler(void *user, const wh_request *request, wh_response *response);

/* Replaces what is in the response by the thread's failure: ARG, FORMAT, RANGE 400; AUTH 403;
 * STATE 409; NOMEM, TIMEOUT, CANCELLED 503; the others 500. The text of the record becomes the body,
 * except for 500, where the peer learns nothing but "internal error". */
void wh_response_fail(wh_response *response, whist_status status);

/* WHIST_OK where the code is `code`; else a failure that carries the peer's words: 400, 411, 413, 414
 * FORMAT; 401, 403 AUTH; 404, 409, 410 STATE; 429, 502, 503, 504 TIMEOUT; the others IO. `who` stands before the
 * text ("coordinator h:8443"). */
WH_MUST_CHECK whist_status wh_response_expect(const wh_response *response, int code, const char *who);

/* Carries a request to one fixed destination. WHIST_OK where an answer of any code came back whole;
 * *out is replaced then and untouched otherwise. A failure may mean that the request was handled and
 * only the answer was lost: what is sent must bear repetition. One call at a time. */
typedef struct wh_transport {
    whist_status (*call)(void *self, wh_response *out, const char *method, const char *path, whist_bytes body);
    void *self;
} wh_transport;

/* How long to wait before the next try. */
typedef struct wh_backoff {
    uint32_t base_ms, cap_ms;
    unsigned failures; /* since the last success; the caller puts it back to 0 then */
} wh_backoff;
#define WH_BACKOFF_DEFAULT                                                                                             \
    {                                                                                                                  \
        500, 60000, 0                                                                                                  \
    }
/* Counts a failure. Where the peer named a time (retry_after_ms > 0) the wait is that and up to a
 * quarter more, so that a crowd sent away together does not come back together; otherwise uniform in
 * [w/2, w], w = min(cap, base 2^failures). dice: any random word. */
uint32_t wh_backoff_next(wh_backoff *backoff, uint32_t retry_after_ms, uint32_t dice);

#endif
