/* cli/meta_table.c: whist bench meta --full: what each meta-learner reaches for the same processor time. A row is one
 * training, stopped by its budget, and measured on 600 new tasks with a 95 % interval; those of federations, which end
 * after the rounds that their study names, stand at the end. */
#include "cli/meta_table.h"
#include "cli/benches.h"
#include "cli/few.h"
#include "cli/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Processor seconds of a training, which no number of steps ends before: together with the measuring about two hours.
 */
enum { SINE_BUDGET = 45, IMAGE_BUDGET = 360, EPISODES = 600, PRIVATE_ROUNDS = 20, FEDERATED_ROUNDS = 3000 };

typedef struct learner_row {
    const char *options;   /* of the study's learner */
    bool any_ways;         /* compares classes: trained on 20 ways and measured on others */
    const char *optimizer; /* NULL: that of the table */
    unsigned shots;        /* of images, in training; 0: the one that is measured */
    bool attacked;         /* measured under attack as well */
    const char *adversary; /* trained against that attack; NULL: not */
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
    {.options = "name: imaml, inner_lr: 0.003, inner_steps: 64, proximal: 1",
     .optimizer = "name: adam, lr: 0.001, clip: 1"},
    {.options = "name: cavia, inner_lr: 0.1, inner_steps: 2"},
    {.options = "name: abml, inner_lr: 0.01, inner_steps: 5"},
    {.options = "name: meta-lstm, inner_lr: 0.01, inner_steps: 5"},
};

