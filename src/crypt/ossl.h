/* crypt/ossl.h: how this room meets OpenSSL: algorithms fetched once, its error queue turned into
 * our record, and its types in WH_AUTO. Only the .c files of this room include it. */
#ifndef WH_CRYPT_OSSL_H
#define WH_CRYPT_OSSL_H

#include "base/status.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* Fetched when first asked for and kept to the end of the process: a fetch by name in every call
 * costs a lock and a look-up each time. The once-filled table that the house allows. */
typedef struct wh_ossl {
    EVP_CIPHER *aes128_ctr, *aes256_ctr, *aes256_gcm, *chacha20_poly1305;
} wh_ossl;

/* WHIST_E_UNSUPPORTED where the installed OpenSSL lacks one of them. */
WH_MUST_CHECK whist_status wh_ossl_get(const wh_ossl **out);

/* Empties OpenSSL's error queue and fails with WHIST_E_NOMEM if it says so, else with `code` and
 * "what: reason". */
whist_status wh_ossl_fail_at(whist_status code, const char *file, int line, const char *what);
#define WH_OSSL_FAIL(code, what) return wh_ossl_fail_at((code), __FILE__, __LINE__, (what))
#define WH_OSSL_ENSURE(expr, code, what)                                                                               \
    do {                                                                                                               \
        if (!(expr)) WH_OSSL_FAIL((code), (what));                                                                     \
    } while (0)

/* Leaves OpenSSL's error queue empty on every way out of a function that parses: a left-over, even
 * of a call that went well, would be taken for a failure of this thread's next TLS call. */
typedef char wh_ossl_quiet;
static inline void wh_ossl_quiet_end_(wh_ossl_quiet *quiet)
{
    (void)quiet;
    ERR_clear_error();
}
#define WH_OSSL_QUIET() __attribute__((unused)) WH_AUTO(wh_ossl_quiet) quiet_ = 0

WH_AUTO_FREE(BIO, BIO_free_all)
WH_AUTO_FREE(EVP_PKEY, EVP_PKEY_free)
WH_AUTO_FREE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
WH_AUTO_FREE(X509, X509_free)
WH_AUTO_FREE(X509_REQ, X509_REQ_free)
WH_AUTO_FREE(X509_CRL, X509_CRL_free)
WH_AUTO_FREE(X509_NAME, X509_NAME_free)
WH_AUTO_FREE(X509_SIG, X509_SIG_free)
WH_AUTO_FREE(X509_ALGOR, X509_ALGOR_free)
WH_AUTO_FREE(X509_EXTENSION, X509_EXTENSION_free)
WH_AUTO_FREE(X509_REVOKED, X509_REVOKED_free)
WH_AUTO_FREE(X509_STORE, X509_STORE_free)
WH_AUTO_FREE(X509_STORE_CTX, X509_STORE_CTX_free)
WH_AUTO_FREE(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)
WH_AUTO_FREE(GENERAL_NAMES, GENERAL_NAMES_free)
WH_AUTO_FREE(GENERAL_NAME, GENERAL_NAME_free)
WH_AUTO_FREE(ASN1_TIME, ASN1_TIME_free)
WH_AUTO_FREE(ASN1_INTEGER, ASN1_INTEGER_free)
WH_AUTO_FREE(ASN1_OBJECT, ASN1_OBJECT_free)
WH_AUTO_FREE(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
WH_AUTO_FREE(AUTHORITY_KEYID, AUTHORITY_KEYID_free)

#endif
