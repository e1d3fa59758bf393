/* cli/cmd_authority.c: what the authority of a federation does: begin, sign, revoke, and put pins into a study. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/pem.h"
#include "cli/runs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- ca ---- */

enum { CRL_DAYS = 180 };

/* The key last among what can fail and first on disk: whoever has the certificate has the key. */
static int write_authority(const char *folder, const whist_crypt_key *key, const char *passphrase,
                           const char *certificate, const char *crl)
{
    char path[CLI_PATH];
    CLI_TRY(cli_make_dirs(folder, 0700));
    CLI_TRY(cli_path(path, "%s/%s", folder, CLI_CA_KEY));
    CLI_LIB(whist_crypt_key_save(key, path, passphrase[0] ? passphrase : NULL));
    CLI_TRY(cli_path(path, "%s/%s", folder, CLI_CA_CERT));
    CLI_TRY(cli_write(path, certificate, strlen(certificate), 0644, CLI_WRITE_NEW));
    CLI_TRY(cli_path(path, "%s/%s", folder, CLI_CA_CRL));
    return cli_write(path, crl, strlen(crl), 0644, CLI_WRITE_NEW);
}

int cli_authority_make(const char *folder, const char *name, unsigned days, const char *passphrase_file)
{
    const whist_bytes none = {0};
    CLI_AUTO(cli_passphrase_clear) char passphrase[1024] = "";
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(cli_crypt_text_end) char *certificate = NULL;
    CLI_AUTO(cli_crypt_text_end) char *crl = NULL;
    CLI_TRY(cli_passphrase(passphrase, passphrase_file));
    CLI_LIB(whist_crypt_key_new(&key));
    CLI_WORD(whist_crypt_ca_new(&certificate, key, name, days, 0));
    const whist_bytes pem = {(const uint8_t *)certificate, strlen(certificate)};
    CLI_LIB(whist_crypt_crl_new(&crl, key, pem, none, none, days < CRL_DAYS ? days : CRL_DAYS, 0));
    return write_authority(folder, key, passphrase, certificate, crl);
}

static int ca(const cli_args *args)
{
    const char *folder = cli_text(args, "out"), *name = cli_text(args, "name");
    char path[CLI_PATH];
    CLI_AUTO(cli_blob_clear) cli_blob pem = {0};
    CLI_TRY(cli_authority_make(folder, name ? name : "authority", (unsigned)cli_count(args, "days", 3650),
                               cli_text(args, "passphrase-file")));
    CLI_TRY(cli_path(path, "%s/%s", folder, CLI_CA_CERT));
    CLI_TRY(cli_read(&pem, path, CLI_FILE_MAX));
    return cli_peer_show(args, path, cli_view(&pem));
}

static const cli_option ca_options[] = {
    {"out", 'o', CLI_TEXT, "DIR", "Folder for the authority; keep it offline.", .required = true},
    {"name", 0, CLI_TEXT, "NAME", "Name of the authority (authority)."},
    {"days", 0, CLI_COUNT, "N", "Days that it holds (3650).", .min = 1, .max = 36500},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Encrypt the key with the first line of FILE."},
    {0},
};

/* ---- sign ---- */

static int check_pin(const cli_args *args, const whist_crypt_request *request)
{
    const char *wanted = cli_text(args, "pin");
    uint8_t pin[32];
    char text[CLI_PIN];
    if (!wanted) return CLI_OK;
    if (!cli_pin_read(pin, wanted))
        return cli_fail_text(CLI_USAGE, "usage", "--pin takes sha256: and 64 digits, not '%s'", wanted);
    if (memcmp(pin, request->pin, 32) == 0) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "auth", "the request is for the key %s, not for the one you were told",
                         cli_pin(text, request->pin));
}

static int grant_of(whist_crypt_grant *grant, const cli_args *args, const char *hosts[WHIST_CRYPT_HOSTS_MAX])
{
    const char *may = cli_text(args, "may"), *host;
    CLI_WORD(whist_crypt_role_parse(&grant->role, cli_text(args, "role")));
    if (grant->role == WHIST_CRYPT_OPERATOR)
        CLI_WORD(whist_crypt_rights_parse(&grant->rights, may ? may : "read"));
    else if (may)
        return cli_fail_text(CLI_USAGE, "usage", "--may is for operators");
    grant->days = (unsigned)cli_count(args, "days", 365);
    grant->name = cli_text(args, "name");
    while (grant->n_hosts < WHIST_CRYPT_HOSTS_MAX && (host = cli_list(args, "host", grant->n_hosts)))
        hosts[grant->n_hosts++] = host;
    if (grant->n_hosts) grant->hosts = hosts;
    return CLI_OK;
}

