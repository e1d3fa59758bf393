/* The client against servers that are wrong in one way each, and through proxies. */
#include "base/clock.h"
#include "net/client.h"
#include "net/net_testing.h"
#include "net/server.h"
#include "test.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG_MS = 120000 }; /* what answers at all does so in this time on any machine */

typedef struct stage {
    wh_town town;
    wh_citizen coordinator, site;
    wh_server *server;
    char address[32];
} stage;

static whist_status hello(void *user, const wh_request *request, wh_response *response)
{
    (void)user, (void)request;
    response->code = 200;
    return wh_buf_text(&response->body, "hello");
}

static void start_server(stage *s)
{
    wh_identity identity = wh_identity_of(&s->town, &s->coordinator);
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.identity = &identity;
    options.handler = hello;
    if (s->address[0]) options.address = s->address;
    assert_ok(wh_server_start(&s->server, &options));
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", wh_server_port(s->server));
}

static void raise_stage(stage *s)
{
    memset(s, 0, sizeof *s);
    assert_ok(wh_town_new(&s->town, "town"));
    assert_ok(wh_citizen_new(&s->coordinator, &s->town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30));
    assert_ok(wh_citizen_new(&s->site, &s->town, "site-1", WHIST_CRYPT_SITE, 1, 30));
}

static void strike_stage(stage *s)
{
    wh_server_stop(s->server, 1000);
    wh_citizen_clear(&s->coordinator);
    wh_citizen_clear(&s->site);
    wh_town_clear(&s->town);
}

static wh_client *client_to(const stage *s, const char *address, const char *proxy)
{
    wh_identity identity = wh_identity_of(&s->town, &s->site);
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = address;
    options.proxy = proxy;
    options.identity = &identity;
    options.server_pin = s->coordinator.pin;
    options.connect_ms = LONG_MS;
    options.stall_ms = LONG_MS;
    wh_client *client;
    assert_ok(wh_client_new(&client, &options));
    return client;
}

/* One that soon gives up. */
static wh_client *hasty_client_to(const stage *s, const char *address)
{
    wh_identity identity = wh_identity_of(&s->town, &s->site);
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = address;
    options.identity = &identity;
    options.server_pin = s->coordinator.pin;
    options.connect_ms = 3000;
    options.stall_ms = 300;
    wh_client *client;
    assert_ok(wh_client_new(&client, &options));
    return client;
}

static void expect_failure(wh_client *client, whist_status wanted, const char *words)
{
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    whist_status status = wh_client_call(client, &response, "GET", "/v1/x", (whist_bytes){0});
    if (status != wanted || !strstr(whist_detail_get()->text, words))
        fail_msg("%s: '%s' lacks '%s'", whist_status_name(status), whist_detail_get()->text, words);
    assert_int_equal(response.code, 0);
    wh_client_free(client);
}

static void expect_hello(wh_client *client)
{
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_ok(wh_client_call(client, &response, "GET", "/v1/x", (whist_bytes){0}));
    assert_int_equal(response.code, 200);
    assert_string_equal(wh_buf_str(&response.body), "hello");
}

/* A listening socket on 127.0.0.1; fills "127.0.0.1:PORT". */
static int listen_here(char address[32])
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    snprintf(address, 32, "127.0.0.1:%u", ntohs(here.sin_port));
    return fd;
}

/* ---- A server of one connection that is wrong on purpose ---- */

typedef struct odd_server {
    pthread_t thread;
    int listener;
    char address[32];
    const wh_citizen *citizen; /* NULL: no TLS, only `answer` */
    int max_version;
    const char *answer;
} odd_server;

static void await_close(int fd)
{
    char in[4096];
    while (recv(fd, in, sizeof in, 0) > 0) continue;
}

static void odd_tls(const odd_server *odd, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(ctx, odd->max_version);
    BIO *bio = BIO_new_mem_buf(odd->citizen->cert, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, odd->citizen->key->secret.data, 32);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    char in[4096];
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, in, sizeof in) > 0 && odd->answer) {
        SSL_write(ssl, odd->answer, (int)strlen(odd->answer));
        SSL_shutdown(ssl);
    } else {
        await_close(fd);
    }
    SSL_free(ssl);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(bio);
    SSL_CTX_free(ctx);
}

static void *odd_main(void *arg)
{
    odd_server *odd = arg;
    int fd = accept(odd->listener, NULL, NULL);
    char in[4096];
    if (odd->citizen)
        odd_tls(odd, fd);
    else if (odd->answer && recv(fd, in, sizeof in, 0) > 0)
        send(fd, odd->answer, strlen(odd->answer), MSG_NOSIGNAL);
    await_close(fd); /* without an answer: in silence */
    close(fd);
    return NULL;
}

