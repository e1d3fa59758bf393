/* Tests of the certificates: life of an identity, and every reason to refuse one with its text. */
#include "base/clock.h"
#include "crypt/kat.h"
#include "crypt/random.h"
#include "crypt/x509_parts.h"

#include <openssl/pem.h>

/* All tests live on this day; nothing depends on the machine's clock. */
static const int64_t now = 1795248000; /* 2026-11-21T08:00:00Z */
enum { DAY = 86400 };

static whist_bytes view(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
static const whist_bytes none;

static void assert_says(const char *words)
{
    if (!strstr(whist_detail_get()->text, words)) fail_msg("'%s' not in: %s", words, whist_detail_get()->text);
}

/* ---- A small federation ---- */

typedef struct world {
    whist_crypt_key *ca_key, *key;
    char *ca, *crl, *site; /* PEM */
    whist_crypt_trust *trust;
} world;

static char *make_cert(const world *w, const char *name, const whist_crypt_grant *grant)
{
    char *csr = NULL, *cert = NULL;
    const char *hosts[] = {"coordinator.example.org", "127.0.0.1", "::1"};
    bool server = grant->role == WHIST_CRYPT_COORDINATOR || grant->role == WHIST_CRYPT_PARTY;
    assert_ok(whist_crypt_csr_new(&csr, w->key, name, hosts, server ? 3 : 0));
    assert_ok(whist_crypt_csr_sign(&cert, w->ca_key, view(w->ca), view(csr), grant));
    whist_crypt_text_free(csr);
    return cert;
}

static int make_world(void **state)
{
    static world w;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    assert_ok(whist_crypt_key_new(&w.ca_key));
    assert_ok(whist_crypt_key_new(&w.key));
    assert_ok(whist_crypt_ca_new(&w.ca, w.ca_key, "hearts", 3650, now));
    assert_ok(whist_crypt_crl_new(&w.crl, w.ca_key, view(w.ca), none, none, 30, now));
    assert_ok(whist_crypt_trust_new(&w.trust, view(w.ca), view(w.crl)));
    w.site = make_cert(&w, "charite", &grant);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    world *w = *state;
    whist_crypt_text_free(w->ca);
    whist_crypt_text_free(w->crl);
    whist_crypt_text_free(w->site);
    whist_crypt_trust_free(w->trust);
    whist_crypt_key_free(w->key);
    whist_crypt_key_free(w->ca_key);
    return 0;
}

/* Verifies as the wire does: DER, with a chain. */
static whist_status verify_at(whist_crypt_peer *peer, const whist_crypt_trust *trust, const char *pem,
                              whist_crypt_usage usage, int64_t when)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    assert_ok(wh_x509_pem_to_der(&der, view(pem)));
    whist_bytes chain[] = {wh_buf_view(&der)};
    whist_crypt_peer other;
    whist_status status = wh_x509_verify_peer(peer, chain, 1, trust, usage, when);
    /* both doors agree */
    assert_int_equal(whist_crypt_trust_check(&other, trust, view(pem), usage, when), status);
    return status;
}

/* Refused with these words, and nothing told about the peer. */
static void assert_refused(const whist_crypt_trust *trust, const char *pem, whist_crypt_usage usage, int64_t when,
                           const char *words)
{
    whist_crypt_peer peer, before;
    memset(&peer, 0x5a, sizeof peer);
    before = peer;
    assert_int_equal(verify_at(&peer, trust, pem, usage, when), WHIST_E_AUTH);
    assert_says(words);
    assert_memory_equal(&peer, &before, sizeof peer);
}

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

/* ---- The good case ---- */

