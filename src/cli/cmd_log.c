/* cli/cmd_log.c: whist log show|verify: what a site released, as it signed it. */
#include "cli/commands.h"
#include "cli/file.h"
#include "cli/runs.h"

#include <whist/run.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct log_file {
    char folder[CLI_PATH];
    cli_blob certificate;
} log_file;

static void log_clear(log_file *log)
{
    cli_blob_clear(&log->certificate);
}

static int log_open(log_file *out, const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, cli_text(args, "study")));
    CLI_LIB(whist_site_study_state(out->folder, args->words[0], whist_study_digest(study)));
    return cli_read(&out->certificate, cli_text(args, "certificate"), CLI_FILE_MAX);
}

static whist_status print_line(void *user, const whist_log_line *line)
{
    char when[32];
    time_t seconds = (time_t)(line->unix_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(user, "%llu  %s  %s  %s\n", (unsigned long long)line->seq, when, line->kind, line->body);
    return WHIST_OK;
}

typedef struct entries {
    FILE *to;
    size_t n;
} entries;

/* The body is JSON already, signed as it stands: it goes in as it is. The rest is written and left open for it. */
static whist_status put_line(void *user, const whist_log_line *line)
{
    entries *e = user;
    const char *text;
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    whist_status status = whist_json_new(&json);
    if (status != WHIST_OK) return status;
    whist_json_begin_object(json);
    whist_json_key(json, "seq"), whist_json_uint(json, line->seq);
    whist_json_key(json, "unix_ms"), whist_json_int(json, line->unix_ms);
    whist_json_key(json, "kind"), whist_json_text(json, line->kind);
    whist_json_end_object(json);
    status = whist_json_finish(json, &text);
    if (status != WHIST_OK) return status;
    fprintf(e->to, "%s%.*s,\"body\":%s}", e->n++ ? "," : "", (int)strlen(text) - 1, text,
            line->body[0] ? line->body : "null");
    return WHIST_OK;
}

/* The head of the whole log, and of its first `wanted` entries: a head that was kept says that nothing before it has
 * been changed or cut off since. */
typedef struct heads {
    uint64_t wanted; /* 0: none */
    char last[65], earlier[65];
} heads;

static whist_status note_head(void *user, const whist_log_line *line)
{
    heads *h = user;
    memcpy(h->last, line->head, sizeof h->last);
    if (line->seq + 1 == h->wanted) memcpy(h->earlier, line->head, sizeof h->earlier);
    return WHIST_OK;
}

/* --head N:HEX */
static int compare_head(const cli_args *args, const heads *h)
{
    const char *text = cli_text(args, "head"), *hex = text ? strchr(text, ':') : NULL;
    if (!text || (hex && strcmp(hex + 1, h->earlier) == 0)) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "auth",
                         "the log does not begin as the head that was kept says: %s is not %llu:%s", text,
                         (unsigned long long)h->wanted, h->earlier[0] ? h->earlier : "(fewer entries)");
}

static int print_json(const log_file *log, uint64_t n, const char *head, bool show)
{
    char *text = NULL;
    size_t len = 0;
    entries e = {.to = open_memstream(&text, &len)};
    if (!e.to) return cli_no_memory();
    fprintf(e.to, "{\"entries\":%llu,\"good\":true,\"head\":\"%s\"", (unsigned long long)n, head);
    if (show) fputs(",\"log\":[", e.to);
    whist_status status = show ? whist_site_log(log->folder, cli_view(&log->certificate), &n, put_line, &e) : WHIST_OK;
    fputs(show ? "]}" : "}", e.to);
    bool whole = fclose(e.to) == 0;
    if (status == WHIST_OK && whole) puts(text);
    free(text);
    CLI_LIB(status);
    return whole ? cli_flush() : cli_no_memory();
}

/* Two walks: nothing is shown before every entry held. */
static int walk(const cli_args *args, bool show)
{
    CLI_AUTO(log_clear) log_file log = {0};
    const char *kept = show ? NULL : cli_text(args, "head");
    heads h = {.wanted = kept ? strtoull(kept, NULL, 10) : 0};
    uint64_t n;
    CLI_TRY(log_open(&log, args));
    CLI_LIB(whist_site_log(log.folder, cli_view(&log.certificate), &n, note_head, &h));
    if (!show) CLI_TRY(compare_head(args, &h));
    if (!cli_flag(args, "json")) {
        if (show) CLI_LIB(whist_site_log(log.folder, cli_view(&log.certificate), &n, print_line, stdout));
        printf("%llu entries, chained and signed by the site's key\n", (unsigned long long)n);
        if (n) printf("head %llu:%s\n", (unsigned long long)n, h.last);
        return cli_flush();
    }
    return print_json(&log, n, h.last, show);
}

static int show(const cli_args *args)
{
    return walk(args, true);
}

static int verify(const cli_args *args)
{
    return walk(args, false);
}

static const cli_option options[] = {
    {"study", 0, CLI_TEXT, "FILE", "The study whose log is meant.", .required = true},
    {"certificate", 0, CLI_TEXT, "FILE", "The site's certificate: its key must have signed.", .required = true},
    {0},
};

static const cli_option verify_options[] = {
    {"study", 0, CLI_TEXT, "FILE", "The study whose log is meant.", .required = true},
    {"certificate", 0, CLI_TEXT, "FILE", "The site's certificate: its key must have signed.", .required = true},
    {"head", 0, CLI_TEXT, "N:HEX", "A head that was kept: the first N entries must still have it."},
    {0},
};

const cli_command cli_log_commands[] = {
    {"log show", "STATE", "Show what a site released, once it is verified", "STATE is the site's state folder.",
     options, 1, 1, show},
    {"log verify", "STATE", "Verify the chain and every signature of a site's log",
     "STATE is the site's state folder. Exit code 3 at the first entry that does not hold. Keep the head that is "
     "printed "
     "somewhere else: given later as --head, it shows whether anything before it was changed or removed.",
     verify_options, 1, 1, verify},
    {0},
};
