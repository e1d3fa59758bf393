/* crypt/hash.c: SHA-256 by OpenSSL's assembly, HMAC and HKDF on top of it.
 *
 * The SHA256_* functions rather than EVP: a state is then a plain value that can be copied and
 * cannot fail, and short messages (log entries, tree nodes) do not pay for a context each. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypt/hash.h"

#include "base/buf.h"
#include "crypt/ct.h"

#include <openssl/sha.h>
#include <string.h>

enum { BLOCK = 64 };

_Static_assert(sizeof(SHA256_CTX) <= sizeof((wh_sha256){0}.state), "the state has room for OpenSSL's");
_Static_assert(_Alignof(SHA256_CTX) <= 8, "and its alignment");

bool wh_digest_equal(const wh_digest *a, const wh_digest *b)
{
    return wh_ct_equal(a->bytes, b->bytes, sizeof a->bytes);
}

void wh_digest_hex(char out[65], const wh_digest *digest)
{
    wh_hex(out, digest->bytes, sizeof digest->bytes);
}

whist_status wh_digest_parse(wh_digest *out, const char *text)
{
    wh_digest digest;
    WH_TRY(wh_unhex(digest.bytes, text, sizeof digest.bytes));
    *out = digest;
    return WHIST_OK;
}

static SHA256_CTX *ctx(wh_sha256 *hash)
{
    return (SHA256_CTX *)(void *)hash->state;
}

void wh_sha256_init(wh_sha256 *hash)
{
    SHA256_Init(ctx(hash));
}

void wh_sha256_update(wh_sha256 *hash, const void *bytes, size_t len)
{
    if (len > 0) SHA256_Update(ctx(hash), bytes, len);
}

void wh_sha256_u64(wh_sha256 *hash, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    wh_sha256_update(hash, bytes, sizeof bytes);
}

void wh_sha256_final(wh_digest *out, wh_sha256 *hash)
{
    SHA256_Final(out->bytes, ctx(hash));
    wh_wipe(hash, sizeof *hash);
}

void wh_sha256_of(wh_digest *out, const void *bytes, size_t len)
{
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, bytes, len);
    wh_sha256_final(out, &hash);
}

/* HMAC(key, m) = H((key ^ opad) | H((key ^ ipad) | m)), the key filled up with zeros to a block,
 * or hashed first when it is longer than one. */
void wh_hmac_init(wh_hmac *mac, const uint8_t *key, size_t key_len)
{
    uint8_t pad[BLOCK] = {0};
    if (key_len > BLOCK) {
        wh_digest short_key;
        wh_sha256_of(&short_key, key, key_len);
        memcpy(pad, short_key.bytes, sizeof short_key.bytes);
        wh_wipe(&short_key, sizeof short_key);
    } else if (key_len > 0) {
        memcpy(pad, key, key_len);
    }
    for (size_t i = 0; i < BLOCK; i++) pad[i] ^= 0x36;
    wh_sha256_init(&mac->inner);
    wh_sha256_update(&mac->inner, pad, BLOCK);
    for (size_t i = 0; i < BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
    wh_sha256_init(&mac->outer);
    wh_sha256_update(&mac->outer, pad, BLOCK);
    wh_wipe(pad, sizeof pad);
}

void wh_hmac_update(wh_hmac *mac, const void *bytes, size_t len)
{
    wh_sha256_update(&mac->inner, bytes, len);
}

void wh_hmac_final(wh_digest *out, wh_hmac *mac)
{
    wh_digest inner;
    wh_sha256_final(&inner, &mac->inner);
    wh_sha256_update(&mac->outer, inner.bytes, sizeof inner.bytes);
    wh_sha256_final(out, &mac->outer);
    wh_wipe(&inner, sizeof inner);
}

void wh_hmac_of(wh_digest *out, const uint8_t *key, size_t key_len, whist_bytes message)
{
    wh_hmac mac;
    wh_hmac_init(&mac, key, key_len);
    wh_hmac_update(&mac, message.data, message.len);
    wh_hmac_final(out, &mac);
}

/* Extract: prk = HMAC(salt, secret). Expand: T(i) = HMAC(prk, T(i-1) | info | i), i = 1, 2, … */
whist_status wh_hkdf(uint8_t *out, size_t len, whist_bytes secret, whist_bytes salt, whist_bytes info)
{
    WH_ENSURE(len <= 255 * sizeof(wh_digest), WHIST_E_ARG);
    wh_digest prk, block;
    wh_hmac_of(&prk, salt.data, salt.len, secret);
    size_t done = 0;
    for (uint8_t i = 1; done < len; i++) {
        wh_hmac mac;
        wh_hmac_init(&mac, prk.bytes, sizeof prk.bytes);
        if (i > 1) wh_hmac_update(&mac, block.bytes, sizeof block.bytes);
        wh_hmac_update(&mac, info.data, info.len);
        wh_hmac_update(&mac, &i, 1);
        wh_hmac_final(&block, &mac);
        size_t take = len - done < sizeof block.bytes ? len - done : sizeof block.bytes;
        memcpy(out + done, block.bytes, take);
        done += take;
    }
    wh_wipe(&prk, sizeof prk);
    wh_wipe(&block, sizeof block);
    return WHIST_OK;
}
