/* fed/fed_bench.c: a real round of the 2NN, what a round costs beside the learning, and a million sites. */
#include "fed/fed_bench.h"

#include "base/bench.h"
#include "base/mem.h"
#include "base/settings.h"
#include "draw/stream.h"

#include <whist/fed.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A learner that has nothing to learn ---- */

typedef struct null_learner {
    whist_learner base;
    float *update;
} null_learner;

static float *shared_update; /* one dense update for all sites; owned by the bench that runs */

static whist_status null_new(whist_learner **out, const whist_learner_env *env);

static void null_free(whist_learner *self)
{
    wh_free(self);
}

static whist_status null_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    (void)round;
    *out = (whist_update){.n_vectors = 1, .vectors = {((null_learner *)self)->update}, .rows = 1, .steps = 1};
    return WHIST_OK;
}

static whist_status null_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    (void)self, (void)model, (void)fold, (void)out;
    return WHIST_OK;
}

static const char *const delta_only[] = {"delta", NULL};
static const whist_option no_options[] = {{0}};
static const whist_learner_class null_class = {
    .name = "null",
    .doc = "returns a fixed dense update",
    .options = no_options,
    .vectors = delta_only,
    .new_ = null_new,
    .free_ = null_free,
    .fit = null_fit,
    .evaluate = null_evaluate,
};

static whist_status null_new(whist_learner **out, const whist_learner_env *env)
{
    (void)env;
    null_learner *self;
    WH_TRY(WH_NEW(&self, 1));
    self->base.class_ = &null_class;
    self->update = shared_update;
    *out = &self->base;
    return WHIST_OK;
}

/* ---- A plan around it ---- */

typedef struct setup {
    whist_fed_plan plan;
    whist_model *model;
    whist_settings *learner, *strategy, *protection;
    whist_fed_site *sites;
    whist_dataset **data; /* one for each site; NULL for the null learner */
    bool own_data;
} setup;

static void setup_clear(setup *s)
{
    for (size_t i = 0; s->own_data && s->data && i < s->plan.n_sites; i++) whist_dataset_free(s->data[i]);
    whist_model_free(s->model);
    whist_settings_free(s->learner);
    whist_settings_free(s->strategy);
    whist_settings_free(s->protection);
    wh_free(s->sites);
    wh_free(s->data);
}
WH_AUTO_CLEAR(setup, setup_clear)

static const whist_strategy_class *strategy_named(const char *name)
{
    const whist_strategy_class *const *at = whist_strategy_classes();
    while (*at && strcmp((*at)->name, name) != 0) at++;
    return *at;
}

static const whist_learner_class *learner_named(const char *name)
{
    const whist_learner_class *const *at = whist_learner_classes();
    while (*at && strcmp((*at)->name, name) != 0) at++;
    return *at;
}

static whist_status make_plan(setup *s, const whist_learner_class *learner, size_t n_sites, uint32_t rounds,
                              double fraction, unsigned bits)
{
    s->plan = (whist_fed_plan){
        .name = "bench",
        .model = s->model,
        .learner = learner,
        .strategy = strategy_named("fedavg"),
        .protection = whist_protection_classes()[0],
        .bits = bits,
        .fraction = bits == 32 ? 16 : 32,
        .rounds = rounds,
        .sample_fraction = fraction,
        .min_sites = 1,
        .round_timeout_ms = 600000,
        .n_sites = n_sites,
    };
    WH_TRY(whist_settings_new(&s->learner, learner->options));
    WH_TRY(whist_settings_new(&s->strategy, s->plan.strategy->options));
    WH_TRY(whist_settings_new(&s->protection, s->plan.protection->options));
    WH_TRY(WH_NEW(&s->sites, n_sites));
    for (size_t i = 0; i < n_sites; i++) snprintf(s->sites[i].name, sizeof s->sites[i].name, "site-%zu", i);
    s->plan.sites = s->sites;
    s->plan.learner_settings = s->learner;
    s->plan.strategy_settings = s->strategy;
    s->plan.protection_settings = s->protection;
    if (!s->data) WH_TRY(WH_NEW(&s->data, n_sites));
    return WHIST_OK;
}

typedef struct timing {
    setup *s;
    unsigned threads;
} timing;

static whist_status simulate(void *user)
{
    timing *t = user;
    const whist_simulation simulation = {.plan = &t->s->plan, .data = t->s->data, .threads = t->threads};
    whist_fed_result result = {0};
    WH_TRY(whist_fed_simulate(&result, &simulation));
    whist_fed_result_clear(&result);
    return WHIST_OK;
}

/* ---- fed.round.2nn ---- */

enum { ROUND_SITES = 100, ROUND_ROUNDS = 3 };

static void image_schema(whist_schema *schema, const char *folder)
{
    *schema = (whist_schema){.task = WHIST_TASK_CLASSES, .n_classes = 10, .partition = WHIST_PARTITION_IID};
    schema->image_height = schema->image_width = 28;
    schema->format = folder ? WHIST_DATA_IDX : WHIST_DATA_SYNTHETIC;
    schema->synthetic_rows = 600;
    snprintf(schema->train_images, sizeof schema->train_images, "train-images-idx3-ubyte.gz");
    snprintf(schema->train_labels, sizeof schema->train_labels, "train-labels-idx1-ubyte.gz");
    snprintf(schema->test_images, sizeof schema->test_images, "t10k-images-idx3-ubyte.gz");
    snprintf(schema->test_labels, sizeof schema->test_labels, "t10k-labels-idx1-ubyte.gz");
}