static const learner_row images[] = {
    {.options = "name: protonet, tasks: 2", .any_ways = true},
    {.options = "name: matching, tasks: 2", .any_ways = true},
    {.options = "name: relation, tasks: 2", .any_ways = true},
    {.options = "name: r2d2, tasks: 2", .any_ways = true},
    {.options = "name: maml, inner_lr: 0.4, inner_steps: 1, tasks: 8", .attacked = true},
    /* adversarial querying (Goldblum et al. 2020) */
    {.options = "name: maml, inner_lr: 0.4, inner_steps: 1, tasks: 8",
     .attacked = true,
     .adversary = ", adversary: query, epsilon: 0.05, attack_steps: 3"},
    {.options = "name: fomaml, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    /* it never sees a query: what it learns to find again is what several rows of a class have in common */
    {.options = "name: reptile, inner_lr: 0.4, inner_steps: 5, inner_batch: 10, tasks: 5",
     .optimizer = "name: sgd, lr: 0.3",
     .shots = 10},
    {.options = "name: anil, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: boil, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: meta-sgd, inner_lr: 0.4, inner_steps: 1, tasks: 8"},
    {.options = "name: maml++, inner_lr: 0.4, inner_steps: 2, tasks: 8"},
    /* a weak pull and long steps: what five steps reach is what a task needs */
    {.options = "name: imaml, inner_lr: 0.4, inner_steps: 5, proximal: 0.1, conjugate: 3, tasks: 8"},
    {.options = "name: cavia, inner_lr: 10, inner_steps: 2, context: 100, tasks: 8"},
};

static const char sine_study[] = "whist: 1\nname: table\n"
                                 "data:\n  format: synthetic\n  task: regression\n"
                                 "  columns: [{name: x, type: real}, {name: y, type: target}]\n"
                                 "model: {name: mlp, hidden: [40, 40]}\nlearner: {%s, tasks: 25}\n"
                                 "training: {optimizer: {%s}, steps: 1000000}\n"
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
    "training: {optimizer: {%s}, steps: 1000000}\n"
    "episodes: {ways: %u, shots: %u, queries: 5, turns: 4, validate: 0%s}\nmetrics: [accuracy]\n";

/* FedMeta (Chen et al. 2018): sites that own characters of their own, Adam at the coordinator. */
static const char federated_study[] =
    "whist: 1\nname: table\n"
    "data:\n  set: omniglot\n  format: idx\n  task: classes\n  classes: 1623\n"
    "  images: {train_images: omniglot28-images-idx3-ubyte.gz, train_labels: omniglot28-labels-idx1-short.gz, "
    "height: 28, width: 28}\n"
    "  split: {file: omniglot28-classes.csv, row: class, classes: true, fold: vinyals_split, validation: val}\n"
    "  partition: {kind: shards, shards: 1}\n"
    "model: {name: conv4, norm: transductive, down: stride, readout: mean}\n"
    "learner: {name: maml, inner_lr: 0.4, inner_steps: 1, tasks: 2, lr: 1}\n"
    "episodes: {ways: 5, shots: 1, queries: 5, turns: 4, validate: 0}\n"
    "strategy: {name: fedadam, lr: 0.001}\nrounds: %u\nevaluate_every: 0\nmetrics: [accuracy]\n"
    "sites: {count: 4, prefix: owner-}\n";

/* Persons of ten rows each, hidden as a whole: what is noised is their tasks. The rows are made up. */
static const char private_study[] =
    "whist: 1\nname: table\n"
    "data:\n  format: synthetic\n  task: binary\n  standardize: none\n  synthetic: {rows: 20000}\n"
    "  columns: [{name: who, type: person}, {name: a, type: real}, {name: b, type: real}, {name: y, type: target}]\n"
    "  split: {test_fraction: 0.5}\n"
    "model: {name: mlp, hidden: [6]}\n"
    "learner: {name: dp-meta, rule: maml, inner_lr: 0.5, support: 2, query: 2, persons: 2000, rate: 0.05, updates: 5, "
    "noise: 2, lr: 0.5}\n"
    "privacy: {unit: task, noise: local, relation: add_remove, units: 2000, epsilon: 4, delta: 1e-4}\n"
    "strategy: fedavg\nrounds: %u\nevaluate_every: 0\nmetrics: [accuracy]\n"
    "sites: [{name: a}, {name: b}]\n";

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool within_budget(void *user, const whist_progress *progress)
{
    const cli_meta_table *t = user;
    (void)progress;
    return cpu_now() - t->begin < t->budget;
}

/* ---- Measuring ---- */

CLI_ENDER(train_end, whist_meta_train, whist_meta_train_free)

/* What a row is measured as. */
typedef struct measured_as {
    uint32_t ways, shots;
    bool support; /* statistics of the support alone */
    bool attacked;
} measured_as;

static int measure(cli_meta_table *t, const cli_meta_line *row, const float *params, const measured_as *as)
{
    whist_meta_env env = *row->env;
    whist_meta_test test = {.episodes = t->episodes, .fold = WHIST_FOLD_TEST, .steps = SIZE_MAX};
    whist_meta_score score;
    if (env.episodes.kind == WHIST_TASKS_CLASSES) {
        env.episodes.ways = as->ways, env.episodes.shots = as->shots;
        env.episodes.queries = 15;
        env.episodes.support_statistics = as->support;
    }
    if (as->attacked) test.attack = (whist_attack){.on = WHIST_ADVERSARY_QUERY, .epsilon = 0.05, .steps = 7};
    CLI_LIB(whist_meta_evaluate(&score, &env, params, &test));
    cli_meta_line line = *row;
    line.env = &env, line.score = &score, line.attacked = as->attacked;
    return cli_meta_table_line(t, &line);
}

static int measure_all(cli_meta_table *t, const cli_meta_line *line, const learner_row *row, const float *params)
{
    CLI_TRY(measure(t, line, params, &(measured_as){5, 1, false, false}));
    if (line->env->episodes.kind != WHIST_TASKS_CLASSES) return CLI_OK;
    CLI_TRY(measure(t, line, params, &(measured_as){5, 1, true, false}));
    if (row && row->attacked) CLI_TRY(measure(t, line, params, &(measured_as){5, 1, false, true}));
    if (!row || !row->any_ways) return CLI_OK;
    CLI_TRY(measure(t, line, params, &(measured_as){5, 5, false, false}));
    return measure(t, line, params, &(measured_as){20, 1, false, false});
}

static int open_study(cli_few *few, const cli_meta_table *t, const char *text)
{
    char path[CLI_PATH];
    const cli_args none = {0};
    CLI_TRY(cli_path(path, "%s/table.yaml", t->env->scratch));
    CLI_TRY(cli_write(path, text, strlen(text), 0600, CLI_WRITE_REPLACE));
    CLI_TRY(cli_few_open(few, &none, path, NULL));
    few->env.threads = t->env->threads;
    return CLI_OK;
}

/* ---- Trainings in one place ---- */

static int train_and_measure(cli_meta_table *t, cli_few *few, const learner_row *row)
{
    CLI_AUTO(train_end) whist_meta_train *run = NULL;
    whist_training training;
    if (!whist_study_training(few->study, &training)) return CLI_FAILED;
    CLI_LIB(whist_meta_train_new(&run, &few->env, &training));
    t->begin = cpu_now();
    whist_status status = whist_meta_train_run(run, &(whist_meta_go){.progress = within_budget, .user = t});
    t->cpu = cpu_now() - t->begin;
    t->taken = whist_meta_train_state(run).step;
    if (status != WHIST_OK && status != WHIST_E_CANCELLED) return cli_fail(status);
    const cli_meta_line line = {.env = &few->env, .against = row->adversary ? "query" : NULL};
    return measure_all(t, &line, row, whist_meta_train_params(run));
}

static int one_row(cli_meta_table *t, const learner_row *row, bool sine)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    char text[2048];
    const char *own = sine ? "name: adam, lr: 0.002" : "name: adam, lr: 0.001, clip: 10",
               *optimizer = row->optimizer ? row->optimizer : own;
    if (sine)
        snprintf(text, sizeof text, sine_study, row->options, optimizer);
    else
        snprintf(text, sizeof text, image_study, row->options, optimizer, row->any_ways ? 20u : 5u,
                 row->shots ? row->shots : 1, row->adversary ? row->adversary : "");
    CLI_TRY(open_study(&few, t, text));
    return train_and_measure(t, &few, row);
}

