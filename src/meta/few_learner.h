/* meta/few_learner.h: a scheme on the learner joint. An object whose class_ is wh_few_learner came from
 * wh_few_learner_new, whatever class of the study made it. */
#ifndef WH_META_FEW_LEARNER_H
#define WH_META_FEW_LEARNER_H

#include "meta/learners.h"

extern const whist_learner_class wh_few_learner;

#endif
