/* cli/cmd_meta.c: whist meta train, eval, adapt: learning from few examples. */
#include "cli/commands.h"
#include "cli/few.h"
#include "cli/rows.h"
#include "cli/runs.h"
#include "cli/signals.h"
#include "cli/term.h"
#include "cli/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Training ------------------------------------------------------------------------------------------- */

static int save(const cli_args *args, const cli_few *few, const whist_meta_train *run)
{
    char steps[24], best[24];
    const whist_meta_state now = whist_meta_train_state(run);
    snprintf(steps, sizeof steps, "%llu", (unsigned long long)now.step);
    snprintf(best, sizeof best, "%llu", (unsigned long long)now.best_step);
    const whist_model_meta extra[] = {
        {"meta_learner", few->env.learner->name},         {"steps", steps},
        {"best_step", now.best_step ? best : steps},      {"batches", whist_meta_batches(&few->env)},
        {"left_out", few->left_out ? few->left_out : ""}, {NULL, NULL}};
    CLI_LIB(whist_model_save(cli_text(args, "out"), whist_study_plan(few->study), whist_meta_train_params(run),
                             few->moments, extra));
    return CLI_OK;
}

static int tell(const cli_args *args, const cli_few *few, const whist_meta_state *now, double seconds)
{
    const char *batches = whist_meta_batches(&few->env);
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "study"), whist_json_text(json, whist_study_name(few->study));
        whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
        whist_json_key(json, "batches"), whist_json_text(json, batches);
        whist_json_key(json, "steps"), whist_json_uint(json, now->step);
        whist_json_key(json, "loss"), whist_json_real(json, now->loss);
        if (now->best_step) {
            whist_json_key(json, "best_step"), whist_json_uint(json, now->best_step);
            whist_json_key(json, "best_validation"), whist_json_real(json, now->best);
        }
        whist_json_key(json, "seconds"), whist_json_real(json, seconds);
        whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    printf("%s: %s, %zu numbers, %s, %llu steps, loss %.4f, %.1f s\n", whist_study_name(few->study),
           few->env.learner->name, whist_model_size(few->env.model), batches, (unsigned long long)now->step, now->loss,
           seconds);
    if (now->best_step) printf("best validation %.4f after step %llu\n", now->best, (unsigned long long)now->best_step);
    return cli_flush();
}

CLI_ENDER(train_end, whist_meta_train, whist_meta_train_free)

/* Nothing here clips, adds noise or pays, and the model would name a study that promises all three. */
static int refuse_promise(const char *path)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, path));
    const whist_fed_privacy *p = whist_study_plan(study)->privacy;
    if (!p) return CLI_OK;
    return cli_fail_text(
        CLI_FAILED, "unsupported",
        "study %s promises something about one %s (epsilon %g, delta %g), and whist meta train adds no noise and "
        "charges no ledger: let its sites learn together (whist simulate, then whist coordinator and whist site run), "
        "or leave privacy out and train in the open",
        whist_study_name(study), whist_dp_unit_name(p->unit), p->epsilon, p->delta);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (!a || !b) return false;
    if (strcmp(a, b) == 0) return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The model is written over what is there. */
static int check_out_apart(const cli_args *args)
{
    const char *out = cli_text(args, "out");
    if (same_file(out, args->words[0]))
        return cli_fail_text(CLI_USAGE, "usage", "--out %s would write the model over the study", out);
    if (same_file(out, cli_text(args, "checkpoint")))
        return cli_fail_text(CLI_USAGE, "usage", "--out and --checkpoint name one file, %s", out);
    return CLI_OK;
}

