/* crypt/x509_issue.c: the authority: its own certificate, requests, and certificates for them.
 *
 * From a request it takes the key, the name and the hosts, each checked; every other word of a
 * certificate is written here (RFC 5280 profile: v3, random 128-bit serial, key identifiers, critical
 * basicConstraints and keyUsage, extendedKeyUsage by role). */
#include "crypt/x509_parts.h"

#include "crypt/random.h"

#include <openssl/pem.h>
#include <string.h>

/* ---- Pieces of a certificate ---- */

static whist_status add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    WH_AUTO(X509_EXTENSION_ptr) extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    WH_OSSL_ENSURE(extension && X509_add_ext(cert, extension, -1) == 1, WHIST_E_NOMEM,
                   "cannot add an extension to a certificate");
    return WHIST_OK;
}

static whist_status add_word(X509_NAME *name, int nid, const char *text)
{
    WH_OSSL_ENSURE(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC, (const unsigned char *)text, -1, -1, 0) == 1,
                   WHIST_E_NOMEM, "cannot write a name into a certificate");
    return WHIST_OK;
}

static whist_status set_random_serial(X509 *cert)
{
    uint8_t bytes[16];
    WH_TRY(wh_random_bytes(bytes, sizeof bytes));
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "cannot write a serial number");
    return WHIST_OK;
}

/* A certificate with version, serial, dates, key and the name as CN; not signed. */
static whist_status start_cert(X509 **out, EVP_PKEY *subject_key, const char *name, int64_t from, int64_t to)
{
    WH_AUTO(X509_ptr) cert = X509_new();
    WH_OSSL_ENSURE(cert && X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, subject_key) == 1,
                   WHIST_E_NOMEM, "no memory for a certificate");
    WH_TRY(set_random_serial(cert));
    WH_TRY(wh_x509_set_time(X509_getm_notBefore(cert), from));
    WH_TRY(wh_x509_set_time(X509_getm_notAfter(cert), to));
    WH_TRY(add_word(X509_get_subject_name(cert), NID_commonName, name));
    *out = cert;
    cert = NULL;
    return WHIST_OK;
}

static whist_status sign_cert(char **out, X509 *cert, EVP_PKEY *ca_key)
{
    WH_OSSL_ENSURE(X509_sign(cert, ca_key, NULL) > 0, WHIST_E_NOMEM, "cannot sign a certificate");
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    WH_OSSL_ENSURE(bio && PEM_write_bio_X509(bio, cert) == 1, WHIST_E_NOMEM, "cannot write a certificate");
    return wh_x509_text(out, bio, WH_X509_BYTES_MAX);
}

/* ---- The authority's own certificate ---- */

static whist_status build_ca(X509 *cert)
{
    /* The second word keeps the authority's full name apart from that of any participant. */
    WH_TRY(add_word(X509_get_subject_name(cert), NID_organizationalUnitName, "whist authority"));
    WH_OSSL_ENSURE(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1, WHIST_E_NOMEM,
                   "no memory for a certificate");
    WH_TRY(add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
    WH_TRY(add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign"));
    WH_TRY(add_extension(cert, cert, NID_subject_key_identifier, "hash"));
    return add_extension(cert, cert, NID_authority_key_identifier, "keyid:always");
}

whist_status whist_crypt_ca_new(char **out, const whist_crypt_key *key, const char *name, unsigned days, int64_t now)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out && key && name, WHIST_E_ARG);
    WH_TRY(whist_crypt_name_check(name));
    if (days < 1 || days > 36500) WH_FAIL(WHIST_E_ARG, "an authority lives 1 to 36500 days, not %u", days);
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    WH_AUTO(X509_ptr) cert = NULL;
    now = wh_x509_now(now);
    WH_TRY(wh_x509_private(&pkey, key));
    WH_TRY(start_cert(&cert, pkey, name, now - WH_X509_BACKDATE_S, now + (int64_t)days * WH_X509_DAY_S));
    WH_TRY(build_ca(cert));
    return sign_cert(out, cert, pkey);
}

/* ---- Requests ---- */

static whist_status check_hosts(const char *const *hosts, size_t n_hosts)
{
    if (n_hosts > WHIST_CRYPT_HOSTS_MAX)
        WH_FAIL(WHIST_E_ARG, "%zu hosts in one certificate: at most %d", n_hosts, WHIST_CRYPT_HOSTS_MAX);
    for (size_t i = 0; i < n_hosts; i++) {
        WH_ENSURE(hosts && hosts[i], WHIST_E_ARG);
        WH_TRY(wh_x509_host_check(hosts[i]));
    }
    return WHIST_OK;
}

static whist_status add_hosts(GENERAL_NAMES *names, const char *const *hosts, size_t n_hosts)
{
    for (size_t i = 0; i < n_hosts; i++) WH_TRY(wh_x509_host_add(names, hosts[i]));
    return WHIST_OK;
}

