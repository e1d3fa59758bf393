/* crypt/x509_verify.c: whom to let in.
 *
 * OpenSSL builds and checks the path (RFC 5280, 6); before and after it stand checks of our own, so
 * that each kind of refusal has its own text, and so that no algorithm is run that the peer has
 * chosen: the only signature checked is the one that our authority's key must have made. */
#include "crypt/x509_parts.h"

#include "base/clock.h"

#include <string.h>

struct whist_crypt_trust {
    X509_STORE *store;
    X509 *ca[WH_X509_CERTS_MAX];
    X509_CRL *crl[WH_X509_CERTS_MAX]; /* of the authority beside it, NULL without lists */
    size_t n;
};

/* ---- The trust store ---- */

void whist_crypt_trust_free(whist_crypt_trust *trust)
{
    if (!trust) return;
    for (size_t i = 0; i < trust->n; i++) {
        X509_free(trust->ca[i]);
        X509_CRL_free(trust->crl[i]);
    }
    X509_STORE_free(trust->store);
    wh_free(trust);
}

static whist_status check_authority(X509 *ca)
{
    char subject[WH_X509_LINE];
    wh_x509_line(subject, X509_get_subject_name(ca));
    uint32_t flags = X509_get_extension_flags(ca);
    if (!(flags & EXFLAG_CA) || flags & EXFLAG_INVALID || !(X509_get_key_usage(ca) & KU_KEY_CERT_SIGN))
        WH_FAIL(WHIST_E_FORMAT, "the certificate of '%s' is not that of an authority", subject);
    if (X509_NAME_cmp(X509_get_subject_name(ca), X509_get_issuer_name(ca)) != 0 ||
        X509_verify(ca, X509_get0_pubkey(ca)) != 1)
        WH_OSSL_FAIL(WHIST_E_FORMAT, "an authority must have signed its own certificate");
    return WHIST_OK;
}

/* Hands the list to the authority that signed it. Takes crl over. */
static whist_status place_crl(whist_crypt_trust *trust, X509_CRL *taken)
{
    WH_AUTO(X509_CRL_ptr) crl = taken;
    for (size_t i = 0; i < trust->n; i++) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(trust->ca[i])) != 0) continue;
        if (X509_CRL_verify(crl, X509_get0_pubkey(trust->ca[i])) != 1) continue;
        X509_CRL *old = trust->crl[i];
        if (old && ASN1_TIME_compare(X509_CRL_get0_lastUpdate(old), X509_CRL_get0_lastUpdate(crl)) >= 0)
            return WHIST_OK;
        X509_CRL_free(old);
        trust->crl[i] = crl;
        crl = NULL;
        return WHIST_OK;
    }
    WH_OSSL_FAIL(WHIST_E_AUTH, "a revocation list is not signed by any of the authorities");
}

static whist_status read_crls(whist_crypt_trust *trust, whist_bytes pem)
{
    X509_CRL *crls[WH_X509_CERTS_MAX];
    size_t n = 0;
    WH_TRY(wh_x509_crls(crls, &n, WH_COUNT(crls), pem));
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n; i++) {
        if (status == WHIST_OK)
            status = place_crl(trust, crls[i]);
        else
            X509_CRL_free(crls[i]);
    }
    WH_TRY(status);
    for (size_t i = 0; i < trust->n; i++) {
        char subject[WH_X509_LINE];
        wh_x509_line(subject, X509_get_subject_name(trust->ca[i]));
        if (!trust->crl[i]) WH_FAIL(WHIST_E_AUTH, "there is no revocation list of the authority '%s'", subject);
    }
    return WHIST_OK;
}

static whist_status fill_store(whist_crypt_trust *trust)
{
    trust->store = X509_STORE_new();
    WH_OSSL_ENSURE(trust->store, WHIST_E_NOMEM, "no memory for a trust store");
    for (size_t i = 0; i < trust->n; i++) {
        bool good = X509_STORE_add_cert(trust->store, trust->ca[i]) == 1 &&
                    (!trust->crl[i] || X509_STORE_add_crl(trust->store, trust->crl[i]) == 1);
        WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory for a trust store");
    }
    return WHIST_OK;
}

