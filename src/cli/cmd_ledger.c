/* cli/cmd_ledger.c: whist ledger new|show|verify|export|prove: what was spent of a data set, and proofs of it. */
#include "cli/commands.h"
#include "cli/ledger_place.h"
#include "cli/pem.h"
#include "cli/purse.h"

#include <whist/run.h>
#include <whist/study.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

CLI_ENDER(text_end, char, whist_ledger_text_free)

static int read_certificate(cli_blob *out, const cli_args *args)
{
    return cli_read(out, cli_text(args, "certificate"), CLI_FILE_MAX);
}

static whist_status print_line(void *user, const whist_log_line *line)
{
    char when[32], sentence[640];
    time_t seconds = (time_t)(line->unix_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    whist_status status = whist_ledger_sentence(sentence, line->body);
    if (status != WHIST_OK) return status;
    fprintf(user, "%llu  %s  %s\n", (unsigned long long)line->seq, when, sentence);
    return WHIST_OK;
}

typedef struct entries {
    FILE *to;
    size_t n;
} entries;

static whist_status put_line(void *user, const whist_log_line *line)
{
    entries *e = user;
    fprintf(e->to, "%s{\"seq\":%llu,\"unix_ms\":%lld,\"body\":%s}", e->n++ ? "," : "", (unsigned long long)line->seq,
            (long long)line->unix_ms, line->body);
    return WHIST_OK;
}

/* The head of the first `wanted` entries: one that was kept says that nothing before it changed since. */
typedef struct heads {
    uint64_t wanted;
    char earlier[65];
} heads;

static whist_status note_head(void *user, const whist_log_line *line)
{
    heads *h = user;
    if (line->seq + 1 == h->wanted) memcpy(h->earlier, line->head, sizeof h->earlier);
    return WHIST_OK;
}

static void print_info(const whist_ledger_info *info)
{
    printf("ledger of the data set '%s', kept by %s\n%llu entries, chained and signed by its key\nhead %llu:%s\n",
           info->dataset, info->owner, (unsigned long long)info->n, (unsigned long long)info->n, info->head);
}

static void put_info(whist_json *json, const whist_ledger_info *info)
{
    whist_json_key(json, "dataset"), whist_json_text(json, info->dataset);
    whist_json_key(json, "owner"), whist_json_text(json, info->owner);
    whist_json_key(json, "entries"), whist_json_uint(json, info->n);
    whist_json_key(json, "head"), whist_json_text(json, info->head);
    whist_json_key(json, "good"), whist_json_bool(json, true);
}

/* ---- new ---- */

static int config_text(char **text, size_t *len, const cli_args *args)
{
    const char *passphrase = cli_text(args, "passphrase-file");
    char full[CLI_PATH] = "";
    if (passphrase) CLI_TRY(cli_absolute(full, passphrase));
    FILE *out = open_memstream(text, len);
    if (!out) return cli_no_memory();
    fprintf(out,
            "# What may be spent of the privacy of these data, by whatever is asked of them or trained on them.\n"
            "whist: 1\nowner: %s\ndataset: %s\nepsilon: %s\ndelta: %s\nunits: %s # a public bound on the records\n"
            "certificate: cert.pem\nkey: key.pem\n",
            cli_text(args, "owner"), cli_text(args, "dataset"), cli_text(args, "epsilon"), cli_text(args, "delta"),
            cli_text(args, "units"));
    if (full[0]) fprintf(out, "passphrase_file: %s\n", full);
    return fclose(out) == 0 ? CLI_OK : cli_no_memory();
}

/* The reader of such files judges it, before anything else is written; under its own name it is the last thing that is
 * written: a folder is a ledger once all of it is there. */
static int judge_config(whist_ledger_config *config, const char *folder, const char *text, size_t len)
{
    char path[CLI_PATH];
    CLI_TRY(cli_path(path, "%s/ledger.yaml.new", folder));
    CLI_TRY(cli_write(path, text, len, 0644, CLI_WRITE_REPLACE));
    whist_status status = whist_ledger_config_load(config, path);
    (void)remove(path);
    if (status == WHIST_OK) return CLI_OK;
    /* "FILE:LINE:COLUMN: field: what is wrong": of a file that nobody wrote; its fields are the options */
    const char *said = whist_detail_get()->text,
               *field = strncmp(said, path, strlen(path)) == 0 ? strstr(said, ": ") : NULL;
    return field ? cli_fail_text(CLI_USAGE, "usage", "--%s", field + 2) : cli_fail_word(status);
}

static int write_key(const cli_args *args, const char *folder)
{
    CLI_AUTO(cli_passphrase_clear) char passphrase[1024] = "";
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(cli_crypt_text_end) char *certificate = NULL;
    char path[CLI_PATH];
    CLI_TRY(cli_passphrase(passphrase, cli_text(args, "passphrase-file")));
    CLI_LIB(whist_crypt_key_new(&key));
    CLI_WORD(whist_crypt_ca_new(&certificate, key, cli_text(args, "owner"), 36500, 0));
    CLI_TRY(cli_path(path, "%s/key.pem", folder));
    CLI_LIB(whist_crypt_key_save(key, path, passphrase[0] ? passphrase : NULL));
    CLI_TRY(cli_path(path, "%s/cert.pem", folder));
    return cli_write(path, certificate, strlen(certificate), 0644, CLI_WRITE_NEW);
}

static int begin_ledger(const whist_ledger_config *config)
{
    const whist_purse_place place = cli_purse_place(config);
    CLI_LIB(whist_purse_begin(&place));
    return CLI_OK;
}

static int check_free(const char *folder)
{
    char path[CLI_PATH];
    CLI_TRY(cli_path(path, "%s/ledger.yaml", folder));
    if (cli_exists(path)) return cli_fail_text(CLI_FAILED, "state", "%s holds a ledger already: it stays", folder);
    CLI_TRY(cli_path(path, "%s/key.pem", folder));
    if (!cli_exists(path)) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "state",
                         "%s holds a key and no ledger.yaml: a ledger was begun there and not finished, or its "
                         "ledger.yaml is gone and has to come back. Nothing was charged to one that was never "
                         "finished: remove the folder, or choose another one",
                         folder);
}

