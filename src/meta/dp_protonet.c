/* meta/dp_protonet.c: dp-protonet: noisy prototypes of K public classes as the head of a fixed embedding f.
 *
 * With S_k the sum of the embeddings of class k, each scaled to norm at most C, and n_k their number,
 *
 *     p_k = (S_k + noise) / max(n_k + noise, 1), scaled to norm at most C
 *
 * and a row goes to the class whose prototype is nearest: with logits 2 p_k·x - |p_k|² that is the model's last layer
 * (Snell et al. 2017, section 2.4), so prototypes are a model like any other and go through strategy and protection.
 * A record adds (f(x), C) to the numbers of its class and nothing elsewhere, whatever K is: a vector of norm at most
 * √2 C, clipped, summed and noised as one (learn/dp_sum.h): one Gaussian release a round, over all of the site's rows.
 * Each row goes through the embedding by itself. The embedding is the round's model and is not learned; of several
 * sites the heads are averaged. */
#include <math.h>
#include <string.h>

#include "learn/dp_sum.h"
#include "meta/dp_learners.h"
#include "meta/model.h"
#include "nn/zoo.h"

static const whist_option options[] = {
    {"rows", WHIST_OPTION_INT, NULL, 1, 2e9, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"bound", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of a row's embedding"},
    {"noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL, "standard deviation of the noise over the sensitivity"},
    {0},
};

enum { MAX_TENSORS = 256 };
WH_AUTO_FREE(wh_value, wh_free)

typedef struct learner {
    whist_learner base;
    const whist_learner_env *env;
    whist_rows train;
    size_t n, features, outputs, classes;
    size_t weight, bias; /* where the head's tensors begin */
    uint64_t bound_rows;
    double bound, noise;
    wh_program *program;
    wh_run *run;
    wh_value *params;
    float *x, *theta; /* (d); (n): what the run is bound to */
    wh_dp_sum *sum;
    float *one, *sums; /* (classes, features + 1) */
    float *delta;      /* (n) */
} learner;

static void learner_free(whist_learner *self)
{
    learner *l = (learner *)self;
    if (!l) return;
    wh_run_free(l->run);
    wh_program_free(l->program);
    wh_dp_sum_free(l->sum);
    wh_free(l->params);
    wh_free(l->x);
    wh_free(l->theta);
    wh_free(l->one);
    wh_free(l->sums);
    wh_free(l->delta);
    wh_free(l);
}

/* ---- Making ---- */

/* The head's weight (features, outputs) and bias, by the tensors of the model. */
static whist_status find_head(learner *l, size_t head)
{
    size_t n;
    const whist_tensor_info *t = whist_model_tensors(l->env->model, &n);
    const whist_model_shape shape = whist_model_shape_get(l->env->model);
    bool classes = shape.target == WHIST_TARGET_CLASS || shape.target == WHIST_TARGET_BINARY;
    if (!classes || head + 2 != n || t[head].n_dims != 2 || t[head + 1].size != t[head].shape[1])
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "dp-protonet needs a task of classes and a model that ends in a dense layer with bias; %s is none",
                whist_model_class_name(l->env->model));
    l->features = t[head].shape[0];
    l->outputs = t[head].shape[1];
    l->classes = shape.target == WHIST_TARGET_BINARY ? 2 : l->outputs;
    l->weight = t[head].offset;
    l->bias = t[head + 1].offset;
    return WHIST_OK;
}

static whist_status make_embedding(learner *l)
{
    WH_AUTO(wh_graph_ptr) g = NULL;
    wh_model_values values;
    size_t n;
    wh_meta_model rows;
    WH_TRY(wh_meta_model_init(&rows, l->env->model, 1)); /* refuses what is no set of independent rows */
    (void)whist_model_tensors(l->env->model, &n);
    WH_TRY(wh_graph_new(&g, WH_F32));
    WH_TRY(WH_NEW(&l->params, n));
    WH_TRY(wh_model_params(l->params, g, l->env->model));
    WH_TRY(wh_model_graph(&values, g, l->env->model,
                          &(wh_model_use){.params = l->params, .batch = 1, .mode = WH_MODEL_EVAL}));
    wh_value out = wh_graph_scale(g, values.features, 1); /* of a model without layers the features are its input */
    WH_TRY(wh_graph_status(g));
    WH_TRY(find_head(l, values.head));
    WH_TRY(wh_program_new(&l->program, g, &out, 1));
    WH_TRY(wh_run_new(&l->run, l->program, 1));
    WH_TRY(wh_model_bind_params(l->run, l->params, l->env->model, l->theta, WH_F32));
    return wh_run_input(l->run, values.x, l->x);
}

static whist_status init(learner *l, const whist_learner_env *env)
{
    const whist_settings *s = env->settings;
    l->env = env;
    l->n = whist_model_size(env->model);
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    l->bound_rows = (uint64_t)whist_settings_int(s, "rows");
    l->bound = whist_settings_real(s, "bound");
    l->noise = whist_settings_real(s, "noise");
    if (l->train.n > l->bound_rows) /* the text does not say by how much */
        WH_FAIL(WHIST_E_STATE, "there are more training rows than the public bound of %llu: agree on a larger one",
                (unsigned long long)l->bound_rows);
    WH_TRY(WH_NEW(&l->x, l->train.d));
    WH_TRY(WH_NEW(&l->theta, l->n));
    WH_TRY(WH_NEW(&l->delta, l->n));
    WH_TRY(make_embedding(l));
    WH_TRY(WH_NEW(&l->one, l->classes * (l->features + 1)));
    WH_TRY(WH_NEW(&l->sums, l->classes * (l->features + 1)));
    return wh_dp_sum_new(&l->sum, l->classes * (l->features + 1), sqrt(2) * l->bound, l->noise);
}

static whist_status learner_new(whist_learner **out, const whist_learner_env *env)
{
    learner *l;
    WH_TRY(WH_NEW(&l, 1));
    l->base.class_ = &wh_learner_dp_protonet;
    whist_status status = init(l, env);
    if (status != WHIST_OK) {
        learner_free(&l->base);
        return status;
    }
    *out = &l->base;
    return WHIST_OK;
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
    size_t stride = l->train.x_stride ? l->train.x_stride : l->train.d,
           step = l->train.y_stride ? l->train.y_stride : 1, width = l->features + 1;
    float y = l->train.y[i * step];
    if (!(y >= 0 && y < (float)l->classes)) return WHIST_OK; /* of no class: adds nothing */
    float *to = l->one + (size_t)y * width;
    memcpy(l->x, l->train.x + i * stride, l->train.d * sizeof *l->x);
    WH_TRY(wh_run_go(l->run, NULL));
    memcpy(to, wh_run_result(l->run, 0), l->features * sizeof *to);
    shorten(to, l->features, l->bound);
    to[l->features] = (float)l->bound;
    wh_dp_sum_add(l->sum, l->one);
    memset(to, 0, width * sizeof *to);
    return WHIST_OK;
}

/* The sums become prototypes, in place, with |p|² behind each. */
static void make_prototypes(learner *l)
{
    for (size_t k = 0; k < l->classes; k++) {
        float *p = l->sums + k * (l->features + 1), square = 0;
        float rows = fmaxf(p[l->features] / (float)l->bound, 1);
        for (size_t j = 0; j < l->features; j++) p[j] /= rows;
        shorten(p, l->features, l->bound);
        for (size_t j = 0; j < l->features; j++) square += p[j] * p[j];
        p[l->features] = square;
    }
}

/* Column k of the head; of two classes and one score, what speaks for the second. */
static void put_head(float *theta, const learner *l)
{
    size_t width = l->features + 1;
    bool one = l->outputs < l->classes;
    for (size_t k = 0; k < l->outputs; k++) {
        const float *p = l->sums + (one ? 1 : k) * width, *q = l->sums;
        for (size_t j = 0; j < l->features; j++) theta[l->weight + j * l->outputs + k] = 2 * (p[j] - (one ? q[j] : 0));
        theta[l->bias + k] = (one ? q[l->features] : 0) - p[l->features];
    }
}

static whist_status fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    learner *l = (learner *)self;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    memcpy(l->theta, round->model, l->n * sizeof *l->theta);
    wh_dp_sum_begin(l->sum);
    for (size_t i = 0; i < l->train.n; i++) WH_TRY(add_row(l, i));
    WH_TRY(wh_dp_sum_release(l->sum, l->sums, 1));
    make_prototypes(l);
    put_head(l->theta, l);
    for (size_t i = 0; i < l->n; i++) l->delta[i] = l->theta[i] - round->model[i];
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
    const whist_learner_env *env = ((learner *)self)->env;
    const whist_rows rows = whist_dataset_rows(env->data, fold);
    return whist_learn_evaluate(out, env->model, model, &rows, env->metrics, env->n_metrics);
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
