/* study/config.c: configurations of sites and coordinators: local matters that no study names. */
#include "study/config.h"

#include "base/file.h"
#include "study/registry.h"
#include "study/study_file.h"

#include <whist/study.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rules ---- */

/* host:port or [v6]:port with port 1 … 65535; NULL where it is one. */
static const char *split_port(const char *text, char host[256])
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len == 0 || len > 255) return "must end in the port, like :8443";
    memcpy(host, text, len);
    host[len] = 0;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] || strtoul(colon + 1, NULL, 10) == 0 ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return "must end in a port from 1 to 65535, like :8443";
    bool v6 = host[0] == '[';
    if (v6 ? host[len - 1] != ']' : strchr(host, ':') != NULL)
        return "must have an IPv6 address in brackets: [::1]:8443";
    return strpbrk(host, " /@?#") ? "must be a host and a port without path or user, like example.org:8443" : NULL;
}

static bool is_any(const char *host)
{
    return !strcmp(host, "0.0.0.0") || !strcmp(host, "[::]") || !strcmp(host, "*");
}

static const char *rule_coordinator(const char *text)
{
    char host[256];
    if (wh_rule_line(text)) return wh_rule_line(text);
    if (strncmp(text, "https://", 8) != 0) return "must begin with https://, because sites speak TLS only";
    const char *must = split_port(text + 8, host);
    if (must) return must;
    return is_any(host) ? "is an address to listen on (every interface), not one to call; write the name or address "
                          "of the coordinator's machine"
                        : NULL;
}

static const char *rule_proxy(const char *text)
{
    char host[256];
    if (wh_rule_line(text)) return wh_rule_line(text);
    if (strncmp(text, "http://", 7) != 0) return "must begin with http:// (what goes through it is TLS)";
    return split_port(text + 7, host);
}

static const char *rule_listen(const char *text)
{
    char host[256];
    if (wh_rule_line(text)) return wh_rule_line(text);
    if (strstr(text, "://")) return "must be address:port without https://";
    return split_port(text, host);
}

static const char *rule_operations(const char *text)
{
    char host[256];
    const char *must = rule_listen(text);
    if (must) return must;
    must = split_port(text, host);
    bool loopback = !must && (!strncmp(host, "127.", 4) || !strcmp(host, "[::1]") || !strcmp(host, "localhost"));
    return loopback ? NULL : "must be a loopback address like 127.0.0.1:9090: health and metrics are not protected";
}

/* ---- Readers ---- */