/* MNIST where it is, else images of the same shape: 100 sites of 600. */
static whist_status open_images(setup *s, const whist_bench_env *env)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/mnist", env->data_dir ? env->data_dir : "");
    bool real = env->data_dir && access(folder, R_OK) == 0;
    whist_schema schema;
    image_schema(&schema, real ? folder : NULL);
    const char *names[ROUND_SITES];
    for (size_t i = 0; i < ROUND_SITES; i++) names[i] = s->sites[i].name;
    const whist_data_source source = {.folder = folder, .n_sites = ROUND_SITES};
    WH_TRY(whist_dataset_open_all(s->data, &schema, &source, NULL, names));
    s->own_data = true;
    return WHIST_OK;
}

static whist_status bench_round(const whist_bench_env *env)
{
    WH_AUTO(setup) s = {0};
    const whist_model_shape shape = {784, 10, WHIST_TARGET_CLASS};
    whist_settings *mlp;
    WH_TRY(whist_settings_new(&mlp, whist_model_class_find("mlp")->options));
    whist_status status = whist_settings_set(mlp, "hidden", "[200, 200]");
    if (status == WHIST_OK) status = whist_model_new(&s.model, "mlp", mlp, &shape);
    whist_settings_free(mlp);
    WH_TRY(status);
    WH_TRY(make_plan(&s, learner_named("sgd"), ROUND_SITES, ROUND_ROUNDS, .1, 64));
    WH_TRY(whist_settings_set(s.learner, "batch", "10"));
    WH_TRY(whist_settings_set(s.learner, "lr", "0.05"));
    WH_TRY(open_images(&s, env));
    timing t = {&s, env->threads};
    return wh_bench_measure_on(env->threads, env, "fed.round.2nn", "s", false, ROUND_ROUNDS, simulate, &t);
}

/* ---- fed.overhead ---- */

enum { OVERHEAD_FEATURES = 1 << 20, OVERHEAD_SITES = 32, OVERHEAD_ROUNDS = 4 };

static whist_status random_update(size_t n)
{
    WH_TRY(WH_NEW_RAW(&shared_update, n));
    wh_seeded stream;
    wh_seeded_init(&stream, 1, "bench", "", 0);
    for (size_t i = 0; i < n; i++) shared_update[i] = wh_seeded_float(&stream) - .5f;
    return WHIST_OK;
}

static whist_status null_setup(setup *s, size_t features, size_t sites, uint32_t rounds, double fraction)
{
    const whist_model_shape shape = {features, 1, WHIST_TARGET_VALUE};
    WH_TRY(whist_model_new(&s->model, "linear", NULL, &shape));
    WH_TRY(random_update(whist_model_size(s->model)));
    return make_plan(s, &null_class, sites, rounds, fraction, 32);
}

static whist_status bench_overhead(const whist_bench_env *env)
{
    WH_AUTO(setup) s = {0};
    whist_status status = null_setup(&s, OVERHEAD_FEATURES, OVERHEAD_SITES, OVERHEAD_ROUNDS, 1);
    timing t = {&s, env->threads};
    double thousands = (double)OVERHEAD_FEATURES / 1000;
    if (status == WHIST_OK)
        status = wh_bench_measure_on(env->threads, env, "fed.overhead", "s", false,
                                     OVERHEAD_ROUNDS * OVERHEAD_SITES * thousands, simulate, &t);
    wh_free(shared_update);
    shared_update = NULL;
    return status;
}

/* ---- fed.sites1e6 ---- */

enum { MANY_SITES = 1000000 };

static whist_status many_sites(void)
{
    WH_AUTO(setup) s = {0};
    whist_status status = null_setup(&s, 1000, MANY_SITES, 2, 1e-4);
    timing t = {&s, 1};
    if (status == WHIST_OK) status = simulate(&t);
    wh_free(shared_update);
    shared_update = NULL;
    return status;
}

/* In a process of its own, whose peak memory is nobody else's. */
static whist_status bench_many(const whist_bench_env *env)
{
    pid_t child = fork();
    if (child < 0) WH_FAIL(WHIST_E_NOMEM, "cannot start a process");
    if (child == 0) _exit(many_sites() == WHIST_OK ? 0 : 1);
    int code;
    struct rusage usage;
    if (wait4(child, &code, 0, &usage) < 0 || !WIFEXITED(code) || WEXITSTATUS(code) != 0)
        WH_FAIL(WHIST_E_STATE, "the run with a million sites failed");
    double bytes = (double)usage.ru_maxrss * 1024;
    whist_bench_result result = {
        .name = "fed.sites1e6", .unit = "B", .median = bytes, .min = bytes, .max = bytes, .reps = 1, .threads = 1};
    env->emit(env->user, &result);
    return WHIST_OK;
}

const whist_bench wh_fed_benches[] = {
    {"fed.round.2nn", "one round: 10 of 100 sites, 600 MNIST images each, MLP 784-200-200-10, batch 10", false,
     bench_round},
    {"fed.overhead", "a round beside the learning, for each site and 1,000 parameters (32-bit ring)", false,
     bench_overhead},
    {"fed.sites1e6", "peak memory of a run with 1,000,000 registered sites, 100 in a round", false, bench_many},
    {0},
};
