/* The server with real sockets and real certificates: who gets in, what is bounded, what survives a reload. */
#include "base/buf.h"
#include "base/clock.h"
#include "net/client.h"
#include "net/net_testing.h"
#include "net/server_parts.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct stage {
    wh_town town;
    wh_citizen coordinator, site;
    wh_server *server;
    char address[32];
    atomic_int handled, slow_ms;
    atomic_bool held; /* "/v1/slow" does not end */
    char last_name[64];
} stage;

/* What is waited for comes on any machine; what does not is given up after two minutes. */
static bool comes(bool (*seen)(stage *), stage *s)
{
    for (double begin = wh_clock_seconds(); !seen(s); usleep(5000))
        if (wh_clock_seconds() - begin > 120) return false;
    return true;
}

/* Echoes; "/v1/slow" takes its time; "/v1/bad" fails; "/v1/chunk/big" is 4 MiB. */
static whist_status echo(void *user, const wh_request *request, wh_response *response)
{
    stage *s = user;
    atomic_fetch_add(&s->handled, 1);
    if (strcmp(request->path, "/v1/slow") == 0) {
        while (atomic_load(&s->held)) usleep(5000);
        usleep((useconds_t)atomic_load(&s->slow_ms) * 1000);
    }
    if (strcmp(request->path, "/v1/bad") == 0) WH_FAIL(WHIST_E_FORMAT, "the study is not known");
    if (strcmp(request->path, "/v1/broken") == 0) WH_FAIL(WHIST_E_IO, "secret path of the disk");
    if (strcmp(request->path, "/v1/who") == 0)
        WH_TRY(wh_buf_text(&response->body, "%s %s", request->peer.name, whist_crypt_role_name(request->peer.role)));
    response->code = 200;
    if (strcmp(request->path, "/v1/chunk/big") == 0) {
        uint8_t *room;
        WH_TRY(wh_buf_grow(&response->body, &room, 4 << 20));
        memset(room, 7, 4 << 20);
    }
    return wh_buf_add(&response->body, request->body.data, request->body.len);
}

static whist_status only_known_pins(void *user, wh_peer *peer)
{
    stage *s = user;
    if (memcmp(peer->pin, s->site.pin, sizeof peer->pin) != 0)
        WH_FAIL(WHIST_E_AUTH, "the key of '%s' is not registered for this study: ask the coordinator's owner",
                peer->name);
    return WHIST_OK;
}

static void raise_stage(stage *s, wh_server_options options)
{
    memset(s, 0, sizeof *s);
    assert_ok(wh_town_new(&s->town, "town"));
    assert_ok(wh_citizen_new(&s->coordinator, &s->town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30));
    assert_ok(wh_citizen_new(&s->site, &s->town, "site-1", WHIST_CRYPT_SITE, 1, 30));
    assert_ok(wh_town_revoke(&s->town, NULL));
    wh_identity identity = wh_identity_of(&s->town, &s->coordinator);
    options.identity = &identity;
    options.handler = echo;
    options.user = s;
    options.authorise = only_known_pins;
    options.authorise_user = s;
    assert_ok(wh_server_start(&s->server, &options));
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", wh_server_port(s->server));
}

static void strike_stage(stage *s)
{
    wh_server_stop(s->server, 2000);
    wh_citizen_clear(&s->coordinator);
    wh_citizen_clear(&s->site);
    wh_town_clear(&s->town);
}

static wh_client *client_of(const stage *s, const wh_identity *identity)
{
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = s->address;
    options.identity = identity;
    options.server_pin = s->coordinator.pin;
    wh_client *client;
    assert_ok(wh_client_new(&client, &options));
    return client;
}

static wh_client *site_client(const stage *s)
{
    wh_identity identity = wh_identity_of(&s->town, &s->site);
    return client_of(s, &identity);
}