/* Known names become one text: "sgd adam". */
static whist_status read_names(char out[512], const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    wh_texts texts;
    WH_TRY(wh_key_texts(&texts, key, node, reader));
    size_t at = 0;
    const wh_yaml *item = node->first;
    for (size_t i = 0; i < texts.n; i++, item = item->next) {
        wh_part_info info;
        const char *near = NULL;
        unsigned best = 4;
        size_t k = 0;
        for (; key->parts->get(&info, k) && strcmp(info.name, texts.items[i]) != 0; k++) {
            unsigned distance = wh_edit_distance(info.name, texts.items[i]);
            if (distance < best) best = distance, near = info.name;
        }
        if (!key->parts->get(&info, k))
            WH_READER_FAIL(WHIST_E_FORMAT, reader, item, "%s: unknown %s '%.40s'%s%s%s", key->name, key->parts->one,
                           texts.items[i], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        if (at + strlen(info.name) + 2 > 512)
            WH_READER_FAIL(WHIST_E_RANGE, reader, item, "%s: the names are longer than 511 bytes together", key->name);
        at += (size_t)snprintf(out + at, 512 - at, "%s%s", i ? " " : "", info.name);
    }
    return WHIST_OK;
}

static whist_status read_part_names(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    return read_names(field, key, node, reader);
}

/* columns: {age: Alter, sex: Geschlecht} */
static whist_status read_columns(void *object, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    whist_site_config *config = object;
    if (node->kind != WH_YAML_MAP)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: lines like 'age: Alter' are wanted", key->name);
    if (node->n > WH_COUNT(config->columns))
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: more than %zu entries", key->name, WH_COUNT(config->columns));
    for (const wh_yaml *item = node->first; item; item = item->next) {
        size_t i = config->n_columns;
        WH_TRY(wh_key_scalar(key, item, reader));
        if (strlen(item->key) >= WHIST_NAME_SIZE || strlen(item->text) >= WHIST_NAME_SIZE)
            WH_READER_FAIL(WHIST_E_FORMAT, reader, item, "%s: a name is longer than %d bytes", key->name,
                           WHIST_NAME_SIZE - 1);
        memcpy(config->columns[i].study, item->key, strlen(item->key) + 1);
        memcpy(config->columns[i].local, item->text, strlen(item->text) + 1);
        config->n_columns++;
    }
    return WHIST_OK;
}

static whist_status read_format(void *object, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    uint32_t version;
    (void)object;
    return wh_read_version(&version, key, node, reader);
}

/* ---- Tables ---- */

#define AT(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define SITE(field) AT(whist_site_config, field)
#define COORDINATOR(field) AT(whist_coordinator_config, field)

static const wh_key policy_table[] = {
    {"min_sites", WH_KEY_INT, SITE(policy.min_sites), "2", 1, 1e6,
     .doc = "Least number of sites in a study, and of updates in a sum."},
    {"max_rounds", WH_KEY_INT, SITE(policy.max_rounds), "10000", 1, 1e6, .doc = "Most rounds of a study."},
    {"min_metric_count", WH_KEY_INT, SITE(policy.min_metric_count), "10", 0, 1e9,
     .doc = "Metrics over fewer rows stay at home, whatever the study says."},
    {"max_epsilon", WH_KEY_REAL, SITE(policy.max_epsilon), "0", 0, 1e6,
     .doc = "Most epsilon that all studies together may spend of this site's data, whatever they agreed; a study that "
            "promises less is refused, and so is one that promises nothing. 0: no limit of its own."},
    {"max_delta", WH_KEY_REAL, SITE(policy.max_delta), "1e-5", 1e-300, 0.5,
     .doc = "The delta that max_epsilon is told at; a study with a larger one is refused."},
    {"learners", WH_KEY_OTHER, .offset = offsetof(whist_site_config, policy.learners), .size = 64, "", 1, 64,
     .parts = &wh_learner_parts, .read = read_part_names, .type = "list of learners",
     .doc = "Learners that may run here; left out: all."},
    {"protections", WH_KEY_OTHER, .offset = offsetof(whist_site_config, policy.protections), .size = 64, "", 1, 64,
     .parts = &wh_protection_parts, .read = read_part_names, .type = "list of protections",
     .doc = "Protections that are good enough; left out: all."},
    {0},
};

const wh_key wh_site_config_table[] = {
    {"name", WH_KEY_TEXT, SITE(name), NULL, .rule = wh_rule_actor, .doc = "Name of this site in the study."},
    {"coordinator", WH_KEY_TEXT, SITE(coordinator), NULL, .rule = rule_coordinator,
     .doc = "Where to connect: https://host:port."},
    {"proxy", WH_KEY_TEXT, SITE(proxy), "", .rule = rule_proxy, .doc = "HTTP proxy to go through: http://host:port."},
    {"ca", WH_KEY_PATH, SITE(ca), NULL, .doc = "PEM file of the authority that both sides trust."},
    {"certificate", WH_KEY_PATH, SITE(certificate), NULL, .doc = "PEM file of this site's certificate."},
    {"key", WH_KEY_PATH, SITE(key), NULL, .doc = "PEM file of its private key, readable by its owner only."},
    {"crl", WH_KEY_PATH, SITE(crl), "", .doc = "PEM file of revoked certificates."},
    {"passphrase_file", WH_KEY_PATH, SITE(passphrase_file), "", .doc = "File with the passphrase of the key."},
    {"state", WH_KEY_PATH, SITE(state), NULL, .doc = "Folder for the site's state and its release log."},
    {"data", WH_KEY_PATH, SITE(data), NULL, .doc = "Folder that holds the data."},
    {"dataset", WH_KEY_TEXT, SITE(dataset), "data", .rule = wh_rule_set,
     .doc = "Name of these data in the privacy ledger. They have one budget, however studies call them and whatever "
            "rows are "
            "added."},
    {"file", WH_KEY_TEXT, SITE(file), "", .rule = wh_rule_file,
     .doc = "This site's file in it, where it is called otherwise than in the study."},
    {"columns", WH_KEY_OTHER, .offset = 0, .fallback = "", .read = read_columns, .type = "map of texts",
     .doc = "This site's header name for a column of the study."},
    {"max_state_bytes", WH_KEY_BYTES, SITE(max_state_bytes), "16GiB", 0x1p20, 0x1p50, .type = "1MiB … 1024TiB",
     .doc = "Ceiling on what a study keeps in the state folder; a step that would pass it is declined."},
    {"policy", WH_KEY_MAP, .fallback = "", .sub = policy_table,
     .doc = "What this site demands of every study, whatever the coordinator says."},
    {0},
};

const wh_key wh_coordinator_config_table[] = {
    {"listen", WH_KEY_TEXT, COORDINATOR(listen), NULL, .rule = rule_listen,
     .doc = "Where sites connect to: address:port; 0.0.0.0 or [::] for every interface."},
    {"operations", WH_KEY_TEXT, COORDINATOR(operations), "", .rule = rule_operations,
     .doc = "Loopback address:port of /healthz and /metrics; left out: none."},
    {"ca", WH_KEY_PATH, COORDINATOR(ca), NULL, .doc = "PEM file of the authority that both sides trust."},
    {"certificate", WH_KEY_PATH, COORDINATOR(certificate), NULL, .doc = "PEM file of the coordinator's certificate."},
    {"key", WH_KEY_PATH, COORDINATOR(key), NULL, .doc = "PEM file of its private key, readable by its owner only."},
    {"crl", WH_KEY_PATH, COORDINATOR(crl), "", .doc = "PEM file of revoked certificates."},
    {"passphrase_file", WH_KEY_PATH, COORDINATOR(passphrase_file), "", .doc = "File with the passphrase of the key."},
    {"state", WH_KEY_PATH, COORDINATOR(state), NULL, .doc = "Folder for studies, models and rounds."},
    {"ledger", WH_KEY_PATH, COORDINATOR(ledger), "",
     .doc =
         "Folder of privacy ledgers, one for each data set and for all studies on it: name the same one in every "
         "configuration. Left out: `ledger` beside the state folder, which is the same for studies whose state folders "
         "lie side by side."},
    {"metrics", WH_KEY_PATH, COORDINATOR(metrics), "", .doc = "Folder for CSV and TensorBoard files; left out: none."},
    {"max_spool_bytes", WH_KEY_BYTES, COORDINATOR(max_spool_bytes), "64GiB", 0x1p20, 0x1p50, .type = "1MiB … 1024TiB",
     .doc = "Ceiling on uploads that wait on disk."},
    {0},
};

#define OPERATOR(field) AT(whist_operator_config, field)

const wh_key wh_operator_config_table[] = {
    {"coordinator", WH_KEY_TEXT, OPERATOR(coordinator), NULL, .rule = rule_coordinator,
     .doc = "Where to connect: https://host:port."},
    {"coordinator_key", WH_KEY_TEXT, OPERATOR(coordinator_key), NULL,
     .doc = "Pin of the coordinator, as the study names it: sha256:…"},
    {"proxy", WH_KEY_TEXT, OPERATOR(proxy), "", .rule = rule_proxy,
     .doc = "HTTP proxy to go through: http://host:port."},
    {"ca", WH_KEY_PATH, OPERATOR(ca), NULL, .doc = "PEM file of the authority that both sides trust."},
    {"certificate", WH_KEY_PATH, OPERATOR(certificate), NULL, .doc = "PEM file of the operator's certificate."},
    {"key", WH_KEY_PATH, OPERATOR(key), NULL, .doc = "PEM file of its private key, readable by its owner only."},
    {"crl", WH_KEY_PATH, OPERATOR(crl), "", .doc = "PEM file of revoked certificates."},
    {"passphrase_file", WH_KEY_PATH, OPERATOR(passphrase_file), "", .doc = "File with the passphrase of the key."},
    {0},
};

#define LEDGER(field) AT(whist_ledger_config, field)

const wh_key wh_ledger_config_table[] = {
    {"whist", WH_KEY_OTHER, .offset = 0, .fallback = "1", .read = read_format, .type = "1",
     .doc = "Version of this format."},
    {"owner", WH_KEY_TEXT, LEDGER(owner), NULL, .rule = wh_rule_actor, .doc = "Who keeps the ledger."},
    {"dataset", WH_KEY_TEXT, LEDGER(dataset), NULL, .rule = wh_rule_set,
     .doc = "Name of the data: they have one budget, whatever is asked of them and whatever rows are added."},
    {"epsilon", WH_KEY_REAL, LEDGER(epsilon), NULL, 1e-6, 1e6,
     .doc = "Most epsilon that all releases together may spend of one record."},
    {"delta", WH_KEY_REAL, LEDGER(delta), NULL, 1e-300, 0.5,
     .doc = "The delta that epsilon is told at; below one in the number of records."},
    {"units", WH_KEY_INT, LEDGER(units), NULL, 1, 0x1p53, .doc = "A public upper bound on the number of records."},
    {"certificate", WH_KEY_PATH, LEDGER(certificate), NULL, .doc = "PEM file of the owner's certificate."},
    {"key", WH_KEY_PATH, LEDGER(key), NULL, .doc = "PEM file of its private key, readable by its owner only."},
    {"passphrase_file", WH_KEY_PATH, LEDGER(passphrase_file), "", .doc = "File with the passphrase of the key."},
    {"state", WH_KEY_PATH, LEDGER(state), ".", .doc = "Folder that holds `ledger/DATASET`."},
    {"head", WH_KEY_PATH, LEDGER(head), "head",
     .doc = "File that keeps the ledger's newest head: a ledger behind it is refused."},
    {0},
};

/* ---- Loading ---- */

static whist_status load(void *object, const wh_key *table, const char *path)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_file_read(&text, path, WH_YAML_MAX_BYTES));
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_yaml *root;
    WH_TRY(wh_yaml_read(&root, &arena, wh_buf_view(&text), path));
    /* Relative paths begin at the configuration's folder, wherever the program was started. */
    char *folder;
    WH_TRY(wh_arena_strdup(&folder, &arena, path));
    char *slash = strrchr(folder, '/');
    folder[slash ? (slash == folder ? 1 : slash - folder) : 0] = 0;
    const wh_reader reader = {.name = path, .folder = folder, .arena = &arena};
    return wh_table_read(object, table, root, &reader);
}