static void check_role(const world *w, whist_crypt_role role, unsigned rights, bool client, bool server)
{
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.role = role;
    grant.rights = rights;
    grant.now = now;
    char *cert = make_cert(w, "ann-1", &grant);
    whist_crypt_peer peer, read;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    whist_crypt_key_pin(pin, w->key);
    for (int usage = 0; usage < 2; usage++) {
        bool good = usage == WHIST_CRYPT_AS_CLIENT ? client : server;
        if (!good) {
            assert_refused(w->trust, cert, (whist_crypt_usage)usage, now,
                           usage == WHIST_CRYPT_AS_CLIENT ? "server certificate, used as client"
                                                          : "client certificate, used as server");
            continue;
        }
        assert_ok(verify_at(&peer, w->trust, cert, (whist_crypt_usage)usage, now));
        assert_int_equal(peer.role, role);
        assert_int_equal(peer.rights, rights);
        assert_string_equal(peer.name, "ann-1");
        assert_memory_equal(peer.pin, pin, sizeof pin);
        assert_int_equal(peer.not_before, now - 3600);
        assert_int_equal(peer.not_after, now + 365 * DAY);
        assert_false(peer.authority);
        assert_ok(whist_crypt_cert_read(&read, view(cert)));
        assert_memory_equal(&read, &peer, sizeof peer);
    }
    whist_crypt_text_free(cert);
}

static void test_each_role_on_its_end(void **state)
{
    const world *w = *state;
    check_role(w, WHIST_CRYPT_SITE, 0, true, false);
    check_role(w, WHIST_CRYPT_COORDINATOR, 0, false, true);
    check_role(w, WHIST_CRYPT_OPERATOR, WHIST_CRYPT_MAY_READ, true, false);
    check_role(w, WHIST_CRYPT_OPERATOR, WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_START | WHIST_CRYPT_MAY_STOP, true,
               false);
    check_role(w, WHIST_CRYPT_PARTY, 0, true, true);
}

static void test_pins_agree(void **state)
{
    const world *w = *state;
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    wh_digest a, b, c;
    uint8_t public_key[32];
    assert_ok(wh_x509_pem_to_der(&der, view(w->site)));
    assert_ok(wh_x509_pin_of_pem(&a, view(w->site)));
    assert_ok(wh_x509_pin_of_der(&b, wh_buf_view(&der)));
    wh_x509_pin_of_key(&c, w->key->public_key);
    assert_true(wh_digest_equal(&a, &b));
    assert_true(wh_digest_equal(&a, &c));
    assert_ok(wh_x509_public_key(public_key, wh_buf_view(&der)));
    assert_memory_equal(public_key, w->key->public_key, 32);
}

static void test_signatures_against_certificates(void **state)
{
    const world *w = *state;
    uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE];
    assert_ok(whist_crypt_sign(signature, w->ca_key, "whist/kit/1", view("kit")));
    assert_ok(whist_crypt_verify(view(w->ca), "whist/kit/1", view("kit"), signature));
    assert_int_equal(whist_crypt_verify(view(w->site), "whist/kit/1", view("kit"), signature), WHIST_E_AUTH);
    assert_int_equal(whist_crypt_verify(view(w->ca), "whist/kit/2", view("kit"), signature), WHIST_E_AUTH);
}

static void test_renewal_keeps_the_pin(void **state)
{
    const world *w = *state;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now + 400 * DAY;
    char *renewed = make_cert(w, "charite", &grant), *crl = NULL;
    whist_crypt_trust *trust = NULL;
    whist_crypt_peer before, after;
    assert_ok(whist_crypt_crl_new(&crl, w->ca_key, view(w->ca), view(w->crl), none, 30, grant.now));
    assert_ok(whist_crypt_trust_new(&trust, view(w->ca), view(crl)));
    assert_refused(trust, w->site, WHIST_CRYPT_AS_CLIENT, grant.now, "whist provision renew");
    assert_ok(whist_crypt_cert_read(&before, view(w->site)));
    assert_ok(verify_at(&after, trust, renewed, WHIST_CRYPT_AS_CLIENT, grant.now));
    assert_memory_equal(before.pin, after.pin, sizeof before.pin);
    assert_string_not_equal(before.serial, after.serial);
    whist_crypt_trust_free(trust);
    whist_crypt_text_free(crl);
    whist_crypt_text_free(renewed);
}

