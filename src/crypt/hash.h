/* crypt/hash.h: SHA-256 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869).
 *
 * States are plain values: copying one forks the hash. Nothing here allocates, and nothing but
 * an out-of-range length can fail. Threads: a state belongs to one thread at a time. */
#ifndef WH_CRYPT_HASH_H
#define WH_CRYPT_HASH_H

#include "base/mem.h"

typedef struct wh_digest {
    uint8_t bytes[32];
} wh_digest;

/* Constant time. */
bool wh_digest_equal(const wh_digest *a, const wh_digest *b);
/* 64 lower-case hex digits and a zero. */
void wh_digest_hex(char out[65], const wh_digest *digest);
/* Reads exactly 64 hex digits. WHIST_E_FORMAT. */
WH_MUST_CHECK whist_status wh_digest_parse(wh_digest *out, const char *text);

typedef struct wh_sha256 {
    _Alignas(8) uint8_t state[112]; /* SHA256_CTX of OpenSSL */
} wh_sha256;

void wh_sha256_init(wh_sha256 *hash);
void wh_sha256_update(wh_sha256 *hash, const void *bytes, size_t len);
/* Little-endian, for lengths and counters between fields. */
void wh_sha256_u64(wh_sha256 *hash, uint64_t value);
/* Wipes the state. */
void wh_sha256_final(wh_digest *out, wh_sha256 *hash);
/* One shot. */
void wh_sha256_of(wh_digest *out, const void *bytes, size_t len);

typedef struct wh_hmac {
    wh_sha256 inner, outer;
} wh_hmac;

/* A key of any length, also none. */
void wh_hmac_init(wh_hmac *mac, const uint8_t *key, size_t key_len);
void wh_hmac_update(wh_hmac *mac, const void *bytes, size_t len);
/* Wipes the state. */
void wh_hmac_final(wh_digest *out, wh_hmac *mac);
void wh_hmac_of(wh_digest *out, const uint8_t *key, size_t key_len, whist_bytes message);

/* HKDF-SHA-256: len bytes from input key material. salt and info may be empty. info must name the
 * purpose, so that two keys from one secret have nothing in common. len <= 255 * 32, else
 * WHIST_E_ARG (out untouched). */
WH_MUST_CHECK whist_status wh_hkdf(uint8_t *out, size_t len, whist_bytes secret, whist_bytes salt, whist_bytes info);

#endif