whist_status whist_site_config_load(whist_site_config *out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, 1, sizeof(whist_site_config)));
    whist_site_config *config = owned;
    WH_TRY(load(config, wh_site_config_table, path));
    *out = *config;
    return WHIST_OK;
}

/* Which of the two a file is: a site names its coordinator. */
static whist_status names_coordinator(bool *out, const char *path)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_yaml *root;
    WH_TRY(wh_file_read(&text, path, WH_YAML_MAX_BYTES));
    WH_TRY(wh_yaml_read(&root, &arena, wh_buf_view(&text), path));
    *out = false;
    for (const wh_yaml *item = root->kind == WH_YAML_MAP ? root->first : NULL; item; item = item->next)
        *out |= strcmp(item->key, "coordinator") == 0;
    return WHIST_OK;
}

static whist_status from_site(whist_ledger_config *out, const char *path)
{
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, 1, sizeof(whist_site_config)));
    whist_site_config *site = owned;
    WH_TRY(load(site, wh_site_config_table, path));
    memcpy(out->owner, site->name, sizeof out->owner);
    memcpy(out->dataset, site->dataset, sizeof out->dataset);
    memcpy(out->certificate, site->certificate, sizeof out->certificate);
    memcpy(out->key, site->key, sizeof out->key);
    memcpy(out->passphrase_file, site->passphrase_file, sizeof out->passphrase_file);
    memcpy(out->state, site->state, sizeof out->state);
    out->epsilon = site->policy.max_epsilon;
    out->delta = site->policy.max_delta;
    return WHIST_OK;
}

whist_status whist_ledger_config_load(whist_ledger_config *out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    whist_ledger_config config = {0};
    bool site;
    WH_TRY(names_coordinator(&site, path));
    WH_TRY(site ? from_site(&config, path) : load(&config, wh_ledger_config_table, path));
    if (config.units && !(config.delta * (double)config.units < 1))
        WH_FAIL(
            WHIST_E_FORMAT,
            "%s: delta %g is not below 1/%llu: with that, giving away one record whole would count as private; lower "
            "delta",
            path, config.delta, (unsigned long long)config.units);
    *out = config;
    return WHIST_OK;
}

whist_status whist_coordinator_config_load(whist_coordinator_config *out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    whist_coordinator_config config = {0};
    WH_TRY(load(&config, wh_coordinator_config_table, path));
    *out = config;
    return WHIST_OK;
}

whist_status whist_operator_config_load(whist_operator_config *out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    whist_operator_config config = {0};
    WH_TRY(load(&config, wh_operator_config_table, path));
    *out = config;
    return WHIST_OK;
}