static void test_a_known_site_gets_in(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_client *client = site_client(&s);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 200);
    assert_string_equal(wh_buf_str(&response.body), "site-1 site");
    assert_ok(wh_client_call(client, &response, "POST", "/v1/echo", wh_text_bytes("hello")));
    assert_string_equal(wh_buf_str(&response.body), "hello");
    assert_ok(wh_client_call(client, &response, "GET", "/v1/chunk/big", (whist_bytes){0}));
    assert_int_equal(response.body.len, 4 << 20);
    assert_ok(wh_client_call(client, &response, "POST", "/v1/bad", (whist_bytes){0}));
    assert_int_equal(response.code, 400);
    assert_string_equal(wh_buf_str(&response.body), "the study is not known");
    assert_ok(wh_client_call(client, &response, "POST", "/v1/broken", (whist_bytes){0}));
    assert_int_equal(response.code, 500);
    assert_string_equal(wh_buf_str(&response.body), "internal error");
    int64_t skew;
    assert_true(wh_client_skew_ms(&skew, client));
    assert_true(skew > -60000 && skew < 60000); /* as long as the call took, and no more than a minute */
    wh_client_free(client);
    strike_stage(&s);
}

/* One stranger: refused with 403, its own words, and no handler. */
static void expect_refusal(stage *s, const wh_identity *identity, const char *words)
{
    wh_client *client = client_of(s, identity);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(wh_client_call(client, &response, "POST", "/v1/echo", wh_text_bytes("let me in")));
    assert_int_equal(response.code, 403);
    if (!strstr(wh_buf_str(&response.body), words)) fail_msg("'%s' lacks '%s'", wh_buf_str(&response.body), words);
    assert_int_equal(atomic_load(&s->handled), 0);
    wh_client_free(client);
}

/* A certificate that nobody but its owner has signed. */
static void self_signed(wh_citizen *out, const char *name)
{
    assert_ok(whist_crypt_key_new(&out->key));
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, out->key->secret.data, WH_SIGN_SEED);
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    assert_true(X509_sign(cert, key, NULL) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    long len = BIO_get_mem_data(bio, &text);
    out->cert = OPENSSL_strndup(text, (size_t)len);
    BIO_free(bio);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void expect_citizen_refused(stage *s, const wh_town *issuer, const char *name, whist_crypt_role role,
                                   int days_ago, unsigned days, const char *words)
{
    wh_citizen stranger = {0};
    assert_ok(wh_citizen_new(&stranger, issuer, name, role, days_ago, days));
    wh_identity identity = wh_identity_of(&s->town, &stranger);
    expect_refusal(s, &identity, words);
    wh_citizen_clear(&stranger);
}

static void test_strangers_are_refused_in_words_before_any_handler(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_identity nobody = wh_identity_of(&s.town, &s.site);
    nobody.key = NULL;
    expect_refusal(&s, &nobody, "no certificate");

    wh_citizen self = {0};
    self_signed(&self, "site-1");
    wh_identity identity = wh_identity_of(&s.town, &self);
    expect_refusal(&s, &identity, "self-signed");
    OPENSSL_free(self.cert);
    self.cert = NULL;
    wh_citizen_clear(&self);

    wh_town twin = {0}, far = {0};
    assert_ok(wh_town_new(&twin, "town"));
    assert_ok(wh_town_new(&far, "elsewhere"));
    expect_citizen_refused(&s, &twin, "site-1", WHIST_CRYPT_SITE, 1, 30, "another authority of the same name");
    expect_citizen_refused(&s, &far, "site-1", WHIST_CRYPT_SITE, 1, 30, "no authority of this federation");
    wh_town_clear(&twin);
    wh_town_clear(&far);
    expect_citizen_refused(&s, &s.town, "site-1", WHIST_CRYPT_SITE, 20, 10, "expired");
    expect_citizen_refused(&s, &s.town, "site-1", WHIST_CRYPT_SITE, -5, 10, "not yet valid");
    expect_citizen_refused(&s, &s.town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30, "server certificate");
    /* the right name and authority, another key */
    expect_citizen_refused(&s, &s.town, "site-1", WHIST_CRYPT_SITE, 1, 30, "not registered");

    wh_server_stats stats;
    wh_server_stats_get(&stats, s.server);
    assert_int_equal(stats.refused, 8);
    assert_int_equal(stats.requests, 0);
    strike_stage(&s);
}

static void test_reload_takes_effect_on_open_connections(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_client *client = site_client(&s);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 200);

    /* a renewed server certificate under the same key, then a rejected reload */
    wh_citizen renewed = {.key = s.coordinator.key};
    assert_ok(wh_citizen_new(&renewed, &s.town, "coordinator", WHIST_CRYPT_COORDINATOR, 0, 60));
    wh_identity identity = wh_identity_of(&s.town, &renewed);
    assert_ok(wh_server_reload(s.server, &identity));
    wh_identity wrong = identity;
    wrong.key = s.site.key;
    assert_int_equal(wh_server_reload(s.server, &wrong), WHIST_E_AUTH);
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 200);
    wh_client *second = site_client(&s);
    assert_ok(wh_client_call(second, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 200);
    wh_client_free(second);

    /* the site is revoked while its connection is open */
    assert_ok(wh_town_revoke(&s.town, &s.site));
    identity = wh_identity_of(&s.town, &renewed);
    assert_ok(wh_server_reload(s.server, &identity));
    int before = atomic_load(&s.handled);
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 403);
    assert_non_null(strstr(wh_buf_str(&response.body), "revoked"));
    assert_int_equal(atomic_load(&s.handled), before);
    wh_client_free(client);
    whist_crypt_text_free(renewed.cert);
    strike_stage(&s);
}

