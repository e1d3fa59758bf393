/* cli/cmd_query.c: whist dp query: private statistics of a study's table, or of a CSV file.
 *
 * Answers are drawn in memory, kept in the transaction that charges them, and only then printed. The same question
 * asked again is answered from the ledger: the same noised numbers tell nothing more and cost nothing more. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/hex.h"
#include "cli/purse.h"
#include "cli/runs.h"
#include "cli/term.h"

#include <whist/learn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_QUERIES = 64, MAX_CHARGES = 4 * MAX_QUERIES, MAX_COLUMNS = 1024 };

typedef struct job {
    const cli_args *args;
    whist_study *study; /* or a table, and its file */
    whist_table *table;
    const char *file;
    whist_query *queries[MAX_QUERIES];
    whist_query_answer answers[MAX_QUERIES];
    size_t n;
    whist_dp_event charges[MAX_CHARGES];
    size_t n_charges;
    whist_query_terms terms;
    whist_data_source *sources;
    size_t n_sources;
    char folder[CLI_PATH];
    whist_ledger_config config;
    whist_purse *purse; /* NULL: rows that are made up */
    uint8_t rows[32];   /* their name in the ledger */
    whist_purse_bill bill;
    bool again; /* the ledger had the answers, … */
    char *kept; /* … as text, which they point into */
} job;

static void job_end(job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        whist_query_free(j->queries[i]);
        if (j->again)
            free(j->answers[i].values);
        else
            whist_query_answer_clear(&j->answers[i]);
    }
    whist_ledger_text_free(j->kept);
    free(j->sources);
    whist_study_free(j->study);
    whist_table_free(j->table);
    whist_purse_free(j->purse);
}

static const whist_schema *schema_of(const job *j)
{
    return j->table ? whist_table_schema(j->table) : whist_study_schema(j->study);
}

/* What the mechanisms charge: it must fit with all that came before in this run, or nothing is drawn. */
static whist_status remember(void *user, const whist_dp_event *event)
{
    job *j = user;
    if (j->n_charges == MAX_CHARGES) return WHIST_E_RANGE;
    j->charges[j->n_charges++] = *event;
    j->bill.n_events = j->n_charges;
    return j->purse ? whist_purse_check(j->purse, &j->bill) : WHIST_OK;
}

/* ---- The command line ---- */

static int read_number(double *out, const cli_args *args, const char *option, double fallback)
{
    const char *text = cli_text(args, option);
    char *end;
    *out = fallback;
    if (!text) return CLI_OK;
    *out = strtod(text, &end);
    if (end == text || *end) return cli_fail_text(CLI_USAGE, "usage", "--%s takes a number, not '%s'", option, text);
    return CLI_OK;
}

static int read_relation(whist_dp_relation *out, const cli_args *args)
{
    const char *text = cli_text(args, "relation");
    *out = WHIST_DP_ADD_REMOVE;
    if (!text || strcmp(text, whist_dp_relation_name(WHIST_DP_ADD_REMOVE)) == 0) return CLI_OK;
    *out = WHIST_DP_REPLACE;
    if (strcmp(text, whist_dp_relation_name(WHIST_DP_REPLACE)) == 0) return CLI_OK;
    return cli_fail_text(CLI_USAGE, "usage", "--relation takes add_remove or replace, not '%s'", text);
}

/* delta and the public bound of the ledger's file hold where the command line says nothing. */
static int read_terms(job *j)
{
    whist_query_terms *t = &j->terms;
    CLI_TRY(read_number(&t->epsilon, j->args, "epsilon", NAN));
    CLI_TRY(read_number(&t->delta, j->args, "delta", 0));
    CLI_TRY(read_relation(&t->payer.relation, j->args));
    t->public_n = cli_count(j->args, "public-n", 0);
    if (t->public_n < j->config.units) t->public_n = j->config.units; /* both hold: delta is below either's inverse */
    t->steady = cli_flag(j->args, "steady");
    t->payer.unit = WHIST_DP_RECORD;
    t->payer.charge = remember;
    t->payer.user = j;
    return CLI_OK;
}

static int read_queries(job *j)
{
    const char *text;
    for (; (text = cli_list(j->args, "query", j->n)); j->n++) {
        if (j->n == MAX_QUERIES) return cli_fail_text(CLI_USAGE, "usage", "more than %d queries at once", MAX_QUERIES);
        if (strchr(text, '\n')) return cli_fail_text(CLI_USAGE, "usage", "a query stands on one line");
        CLI_WORD(whist_query_parse(&j->queries[j->n], text, schema_of(j)));
    }
    return CLI_OK;
}

