/* meta/dp_learners.h: private meta-learners on the learner joint, and what the others cannot promise.
 *
 *     dp-meta       hides a task: all rows of a person         clip a task's meta-gradient     any with inner steps
 *     dp-reptile    hides a record of a task                   DP-SGD inside, the way taken    first order
 *     dp-fomaml     hides a record of a task                   the same, a private query step  first order
 *     dp-protonet   hides a record of a task                   noisy prototypes of K classes   no inner steps
 *
 * A plain meta-learner can hide a site (its update is clipped and noised like any other) and nothing smaller. */
#ifndef WH_META_DP_LEARNERS_H
#define WH_META_DP_LEARNERS_H

#include "learn/dp_step.h"

#include <whist/learn.h>

extern const whist_learner_class wh_learner_dp_meta, wh_learner_dp_reptile, wh_learner_dp_fomaml,
    wh_learner_dp_protonet;

/* Does an option of dp-meta do nothing under the rule that its settings name? It is one of another rule, then. */
bool wh_meta_rule_ignores(const whist_settings *settings, const char *option);

/* What dp-reptile (query: false) or dp-fomaml (true) asks of its private steps; how many of them a round has. */
uint64_t wh_meta_records_read(wh_dp_step_options *out, const whist_settings *settings, bool query);

/* Why no record is hidden where a second derivative is made. */
extern const char wh_meta_second_order_objection[];
/* What speaks against a promise by a learner that adds no noise (the joint's `objection`): a task (drawn anew each
 * round from the same rows), a record, or a site whose personal models are measured in the open. NULL: nothing. The
 * second one is for learners whose meta-gradients hold second derivatives. */
const char *wh_meta_objection_first(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics);
const char *wh_meta_objection_second(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics);

#endif
