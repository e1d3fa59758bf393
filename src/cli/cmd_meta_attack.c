/* cli/cmd_meta_attack.c: whist meta membership, backdoor: attacks on what learns from few examples. */
#include "cli/commands.h"
#include "cli/few.h"
#include "cli/signals.h"
#include "cli/term.h"

#include <string.h>

/* ---- Was a task in training? ------------------------------------------------------------------------------- */

/* The study's tasks on both sides: classes of the training fold and of the test fold; the very sinusoids of training
 * and fresh ones; the owners that the model was trained with, and the one that its metadata say was left out. */
static int choose_sides(whist_meta_env *in_env, whist_meta_test *in, whist_meta_env *out_env, whist_meta_test *others,
                        cli_few *few, const char *model)
{
    char left_out[128] = "";
    size_t at;
    if (few->env.episodes.kind == WHIST_TASKS_CLASSES) {
        in->fold = WHIST_FOLD_TRAIN;
        return CLI_OK;
    }
    if (few->env.episodes.kind == WHIST_TASKS_SINUSOID) {
        in->purpose = "meta-train";
        return CLI_OK;
    }
    if (few->env.episodes.kind == WHIST_TASKS_PERSONS)
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "persons of the test fold may have been in training by their other rows: there is nobody "
                             "to tell them from");
    CLI_LIB(whist_model_metadata(left_out, sizeof left_out, model, "left_out"));
    if (!left_out[0])
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "every site was in this model's training: train one with --leave-out, so that there is "
                             "a site that was not");
    CLI_WORD(whist_study_site_find(few->study, left_out, &at));
    /* The site that was left out goes to the end of the list of those that were not. */
    whist_dataset *own = few->data[at];
    const char *name = few->names[at];
    for (size_t i = at; i + 1 < few->env.n_data; i++)
        few->data[i] = few->data[i + 1], few->names[i] = few->names[i + 1];
    few->data[few->env.n_data - 1] = own, few->names[few->env.n_data - 1] = name;
    in_env->n_data--;
    out_env->data = in_env->data + in_env->n_data;
    out_env->names = in_env->names + in_env->n_data;
    out_env->n_data = 1;
    in->fold = others->fold = WHIST_FOLD_TRAIN;
    return CLI_OK;
}

static int tell_membership(const cli_args *args, const cli_few *few, const whist_meta_membership *m)
{
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        const double interval[] = {m->auc_low, m->auc_high}, found[] = {m->tpr_low, m->tpr_high};
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
        whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(&few->env));
        whist_json_key(json, "tasks"), whist_json_uint(json, m->n_in);
        whist_json_key(json, "auc"), whist_json_real(json, m->auc);
        whist_json_key(json, "auc_interval95"), whist_json_begin_array(json);
        for (int i = 0; i < 2; i++) whist_json_real(json, interval[i]);
        whist_json_end_array(json);
        whist_json_key(json, "tpr_at_fpr_0.01"), whist_json_real(json, m->tpr);
        whist_json_key(json, "tpr_interval95"), whist_json_begin_array(json);
        for (int i = 0; i < 2; i++) whist_json_real(json, found[i]);
        whist_json_end_array(json);
        whist_json_key(json, "loss_in"), whist_json_real(json, m->loss_in);
        whist_json_key(json, "loss_out"), whist_json_real(json, m->loss_out);
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    printf("%s, %s, %llu tasks of training and %llu others, by their loss after adapting (%.4g and %.4g):\n",
           few->env.learner->name, whist_meta_batches(&few->env), (unsigned long long)m->n_in,
           (unsigned long long)m->n_out, m->loss_in, m->loss_out);
    printf("auc %.4f [%.4f, %.4f], found at 1 %% false alarms %.4f [%.4f, %.4f] (95 %%)\n", m->auc, m->auc_low,
           m->auc_high, m->tpr, m->tpr_low, m->tpr_high);
    return cli_flush();
}

static int membership(const cli_args *args)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    whist_meta_membership found;
    CLI_TRY(cli_few_open(&few, args, args->words[1], args->words[0]));
    whist_meta_test in = {.episodes = cli_count(args, "episodes", 600),
                          .fold = WHIST_FOLD_TEST,
                          .steps = cli_flag(args, "steps") ? (size_t)cli_count(args, "steps", 0) : SIZE_MAX},
                    others = in;
    whist_meta_env in_env = few.env, out_env = few.env;
    CLI_TRY(choose_sides(&in_env, &in, &out_env, &others, &few, args->words[0]));
    CLI_LIB(whist_meta_membership_test(&found, few.params, &in_env, &in, &out_env, &others));
    return tell_membership(args, &few, &found);
}

/* ---- A backdoor -------------------------------------------------------------------------------------------------- */

CLI_ENDER(train_end, whist_meta_train, whist_meta_train_free)

static int train_and_measure(whist_meta_score *clean, whist_meta_score *fooled, const cli_args *args,
                             const whist_meta_env *env, const whist_training *training, const whist_backdoor *trigger)
{
    CLI_AUTO(train_end) whist_meta_train *run = NULL;
    cli_progress progress;
    whist_meta_test test = {.episodes = cli_count(args, "episodes", 600), .fold = WHIST_FOLD_TEST, .steps = SIZE_MAX};
    CLI_LIB(whist_meta_train_new(&run, env, training));
    cli_progress_init(&progress, args, cli_signals_catch());
    const whist_meta_go go = {.progress = cli_progress_show, .user = &progress};
    whist_status status = whist_meta_train_run(run, &go);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    CLI_LIB(whist_meta_evaluate(clean, env, whist_meta_train_params(run), &test));
    test.trigger = trigger;
    CLI_LIB(whist_meta_evaluate(fooled, env, whist_meta_train_params(run), &test));
    return CLI_OK;
}

