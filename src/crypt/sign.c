/* crypt/sign.c: Ed25519 by libsodium, which also refuses keys of small order and signatures in a
 * second form (RFC 8032 leaves both open, and a log must not have two valid texts). */
#include "crypt/sign.h"

#include "crypt/random.h"

#include <sodium.h>
#include <string.h>

static const char prefix[] = "whist-sig-1";

enum { FRAME_MAX = sizeof prefix - 1 + 1 + WH_SIGN_CONTEXT_MAX + sizeof(wh_digest) };

_Static_assert(crypto_sign_ed25519_SECRETKEYBYTES == WH_SIGN_SEED + WH_SIGN_PUBLIC, "seed and public key");

whist_status wh_sign_key_from_seed(whist_crypt_key **out, const uint8_t seed[WH_SIGN_SEED])
{
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    WH_TRY(WH_NEW(&key, 1));
    WH_TRY(wh_secret_init(&key->secret, crypto_sign_ed25519_SECRETKEYBYTES));
    if (crypto_sign_ed25519_seed_keypair(key->public_key, key->secret.data, seed) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "libsodium cannot make an Ed25519 key");
    *out = key;
    key = NULL;
    return WHIST_OK;
}

whist_status whist_crypt_key_new(whist_crypt_key **out)
{
    WH_ENSURE(out, WHIST_E_ARG);
    WH_AUTO(whist_secret) seed = WHIST_SECRET_EMPTY;
    WH_TRY(wh_random_secret(&seed, WH_SIGN_SEED));
    return wh_sign_key_from_seed(out, seed.data);
}

void whist_crypt_key_free(whist_crypt_key *key)
{
    if (!key) return;
    wh_secret_clear(&key->secret);
    wh_free(key);
}

whist_status wh_ed25519_sign(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key, whist_bytes message)
{
    if (crypto_sign_ed25519_detached(signature, NULL, message.data, message.len, key->secret.data) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "libsodium cannot sign");
    return WHIST_OK;
}

whist_status wh_ed25519_verify(const uint8_t public_key[WH_SIGN_PUBLIC], whist_bytes message,
                               const uint8_t signature[WH_SIGN_SIZE])
{
    if (crypto_sign_ed25519_verify_detached(signature, message.data, message.len, public_key) != 0)
        WH_FAIL(WHIST_E_AUTH, "the signature is not good: the content was changed, or another key signed it");
    return WHIST_OK;
}

/* "whist-sig-1" | length of context | context | digest */
static whist_status frame(uint8_t out[FRAME_MAX], size_t *len, const char *context, const wh_digest *digest)
{
    size_t context_len = strlen(context), at = sizeof prefix - 1;
    if (context_len == 0 || context_len > WH_SIGN_CONTEXT_MAX)
        WH_FAIL(WHIST_E_ARG, "a signature's context has 1 to %d bytes, not %zu", WH_SIGN_CONTEXT_MAX, context_len);
    memcpy(out, prefix, at);
    out[at++] = (uint8_t)context_len;
    memcpy(out + at, context, context_len);
    at += context_len;
    memcpy(out + at, digest->bytes, sizeof digest->bytes);
    *len = at + sizeof digest->bytes;
    return WHIST_OK;
}

whist_status wh_sign_digest(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key, const char *context,
                            const wh_digest *digest)
{
    uint8_t framed[FRAME_MAX];
    size_t len;
    WH_TRY(frame(framed, &len, context, digest));
    return wh_ed25519_sign(signature, key, (whist_bytes){framed, len});
}

whist_status wh_sign_verify_digest(const uint8_t public_key[WH_SIGN_PUBLIC], const char *context,
                                   const wh_digest *digest, const uint8_t signature[WH_SIGN_SIZE])
{
    uint8_t framed[FRAME_MAX];
    size_t len;
    WH_TRY(frame(framed, &len, context, digest));
    return wh_ed25519_verify(public_key, (whist_bytes){framed, len}, signature);
}

whist_status wh_sign(uint8_t signature[WH_SIGN_SIZE], const whist_crypt_key *key, const char *context,
                     whist_bytes message)
{
    wh_digest digest;
    wh_sha256_of(&digest, message.data, message.len);
    return wh_sign_digest(signature, key, context, &digest);
}

whist_status wh_sign_verify(const uint8_t public_key[WH_SIGN_PUBLIC], const char *context, whist_bytes message,
                            const uint8_t signature[WH_SIGN_SIZE])
{
    wh_digest digest;
    wh_sha256_of(&digest, message.data, message.len);
    return wh_sign_verify_digest(public_key, context, &digest, signature);
}

whist_status whist_crypt_sign(uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE], const whist_crypt_key *key,
                              const char *context, whist_bytes message)
{
    WH_ENSURE(signature && key && context && (message.data || message.len == 0), WHIST_E_ARG);
    return wh_sign(signature, key, context, message);
}
