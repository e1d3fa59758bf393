/* net/gate.c: sets of credentials with reference counts, and the decision. */
#include "net/gate.h"

#include "base/clock.h"
#include "base/log.h"
#include "crypt/keyfile.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { ADMIT_MS = 60000 };

struct wh_gate_set {
    unsigned refs;
    uint64_t number;
    gnutls_certificate_credentials_t tls;
    whist_crypt_trust *trust;
};

static void set_free(const wh_gate *gate, wh_gate_set *set)
{
    if (!set) return;
    if (set->tls) gate->lib->gnutls_certificate_free_credentials(set->tls);
    whist_crypt_trust_free(set->trust);
    wh_free(set);
}

static gnutls_datum_t datum_of(whist_bytes bytes)
{
    union {
        const uint8_t *in;
        unsigned char *out;
    } view = {bytes.data}; /* GnuTLS reads it, in spite of the type */
    return (gnutls_datum_t){view.out, (unsigned)bytes.len};
}

static whist_status fill_set(const wh_gate *gate, wh_gate_set *set, const wh_identity *identity)
{
    WH_TRY(wh_identity_check(&set->trust, identity, WHIST_CRYPT_AS_SERVER));
    WH_AUTO(wh_buf) pem = WH_BUF_EMPTY;
    WH_TRY(wh_key_to_pem(&pem, identity->key, NULL));
    if (gate->lib->gnutls_certificate_allocate_credentials(&set->tls) != 0) WH_FAIL(WHIST_E_NOMEM, "no memory for TLS");
    gnutls_datum_t cert = datum_of(identity->cert_pem), key = datum_of(wh_buf_view(&pem));
    int err = gate->lib->gnutls_certificate_set_x509_key_mem(set->tls, &cert, &key, GNUTLS_X509_FMT_PEM);
    if (err < 0)
        WH_FAIL(WHIST_E_FORMAT, "our own certificate and key are not accepted by GnuTLS: %s",
                gate->lib->gnutls_strerror(err));
    return WHIST_OK;
}

static whist_status set_new(wh_gate_set **out, const wh_gate *gate, const wh_identity *identity)
{
    wh_gate_set *set;
    WH_TRY(WH_NEW(&set, 1));
    set->refs = 1;
    whist_status status = fill_set(gate, set, identity);
    if (status == WHIST_OK)
        *out = set;
    else
        set_free(gate, set);
    return status;
}

whist_status wh_gate_init(wh_gate *gate, const wh_mhd *lib, const wh_identity *identity)
{
    gate->lib = lib;
    WH_TRY(set_new(&gate->set, gate, identity));
    gate->set->number = gate->count = 1;
    pthread_mutex_init(&gate->lock, NULL);
    return WHIST_OK;
}

void wh_gate_leave(wh_gate *gate, wh_gate_set *set)
{
    if (!set) return;
    pthread_mutex_lock(&gate->lock);
    bool last = --set->refs == 0;
    pthread_mutex_unlock(&gate->lock);
    if (last) set_free(gate, set);
}

static wh_gate_set *newest(wh_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    wh_gate_set *set = gate->set;
    set->refs++;
    pthread_mutex_unlock(&gate->lock);
    return set;
}

whist_status wh_gate_replace(wh_gate *gate, const wh_identity *identity)
{
    wh_gate_set *set = NULL;
    WH_TRY(set_new(&set, gate, identity));
    pthread_mutex_lock(&gate->lock);
    wh_gate_set *old = gate->set;
    set->number = ++gate->count;
    gate->set = set;
    pthread_mutex_unlock(&gate->lock);
    wh_gate_leave(gate, old);
    return WHIST_OK;
}

void wh_gate_clear(wh_gate *gate)
{
    if (!gate->set) return;
    wh_gate_leave(gate, gate->set);
    gate->set = NULL;
    pthread_mutex_destroy(&gate->lock);
}

/* ---- TLS before 1.3 ---- */

void wh_gate_address(char out[64], int fd)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    bool known = getpeername(fd, (struct sockaddr *)&from, &len) == 0 &&
                 getnameinfo((struct sockaddr *)&from, len, out, 64, NULL, 0, NI_NUMERICHOST) == 0;
    if (!known) snprintf(out, 64, "?");
}

