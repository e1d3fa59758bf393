/* learn/adam.c: local Adam (Kingma and Ba 2015). Its moments start anew each round: they are about the
 * model of the round, which the site does not choose. */
#include "learn/learners.h"
#include "learn/local.h"
#include "nn/optim.h"

#include <string.h>

static const whist_option options[] = {
    WH_LOCAL_OPTIONS,
    {"beta1", WHIST_OPTION_REAL, "0.9", 0, 0.9999, NULL, "decay of the gradient's mean"},
    {"beta2", WHIST_OPTION_REAL, "0.999", 0, 0.999999, NULL, "decay of the gradient's square"},
    {"eps", WHIST_OPTION_REAL, "1e-8", 1e-15, 1, NULL, "keeps the division away from zero"},
    {"weight_decay", WHIST_OPTION_REAL, "0", 0, 10, NULL, "added to the gradient, times the parameters"},
    {0},
};

typedef struct adam {
    whist_learner base;
    wh_local local;
    wh_adam rule;
    float *grad, *m, *v; /* (n) each */
} adam;

static void adam_free(whist_learner *self)
{
    adam *a = (adam *)self;
    if (!a) return;
    wh_local_clear(&a->local);
    wh_free(a->grad);
    wh_free(a->m);
    wh_free(a->v);
    wh_free(a);
}

static whist_status adam_init(adam *a, const whist_learner_env *env)
{
    WH_TRY(wh_local_init(&a->local, env));
    WH_TRY(WH_NEW_RAW(&a->grad, a->local.n));
    WH_TRY(WH_NEW_RAW(&a->m, a->local.n));
    WH_TRY(WH_NEW_RAW(&a->v, a->local.n));
    a->rule = (wh_adam){
        .lr = a->local.lr,
        .beta1 = whist_settings_real(env->settings, "beta1"),
        .beta2 = whist_settings_real(env->settings, "beta2"),
        .eps = whist_settings_real(env->settings, "eps"),
        .weight_decay = whist_settings_real(env->settings, "weight_decay"),
    };
    return WHIST_OK;
}

static whist_status adam_new(whist_learner **out, const whist_learner_env *env)
{
    adam *a;
    WH_TRY(WH_NEW(&a, 1));
    a->base.class_ = &wh_learner_adam;
    whist_status status = adam_init(a, env);
    if (status != WHIST_OK) {
        adam_free(&a->base);
        return status;
    }
    *out = &a->base;
    return WHIST_OK;
}

static whist_status adam_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    adam *a = (adam *)self;
    wh_local *l = &a->local;
    WH_TRY(wh_local_begin(l, round));
    memset(a->m, 0, l->n * sizeof *a->m);
    memset(a->v, 0, l->n * sizeof *a->v);
    for (uint64_t step = 0; step < l->steps; step++) {
        wh_local_next(l);
        WH_TRY(whist_model_loss_grad(l->env->model, l->work, l->params, &l->batch, a->grad, NULL));
        wh_adam_step(&a->rule, l->params, a->m, a->v, a->grad, l->n, step + 1);
    }
    wh_local_finish(l, round, (double)l->steps, out);
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_adam = {
    .name = "adam",
    .doc = "Adam on the site's rows",
    .options = options,
    .vectors = vectors,
    .new_ = adam_new,
    .free_ = adam_free,
    .fit = adam_fit,
    .evaluate = wh_local_evaluate,
    .adapt = wh_local_adapt,
};
