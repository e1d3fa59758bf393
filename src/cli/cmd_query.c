/* cli/cmd_query.c: whist dp query: private statistics of a study's table. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/runs.h"
#include "cli/term.h"

#include <whist/learn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_QUERIES = 64, MAX_CHARGES = 4 * MAX_QUERIES };

typedef struct job {
    const cli_args *args;
    whist_study *study;
    whist_query *queries[MAX_QUERIES];
    whist_query_answer answers[MAX_QUERIES];
    size_t n;
    whist_dp_event charges[MAX_CHARGES];
    size_t n_charges;
    whist_query_terms terms;
    whist_data_source *sources;
    size_t n_sources;
    char folder[CLI_PATH];
} job;

static void job_end(job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        whist_query_free(j->queries[i]);
        whist_query_answer_clear(&j->answers[i]);
    }
    free(j->sources);
    whist_study_free(j->study);
}

/* What the mechanisms charged, for the report. */
static whist_status remember(void *user, const whist_dp_event *event)
{
    job *j = user;
    if (j->n_charges == MAX_CHARGES) return WHIST_E_RANGE;
    j->charges[j->n_charges++] = *event;
    return WHIST_OK;
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

static int read_terms(job *j)
{
    whist_query_terms *t = &j->terms;
    CLI_TRY(read_number(&t->epsilon, j->args, "epsilon", NAN));
    CLI_TRY(read_number(&t->delta, j->args, "delta", 0));
    CLI_TRY(read_relation(&t->payer.relation, j->args));
    t->public_n = cli_count(j->args, "public-n", 0);
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
        CLI_WORD(whist_query_parse(&j->queries[j->n], text, whist_study_schema(j->study)));
    }
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

/* One site, or all of the study. */
static int read_sources(job *j)
{
    const whist_fed_plan *plan = whist_study_plan(j->study);
    const char *name = cli_text(j->args, "site");
    CLI_TRY(cli_data_folder(j->folder, j->args, j->study));
    j->sources = calloc(plan->n_sites, sizeof *j->sources);
    if (!j->sources) return cli_no_memory();
    size_t site = 0;
    if (name) CLI_WORD(whist_study_site_find(j->study, name, &site));
    if (name) add_source(j, site);
    for (size_t s = 0; !name && s < plan->n_sites; s++) add_source(j, s);
    return CLI_OK;
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
        whist_json_real(json, answer->values[k].noise);
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
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int query_with(job *j)
{
    CLI_TRY(read_terms(j));
    CLI_LIB(whist_study_load(&j->study, j->args->words[0]));
    CLI_TRY(read_queries(j));
    CLI_TRY(read_sources(j));
    CLI_WORD(whist_query_run(j->answers, j->queries, j->n, whist_study_schema(j->study), j->sources, j->n_sources,
                             &j->terms));
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
    {"public-n", 0, CLI_COUNT, "N", "A public bound on the number of rows: delta has to be below 1/N.", .min = 1,
     .max = UINT64_C(1) << 40},
    {"steady", 0, CLI_FLAG, NULL,
     "Counts only: noise whose time does not depend on it, at the cost of a part of --delta."},
    {"relation", 0, CLI_TEXT, "R", "Neighbouring tables: add_remove (the default) or replace one row."},
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data (WHIST_DATA/SET, the study's set)."},
    {"site", 0, CLI_TEXT, "NAME", "The rows of this site only (all sites of the study)."},
    {0},
};

const cli_command cli_query_commands[] = {
    {"dp query", "STUDY", "Ask for private statistics of a table",
     "Queries: count, count(COLUMN=LEVEL), sum(COLUMN, LOW, HIGH), mean(…), variance(…), quantile(COLUMN, Q, LOW, "
     "HIGH), "
     "histogram(CATEGORY), histogram(COLUMN, LOW, HIGH, BINS), contingency(CATEGORY, CATEGORY). LOW and HIGH are "
     "bounds "
     "that are known without the data.\n\n"
     "The schema is the study's; a row is the unit of privacy. Every run spends its epsilon anew: answers of two runs "
     "together cost both.",
     options, 1, 1, query},
    {0},
};
