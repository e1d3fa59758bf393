/* cli/meta_table.c: whist bench meta --full: what each meta-learner reaches for the same processor time. A row is one
 * training, stopped by its budget, and measured on 600 new tasks with a 95 % interval. */
#include "cli/benches.h"
#include "cli/few.h"
#include "cli/file.h"
#include "cli/term.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Processor seconds of a training, which no number of steps ends before: together with the measuring about two hours.
 */
enum { SINE_BUDGET = 45, IMAGE_BUDGET = 360, EPISODES = 600 };

typedef struct learner_row {
    const char *options; /* of the study's learner */
    bool any_ways;       /* compares classes: trained on 20 ways and measured on others */
    const char *rate;    /* of sinusoids: the optimiser's options; NULL: lr: 0.002 */
    unsigned shots;      /* of images, in training; 0: the one that is measured */
} learner_row;

static const learner_row sines[] = {
    {.options = "name: maml, inner_lr: 0.01, inner_steps: 1"},
    {.options = "name: fomaml, inner_lr: 0.01, inner_steps: 1"},
    {.options = "name: reptile, inner_lr: 0.01, inner_steps: 10"},
    {.options = "name: anil, inner_lr: 0.01, inner_steps: 5"},
    {.options = "name: boil, inner_lr: 0.01, inner_steps: 1"},
    {.options = "name: per-fedavg, inner_lr: 0.01, inner_steps: 1, variant: hf"},
    {.options = "name: meta-sgd, inner_lr: 0.01, inner_steps: 1"},
    {.options = "name: maml++, inner_lr: 0.01, inner_steps: 5"},
    /* longer steps drive the start to where they cannot follow the curvature any more */
    {.options = "name: imaml, inner_lr: 0.003, inner_steps: 64, proximal: 1", .rate = "lr: 0.001, clip: 1"},
    {.options = "name: cavia, inner_lr: 0.1, inner_steps: 2"},
    {.options = "name: abml, inner_lr: 0.01, inner_steps: 5"},
    {.options = "name: meta-lstm, inner_lr: 0.01, inner_steps: 5"},
};

