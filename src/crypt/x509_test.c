/* Tests of the certificates: the life of an identity from request to revocation, words and grants,
 * and failures of memory and entropy anywhere on the way. */
#include "crypt/random.h"
#include "crypt/x509_world.h"
#include "test.h"

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
    assert_int_equal(ERR_peek_error(), 0);
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
        cmocka_unit_test(test_requests_are_read_and_proved),
        cmocka_unit_test(test_grants_are_checked),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_revoking_needs_the_right_authority),
        cmocka_unit_test(test_memory_and_entropy_may_fail_anywhere),
        cmocka_unit_test(test_openssl_may_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
