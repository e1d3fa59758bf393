/* crypt/x509_read.c: bounded reading of PEM and DER, pins, and what a certificate says. */
#include "crypt/x509_parts.h"

#include "base/clock.h"

#include <openssl/pem.h>
#include <string.h>
#include <time.h>

/* ---- Times and lines ---- */

int64_t wh_x509_now(int64_t now)
{
    return now != 0 ? now : wh_clock_unix_ms() / 1000;
}

whist_status wh_x509_seconds(int64_t *out, const ASN1_TIME *time)
{
    struct tm tm;
    WH_OSSL_ENSURE(time && ASN1_TIME_to_tm(time, &tm) == 1, WHIST_E_FORMAT, "a date in the certificate is broken");
    *out = (int64_t)timegm(&tm);
    return WHIST_OK;
}

whist_status wh_x509_set_time(ASN1_TIME *out, int64_t seconds)
{
    WH_OSSL_ENSURE(ASN1_TIME_set(out, (time_t)seconds), WHIST_E_RANGE, "a date cannot be written in a certificate");
    return WHIST_OK;
}

void wh_x509_date(char out[32], const ASN1_TIME *time)
{
    int64_t seconds = 0;
    memcpy(out, "?", 2);
    if (wh_x509_seconds(&seconds, time) == WHIST_OK) wh_clock_iso(out, seconds * 1000);
}

void wh_x509_line(char out[WH_X509_LINE], const X509_NAME *name)
{
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    out[0] = 0;
    /* RFC 2253 escapes control bytes and all that is not ASCII. */
    if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) return;
    int len = BIO_read(bio, out, WH_X509_LINE - 1);
    out[len > 0 ? len : 0] = 0;
}

/* ---- PEM and DER ---- */

/* Decodes DER of one kind; NULL when it is broken. The whole input must be used up. */
typedef void *decode_fn(const uint8_t *der, long len);
typedef void release_fn(void *object);

static void *decode_cert(const uint8_t *der, long len)
{
    const uint8_t *at = der;
    X509 *cert = d2i_X509(NULL, &at, len);
    if (cert && at == der + len) return cert;
    X509_free(cert);
    return NULL;
}

static void *decode_crl(const uint8_t *der, long len)
{
    const uint8_t *at = der;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, len);
    if (crl && at == der + len) return crl;
    X509_CRL_free(crl);
    return NULL;
}

static void *decode_csr(const uint8_t *der, long len)
{
    const uint8_t *at = der;
    X509_REQ *csr = d2i_X509_REQ(NULL, &at, len);
    if (csr && at == der + len) return csr;
    X509_REQ_free(csr);
    return NULL;
}

typedef struct pem_kind {
    const char *label, *old_label, *word;
    decode_fn *decode;
} pem_kind;

static const pem_kind cert_kind = {PEM_STRING_X509, PEM_STRING_X509_OLD, "certificate", decode_cert};
static const pem_kind crl_kind = {PEM_STRING_X509_CRL, PEM_STRING_X509_CRL, "revocation list", decode_crl};
static const pem_kind csr_kind = {PEM_STRING_X509_REQ, PEM_STRING_X509_REQ_OLD, "certificate request", decode_csr};

static whist_status decode_one(void **out, const pem_kind *kind, const char *label, const uint8_t *der, long len)
{
    if (strstr(label, "PRIVATE KEY"))
        WH_FAIL(WHIST_E_FORMAT, "a private key stands where a %s belongs: keep it apart, and give it to nobody",
                kind->word);
    if (strcmp(label, kind->label) != 0 && strcmp(label, kind->old_label) != 0)
        WH_FAIL(WHIST_E_FORMAT, "a '%.40s' stands where a %s belongs", label, kind->word);
    void *object = kind->decode(der, len);
    WH_OSSL_ENSURE(object, WHIST_E_FORMAT, "damaged PEM content");
    *out = object;
    return WHIST_OK;
}