static const learner_row images[] = {
    {.options = "name: protonet, tasks: 2", .any_ways = true},
    {.options = "name: matching, tasks: 2", .any_ways = true},
    {.options = "name: relation, tasks: 2", .any_ways = true},
    {.options = "name: r2d2, tasks: 2", .any_ways = true},
    {.options = "name: maml, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: fomaml, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    /* it never sees a query: what it learns to find again is what several rows of a class have in common */
    {.options = "name: reptile, inner_lr: 0.1, inner_steps: 8, tasks: 4", .shots = 10},
    {.options = "name: anil, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: boil, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: meta-sgd, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: maml++, inner_lr: 0.1, inner_steps: 3, tasks: 8"},
    {.options = "name: imaml, inner_lr: 0.1, inner_steps: 8, tasks: 8"},
    {.options = "name: cavia, inner_lr: 1, inner_steps: 2, tasks: 8"},
};

static const char sine_study[] = "whist: 1\nname: table\n"
                                 "data:\n  format: synthetic\n  task: regression\n"
                                 "  columns: [{name: x, type: real}, {name: y, type: target}]\n"
                                 "model: {name: mlp, hidden: [40, 40]}\nlearner: {%s, tasks: 25}\n"
                                 "training: {optimizer: {name: adam, %s}, steps: 1000000}\n"
                                 "episodes: {tasks: sinusoid, shots: 10, queries: 10, validate: 0}\n";

/* Vinyals' split, as examples/omniglot has it; strided convolutions, which cost a fifth of pooled ones. */
static const char image_study[] =
    "whist: 1\nname: table\n"
    "data:\n  set: omniglot\n  format: idx\n  task: classes\n  classes: 1623\n"
    "  images: {train_images: omniglot28-images-idx3-ubyte.gz, train_labels: omniglot28-labels-idx1-short.gz, "
    "height: 28, width: 28}\n"
    "  split: {file: omniglot28-classes.csv, row: class, classes: true, fold: vinyals_split, validation: val}\n"
    "  partition: {kind: iid}\n"
    "model: {name: conv4, norm: transductive, down: stride, readout: mean}\nlearner: {%s}\n"
    "training: {optimizer: {name: adam, lr: 0.001, clip: 10}, steps: 1000000}\n"
    "episodes: {ways: %u, shots: %u, queries: 5, turns: 4, validate: 0}\nmetrics: [accuracy]\n";

typedef struct table {
    const whist_bench_env *env;
    double budget; /* processor seconds of a training */
    uint64_t episodes;
    double begin, cpu; /* of the training that runs, and what it took */
    uint64_t taken;    /* steps */
    bool shown;
} table;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool within_budget(void *user, const whist_progress *progress)
{
    const table *t = user;
    (void)progress;
    return cpu_now() - t->begin < t->budget;
}

/* ---- Lines ---- */

static int print_json(const table *t, const whist_meta_env *env, const whist_meta_score *score)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, "meta.table");
    whist_json_key(json, "learner"), whist_json_text(json, env->learner->name);
    if (!score->is_error) whist_json_key(json, "ways"), whist_json_uint(json, env->episodes.ways);
    whist_json_key(json, "shots"), whist_json_uint(json, env->episodes.shots);
    whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(env));
    whist_json_key(json, score->is_error ? "mse" : "accuracy"), whist_json_real(json, score->mean);
    whist_json_key(json, "interval95"), whist_json_real(json, score->interval);
    whist_json_key(json, "episodes"), whist_json_uint(json, score->episodes);
    whist_json_key(json, "cpu_seconds"), whist_json_real(json, t->cpu);
    whist_json_key(json, "budget_seconds"), whist_json_real(json, t->budget);
    whist_json_key(json, "steps"), whist_json_uint(json, t->taken);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int print_row(table *t, const whist_meta_env *env, const whist_meta_score *score)
{
    char ways[16] = "-";
    const char *mode = whist_meta_batches(env);
    if (cli_bench_json(t->env)) return print_json(t, env, score);
    if (!t->shown)
        printf("%s%-10s %5s %5s  %-19s %8s  %17s %9s %9s %9s %8s%s\n", cli_bold(stdout), "learner", "ways", "shots",
               "batch statistics", "measured", "mean ± 95 %", "episodes", "cpu s", "budget s", "steps",
               cli_plain(stdout));
    t->shown = true;
    if (!score->is_error) snprintf(ways, sizeof ways, "%u", env->episodes.ways);
    printf("%-10s %5s %5u  %-19.*s %8s  %.4f ± %.4f %11llu %9.2f %9.2f %8llu\n", env->learner->name, ways,
           env->episodes.shots, (int)strcspn(mode, "("), mode, score->is_error ? "mse" : "accuracy", score->mean,
           score->interval, (unsigned long long)score->episodes, t->cpu, t->budget, (unsigned long long)t->taken);
    return cli_flush();
}

