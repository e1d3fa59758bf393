/* cli/cmd_meta.c: whist meta train, whist meta eval: few-shot learning over episodes. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/signals.h"
#include "cli/term.h"

#include <whist/run.h>

#include <stdlib.h>
#include <unistd.h>

CLI_ENDER(study_end, whist_study, whist_study_free)
CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)
CLI_ENDER(moments_end, float, whist_moments_free)
CLI_ENDER(params_end, float, free)

static int open_env(whist_meta_env *env, whist_study *study, const cli_args *args, whist_dataset **data)
{
    CLI_AUTO(moments_end) float *moments = NULL;
    char folder[CLI_PATH];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!whist_study_episodes(study, &env->episodes))
        return cli_fail_text(CLI_FAILED, "unsupported", "study %s has no section 'episodes': add one (docs/study.md)",
                             whist_study_name(study));
    CLI_TRY(cli_data_folder(folder, args, study));
    whist_study_set_seed(study, cli_count(args, "seed", whist_study_plan(study)->seed));
    CLI_LIB(whist_study_open_joined(study, folder, data, &moments));
    env->model = whist_study_plan(study)->model;
    env->data = *data;
    env->seed = whist_study_plan(study)->seed;
    env->threads = (unsigned)cli_count(args, "threads", cores > 0 ? (uint64_t)cores : 1);
    return CLI_OK;
}

static int train(const cli_args *args)
{
    CLI_AUTO(study_end) whist_study *study = NULL;
    CLI_AUTO(dataset_end) whist_dataset *data = NULL;
    CLI_AUTO(params_end) float *params = NULL;
    whist_meta_env env = {0};
    whist_training training;
    double loss;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    if (!whist_study_training(study, &training))
        return cli_fail_text(CLI_FAILED, "unsupported", "study %s has no section 'training': add one (docs/study.md)",
                             whist_study_name(study));
    CLI_TRY(open_env(&env, study, args, &data));
    params = calloc(whist_model_size(env.model), sizeof *params);
    if (!params) return cli_no_memory();
    cli_progress progress;
    cli_progress_init(&progress, args, cli_signals_catch());
    env.progress = cli_progress_show, env.user = &progress;
    int64_t start = cli_now_ms();
    whist_status status = whist_meta_train(params, &loss, &env, &training);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    const whist_model_meta extra[] = {{"meta_learner", "protonet"}, {NULL, NULL}};
    CLI_LIB(whist_model_save(cli_text(args, "out"), whist_study_plan(study), params, NULL, extra));
    printf("%s: protonet, %llu steps, loss %.4f, %.1f s\n", whist_study_name(study), (unsigned long long)training.steps,
           loss, (double)(cli_now_ms() - start) / 1000);
    return cli_flush();
}

static int print_json(const whist_meta_env *env, const whist_meta_accuracy *a, uint64_t n)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "learner"), whist_json_text(json, "protonet");
    whist_json_key(json, "ways"), whist_json_uint(json, env->episodes.ways);
    whist_json_key(json, "shots"), whist_json_uint(json, env->episodes.shots);
    whist_json_key(json, "episodes"), whist_json_uint(json, n);
    whist_json_key(json, "batches"), whist_json_text(json, "support and query apart");
    whist_json_key(json, "accuracy"), whist_json_real(json, a->mean);
    whist_json_key(json, "interval95"), whist_json_real(json, a->interval);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int eval(const cli_args *args)
{
    CLI_AUTO(study_end) whist_study *study = NULL;
    CLI_AUTO(dataset_end) whist_dataset *data = NULL;
    CLI_AUTO(params_end) float *params = NULL;
    whist_meta_env env = {0};
    whist_meta_accuracy accuracy;
    uint64_t n = cli_count(args, "episodes", 600);
    CLI_LIB(whist_study_load(&study, args->words[1]));
    CLI_TRY(open_env(&env, study, args, &data));
    env.episodes.ways = (uint32_t)cli_count(args, "ways", env.episodes.ways);
    env.episodes.shots = (uint32_t)cli_count(args, "shots", env.episodes.shots);
    params = calloc(whist_model_size(env.model), sizeof *params);
    if (!params) return cli_no_memory();
    CLI_LIB(whist_model_load(params, args->words[0], env.model));
    CLI_LIB(whist_meta_evaluate(&accuracy, &env, params, n));
    if (cli_flag(args, "json")) return print_json(&env, &accuracy, n);
    printf(
        "protonet, %u ways, %u shots, support and query batches apart: accuracy %.4f ± %.4f (95 %%, %llu episodes)\n",
        env.episodes.ways, env.episodes.shots, accuracy.mean, accuracy.interval, (unsigned long long)n);
    return cli_flush();
}

#define COMMON                                                                                                         \
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data (WHIST_DATA/SET, the study's set)."},                         \
        {"seed", 's', CLI_COUNT, "S", "Draw by this seed instead of the study's.", .max = UINT64_MAX},                 \
    {                                                                                                                  \
        "threads", 't', CLI_COUNT, "N", "Threads (all cores). They change the time, not the result.", .min = 1,        \
                                                                                                      .max = 256       \
    }

static const cli_option train_options[] = {
    COMMON,
    {"out", 'o', CLI_TEXT, "FILE", "Write the model as safetensors.", .required = true},
    {0},
};
static const cli_option eval_options[] = {
    COMMON,
    {"episodes", 'n', CLI_COUNT, "N", "Test episodes (600).", .min = 600, .max = 1000000},
    {"ways", 0, CLI_COUNT, "N", "Classes of an episode, instead of the study's.", .min = 2, .max = 65536},
    {"shots", 0, CLI_COUNT, "N", "Support rows of a class, instead of the study's.", .min = 1, .max = 65536},
    {0},
};

const cli_command cli_meta_commands[] = {
    {"meta train", "STUDY", "Train prototypical networks over few-shot episodes",
     "The study's sections 'episodes' and 'training' say how.", train_options, 1, 1, train},
    {"meta eval", "MODEL STUDY", "Measure a few-shot model on episodes of the test rows", "", eval_options, 2, 2, eval},
    {0},
};
