/* learn/sgd.c: local SGD, plain or with momentum, and FedProx.
 *
 * FedProx adds mu (w - w_global) to every gradient (Li et al. 2020, eq. 2). The number of effective
 * steps a_i is the one of FedNova (Wang et al. 2020, section 3): τ for plain SGD, for momentum ρ
 * (τ - ρ (1 - ρ^τ) / (1 - ρ)) / (1 - ρ), for a proximal term with α = lr mu: (1 - (1 - α)^τ) / α. */
#include "learn/learners.h"
#include "learn/local.h"
#include "nn/optim.h"

#include <math.h>
#include <string.h>

static const whist_option sgd_options[] = {
    WH_LOCAL_OPTIONS,
    {"momentum", WHIST_OPTION_REAL, "0", 0, 0.9999, NULL,
     "share of the last step that is kept; starts anew each round"},
    {"weight_decay", WHIST_OPTION_REAL, "0", 0, 10, NULL, "added to the gradient, times the parameters"},
    {0},
};

static const whist_option prox_options[] = {
    WH_LOCAL_OPTIONS,
    {"mu", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "pull towards the global model"},
    {0},
};

typedef struct sgd {
    whist_learner base;
    wh_local local;
    wh_sgd rule;     /* momentum and decay */
    float *velocity; /* (n) NULL for plain SGD */
    float *grad;     /* (n) NULL for plain SGD */
    double mu;
} sgd;

static void sgd_free(whist_learner *self)
{
    sgd *s = (sgd *)self;
    if (!s) return;
    wh_local_clear(&s->local);
    wh_free(s->velocity);
    wh_free(s->grad);
    wh_free(s);
}

static whist_status finish_new(whist_learner **out, sgd *s, const whist_learner_env *env, whist_status status)
{
    if (status == WHIST_OK) status = wh_local_init(&s->local, env);
    if (status == WHIST_OK && (s->rule.momentum > 0 || s->rule.weight_decay > 0)) {
        status = WH_NEW_RAW(&s->velocity, s->local.n);
        if (status == WHIST_OK) status = WH_NEW_RAW(&s->grad, s->local.n);
    }
    if (status != WHIST_OK) {
        sgd_free(&s->base);
        return status;
    }
    s->rule.lr = s->local.lr;
    *out = &s->base;
    return WHIST_OK;
}

static whist_status sgd_new(whist_learner **out, const whist_learner_env *env)
{
    sgd *s;
    WH_TRY(WH_NEW(&s, 1));
    s->base.class_ = &wh_learner_sgd;
    s->rule.momentum = whist_settings_real(env->settings, "momentum");
    s->rule.weight_decay = whist_settings_real(env->settings, "weight_decay");
    return finish_new(out, s, env, WHIST_OK);
}

static whist_status prox_new(whist_learner **out, const whist_learner_env *env)
{
    sgd *s;
    WH_TRY(WH_NEW(&s, 1));
    s->base.class_ = &wh_learner_fedprox;
    s->mu = whist_settings_real(env->settings, "mu");
    return finish_new(out, s, env, WHIST_OK);
}

static double effective_steps(const sgd *s)
{
    double tau = (double)s->local.steps, rho = s->rule.momentum, alpha = s->local.lr * s->mu;
    if (rho > 0) return (tau - rho * (1 - pow(rho, tau)) / (1 - rho)) / (1 - rho);
    if (alpha > 0 && alpha < 1) return (1 - pow(1 - alpha, tau)) / alpha;
    return tau;
}

static whist_status momentum_step(sgd *s)
{
    wh_local *l = &s->local;
    WH_TRY(whist_model_loss_grad(l->env->model, l->work, l->params, &l->batch, s->grad, NULL));
    wh_sgd_step(&s->rule, l->params, s->velocity, s->grad, l->n);
    return WHIST_OK;
}

static whist_status sgd_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    sgd *s = (sgd *)self;
    wh_local *l = &s->local;
    WH_TRY(wh_local_begin(l, round));
    if (s->velocity) memset(s->velocity, 0, l->n * sizeof *s->velocity);
    const whist_step_terms terms = {.mu = s->mu, .reference = round->model};
    for (uint64_t step = 0; step < l->steps; step++) {
        wh_local_next(l);
        if (s->velocity)
            WH_TRY(momentum_step(s));
        else
            WH_TRY(whist_model_sgd_step(l->env->model, l->work, l->params, &l->batch, l->lr, s->mu > 0 ? &terms : NULL,
                                        NULL));
    }
    wh_local_finish(l, round, effective_steps(s), out);
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_sgd = {
    .name = "sgd",
    .doc = "stochastic gradient descent on the site's rows",
    .options = sgd_options,
    .vectors = vectors,
    .new_ = sgd_new,
    .free_ = sgd_free,
    .fit = sgd_fit,
    .evaluate = wh_local_evaluate,
    .adapt = wh_local_adapt,
};

const whist_learner_class wh_learner_fedprox = {
    .name = "fedprox",
    .doc = "SGD with a proximal term that keeps a site near the global model",
    .options = prox_options,
    .vectors = vectors,
    .new_ = prox_new,
    .free_ = sgd_free,
    .fit = sgd_fit,
    .evaluate = wh_local_evaluate,
    .adapt = wh_local_adapt,
};