/* ---- Where the rows are ---- */

/* NAME:real:LOW:HIGH or NAME:category:LEVEL,LEVEL,… as a map of a table file. */
static int put_column(whist_json *json, const char *text)
{
    char copy[1024], *rest = copy, *part[4] = {0};
    size_t n = 0;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) n = 5;
    while (n < 4 && (part[n] = strsep(&rest, ":"))) n++;
    bool real = n == 4 && !rest && strcmp(part[1], "real") == 0, category = n == 3 && strcmp(part[1], "category") == 0;
    if (!real && !category)
        return cli_fail_text(CLI_USAGE, "usage",
                             "--column takes NAME:real:LOW:HIGH or NAME:category:LEVEL,LEVEL,…, not '%s'", text);
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, part[0]);
    whist_json_key(json, "type"), whist_json_text(json, part[1]);
    if (real) {
        whist_json_key(json, "low"), whist_json_text(json, part[2]);
        whist_json_key(json, "high"), whist_json_text(json, part[3]);
    } else {
        whist_json_key(json, "levels");
        whist_json_begin_array(json);
        for (char *level; (level = strsep(&part[2], ","));) whist_json_text(json, level);
        whist_json_end_array(json);
    }
    whist_json_end_object(json);
    return CLI_OK;
}

static int table_of_columns(job *j)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    const char *text;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "whist"), whist_json_int(json, 1);
    whist_json_key(json, "columns");
    whist_json_begin_array(json);
    for (size_t i = 0; i < MAX_COLUMNS && cli_list(j->args, "column", i); i++)
        CLI_TRY(put_column(json, cli_list(j->args, "column", i)));
    whist_json_end_array(json);
    whist_json_end_object(json);
    CLI_LIB(whist_json_finish(json, &text));
    CLI_WORD(whist_table_parse(&j->table, (whist_bytes){(const uint8_t *)text, strlen(text)}, "--column"));
    return CLI_OK;
}