static int print_skipped(const table *t, const char *what, const char *why)
{
    if (!cli_bench_json(t->env)) {
        printf("%s: skipped: %s\n", what, why);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, "meta.table");
    whist_json_key(json, "what"), whist_json_text(json, what);
    whist_json_key(json, "skipped"), whist_json_text(json, why);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* ---- Rows ---- */

CLI_ENDER(train_end, whist_meta_train, whist_meta_train_free)

static int measure(table *t, whist_meta_env *env, const float *params, uint32_t ways, uint32_t shots, bool support)
{
    const bool sines_ = env->episodes.kind == WHIST_TASKS_SINUSOID;
    const whist_meta_test test = {.episodes = t->episodes, .fold = WHIST_FOLD_TEST, .steps = SIZE_MAX};
    whist_meta_score score;
    if (!sines_) {
        env->episodes.ways = ways, env->episodes.shots = shots;
        env->episodes.queries = 15;
        env->episodes.support_statistics = support;
    }
    CLI_LIB(whist_meta_evaluate(&score, env, params, &test));
    return print_row(t, env, &score);
}

static int train_and_measure(table *t, cli_few *few, bool any_ways)
{
    CLI_AUTO(train_end) whist_meta_train *run = NULL;
    whist_training training;
    whist_meta_env env;
    if (!whist_study_training(few->study, &training)) return CLI_FAILED;
    few->env.threads = t->env->threads;
    CLI_LIB(whist_meta_train_new(&run, &few->env, &training));
    t->begin = cpu_now();
    whist_status status = whist_meta_train_run(run, &(whist_meta_go){.progress = within_budget, .user = t});
    t->cpu = cpu_now() - t->begin;
    t->taken = whist_meta_train_state(run).step;
    if (status != WHIST_OK && status != WHIST_E_CANCELLED) return cli_fail(status);
    const float *params = whist_meta_train_params(run);
    env = few->env;
    CLI_TRY(measure(t, &env, params, 5, 1, false));
    if (env.episodes.kind == WHIST_TASKS_SINUSOID) return CLI_OK;
    CLI_TRY(measure(t, &env, params, 5, 1, true));
    if (!any_ways) return CLI_OK;
    CLI_TRY(measure(t, &env, params, 5, 5, false));
    return measure(t, &env, params, 20, 1, false);
}

static int one_row(table *t, const learner_row *row, bool sine)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    char path[CLI_PATH], text[2048];
    if (sine)
        snprintf(text, sizeof text, sine_study, row->options, row->rate ? row->rate : "lr: 0.002");
    else
        snprintf(text, sizeof text, image_study, row->options, row->any_ways ? 20u : 5u, row->shots ? row->shots : 1);
    CLI_TRY(cli_path(path, "%s/table.yaml", t->env->scratch));
    CLI_TRY(cli_write(path, text, strlen(text), 0600, CLI_WRITE_REPLACE));
    const cli_args none = {0};
    CLI_TRY(cli_few_open(&few, &none, path, NULL));
    return train_and_measure(t, &few, row->any_ways);
}

/* A row that fails says why on stderr; the others still run. */
static int rows(table *t, const learner_row list[], size_t n, bool sine)
{
    int code = CLI_OK;
    for (size_t i = 0; i < n; i++) {
        int now = one_row(t, &list[i], sine);
        if (now == CLI_OK) continue;
        fprintf(stderr, "meta.table: {%s} failed\n", list[i].options);
        code = now;
    }
    return code;
}

static bool has_omniglot(const whist_bench_env *env)
{
    char path[CLI_PATH];
    return env->data_dir && env->data_dir[0] &&
           cli_path(path, "%s/omniglot/omniglot28-images-idx3-ubyte.gz", env->data_dir) == CLI_OK && cli_exists(path);
}

static int whole(const whist_bench_env *env, bool small)
{
    table t = {.env = env, .budget = small ? .25 : SINE_BUDGET, .episodes = small ? 20 : EPISODES};
    int code = rows(&t, sines, small ? 1 : sizeof sines / sizeof *sines, true);
    if (!has_omniglot(env)) {
        int told = print_skipped(&t, "Omniglot", "WHIST_DATA/omniglot has no omniglot28-images-idx3-ubyte.gz");
        return code == CLI_OK ? told : code;
    }
    t.budget = small ? .25 : IMAGE_BUDGET;
    t.episodes = small ? 2 : EPISODES;
    int last = rows(&t, images + (small ? 4 : 0), small ? 1 : sizeof images / sizeof *images, false);
    return code == CLI_OK ? last : code;
}

whist_status cli_meta_table(const whist_bench_env *env)
{
    return whole(env, false) == CLI_OK ? WHIST_OK : WHIST_E_STATE;
}

whist_status cli_meta_table_small(const whist_bench_env *env)
{
    return whole(env, true) == CLI_OK ? WHIST_OK : WHIST_E_STATE;
}