/* Shows what is asked, also with --quiet: whoever named neither the pin nor --yes must answer. */
static int confirm(const cli_args *args, const whist_crypt_request *request, const char *role)
{
    char text[CLI_PIN], answer[16] = "";
    bool asks = !cli_flag(args, "yes") && !cli_flag(args, "pin");
    if (asks || !cli_flag(args, "quiet")) {
        fprintf(stderr, "asked for: %s, pin %s%s", request->name, cli_pin(text, request->pin),
                request->n_hosts ? ", called" : "");
        for (size_t i = 0; i < request->n_hosts; i++) fprintf(stderr, " %s", request->hosts[i]);
        fprintf(stderr, "; you make it a %s\n", role);
    }
    if (!asks) return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_fail_text(CLI_USAGE, "usage",
                             "nobody is there to confirm: compare the pin with the one that %s told you and give it "
                             "with --pin, or add --yes",
                             request->name);
    fprintf(stderr, "Is this the pin that %s told you? Type yes: ", request->name);
    if (fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "cancelled", "not signed");
}

static int sign(const cli_args *args)
{
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    const char *hosts[WHIST_CRYPT_HOSTS_MAX], *path = cli_text(args, "out");
    whist_crypt_request request;
    CLI_AUTO(cli_authority_clear) cli_authority ca = {0};
    CLI_AUTO(cli_blob_clear) cli_blob csr = {0};
    CLI_AUTO(cli_crypt_text_end) char *certificate = NULL;
    CLI_TRY(cli_read(&csr, args->words[0], CLI_FILE_MAX));
    CLI_LIB(whist_crypt_csr_read(&request, cli_view(&csr)));
    CLI_TRY(grant_of(&grant, args, hosts));
    CLI_TRY(check_pin(args, &request));
    CLI_TRY(confirm(args, &request, whist_crypt_role_name(grant.role)));
    CLI_TRY(cli_authority_open(&ca, cli_text(args, "ca"), cli_text(args, "passphrase-file")));
    CLI_LIB(whist_crypt_csr_sign(&certificate, ca.key, cli_view(&ca.certificate), cli_view(&csr), &grant));
    CLI_TRY(cli_write_pem(path, certificate));
    return cli_peer_show(args, path, (whist_bytes){(const uint8_t *)certificate, strlen(certificate)});
}

#define CA_OPTION                                                                                                      \
    {                                                                                                                  \
        "ca", 0, CLI_TEXT, "DIR", "Folder of the authority.", .required = true                                         \
    }
#define CA_PASSPHRASE                                                                                                  \
    {                                                                                                                  \
        "passphrase-file", 0, CLI_TEXT, "FILE", "Holds the passphrase of the authority's key."                         \
    }

static const cli_option sign_options[] = {
    CA_OPTION,
    {"role", 'r', CLI_TEXT, "ROLE", "What the participant is: site, coordinator, operator or party.", .required = true},
    {"out", 'o', CLI_TEXT, "FILE", "The certificate.", .required = true},
    {"may", 0, CLI_TEXT, "RIGHTS", "What an operator may do: read, start, stop, with commas between (read)."},
    {"days", 0, CLI_COUNT, "N", "Days that the certificate holds (365).", .min = 1, .max = 3650},
    {"name", 0, CLI_TEXT, "NAME", "Refuse a request under another name."},
    {"pin", 0, CLI_TEXT, "PIN", "Refuse a request for another key: the pin that the participant told you."},
    {"host", 0, CLI_LIST, "NAME", "Instead of the names and addresses that the request asks for."},
    {"yes", 'y', CLI_FLAG, NULL, "Do not ask."},
    CA_PASSPHRASE,
    {0},
};

/* ---- revoke, crl ---- */

