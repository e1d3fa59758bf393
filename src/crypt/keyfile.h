/* crypt/keyfile.h: private keys on disk: PEM PKCS#8 (RFC 5958, RFC 8410), plain or encrypted
 * (PBES2 with scrypt N=2^14 r=8 p=5 and AES-256-CBC; files of other tools may use PBKDF2).
 *
 * A file that the group or the world may open is refused with the chmod that mends it: a key that
 * others may have read is no key. Reading and writing files is whist_crypt_key_load and _save in
 * whist/crypt.h; here is the text form, for TLS libraries that want PEM. */
#ifndef WH_CRYPT_KEYFILE_H
#define WH_CRYPT_KEYFILE_H

#include "base/buf.h"
#include "crypt/sign.h"

enum {
    WH_KEYFILE_MAX = 16384,
    WH_PASSPHRASE_MIN = 8,
    WH_PASSPHRASE_MAX = 1023,
};

/* Appends the PEM text. passphrase NULL: plain. out is wiped when it is cleared; keep it short-lived.
 * WHIST_E_ARG (length of the passphrase), WHIST_E_NOMEM, WHIST_E_ENTROPY. */
WH_MUST_CHECK whist_status wh_key_to_pem(wh_buf *out, const whist_crypt_key *key, const char *passphrase);
/* WHIST_E_AUTH: encrypted and no or the wrong passphrase. WHIST_E_FORMAT: no Ed25519 key. */
WH_MUST_CHECK whist_status wh_key_from_pem(whist_crypt_key **out, whist_bytes pem, const char *passphrase);

/* The same for 32 secret bytes of either kind of key. secret is made by wh_keyfile_load. Fails like the two of
 * whist/crypt.h. */
typedef enum wh_keyfile_kind {
    WH_KEYFILE_ED25519,
    WH_KEYFILE_X25519,
} wh_keyfile_kind;
WH_MUST_CHECK whist_status wh_keyfile_save(wh_keyfile_kind kind, const uint8_t secret[32], const char *path,
                                           const char *passphrase);
WH_MUST_CHECK whist_status wh_keyfile_load(whist_secret *secret, wh_keyfile_kind kind, const char *path,
                                           const char *passphrase);

#endif
