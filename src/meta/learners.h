/* meta/learners.h: meta-learners on the learner joint: a site is a source of tasks, and the meta-gradient is its
 * update.
 *
 * In a round a site draws `tasks` pairs of support and query rows from its training rows (public, by round), and its
 * update is -lr times the mean meta-gradient at the global model, so that FedAvg's mean of the updates is the step that
 * FedMeta (Chen et al. 2018) and Per-FedAvg (Fallah et al. 2020) take; of Reptile it is lr times the mean way to the
 * adapted models. It is a vector like any other update: every strategy and protection applies.
 *
 * A site's metrics are those of its personal model: adapted on the first rows of a public draw from its training rows,
 * measured on the fold. Support rows are never measured on, but where the fold is the training rows itself. */
#ifndef WH_META_LEARNERS_H
#define WH_META_LEARNERS_H

#include "base/mem.h"

#include <whist/learn.h>

extern const whist_learner_class wh_learner_maml, wh_learner_fomaml, wh_learner_reptile, wh_learner_anil,
    wh_learner_boil, wh_learner_per_fedavg;

/* Prototypes of the study's classes as sums and counts, without tasks. proto_learner.c. */
extern const whist_learner_class wh_learner_prototypes;
/* WHIST_E_UNSUPPORTED, with the reason, for a model (and the task that it is for) that prototypes cannot use. */
WH_MUST_CHECK whist_status wh_meta_prototypes_check(const whist_model *model);

/* With few-shot tasks (`episodes` of the study) a site draws them from its own rows, and every learner is a scheme
 * (meta/scheme.h); those below know nothing else. few_learner.c. */
extern const whist_learner_class wh_learner_meta_sgd, wh_learner_mamlpp, wh_learner_imaml, wh_learner_cavia,
    wh_learner_meta_lstm, wh_learner_abml, wh_learner_protonet, wh_learner_matching, wh_learner_relation,
    wh_learner_r2d2;
WH_MUST_CHECK whist_status wh_few_learner_new(whist_learner **out, const whist_learner_env *env,
                                              const whist_learner_class *class_);

/* The list ends with NULL. */
const whist_learner_class *const *wh_meta_learner_classes(void);

#endif
