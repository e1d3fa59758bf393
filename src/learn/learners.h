/* learn/learners.h: the learners of the library, one file each. */
#ifndef WH_LEARN_LEARNERS_H
#define WH_LEARN_LEARNERS_H

#include <whist/learn.h>

extern const whist_learner_class wh_learner_sgd, wh_learner_fedprox, wh_learner_adam, wh_learner_scaffold,
    wh_learner_adamw, wh_learner_adagrad, wh_learner_yogi, wh_learner_nesterov, wh_learner_dp_sgd, wh_learner_dp_ftrl,
    wh_learner_record_sum;

#endif
