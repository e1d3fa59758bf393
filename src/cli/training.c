/* cli/training.c: what a central training tells. */
#include "cli/training.h"

#include "cli/fail.h"
#include "cli/file.h"
#include "cli/hex.h"
#include "cli/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double value_of(const whist_metric_value *v)
{
    return v->den > 0 ? v->num / v->den : NAN;
}

static const char *fold_name(whist_fold fold)
{
    return fold == WHIST_FOLD_VALIDATION ? "validation" : "test";
}

static void add_metrics(cli_table *table, const whist_metric_value *values, size_t n)
{
    for (size_t m = 0; m < n; m++) {
        double value = value_of(&values[m]);
        if (isnan(value))
            cli_table_add(table, "–");
        else
            cli_table_add(table, "%.4f", value);
    }
}

/* ---- Table ---- */

/* Of many points every k-th, and the last. */
static int print_points(const cli_training *t)
{
    enum { SHOWN = 20 };
    const whist_fed_plan *plan = whist_study_plan(t->study);
    size_t n, every;
    const whist_train_point *points = whist_train_points(t->train, &n);
    if (n == 0) return CLI_OK;
    every = (n + SHOWN - 1) / SHOWN;
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(4 + plan->n_metrics);
    cli_table_add(table, "epoch");
    cli_table_add(table, "step");
    cli_table_add(table, "lr");
    cli_table_add(table, "loss");
    for (size_t m = 0; m < plan->n_metrics; m++)
        cli_table_add(table, "%s %s", fold_name(points[0].fold), plan->metrics[m]);
    for (size_t i = 0; i < n; i++) {
        if ((n - 1 - i) % every) continue;
        cli_table_add(table, "%.4g", points[i].epoch);
        cli_table_add(table, "%llu", (unsigned long long)points[i].step);
        cli_table_add(table, "%.3g", points[i].lr);
        cli_table_add(table, "%.4f", points[i].loss);
        add_metrics(table, points[i].metrics, plan->n_metrics);
    }
    return cli_table_print(table, stdout);
}

static int print_test(const cli_training *t)
{
    const whist_fed_plan *plan = whist_study_plan(t->study);
    if (!whist_dataset_rows(t->data, WHIST_FOLD_TEST).n || !plan->n_metrics) return CLI_OK;
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(2 + plan->n_metrics);
    cli_table_add(table, "%s", "");
    for (size_t m = 0; m < plan->n_metrics; m++) cli_table_add(table, "%s", plan->metrics[m]);
    cli_table_add(table, "rows");
    cli_table_add(table, "test");
    add_metrics(table, t->test, plan->n_metrics);
    cli_table_add(table, "%.0f", t->test[0].n);
    return cli_table_print(table, stdout);
}

int cli_training_print(const cli_training *t)
{
    const whist_fed_plan *plan = whist_study_plan(t->study);
    whist_training training;
    if (!whist_study_training(t->study, &training)) return CLI_FAILED;
    printf("%s: %s, %zu parameters, %s, %zu training rows, %llu steps, %.1f s\n", plan->name,
           whist_model_class_name(plan->model), whist_model_size(plan->model), training.optimizer,
           whist_dataset_rows(t->data, WHIST_FOLD_TRAIN).n, (unsigned long long)whist_train_done(t->train, NULL),
           t->seconds);
    CLI_TRY(print_points(t));
    CLI_TRY(print_test(t));
    return cli_flush();
}

/* ---- JSON ---- */

static void put_metrics(whist_json *json, const whist_fed_plan *plan, const whist_metric_value *values)
{
    whist_json_begin_object(json);
    for (size_t m = 0; m < plan->n_metrics; m++) {
        whist_json_key(json, plan->metrics[m]);
        whist_json_real(json, value_of(&values[m]));
    }
    whist_json_end_object(json);
}

