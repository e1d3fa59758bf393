/* learn/learners.c: the list of learners. */
#include "learn/learners.h"

const whist_learner_class *const *whist_learner_classes(void)
{
    static const whist_learner_class *const classes[] = {
        &wh_learner_sgd,      &wh_learner_fedprox, &wh_learner_adam,       &wh_learner_scaffold,
        &wh_learner_nesterov, &wh_learner_adamw,   &wh_learner_adagrad,    &wh_learner_yogi,
        &wh_learner_dp_sgd,   &wh_learner_dp_ftrl, &wh_learner_record_sum, NULL,
    };
    return classes;
}
