/* cli/cmd_predict.c: whist predict: a model file and rows give predictions. */
#include "cli/commands.h"
#include "cli/few.h"
#include "cli/file.h"
#include "cli/rows.h"
#include "cli/runs.h"

#include <whist/run.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)

/* The network of a learner by CAVIA's rule says nothing by itself: its head sees features through a layer that is the
 * learner's. */
static int check_learner(const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    const char *name = plan->learner->name;
    if (strcmp(name, "dp-meta") == 0) name = whist_settings_text(plan->learner_settings, "rule");
    if (strcmp(name, "cavia") != 0) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "unsupported",
                         "the head of this model sees its features through a context, which cavia finds by inner "
                         "steps: predict by whist meta adapt");
}

static int load_model(float **out, const cli_args *args, const whist_study *study)
{
    const whist_model *model = whist_study_plan(study)->model;
    CLI_TRY(check_learner(study));
    if (!cli_flag(args, "force")) CLI_TRY(cli_model_origin(args->words[0], study));
    float *params = calloc(whist_model_size(model), sizeof *params);
    if (!params) return cli_no_memory();
    whist_status status = whist_model_load(params, args->words[0], model);
    if (status == WHIST_OK)
        *out = params;
    else
        free(params);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

/* ---- Rows ---- */

static int open_rows(whist_dataset **out, const cli_args *args, const whist_study *study)
{
    const char *input = cli_text(args, "input");
    CLI_TRY(input ? cli_rows_input(out, args, study, input, NULL) : cli_rows_site(out, args, study));
    return cli_rows_standardize(*out, study, args->words[0]);
}

static int choose_rows(whist_rows *out, const cli_args *args, const whist_dataset *data)
{
    static const char *const names[] = {"train", "validation", "test"};
    const char *fold = cli_text(args, "fold");
    if (!fold) fold = "test";
    for (int f = 0; f < 3; f++)
        if (strcmp(fold, names[f]) == 0) {
            *out = whist_dataset_rows(data, (whist_fold)f);
            return CLI_OK;
        }
    return cli_fail_text(CLI_USAGE, "usage", "--fold takes train, validation or test, not '%s'", fold);
}

/* ---- Predicting and writing ---- */

static int predict_rows(float **out, const whist_model *model, const float *params, const whist_rows *rows, size_t k)
{
    whist_model_work *work;
    float *values = calloc(rows->n * k + 1, sizeof *values);
    if (!values) return cli_no_memory();
    whist_status status = whist_model_work_new(&work, model, 256);
    if (status == WHIST_OK) {
        status = whist_model_predict(model, work, params, rows->x, rows->n, values);
        whist_model_work_free(work);
    }
    if (status == WHIST_OK)
        *out = values;
    else
        free(values);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

static int csv_text(char **text, size_t *len, const float *values, const whist_rows *rows, size_t k)
{
    FILE *out = open_memstream(text, len);
    if (!out) return cli_no_memory();
    fputs("row", out);
    for (size_t j = 0; j < k; j++) fprintf(out, k == 1 ? ",prediction" : ",p%zu", j);
    fputs(",target\n", out);
    for (size_t i = 0; i < rows->n; i++) {
        fprintf(out, "%zu", i + 1);
        for (size_t j = 0; j < k; j++) fprintf(out, ",%.9g", (double)values[i * k + j]);
        if (isnan(rows->y[i]))
            fputs(",\n", out); /* nobody knows it yet */
        else
            fprintf(out, ",%.9g\n", (double)rows->y[i]);
    }
    return fclose(out) == 0 ? CLI_OK : cli_no_memory();
}

static int print_json(const float *values, const whist_rows *rows, size_t k)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "predictions");
    whist_json_begin_array(json);
    for (size_t i = 0; i < rows->n; i++) {
        if (k > 1) whist_json_begin_array(json);
        for (size_t j = 0; j < k; j++) whist_json_real(json, (double)values[i * k + j]);
        if (k > 1) whist_json_end_array(json);
    }
    whist_json_end_array(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int write_values(const cli_args *args, const float *values, const whist_rows *rows, size_t k)
{
    const char *path = cli_text(args, "out");
    char *text = NULL;
    size_t len = 0;
    if (cli_flag(args, "json") && !path) return print_json(values, rows, k);
    int code = csv_text(&text, &len, values, rows, k);
    if (code == CLI_OK && path)
        code = cli_write(path, text, len, 0600, CLI_WRITE_REPLACE);
    else if (code == CLI_OK)
        fwrite(text, 1, len, stdout);
    free(text);
    if (code == CLI_OK && path) printf(cli_flag(args, "json") ? "{\"rows\":%zu}\n" : "%zu rows\n", rows->n);
    return code == CLI_OK ? cli_flush() : code;
}

static int predict(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_AUTO(dataset_end) whist_dataset *data = NULL;
    whist_rows rows;
    float *params = NULL, *values = NULL;
    if (!cli_flag(args, "site") && !cli_flag(args, "input"))
        return cli_fail_text(CLI_USAGE, "usage", "whose rows? give --site NAME, or --input FILE for new ones");
    if (cli_flag(args, "fold") && cli_flag(args, "input"))
        return cli_fail_text(CLI_USAGE, "usage", "--input predicts all rows of the file: leave --fold out");
    CLI_LIB(whist_study_load(&study, args->words[1]));
    const whist_model *model = whist_study_plan(study)->model;
    size_t k = whist_model_shape_get(model).n_outputs;
    if (whist_model_shape_get(model).n_targets > 1)
        return cli_fail_text(CLI_FAILED, "unsupported", "a model of text predicts a token after every token, not rows");
    CLI_TRY(open_rows(&data, args, study));
    CLI_TRY(choose_rows(&rows, args, data));
    int code = load_model(&params, args, study);
    if (code == CLI_OK) code = predict_rows(&values, model, params, &rows, k);
    if (code == CLI_OK) code = write_values(args, values, &rows, k);
    free(params);
    free(values);
    return code;
}

static const cli_option options[] = {
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the site's data, with --site (WHIST_DATA/SET, the study's set)."},
    {"site", 0, CLI_TEXT, "NAME", "Predict this site's rows; with --input, the site the new rows belong to."},
    {"input", 'i', CLI_TEXT, "FILE",
     "Predict the rows of this CSV file: the study's columns, without target if need be."},
    {"fold", 0, CLI_TEXT, "FOLD", "Which of the site's rows: train, validation or test (test)."},
    {"out", 'o', CLI_TEXT, "FILE", "Write row, predictions and target as CSV there."},
    {"force", 0, CLI_FLAG, NULL, "Use a model of another study that has the same shape."},
    {0},
};

const cli_command cli_predict_commands[] = {
    {"predict", "MODEL STUDY", "Apply a model file to rows",
     "The model's metadata must name the study. Rows are standardised as they were in training: by the training rows "
     "of "
     "the site (--site and --data, also for --input), or by the pooled mean and sd that the model file holds.",
     options, 2, 2, predict},
    {0},
};