static int train(const cli_args *args)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    CLI_AUTO(train_end) whist_meta_train *run = NULL;
    whist_training training;
    CLI_TRY(cli_check_checkpoint(args));
    CLI_TRY(check_out_apart(args));
    CLI_TRY(refuse_promise(args->words[0]));
    CLI_TRY(cli_few_open(&few, args, args->words[0], NULL));
    if (!whist_study_training(few.study, &training))
        return cli_fail_text(CLI_FAILED, "unsupported", "study %s has no section 'training': add one (docs/study.md)",
                             whist_study_name(few.study));
    CLI_LIB(whist_meta_train_new(&run, &few.env, &training));
    const char *checkpoint = cli_text(args, "checkpoint");
    if (checkpoint && cli_exists(checkpoint)) CLI_LIB(whist_meta_train_load(run, checkpoint));
    cli_progress progress;
    cli_progress_init(&progress, args, cli_signals_catch());
    const whist_meta_go go = {.checkpoint = checkpoint,
                              .every = cli_count(args, "every", 0),
                              .progress = cli_progress_show,
                              .user = &progress};
    int64_t start = cli_now_ms();
    whist_status status = whist_meta_train_run(run, &go);
    cli_progress_end(&progress);
    if (status != WHIST_OK) return cli_fail(status);
    CLI_TRY(save(args, &few, run));
    const whist_meta_state now = whist_meta_train_state(run);
    return tell(args, &few, &now, (double)(cli_now_ms() - start) / 1000);
}

/* ---- Measuring --------------------------------------------------------------------------------------------- */

static int read_test(whist_meta_test *out, const cli_args *args)
{
    static const char *const names[] = {"none", "query", "support", "both"};
    const char *on = cli_text(args, "attack");
    *out = (whist_meta_test){.episodes = cli_count(args, "episodes", 600),
                             .fold = WHIST_FOLD_TEST,
                             .steps = cli_flag(args, "steps") ? (size_t)cli_count(args, "steps", 0) : SIZE_MAX,
                             .noise_draws = (uint32_t)cli_count(args, "noise-draws", 8)};
    CLI_TRY(cli_few_real(&out->noise, args, "noise", 0, 1e-9, 1e6));
    if (cli_flag(args, "validation")) out->fold = WHIST_FOLD_VALIDATION;
    if (cli_flag(args, "epsilon") && !on)
        return cli_fail_text(CLI_USAGE, "usage", "--epsilon is of an attack: say --attack query, support or both");
    if (cli_flag(args, "attack-steps") && !on)
        return cli_fail_text(CLI_USAGE, "usage", "--attack-steps is of an attack: say --attack query, support or both");
    if (cli_flag(args, "noise-draws") && !(out->noise > 0))
        return cli_fail_text(CLI_USAGE, "usage", "--noise-draws is of noise on the support rows: say --noise SD");
    for (int i = 0; on && i < 4; i++)
        if (strcmp(on, names[i]) == 0) out->attack.on = (whist_adversary)i;
    if (on && out->attack.on == WHIST_ADVERSARY_NONE)
        return cli_fail_text(CLI_USAGE, "usage", "--attack takes query, support or both, not '%s'", on);
    if (!on) return CLI_OK;
    CLI_TRY(cli_few_real(&out->attack.epsilon, args, "epsilon", 8.0 / 255, 1e-9, 1e6));
    out->attack.steps = (uint32_t)cli_count(args, "attack-steps", 7);
    return CLI_OK;
}

static void put_attack(whist_json *json, const whist_meta_test *test)
{
    static const char *const names[] = {"none", "query", "support", "both"};
    whist_json_key(json, "attack"), whist_json_text(json, names[test->attack.on]);
    if (test->attack.epsilon > 0) whist_json_key(json, "epsilon"), whist_json_real(json, test->attack.epsilon);
    if (test->noise > 0) whist_json_key(json, "noise"), whist_json_real(json, test->noise);
}