static void odd_start(odd_server *odd)
{
    odd->listener = listen_here(odd->address);
    assert_int_equal(pthread_create(&odd->thread, NULL, odd_main, odd), 0);
}

static void odd_end(odd_server *odd)
{
    pthread_join(odd->thread, NULL);
    close(odd->listener);
}

static void against_odd(const stage *s, const wh_citizen *citizen, int max_version, const char *answer,
                        whist_status wanted, const char *words)
{
    odd_server odd = {.citizen = citizen, .max_version = max_version, .answer = answer};
    odd_start(&odd);
    expect_failure(client_to(s, odd.address, NULL), wanted, words);
    odd_end(&odd);
}

static void test_wrong_servers_are_refused_with_the_reason(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    wh_town twin = {0};
    wh_citizen fake = {0}, expired = {0}, early = {0}, other = {0};
    assert_ok(wh_town_new(&twin, "town"));
    assert_ok(wh_citizen_new(&fake, &twin, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30));
    assert_ok(wh_citizen_new(&expired, &s.town, "coordinator", WHIST_CRYPT_COORDINATOR, 20, 10));
    assert_ok(wh_citizen_new(&early, &s.town, "coordinator", WHIST_CRYPT_COORDINATOR, -3, 10));
    assert_ok(wh_citizen_new(&other, &s.town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 10));
    against_odd(&s, &fake, 0, NULL, WHIST_E_AUTH, "another authority of the same name");
    against_odd(&s, &expired, 0, NULL, WHIST_E_AUTH, "coordinator' expired on");
    against_odd(&s, &early, 0, NULL, WHIST_E_AUTH, "clock");
    against_odd(&s, &s.site, 0, NULL, WHIST_E_AUTH, "client certificate, used as server");
    against_odd(&s, &other, 0, NULL, WHIST_E_AUTH, "not the pinned key");
    against_odd(&s, &s.coordinator, TLS1_2_VERSION, NULL, WHIST_E_AUTH, "no TLS 1.3");
    against_odd(&s, NULL, 0, "HTTP/1.1 400 Bad Request\r\n\r\n", WHIST_E_FORMAT, "does not speak TLS");
    odd_server silent = {0};
    odd_start(&silent);
    expect_failure(hasty_client_to(&s, silent.address), WHIST_E_TIMEOUT, "no answer in time");
    odd_end(&silent);
    wh_citizen_clear(&fake);
    wh_citizen_clear(&expired);
    wh_citizen_clear(&early);
    wh_citizen_clear(&other);
    wh_town_clear(&twin);
    strike_stage(&s);
}