/* A CSV file with its columns: folder and name apart. */
static int open_table(job *j)
{
    const char *path = j->args->words[0], *slash = strrchr(path, '/'), *form = cli_text(j->args, "table");
    if (form && cli_list(j->args, "column", 0))
        return cli_fail_text(CLI_USAGE, "usage", "columns stand either in --table FILE or in --column, not in both");
    if (cli_flag(j->args, "data") || cli_flag(j->args, "site"))
        return cli_fail_text(CLI_USAGE, "usage", "--data and --site are for studies; %s is a table", path);
    if (form)
        CLI_LIB(whist_table_load(&j->table, form));
    else
        CLI_TRY(table_of_columns(j));
    j->file = slash ? slash + 1 : path;
    if (!slash) return cli_path(j->folder, ".");
    return cli_path(j->folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static int open_rows(job *j)
{
    if (cli_text(j->args, "table") || cli_list(j->args, "column", 0)) return open_table(j);
    const char *path = j->args->words[0], *dot = strrchr(path, '.');
    if (dot && cli_exists(path) && (strcmp(dot, ".csv") == 0 || strcmp(dot, ".tsv") == 0))
        return cli_fail_text(CLI_USAGE, "usage",
                             "%s is a table without a study: say what its columns are, by --column NAME:real:LOW:HIGH, "
                             "--column NAME:category:LEVEL,LEVEL,… or --table FILE",
                             path);
    CLI_LIB(whist_study_load(&j->study, path));
    return CLI_OK;
}

static void add_source(job *j, size_t site)
{
    const whist_fed_plan *plan = whist_study_plan(j->study);
    j->sources[j->n_sources++] = (whist_data_source){
        .folder = j->folder,
        .file = whist_study_site_file(j->study, site),
        .site = plan->sites[site].name,
        .site_index = site,
        .n_sites = plan->n_sites,
        .seed = plan->seed,
    };
}

/* The table, one site, or all of the study. */
static int read_sources(job *j)
{
    const whist_fed_plan *plan = j->study ? whist_study_plan(j->study) : NULL;
    const char *name = cli_text(j->args, "site");
    if (plan) CLI_TRY(cli_data_folder(j->folder, j->args, j->study));
    j->sources = calloc(plan ? plan->n_sites : 1, sizeof *j->sources);
    if (!j->sources) return cli_no_memory();
    if (!plan) {
        j->sources[j->n_sources++] =
            (whist_data_source){.folder = j->folder, .file = j->file, .site = "table", .n_sites = 1};
        return CLI_OK;
    }
    size_t site = 0;
    if (name) CLI_WORD(whist_study_site_find(j->study, name, &site));
    if (name) add_source(j, site);
    for (size_t s = 0; !name && s < plan->n_sites; s++) add_source(j, s);
    return CLI_OK;
}

/* ---- Paying ---- */

static int name_rows(uint8_t out[32], const job *j)
{
    CLI_LIB(whist_purse_rows(out, j->purse, schema_of(j), j->sources, j->n_sources));
    return CLI_OK;
}

/* What makes a question the same one: what stands in the files, study or columns, terms, queries. */
static int describe(char **out, size_t *len, const job *j)
{
    FILE *text = open_memstream(out, len);
    if (!text) return cli_no_memory();
    const whist_query_terms *t = &j->terms;
    const whist_schema *schema = schema_of(j);
    char hex[65];
    cli_hex(hex, j->rows);
    fprintf(text, "rows %s\n", hex);
    fprintf(text, "%a %a %d %d\n", t->epsilon, t->delta, (int)t->payer.relation, t->steady);
    for (size_t i = 0; i < j->n; i++) fprintf(text, "query %s\n", cli_list(j->args, "query", i));
    for (size_t i = 0; i < j->n_sources; i++) fprintf(text, "site %s\n", j->sources[i].site);
    for (size_t c = 0; c < schema->n_columns; c++) {
        const whist_column *column = &schema->columns[c];
        fprintf(text, "column %s %d %a %a", column->name, (int)column->type, column->low, column->high);
        for (size_t l = 0; l < column->n_levels; l++) fprintf(text, " %s", column->levels[l]);
        fputc('\n', text);
    }
    if (j->study) cli_hex(hex, whist_study_digest(j->study));
    if (j->study) fprintf(text, "study %s\n", hex);
    return fclose(text) == 0 ? CLI_OK : cli_no_memory();
}

static int write_answers(char **out, size_t *len, const job *j)
{
    FILE *text = open_memstream(out, len);
    if (!text) return cli_no_memory();
    for (size_t i = 0; i < j->n; i++) {
        const whist_query_answer *a = &j->answers[i];
        fprintf(text, "%zu %a %s\n", a->n, a->steady_delta, a->mechanism);
        for (size_t k = 0; k < a->n; k++)
            fprintf(text, "%a %a %s\n", a->values[k].value, a->values[k].noise, a->values[k].label);
    }
    return fclose(text) == 0 ? CLI_OK : cli_no_memory();
}

/* The rest of a line, behind the numbers. */
static char *rest_of_line(char **at)
{
    char *text = **at == ' ' ? *at + 1 : *at, *end = strchr(text, '\n');
    if (!end) return NULL;
    *end = 0;
    *at = end + 1;
    return text;
}

/* What write_answers wrote and nobody else: the ledger's own signature and digest stand behind it. */
static bool read_answers(job *j, char *at)
{
    for (size_t i = 0; i < j->n; i++) {
        whist_query_answer *a = &j->answers[i];
        size_t n = strtoull(at, &at, 10);
        a->steady_delta = strtod(at, &at);
        a->mechanism = rest_of_line(&at);
        if (!a->mechanism || n > 1 << 20) return false;
        a->values = calloc(n + 1, sizeof *a->values);
        if (!a->values) return false;
        a->n = n;
        for (size_t k = 0; k < n; k++) {
            a->values[k].value = strtod(at, &at);
            a->values[k].noise = strtod(at, &at);
            const char *label = rest_of_line(&at);
            if (!label) return false;
            snprintf(a->values[k].label, sizeof a->values[k].label, "%s", label);
        }
    }
    return *at == 0;
}

/* Of --anew the first run that nothing is kept of, else the newest that something is. */
static int find_run(job *j)
{
    char *text = NULL;
    size_t len = 0;
    uint64_t run;
    int code = describe(&text, &len, j);
    if (code == CLI_OK)
        code = cli_purse_run(j->bill.id, &run, j->purse, "query", (whist_bytes){(const uint8_t *)text, len},
                             cli_flag(j->args, "anew"));
    free(text);
    return code;
}

static int take_kept(job *j)
{
    uint64_t round;
    size_t len;
    CLI_LIB(whist_purse_kept(j->purse, j->bill.id, &round, &j->kept, &len, &j->again));
    if (!j->again || read_answers(j, j->kept)) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "format",
                         "what the ledger kept of this question is not readable: ask with --anew");
}

/* *taken: somebody else has paid for this very question meanwhile. */
static int pay(job *j, bool *taken)
{
    char *text = NULL;
    size_t len = 0;
    int code = write_answers(&text, &len, j);
    j->bill.release = (whist_bytes){(const uint8_t *)text, len};
    j->bill.taken = taken;
    if (code == CLI_OK) {
        whist_status status = whist_purse_pay(j->purse, &j->bill, NULL);
        if (status != WHIST_OK) code = cli_fail(status);
    }
    j->bill.release = (whist_bytes){0};
    free(text);
    return code;
}

static int draw_answers(job *j)
{
    whist_status status =
        whist_query_run(j->answers, j->queries, j->n, schema_of(j), j->sources, j->n_sources, &j->terms);
    if (status == WHIST_E_ARG || status == WHIST_E_RANGE) return cli_fail_word(status);
    CLI_LIB(status);
    if (!j->purse) return CLI_OK;
    uint8_t now[32];
    CLI_TRY(name_rows(now, j));
    if (memcmp(now, j->rows, sizeof now) == 0) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "state",
                         "the files changed while they were asked: nothing was charged; ask again");
}