static int make_ledger(const cli_args *args, const char *folder, const char *text, size_t len)
{
    const bool there = cli_exists(folder);
    whist_ledger_config config;
    char path[CLI_PATH];
    CLI_TRY(cli_make_dirs(folder, 0700));
    int code = judge_config(&config, folder, text, len);
    if (code != CLI_OK && !there) (void)rmdir(folder); /* refused: as it was before */
    CLI_TRY(code);
    CLI_TRY(write_key(args, folder));
    CLI_TRY(begin_ledger(&config));
    CLI_TRY(cli_path(path, "%s/ledger.yaml", folder));
    return cli_write(path, text, len, 0644, CLI_WRITE_NEW);
}

static int new_ledger(const cli_args *args)
{
    const char *folder = args->words[0];
    char path[CLI_PATH], *text = NULL;
    size_t len = 0;
    CLI_TRY(check_free(folder));
    int code = config_text(&text, &len, args);
    if (code == CLI_OK) code = make_ledger(args, folder, text, len);
    free(text);
    CLI_TRY(code);
    if (!cli_flag(args, "json")) {
        printf("%s/ledger.yaml: epsilon %s at delta %s for each record of '%s'\n", folder, cli_text(args, "epsilon"),
               cli_text(args, "delta"), cli_text(args, "dataset"));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_TRY(cli_path(path, "%s/ledger.yaml", folder));
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "ledger"), whist_json_text(json, path);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* ---- show ---- */

static int show_json(const cli_blob *certificate, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    whist_ledger_info info;
    entries e = {.to = open_memstream(&text, &len)};
    if (!e.to) return cli_no_memory();
    whist_status status = whist_ledger_read(&info, path, cli_view(certificate), put_line, &e);
    bool whole = fclose(e.to) == 0;
    if (status == WHIST_OK && whole)
        printf("{\"dataset\":\"%s\",\"owner\":\"%s\",\"entries\":%llu,\"good\":true,\"head\":\"%s\",\"ledger\":[%s]}\n",
               info.dataset, info.owner, (unsigned long long)info.n, info.head, text);
    free(text);
    CLI_LIB(status);
    return whole ? cli_flush() : cli_no_memory();
}

/* Reads all of it, and holds it against the head that a ledger of one's own keeps beside itself. Entries that came
 * since the head was written are no fault. */
static int read_whole(whist_ledger_info *info, const cli_ledger_place *place)
{
    heads h = {.wanted = 0};
    char root[65];
    CLI_LIB(whist_ledger_read(info, place->path, cli_view(&place->certificate), NULL, NULL));
    if (!place->head[0]) return CLI_OK;
    CLI_LIB(whist_ledger_kept_head(&h.wanted, root, place->head, info, cli_view(&place->certificate)));
    if (h.wanted == 0) return CLI_OK;
    CLI_LIB(whist_ledger_read(info, place->path, cli_view(&place->certificate), note_head, &h));
    if (strcmp(root, h.earlier) == 0) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "auth",
                         "the ledger has %llu entries and is not the one that %s has kept the head of (%llu entries): "
                         "an older or another copy was put in its place. Bring back the newest one",
                         (unsigned long long)info->n, place->head, (unsigned long long)h.wanted);
}

