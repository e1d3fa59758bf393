/* crypt/keyfile.c: PKCS#8 by OpenSSL, and the rules for the file around it. */
#include "crypt/keyfile.h"

#include "base/file.h"
#include "crypt/ossl.h"
#include "crypt/random.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include <sys/stat.h>

/* scrypt: 16 MiB and about 0.2 s a guess (OWASP's N=2^14, r=8, p=5). */
enum { SCRYPT_N = 1 << 14, SCRYPT_R = 8, SCRYPT_P = 5 };

enum { SECRET = WH_SIGN_SEED }; /* bytes of either kind */

static whist_status check_passphrase(const char *passphrase)
{
    size_t len = strlen(passphrase);
    if (len < WH_PASSPHRASE_MIN || len > WH_PASSPHRASE_MAX)
        WH_FAIL(WHIST_E_ARG, "a passphrase has %d to %d bytes, this one has %zu", WH_PASSPHRASE_MIN, WH_PASSPHRASE_MAX,
                len);
    return WHIST_OK;
}

static int kind_id(wh_keyfile_kind kind)
{
    return kind == WH_KEYFILE_X25519 ? EVP_PKEY_X25519 : EVP_PKEY_ED25519;
}

static whist_status to_pkcs8(PKCS8_PRIV_KEY_INFO **out, wh_keyfile_kind kind, const uint8_t secret[SECRET])
{
    WH_AUTO(EVP_PKEY_ptr) pkey = EVP_PKEY_new_raw_private_key(kind_id(kind), NULL, secret, SECRET);
    PKCS8_PRIV_KEY_INFO *info = pkey ? EVP_PKEY2PKCS8(pkey) : NULL;
    WH_OSSL_ENSURE(info, WHIST_E_NOMEM, "cannot encode a private key");
    *out = info;
    return WHIST_OK;
}

static whist_status encrypt(X509_SIG **out, PKCS8_PRIV_KEY_INFO *info, const char *passphrase)
{
    uint8_t salt[16], iv[16];
    WH_TRY(wh_random_bytes(salt, sizeof salt));
    WH_TRY(wh_random_bytes(iv, sizeof iv));
    WH_AUTO(X509_ALGOR_ptr)
    scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), salt, sizeof salt, iv, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *sealed = scheme ? PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, scheme) : NULL;
    WH_OSSL_ENSURE(sealed, WHIST_E_NOMEM, "cannot encrypt a private key");
    scheme = NULL; /* sealed owns it now */
    *out = sealed;
    return WHIST_OK;
}

static whist_status to_pem(wh_buf *out, wh_keyfile_kind kind, const uint8_t secret[SECRET], const char *passphrase)
{
    WH_OSSL_QUIET();
    if (passphrase) WH_TRY(check_passphrase(passphrase));
    WH_AUTO(PKCS8_PRIV_KEY_INFO_ptr) info = NULL;
    WH_AUTO(X509_SIG_ptr) sealed = NULL;
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    WH_TRY(to_pkcs8(&info, kind, secret));
    if (passphrase) WH_TRY(encrypt(&sealed, info, passphrase));
    bool good = bio && (sealed ? PEM_write_bio_PKCS8(bio, sealed) : PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info)) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "cannot write a private key");
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    return wh_buf_add(out, text, (size_t)len);
}

static whist_status open_pkcs8(PKCS8_PRIV_KEY_INFO **out, const uint8_t *der, long len, const char *passphrase)
{
    if (!passphrase) WH_FAIL(WHIST_E_AUTH, "the private key is encrypted: give its passphrase");
    if (strlen(passphrase) > WH_PASSPHRASE_MAX) WH_FAIL(WHIST_E_AUTH, "the passphrase does not open the private key");
    const uint8_t *at = der;
    WH_AUTO(X509_SIG_ptr) sealed = d2i_X509_SIG(NULL, &at, len);
    WH_OSSL_ENSURE(sealed, WHIST_E_FORMAT, "the encrypted private key is damaged");
    *out = PKCS8_decrypt(sealed, passphrase, (int)strlen(passphrase));
    WH_OSSL_ENSURE(*out, WHIST_E_AUTH, "the passphrase does not open the private key");
    return WHIST_OK;
}

static whist_status from_pkcs8(whist_secret *out, wh_keyfile_kind kind, const PKCS8_PRIV_KEY_INFO *info)
{
    WH_AUTO(EVP_PKEY_ptr) pkey = EVP_PKCS82PKEY(info);
    WH_OSSL_ENSURE(pkey, WHIST_E_FORMAT, "the private key is damaged");
    WH_AUTO(whist_secret) secret = WHIST_SECRET_EMPTY;
    WH_TRY(wh_secret_init(&secret, SECRET));
    size_t len = secret.len;
    if (EVP_PKEY_get_base_id(pkey) != kind_id(kind) || EVP_PKEY_get_raw_private_key(pkey, secret.data, &len) != 1 ||
        len != SECRET)
        WH_OSSL_FAIL(WHIST_E_FORMAT, kind == WH_KEYFILE_X25519
                                         ? "the private key is not an X25519 key: make one with `whist site recipient`"
                                         : "the private key is not an Ed25519 key: make one with `whist provision`");
    *out = secret;
    secret = (whist_secret)WHIST_SECRET_EMPTY;
    return WHIST_OK;
}

