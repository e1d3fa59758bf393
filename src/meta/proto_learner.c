/* meta/proto_learner.c: prototypes: class sums and counts of an embedding as the update, without noise.
 *
 * With S_k the sum of the embeddings of a site's n_k rows of class k and n the number of all its rows, what the site
 * says of its rows stands where the head does: S_k / n for the weight's column k, n_k / n for its bias. Their mean over
 * sites, weighted by rows, is Σ S_k / Σ n and Σ n_k / Σ n, so their quotient p_k is the mean over all rows of class k
 * that anybody has, whoever has how many: a site of a single class adds what it knows of that one. It is a difference
 * to the global model like any other update, so every strategy that averages, and every protection, applies; FedAvg is
 * exact after one round. The last model becomes a plain one: 2 p_k and -|p_k|² (meta/prototypes.h), by `finish`.
 *
 * The embedding may be learned on the way. In odd rounds, up to `learn` of them, the sums stay as they are and a site
 * takes SGD steps on the embedding with the global prototypes as a fixed head (in the spirit of FedProto, Tan et al.
 * 2022), which works for sites that have one class only, as no episode does: others' prototypes are what it moves away
 * from. In even rounds the embedding stands and its prototypes are made anew; so those that are learned against, and
 * the last ones of an odd number of rounds, are means of the very embedding. */
#include <math.h>
#include <string.h>

#include "learn/local.h"
#include "meta/dp_learners.h"
#include "meta/learners.h"
#include "meta/prototypes.h"

static const whist_option options[] = {
    {"learn", WHIST_OPTION_INT, "0", 0, 1e6, NULL,
     "how many times the embedding is learned, by SGD against the global prototypes: in every second round, so that a "
     "study takes 2 learn + 1 rounds"},
    {"lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "learning rate of the embedding"},
    {"batch", WHIST_OPTION_INT, "32", 0, 1e6, NULL, "rows in a batch; 0 takes all of the site's rows at once"},
    {"updates", WHIST_OPTION_INT, "0", 0, 1e9, NULL, "local steps in a round; 0: as many as epochs says"},
    {"epochs", WHIST_OPTION_INT, "1", 1, 1e6, NULL, "passes over the site's rows in a round, unless updates is set"},
    {"evaluate", WHIST_OPTION_CHOICE, "global", 0, 0, "global|personal",
     "what is measured: the global prototypes; or the means of the site's own training rows, for classes that it has"},
    {0},
};

enum { AT_ONCE = 32 };
/* A class of a smaller share of the rows is one that nobody has (what is left of a number that was taken away again is
 * some 1e-9); its score is beyond all others, and finite, so that probabilities are. */
static const double least_share = 1e-7;
static const float nowhere = 1e9F;

typedef struct learner {
    whist_learner base;
    wh_local local;
    wh_prototypes rows;
    uint64_t learns;
    bool is_personal;
    double *sums; /* (classes, features + 1): sums of the site's rows, and how many they are */
    float *means; /* the same of prototypes, as wh_prototypes_put takes them */
    float *grad;  /* (n), where the embedding is learned */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_local_clear(&l->local);
    wh_prototypes_clear(&l->rows);
    wh_free(l->sums);
    wh_free(l->means);
    wh_free(l->grad);
    wh_free(l);
}

/* ---- Making ---- */

static whist_status check_model(const whist_model *model)
{
    if (whist_model_shape_get(model).target != WHIST_TARGET_CLASS)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "prototypes keeps class sums where the head has a column for each class, and the head of a binary task "
                "has one: say task: classes, with two of them");
    if (wh_model_couples(model, WH_MODEL_TRAIN) || wh_model_drops(model))
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "prototypes are means of single rows: take norm group or none, and dropout 0, not statistics of a "
                "batch or masks");
    return WHIST_OK;
}

whist_status wh_meta_prototypes_check(const whist_model *model)
{
    wh_prototypes head;
    WH_TRY(check_model(model));
    WH_TRY(wh_prototypes_init(&head, model, "prototypes", 1));
    wh_prototypes_clear(&head);
    return WHIST_OK;
}

