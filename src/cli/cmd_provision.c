/* cli/cmd_provision.c: what a participant does with its own identity: request, renew, pin, check. The private key
 * is made here and stays here. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/pem.h"

#include <string.h>

/* ---- request ---- */

static int hosts_of(const char *hosts[WHIST_CRYPT_HOSTS_MAX], size_t *n, const cli_args *args)
{
    const char *host;
    for (*n = 0; (host = cli_list(args, "host", *n)) != NULL; (*n)++) {
        if (*n == WHIST_CRYPT_HOSTS_MAX)
            return cli_fail_text(CLI_USAGE, "usage", "--host may be given %d times", WHIST_CRYPT_HOSTS_MAX);
        hosts[*n] = host;
    }
    return CLI_OK;
}

static int show_request(const cli_args *args, const char *path, const char *name, const uint8_t pin[32])
{
    char text[CLI_PIN];
    if (!cli_flag(args, "json")) {
        printf(
            "request  %s\nname     %s\npin      %s\nSend the request to the authority, and tell it the pin by another "
            "way. The key stays here.\n",
            path, name, cli_pin(text, pin));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "request"), whist_json_text(json, path);
    whist_json_key(json, "name"), whist_json_text(json, name);
    whist_json_key(json, "pin"), whist_json_text(json, cli_pin(text, pin));
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int make_request(char **csr, const cli_args *args, const whist_crypt_key *key, const char *name)
{
    const char *hosts[WHIST_CRYPT_HOSTS_MAX];
    size_t n_hosts;
    CLI_TRY(hosts_of(hosts, &n_hosts, args));
    CLI_WORD(whist_crypt_csr_new(csr, key, name, hosts, n_hosts));
    return CLI_OK;
}

static int write_request(const cli_args *args, const char *csr, const whist_crypt_key *key, const char *name,
                         const char *path)
{
    uint8_t pin[32];
    CLI_TRY(cli_write_pem(path, csr));
    whist_crypt_key_pin(pin, key);
    return show_request(args, path, name, pin);
}

static int check_role(const cli_args *args)
{
    whist_crypt_role role;
    CLI_WORD(whist_crypt_role_parse(&role, cli_text(args, "role")));
    bool server = role == WHIST_CRYPT_COORDINATOR || role == WHIST_CRYPT_PARTY;
    if (server == cli_flag(args, "host")) return CLI_OK;
    return cli_fail_text(CLI_USAGE, "usage",
                         server ? "a %s is called by others: give its names and addresses with --host"
                                : "a %s only calls others: leave --host out",
                         whist_crypt_role_name(role));
}

static int request(const cli_args *args)
{
    const char *name = args->words[0], *folder = cli_text(args, "out");
    char key_path[CLI_PATH], csr_path[CLI_PATH];
    CLI_AUTO(cli_passphrase_clear) char passphrase[1024] = "";
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(cli_crypt_text_end) char *csr = NULL;
    CLI_TRY(check_role(args));
    CLI_TRY(cli_passphrase(passphrase, cli_text(args, "passphrase-file")));
    CLI_LIB(whist_crypt_key_new(&key));
    CLI_TRY(make_request(&csr, args, key, name));
    CLI_TRY(cli_make_dirs(folder, 0700));
    CLI_TRY(cli_path(key_path, "%s/key.pem", folder));
    CLI_TRY(cli_path(csr_path, "%s/request.pem", folder));
    CLI_LIB(whist_crypt_key_save(key, key_path, passphrase[0] ? passphrase : NULL));
    return write_request(args, csr, key, name, csr_path);
}

static const cli_option request_options[] = {
    {"role", 'r', CLI_TEXT, "ROLE", "site, coordinator, operator or party.", .required = true},
    {"out", 'o', CLI_TEXT, "DIR", "Folder for key.pem and request.pem; a key that is there stays.", .required = true},
    {"host", 0, CLI_LIST, "NAME", "DNS name or address that a coordinator or party is called by."},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Encrypt the key with the first line of FILE."},
    {0},
};

/* ---- renew ---- */

static int renew(const cli_args *args)
{
    CLI_AUTO(cli_blob_clear) cli_blob old = {0};
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(cli_crypt_text_end) char *csr = NULL;
    whist_crypt_peer peer;
    uint8_t pin[32];
    CLI_TRY(cli_read(&old, args->words[0], CLI_FILE_MAX));
    CLI_LIB(whist_crypt_cert_read(&peer, cli_view(&old)));
    CLI_TRY(cli_key_open(&key, cli_text(args, "key"), cli_text(args, "passphrase-file")));
    whist_crypt_key_pin(pin, key);
    if (memcmp(pin, peer.pin, 32) != 0)
        return cli_fail_text(CLI_REFUSED, "auth", "%s is not the key of %s", cli_text(args, "key"), args->words[0]);
    CLI_TRY(make_request(&csr, args, key, peer.name));
    return write_request(args, csr, key, peer.name, cli_text(args, "out"));
}

static const cli_option renew_options[] = {
    {"key", 'k', CLI_TEXT, "KEY", "The key of the certificate.", .required = true},
    {"out", 'o', CLI_TEXT, "FILE", "The new request.", .required = true},
    {"host", 0, CLI_LIST, "NAME", "DNS name or address that a coordinator or party is called by."},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Holds the passphrase of the key."},
    {0},
};

/* ---- pin and check ---- */

static int pin(const cli_args *args)
{
    uint8_t bytes[32];
    char text[CLI_PIN];
    CLI_TRY(cli_pin_of_file(bytes, args->words[0], cli_text(args, "passphrase-file")));
    if (!cli_flag(args, "json")) {
        puts(cli_pin(text, bytes));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "pin"), whist_json_text(json, cli_pin(text, bytes));
    whist_json_end_object(json);
    return cli_json_print(json);
}

static const cli_option pin_options[] = {
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Holds the passphrase of an encrypted key."},
    {0},
};

static int check(const cli_args *args)
{
    CLI_AUTO(cli_blob_clear) cli_blob pem = {0};
    whist_crypt_peer peer;
    CLI_TRY(cli_read(&pem, args->words[0], CLI_FILE_MAX));
    CLI_LIB(whist_crypt_cert_read(&peer, cli_view(&pem)));
    CLI_TRY(cli_peer_show(args, args->words[0], cli_view(&pem)));
    int64_t days = whist_crypt_days_left(peer.not_after, 0), wanted = (int64_t)cli_count(args, "days", 0);
    if (days >= wanted) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "auth", "%s: %s (run `whist provision renew`)", args->words[0],
                         days < 0 ? "the certificate has expired" : "fewer days are left than wanted");
}

static const cli_option check_options[] = {
    {"days", 0, CLI_COUNT, "N", "Fail when fewer than N days are left: for a daily job.", .max = 36500},
    {0},
};

const cli_command cli_provision_commands[] = {
    {"provision request", "NAME", "Make a key and a request for a certificate, where the key will live",
     "The request goes to the authority (`whist provision sign`), the key goes nowhere.", request_options, 1, 1,
     request},
    {"provision renew", "CERTIFICATE", "Make a new request with the old key: the pin stays",
     "The authority signs it as it signed the first; put the new certificate in place of the old. Running programs "
     "read it without a restart.",
     renew_options, 1, 1, renew},
    {"provision pin", "FILE", "Print the pin of a certificate, request or key", "", pin_options, 1, 1, pin},
    {"provision check", "CERTIFICATE", "Show a certificate and the days that are left", "", check_options, 1, 1, check},
    {0},
};
