/* crypt/x509.h: what the wire needs of certificates, beside whist/crypt.h.
 *
 * TLS libraries differ in what they check and when; so each hands over the raw chain that the
 * peer has shown (after the handshake proved that it holds the key), and this one function
 * decides. It trusts nothing the TLS library says. */
#ifndef WH_CRYPT_X509_H
#define WH_CRYPT_X509_H

#include "base/buf.h"
#include "crypt/hash.h"
#include "whist/crypt.h"

enum {
    WH_X509_BYTES_MAX = 65536, /* of one chain or PEM */
    WH_X509_CRL_MAX = 1 << 20, /* of the PEM of revocation lists */
    WH_X509_CERTS_MAX = 8,
};

WH_AUTO_FREE(whist_crypt_trust, whist_crypt_trust_free)

/* Decides whether a peer may speak, by the chain it showed (leaf first, DER), and tells who it is.
 *
 * Checks, in this order: there is a certificate; sizes; the leaf parses; it is not self-signed;
 * one of our authorities has its issuer name and its key made the signature; it is a leaf; not
 * revoked and the list in force; valid at `now`; its key usage fits `usage`; name, role and
 * extended key usage agree with each other. Further certificates of the chain are ignored: our
 * authorities sign leaves themselves.
 *
 * Every refusal is WHIST_E_AUTH with its own text (docs/crypt.md). *out is untouched then.
 * WHIST_E_NOMEM. trust may be shared by threads. now 0: the system's clock. */
WH_MUST_CHECK whist_status wh_x509_verify_peer(whist_crypt_peer *out, const whist_bytes *chain, size_t n_chain,
                                               const whist_crypt_trust *trust, whist_crypt_usage usage, int64_t now);

/* The pin (SHA-256 of the SubjectPublicKeyInfo) of a certificate. WHIST_E_FORMAT. */
WH_MUST_CHECK whist_status wh_x509_pin_of_der(wh_digest *out, whist_bytes der);
WH_MUST_CHECK whist_status wh_x509_pin_of_pem(wh_digest *out, whist_bytes pem);
/* The pin of an Ed25519 public key. */
void wh_x509_pin_of_key(wh_digest *out, const uint8_t public_key[32]);

/* Appends the DER of the first certificate of a PEM. */
WH_MUST_CHECK whist_status wh_x509_pem_to_der(wh_buf *out, whist_bytes pem);

/* The Ed25519 public key in a certificate (DER), for checking signatures of its owner. */
WH_MUST_CHECK whist_status wh_x509_public_key(uint8_t out[32], whist_bytes der);

#endif