whist_status whist_crypt_trust_new(whist_crypt_trust **out, whist_bytes ca_pem, whist_bytes crl_pem)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out, WHIST_E_ARG);
    WH_AUTO(whist_crypt_trust_ptr) trust = NULL;
    WH_TRY(WH_NEW(&trust, 1));
    WH_TRY(wh_x509_certs(trust->ca, &trust->n, WH_COUNT(trust->ca), ca_pem));
    for (size_t i = 0; i < trust->n; i++) WH_TRY(check_authority(trust->ca[i]));
    if (crl_pem.len > 0) WH_TRY(read_crls(trust, crl_pem));
    WH_TRY(fill_store(trust));
    *out = trust;
    trust = NULL;
    return WHIST_OK;
}

int64_t whist_crypt_trust_crl_ends(const whist_crypt_trust *trust)
{
    int64_t first = 0, end;
    for (size_t i = 0; i < trust->n; i++) {
        if (!trust->crl[i] || wh_x509_seconds(&end, X509_CRL_get0_nextUpdate(trust->crl[i])) != WHIST_OK) continue;
        if (first == 0 || end < first) first = end;
    }
    return first;
}

/* ---- Who signed it ---- */

/* Which of the authorities signed the leaf; or why none did. */
static whist_status find_authority(size_t *out, const whist_crypt_trust *trust, X509 *leaf)
{
    const X509_NAME *issuer = X509_get_issuer_name(leaf);
    bool named = false;
    for (size_t i = 0; i < trust->n; i++) {
        if (X509_cmp(leaf, trust->ca[i]) == 0)
            WH_FAIL(WHIST_E_AUTH,
                    "the certificate is that of the authority itself: a participant needs one of its own");
        if (X509_NAME_cmp(issuer, X509_get_subject_name(trust->ca[i])) != 0) continue;
        named = true;
        if (X509_verify(leaf, X509_get0_pubkey(trust->ca[i])) != 1) continue;
        *out = i;
        return WHIST_OK;
    }
    char line[WH_X509_LINE];
    wh_x509_line(line, issuer);
    if (named)
        WH_FAIL(WHIST_E_AUTH,
                "the certificate claims to be issued by '%s', but the key of that authority did not sign it: it comes "
                "from another authority of the same name, or was changed",
                line);
    if (X509_NAME_cmp(issuer, X509_get_subject_name(leaf)) == 0)
        WH_FAIL(WHIST_E_AUTH, "the certificate of '%s' is self-signed: have the federation's authority sign a request",
                line);
    WH_FAIL(WHIST_E_AUTH, "the certificate was issued by '%s', which is no authority of this federation", line);
}

static whist_status check_leaf(X509 *leaf)
{
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & EXFLAG_INVALID) WH_FAIL(WHIST_E_AUTH, "the certificate is malformed: its extensions cannot be read");
    if (flags & EXFLAG_CA)
        WH_FAIL(WHIST_E_AUTH, "the certificate may sign others (CA): a participant's own certificate is needed");
    return WHIST_OK;
}

/* ---- The path ---- */

typedef struct path_check {
    X509 *leaf;
    const whist_crypt_trust *trust;
    size_t authority; /* whose key signed leaf */
    whist_crypt_usage usage;
    int64_t now;
} path_check;