static void test_bodies_are_bounded(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_client *client = site_client(&s);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_AUTO(wh_buf) big = WH_BUF_EMPTY;
    uint8_t *room;
    assert_ok(wh_buf_grow(&big, &room, 8 << 20));
    memset(room, 1, 8 << 20);
    for (int i = 0; i < 5; i++) {
        assert_ok(wh_client_call(client, &response, "PUT", "/v1/chunk/x", wh_buf_view(&big)));
        assert_int_equal(response.code, 413);
        assert_ok(
            wh_client_call(client, &response, "POST", "/v1/echo", (whist_bytes){big.data, WH_NET_CONTROL_MAX + 1}));
        assert_int_equal(response.code, 413);
    }
    assert_int_equal(atomic_load(&s.handled), 0);
    assert_ok(wh_client_call(client, &response, "POST", "/v1/echo", (whist_bytes){big.data, WH_NET_CONTROL_MAX}));
    assert_int_equal(response.code, 200);
    assert_int_equal(response.body.len, WH_NET_CONTROL_MAX);
    assert_ok(wh_client_call(client, &response, "PUT", "/v1/chunk/x", (whist_bytes){big.data, WH_NET_CHUNK_MAX}));
    assert_int_equal(response.code, 200);
    assert_int_equal(response.body.len, WH_NET_CHUNK_MAX);
    wh_client_free(client);
    strike_stage(&s);
}

static void test_a_thousand_requests_on_one_connection(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_client *client = site_client(&s);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    for (int i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_ok(wh_client_call(client, &response, "POST", "/v1/echo", wh_text_bytes(text)));
        assert_string_equal(wh_buf_str(&response.body), text);
    }
    wh_server_stats stats;
    wh_server_stats_get(&stats, s.server);
    assert_int_equal(stats.requests, 1000);
    assert_int_equal(stats.connections, 1);
    wh_client_free(client);
    strike_stage(&s);
}

typedef struct uploader {
    pthread_t thread;
    const stage *stage;
    int sent, busy, failed;
} uploader;

static void *upload(void *arg)
{
    uploader *u = arg;
    wh_identity identity = wh_identity_of(&u->stage->town, &u->stage->site);
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = u->stage->address;
    options.identity = &identity;
    options.server_pin = u->stage->coordinator.pin;
    wh_client *client = NULL;
    uint8_t *bytes = calloc(4, 1 << 20);
    u->failed = wh_client_new(&client, &options) != WHIST_OK;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    while (client && bytes && u->sent < 4 && u->busy < 5000 && !u->failed) {
        u->failed = wh_client_call(client, &response, "PUT", "/v1/chunk/x", (whist_bytes){bytes, 4 << 20}) != WHIST_OK;
        if (!u->failed && response.code == 200 && response.body.len == 4 << 20)
            u->sent++;
        else if (!u->failed && response.code == 503 && response.retry_after_ms == 1000)
            u->busy++;
        else
            u->failed = 1;
        if (response.code == 503) usleep(20000);
    }
    free(bytes);
    wh_client_free(client);
    return NULL;
}

static bool no_bodies(stage *s)
{
    wh_server_stats stats;
    wh_server_stats_get(&stats, s->server);
    return stats.body_bytes == 0;
}