/* The next object; *out is NULL at the end of the text. */
static whist_status read_next(void **out, const pem_kind *kind, BIO *bio)
{
    char *label = NULL, *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    *out = NULL;
    if (PEM_read_bio(bio, &label, &header, &der, &len) != 1) {
        bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        if (at_end) return WHIST_OK;
        WH_FAIL(WHIST_E_FORMAT, "the PEM text of a %s is damaged or cut short", kind->word);
    }
    whist_status status = decode_one(out, kind, label, der, len);
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, (size_t)len);
    return status;
}

static whist_status open_pem(BIO **out, const pem_kind *kind, whist_bytes pem, size_t bytes_max)
{
    if (pem.len == 0) WH_FAIL(WHIST_E_FORMAT, "there is no %s: the text is empty", kind->word);
    if (pem.len > bytes_max)
        WH_FAIL(WHIST_E_FORMAT, "%zu bytes are too many for a %s: %zu are allowed", pem.len, kind->word, bytes_max);
    *out = BIO_new_mem_buf(pem.data, (int)pem.len);
    WH_OSSL_ENSURE(*out, WHIST_E_NOMEM, "no memory to read a PEM text");
    return WHIST_OK;
}

/* All objects of a text. On failure those read so far stay in out for the caller to end. */
static whist_status read_all(void **out, size_t *n, size_t max, const pem_kind *kind, BIO *bio)
{
    for (;;) {
        void *object;
        WH_TRY(read_next(&object, kind, bio));
        if (!object) break;
        if (*n < max) {
            out[(*n)++] = object;
            continue;
        }
        if (kind == &crl_kind)
            X509_CRL_free(object);
        else
            X509_free(object);
        WH_FAIL(WHIST_E_FORMAT, "more than %zu in one PEM text of a %s", max, kind->word);
    }
    if (*n == 0) WH_FAIL(WHIST_E_FORMAT, "no %s in PEM form (-----BEGIN %s-----)", kind->word, kind->label);
    return WHIST_OK;
}

whist_status wh_x509_certs(X509 **out, size_t *n, size_t max, whist_bytes pem)
{
    WH_AUTO(BIO_ptr) bio = NULL;
    WH_TRY(open_pem(&bio, &cert_kind, pem, WH_X509_BYTES_MAX));
    void *found[WH_X509_CERTS_MAX];
    size_t count = 0;
    WH_CHECK(max <= WH_X509_CERTS_MAX);
    whist_status status = read_all(found, &count, max, &cert_kind, bio);
    for (size_t i = 0; i < count; i++) {
        if (status == WHIST_OK)
            out[i] = found[i];
        else
            X509_free(found[i]);
    }
    if (status == WHIST_OK) *n = count;
    return status;
}

whist_status wh_x509_crls(X509_CRL **out, size_t *n, size_t max, whist_bytes pem)
{
    WH_AUTO(BIO_ptr) bio = NULL;
    WH_TRY(open_pem(&bio, &crl_kind, pem, WH_X509_CRL_MAX));
    void *found[WH_X509_CERTS_MAX];
    size_t count = 0;
    WH_CHECK(max <= WH_X509_CERTS_MAX);
    whist_status status = read_all(found, &count, max, &crl_kind, bio);
    for (size_t i = 0; i < count; i++) {
        if (status == WHIST_OK)
            out[i] = found[i];
        else
            X509_CRL_free(found[i]);
    }
    if (status == WHIST_OK) *n = count;
    return status;
}

static whist_status read_first(void **out, const pem_kind *kind, whist_bytes pem)
{
    WH_AUTO(BIO_ptr) bio = NULL;
    WH_TRY(open_pem(&bio, kind, pem, WH_X509_BYTES_MAX));
    void *object;
    WH_TRY(read_next(&object, kind, bio));
    if (!object) WH_FAIL(WHIST_E_FORMAT, "no %s in PEM form (-----BEGIN %s-----)", kind->word, kind->label);
    *out = object;
    return WHIST_OK;
}

whist_status wh_x509_cert(X509 **out, whist_bytes pem)
{
    void *cert;
    WH_TRY(read_first(&cert, &cert_kind, pem));
    *out = cert;
    return WHIST_OK;
}

whist_status wh_x509_csr(X509_REQ **out, whist_bytes pem)
{
    void *csr;
    WH_TRY(read_first(&csr, &csr_kind, pem));
    *out = csr;
    return WHIST_OK;
}

