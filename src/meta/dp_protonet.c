/* meta/dp_protonet.c: dp-protonet: noisy prototypes of K public classes as the head of a fixed embedding f.
 *
 * With S_k the sum of the embeddings of class k, each scaled to norm at most C, and n_k their number,
 *
 *     p_k = (S_k + noise) / max(n_k + noise, 1), scaled to norm at most C
 *
 * and a row goes to the class whose prototype is nearest, by the model's last layer (meta/prototypes.h): prototypes are
 * a model like any other and go through strategy and protection. A record adds (f(x), C) to the numbers of its class
 * and nothing elsewhere, whatever K is: a vector of norm at most √2 C, clipped, summed and noised as one
 * (learn/dp_sum.h): one Gaussian release a round, over all of the site's rows. Each row goes through the embedding by
 * itself. The embedding is the round's model and is not learned; of several sites the heads are averaged. */
#include <math.h>
#include <string.h>

#include "learn/dp_parts.h"
#include "learn/dp_sum.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"
#include "meta/prototypes.h"

static const whist_option options[] = {
    {"rows", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"bound", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of a row's embedding"},
    {"noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL, "standard deviation of the noise over the sensitivity"},
    {0},
};

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    whist_rows train;
    size_t n;
    uint64_t bound_rows;
    double bound, noise;
    wh_prototypes rows; /* one by one */
    wh_dp_sum *sum;
    float *one, *sums; /* (classes, features + 1) */
    float *delta;      /* (n) */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_prototypes_clear(&l->rows);
    wh_dp_sum_free(l->sum);
    wh_free(l->one);
    wh_free(l->sums);
    wh_free(l->delta);
    wh_free(l);
}

/* ---- Making ---- */

static whist_status init(whist_learner *self, const whist_learner_env *env)
{
    learner *l = (learner *)self;
    const whist_settings *s = env->settings;
    l->env = env;
    l->n = whist_model_size(env->model);
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    l->bound_rows = (uint64_t)whist_settings_int(s, "rows");
    l->bound = whist_settings_real(s, "bound");
    l->noise = whist_settings_real(s, "noise");
    WH_TRY(wh_dp_check_rows(l->bound_rows, &l->train));
    WH_TRY(wh_prototypes_init(&l->rows, env->model, "dp-protonet", 1));
    size_t numbers = l->rows.classes * (l->rows.features + 1);
    WH_TRY(WH_NEW(&l->delta, l->n));
    WH_TRY(WH_NEW(&l->one, numbers));
    WH_TRY(WH_NEW(&l->sums, numbers));
    return wh_dp_sum_new(&l->sum, numbers, sqrt(2) * l->bound, l->noise);
}

static whist_status learner_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_dp_protonet, sizeof(learner), init, env);
}

/* ---- A round ---- */

/* v scaled to norm at most C; 0 where it is not finite. */
static void shorten(float *v, size_t n, double most)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) square += (double)v[i] * (double)v[i];
    double norm = sqrt(square), factor = !isfinite(norm) ? 0 : norm > most ? most / norm : 1;
    for (size_t i = 0; i < n; i++) v[i] = factor == 0 ? 0 : (float)((double)v[i] * factor);
}

/* What row i adds: its embedding and C in the numbers of its class. */
static whist_status add_row(learner *l, size_t i)
{
    size_t n = l->rows.features, k = wh_prototypes_class(&l->rows, &l->train, i);
    const float *features;
    if (k == l->rows.classes) return WHIST_OK; /* of no class: adds nothing */
    float *to = l->one + k * (n + 1);
    WH_TRY(wh_prototypes_embed(&features, &l->rows, &l->train, i, 1));
    memcpy(to, features, n * sizeof *to);
    shorten(to, n, l->bound);
    to[n] = (float)l->bound;
    wh_dp_sum_add(l->sum, l->one);
    memset(to, 0, (n + 1) * sizeof *to);
    return WHIST_OK;
}

/* The sums become prototypes, in place, with |p|² behind each. */
static void make_prototypes(learner *l)
{
    size_t n = l->rows.features;
    for (size_t k = 0; k < l->rows.classes; k++) {
        float *p = l->sums + k * (n + 1), square = 0;
        float rows = fmaxf(p[n] / (float)l->bound, 1);
        for (size_t j = 0; j < n; j++) p[j] /= rows;
        shorten(p, n, l->bound);
        for (size_t j = 0; j < n; j++) square += p[j] * p[j];
        p[n] = square;
    }
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    float *theta = l->rows.theta;
    memcpy(theta, round->model, l->n * sizeof *theta);
    wh_dp_sum_begin(l->sum);
    for (size_t i = 0; i < l->train.n; i++) WH_TRY(add_row(l, i));
    WH_TRY(wh_dp_sum_release(l->sum, l->sums, 1));
    make_prototypes(l);
    wh_prototypes_put(theta, &l->rows, l->sums);
    for (size_t i = 0; i < l->n; i++) l->delta[i] = theta[i] - round->model[i];
    *out = (whist_update){.n_vectors = 1, .vectors = {l->delta}, .rows = (double)l->bound_rows, .steps = 1};
    return WHIST_OK;
}

static whist_status plans(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n)
{
    out[0] = (whist_dp_event){.mechanism = WHIST_DP_GAUSSIAN,
                              .noise = whist_settings_real(settings, "noise"),
                              .sampling = WHIST_DP_ALL,
                              .count = rounds};
    *n = 1;
    return WHIST_OK;
}

static whist_status spends(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n)
{
    (void)round;
    return plans(((const learner *)self)->env->settings, 1, out, n);
}

static whist_status evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    return wh_learner_measure(out, ((learner *)self)->env, model, fold);
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_dp_protonet = {
    .name = "dp-protonet",
    .doc = "noisy prototypes of the study's classes as the head of a fixed embedding: hides records",
    .options = options,
    .vectors = vectors,
    .new_ = learner_new,
    .free_ = learner_free,
    .fit = fit,
    .evaluate = evaluate,
    .spends = spends,
    .plans = plans,
    .unit = WHIST_DP_RECORD,
};
