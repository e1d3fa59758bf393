/* whist/crypt.h: identities: private keys, the authority, certificates, revocation, pins.
 *
 * Every participant has an Ed25519 key that it makes itself and never gives away. It sends a
 * request (CSR) to the authority of the federation; the authority checks that the sender holds
 * the key and issues a TLS certificate that names the participant and its role. Who somebody *is*
 * is the pin: the SHA-256 of the public key (SubjectPublicKeyInfo, DER). It survives renewal with
 * the same key and cannot be had by asking for a certificate with the same name.
 *
 * PEM text goes in and out as whist_bytes and as whist_crypt_text_free'd strings; input is
 * bounded by 64 KiB and 8 certificates (revocation lists by 1 MiB). Times are seconds since 1970 UTC; `now` 0 means the
 * system's clock. Threads: objects may be read by many threads at once once they are made. */
#ifndef WHIST_CRYPT_H
#define WHIST_CRYPT_H

#include "whist/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WHIST_CRYPT_NAME_MAX = 40, /* letters of a participant's name: a-z, 0-9, '-' */
    WHIST_CRYPT_PIN_SIZE = 32,
    WHIST_CRYPT_SIGNATURE_SIZE = 64,
    WHIST_CRYPT_HOSTS_MAX = 16, /* DNS names and addresses in one certificate */
};

/* Ends a text that a function below has made; NULL is harmless. */
WHIST_API void whist_crypt_text_free(char *text);

/* ---- Private keys ------------------------------------------------------------------------- */

/* An Ed25519 private key in locked, guarded memory. */
typedef struct whist_crypt_key whist_crypt_key;

/* A fresh key. WHIST_E_ENTROPY, WHIST_E_NOMEM. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_key_new(whist_crypt_key **out);
/* Reads PEM PKCS#8. passphrase: NULL where the file is plain. WHIST_E_AUTH when the group or the
 * world may open the file, when it is encrypted and no or the wrong passphrase is given;
 * WHIST_E_FORMAT when it is not an Ed25519 key; WHIST_E_IO. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_key_load(whist_crypt_key **out, const char *path,
                                                             const char *passphrase);
/* Writes a new file, mode 0600, encrypted (scrypt, AES-256-CBC) when there is a passphrase (8 to
 * 1023 bytes, else WHIST_E_ARG). WHIST_E_STATE when the file is there already: keys are never
 * overwritten. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_key_save(const whist_crypt_key *key, const char *path,
                                                             const char *passphrase);
WHIST_API void whist_crypt_key_free(whist_crypt_key *key);
/* The pin of the key's public half. */
WHIST_API void whist_crypt_key_pin(uint8_t pin[WHIST_CRYPT_PIN_SIZE], const whist_crypt_key *key);

/* Signs bytes for one purpose. context: 1 to 64 bytes that name the purpose ("whist/kit/1"); a
 * signature made for one context is void for every other. WHIST_E_ARG. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_sign(uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE],
                                                         const whist_crypt_key *key, const char *context,
                                                         whist_bytes message);
/* Checks such a signature against the key in a certificate (the first in the PEM). Says nothing
 * about the certificate itself. WHIST_E_AUTH when it is not good; WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_verify(whist_bytes cert_pem, const char *context,
                                                           whist_bytes message,
                                                           const uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE]);

/* ---- Roles -------------------------------------------------------------------------------- */

typedef enum whist_crypt_role {
    WHIST_CRYPT_SITE,        /* connects to the coordinator with data behind it: TLS client */
    WHIST_CRYPT_COORDINATOR, /* TLS server */
    WHIST_CRYPT_OPERATOR,    /* a person or a script that looks or steers: TLS client */
    WHIST_CRYPT_PARTY,       /* computing server of an MPC: TLS client and server */
} whist_crypt_role;

/* "site", "coordinator", … Never NULL. */
WHIST_API const char *whist_crypt_role_name(whist_crypt_role role);
/* WHIST_E_ARG names the words that exist. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_role_parse(whist_crypt_role *out, const char *text);

/* What an operator may do; bits. Other roles have none. */
enum {
    WHIST_CRYPT_MAY_READ = 1,
    WHIST_CRYPT_MAY_START = 2,
    WHIST_CRYPT_MAY_STOP = 4,
};
/* Reads "read,start,stop" (any order, none twice). WHIST_E_ARG names the words that exist. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_rights_parse(unsigned *out, const char *text);

/* 1 to 40 of a-z, 0-9, '-', with a letter or digit first and last. WHIST_E_ARG says so. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_name_check(const char *name);

/* ---- The authority ------------------------------------------------------------------------ */

/* A self-signed authority certificate, as PEM: may sign participants and revocation lists, no
 * further authorities. name: as whist_crypt_name_check. days: 1 to 36500. WHIST_E_ARG, … */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_ca_new(char **out, const whist_crypt_key *key, const char *name,
                                                           unsigned days, int64_t now);

