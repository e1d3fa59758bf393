/* crypt/x509_world.h: a small federation for the tests of certificates. */
#ifndef WH_CRYPT_X509_WORLD_H
#define WH_CRYPT_X509_WORLD_H

#include "crypt/x509_parts.h"

#include <openssl/pem.h>
#include <string.h>

/* All tests live on this day; nothing depends on the machine's clock. */
static const int64_t now = 1795248000; /* 2026-11-21T08:00:00Z */
enum { DAY = 86400 };

static inline whist_bytes view(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static const whist_bytes none;

/* The last failure has these words in its text. */
#define assert_says(words)                                                                                             \
    do {                                                                                                               \
        if (!strstr(whist_detail_get()->text, (words)))                                                                \
            fail_msg("'%s' not in: %s", (words), whist_detail_get()->text);                                            \
    } while (0)

typedef struct world {
    whist_crypt_key *ca_key, *key;
    char *ca, *crl, *site; /* PEM */
    whist_crypt_trust *trust;
} world;

static inline whist_status try_cert(char **out, const world *w, const char *name, const whist_crypt_grant *grant)
{
    char *csr = NULL;
    const char *hosts[] = {"coordinator.example.org", "127.0.0.1", "::1"};
    bool server = grant->role == WHIST_CRYPT_COORDINATOR || grant->role == WHIST_CRYPT_PARTY;
    WH_TRY(whist_crypt_csr_new(&csr, w->key, name, hosts, server ? 3 : 0));
    whist_status status = whist_crypt_csr_sign(out, w->ca_key, view(w->ca), view(csr), grant);
    whist_crypt_text_free(csr);
    return status;
}

/* NULL when it fails: reading it then fails the test. */
static inline char *make_cert(const world *w, const char *name, const whist_crypt_grant *grant)
{
    char *out = NULL;
    return try_cert(&out, w, name, grant) == WHIST_OK ? out : NULL;
}

static inline whist_status fill_world(world *w)
{
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    WH_TRY(whist_crypt_key_new(&w->ca_key));
    WH_TRY(whist_crypt_key_new(&w->key));
    WH_TRY(whist_crypt_ca_new(&w->ca, w->ca_key, "hearts", 3650, now));
    WH_TRY(whist_crypt_crl_new(&w->crl, w->ca_key, view(w->ca), none, none, 30, now));
    WH_TRY(whist_crypt_trust_new(&w->trust, view(w->ca), view(w->crl)));
    return try_cert(&w->site, w, "charite", &grant);
}

/* Group setup and teardown. */
static inline int make_world(void **state)
{
    static world w;
    *state = &w;
    return fill_world(&w) == WHIST_OK ? 0 : -1;
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

/* Verifies as the wire does (DER, with a chain) and as the programs do (PEM). WHIST_E_STATE when the
 * two do not agree, or leave something in OpenSSL's error queue for the next TLS call to find. */
static inline whist_status verify_at(whist_crypt_peer *peer, const whist_crypt_trust *trust, const char *pem,
                                     whist_crypt_usage usage, int64_t when)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    WH_TRY(wh_x509_pem_to_der(&der, view(pem)));
    whist_bytes chain[] = {wh_buf_view(&der)};
    whist_crypt_peer other;
    whist_status status = whist_crypt_trust_check(&other, trust, view(pem), usage, when);
    if (ERR_peek_error()) return WHIST_E_STATE;
    if (wh_x509_verify_peer(peer, chain, 1, trust, usage, when) != status) return WHIST_E_STATE;
    return ERR_peek_error() ? WHIST_E_STATE : status;
}

/* Refused with these words, and nothing told about the peer. */
#define assert_refused(trust, pem, usage, when, words)                                                                 \
    do {                                                                                                               \
        whist_crypt_peer peer_, before_;                                                                               \
        memset(&peer_, 0x5a, sizeof peer_);                                                                            \
        before_ = peer_;                                                                                               \
        assert_int_equal(verify_at(&peer_, (trust), (pem), (usage), (when)), WHIST_E_AUTH);                            \
        assert_says(words);                                                                                            \
        assert_memory_equal(&peer_, &before_, sizeof peer_);                                                           \
    } while (0)

#endif
