/* Fetching from a local HTTPS server: right, truncated, moved, endless and forged. */
#include "base/buf.h"
#include "base/file.h"
#include "net/fetch.h"
#include "net/net_testing.h"
#include "test.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <unistd.h>

/* Gives answers[0], answers[1], … on one connection each. */
typedef struct publisher {
    pthread_t thread;
    int listener;
    unsigned port;
    const wh_citizen *citizen;
    const char *const *answers;
    char seen[512];
} publisher;

static void serve_one(publisher *p, SSL_CTX *ctx, const char *answer)
{
    int fd = accept(p->listener, NULL, NULL);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    int n;
    if (SSL_accept(ssl) == 1 && (n = SSL_read(ssl, p->seen, sizeof p->seen - 1)) > 0) {
        p->seen[n] = 0;
        SSL_write(ssl, answer, (int)strlen(answer));
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(fd);
}

static void *publisher_main(void *arg)
{
    publisher *p = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *bio = BIO_new_mem_buf(p->citizen->cert, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, p->citizen->key->secret.data, 32);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    for (size_t i = 0; p->answers[i]; i++) serve_one(p, ctx, p->answers[i]);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(bio);
    SSL_CTX_free(ctx);
    return NULL;
}

static void publish(publisher *p, const wh_citizen *citizen, const char *const *answers)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof here;
    p->citizen = citizen;
    p->answers = answers;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&here, &len), 0);
    p->port = ntohs(here.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, publisher_main, p), 0);
}

typedef struct town {
    wh_town town;
    wh_citizen web;
    char *dir, *ca_file;
} town;

static void town_new(town *t)
{
    memset(t, 0, sizeof *t);
    assert_ok(wh_town_new(&t->town, "web"));
    assert_ok(wh_citizen_new(&t->web, &t->town, "publisher", WHIST_CRYPT_COORDINATOR, 1, 30));
    t->dir = test_dir("fetch");
    assert_ok(wh_path(&t->ca_file, t->dir, "ca.pem"));
    assert_ok(wh_file_write(t->ca_file, wh_text_bytes(t->town.ca), 0600));
}

static void town_end(town *t)
{
    assert_ok(wh_tree_remove(t->dir));
    wh_free(t->ca_file);
    test_dir_free(t->dir);
    wh_citizen_clear(&t->web);
    wh_town_clear(&t->town);
}

static whist_status keep(void *user, whist_bytes piece)
{
    return wh_buf_add(user, piece.data, piece.len);
}

/* Serves the answers and fetches once; the status, with what came in out. */
static whist_status fetch(wh_buf *out, publisher *p, const town *t, const char *ca_file, const char *const *answers)
{
    *p = (publisher){0};
    publish(p, &t->web, answers);
    wh_fetch_options options = WH_FETCH_OPTIONS_DEFAULT;
    options.ca_file = ca_file;
    options.max = 1000;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/data.csv?x=1", p->port);
    whist_status status = wh_fetch(keep, out, url, &options);
    pthread_join(p->thread, NULL);
    close(p->listener);
    return status;
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
#define ANSWERS(...)                                                                                                   \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static void test_a_file_comes_whole_or_not_at_all(void **state)
{
    (void)state;
    town t;
    town_new(&t);
    publisher p;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(fetch(&out, &p, &t, t.ca_file, ANSWERS(OK_HEAD "a,b,c")));
    assert_string_equal(wh_buf_str(&out), "a,b,c");
    assert_non_null(strstr(p.seen, "GET /data.csv?x=1 HTTP/1.1\r\n"));
    wh_buf_reset(&out);
    assert_ok(fetch(&out, &p, &t, t.ca_file,
                    ANSWERS("HTTP/1.1 302 Found\r\nLocation: /new.csv\r\nContent-Length: 0\r\n\r\n", OK_HEAD "moved")));
    assert_string_equal(wh_buf_str(&out), "moved");
    assert_non_null(strstr(p.seen, "GET /new.csv HTTP/1.1\r\n"));
    assert_int_equal(fetch(&out, &p, &t, t.ca_file, ANSWERS(OK_HEAD "a,b")), WHIST_E_IO);
    assert_int_equal(fetch(&out, &p, &t, t.ca_file, ANSWERS("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")),
                     WHIST_E_RANGE);
    town_end(&t);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    town t;
    town_new(&t);
    publisher p;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_int_equal(fetch(&out, &p, &t, NULL, ANSWERS(OK_HEAD "a,b,c")), WHIST_E_AUTH); /* not of the web */
    assert_non_null(strstr(whist_detail_get()->text, "certificate is not accepted"));
    assert_int_equal(fetch(&out, &p, &t, t.ca_file, ANSWERS("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")),
                     WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "404"));
    const char *away = "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(fetch(&out, &p, &t, t.ca_file, ANSWERS(away)), WHIST_E_IO); /* not in the clear */
    const char *again = "HTTP/1.1 307 Again\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(fetch(&out, &p, &t, t.ca_file, ANSWERS(again, again, again, again, again, again)), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "redirections"));
    wh_fetch_options options = WH_FETCH_OPTIONS_DEFAULT;
    assert_int_equal(wh_fetch(keep, &out, "http://127.0.0.1/x", &options), WHIST_E_ARG);
    assert_int_equal(wh_fetch(keep, &out, "https://127.0.0.1/a b", &options), WHIST_E_ARG);
    assert_int_equal(out.len, 0);
    town_end(&t);
}

/* The right authority for another name. */
static void test_the_host_name_counts(void **state)
{
    (void)state;
    town t;
    town_new(&t);
    publisher p = {0};
    publish(&p, &t.web, ANSWERS(OK_HEAD "a,b,c"));
    wh_fetch_options options = WH_FETCH_OPTIONS_DEFAULT;
    options.ca_file = t.ca_file;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.2:%u/", p.port); /* nobody listens there */
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_int_equal(wh_fetch(keep, &out, url, &options), WHIST_E_IO);
    snprintf(url, sizeof url, "https://[::ffff:127.0.0.1]:%u/", p.port); /* the same place, not in the certificate */
    assert_int_equal(wh_fetch(keep, &out, url, &options), WHIST_E_AUTH);
    assert_non_null(strstr(whist_detail_get()->text, "IP address mismatch"));
    pthread_join(p.thread, NULL);
    close(p.listener);
    town_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_comes_whole_or_not_at_all),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_the_host_name_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
