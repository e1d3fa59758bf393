/* crypt/prg.c: AES-CTR through OpenSSL (AES-NI and VAES where the machine has them). */
#include "crypt/prg.h"

#include "crypt/ossl.h"

#include <string.h>

/* The key stream is the encryption of zeros. Pieces of this size are zeroed and encrypted while
 * they are in the first-level cache. */
enum { PIECE = 16384 };

void wh_prg_nonce(uint8_t nonce[WH_PRG_NONCE], uint64_t index)
{
    memset(nonce, 0, WH_PRG_NONCE);
    for (int i = 0; i < 8; i++) nonce[i] = (uint8_t)(index >> (56 - 8 * i));
}

whist_status wh_prg_init(wh_prg *prg, const uint8_t *key, size_t key_len, const uint8_t nonce[WH_PRG_NONCE])
{
    WH_ENSURE(key_len == 16 || key_len == 32, WHIST_E_ARG);
    const wh_ossl *ossl;
    WH_TRY(wh_ossl_get(&ossl));
    WH_AUTO(EVP_CIPHER_CTX_ptr) ctx = EVP_CIPHER_CTX_new();
    WH_OSSL_ENSURE(ctx, WHIST_E_NOMEM, "no memory for a generator");
    const EVP_CIPHER *cipher = key_len == 16 ? ossl->aes128_ctr : ossl->aes256_ctr;
    WH_OSSL_ENSURE(EVP_EncryptInit_ex2(ctx, cipher, key, nonce, NULL) == 1, WHIST_E_NOMEM, "cannot start AES-CTR");
    wh_prg_clear(prg);
    prg->ctx = ctx;
    ctx = NULL;
    memcpy(prg->nonce, nonce, WH_PRG_NONCE);
    return WHIST_OK;
}

whist_status wh_prg_next(wh_prg *prg, void *out, size_t len)
{
    WH_ENSURE(prg->ctx, WHIST_E_STATE);
    uint8_t *to = out;
    for (size_t left = len; left > 0;) {
        size_t piece = left < PIECE ? left : PIECE;
        int written;
        memset(to, 0, piece);
        if (EVP_EncryptUpdate(prg->ctx, to, &written, to, (int)piece) != 1) {
            wh_wipe(out, len);
            WH_OSSL_FAIL(WHIST_E_STATE, "AES-CTR failed");
        }
        to += piece;
        left -= piece;
    }
    return WHIST_OK;
}

whist_status wh_prg_seek(wh_prg *prg, uint64_t block)
{
    WH_ENSURE(prg->ctx, WHIST_E_STATE);
    uint8_t counter[WH_PRG_NONCE];
    unsigned carry = 0;
    for (int i = WH_PRG_NONCE - 1; i >= 0; i--) {
        carry += (unsigned)prg->nonce[i] + (unsigned)(block & 0xff);
        counter[i] = (uint8_t)carry;
        carry >>= 8;
        block >>= 8;
    }
    WH_OSSL_ENSURE(EVP_EncryptInit_ex2(prg->ctx, NULL, NULL, counter, NULL) == 1, WHIST_E_STATE,
                   "cannot move in an AES-CTR stream");
    return WHIST_OK;
}

void wh_prg_clear(wh_prg *prg)
{
    EVP_CIPHER_CTX_free(prg->ctx); /* wipes the key schedule; NULL is harmless */
    *prg = (wh_prg)WH_PRG_EMPTY;
}
