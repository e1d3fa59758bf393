/* cli/ledger_place.c: from what people have at hand to the folder of one ledger. */
#include "cli/ledger_place.h"

#include <whist/run.h>
#include <whist/study.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool holds_ledger(const char *folder)
{
    char path[CLI_PATH];
    return snprintf(path, sizeof path, "%s/whist.db", folder) < (int)sizeof path && cli_exists(path);
}

/* Something stands in it. */
static bool is_full(const char *folder)
{
    struct stat info;
    char path[CLI_PATH];
    return snprintf(path, sizeof path, "%s/whist.db", folder) < (int)sizeof path && stat(path, &info) == 0 &&
           info.st_size > 0;
}

/* Names of the ledgers below a folder: how many, the first one, and all of them for people. */
typedef struct found {
    size_t n;
    char first[64], all[512];
} found;

static found look_in(const char *folder)
{
    found f = {0};
    char path[CLI_PATH];
    size_t at = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof f.first) continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || !holds_ledger(path))
            continue;
        if (f.n++ == 0) snprintf(f.first, sizeof f.first, "%s", entry->d_name);
        if (at + 70 < sizeof f.all)
            at += (size_t)snprintf(f.all + at, sizeof f.all - at, "%s%s", at ? ", " : "", entry->d_name);
    }
    if (dir) closedir(dir);
    return f;
}

/* STATE, STATE/ledger or the ledger itself. */
static int find_in_folder(char out[CLI_PATH], const cli_args *args, const char *folder)
{
    const char *dataset = cli_text(args, "dataset");
    char below[CLI_PATH];
    CLI_TRY(cli_path(below, "%s/ledger", folder));
    if (!is_folder(below)) CLI_TRY(cli_path(below, "%s", folder));
    if (holds_ledger(below) && !dataset) return cli_path(out, "%s", below);
    found f = look_in(below);
    if (dataset) {
        CLI_TRY(cli_path(out, "%s/%s", below, dataset));
        if (holds_ledger(out)) return CLI_OK;
        return cli_fail_text(CLI_FAILED, "state", "%s holds no ledger of '%s'%s%s", below, dataset,
                             f.n ? "; there are: " : "", f.all);
    }
    if (f.n == 1) return cli_path(out, "%s/%s", below, f.first);
    if (f.n > 1)
        return cli_fail_text(CLI_USAGE, "usage", "%s holds several ledgers: name one by --dataset (%s)", below, f.all);
    return cli_fail_text(CLI_FAILED, "state", "%s holds no privacy ledger: nothing was ever charged there", folder);
}

static bool is_yaml(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int read_certificate(cli_ledger_place *out, const cli_args *args, const char *configured)
{
    const char *path = cli_text(args, "certificate");
    if (!path) path = configured;
    if (!path)
        return cli_fail_text(
            CLI_USAGE, "usage",
            "--certificate is missing: the owner's, whose key must have signed; or name the ledger's or "
            "site's YAML file, which knows it");
    return cli_read(&out->certificate, path, CLI_FILE_MAX);
}

/* A coordinator keeps the ledgers of all data sets it has seen. */
static int find_by_coordinator(cli_ledger_place *out, const cli_args *args, const whist_coordinator_config *config)
{
    char folder[4096];
    CLI_LIB(whist_coordinator_ledger_dir(folder, config->ledger, config->state));
    CLI_TRY(find_in_folder(out->path, args, folder));
    return read_certificate(out, args, config->certificate);
}

static int find_by_config(cli_ledger_place *out, const cli_args *args, const char *path)
{
    whist_coordinator_config coordinator;
    whist_ledger_config config;
    if (whist_coordinator_config_load(&coordinator, path) == WHIST_OK)
        return find_by_coordinator(out, args, &coordinator);
    CLI_LIB(whist_ledger_config_load(&config, path));
    CLI_TRY(cli_path(out->path, "%s/ledger/%s", config.state, config.dataset));
    snprintf(out->head, sizeof out->head, "%s", config.head);
    if (!is_full(out->path) && config.head[0])
        return cli_fail_text(
            CLI_REFUSED, "auth",
            "%s/whist.db is gone or empty, and with it what was spent of these data: bring back the folder from "
            "a backup made after the last answer",
            out->path);
    if (!holds_ledger(out->path))
        return cli_fail_text(CLI_FAILED, "state", "%s holds no privacy ledger: nothing was ever charged there",
                             out->path);
    return read_certificate(out, args, config.certificate);
}

int cli_ledger_find(cli_ledger_place *out, const cli_args *args)
{
    const char *word = args->words[0];
    *out = (cli_ledger_place){0};
    if (is_folder(word)) {
        CLI_TRY(find_in_folder(out->path, args, word));
        return read_certificate(out, args, NULL);
    }
    if (is_yaml(word)) return find_by_config(out, args, word);
    CLI_TRY(cli_path(out->path, "%s", word));
    return read_certificate(out, args, NULL);
}

void cli_ledger_place_clear(cli_ledger_place *place)
{
    cli_blob_clear(&place->certificate);
}
