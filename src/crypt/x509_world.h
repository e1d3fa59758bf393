/* crypt/x509_world.h: a small federation for the tests of certificates. */
#ifndef WH_CRYPT_X509_WORLD_H
#define WH_CRYPT_X509_WORLD_H

#include "crypt/kat.h"
#include "crypt/x509_parts.h"

#include <openssl/pem.h>

/* All tests live on this day; nothing depends on the machine's clock. */
static const int64_t now = 1795248000; /* 2026-11-21T08:00:00Z */
enum { DAY = 86400 };

static inline whist_bytes view(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static const whist_bytes none;

static inline void assert_says(const char *words)
{
    if (!strstr(whist_detail_get()->text, words)) fail_msg("'%s' not in: %s", words, whist_detail_get()->text);
}

/* ---- A small federation ---- */

typedef struct wh_world {
    whist_crypt_key *ca_key, *key;
    char *ca, *crl, *site; /* PEM */
    whist_crypt_trust *trust;
} world;

static inline char *make_cert(const world *w, const char *name, const whist_crypt_grant *grant)
{
    char *csr = NULL, *cert = NULL;
    const char *hosts[] = {"coordinator.example.org", "127.0.0.1", "::1"};
    bool server = grant->role == WHIST_CRYPT_COORDINATOR || grant->role == WHIST_CRYPT_PARTY;
    assert_ok(whist_crypt_csr_new(&csr, w->key, name, hosts, server ? 3 : 0));
    assert_ok(whist_crypt_csr_sign(&cert, w->ca_key, view(w->ca), view(csr), grant));
    whist_crypt_text_free(csr);
    return cert;
}

static inline int make_world(void **state)
{
    static world w;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    assert_ok(whist_crypt_key_new(&w.ca_key));
    assert_ok(whist_crypt_key_new(&w.key));
    assert_ok(whist_crypt_ca_new(&w.ca, w.ca_key, "hearts", 3650, now));
    assert_ok(whist_crypt_crl_new(&w.crl, w.ca_key, view(w.ca), none, none, 30, now));
    assert_ok(whist_crypt_trust_new(&w.trust, view(w.ca), view(w.crl)));
    w.site = make_cert(&w, "charite", &grant);
    *state = &w;
    return 0;
}

static inline int end_world(void **state)
{
    world *w = *state;
    whist_crypt_text_free(w->ca);
    whist_crypt_text_free(w->crl);
    whist_crypt_text_free(w->site);
    whist_crypt_trust_free(w->trust);
    whist_crypt_key_free(w->key);
    whist_crypt_key_free(w->ca_key);
    return 0;
}

/* Verifies as the wire does: DER, with a chain. */
static inline whist_status verify_at(whist_crypt_peer *peer, const whist_crypt_trust *trust, const char *pem,
                                     whist_crypt_usage usage, int64_t when)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    assert_ok(wh_x509_pem_to_der(&der, view(pem)));
    whist_bytes chain[] = {wh_buf_view(&der)};
    whist_crypt_peer other;
    whist_status status = wh_x509_verify_peer(peer, chain, 1, trust, usage, when);
    assert_int_equal(ERR_peek_error(), 0); /* OpenSSL's queue is left clean for the TLS calls that follow */
    /* both doors agree */
    assert_int_equal(whist_crypt_trust_check(&other, trust, view(pem), usage, when), status);
    return status;
}

/* Refused with these words, and nothing told about the peer. */
static inline void assert_refused(const whist_crypt_trust *trust, const char *pem, whist_crypt_usage usage,
                                  int64_t when, const char *words)
{
    whist_crypt_peer peer, before;
    memset(&peer, 0x5a, sizeof peer);
    before = peer;
    assert_int_equal(verify_at(&peer, trust, pem, usage, when), WHIST_E_AUTH);
    assert_says(words);
    assert_memory_equal(&peer, &before, sizeof peer);
}

#endif