static int print_json(const cli_few *few, const whist_meta_test *test, const whist_meta_score *score)
{
    const whist_episodes *e = &few->env.episodes;
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
    if (e->kind == WHIST_TASKS_CLASSES) whist_json_key(json, "ways"), whist_json_uint(json, e->ways);
    whist_json_key(json, "shots"), whist_json_uint(json, e->shots);
    whist_json_key(json, "steps"), whist_json_uint(json, score->steps);
    whist_json_key(json, "episodes"), whist_json_uint(json, score->episodes);
    whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(&few->env));
    put_attack(json, test);
    whist_json_key(json, score->is_error ? "mse" : "accuracy"), whist_json_real(json, score->mean);
    whist_json_key(json, "interval95"), whist_json_real(json, score->interval);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int print(const cli_few *few, const whist_meta_test *test, const whist_meta_score *score)
{
    const whist_episodes *e = &few->env.episodes;
    printf("%s", few->env.learner->name);
    if (e->kind == WHIST_TASKS_CLASSES) printf(", %u ways", e->ways);
    printf(", %u shots", e->shots);
    if (score->steps) printf(", %zu inner steps", score->steps);
    printf(", %s", whist_meta_batches(&few->env));
    if (test->attack.epsilon > 0)
        printf(", attacked on %s by %.4g",
               test->attack.on == WHIST_ADVERSARY_BOTH    ? "support and query"
               : test->attack.on == WHIST_ADVERSARY_QUERY ? "query"
                                                          : "support",
               test->attack.epsilon);
    if (test->noise > 0) printf(", support noise %.4g", test->noise);
    printf(": %s %.4f ± %.4f (95 %%, %llu episodes)\n", score->is_error ? "mse" : "accuracy", score->mean,
           score->interval, (unsigned long long)score->episodes);
    return cli_flush();
}

/* ---- The one-shot runs of Omniglot ------------------------------------------------------------------------------- */

static int measure_run(double *right, const cli_few *few, const whist_one_shot *runs, size_t run, size_t steps)
{
    enum { WAYS = WHIST_ONE_SHOT_WAYS };
    const size_t d = (size_t)runs->height * runs->width;
    float labels[WAYS], unknown[WAYS];
    whist_meta_personal p;
    for (size_t k = 0; k < WAYS; k++) labels[k] = (float)k, unknown[k] = NAN;
    const whist_rows support = {.n = WAYS, .d = d, .x = runs->support + run * WAYS * d, .y = labels};
    const whist_rows query = {.n = WAYS, .d = d, .x = runs->query + run * WAYS * d, .y = unknown};
    CLI_LIB(whist_meta_adapt(&p, &few->env, few->params, &support, &query, steps));
    *right = 0;
    for (size_t i = 0; i < WAYS; i++) {
        size_t best = 0;
        for (size_t k = 1; k < WAYS; k++)
            if (p.prediction[i * WAYS + k] > p.prediction[i * WAYS + best]) best = k;
        *right += best == runs->truth[run * WAYS + i];
    }
    *right /= WAYS;
    whist_meta_personal_clear(&p);
    return CLI_OK;
}

static int tell_runs(const cli_args *args, const cli_few *few, const double *right, double mean, double interval)
{
    const char *batches = whist_meta_batches(&few->env);
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
        whist_json_key(json, "batches"), whist_json_text(json, batches);
        whist_json_key(json, "runs"), whist_json_begin_array(json);
        for (size_t r = 0; r < WHIST_ONE_SHOT_RUNS; r++) whist_json_real(json, right[r]);
        whist_json_end_array(json);
        whist_json_key(json, "accuracy"), whist_json_real(json, mean);
        whist_json_key(json, "interval95"), whist_json_real(json, interval);
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    printf("%s, %d one-shot runs of %d ways, %s: accuracy %.4f ± %.4f (95 %%), error %.2f %%\n", few->env.learner->name,
           WHIST_ONE_SHOT_RUNS, WHIST_ONE_SHOT_WAYS, batches, mean, interval, 100 * (1 - mean));
    return cli_flush();
}

