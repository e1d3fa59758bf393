/* learn/optim.c: learners that are an optimiser of nn/optim.h on the site's rows.
 *
 * What an optimiser keeps starts anew each round: it is about the model of the round, which the site does not choose.
 */
#include "nn/optim.h"
#include "learn/learners.h"
#include "learn/local.h"

static const whist_option adam_options[] = {
    WH_LOCAL_OPTIONS, WH_OPTIONS_MOMENTS("1e-8"), WH_OPTION_DECAY, WH_OPTION_CLIP, WH_SCHEDULE_OPTIONS, {0},
};
static const whist_option adamw_options[] = {
    WH_LOCAL_OPTIONS,
    WH_OPTIONS_MOMENTS("1e-8"),
    {"weight_decay", WHIST_OPTION_REAL, "0.01", 0, 10, NULL, "part of the parameters taken away, times the rate"},
    WH_OPTION_CLIP,
    WH_SCHEDULE_OPTIONS,
    {0},
};
static const whist_option adagrad_options[] = {
    WH_LOCAL_OPTIONS,    {"eps", WHIST_OPTION_REAL, "1e-10", 1e-15, 1, NULL, "keeps the division away from zero"},
    WH_OPTION_DECAY,     WH_OPTION_CLIP,
    WH_SCHEDULE_OPTIONS, {0},
};
static const whist_option yogi_options[] = {
    WH_LOCAL_OPTIONS, WH_OPTIONS_MOMENTS("1e-3"), WH_OPTION_DECAY, WH_OPTION_CLIP, WH_SCHEDULE_OPTIONS, {0},
};
static const whist_option nesterov_options[] = {
    WH_LOCAL_OPTIONS, WH_OPTION_MOMENTUM("0.9"), WH_OPTION_DECAY, WH_OPTION_CLIP, WH_SCHEDULE_OPTIONS, {0},
};

typedef struct optim {
    whist_learner base;
    wh_local local;
    wh_optimizer *optimizer;
    wh_schedule schedule;
    float *grad; /* (n) */
} optim;

static void optim_free(whist_learner *self)
{
    optim *o = (optim *)self;
    if (!o) return;
    wh_local_clear(&o->local);
    wh_optimizer_free(o->optimizer);
    wh_free(o->grad);
    wh_free(o);
}

static whist_status optim_init(whist_learner *self, const whist_learner_env *env)
{
    optim *o = (optim *)self;
    WH_TRY(wh_local_init(&o->local, env));
    WH_TRY(wh_schedule_read(&o->schedule, env->settings, 0));
    WH_TRY(WH_NEW_RAW(&o->grad, o->local.n));
    return wh_optimizer_new(&o->optimizer, wh_optimizer_find(o->base.class_->name), env->settings, o->local.n);
}

static whist_status optim_new(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    return wh_learner_make(out, class_, sizeof(optim), optim_init, env);
}

static whist_status optim_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    optim *o = (optim *)self;
    wh_local *l = &o->local;
    WH_TRY(wh_local_begin(l, round));
    wh_optimizer_reset(o->optimizer);
    for (uint64_t step = 0; step < l->steps; step++) {
        wh_local_next(l);
        WH_TRY(whist_model_loss_grad(l->env->model, l->work, l->params, &l->batch, o->grad, NULL));
        double lr = wh_schedule_rate(&o->schedule, l->lr, round->round * l->steps + step);
        wh_optimizer_step(o->optimizer, l->params, o->grad, lr, NULL);
        wh_model_work_track(l->work, l->params);
    }
    wh_local_finish(l, round, (double)l->steps, out);
    return WHIST_OK;
}

static const char *const vectors[] = {"delta", NULL};

#define LEARNER(id, text)                                                                                              \
    static whist_status id##_new(whist_learner **out, const whist_learner_env *env)                                    \
    {                                                                                                                  \
        return optim_new(out, env, &wh_learner_##id);                                                                  \
    }                                                                                                                  \
    const whist_learner_class wh_learner_##id = {                                                                      \
        .name = #id,                                                                                                   \
        .doc = text,                                                                                                   \
        .options = id##_options,                                                                                       \
        .vectors = vectors,                                                                                            \
        .new_ = id##_new,                                                                                              \
        .free_ = optim_free,                                                                                           \
        .fit = optim_fit,                                                                                              \
        .evaluate = wh_local_evaluate,                                                                                 \
        .adapt = wh_local_adapt,                                                                                       \
    }

LEARNER(adam, "Adam on the site's rows");
LEARNER(adamw, "Adam with weight decay apart from the gradient");
LEARNER(adagrad, "AdaGrad on the site's rows");
LEARNER(yogi, "Yogi on the site's rows");
LEARNER(nesterov, "SGD with Nesterov's momentum");
