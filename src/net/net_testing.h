/* net/net_testing.h: a small federation for tests and benches: an authority, a coordinator, sites. */
#ifndef WH_NET_TESTING_H
#define WH_NET_TESTING_H

#include "net/identity.h"

#include <string.h>
#include <time.h>

typedef struct wh_town {
    whist_crypt_key *ca_key;
    char *ca, *crl;
} wh_town;

typedef struct wh_citizen {
    whist_crypt_key *key;
    char *cert;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
} wh_citizen;

static inline whist_bytes wh_text_bytes(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline whist_status wh_town_new(wh_town *town, const char *name)
{
    WH_TRY(whist_crypt_key_new(&town->ca_key));
    return whist_crypt_ca_new(&town->ca, town->ca_key, name, 365, (int64_t)time(NULL) - 90 * 86400);
}

static inline void wh_town_clear(wh_town *town)
{
    whist_crypt_key_free(town->ca_key);
    whist_crypt_text_free(town->ca);
    whist_crypt_text_free(town->crl);
    *town = (wh_town){0};
}

/* A certificate for `days` that begins `days_ago`. The key is made unless it is there. */
static inline whist_status wh_citizen_new(wh_citizen *out, const wh_town *town, const char *name, whist_crypt_role role,
                                          int days_ago, unsigned days)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    bool server = role == WHIST_CRYPT_COORDINATOR;
    char *csr = NULL;
    if (!out->key) WH_TRY(whist_crypt_key_new(&out->key));
    WH_TRY(whist_crypt_csr_new(&csr, out->key, name, hosts, server ? 2 : 0));
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.role = role;
    grant.days = days;
    grant.now = (int64_t)time(NULL) - (int64_t)days_ago * 86400;
    whist_status status =
        whist_crypt_csr_sign(&out->cert, town->ca_key, wh_text_bytes(town->ca), wh_text_bytes(csr), &grant);
    whist_crypt_text_free(csr);
    whist_crypt_key_pin(out->pin, out->key);
    return status;
}

static inline void wh_citizen_clear(wh_citizen *citizen)
{
    whist_crypt_key_free(citizen->key);
    whist_crypt_text_free(citizen->cert);
    *citizen = (wh_citizen){0};
}

static inline whist_status wh_town_revoke(wh_town *town, const wh_citizen *citizen)
{
    char *crl = NULL;
    WH_TRY(whist_crypt_crl_new(&crl, town->ca_key, wh_text_bytes(town->ca), wh_text_bytes(town->crl),
                               wh_text_bytes(citizen ? citizen->cert : NULL), 30, 0));
    whist_crypt_text_free(town->crl);
    town->crl = crl;
    return WHIST_OK;
}

static inline wh_identity wh_identity_of(const wh_town *town, const wh_citizen *citizen)
{
    return (wh_identity){citizen->key, wh_text_bytes(citizen->cert), wh_text_bytes(town->ca), wh_text_bytes(town->crl)};
}

#endif
