/* learn/scaffold.c: a site's half of SCAFFOLD (Karimireddy et al. 2020, Algorithm 1, option II).
 *
 *   y ← y - lr (g(y) - c_i + c)                K times, from y = x
 *   c_i⁺ = c_i - c + (x - y) / (K lr)
 *   update: Δx = y - x, Δc = c_i⁺ - c_i
 *
 * c comes with the model; c_i is what the site remembers between rounds. */
#include "learn/learners.h"
#include "learn/local.h"

#include <string.h>

static const whist_option options[] = {WH_LOCAL_OPTIONS, {0}};

typedef struct scaffold {
    whist_learner base;
    wh_local local;
    float *own;        /* (n) c_i */
    float *correction; /* (n) c - c_i, during a round */
    float *change;     /* (n) Δc */
} scaffold;

static void scaffold_free(whist_learner *self)
{
    scaffold *s = (scaffold *)self;
    if (!s) return;
    wh_local_clear(&s->local);
    wh_free(s->own);
    wh_free(s->correction);
    wh_free(s->change);
    wh_free(s);
}

static whist_status scaffold_init(whist_learner *self, const whist_learner_env *env)
{
    scaffold *s = (scaffold *)self;
    WH_TRY(wh_local_init(&s->local, env));
    if (!(s->local.lr > 0)) WH_FAIL(WHIST_E_ARG, "scaffold needs a learning rate above 0");
    WH_TRY(WH_NEW(&s->own, s->local.n));
    WH_TRY(WH_NEW_RAW(&s->correction, s->local.n));
    return WH_NEW_RAW(&s->change, s->local.n);
}

static whist_status scaffold_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_scaffold, sizeof(scaffold), scaffold_init, env);
}

static whist_status scaffold_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    scaffold *s = (scaffold *)self;
    wh_local *l = &s->local;
    if (round->n_broadcast < 1) WH_FAIL(WHIST_E_FORMAT, "scaffold needs the control variate of the strategy scaffold");
    const float *global = round->broadcast[0];
    WH_TRY(wh_local_begin(l, round));
    for (size_t i = 0; i < l->n; i++) s->correction[i] = global[i] - s->own[i];
    const whist_step_terms terms = {.correction = s->correction};
    for (uint64_t step = 0; step < l->steps; step++) {
        wh_local_next(l);
        WH_TRY(whist_model_sgd_step(l->env->model, l->work, l->params, &l->batch, l->lr, &terms, NULL));
    }
    wh_local_finish(l, round, (double)l->steps, out);
    double scale = 1 / ((double)l->steps * l->lr);
    for (size_t i = 0; i < l->n; i++) {
        s->change[i] = (float)(-(double)global[i] - scale * (double)l->delta[i]);
        s->own[i] += s->change[i];
    }
    out->vectors[out->n_vectors++] = s->change;
    return WHIST_OK;
}

static whist_status scaffold_state(whist_learner *self, float **out)
{
    out[0] = ((scaffold *)self)->own;
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", "control", NULL};

const whist_learner_class wh_learner_scaffold = {
    .name = "scaffold",
    .doc = "SGD corrected by control variates (strategy scaffold)",
    .options = options,
    .vectors = vectors,
    .n_broadcast = 1,
    .n_states = 1,
    .new_ = scaffold_new,
    .free_ = scaffold_free,
    .fit = scaffold_fit,
    .evaluate = wh_local_evaluate,
    .adapt = wh_local_adapt,
    .state = scaffold_state,
};