static whist_status refuse_dates(const path_check *check, int error, bool is_leaf, const char *name)
{
    const X509 *cert = is_leaf ? check->leaf : check->trust->ca[check->authority];
    const X509_CRL *crl = check->trust->crl[check->authority];
    char date[32], now[32];
    wh_clock_iso(now, check->now * 1000);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        wh_x509_date(date, X509_get0_notAfter(cert));
        if (is_leaf)
            WH_FAIL(WHIST_E_AUTH, "the certificate of '%s' expired on %s (it is %s here): run `whist provision renew`",
                    name, date, now);
        WH_FAIL(WHIST_E_AUTH, "the authority's certificate expired on %s (it is %s here): a new authority is needed",
                date, now);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        wh_x509_date(date, X509_get0_notBefore(cert));
        WH_FAIL(WHIST_E_AUTH,
                "the certificate of '%s' is not yet valid: it begins on %s and it is %s here: check the clocks of both "
                "machines (clock skew)",
                is_leaf ? name : "the authority", date, now);
    case X509_V_ERR_CRL_HAS_EXPIRED:
        wh_x509_date(date, crl ? X509_CRL_get0_nextUpdate(crl) : NULL);
        WH_FAIL(WHIST_E_AUTH,
                "the revocation list ended on %s (it is %s here): install a fresh one (`whist provision crl`)", date,
                now);
    default:
        wh_x509_date(date, crl ? X509_CRL_get0_lastUpdate(crl) : NULL);
        WH_FAIL(WHIST_E_AUTH,
                "the revocation list begins on %s and it is %s here: check the clock of this machine (clock skew)",
                date, now);
    }
}

static whist_status refuse_revoked(const path_check *check, const char *name)
{
    char date[32] = "?";
    X509_REVOKED *entry = NULL;
    X509_CRL *crl = check->trust->crl[check->authority];
    if (crl && X509_CRL_get0_by_cert(crl, &entry, check->leaf) == 1)
        wh_x509_date(date, X509_REVOKED_get0_revocationDate(entry));
    WH_FAIL(WHIST_E_AUTH, "the certificate of '%s' was revoked on %s: it takes a new key and a new request", name,
            date);
}

static whist_status refuse_usage(const path_check *check, const char *name)
{
    if (check->usage == WHIST_CRYPT_AS_CLIENT)
        WH_FAIL(WHIST_E_AUTH,
                "the certificate of '%s' is a server certificate, used as client: its key usage lacks clientAuth",
                name);
    WH_FAIL(WHIST_E_AUTH,
            "the certificate of '%s' is a client certificate, used as server: its key usage lacks serverAuth", name);
}

/* Turns OpenSSL's reason into ours. */
static whist_status refuse(const path_check *check, int error, int depth)
{
    char name[WH_X509_LINE];
    wh_x509_line(name, X509_get_subject_name(check->leaf));
    switch (error) {
    case X509_V_ERR_OUT_OF_MEM: WH_FAIL(WHIST_E_NOMEM, "no memory to check a certificate");
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID: return refuse_dates(check, error, depth == 0, name);
    case X509_V_ERR_CERT_REVOKED: return refuse_revoked(check, name);
    case X509_V_ERR_INVALID_PURPOSE:
        if (depth == 0) return refuse_usage(check, name);
        break;
    default: break;
    }
    WH_FAIL(WHIST_E_AUTH, "the certificate of '%s' is malformed or breaks the rules (at depth %d): %s", name, depth,
            X509_verify_cert_error_string(error));
}

static whist_status check_path(const path_check *check)
{
    WH_AUTO(X509_STORE_CTX_ptr) ctx = X509_STORE_CTX_new();
    WH_OSSL_ENSURE(ctx && X509_STORE_CTX_init(ctx, check->trust->store, check->leaf, NULL) == 1, WHIST_E_NOMEM,
                   "no memory to check a certificate");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    unsigned long flags = X509_V_FLAG_X509_STRICT;
    if (check->trust->crl[check->authority]) flags |= X509_V_FLAG_CRL_CHECK;
    X509_VERIFY_PARAM_set_time(param, (time_t)check->now);
    X509_VERIFY_PARAM_set_depth(param, 1);
    bool good =
        X509_VERIFY_PARAM_set_flags(param, flags) == 1 &&
        X509_VERIFY_PARAM_set_purpose(param, check->usage == WHIST_CRYPT_AS_CLIENT ? X509_PURPOSE_SSL_CLIENT
                                                                                   : X509_PURPOSE_SSL_SERVER) == 1;
    WH_OSSL_ENSURE(good, WHIST_E_NOMEM, "no memory to check a certificate");
    bool accepted = X509_verify_cert(ctx) == 1;
    int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
    if (accepted && error == X509_V_OK) return WHIST_OK;
    return refuse(check, error, depth);
}