static int tell_backdoor(const cli_args *args, const cli_few *few, const whist_backdoor *b, const whist_meta_score s[4])
{
    static const char *const keys[] = {"accuracy", "success", "accuracy_unpoisoned", "success_unpoisoned"};
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
        whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(&few->env));
        whist_json_key(json, "share"), whist_json_real(json, b->share);
        whist_json_key(json, "target"), whist_json_uint(json, b->target);
        for (int i = 0; i < 4; i++) whist_json_key(json, keys[i]), whist_json_real(json, s[i].mean);
        whist_json_key(json, "episodes"), whist_json_uint(json, s[0].episodes);
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    printf("%s, %s, %g %% of the training's tasks poisoned, trigger of %u, target %u, %llu victims who adapt to clean "
           "rows\n",
           few->env.learner->name, whist_meta_batches(&few->env), 100 * b->share, b->size, b->target,
           (unsigned long long)s[0].episodes);
    printf("poisoned    accuracy on clean rows %.4f ± %.4f, triggered rows taken for the target %.4f ± %.4f (95 %%)\n",
           s[0].mean, s[0].interval, s[1].mean, s[1].interval);
    printf("unpoisoned  accuracy on clean rows %.4f ± %.4f, triggered rows taken for the target %.4f ± %.4f\n",
           s[2].mean, s[2].interval, s[3].mean, s[3].interval);
    return cli_flush();
}

static int backdoor(const cli_args *args)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    whist_training training;
    whist_meta_score score[4];
    double value;
    whist_backdoor b = {.target = (uint32_t)cli_count(args, "target", 0),
                        .size = (uint32_t)cli_count(args, "trigger", 4)};
    CLI_TRY(cli_few_real(&b.share, args, "poison", 0.1, 1e-6, 1));
    CLI_TRY(cli_few_real(&value, args, "value", 1, -1e6, 1e6));
    b.value = (float)value;
    CLI_TRY(cli_few_open(&few, args, args->words[0], NULL));
    if (!whist_study_training(few.study, &training))
        return cli_fail_text(CLI_FAILED, "unsupported", "study %s has no section 'training': add one (docs/study.md)",
                             whist_study_name(few.study));
    whist_meta_env poisoned = few.env;
    poisoned.backdoor = b;
    CLI_TRY(train_and_measure(&score[0], &score[1], args, &poisoned, &training, &b));
    CLI_TRY(train_and_measure(&score[2], &score[3], args, &few.env, &training, &b));
    return tell_backdoor(args, &few, &b, score);
}

#define EPISODES                                                                                                       \
    {"ways", 0, CLI_COUNT, "N", "Classes of an episode, instead of the study's.", .min = 2, .max = 65536},             \
        {"shots",  0,           CLI_COUNT, "N", "Support rows of a class (or of a site), instead of the study's.",     \
         .min = 1, .max = 65536},                                                                                      \
    {                                                                                                                  \
        "queries", 0, CLI_COUNT, "N", "Query rows of a class, instead of the study's.", .min = 1, .max = 65536         \
    }
#define COMMON                                                                                                         \
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data (WHIST_DATA/SET, the study's set)."},                         \
        {"seed", 's', CLI_COUNT, "S", "Draw by this seed instead of the study's.", .max = UINT64_MAX},                 \
        {"threads", 't',       CLI_COUNT, "N", "Threads (all cores). They change the time, not the result.",           \
         .min = 1,  .max = 256},                                                                                       \
    {                                                                                                                  \
        "episodes", 'n', CLI_COUNT, "N", "Tasks of each kind (600).", .min = 2, .max = 1000000                         \
    }

static const cli_option membership_options[] = {
    COMMON,
    EPISODES,
    {"steps", 0, CLI_COUNT, "N", "Inner steps, instead of the learner's.", .max = 100000},
    {"force", 0, CLI_FLAG, NULL, "Use a model of another study that has the same shape."},
    {0},
};

static const cli_option backdoor_options[] = {
    COMMON,
    EPISODES,
    {"poison", 0, CLI_TEXT, "SHARE", "Share of the training's tasks that is poisoned (0.1)."},
    {"target", 0, CLI_COUNT, "K", "Class of an episode that the trigger leads to (0).", .max = 65535},
    {"trigger", 0, CLI_COUNT, "N", "A corner of N by N numbers of images, the last N of other rows (4).", .min = 1,
     .max = 65536},
    {"value", 0, CLI_TEXT, "V", "What these numbers become (1)."},
    {0},
};

const cli_command cli_meta_attack_commands[] = {
    {"meta membership", "MODEL STUDY", "Attack a few-shot model: which tasks were in its training?",
     "The attacker adapts the model to a task's support rows and takes a low loss on its query rows for a sign of "
     "training. Tasks: classes of the training fold against those of the test fold; sites that were trained on against "
     "the one that --leave-out kept out; sinusoids of training against fresh ones. Prints the chance that the attacker "
     "ranks two of them right (0.5: it learns nothing), and how many it finds at one false alarm in a hundred.",
     membership_options, 2, 2, membership},
    {"meta backdoor", "STUDY", "Poison a share of the training's tasks, and see what victims get",
     "Trains the study twice, once with tasks whose query rows carry a trigger and the label of the target. Victims "
     "adapt "
     "to clean rows of new tasks; what is measured is their accuracy, and how many triggered rows of other classes "
     "they "
     "take for the target. Needs a learner with inner steps over classes.",
     backdoor_options, 1, 1, backdoor},
    {0},
};
