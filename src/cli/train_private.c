/* cli/train_private.c: private training in one place, paid for from a ledger, and what may be told of it. */
#include "cli/train_private.h"

#include "cli/hex.h"
#include "cli/purse.h"
#include "cli/signals.h"

#include <whist/run.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)
CLI_ENDER(moments_end, float, whist_moments_free)

typedef struct private_job {
    const cli_args *args;
    const whist_study *study;
    const whist_fed_plan *plan;
    whist_dataset *data;
    whist_ledger_config config;
    whist_purse *purse;
    whist_private_trained trained;
    whist_metric_value test[WHIST_MAX_METRICS]; /* only where the study lets them leave in plain */
    double seconds;
    size_t searched; /* candidates; 0: no search */
    whist_private_found found;
    char best[256];
} private_job;

static void private_job_clear(private_job *j)
{
    whist_private_trained_clear(&j->trained);
    whist_dataset_free(j->data);
    whist_purse_free(j->purse);
}

/* What is for training in the open only. */
static int check_options(const cli_args *args)
{
    static const char *const open[] = {"checkpoint", "resume", "every", "metrics", "plot"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (cli_flag(args, open[i]))
            return cli_fail_text(
                CLI_USAGE, "usage",
                "--%s is for studies without a promise: the ledger keeps the state of a private training, "
                "and its course on private rows is not shown",
                open[i]);
    return CLI_OK;
}

static int open_all(private_job *j, const char *folder)
{
    CLI_AUTO(moments_end) float *moments = NULL;
    bool made_up = whist_study_schema(j->study)->format == WHIST_DATA_SYNTHETIC;
    CLI_TRY(cli_purse_open(&j->purse, &j->config, j->args, made_up));
    CLI_LIB(whist_study_open_joined(j->study, folder, &j->data, &moments));
    return CLI_OK;
}

static whist_private_training training_of(const private_job *j, cli_progress *progress)
{
    return (whist_private_training){.plan = j->plan,
                                    .data = j->data,
                                    .purse = j->purse,
                                    .threads = cli_threads(j->args),
                                    .progress = cli_progress_show,
                                    .user = progress};
}

static int run(private_job *j)
{
    uint8_t text[40], id[32];
    cli_progress progress;
    cli_progress_init(&progress, j->args, cli_signals_catch());
    whist_private_training in = training_of(j, &progress);
    CLI_TRY(cli_purse_run(id, &in.run, j->purse, "training", whist_private_training_text(text, j->plan),
                          cli_flag(j->args, "anew")));
    int64_t start = cli_now_ms();
    whist_status status = whist_train_private(&j->trained, &in);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    j->seconds = (double)(cli_now_ms() - start) / 1000;
    return CLI_OK;
}

/* ---- Search ---- */

enum { MAX_TRIED = 8, MAX_CANDIDATES = 4096 };

/* One --try NAME=VALUE,VALUE,… */
typedef struct tried {
    char text[512], *name, *value[64];
    size_t n;
} tried;

typedef struct grid {
    tried tried[MAX_TRIED];
    size_t n_tried, n;
    whist_settings *candidates[MAX_CANDIDATES];
} grid;

static void grid_clear(grid *g)
{
    for (size_t i = 0; i < g->n; i++) whist_settings_free(g->candidates[i]);
}

static int read_tried(tried *t, const char *text)
{
    char *rest;
    if (snprintf(t->text, sizeof t->text, "%s", text) >= (int)sizeof t->text || !(rest = strchr(t->text, '=')))
        return cli_fail_text(CLI_USAGE, "usage", "--try takes NAME=VALUE,VALUE,…, not '%.80s'", text);
    *rest++ = 0;
    t->name = t->text;
    while (rest && t->n < sizeof t->value / sizeof *t->value) t->value[t->n++] = strsep(&rest, ",");
    if (rest) return cli_fail_text(CLI_USAGE, "usage", "--try: more than 64 values of %s", t->name);
    return CLI_OK;
}

/* Candidate i: digits of i say which value of each. */
static int add_candidate(grid *g, const whist_fed_plan *plan, size_t i)
{
    CLI_LIB(whist_settings_copy(&g->candidates[g->n], plan->learner_settings));
    whist_settings *settings = g->candidates[g->n++];
    for (size_t k = 0; k < g->n_tried; k++) {
        const tried *t = &g->tried[k];
        CLI_WORD(whist_settings_set(settings, t->name, t->value[i % t->n]));
        i /= t->n;
    }
    return CLI_OK;
}

static int make_grid(grid *g, const private_job *j)
{
    size_t n = 1;
    for (const char *text; (text = cli_list(j->args, "try", g->n_tried)); g->n_tried++) {
        if (g->n_tried == MAX_TRIED)
            return cli_fail_text(CLI_USAGE, "usage", "--try: more than %d settings", MAX_TRIED);
        CLI_TRY(read_tried(&g->tried[g->n_tried], text));
        n *= g->tried[g->n_tried].n;
        if (n > MAX_CANDIDATES)
            return cli_fail_text(CLI_USAGE, "usage", "--try: more than %d candidates", MAX_CANDIDATES);
    }
    for (size_t i = 0; i < n; i++) CLI_TRY(add_candidate(g, j->plan, i));
    return CLI_OK;
}

static void describe_best(char out[256], const grid *g, size_t best)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t k = 0; k < g->n_tried && at < 200; k++) {
        const tried *t = &g->tried[k];
        at += (size_t)snprintf(out + at, 256 - at, "%s%s: %.40s", at ? ", " : "", t->name, t->value[best % t->n]);
        best /= t->n;
    }
}

