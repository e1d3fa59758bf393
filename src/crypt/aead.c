/* crypt/aead.c: both ciphers through one EVP sequence. */
#include "crypt/aead.h"

#include "crypt/ossl.h"

#include <limits.h>
#include <string.h>

static whist_status start(EVP_CIPHER_CTX **out, wh_aead aead, const uint8_t *key, const uint8_t *nonce, whist_bytes aad,
                          int encrypt)
{
    const wh_ossl *ossl;
    WH_TRY(wh_ossl_get(&ossl));
    WH_ENSURE(aead == WH_AEAD_AES256_GCM || aead == WH_AEAD_CHACHA20_POLY1305, WHIST_E_ARG);
    const EVP_CIPHER *cipher = aead == WH_AEAD_AES256_GCM ? ossl->aes256_gcm : ossl->chacha20_poly1305;
    WH_AUTO(EVP_CIPHER_CTX_ptr) ctx = EVP_CIPHER_CTX_new();
    int written;
    /* Both take 96-bit nonces without being told. */
    bool good = ctx && EVP_CipherInit_ex2(ctx, cipher, key, nonce, encrypt, NULL) == 1;
    if (good && aad.len > 0) good = EVP_CipherUpdate(ctx, NULL, &written, aad.data, (int)aad.len) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "cannot start an authenticated cipher");
    *out = ctx;
    ctx = NULL;
    return WHIST_OK;
}

whist_status wh_aead_seal(uint8_t *out, wh_aead aead, const uint8_t key[WH_AEAD_KEY],
                          const uint8_t nonce[WH_AEAD_NONCE], whist_bytes aad, whist_bytes text)
{
    if (text.len > INT_MAX - WH_AEAD_TAG || aad.len > INT_MAX)
        WH_FAIL(WHIST_E_RANGE, "%zu bytes are too many to seal in one piece: cut them into chunks", text.len);
    WH_AUTO(EVP_CIPHER_CTX_ptr) ctx = NULL;
    WH_TRY(start(&ctx, aead, key, nonce, aad, 1));
    int written;
    bool good = true;
    if (text.len > 0) good = EVP_CipherUpdate(ctx, out, &written, text.data, (int)text.len) == 1;
    good = good && EVP_CipherFinal_ex(ctx, out + text.len, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, WH_AEAD_TAG, out + text.len) == 1;
    if (good) return WHIST_OK;
    wh_wipe(out, text.len + WH_AEAD_TAG);
    WH_OSSL_FAIL(WHIST_E_NOMEM, "cannot seal");
}

whist_status wh_aead_open(uint8_t *out, wh_aead aead, const uint8_t key[WH_AEAD_KEY],
                          const uint8_t nonce[WH_AEAD_NONCE], whist_bytes aad, whist_bytes sealed)
{
    if (sealed.len < WH_AEAD_TAG) WH_FAIL(WHIST_E_AUTH, "a sealed message is shorter than its tag");
    size_t len = sealed.len - WH_AEAD_TAG;
    if (len > INT_MAX - WH_AEAD_TAG || aad.len > INT_MAX)
        WH_FAIL(WHIST_E_RANGE, "%zu bytes are too many to open in one piece", len);
    WH_AUTO(EVP_CIPHER_CTX_ptr) ctx = NULL;
    WH_TRY(start(&ctx, aead, key, nonce, aad, 0));
    uint8_t tag[WH_AEAD_TAG], rest[16];
    memcpy(tag, sealed.data + len, WH_AEAD_TAG);
    int written;
    bool good = true;
    if (len > 0) good = EVP_CipherUpdate(ctx, out, &written, sealed.data, (int)len) == 1;
    good = good && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, WH_AEAD_TAG, tag) == 1 &&
           EVP_CipherFinal_ex(ctx, rest, &written) == 1;
    if (good) return WHIST_OK;
    wh_wipe(out, len);
    WH_OSSL_FAIL(WHIST_E_AUTH, "a sealed message was changed, or sealed under another key");
}
