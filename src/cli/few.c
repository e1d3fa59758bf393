/* cli/few.c: a study, its rows as few-shot tasks, and a model of it. */
#include "cli/few.h"

#include "cli/hex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cli_few_clear_one(cli_few *few)
{
    for (size_t i = 0; few->data && i < few->env.n_data; i++) whist_dataset_free(few->data[i]);
    free(few->data);
    free(few->names);
    free(few->moments);
    free(few->params);
    whist_study_free(few->study);
    *few = (cli_few){0};
}

int cli_few_real(double *out, const cli_args *args, const char *option, double fallback, double low, double high)
{
    const char *text = cli_text(args, option);
    char *end;
    *out = fallback;
    if (!text) return CLI_OK;
    *out = strtod(text, &end);
    if (*text && !*end && *out >= low && *out <= high) return CLI_OK;
    return cli_fail_text(CLI_USAGE, "usage", "--%s takes a number from %g to %g, not '%.40s'", option, low, high, text);
}

int cli_model_origin(const char *path, const whist_study *study)
{
    char digest[CLI_HEX], made_by[CLI_HEX] = "";
    whist_status status = whist_model_metadata(made_by, sizeof made_by, path, "study");
    if (status != WHIST_OK && status != WHIST_E_RANGE) return cli_fail(status); /* too long: no digest at all */
    if (strcmp(made_by, cli_hex(digest, whist_study_digest(study))) == 0) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "auth",
                         "%s was not made by this study (its metadata name another); --force "
                         "uses it all the same",
                         path);
}

/* ---- Rows --------------------------------------------------------------------------------------------- */

/* Which data sets there are: the rows of all sites as one (classes, persons), each site's own, or none. */
static int open_rows(cli_few *few, const cli_args *args)
{
    const whist_fed_plan *plan = whist_study_plan(few->study);
    const bool sites = few->env.episodes.kind == WHIST_TASKS_SITES;
    char folder[CLI_PATH];
    CLI_TRY(cli_data_folder(folder, args, few->study));
    few->data = calloc(plan->n_sites + 1, sizeof(whist_dataset *));
    few->names = calloc(plan->n_sites + 1, sizeof(char *));
    if (!few->data || !few->names) return cli_no_memory();
    CLI_LIB(whist_study_open_data(few->study, folder, few->data));
    few->env.n_data = plan->n_sites;
    for (size_t i = 0; i < plan->n_sites; i++) few->names[i] = plan->sites[i].name;
    if (sites) return CLI_OK;
    whist_dataset *all;
    CLI_LIB(whist_dataset_concat(&all, few->data, plan->n_sites));
    for (size_t i = 0; i < plan->n_sites; i++) whist_dataset_free(few->data[i]);
    few->data[0] = all;
    few->env.n_data = 1;
    return CLI_OK;
}

static int keep_one(cli_few *few, size_t keep)
{
    for (size_t i = 0; i < few->env.n_data; i++)
        if (i != keep) whist_dataset_free(few->data[i]);
    few->data[0] = few->data[keep];
    few->names[0] = few->names[keep];
    few->env.n_data = 1;
    return CLI_OK;
}

/* --leave-out drops a site, --site keeps one. */
static int choose_sites(cli_few *few, const cli_args *args)
{
    const char *out = cli_text(args, "leave-out"), *site = cli_text(args, "site");
    size_t at;
    if (!out && !site) return CLI_OK;
    if (few->env.episodes.kind != WHIST_TASKS_SITES)
        return cli_fail_text(CLI_USAGE, "usage", "--%s is for tasks that are sites (episodes.tasks: sites)",
                             out ? "leave-out" : "site");
    CLI_WORD(whist_study_site_find(few->study, out ? out : site, &at));
    if (site) return keep_one(few, at);
    if (few->env.n_data == 1)
        return cli_fail_text(CLI_USAGE, "usage", "--leave-out %s would leave no site at all", out);
    few->left_out = few->names[at];
    whist_dataset_free(few->data[at]);
    few->env.n_data--;
    for (size_t i = at; i < few->env.n_data; i++) few->data[i] = few->data[i + 1], few->names[i] = few->names[i + 1];
    few->data[few->env.n_data] = NULL;
    return CLI_OK;
}

/* ---- Mean and sd ------------------------------------------------------------------------------------------ */

/* Of the training rows of the sites that are there. */
static void pool_moments(const cli_few *few, double *sums, double *all, size_t d)
{
    for (size_t i = 0; i < few->env.n_data; i++) {
        whist_dataset_moments(few->data[i], sums);
        for (size_t j = 0; j < 2 * d + 1; j++) all[j] += sums[j];
    }
    for (size_t j = 0; j < d; j++) {
        double n = all[0], off = all[1 + d + j] - all[1 + j] * all[1 + j] / n;
        few->moments[j] = (float)(all[1 + j] / n);
        few->moments[d + j] = n > 1 && off > 0 ? (float)sqrt(off / (n - 1)) : 0;
    }
}