/* The runs are what they are: twenty ways, one shot, clean. */
static int refuse_episodes(const cli_args *args)
{
    static const char *const ignored[] = {"episodes", "ways",         "shots", "queries",     "site",   "validation",
                                          "attack",   "attack-steps", "noise", "noise-draws", "epsilon"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (cli_flag(args, ignored[i]))
            return cli_fail_text(CLI_USAGE, "usage",
                                 "--%s is of episodes, and --one-shot measures on twenty fixed runs", ignored[i]);
    return CLI_OK;
}

static int one_shot(const cli_args *args, const char *path)
{
    CLI_TRY(refuse_episodes(args));
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    double right[WHIST_ONE_SHOT_RUNS], mean = 0, square = 0;
    whist_one_shot runs;
    size_t steps = cli_flag(args, "steps") ? (size_t)cli_count(args, "steps", 0) : SIZE_MAX;
    CLI_TRY(cli_few_study(&few, args, args->words[1], args->words[0]));
    const whist_model_shape shape = whist_model_shape_get(few.env.model);
    if (shape.height == 0 || few.env.episodes.kind != WHIST_TASKS_CLASSES)
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "the one-shot runs are classes of images: this study's tasks are not");
    if (shape.channels != 1)
        return cli_fail_text(CLI_FAILED, "unsupported",
                             "the one-shot runs are pixels, and this study's model sees other features of images");
    CLI_LIB(whist_one_shot_load(&runs, path, (unsigned)shape.height, (unsigned)shape.width));
    int code = CLI_OK;
    for (size_t r = 0; code == CLI_OK && r < WHIST_ONE_SHOT_RUNS; r++)
        code = measure_run(&right[r], &few, &runs, r, steps);
    whist_one_shot_clear(&runs);
    if (code != CLI_OK) return code;
    for (size_t r = 0; r < WHIST_ONE_SHOT_RUNS; r++) mean += right[r] / WHIST_ONE_SHOT_RUNS;
    for (size_t r = 0; r < WHIST_ONE_SHOT_RUNS; r++) square += (right[r] - mean) * (right[r] - mean);
    return tell_runs(args, &few, right, mean, 1.96 * sqrt(square / (WHIST_ONE_SHOT_RUNS - 1) / WHIST_ONE_SHOT_RUNS));
}

static int eval(const cli_args *args)
{
    if (cli_flag(args, "one-shot")) return one_shot(args, cli_text(args, "one-shot"));
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    whist_meta_test test;
    whist_meta_score score;
    CLI_TRY(read_test(&test, args));
    CLI_TRY(cli_few_open(&few, args, args->words[1], args->words[0]));
    CLI_LIB(whist_meta_evaluate(&score, &few.env, few.params, &test));
    return cli_flag(args, "json") ? print_json(&few, &test, &score) : print(&few, &test, &score);
}

/* ---- A personal model ------------------------------------------------------------------------------------------ */

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)

static int open_more(whist_dataset **out, whist_rows *rows, const cli_args *args, const cli_few *few, const char *path,
                     const char *labels)
{
    CLI_TRY(cli_rows_input(out, args, few->study, path, labels));
    CLI_TRY(cli_rows_standardize(*out, few->study, args->words[0]));
    *rows = whist_dataset_rows(*out, WHIST_FOLD_TEST);
    return CLI_OK;
}

/* Learners without inner steps keep the support itself; a network with a context or Gaussians is no plain model. */
static int check_out(const cli_args *args, const cli_few *few)
{
    static const char *const plain[] = {"maml",       "fomaml", "reptile",  "anil",   "boil",
                                        "per-fedavg", "imaml",  "meta-sgd", "maml++", "meta-lstm"};
    const char *name = few->env.learner->name;
    if (strcmp(name, "dp-meta") == 0) name = whist_settings_text(few->env.settings, "rule");
    if (!cli_flag(args, "out")) return CLI_OK;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(plain[i], name) == 0) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "unsupported",
                         "a personal model of %s is the start and the support rows: keep those, and leave --out out",
                         name);
}

static int save_personal(const cli_args *args, const cli_few *few, const whist_meta_personal *p)
{
    char classes[1024] = "";
    size_t at = 0;
    if (!cli_flag(args, "out")) return CLI_OK;
    for (size_t k = 0; k < p->n_classes && at < sizeof classes - 16; k++)
        at += (size_t)snprintf(classes + at, sizeof classes - at, "%s%u", k ? "," : "", p->classes[k]);
    const whist_model_meta extra[] = {{"meta_learner", few->env.learner->name}, {"classes", classes}, {NULL, NULL}};
    CLI_LIB(whist_model_save(cli_text(args, "out"), whist_study_plan(few->study), p->params, few->moments, extra));
    return CLI_OK;
}

