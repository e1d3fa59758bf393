/* run/fetch_test.c: downloads from an HTTPS server of our own that gives right and wrong bytes. */
#include "run/run_test.h"

#include "crypt/keyfile.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static const char content[] = "this is what the publisher put there, really";

/* ---- The server: one connection after the other, one answer each, by the folder in the path. */

typedef struct publisher {
    wh_town town;
    wh_citizen host;
    SSL_CTX *tls;
    int listener;
    unsigned port;
    pthread_t thread;
    atomic_int served;
} publisher;

static const char filler[100000];

static void answer(publisher *p, SSL *ssl, const char *path)
{
    char head[512];
    const char *body = content;
    size_t len = strlen(content), said = len;
    const char *status = "200 OK", *more = "";
    if (strncmp(path, "/wrong/", 7) == 0) body = "This is what the publisher put there, really";
    if (strncmp(path, "/short/", 7) == 0) len = 10;
    if (strncmp(path, "/few/", 5) == 0) len = said = 10;
    if (strncmp(path, "/missing/", 9) == 0) status = "404 Not Found";
    if (strncmp(path, "/plain/", 7) == 0) status = "302 Found", more = "Location: http://127.0.0.1/a.bin\r\n", said = 0;
    if (strncmp(path, "/moved/", 7) == 0) status = "302 Found", more = "Location: /good/a.bin\r\n", len = said = 0;
    if (strncmp(path, "/long/", 6) == 0) said = len + 100000;
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                     said, more);
    SSL_write(ssl, head, n);
    if (len) SSL_write(ssl, body, (int)len);
    if (strncmp(path, "/long/", 6) == 0) SSL_write(ssl, filler, sizeof filler);
    atomic_fetch_add(&p->served, 1);
}

static void *serve(void *user)
{
    publisher *p = user;
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0) return NULL;
        SSL *ssl = SSL_new(p->tls);
        char request[4096] = {0}, path[256] = {0};
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof request - 1) > 0 &&
            sscanf(request, "GET %255s", path) == 1)
            answer(p, ssl, path);
        SSL_shutdown(ssl);
        SSL_free(ssl);
        close(fd);
    }
}

static void load_identity(publisher *p)
{
    WH_AUTO(wh_buf) key = WH_BUF_EMPTY;
    assert_ok(wh_key_to_pem(&key, p->host.key, NULL));
    BIO *key_bio = BIO_new_mem_buf(key.data, (int)key.len), *cert_bio = BIO_new_mem_buf(p->host.cert, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    p->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(p->tls, TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_use_certificate(p->tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->tls, pkey), 1);
    X509_free(cert);
    EVP_PKEY_free(pkey);
    BIO_free(key_bio);
    BIO_free(cert_bio);
}

static void open_shop(publisher *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_ok(wh_town_new(&p->town, "publisher"));
    assert_ok(wh_citizen_new(&p->host, &p->town, "server", WHIST_CRYPT_COORDINATOR, 1, 30));
    load_identity(p);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->listener, 16), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&address, &len), 0);
    p->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void close_shop(publisher *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    SSL_CTX_free(p->tls);
    wh_citizen_clear(&p->host);
    wh_town_clear(&p->town);
}

/* ---- */

typedef struct fixture {
    publisher p;
    char *dir, *folder, *ca;
    char sha[65];
    whist_data_file files[2];
    whist_data_set set;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.dir = test_dir("fetch")};
    setenv("no_proxy", "*", 1); /* whatever the machine is told for other hosts */
    open_shop(&f.p);
    f.ca = test_file(f.dir, "ca.pem", f.p.town.ca, 0644);
    assert_ok(wh_path(&f.folder, f.dir, "data"));
    wh_digest digest;
    wh_sha256_of(&digest, content, strlen(content));
    wh_digest_hex(f.sha, &digest);
    f.files[0] = (whist_data_file){"a.bin", {"https://publisher.invalid/a.bin"}, f.sha, strlen(content)};
    f.set = (whist_data_set){.name = "test", .files = f.files};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    close_shop(&f->p);
    free(f->ca);
    wh_free(f->folder);
    assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

static whist_status fetch(fixture *f, const char *from)
{
    char mirror[128];
    snprintf(mirror, sizeof mirror, "https://127.0.0.1:%u/%s", f->p.port, from);
    return whist_data_fetch(&f->set, f->folder, mirror, f->ca, NULL, NULL);
}