static void forget_answers(job *j)
{
    for (size_t i = 0; i < j->n; i++) whist_query_answer_clear(&j->answers[i]);
    j->n_charges = 0;
}

/* Of several who ask the same at once one pays, and the others take what it kept: what they drew was seen by nobody. */
static int pay_once(job *j)
{
    for (bool taken = true;;) {
        CLI_TRY(pay(j, &taken));
        if (!taken) return CLI_OK;
        if (cli_flag(j->args, "anew")) {
            CLI_TRY(find_run(j)); /* the next free one */
            continue;
        }
        forget_answers(j);
        CLI_TRY(take_kept(j));
        if (j->again) return CLI_OK;
        return cli_fail_text(CLI_FAILED, "state",
                             "the ledger has charged this question and lost what it kept of it: ask with --anew");
    }
}

static int get_answers(job *j)
{
    char name[64] = "query";
    if (j->study) snprintf(name, sizeof name, "query of %.40s", whist_study_name(j->study));
    j->bill = (whist_purse_bill){.name = name, .events = j->charges};
    if (!j->purse) return draw_answers(j);
    CLI_TRY(name_rows(j->rows, j));
    CLI_TRY(find_run(j));
    CLI_TRY(take_kept(j));
    if (j->again) return CLI_OK;
    CLI_TRY(draw_answers(j));
    return pay_once(j);
}

/* ---- The answers ---- */

static int print_text(const job *j)
{
    const whist_query_terms *t = &j->terms;
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(4);
    if (!table) return cli_no_memory();
    cli_table_add(table, "query");
    cli_table_add(table, "answer");
    cli_table_add(table, "value");
    cli_table_add(table, "noise (sd)");
    for (size_t i = 0; i < j->n; i++)
        for (size_t k = 0; k < j->answers[i].n; k++) {
            const whist_query_value *v = &j->answers[i].values[k];
            cli_table_add(table, "%s", k == 0 ? cli_list(j->args, "query", i) : "");
            cli_table_add(table, "%s", v->label);
            cli_table_add(table, "%.8g", v->value);
            if (v->noise > 0)
                cli_table_add(table, "%.3g", v->noise);
            else
                cli_table_add(table, "-");
        }
    printf("epsilon %g, delta %g for all answers together; unit %s (one row), relation %s\n", t->epsilon, t->delta,
           whist_dp_unit_name(t->payer.unit), whist_dp_relation_name(t->payer.relation));
    double steady = 0;
    for (size_t i = 0; i < j->n; i++) steady += j->answers[i].steady_delta;
    if (t->steady)
        printf("steady time: the tables are off their law by a delta of %.3g, which is part of it\n", steady);
    CLI_TRY(cli_table_print(table, stdout));
    if (j->again) printf("asked before: these are the answers of then, and cost nothing more\n");
    if (j->purse) CLI_TRY(cli_purse_print(j->purse, &j->config));
    return cli_flush();
}

static void json_answer(whist_json *json, const whist_query_answer *answer, const char *query)
{
    whist_json_begin_object(json);
    whist_json_key(json, "query");
    whist_json_text(json, query);
    whist_json_key(json, "mechanism");
    whist_json_text(json, answer->mechanism);
    if (answer->steady_delta > 0) {
        whist_json_key(json, "steady_delta");
        whist_json_real(json, answer->steady_delta);
    }
    whist_json_key(json, "values");
    whist_json_begin_array(json);
    for (size_t k = 0; k < answer->n; k++) {
        whist_json_begin_object(json);
        whist_json_key(json, "label");
        whist_json_text(json, answer->values[k].label);
        whist_json_key(json, "value");
        whist_json_real(json, answer->values[k].value);
        whist_json_key(json, "noise_sd");
        if (answer->values[k].noise > 0)
            whist_json_real(json, answer->values[k].noise);
        else
            whist_json_null(json); /* a choice: its randomness has no deviation */
        whist_json_end_object(json);
    }
    whist_json_end_array(json);
    whist_json_end_object(json);
}