static whist_status ask_for_hosts(X509_REQ *csr, const char *const *hosts, size_t n_hosts)
{
    WH_AUTO(GENERAL_NAMES_ptr) names = GENERAL_NAMES_new();
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    WH_OSSL_ENSURE(names, WHIST_E_NOMEM, "no memory for a certificate request");
    WH_TRY(add_hosts(names, hosts, n_hosts));
    bool good = X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
                X509_REQ_add_extensions(csr, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory for a certificate request");
    return WHIST_OK;
}

whist_status whist_crypt_csr_new(char **out, const whist_crypt_key *key, const char *name, const char *const *hosts,
                                 size_t n_hosts)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out && key && name, WHIST_E_ARG);
    WH_TRY(whist_crypt_name_check(name));
    WH_TRY(check_hosts(hosts, n_hosts));
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    WH_AUTO(X509_REQ_ptr) csr = X509_REQ_new();
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    WH_TRY(wh_x509_private(&pkey, key));
    WH_OSSL_ENSURE(csr && bio && X509_REQ_set_version(csr, X509_REQ_VERSION_1) == 1 &&
                       X509_REQ_set_pubkey(csr, pkey) == 1,
                   WHIST_E_NOMEM, "no memory for a certificate request");
    WH_TRY(add_word(X509_REQ_get_subject_name(csr), NID_commonName, name));
    if (n_hosts > 0) WH_TRY(ask_for_hosts(csr, hosts, n_hosts));
    WH_OSSL_ENSURE(X509_REQ_sign(csr, pkey, NULL) > 0 && PEM_write_bio_X509_REQ(bio, csr) == 1, WHIST_E_NOMEM,
                   "cannot sign a certificate request");
    return wh_x509_text(out, bio, WH_X509_BYTES_MAX);
}

static whist_status read_hosts(whist_crypt_request *request, X509_REQ *csr)
{
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
    int found = -1;
    WH_AUTO(GENERAL_NAMES_ptr) names = X509V3_get_d2i(extensions, NID_subject_alt_name, &found, NULL);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ERR_clear_error();
    if (!names && found != -1) WH_FAIL(WHIST_E_FORMAT, "the hosts in the request are damaged");
    int n = sk_GENERAL_NAME_num(names);
    if (n > WHIST_CRYPT_HOSTS_MAX)
        WH_FAIL(WHIST_E_FORMAT, "the request asks for %d hosts: at most %d", n, WHIST_CRYPT_HOSTS_MAX);
    for (int i = 0; i < n; i++) WH_TRY(wh_x509_host_read(request->hosts[i], sk_GENERAL_NAME_value(names, i)));
    request->n_hosts = n > 0 ? (size_t)n : 0;
    return WHIST_OK;
}

static whist_status read_request(whist_crypt_request *out, X509_REQ *csr)
{
    whist_crypt_request request = {0};
    uint8_t public_key[WH_SIGN_PUBLIC];
    wh_digest pin;
    WH_TRY(wh_x509_ed25519_of(public_key, X509_REQ_get_X509_PUBKEY(csr)));
    if (X509_REQ_verify(csr, X509_REQ_get0_pubkey(csr)) != 1)
        WH_OSSL_FAIL(WHIST_E_AUTH, "the request is not signed by the key in it: whoever sent it does not hold the key");
    wh_x509_pin_of_key(&pin, public_key);
    memcpy(request.pin, pin.bytes, sizeof request.pin);
    WH_TRY(wh_x509_common_name(request.name, X509_REQ_get_subject_name(csr)));
    WH_TRY(read_hosts(&request, csr));
    *out = request;
    return WHIST_OK;
}

whist_status whist_crypt_csr_read(whist_crypt_request *out, whist_bytes csr_pem)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out, WHIST_E_ARG);
    WH_AUTO(X509_REQ_ptr) csr = NULL;
    WH_TRY(wh_x509_csr(&csr, csr_pem));
    return read_request(out, csr);
}

/* ---- Certificates for requests ---- */

static bool is_server(whist_crypt_role role)
{
    return role == WHIST_CRYPT_COORDINATOR || role == WHIST_CRYPT_PARTY;
}

static const char *key_usage_of(whist_crypt_role role)
{
    if (role == WHIST_CRYPT_COORDINATOR) return "serverAuth";
    return role == WHIST_CRYPT_PARTY ? "clientAuth,serverAuth" : "clientAuth";
}