whist_status wh_x509_from_der(X509 **out, whist_bytes der)
{
    if (der.len > WH_X509_BYTES_MAX) WH_FAIL(WHIST_E_FORMAT, "a certificate of %zu bytes is too large", der.len);
    X509 *cert = der.len > 0 ? decode_cert(der.data, (long)der.len) : NULL;
    WH_OSSL_ENSURE(cert, WHIST_E_FORMAT, "the certificate is damaged");
    *out = cert;
    return WHIST_OK;
}

whist_status wh_x509_pem_to_der(wh_buf *out, whist_bytes pem)
{
    WH_OSSL_QUIET();
    WH_AUTO(X509_ptr) cert = NULL;
    WH_TRY(wh_x509_cert(&cert, pem));
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    WH_OSSL_ENSURE(len > 0, WHIST_E_NOMEM, "cannot encode a certificate");
    whist_status status = wh_buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    return status;
}

whist_status wh_x509_text(char **out, BIO *bio, size_t max)
{
    char *from;
    long len = BIO_get_mem_data(bio, &from);
    if (len <= 0 || (size_t)len > max)
        WH_FAIL(WHIST_E_RANGE, "a PEM text of %ld bytes passes the limit of %zu", len, max);
    char *text;
    WH_TRY(WH_NEW_RAW(&text, (size_t)len + 1));
    memcpy(text, from, (size_t)len);
    text[len] = 0;
    *out = text;
    return WHIST_OK;
}

void whist_crypt_text_free(char *text)
{
    wh_free(text);
}

/* ---- Keys and pins ---- */

whist_status wh_x509_pin_of_spki(wh_digest *out, const X509_PUBKEY *spki)
{
    uint8_t *der = NULL;
    int len = spki ? i2d_X509_PUBKEY(spki, &der) : -1;
    WH_OSSL_ENSURE(len > 0, WHIST_E_FORMAT, "the public key is damaged");
    wh_sha256_of(out, der, (size_t)len);
    OPENSSL_free(der);
    return WHIST_OK;
}

whist_status wh_x509_ed25519_of(uint8_t out[WH_SIGN_PUBLIC], const X509_PUBKEY *spki)
{
    EVP_PKEY *pkey = X509_PUBKEY_get0(spki);
    uint8_t raw[WH_SIGN_PUBLIC];
    size_t len = sizeof raw;
    if (!pkey || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1 ||
        len != sizeof raw)
        WH_OSSL_FAIL(WHIST_E_FORMAT, "the public key is not an Ed25519 key");
    memcpy(out, raw, sizeof raw);
    return WHIST_OK;
}

/* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } (RFC 8410, 4) */
void wh_x509_pin_of_key(wh_digest *out, const uint8_t public_key[32])
{
    static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, head, sizeof head);
    wh_sha256_update(&hash, public_key, 32);
    wh_sha256_final(out, &hash);
}

void whist_crypt_key_pin(uint8_t pin[WHIST_CRYPT_PIN_SIZE], const whist_crypt_key *key)
{
    wh_digest digest;
    wh_x509_pin_of_key(&digest, key->public_key);
    memcpy(pin, digest.bytes, sizeof digest.bytes);
}

whist_status wh_x509_pin_of_der(wh_digest *out, whist_bytes der)
{
    WH_OSSL_QUIET();
    WH_AUTO(X509_ptr) cert = NULL;
    WH_TRY(wh_x509_from_der(&cert, der));
    return wh_x509_pin_of_spki(out, X509_get_X509_PUBKEY(cert));
}

whist_status wh_x509_pin_of_pem(wh_digest *out, whist_bytes pem)
{
    WH_OSSL_QUIET();
    WH_AUTO(X509_ptr) cert = NULL;
    WH_TRY(wh_x509_cert(&cert, pem));
    return wh_x509_pin_of_spki(out, X509_get_X509_PUBKEY(cert));
}

whist_status wh_x509_public_key(uint8_t out[32], whist_bytes der)
{
    WH_OSSL_QUIET();
    WH_AUTO(X509_ptr) cert = NULL;
    WH_TRY(wh_x509_from_der(&cert, der));
    return wh_x509_ed25519_of(out, X509_get_X509_PUBKEY(cert));
}

