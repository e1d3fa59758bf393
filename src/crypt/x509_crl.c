/* crypt/x509_crl.c: revocation lists (RFC 5280, 5). Each new list holds all of the old one. */
#include "crypt/x509_parts.h"

#include <openssl/pem.h>

static whist_status has_key_of(X509_CRL *crl, X509 *ca)
{
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) != 0 ||
        X509_CRL_verify(crl, X509_get0_pubkey(ca)) != 1)
        WH_OSSL_FAIL(WHIST_E_AUTH, "the revocation list was not signed by this authority");
    return WHIST_OK;
}

/* The number that grows from list to list. */
static whist_status number_of(uint64_t *out, X509_CRL *old)
{
    *out = 0;
    WH_AUTO(ASN1_INTEGER_ptr) number = old ? X509_CRL_get_ext_d2i(old, NID_crl_number, NULL, NULL) : NULL;
    if (old && (!number || ASN1_INTEGER_get_uint64(out, number) != 1 || *out == UINT64_MAX))
        WH_OSSL_FAIL(WHIST_E_FORMAT, "the revocation list has no usable number");
    return WHIST_OK;
}

static whist_status copy_entries(X509_CRL *crl, X509_CRL *old)
{
    STACK_OF(X509_REVOKED) *entries = old ? X509_CRL_get_REVOKED(old) : NULL;
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        WH_AUTO(X509_REVOKED_ptr) entry = X509_REVOKED_dup(sk_X509_REVOKED_value(entries, i));
        WH_OSSL_ENSURE(entry && X509_CRL_add0_revoked(crl, entry) == 1, WHIST_E_NOMEM,
                       "no memory for a revocation list");
        entry = NULL;
    }
    return WHIST_OK;
}

static whist_status revoke(X509_CRL *crl, X509 *cert, X509 *ca, ASN1_TIME *when)
{
    if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(ca)) != 0 ||
        X509_verify(cert, X509_get0_pubkey(ca)) != 1)
        WH_OSSL_FAIL(WHIST_E_AUTH, "a certificate of another authority cannot be revoked here");
    X509_REVOKED *known = NULL;
    if (X509_CRL_get0_by_cert(crl, &known, cert) == 1) return WHIST_OK;
    WH_AUTO(X509_REVOKED_ptr) entry = X509_REVOKED_new();
    bool good = entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert)) == 1 &&
                X509_REVOKED_set_revocationDate(entry, when) == 1 && X509_CRL_add0_revoked(crl, entry) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory for a revocation list");
    entry = NULL;
    return WHIST_OK;
}

static whist_status revoke_all(X509_CRL *crl, whist_bytes pem, X509 *ca, int64_t now)
{
    if (pem.len == 0) return WHIST_OK;
    X509 *certs[WH_X509_CERTS_MAX];
    size_t n = 0;
    WH_AUTO(ASN1_TIME_ptr) when = ASN1_TIME_set(NULL, (time_t)now);
    WH_OSSL_ENSURE(when, WHIST_E_NOMEM, "no memory for a revocation list");
    WH_TRY(wh_x509_certs(certs, &n, WH_COUNT(certs), pem));
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n; i++) {
        if (status == WHIST_OK) status = revoke(crl, certs[i], ca, when);
        X509_free(certs[i]);
    }
    return status;
}

static whist_status add_extensions(X509_CRL *crl, X509 *ca, uint64_t number)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
    WH_AUTO(X509_EXTENSION_ptr) id = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    WH_AUTO(ASN1_INTEGER_ptr) value = ASN1_INTEGER_new();
    bool good = id && value && X509_CRL_add_ext(crl, id, -1) == 1 && ASN1_INTEGER_set_uint64(value, number) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory for a revocation list");
    return WHIST_OK;
}

static whist_status start_list(X509_CRL **out, X509 *ca, int64_t from, int64_t to)
{
    WH_AUTO(X509_CRL_ptr) crl = X509_CRL_new();
    WH_AUTO(ASN1_TIME_ptr) start = ASN1_TIME_set(NULL, (time_t)from);
    WH_AUTO(ASN1_TIME_ptr) end = ASN1_TIME_set(NULL, (time_t)to);
    bool good = crl && start && end && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, start) == 1 && X509_CRL_set1_nextUpdate(crl, end) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory for a revocation list");
    *out = crl;
    crl = NULL;
    return WHIST_OK;
}

static whist_status sign_list(char **out, X509_CRL *crl, const whist_crypt_key *ca_key)
{
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    WH_TRY(wh_x509_private(&pkey, ca_key));
    WH_OSSL_ENSURE(bio && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, pkey, NULL) > 0 &&
                       PEM_write_bio_X509_CRL(bio, crl) == 1,
                   WHIST_E_NOMEM, "cannot sign a revocation list");
    return wh_x509_text(out, bio, WH_X509_CRL_MAX);
}

static whist_status read_old(X509_CRL **out, whist_bytes pem, X509 *ca)
{
    if (pem.len == 0) return WHIST_OK;
    size_t n;
    WH_TRY(wh_x509_crls(out, &n, 1, pem));
    return has_key_of(*out, ca);
}

whist_status whist_crypt_crl_new(char **out, const whist_crypt_key *ca_key, whist_bytes ca_pem, whist_bytes old_crl_pem,
                                 whist_bytes revoke_pem, unsigned days, int64_t now)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out && ca_key, WHIST_E_ARG);
    if (days < 1 || days > 3650) WH_FAIL(WHIST_E_ARG, "a revocation list lasts 1 to 3650 days, not %u", days);
    WH_AUTO(X509_ptr) ca = NULL;
    WH_AUTO(X509_CRL_ptr) old = NULL;
    WH_AUTO(X509_CRL_ptr) crl = NULL;
    uint64_t number;
    now = wh_x509_now(now);
    WH_TRY(wh_x509_cert(&ca, ca_pem));
    WH_TRY(wh_x509_check_ca_key(ca, ca_key));
    WH_TRY(read_old(&old, old_crl_pem, ca));
    WH_TRY(number_of(&number, old));
    WH_TRY(start_list(&crl, ca, now - WH_X509_BACKDATE_S, now + (int64_t)days * WH_X509_DAY_S));
    WH_TRY(copy_entries(crl, old));
    WH_TRY(revoke_all(crl, revoke_pem, ca, now));
    WH_TRY(add_extensions(crl, ca, number + 1));
    return sign_list(out, crl, ca_key);
}
