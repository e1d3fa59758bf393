/* net/client.c: requests over one kept-alive connection.
 *
 * The certificate check of OpenSSL is replaced as a whole by ours (crypt/x509.h) and the pin. The
 * answer to a long body may come before the body is through (413, 403, 503): when sending breaks,
 * what the server had to say is read before giving up. */
#include "net/client.h"

#include "base/clock.h"
#include "crypt/ct.h"
#include "net/answer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

struct wh_client {
    wh_address address, proxy;
    bool has_proxy;
    char who[300];
    unsigned connect_ms;
    whist_crypt_trust *trust;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    SSL_CTX *tls;
    BIO_METHOD *method;
    whist_status refused; /* what the certificate check of this handshake said */
    atomic_bool stop;
    wh_wire wire;
    wh_answer answer;
    bool has_skew;
    int64_t skew_ms;
};
WH_AUTO_FREE(wh_client, wh_client_free)
WH_AUTO_FREE(X509, X509_free)
WH_AUTO_FREE(EVP_PKEY, EVP_PKEY_free)
WH_AUTO_FREE(BIO, BIO_free_all)

/* ---- Who is there ---- */

/* One certificate as DER, in memory of OpenSSL. */
static whist_status to_der(whist_bytes *out, X509 *cert)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    if (len <= 0) WH_FAIL(WHIST_E_NOMEM, "no memory for a certificate");
    *out = (whist_bytes){der, (size_t)len};
    return WHIST_OK;
}

static whist_status check_server(wh_client *client, X509 *leaf)
{
    whist_bytes der;
    WH_TRY(to_der(&der, leaf));
    whist_crypt_peer peer;
    whist_status status = wh_x509_verify_peer(&peer, &der, 1, client->trust, WHIST_CRYPT_AS_SERVER, 0);
    union {
        const uint8_t *view;
        void *own;
    } memory = {der.data};
    OPENSSL_free(memory.own);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: the server is not accepted: ", client->who);
    if (wh_ct_equal(peer.pin, client->pin, sizeof peer.pin)) return WHIST_OK;
    char seen[17], wanted[17];
    wh_hex(seen, peer.pin, 8);
    wh_hex(wanted, client->pin, 8);
    WH_FAIL(WHIST_E_AUTH,
            "%s: the server '%s' has a good certificate but not the pinned key (%s… instead of %s…): it is another "
            "server of the federation, or its key was changed: get a new start-up kit",
            client->who, peer.name, seen, wanted);
}

/* Called by OpenSSL in the middle of the handshake, in the thread that called us. */
static int on_certificate(X509_STORE_CTX *store, void *user)
{
    wh_client *client = user;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    client->refused = leaf ? check_server(client, leaf) : WHIST_E_AUTH;
    X509_STORE_CTX_set_error(store, client->refused == WHIST_OK ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
    return client->refused == WHIST_OK;
}

static whist_status show_certificate(wh_client *client, const wh_identity *identity)
{
    WH_ENSURE(identity->cert_pem.len <= WH_X509_BYTES_MAX, WHIST_E_RANGE);
    WH_AUTO(BIO_ptr) bio = BIO_new_mem_buf(identity->cert_pem.data, (int)identity->cert_pem.len);
    WH_AUTO(X509_ptr) cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    ERR_clear_error();
    if (!cert) WH_FAIL(WHIST_E_FORMAT, "our own certificate cannot be read: it must be PEM text");
    WH_AUTO(EVP_PKEY_ptr)
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, identity->key->secret.data, WH_SIGN_SEED);
    if (!key) WH_FAIL(WHIST_E_NOMEM, "no memory for a key");
    bool fits = SSL_CTX_use_certificate(client->tls, cert) == 1 && SSL_CTX_use_PrivateKey(client->tls, key) == 1;
    ERR_clear_error();
    if (!fits)
        WH_FAIL(WHIST_E_AUTH, "our own certificate is not for our key: name the key that its request was made with");
    return WHIST_OK;
}

