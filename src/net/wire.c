/* net/wire.c: names, sockets, proxies, and OpenSSL on top, each failure with its way out. */
#include "net/wire.h"

#include "base/clock.h"
#include "net/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MS = 200 }; /* how soon an interruption is noticed */

/* ---- Waiting ---- */

static whist_status wait_until(const wh_wire *wire, int fd, short events, double end, const char *what)
{
    for (;;) {
        if (wire->stop && atomic_load_explicit(wire->stop, memory_order_relaxed))
            WH_FAIL(WHIST_E_CANCELLED, "%s: interrupted", wire->who);
        double left_ms = (end - wh_clock_seconds()) * 1000;
        if (left_ms <= 0)
            WH_FAIL(WHIST_E_TIMEOUT, "%s: no answer in time (%s): is the network slow, or does a firewall drop it?",
                    wire->who, what);
        struct pollfd one = {fd, events, 0};
        int n = poll(&one, 1, left_ms < SLICE_MS ? (int)left_ms + 1 : SLICE_MS);
        if (n > 0) return WHIST_OK;
        if (n < 0 && errno != EINTR) WH_FAIL(WHIST_E_IO, "%s: poll failed", wire->who);
    }
}

static whist_status wait_for(const wh_wire *wire, short events, const char *what)
{
    double end = wh_clock_seconds() + wire->stall_ms / 1000.0;
    if (wire->deadline > 0 && wire->deadline < end) end = wire->deadline;
    return wait_until(wire, wire->fd, events, end, what);
}

/* ---- Connecting ---- */

static whist_status connect_failed(const wh_wire *wire, int err, bool to_proxy)
{
    const char *role = to_proxy ? "the proxy " : "";
    char words[128];
    const char *text = strerror_r(err, words, sizeof words);
    if (err == ECONNREFUSED && to_proxy)
        WH_FAIL(WHIST_E_IO, "%s: connection refused by the proxy's machine: is the proxy address right?", wire->who);
    if (err == ECONNREFUSED)
        WH_FAIL(WHIST_E_IO, "%s: connection refused: is the %s running there, and is the port right?", wire->who,
                wire->role ? wire->role : "server");
    if (err == ENETUNREACH || err == EHOSTUNREACH)
        WH_FAIL(WHIST_E_IO,
                "%s: %sunreachable: check the network; where only a proxy leads outside, set `proxy: http://HOST:PORT`",
                wire->who, role);
    WH_FAIL(err == ETIMEDOUT ? WHIST_E_TIMEOUT : WHIST_E_IO, "%s: %scannot be reached: %s", wire->who, role, text);
}

static whist_status connect_one(wh_wire *wire, const struct addrinfo *info, double end, bool to_proxy)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0) return connect_failed(wire, errno, to_proxy);
    int err = connect(fd, info->ai_addr, info->ai_addrlen) == 0 ? 0 : errno;
    whist_status status = WHIST_OK;
    if (err == EINPROGRESS) {
        status = wait_until(wire, fd, POLLOUT, end, "connecting");
        socklen_t len = sizeof err;
        if (status == WHIST_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) err = errno;
    }
    if (status == WHIST_OK && err != 0) status = connect_failed(wire, err, to_proxy);
    if (status != WHIST_OK) {
        close(fd);
        return status;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    wire->fd = fd;
    return WHIST_OK;
}

/* Each address in turn; every one but the last may take half of the time that is left. */
static whist_status dial_tcp(wh_wire *wire, const wh_address *to, bool to_proxy)
{
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)to->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
    const struct addrinfo number = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    int err = getaddrinfo(to->host, port, &number, &list);
    if (err != 0) err = getaddrinfo(to->host, port, &hints, &list);
    if (err != 0)
        WH_FAIL(WHIST_E_IO, "%s: the name '%s' is not found (%s): check the spelling and the DNS of this machine",
                wire->who, to->host, gai_strerror(err));
    whist_status status = WHIST_E_IO;
    for (struct addrinfo *info = list; info && wire->fd < 0 && status != WHIST_E_CANCELLED; info = info->ai_next) {
        double now = wh_clock_seconds();
        double end = info->ai_next ? now + (wire->deadline - now) / 2 : wire->deadline;
        status = connect_one(wire, info, end, to_proxy);
    }
    freeaddrinfo(list);
    return status;
}