static void put_points(whist_json *json, const cli_training *t)
{
    size_t n;
    const whist_train_point *points = whist_train_points(t->train, &n);
    whist_json_key(json, "points");
    whist_json_begin_array(json);
    for (size_t i = 0; i < n; i++) {
        whist_json_begin_object(json);
        whist_json_key(json, "step"), whist_json_uint(json, points[i].step);
        whist_json_key(json, "epoch"), whist_json_real(json, points[i].epoch);
        whist_json_key(json, "lr"), whist_json_real(json, points[i].lr);
        whist_json_key(json, "loss"), whist_json_real(json, points[i].loss);
        whist_json_key(json, fold_name(points[i].fold));
        put_metrics(json, whist_study_plan(t->study), points[i].metrics);
        whist_json_end_object(json);
    }
    whist_json_end_array(json);
}

int cli_training_json(const cli_training *t)
{
    const whist_fed_plan *plan = whist_study_plan(t->study);
    whist_training training;
    if (!whist_study_training(t->study, &training)) return CLI_FAILED;
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, plan->study));
    whist_json_key(json, "seed"), whist_json_uint(json, plan->seed);
    whist_json_key(json, "model"), whist_json_text(json, whist_model_class_name(plan->model));
    whist_json_key(json, "parameters"), whist_json_uint(json, whist_model_size(plan->model));
    whist_json_key(json, "optimizer"), whist_json_text(json, training.optimizer);
    whist_json_key(json, "rows"), whist_json_uint(json, whist_dataset_rows(t->data, WHIST_FOLD_TRAIN).n);
    whist_json_key(json, "steps"), whist_json_uint(json, whist_train_done(t->train, NULL));
    whist_json_key(json, "seconds"), whist_json_real(json, t->seconds);
    whist_json_key(json, "threads"), whist_json_uint(json, t->threads);
    put_points(json, t);
    whist_json_key(json, "test");
    put_metrics(json, plan, t->test);
    whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
    whist_json_key(json, "machine"), whist_json_text(json, whist_machine());
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* ---- Chart ---- */

int cli_training_plot(const cli_training *t, const char *path)
{
    const whist_fed_plan *plan = whist_study_plan(t->study);
    size_t n, logloss = plan->n_metrics;
    const whist_train_point *points = whist_train_points(t->train, &n);
    for (size_t m = 0; m < plan->n_metrics; m++)
        if (strcmp(plan->metrics[m], "logloss") == 0) logloss = m;
    double *numbers = calloc(3 * n + 1, sizeof *numbers);
    if (!numbers) return cli_no_memory();
    double *at = numbers, *loss = numbers + n, *held = numbers + 2 * n;
    bool steps = n && points[n - 1].epoch < 2; /* a long pass is told by its steps */
    for (size_t i = 0; i < n; i++) {
        at[i] = steps ? (double)points[i].step : points[i].epoch, loss[i] = points[i].loss;
        if (logloss < plan->n_metrics) held[i] = value_of(&points[i].metrics[logloss]);
    }
    const whist_plot_line lines[] = {{"training", at, loss, n}, {n ? fold_name(points[0].fold) : "", at, held, n}};
    const whist_plot plot = {.title = plan->name,
                             .x_label = steps ? "step" : "epoch",
                             .y_label = "loss",
                             .lines = lines,
                             .n_lines = logloss < plan->n_metrics ? 2 : 1};
    int code = cli_plot_write(path, &plot);
    free(numbers);
    return code;
}

int cli_check_checkpoint(const cli_args *args)
{
    const char *checkpoint = cli_text(args, "checkpoint");
    if (cli_flag(args, "resume") && !checkpoint)
        return cli_fail_text(CLI_USAGE, "usage", "--resume goes on from a file: name it with --checkpoint FILE");
    if (cli_flag(args, "every") && !checkpoint)
        return cli_fail_text(CLI_USAGE, "usage", "--every is about checkpoints: name the file with --checkpoint FILE");
    if (checkpoint && cli_exists(checkpoint) && !cli_flag(args, "resume"))
        return cli_fail_text(CLI_FAILED, "state",
                             "%s is there already: add --resume to go on from it, or remove it to begin anew",
                             checkpoint);
    return CLI_OK;
}
