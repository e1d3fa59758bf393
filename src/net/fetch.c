/* net/fetch.c: one GET for each address on the way, each on a connection of its own. */
#include "net/fetch.h"

#include "base/buf.h"
#include "base/clock.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

enum { REDIRECTS_MAX = 5, URL_MAX = 1024 };

typedef struct target {
    wh_address address;
    char host[288]; /* for the Host line */
    char path[URL_MAX];
} target;

static whist_status parse_url(target *out, const char *url)
{
    const char *scheme = "https://";
    if (strncmp(url, scheme, strlen(scheme)) != 0 || strlen(url) >= URL_MAX)
        WH_FAIL(WHIST_E_ARG, "'%.100s' is no address that can be fetched: it must begin with https://", url);
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            WH_FAIL(WHIST_E_ARG, "the address to fetch from has a character that must be escaped");
    const char *host = url + strlen(scheme), *slash = strchr(host, '/');
    size_t len = slash ? (size_t)(slash - host) : strlen(host);
    char place[300];
    bool has_port = memchr(host, ':', len) != NULL && host[len - 1] != ']';
    int n = snprintf(place, sizeof place, "%.*s%s", (int)len, host, has_port ? "" : ":443");
    if (n < 0 || (size_t)n >= sizeof place) WH_FAIL(WHIST_E_ARG, "the address to fetch from has too long a host name");
    WH_TRY(wh_address_parse_peer(&out->address, place));
    wh_address_text(out->host, &out->address);
    snprintf(out->path, sizeof out->path, "%s", slash ? slash : "/");
    return WHIST_OK;
}

/* ---- One connection ---- */

typedef struct visit {
    wh_wire wire;
    wh_answer answer;
    SSL_CTX *tls;
    BIO_METHOD *method;
    char who[300];
} visit;

static void visit_free(visit *v)
{
    if (!v) return;
    wh_wire_close(&v->wire);
    SSL_CTX_free(v->tls);
    BIO_meth_free(v->method);
    wh_free(v);
}
WH_AUTO_FREE(visit, visit_free)

static whist_status trust_the_web(visit *v, const target *to, const char *ca_file)
{
    WH_TRY(wh_wire_method(&v->method));
    v->tls = SSL_CTX_new(TLS_client_method());
    if (!v->tls || SSL_CTX_set_min_proto_version(v->tls, TLS1_2_VERSION) != 1) {
        ERR_clear_error();
        WH_FAIL(WHIST_E_NOMEM, "no memory for TLS");
    }
    int loaded = ca_file ? SSL_CTX_load_verify_file(v->tls, ca_file) : SSL_CTX_set_default_verify_paths(v->tls);
    ERR_clear_error();
    if (loaded != 1)
        WH_FAIL(WHIST_E_IO, "cannot read the trusted authorities (%s)", ca_file ? ca_file : "install ca-certificates");
    SSL_CTX_set_verify(v->tls, SSL_VERIFY_PEER, NULL);
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(v->tls);
    bool number = wh_address_is_number(&to->address);
    int named = number ? X509_VERIFY_PARAM_set1_ip_asc(param, to->address.host)
                       : X509_VERIFY_PARAM_set1_host(param, to->address.host, 0);
    if (named != 1) WH_FAIL(WHIST_E_NOMEM, "no memory for TLS");
    return WHIST_OK;
}

static whist_status shake_hands(visit *v, const target *to)
{
    const whist_status none = WHIST_OK;
    const char *name = wh_address_is_number(&to->address) ? NULL : to->address.host;
    whist_status status = wh_wire_tls(&v->wire, v->tls, v->method, name, &none);
    long verdict = status != WHIST_OK && v->wire.ssl ? SSL_get_verify_result(v->wire.ssl) : X509_V_OK;
    if (verdict != X509_V_OK)
        WH_FAIL(WHIST_E_AUTH, "%s: the server's certificate is not accepted: %s", v->who,
                X509_verify_cert_error_string(verdict));
    return status;
}

static whist_status ask(visit *v, wh_http_head *head, const target *to, const wh_fetch_options *options)
{
    wh_address proxy;
    bool by_proxy = options->proxy && *options->proxy;
    if (by_proxy) WH_TRY(wh_address_parse_proxy(&proxy, options->proxy));
    WH_TRY(trust_the_web(v, to, options->ca_file));
    snprintf(v->who, sizeof v->who, "%s", to->host);
    v->wire.stall_ms = options->stall_ms;
    v->wire.stop = options->stop;
    v->wire.who = v->who;
    v->wire.deadline = wh_clock_seconds() + options->connect_ms / 1000.0;
    WH_TRY(wh_wire_dial(&v->wire, &to->address, by_proxy ? &proxy : NULL));
    WH_TRY(shake_hands(v, to));
    v->wire.deadline = 0;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&text,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: whist/" WH_VERSION
                       "\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n",
                       to->path, to->address.port == 443 ? to->address.host : to->host));
    WH_TRY(wh_wire_write(&v->wire, text.data, text.len));
    v->answer.wire = &v->wire;
    return wh_answer_head(&v->answer, head);
}

/* *next is filled where the answer sends us elsewhere, and empty when the body went to the sink. */
static whist_status fetch_one(char next[URL_MAX], wh_sink_fn *sink, void *user, const target *to,
                              const wh_fetch_options *options)
{
    WH_AUTO(visit_ptr) v = NULL;
    WH_TRY(WH_NEW(&v, 1));
    v->wire = (wh_wire)WH_WIRE_CLOSED;
    wh_http_head head;
    WH_TRY(ask(v, &head, to, options));
    next[0] = 0;
    if (head.code == 200) return wh_answer_body(&v->answer, &head, options->max, sink, user);
    bool moved = head.code == 301 || head.code == 302 || head.code == 303 || head.code == 307 || head.code == 308;
    if (!moved || !head.location[0])
        WH_FAIL(WHIST_E_IO, "%s answered %d for %.200s: has the file moved?", v->who, head.code, to->path);
    bool same_host = head.location[0] == '/' && head.location[1] != '/';
    int n = snprintf(next, URL_MAX, "%s%s%s", same_host ? "https://" : "", same_host ? to->host : "", head.location);
    if (n < 0 || n >= URL_MAX) WH_FAIL(WHIST_E_IO, "%s redirects to an address that is too long", v->who);
    return WHIST_OK;
}

whist_status wh_fetch(wh_sink_fn *sink, void *user, const char *url, const wh_fetch_options *options)
{
    WH_ENSURE(sink && url && options && options->connect_ms && options->stall_ms, WHIST_E_ARG);
    target to = {0};
    char next[URL_MAX];
    WH_TRY(parse_url(&to, url));
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        WH_TRY(fetch_one(next, sink, user, &to, options));
        if (!next[0]) return WHIST_OK;
        whist_status status = parse_url(&to, next);
        if (status != WHIST_OK) return wh_fail_context(WHIST_E_IO, "redirected: ");
    }
    WH_FAIL(WHIST_E_IO, "%.100s: more than %d redirections", url, REDIRECTS_MAX);
}
