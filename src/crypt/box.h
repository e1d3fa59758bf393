/* crypt/box.h: bytes that only one key opens, and long streams under one secret: libsodium's sealed box
 * (crypto_box_seal: an ephemeral X25519 key, XSalsa20-Poly1305, a BLAKE2b nonce of both public keys) and its
 * secretstream (XChaCha20-Poly1305 in chunks that can be neither dropped, reordered nor cut off).
 *
 * A box hides what is in it and says nothing about who made it: whoever opens one needs a signature beside it. Its key
 * is an X25519 key of its own, never an Ed25519 key turned into one: a key that signs and lets others in should be able
 * to live longer than what was once sealed to it. Threads: keys may be read by many, a stream has one caller. */
#ifndef WH_CRYPT_BOX_H
#define WH_CRYPT_BOX_H

#include "base/mem.h"

enum {
    WH_BOX_PUBLIC = 32,
    WH_BOX_SECRET = 32,
    WH_BOX_MORE = 48, /* a box is longer than what is in it */
    WH_STREAM_KEY = 32,
    WH_STREAM_HEAD = 24,
    WH_STREAM_MORE = 17, /* of each chunk */
};

typedef struct wh_box_key {
    whist_secret secret;
    uint8_t public_key[WH_BOX_PUBLIC];
} wh_box_key;
void wh_box_key_free(wh_box_key *key);
WH_AUTO_FREE(wh_box_key, wh_box_key_free)

/* A fresh key; the key of 32 secret bytes. WHIST_E_ENTROPY, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_box_key_new(wh_box_key **out);
WH_MUST_CHECK whist_status wh_box_key_from_secret(wh_box_key **out, const uint8_t secret[WH_BOX_SECRET]);

/* As whist_crypt_key_save and _load: PEM PKCS#8 (RFC 8410, X25519), mode 0600, never over a file that is there. */
WH_MUST_CHECK whist_status wh_box_key_save(const wh_box_key *key, const char *path, const char *passphrase);
WH_MUST_CHECK whist_status wh_box_key_load(wh_box_key **out, const char *path, const char *passphrase);

/* out has room for text.len + WH_BOX_MORE. WHIST_E_ARG for a public key that is none (of small order). */
WH_MUST_CHECK whist_status wh_box_seal(uint8_t *out, const uint8_t public_key[WH_BOX_PUBLIC], whist_bytes text);
/* out has room for box.len - WH_BOX_MORE. WHIST_E_AUTH for a box of another key or one that was changed; out is wiped
 * then. */
WH_MUST_CHECK whist_status wh_box_open(uint8_t *out, const wh_box_key *key, whist_bytes box);

typedef struct wh_stream {
    _Alignas(8) uint8_t state[64];
} wh_stream;
void wh_stream_clear(wh_stream *stream); /* wipes */
WH_AUTO_CLEAR(wh_stream, wh_stream_clear)

/* head is public and goes first. */
void wh_stream_seal_begin(wh_stream *out, uint8_t head[WH_STREAM_HEAD], const uint8_t key[WH_STREAM_KEY]);
/* The next chunk: out has room for text.len + WH_STREAM_MORE. aad is authenticated, not hidden. last: none follows. */
WH_MUST_CHECK whist_status wh_stream_seal(uint8_t *out, wh_stream *stream, whist_bytes aad, whist_bytes text,
                                          bool last);

WH_MUST_CHECK whist_status wh_stream_open_begin(wh_stream *out, const uint8_t head[WH_STREAM_HEAD],
                                                const uint8_t key[WH_STREAM_KEY]);
/* WHIST_E_AUTH where the chunk is not the next one, was changed, or is not the last although `last` says so (or the
 * other way round); out is wiped then. */
WH_MUST_CHECK whist_status wh_stream_open(uint8_t *out, wh_stream *stream, whist_bytes aad, whist_bytes sealed,
                                          bool last);

#endif