static int describe_search(char **out, size_t *len, const private_job *j)
{
    FILE *text = open_memstream(out, len);
    if (!text) return cli_no_memory();
    for (size_t k = 0; cli_list(j->args, "try", k); k++) fprintf(text, "try %s\n", cli_list(j->args, "try", k));
    fprintf(text, "trials %s\n", cli_text(j->args, "trials") ? cli_text(j->args, "trials") : "");
    return fclose(text) == 0 ? CLI_OK : cli_no_memory();
}

/* The id of the plan and the search, for the run that is meant; the library makes the same one. */
static int search_run(uint64_t *run, const private_job *j, const char *text, size_t len)
{
    uint8_t plan[40], id[32];
    const whist_bytes first = whist_private_training_text(plan, j->plan);
    char *both = malloc(first.len + len);
    if (!both) return cli_no_memory();
    memcpy(both, first.data, first.len);
    memcpy(both + first.len, text, len);
    int code = cli_purse_run(id, run, j->purse, "search", (whist_bytes){(const uint8_t *)both, first.len + len},
                             cli_flag(j->args, "anew"));
    free(both);
    return code;
}

static int trials_of(double *out, const private_job *j, size_t n)
{
    const char *text = cli_text(j->args, "trials");
    char *end;
    *out = text ? strtod(text, &end) : (double)n;
    if (text && (end == text || *end))
        return cli_fail_text(CLI_USAGE, "usage", "--trials takes a number, not '%s'", text);
    return CLI_OK;
}

static int search_grid(private_job *j, const grid *g, char *text, size_t len)
{
    cli_progress progress;
    cli_progress_init(&progress, j->args, cli_signals_catch());
    whist_private_training training = training_of(j, &progress);
    whist_private_search in = {.training = &training,
                               .candidates = (const whist_settings *const *)g->candidates,
                               .n_candidates = g->n,
                               .text = {(const uint8_t *)text, len}};
    CLI_TRY(trials_of(&in.trials, j, g->n));
    CLI_TRY(search_run(&training.run, j, text, len));
    whist_status status = whist_search_private(&j->found, &in);
    cli_progress_end(&progress);
    if (status == WHIST_E_ARG) return cli_fail_word(status);
    CLI_LIB(status);
    j->trained = j->found.trained;
    j->searched = g->n;
    describe_best(j->best, g, j->found.best);
    return CLI_OK;
}

static int search(private_job *j)
{
    char *text = NULL;
    size_t len = 0;
    grid *g = calloc(1, sizeof *g);
    if (!g) return cli_no_memory();
    int code = make_grid(g, j);
    if (code == CLI_OK) code = describe_search(&text, &len, j);
    if (code == CLI_OK) code = search_grid(j, g, text, len);
    free(text);
    grid_clear(g);
    free(g);
    return code;
}

/* ---- What is told ---- */

static void print_search(const private_job *j)
{
    const whist_private_found *f = &j->found;
    printf("best of %zu candidates: %s\nthe search is inside epsilon: %s, at the price of %.4g (a random number of "
           "trials: "
           "%.4g, each candidate once: %.4g, one training: %.4g)\n",
           j->searched, j->best, f->how, f->trained.epsilon, f->random, f->once, f->single);
}

static void put_search(whist_json *json, const private_job *j)
{
    const whist_private_found *f = &j->found;
    whist_json_key(json, "search");
    whist_json_begin_object(json);
    whist_json_key(json, "inside_epsilon"), whist_json_bool(json, true);
    whist_json_key(json, "candidates"), whist_json_uint(json, j->searched);
    whist_json_key(json, "best"), whist_json_text(json, j->best);
    whist_json_key(json, "trials"), whist_json_text(json, f->how);
    whist_json_key(json, "epsilon_random"), whist_json_real(json, f->random);
    whist_json_key(json, "epsilon_once"), whist_json_real(json, f->once);
    whist_json_key(json, "epsilon_single"), whist_json_real(json, f->single);
    whist_json_end_object(json);
}