static int next_list(const cli_args *args, whist_bytes revoke)
{
    CLI_AUTO(cli_authority_clear) cli_authority ca = {0};
    CLI_AUTO(cli_crypt_text_end) char *crl = NULL;
    char path[CLI_PATH];
    unsigned days = (unsigned)cli_count(args, "days", CRL_DAYS);
    CLI_TRY(cli_authority_open(&ca, cli_text(args, "ca"), cli_text(args, "passphrase-file")));
    CLI_LIB(whist_crypt_crl_new(&crl, ca.key, cli_view(&ca.certificate), cli_view(&ca.crl), revoke, days, 0));
    CLI_TRY(cli_path(path, "%s/%s", ca.folder, CLI_CA_CRL));
    CLI_TRY(cli_write(path, crl, strlen(crl), 0644, CLI_WRITE_REPLACE));
    if (!cli_flag(args, "json")) {
        printf("%s is good for %u days. Copy it to the coordinator and to every site; it counts without a restart.\n",
               path, days);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "crl"), whist_json_text(json, path);
    whist_json_key(json, "days"), whist_json_uint(json, days);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int revoke_one(const cli_args *args)
{
    CLI_AUTO(cli_blob_clear) cli_blob certificate = {0};
    CLI_TRY(cli_read(&certificate, args->words[0], CLI_FILE_MAX));
    return next_list(args, cli_view(&certificate));
}

static int refresh(const cli_args *args)
{
    return next_list(args, (whist_bytes){0});
}

static const cli_option crl_options[] = {
    CA_OPTION,
    {"days", 0, CLI_COUNT, "N", "Days until the list must be replaced (180).", .min = 1, .max = 3650},
    CA_PASSPHRASE,
    {0},
};

/* ---- study ---- */

static int read_pin(uint8_t out[32], const char *path, whist_crypt_role role)
{
    CLI_AUTO(cli_blob_clear) cli_blob pem = {0};
    whist_crypt_peer peer;
    CLI_TRY(cli_read(&pem, path, CLI_FILE_MAX));
    CLI_LIB(whist_crypt_cert_read(&peer, cli_view(&pem)));
    if (peer.authority || peer.role != role)
        return cli_fail_text(CLI_REFUSED, "auth", "%s is the certificate of %s %s, not of a %s", path,
                             peer.authority ? "an authority," : whist_crypt_role_name(peer.role), peer.name,
                             whist_crypt_role_name(role));
    memcpy(out, peer.pin, 32);
    return CLI_OK;
}

/* NAME=CERTIFICATE for every actor of a list, each once. */
static int read_pins(uint8_t (*pins)[32], const cli_args *args, const char *option, const whist_fed_site *actors,
                     size_t n, whist_crypt_role role)
{
    const char *text;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(actors[i].name), found = 0;
        for (size_t k = 0; (text = cli_list(args, option, k)); k++) {
            if (strncmp(text, actors[i].name, len) != 0 || text[len] != '=') continue;
            CLI_TRY(read_pin(pins[i], text + len + 1, role));
            found++;
        }
        if (found != 1)
            return cli_fail_text(CLI_USAGE, "usage", "--%s %s=CERTIFICATE is %s", option, actors[i].name,
                                 found ? "there twice" : "missing");
    }
    if (cli_list(args, option, n))
        return cli_fail_text(CLI_USAGE, "usage", "--%s is given %s than the study has", option, "more often");
    return CLI_OK;
}

static int write_study(const cli_args *args, const whist_study *study, uint8_t (*pins)[32])
{
    const whist_fed_plan *plan = whist_study_plan(study);
    uint8_t coordinator[32];
    char *text;
    CLI_TRY(read_pin(coordinator, cli_text(args, "coordinator"), WHIST_CRYPT_COORDINATOR));
    CLI_TRY(read_pins(pins, args, "site", plan->sites, plan->n_sites, WHIST_CRYPT_SITE));
    CLI_TRY(read_pins(pins + plan->n_sites, args, "party", plan->parties, plan->n_parties, WHIST_CRYPT_PARTY));
    CLI_LIB(whist_study_with_pins(&text, study, coordinator, (const uint8_t(*)[32])pins,
                                  (const uint8_t(*)[32])(pins + plan->n_sites)));
    const char *path = cli_text(args, "out");
    int code = cli_write(path, text, strlen(text), 0644, CLI_WRITE_NEW);
    whist_text_free(text);
    return code;
}

static int print_written(const cli_args *args)
{
    const char *path = cli_text(args, "out");
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    char digest[CLI_HEX];
    CLI_LIB(whist_study_load(&study, path));
    cli_hex(digest, whist_study_digest(study));
    if (!cli_flag(args, "json")) {
        printf("%s names the keys of all participants; its own name is\n%s\n", path, digest);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, path);
    whist_json_key(json, "digest"), whist_json_text(json, digest);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int study(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    const whist_fed_plan *plan = whist_study_plan(study);
    uint8_t(*pins)[32] = calloc(plan->n_sites + plan->n_parties, sizeof *pins);
    int code = pins ? write_study(args, study, pins) : cli_no_memory();
    free(pins);
    return code == CLI_OK ? print_written(args) : code;
}

static const cli_option study_options[] = {
    {"coordinator", 0, CLI_TEXT, "CERTIFICATE", "The coordinator's certificate.", .required = true},
    {"site", 0, CLI_LIST, "NAME=CERTIFICATE", "The certificate of a site; once for each site of the study."},
    {"party", 0, CLI_LIST, "NAME=CERTIFICATE", "The certificate of a third party."},
    {"out", 'o', CLI_TEXT, "FILE", "The study that partners then approve.", .required = true},
    {0},
};

const cli_command cli_authority_commands[] = {
    {"provision ca", "", "Begin an authority: key, certificate, revocation list", "", ca_options, 0, 0, ca},
    {"provision sign", "REQUEST", "Sign a participant's request",
     "Shows what is asked. Compare the pin with the one that the participant told you by another way, or give it "
     "with --pin. Without a terminal it needs --pin or --yes.",
     sign_options, 1, 1, sign},
    {"provision revoke", "CERTIFICATE", "Put a certificate on the revocation list", "", crl_options, 1, 1, revoke_one},
    {"provision crl", "", "Refresh the revocation list before it ends", "", crl_options, 0, 0, refresh},
    {"provision study", "STUDY", "Put the keys of all participants into a study", "", study_options, 1, 1, study},
    {0},
};