whist_status whist_crypt_verify(whist_bytes cert_pem, const char *context, whist_bytes message,
                                const uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE])
{
    WH_OSSL_QUIET();
    WH_ENSURE(context && signature && (message.data || message.len == 0), WHIST_E_ARG);
    WH_AUTO(X509_ptr) cert = NULL;
    uint8_t public_key[WH_SIGN_PUBLIC];
    WH_TRY(wh_x509_cert(&cert, cert_pem));
    WH_TRY(wh_x509_ed25519_of(public_key, X509_get_X509_PUBKEY(cert)));
    return wh_sign_verify(public_key, context, message, signature);
}

whist_status wh_x509_private(EVP_PKEY **out, const whist_crypt_key *key)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->secret.data, WH_SIGN_SEED);
    WH_OSSL_ENSURE(pkey, WHIST_E_NOMEM, "cannot take over a private key");
    *out = pkey;
    return WHIST_OK;
}

whist_status wh_x509_check_ca_key(const X509 *ca, const whist_crypt_key *key)
{
    uint8_t public_key[WH_SIGN_PUBLIC];
    WH_TRY(wh_x509_ed25519_of(public_key, X509_get_X509_PUBKEY(ca)));
    if (memcmp(public_key, key->public_key, sizeof public_key) != 0)
        WH_FAIL(WHIST_E_AUTH, "the authority's private key and certificate do not belong together");
    return WHIST_OK;
}

/* ---- What a certificate says ---- */

static whist_status put_serial(char out[41], const X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(serial);
    if (len < 1 || len > 20) WH_FAIL(WHIST_E_FORMAT, "the certificate's serial number is too long");
    wh_hex(out, ASN1_STRING_get0_data(serial), (size_t)len);
    return WHIST_OK;
}

/* The one identity URI among the alternative names. */
static whist_status put_identity(whist_crypt_peer *peer, const X509 *cert)
{
    WH_AUTO(GENERAL_NAMES_ptr) names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    ERR_clear_error();
    int found = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_URI) continue;
        WH_TRY(wh_x509_identity_parse(&peer->role, peer->name, &peer->rights,
                                      (const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)));
        found++;
    }
    if (found != 1) WH_FAIL(WHIST_E_FORMAT, "the certificate does not say who it is for: `whist provision` makes one");
    return WHIST_OK;
}

whist_status wh_x509_peer_of(whist_crypt_peer *out, X509 *cert)
{
    whist_crypt_peer peer = {0};
    wh_digest pin;
    char common_name[WHIST_CRYPT_NAME_MAX + 1];
    WH_TRY(wh_x509_pin_of_spki(&pin, X509_get_X509_PUBKEY(cert)));
    memcpy(peer.pin, pin.bytes, sizeof peer.pin);
    WH_TRY(put_serial(peer.serial, cert));
    WH_TRY(wh_x509_seconds(&peer.not_before, X509_get0_notBefore(cert)));
    WH_TRY(wh_x509_seconds(&peer.not_after, X509_get0_notAfter(cert)));
    WH_TRY(wh_x509_common_name(common_name, X509_get_subject_name(cert)));
    peer.authority = (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
    if (peer.authority) {
        memcpy(peer.name, common_name, sizeof peer.name);
    } else {
        WH_TRY(put_identity(&peer, cert));
        if (strcmp(peer.name, common_name) != 0)
            WH_FAIL(WHIST_E_FORMAT, "the certificate's common name and identity name two different participants");
    }
    *out = peer;
    return WHIST_OK;
}

whist_status whist_crypt_cert_read(whist_crypt_peer *out, whist_bytes cert_pem)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out, WHIST_E_ARG);
    WH_AUTO(X509_ptr) cert = NULL;
    WH_TRY(wh_x509_cert(&cert, cert_pem));
    return wh_x509_peer_of(out, cert);
}

int64_t whist_crypt_days_left(int64_t not_after, int64_t now)
{
    int64_t left = not_after - wh_x509_now(now), day = 86400;
    return left >= 0 ? left / day : -((-left + day - 1) / day);
}