static void test_many_uploads_stay_under_the_ceiling(void **state)
{
    (void)state;
    stage s;
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.body_ceiling = (size_t)10 << 20;
    raise_stage(&s, options);
    uploader uploaders[8] = {0};
    for (int i = 0; i < 8; i++) {
        uploaders[i].stage = &s;
        assert_int_equal(pthread_create(&uploaders[i].thread, NULL, upload, &uploaders[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(uploaders[i].thread, NULL);
        assert_false(uploaders[i].failed);
        assert_int_equal(uploaders[i].sent, 4);
    }
    wh_server_stats stats;
    assert_true(comes(no_bodies, &s)); /* the last answers are freed after they were received */
    wh_server_stats_get(&stats, s.server);
    assert_true(stats.body_bytes_peak <= options.body_ceiling);
    assert_true(stats.body_bytes_peak >= 4 << 20);
    assert_int_equal(stats.body_bytes, 0);
    strike_stage(&s);
}

static int raw_connect(const stage *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(wh_server_port(s->server))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static bool one_was_late(stage *s)
{
    wh_server_stats stats;
    wh_server_stats_get(&stats, s->server);
    return stats.late == 1;
}

static bool one_connection(stage *s)
{
    wh_server_stats stats;
    wh_server_stats_get(&stats, s->server);
    return stats.connections == 1;
}

static bool no_connection(stage *s)
{
    wh_server_stats stats;
    wh_server_stats_get(&stats, s->server);
    return stats.connections == 0;
}

static void test_slow_peers_are_cut_off(void **state)
{
    (void)state;
    stage s;
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.head_ms = 2500; /* the good peer gets through in that time */
    raise_stage(&s, options);
    wh_client *client = site_client(&s); /* a good connection outlives the bad one */
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    int fd = raw_connect(&s);
    char byte;
    bool ended = false;
    /* A ClientHello of 512 bytes begins, a byte now and then. */
    static const uint8_t hello[64] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    for (size_t i = 0; i < 600 && !ended; i++) {
        usleep(100000);
        ended = send(fd, &hello[i % sizeof hello], 1, MSG_NOSIGNAL) < 0 || recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
    }
    close(fd);
    assert_true(ended);
    assert_true(comes(one_was_late, &s));
    assert_ok(wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}));
    assert_int_equal(response.code, 200);
    assert_true(comes(one_connection, &s));
    wh_client_free(client);
    strike_stage(&s);
}

/* A site that sends the head of an upload and then sleeps. */
static void test_a_body_that_does_not_come_is_given_up(void **state)
{
    (void)state;
    stage s;
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.body_ms = 300;
    raise_stage(&s, options);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *bio = BIO_new_mem_buf(s.site.cert, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, s.site.key->secret.data, WH_SIGN_SEED);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    SSL *ssl = SSL_new(ctx);
    int fd = raw_connect(&s);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    const char *head = "PUT /v1/chunk/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nthe beginning";
    assert_int_equal(SSL_write(ssl, head, (int)strlen(head)), (int)strlen(head));
    char byte;
    double begin = wh_clock_seconds();
    assert_true(SSL_read(ssl, &byte, 1) <= 0);
    assert_true(wh_clock_seconds() - begin < options.idle_ms / 1000.0); /* no other limit ended it */
    SSL_free(ssl);
    close(fd);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(bio);
    SSL_CTX_free(ctx);
    wh_server_stats stats;
    assert_true(comes(one_was_late, &s));
    assert_true(comes(no_connection, &s));
    wh_server_stats_get(&stats, s.server);
    assert_int_equal(stats.body_bytes, 0);
    assert_int_equal(atomic_load(&s.handled), 0);
    strike_stage(&s);
}

static int count_cut(const int *fds, int n)
{
    int cut = 0;
    char byte;
    for (int i = 0; i < n; i++) cut += recv(fds[i], &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN);
    return cut;
}

static void test_connections_per_address_are_limited(void **state)
{
    (void)state;
    stage s;
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.max_per_address = 4;
    options.loops = 1;
    raise_stage(&s, options);
    int fds[6];
    for (int i = 0; i < 6; i++) fds[i] = raw_connect(&s);
    int cut = 0;
    for (double begin = wh_clock_seconds(); (cut = count_cut(fds, 6)) < 2 && wh_clock_seconds() - begin < 120;)
        usleep(5000);
    usleep(100000); /* one too many would be cut, too */
    assert_int_equal(count_cut(fds, 6), 2);
    for (int i = 0; i < 6; i++) close(fds[i]);
    strike_stage(&s);
}

/* The n-th allocation fails, for every n: an error or a whole object, never a leak or a crash. */
static void test_start_survives_each_failing_allocation(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_identity identity = wh_identity_of(&s.town, &s.coordinator), site = wh_identity_of(&s.town, &s.site);
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.identity = &identity;
    options.handler = echo;
    wh_client_options client_options = WH_CLIENT_OPTIONS_DEFAULT;
    client_options.address = s.address;
    client_options.identity = &site;
    client_options.server_pin = s.coordinator.pin;
    bool started = false, connected = false;
    for (uint64_t n = 1; n < 200 && !(started && connected); n++) {
        wh_server *server = NULL;
        wh_client *client = NULL;
        wh_alloc_fail_after(n);
        started = wh_server_start(&server, &options) == WHIST_OK;
        assert_true(started == (server != NULL));
        wh_alloc_fail_after(n);
        connected = wh_client_new(&client, &client_options) == WHIST_OK;
        WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
        if (connected) connected = wh_client_call(client, &response, "GET", "/v1/who", (whist_bytes){0}) == WHIST_OK;
        assert_int_equal(response.code, connected ? 200 : 0);
        wh_alloc_fail_after(0);
        wh_client_free(client);
        wh_server_stop(server, 0);
    }
    assert_true(started && connected);
    strike_stage(&s);
}

static void test_port_in_use_says_so(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_identity identity = wh_identity_of(&s.town, &s.coordinator);
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.address = s.address;
    options.identity = &identity;
    options.handler = echo;
    options.user = &s;
    wh_server *second = NULL;
    assert_int_equal(wh_server_start(&second, &options), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "in use"));
    assert_non_null(strstr(whist_detail_get()->text, s.address));
    options.address = "127.0.0.1:0";
    wh_identity as_site = wh_identity_of(&s.town, &s.site);
    options.identity = &as_site; /* a site's certificate makes no server */
    assert_int_equal(wh_server_start(&second, &options), WHIST_E_AUTH);
    assert_null(second);
    strike_stage(&s);
}

static bool one_is_handled(stage *s)
{
    return atomic_load(&s->handled) == 1;
}

static void *stop_meanwhile(void *arg)
{
    stage *s = arg;
    if (comes(one_is_handled, s)) wh_server_stop(s->server, 120000);
    return NULL;
}

static void test_stop_lets_a_request_end(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    atomic_store(&s.slow_ms, 700);
    wh_client *client = site_client(&s);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_meanwhile, &s), 0);
    assert_ok(wh_client_call(client, &response, "POST", "/v1/slow", wh_text_bytes("kept")));
    assert_int_equal(response.code, 200);
    assert_string_equal(wh_buf_str(&response.body), "kept");
    pthread_join(stopper, NULL);
    s.server = NULL;
    assert_int_equal(wh_client_call(client, &response, "POST", "/v1/slow", (whist_bytes){0}), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "refused"));
    wh_client_free(client);
    strike_stage(&s);
}