/* The role and the extended key usage say the same, or somebody made the certificate by hand. */
static whist_status check_role(const whist_crypt_peer *peer, X509 *leaf)
{
    static const uint32_t usages[] = {
        [WHIST_CRYPT_SITE] = XKU_SSL_CLIENT,
        [WHIST_CRYPT_COORDINATOR] = XKU_SSL_SERVER,
        [WHIST_CRYPT_OPERATOR] = XKU_SSL_CLIENT,
        [WHIST_CRYPT_PARTY] = XKU_SSL_CLIENT | XKU_SSL_SERVER,
    };
    if (X509_get_extended_key_usage(leaf) != usages[peer->role])
        WH_FAIL(WHIST_E_AUTH, "the key usage of the certificate of '%s' does not fit the role %s", peer->name,
                whist_crypt_role_name(peer->role));
    return WHIST_OK;
}

static whist_status verify_leaf(whist_crypt_peer *out, X509 *leaf, const whist_crypt_trust *trust,
                                whist_crypt_usage usage, int64_t now)
{
    path_check check = {.leaf = leaf, .trust = trust, .usage = usage, .now = wh_x509_now(now)};
    whist_crypt_peer peer;
    WH_TRY(find_authority(&check.authority, trust, leaf));
    WH_TRY(check_leaf(leaf));
    WH_TRY(check_path(&check));
    whist_status status = wh_x509_peer_of(&peer, leaf);
    /* Bytes from a peer: what is a damaged file elsewhere is a refusal here. */
    if (status == WHIST_E_FORMAT) return wh_fail_context(WHIST_E_AUTH, "malformed certificate: ");
    WH_TRY(status);
    WH_TRY(check_role(&peer, leaf));
    *out = peer;
    return WHIST_OK;
}

whist_status wh_x509_verify_peer(whist_crypt_peer *out, const whist_bytes *chain, size_t n_chain,
                                 const whist_crypt_trust *trust, whist_crypt_usage usage, int64_t now)
{
    WH_OSSL_QUIET();
    if (n_chain == 0)
        WH_FAIL(WHIST_E_AUTH, "the peer showed no certificate: name its certificate and private key in its "
                              "configuration");
    size_t total = 0;
    for (size_t i = 0; i < n_chain && n_chain <= WH_X509_CERTS_MAX; i++)
        if (!wh_add_size(&total, total, chain[i].len)) total = SIZE_MAX;
    if (n_chain > WH_X509_CERTS_MAX || total > WH_X509_BYTES_MAX)
        WH_FAIL(WHIST_E_AUTH, "malformed certificate chain: more than %d certificates or %d bytes", WH_X509_CERTS_MAX,
                WH_X509_BYTES_MAX);
    WH_AUTO(X509_ptr) leaf = NULL;
    whist_status status = wh_x509_from_der(&leaf, chain[0]);
    if (status == WHIST_E_FORMAT) return wh_fail_context(WHIST_E_AUTH, "malformed certificate: ");
    WH_TRY(status);
    return verify_leaf(out, leaf, trust, usage, now);
}

whist_status whist_crypt_trust_check(whist_crypt_peer *out, const whist_crypt_trust *trust, whist_bytes cert_pem,
                                     whist_crypt_usage usage, int64_t now)
{
    WH_OSSL_QUIET();
    WH_ENSURE(out && trust, WHIST_E_ARG);
    WH_AUTO(X509_ptr) leaf = NULL;
    whist_status status = wh_x509_cert(&leaf, cert_pem);
    if (status == WHIST_E_FORMAT) return wh_fail_context(WHIST_E_AUTH, "malformed certificate: ");
    WH_TRY(status);
    return verify_leaf(out, leaf, trust, usage, now);
}
