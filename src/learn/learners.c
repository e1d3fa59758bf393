/* learn/learners.c: the list of learners, and what each of them begins with. */
#include "learn/learners.h"

whist_status wh_learner_make(whist_learner **out, const whist_learner_class *class_, size_t size,
                             whist_status (*init)(whist_learner *self, const whist_learner_env *env),
                             const whist_learner_env *env)
{
    void *memory;
    WH_TRY(wh_alloc(&memory, 1, size));
    whist_learner *self = memory;
    self->class_ = class_;
    whist_status status = init(self, env);
    if (status == WHIST_OK)
        *out = self;
    else
        class_->free_(self);
    return status;
}

whist_status wh_learner_measure(whist_metric_value *out, const whist_learner_env *env, const float *params,
                                whist_fold fold)
{
    const whist_rows rows = whist_dataset_rows(env->data, fold);
    return whist_learn_evaluate(out, env->model, params, &rows, env->metrics, env->n_metrics);
}

const whist_learner_class *const *whist_learner_classes(void)
{
    static const whist_learner_class *const classes[] = {
        &wh_learner_sgd,      &wh_learner_fedprox, &wh_learner_adam,       &wh_learner_scaffold,
        &wh_learner_nesterov, &wh_learner_adamw,   &wh_learner_adagrad,    &wh_learner_yogi,
        &wh_learner_dp_sgd,   &wh_learner_dp_ftrl, &wh_learner_record_sum, NULL,
    };
    return classes;
}