static int standardize(cli_few *few)
{
    if (!whist_study_plan(few->study)->pooled_moments || few->env.n_data == 0) return CLI_OK;
    size_t d = whist_dataset_features(few->data[0]);
    bool given = few->moments != NULL; /* by the model file */
    double *numbers = calloc(6 * d + 2, sizeof *numbers), *mean = numbers, *sd = mean + d;
    if (!given) few->moments = calloc(2 * d, sizeof *few->moments);
    if (!numbers || !few->moments) {
        free(numbers);
        return cli_no_memory();
    }
    whist_status status = WHIST_OK;
    if (!given) pool_moments(few, sd + d, sd + d + 2 * d + 1, d);
    for (size_t j = 0; j < 2 * d; j++) mean[j] = (double)few->moments[j]; /* as a model file holds them */
    for (size_t i = 0; status == WHIST_OK && i < few->env.n_data; i++)
        status = whist_dataset_standardize(few->data[i], mean, sd);
    free(numbers);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

/* ---- All of it --------------------------------------------------------------------------------------------- */

static int read_design(cli_few *few, const cli_args *args)
{
    whist_episodes *e = &few->env.episodes;
    const char *statistics = cli_text(args, "statistics");
    const whist_fed_plan *plan = whist_study_plan(few->study);
    if (!whist_study_episodes(few->study, e) && !whist_meta_own_tasks(e, plan->learner, plan->learner_settings))
        return cli_fail_text(CLI_FAILED, "unsupported", "study %s has no section 'episodes': add one (docs/study.md)",
                             whist_study_name(few->study));
    if (cli_flag(args, "ways") && e->kind != WHIST_TASKS_CLASSES)
        return cli_fail_text(CLI_USAGE, "usage", "--ways is for tasks of classes");
    e->ways = (uint32_t)cli_count(args, "ways", e->ways);
    e->shots = (uint32_t)cli_count(args, "shots", e->shots);
    e->queries = (uint32_t)cli_count(args, "queries", e->queries);
    if (!statistics) return CLI_OK;
    if (strcmp(statistics, "batch") != 0 && strcmp(statistics, "support") != 0)
        return cli_fail_text(CLI_USAGE, "usage", "--statistics takes batch or support, not '%s'", statistics);
    e->support_statistics = statistics[0] == 's';
    return CLI_OK;
}

static int load_params(cli_few *few, const cli_args *args, const char *path)
{
    if (!cli_flag(args, "force")) CLI_TRY(cli_model_origin(path, few->study));
    few->params = calloc(whist_model_size(few->env.model), sizeof *few->params);
    if (!few->params) return cli_no_memory();
    CLI_LIB(whist_model_load(few->params, path, few->env.model));
    return CLI_OK;
}

/* What a model file says of mean and sd, to be written again with a model made of it. */
static int load_moments(cli_few *few, const char *path)
{
    size_t d = whist_study_plan(few->study)->n_features;
    if (!whist_study_plan(few->study)->pooled_moments) return CLI_OK;
    double *numbers = calloc(2 * d, sizeof *numbers);
    few->moments = calloc(2 * d, sizeof *few->moments);
    if (!numbers || !few->moments) {
        free(numbers);
        return cli_no_memory();
    }
    whist_status status = whist_model_load_moments(numbers, numbers + d, path, d);
    for (size_t j = 0; status == WHIST_OK && j < 2 * d; j++) few->moments[j] = (float)numbers[j];
    free(numbers);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

int cli_few_study(cli_few *few, const cli_args *args, const char *study, const char *model)
{
    CLI_LIB(whist_study_load(&few->study, study));
    CLI_TRY(read_design(few, args));
    whist_study_set_seed(few->study, cli_count(args, "seed", whist_study_plan(few->study)->seed));
    const whist_fed_plan *plan = whist_study_plan(few->study);
    few->env.model = plan->model;
    few->env.learner = plan->learner;
    few->env.settings = plan->learner_settings;
    few->env.seed = plan->seed;
    few->env.study = plan->study;
    few->env.threads = cli_threads(args);
    if (!model) return CLI_OK;
    CLI_TRY(load_params(few, args, model));
    return load_moments(few, model);
}

int cli_few_open(cli_few *few, const cli_args *args, const char *study, const char *model)
{
    CLI_TRY(cli_few_study(few, args, study, model));
    if (few->env.episodes.kind != WHIST_TASKS_SINUSOID) CLI_TRY(open_rows(few, args));
    CLI_TRY(choose_sites(few, args));
    CLI_TRY(standardize(few));
    /* The rows are the few's, and nobody moves them any more. */
    few->env.data = (const whist_dataset *const *)few->data;
    few->env.names = few->names;
    /* One site is measured on all its test rows. */
    if (cli_text(args, "site") && !cli_flag(args, "queries"))
        few->env.episodes.queries = (uint32_t)whist_dataset_rows(few->data[0], WHIST_FOLD_TEST).n;
    return CLI_OK;
}
