/* cli/cmd_simulate.c: whist simulate: a whole federation in this process. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/file.h"
#include "cli/hex.h"
#include "cli/runs.h"
#include "cli/signals.h"

#include <whist/run.h>

#include <stdlib.h>

static int check_together(const cli_args *args)
{
    if (cli_flag(args, "seed") && cli_flag(args, "seeds"))
        return cli_fail_text(CLI_USAGE, "usage", "--seed is one seed and --seeds is many: give one of them");
    if (cli_count(args, "seeds", 1) > 1 && (cli_flag(args, "replay") || cli_flag(args, "model")))
        return cli_fail_text(CLI_USAGE, "usage", "--replay and --model are about one run: leave --seeds out");
    return CLI_OK;
}

/* Rows that belong to somebody: what is told of them would be a release, and here nobody pays for it. */
static bool is_unpaid(const whist_study *study)
{
    return whist_study_plan(study)->privacy && whist_study_schema(study)->format != WHIST_DATA_SYNTHETIC;
}

static int print_json(const whist_study *study, const cli_results *results, double seconds)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, plan->study));
    whist_json_key(json, "strategy"), whist_json_text(json, plan->strategy->name);
    whist_json_key(json, "learner"), whist_json_text(json, plan->learner->name);
    whist_json_key(json, "seeds"), whist_json_uint(json, results->n);
    whist_json_key(json, "rounds"), whist_json_uint(json, results->runs[0].rounds);
    whist_json_key(json, "seconds"), whist_json_real(json, seconds);
    cli_results_json(json, results);
    if (plan->privacy) whist_json_key(json, "charged"), whist_json_bool(json, false);
    whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
    whist_json_key(json, "machine"), whist_json_text(json, whist_machine());
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int print_text(const whist_study *study, const cli_results *results, double seconds)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    printf("%s: %s, %zu sites, %u round%s, %zu seed%s, %.2f s\n", plan->name, plan->strategy->name, plan->n_sites,
           results->runs[0].rounds, results->runs[0].rounds == 1 ? "" : "s", results->n, results->n == 1 ? "" : "s",
           seconds);
    CLI_TRY(cli_results_table(results, stdout));
    cli_results_privacy(results, stdout);
    if (is_unpaid(study))
        printf("         of %s; a simulation is charged to no ledger: what others get to see of it is a release that "
               "nobody paid for\n",
               results->n > 1 ? "each seed" : "this run");
    return cli_flush();
}

/* One run's files lie in the folder itself; many seeds, which begin at 0, have a folder each. */
static int save_metrics(const char *folder, const cli_results *results)
{
    char path[CLI_PATH];
    for (size_t k = 0; k < results->n; k++) {
        if (results->n > 1) CLI_TRY(cli_path(path, "%s/seed-%zu", folder, k));
        CLI_LIB(whist_metrics_save(results->n > 1 ? path : folder, results->plan, &results->runs[k]));
    }
    return CLI_OK;
}

static int finish(const cli_args *args, const whist_study *study, const cli_runs *runs, double seconds)
{
    const cli_results results = {whist_study_plan(study), runs->runs, runs->n};
    const char *model = cli_text(args, "model"), *metrics = cli_text(args, "metrics");
    if (model && !runs->runs[0].model)
        return cli_fail_text(CLI_FAILED, "unsupported", "the local baseline has a model at each site, none to write");
    const whist_model_meta unpaid[] = {{"ledger", "none: simulated, charged to no ledger"}, {NULL, NULL}};
    if (model)
        CLI_LIB(whist_model_save(model, results.plan, runs->runs[0].model, runs->runs[0].moments,
                                 is_unpaid(study) ? unpaid : NULL));
    if (metrics) CLI_TRY(save_metrics(metrics, &results));
    return cli_flag(args, "json") ? print_json(study, &results, seconds) : print_text(study, &results, seconds);
}

static int simulate(const cli_args *args)
{
    CLI_TRY(check_together(args));
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    char folder[CLI_PATH];
    CLI_TRY(cli_data_folder(folder, args, study));
    uint64_t own_seed = cli_flag(args, "seeds") ? 0 : whist_study_plan(study)->seed;
    cli_progress progress;
    cli_progress_init(&progress, args, cli_signals_catch());
    const cli_runs_in in = {
        .study = study,
        .path = args->words[0],
        .data = folder,
        .opened = cli_data_warn,
        .first_seed = cli_count(args, "seed", own_seed),
        .n_seeds = (size_t)cli_count(args, "seeds", 1),
        .threads = cli_threads(args),
        .replay = cli_text(args, "replay"),
        .progress = &progress,
    };
    whist_study_set_seed(study, in.first_seed);
    int64_t start = cli_now_ms();
    CLI_AUTO(cli_runs_clear) cli_runs runs = {0};
    CLI_TRY(cli_runs_do(&runs, &in));
    return finish(args, study, &runs, (double)(cli_now_ms() - start) / 1000);
}

static const cli_option options[] = {
    {"data", 'd', CLI_TEXT, "DIR",
     "Folder with the data (WHIST_DATA/SET, the study's set); not needed for synthetic data."},
    {"seeds", 'n', CLI_COUNT, "N", "Run seeds 0 … N-1 and show mean and deviation.", .min = 1, .max = 1000000},
    {"seed", 's', CLI_COUNT, "S", "Run this seed instead of the study's.", .max = UINT64_MAX},
    {"threads", 't', CLI_COUNT, "N", "Threads (all cores). They change the time, not the result.", .min = 1,
     .max = 256},
    {"replay", 0, CLI_TEXT, "RUN", "Let the sites that arrived in RUN, a coordinator's state folder, take part here."},
    {"model", 'o', CLI_TEXT, "FILE", "Write the final model as safetensors."},
    {"metrics", 0, CLI_TEXT, "DIR", "Folder for CSV and TensorBoard files; one below it for each of many seeds."},
    {0},
};

const cli_command cli_simulate_commands[] = {
    {"simulate", "STUDY", "Run a study in this process, over all its sites",
     "The same machines as in the network run here: same study, seed and participation give the same model, to the "
     "bit. Strategies local and pooled are baselines to compare with.\n\nA study that promises privacy is noised as in "
     "the network, and no ledger is charged: the rows' owners and their ledgers are not here. Each seed is a training "
     "of its own. Keep what comes of real rows where they are; whist train --ledger pays, and so does a federation.",
     options, 1, 1, simulate},
    {0},
};
