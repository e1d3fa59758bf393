/* cli/cmd_train.c: whist train: a study's model on all rows in one place. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/file.h"
#include "cli/purse.h"
#include "cli/runs.h"
#include "cli/signals.h"
#include "cli/train_private.h"
#include "cli/training.h"

#include <whist/run.h>

#include <stdio.h>

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)
CLI_ENDER(train_end, whist_train, whist_train_free)
CLI_ENDER(moments_end, float, whist_moments_free)

static int new_train(whist_train **out, const cli_args *args, const whist_study *study, const whist_dataset *data,
                     unsigned threads)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    const char *checkpoint = cli_text(args, "checkpoint");
    whist_train_env env = {
        .model = plan->model,
        .data = data,
        .seed = plan->seed,
        .metrics = plan->metrics,
        .n_metrics = plan->n_metrics,
        .threads = threads,
        .study = plan->study,
    };
    whist_episodes few;
    if (whist_study_episodes(study, &few))
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "study %s learns over few-shot tasks (section 'episodes'): whist meta train does that",
                             plan->name);
    if (!whist_study_training(study, &env.training))
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "study %s has no section 'training': add one (docs/study.md), or simulate the federation",
                             plan->name);
    CLI_LIB(whist_train_new(out, &env));
    if (checkpoint && cli_exists(checkpoint)) CLI_LIB(whist_train_load(*out, checkpoint));
    return CLI_OK;
}

static int save_model(const cli_args *args, const cli_training *t, const float *moments)
{
    const char *path = cli_text(args, "out");
    char steps[24];
    whist_training training;
    if (!path || !whist_study_training(t->study, &training)) return CLI_OK;
    snprintf(steps, sizeof steps, "%llu", (unsigned long long)whist_train_done(t->train, NULL));
    const whist_model_meta extra[] = {{"training", training.optimizer}, {"steps", steps}, {NULL, NULL}};
    CLI_LIB(whist_model_save(path, whist_study_plan(t->study), whist_train_params(t->train), moments, extra));
    return CLI_OK;
}

static int finish(const cli_args *args, cli_training *t, const float *moments)
{
    CLI_LIB(whist_train_measure(t->train, WHIST_FOLD_TEST, t->test));
    CLI_TRY(save_model(args, t, moments));
    if (cli_flag(args, "metrics")) CLI_LIB(whist_train_save_points(t->train, cli_text(args, "metrics")));
    if (cli_flag(args, "plot")) CLI_TRY(cli_training_plot(t, cli_text(args, "plot")));
    return cli_flag(args, "json") ? cli_training_json(t) : cli_training_print(t);
}

static int train_in_the_open(const cli_args *args, const whist_study *study, const char *folder)
{
    CLI_AUTO(dataset_end) whist_dataset *data = NULL;
    CLI_AUTO(moments_end) float *moments = NULL;
    CLI_AUTO(train_end) whist_train *run = NULL;
    if (cli_flag(args, "ledger") || cli_flag(args, "anew") || cli_list(args, "try", 0) || cli_flag(args, "trials"))
        return cli_fail_text(
            CLI_USAGE, "usage",
            "study %s makes no promise, so there is nothing to pay for: leave out --ledger, --anew and --try, or "
            "give it a private learner and a section privacy",
            whist_study_name(study));
    unsigned threads = cli_threads(args);
    CLI_LIB(whist_study_open_joined(study, folder, &data, &moments));
    CLI_TRY(new_train(&run, args, study, data, threads));
    cli_progress progress;
    cli_progress_init(&progress, args, cli_signals_catch());
    const whist_train_go go = {
        .checkpoint = cli_text(args, "checkpoint"),
        .every = cli_count(args, "every", 0),
        .progress = cli_progress_show,
        .user = &progress,
    };
    int64_t start = cli_now_ms();
    whist_status status = whist_train_run(run, &go);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    cli_training t = {.study = study,
                      .train = run,
                      .data = data,
                      .seconds = (double)(cli_now_ms() - start) / 1000,
                      .threads = threads};
    return finish(args, &t, moments);
}

static int train(const cli_args *args)
{
    CLI_TRY(cli_check_checkpoint(args));
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    char folder[CLI_PATH];
    CLI_TRY(cli_data_folder(folder, args, study));
    whist_study_set_seed(study, cli_count(args, "seed", whist_study_plan(study)->seed));
    return whist_study_plan(study)->privacy ? cli_train_private(args, study, folder)
                                            : train_in_the_open(args, study, folder);
}

static const cli_option options[] = {
    {"data", 'd', CLI_TEXT, "DIR",
     "Folder with the data (WHIST_DATA/SET, the study's set); not needed for synthetic data."},
    {"seed", 's', CLI_COUNT, "S", "Train with this seed instead of the study's.", .max = UINT64_MAX},
    {"threads", 't', CLI_COUNT, "N", "Threads (all cores). They change the time, not the result.", .min = 1,
     .max = 256},
    {"out", 'o', CLI_TEXT, "FILE", "Write the model as safetensors."},
    {"metrics", 0, CLI_TEXT, "DIR", "Folder for training.csv and TensorBoard events."},
    {"plot", 0, CLI_TEXT, "FILE", "Write the loss over epochs as an SVG chart."},
    {"checkpoint", 'c', CLI_TEXT, "FILE", "Write the state of the training there now and then, and at its end."},
    {"every", 0, CLI_COUNT, "N", "Steps from one checkpoint to the next (once an epoch).", .min = 1, .max = UINT64_MAX},
    {"resume", 0, CLI_FLAG, NULL,
     "Go on from the checkpoint, if it is there. The result is that of a run without a break."},
    CLI_LEDGER_OPTION,
    CLI_ANEW_OPTION,
    {"try", 0, CLI_LIST, "NAME=V,V,…",
     "Private trainings: search over these values of a setting of the learner, inside epsilon; several make a grid."},
    {"trials", 0, CLI_TEXT, "M", "Mean number of trials of a search, where it is random (as many as candidates)."},
    {0},
};

const cli_command cli_train_commands[] = {
    {"train", "STUDY", "Train a study's model in one place, on the rows of all its sites",
     "The study's section 'training' says how. Validation rows, where the study has some, are measured on the way and "
     "test rows at the end; otherwise the test rows are measured on the way.\n\nCtrl-C and SIGTERM write a last "
     "checkpoint; "
     "the same command with --resume goes on from there, and after kill -9 from the one before.\n\nA study with a "
     "section "
     "'privacy' is trained by its learner, which must be a private one, for its rounds. Each round is charged to the "
     "ledger before anything of it is to be seen; its model is kept there, so the same command goes on after a break, "
     "and once more gives the same model and costs nothing.",
     options, 1, 1, train},
    {0},
};
