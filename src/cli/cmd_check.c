/* cli/cmd_check.c: whist site check: everything that can go wrong on the day, looked at before: one line each, with
 * the fix. All are tried, whatever the ones before say. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/pem.h"
#include "cli/site.h"

#include <netdb.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>

typedef struct report {
    cli_site *site;
    cli_table *table;
    whist_json *json;
    unsigned failed;
} report;

static void tell(report *r, const char *name, bool ok, const char *format, ...) WHIST_PRINTF(4, 5);
static void tell(report *r, const char *name, bool ok, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_table_add(r->table, ok ? "ok" : "FAIL");
    cli_table_add(r->table, "%s", name);
    cli_table_add(r->table, "%s", text);
    whist_json_begin_object(r->json);
    whist_json_key(r->json, "name"), whist_json_text(r->json, name);
    whist_json_key(r->json, "ok"), whist_json_bool(r->json, ok);
    whist_json_key(r->json, "text"), whist_json_text(r->json, text);
    whist_json_end_object(r->json);
    r->failed += !ok;
}

/* Tells a failure in the library's words; true where there was none. */
static bool good(report *r, const char *name, whist_status status)
{
    if (status == WHIST_OK) return true;
    const whist_detail *detail = whist_detail_get();
    tell(r, name, false, "%s", detail->code == status && detail->text[0] ? detail->text : whist_status_name(status));
    return false;
}

static void check_policy(report *r)
{
    if (good(r, "policy", cli_site_policy(r->site))) tell(r, "policy", true, "the study keeps this site's rules");
}

static whist_status check_pem(whist_crypt_peer *peer, int64_t *crl_ends, const cli_blob *ca, const cli_blob *crl,
                              const cli_blob *certificate)
{
    whist_crypt_trust *trust;
    whist_status status = whist_crypt_trust_new(&trust, cli_view(ca), cli_view(crl));
    if (status != WHIST_OK) return status;
    status = whist_crypt_trust_check(peer, trust, cli_view(certificate), WHIST_CRYPT_AS_CLIENT, 0);
    *crl_ends = whist_crypt_trust_crl_ends(trust);
    whist_crypt_trust_free(trust);
    return status;
}

static void compare_pins(report *r, const whist_crypt_peer *peer)
{
    const cli_site *s = r->site;
    const whist_fed_plan *plan = s->run.plan;
    const whist_fed_site *self = s->party ? &plan->parties[s->index] : &plan->sites[s->index];
    uint8_t key[32];
    int64_t days = whist_crypt_days_left(peer->not_after, 0);
    if (cli_pin_of_file(key, s->config.key, s->config.passphrase_file) != CLI_OK)
        tell(r, "certificate", false, "the key %s cannot be used (see above)", s->config.key);
    else if (memcmp(key, peer->pin, 32) != 0)
        tell(r, "certificate", false, "%s is not the key of %s", s->config.key, s->config.certificate);
    else if (!self->pinned)
        tell(r, "certificate", false, "the study names no key for %s: `whist provision study` puts it in", self->name);
    else if (memcmp(self->pin, peer->pin, 32) != 0)
        tell(r, "certificate", false, "the study names another key for %s than the one of %s", self->name,
             s->config.certificate);
    else
        tell(r, "certificate", true, "%s, the study's key, %lld days left%s", peer->name, (long long)days,
             days < 30 ? ": renew it soon (`whist provision renew`)" : "");
}

/* An old revocation list lets nobody in. */
static void tell_list(report *r, int64_t ends)
{
    int64_t days = whist_crypt_days_left(ends, 0);
    if (ends == 0)
        tell(r, "revocation", true, "not checked: the configuration names no crl");
    else
        tell(r, "revocation", true, "the list is good for %lld more days%s", (long long)days,
             days < 14 ? ": ask the authority for a new one (`whist provision crl`)" : "");
}

static void check_certificate(report *r)
{
    const whist_site_config *config = &r->site->config;
    CLI_AUTO(cli_blob_clear) cli_blob ca = {0};
    CLI_AUTO(cli_blob_clear) cli_blob crl = {0};
    CLI_AUTO(cli_blob_clear) cli_blob certificate = {0};
    whist_crypt_peer peer;
    int64_t crl_ends = 0;
    if (cli_read(&ca, config->ca, CLI_FILE_MAX) != CLI_OK ||
        (config->crl[0] && cli_read(&crl, config->crl, CLI_FILE_MAX) != CLI_OK) ||
        cli_read(&certificate, config->certificate, CLI_FILE_MAX) != CLI_OK)
        tell(r, "certificate", false, "a file of the configuration cannot be read (see above)");
    else if (good(r, "certificate", check_pem(&peer, &crl_ends, &ca, &crl, &certificate)))
        compare_pins(r, &peer), tell_list(r, crl_ends);
}

