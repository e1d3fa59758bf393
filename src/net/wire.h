/* net/wire.h: one TCP connection of a client, in the clear or under TLS, with deadlines on everything.
 *
 * The socket never blocks; waiting happens in one place (poll in short slices), so a connection can
 * be given up at any moment. Nothing raises SIGPIPE. */
#ifndef WH_NET_WIRE_H
#define WH_NET_WIRE_H

#include "net/address.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

typedef struct wh_wire {
    int fd;                  /* -1: closed */
    SSL *ssl;                /* NULL: in the clear */
    const atomic_bool *stop; /* set: everything ends with WHIST_E_CANCELLED */
    unsigned stall_ms;       /* longest wait for a byte to move */
    double deadline;         /* wh_clock_seconds; 0: none */
    const char *who;         /* "HOST:PORT", begins every text */
    const char *role;        /* who should be running there; NULL: "server" */
} wh_wire;
#define WH_WIRE_CLOSED                                                                                                 \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* Connects (stop, stall_ms, deadline and who are set already), through the proxy unless NULL. WHIST_E_IO: name
 * not found, refused, unreachable, refused by the proxy; WHIST_E_TIMEOUT. */
WH_MUST_CHECK whist_status wh_wire_dial(wh_wire *wire, const wh_address *address, const wh_address *proxy);
/* Shakes hands over a dialled wire. method: from wh_wire_method. host: for SNI, NULL for none. Failures of
 * the certificate check are told by whoever installed it: WHIST_E_AUTH without a word of our own if *refused. */
WH_MUST_CHECK whist_status wh_wire_tls(wh_wire *wire, SSL_CTX *ctx, BIO_METHOD *method, const char *host,
                                       const whist_status *refused);
/* *got bytes, at least one, or 0 at the end of the connection. */
WH_MUST_CHECK whist_status wh_wire_read(wh_wire *wire, size_t *got, void *to, size_t room);
WH_MUST_CHECK whist_status wh_wire_write(wh_wire *wire, const void *bytes, size_t len);
void wh_wire_close(wh_wire *wire);

/* How OpenSSL reaches the socket: sends without SIGPIPE. Ended by BIO_meth_free. */
WH_MUST_CHECK whist_status wh_wire_method(BIO_METHOD **out);

#endif
