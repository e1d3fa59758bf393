/* cli/cmd_kit.c: whist provision kit|open: the authority signs what a new site needs, the site checks and unpacks. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/kit.h"
#include "cli/pem.h"
#include "cli/runs.h"

#include <whist/run.h>

#include <stdlib.h>
#include <string.h>

static const char context[] = "whist/kit/1";

/* ---- kit ---- */

static int write_kit(const cli_args *args, const whist_study *study, const cli_authority *ca)
{
    const whist_bytes text = whist_study_text(study);
    const whist_fed_plan *plan = whist_study_plan(study);
    char pin[CLI_PIN], *kit = NULL;
    uint8_t signature[64];
    size_t len = 0;
    FILE *out = open_memstream(&kit, &len);
    if (!out) return cli_no_memory();
    fprintf(out, "whist-kit 1\ncoordinator %s\nkey %s\nstudy %zu\nca %zu\ncrl %zu\n\n", cli_text(args, "coordinator"),
            cli_pin(pin, plan->coordinator.pin), text.len, ca->certificate.len, ca->crl.len);
    fwrite(text.data, 1, text.len, out);
    fwrite(ca->certificate.data, 1, ca->certificate.len, out);
    fwrite(ca->crl.data, 1, ca->crl.len, out);
    fflush(out);
    whist_status status = whist_crypt_sign(signature, ca->key, context, (whist_bytes){(uint8_t *)kit, len});
    fputs("signature ", out);
    for (size_t i = 0; i < sizeof signature; i++) fprintf(out, "%02x", signature[i]);
    fputc('\n', out);
    int code = fclose(out) != 0 ? cli_no_memory() : status != WHIST_OK ? cli_fail(status) : CLI_OK;
    if (code == CLI_OK) code = cli_write(cli_text(args, "out"), kit, len, 0644, CLI_WRITE_NEW);
    free(kit);
    return code;
}

static int kit(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_AUTO(cli_authority_clear) cli_authority ca = {0};
    whist_crypt_peer authority;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    if (!whist_study_plan(study)->coordinator.pinned)
        return cli_fail_text(CLI_FAILED, "state", "%s names no keys: `whist provision study` puts them in",
                             args->words[0]);
    if (strlen(cli_text(args, "coordinator")) > 255)
        return cli_fail_text(CLI_USAGE, "usage", "--coordinator takes at most 255 letters");
    CLI_LIB(whist_coordinator_url_check(cli_text(args, "coordinator")));
    CLI_TRY(cli_authority_open(&ca, cli_text(args, "ca"), cli_text(args, "passphrase-file")));
    CLI_LIB(whist_crypt_cert_read(&authority, cli_view(&ca.certificate)));
    CLI_TRY(write_kit(args, study, &ca));
    char pin[CLI_PIN];
    cli_pin(pin, authority.pin);
    if (!cli_flag(args, "json")) {
        printf("%s is signed. Tell the sites the authority's pin by another way:\n%s\n", cli_text(args, "out"), pin);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "kit"), whist_json_text(json, cli_text(args, "out"));
    whist_json_key(json, "ca_pin"), whist_json_text(json, pin);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static const cli_option kit_options[] = {
    {"ca", 0, CLI_TEXT, "DIR", "Folder of the authority.", .required = true},
    {"coordinator", 0, CLI_TEXT, "URL", "Where sites connect to: https://host:port.", .required = true},
    {"out", 'o', CLI_TEXT, "FILE", "The kit.", .required = true},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Holds the passphrase of the authority's key."},
    {0},
};

/* ---- open ---- */

/* The authority is the one whose pin we were told, it signed the kit, and its parts agree with each other. */
static int check_kit(const cli_kit *kit, const char *path, const uint8_t pin[32])
{
    whist_crypt_peer authority;
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    whist_crypt_trust *trust;
    CLI_LIB(whist_crypt_cert_read(&authority, kit->ca));
    if (!authority.authority || memcmp(authority.pin, pin, 32) != 0)
        return cli_fail_text(CLI_REFUSED, "auth", "%s comes from another authority than the one you were told", path);
    CLI_LIB(whist_crypt_verify(kit->ca, context, kit->signed_part, kit->signature));
    CLI_LIB(whist_crypt_trust_new(&trust, kit->ca, kit->crl));
    whist_crypt_trust_free(trust);
    CLI_LIB(whist_study_parse(&study, kit->study, path));
    const whist_fed_plan *plan = whist_study_plan(study);
    if (!plan->coordinator.pinned || memcmp(plan->coordinator.pin, kit->key, 32) != 0)
        return cli_fail_text(CLI_REFUSED, "auth", "%s: kit and study name different coordinators", path);
    return CLI_OK;
}

static int unpack(const cli_kit *kit, const char *folder)
{
    const struct {
        const char *name;
        whist_bytes bytes;
    } files[] = {{"study.yaml", kit->study}, {CLI_CA_CERT, kit->ca}, {CLI_CA_CRL, kit->crl}};
    char path[CLI_PATH];
    CLI_TRY(cli_make_dirs(folder, 0700));
    for (size_t i = 0; i < 3; i++) {
        CLI_TRY(cli_path(path, "%s/%s", folder, files[i].name));
        if (cli_exists(path)) return cli_fail_text(CLI_FAILED, "state", "%s is there already and stays as it is", path);
    }
    for (size_t i = 0; i < 3; i++) {
        CLI_TRY(cli_path(path, "%s/%s", folder, files[i].name));
        CLI_TRY(cli_write(path, files[i].bytes.data, files[i].bytes.len, 0644, CLI_WRITE_NEW));
    }
    return CLI_OK;
}

static int open_kit(const cli_args *args)
{
    const char *path = args->words[0];
    CLI_AUTO(cli_blob_clear) cli_blob text = {0};
    uint8_t pin[32];
    cli_kit kit;
    if (!cli_pin_read(pin, cli_text(args, "ca-pin")))
        return cli_fail_text(CLI_USAGE, "usage", "--ca-pin takes sha256: and 64 digits");
    CLI_TRY(cli_read(&text, path, CLI_KIT_MAX));
    const char *wrong = cli_kit_read(&kit, cli_view(&text));
    if (wrong) return cli_fail_text(CLI_FAILED, "format", "%s: %s", path, wrong);
    CLI_TRY(check_kit(&kit, path, pin));
    CLI_TRY(unpack(&kit, cli_text(args, "out")));
    char key[CLI_PIN];
    cli_pin(key, kit.key);
    if (!cli_flag(args, "json")) {
        printf("%s holds study.yaml, ca.pem and crl.pem, signed by the authority.\ncoordinator  %s\nkey          %s\n",
               cli_text(args, "out"), kit.coordinator, key);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "folder"), whist_json_text(json, cli_text(args, "out"));
    whist_json_key(json, "coordinator"), whist_json_text(json, kit.coordinator);
    whist_json_key(json, "coordinator_key"), whist_json_text(json, key);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static const cli_option open_options[] = {
    {"ca-pin", 0, CLI_TEXT, "PIN", "Pin of the authority, told by another way than the kit.", .required = true},
    {"out", 'o', CLI_TEXT, "DIR", "Folder for study.yaml, ca.pem and crl.pem.", .required = true},
    {0},
};

const cli_command cli_kit_commands[] = {
    {"provision kit", "STUDY", "Pack and sign what a new site needs",
     "Study, authority, revocation list, address and "
     "pin of the coordinator, in one file signed with the authority's key. It holds no secret.",
     kit_options, 1, 1, kit},
    {"provision open", "KIT", "Check a start-up kit and unpack it", "", open_options, 1, 1, open_kit},
    {0},
};