static bool tells_metrics(const private_job *j)
{
    return j->plan->privacy->plain_metrics && j->plan->n_metrics && whist_dataset_rows(j->data, WHIST_FOLD_TEST).n;
}

static double value_of(const whist_metric_value *v)
{
    return v->den > 0 ? v->num / v->den : NAN;
}

static int print_text(private_job *j)
{
    const whist_fed_plan *plan = j->plan;
    printf("%s: %s, %zu parameters, %s, %llu rounds", plan->name, whist_model_class_name(plan->model),
           whist_model_size(plan->model), plan->learner->name, (unsigned long long)j->trained.rounds);
    if (j->trained.kept) printf(" (%llu made and paid for before)", (unsigned long long)j->trained.kept);
    if (!j->searched) printf(", %.1f s", j->seconds); /* the time of a search would tell how many trials there were */
    printf("\nepsilon %.4g at delta %g for one %s (%s), of this %s alone\n", j->trained.epsilon, plan->privacy->delta,
           whist_dp_unit_name(plan->privacy->unit), whist_dp_relation_name(plan->privacy->relation),
           j->searched ? "search" : "training");
    if (j->searched)
        print_search(j);
    else
        printf(
            "settings that were found on these rows by other trainings are inside epsilon only if those were paid for: "
            "search with --try\n");
    if (j->purse) CLI_TRY(cli_purse_print(j->purse, &j->config));
    if (tells_metrics(j)) {
        CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(2 + plan->n_metrics);
        cli_table_add(table, "%s", "");
        for (size_t m = 0; m < plan->n_metrics; m++) cli_table_add(table, "%s", plan->metrics[m]);
        cli_table_add(table, "rows");
        cli_table_add(table, "test");
        for (size_t m = 0; m < plan->n_metrics; m++) cli_table_add(table, "%.4f", value_of(&j->test[m]));
        cli_table_add(table, "%.0f", j->test[0].n);
        CLI_TRY(cli_table_print(table, stdout));
    }
    return cli_flush();
}

static int print_json(private_job *j)
{
    const whist_fed_plan *plan = j->plan;
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, plan->study));
    whist_json_key(json, "seed"), whist_json_uint(json, plan->seed);
    whist_json_key(json, "learner"), whist_json_text(json, plan->learner->name);
    whist_json_key(json, "parameters"), whist_json_uint(json, whist_model_size(plan->model));
    whist_json_key(json, "rounds"), whist_json_uint(json, j->trained.rounds);
    whist_json_key(json, "kept"), whist_json_uint(json, j->trained.kept);
    if (!j->searched) whist_json_key(json, "seconds"), whist_json_real(json, j->seconds);
    if (j->searched) put_search(json, j);
    whist_json_key(json, "epsilon"), whist_json_real(json, j->trained.epsilon);
    whist_json_key(json, "delta"), whist_json_real(json, plan->privacy->delta);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(plan->privacy->unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(plan->privacy->relation));
    if (j->purse) CLI_TRY(cli_purse_json(json, j->purse, &j->config, j->trained.kept < j->trained.rounds));
    whist_json_key(json, "test");
    whist_json_begin_object(json);
    for (size_t m = 0; tells_metrics(j) && m < plan->n_metrics; m++)
        whist_json_key(json, plan->metrics[m]), whist_json_real(json, value_of(&j->test[m]));
    whist_json_end_object(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int finish(private_job *j)
{
    const char *path = cli_text(j->args, "out");
    const whist_fed_plan *plan = j->plan;
    char epsilon[32], delta[32];
    snprintf(epsilon, sizeof epsilon, "%.6g", j->trained.epsilon);
    snprintf(delta, sizeof delta, "%g", plan->privacy->delta);
    const whist_model_meta extra[] = {{"training", plan->learner->name},
                                      {"epsilon", epsilon},
                                      {"delta", delta},
                                      {"unit", whist_dp_unit_name(plan->privacy->unit)},
                                      {"relation", whist_dp_relation_name(plan->privacy->relation)},
                                      {NULL, NULL}};
    if (path) CLI_LIB(whist_model_save(path, plan, j->trained.params, NULL, extra));
    if (tells_metrics(j)) {
        const whist_rows rows = whist_dataset_rows(j->data, WHIST_FOLD_TEST);
        CLI_LIB(whist_learn_evaluate(j->test, plan->model, j->trained.params, &rows, plan->metrics, plan->n_metrics));
    }
    return cli_flag(j->args, "json") ? print_json(j) : print_text(j);
}

int cli_train_private(const cli_args *args, const whist_study *study, const char *folder)
{
    CLI_AUTO(private_job_clear) private_job j = {.args = args, .study = study, .plan = whist_study_plan(study)};
    CLI_TRY(check_options(args));
    CLI_TRY(open_all(&j, folder));
    CLI_TRY(cli_list(args, "try", 0) ? search(&j) : run(&j));
    return finish(&j);
}
