/* run/identity_files.c: files become a wh_identity. */
#include "run/identity_files.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/address.h"

#include <whist/run.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PEM = 64 * 1024, MAX_PASSPHRASE = 1024, WARN_DAYS = 30 };

static bool named(const char *path)
{
    return path && path[0];
}

static int64_t stamp_of(const char *path)
{
    struct stat st;
    if (!named(path) || stat(path, &st) != 0) return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 + st.st_size;
}

int64_t wh_identity_stamp(const whist_identity_files *files)
{
    return stamp_of(files->ca) + stamp_of(files->certificate) + stamp_of(files->key) + stamp_of(files->crl);
}

whist_status wh_identity_passphrase(wh_buf *out, const whist_identity_files *files)
{
    if (!named(files->passphrase_file)) return WHIST_OK;
    WH_TRY(wh_file_read(out, files->passphrase_file, MAX_PASSPHRASE));
    while (out->len && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r')) out->data[--out->len] = 0;
    return WHIST_OK;
}

whist_status wh_identity_key(whist_crypt_key **out, const whist_identity_files *files)
{
    WH_AUTO(wh_buf) passphrase = WH_BUF_EMPTY;
    WH_TRY(wh_identity_passphrase(&passphrase, files));
    return whist_crypt_key_load(out, files->key, named(files->passphrase_file) ? wh_buf_str(&passphrase) : NULL);
}

static void warn_of_expiry(const whist_identity_files *files, whist_bytes certificate)
{
    whist_crypt_peer peer;
    if (whist_crypt_cert_read(&peer, certificate) != WHIST_OK) return;
    int64_t days = whist_crypt_days_left(peer.not_after, 0);
    if (days < 0)
        wh_log(WHIST_LOG_ERROR, "certificate.expired", "%s ended %lld days ago: renew it with `whist provision renew`",
               files->certificate, (long long)-days);
    else if (days < WARN_DAYS)
        wh_log(WHIST_LOG_WARNING, "certificate.expires", "%s ends in %lld days: renew it with `whist provision renew`",
               files->certificate, (long long)days);
}

static whist_status load(wh_identity_loaded *out, const whist_identity_files *files)
{
    if (!named(files->ca) || !named(files->certificate) || !named(files->key))
        WH_FAIL(WHIST_E_ARG, "ca, certificate and key must name PEM files (made by `whist provision`)");
    out->stamp = wh_identity_stamp(files);
    WH_TRY(wh_file_read(&out->ca, files->ca, MAX_PEM));
    WH_TRY(wh_file_read(&out->certificate, files->certificate, MAX_PEM));
    if (named(files->crl)) WH_TRY(wh_file_read(&out->crl, files->crl, MAX_PEM));
    WH_TRY(wh_identity_key(&out->key, files));
    warn_of_expiry(files, wh_buf_view(&out->certificate));
    out->identity = (wh_identity){
        .key = out->key,
        .cert_pem = wh_buf_view(&out->certificate),
        .ca_pem = wh_buf_view(&out->ca),
        .crl_pem = wh_buf_view(&out->crl),
    };
    return WHIST_OK;
}

whist_status wh_identity_load(wh_identity_loaded *out, const whist_identity_files *files)
{
    wh_identity_loaded loaded = {.certificate = WH_BUF_EMPTY};
    whist_status status = load(&loaded, files);
    if (status == WHIST_OK)
        *out = loaded;
    else
        wh_identity_clear(&loaded);
    return status;
}

void wh_identity_clear(wh_identity_loaded *loaded)
{
    whist_crypt_key_free(loaded->key);
    wh_buf_clear(&loaded->certificate);
    wh_buf_clear(&loaded->ca);
    wh_buf_clear(&loaded->crl);
    *loaded = (wh_identity_loaded){.certificate = WH_BUF_EMPTY};
}

whist_status whist_coordinator_url_check(const char *url)
{
    char text[WH_COORDINATOR_ADDRESS];
    wh_address address;
    WH_TRY(wh_coordinator_address(text, url));
    return wh_address_parse_peer(&address, text);
}

whist_status wh_coordinator_address(char out[WH_COORDINATOR_ADDRESS], const char *url)
{
    static const char scheme[] = "https://";
    if (!url || strncmp(url, scheme, strlen(scheme)) != 0 || strlen(url) - strlen(scheme) >= WH_COORDINATOR_ADDRESS)
        WH_FAIL(WHIST_E_ARG, "the coordinator must be given as https://host:port, not '%.300s'", url ? url : "");
    snprintf(out, WH_COORDINATOR_ADDRESS, "%s", url + strlen(scheme));
    size_t len = strlen(out);
    if (len && out[len - 1] == '/') out[len - 1] = 0;
    return WHIST_OK;
}