/* Two walks: nothing is shown before every entry held. */
static int show(const cli_args *args)
{
    CLI_AUTO(cli_ledger_place_clear) cli_ledger_place place = {0};
    whist_ledger_info info;
    CLI_TRY(cli_ledger_find(&place, args));
    CLI_TRY(read_whole(&info, &place));
    if (cli_flag(args, "json")) return show_json(&place.certificate, place.path);
    CLI_LIB(whist_ledger_read(&info, place.path, cli_view(&place.certificate), print_line, stdout));
    return cli_flush();
}

/* ---- verify ---- */

static int verify_ledger(const cli_args *args)
{
    CLI_AUTO(cli_ledger_place_clear) cli_ledger_place place = {0};
    const char *kept = cli_text(args, "head"), *hex = kept ? strchr(kept, ':') : NULL;
    heads h = {.wanted = kept ? strtoull(kept, NULL, 10) : 0};
    whist_ledger_info info;
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_TRY(cli_ledger_find(&place, args));
    CLI_TRY(read_whole(&info, &place));
    if (kept) CLI_LIB(whist_ledger_read(&info, place.path, cli_view(&place.certificate), note_head, &h));
    if (kept && (!hex || strcmp(hex + 1, h.earlier) != 0))
        return cli_fail_text(CLI_REFUSED, "auth",
                             "the ledger does not begin as the head that was kept says: %s is not %llu:%s", kept,
                             (unsigned long long)h.wanted, h.earlier[0] ? h.earlier : "(fewer entries)");
    if (!cli_flag(args, "json")) {
        print_info(&info);
        return cli_flush();
    }
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    put_info(json, &info);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int show_proof(const cli_args *args, const whist_ledger_proof *proof)
{
    char sentence[640] = "";
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    if (proof->entry) CLI_LIB(whist_ledger_sentence(sentence, proof->body));
    if (!cli_flag(args, "json")) {
        if (proof->entry)
            printf("entry %llu is in the ledger of '%s' of %s, which had %llu entries (head %s):\n%s\n",
                   (unsigned long long)proof->seq, proof->info.dataset, proof->info.owner,
                   (unsigned long long)proof->info.n, proof->info.head, sentence);
        else
            printf("the ledger of '%s' of %s, %llu entries (head %s), begins with the %llu of head %s\n",
                   proof->info.dataset, proof->info.owner, (unsigned long long)proof->info.n, proof->info.head,
                   (unsigned long long)proof->old_n, proof->old_head);
        return cli_flush();
    }
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    put_info(json, &proof->info);
    whist_json_key(json, proof->entry ? "seq" : "old_n");
    whist_json_uint(json, proof->entry ? proof->seq : proof->old_n);
    whist_json_key(json, proof->entry ? "entry" : "old_head");
    whist_json_text(json, proof->entry ? sentence : proof->old_head);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static bool is_proof(const cli_blob *file)
{
    static const char begin[] = "{\"whist_ledger_proof\"";
    return file->len >= sizeof begin && strncmp(file->data, begin, sizeof begin - 1) == 0;
}

static int verify(const cli_args *args)
{
    CLI_AUTO(cli_blob_clear) cli_blob certificate = {0};
    CLI_AUTO(cli_blob_clear) cli_blob file = {0};
    whist_ledger_proof proof = {0};
    if (!cli_flag(args, "proof")) return verify_ledger(args);
    if (!cli_text(args, "certificate"))
        return cli_fail_text(CLI_USAGE, "usage", "--certificate is missing: a proof is checked against its owner's");
    CLI_TRY(read_certificate(&certificate, args));
    CLI_TRY(cli_read(&file, args->words[0], CLI_FILE_MAX));
    if (!is_proof(&file)) return cli_fail_text(CLI_FAILED, "format", "%s is no proof about a ledger", args->words[0]);
    CLI_LIB(whist_ledger_proof_read(&proof, cli_view(&file), cli_view(&certificate)));
    int code = show_proof(args, &proof);
    whist_ledger_text_free(proof.body);
    return code;
}

/* ---- export, prove ---- */

static int export_ledger(const cli_args *args)
{
    CLI_AUTO(cli_ledger_place_clear) cli_ledger_place place = {0};
    CLI_TRY(cli_ledger_find(&place, args));
    CLI_LIB(whist_ledger_export(place.path, cli_view(&place.certificate), cli_text(args, "out")));
    return CLI_OK;
}

static int prove(const cli_args *args)
{
    CLI_AUTO(cli_ledger_place_clear) cli_ledger_place place = {0};
    CLI_AUTO(cli_key_end) whist_crypt_key *key = NULL;
    CLI_AUTO(text_end) char *proof = NULL;
    const char *to = cli_text(args, "out");
    if (cli_flag(args, "entry") == cli_flag(args, "since"))
        return cli_fail_text(CLI_USAGE, "usage",
                             "give --entry K for one entry, or --since N for all after the first N");
    CLI_TRY(cli_ledger_find(&place, args));
    CLI_TRY(cli_key_open(&key, cli_text(args, "key"), cli_text(args, "passphrase-file")));
    if (cli_flag(args, "entry"))
        CLI_WORD(whist_ledger_prove_entry(&proof, place.path, cli_view(&place.certificate), cli_count(args, "entry", 0),
                                          key));
    else
        CLI_WORD(whist_ledger_prove_since(&proof, place.path, cli_view(&place.certificate), cli_count(args, "since", 0),
                                          key));
    return cli_write(to, proof, strlen(proof), 0644, CLI_WRITE_REPLACE);
}

#define CERTIFICATE                                                                                                    \
    {                                                                                                                  \
        "certificate", 0, CLI_TEXT, "FILE",                                                                            \
            "The owner's certificate: its key must have signed (that of the YAML file)."                               \
    }
#define DATASET                                                                                                        \
    {                                                                                                                  \
        "dataset", 0, CLI_TEXT, "NAME", "The data set that is meant, where there are several."                         \
    }

static const cli_option show_options[] = {CERTIFICATE, DATASET, {0}};
static const cli_option verify_options[] = {
    CERTIFICATE,
    DATASET,
    {"head", 0, CLI_TEXT, "N:HEX", "A head that was kept: the first N entries must still have it."},
    {"proof", 0, CLI_FLAG, NULL, "The file is a proof of `whist ledger prove`."},
    {0},
};
static const cli_option export_options[] = {
    CERTIFICATE,
    DATASET,
    {"out", 'o', CLI_TEXT, "FILE", "The file to write.", .required = true},
    {0},
};
static const cli_option prove_options[] = {
    CERTIFICATE,
    DATASET,
    {"key", 'k', CLI_TEXT, "FILE", "The owner's private key: it signs the head that the proof leads to.",
     .required = true},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Holds the passphrase of the key."},
    {"entry", 0, CLI_COUNT, "K", "Prove that entry K, from 0, is in the ledger.", .max = UINT64_MAX},
    {"since", 0, CLI_COUNT, "N", "Prove that the ledger begins with the first N entries.", .min = 1, .max = UINT64_MAX},
    {"out", 'o', CLI_TEXT, "FILE", "The proof to write.", .required = true},
    {0},
};

static const cli_option new_options[] = {
    {"owner", 0, CLI_TEXT, "NAME", "Who keeps it.", .required = true},
    {"dataset", 0, CLI_TEXT, "NAME", "Name of the data: one budget, whatever is asked of them and whatever is added.",
     .required = true},
    {"epsilon", 0, CLI_TEXT, "E", "Most that all releases together may spend of one record.", .required = true},
    {"delta", 0, CLI_TEXT, "D", "The delta that it is told at, below 1/N.", .required = true},
    {"units", 0, CLI_TEXT, "N", "A public upper bound on the number of records.", .required = true},
    {"passphrase-file", 0, CLI_TEXT, "FILE", "Encrypt the key with the first line of FILE."},
    {0},
};

const cli_command cli_ledger_commands[] = {
    {"ledger new", "DIR", "Begin a privacy ledger for data of one's own, outside of a federation",
     "Writes DIR/ledger.yaml, which `whist dp query` and `whist train` take as --ledger, the key that signs, and the "
     "ledger's head, which tells how far it has come: a ledger that is gone, emptied or older than its head is "
     "refused. "
     "The budget is the owner's: it stands in the file, and no question can raise it.",
     new_options, 1, 1, new_ledger},
    {"ledger show", "LEDGER", "Show what was spent of a data set's privacy, once it is verified",
     "LEDGER is a ledger's YAML file (`whist ledger new`), the configuration or the state folder of a site or "
     "coordinator, the folder STATE/ledger/DATASET in it, or an exported file. Each line names the study, epsilon "
     "before and after, delta, unit, mechanism, sampler, and who is trusted with what.",
     show_options, 1, 1, show},
    {"ledger verify", "LEDGER", "Verify the chain, every signature and every sum of a ledger, or a proof",
     "Exit code 3 at the first entry that does not hold. Keep the head that is printed somewhere else: given later as "
     "--head, it shows whether anything before it was changed or removed.",
     verify_options, 1, 1, verify},
    {"ledger export", "LEDGER", "Write a verified ledger into one file, for outsiders", "", export_options, 1, 1,
     export_ledger},
    {"ledger prove", "LEDGER", "Prove to an outsider that an entry is in a ledger, or that it was only added to",
     "Merkle proofs of RFC 6962: `whist ledger verify --proof` checks them with the owner's certificate alone.",
     prove_options, 1, 1, prove},
    {0},
};