/* By which statistics goes to stderr: stdout holds rows alone. */
static int predictions_csv(const cli_args *args, const cli_few *few, const whist_meta_personal *p,
                           const whist_rows *query)
{
    if (!cli_flag(args, "quiet")) fprintf(stderr, "%s, %s\n", few->env.learner->name, whist_meta_batches(&few->env));
    printf("row");
    for (size_t k = 0; k < p->outputs; k++)
        if (p->n_classes)
            printf(",p%u", p->classes[k]);
        else
            printf(p->outputs > 1 ? ",p%zu" : ",prediction", k);
    printf(",target\n");
    for (size_t i = 0; i < query->n; i++) {
        printf("%zu", i + 1);
        for (size_t k = 0; k < p->outputs; k++) printf(",%.9g", (double)p->prediction[i * p->outputs + k]);
        if (isnan(query->y[i]))
            printf(",\n"); /* nobody knows it yet */
        else
            printf(",%.9g\n", (double)query->y[i]);
    }
    return cli_flush();
}

static int predictions_json(const cli_few *few, const whist_meta_personal *p, const whist_rows *query)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "learner"), whist_json_text(json, few->env.learner->name);
    whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(&few->env));
    whist_json_key(json, "classes"), whist_json_begin_array(json);
    for (size_t k = 0; k < p->n_classes; k++) whist_json_uint(json, p->classes[k]);
    whist_json_end_array(json);
    whist_json_key(json, "predictions"), whist_json_begin_array(json);
    for (size_t i = 0; i < query->n; i++) {
        whist_json_begin_array(json);
        for (size_t k = 0; k < p->outputs; k++) whist_json_real(json, (double)p->prediction[i * p->outputs + k]);
        whist_json_end_array(json);
    }
    whist_json_end_array(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* A name that nothing would look at is a name that was meant for something. */
static int check_site(const cli_args *args, const cli_few *few)
{
    const whist_schema *schema = whist_study_schema(few->study);
    size_t at;
    if (!cli_flag(args, "site")) return CLI_OK;
    CLI_WORD(whist_study_site_find(few->study, cli_text(args, "site"), &at));
    if (schema->standardize == WHIST_STANDARDIZE_SITE || schema->rows_with_missing == WHIST_MISSING_MEAN) return CLI_OK;
    return cli_fail_text(CLI_USAGE, "usage",
                         "--site %s: this study converts rows alike at every site (by the model file's mean and sd "
                         "where it standardises): leave --site out",
                         cli_text(args, "site"));
}

static int adapt(const cli_args *args)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    CLI_AUTO(dataset_end) whist_dataset *support = NULL;
    CLI_AUTO(dataset_end) whist_dataset *query = NULL;
    whist_rows s, q;
    whist_meta_personal personal;
    size_t steps = cli_flag(args, "steps") ? (size_t)cli_count(args, "steps", 0) : SIZE_MAX;
    CLI_TRY(cli_few_study(&few, args, args->words[1], args->words[0]));
    CLI_TRY(check_out(args, &few));
    CLI_TRY(check_site(args, &few));
    CLI_TRY(open_more(&support, &s, args, &few, cli_text(args, "support"), cli_text(args, "labels")));
    CLI_TRY(open_more(&query, &q, args, &few, cli_text(args, "input"), NULL));
    CLI_LIB(whist_meta_adapt(&personal, &few.env, few.params, &s, &q, steps));
    int code = save_personal(args, &few, &personal);
    if (code == CLI_OK)
        code =
            cli_flag(args, "json") ? predictions_json(&few, &personal, &q) : predictions_csv(args, &few, &personal, &q);
    whist_meta_personal_clear(&personal);
    return code;
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
    {"leave-out", 0, CLI_TEXT, "SITE", "Tasks that are sites: none is of this one, for which the model is then new."},
    {"checkpoint", 'c', CLI_TEXT, "FILE", "Write the state of the training there now and then, and at its end."},
    {"every", 0, CLI_COUNT, "N", "Steps from one checkpoint to the next (100).", .min = 1, .max = UINT64_MAX},
    {"resume", 0, CLI_FLAG, NULL,
     "Go on from the checkpoint, if it is there. The result is that of a run without a break."},
    {0},
};