/* A row that fails says why on stderr; the others still run. */
static int rows(cli_meta_table *t, const learner_row list[], size_t n, bool sine)
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

/* ---- Federations ---- */

static void free_data(whist_dataset **data, size_t n)
{
    for (size_t i = 0; data && i < n; i++) whist_dataset_free(data[i]);
    free(data);
}

static int simulate(whist_fed_result *out, cli_meta_table *t, const cli_few *few)
{
    const whist_fed_plan *plan = whist_study_plan(few->study);
    const cli_args none = {0};
    char folder[CLI_PATH];
    CLI_TRY(cli_data_folder(folder, &none, few->study));
    whist_dataset **data = calloc(plan->n_sites, sizeof(whist_dataset *));
    if (!data) return cli_no_memory();
    whist_status status = whist_study_open_data(few->study, folder, data);
    t->begin = cpu_now();
    if (status == WHIST_OK)
        status = whist_fed_simulate(out, &(whist_simulation){.plan = plan, .data = data, .threads = t->env->threads});
    t->cpu = cpu_now() - t->begin;
    free_data(data, plan->n_sites);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

static int federation(cli_meta_table *t, const char *study, unsigned rounds)
{
    CLI_AUTO(cli_few_clear_one) cli_few few = {0};
    char text[2048];
    whist_fed_result result;
    const double budget = t->budget;
    snprintf(text, sizeof text, study, rounds);
    CLI_TRY(open_study(&few, t, text));
    CLI_TRY(simulate(&result, t, &few));
    t->taken = result.rounds;
    t->budget = 0;
    const cli_meta_line line = {
        .env = &few.env, .sites = whist_study_plan(few.study)->n_sites, .epsilon = result.epsilon};
    int code = measure_all(t, &line, NULL, result.model);
    t->budget = budget;
    whist_fed_result_clear(&result);
    return code;
}

/* ---- All of it ---- */

static bool has_omniglot(const whist_bench_env *env)
{
    char path[CLI_PATH];
    return env->data_dir && env->data_dir[0] &&
           cli_path(path, "%s/omniglot/omniglot28-images-idx3-ubyte.gz", env->data_dir) == CLI_OK && cli_exists(path);
}

static int worse(int a, int b)
{
    return a == CLI_OK ? b : a;
}

static int whole(const whist_bench_env *env, bool small)
{
    cli_meta_table t = {.env = env, .budget = small ? .25 : SINE_BUDGET, .episodes = small ? 20 : EPISODES};
    int code = rows(&t, sines, small ? 1 : sizeof sines / sizeof *sines, true);
    code = worse(code, federation(&t, private_study, small ? 2 : PRIVATE_ROUNDS));
    if (!has_omniglot(env))
        return worse(
            code, cli_meta_table_skipped(&t, "Omniglot", "WHIST_DATA/omniglot has no omniglot28-images-idx3-ubyte.gz"));
    t.budget = small ? .25 : IMAGE_BUDGET;
    t.episodes = small ? 2 : EPISODES;
    code = worse(code, rows(&t, images + (small ? 4 : 0), small ? 1 : sizeof images / sizeof *images, false));
    return worse(code, federation(&t, federated_study, small ? 2 : FEDERATED_ROUNDS));
}

whist_status cli_bench_meta(const whist_bench_env *env)
{
    return whole(env, false) == CLI_OK ? WHIST_OK : WHIST_E_STATE;
}

whist_status cli_bench_meta_small(const whist_bench_env *env)
{
    return whole(env, true) == CLI_OK ? WHIST_OK : WHIST_E_STATE;
}
