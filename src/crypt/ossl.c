/* crypt/ossl.c: the table of fetched algorithms and the way out of OpenSSL's error queue. */
#include "crypt/ossl.h"

#include <pthread.h>
#include <string.h>

static wh_ossl table;
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
    table = (wh_ossl){
        .aes128_ctr = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL),
        .aes256_ctr = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL),
        .aes256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL),
        .chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL),
    };
}

whist_status wh_ossl_get(const wh_ossl **out)
{
    pthread_once(&filled, fill);
    if (!table.aes128_ctr || !table.aes256_ctr || !table.aes256_gcm || !table.chacha20_poly1305)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the installed OpenSSL lacks AES-CTR, AES-GCM or ChaCha20-Poly1305: check its "
                                     "configuration (openssl list -cipher-algorithms)");
    *out = &table;
    return WHIST_OK;
}

whist_status wh_ossl_fail_at(whist_status code, const char *file, int line, const char *what)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) code = WHIST_E_NOMEM;
    ERR_clear_error();
    return wh_fail(code, file, line, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}