static whist_status from_pem(whist_secret *out, wh_keyfile_kind kind, whist_bytes pem, const char *passphrase)
{
    WH_OSSL_QUIET();
    if (pem.len > WH_KEYFILE_MAX) WH_FAIL(WHIST_E_FORMAT, "a private key has at most %d bytes", WH_KEYFILE_MAX);
    if (pem.len == 0) WH_FAIL(WHIST_E_FORMAT, "the private key is empty");
    WH_AUTO(BIO_ptr) bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    WH_OSSL_ENSURE(bio, WHIST_E_NOMEM, "no memory to read a private key");
    char *label = NULL, *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    if (PEM_read_bio(bio, &label, &header, &der, &len) != 1)
        WH_OSSL_FAIL(WHIST_E_FORMAT, "no private key in PEM form (-----BEGIN PRIVATE KEY-----)");

    WH_AUTO(PKCS8_PRIV_KEY_INFO_ptr) info = NULL;
    whist_status status = WHIST_OK;
    if (strcmp(label, PEM_STRING_PKCS8) == 0) {
        status = open_pkcs8(&info, der, len, passphrase);
    } else if (strcmp(label, PEM_STRING_PKCS8INF) == 0) {
        const uint8_t *at = der;
        info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, len);
        if (!info) status = wh_ossl_fail_at(WHIST_E_FORMAT, __FILE__, __LINE__, "the private key is damaged");
    } else {
        status = wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, "a PEM of kind '%.40s' is no PKCS#8 private key", label);
    }
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, (size_t)len);
    WH_TRY(status);
    return from_pkcs8(out, kind, info);
}

whist_status wh_key_to_pem(wh_buf *out, const whist_crypt_key *key, const char *passphrase)
{
    return to_pem(out, WH_KEYFILE_ED25519, key->secret.data, passphrase);
}

whist_status wh_key_from_pem(whist_crypt_key **out, whist_bytes pem, const char *passphrase)
{
    WH_AUTO(whist_secret) seed = WHIST_SECRET_EMPTY;
    WH_TRY(from_pem(&seed, WH_KEYFILE_ED25519, pem, passphrase));
    return wh_sign_key_from_seed(out, seed.data);
}

/* Looks at the open file, not at the name, so that nobody can swap it in between. */
static whist_status check_mode(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return wh_fail_errno(errno, path, "look at");
    if (!S_ISREG(st.st_mode)) WH_FAIL(WHIST_E_IO, "%s is not a file", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        WH_FAIL(WHIST_E_AUTH,
                "private key %s may be opened by others (mode %03o): run chmod 600 %s, and make a new key if "
                "others may have read it",
                path, (unsigned)(st.st_mode & 0777), path);
    if (st.st_size > WH_KEYFILE_MAX) WH_FAIL(WHIST_E_FORMAT, "%s is too large for a private key", path);
    return WHIST_OK;
}

whist_status wh_keyfile_load(whist_secret *secret, wh_keyfile_kind kind, const char *path, const char *passphrase)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDONLY | O_NONBLOCK, 0));
    WH_TRY(check_mode(fd, path));
    struct stat st;
    if (fstat(fd, &st) != 0) return wh_fail_errno(errno, path, "look at");
    WH_AUTO(wh_buf) pem = WH_BUF_EMPTY;
    uint8_t *to;
    WH_TRY(wh_buf_grow(&pem, &to, (size_t)st.st_size));
    WH_TRY(wh_read_at(fd, to, (size_t)st.st_size, 0));
    whist_status status = from_pem(secret, kind, wh_buf_view(&pem), passphrase);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

whist_status whist_crypt_key_load(whist_crypt_key **out, const char *path, const char *passphrase)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    WH_AUTO(whist_secret) seed = WHIST_SECRET_EMPTY;
    WH_TRY(wh_keyfile_load(&seed, WH_KEYFILE_ED25519, path, passphrase));
    return wh_sign_key_from_seed(out, seed.data);
}

whist_status wh_keyfile_save(wh_keyfile_kind kind, const uint8_t secret[SECRET], const char *path,
                             const char *passphrase)
{
    if (wh_file_exists(path))
        WH_FAIL(WHIST_E_STATE, "%s is there already: a private key is never overwritten; move it away first", path);
    WH_AUTO(wh_buf) pem = WH_BUF_EMPTY;
    WH_TRY(to_pem(&pem, kind, secret, passphrase));
    /* A temporary file left by a crash could have a wider mode, which opening it would keep. */
    WH_AUTO(wh_buf) temporary = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&temporary, "%s.part", path));
    WH_TRY(wh_file_remove(wh_buf_str(&temporary)));
    return wh_file_write(path, wh_buf_view(&pem), 0600);
}

whist_status whist_crypt_key_save(const whist_crypt_key *key, const char *path, const char *passphrase)
{
    WH_ENSURE(key && path, WHIST_E_ARG);
    return wh_keyfile_save(WH_KEYFILE_ED25519, key->secret.data, path, passphrase);
}
