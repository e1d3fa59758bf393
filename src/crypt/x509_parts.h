/* crypt/x509_parts.h: steps that reading, issuing, revoking and verifying share. Only the
 * x509_*.c files include it. */
#ifndef WH_CRYPT_X509_PARTS_H
#define WH_CRYPT_X509_PARTS_H

#include "crypt/ossl.h"
#include "crypt/sign.h"
#include "crypt/x509.h"

enum {
    WH_X509_LINE = 128, /* room for a subject or issuer in an error text */
    WH_X509_DAY_S = 86400,
    WH_X509_BACKDATE_S = 3600, /* clocks differ: what is signed begins an hour before it is made */
};

/* now, or the system's clock where it is 0. */
int64_t wh_x509_now(int64_t now);
/* "2026-11-21T08:00:00Z" of an ASN.1 time, "?" when it is broken. */
void wh_x509_date(char out[32], const ASN1_TIME *time);
WH_MUST_CHECK whist_status wh_x509_seconds(int64_t *out, const ASN1_TIME *time);
WH_MUST_CHECK whist_status wh_x509_set_time(ASN1_TIME *out, int64_t seconds);
/* A subject or issuer in one printable line. */
void wh_x509_line(char out[WH_X509_LINE], const X509_NAME *name);

/* Up to `max` objects out of a PEM that must hold at least one and nothing else. */
WH_MUST_CHECK whist_status wh_x509_certs(X509 **out, size_t *n, size_t max, whist_bytes pem);
WH_MUST_CHECK whist_status wh_x509_crls(X509_CRL **out, size_t *n, size_t max, whist_bytes pem);
WH_MUST_CHECK whist_status wh_x509_csr(X509_REQ **out, whist_bytes pem);
/* The first certificate of a PEM; more may follow. */
WH_MUST_CHECK whist_status wh_x509_cert(X509 **out, whist_bytes pem);
WH_MUST_CHECK whist_status wh_x509_from_der(X509 **out, whist_bytes der);

/* The text of a PEM just written into bio, for whist_crypt_text_free. */
WH_MUST_CHECK whist_status wh_x509_text(char **out, BIO *bio, size_t max);

/* The private key as OpenSSL wants it: a second copy, so short-lived. */
WH_MUST_CHECK whist_status wh_x509_private(EVP_PKEY **out, const whist_crypt_key *key);
/* The Ed25519 key inside a SubjectPublicKeyInfo. WHIST_E_FORMAT for other kinds. */
WH_MUST_CHECK whist_status wh_x509_ed25519_of(uint8_t out[WH_SIGN_PUBLIC], const X509_PUBKEY *spki);
WH_MUST_CHECK whist_status wh_x509_pin_of_spki(wh_digest *out, const X509_PUBKEY *spki);

/* The one common name of a subject, checked against the rules for names. */
WH_MUST_CHECK whist_status wh_x509_common_name(char out[WHIST_CRYPT_NAME_MAX + 1], const X509_NAME *subject);
WH_MUST_CHECK whist_status wh_x509_peer_of(whist_crypt_peer *out, X509 *cert);

/* Checks a DNS name or an address that others shall reach a server under. */
WH_MUST_CHECK whist_status wh_x509_host_check(const char *host);
/* Adds it to a subjectAltName. */
WH_MUST_CHECK whist_status wh_x509_host_add(GENERAL_NAMES *names, const char *host);
/* The text form of a DNS or address entry. WHIST_E_FORMAT for anything else. */
WH_MUST_CHECK whist_status wh_x509_host_read(char out[256], const GENERAL_NAME *name);

/* The identity entry of a subjectAltName: "whist:operator/ann?may=read,start". */
WH_MUST_CHECK whist_status wh_x509_identity_add(GENERAL_NAMES *names, whist_crypt_role role, const char *name,
                                                unsigned rights);
WH_MUST_CHECK whist_status wh_x509_identity_parse(whist_crypt_role *role, char name[WHIST_CRYPT_NAME_MAX + 1],
                                                  unsigned *rights, const char *text, size_t len);

/* Whether the private key is that of the CA certificate. WHIST_E_AUTH. */
WH_MUST_CHECK whist_status wh_x509_check_ca_key(const X509 *ca, const whist_crypt_key *key);

#endif