static void test_days_left(void **state)
{
    (void)state;
    assert_int_equal(whist_crypt_days_left(now + 10 * DAY, now), 10);
    assert_int_equal(whist_crypt_days_left(now + 10 * DAY - 1, now), 9);
    assert_int_equal(whist_crypt_days_left(now, now), 0);
    assert_int_equal(whist_crypt_days_left(now - 1, now), -1);
    assert_int_equal(whist_crypt_days_left(now - DAY - 1, now), -2);
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
    WH_AUTO(wh_buf) key = WH_BUF_EMPTY;
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

/* ---- Requests and grants ---- */

static void test_requests_are_read_and_proved(void **state)
{
    const world *w = *state;
    const char *hosts[] = {"a.example.org", "10.0.0.7", "2001:db8::1"};
    char *csr = NULL;
    whist_crypt_request request;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    assert_ok(whist_crypt_csr_new(&csr, w->key, "north", hosts, 3));
    assert_ok(whist_crypt_csr_read(&request, view(csr)));
    whist_crypt_key_pin(pin, w->key);
    assert_string_equal(request.name, "north");
    assert_memory_equal(request.pin, pin, sizeof pin);
    assert_int_equal(request.n_hosts, 3);
    for (int i = 0; i < 3; i++) assert_string_equal(request.hosts[i], hosts[i]);
    /* somebody else's key under our signature */
    WH_AUTO(X509_REQ_ptr) stolen = NULL;
    WH_AUTO(EVP_PKEY_ptr) pkey = NULL;
    WH_AUTO(EVP_PKEY_ptr) foreign = NULL;
    WH_AUTO(BIO_ptr) bio = BIO_new(BIO_s_mem());
    assert_ok(wh_x509_csr(&stolen, view(csr)));
    whist_crypt_text_free(csr);
    assert_ok(wh_x509_private(&pkey, w->key));
    assert_ok(wh_x509_private(&foreign, w->ca_key));
    assert_int_equal(X509_REQ_set_pubkey(stolen, foreign), 1);
    assert_true(X509_REQ_sign(stolen, pkey, NULL) > 0);
    assert_int_equal(PEM_write_bio_X509_REQ(bio, stolen), 1);
    assert_ok(wh_x509_text(&csr, bio, WH_X509_BYTES_MAX));
    assert_int_equal(whist_crypt_csr_read(&request, view(csr)), WHIST_E_AUTH);
    assert_says("does not hold the key");
    char *cert = NULL;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    assert_int_equal(whist_crypt_csr_sign(&cert, w->ca_key, view(w->ca), view(csr), &grant), WHIST_E_AUTH);
    assert_null(cert);
    whist_crypt_text_free(csr);
}

static void test_grants_are_checked(void **state)
{
    const world *w = *state;
    whist_crypt_grant good = WHIST_CRYPT_GRANT_DEFAULT, grant;
    const char *hosts[] = {"x.example.org"}, *bad_hosts[] = {"[::]"};
    good.now = now;
    char *csr = NULL, *cert = NULL;
    assert_ok(whist_crypt_csr_new(&csr, w->key, "north", NULL, 0));
    const whist_crypt_grant bad[] = {
        {.role = (whist_crypt_role)9, .days = 1},
        {.role = WHIST_CRYPT_SITE, .days = 0},
        {.role = WHIST_CRYPT_SITE, .days = 3651},
        {.role = WHIST_CRYPT_SITE, .days = 1, .rights = WHIST_CRYPT_MAY_READ},
        {.role = WHIST_CRYPT_OPERATOR, .days = 1},
        {.role = WHIST_CRYPT_OPERATOR, .days = 1, .rights = 8},
        {.role = WHIST_CRYPT_SITE, .days = 1, .hosts = hosts, .n_hosts = 1},
        {.role = WHIST_CRYPT_COORDINATOR, .days = 1},
        {.role = WHIST_CRYPT_COORDINATOR, .days = 1, .hosts = bad_hosts, .n_hosts = 1},
        {.role = WHIST_CRYPT_SITE, .days = 1, .name = "south"},
    };
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        grant = bad[i];
        grant.now = now;
        assert_int_equal(whist_crypt_csr_sign(&cert, w->ca_key, view(w->ca), view(csr), &grant), WHIST_E_ARG);
        assert_null(cert);
    }
    assert_int_equal(whist_crypt_csr_sign(&cert, w->key, view(w->ca), view(csr), &good), WHIST_E_AUTH);
    assert_says("do not belong together");
    good.role = WHIST_CRYPT_COORDINATOR;
    good.hosts = hosts;
    good.n_hosts = 1;
    assert_ok(whist_crypt_csr_sign(&cert, w->ca_key, view(w->ca), view(csr), &good));
    WH_AUTO(X509_ptr) x = NULL;
    assert_ok(wh_x509_cert(&x, view(cert)));
    assert_int_equal(X509_check_host(x, "x.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "y.example.org", 0, 0, NULL), 0);
    whist_crypt_text_free(cert);
    whist_crypt_text_free(csr);
}

static void test_words(void **state)
{
    (void)state;
    const char *const good[] = {"a", "0", "north-1", "a--b", "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"};
    const char *const bad[] = {"",    "-a",  "a-",  "A",        "a_b",
                               "a.b", "a b", "a/b", "\xc3\xa4", "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddde"};
    for (size_t i = 0; i < WH_COUNT(good); i++) assert_ok(whist_crypt_name_check(good[i]));
    for (size_t i = 0; i < WH_COUNT(bad); i++) assert_int_equal(whist_crypt_name_check(bad[i]), WHIST_E_ARG);
    for (int r = 0; r < 4; r++) {
        whist_crypt_role role;
        assert_ok(whist_crypt_role_parse(&role, whist_crypt_role_name((whist_crypt_role)r)));
        assert_int_equal(role, r);
    }
    whist_crypt_role role;
    unsigned rights = 77;
    assert_int_equal(whist_crypt_role_parse(&role, "king"), WHIST_E_ARG);
    assert_ok(whist_crypt_rights_parse(&rights, "stop,read"));
    assert_int_equal(rights, WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_STOP);
    const char *const no_rights[] = {"", "read,", ",read", "read,read", "rea", "read, stop"};
    for (size_t i = 0; i < WH_COUNT(no_rights); i++)
        assert_int_equal(whist_crypt_rights_parse(&rights, no_rights[i]), WHIST_E_ARG);
    const char *const bad_hosts[] = {"",   "0.0.0.0", "::",   "[::1]",   "a..b", ".a",
                                     "a.", "-a",      "a-.b", "*.a.org", "a b",  "a:1"};
    for (size_t i = 0; i < WH_COUNT(bad_hosts); i++) assert_int_equal(wh_x509_host_check(bad_hosts[i]), WHIST_E_ARG);
    const char *const hosts[] = {"localhost", "a.b-c.org", "127.0.0.1", "::1", "X1"};
    for (size_t i = 0; i < WH_COUNT(hosts); i++) assert_ok(wh_x509_host_check(hosts[i]));
}

static void test_revoking_needs_the_right_authority(void **state)
{
    const world *w = *state;
    char *ca = NULL, *crl = NULL;
    assert_ok(whist_crypt_ca_new(&ca, w->key, "hearts", 30, now));
    assert_int_equal(whist_crypt_crl_new(&crl, w->key, view(ca), none, view(w->site), 30, now), WHIST_E_AUTH);
    assert_says("another authority cannot be revoked");
    assert_int_equal(whist_crypt_crl_new(&crl, w->key, view(ca), view(w->crl), none, 30, now), WHIST_E_AUTH);
    assert_int_equal(whist_crypt_crl_new(&crl, w->key, view(w->ca), none, none, 30, now), WHIST_E_AUTH);
    assert_null(crl);
    whist_crypt_text_free(ca);
}

/* ---- Failures ---- */

static whist_status whole_life(const world *w)
{
    char *ca = NULL, *csr = NULL, *cert = NULL, *crl = NULL;
    whist_crypt_trust *trust = NULL;
    whist_crypt_peer peer;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.now = now;
    whist_status status;
    WH_TRY_OUT(whist_crypt_ca_new(&ca, w->ca_key, "hearts", 30, now));
    WH_TRY_OUT(whist_crypt_csr_new(&csr, w->key, "north", NULL, 0));
    WH_TRY_OUT(whist_crypt_csr_sign(&cert, w->ca_key, view(ca), view(csr), &grant));
    WH_TRY_OUT(whist_crypt_crl_new(&crl, w->ca_key, view(ca), none, view(cert), 30, now));
    WH_TRY_OUT(whist_crypt_trust_new(&trust, view(ca), view(crl)));
    /* revoked: never to be accepted, whatever fails */
    status = whist_crypt_trust_check(&peer, trust, view(cert), WHIST_CRYPT_AS_CLIENT, now);
    assert_int_not_equal(status, WHIST_OK);
    if (status == WHIST_E_AUTH && strstr(whist_detail_get()->text, "was revoked")) status = WHIST_OK;
out:
    whist_crypt_trust_free(trust);
    whist_crypt_text_free(crl);
    whist_crypt_text_free(cert);
    whist_crypt_text_free(csr);
    whist_crypt_text_free(ca);
    return status;
}

static void test_memory_and_entropy_may_fail_anywhere(void **state)
{
    const world *w = *state;
    for (uint64_t n = 1;; n++) {
        wh_alloc_fail_after(n);
        whist_status status = whole_life(w);
        wh_alloc_fail_after(0);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_true(n < 100);
    }
    for (uint64_t n = 1; n <= 2; n++) { /* serials of the authority and of the site */
        wh_random_fail_after(n);
        assert_int_equal(whole_life(w), WHIST_E_ENTROPY);
    }
    wh_random_fail_after(0);
    assert_ok(whole_life(w));
}

/* OpenSSL's own requests, through its hooks. */
static uint64_t ossl_requests, ossl_fail_at;

static bool ossl_refuses(void)
{
    return ++ossl_requests == ossl_fail_at;
}
static void *ossl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return ossl_refuses() ? NULL : malloc(size);
}
static void *ossl_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return ossl_refuses() ? NULL : realloc(ptr, size);
}
static void ossl_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

static void test_openssl_may_run_out_of_memory(void **state)
{
    const world *w = *state;
    assert_ok(whole_life(w));
    ossl_requests = 0;
    assert_ok(whole_life(w));
    uint64_t total = ossl_requests, refused = 0;
    assert_true(total > 500);
    for (uint64_t n = 1; n <= total; n += 37) {
        ossl_requests = 0;
        ossl_fail_at = n;
        whist_status status = whole_life(w);
        ossl_fail_at = 0;
        refused += status != WHIST_OK;
    }
    assert_true(refused > 10);
    assert_ok(whole_life(w));
}

int main(void)
{
    CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_role_on_its_end),
        cmocka_unit_test(test_pins_agree),
        cmocka_unit_test(test_signatures_against_certificates),
        cmocka_unit_test(test_renewal_keeps_the_pin),
        cmocka_unit_test(test_days_left),
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
        cmocka_unit_test(test_requests_are_read_and_proved),
        cmocka_unit_test(test_grants_are_checked),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_revoking_needs_the_right_authority),
        cmocka_unit_test(test_memory_and_entropy_may_fail_anywhere),
        cmocka_unit_test(test_openssl_may_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
