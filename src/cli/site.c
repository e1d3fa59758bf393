/* cli/site.c: from CONFIG and --study to everything that a site's work needs. */
#include "cli/site.h"

#include <string.h>

enum { MAX_NAMES = 1024 };

static int find_self(cli_site *s)
{
    const whist_fed_plan *plan = whist_study_plan(s->study);
    for (size_t i = 0; i < plan->n_parties; i++)
        if (strcmp(plan->parties[i].name, s->config.name) == 0) {
            s->party = true;
            s->index = i;
            return CLI_OK;
        }
    CLI_LIB(whist_study_site_find(s->study, s->config.name, &s->index));
    return CLI_OK;
}

/* A column that the configuration renames must be in the study. */
static int check_columns(const cli_site *s)
{
    const whist_schema *schema = whist_study_schema(s->study);
    if (s->config.n_columns && schema->n_columns > MAX_NAMES)
        return cli_fail_text(CLI_FAILED, "unsupported", "columns can be renamed in studies of up to %d columns",
                             MAX_NAMES);
    for (size_t i = 0; i < s->config.n_columns; i++) {
        size_t c = 0;
        while (c < schema->n_columns && strcmp(schema->columns[c].name, s->config.columns[i].study) != 0) c++;
        if (c == schema->n_columns)
            return cli_fail_text(CLI_FAILED, "format", "%s: columns: the study has no column '%s'", s->args->words[0],
                                 s->config.columns[i].study);
    }
    return CLI_OK;
}

static int open_parts(cli_site *s)
{
    CLI_LIB(whist_site_config_load(&s->config, s->args->words[0]));
    CLI_LIB(whist_study_load(&s->study, cli_text(s->args, "study")));
    CLI_TRY(find_self(s));
    return check_columns(s);
}

int cli_site_open(cli_site *out, const cli_args *args)
{
    *out = (cli_site){.args = args};
    int code = open_parts(out);
    if (code != CLI_OK) {
        cli_site_close(out);
        return code;
    }
    const whist_site_config *config = &out->config;
    const char *url = cli_text(args, "coordinator");
    out->run = (whist_site_run){
        .plan = whist_study_plan(out->study),
        .study_text = whist_study_text(out->study),
        .index = out->index,
        .identity = {config->ca, config->certificate, config->key, config->crl, config->passphrase_file},
        .state = config->state,
        .coordinator = url ? url : config->coordinator,
        .proxy = config->proxy,
        .min_metric_count = config->policy.min_metric_count,
        .dataset = config->dataset,
        .max_epsilon = config->policy.max_epsilon,
        .max_delta = config->policy.max_delta,
        .max_state_bytes = config->max_state_bytes,
    };
    return CLI_OK;
}

void cli_site_close(cli_site *site)
{
    whist_dataset_free(site->data);
    whist_study_free(site->study);
    site->data = NULL;
    site->study = NULL;
}

/* The site's own header name for a column, or NULL. */
static const char *local_name(const whist_site_config *config, const char *column)
{
    for (size_t i = 0; i < config->n_columns; i++)
        if (strcmp(config->columns[i].study, column) == 0) return config->columns[i].local;
    return NULL;
}

whist_status cli_site_open_data(cli_site *s)
{
    const whist_schema *schema = whist_study_schema(s->study);
    const whist_fed_plan *plan = whist_study_plan(s->study);
    const char *names[MAX_NAMES] = {0};
    bool renamed = s->config.n_columns > 0;
    if (s->party || s->data) return WHIST_OK;
    for (size_t c = 0; renamed && c < schema->n_columns; c++)
        names[c] = local_name(&s->config, schema->columns[c].name);
    const whist_data_source source = {
        .folder = s->config.data,
        .file = s->config.file[0] ? s->config.file : whist_study_site_file(s->study, s->index),
        .site = plan->sites[s->index].name,
        .site_index = s->index,
        .n_sites = plan->n_sites,
        .seed = plan->seed,
        .local_names = renamed ? names : NULL,
    };
    whist_status status = whist_dataset_open(&s->data, schema, &source);
    s->run.data = s->data;
    return status;
}

whist_status cli_site_policy(const cli_site *site)
{
    return whist_policy_check(&site->config.policy, site->study);
}
