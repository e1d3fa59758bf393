/* crypt/sign.h: Ed25519 signatures (RFC 8032) for one purpose at a time.
 *
 * What is signed is never the bare message but
 *
 *   "whist-sig-1" | length of context (1 byte) | context | SHA-256(message)
 *
 * so a signature given for a log entry can never be passed off as one for a start-up kit, nor as a
 * TLS handshake or a certificate (their messages start otherwise). Hashing first lets callers sign
 * a stream. Threads: keys may be read by many threads. */
#ifndef WH_CRYPT_SIGN_H
#define WH_CRYPT_SIGN_H

#include "crypt/hash.h"
#include "whist/crypt.h"

enum {
    WH_SIGN_PUBLIC = 32,
    WH_SIGN_SEED = 32,
    WH_SIGN_SIZE = WHIST_CRYPT_SIGNATURE_SIZE,
    WH_SIGN_CONTEXT_MAX = 64,
};

/* The public type too: whist_crypt_key. */
struct whist_crypt_key {
    whist_secret secret; /* seed (32) | public (32) */
    uint8_t public_key[WH_SIGN_PUBLIC];
};
WH_AUTO_FREE(whist_crypt_key, whist_crypt_key_free)

/* The key that belongs to a seed. WHIST_E_NOMEM. Ended by whist_crypt_key_free. */
WH_MUST_CHECK whist_status wh_sign_key_from_seed(whist_crypt_key **out, const uint8_t seed[WH_SIGN_SEED]);

/* context: 1 to 64 bytes, WHIST_E_ARG otherwise. */
WH_MUST_CHECK whist_status wh_sign(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key, const char *context,
                                   whist_bytes message);
/* WHIST_E_AUTH when the signature is not that of this key, context and message. */
WH_MUST_CHECK whist_status wh_sign_verify(const uint8_t public_key[WH_SIGN_PUBLIC], const char *context,
                                          whist_bytes message, const uint8_t signature[WH_SIGN_SIZE]);
/* The same for a message that was hashed on the way. */
WH_MUST_CHECK whist_status wh_sign_digest(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key,
                                          const char *context, const wh_digest *digest);
WH_MUST_CHECK whist_status wh_sign_verify_digest(const uint8_t public_key[WH_SIGN_PUBLIC], const char *context,
                                                 const wh_digest *digest, const uint8_t signature[WH_SIGN_SIZE]);

/* The bare primitive of RFC 8032, for standards that bring their own framing, and for tests. */
WH_MUST_CHECK whist_status wh_ed25519_sign(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key,
                                           whist_bytes message);
WH_MUST_CHECK whist_status wh_ed25519_verify(const uint8_t public_key[WH_SIGN_PUBLIC], whist_bytes message,
                                             const uint8_t signature[WH_SIGN_SIZE]);

#endif