/* A request for a certificate, as PEM, made where the key lives. hosts: DNS names and IP
 * addresses that a server wishes to be reached under; none for others. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_csr_new(char **out, const whist_crypt_key *key, const char *name,
                                                            const char *const *hosts, size_t n_hosts);

/* What a request asks for, for the person who decides. */
typedef struct whist_crypt_request {
    char name[WHIST_CRYPT_NAME_MAX + 1];
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    char hosts[WHIST_CRYPT_HOSTS_MAX][256];
    size_t n_hosts;
} whist_crypt_request;
/* Also checks the proof of possession: WHIST_E_AUTH when the sender does not hold the key.
 * WHIST_E_FORMAT when the bytes are no request or break the rules. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_csr_read(whist_crypt_request *out, whist_bytes csr_pem);

/* What the authority grants. Nothing but the key, the name and (for servers) the hosts is taken
 * from the request. */
typedef struct whist_crypt_grant {
    whist_crypt_role role;
    unsigned rights;          /* WHIST_CRYPT_MAY_…, for operators, at least one */
    unsigned days;            /* 1 to 3650 */
    const char *name;         /* NULL, or the name that the request must carry */
    const char *const *hosts; /* servers: NULL takes the hosts of the request */
    size_t n_hosts;
    int64_t now;
} whist_crypt_grant;
#define WHIST_CRYPT_GRANT_DEFAULT                                                                                      \
    {                                                                                                                  \
        WHIST_CRYPT_SITE, 0, 365, NULL, NULL, 0, 0                                                                     \
    }

/* Checks the request as whist_crypt_csr_read does and signs a certificate for it: one PEM.
 * Renewal is the same call with a new request under the same name. The certificate ends no later
 * than the authority's own. WHIST_E_ARG (grant), WHIST_E_AUTH (proof of possession; ca_key is
 * not the key of ca_pem; authority expired), WHIST_E_FORMAT, WHIST_E_ENTROPY. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_csr_sign(char **out, const whist_crypt_key *ca_key,
                                                             whist_bytes ca_pem, whist_bytes csr_pem,
                                                             const whist_crypt_grant *grant);

/* The next revocation list, as PEM: all of old_crl_pem (empty: none yet) and the certificates in
 * revoke_pem (empty: none, a mere refresh; one that is in the list already stays as it was).
 * days: until the list must be replaced, 1 to 3650. WHIST_E_AUTH when the old list or a
 * certificate is not the authority's; WHIST_E_FORMAT; WHIST_E_RANGE when the list outgrows 1 MiB
 * (about 20,000 certificates: time for a new authority). */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_crl_new(char **out, const whist_crypt_key *ca_key,
                                                            whist_bytes ca_pem, whist_bytes old_crl_pem,
                                                            whist_bytes revoke_pem, unsigned days, int64_t now);

/* ---- Looking at certificates --------------------------------------------------------------- */

/* Who a certificate speaks of. */
typedef struct whist_crypt_peer {
    bool authority; /* a CA certificate: role and rights mean nothing */
    whist_crypt_role role;
    unsigned rights;
    char name[WHIST_CRYPT_NAME_MAX + 1];
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    int64_t not_before, not_after;
    char serial[41]; /* hex */
} whist_crypt_peer;

/* Reads the first certificate of a PEM, believing it. WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_cert_read(whist_crypt_peer *out, whist_bytes cert_pem);

/* Whole days until not_after, rounded down; negative once it is over. */
WHIST_API int64_t whist_crypt_days_left(int64_t not_after, int64_t now);

/* ---- Trust -------------------------------------------------------------------------------- */

/* One or more authorities with their revocation lists. Never changes: to reload, make a new one
 * and put it in place of the old. */
typedef struct whist_crypt_trust whist_crypt_trust;

/* ca_pem: 1 to 8 authority certificates. crl_pem: empty (revocation is then not checked), or a
 * list for *each* authority; two lists of one authority: the newer counts. WHIST_E_AUTH when a
 * list is not signed by one of the authorities; WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_trust_new(whist_crypt_trust **out, whist_bytes ca_pem,
                                                              whist_bytes crl_pem);
WHIST_API void whist_crypt_trust_free(whist_crypt_trust *trust);
/* The earliest nextUpdate of the revocation lists, 0 without lists: for warnings. */
WHIST_API int64_t whist_crypt_trust_crl_ends(const whist_crypt_trust *trust);

/* On which end of the connection the certificate is shown. */
typedef enum whist_crypt_usage {
    WHIST_CRYPT_AS_CLIENT,
    WHIST_CRYPT_AS_SERVER,
} whist_crypt_usage;

/* Whether the first certificate of a PEM would be accepted: WHIST_OK and *out, or WHIST_E_AUTH
 * with its own text for each reason (docs/crypt.md lists them). */
WHIST_API WHIST_MUST_CHECK whist_status whist_crypt_trust_check(whist_crypt_peer *out, const whist_crypt_trust *trust,
                                                                whist_bytes cert_pem, whist_crypt_usage usage,
                                                                int64_t now);

#ifdef __cplusplus
}
#endif
#endif
