/* learn/learners.h: the learners of the library, one file each. */
#ifndef WH_LEARN_LEARNERS_H
#define WH_LEARN_LEARNERS_H

#include "base/mem.h"

#include <whist/learn.h>

/* What a learner's new_ does: `size` bytes of zeros that begin with a whist_learner, of this class, handed to init;
 * what init fails with, free_ cleans up after. */
WH_MUST_CHECK whist_status wh_learner_make(whist_learner **out, const whist_learner_class *class_, size_t size,
                                           whist_status (*init)(whist_learner *self, const whist_learner_env *env),
                                           const whist_learner_env *env);
/* whist_learn_evaluate of one fold of env's data, by env's metrics. */
WH_MUST_CHECK whist_status wh_learner_measure(whist_metric_value *out, const whist_learner_env *env,
                                              const float *params, whist_fold fold);

extern const whist_learner_class wh_learner_sgd, wh_learner_fedprox, wh_learner_adam, wh_learner_scaffold,
    wh_learner_adamw, wh_learner_adagrad, wh_learner_yogi, wh_learner_nesterov, wh_learner_dp_sgd, wh_learner_dp_ftrl,
    wh_learner_record_sum;

#endif
