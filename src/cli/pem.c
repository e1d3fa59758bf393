/* cli/pem.c: what people want to know about a certificate, and the folder of an authority. */
#include "cli/pem.h"

#include "cli/hex.h"

#include <string.h>
#include <time.h>

/* ---- The authority's folder ---- */

int cli_key_open(whist_crypt_key **out, const char *path, const char *passphrase_file)
{
    CLI_AUTO(cli_passphrase_clear) char passphrase[1024] = "";
    CLI_TRY(cli_passphrase(passphrase, passphrase_file));
    CLI_LIB(whist_crypt_key_load(out, path, passphrase[0] ? passphrase : NULL));
    return CLI_OK;
}

static int open_files(cli_authority *a, const char *passphrase_file)
{
    char path[CLI_PATH];
    CLI_TRY(cli_path(path, "%s/%s", a->folder, CLI_CA_KEY));
    CLI_TRY(cli_key_open(&a->key, path, passphrase_file));
    CLI_TRY(cli_path(path, "%s/%s", a->folder, CLI_CA_CERT));
    CLI_TRY(cli_read(&a->certificate, path, CLI_FILE_MAX));
    CLI_TRY(cli_path(path, "%s/%s", a->folder, CLI_CA_CRL));
    return cli_exists(path) ? cli_read(&a->crl, path, CLI_FILE_MAX) : CLI_OK;
}

int cli_authority_open(cli_authority *out, const char *folder, const char *passphrase_file)
{
    *out = (cli_authority){0};
    CLI_TRY(cli_path(out->folder, "%s", folder));
    int code = open_files(out, passphrase_file);
    if (code != CLI_OK) cli_authority_clear(out);
    return code;
}

void cli_authority_clear(cli_authority *authority)
{
    whist_crypt_key_free(authority->key);
    cli_blob_clear(&authority->certificate);
    cli_blob_clear(&authority->crl);
    authority->key = NULL;
}

int cli_write_pem(const char *path, const char *text)
{
    CLI_AUTO(cli_blob_clear) cli_blob old = {0};
    if (cli_exists(path)) {
        CLI_TRY(cli_read(&old, path, CLI_FILE_MAX));
        if (strncmp(old.data, "-----BEGIN CERTIFICATE", 22) != 0)
            return cli_fail_text(CLI_FAILED, "state", "%s is there already and is no certificate: it stays", path);
    }
    return cli_write(path, text, strlen(text), 0644, CLI_WRITE_REPLACE);
}

/* ---- Showing ---- */

const char *cli_date(char out[16], int64_t unix_seconds)
{
    time_t when = (time_t)unix_seconds;
    struct tm utc;
    gmtime_r(&when, &utc);
    strftime(out, 16, "%Y-%m-%d", &utc);
    return out;
}

static const char *role_of(const whist_crypt_peer *peer)
{
    return peer->authority ? "authority" : whist_crypt_role_name(peer->role);
}

static void rights_text(char out[32], unsigned rights)
{
    snprintf(out, 32, "%s%s%s", rights & WHIST_CRYPT_MAY_READ ? "read " : "",
             rights & WHIST_CRYPT_MAY_START ? "start " : "", rights & WHIST_CRYPT_MAY_STOP ? "stop " : "");
    size_t len = strlen(out);
    if (len) out[len - 1] = 0;
}

void cli_peer_print(const whist_crypt_peer *peer)
{
    char pin[CLI_PIN], from[16], to[16], rights[32];
    int64_t days = whist_crypt_days_left(peer->not_after, 0);
    rights_text(rights, peer->rights);
    printf("name    %s\nrole    %s\n", peer->name, role_of(peer));
    if (rights[0]) printf("may     %s\n", rights);
    printf("pin     %s\nserial  %s\nvalid   %s to %s", cli_pin(pin, peer->pin), peer->serial,
           cli_date(from, peer->not_before), cli_date(to, peer->not_after));
    if (days < 0)
        printf(", over: it needs a renewal (`whist provision renew`)\n");
    else
        printf(", %lld days left%s\n", (long long)days, days < 30 ? ": renew it soon (`whist provision renew`)" : "");
}

void cli_peer_json(whist_json *json, const whist_crypt_peer *peer)
{
    char pin[CLI_PIN], date[16], rights[32];
    rights_text(rights, peer->rights);
    whist_json_key(json, "name"), whist_json_text(json, peer->name);
    whist_json_key(json, "role"), whist_json_text(json, role_of(peer));
    whist_json_key(json, "may"), whist_json_text(json, rights);
    whist_json_key(json, "pin"), whist_json_text(json, cli_pin(pin, peer->pin));
    whist_json_key(json, "serial"), whist_json_text(json, peer->serial);
    whist_json_key(json, "not_before"), whist_json_text(json, cli_date(date, peer->not_before));
    whist_json_key(json, "not_after"), whist_json_text(json, cli_date(date, peer->not_after));
    whist_json_key(json, "days_left"), whist_json_int(json, whist_crypt_days_left(peer->not_after, 0));
}

int cli_peer_show(const cli_args *args, const char *file, whist_bytes certificate)
{
    whist_crypt_peer peer;
    CLI_LIB(whist_crypt_cert_read(&peer, certificate));
    if (!cli_flag(args, "json")) {
        if (file) printf("file    %s\n", file);
        cli_peer_print(&peer);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    if (file) whist_json_key(json, "file"), whist_json_text(json, file);
    cli_peer_json(json, &peer);
    whist_json_end_object(json);
    return cli_json_print(json);
}

int cli_pin_of_file(uint8_t out[32], const char *path, const char *passphrase_file)
{
    CLI_AUTO(cli_blob_clear) cli_blob pem = {0};
    CLI_TRY(cli_read(&pem, path, CLI_FILE_MAX));
    bool is_key = strstr(pem.data, "PRIVATE KEY-----") != NULL;
    explicit_bzero(pem.data, is_key ? pem.len : 0);
    if (is_key) {
        CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
        CLI_TRY(cli_key_open(&key, path, passphrase_file));
        whist_crypt_key_pin(out, key);
        return CLI_OK;
    }
    if (strstr(pem.data, "CERTIFICATE REQUEST-----")) {
        whist_crypt_request request;
        whist_status status = whist_crypt_csr_read(&request, cli_view(&pem));
        if (status != WHIST_OK) return cli_fail_file(status, path);
        memcpy(out, request.pin, 32);
        return CLI_OK;
    }
    whist_crypt_peer peer;
    whist_status status = whist_crypt_cert_read(&peer, cli_view(&pem));
    if (status != WHIST_OK) return cli_fail_file(status, path);
    memcpy(out, peer.pin, 32);
    return CLI_OK;
}
