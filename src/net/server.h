/* net/server.h: HTTPS server, TLS 1.3 with certificates on both sides, and the plain listener for
 * operations.
 *
 * Before anything is routed, one function (net/gate.h) has decided who the peer is: chain, revocation,
 * time, usage, then its pinned key. Whoever is refused gets 403 with the reason and is logged; no byte
 * of its body is read and no handler sees it.
 *
 * `loops` threads move bytes and never compute; `workers` threads run the handler and never wait for
 * a socket. Every resource that a peer can make us spend has a ceiling: connections in all and per
 * address, bytes of bodies in memory, time for a head, for a body, and between two requests. */
#ifndef WH_NET_SERVER_H
#define WH_NET_SERVER_H

#include "net/identity.h"
#include "net/transport.h"

typedef struct wh_server wh_server;

/* Decides whether a peer with a good certificate may speak. peer carries what the certificate says;
 * the callee may replace name and role by what the pin is registered for. WHIST_E_AUTH with a text
 * that the peer will read, else WHIST_OK. Called for every request, from any thread: be quick. */
typedef whist_status wh_authorise_fn(void *user, wh_peer *peer);

typedef struct wh_server_options {
    const char *address;         /* "HOST:PORT", a number; port 0 picks a free one */
    const wh_identity *identity; /* NULL: plain HTTP for operations, loopback addresses and GET only, peer all zero */
    wh_handler *handler;
    void *user;
    wh_authorise_fn *authorise; /* NULL: every good certificate may speak */
    void *authorise_user;
    unsigned loops, workers;                   /* 1 to 64 */
    unsigned max_connections, max_per_address; /* max_per_address 0: no limit of its own */
    size_t body_ceiling;                       /* bytes of all bodies in memory, >= WH_NET_CHUNK_MAX */
    unsigned head_ms;                          /* from accept to the end of the first request's head, TLS included */
    unsigned body_ms;                          /* for a body of 1 MiB; longer ones get more in proportion */
    unsigned idle_ms; /* from one answer to the end of the next head; also for a stuck reader */
} wh_server_options;
#define WH_SERVER_OPTIONS_DEFAULT                                                                                      \
    {                                                                                                                  \
        .address = "127.0.0.1:0", .loops = 2, .workers = 2, .max_connections = 1024, .max_per_address = 256,           \
        .body_ceiling = (size_t)24 << 20, .head_ms = 10000, .body_ms = 30000, .idle_ms = 300000                        \
    }

/* Starts to listen. WHIST_E_IO (port in use, …, with the way out), WHIST_E_AUTH (our own certificate would not be
 * accepted), WHIST_E_ARG, WHIST_E_UNSUPPORTED (libmicrohttpd or GnuTLS is not installed). */
WH_MUST_CHECK whist_status wh_server_start(wh_server **out, const wh_server_options *options);
uint16_t wh_server_port(const wh_server *server);

/* Puts a new key, certificate, authorities and revocation lists in place. Connections stay; each is
 * verified again before its next request. On failure the old ones stay in force. Any thread. */
WH_MUST_CHECK whist_status wh_server_reload(wh_server *server, const wh_identity *identity);

/* No new connections; requests under way get grace_ms to end; then all is closed and freed. NULL is harmless.
 * Not from a handler. */
void wh_server_stop(wh_server *server, unsigned grace_ms);

typedef struct wh_server_stats {
    uint64_t requests;                  /* reached the handler */
    uint64_t refused;                   /* 403: the peer may not speak */
    uint64_t overloaded;                /* 503: no room for the body */
    uint64_t oversized;                 /* 411, 413, 414 */
    uint64_t late;                      /* connections cut by a deadline */
    uint64_t connections;               /* open now */
    uint64_t bytes_in, bytes_out;       /* bodies */
    size_t body_bytes, body_bytes_peak; /* memory reserved for bodies */
} wh_server_stats;
void wh_server_stats_get(wh_server_stats *out, const wh_server *server);

#endif