static void check_approval(report *r)
{
    char person[128];
    bool approved;
    if (!good(r, "approval", whist_site_approval(&r->site->run, person, &approved))) return;
    if (approved)
        tell(r, "approval", true, "by %s", person);
    else
        tell(r, "approval", false, "nobody here approved the study: `whist site approve` does that");
}

static void check_data(report *r)
{
    if (r->site->party || !good(r, "data", cli_site_open_data(r->site))) return;
    tell(r, "data", true, "%zu rows to train, %zu to test, %zu features",
         whist_dataset_rows(r->site->data, WHIST_FOLD_TRAIN).n, whist_dataset_rows(r->site->data, WHIST_FOLD_TEST).n,
         whist_dataset_features(r->site->data));
}

/* Four copies of the model: received, learner's, protected and waiting to be sent. */
static void check_disk(report *r)
{
    const char *folder = r->site->config.state;
    struct statvfs info;
    double wanted = 4.0 * 8 * (double)whist_model_size(r->site->run.plan->model) + 64e6;
    if (cli_make_dirs(folder, 0700) != CLI_OK || statvfs(folder, &info) != 0) {
        tell(r, "disk", false, "%s cannot be used: make it, and let this user write there", folder);
        return;
    }
    double free_bytes = (double)info.f_bavail * (double)info.f_frsize;
    tell(r, "disk", free_bytes >= wanted, "%.1f GB free in %s, %.1f GB wanted%s", free_bytes / 1e9, folder,
         wanted / 1e9, free_bytes >= wanted ? "" : ": free some or move `state`");
}

/* The host that a connection goes to first: the proxy's, else the coordinator's. */
static void first_host(char out[256], const cli_site *s)
{
    const char *url = s->config.proxy[0] ? s->config.proxy : s->run.coordinator;
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    bool v6 = *host == '[';
    snprintf(out, 256, "%.*s", (int)strcspn(host + v6, v6 ? "]" : ":/"), host + v6);
}

static void check_name(report *r)
{
    char host[256];
    struct addrinfo *found = NULL;
    first_host(host, r->site);
    int code = getaddrinfo(host, NULL, NULL, &found);
    if (code == 0) freeaddrinfo(found);
    if (code == 0)
        tell(r, "name", true, "%s is known", host);
    else
        tell(r, "name", false, "%s: %s: look at DNS and at the configuration", host, gai_strerror(code));
}

static void check_connection(report *r)
{
    enum { MAX_SKEW_MS = 300000 };
    int64_t skew;
    if (!good(r, "connection", whist_site_connect(&r->site->run, &skew))) return;
    tell(r, "connection", true, "%s answers%s%s, TLS 1.3 with the study's key", r->site->run.coordinator,
         r->site->config.proxy[0] ? " through " : "", r->site->config.proxy);
    int64_t size = skew < 0 ? -skew : skew;
    tell(r, "clock", size <= MAX_SKEW_MS, "%.1f s %s the coordinator's%s", (double)size / 1000,
         skew > 0 ? "behind" : "ahead of", size <= MAX_SKEW_MS ? "" : ": set it right (NTP)");
}

static int check(const cli_args *args)
{
    CLI_AUTO(cli_site_close) cli_site s = {0};
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(3);
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    CLI_TRY(cli_site_open(&s, args));
    report r = {&s, table, json, 0};
    whist_json_begin_object(json);
    whist_json_key(json, "site"), whist_json_text(json, s.config.name);
    whist_json_key(json, "checks");
    whist_json_begin_array(json);
    cli_table_add(table, "%s", ""), cli_table_add(table, "check"), cli_table_add(table, "%s", s.config.name);
    void (*const checks[])(report *) = {check_policy, check_certificate, check_approval,  check_data,
                                        check_disk,   check_name,        check_connection};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) checks[i](&r);
    whist_json_end_array(json);
    whist_json_key(json, "ok"), whist_json_bool(json, r.failed == 0);
    whist_json_end_object(json);
    CLI_TRY(cli_flag(args, "json") ? cli_json_print(json) : cli_table_print(table, stdout));
    CLI_TRY(cli_flush());
    return r.failed ? CLI_FAILED : CLI_OK;
}

static const cli_option options[] = {
    {"study", 0, CLI_TEXT, "FILE", "The study, as the partners agreed on it.", .required = true},
    {"coordinator", 0, CLI_TEXT, "URL", "https://host:port instead of the configuration's."},
    {0},
};

const cli_command cli_check_commands[] = {
    {"site check", "CONFIG", "Look for everything that could go wrong, before it does",
     "Policy, certificate, approval, data against the schema, disk, name, connection through the proxy, clock: one "
     "line each, with the fix. Exit code 1 where something fails.",
     options, 1, 1, check},
    {0},
};
