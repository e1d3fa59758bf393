/* examples/learner_mean.c: a learner of your own, and a federation in this process that uses it.
 *
 * The learner does no training: what it sends is the mean of its features, so that after one round of FedAvg
 * the model is the mean over all rows of all sites, and nobody has shown a row to anybody. It shows
 * everything that a learner must have: options, an update, metrics as sums.
 *
 *   cc -std=c17 learner_mean.c strategy_damped.c $(pkg-config --cflags --libs whist) -lm -o learner_mean */
#include "strategy_damped.h"

#include <whist/fed.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The learner ---- */

typedef struct mean_learner {
    whist_learner base; /* first: whist_learner * is mean_learner * */
    const whist_learner_env *env;
    double scale;
    float *delta; /* (n) */
} mean_learner;

static void mean_free(whist_learner *self)
{
    free(((mean_learner *)self)->delta);
    free(self);
}

static const whist_learner_class learner_mean;

static whist_status mean_new(whist_learner **out, const whist_learner_env *env)
{
    size_t n = whist_model_size(env->model);
    mean_learner *m = calloc(1, sizeof *m);
    float *delta = calloc(n, sizeof *delta);
    if (!m || !delta || n < whist_dataset_features(env->data)) {
        free(m);
        free(delta);
        return m && delta ? WHIST_E_ARG : WHIST_E_NOMEM;
    }
    *m = (mean_learner){{&learner_mean}, env, whist_settings_real(env->settings, "scale"), delta};
    *out = &m->base;
    return WHIST_OK;
}

/* delta = scale * mean - model: added to the model, it gives the mean. */
static whist_status mean_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    mean_learner *m = (mean_learner *)self;
    whist_rows rows = whist_dataset_rows(m->env->data, WHIST_FOLD_TRAIN);
    for (size_t j = 0; j < round->n; j++) {
        double sum = 0;
        for (size_t i = 0; j < rows.d && i < rows.n; i++) sum += (double)rows.x[i * rows.d + j];
        m->delta[j] = (float)(rows.n ? m->scale * sum / (double)rows.n : 0) - round->model[j];
    }
    *out = (whist_update){.n_vectors = 1, .vectors = {m->delta}, .rows = (double)rows.n, .steps = 1};
    return WHIST_OK;
}

/* "mae": how far rows lie from the model, as a sum and a count, so that sites add up exactly. */
static whist_status mean_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    mean_learner *m = (mean_learner *)self;
    whist_rows rows = whist_dataset_rows(m->env->data, fold);
    for (size_t k = 0; k < m->env->n_metrics; k++) {
        out[k] = (whist_metric_value){0, (double)(rows.n * rows.d), (double)rows.n};
        for (size_t i = 0; i < rows.n * rows.d; i++) out[k].num += fabs((double)rows.x[i] - (double)model[i % rows.d]);
    }
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};
static const whist_option options[] = {
    {"scale", WHIST_OPTION_REAL, "1", 0, 1e3, NULL, "what the mean is multiplied by"},
    {NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL},
};

static const whist_learner_class learner_mean = {
    .name = "mean",
    .doc = "sends the mean of its features",
    .options = options,
    .vectors = vectors,
    .new_ = mean_new,
    .free_ = mean_free,
    .fit = mean_fit,
    .evaluate = mean_evaluate,
};

/* ---- A federation of three sites ---- */

enum { SITES = 3, FEATURES = 2, ROUNDS = 8 };

/* Site i has i + 2 rows (i, 1), (i + 1, 1), … */
static whist_status open_site(whist_dataset **out, size_t site)
{
    float x[8 * FEATURES], y[8] = {0};
    size_t n = site + 2;
    for (size_t i = 0; i < n; i++) {
        x[i * FEATURES] = (float)(site + i);
        x[i * FEATURES + 1] = 1;
    }
    const whist_rows train = {.n = n, .d = FEATURES, .x = x, .y = y};
    const whist_rows test = {.n = 1, .d = FEATURES, .x = x, .y = y};
    return whist_dataset_from_rows(out, &train, &test);
}

static whist_status federate(whist_fed_result *out, const whist_model *model, whist_dataset *const *data,
                             const whist_settings *learner_settings, const whist_settings *strategy_settings)
{
    static const char *const metrics[] = {"mae"};
    static const whist_fed_site sites[SITES] = {{.name = "north"}, {.name = "east"}, {.name = "south"}};
    const whist_fed_plan plan = {
        .name = "means",
        .seed = 1,
        .model = model,
        .learner = &learner_mean,
        .learner_settings = learner_settings,
        .strategy = &strategy_damped,
        .strategy_settings = strategy_settings,
        .protection = whist_protection_classes()[0], /* none */
        .bits = 64,
        .fraction = 32,
        .rounds = ROUNDS,
        .sample_fraction = 1,
        .min_sites = SITES,
        .round_timeout_ms = 60000,
        .metrics = metrics,
        .n_metrics = 1,
        .n_features = FEATURES,
        .sites = sites,
        .n_sites = SITES,
    };
    const whist_simulation simulation = {.plan = &plan, .data = data, .threads = 2};
    return whist_fed_simulate(out, &simulation);
}

/* Rows 0 1 | 1 2 3 | 2 3 4 5: their mean is 21/9. The damped way there halves the distance each round. */
static int check(const whist_fed_result *result, const float *first)
{
    const double means[FEATURES] = {21.0 / 9, 1};
    for (size_t j = 0; j < FEATURES; j++) {
        double left = (double)first[j] - means[j];
        for (int round = 0; round < ROUNDS; round++) left /= 2;
        printf("feature %zu: %.6f, the mean is %.6f\n", j, (double)result->model[j], means[j]);
        if (fabs((double)result->model[j] - means[j] - left) > 1e-5) return 1;
    }
    printf("mean distance of a test row: %.4f\n", result->pooled.test[0].num / result->pooled.test[0].den);
    return result->rounds == ROUNDS && result->pooled.test[0].n > 2.5 ? 0 : 1;
}

int main(void)
{
    whist_model *model = NULL;
    whist_settings *learner_settings = NULL, *strategy_settings = NULL;
    whist_dataset *data[SITES] = {NULL};
    whist_fed_result result = {0};
    float first[FEATURES + 1];
    const whist_model_shape shape = {.n_features = FEATURES, .n_outputs = 1, .target = WHIST_TARGET_VALUE};
    whist_status status = whist_model_new(&model, "linear", NULL, &shape);
    if (status == WHIST_OK) status = whist_settings_new(&learner_settings, learner_mean.options);
    if (status == WHIST_OK) status = whist_settings_new(&strategy_settings, strategy_damped.options);
    if (status == WHIST_OK) status = whist_settings_set(strategy_settings, "damping", "0.5");
    for (size_t i = 0; status == WHIST_OK && i < SITES; i++) status = open_site(&data[i], i);
    if (status == WHIST_OK) whist_model_init(model, first, 1);
    if (status == WHIST_OK) status = federate(&result, model, data, learner_settings, strategy_settings);
    int code = status == WHIST_OK ? check(&result, first) : 1;
    if (status != WHIST_OK) fprintf(stderr, "%s: %s\n", whist_status_name(status), whist_detail_get()->text);
    whist_fed_result_clear(&result);
    for (size_t i = 0; i < SITES; i++) whist_dataset_free(data[i]);
    whist_settings_free(learner_settings);
    whist_settings_free(strategy_settings);
    whist_model_free(model);
    return code;
}