/* RFC 8446, 4.2.1: supported_versions is a length byte and pairs of bytes. */
static int look_for_tls13(void *found, unsigned type, const unsigned char *data, unsigned len)
{
    enum { SUPPORTED_VERSIONS = 43 };
    for (unsigned i = 1; type == SUPPORTED_VERSIONS && i + 1 < len; i += 2)
        if (data[i] == 3 && data[i + 1] == 4) *(bool *)found = true;
    return 0;
}

/* Sees the ClientHello before GnuTLS does. libmicrohttpd closes the connection of a failed handshake without
 * an alert, which would leave the peer to guess; so the alert is sent here. */
static int on_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                    const gnutls_datum_t *message)
{
    (void)type, (void)when, (void)incoming;
    const wh_mhd *lib;
    bool found = false;
    if (wh_mhd_get(&lib) != WHIST_OK) return GNUTLS_E_INTERNAL_ERROR;
    int err = lib->gnutls_ext_raw_parse(&found, look_for_tls13, message, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    if (err >= 0 && found) return 0;
    char from[64];
    int in = -1, out = -1;
    lib->gnutls_transport_get_int2(session, &in, &out);
    wh_gate_address(from, in);
    wh_log(WHIST_LOG_WARNING, "peer.refused", "%s: the peer offers no TLS 1.3: update its TLS library", from);
    (void)lib->gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_PROTOCOL_VERSION);
    return GNUTLS_E_UNSUPPORTED_VERSION_PACKET;
}

wh_gate_set *wh_gate_enter(wh_gate *gate, gnutls_session_t session)
{
    wh_gate_set *set = newest(gate);
    if (gate->lib->gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, set->tls) != 0) {
        wh_gate_leave(gate, set);
        return NULL;
    }
    /* Not REQUIRE: whoever comes without a certificate is told so in words, not by an alert. */
    gate->lib->gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    gate->lib->gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, on_hello);
    return set;
}

/* The chain that the peer showed goes to the one that decides. */
static whist_status verify(wh_admission *admission, const wh_gate *gate, const wh_gate_set *set,
                           gnutls_session_t session)
{
    whist_bytes chain[WH_X509_CERTS_MAX];
    unsigned n = 0;
    const gnutls_datum_t *shown = gate->lib->gnutls_certificate_get_peers(session, &n);
    if (!shown) n = 0;
    if (n > WH_X509_CERTS_MAX) n = WH_X509_CERTS_MAX;
    for (unsigned i = 0; i < n; i++) chain[i] = (whist_bytes){shown[i].data, shown[i].size};
    int64_t now = wh_clock_unix_ms();
    whist_crypt_peer peer;
    WH_TRY(wh_x509_verify_peer(&peer, chain, n, set->trust, WHIST_CRYPT_AS_CLIENT, now / 1000));
    wh_admission made = {.set = set->number, .until_ms = now + ADMIT_MS};
    if (peer.not_after * 1000 < made.until_ms) made.until_ms = peer.not_after * 1000;
    snprintf(made.peer.name, sizeof made.peer.name, "%s", peer.name);
    made.peer.role = peer.role;
    made.peer.rights = peer.rights;
    memcpy(made.peer.pin, peer.pin, sizeof made.peer.pin);
    *admission = made;
    return WHIST_OK;
}

whist_status wh_gate_admit(wh_peer *out, wh_gate *gate, wh_admission *admission, gnutls_session_t session)
{
    wh_gate_set *set = newest(gate);
    whist_status status = WHIST_OK;
    if (admission->set != set->number || wh_clock_unix_ms() >= admission->until_ms) {
        admission->set = 0;
        status = verify(admission, gate, set, session);
    }
    wh_gate_leave(gate, set);
    WH_TRY(status);
    wh_peer peer = admission->peer;
    if (gate->authorise) WH_TRY(gate->authorise(gate->authorise_user, &peer));
    *out = peer;
    return WHIST_OK;
}