static whist_status check_grant(const whist_crypt_grant *grant)
{
    const unsigned all = WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_START | WHIST_CRYPT_MAY_STOP;
    if ((unsigned)grant->role > WHIST_CRYPT_PARTY) WH_FAIL(WHIST_E_ARG, "unknown role %d", (int)grant->role);
    if (grant->days < 1 || grant->days > 3650)
        WH_FAIL(WHIST_E_ARG, "a certificate lives 1 to 3650 days, not %u", grant->days);
    bool is_operator = grant->role == WHIST_CRYPT_OPERATOR;
    if (grant->rights & ~all || is_operator != (grant->rights != 0))
        WH_FAIL(WHIST_E_ARG, "an operator needs at least one right (read, start, stop); other roles have none");
    if (grant->n_hosts > 0 && !is_server(grant->role))
        WH_FAIL(WHIST_E_ARG, "only a coordinator or a party is reached under a host name");
    return check_hosts(grant->hosts, grant->n_hosts);
}

/* Role, name and hosts. Servers are checked by host name too (curl does), so they need one. */
static whist_status add_names(X509 *cert, const whist_crypt_grant *grant, const whist_crypt_request *request)
{
    WH_AUTO(GENERAL_NAMES_ptr) names = GENERAL_NAMES_new();
    WH_OSSL_ENSURE(names, WHIST_E_NOMEM, "no memory for a certificate");
    WH_TRY(wh_x509_identity_add(names, grant->role, request->name, grant->rights));
    if (is_server(grant->role)) {
        WH_TRY(add_hosts(names, grant->hosts, grant->n_hosts));
        for (size_t i = 0; grant->n_hosts == 0 && i < request->n_hosts; i++) {
            WH_TRY(wh_x509_host_check(request->hosts[i]));
            WH_TRY(wh_x509_host_add(names, request->hosts[i]));
        }
        if (sk_GENERAL_NAME_num(names) < 2)
            WH_FAIL(WHIST_E_ARG, "a %s needs a DNS name or an address under which it is reached",
                    whist_crypt_role_name(grant->role));
    }
    WH_OSSL_ENSURE(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1, WHIST_E_NOMEM,
                   "no memory for a certificate");
    return WHIST_OK;
}

static whist_status build_leaf(X509 *cert, X509 *ca, const whist_crypt_grant *grant, const whist_crypt_request *request)
{
    WH_OSSL_ENSURE(X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1, WHIST_E_NOMEM,
                   "no memory for a certificate");
    WH_TRY(add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE"));
    WH_TRY(add_extension(cert, ca, NID_key_usage, "critical,digitalSignature"));
    WH_TRY(add_extension(cert, ca, NID_ext_key_usage, key_usage_of(grant->role)));
    WH_TRY(add_extension(cert, ca, NID_subject_key_identifier, "hash"));
    WH_TRY(add_extension(cert, ca, NID_authority_key_identifier, "keyid:always"));
    return add_names(cert, grant, request);
}

/* The span in which a new certificate is valid; never beyond the authority's. */
static whist_status span_of(int64_t *from, int64_t *to, const X509 *ca, unsigned days, int64_t now)
{
    int64_t ca_end;
    WH_TRY(wh_x509_seconds(&ca_end, X509_get0_notAfter(ca)));
    if (ca_end <= now) {
        char date[32];
        wh_x509_date(date, X509_get0_notAfter(ca));
        WH_FAIL(WHIST_E_AUTH, "the authority's certificate expired on %s: make a new authority", date);
    }
    *from = now - WH_X509_BACKDATE_S;
    *to = now + (int64_t)days * WH_X509_DAY_S;
    if (*to > ca_end) *to = ca_end;
    return WHIST_OK;
}

whist_status whist_crypt_csr_sign(char **out, const whist_crypt_key *ca_key, whist_bytes ca_pem, whist_bytes csr_pem,
                                  const whist_crypt_grant *grant)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out && ca_key && grant, WHIST_E_ARG);
    WH_TRY(check_grant(grant));
    WH_AUTO(X509_ptr) ca = NULL;
    WH_AUTO(X509_ptr) cert = NULL;
    WH_AUTO(X509_REQ_ptr) csr = NULL;
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    whist_crypt_request request;
    int64_t from, to;
    WH_TRY(wh_x509_cert(&ca, ca_pem));
    WH_TRY(wh_x509_check_ca_key(ca, ca_key));
    WH_TRY(span_of(&from, &to, ca, grant->days, wh_x509_now(grant->now)));
    WH_TRY(wh_x509_csr(&csr, csr_pem));
    WH_TRY(read_request(&request, csr));
    if (grant->name && strcmp(grant->name, request.name) != 0)
        WH_FAIL(WHIST_E_ARG, "the request is for '%s', not for '%.40s'", request.name, grant->name);
    WH_TRY(start_cert(&cert, X509_REQ_get0_pubkey(csr), request.name, from, to));
    WH_TRY(build_leaf(cert, ca, grant, &request));
    WH_TRY(wh_x509_private(&pkey, ca_key));
    return sign_cert(out, cert, pkey);
}