static bool there(fixture *f, const char *name)
{
    char *path = NULL;
    assert_ok(wh_path(&path, f->folder, "%s", name));
    bool exists = wh_file_exists(path);
    wh_free(path);
    return exists;
}

static void right_bytes_are_kept(void **state)
{
    fixture *f = *state;
    assert_ok(fetch(f, "good"));
    assert_ok(whist_data_verify(&f->set, f->folder));
    assert_false(there(f, "a.bin.part"));
    assert_int_equal(f->p.served, 1);
    assert_ok(fetch(f, "good/")); /* is there already: nobody is asked */
    assert_int_equal(f->p.served, 1);
    free(test_file(f->folder, "a.bin", "something else", 0644));
    assert_ok(fetch(f, "moved"));
    assert_ok(whist_data_verify(&f->set, f->folder));
    assert_int_equal(f->p.served, 3);
}

static void refused(fixture *f, const char *from, whist_status status, const char *words)
{
    assert_int_equal(fetch(f, from), status);
    assert_says(words);
    assert_false(there(f, "a.bin"));
    assert_false(there(f, "a.bin.part"));
}

static void other_bytes_are_not(void **state)
{
    fixture *f = *state;
    refused(f, "wrong", WHIST_E_FORMAT, f->sha);
    refused(f, "short", WHIST_E_IO, "broke off in the middle");
    refused(f, "few", WHIST_E_IO, "ended after 10 of 44 bytes");
    refused(f, "long", WHIST_E_FORMAT, "longer than the 44 bytes");
    refused(f, "missing", WHIST_E_IO, "answered 404");
    refused(f, "plain", WHIST_E_IO, "https");
}

static void a_wrong_file_stays_until_the_right_one_is_there(void **state)
{
    fixture *f = *state;
    assert_ok(wh_make_dirs(f->folder));
    free(test_file(f->folder, "a.bin", "something else", 0644));
    assert_int_equal(fetch(f, "wrong"), WHIST_E_FORMAT);
    assert_true(there(f, "a.bin"));
}

static void servers_are_verified(void **state)
{
    fixture *f = *state;
    wh_town other = {0};
    assert_ok(wh_town_new(&other, "elsewhere"));
    free(f->ca);
    f->ca = test_file(f->dir, "ca.pem", other.ca, 0644);
    refused(f, "good", WHIST_E_AUTH, "certificate is not accepted");
    free(f->ca);
    f->ca = NULL; /* the system's authorities do not know it either */
    refused(f, "good", WHIST_E_AUTH, "certificate is not accepted");
    wh_town_clear(&other);
    char mirror[64];
    snprintf(mirror, sizeof mirror, "http://127.0.0.1:%u/good", f->p.port);
    assert_int_equal(whist_data_fetch(&f->set, f->folder, mirror, NULL, NULL, NULL), WHIST_E_ARG);
}

static void nobody_there(void **state)
{
    fixture *f = *state;
    assert_int_equal(whist_data_fetch(&f->set, f->folder, "https://127.0.0.1:1/x", NULL, NULL, NULL), WHIST_E_IO);
    assert_says("without a network");
}

static bool no_more(void *user, const whist_progress *progress)
{
    (void)user;
    assert_string_equal(progress->task, "fetch");
    return false;
}

static void progress_can_stop_it(void **state)
{
    fixture *f = *state;
    char mirror[128];
    snprintf(mirror, sizeof mirror, "https://127.0.0.1:%u/good", f->p.port);
    assert_int_equal(whist_data_fetch(&f->set, f->folder, mirror, f->ca, no_more, NULL), WHIST_E_CANCELLED);
    assert_false(there(f, "a.bin"));
}

static void the_next_address_is_tried(void **state)
{
    fixture *f = *state;
    char first[128], second[128];
    snprintf(first, sizeof first, "https://127.0.0.1:%u/wrong/a.bin", f->p.port);
    snprintf(second, sizeof second, "https://127.0.0.1:%u/good/a.bin", f->p.port);
    f->files[0].urls[0] = first;
    f->files[0].urls[1] = second;
    assert_ok(whist_data_fetch(&f->set, f->folder, NULL, f->ca, NULL, NULL));
    assert_int_equal(f->p.served, 2);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* clients that have heard enough hang up on our server */
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(right_bytes_are_kept),      ROW(other_bytes_are_not), ROW(a_wrong_file_stays_until_the_right_one_is_there),
        ROW(servers_are_verified),      ROW(nobody_there),        ROW(progress_can_stop_it),
        ROW(the_next_address_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