static int print_json(const job *j)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "epsilon");
    whist_json_real(json, j->terms.epsilon);
    whist_json_key(json, "delta");
    whist_json_real(json, j->terms.delta);
    whist_json_key(json, "unit");
    whist_json_text(json, whist_dp_unit_name(j->terms.payer.unit));
    whist_json_key(json, "relation");
    whist_json_text(json, whist_dp_relation_name(j->terms.payer.relation));
    whist_json_key(json, "answers");
    whist_json_begin_array(json);
    for (size_t i = 0; i < j->n; i++) json_answer(json, &j->answers[i], cli_list(j->args, "query", i));
    whist_json_end_array(json);
    whist_json_key(json, "charges");
    whist_json_begin_array(json);
    for (size_t i = 0; i < j->n_charges; i++) whist_dp_event_json(json, &j->charges[i]);
    whist_json_end_array(json);
    if (j->purse) CLI_TRY(cli_purse_json(json, j->purse, &j->config, !j->again));
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int query_with(job *j)
{
    CLI_TRY(open_rows(j));
    bool made_up = j->study && whist_study_schema(j->study)->format == WHIST_DATA_SYNTHETIC;
    CLI_TRY(cli_purse_open(&j->purse, &j->config, j->args, made_up, schema_of(j)->set));
    CLI_TRY(read_terms(j));
    CLI_TRY(read_queries(j));
    CLI_TRY(read_sources(j));
    CLI_TRY(get_answers(j));
    return cli_flag(j->args, "json") ? print_json(j) : print_text(j);
}

static int query(const cli_args *args)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return cli_no_memory();
    j->args = args;
    int code = query_with(j);
    job_end(j);
    free(j);
    return code;
}

static const cli_option options[] = {
    {"query", 0, CLI_LIST, "QUERY", "What to ask, as in the list above; may be given more than once.",
     .required = true},
    {"epsilon", 0, CLI_TEXT, "E", "Privacy loss of all answers together, above 0.", .required = true},
    {"delta", 0, CLI_TEXT, "D", "0 for Laplace noise (the default), else Gaussian noise; needs --public-n."},
    {"public-n", 0, CLI_COUNT, "N",
     "A public bound on the number of rows: delta has to be below 1/N (the ledger's units).", .min = 1,
     .max = UINT64_C(1) << 40},
    {"steady", 0, CLI_FLAG, NULL,
     "Counts only: noise whose time does not depend on it, at the cost of a part of --delta."},
    {"relation", 0, CLI_TEXT, "R", "Neighbouring tables: add_remove (the default) or replace one row."},
    CLI_LEDGER_OPTION,
    CLI_DATASET_OPTION,
    CLI_ANEW_OPTION,
    {"column", 0, CLI_LIST, "SPEC",
     "Of a CSV file: NAME:real:LOW:HIGH or NAME:category:LEVEL,LEVEL,…; once for each column that is asked."},
    {"table", 0, CLI_TEXT, "FILE", "The columns of a CSV file, in YAML (docs/study.md, table file)."},
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data (WHIST_DATA/SET, the study's set)."},
    {"site", 0, CLI_TEXT, "NAME", "The rows of this site only (all sites of the study)."},
    {0},
};

const cli_command cli_query_commands[] = {
    {"dp query", "STUDY|TABLE.csv", "Ask for private statistics of a table",
     "Queries: count, count(COLUMN=LEVEL), sum(COLUMN, LOW, HIGH), mean(…), variance(…), quantile(COLUMN, Q, LOW, "
     "HIGH), histogram(CATEGORY), histogram(COLUMN, LOW, HIGH, BINS), contingency(CATEGORY, CATEGORY), mode(CATEGORY), "
     "above(CATEGORY, THRESHOLD, TIMES), and with --relation replace response(CATEGORY), unary(CATEGORY). LOW and HIGH "
     "are bounds that are known without the data; they may be left out where the column itself has them.\n\n"
     "A row is the unit of privacy. Answers are charged to the ledger before they are printed, and kept there: the "
     "same question about the same rows gets the same answer again and costs nothing.",
     options, 1, 1, query},
    {0},
};
