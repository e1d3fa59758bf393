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
    WH_OPTION_DECAY,
    WH_OPTION_CLIP,
    WH_SCHEDULE_OPTIONS,
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
    wh_schedule schedule;
    wh_optimizer *optimizer; /* NULL for plain SGD, which is one pass with the gradient */
    float *grad;             /* (n), with the optimizer */
    double momentum, mu;
} sgd;

static void sgd_free(whist_learner *self)
{
    sgd *s = (sgd *)self;
    if (!s) return;
    wh_local_clear(&s->local);
    wh_optimizer_free(s->optimizer);
    wh_free(s->grad);
    wh_free(s);
}

static whist_status sgd_init(whist_learner *self, const whist_learner_env *env)
{
    sgd *s = (sgd *)self;
    const whist_settings *settings = env->settings;
    WH_TRY(wh_local_init(&s->local, env));
    WH_TRY(wh_schedule_read(&s->schedule, settings, 0));
    s->momentum = whist_settings_real(settings, "momentum");
    bool plain = whist_settings_real(settings, "weight_decay") == 0 && whist_settings_real(settings, "clip") == 0;
    if (s->momentum == 0 && plain) return WHIST_OK;
    WH_TRY(WH_NEW_RAW(&s->grad, s->local.n));
    return wh_optimizer_new(&s->optimizer, wh_optimizer_find(s->momentum > 0 ? "momentum" : "sgd"), settings,
                            s->local.n);
}

static whist_status prox_init(whist_learner *self, const whist_learner_env *env)
{
    sgd *s = (sgd *)self;
    s->mu = whist_settings_real(env->settings, "mu");
    return wh_local_init(&s->local, env);
}

static whist_status sgd_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_sgd, sizeof(sgd), sgd_init, env);
}

static whist_status prox_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_fedprox, sizeof(sgd), prox_init, env);
}

static double effective_steps(const sgd *s)
{
    double tau = (double)s->local.steps, rho = s->momentum, alpha = s->local.lr * s->mu;
    if (rho > 0) return (tau - rho * (1 - pow(rho, tau)) / (1 - rho)) / (1 - rho);
    if (alpha > 0 && alpha < 1) return (1 - pow(1 - alpha, tau)) / alpha;
    return tau;
}

static whist_status optimizer_step(sgd *s, double lr)
{
    wh_local *l = &s->local;
    WH_TRY(whist_model_loss_grad(l->env->model, l->work, l->params, &l->batch, s->grad, NULL));
    wh_optimizer_step(s->optimizer, l->params, s->grad, lr, NULL);
    wh_model_work_track(l->work, l->params);
    return WHIST_OK;
}

static whist_status sgd_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    sgd *s = (sgd *)self;
    wh_local *l = &s->local;
    WH_TRY(wh_local_begin(l, round));
    if (s->optimizer) wh_optimizer_reset(s->optimizer);
    const whist_step_terms terms = {.mu = s->mu, .reference = round->model};
    for (uint64_t step = 0; step < l->steps; step++) {
        double lr = wh_schedule_rate(&s->schedule, l->lr, round->round * l->steps + step);
        wh_local_next(l);
        if (s->optimizer)
            WH_TRY(optimizer_step(s, lr));
        else
            WH_TRY(whist_model_sgd_step(l->env->model, l->work, l->params, &l->batch, lr, s->mu > 0 ? &terms : NULL,
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