static void test_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    wh_client *client = site_client(&s);
    assert_ok(wh_client_connect(client));
    double begin = wh_clock_seconds();
    wh_server_stop(s.server, 120000); /* an idle connection is no reason to wait */
    assert_true(wh_clock_seconds() - begin < 60);
    s.server = NULL;
    wh_client_free(client);
    strike_stage(&s);
}

static void *call_slowly(void *arg)
{
    wh_client *client = arg;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    (void)!wh_client_call(client, &response, "POST", "/v1/slow", (whist_bytes){0}); /* any outcome but a crash */
    return NULL;
}

/* The workers are told to stop when the grace has passed. */
static bool grace_is_over(stage *s)
{
    pthread_mutex_lock(&s->server->lock);
    bool stopping = s->server->stopping;
    pthread_mutex_unlock(&s->server->lock);
    return stopping;
}

static void *release_past_grace(void *arg)
{
    stage *s = arg;
    (void)!comes(grace_is_over, s);
    atomic_store(&s->held, false);
    return NULL;
}

/* One request runs and two wait when the time is up: the handler is waited for, the others never start. */
static void test_stop_past_its_grace(void **state)
{
    (void)state;
    stage s;
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.workers = 1;
    raise_stage(&s, options);
    atomic_store(&s.held, true);
    pthread_t threads[3];
    wh_client *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = site_client(&s);
        assert_int_equal(pthread_create(&threads[i], NULL, call_slowly, clients[i]), 0);
    }
    assert_true(comes(one_is_handled, &s));
    usleep(200000); /* for the others to come as far as they can: less of them makes it only easier */
    pthread_t releaser;
    assert_int_equal(pthread_create(&releaser, NULL, release_past_grace, &s), 0);
    wh_server_stop(s.server, 50);
    pthread_join(releaser, NULL);
    s.server = NULL;
    assert_int_equal(atomic_load(&s.handled), 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        wh_client_free(clients[i]);
    }
    strike_stage(&s);
}