#define MODEL_OPTIONS                                                                                                  \
    {"steps", 0, CLI_COUNT, "N", "Inner steps, instead of the learner's.", .max = 100000},                             \
        {"statistics", 0, CLI_TEXT, "OF", "Batch norm by batch or by support, instead of the study's."},               \
    {                                                                                                                  \
        "force", 0, CLI_FLAG, NULL, "Use a model of another study that has the same shape."                            \
    }

static const cli_option eval_options[] = {
    COMMON,
    {"episodes", 'n', CLI_COUNT, "N", "Test episodes (600).", .min = 2, .max = 1000000},
    {"ways", 0, CLI_COUNT, "N", "Classes of an episode, instead of the study's.", .min = 2, .max = 65536},
    {"shots", 0, CLI_COUNT, "N", "Support rows of a class (or of a site), instead of the study's.", .min = 1,
     .max = 65536},
    {"queries", 0, CLI_COUNT, "N", "Query rows of a class, instead of the study's.", .min = 1, .max = 65536},
    {"site", 0, CLI_TEXT, "NAME", "Tasks that are sites: this one's, on all its test rows."},
    {"one-shot", 0, CLI_TEXT, "FILE", "Measure on Omniglot's twenty one-shot runs (all_runs.zip) instead of episodes."},
    {"validation", 0, CLI_FLAG, NULL, "Measure on the validation rows."},
    MODEL_OPTIONS,
    {"attack", 0, CLI_TEXT, "ON", "Attack query, support or both by projected gradient ascent."},
    {"epsilon", 0, CLI_TEXT, "E", "How far an attack moves a number (8/255)."},
    {"attack-steps", 0, CLI_COUNT, "N", "Its steps (7).", .min = 1, .max = 1000},
    {"noise", 0, CLI_TEXT, "SD", "Randomised fine-tuning: noise on the support rows; predictions are averaged."},
    {"noise-draws", 0, CLI_COUNT, "N", "So many personal models, with --noise (8).", .min = 1, .max = 4096},
    {0},
};

static const cli_option adapt_options[] = {
    {"support", 0, CLI_TEXT, "FILE",
     "The few rows to adapt to: a CSV file with targets, an IDX file of images, or a folder with a folder of PNG "
     "images for "
     "each class (0, 1, … by their names).",
     .required = true},
    {"labels", 0, CLI_TEXT, "FILE", "IDX file with the classes of the support images: any whole numbers."},
    {"input", 'i', CLI_TEXT, "FILE",
     "The rows to predict: CSV (targets may be left out), IDX, a PNG image or a folder of "
     "them.",
     .required = true},
    {"ink", 0, CLI_FLAG, NULL, "PNG images are drawings: black is 1, paper 0."},
    {"out", 'o', CLI_TEXT, "FILE", "Write the personal model, for learners whose inner steps make one."},
    {"site", 0, CLI_TEXT, "NAME", "Convert the rows as this site's, where the study standardises by site."},
    {"data", 'd', CLI_TEXT, "DIR", "Folder with that site's data."},
    MODEL_OPTIONS,
    {0},
};

const cli_command cli_meta_commands[] = {
    {"meta train", "STUDY", "Learn a start from which few examples are enough",
     "The study's sections 'learner', 'episodes' and 'training' say how. Where the data have validation rows the best "
     "model on them is written.\n\nCtrl-C and SIGTERM write a last checkpoint; the same command with --resume goes on "
     "from there, and after kill -9 from the one before.",
     train_options, 1, 1, train},
    {"meta eval", "MODEL STUDY", "Measure a few-shot model on episodes of the test rows",
     "The model's metadata must name the study.", eval_options, 2, 2, eval},
    {"meta adapt", "MODEL STUDY", "Make a personal model of a few rows, and predict by it",
     "The model is one of `whist meta train`, or of a federation whose learner is dp-meta, which adapts by the inner "
     "steps of its rule; its metadata must name the study. A row that is support and input both "
     "is "
     "refused.",
     adapt_options, 2, 2, adapt},
    {0},
};