static whist_status init(learner *l, const whist_learner_env *env)
{
    const whist_settings *s = env->settings;
    WH_TRY(check_model(env->model));
    WH_TRY(wh_prototypes_init(&l->rows, env->model, "prototypes", AT_ONCE));
    WH_TRY(wh_local_init(&l->local, env));
    l->learns = (uint64_t)whist_settings_int(s, "learn");
    l->is_personal = strcmp(whist_settings_text(s, "evaluate"), "personal") == 0;
    if (l->learns > 0 && l->rows.weight == 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "model %s has no layer below its head that could be learned: leave out learn",
                whist_model_class_name(env->model));
    size_t numbers = l->rows.classes * (l->rows.features + 1);
    WH_TRY(WH_NEW(&l->sums, numbers));
    WH_TRY(WH_NEW(&l->means, numbers));
    return l->learns > 0 ? WH_NEW(&l->grad, l->local.n) : WHIST_OK;
}

static whist_status learner_new(whist_learner **out, const whist_learner_env *env)
{
    learner *l;
    WH_TRY(WH_NEW(&l, 1));
    l->base.class_ = &wh_learner_prototypes;
    whist_status status = init(l, env);
    if (status != WHIST_OK) {
        learner_free(&l->base);
        return status;
    }
    *out = &l->base;
    return WHIST_OK;
}

/* ---- Sums, means, heads ---- */

/* The site's own sums under the embedding of model, in the order of its rows. */
static whist_status sum_rows(learner *l, const float *model)
{
    const whist_rows *rows = &l->local.train;
    size_t f = l->rows.features, width = f + 1, n;
    memcpy(l->rows.theta, model, l->local.n * sizeof *model);
    memset(l->sums, 0, l->rows.classes * width * sizeof *l->sums);
    for (size_t from = 0; from < rows->n; from += n) {
        const float *features;
        n = rows->n - from < AT_ONCE ? rows->n - from : AT_ONCE;
        WH_TRY(wh_prototypes_embed(&features, &l->rows, rows, from, n));
        for (size_t i = 0; i < n; i++) {
            size_t k = wh_prototypes_class(&l->rows, rows, from + i);
            if (k == l->rows.classes)
                WH_FAIL(WHIST_E_RANGE, "training row %zu has a target that is none of the %zu classes", from + i + 1,
                        l->rows.classes);
            for (size_t j = 0; j < f; j++) l->sums[k * width + j] += (double)features[i * f + j];
            l->sums[k * width + f]++;
        }
    }
    return WHIST_OK;
}

/* The mean of one class from its sums, with what is taken from its score behind it. */
static void put_mean(float *mean, const double *sums, double count, size_t f)
{
    double square = 0;
    for (size_t j = 0; j < f; j++) {
        double p = count > 0 ? sums[j] / count : 0;
        mean[j] = (float)p;
        square += p * p;
    }
    mean[f] = count > 0 ? (float)square : nowhere;
}

/* What stands in the head's place becomes a head that compares: own sums, where there are any, come before the
 * global ones. */
static void make_head(float *params, const wh_prototypes *rows, const double *own, double *scratch, float *means)
{
    size_t f = rows->features, width = f + 1;
    for (size_t k = 0; k < rows->classes; k++) {
        const double *sums = own ? own + k * width : NULL;
        double count = own ? own[k * width + f] : 0;
        if (!(count > 0)) {
            for (size_t j = 0; j < f; j++) scratch[j] = (double)params[rows->weight + j * rows->outputs + k];
            count = (double)params[rows->bias + k];
            if (!(count >= least_share)) count = 0;
            sums = scratch;
        }
        put_mean(means + k * width, sums, count, f);
    }
    wh_prototypes_put(params, rows, means);
}

/* ---- A round ---- */

