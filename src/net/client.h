/* net/client.h: HTTPS client, TLS 1.3 with certificates on both sides, one kept-alive connection.
 *
 * Written on OpenSSL: a waiting site has 12 MiB, and libcurl with all that it loads takes them alone
 * (docs/net.md has the numbers). The server is accepted by its chain *and* its pinned key; its host
 * name is not asked, because the pin says more.
 *
 * Failures name the fix: name not found, connection refused, proxy refused, no TLS 1.3, certificate
 * expired (whose), wrong authority, wrong pin, timeout. Retrying is the caller's decision (wh_backoff).
 * Only this is repeated here: a request that met a kept-alive connection which the server had closed
 * meanwhile, before any byte of an answer.
 *
 * One call at a time on one client; wh_client_interrupt from anywhere. */
#ifndef WH_NET_CLIENT_H
#define WH_NET_CLIENT_H

#include "net/identity.h"
#include "net/transport.h"

typedef struct wh_client wh_client;

typedef struct wh_client_options {
    const char *address;         /* "host:port" of the server */
    const char *proxy;           /* NULL, or "http://host:port": HTTP CONNECT */
    const wh_identity *identity; /* key NULL: no certificate is shown (the server will refuse; for tests) */
    const uint8_t *server_pin;   /* 32 bytes, required */
    unsigned connect_ms;         /* name, TCP, proxy and TLS together */
    unsigned stall_ms;           /* longest time without a byte moving */
} wh_client_options;
#define WH_CLIENT_OPTIONS_DEFAULT                                                                                      \
    {                                                                                                                  \
        .connect_ms = 10000, .stall_ms = 60000                                                                         \
    }

/* Checks the options; does not connect yet. WHIST_E_FORMAT (addresses), WHIST_E_AUTH (own certificate), … */
WH_MUST_CHECK whist_status wh_client_new(wh_client **out, const wh_client_options *options);
void wh_client_free(wh_client *client);

/* As wh_transport.call. Connects if need be. The answer's body is at most wh_net_body_max(path).
 * WHIST_E_IO, WHIST_E_TIMEOUT: trying again may help; WHIST_E_AUTH: it will not; WHIST_E_FORMAT: the
 * server does not speak as it should; WHIST_E_CANCELLED. */
WH_MUST_CHECK whist_status wh_client_call(wh_client *client, wh_response *out, const char *method, const char *path,
                                          whist_bytes body);
wh_transport wh_client_transport(wh_client *client);

/* Connects and shakes hands now (`whist site check`). */
WH_MUST_CHECK whist_status wh_client_connect(wh_client *client);
/* Closes the connection; the next call opens another. */
void wh_client_close(wh_client *client);
/* Makes the call under way, and all later ones, end with WHIST_E_CANCELLED within a quarter of a second.
 * Safe in signal handlers. */
void wh_client_interrupt(wh_client *client);
/* The server's clock minus ours at the last answer, to about a second. False before the first answer. */
bool wh_client_skew_ms(int64_t *out, const wh_client *client);

#endif
