/* crypt/aead.h: authenticated encryption with explicit nonces: AES-256-GCM (SP 800-38D) and
 * ChaCha20-Poly1305 (RFC 8439).
 *
 *   sealed = ciphertext (len of the text) | tag (16)
 *
 * A nonce must never be used twice under one key. Random nonces are fine for fewer than 2^32
 * messages a key; counters for any number. Threads: any, there is no state. */
#ifndef WH_CRYPT_AEAD_H
#define WH_CRYPT_AEAD_H

#include "base/mem.h"

enum {
    WH_AEAD_KEY = 32,
    WH_AEAD_NONCE = 12,
    WH_AEAD_TAG = 16,
};

typedef enum wh_aead {
    WH_AEAD_AES256_GCM,
    WH_AEAD_CHACHA20_POLY1305,
} wh_aead;

/* out has room for text.len + WH_AEAD_TAG bytes; it may start where text does. aad is
 * authenticated, not hidden. WHIST_E_NOMEM; WHIST_E_RANGE for 2^31 bytes or more. out is wiped on
 * failure. */
WH_MUST_CHECK whist_status wh_aead_seal(uint8_t *out, wh_aead aead, const uint8_t key[WH_AEAD_KEY],
                                        const uint8_t nonce[WH_AEAD_NONCE], whist_bytes aad, whist_bytes text);
/* out has room for sealed.len - WH_AEAD_TAG bytes; it may start where sealed does. WHIST_E_AUTH
 * when anything was changed (also when sealed is shorter than a tag): out is wiped then. */
WH_MUST_CHECK whist_status wh_aead_open(uint8_t *out, wh_aead aead, const uint8_t key[WH_AEAD_KEY],
                                        const uint8_t nonce[WH_AEAD_NONCE], whist_bytes aad, whist_bytes sealed);

#endif
