/* fed/toy.c: see toy.h. */
#include "fed/toy.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

toy_evil toy_bad_say;
const char *toy_bad_site;

typedef struct toy {
    whist_learner base;
    const whist_learner_env *env;
    size_t n;
    float *delta, *control, *state; /* (n); the last two only with state */
} toy;

static void toy_free(whist_learner *self)
{
    toy *t = (toy *)self;
    wh_free(t->delta);
    wh_free(t->control);
    wh_free(t->state);
    wh_free(t);
}

static whist_status make(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    toy *t;
    WH_TRY(WH_NEW(&t, 1));
    t->base.class_ = class_;
    t->env = env;
    t->n = whist_model_size(env->model);
    whist_status status = WH_NEW(&t->delta, t->n);
    if (status == WHIST_OK) status = WH_NEW(&t->control, t->n);
    if (status == WHIST_OK) status = WH_NEW(&t->state, t->n);
    if (status != WHIST_OK) {
        toy_free(&t->base);
        return status;
    }
    *out = &t->base;
    return WHIST_OK;
}

static whist_status toy_new(whist_learner **out, const whist_learner_env *env)
{
    return make(out, env, &toy_learner);
}

static whist_status toy_state_new(whist_learner **out, const whist_learner_env *env)
{
    return make(out, env, &toy_state_learner);
}

static whist_status toy_bad_new(whist_learner **out, const whist_learner_env *env)
{
    return make(out, env, &toy_bad_learner);
}

/* A number in [-1, 1) from names and numbers. */
static float noise(const char *site, uint64_t round, size_t i)
{
    uint64_t h = 0x9e3779b97f4a7c15u * (round + 1) ^ (uint64_t)i * 0xbf58476d1ce4e5b9u;
    for (const char *at = site; *at; at++) h = (h ^ (uint64_t)(unsigned char)*at) * 0x94d049bb133111ebu;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return (float)((double)(h >> 11) * 0x1p-52 - 1);
}

static whist_status toy_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    toy *t = (toy *)self;
    whist_rows rows = whist_dataset_rows(t->env->data, WHIST_FOLD_TRAIN);
    double mean = 0;
    for (size_t i = 0; i < rows.n * rows.d; i++) mean += (double)rows.x[i];
    if (rows.n) mean /= (double)(rows.n * rows.d);
    for (size_t i = 0; i < t->n; i++)
        t->delta[i] = 0.25F * ((float)mean - round->model[i]) + 0.125F * noise(t->env->site, round->round, i);
    *out = (whist_update){
        .n_vectors = 1, .vectors = {t->delta}, .rows = (double)rows.n, .steps = 1 + (double)(rows.n % 3)};
    return WHIST_OK;
}

static whist_status toy_state_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    toy *t = (toy *)self;
    WH_TRY(toy_fit(self, round, out));
    for (size_t i = 0; i < t->n; i++) {
        t->delta[i] += 0.5F * (round->broadcast[0][i] - t->state[i]);
        t->control[i] = 0.25F * t->delta[i] - 0.125F * t->state[i];
        t->state[i] += t->control[i];
    }
    out->n_vectors = 2;
    out->vectors[1] = t->control;
    return WHIST_OK;
}

static whist_status toy_bad_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    toy *t = (toy *)self;
    WH_TRY(toy_fit(self, round, out));
    if (toy_bad_site && strcmp(toy_bad_site, t->env->site) != 0) return WHIST_OK;
    switch (toy_bad_say) {
    case TOY_GOOD: break;
    case TOY_NAN: t->delta[t->n - 1] = NAN; break;
    case TOY_INF: t->delta[0] = INFINITY; break;
    case TOY_HUGE: t->delta[t->n / 2] = 1e30F; break;
    case TOY_NO_STEPS: out->steps = 0; break;
    case TOY_FAILS: WH_FAIL(WHIST_E_RANGE, "the toy does not want to");
    }
    return WHIST_OK;
}

static whist_status toy_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    toy *t = (toy *)self;
    whist_rows rows = whist_dataset_rows(t->env->data, fold);
    double sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += fabs((double)model[i]);
    for (size_t m = 0; m < t->env->n_metrics; m++)
        if (fold == WHIST_FOLD_VALIDATION)
            out[m] = (whist_metric_value){1, 2, 2}; /* never better than at first: early stopping can be had */
        else
            out[m] = (whist_metric_value){rows.n ? sum / (double)t->n : 0, rows.n ? 1 : 0, (double)rows.n};
    return WHIST_OK;
}

static whist_status toy_state(whist_learner *self, float **out)
{
    out[0] = ((toy *)self)->state;
    return WHIST_OK;
}

static const char *const one_vector[] = {"delta", NULL};
static const char *const two_vectors[] = {"delta", "control", NULL};

const whist_learner_class toy_learner = {
    .name = "toy",
    .doc = "for tests",
    .vectors = one_vector,
    .new_ = toy_new,
    .free_ = toy_free,
    .fit = toy_fit,
    .evaluate = toy_evaluate,
};

const whist_learner_class toy_state_learner = {
    .name = "toy-state",
    .doc = "for tests",
    .vectors = two_vectors,
    .n_broadcast = 1,
    .n_states = 1,
    .new_ = toy_state_new,
    .free_ = toy_free,
    .fit = toy_state_fit,
    .evaluate = toy_evaluate,
    .state = toy_state,
};

const whist_learner_class toy_bad_learner = {
    .name = "toy-bad",
    .doc = "for tests",
    .vectors = one_vector,
    .new_ = toy_bad_new,
    .free_ = toy_free,
    .fit = toy_bad_fit,
    .evaluate = toy_evaluate,
};