static whist_status proxy_answer(wh_wire *wire, wh_http_head *head)
{
    uint8_t bytes[WH_HTTP_HEAD_MAX];
    size_t len = 0, used = 0, got;
    while (used == 0) {
        whist_status status = wh_wire_read(wire, &got, bytes + len, sizeof bytes - len);
        if (status == WHIST_OK && got == 0)
            WH_FAIL(WHIST_E_IO, "%s: the proxy closed the connection without an answer", wire->who);
        WH_TRY(status);
        len += got;
        status = wh_http_head_parse(head, &used, (whist_bytes){bytes, len});
        if (status != WHIST_OK) return wh_fail_context(status, "%s: the proxy: ", wire->who);
    }
    return WHIST_OK;
}

/* RFC 9110, 9.3.6 */
static whist_status through_proxy(wh_wire *wire, const wh_address *address, const wh_address *proxy)
{
    char target[288], via[288], text[700];
    wh_address_text(target, address);
    wh_address_text(via, proxy);
    int len = snprintf(text, sizeof text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target);
    WH_TRY(wh_wire_write(wire, text, (size_t)len));
    wh_http_head head;
    WH_TRY(proxy_answer(wire, &head));
    if (head.code / 100 == 2) return WHIST_OK;
    const char *fix = "ask its owner to allow this destination and port";
    if (head.code == 407) fix = "it wants a user name and password, which is not supported; ask for an exception";
    if (head.code == 502 || head.code == 503 || head.code == 504) fix = "it cannot reach the destination itself";
    WH_FAIL(WHIST_E_IO, "%s: the proxy %s refused to connect (%d): %s", wire->who, via, head.code, fix);
}

whist_status wh_wire_dial(wh_wire *wire, const wh_address *address, const wh_address *proxy)
{
    whist_status status = dial_tcp(wire, proxy ? proxy : address, proxy != NULL);
    if (status == WHIST_OK && proxy) status = through_proxy(wire, address, proxy);
    if (status != WHIST_OK) wh_wire_close(wire);
    return status;
}

/* ---- OpenSSL over the socket ---- */

static int socket_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    ssize_t n = send(socket_of(bio), bytes, (size_t)len, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *to, int room)
{
    ssize_t n = recv(socket_of(bio), to, (size_t)room, 0);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *ptr)
{
    (void)number, (void)ptr;
    if (cmd == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH;
}

whist_status wh_wire_method(BIO_METHOD **out)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "whist socket");
    if (!method) WH_FAIL(WHIST_E_NOMEM, "no memory for a TLS connection");
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
    *out = method;
    return WHIST_OK;
}

/* What OpenSSL's last error means to the person who reads it. */
static whist_status tls_failed(wh_wire *wire, int kind, const char *doing)
{
    int err = errno;
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_REASON(error);
    char words[160];
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    if (kind == SSL_ERROR_SSL && (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION))
        WH_FAIL(WHIST_E_AUTH,
                "%s: no TLS 1.3 there: the server is too old, or something in between breaks TLS open (ask for an "
                "exception from inspection)",
                wire->who);
    if (kind == SSL_ERROR_SSL && reason == SSL_R_WRONG_VERSION_NUMBER)
        WH_FAIL(WHIST_E_FORMAT, "%s: does not speak TLS: is this the right port?", wire->who);
    bool ended = kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && err == 0) ||
                 (kind == SSL_ERROR_SSL && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    if (ended)
        WH_FAIL(WHIST_E_IO, "%s: the connection was closed while %s: is the server stopping, or a firewall in between?",
                wire->who, doing);
    if (kind == SSL_ERROR_SSL && reason > SSL_AD_REASON_OFFSET)
        WH_FAIL(WHIST_E_AUTH, "%s: the other side refused while %s: %s", wire->who, doing, text ? text : "TLS alert");
    if (!text) text = strerror_r(err, words, sizeof words);
    WH_FAIL(WHIST_E_IO, "%s: the connection broke while %s: %s", wire->who, doing, text);
}