/* The embedding takes steps below the head of prototypes, whose sums stay as they were. */
static whist_status learn(learner *l, const whist_learner_round *round)
{
    wh_local *local = &l->local;
    WH_AUTO(wh_owned) scratch = NULL;
    WH_TRY(wh_alloc(&scratch, l->rows.features, sizeof(double)));
    make_head(local->params, &l->rows, NULL, scratch, l->means);
    for (uint64_t step = 0; step < local->steps; step++) {
        wh_local_next(local);
        WH_TRY(whist_model_loss_grad(local->env->model, local->work, local->params, &local->batch, l->grad, NULL));
        for (size_t i = 0; i < l->rows.weight; i++) local->params[i] -= (float)local->lr * l->grad[i];
    }
    memcpy(local->params + l->rows.weight, round->model + l->rows.weight, (local->n - l->rows.weight) * sizeof(float));
    return WHIST_OK;
}

/* The site's sums and counts over its rows stand in the head's place. */
static whist_status put_sums(learner *l, const float *model)
{
    size_t f = l->rows.features, width = f + 1;
    const double n = (double)l->local.train.n;
    float *params = l->local.params;
    WH_TRY(sum_rows(l, model));
    for (size_t k = 0; k < l->rows.classes; k++) {
        for (size_t j = 0; j < f; j++)
            params[l->rows.weight + j * l->rows.outputs + k] = (float)(l->sums[k * width + j] / n);
        params[l->rows.bias + k] = (float)(l->sums[k * width + f] / n);
    }
    return WHIST_OK;
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    WH_TRY(wh_local_begin(&l->local, round));
    bool learns = round->round % 2 == 1 && round->round / 2 < l->learns;
    WH_TRY(learns ? learn(l, round) : put_sums(l, round->model));
    wh_local_finish(&l->local, round, 1, out);
    return WHIST_OK;
}

static whist_status evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    learner *l = (learner *)self;
    const whist_learner_env *env = l->local.env;
    const whist_rows rows = whist_dataset_rows(env->data, fold);
    WH_AUTO(wh_owned) scratch = NULL;
    WH_TRY(wh_alloc(&scratch, l->rows.features, sizeof(double)));
    if (l->is_personal) WH_TRY(sum_rows(l, model));
    memcpy(l->local.params, model, l->local.n * sizeof *model);
    make_head(l->local.params, &l->rows, l->is_personal ? l->sums : NULL, scratch, l->means);
    return whist_learn_evaluate(out, env->model, l->local.params, &rows, env->metrics, env->n_metrics);
}

/* ---- The last model ---- */

static whist_status finish(const whist_model *model, const whist_settings *settings, float *params)
{
    WH_AUTO(wh_owned) scratch = NULL;
    WH_AUTO(wh_owned) means = NULL;
    wh_prototypes head;
    (void)settings;
    WH_TRY(wh_prototypes_init(&head, model, "prototypes", 1));
    whist_status status = wh_alloc(&scratch, head.features, sizeof(double));
    if (status == WHIST_OK) status = wh_alloc(&means, head.classes * (head.features + 1), sizeof(float));
    if (status == WHIST_OK) make_head(params, &head, NULL, scratch, means);
    wh_prototypes_clear(&head);
    return status;
}

static const char *objection(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics)
{
    if (unit == WHIST_DP_RECORD) return "it bounds and noises no row; take dp-protonet";
    if (unit == WHIST_DP_TASK)
        return "a row of a class is in no task; take dp-meta, whose tasks are persons, or unit site";
    if (plain_metrics && strcmp(whist_settings_text(settings, "evaluate"), "personal") == 0)
        return "its metrics are those of prototypes of the site's training rows, and metrics: plain lets them leave "
               "without noise; say learner.evaluate: global, or leave the metrics at home";
    return NULL;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_prototypes = {
    .name = "prototypes",
    .doc = "class sums and counts of all sites become prototypes of the study's classes, the head of an embedding",
    .options = options,
    .vectors = vectors,
    .new_ = learner_new,
    .free_ = learner_free,
    .fit = fit,
    .evaluate = evaluate,
    .objection = objection,
    .finish = finish,
};
