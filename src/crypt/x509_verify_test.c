/* Tests of crypt/x509_verify: every reason to refuse a certificate, each with its text, and what may
 * stand in a trust store. */
#include "crypt/x509_world.h"
#include "test.h"

/* Changes a certificate of the federation and has its authority sign it again: what a careless or
 * foreign tool could make with our authority's key. */
typedef void change_fn(X509 *cert);

static char *forge(const world *w, const char *pem, const whist_crypt_key *signer, change_fn *change)
{
    WH_AUTO(X509_ptr) cert = NULL;
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    char *out = NULL;
    (void)w;
    assert_ok(wh_x509_cert(&cert, view(pem)));
    assert_ok(wh_x509_private(&pkey, signer));
    change(cert);
    assert_true(X509_sign(cert, pkey, NULL) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    assert_ok(wh_x509_text(&out, bio, WH_X509_BYTES_MAX));
    return out;
}

static void replace_extension(X509 *cert, int nid, const char *value)
{
    int at = X509_get_ext_by_NID(cert, nid, -1);
    if (at >= 0) X509_EXTENSION_free(X509_delete_ext(cert, at));
    if (!value) return;
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* ---- Every reason to refuse ---- */

static void test_none_and_too_many(void **state)
{
    const world *w = *state;
    whist_crypt_peer peer;
    whist_bytes chain[9] = {{NULL, 0}};
    assert_int_equal(wh_x509_verify_peer(&peer, NULL, 0, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
    assert_says("showed no certificate");
    assert_int_equal(wh_x509_verify_peer(&peer, chain, 9, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
    assert_says("malformed certificate chain");
    chain[0].len = WH_X509_BYTES_MAX + 1; /* refused before a byte is read */
    assert_int_equal(wh_x509_verify_peer(&peer, chain, 1, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
    assert_says("malformed certificate chain");
}

static void test_malformed(void **state)
{
    const world *w = *state;
    whist_crypt_peer peer;
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    assert_ok(wh_x509_pem_to_der(&der, view(w->site)));
    for (size_t len = 0; len < der.len; len++) {
        whist_bytes cut = {der.data, len};
        assert_int_equal(wh_x509_verify_peer(&peer, &cut, 1, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
        assert_says("malformed certificate");
    }
    for (size_t i = 0; i < der.len; i++) { /* any changed byte: malformed, or not what was signed */
        der.data[i] ^= 0x01;
        whist_bytes changed = wh_buf_view(&der);
        assert_int_equal(wh_x509_verify_peer(&peer, &changed, 1, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
        assert_int_equal(ERR_peek_error(), 0);
        der.data[i] ^= 0x01;
    }
    assert_ok(wh_buf_add(&der, "x", 1));
    whist_bytes longer = wh_buf_view(&der);
    assert_int_equal(wh_x509_verify_peer(&peer, &longer, 1, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
    assert_says("malformed certificate");
    assert_int_equal(whist_crypt_trust_check(&peer, w->trust, view("hello"), WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
    assert_says("malformed certificate");
}

static void test_self_signed(void **state)
{
    const world *w = *state;
    char *pem = NULL;
    assert_ok(whist_crypt_ca_new(&pem, w->key, "charite", 30, now));
    assert_refused(w->trust, pem, WHIST_CRYPT_AS_CLIENT, now, "self-signed");
    whist_crypt_text_free(pem);
}

static void test_other_authority(void **state)
{
    const world *w = *state;
    world other = {.key = w->key};
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    const char *const names[] = {"spades", "hearts"};
    const char *const words[] = {"no authority of this federation", "another authority of the same name"};
    for (int i = 0; i < 2; i++) {
        assert_ok(whist_crypt_key_new(&other.ca_key));
        assert_ok(whist_crypt_ca_new(&other.ca, other.ca_key, names[i], 30, now));
        char *cert = make_cert(&other, "charite", &grant);
        assert_refused(w->trust, cert, WHIST_CRYPT_AS_CLIENT, now, words[i]);
        /* the stranger's authority itself, and in the chain behind a leaf */
        assert_refused(w->trust, other.ca, WHIST_CRYPT_AS_CLIENT, now, i == 0 ? "self-signed" : words[1]);
        WH_AUTO(wh_buf) leaf = WH_BUF_EMPTY;
        WH_AUTO(wh_buf) ca = WH_BUF_EMPTY;
        assert_ok(wh_x509_pem_to_der(&leaf, view(cert)));
        assert_ok(wh_x509_pem_to_der(&ca, view(other.ca)));
        whist_bytes chain[] = {wh_buf_view(&leaf), wh_buf_view(&ca)};
        whist_crypt_peer peer;
        assert_int_equal(wh_x509_verify_peer(&peer, chain, 2, w->trust, WHIST_CRYPT_AS_CLIENT, now), WHIST_E_AUTH);
        assert_says(words[i]);
        whist_crypt_text_free(cert);
        whist_crypt_text_free(other.ca);
        whist_crypt_key_free(other.ca_key);
    }
}

static void test_dates(void **state)
{
    const world *w = *state;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.days = 10;
    grant.now = now;
    char *cert = make_cert(w, "charite", &grant);
    whist_crypt_peer peer;
    assert_ok(verify_at(&peer, w->trust, cert, WHIST_CRYPT_AS_CLIENT, now + 10 * DAY - 1));
    assert_refused(w->trust, cert, WHIST_CRYPT_AS_CLIENT, now + 10 * DAY + 1, "expired on 2026-12-01T08:00:00Z");
    assert_says("whist provision renew");
    whist_crypt_text_free(cert);
    grant.now = now + 3 * DAY;
    cert = make_cert(w, "charite", &grant);
    assert_ok(verify_at(&peer, w->trust, cert, WHIST_CRYPT_AS_CLIENT, now + 3 * DAY - 3600));
    assert_refused(w->trust, cert, WHIST_CRYPT_AS_CLIENT, now + 3 * DAY - 3601, "not yet valid");
    assert_says("clock skew");
    whist_crypt_text_free(cert);
}

static void test_authority_expired(void **state)
{
    const world *w = *state;
    world other = {.key = w->key, .ca_key = w->ca_key};
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    whist_crypt_trust *trust = NULL;
    whist_crypt_peer peer;
    grant.now = now;
    grant.days = 100;
    assert_ok(whist_crypt_ca_new(&other.ca, other.ca_key, "short", 20, now));
    assert_ok(whist_crypt_trust_new(&trust, view(other.ca), none));
    char *cert = make_cert(&other, "charite", &grant);
    assert_ok(whist_crypt_cert_read(&peer, view(cert)));
    assert_int_equal(peer.not_after, now + 20 * DAY); /* never beyond the authority */
    char *csr = NULL, *never = NULL;
    grant.now = now + 21 * DAY;
    assert_ok(whist_crypt_csr_new(&csr, w->key, "charite", NULL, 0));
    assert_int_equal(whist_crypt_csr_sign(&never, w->ca_key, view(other.ca), view(csr), &grant), WHIST_E_AUTH);
    assert_says("authority's certificate expired");
    assert_null(never);
    whist_crypt_text_free(csr);
    whist_crypt_text_free(cert);
    whist_crypt_text_free(other.ca);
    whist_crypt_trust_free(trust);
}

static void test_revoked(void **state)
{
    const world *w = *state;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    char *lost = make_cert(w, "lost", &grant), *crl = NULL, *again = NULL;
    whist_crypt_trust *trust = NULL;
    whist_crypt_peer peer;
    assert_ok(verify_at(&peer, w->trust, lost, WHIST_CRYPT_AS_CLIENT, now));
    assert_ok(whist_crypt_crl_new(&crl, w->ca_key, view(w->ca), view(w->crl), view(lost), 30, now + DAY));
    /* a later list keeps it, with its date */
    assert_ok(whist_crypt_crl_new(&again, w->ca_key, view(w->ca), view(crl), view(lost), 30, now + 2 * DAY));
    assert_ok(whist_crypt_trust_new(&trust, view(w->ca), view(again)));
    assert_int_equal(whist_crypt_trust_crl_ends(trust), now + 32 * DAY);
    assert_refused(trust, lost, WHIST_CRYPT_AS_CLIENT, now + 3 * DAY, "was revoked on 2026-11-22T08:00:00Z");
    /* also after it has expired: the reason that matters */
    assert_ok(verify_at(&peer, trust, w->site, WHIST_CRYPT_AS_CLIENT, now + 3 * DAY));
    whist_crypt_trust_free(trust);
    /* both lists together: the newer counts, in any order */
    WH_AUTO(wh_buf) both = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&both, "%s%s%s", crl, w->crl, again));
    assert_ok(whist_crypt_trust_new(&trust, view(w->ca), wh_buf_view(&both)));
    assert_refused(trust, lost, WHIST_CRYPT_AS_CLIENT, now + 3 * DAY, "was revoked");
    assert_int_equal(whist_crypt_trust_crl_ends(trust), now + 32 * DAY);
    whist_crypt_trust_free(trust);
    whist_crypt_text_free(lost);
    whist_crypt_text_free(crl);
    whist_crypt_text_free(again);
}

static void test_revocation_lists_must_be_in_force(void **state)
{
    const world *w = *state;
    assert_refused(w->trust, w->site, WHIST_CRYPT_AS_CLIENT, now + 31 * DAY, "revocation list ended on");
    char *crl = NULL;
    whist_crypt_trust *trust = NULL;
    assert_ok(whist_crypt_crl_new(&crl, w->ca_key, view(w->ca), none, none, 30, now + 5 * DAY));
    assert_ok(whist_crypt_trust_new(&trust, view(w->ca), view(crl)));
    assert_refused(trust, w->site, WHIST_CRYPT_AS_CLIENT, now, "revocation list begins on");
    assert_says("clock skew");
    whist_crypt_trust_free(trust);
    whist_crypt_text_free(crl);
    /* without a list nothing is checked */
    whist_crypt_peer peer;
    assert_ok(whist_crypt_trust_new(&trust, view(w->ca), none));
    assert_int_equal(whist_crypt_trust_crl_ends(trust), 0);
    assert_ok(verify_at(&peer, trust, w->site, WHIST_CRYPT_AS_CLIENT, now + 31 * DAY));
    whist_crypt_trust_free(trust);
}

static void add_ca(X509 *cert)
{
    replace_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    replace_extension(cert, NID_key_usage, "critical,keyCertSign,digitalSignature");
}

static void test_not_a_leaf(void **state)
{
    const world *w = *state;
    assert_refused(w->trust, w->ca, WHIST_CRYPT_AS_CLIENT, now, "that of the authority itself");
    char *pem = forge(w, w->site, w->ca_key, add_ca);
    assert_refused(w->trust, pem, WHIST_CRYPT_AS_CLIENT, now, "may sign others");
    whist_crypt_text_free(pem);
}

static void drop_identity(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, NULL);
}
static void other_identity(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:site/somebody-else");
}
static void two_identities(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:site/charite,URI:whist:operator/charite?may=read");
}
static void wrong_role(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:party/charite");
}
static void idle_operator(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:operator/charite");
}
static void strange_right(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:operator/charite?may=everything");
}
static void unknown_role(X509 *cert)
{
    replace_extension(cert, NID_subject_alt_name, "URI:whist:king/charite");
}
static void critical_unknown(X509 *cert)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\x00", 2), 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

/* The authority's key misused by another tool: still no way in without an identity of ours. */
static void test_certificates_made_by_hand(void **state)
{
    const world *w = *state;
    const struct {
        change_fn *change;
        const char *words;
    } cases[] = {
        {drop_identity, "does not say who it is for"},
        {other_identity, "two different participants"},
        {two_identities, "does not say who it is for"},
        {wrong_role, "does not fit the role party"},
        {idle_operator, "rights do not fit"},
        {strange_right, "unknown rights"},
        {unknown_role, "unknown role"},
        {critical_unknown, "unhandled critical extension"},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        char *pem = forge(w, w->site, w->ca_key, cases[i].change);
        assert_refused(w->trust, pem, WHIST_CRYPT_AS_CLIENT, now, cases[i].words);
        whist_crypt_text_free(pem);
    }
}

/* ---- Trust stores ---- */

static void test_two_authorities(void **state)
{
    const world *w = *state;
    world other = {.key = w->key};
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    whist_crypt_trust *trust = NULL;
    whist_crypt_peer peer;
    grant.now = now;
    assert_ok(whist_crypt_key_new(&other.ca_key));
    assert_ok(whist_crypt_ca_new(&other.ca, other.ca_key, "hearts", 30, now)); /* a successor of the same name */
    char *cert = make_cert(&other, "charite", &grant);
    WH_AUTO(wh_buf) cas = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&cas, "%s%s", w->ca, other.ca));
    assert_int_equal(whist_crypt_trust_new(&trust, wh_buf_view(&cas), view(w->crl)), WHIST_E_AUTH);
    assert_says("there is no revocation list of");
    assert_int_equal(whist_crypt_trust_new(&trust, view(other.ca), view(w->crl)), WHIST_E_AUTH);
    assert_says("not signed by any of the authorities");
    assert_ok(whist_crypt_crl_new(&other.crl, other.ca_key, view(other.ca), none, view(cert), 30, now));
    WH_AUTO(wh_buf) crls = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&crls, "%s%s", w->crl, other.crl));
    assert_ok(whist_crypt_trust_new(&trust, wh_buf_view(&cas), wh_buf_view(&crls)));
    assert_ok(verify_at(&peer, trust, w->site, WHIST_CRYPT_AS_CLIENT, now));
    assert_refused(trust, cert, WHIST_CRYPT_AS_CLIENT, now, "was revoked");
    whist_crypt_trust_free(trust);
    whist_crypt_text_free(cert);
    whist_crypt_text_free(other.ca);
    whist_crypt_text_free(other.crl);
    whist_crypt_key_free(other.ca_key);
}

static void test_trust_refuses_what_is_no_authority(void **state)
{
    const world *w = *state;
    whist_crypt_trust *trust = NULL;
    assert_int_equal(whist_crypt_trust_new(&trust, view(w->site), none), WHIST_E_FORMAT);
    assert_says("not that of an authority");
    assert_int_equal(whist_crypt_trust_new(&trust, none, none), WHIST_E_FORMAT);
    assert_int_equal(whist_crypt_trust_new(&trust, view("hello"), none), WHIST_E_FORMAT);
    assert_int_equal(whist_crypt_trust_new(&trust, view(w->crl), none), WHIST_E_FORMAT);
    assert_int_equal(whist_crypt_trust_new(&trust, view(w->ca), view(w->ca)), WHIST_E_FORMAT);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    for (int i = 0; i < 9; i++) assert_ok(wh_buf_text(&text, "%s", w->ca));
    assert_int_equal(whist_crypt_trust_new(&trust, wh_buf_view(&text), none), WHIST_E_FORMAT);
    assert_says("more than 8");
    uint8_t *room;
    assert_ok(wh_buf_grow(&text, &room, WH_X509_BYTES_MAX));
    memset(room, '\n', WH_X509_BYTES_MAX);
    assert_int_equal(whist_crypt_trust_new(&trust, wh_buf_view(&text), none), WHIST_E_FORMAT);
    assert_says("too many");
    whist_bytes half = {(const uint8_t *)w->ca, strlen(w->ca) - 40};
    assert_int_equal(whist_crypt_trust_new(&trust, half, none), WHIST_E_FORMAT);
    assert_says("cut short");
    assert_null(trust);
}

static void test_private_keys_are_turned_away(void **state)
{
    (void)state;
    whist_crypt_trust *trust = NULL;
    const char *key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_int_equal(whist_crypt_trust_new(&trust, view(key), none), WHIST_E_FORMAT);
    assert_says("private key stands where");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_and_too_many),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_self_signed),
        cmocka_unit_test(test_other_authority),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_authority_expired),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_revocation_lists_must_be_in_force),
        cmocka_unit_test(test_not_a_leaf),
        cmocka_unit_test(test_certificates_made_by_hand),
        cmocka_unit_test(test_two_authorities),
        cmocka_unit_test(test_trust_refuses_what_is_no_authority),
        cmocka_unit_test(test_private_keys_are_turned_away),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
