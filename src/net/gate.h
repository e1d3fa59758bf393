/* net/gate.h: who gets in. The one place that decides whether a connection may speak at all.
 *
 * GnuTLS proves that the peer holds the key of the certificate it shows, and nothing else: its own
 * verification is never asked (with a trust file set it lets clients without a certificate through).
 * The raw chain goes to crypt/x509.h, then the pin to whoever knows the registered ones.
 *
 * Key, certificate, authorities and revocation lists are one set, replaced as a whole. A connection
 * keeps the set it began with for TLS, and is verified against the newest before each request: at
 * once after a reload, else at least once a minute. */
#ifndef WH_NET_GATE_H
#define WH_NET_GATE_H

#include "net/mhd.h"
#include "net/server.h"

#include <pthread.h>

typedef struct wh_gate_set wh_gate_set;

typedef struct wh_gate {
    const wh_mhd *lib;
    wh_authorise_fn *authorise;
    void *authorise_user;
    pthread_mutex_t lock; /* guards set, count and the reference counts of all sets */
    wh_gate_set *set;
    uint64_t count;
} wh_gate;

/* What is known of one connection; starts zeroed. */
typedef struct wh_admission {
    uint64_t set;     /* number of the set that the peer was verified against; 0: not yet */
    int64_t until_ms; /* verify again then */
    wh_peer peer;     /* as the certificate says */
} wh_admission;

/* As wh_identity_check; also WHIST_E_NOMEM. gate->authorise is set already. */
WH_MUST_CHECK whist_status wh_gate_init(wh_gate *gate, const wh_mhd *lib, const wh_identity *identity);
WH_MUST_CHECK whist_status wh_gate_replace(wh_gate *gate, const wh_identity *identity);
void wh_gate_clear(wh_gate *gate);

/* The address on the other end of a socket, as a number; "?" where there is none. */
void wh_gate_address(char out[64], int fd);

/* Before the handshake: shows our certificate and asks for the peer's; a peer without TLS 1.3 will be logged and
 * get the alert protocol_version. The set is given back by
 * wh_gate_leave when the connection has ended. NULL where that is not possible. */
wh_gate_set *wh_gate_enter(wh_gate *gate, gnutls_session_t session);
void wh_gate_leave(wh_gate *gate, wh_gate_set *set);

/* Before each request. WHIST_E_AUTH with the text that the peer will read; *out is filled on success. */
WH_MUST_CHECK whist_status wh_gate_admit(wh_peer *out, wh_gate *gate, wh_admission *admission,
                                         gnutls_session_t session);

#endif