static void exchange_plain(char *out, size_t room, uint16_t port, const char *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    size_t len = 0;
    for (ssize_t n; len + 1 < room && (n = recv(fd, out + len, room - 1 - len, 0)) > 0;) len += (size_t)n;
    out[len] = 0;
    close(fd);
}

static void test_operations_listener_is_plain_and_local(void **state)
{
    (void)state;
    stage s = {0};
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.handler = echo;
    options.user = &s;
    options.loops = options.workers = 1;
    options.address = "0.0.0.0:0";
    assert_int_equal(wh_server_start(&s.server, &options), WHIST_E_ARG);
    options.address = "127.0.0.1:0";
    assert_ok(wh_server_start(&s.server, &options));
    char text[2048];
    uint16_t port = wh_server_port(s.server);
    exchange_plain(text, sizeof text, port, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(text, "200 OK"));
    exchange_plain(text, sizeof text, port,
                   "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(text, "405"));
    assert_int_equal(atomic_load(&s.handled), 1);
    wh_server_stop(s.server, 100);
}

typedef struct kept {
    pthread_mutex_t lock;
    char text[256];
} kept;

static void keep_log(void *user, whist_log_level level, const char *event, const char *text)
{
    (void)level;
    kept *last = user;
    pthread_mutex_lock(&last->lock);
    if (strcmp(event, "peer.refused") == 0) snprintf(last->text, sizeof last->text, "%s", text);
    pthread_mutex_unlock(&last->lock);
}

/* A foreign program as the peer: TLS 1.2 does not get through the handshake. */
static void test_tls12_is_refused_in_the_handshake(void **state)
{
    (void)state;
    if (system("openssl version >/dev/null 2>&1") != 0) skip();
    kept last = {.lock = PTHREAD_MUTEX_INITIALIZER};
    whist_log_set(keep_log, &last);
    stage s;
    raise_stage(&s, (wh_server_options)WH_SERVER_OPTIONS_DEFAULT);
    char command[256];
    snprintf(command, sizeof command,
             "openssl s_client -connect %s -tls1_2 </dev/null 2>&1 | grep -q 'alert number 70'", s.address);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "openssl s_client -connect %s -tls1_3 </dev/null 2>&1 | grep -q 'New, TLSv1.3'",
             s.address);
    assert_int_equal(system(command), 0);
    assert_int_equal(atomic_load(&s.handled), 0);
    strike_stage(&s);
    whist_log_set(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_known_site_gets_in),
        cmocka_unit_test(test_strangers_are_refused_in_words_before_any_handler),
        cmocka_unit_test(test_reload_takes_effect_on_open_connections),
        cmocka_unit_test(test_bodies_are_bounded),
        cmocka_unit_test(test_a_thousand_requests_on_one_connection),
        cmocka_unit_test(test_many_uploads_stay_under_the_ceiling),
        cmocka_unit_test(test_slow_peers_are_cut_off),
        cmocka_unit_test(test_a_body_that_does_not_come_is_given_up),
        cmocka_unit_test(test_start_survives_each_failing_allocation),
        cmocka_unit_test(test_connections_per_address_are_limited),
        cmocka_unit_test(test_port_in_use_says_so),
        cmocka_unit_test(test_stop_lets_a_request_end),
        cmocka_unit_test(test_stop_does_not_wait_for_ever),
        cmocka_unit_test(test_stop_past_its_grace),
        cmocka_unit_test(test_operations_listener_is_plain_and_local),
        cmocka_unit_test(test_tls12_is_refused_in_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
