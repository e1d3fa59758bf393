/* cli/train_private.c: private training in one place, paid for from a ledger, and what may be told of it. */
#include "cli/train_private.h"

#include "cli/hex.h"
#include "cli/purse.h"
#include "cli/signals.h"

#include <whist/run.h>

#include <math.h>
#include <stdio.h>
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

static int run(private_job *j)
{
    uint8_t text[40], id[32];
    cli_progress progress;
    cli_progress_init(&progress, j->args, cli_signals_catch());
    whist_private_training in = {
        .plan = j->plan, .data = j->data, .purse = j->purse, .progress = cli_progress_show, .user = &progress};
    CLI_TRY(cli_purse_run(id, &in.run, j->purse, "training", whist_private_training_text(text, j->plan),
                          cli_flag(j->args, "anew")));
    int64_t start = cli_now_ms();
    whist_status status = whist_train_private(&j->trained, &in);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    j->seconds = (double)(cli_now_ms() - start) / 1000;
    return CLI_OK;
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
    printf(", %.1f s\nepsilon %.4g at delta %g for one %s (%s), of this training alone\n", j->seconds,
           j->trained.epsilon, plan->privacy->delta, whist_dp_unit_name(plan->privacy->unit),
           whist_dp_relation_name(plan->privacy->relation));
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
    whist_json_key(json, "seconds"), whist_json_real(json, j->seconds);
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
    CLI_TRY(run(&j));
    return finish(&j);
}
