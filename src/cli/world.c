/* cli/world.c: makes a federation in a folder beside the wanted one and moves it into place when it is whole.
 *
 *     ca/                  ca.key.pem ca.pem crl.pem
 *     coordinator/         key.pem cert.pem ca.pem crl.pem coordinator.yaml
 *     sites/NAME/          key.pem cert.pem ca.pem crl.pem site.yaml
 *     parties/NAME/        the same, where the study has third parties
 *     operator/            key.pem cert.pem ca.pem crl.pem operator.yaml
 *     study.yaml           the study with the pins of all of them
 */
#include "cli/world.h"

#include "cli/hex.h"
#include "cli/pem.h"

#include <stdlib.h>
#include <string.h>

typedef struct maker {
    const cli_world *world;
    const whist_study *study;
    char root[CLI_PATH], data[CLI_PATH];
    cli_authority ca;
    uint8_t coordinator[32], (*sites)[32], (*parties)[32];
} maker;

static int put(const char *folder, const char *name, const void *text, size_t len)
{
    char path[CLI_PATH];
    CLI_TRY(cli_path(path, "%s/%s", folder, name));
    return cli_write(path, text, len, 0644, CLI_WRITE_NEW);
}

static int put_config(const char *folder, const char *name, const char *head, const char *tail)
{
    static const char files[] = "ca: ca.pem\ncertificate: cert.pem\nkey: key.pem\ncrl: crl.pem\n";
    char text[2 * CLI_PATH];
    int n = snprintf(text, sizeof text, "%s%s%s", head, files, tail);
    return put(folder, name, text, (size_t)n);
}

/* Key, request, certificate, and what everybody needs to trust the others. */
static int make_actor(uint8_t pin[32], const maker *m, const char *folder, const char *name, whist_crypt_role role)
{
    char path[CLI_PATH];
    const char *hosts[] = {"localhost", "127.0.0.1", "::1", m->world->host};
    bool server = role == WHIST_CRYPT_COORDINATOR || role == WHIST_CRYPT_PARTY, own_host = true;
    for (size_t i = 0; i < 3; i++) own_host &= strcmp(hosts[i], m->world->host) != 0;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.role = role;
    grant.days = m->world->days;
    if (role == WHIST_CRYPT_OPERATOR)
        grant.rights = WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_START | WHIST_CRYPT_MAY_STOP;
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(cli_crypt_text_end) char *csr = NULL;
    CLI_AUTO(cli_crypt_text_end) char *certificate = NULL;
    CLI_TRY(cli_make_dirs(folder, 0700));
    CLI_TRY(cli_path(path, "%s/key.pem", folder));
    CLI_LIB(whist_crypt_key_new(&key));
    CLI_LIB(whist_crypt_key_save(key, path, NULL));
    CLI_WORD(whist_crypt_csr_new(&csr, key, name, hosts, server ? 3u + own_host : 0));
    const whist_bytes request = {(const uint8_t *)csr, strlen(csr)};
    CLI_LIB(whist_crypt_csr_sign(&certificate, m->ca.key, cli_view(&m->ca.certificate), request, &grant));
    whist_crypt_key_pin(pin, key);
    CLI_TRY(put(folder, "cert.pem", certificate, strlen(certificate)));
    CLI_TRY(put(folder, CLI_CA_CERT, m->ca.certificate.data, m->ca.certificate.len));
    return put(folder, CLI_CA_CRL, m->ca.crl.data, m->ca.crl.len);
}

static int make_authority(maker *m)
{
    char folder[CLI_PATH];
    CLI_TRY(cli_path(folder, "%s/ca", m->root));
    CLI_TRY(cli_authority_make(folder, "demo-authority", m->world->days, NULL));
    return cli_authority_open(&m->ca, folder, NULL);
}

/* Loopback where the coordinator is called by it, else all addresses of the host's family. */
static const char *listen_host(const char *host)
{
    if (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "localhost") == 0) return "127.0.0.1";
    if (strcmp(host, "::1") == 0) return "[::1]";
    return strchr(host, ':') ? "[::]" : "0.0.0.0";
}