static whist_status prepare_tls(wh_client *client, const wh_identity *identity)
{
    WH_TRY(wh_wire_method(&client->method));
    client->tls = SSL_CTX_new(TLS_client_method());
    if (!client->tls || SSL_CTX_set_min_proto_version(client->tls, TLS1_3_VERSION) != 1) {
        ERR_clear_error();
        WH_FAIL(WHIST_E_NOMEM, "no memory for TLS");
    }
    SSL_CTX_set_mode(client->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_session_cache_mode(client->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(client->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(client->tls, on_certificate, client);
    return identity->key ? show_certificate(client, identity) : WHIST_OK;
}

/* ---- Life ---- */

whist_status wh_client_new(wh_client **out, const wh_client_options *options)
{
    WH_ENSURE(out && options && options->address && options->identity && options->server_pin, WHIST_E_ARG);
    WH_ENSURE(options->connect_ms > 0 && options->stall_ms > 0, WHIST_E_ARG);
    WH_AUTO(wh_client_ptr) client = NULL;
    WH_TRY(WH_NEW(&client, 1));
    client->wire = (wh_wire)WH_WIRE_CLOSED;
    WH_TRY(wh_address_parse_peer(&client->address, options->address));
    client->has_proxy = options->proxy && *options->proxy;
    if (client->has_proxy) WH_TRY(wh_address_parse_proxy(&client->proxy, options->proxy));
    wh_address_text(client->who, &client->address);
    client->connect_ms = options->connect_ms;
    client->wire.stall_ms = options->stall_ms;
    client->wire.stop = &client->stop;
    client->wire.who = client->who;
    client->wire.role = "coordinator";
    client->answer.wire = &client->wire;
    memcpy(client->pin, options->server_pin, sizeof client->pin);
    WH_TRY(whist_crypt_trust_new(&client->trust, options->identity->ca_pem, options->identity->crl_pem));
    WH_TRY(prepare_tls(client, options->identity));
    *out = client;
    client = NULL;
    return WHIST_OK;
}

void wh_client_free(wh_client *client)
{
    if (!client) return;
    wh_client_close(client);
    SSL_CTX_free(client->tls);
    BIO_meth_free(client->method);
    whist_crypt_trust_free(client->trust);
    wh_wipe(&client->answer, sizeof client->answer);
    wh_free(client);
}

void wh_client_close(wh_client *client)
{
    wh_wire_close(&client->wire);
    client->answer.at = client->answer.end = 0;
}

void wh_client_interrupt(wh_client *client)
{
    atomic_store(&client->stop, true);
}

bool wh_client_skew_ms(int64_t *out, const wh_client *client)
{
    if (client->has_skew) *out = client->skew_ms;
    return client->has_skew;
}

whist_status wh_client_connect(wh_client *client)
{
    wh_client_close(client);
    client->refused = WHIST_OK;
    client->wire.deadline = wh_clock_seconds() + client->connect_ms / 1000.0;
    whist_status status = wh_wire_dial(&client->wire, &client->address, client->has_proxy ? &client->proxy : NULL);
    const char *name = wh_address_is_number(&client->address) ? NULL : client->address.host;
    if (status == WHIST_OK) status = wh_wire_tls(&client->wire, client->tls, client->method, name, &client->refused);
    client->wire.deadline = 0;
    if (status != WHIST_OK) wh_client_close(client);
    return status;
}

/* ---- One exchange ---- */

static whist_status add_piece(void *user, whist_bytes piece)
{
    return wh_buf_add(user, piece.data, piece.len);
}

static whist_status read_body(wh_client *client, wh_buf *out, const wh_http_head *head, size_t max)
{
    if (head->has_length && head->length <= max) { /* one piece of memory for all of it */
        uint8_t *room;
        WH_TRY(wh_buf_grow(out, &room, (size_t)head->length));
        out->len = 0;
    }
    return wh_answer_body(&client->answer, head, max, add_piece, out);
}

static whist_status send_request(wh_client *client, const char *method, const char *path, whist_bytes body)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    char host[288];
    wh_address_text(host, &client->address);
    WH_TRY(wh_buf_text(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host));
    if (body.len || strcmp(method, "GET") != 0) WH_TRY(wh_buf_text(&text, "Content-Length: %zu\r\n", body.len));
    WH_TRY(wh_buf_text(&text, "\r\n"));
    bool together = body.len <= 8192; /* one TLS record, one packet */
    if (together) WH_TRY(wh_buf_add(&text, body.data, body.len));
    WH_TRY(wh_wire_write(&client->wire, text.data, text.len));
    return together ? WHIST_OK : wh_wire_write(&client->wire, body.data, body.len);
}

static whist_status receive(wh_client *client, wh_response *out, const char *path)
{
    wh_http_head head;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(wh_answer_head(&client->answer, &head));
    WH_TRY(read_body(client, &response.body, &head, wh_net_body_max(path)));
    response.code = head.code;
    response.retry_after_ms = head.retry_after_ms;
    if (head.date_ms) { /* whole seconds, rounded down: half a second is the best guess */
        client->has_skew = true;
        client->skew_ms = head.date_ms + 500 - wh_clock_unix_ms();
    }
    if (head.close) wh_client_close(client);
    wh_response old = *out;
    *out = response;
    response = old;
    return WHIST_OK;
}

static whist_status exchange(wh_client *client, wh_response *out, const char *method, const char *path,
                             whist_bytes body)
{
    client->answer.heard = false;
    whist_status status = send_request(client, method, path, body);
    if (status == WHIST_OK) return receive(client, out, path);
    if (status != WHIST_E_IO && status != WHIST_E_AUTH) return status;
    whist_detail reason = *whist_detail_get();
    if (receive(client, out, path) == WHIST_OK) {
        wh_client_close(client);
        return WHIST_OK;
    }
    wh_detail_put(&reason);
    return status;
}

static bool path_is_fine(const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len > WH_NET_PATH_MAX || path[0] != '/') return false;
    for (size_t i = 0; i < len; i++)
        if (path[i] <= ' ' || path[i] > '~') return false;
    return true;
}

whist_status wh_client_call(wh_client *client, wh_response *out, const char *method, const char *path, whist_bytes body)
{
    WH_ENSURE(client && out && method && path && path_is_fine(path), WHIST_E_ARG);
    bool reused = client->wire.fd >= 0;
    if (!reused) WH_TRY(wh_client_connect(client));
    whist_status status = exchange(client, out, method, path, body);
    if (status == WHIST_E_IO && reused && !client->answer.heard) { /* closed while we were quiet */
        WH_TRY(wh_client_connect(client));
        status = exchange(client, out, method, path, body);
    }
    if (status != WHIST_OK) wh_client_close(client);
    if (status == WHIST_E_RANGE) return wh_fail_context(WHIST_E_FORMAT, "%s: ", client->who);
    return status;
}

static whist_status transport_call(void *self, wh_response *out, const char *method, const char *path, whist_bytes body)
{
    return wh_client_call(self, out, method, path, body);
}

wh_transport wh_client_transport(wh_client *client)
{
    return (wh_transport){transport_call, client};
}