static void test_odd_answers_are_refused(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    against_odd(&s, &s.coordinator, 0, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", WHIST_E_FORMAT,
                "more than the allowed");
    against_odd(&s, &s.coordinator, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", WHIST_E_IO, "broke off");
    against_odd(&s, &s.coordinator, 0, "SSH-2.0-OpenSSH_9.2\r\n\r\n", WHIST_E_FORMAT, "not HTTP/1.1");
    against_odd(&s, &s.coordinator, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
                WHIST_E_FORMAT, "longer than the allowed");
    odd_server odd = {.citizen = &s.coordinator,
                      .answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n"};
    odd_start(&odd);
    wh_client *client = client_to(&s, odd.address, NULL);
    expect_hello(client);
    wh_client_free(client);
    odd_end(&odd);
    strike_stage(&s);
}

static void test_places_that_do_not_answer(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    char address[32];
    close(listen_here(address)); /* a port that was free a moment ago */
    expect_failure(client_to(&s, address, NULL), WHIST_E_IO, "is the coordinator running there");
    expect_failure(client_to(&s, "no-such-host.invalid:8443", NULL), WHIST_E_IO, "'no-such-host.invalid' is not found");
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://%s", address);
    expect_failure(client_to(&s, "127.0.0.1:1", proxy), WHIST_E_IO, "by the proxy's machine");
    wh_client *client;
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    wh_identity identity = wh_identity_of(&s.town, &s.site);
    options.identity = &identity;
    options.server_pin = s.coordinator.pin;
    options.address = "[::]:8443";
    assert_int_equal(wh_client_new(&client, &options), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "not a place to connect to"));
    identity.key = s.coordinator.key;
    options.address = "127.0.0.1:8443";
    assert_int_equal(wh_client_new(&client, &options), WHIST_E_AUTH);
    assert_non_null(strstr(whist_detail_get()->text, "not for our key"));
    strike_stage(&s);
}

/* ---- A small CONNECT proxy ---- */

typedef struct proxy {
    pthread_t thread;
    int listener;
    char address[32], url[64];
    const char *refusal; /* NULL: connects */
    char seen[128];
    atomic_ulong relayed;
} proxy;

static void relay(proxy *p, int a, int b)
{
    struct pollfd both[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    char bytes[4096];
    while (poll(both, 2, LONG_MS) > 0)
        for (int i = 0; i < 2; i++) {
            if (!both[i].revents) continue;
            ssize_t n = recv(both[i].fd, bytes, sizeof bytes, 0);
            if (n <= 0 || send(both[1 - i].fd, bytes, (size_t)n, MSG_NOSIGNAL) != n) return;
            atomic_fetch_add(&p->relayed, (unsigned long)n);
        }
}

static int connect_to_port(const char *request)
{
    unsigned port = 0;
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sscanf(request, "CONNECT 127.0.0.1:%u HTTP/1.1\r\n", &port) != 1) return -1;
    to.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

static void *proxy_main(void *arg)
{
    proxy *p = arg;
    int fd = accept(p->listener, NULL, NULL), up = -1;
    char request[1024] = "";
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    if (n > 0) snprintf(p->seen, sizeof p->seen, "%.100s", request);
    if (!p->refusal) up = connect_to_port(request);
    const char *answer = up >= 0 ? "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n" : p->refusal;
    if (answer) send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    if (up >= 0) {
        relay(p, fd, up);
        close(up);
    }
    close(fd);
    return NULL;
}

static void proxy_start(proxy *p)
{
    p->listener = listen_here(p->address);
    snprintf(p->url, sizeof p->url, "http://%s/", p->address);
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_main, p), 0);
}

static void proxy_end(proxy *p)
{
    pthread_join(p->thread, NULL);
    close(p->listener);
}

static void test_through_a_proxy(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    start_server(&s);
    proxy p = {0};
    proxy_start(&p);
    wh_client *client = client_to(&s, s.address, p.url);
    expect_hello(client);
    expect_hello(client);
    wh_client_free(client);
    proxy_end(&p);
    assert_non_null(strstr(p.seen, s.address));
    assert_true(atomic_load(&p.relayed) > 1000);
    strike_stage(&s);
}

static void through_refusing_proxy(const stage *s, const char *refusal, const char *words)
{
    proxy p = {.refusal = refusal};
    proxy_start(&p);
    expect_failure(client_to(s, "127.0.0.1:9", p.url), WHIST_E_IO, words);
    proxy_end(&p);
}

static void test_proxies_that_refuse(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    through_refusing_proxy(&s, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused to connect (403)");
    through_refusing_proxy(&s, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user name and password");
    through_refusing_proxy(&s, "HTTP/1.0 502 Bad Gateway\r\n\r\n", "cannot reach the destination");
    through_refusing_proxy(&s, "", "without an answer");
    strike_stage(&s);
}

static void test_a_restarted_server_is_met_again(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    start_server(&s);
    wh_client *client = client_to(&s, s.address, NULL);
    expect_hello(client);
    wh_server_stop(s.server, 1000);
    start_server(&s);
    expect_hello(client); /* the old connection is dead, which is no failure */
    wh_client_free(client);
    strike_stage(&s);
}

static void *interrupt_soon(void *arg)
{
    usleep(200000);
    wh_client_interrupt(arg);
    return NULL;
}

static void test_a_call_can_be_interrupted(void **state)
{
    (void)state;
    stage s;
    raise_stage(&s);
    char address[32];
    int silent = listen_here(address);
    wh_client *client = client_to(&s, address, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, client), 0);
    double begin = wh_clock_seconds();
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    assert_int_equal(wh_client_call(client, &response, "GET", "/v1/x", (whist_bytes){0}), WHIST_E_CANCELLED);
    assert_true(wh_clock_seconds() - begin < LONG_MS / 2000.0);
    pthread_join(thread, NULL);
    wh_client_free(client);
    close(silent);
    strike_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_servers_are_refused_with_the_reason),
        cmocka_unit_test(test_odd_answers_are_refused),
        cmocka_unit_test(test_places_that_do_not_answer),
        cmocka_unit_test(test_through_a_proxy),
        cmocka_unit_test(test_proxies_that_refuse),
        cmocka_unit_test(test_a_restarted_server_is_met_again),
        cmocka_unit_test(test_a_call_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