static int make_coordinator(maker *m)
{
    char folder[CLI_PATH], head[512];
    CLI_TRY(cli_path(folder, "%s/coordinator", m->root));
    CLI_TRY(make_actor(m->coordinator, m, folder, "coordinator", WHIST_CRYPT_COORDINATOR));
    snprintf(head, sizeof head, "listen: \"%s:%u\"\n", listen_host(m->world->host), m->world->port);
    return put_config(folder, "coordinator.yaml", head, "state: state\n");
}

static const char *url_host(const maker *m, char out[300])
{
    bool v6 = strchr(m->world->host, ':') != NULL;
    snprintf(out, 300, v6 ? "[%s]" : "%s", m->world->host);
    return out;
}

static int make_member(uint8_t pin[32], const maker *m, const char *kind, const char *name, whist_crypt_role role)
{
    char folder[CLI_PATH], host[300], head[640], tail[CLI_PATH + 64];
    CLI_TRY(cli_path(folder, "%s/%s/%s", m->root, kind, name));
    CLI_TRY(make_actor(pin, m, folder, name, role));
    snprintf(head, sizeof head, "name: %s\ncoordinator: https://%s:%u\n", name, url_host(m, host), m->world->port);
    snprintf(tail, sizeof tail, "state: state\ndata: \"%s\"\n", m->data);
    return put_config(folder, "site.yaml", head, tail);
}

static int make_operator(const maker *m)
{
    char folder[CLI_PATH], host[300], head[640], pin_text[CLI_PIN];
    uint8_t pin[32];
    CLI_TRY(cli_path(folder, "%s/operator", m->root));
    CLI_TRY(make_actor(pin, m, folder, "operator", WHIST_CRYPT_OPERATOR));
    snprintf(head, sizeof head, "coordinator: https://%s:%u\ncoordinator_key: \"%s\"\n", url_host(m, host),
             m->world->port, cli_pin(pin_text, m->coordinator));
    return put_config(folder, "operator.yaml", head, "");
}

static int make_study(const maker *m)
{
    char *text;
    CLI_LIB(whist_study_with_pins(&text, m->study, m->coordinator, (const uint8_t(*)[32])m->sites,
                                  (const uint8_t(*)[32])m->parties));
    int code = put(m->root, "study.yaml", text, strlen(text));
    whist_text_free(text);
    return code;
}

static int make_all(maker *m)
{
    const whist_fed_plan *plan = whist_study_plan(m->study);
    CLI_TRY(make_authority(m));
    CLI_TRY(make_coordinator(m));
    for (size_t i = 0; i < plan->n_sites; i++)
        CLI_TRY(make_member(m->sites[i], m, "sites", plan->sites[i].name, WHIST_CRYPT_SITE));
    for (size_t i = 0; i < plan->n_parties; i++)
        CLI_TRY(make_member(m->parties[i], m, "parties", plan->parties[i].name, WHIST_CRYPT_PARTY));
    CLI_TRY(make_operator(m));
    return make_study(m);
}

static int make_in_place(maker *m)
{
    CLI_TRY(cli_path(m->root, "%s.XXXXXX", m->world->folder));
    if (!mkdtemp(m->root)) return cli_fail_errno(m->world->folder);
    int code = make_all(m);
    if (code == CLI_OK && rename(m->root, m->world->folder) != 0)
        code = cli_fail_text(CLI_FAILED, "state", "%s is there already and stays as it is: name another folder",
                             m->world->folder);
    if (code != CLI_OK) (void)cli_remove_tree(m->root);
    return code;
}

int cli_world_make(const cli_world *world, const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    maker m = {.world = world, .study = study};
    CLI_TRY(world->data ? cli_absolute(m.data, world->data) : cli_path(m.data, "data"));
    m.sites = calloc(plan->n_sites, sizeof *m.sites);
    m.parties = calloc(plan->n_parties + 1, sizeof *m.parties);
    int code = m.sites && m.parties ? make_in_place(&m) : cli_no_memory();
    free(m.sites);
    free(m.parties);
    cli_authority_clear(&m.ca);
    return code;
}