/* Waits for what OpenSSL asked for, or says what went wrong. */
static whist_status tls_wait(wh_wire *wire, int result, const char *doing)
{
    int kind = SSL_get_error(wire->ssl, result);
    if (kind == SSL_ERROR_WANT_READ) return wait_for(wire, POLLIN, doing);
    if (kind == SSL_ERROR_WANT_WRITE) return wait_for(wire, POLLOUT, doing);
    return tls_failed(wire, kind, doing);
}

static SSL *new_session(const wh_wire *wire, SSL_CTX *ctx, BIO_METHOD *method, const char *host)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = ssl ? BIO_new(method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, (void *)(intptr_t)wire->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    char name[256]; /* a copy, because the macro takes its const away */
    snprintf(name, sizeof name, "%s", host ? host : "");
    if (host && SSL_set_tlsext_host_name(ssl, name) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

whist_status wh_wire_tls(wh_wire *wire, SSL_CTX *ctx, BIO_METHOD *method, const char *host, const whist_status *refused)
{
    ERR_clear_error();
    wire->ssl = new_session(wire, ctx, method, host);
    if (!wire->ssl) {
        ERR_clear_error();
        WH_FAIL(WHIST_E_NOMEM, "no memory for a TLS connection");
    }
    for (;;) {
        errno = 0;
        int result = SSL_connect(wire->ssl);
        if (result == 1) return WHIST_OK;
        if (*refused != WHIST_OK) {
            ERR_clear_error();
            return *refused;
        }
        WH_TRY(tls_wait(wire, result, "shaking hands"));
    }
}

/* ---- Bytes ---- */

static whist_status read_clear(wh_wire *wire, size_t *got, void *to, size_t room)
{
    for (;;) {
        ssize_t n = recv(wire->fd, to, room, 0);
        if (n >= 0) {
            *got = (size_t)n;
            return WHIST_OK;
        }
        if (errno != EAGAIN && errno != EINTR) WH_FAIL(WHIST_E_IO, "%s: the connection broke", wire->who);
        WH_TRY(wait_for(wire, POLLIN, "waiting for an answer"));
    }
}

whist_status wh_wire_read(wh_wire *wire, size_t *got, void *to, size_t room)
{
    if (!wire->ssl) return read_clear(wire, got, to, room);
    for (;;) {
        errno = 0;
        int n = SSL_read(wire->ssl, to, room > INT32_MAX ? INT32_MAX : (int)room);
        if (n > 0) {
            *got = (size_t)n;
            return WHIST_OK;
        }
        if (SSL_get_error(wire->ssl, n) == SSL_ERROR_ZERO_RETURN) {
            *got = 0;
            return WHIST_OK;
        }
        WH_TRY(tls_wait(wire, n, "waiting for an answer"));
    }
}

static whist_status write_some(wh_wire *wire, size_t *put, const void *bytes, size_t len)
{
    enum { PIECE = 1 << 20 };
    int part = len < PIECE ? (int)len : PIECE;
    for (;;) {
        errno = 0;
        ssize_t n = wire->ssl ? SSL_write(wire->ssl, bytes, part) : send(wire->fd, bytes, (size_t)part, MSG_NOSIGNAL);
        if (n > 0) {
            *put = (size_t)n;
            return WHIST_OK;
        }
        if (wire->ssl) {
            WH_TRY(tls_wait(wire, (int)n, "sending"));
        } else {
            if (errno != EAGAIN && errno != EINTR) WH_FAIL(WHIST_E_IO, "%s: the connection broke", wire->who);
            WH_TRY(wait_for(wire, POLLOUT, "sending"));
        }
    }
}

whist_status wh_wire_write(wh_wire *wire, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        size_t put;
        WH_TRY(write_some(wire, &put, at, len));
        at += put;
        len -= put;
    }
    return WHIST_OK;
}

void wh_wire_close(wh_wire *wire)
{
    if (wire->ssl) {
        if (SSL_is_init_finished(wire->ssl)) (void)SSL_shutdown(wire->ssl); /* says goodbye, does not wait */
        SSL_free(wire->ssl);
        ERR_clear_error();
    }
    if (wire->fd >= 0) close(wire->fd);
    wire->ssl = NULL;
    wire->fd = -1;
}
